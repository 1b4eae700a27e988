//! The journal: what was answered is there after a crash, and what was damaged is said.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clawexchange_rate_limiter::{
    Ask, Decision, EndpointTier, LimitError, Limiter, Limits, MemoryConfig, MemoryStore, Offence, OffenceId,
    Store,
};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{AgentId, Clock, Fault, FaultKind, OwnerId, RiskTier, Timestamp, TrustLevel};
use tempfile::TempDir;

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn owner(name: &str) -> OwnerId {
    OwnerId::new(name).unwrap()
}

fn posts(name: &str) -> Ask {
    Ask::new(agent(name), EndpointTier::POSTS).trusted(TrustLevel::Verified)
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limits.journal");
    (folder, path)
}

fn open(path: &Path, clock: &ManualClock) -> Result<MemoryStore, LimitError> {
    MemoryStore::open_journal(path, MemoryConfig::default(), clock.clone())
}

const TIERS: [EndpointTier; 3] = [EndpointTier::POSTS, EndpointTier::COMMENTS, EndpointTier::MESSAGES];

/// All that a store knows of the accounts of these tests: units, and until when penalties hold.
async fn known(store: &MemoryStore) -> (Vec<Vec<Timestamp>>, Vec<[Option<Timestamp>; 3]>) {
    let (mut units, mut penalties) = (Vec::new(), Vec::new());
    for i in 0..4 {
        for tier in &TIERS {
            units.push(store.units(&agent(&format!("a-{i}")), tier));
            units.push(store.owner_units(&owner(&format!("o-{i}")), tier));
        }
        let id = agent(&format!("a-{i}"));
        let status = store.status(&id, None, TrustLevel::New, &Limits::default()).await.unwrap();
        penalties.push([status.moderate_until, status.high_until, status.repeated_until]);
    }
    (units, penalties)
}

/// A history with every sort of record, and the size of the file and what was known after each step.
async fn history(
    path: &Path,
    clock: &ManualClock,
) -> Vec<(u64, (Vec<Vec<Timestamp>>, Vec<[Option<Timestamp>; 3]>))> {
    let store = open(path, clock).unwrap();
    let limits = Limits::default();
    let mut steps = vec![(store.journal_bytes().unwrap(), known(&store).await)];
    let mut permits = Vec::new();
    for i in 0..40_u8 {
        let name = format!("a-{}", i % 4);
        let id = OffenceId::from_bytes([i; 16]);
        match i % 10 {
            7 => {
                let tier = if i % 4 == 0 { RiskTier::Moderate } else { RiskTier::High };
                store.learn(&agent(&name), &Offence::new(id, tier, clock.now())).await.unwrap();
            }
            8 => {
                let Some(permit) = permits.pop() else { continue };
                assert_eq!(store.refund(permit).await.unwrap(), 2);
            }
            9 if i == 19 => store.reset(&agent(&name), Some(&EndpointTier::COMMENTS)).await.unwrap(),
            9 if i == 29 => store.unlearn(&agent("a-1"), OffenceId::from_bytes([17; 16])).await.unwrap(),
            9 if i == 39 => {
                let offences = [Offence::new(id, RiskTier::Critical, clock.now())];
                store.rebuild(&agent(&name), &offences).await.unwrap();
            }
            _ => {
                let tier = TIERS[usize::from(i) % 3].clone();
                let ask = Ask::new(agent(&name), tier).trusted(TrustLevel::Verified).costing(2);
                let ask = ask.of_owner((i % 2 == 0).then(|| owner(&format!("o-{}", i % 4))));
                if let Decision::Allow { permit, .. } = store.take(&ask, &limits).await.unwrap() {
                    permits.push(permit);
                }
            }
        }
        clock.advance(Duration::from_millis(1_234));
        steps.push((store.journal_bytes().unwrap(), known(&store).await));
    }
    steps
}

/// Writes without making the file empty first, which some file systems sync: much faster.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

#[tokio::test]
async fn what_was_answered_is_known_after_the_process_ends() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let steps = history(&path, &clock).await;
    let store = open(&path, &clock).unwrap();
    assert_eq!(known(&store).await, steps.last().unwrap().1);
    assert_eq!(store.journal_bytes(), Some(steps.last().unwrap().0));
}

#[tokio::test]
async fn the_file_holds_each_answer_before_it_is_given_though_nothing_was_closed_or_synced() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let store = open(&path, &clock).unwrap();
    for used in 1..=3 {
        assert!(store.take_now(&posts("a-0"), &Limits::default()).unwrap().is_allowed());
        let seen = MemoryStore::read_journal(&path, clock.clone()).unwrap();
        assert_eq!(seen.units(&agent("a-0"), &EndpointTier::POSTS).len(), used, "another process sees it");
    }
}

