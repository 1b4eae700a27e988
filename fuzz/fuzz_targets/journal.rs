//! Any file is a journal or is refused.
#![no_main]

use clawexchange_rate_limiter::MemoryStore;
use clawexchange_ssg_core::SystemClock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("claw-fuzz-journal-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    drop(MemoryStore::read_journal(&path, SystemClock::new()));
});
