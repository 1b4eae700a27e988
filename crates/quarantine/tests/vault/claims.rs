//! Claims: nobody reviews what somebody else is reviewing, and nobody is held up for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use clawexchange_quarantine::{
    Filter, LEASE_DEFAULT, LEASE_MAX, LEASE_MIN, QuarantineError, Reason, Ruling, Status,
};
use clawexchange_ssg_core::{Actor, Clock as _, EventKind, QuarantineId};

use crate::rig::{Rig, ann, code, note, triage};

fn bob() -> Actor {
    Actor::human("bob").unwrap()
}

async fn next(rig: &Rig, by: &Actor) -> Option<clawexchange_quarantine::Claim> {
    rig.vault.claim_next(by, &Filter::default(), LEASE_DEFAULT).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_ask_at_once_no_two_are_given_the_same() {
    let rig = Rig::new().await;
    for n in 0..15 {
        rig.hold(&format!("number {n}")).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40 {
        let vault = rig.vault.clone();
        tasks.spawn(async move {
            let by = Actor::human(format!("reviewer-{n}")).unwrap();
            vault.claim_next(&by, &Filter::default(), LEASE_DEFAULT).await.unwrap()
        });
    }
    let claims: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let ids: BTreeSet<QuarantineId> = claims.iter().map(|claim| claim.record.id).collect();
    let fences: BTreeSet<u64> = claims.iter().map(|claim| claim.fence).collect();
    assert_eq!((claims.len(), ids.len(), fences.len()), (15, 15, 15));
    assert!(fences.iter().all(|fence| (1..1 << 53).contains(fence)), "a reader of JSON keeps them exactly");
    rig.assert_sound().await;
}

#[tokio::test]
async fn the_oldest_of_the_highest_tier_comes_first() {
    let rig = Rig::new().await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(rig.hold(&format!("number {n}")).await);
        rig.clock.advance(Duration::from_secs(1));
    }
    // Their codes do not fit any more, and claims look at that: the order is read off the table.
    rig.sql(&format!(
        "UPDATE quarantine_records SET tier = 'CRITICAL' WHERE id IN ('{}', '{}')",
        ids[2], ids[3]
    ))
    .await;
    let mut given = Vec::new();
    for by in ["a", "b", "c", "d"] {
        let by = Actor::human(by).unwrap();
        match rig.vault.claim_next(&by, &Filter::default(), LEASE_DEFAULT).await {
            Ok(claim) => given.push(claim.unwrap().record.id),
            Err(QuarantineError::Altered { id }) => given.push(id),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(given, [ids[2], ids[3], ids[0], ids[1]]);
    assert!(next(&rig, &ann()).await.is_none(), "an altered record holds nobody up");
}

#[tokio::test]
async fn what_somebody_has_claimed_nobody_else_decides_while_the_lease_lives() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let claim = rig.vault.claim(id, &ann(), LEASE_DEFAULT).await.unwrap();
    assert_eq!(claim.until, rig.clock.now().plus(LEASE_DEFAULT));
    assert_eq!(rig.discrepancies().await, Vec::<String>::new(), "a claim is not part of what the log fixes");
    assert!(next(&rig, &bob()).await.is_none(), "nobody is given it");
    for (refused, what) in [
        (rig.vault.release(id, &bob(), Reason::default(), None).await, "release"),
        (rig.vault.delete(id, &bob(), Reason::PolicyViolation, None, false).await, "delete"),
        (rig.vault.delete(id, &bob(), Reason::PolicyViolation, None, true).await, "delete at once"),
        (rig.vault.escalate(id, &triage(), Reason::NeedsHumanReview).await, "escalate"),
    ] {
        assert_eq!(code(refused), "quarantine/claimed", "{what}");
    }
    assert_eq!(code(rig.vault.claim(id, &bob(), LEASE_DEFAULT).await), "quarantine/claimed");
    let sham = Actor::system("ann").unwrap();
    assert_eq!(code(rig.vault.claim(id, &sham, LEASE_DEFAULT).await), "quarantine/claimed", "of one name");
    let ruling = Ruling::release(Reason::default()).fenced(Some(claim.fence));
    assert_eq!(code(rig.vault.decide(id, &bob(), &ruling).await), "quarantine/stale-claim", "not his");
    let record = rig.vault.decide(id, &ann(), &ruling).await.unwrap();
    assert_eq!(record.status, Status::Released);
    assert_eq!(code(rig.vault.decide(id, &ann(), &ruling).await), "quarantine/conflict", "decided once");
    assert_eq!(rig.kinds(id).await, [EventKind::SsgQuarantine, EventKind::HumanRelease]);
    rig.assert_sound().await;
}

#[tokio::test]
async fn who_comes_back_after_somebody_else_took_over_is_refused_and_loses_nobody_a_decision() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let first = rig.vault.claim(id, &ann(), LEASE_MIN).await.unwrap();
    rig.clock.advance(LEASE_MIN);
    let second = next(&rig, &bob()).await.unwrap();
    assert_eq!(second.record.id, id);
    let late = Ruling::delete(Reason::PolicyViolation).fenced(Some(first.fence));
    assert_eq!(code(rig.vault.decide(id, &ann(), &late).await), "quarantine/stale-claim");
    assert_eq!(code(rig.vault.extend(id, &ann(), first.fence, LEASE_MIN).await), "quarantine/stale-claim");
    assert_eq!(code(rig.vault.unclaim(id, &ann(), first.fence).await), "quarantine/stale-claim");
    let ruling = Ruling::release(Reason::default()).fenced(Some(second.fence));
    assert_eq!(rig.vault.decide(id, &bob(), &ruling).await.unwrap().reviewed_by.as_deref(), Some("bob"));
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_lease_that_ran_out_costs_nobody_the_work_they_did_while_nobody_else_took_it() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let claim = next(&rig, &ann()).await.unwrap();
    rig.clock.advance(LEASE_DEFAULT * 2);
    let ruling = Ruling::release(Reason::default()).fenced(Some(claim.fence));
    assert_eq!(rig.vault.decide(id, &ann(), &ruling).await.unwrap().status, Status::Released);
}

#[tokio::test]
async fn a_claim_is_lengthened_given_back_and_taken_again_under_another_number() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let claim = rig.vault.claim(id, &ann(), LEASE_MIN).await.unwrap();
    rig.clock.advance(LEASE_MIN / 2);
    let longer = rig.vault.extend(id, &ann(), claim.fence, LEASE_MIN).await.unwrap();
    assert_eq!((longer.fence, longer.until), (claim.fence, rig.clock.now().plus(LEASE_MIN)));
    rig.clock.advance(LEASE_MIN / 2);
    assert_eq!(code(rig.vault.claim(id, &bob(), LEASE_MIN).await), "quarantine/claimed");
    let again = rig.vault.claim(id, &ann(), LEASE_MIN).await.unwrap();
    assert_ne!(again.fence, claim.fence);
    assert_eq!(code(rig.vault.unclaim(id, &ann(), claim.fence).await), "quarantine/stale-claim");
    rig.vault.unclaim(id, &ann(), again.fence).await.unwrap();
    let stale = Ruling::release(Reason::default()).fenced(Some(again.fence));
    assert_eq!(code(rig.vault.decide(id, &ann(), &stale).await), "quarantine/stale-claim");
    assert!(rig.vault.claim(id, &bob(), LEASE_MIN).await.is_ok());
}

