//! The counters of one process: their bounds, and many callers at once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use clawexchange_rate_limiter::{
    Ask, Decision, EndpointTier, Fail, Limiter, Limits, MemoryConfig, MemoryStore, Store,
};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{AgentId, Clock, Fault, FaultKind, OwnerId, TrustLevel};

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn owner(name: &str) -> OwnerId {
    OwnerId::new(name).unwrap()
}

fn posts(name: &str) -> Ask {
    Ask::new(agent(name), EndpointTier::POSTS).trusted(TrustLevel::Established)
}

async fn is_allowed(limiter: &Limiter, ask: &Ask) -> bool {
    limiter.take(ask).await.unwrap().is_allowed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_requests_at_once_exactly_the_three_of_the_limit_are_admitted() {
    for round in 0..100 {
        let limiter = Limiter::in_process(Limits::default());
        let barrier = Arc::new(tokio::sync::Barrier::new(20));
        let tasks: Vec<_> = (0..20)
            .map(|i| {
                let (limiter, barrier) = (limiter.clone(), Arc::clone(&barrier));
                // Half of them through an owner, so that both orders of locking meet.
                let ask = posts("a").of_owner((i % 2 == 0).then(|| owner("o")));
                tokio::spawn(async move {
                    barrier.wait().await;
                    limiter.take(&ask).await.unwrap().is_allowed()
                })
            })
            .collect();
        let mut admitted = 0;
        for task in tasks {
            admitted += u32::from(task.await.unwrap());
        }
        assert_eq!(admitted, 3, "round {round}");
    }
}

#[tokio::test]
async fn fifty_thousand_refusals_leave_three_units_behind() {
    let clock = ManualClock::default();
    let store = MemoryStore::new(MemoryConfig::default(), clock.clone());
    let limits = Limits::default();
    for _ in 0..3 {
        assert!(store.take_now(&posts("flood"), &limits).unwrap().is_allowed());
    }
    for _ in 0..25_000 {
        store.take_now(&posts("flood"), &limits).unwrap();
        store.take_now(&posts("flood").of_owner(Some(owner("never-charged"))), &limits).unwrap();
    }
    assert_eq!(store.units(&agent("flood"), &EndpointTier::POSTS).len(), 3);
    assert_eq!(store.keys(), 1);
}

#[tokio::test]
async fn accounts_that_have_been_quiet_for_an_hour_are_forgotten_by_themselves() {
    let clock = ManualClock::default();
    let store = MemoryStore::new(MemoryConfig::default(), clock.clone());
    let limits = Limits::default();
    let mut most = 0;
    for hour in 0..20 {
        for i in 0..5_000 {
            let ask = posts(&format!("a-{hour}-{i}")).of_owner(Some(owner(&format!("o-{hour}-{i}"))));
            assert!(store.take_now(&ask, &limits).unwrap().is_allowed());
        }
        clock.advance(Duration::from_hours(1));
        most = most.max(store.keys());
    }
    assert!(most <= 40_000, "{most} of 200,000 were kept at once");
    store.sweep();
    assert_eq!(store.keys(), 0);
}

#[tokio::test]
async fn beyond_the_most_accounts_a_new_one_fails_in_the_stated_direction() {
    let limits = Limits::default();
    for (direction, is_open) in [(Fail::Closed, false), (Fail::Open, true)] {
        let clock = ManualClock::default();
        let mut config = MemoryConfig::default();
        (config.keys_max, config.when_full) = (2, direction);
        let store = MemoryStore::new(config, clock.clone());
        let ask = posts("a").of_owner(Some(owner("o")));
        assert!(store.take_now(&ask, &limits).unwrap().is_allowed());
        assert!(store.take_now(&ask, &limits).unwrap().is_allowed(), "who is known goes on");
        match store.take_now(&posts("b"), &limits) {
            Ok(Decision::Allow { status, permit }) if is_open => {
                assert!(status.is_degraded, "the answer says that nobody counted");
                assert_eq!(store.refund(permit).await.unwrap(), 0);
            }
            Err(error) if !is_open => {
                assert_eq!((error.code(), error.kind()), ("rate-limiter/full", FaultKind::Unavailable));
            }
            other => panic!("{direction:?}: {other:?}"),
        }
        assert_eq!(store.keys(), 2);
        clock.advance(Duration::from_hours(1));
        assert!(
            store.take_now(&posts("b"), &limits).unwrap().is_allowed(),
            "room is made when there is none"
        );
        assert_eq!(store.keys(), 1);
    }
}

#[tokio::test]
async fn what_was_forgotten_is_not_remembered_by_a_clock_that_is_set_back() {
    let clock = ManualClock::default();
    let store = MemoryStore::new(MemoryConfig::default(), clock.clone());
    let limits = Limits::default();
    let begin = clock.now();
    for _ in 0..3 {
        assert!(store.take_now(&posts("a"), &limits).unwrap().is_allowed());
    }
    clock.advance(Duration::from_mins(61));
    assert_eq!(store.sweep(), 1);
    clock.set(begin.plus(Duration::from_secs(30)));
    let mut admitted = 0;
    for _ in 0..10 {
        admitted += usize::from(store.take_now(&posts("a"), &limits).unwrap().is_allowed());
    }
    assert_eq!(admitted, 3);
    let units = store.units(&agent("a"), &EndpointTier::POSTS);
    assert!(units[0] >= begin.plus(Duration::from_hours(1)), "no hour holds the old ones and the new ones");
}

#[tokio::test]
async fn a_store_may_be_boxed_or_shared() {
    let clock = ManualClock::default();
    let shared: Arc<MemoryStore> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock));
    let boxed: Box<dyn Store> = Box::new(Arc::clone(&shared));
    let limiter = Limiter::new(boxed, Limits::default());
    assert!(is_allowed(&limiter, &posts("a")).await);
    assert_eq!(shared.units(&agent("a"), &EndpointTier::POSTS).len(), 1);
    limiter.sync().await.unwrap();
    let printed = format!("{limiter:?}");
    assert!(!printed.contains("\"a\""), "{printed}");
}
