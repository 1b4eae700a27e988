//! The journal on a disk that fills up. In a file of its own: between fork and exec, the process that it starts holds the
//! locks of every journal that is open here.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use clawexchange_rate_limiter::{Ask, EndpointTier, Limits, MemoryConfig, MemoryStore, Store};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{AgentId, Fault, FaultKind, TrustLevel};

fn messages() -> Ask {
    Ask::new(AgentId::new("a").unwrap(), EndpointTier::MESSAGES).trusted(TrustLevel::PlatformBot)
}

fn open(folder: &Path) -> MemoryStore {
    let path = folder.join("limits.journal");
    MemoryStore::open_journal(path, MemoryConfig::default(), ManualClock::default()).unwrap()
}

fn units(store: &MemoryStore) -> usize {
    let ask = messages();
    store.units(&ask.agent, &ask.tier).len()
}

/// Runs a test of this file in a process of its own, whose files may have at most so many blocks of 512 bytes.
fn run_with_file_limit(test: &str, blocks: u32, folder: &Path) -> std::process::Output {
    std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" --exact {test} --nocapture"))
        .arg(std::env::current_exe().unwrap())
        .env("JOURNAL_TEST_FOLDER", folder)
        .output()
        .unwrap()
}

#[test]
fn an_act_is_refused_charged_nowhere_and_leaves_no_half_record() {
    let folder = tempfile::tempdir().unwrap();
    let done = run_with_file_limit("inside_the_process_whose_disk_fills_up", 1, folder.path());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    let said = String::from_utf8(done.stdout).unwrap();
    let admitted = said.lines().find_map(|line| line.split_once("admitted ")).unwrap().1;
    assert!(fs::metadata(folder.path().join("limits.journal")).unwrap().len() <= 512);
    assert_eq!(
        units(&open(folder.path())).to_string(),
        admitted.trim(),
        "all that was answered, and no more"
    );
}

#[tokio::test]
async fn inside_the_process_whose_disk_fills_up() {
    // Without the folder it is one of all tests, in which nothing fills up.
    let Some(folder) = std::env::var_os("JOURNAL_TEST_FOLDER") else { return };
    let store = open(Path::new(&folder));
    let limits = Limits::default();
    let mut admitted = 0;
    let error = loop {
        match store.take(&messages(), &limits).await {
            Ok(decision) => admitted += usize::from(decision.is_allowed()),
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.kind()), ("rate-limiter/journal", FaultKind::Unavailable));
    assert_eq!(units(&store), admitted);
    println!("admitted {admitted}");
}