#[tokio::test]
async fn a_file_cut_at_any_byte_is_a_prefix_of_the_history() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let steps = history(&path, &clock).await;
    let whole = fs::read(&path).unwrap();
    for len in 0..=whole.len() {
        overwrite(&path, &whole[..len]);
        let wanted = steps.iter().rev().find(|(size, _)| *size <= len as u64).unwrap_or(&steps[0]);
        let seen = MemoryStore::read_journal(&path, clock.clone()).unwrap();
        assert_eq!(known(&seen).await, wanted.1, "read when cut to {len} bytes");
        assert_eq!(fs::metadata(&path).unwrap().len(), len as u64, "reading changes nothing");
        if len % 16 != 0 && (len as u64) < steps[steps.len() - 4].0 {
            // Opening syncs the mended file: at every byte of the last records, and at some of the others.
            continue;
        }
        let store = open(&path, &clock).unwrap();
        assert_eq!(known(&store).await, wanted.1, "opened when cut to {len} bytes");
        // And it goes on from there.
        let before = store.units(&agent("a-0"), &EndpointTier::MESSAGES).len();
        let ask = Ask::new(agent("a-0"), EndpointTier::MESSAGES);
        assert!(store.take_now(&ask, &Limits::default()).unwrap().is_allowed());
        drop(store);
        let store = open(&path, &clock).unwrap();
        assert_eq!(store.units(&agent("a-0"), &EndpointTier::MESSAGES).len(), before + 1);
    }
}

#[tokio::test]
async fn every_single_bit_that_flips_before_the_last_record_is_found() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let steps = history(&path, &clock).await;
    let whole = fs::read(&path).unwrap();
    let last = steps.iter().rev().map(|(size, _)| *size).find(|size| *size < whole.len() as u64).unwrap();
    // The rebuilding of the last step writes two records; the first of them is not the last one.
    for at in 0..usize::try_from(last).unwrap() {
        for bit in 0..8 {
            let mut bent = whole.clone();
            bent[at] ^= 1 << bit;
            overwrite(&path, &bent);
            let Err(error) = open(&path, &clock) else { panic!("bit {bit} of byte {at} went unnoticed") };
            assert_eq!((error.code(), error.kind()), ("rate-limiter/journal-damaged", FaultKind::Integrity));
            assert!(error.hint().is_some());
            assert_eq!(fs::read(&path).unwrap(), bent, "a damaged file is left as it is");
        }
    }
}

#[tokio::test]
async fn records_that_were_taken_out_doubled_or_swapped_are_found() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let steps = history(&path, &clock).await;
    let whole = fs::read(&path).unwrap();
    let at = |step: usize| usize::try_from(steps[step].0).unwrap();
    let (a, b, c) = (at(3), at(4), at(5));
    for (what, bent) in [
        ("taken out", [&whole[..a], &whole[b..]].concat()),
        ("doubled", [&whole[..b], &whole[a..]].concat()),
        ("swapped", [&whole[..a], &whole[b..c], &whole[a..b], &whole[c..]].concat()),
        ("replaced by zeros", [&whole[..a], &vec![0; b - a], &whole[b..]].concat()),
        ("one byte taken out", [&whole[..a], &whole[a + 1..]].concat()),
    ] {
        fs::write(&path, &bent).unwrap();
        assert!(matches!(open(&path, &clock), Err(LimitError::JournalDamaged { .. })), "{what}");
    }
}

#[tokio::test]
async fn a_whole_record_that_nobody_of_us_writes_is_refused_before_it_costs_memory() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    drop(open(&path, &clock).unwrap());
    let header = fs::read(&path).unwrap();
    let framed = |record: &[u8]| {
        let head = [&u16::try_from(record.len()).unwrap().to_be_bytes()[..], &[0; 4]].concat();
        let crc = crc32fast::hash(&[&head, record].concat()).to_be_bytes();
        [&header[..], &head, &crc, record].concat()
    };
    let charge = |cost: u32| [&[1, 0, 0, 0, 0, 1][..], &cost.to_be_bytes(), b"\x05POSTS\x01a\x00"].concat();
    overwrite(&path, &framed(&charge(2)));
    let seen = MemoryStore::read_journal(&path, clock.clone()).unwrap();
    assert_eq!(seen.units(&agent("a"), &EndpointTier::POSTS).len(), 2, "the test knows the format");
    let refund = [&[2, 0, 0, 0, 0, 1][..], &1_u32.to_be_bytes(), b"\x05POSTS\x01a\x00"].concat();
    for hostile in [charge(u32::MAX), refund, vec![99], b"\x03\x00\x03a b".to_vec()] {
        overwrite(&path, &framed(&hostile));
        let error = MemoryStore::read_journal(&path, clock.clone()).unwrap_err();
        assert_eq!(error.code(), "rate-limiter/journal-damaged");
    }
}

