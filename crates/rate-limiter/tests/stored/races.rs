//! Limits that several processes change at once: each change is whole, and is in the log.

use std::sync::Arc;
use std::time::Duration;

use clawexchange_database::{Database, Tx};
use clawexchange_rate_limiter::stored::StoredLimits;
use clawexchange_rate_limiter::{EndpointTier, Quota};
use clawexchange_ssg_core::{Actor, AgentId, Clock as _};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::setup::{Setup, setup};

/// Each process does its own at the same moment, `times` each.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    processes: &[(Database, StoredLimits)],
    times: usize,
    work: impl Fn(Database, StoredLimits, usize) -> F,
) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(processes.len() * times));
    let mut tasks = JoinSet::new();
    for n in 0..processes.len() * times {
        let (db, limits) = processes[n % processes.len()].clone();
        let (barrier, work) = (Arc::clone(&barrier), work(db, limits, n));
        tasks.spawn(async move {
            barrier.wait().await;
            work.await
        });
    }
    tasks.join_all().await
}

fn ann() -> Actor {
    Actor::human("os:ann").unwrap()
}

async fn begin(db: &Database) -> Tx {
    db.begin().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeded_rows_are_announced_once_whoever_starts_at_once() {
    for _ in 0..3 {
        let s = setup().await;
        let processes = s.others().await;
        at_once(&processes, 2, |_, limits, _| async move { limits.ensure_events().await.unwrap() }).await;
        assert_eq!(s.events().await.len(), 7);
        assert_eq!(s.discrepancies().await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_set_a_limit_each_has_its_version_and_the_log_knows_the_last() {
    let s = setup().await;
    s.limits.ensure_events().await.unwrap();
    let processes = s.others().await;
    for round in 0..5 {
        at_once(&processes, 2, |db, limits, n| async move {
            let quota = Quota::new(100 + 10 * round + u32::try_from(n).unwrap(), 3);
            let tx = begin(&db).await;
            limits.set_quota(&tx, &ann(), &EndpointTier::POSTS, quota).await.unwrap();
            tx.commit().await.unwrap();
        })
        .await;
        assert_eq!(s.discrepancies().await, [""; 0]);
    }
    let events = s.events().await.split_off(7);
    let versions: Vec<u64> = events.iter().map(|event| event.meta()["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (2..42).collect::<Vec<_>>());
    for pair in events.windows(2) {
        assert_eq!(pair[1].meta()["perHourBefore"], pair[0].meta()["perHour"], "each knew of the one before");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_that_are_good_each_and_not_together_are_not_set_by_two_at_once() {
    // What the highest quota and the highest factor come to has a bound.
    let high = Quota::new(100_000, 3);
    let factor = "1000".parse().unwrap();
    for _ in 0..5 {
        let s = setup().await;
        let (_, alone) = &s.others().await[0];
        let tx = begin(&s.db).await;
        alone.set_quota(&tx, &ann(), &EndpointTier::POSTS, high).await.unwrap();
        drop(tx);
        let set = at_once(&s.others().await[..2], 1, |db, limits, n| async move {
            let tx = begin(&db).await;
            let level = clawexchange_ssg_core::TrustLevel::New;
            let set = match n {
                0 => limits.set_quota(&tx, &ann(), &EndpointTier::POSTS, high).await,
                _ => limits.set_trust(&tx, &ann(), level, factor).await,
            };
            if set.is_ok() {
                tx.commit().await.unwrap();
            }
            set.is_ok()
        })
        .await;
        assert_eq!(set.iter().filter(|set| **set).count(), 1, "{set:?}");
        s.limits.load().await.unwrap();
    }
}

async fn set_override(s: &Setup, db: &Database, limits: &StoredLimits, agent: &str, hours: u64) {
    let (agent, until) = (AgentId::new(agent).unwrap(), s.clock.now().plus(Duration::from_hours(hours)));
    let tx = begin(db).await;
    let quota = Quota::new(20, 4);
    limits.set_override(&tx, &ann(), &agent, &EndpointTier::POSTS, quota, until, "an import").await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overrides_that_many_set_at_once_have_a_slot_each_and_end_once() {
    let s = Arc::new(setup().await);
    s.limits.ensure_events().await.unwrap();
    let processes = s.others().await;
    for round in 0..5 {
        at_once(&processes, 4, |db, limits, n| {
            let s = Arc::clone(&s);
            // Some for the same agent.
            async move { set_override(&s, &db, &limits, &format!("agent-{}", n % 12), 1).await }
        })
        .await;
        let held = s.limits.overrides().await.unwrap();
        let mut slots: Vec<i64> = held.iter().map(|held| held.slot).collect();
        slots.sort_unstable();
        assert_eq!(slots, (1..=12).collect::<Vec<_>>(), "no slot is left out, and none is used twice");
        assert_eq!(s.discrepancies().await, [""; 0]);
        s.clock.advance(Duration::from_hours(1));
        let now = s.clock.now();
        let swept =
            at_once(&processes, 1, |_, limits, _| async move { limits.sweep(now).await.unwrap() }).await;
        assert_eq!(swept.iter().sum::<u32>(), 12);
        assert_eq!(s.events().await.len(), 7 + 24 * (round + 1));
        assert_eq!(s.discrepancies().await, [""; 0]);
    }
}
