//! How much may be held.

use clawexchange_quarantine::{KeyRing, Reason, Vault, VaultConfig};
use clawexchange_ssg_core::{FaultKind, OwnerId, Quarantine as _};

use crate::rig::{Rig, Trouble, ann, code};

#[tokio::test]
async fn an_agent_has_twenty_undecided_records_and_no_more() {
    let rig = Rig::new().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(rig.hold(&format!("number {n}")).await);
    }
    let error = rig.hold_by("one too many", "agent-1").await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("quarantine/too-many-holds", FaultKind::Limited));
    assert!(rig.hold_by("number 7", "agent-1").await.unwrap().is_repeat, "a repeat takes no room");
    assert!(rig.hold_by("of another", "agent-2").await.is_ok());
    rig.vault.release(ids[0], &ann(), Reason::default(), None).await.unwrap();
    rig.hold("one too many").await;
    assert_eq!(rig.log.events().await.len(), 24, "what is refused leaves no event here");
    rig.assert_sound().await;
}

#[tokio::test]
async fn an_agent_has_two_mebibytes_and_no_more() {
    let rig = Rig::new().await;
    for n in 0..2 {
        rig.hold(&format!("{n} {}", "x".repeat(1_000_000))).await;
    }
    let error = rig.hold_by(&"y".repeat(100_000), "agent-1").await.unwrap_err();
    assert_eq!(error.code(), "quarantine/too-many-holds");
    rig.hold(&"z".repeat(90_000)).await;
    assert_eq!(rig.object_names().await.len(), 3, "nothing was stored for the one that was refused");
}

#[tokio::test]
async fn the_agents_of_one_owner_have_a_hundred_records_together() {
    let rig = Rig::new().await;
    let owner = OwnerId::new("owner-1").unwrap();
    for n in 0..100 {
        let mut hold = rig.a_hold(&format!("number {n}"), &format!("agent-{}", n / 20)).await;
        hold.owner = Some(owner.clone());
        rig.vault.hold(hold).await.unwrap();
    }
    let mut hold = rig.a_hold("one too many", "agent-99").await;
    hold.owner = Some(owner);
    assert_eq!(rig.vault.hold(hold.clone()).await.unwrap_err().code(), "quarantine/too-many-holds");
    hold.owner = None;
    assert!(rig.vault.hold(hold).await.is_ok());
}

#[tokio::test]
async fn a_full_quarantine_is_away_and_not_the_agents_fault() {
    for (holds_max, bytes_max) in [(2, 1 << 30), (100, 100)] {
        let mut config = VaultConfig::default();
        (config.holds_max, config.bytes_max) = (holds_max, bytes_max);
        let rig = Rig::with(config).await;
        rig.hold_by("one", "agent-1").await.unwrap();
        rig.hold_by("two", "agent-2").await.unwrap();
        let error = rig.hold_by("three", "agent-3").await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("quarantine/full", FaultKind::Unavailable));
    }
}

#[tokio::test]
async fn stores_under_way_count_so_that_many_at_once_do_not_slip_through() {
    let mut config = VaultConfig::default();
    (config.inline_bytes_max, config.agent_holds_max) = (0, 3);
    let rig = Rig::with(config).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..10 {
        let (vault, hold) = (rig.vault.clone(), rig.a_hold(&format!("number {n}"), "agent-1").await);
        tasks.spawn(async move { vault.hold(hold).await.is_ok() });
    }
    let held = tasks.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!((held, rig.count("quarantine_records").await), (3, 3));
    rig.assert_sound().await;
}

#[tokio::test]
async fn content_beyond_the_bound_is_refused_before_anything_is_stored() {
    let mut config = VaultConfig::default();
    config.content_bytes_max = 1000;
    let rig = Rig::with(config).await;
    rig.objects.set(Some(Trouble::NoPut));
    let error = rig.hold_by(&"x".repeat(1000), "agent-1").await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("quarantine/too-large", FaultKind::TooLarge));
    assert_eq!(rig.count("quarantine_records").await, 0);
}

#[tokio::test]
async fn a_vault_with_senseless_bounds_does_not_open() {
    let rig = Rig::new().await;
    let mut config = VaultConfig::default();
    config.expiry = std::time::Duration::ZERO;
    let keys = KeyRing::generate().unwrap();
    let vault = Vault::new(rig.db.clone(), rig.objects.clone(), keys, rig.log.clone(), config);
    assert_eq!(code(vault), "quarantine/config");
}
