//! Limits that are changed while they hold.

use std::time::Duration;

use clawexchange_rate_limiter::stored::{Looked, Watch};
use clawexchange_rate_limiter::{Ask, EndpointTier, Limiter, Limits, MemoryConfig, MemoryStore, Quota};
use clawexchange_ssg_core::{Actor, AgentId, Clock, Fault, TrustLevel};

use crate::setup::{Setup, setup};

fn watched(s: &Setup) -> (Watch, Limiter) {
    let limiter = Limiter::new(MemoryStore::new(MemoryConfig::default(), s.clock.clone()), Limits::default());
    (Watch::new(s.limits.clone(), limiter.clone()), limiter)
}

fn posts(limiter: &Limiter) -> Option<Quota> {
    limiter.limits().quota(&EndpointTier::POSTS)
}

// Defect 44: a limit that was changed in the table held after the next start, if at all.
#[tokio::test]
async fn a_plain_update_holds_from_the_next_look_on() {
    let s = setup().await;
    let (mut watch, limiter) = watched(&s);
    assert!(matches!(watch.look().await.unwrap(), Looked::Same), "what is kept is what holds");
    s.run("UPDATE rate_limit_configs SET per_hour = 40 WHERE endpoint_tier = 'POSTS'").await.unwrap();
    assert_eq!(posts(&limiter), Some(Quota::new(10, 3)));
    assert!(matches!(watch.look().await.unwrap(), Looked::Changed));
    assert_eq!(posts(&limiter), Some(Quota::new(40, 3)));
    assert!(matches!(watch.look().await.unwrap(), Looked::Same));
    s.run("UPDATE tier_threshold_configs SET multiplier_hundredths = 300 WHERE trust_level = 'NEW'")
        .await
        .unwrap();
    assert!(matches!(watch.look().await.unwrap(), Looked::Changed));
    assert_eq!(limiter.limits().trust().of(TrustLevel::New).as_hundredths(), 300);
    s.run("INSERT INTO rate_limit_configs VALUES ('SEARCHES', 9, 9, 1, 1, 1, 0)").await.unwrap();
    assert!(matches!(watch.look().await.unwrap(), Looked::Changed));
    s.run("DELETE FROM rate_limit_configs WHERE endpoint_tier = 'SEARCHES'").await.unwrap();
    assert!(matches!(watch.look().await.unwrap(), Looked::Changed));
    assert_eq!(*limiter.limits(), s.limits.load().await.unwrap());
}

#[tokio::test]
async fn limits_that_cannot_be_used_are_refused_once_and_the_last_good_ones_hold() {
    let s = setup().await;
    let (mut watch, limiter) = watched(&s);
    s.set_quota(&EndpointTier::POSTS, Quota::new(20, 4)).await.unwrap();
    assert!(matches!(watch.look().await.unwrap(), Looked::Changed));
    for (broken, code) in [
        (
            "UPDATE rate_limit_configs SET per_hour = -1 WHERE endpoint_tier = 'POSTS'",
            "rate-limiter/stored-row",
        ),
        (
            "UPDATE rate_limit_configs SET per_hour = 1000000 WHERE endpoint_tier = 'POSTS'",
            "rate-limiter/limits",
        ),
        ("DELETE FROM rate_limit_configs WHERE endpoint_tier = 'POSTS'", "rate-limiter/stored-row"),
    ] {
        s.edit(broken).await;
        match watch.look().await.unwrap() {
            Looked::Refused(error) => assert_eq!(error.code(), code, "{broken}"),
            other => panic!("{broken}: {other:?}"),
        }
        assert!(matches!(watch.look().await.unwrap(), Looked::Same), "said once");
        assert_eq!(posts(&limiter), Some(Quota::new(20, 4)));
    }
    s.run("INSERT INTO rate_limit_configs VALUES ('POSTS', 30, 5, 1, 1, 1, 0)").await.unwrap();
    assert!(matches!(watch.look().await.unwrap(), Looked::Changed));
    assert_eq!(posts(&limiter), Some(Quota::new(30, 5)));
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_asked_again() {
    let s = setup().await;
    let (mut watch, limiter) = watched(&s);
    s.run("ALTER TABLE rate_limit_revision RENAME TO away").await.unwrap();
    assert!(watch.look().await.is_err());
    assert_eq!(posts(&limiter), Some(Quota::new(10, 3)));
    s.run("ALTER TABLE away RENAME TO rate_limit_revision").await.unwrap();
    s.set_quota(&EndpointTier::POSTS, Quota::new(20, 4)).await.unwrap();
    assert!(matches!(watch.look().await.unwrap(), Looked::Changed));
}

#[tokio::test]
async fn an_override_holds_from_the_next_look_on_and_ends_without_one() {
    let s = setup().await;
    let (mut watch, limiter) = watched(&s);
    let (by, agent) = (Actor::human("os:ann").unwrap(), AgentId::new("a").unwrap());
    let until = s.clock.now().plus(Duration::from_mins(5));
    let tx = s.db.begin().await.unwrap();
    let (tier, quota) = (EndpointTier::POSTS, Quota::new(99, 9));
    s.limits.set_override(&tx, &by, &agent, &tier, quota, until, "an import").await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(watch.look().await.unwrap(), Looked::Changed));
    let ask = Ask::new(agent, EndpointTier::POSTS);
    assert_eq!(limiter.peek(&ask).await.unwrap().status.hour.limit, 99);
    s.clock.advance(Duration::from_mins(5));
    assert_eq!(limiter.peek(&ask).await.unwrap().status.hour.limit, 5);
    s.limits.sweep(s.clock.now()).await.unwrap();
    assert!(matches!(watch.look().await.unwrap(), Looked::Changed));
    assert_eq!(limiter.limits().overrides().count(), 0);
}