#[tokio::test]
async fn without_a_claim_a_record_that_nobody_claimed_is_decided_as_before() {
    let rig = Rig::new().await;
    let (free, own) = (rig.hold("one").await, rig.hold("two").await);
    assert!(rig.vault.release(free, &ann(), Reason::default(), None).await.is_ok());
    rig.vault.claim(own, &ann(), LEASE_DEFAULT).await.unwrap();
    assert!(rig.vault.release(own, &ann(), Reason::default(), None).await.is_ok(), "it is her own");
}

#[tokio::test]
async fn a_claim_on_what_is_decided_or_of_senseless_length_is_refused() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    for lease in [Duration::ZERO, Duration::from_secs(59), LEASE_MAX * 2, Duration::MAX] {
        assert_eq!(code(rig.vault.claim(id, &ann(), lease).await), "quarantine/lease", "{lease:?}");
        assert_eq!(code(rig.vault.claim_next(&ann(), &Filter::default(), lease).await), "quarantine/lease");
    }
    let nothing = Ruling::release(Reason::default()).fenced(Some(u64::MAX));
    assert_eq!(code(rig.vault.decide(id, &ann(), &nothing).await), "quarantine/stale-claim");
    rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, false).await.unwrap();
    assert_eq!(code(rig.vault.claim(id, &ann(), LEASE_MAX).await), "quarantine/conflict");
    assert!(next(&rig, &ann()).await.is_none());
    let mut deleted = Filter::default();
    deleted.status = Some(Status::Deleted);
    assert!(rig.vault.claim_next(&ann(), &deleted, LEASE_MAX).await.unwrap().is_none());
}

