//! Looking at content: one person, once, after the log has it.

use std::time::Duration;

use clawexchange_quarantine::{GrantToken, QuarantineError, Reason};
use clawexchange_ssg_core::{Actor, ActorType, EventKind};

use clawexchange_testkit::tamper;

use crate::rig::{Rig, Trouble, ann, code, note};

#[tokio::test]
async fn a_grant_opens_once_for_whom_it_was_given_to() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let grant = rig.vault.grant(id, &ann(), &note("complaint 12")).await.unwrap();
    let bob = Actor::human("bob").unwrap();
    assert_eq!(code(rig.vault.open(&bob, &grant.token).await), "quarantine/grant-refused", "somebody else's");
    let sham = Actor::system("ann").unwrap();
    assert_eq!(code(rig.vault.open(&sham, &grant.token).await), "quarantine/grant-refused", "not a person");
    let other: GrantToken = "A".repeat(43).parse().unwrap();
    assert_eq!(code(rig.vault.open(&ann(), &other).await), "quarantine/grant-refused", "a guess");
    assert_eq!(rig.vault.open(&ann(), &grant.token).await.unwrap().record.id, id, "others did not spend it");
    assert_eq!(code(rig.vault.open(&ann(), &grant.token).await), "quarantine/grant-refused", "a second time");
    let events = rig.log.events().await;
    let view = events.iter().find(|e| e.kind() == EventKind::HumanViewContent).unwrap();
    assert_eq!((view.actor(), view.personal()["purpose"].as_str()), (&ann(), "complaint 12"));
    assert_eq!(view.target().unwrap().kind, "quarantine");
    assert_eq!(
        rig.kinds(id).await,
        [EventKind::SsgQuarantine, EventKind::GrantIssued, EventKind::HumanViewContent]
    );
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_grant_opens_for_three_hundred_seconds() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    for (seconds, opens) in [(0, true), (299, true), (300, false), (301, false)] {
        let grant = rig.vault.grant(id, &ann(), &note("check")).await.unwrap();
        rig.clock.advance(Duration::from_secs(seconds));
        assert_eq!(rig.vault.open(&ann(), &grant.token).await.is_ok(), opens, "after {seconds} s");
    }
}

#[tokio::test]
async fn nothing_is_shown_before_the_log_has_it_and_then_the_grant_is_spent() {
    let rig = Rig::of_objects().await;
    let id = rig.hold("one").await;
    let grant = rig.vault.grant(id, &ann(), &note("check")).await.unwrap();
    rig.log.set_failing(true);
    let error = rig.vault.open(&ann(), &grant.token).await.unwrap_err();
    assert!(matches!(error, QuarantineError::Port { act: "record who looks", .. }), "{error:?}");
    assert_eq!(rig.objects.gets(), 0, "the content was not even read");
    rig.log.set_failing(false);
    assert_eq!(code(rig.vault.open(&ann(), &grant.token).await), "quarantine/grant-refused");
    assert_eq!(rig.kinds(id).await.pop(), Some(EventKind::HumanViewContent), "the attempt is in the log");
    let grant = rig.vault.grant(id, &ann(), &note("check")).await.unwrap();
    rig.vault.open(&ann(), &grant.token).await.unwrap();
    let logged = rig.log.logged();
    let views = logged.iter().filter(|e| e.kind() == EventKind::HumanViewContent);
    assert_eq!(views.count(), 2, "logged by the time the content is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_use_one_grant_at_once_one_sees_the_content() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let grant = rig.vault.grant(id, &ann(), &note("check")).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (vault, token) = (rig.vault.clone(), grant.token.clone());
        tasks.spawn(async move { vault.open(&ann(), &token).await.is_ok() });
    }
    let opened = tasks.join_all().await;
    assert_eq!(opened.into_iter().filter(|ok| *ok).count(), 1);
    let views = rig.kinds(id).await.into_iter().filter(|kind| *kind == EventKind::HumanViewContent).count();
    assert_eq!(views, 1);
}

#[tokio::test]
async fn programs_are_shown_nothing() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    for kind in [ActorType::Bot, ActorType::Agent, ActorType::System] {
        let by = Actor::new(kind, "it").unwrap();
        assert_eq!(code(rig.vault.grant(id, &by, &note("check")).await), "quarantine/humans-only");
    }
}

#[tokio::test]
async fn a_grant_does_not_outlive_the_decision_to_delete() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let grant = rig.vault.grant(id, &ann(), &note("check")).await.unwrap();
    rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, false).await.unwrap();
    assert_eq!(code(rig.vault.open(&ann(), &grant.token).await), "quarantine/not-shown");
    rig.vault.restore(id, &ann(), &note("after all")).await.unwrap();
    rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, true).await.unwrap();
    assert_eq!(code(rig.vault.open(&ann(), &grant.token).await), "quarantine/gone");
}

#[tokio::test]
async fn a_token_is_kept_as_a_hash_only() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let grant = rig.vault.grant(id, &ann(), &note("check")).await.unwrap();
    let (bytes, token) = (tamper::everything(&rig.db).await, grant.token.expose().as_bytes());
    assert!(bytes.windows(5).any(|w| w == b"check"), "what it was given for stands there");
    assert!(!bytes.windows(token.len()).any(|w| w == token));
    assert!(!format!("{grant:?}").contains(grant.token.expose()));
    assert!(serde_json::to_string(&grant).unwrap().contains(grant.token.expose()), "its owner is told");
}

#[tokio::test]
async fn a_place_of_objects_that_is_away_shows_nothing_and_says_so() {
    let rig = Rig::of_objects().await;
    let id = rig.hold("one").await;
    rig.objects.set(Some(Trouble::NoGet));
    assert_eq!(code(rig.text_of(id).await), "testing/asked-for");
    rig.objects.set(None);
    assert_eq!(rig.text_of(id).await.unwrap(), "flag-hold one");
}
