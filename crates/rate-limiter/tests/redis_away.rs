//! What is done while Redis is away, and how it comes back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "redis/setup.rs"]
mod setup;

use std::sync::Arc;

use clawexchange_rate_limiter::{BreakerState, Decision, LimitError, Limits, RedisStore, Store, WhenAway};
use clawexchange_testkit::redis::{Cluster, Sentinels, Server, Setup};

use self::setup::{agent, back, closed, drain, hasty, hourly, open, owned, posts, until};

/// Of a limit of so many, what is admitted before, while, and after.
async fn admitted_across(
    server: &mut Server,
    away: impl Fn(&mut Server),
    again: impl Fn(&mut Server),
) -> [u32; 3] {
    let store = open(hasty(&server.url()));
    let limits = hourly(30);
    back(&store).await;
    let mut before = 0;
    for _ in 0..10 {
        before += u32::from(store.take(&owned("a", "o"), &limits).await.unwrap().is_allowed());
    }
    away(server);
    let mut meanwhile = 0;
    for _ in 0..15 {
        let decision = store.take(&owned("a", "o"), &limits).await.unwrap();
        assert!(decision.status().is_degraded, "the answer says so");
        meanwhile += u32::from(decision.is_allowed());
    }
    let health = store.health();
    assert!(health.is_away && health.away_since.is_some() && health.breaker != BreakerState::Closed);
    again(server);
    back(&store).await;
    let health = store.health();
    assert!(health.away_since.is_none() && health.unreplayed == 0, "{health:?}");
    assert!(health.counters.replayed_units >= u64::from(2 * meanwhile), "agent and owner: {health:?}");
    let seen = store.peek(&owned("a", "o"), &limits).await.unwrap().status;
    assert!(seen.hour.used >= before + meanwhile && !seen.is_degraded, "{seen:?}");
    assert!(seen.owner.unwrap().hour.used >= before + meanwhile, "{seen:?}");
    [before, meanwhile, drain(&store, &owned("a", "o"), &limits).await]
}

#[tokio::test]
async fn one_process_admits_exactly_the_limit_across_the_death_of_a_redis_that_forgets_all() {
    let mut server = Server::start();
    let admitted = admitted_across(&mut server, Server::kill, Server::restart).await;
    assert_eq!(admitted, [10, 15, 5]);
}

