//! Limits in the database: read as a whole or not at all, and never changed without an event.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "stored/overrides.rs"]
mod overrides;
#[path = "stored/races.rs"]
mod races;
#[path = "stored/setup.rs"]
mod setup;
#[path = "stored/watch.rs"]
mod watch;

use clawexchange_database::{DownTo, Plan};
use clawexchange_rate_limiter::stored::{MIGRATIONS, QUOTA_TARGET, TRUST_TARGET};
use clawexchange_rate_limiter::{EndpointTier, LimitError, Limits, Multiplier, Quota};
use clawexchange_ssg_core::{Actor, Clock, EventKind, Fault, FaultKind, TrustLevel};

use self::setup::setup;

// Defect 44: the tables were never read.
#[tokio::test]
async fn a_new_database_has_the_documented_limits_and_what_is_set_is_what_is_loaded() {
    let s = setup().await;
    assert_eq!(s.limits.load().await.unwrap(), Limits::default());
    let searches = EndpointTier::new("SEARCHES").unwrap();
    let set = s.set_quota(&searches, Quota::new(100, 20)).await.unwrap();
    assert_eq!(set.quota(&searches), Some(Quota::new(100, 20)));
    let set = s.set_trust(TrustLevel::New, "0.25".parse().unwrap()).await.unwrap();
    assert_eq!(s.limits.load().await.unwrap(), set);
    assert_eq!(set.trust().of(TrustLevel::New), Multiplier::hundredths(25));
}

#[tokio::test]
async fn each_seeded_and_each_changed_row_has_one_event_that_fixes_it() {
    let s = setup().await;
    assert_eq!(s.discrepancies().await.len(), 7, "a threshold without its event is found");
    s.limits.ensure_events().await.unwrap();
    s.limits.ensure_events().await.unwrap();
    assert_eq!(s.events().await.len(), 7, "once");
    assert_eq!(s.discrepancies().await, [""; 0]);
    s.clock.advance(std::time::Duration::from_secs(5));
    s.set_quota(&EndpointTier::POSTS, Quota::new(20, 4)).await.unwrap();
    s.set_quota(&EndpointTier::POSTS, Quota::new(20, 4)).await.unwrap();
    s.set_trust(TrustLevel::Verified, Multiplier::hundredths(300)).await.unwrap();
    let events = s.events().await;
    assert_eq!(events.len(), 9, "what is set already is not set again");
    assert_eq!(s.discrepancies().await, [""; 0]);
    let event = &events[7];
    assert_eq!((event.kind(), event.at()), (EventKind::ConfigChanged, s.clock.now()));
    let target = event.target().unwrap();
    assert_eq!((target.kind.as_str(), target.id.as_str()), (QUOTA_TARGET, "POSTS"));
    assert_eq!(event.actor(), &Actor::human("os:ann").unwrap());
    let meta = |name: &str| event.meta().get(name).and_then(serde_json::Value::as_i64);
    assert_eq!((meta("perHour"), meta("perHourBefore")), (Some(20), Some(10)));
    assert_eq!((meta("burstPerMinute"), meta("burstPerMinuteBefore")), (Some(4), Some(3)));
    assert_eq!(meta("version"), Some(2));
    assert_eq!(events[8].target().unwrap().kind, TRUST_TARGET);
    let meta = events[8].meta();
    assert_eq!(meta.get("multiplierHundredths").and_then(serde_json::Value::as_i64), Some(300));
}

#[tokio::test]
async fn what_its_caller_rolls_back_was_never_set_and_has_no_event() {
    let s = setup().await;
    let tx = s.db.begin().await.unwrap();
    let by = Actor::human("os:ann").unwrap();
    s.limits.set_quota(&tx, &by, &EndpointTier::POSTS, Quota::new(1, 1)).await.unwrap();
    drop(tx);
    assert_eq!(s.limits.load().await.unwrap(), Limits::default());
    assert_eq!(s.events().await.len(), 0);
}

