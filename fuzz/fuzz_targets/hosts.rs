//! With any lists of hosts any text is scanned, and a host that may not be named is found where it stands alone.
#![no_main]

use std::collections::BTreeMap;

use clawexchange_detectors::{Detectors, Host, HostPolicy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, String, String)| {
    let (allowed, denied, text) = input;
    let hosts = |list: &str| -> Vec<Host> { list.lines().filter_map(|line| line.parse().ok()).collect() };
    let (allow, deny) = (hosts(&allowed), hosts(&denied));
    let Ok(detectors) = Detectors::with_hosts(&BTreeMap::new(), HostPolicy::new(allow, deny.clone())) else {
        return;
    };
    for found in detectors.scan(&text) {
        assert!(text.get(found.span.clone()).is_some(), "{} at {:?}", found.id, found.span);
    }
    for host in deny.iter().map(Host::to_string).filter(|host| !host.starts_with('*')) {
        let found = detectors.scan(&format!("https://{host}/"));
        assert!(found.iter().any(|found| found.id == "denied-host"), "{host}");
    }
});
