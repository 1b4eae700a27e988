//! Two at once: one wins, and the other is told.

use clawexchange_quarantine::{QuarantineError, Reason, Status};
use clawexchange_ssg_core::{Actor, EventKind, Quarantine as _};

use crate::rig::{Rig, ann, note};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_decide_at_once_one_wins_and_the_others_are_told_what_it_is_now() {
    for round in 0..10 {
        let rig = Rig::new().await;
        let id = rig.hold("one").await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8 {
            let vault = rig.vault.clone();
            tasks.spawn(async move {
                let by = Actor::human(format!("reviewer-{n}")).unwrap();
                if (n + round) % 2 == 0 {
                    vault.release(id, &by, Reason::default(), None).await
                } else {
                    vault.delete(id, &by, Reason::PolicyViolation, None, false).await
                }
            });
        }
        let outcomes = tasks.join_all().await;
        let winner: Vec<_> = outcomes.iter().filter_map(|r| r.as_ref().ok()).collect();
        assert_eq!(winner.len(), 1);
        for error in outcomes.iter().filter_map(|r| r.as_ref().err()) {
            let QuarantineError::Conflict { current, .. } = error else { panic!("{error:?}") };
            assert_eq!(*current, winner[0].status);
        }
        assert_eq!(rig.vault.show(id).await.unwrap().reviewed_by, winner[0].reviewed_by);
        assert_eq!(rig.kinds(id).await.len(), 2, "one decision, one event");
        rig.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_released_while_it_expires_is_one_of_both() {
    for _ in 0..10 {
        let rig = Rig::of_objects().await;
        let id = rig.hold("one").await;
        rig.pass(72);
        let (vault, sweeper, by) = (rig.vault.clone(), rig.vault.clone(), ann());
        let (released, swept) = tokio::join!(
            tokio::spawn(async move { vault.release(id, &by, Reason::default(), None).await }),
            tokio::spawn(async move { sweeper.sweep(10.try_into().unwrap(), None).await.unwrap() }),
        );
        let (released, swept) = (released.unwrap(), swept.unwrap());
        let record = rig.vault.show(id).await.unwrap();
        assert_eq!(released.is_ok(), record.status == Status::Released);
        assert_eq!(swept.expired == 1, record.status == Status::Expired);
        assert_eq!(rig.object_names().await.len(), 1, "in neither case is its content gone");
        rig.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_at_once_do_each_thing_once() {
    let rig = Rig::of_objects().await;
    let mut ids = Vec::new();
    for n in 0..15 {
        ids.push(rig.hold(&format!("number {n}")).await);
    }
    for _ in 0..2 {
        rig.pass(72);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let vault = rig.vault.clone();
            tasks.spawn(async move { vault.sweep(50.try_into().unwrap(), None).await.unwrap() });
        }
        let reports = tasks.join_all().await;
        let done: u64 = reports.iter().map(|r| r.expired + r.shredded).sum();
        assert_eq!(done, 15, "{reports:?}");
    }
    for id in ids {
        assert_eq!(
            rig.kinds(id).await,
            [EventKind::SsgQuarantine, EventKind::RecordExpired, EventKind::RecordPurged]
        );
    }
    rig.sweep().await;
    assert!(rig.object_names().await.is_empty());
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_content_posted_many_times_at_once_is_one_record() {
    let rig = Rig::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (vault, hold) = (rig.vault.clone(), rig.a_hold("same", "agent-1").await);
        tasks.spawn(async move { vault.hold(hold).await.unwrap() });
    }
    let held = tasks.join_all().await;
    assert_eq!(held.iter().filter(|h| !h.is_repeat).count(), 1);
    assert!(held.iter().all(|h| h.id == held[0].id));
    assert_eq!((rig.count("quarantine_records").await, rig.log.events().await.len()), (1, 10));
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legal_hold_and_a_deletion_at_once_never_both_win() {
    for _ in 0..10 {
        let rig = Rig::new().await;
        let id = rig.hold("one").await;
        let (holder, deleter) = (rig.vault.clone(), rig.vault.clone());
        let (held, deleted) = tokio::join!(
            tokio::spawn(async move { holder.place_legal_hold(id, &ann(), &note("case 7")).await }),
            tokio::spawn(
                async move { deleter.delete(id, &ann(), Reason::PolicyViolation, None, true).await }
            ),
        );
        let (held, deleted) = (held.unwrap(), deleted.unwrap());
        assert!(!(held.is_ok() && deleted.is_ok()), "{held:?} {deleted:?}");
        let keys = rig.count("encryption_keys").await;
        assert_eq!(keys == 1, held.is_ok(), "held content keeps its key: {held:?} {deleted:?}");
        rig.assert_sound().await;
    }
}
