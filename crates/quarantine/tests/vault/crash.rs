//! A process that is killed at any step, and what its successor finds.
#![cfg(debug_assertions)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clawexchange_quarantine::{FAIL_POINTS, Filter, Keychain, Reason, Status, VaultConfig};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{KeyId, PageLimit, QuarantineId};

use clawexchange_testkit::{open_in, s3};

use crate::rig::{Rig, ann, note, platform};

const FOLDER: &str = "QUARANTINE_CRASH_FOLDER";

fn config() -> VaultConfig {
    let mut config = VaultConfig::default();
    config.inline_bytes_max = 100;
    config
}

/// What the killed process does; a test only so that the process can be this very program.
#[tokio::test]
async fn the_work_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let rig = Rig::at(folder, config(), ManualClock::default()).await;
    let mut acks = std::fs::File::create(folder.join("acks")).unwrap();
    let mut ack = |what: &str, id: QuarantineId| writeln!(acks, "{what} {id}").unwrap();
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for n in 0..4 {
        short.push(rig.hold(&format!("short {n}")).await);
        ack("held", short[n]);
        long.push(rig.hold(&format!("long {n} {}", "x".repeat(20_000))).await);
        ack("held", long[n]);
    }
    for ids in [&short, &long] {
        rig.vault.release(ids[0], &ann(), Reason::default(), None).await.unwrap();
        ack("RELEASED", ids[0]);
        rig.vault.fetch_released(ids[0], &platform()).await.unwrap();
        rig.vault.confirm_release(ids[0], &platform()).await.unwrap();
        ack("published", ids[0]);
        rig.vault.delete(ids[1], &ann(), Reason::PolicyViolation, None, true).await.unwrap();
        ack("DELETED", ids[1]);
        let grant = rig.vault.grant(ids[2], &ann(), &note("check")).await.unwrap();
        rig.vault.open(&ann(), &grant.token).await.unwrap();
        ack("seen", ids[2]);
    }
    // A store that its process left staged, for the sweep to settle.
    let stray = rig.a_hold(&format!("stray {}", "y".repeat(20_000)), "agent-2").await;
    rig.objects.set(Some(crate::rig::Trouble::StoresAndHangs));
    let vault = rig.vault.clone();
    let store = tokio::spawn(async move { clawexchange_ssg_core::Quarantine::hold(&vault, stray).await });
    while rig.count("quarantine_records WHERE blob_state = 'PENDING'").await == 0
        || rig.object_names().await.len() < 4
    {
        tokio::task::yield_now().await;
    }
    store.abort();
    rig.objects.set(None);
    exchange_keys(&rig).await;
    rig.pass(72);
    rig.sweep().await;
    rig.pass(24);
    rig.sweep().await;
    // What a week wrapped is gone, so its key goes.
    rig.pass(24 * 14);
    rig.sweep().await;
}

/// Another master key is activated, wraps everything, and the first one is retired.
async fn exchange_keys(rig: &Rig) {
    let keys = Keychain::open(rig.db.clone(), rig.keys.clone(), true).await.unwrap();
    let next = KeyId::new("next").unwrap();
    keys.activate(&next, &ann()).await.unwrap();
    keys.rewrap_roots(&ann()).await.unwrap();
    // A data key of the time before there were keys of weeks.
    let vault = rig.with_keys(Rig::keys_from("next"));
    rig.unwrap_from_week(rig.any_open_record().await).await;
    while vault.rewrap_some(&ann()).await.unwrap().more {}
    vault.close_week_keys().await.unwrap();
    while vault.move_some(&ann()).await.unwrap().more {}
    let known = KeyId::new("test").unwrap();
    // Codes of this rig hang on its master key, for want of a root key, so another one is retired.
    assert!(vault.retire_master(&known, &ann(), true).await.is_err());
    let unused = KeyId::new("unused").unwrap();
    vault.retire_master(&unused, &ann(), false).await.unwrap();
}

fn killed_at(point: &str, folder: &Path) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["crash::the_work_that_is_killed", "--exact", "--test-threads=1"])
        .env(FOLDER, folder)
        .env("CLAW_FAIL_POINT", point)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    !status.success()
}

