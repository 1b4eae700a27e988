//! What is found with literals and narrowed windows is what every expression finds that is run over everything.
#![no_main]

use std::sync::LazyLock;

use clawexchange_detectors::Detectors;
use libfuzzer_sys::fuzz_target;

static DETECTORS: LazyLock<Detectors> = LazyLock::new(Detectors::default);

fuzz_target!(|text: &str| {
    let found: Vec<_> = DETECTORS.scan(text).into_iter().map(|d| (d.id, d.span)).collect();
    let all: Vec<_> = DETECTORS.scan_by_force(text).into_iter().map(|d| (d.id, d.span)).collect();
    assert_eq!(found, all);
});
