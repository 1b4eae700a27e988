//! Any bytes are a file of settings, or problems that are said without repeating what is secret.
#![no_main]

use clawexchange_gateway::{Settings, Sources};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("claw-fuzz-settings-{}.toml", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    let mut sources = Sources::default();
    sources.config = Some(path);
    match Settings::read(&sources) {
        Ok(settings) => assert!(!settings.shown().is_empty()),
        Err(error) => assert!(!error.problems.is_empty() && !error.to_string().contains('\u{1b}')),
    }
});