#[tokio::test]
async fn one_process_admits_no_more_than_the_limit_across_a_redis_that_hangs() {
    let mut server = Server::start();
    let admitted = admitted_across(&mut server, |s| s.freeze(), |s| s.thaw()).await;
    assert_eq!(admitted.iter().take(2).sum::<u32>(), 25);
    // What was on its way when it froze may have been charged as it thawed, besides having been given here.
    assert!(admitted.iter().sum::<u32>() <= 30, "{admitted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_at_once_admit_no_more_than_the_limit_though_redis_hangs_under_them() {
    let server = Server::start();
    let store = open(hasty(&server.url()));
    let limits = Arc::new(hourly(200));
    back(&store).await;
    let (begun, mut tasks) = (Arc::new(tokio::sync::Barrier::new(17)), tokio::task::JoinSet::new());
    for _ in 0..16 {
        let (store, limits, begun) = (store.clone(), Arc::clone(&limits), Arc::clone(&begun));
        tasks.spawn(async move {
            begun.wait().await;
            let mut admitted = 0;
            for _ in 0..40 {
                admitted += u32::from(store.take(&posts("a"), &limits).await.unwrap().is_allowed());
            }
            admitted
        });
    }
    begun.wait().await;
    until("some were admitted", || async { store.health().counters.asks > 50 }).await;
    server.freeze();
    let mut admitted = 0;
    while let Some(some) = tasks.join_next().await {
        admitted += some.unwrap();
    }
    server.thaw();
    back(&store).await;
    admitted += drain(&store, &posts("a"), &limits).await;
    assert!(admitted <= 200, "{admitted}");
    let counters = store.health().counters;
    assert!(
        counters.timeouts <= 64,
        "those that were on their way pay the deadline, nobody after them: {counters:?}"
    );
}

async fn four(server: &Server) -> Vec<RedisStore> {
    let stores: Vec<_> = (0..4).map(|_| open(hasty(&server.url()))).collect();
    for store in &stores {
        back(store).await;
    }
    until("each knows of all", || async { stores.iter().all(|store| store.health().instances == 4) }).await;
    stores
}

#[tokio::test]
async fn four_processes_that_have_seen_the_same_share_what_is_left() {
    let mut server = Server::start();
    let stores = four(&server).await;
    let limits = hourly(41);
    let mut admitted = 0;
    for store in &stores {
        for _ in 0..2 {
            admitted += u32::from(store.take(&posts("a"), &limits).await.unwrap().is_allowed());
        }
    }
    // All have seen the last one but the three that asked before: at most six units too few are known.
    for store in &stores {
        store.take(&posts("a").costing(0), &limits).await.unwrap();
    }
    server.kill();
    let mut each = Vec::new();
    for store in &stores {
        each.push(drain(store, &posts("a"), &limits).await);
    }
    assert_eq!((admitted, each), (8, vec![8, 8, 8, 8]), "a quarter of 33 each, rounded down");
    let mut unseen = 0;
    for store in &stores {
        unseen += drain(store, &posts("unseen"), &limits).await;
    }
    assert_eq!(unseen, 40, "a quarter of the whole limit each, rounded down");
    server.restart();
    for store in &stores {
        back(store).await;
    }
    let mut after = 0;
    for store in &stores {
        after += drain(store, &posts("a"), &limits).await;
    }
    assert_eq!(after, 1, "Redis was told by all four, and has one left of 41");
}

#[tokio::test]
async fn a_key_that_others_wrote_meanwhile_keeps_nobody_else_away() {
    let mut server = Server::start();
    let store = open(hasty(&server.url()));
    back(&store).await;
    server.kill();
    until("it is known to be away", || async {
        store.take(&posts("a"), &hourly(50)).await.unwrap().status().is_degraded
    })
    .await;
    assert!(store.take(&posts("b"), &hourly(5)).await.unwrap().is_allowed());
    server.restart();
    // One of them may be told before, and then there is nothing wrong.
    drop(server.try_cli(&["DEL", "claw:{a:a}:POSTS"]));
    drop(server.try_cli(&["LPUSH", "claw:{a:a}:POSTS", "x"]));
    back(&store).await;
    until("the other was told", || async {
        let looked = store.peek(&posts("b"), &hourly(5)).await;
        looked.is_ok_and(|outlook| !outlook.status.is_degraded && outlook.status.hour.used == 1)
    })
    .await;
}

#[tokio::test]
async fn what_was_refunded_while_redis_was_away_is_not_told() {
    let mut server = Server::start();
    let store = open(hasty(&server.url()));
    back(&store).await;
    server.kill();
    let limits = hourly(5);
    until("it is known to be away", || async {
        drop(store.take(&posts("other"), &limits).await);
        store.health().is_away
    })
    .await;
    let mut permits = Vec::new();
    for _ in 0..3 {
        permits.push(store.take(&owned("a", "o"), &limits).await.unwrap().into_permit().unwrap());
    }
    assert_eq!(store.refund(permits.pop().unwrap()).await.unwrap(), 1);
    assert_eq!(store.peek(&owned("a", "o"), &limits).await.unwrap().status.hour.used, 2);
    assert!(
        store.learn(&agent("a"), &offence()).await.is_err(),
        "what is to last is not taken without Redis"
    );
    server.restart();
    back(&store).await;
    let seen = store.peek(&owned("a", "o"), &limits).await.unwrap().status;
    assert_eq!((seen.hour.used, seen.owner.unwrap().hour.used), (2, 2));
    assert_eq!(store.refund(permits.pop().unwrap()).await.unwrap(), 1, "a permit from then still holds");
}

fn offence() -> clawexchange_rate_limiter::Offence {
    use clawexchange_ssg_core::{QuarantineId, RiskTier, Timestamp};
    clawexchange_rate_limiter::Offence::new(QuarantineId::fresh(), RiskTier::High, Timestamp::from_micros(0))
}

#[tokio::test]
async fn penalties_and_suspensions_hold_while_redis_is_away() {
    let mut server = Server::start();
    let store = open(hasty(&server.url()));
    back(&store).await;
    store.suspend(&agent("a"), None).await.unwrap();
    assert!(!store.take(&posts("a"), &hourly(5)).await.unwrap().is_allowed());
    server.kill();
    for _ in 0..3 {
        let decision = store.take(&posts("a"), &hourly(6)).await.unwrap();
        assert!(
            matches!(&decision, Decision::Never { status } if status.suspended.is_some()),
            "{decision:?}"
        );
    }
}

#[tokio::test]
async fn the_other_directions_are_open_and_closed_as_they_say() {
    let mut server = Server::start();
    let mut config = hasty(&server.url());
    config.when_away = WhenAway::Open;
    let (is_open, is_closed) = (open(config), open(closed(hasty(&server.url()))));
    back(&is_open).await;
    back(&is_closed).await;
    server.kill();
    for _ in 0..10 {
        let decision = is_open.take(&posts("a"), &hourly(3)).await.unwrap();
        let Decision::Allow { permit, status } = decision else { panic!("{decision:?}") };
        assert!(status.is_degraded);
        assert_eq!(is_open.refund(permit).await.unwrap(), 0, "nobody was charged");
        let refused = is_closed.take(&posts("a"), &hourly(3)).await;
        assert!(matches!(refused, Err(LimitError::Away(_))), "{refused:?}");
    }
    server.restart();
    back(&is_open).await;
    back(&is_closed).await;
    assert_eq!(drain(&is_open, &posts("a"), &hourly(3)).await, 3);
    assert!(!is_closed.take(&posts("a"), &hourly(3)).await.unwrap().is_allowed());
}

#[tokio::test]
async fn a_process_that_begins_while_redis_is_away_takes_its_share_of_as_many_as_it_was_told() {
    let mut config = hasty("redis://127.0.0.1:1");
    config.instances_assumed = 4;
    let store = open(config);
    assert_eq!(drain(&store, &posts("a"), &hourly(42)).await, 10);
    assert_eq!(store.health().instances, 4);
}

#[tokio::test]
async fn a_full_redis_is_one_that_is_away() {
    let server = Server::with(&Setup::new().line("maxmemory 3mb").line("maxmemory-policy noeviction"));
    let store = open(hasty(&server.url()));
    back(&store).await;
    assert!(!store.take(&posts("a"), &Limits::default()).await.unwrap().status().is_degraded);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let decision = store.take(&posts("a"), &Limits::default()).await.unwrap();
    assert!(decision.is_allowed() && decision.status().is_degraded, "{decision:?}");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    back(&store).await;
    assert_eq!(store.peek(&posts("a"), &Limits::default()).await.unwrap().status.hour.used, 2);
}

#[tokio::test]
async fn the_limit_holds_across_a_failover_by_sentinel() {
    let mut sentinels = Sentinels::start();
    let store = open(hasty(&sentinels.url()));
    back(&store).await;
    let limits = hourly(20);
    let mut admitted = 0;
    for _ in 0..8 {
        admitted += u32::from(store.take(&owned("a", "o"), &limits).await.unwrap().is_allowed());
    }
    sentinels.server(0).kill();
    for _ in 0..4 {
        admitted += u32::from(store.take(&owned("a", "o"), &limits).await.unwrap().is_allowed());
    }
    sentinels.wait_for_master(1);
    back(&store).await;
    assert_eq!(store.server().await.unwrap().role.as_deref(), Some("master"));
    assert_eq!(store.peek(&owned("a", "o"), &limits).await.unwrap().status.hour.used, 12);
    admitted += drain(&store, &owned("a", "o"), &limits).await;
    assert_eq!(admitted, 20);
}

#[tokio::test]
async fn the_limit_holds_across_a_failover_in_a_cluster() {
    let mut cluster = Cluster::start(1);
    let store = open(hasty(&cluster.url()));
    back(&store).await;
    let limits = hourly(20);
    let mut admitted = 0;
    for _ in 0..8 {
        admitted += u32::from(store.take(&posts("a"), &limits).await.unwrap().is_allowed());
    }
    let has = |node: &Server| {
        node.try_cli(&["KEYS", "claw:{*}a:a:POSTS"]).is_ok_and(|keys| !keys.trim().is_empty())
    };
    let master = cluster.nodes().iter().position(|node| node.info("role") == "master" && has(node)).unwrap();
    cluster.node(master).kill();
    for _ in 0..4 {
        admitted += u32::from(store.take(&posts("a"), &limits).await.unwrap().is_allowed());
    }
    assert_eq!(admitted, 12);
    back(&store).await;
    // Until the replica has taken over, some may fail and be given here.
    until("the cluster decides again", || async {
        let looked = store.peek(&posts("a"), &limits).await;
        looked.is_ok_and(|outlook| !outlook.status.is_degraded && outlook.status.hour.used >= 12)
    })
    .await;
    admitted += drain(&store, &posts("a"), &limits).await;
    assert!((13..=20).contains(&admitted), "{admitted}");
}
