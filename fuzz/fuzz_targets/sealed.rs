//! No bytes that were not sealed with the key open with it.
#![no_main]

use clawexchange_quarantine::{SealContext, open};
use clawexchange_ssg_core::DataKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((context, _)) = SealContext::read(bytes) {
        assert!(open(&DataKey::new([7; 32]), &context, bytes).is_err());
    }
});