async fn check_successor(point: &str, folder: &Path) {
    let rig = Rig::at(folder, config(), ManualClock::default()).await;
    // Long enough for cut stores to be settled and first attempts to be repeated; nothing else is due.
    rig.clock.advance(std::time::Duration::from_mins(2));
    rig.sweep().await;
    let acks = std::fs::read_to_string(folder.join("acks")).unwrap();
    for line in acks.lines() {
        let (what, id) = line.split_once(' ').unwrap();
        let record = rig.vault.show(id.parse().unwrap()).await;
        let record = record.unwrap_or_else(|e| panic!("{point}: {line} is lost: {e}"));
        match what {
            "RELEASED" => assert_eq!(record.status, Status::Released, "{point}: {line}"),
            "DELETED" => assert_eq!(record.status, Status::Deleted, "{point}: {line}"),
            "published" => {
                let published = rig.vault.published_at(record.id).await.unwrap();
                assert!(published.is_some(), "{point}: {line}");
            }
            _ => {}
        }
    }
    let page = rig.vault.list(&Filter::default(), None, PageLimit::default()).await.unwrap();
    for record in &page.items {
        let is_kept = record.blob_state == clawexchange_quarantine::BlobState::Present;
        if record.status.is_shown() && is_kept {
            assert!(rig.text_of(record.id).await.is_ok(), "{point}: {} does not open", record.id);
        }
        // Of the killed process, only what was already taken out of the outbox is missing here.
        let kinds = rig.kinds(record.id).await;
        let mut once = kinds.clone();
        once.retain(|k| !matches!(k.as_str(), "GRANT_ISSUED" | "HUMAN_VIEW_CONTENT"));
        let count = once.len();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), count, "{point}: an event came twice: {kinds:?}");
    }
    let keys = rig.count("encryption_keys").await;
    let present = rig.count("quarantine_records WHERE blob_state = 'PRESENT'").await;
    assert_eq!(
        (rig.count("quarantine_records WHERE blob_state = 'PENDING'").await, keys),
        (0, present),
        "{point}"
    );
    let objects = rig.count("quarantine_records WHERE blob_state = 'PRESENT' AND s3_key IS NOT NULL").await;
    assert_eq!(i64::try_from(rig.object_names().await.len()).unwrap(), objects, "{point}: objects");
    let found = rig.vault.reconcile(false).await.unwrap();
    assert!(found.orphans.is_empty() && found.missing.is_empty(), "{point}: {found:?}");
    let drafts = walk(folder).into_iter().filter(|path| path.contains(".part")).count();
    assert_eq!(drafts, 0, "{point}: half-written files");
}

fn walk(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(walk(&path));
        } else {
            all.push(path.display().to_string());
        }
    }
    all
}

#[tokio::test]
async fn a_process_killed_at_any_step_loses_nothing_and_leaves_nothing() {
    for point in FAIL_POINTS {
        // The second pass is at content that lies as an object, where there are two ways.
        for nth in [1, 2] {
            let temporary = tempfile::tempdir().unwrap();
            // The database is not the killed process's own, where it is a server's.
            open_in(temporary.path()).await.close().await.unwrap();
            if s3::is_wanted() {
                s3::bucket_in(temporary.path());
            }
            let armed = format!("{point}:{nth}");
            let killed = killed_at(&armed, temporary.path());
            assert!(killed || nth > 1, "nothing passes {point}");
            check_successor(&armed, temporary.path()).await;
        }
    }
}

#[test]
fn every_place_where_a_process_can_be_killed_is_listed() {
    let mut named = std::collections::BTreeSet::new();
    for path in walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = std::fs::read_to_string(path).unwrap();
        for rest in text.split("fail_point!(\"").skip(1) {
            named.insert(rest.split('"').next().unwrap().to_owned());
        }
    }
    let listed: std::collections::BTreeSet<_> = FAIL_POINTS.iter().map(|p| (*p).to_owned()).collect();
    assert_eq!(named, listed);
}