#[tokio::test]
async fn an_end_of_zeros_or_rubbish_which_a_power_cut_leaves_is_dropped() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let steps = history(&path, &clock).await;
    let whole = fs::read(&path).unwrap();
    let rubbish: Vec<u8> = (0..20_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    for end in [vec![0; 10_000], rubbish] {
        fs::write(&path, [whole.clone(), end].concat()).unwrap();
        let store = open(&path, &clock).unwrap();
        assert_eq!(known(&store).await, steps.last().unwrap().1);
        drop(store);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[tokio::test]
async fn written_anew_it_is_shorter_and_says_the_same() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    history(&path, &clock).await;
    let store = open(&path, &clock).unwrap();
    let limits = Limits::default();
    for _ in 0..200 {
        // Taken and given back: nothing remains of it but records.
        let ask = Ask::new(agent("a-3"), EndpointTier::MESSAGES).of_owner(Some(owner("o-3")));
        let permit = store.take(&ask, &limits).await.unwrap().into_permit().unwrap();
        assert_eq!(store.refund(permit).await.unwrap(), 1);
    }
    let (before, wanted) = (store.journal_bytes().unwrap(), known(&store).await);
    store.compact().unwrap();
    assert!(store.journal_bytes().unwrap() * 4 < before);
    assert_eq!(known(&store).await, wanted);
    assert!(store.take_now(&posts("a-2"), &limits).unwrap().is_allowed(), "and it goes on");
    let wanted = known(&store).await;
    let size = store.journal_bytes().unwrap();
    drop(store);
    assert_eq!(fs::metadata(&path).unwrap().len(), size);
    assert_eq!(known(&open(&path, &clock).unwrap()).await, wanted);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
}

#[tokio::test]
async fn what_comes_back_late_after_it_was_written_anew_does_not_make_it_unreadable() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let store = open(&path, &clock).unwrap();
    let limits = Limits::default();
    let ask = posts("a-0").of_owner(Some(owner("o-0")));
    let permit = store.take(&ask, &limits).await.unwrap().into_permit().unwrap();
    clock.advance(Duration::from_hours(2));
    store.compact().unwrap();
    store.refund(permit).await.unwrap();
    drop(store);
    let store = open(&path, &clock).unwrap();
    assert!(store.units(&agent("a-0"), &EndpointTier::POSTS).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_charged_while_it_is_written_anew_is_in_it() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let limits = Limits::default();
    let store = std::sync::Arc::new(open(&path, &clock).unwrap());
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let (store, limits) = (std::sync::Arc::clone(&store), limits.clone());
            tokio::spawn(async move {
                for i in 0..2_000 {
                    let ask = posts(&format!("a-{task}-{i}")).of_owner(Some(owner(&format!("o-{i}"))));
                    assert!(store.take(&ask, &limits).await.unwrap().is_allowed());
                    if i % 500 == 250 {
                        store.compact().unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(store);
    let store = open(&path, &clock).unwrap();
    for task in 0..4 {
        for i in 0..2_000 {
            let units = store.units(&agent(&format!("a-{task}-{i}")), &EndpointTier::POSTS);
            assert_eq!(units.len(), 1, "a-{task}-{i}");
        }
    }
    assert_eq!(store.owner_units(&owner("o-7"), &EndpointTier::POSTS).len(), 4);
}

#[tokio::test]
async fn a_journal_that_grows_is_written_anew_by_itself() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let store = open(&path, &clock).unwrap();
    let limits = Limits::default();
    let mut most = 0;
    let deadline = Instant::now() + Duration::from_mins(1);
    while most < 4 << 20 || store.journal_bytes().unwrap() >= most / 2 {
        assert!(Instant::now() < deadline, "{most} bytes, and it was not written anew");
        let permit = store.take(&posts("a"), &limits).await.unwrap().into_permit().unwrap();
        assert_eq!(store.refund(permit).await.unwrap(), 1);
        most = most.max(store.journal_bytes().unwrap());
    }
}

#[tokio::test]
async fn what_was_written_is_synced_by_itself_and_when_asked() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let store = open(&path, &clock).unwrap();
    assert!(store.is_synced());
    assert!(store.take_now(&posts("a"), &Limits::default()).unwrap().is_allowed());
    store.sync().await.unwrap();
    assert!(store.is_synced());
    assert!(store.take_now(&posts("a"), &Limits::default()).unwrap().is_allowed());
    let deadline = Instant::now() + Duration::from_secs(30);
    while !store.is_synced() {
        assert!(Instant::now() < deadline, "nothing synced it");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_full_journal_refuses_and_charges_nothing_until_it_was_written_anew() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let mut config = MemoryConfig::default();
    config.journal_bytes_max = 400;
    let store = MemoryStore::open_journal(&path, config, clock.clone()).unwrap();
    let limits = Limits::default();
    let ask = Ask::new(agent("a"), EndpointTier::MESSAGES).trusted(TrustLevel::PlatformBot);
    let mut admitted = 0;
    let error = loop {
        match store.take(&ask, &limits).await {
            Ok(decision) => admitted += usize::from(decision.is_allowed()),
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.kind()), ("rate-limiter/journal-full", FaultKind::Unavailable));
    assert_eq!(store.units(&agent("a"), &EndpointTier::MESSAGES).len(), admitted);
    let peek = store.peek(&ask, &limits).await.unwrap();
    assert_eq!(peek.status.hour.used as usize, admitted, "looking still works");
    clock.advance(Duration::from_hours(2));
    store.compact().unwrap();
    assert!(store.take(&ask, &limits).await.unwrap().is_allowed());
}

#[tokio::test]
async fn ten_thousand_refusals_write_nothing() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let store = open(&path, &clock).unwrap();
    let limits = Limits::default();
    while store.take_now(&posts("a"), &limits).unwrap().is_allowed() {}
    let before = fs::read(&path).unwrap();
    for _ in 0..10_000 {
        assert!(!store.take_now(&posts("a"), &limits).unwrap().is_allowed());
        store.peek(&posts("b"), &limits).await.unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_second_process_is_told_that_the_journal_is_held_and_may_still_look() {
    let (_folder, path) = place();
    let clock = ManualClock::default();
    let store = open(&path, &clock).unwrap();
    assert!(store.take_now(&posts("a"), &Limits::default()).unwrap().is_allowed());
    let error = open(&path, &clock).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("rate-limiter/journal-held", FaultKind::Locked));
    store.compact().unwrap();
    assert!(open(&path, &clock).is_err(), "the file that took its place is held, too");
    let seen = MemoryStore::read_journal(&path, clock.clone()).unwrap();
    let limiter = Limiter::new(seen, Limits::default());
    let status = limiter.status(&agent("a"), TrustLevel::Verified, None).await.unwrap();
    assert_eq!(status.tiers[0].hour.used, 1);
    let refused = [
        limiter.take(&posts("a")).await.unwrap_err(),
        limiter.reset(&agent("a"), None).await.unwrap_err(),
        limiter
            .rebuild(
                &agent("a"),
                &[Offence::new(OffenceId::from_bytes([1; 16]), RiskTier::High, clock.now())],
            )
            .await
            .unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.code(), "rate-limiter/read-only");
    }
    drop(store);
    open(&path, &clock).unwrap();
}

#[tokio::test]
async fn files_that_are_no_journal_of_ours_are_refused_and_left_alone() {
    let (folder, path) = place();
    let clock = ManualClock::default();
    let refused = |path: &Path| open(path, &clock).unwrap_err();
    assert_eq!(MemoryStore::read_journal(&path, clock.clone()).unwrap_err().kind(), FaultKind::NotFound);
    for text in [&b"# a shopping list, longer than a header"[..], b"no"] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(refused(&path).code(), "rate-limiter/journal-damaged");
        assert_eq!(fs::read(&path).unwrap(), text);
    }
    fs::remove_file(&path).unwrap();
    drop(open(&path, &clock).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut newer = fs::read(&path).unwrap();
    newer[9] = 2;
    let crc = crc32fast::hash(&newer[..12]).to_be_bytes();
    newer[12..16].copy_from_slice(&crc);
    fs::write(&path, &newer).unwrap();
    let error = refused(&path);
    assert_eq!((error.code(), error.kind()), ("rate-limiter/journal-version", FaultKind::NotAllowed));
    assert!(error.to_string().contains("version 2"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(refused(&path).code(), "rate-limiter/journal-exposed");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(refused(&link).code(), "rate-limiter/journal-exposed");
    assert_eq!(refused(folder.path()).code(), "rate-limiter/journal-exposed");
    assert_eq!(refused(&folder.path().join("no-such/journal")).kind(), FaultKind::Unavailable);
}
