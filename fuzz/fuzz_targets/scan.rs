//! Any text is scanned, and what is found lies between characters of it.
#![no_main]

use std::sync::LazyLock;

use clawexchange_detectors::Detectors;
use libfuzzer_sys::fuzz_target;

static DETECTORS: LazyLock<Detectors> = LazyLock::new(Detectors::default);

fuzz_target!(|text: &str| {
    for found in DETECTORS.scan(text) {
        assert!(text.get(found.span.clone()).is_some(), "{} at {:?}", found.id, found.span);
    }
});