#[tokio::test]
async fn limits_that_cannot_be_are_refused_by_us_and_by_the_table() {
    let s = setup().await;
    for quota in [Quota::new(3, 4), Quota::new(u32::MAX, 1), Quota::new(200_000, 1)] {
        let error = s.set_quota(&EndpointTier::POSTS, quota).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("rate-limiter/limits", FaultKind::Configuration));
    }
    assert!(s.set_trust(TrustLevel::New, Multiplier::hundredths(100_001)).await.is_err());
    for sql in [
        "UPDATE rate_limit_configs SET per_hour = -1, burst_per_minute = -1",
        "UPDATE rate_limit_configs SET burst_per_minute = per_hour + 1",
        "UPDATE rate_limit_configs SET per_hour = 1000001",
        "UPDATE rate_limit_configs SET per_hour = 10.5",
        "UPDATE rate_limit_configs SET per_hour = NULL",
        "UPDATE rate_limit_configs SET endpoint_tier = 'posts' WHERE endpoint_tier = 'POSTS'",
        "UPDATE rate_limit_configs SET endpoint_tier = '' WHERE endpoint_tier = 'POSTS'",
        "UPDATE tier_threshold_configs SET multiplier_hundredths = -1",
        "UPDATE tier_threshold_configs SET multiplier_hundredths = 100001",
        "UPDATE tier_threshold_configs SET trust_level = 'FRIEND' WHERE trust_level = 'NEW'",
    ] {
        let error = s.run(sql).await.unwrap_err();
        assert_eq!(error.kind(), FaultKind::Conflict, "{sql}");
    }
    // Not even numbers: what the two say of these differs.
    for sql in [
        "UPDATE rate_limit_configs SET per_hour = 'NaN'",
        "UPDATE tier_threshold_configs SET multiplier_hundredths = 'NaN'",
    ] {
        assert!(s.run(sql).await.is_err(), "{sql}");
    }
    assert_eq!(s.limits.load().await.unwrap(), Limits::default());
}

#[tokio::test]
async fn a_row_that_was_broken_behind_our_back_is_named_and_never_taken_for_unlimited() {
    for (sql, table, name) in [
        (
            "UPDATE rate_limit_configs SET per_hour = -1 WHERE endpoint_tier = 'POSTS'",
            "rate_limit_configs",
            "POSTS",
        ),
        (
            "UPDATE rate_limit_configs SET per_hour = 9999999999 WHERE endpoint_tier = 'POSTS'",
            "rate_limit_configs",
            "POSTS",
        ),
        (
            "UPDATE rate_limit_configs SET endpoint_tier = 'po''\"sts' WHERE endpoint_tier = 'COMMENTS'",
            "rate_limit_configs",
            "po'\"sts",
        ),
        ("DELETE FROM rate_limit_configs WHERE endpoint_tier = 'MESSAGES'", "rate_limit_configs", "MESSAGES"),
        (
            "UPDATE tier_threshold_configs SET trust_level = 'FRIEND' WHERE trust_level = 'NEW'",
            "tier_threshold_configs",
            "FRIEND",
        ),
        ("DELETE FROM tier_threshold_configs WHERE trust_level = 'NEW'", "tier_threshold_configs", "NEW"),
    ] {
        let s = setup().await;
        s.limits.ensure_events().await.unwrap();
        s.edit(sql).await;
        match s.limits.load().await.unwrap_err() {
            LimitError::StoredRow { table: t, name: n, .. } => {
                assert_eq!((t, n.as_str()), (table, name), "{sql}");
            }
            other => panic!("{sql}: {other:?}"),
        }
        assert!(!s.discrepancies().await.is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn every_column_that_is_edited_behind_the_logs_back_is_found() {
    for (table, key, name, columns) in [
        (
            "rate_limit_configs",
            "endpoint_tier",
            "POSTS",
            &["per_hour", "burst_per_minute", "created_at", "updated_at", "version"][..],
        ),
        (
            "tier_threshold_configs",
            "trust_level",
            "NEW",
            &["multiplier_hundredths", "created_at", "updated_at", "version"],
        ),
    ] {
        for column in columns {
            let s = setup().await;
            s.limits.ensure_events().await.unwrap();
            s.edit(&format!("UPDATE {table} SET {column} = {column} + 1 WHERE {key} = '{name}'")).await;
            assert_eq!(s.discrepancies().await, [name], "{column}");
        }
    }
}

#[tokio::test]
async fn an_edit_is_not_made_good_by_calling_it_a_seed() {
    let s = setup().await;
    s.limits.ensure_events().await.unwrap();
    s.edit("UPDATE rate_limit_configs SET per_hour = 100000, announced = 0 WHERE endpoint_tier = 'POSTS'")
        .await;
    let error = s.limits.ensure_events().await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("rate-limiter/stored-row", FaultKind::Integrity));
    assert_eq!(s.discrepancies().await, ["POSTS"]);
}

#[tokio::test]
async fn the_steps_run_there_and_back_and_there_again() {
    let s = setup().await;
    let (plan, steps) = (Plan::of([MIGRATIONS]), u32::try_from(MIGRATIONS.steps.len()).unwrap());
    plan.down(&s.db, &DownTo::Steps(steps), None).await.unwrap();
    assert!(s.limits.load().await.is_err());
    plan.up(&s.db, None, s.clock.now()).await.unwrap();
    assert_eq!(s.limits.load().await.unwrap(), Limits::default());
}
