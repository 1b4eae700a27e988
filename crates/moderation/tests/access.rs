//! Whoever may not is refused before anything is looked at, at each door of the desk.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/rig.rs"]
#[expect(dead_code, unreachable_pub, reason = "each test uses a part of it")]
mod support;

use std::collections::BTreeSet;

use clawexchange_moderation::{
    Act, BotAction, BotVerb, Confidence, Decision, HumanAction, HumanVerb, ListQuery, ModerationError,
    Principal, QueueQuery, Role,
};
use clawexchange_quarantine::{Filter, LEASE_DEFAULT, Reason};
use clawexchange_ssg_core::{ActorType, Fault as _, FaultKind, InspectionId, QuarantineId};
use support::{Rig, note, principal};

/// A door: its name, what it needs, and what somebody was answered there.
type Door = (&'static str, Act, Result<(), ModerationError>);

/// Goes through each door of the desk as `by`, with names of things that are not there.
async fn doors(rig: &Rig, by: &Principal) -> Vec<Door> {
    let (desk, id, inspection) = (&rig.desk, QuarantineId::fresh(), InspectionId::fresh());
    let token = "A".repeat(43).parse().unwrap();
    let bot = BotAction::new(id, BotVerb::Escalate, Confidence::new(1.0).unwrap(), Reason::NeedsHumanReview);
    let (human, decision) = (HumanAction::new(id, HumanVerb::Delete), Decision::new(HumanVerb::Release));
    let why = note("check");
    vec![
        ("bot_queue", Act::SeeBotQueue, desk.bot_queue(by, &QueueQuery::default()).await.map(drop)),
        ("bot_act", Act::ActAsBot, desk.bot_act(by, &bot).await.map(drop)),
        ("human_list", Act::SeeHeld, desk.human_list(by, &ListQuery::default()).await.map(drop)),
        ("content_access", Act::Reveal, desk.content_access(by, id, &why).await.map(drop)),
        ("open", Act::Reveal, desk.open(by, &token).await.map(drop)),
        ("human_act", Act::Decide, desk.human_act(by, &human).await.map(drop)),
        ("decide", Act::Decide, desk.decide(by, id, Some(1), &decision).await.map(drop)),
        ("claim_next", Act::Decide, desk.claim_next(by, &Filter::default(), LEASE_DEFAULT).await.map(drop)),
        ("claim", Act::Decide, desk.claim(by, id, LEASE_DEFAULT).await.map(drop)),
        ("extend", Act::Decide, desk.extend(by, id, 1, LEASE_DEFAULT).await.map(drop)),
        ("unclaim", Act::Decide, desk.unclaim(by, id, 1).await),
        ("restore", Act::Decide, desk.restore(by, id, &why).await.map(drop)),
        ("hold_legally", Act::HoldLegally, desk.hold_legally(by, id, &why).await),
        ("lift_legal_hold", Act::HoldLegally, desk.lift_legal_hold(by, id, &why).await),
        ("submission", Act::SeeSubmission, desk.submission(by, inspection).await.map(drop)),
        ("confirm", Act::ConfirmRelease, desk.confirm(by, id).await.map(drop)),
        ("fetch", Act::ConfirmRelease, desk.fetch(by, id).await.map(drop)),
    ]
}

#[tokio::test]
async fn who_may_not_is_refused_at_each_door_before_anything_is_looked_at() {
    let rig = Rig::new().await;
    for role in Role::ALL {
        for (door, act, answer) in doors(&rig, &principal("somebody", role)).await {
            let refused = matches!(&answer, Err(ModerationError::NotAllowed { act: said }) if *said == act);
            assert_ne!(refused, role.may(act), "{role} at {door}: {answer:?}");
            if let (true, Err(error)) = (refused, answer) {
                assert_eq!((error.code(), error.kind()), ("moderation/not-allowed", FaultKind::NotAllowed));
            }
        }
    }
    assert_eq!(rig.log.events().await.len(), 0, "nobody did anything");
}

#[tokio::test]
async fn who_may_not_is_not_told_whether_a_thing_is_there() {
    let rig = Rig::new().await;
    let held = rig.hold("one").await;
    for role in Role::ALL.into_iter().filter(|role| !role.may(Act::Decide)) {
        let by = principal("somebody", role);
        let answers = [held.id, QuarantineId::fresh()].map(|id| HumanAction::new(id, HumanVerb::Release));
        let [there, not_there] =
            [rig.desk.human_act(&by, &answers[0]).await, rig.desk.human_act(&by, &answers[1]).await]
                .map(|answer| answer.unwrap_err().to_string());
        assert_eq!(there, not_there, "{role}");
    }
}

#[tokio::test]
async fn nobody_is_unknown_in_the_log_and_each_stands_there_as_what_they_are() {
    let rig = Rig::new().await;
    for (role, kind) in [(Role::Moderator, ActorType::Human), (Role::Admin, ActorType::Human)] {
        let held = rig.hold(role.as_str()).await;
        let by = principal("ann", role);
        rig.desk.human_act(&by, &HumanAction::new(held.id, HumanVerb::Release)).await.unwrap();
        let event = rig.log.events().await.pop().unwrap();
        assert_eq!((event.actor().kind, event.actor().id.as_str()), (kind, "ann"));
    }
    let held = rig.hold("bot").await;
    let action =
        BotAction::new(held.id, BotVerb::Escalate, Confidence::new(0.0).unwrap(), Reason::NeedsHumanReview);
    rig.desk.bot_act(&principal("triage", Role::Bot), &action).await.unwrap();
    let event = rig.log.events().await.pop().unwrap();
    assert_eq!((event.actor().kind, event.actor().id.as_str()), (ActorType::Bot, "triage"));
    for nobody in ["", " ", "unknown admin", "é"] {
        assert!(Principal::new(nobody, Role::Admin).is_err(), "{nobody:?}");
    }
}

#[tokio::test]
async fn each_act_that_the_desk_has_is_asked_for_at_one_of_its_doors() {
    let rig = Rig::new().await;
    let asked: BTreeSet<Act> =
        doors(&rig, &principal("x", Role::Auditor)).await.into_iter().map(|(_, act, _)| act).collect();
    // What the gate, the limiter, the log and the tokens ask for.
    let elsewhere = [
        Act::Submit,
        Act::SpeakForOthers,
        Act::Inspect,
        Act::SeeLimits,
        Act::ReadLog,
        Act::ManageTokens,
        Act::ManageLimits,
    ];
    let all: BTreeSet<Act> = asked.iter().copied().chain(elsewhere).collect();
    assert_eq!(all, Act::ALL.into_iter().collect());
    assert_eq!(asked.len() + elsewhere.len(), Act::ALL.len());
}
