//! Any bytes are an envelope or are refused; what was read is read again from its canonical form.
#![no_main]

use clawexchange_ssg_core::{EnvelopeBounds, ReadAs, Received};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for read_as in [ReadAs::Envelope, ReadAs::Submission, ReadAs::Line] {
        let Ok(received) = Received::read(bytes, read_as, &EnvelopeBounds::default()) else { continue };
        let canonical = received.content.canonical();
        let again = Received::read(&canonical, ReadAs::Envelope, &EnvelopeBounds::default());
        assert_eq!(again.expect("what is canonical is an envelope").content.canonical(), canonical);
    }
});
