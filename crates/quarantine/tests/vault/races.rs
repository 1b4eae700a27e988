//! Many at once, in processes of their own: one wins, the others are told, and no rule is broken in between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clawexchange_quarantine::{
    Filter, GrantToken, LEASE_DEFAULT, LEASE_MIN, QuarantineError, Reason, Status, Vault, VaultConfig,
};
use clawexchange_ssg_core::{
    Actor, EventKind, Held, Hold, OwnerId, PortError, Quarantine as _, QuarantineId,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::rig::{Rig, Trouble, ann, code, note, platform};

/// Has all begin at the same moment, each at the vault of one of four processes in turn.
async fn at_once<T, W, F>(vaults: &[Vault; 4], works: impl IntoIterator<Item = W>) -> Vec<T>
where
    T: Send + 'static,
    W: FnOnce(Vault) -> F,
    F: Future<Output = T> + Send + 'static,
{
    let works: Vec<_> =
        works.into_iter().zip(vaults.iter().cycle()).map(|(work, v)| work(v.clone())).collect();
    let barrier = Arc::new(Barrier::new(works.len()));
    let mut tasks = JoinSet::new();
    for work in works {
        let barrier = Arc::clone(&barrier);
        tasks.spawn(async move {
            barrier.wait().await;
            work.await
        });
    }
    tasks.join_all().await
}

/// The same for all.
fn each<W: Clone>(times: usize, work: W) -> impl Iterator<Item = W> {
    std::iter::repeat_n(work, times)
}

fn holding(
    hold: Hold,
) -> impl FnOnce(Vault) -> std::pin::Pin<Box<dyn Future<Output = Result<Held, PortError>> + Send>> {
    move |vault| Box::pin(async move { vault.hold(hold).await })
}

/// What one of those who race does.
type Work<T> = Box<dyn FnOnce(Vault) -> std::pin::Pin<Box<dyn Future<Output = T> + Send>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_decide_at_once_one_wins_and_the_others_are_told_what_it_is_now() {
    let rig = Rig::new().await;
    let vaults = rig.others().await;
    for round in 0..20 {
        let id = rig.hold_by("one", &format!("agent-{round}")).await.unwrap().id;
        let outcomes = at_once(
            &vaults,
            (0..8).map(|n| {
                move |vault: Vault| async move {
                    let by = Actor::human(format!("reviewer-{n}")).unwrap();
                    if (n + round) % 2 == 0 {
                        vault.release(id, &by, Reason::default(), None).await
                    } else {
                        vault.delete(id, &by, Reason::PolicyViolation, None, false).await
                    }
                }
            }),
        )
        .await;
        let winner: Vec<_> = outcomes.iter().filter_map(|r| r.as_ref().ok()).collect();
        assert_eq!(winner.len(), 1);
        for error in outcomes.iter().filter_map(|r| r.as_ref().err()) {
            let QuarantineError::Conflict { current, .. } = error else { panic!("{error:?}") };
            assert_eq!(*current, winner[0].status);
        }
        assert_eq!(rig.vault.show(id).await.unwrap().reviewed_by, winner[0].reviewed_by);
        assert_eq!(rig.kinds(id).await.len(), 2, "one decision, one event");
    }
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_released_while_it_expires_is_one_of_both() {
    let rig = Rig::of_objects().await;
    let vaults = rig.others().await;
    for round in 1..=10 {
        let id = rig.hold("one").await;
        rig.pass(72);
        let done = at_once(
            &vaults,
            (0..4).map(|n| {
                move |vault: Vault| async move {
                    if (n + round) % 2 == 0 {
                        (vault.release(id, &ann(), Reason::default(), None).await.is_ok(), false)
                    } else {
                        (false, vault.sweep(10.try_into().unwrap(), None).await.unwrap().expired == 1)
                    }
                }
            }),
        )
        .await;
        let released = done.iter().filter(|(released, _)| *released).count();
        let expired = done.iter().filter(|(_, expired)| *expired).count();
        let status = rig.vault.show(id).await.unwrap().status;
        assert_eq!(released, usize::from(status == Status::Released), "{done:?}");
        assert_eq!(expired, usize::from(status == Status::Expired), "{done:?}");
        rig.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_at_once_do_each_thing_once() {
    let mut config = VaultConfig::default();
    (config.inline_bytes_max, config.agent_holds_max) = (0, 200);
    let rig = Rig::with(config).await;
    let vaults = rig.others().await;
    let mut ids = Vec::new();
    for n in 0..120 {
        ids.push(rig.hold(&format!("number {n}")).await);
    }
    let sweep = |vault: Vault| async move { vault.sweep(500.try_into().unwrap(), None).await.unwrap() };
    let (mut expired, mut shredded, mut deleted) = (0, 0, 0);
    for _ in 0..4 {
        // A record that one sweep has in hand, the others leave to it.
        for report in at_once(&vaults, each(4, sweep)).await {
            expired += report.expired;
            shredded += report.shredded;
            deleted += report.objects_deleted;
            // What two found in each other's way is done by the next sweep: all of it is, and once.
        }
        rig.pass(72);
    }
    assert_eq!((expired, shredded, deleted), (120, 120, 120));
    for id in ids {
        assert_eq!(
            rig.kinds(id).await,
            [EventKind::SsgQuarantine, EventKind::RecordExpired, EventKind::RecordPurged]
        );
    }
    assert!(rig.object_names().await.is_empty());
    assert_eq!(rig.count("quarantine_tombstones").await, 0);
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sweep_takes_what_is_released_claimed_or_legally_held_meanwhile() {
    let mut config = VaultConfig::default();
    config.agent_holds_max = 200;
    let rig = Rig::with(config).await;
    let vaults = rig.others().await;
    for round in 0..3 {
        let mut ids = Vec::new();
        for n in 0..60 {
            ids.push(rig.hold(&format!("number {round} {n}")).await);
        }
        rig.pass(72);
        let mut works: Vec<Work<Vec<QuarantineId>>> = Vec::new();
        for _ in 0..4 {
            works.push(Box::new(|vault| {
                Box::pin(async move {
                    vault.sweep(30.try_into().unwrap(), None).await.unwrap();
                    vault.sweep(30.try_into().unwrap(), None).await.unwrap();
                    Vec::new()
                })
            }));
        }
        for what in 0..3 {
            let mut mine: Vec<_> = ids.iter().copied().skip(what).step_by(3).collect();
            // From the other end, so that they meet.
            mine.reverse();
            works.push(Box::new(move |vault| {
                Box::pin(async move {
                    let mut kept = Vec::new();
                    for id in mine {
                        let is_kept = match what {
                            0 => vault.release(id, &ann(), Reason::default(), None).await.is_ok(),
                            1 => vault.claim(id, &ann(), LEASE_DEFAULT).await.is_ok(),
                            _ => vault.place_legal_hold(id, &ann(), &note("case 7")).await.is_ok(),
                        };
                        if is_kept {
                            kept.push(id);
                        }
                    }
                    kept
                })
            }));
        }
        let kept: BTreeSet<_> = at_once(&vaults, works).await.into_iter().flatten().collect();
        rig.sweep().await;
        let held: BTreeSet<QuarantineId> = {
            let rows = rig.vault.state_rows(None, 10_000).await.unwrap();
            let holds = rows.iter().filter(|row| row.table == "quarantine_holds");
            holds.map(|row| row.target.id.parse().unwrap()).collect()
        };
        for id in &ids {
            let (record, kinds) = (rig.vault.show(*id).await.unwrap(), rig.kinds(*id).await);
            let expired = kinds.iter().filter(|kind| **kind == EventKind::RecordExpired).count();
            assert!(expired <= 1, "{kinds:?}");
            assert_eq!(expired == 1, record.status == Status::Expired);
            // What expired first can be held legally all the same: its content stays.
            assert!(
                record.status != Status::Expired || !kept.contains(id) || held.contains(id),
                "{record:?}"
            );
        }
        rig.assert_sound().await;
        // Every key that is held, is there when all grace is over.
        rig.pass(100);
        at_once(
            &vaults,
            each(4, |vault: Vault| async move { vault.sweep(500.try_into().unwrap(), None).await.unwrap() }),
        )
        .await;
        for id in &held {
            let sql = format!("encryption_keys WHERE record_id = '{id}'");
            assert_eq!(rig.count(&sql).await, 1, "{id} is held and its key is gone");
        }
        rig.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_content_posted_many_times_at_once_is_one_record() {
    for rig in [Rig::new().await, Rig::of_objects().await] {
        let vaults = rig.others().await;
        for round in 0..10 {
            let agent = format!("agent-{round}");
            let mut holds = Vec::new();
            for _ in 0..12 {
                holds.push(holding(rig.a_hold("same", &agent).await));
            }
            let held: Vec<_> = at_once(&vaults, holds).await.into_iter().map(Result::unwrap).collect();
            let mine = format!("quarantine_records WHERE agent_id = '{agent}' AND blob_state = 'PRESENT'");
            let records = rig.count(&mine).await;
            if rig.vault.config().inline_bytes_max > 0 {
                assert_eq!(held.iter().filter(|h| !h.is_repeat).count(), 1);
                assert!(held.iter().all(|h| h.id == held[0].id));
                assert_eq!(records, 1);
            } else {
                // What is not whole yet is not repeated: each of those is a record, and all are held.
                let names: BTreeSet<_> = held.iter().map(|h| h.id).collect();
                assert_eq!(names.len(), usize::try_from(records).unwrap());
            }
        }
        assert_eq!(rig.log.events().await.len(), 120, "each has its event");
        rig.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_that_several_processes_do_at_once_is_held_once() {
    let rig = Rig::new().await;
    let vaults = rig.others().await;
    for round in 0..10 {
        let hold = rig.a_hold("same", &format!("agent-{round}")).await;
        let held = at_once(&vaults, (0..8).map(|_| holding(hold.clone()))).await;
        for held in held {
            assert_eq!(held.unwrap(), Held::new(hold.id, false));
        }
        assert_eq!(rig.kinds(hold.id).await, [EventKind::SsgQuarantine]);
        let again = rig.a_hold("same", &format!("agent-{round}")).await;
        let held = at_once(&vaults, (0..8).map(|_| holding(again.clone()))).await;
        for held in held {
            assert_eq!(held.unwrap(), Held::new(hold.id, true));
        }
        assert_eq!(rig.kinds(hold.id).await, [EventKind::SsgQuarantine; 2], "a repeat is one repeat");
    }
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_that_several_processes_store_as_objects_leaves_one_object() {
    let rig = Rig::of_objects().await;
    let vaults = rig.others().await;
    for round in 0..10 {
        let hold = rig.a_hold("same", &format!("agent-{round}")).await;
        let held = at_once(&vaults, (0..4).map(|_| holding(hold.clone()))).await;
        assert!(held.iter().any(Result::is_ok), "{held:?}");
        assert!(held.iter().flatten().all(|held| held.id == hold.id));
        assert_eq!(rig.text_of(hold.id).await.unwrap(), "flag-hold same");
        let kinds = rig.kinds(hold.id).await;
        assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::SsgQuarantine).count(), 1, "{kinds:?}");
    }
    rig.clock.advance(Duration::from_mins(10));
    rig.sweep().await;
    assert_eq!(rig.object_names().await.len(), 10);
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_held_than_may_be_however_many_store_at_once() {
    for (what, inline) in
        [("agent", 65_536), ("owner", 65_536), ("all", 65_536), ("bytes", 65_536), ("all", 0)]
    {
        let mut config = VaultConfig::default();
        config.inline_bytes_max = inline;
        match what {
            "agent" => config.agent_holds_max = 5,
            "owner" => config.owner_holds_max = 5,
            "all" => config.holds_max = 5,
            _ => config.bytes_max = 5_200,
        }
        let rig = Rig::with(config).await;
        let vaults = rig.others().await;
        for round in 0..5 {
            let mut holds = Vec::new();
            for n in 0..16 {
                let agent =
                    if what == "agent" { format!("agent-{round}") } else { format!("agent-{round}-{n}") };
                let mut hold = rig.a_hold(&format!("number {n:2} {}", "x".repeat(970)), &agent).await;
                if what != "agent" {
                    let owner = if what == "owner" { format!("owner-{round}") } else { format!("owner-{n}") };
                    hold.owner = Some(OwnerId::new(&owner).unwrap());
                }
                holds.push(holding(hold));
            }
            let held = at_once(&vaults, holds).await;
            let good: Vec<_> = held.iter().flatten().collect();
            assert_eq!(good.len(), 5, "{what}: {held:?}");
            let refusal = if matches!(what, "agent" | "owner") {
                "quarantine/too-many-holds"
            } else {
                "quarantine/full"
            };
            assert!(held.iter().filter_map(|h| h.as_ref().err()).all(|e| e.code() == refusal), "{held:?}");
            for held in good {
                rig.vault.release(held.id, &ann(), Reason::default(), None).await.unwrap();
            }
        }
        rig.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_cut_short_is_settled_once_by_however_many_sweep() {
    let rig = Rig::of_objects().await;
    let vaults = rig.others().await;
    for (round, trouble) in [Trouble::StoresAndHangs, Trouble::Hangs].into_iter().cycle().take(6).enumerate()
    {
        rig.objects.set(Some(trouble));
        let hold = rig.a_hold("one", &format!("agent-{round}")).await;
        let (id, vault) = (hold.id, rig.vault.clone());
        let store = tokio::spawn(async move { vault.hold(hold).await });
        let objects = rig.object_names().await.len();
        while rig.count("quarantine_records WHERE blob_state = 'PENDING'").await == 0
            || trouble == Trouble::StoresAndHangs && rig.object_names().await.len() == objects
        {
            tokio::task::yield_now().await;
        }
        store.abort();
        store.await.unwrap_err();
        rig.objects.set(None);
        rig.clock.advance(Duration::from_mins(2));
        let reports = at_once(
            &vaults,
            each(4, |vault: Vault| async move { vault.sweep(9.try_into().unwrap(), None).await.unwrap() }),
        )
        .await;
        let (finished, aborted) = reports.iter().fold((0, 0), |(f, a), r| (f + r.finished, a + r.aborted));
        if trouble == Trouble::Hangs {
            assert_eq!((finished, aborted), (0, 1));
            assert_eq!(code(rig.vault.show(id).await), "quarantine/not-found");
        } else {
            assert_eq!((finished, aborted), (1, 0));
            assert_eq!(rig.kinds(id).await, [EventKind::SsgQuarantine]);
        }
        rig.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_ask_for_work_at_once_no_two_are_given_the_same() {
    let rig = Rig::new().await;
    let vaults = rig.others().await;
    for n in 0..15 {
        rig.hold(&format!("number {n}")).await;
    }
    for _ in 0..5 {
        let claims = at_once(
            &vaults,
            (0..40).map(|n| {
                move |vault: Vault| async move {
                    let by = Actor::human(format!("reviewer-{n}")).unwrap();
                    vault
                        .claim_next(&by, &Filter::default(), LEASE_DEFAULT)
                        .await
                        .unwrap()
                        .map(|claim| (by, claim))
                }
            }),
        )
        .await;
        let claims: Vec<_> = claims.into_iter().flatten().collect();
        let ids: BTreeSet<QuarantineId> = claims.iter().map(|(_, claim)| claim.record.id).collect();
        let fences: BTreeSet<u64> = claims.iter().map(|(_, claim)| claim.fence).collect();
        assert_eq!((claims.len(), ids.len(), fences.len()), (15, 15, 15));
        for (n, (by, claim)) in claims.iter().enumerate() {
            rig.vault
                .unclaim(claim.record.id, by, claim.fence)
                .await
                .unwrap_or_else(|e| panic!("{n}: {e:?}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_ran_out_is_lengthened_or_taken_over_and_never_both() {
    let rig = Rig::new().await;
    let vaults = rig.others().await;
    let (id, bob) = (rig.hold("one").await, Actor::human("bob").unwrap());
    for round in 0..20 {
        let first = rig.vault.claim(id, &ann(), LEASE_MIN).await.unwrap();
        rig.clock.advance(LEASE_MIN);
        let outcomes = at_once(
            &vaults,
            (0..4).map(|n| {
                let bob = bob.clone();
                move |vault: Vault| async move {
                    if (n + round) % 2 == 0 {
                        (true, vault.extend(id, &ann(), first.fence, LEASE_MIN).await)
                    } else {
                        (false, vault.claim(id, &bob, LEASE_MIN).await)
                    }
                }
            }),
        )
        .await;
        let extended = outcomes.iter().any(|(is_extension, claim)| *is_extension && claim.is_ok());
        let taken = outcomes.iter().any(|(is_extension, claim)| !is_extension && claim.is_ok());
        assert!(extended != taken, "{outcomes:?}");
        rig.clock.advance(LEASE_MIN);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legal_hold_and_a_deletion_at_once_never_both_win() {
    let rig = Rig::new().await;
    let vaults = rig.others().await;
    for round in 0..20 {
        let id = rig.hold_by("one", &format!("agent-{round}")).await.unwrap().id;
        let outcomes = at_once(
            &vaults,
            (0..4).map(|n| {
                move |vault: Vault| async move {
                    if (n + round) % 2 == 0 {
                        (true, vault.place_legal_hold(id, &ann(), &note("case 7")).await)
                    } else {
                        let deleted = vault.delete(id, &ann(), Reason::PolicyViolation, None, true).await;
                        (false, deleted.map(drop))
                    }
                }
            }),
        )
        .await;
        let held = outcomes.iter().filter(|(is_hold, done)| *is_hold && done.is_ok()).count();
        let deleted = outcomes.iter().filter(|(is_hold, done)| !is_hold && done.is_ok()).count();
        assert!(held + deleted <= 1, "{outcomes:?}");
        let sql = format!("encryption_keys WHERE record_id = '{id}'");
        assert_eq!(rig.count(&sql).await == 1, deleted == 0, "held content keeps its key: {outcomes:?}");
    }
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legal_hold_that_comes_while_keys_are_destroyed_keeps_its_own() {
    let rig = Rig::new().await;
    let vaults = rig.others().await;
    for round in 0..10 {
        let mut ids = Vec::new();
        for n in 0..12 {
            let id = rig.hold(&format!("{round} {n}")).await;
            rig.vault.release(id, &ann(), Reason::default(), None).await.unwrap();
            ids.push(id);
        }
        rig.pass(24);
        let ids = Arc::new(ids);
        let held = at_once(
            &vaults,
            (0..4).map(|n| {
                let ids = Arc::clone(&ids);
                move |vault: Vault| async move {
                    let mut held = Vec::new();
                    if n < 2 {
                        assert_eq!(vault.sweep(100.try_into().unwrap(), None).await.unwrap().failed, 0);
                    } else {
                        for id in ids.iter().rev() {
                            if vault.place_legal_hold(*id, &ann(), &note("case 7")).await.is_ok() {
                                held.push(*id);
                            }
                        }
                    }
                    held
                }
            }),
        )
        .await;
        for id in held.into_iter().flatten() {
            let sql = format!("encryption_keys WHERE record_id = '{id}'");
            assert_eq!(rig.count(&sql).await, 1, "{id} is held and its key is gone");
        }
    }
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_who_use_one_grant_at_once_one_sees_the_content() {
    let rig = Rig::new().await;
    let vaults = rig.others().await;
    let id = rig.hold("one").await;
    for round in 1..=3 {
        let grant = rig.vault.grant(id, &ann(), &note("check")).await.unwrap();
        let opened = at_once(
            &vaults,
            (0..1000).map(|_| {
                let token: GrantToken = grant.token.clone();
                move |vault: Vault| async move { vault.open(&ann(), &token).await.map(drop) }
            }),
        )
        .await;
        assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 1);
        for refused in opened.into_iter().filter(Result::is_err) {
            assert_eq!(code(refused), "quarantine/grant-refused");
        }
        let kinds = rig.kinds(id).await;
        assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::HumanViewContent).count(), round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_brought_back_while_it_is_destroyed_is_one_of_both() {
    let rig = Rig::new().await;
    let vaults = rig.others().await;
    for round in 0..20 {
        let id = rig.hold_by("one", &format!("agent-{round}")).await.unwrap().id;
        rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, false).await.unwrap();
        let outcomes = at_once(
            &vaults,
            (0..4).map(|n| {
                move |vault: Vault| async move {
                    if (n + round) % 2 == 0 {
                        vault.restore(id, &ann(), &note("after all")).await
                    } else {
                        vault.delete(id, &ann(), Reason::PolicyViolation, None, true).await
                    }
                }
            }),
        )
        .await;
        let record = rig.vault.show(id).await.unwrap();
        let sql = format!("encryption_keys WHERE record_id = '{id}'");
        assert_eq!(rig.count(&sql).await == 1, record.status == Status::UnderReview, "{outcomes:?}");
    }
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmed_by_many_at_once_it_is_confirmed_once() {
    let rig = Rig::new().await;
    let vaults = rig.others().await;
    for round in 0..10 {
        let id = rig.hold_by("one", &format!("agent-{round}")).await.unwrap().id;
        rig.vault.release(id, &ann(), Reason::default(), None).await.unwrap();
        let confirm =
            move |vault: Vault| async move { vault.confirm_release(id, &platform()).await.unwrap() };
        at_once(&vaults, each(12, confirm)).await;
        let kinds = rig.kinds(id).await;
        assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::ReleaseConfirmed).count(), 1);
    }
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_compared_while_others_store_loses_nobody_an_object() {
    let rig = Rig::of_objects().await;
    let vaults = rig.others().await;
    for round in 0..5 {
        let mut works: Vec<Work<()>> = Vec::new();
        for n in 0..12 {
            let hold = rig.a_hold(&format!("number {n}"), &format!("agent-{round}-{n}")).await;
            works.push(Box::new(move |vault| {
                Box::pin(async move { assert!(!vault.hold(hold).await.unwrap().is_repeat) })
            }));
            if n % 3 == 0 {
                works.push(Box::new(move |vault| {
                    Box::pin(async move {
                        let found = vault.reconcile(true).await.unwrap();
                        assert_eq!((found.condemned, found.missing.len()), (0, 0), "{found:?}");
                    })
                }));
            }
        }
        at_once(&vaults, works).await;
    }
    assert_eq!(rig.object_names().await.len(), 60);
    rig.assert_sound().await;
}
