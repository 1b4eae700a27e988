//! Master keys that are exchanged: while it is under way, whoever is killed, whatever is away, what is held opens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clawexchange_database::Statements as _;
use clawexchange_database::keys::{self, Instance};
use clawexchange_quarantine::{KeyFile, KeyRing, Keychain, QuarantineError, Reason, Vault};
use clawexchange_ssg_core::{
    AuditEvent, EventKind, Fault as _, FaultKind, KeyId, KeyProvider as _, MasterKey, Quarantine as _,
    QuarantineId,
};

use tokio::task::JoinSet;

use crate::rig::{Rig, ann, code, note};

fn id(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

fn master(byte: u8) -> MasterKey {
    MasterKey::new([byte; 32]).unwrap()
}

/// A deployment as `claw` has it: a keychain over the rig's master keys, and a vault with it.
async fn deployment(rig: &Rig) -> (Keychain, Vault) {
    let keychain = Keychain::open(rig.db.clone(), rig.keys.clone(), true).await.unwrap();
    let vault = rig.with_keys(keychain.clone());
    (keychain, vault)
}

async fn hold(vault: &Vault, rig: &Rig, text: &str, agent: &str) -> QuarantineId {
    vault.hold(rig.a_hold(text, agent).await).await.unwrap().id
}

async fn read(vault: &Vault, id: QuarantineId) -> Result<Vec<u8>, QuarantineError> {
    let grant = vault.grant(id, &ann(), &note("to see")).await?;
    Ok(vault.open(&ann(), &grant.token).await?.content.to_vec())
}

async fn rewrap_all(keychain: &Keychain, vault: &Vault) {
    keychain.rewrap_roots(&ann()).await.unwrap();
    while vault.rewrap_some(&ann()).await.unwrap().more {}
}

#[tokio::test]
async fn a_master_key_is_exchanged_and_retired_and_everything_still_opens_and_fits() {
    let rig = Rig::new().await;
    let (keychain, vault) = deployment(&rig).await;
    let held = hold(&vault, &rig, "before", "agent-1").await;
    let bound = rig.db.bound_key().await.unwrap();
    assert!(keychain.activate(&id("next"), &ann()).await.unwrap());
    assert!(!keychain.activate(&id("next"), &ann()).await.unwrap(), "once");
    let needed = code(vault.retire_master(&id("test"), &ann(), false).await);
    assert_eq!(needed, "quarantine/key-needed");
    rewrap_all(&keychain, &vault).await;
    assert_eq!((keychain.roots_to_rewrap().await.unwrap(), vault.to_rewrap().await.unwrap()), (0, (0, 0)));
    vault.retire_master(&id("test"), &ann(), true).await.unwrap();
    assert_eq!(rig.count("database_master_keys WHERE state = 'RETIRED'").await, 0, "a dry run does nothing");
    vault.retire_master(&id("test"), &ann(), false).await.unwrap();
    // With the first key gone from the ring.
    let only = KeyRing::from_master(Some(id("next")), master(8));
    let after = Keychain::open(rig.db.clone(), only, false).await.unwrap();
    assert_eq!(after.active(), keychain.active(), "codes and the log hang on the same key as before");
    assert_eq!(rig.db.bound_key().await.unwrap(), bound);
    let vault = rig.with_keys(after);
    assert!(read(&vault, held).await.is_ok());
    let decided = vault.release(held, &ann(), Reason::FalsePositive, None).await.unwrap();
    assert_eq!(decided.version, 2, "the code of its row still fits");
    let kinds: Vec<EventKind> = rig.log.events().await.iter().map(AuditEvent::kind).collect();
    for kind in [EventKind::KeyActivated, EventKind::KeyRewrapped, EventKind::KeyRetired] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
}

#[tokio::test]
async fn a_retired_key_is_never_used_again() {
    let rig = Rig::new().await;
    let (keychain, vault) = deployment(&rig).await;
    // A process that has not looked since.
    let (stale, stale_vault) = deployment(&rig).await;
    keychain.activate(&id("next"), &ann()).await.unwrap();
    rewrap_all(&keychain, &vault).await;
    vault.retire_master(&id("test"), &ann(), false).await.unwrap();
    assert_eq!(code(keychain.activate(&id("test"), &ann()).await), "quarantine/key-retired");
    assert_eq!(stale.master(), id("test"));
    let refused = stale_vault.hold(rig.a_hold("late", "agent-1").await).await.unwrap_err();
    assert_eq!(refused.code(), "quarantine/key-retired");
    stale.follow().await.unwrap();
    assert_eq!(stale.master(), id("next"));
    hold(&stale_vault, &rig, "late", "agent-1").await;
    assert_eq!(code(vault.retire_master(&id("next"), &ann(), false).await), "quarantine/key-active");
}

#[tokio::test]
async fn nothing_is_activated_that_a_process_which_serves_does_not_have() {
    let rig = Rig::new().await;
    let (keychain, vault) = deployment(&rig).await;
    let beat = async |keys: &[&str], active: &str| {
        let keys = keys.iter().map(|name| id(name)).collect();
        let tx = rig.db.begin().await.unwrap();
        keys::beat(&tx, &Instance::new("1", "host-b:7", keys, id(active))).await.unwrap();
        tx.commit().await.unwrap();
    };
    beat(&["test"], "test").await;
    let late = keychain.activate(&id("next"), &ann()).await.unwrap_err();
    assert_eq!((late.code(), late.kind()), ("quarantine/keys-lagging", FaultKind::Pending));
    assert!(late.to_string().contains("host-b:7"), "it is said who lags: {late}");
    beat(&["test", "next"], "test").await;
    assert!(keychain.activate(&id("next"), &ann()).await.unwrap());
    rewrap_all(&keychain, &vault).await;
    // It has not looked yet, and could still wrap with the first one.
    assert_eq!(code(vault.retire_master(&id("test"), &ann(), false).await), "quarantine/keys-lagging");
    beat(&["test", "next"], "next").await;
    vault.retire_master(&id("test"), &ann(), false).await.unwrap();
    keys::leave(&rig.db, "1").await.unwrap();
    assert!(keys::live(&rig.db.read()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_process_that_does_not_have_the_active_key_does_not_begin_to_serve() {
    let rig = Rig::new().await;
    let (keychain, _) = deployment(&rig).await;
    let old = Keychain::open(rig.db.clone(), KeyRing::from_master(Some(id("test")), master(7)), false)
        .await
        .unwrap();
    old.join("1", "old").await.unwrap();
    assert_eq!(code(keychain.activate(&id("next"), &ann()).await), "quarantine/keys-lagging");
    keys::leave(&rig.db, "1").await.unwrap();
    keychain.activate(&id("next"), &ann()).await.unwrap();
    assert_eq!(code(old.join("1", "old").await), "quarantine/master-missing");
    assert_eq!(code(old.follow().await), "quarantine/master-missing");
    assert_eq!(old.master(), id("test"), "what it had goes on to be used");
    let anew = Keychain::open(rig.db.clone(), KeyRing::from_master(Some(id("test")), master(7)), false).await;
    assert_eq!(code(anew), "quarantine/master-missing");
}

#[tokio::test]
async fn a_wrong_master_key_is_refused_and_none_is_made() {
    let rig = Rig::new().await;
    assert_eq!(code(Keychain::open(rig.db.clone(), rig.keys.clone(), false).await), "quarantine/keys-unused");
    deployment(&rig).await;
    for (wrong, why) in [
        (KeyRing::from_master(None, master(7)), "another name"),
        (KeyRing::from_master(Some(id("test")), master(9)), "another key of the same name"),
    ] {
        let error = Keychain::open(rig.db.clone(), wrong, true).await.unwrap_err();
        assert_eq!(
            (error.code(), error.kind()),
            ("quarantine/master-missing", FaultKind::Configuration),
            "{why}"
        );
    }
    assert_eq!(rig.count("database_root_keys").await, 1);
}

/// They come a little after each other, so that one comes into every step of another.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_uses_a_deployment_first_makes_its_one_root_key() {
    for _ in 0..8 {
        let rig = Rig::new().await;
        let mut opening = JoinSet::new();
        for later in 0..24 {
            let (db, keys) = (rig.db.clone(), rig.keys.clone());
            opening.spawn(async move {
                for _ in 0..later * 4 {
                    tokio::task::yield_now().await;
                }
                Keychain::open(db, keys, true).await
            });
        }
        let opened = opening.join_all().await;
        let names: BTreeSet<KeyId> = opened.into_iter().map(|keychain| keychain.unwrap().active()).collect();
        assert_eq!(names.len(), 1);
        assert_eq!(rig.count("database_root_keys").await, 1);
    }
}

#[tokio::test]
async fn a_deployment_whose_codes_hang_on_its_master_key_can_still_exchange_it() {
    let rig = Rig::new().await;
    // As it was before there were root keys.
    let held = rig.hold("of old").await;
    rig.db.bind_key(&id("test")).await.unwrap();
    rig.unwrap_from_week(held).await;
    let (keychain, vault) = deployment(&rig).await;
    assert_eq!(keychain.active(), id("test"), "codes go on under the same name");
    assert!(read(&vault, held).await.is_ok());
    keychain.activate(&id("next"), &ann()).await.unwrap();
    rewrap_all(&keychain, &vault).await;
    vault.retire_master(&id("test"), &ann(), false).await.unwrap();
    let only = KeyRing::from_master(Some(id("next")), master(8));
    let vault = rig.with_keys(Keychain::open(rig.db.clone(), only, false).await.unwrap());
    assert!(read(&vault, held).await.is_ok());
    vault.release(held, &ann(), Reason::FalsePositive, None).await.unwrap();
    assert_eq!(rig.discrepancies().await, Vec::<String>::new());
}

#[tokio::test]
async fn retire_says_which_rows_need_a_key() {
    let rig = Rig::new().await;
    let (keychain, vault) = deployment(&rig).await;
    let held = hold(&vault, &rig, "of old", "agent-1").await;
    rig.unwrap_from_week(held).await;
    keychain.activate(&id("next"), &ann()).await.unwrap();
    for table in ["database_root_keys", "quarantine_week_keys", "encryption_keys"] {
        let uses = vault.key_uses().await.unwrap();
        assert!(
            uses.iter().any(|found| found.table == table && found.key == id("test")),
            "{table}: {uses:?}"
        );
    }
    keychain.rewrap_roots(&ann()).await.unwrap();
    let refused = vault.retire_master(&id("test"), &ann(), false).await.unwrap_err();
    assert!(refused.to_string().contains("quarantine_week_keys need master key test"), "{refused}");
    assert_eq!(refused.kind(), FaultKind::Conflict);
}

#[tokio::test]
async fn a_key_that_is_added_to_the_file_is_known_without_a_new_start() {
    let rig = Rig::new().await;
    let path = rig.folder.join("ring");
    KeyRing::from_master(Some(id("a")), master(1)).write_new_file(&path).unwrap();
    let keychain = Keychain::open(rig.db.clone(), KeyFile::open(&path).unwrap(), true).await.unwrap();
    assert!(!keychain.has(&id("b")).await);
    KeyRing::add_to_file(&path, Some(id("b")), master(2)).unwrap();
    assert!(keychain.activate(&id("b"), &ann()).await.unwrap());
    assert_eq!(keychain.masters(), [id("a"), id("b")]);
    // A file that is spoilt takes no key away.
    std::fs::write(&path, "nonsense").unwrap();
    assert_eq!(code(keychain.follow().await), "quarantine/key-file-line");
    keychain.prove(&id("b")).await.unwrap();
    assert_eq!(code(KeyRing::add_to_file(&path, Some(id("b")), master(2))), "quarantine/key-file-line");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_fail_while_keys_are_exchanged_over_and_over() {
    let rig = Rig::new().await;
    let (keychain, vault) = deployment(&rig).await;
    let mut held = Vec::new();
    for n in 0..12 {
        held.push(hold(&vault, &rig, &format!("number {n}"), &format!("agent-{}", n % 4)).await);
    }
    rig.unwrap_from_week(held[0]).await;
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut work = JoinSet::new();
    for n in 0..3 {
        // Processes of their own, which remember nothing of what this one does.
        let own = Keychain::open(rig.db.clone(), rig.keys.clone(), false).await.unwrap();
        let (held, stop, reads) = (held.clone(), Arc::clone(&stop), Arc::clone(&reads));
        let mut readers = Vec::new();
        for _ in 0..20 {
            readers.push(rig.with_keys(own.clone()));
        }
        work.spawn(async move {
            for round in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                own.follow().await.unwrap();
                let reader = &readers[round % readers.len()];
                let id = held[(round * 3 + n) % held.len()];
                read(reader, id).await.unwrap_or_else(|e| panic!("{id} does not open: {e}"));
                reads.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    // Somebody stores meanwhile.
    let (storing, stopped) = (rig.with_keys(keychain.clone()), Arc::clone(&stop));
    let mut holds = Vec::new();
    for n in 0..15 {
        holds.push(rig.a_hold(&format!("meanwhile {n}"), "agent-m").await);
    }
    work.spawn(async move {
        for hold in holds {
            storing.hold(hold).await.unwrap_or_else(|e| panic!("it is not held: {e}"));
            if stopped.load(Ordering::SeqCst) {
                break;
            }
        }
    });
    for round in 0..6 {
        let to = if round % 2 == 0 { "next" } else { "test" };
        keychain.activate(&id(to), &ann()).await.unwrap();
        rewrap_all(&keychain, &vault).await;
        vault.close_week_keys().await.unwrap();
        while vault.move_some(&ann()).await.unwrap().more {}
        // Each round is read in.
        let seen = reads.load(Ordering::SeqCst);
        while reads.load(Ordering::SeqCst) < seen + 3 && work.try_join_next().is_none_or(|done| done.is_ok())
        {
            tokio::task::yield_now().await;
        }
    }
    vault.retire_master(&id("next"), &ann(), false).await.unwrap();
    stop.store(true, Ordering::SeqCst);
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
    for id in held {
        assert!(read(&vault, id).await.is_ok(), "{id}");
    }
    let left = rig
        .db
        .read()
        .rows("SELECT 1 AS one FROM encryption_keys WHERE week_key_id IS NULL", [])
        .await
        .unwrap();
    assert!(left.is_empty());
}