#[tokio::test]
async fn a_filter_narrows_what_is_claimed() {
    let rig = Rig::new().await;
    rig.hold("one").await;
    let other = rig.hold_by("two", "agent-2").await.unwrap().id;
    let mut filter = Filter::default();
    filter.agent = Some("agent-2".parse().unwrap());
    let claim = rig.vault.claim_next(&ann(), &filter, LEASE_DEFAULT).await.unwrap().unwrap();
    assert_eq!(claim.record.id, other);
    assert!(rig.vault.claim_next(&ann(), &filter, LEASE_DEFAULT).await.unwrap().is_none());
}

#[tokio::test]
async fn programs_escalate_what_nobody_looked_at_and_decide_nothing_after_that() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    assert_eq!(
        code(rig.vault.escalate(id, &ann(), Reason::NeedsHumanReview).await),
        "quarantine/programs-only"
    );
    let record = rig.vault.escalate(id, &triage(), Reason::NeedsHumanReview).await.unwrap();
    assert_eq!((record.status, record.reason), (Status::UnderReview, Some(Reason::NeedsHumanReview)));
    assert!(record.shred_at.is_none(), "it waits for a person");
    for refused in [
        rig.vault.escalate(id, &triage(), Reason::NeedsHumanReview).await,
        rig.vault.release(id, &triage(), Reason::default(), None).await,
        rig.vault.delete(id, &triage(), Reason::PolicyViolation, None, false).await,
    ] {
        assert_eq!(code(refused), "quarantine/conflict");
    }
    rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, false).await.unwrap();
    assert_eq!(
        code(rig.vault.escalate(id, &triage(), Reason::NeedsHumanReview).await),
        "quarantine/conflict",
        "nobody brings back by this door what was deleted"
    );
    assert_eq!(
        rig.kinds(id).await,
        [EventKind::SsgQuarantine, EventKind::BotEscalate, EventKind::HumanDelete]
    );
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_ruling_carries_details_to_the_log_and_cannot_take_the_place_of_others() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let ruling = Ruling::escalate(Reason::NeedsHumanReview)
        .noted(Some(&note("odd")))
        .with("confidencePermille", 420)
        .with("status", "RELEASED");
    rig.vault.decide(id, &triage(), &ruling).await.unwrap();
    let events = rig.log.events().await;
    let meta = events.last().unwrap().meta();
    assert_eq!((&meta["confidencePermille"], &meta["status"]), (&420.into(), &"UNDER_REVIEW".into()));
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_claim_and_a_decision_at_once_one_knows_of_the_other() {
    for _ in 0..10 {
        let rig = Rig::new().await;
        let id = rig.hold("one").await;
        let (claimer, decider) = (rig.vault.clone(), rig.vault.clone());
        let (claimed, decided) = tokio::join!(
            tokio::spawn(async move { claimer.claim(id, &ann(), LEASE_DEFAULT).await }),
            tokio::spawn(async move { decider.release(id, &bob(), Reason::default(), None).await }),
        );
        let (claimed, decided) = (claimed.unwrap(), decided.unwrap());
        assert_ne!(claimed.is_ok(), decided.is_ok(), "{claimed:?} {decided:?}");
        rig.assert_sound().await;
    }
}
