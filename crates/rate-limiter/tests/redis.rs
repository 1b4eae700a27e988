//! Counters in Redis, by its own time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "redis/setup.rs"]
mod setup;

use std::sync::Arc;
use std::time::Duration;

use clawexchange_rate_limiter::{
    Ask, Decision, EndpointTier, LimitError, Limits, Quota, RedisConfig, RedisKind, Ruling, ServerKind, Store,
};
use clawexchange_ssg_core::{Fault, FaultKind, TrustLevel};
use clawexchange_testkit::redis::{Cluster, Server, Setup, empty};

use self::setup::{agent, back, closed, drain, hasty, hourly, open, owned, patient, posts, until};

/// Refusals are not answered from memory.
fn unremembered(mut config: RedisConfig) -> RedisConfig {
    config.deny_cache_max = Duration::ZERO;
    config
}

/// How often a command was run there.
fn calls(server: &Server, command: &str) -> u64 {
    let line = server.info(&format!("cmdstat_{command}"));
    let calls = line.split(',').find_map(|part| part.strip_prefix("calls=")).unwrap_or("0");
    calls.parse().unwrap()
}

#[tokio::test]
async fn a_check_is_one_command() {
    let server = Server::start();
    let store = open(unremembered(patient(&server.url())));
    let limits = hourly(50);
    assert!(store.take(&owned("a", "o"), &limits).await.unwrap().is_allowed());
    let before = calls(&server, "evalsha");
    for _ in 0..200 {
        store.take(&owned("a", "o"), &limits).await.unwrap();
    }
    let checks = calls(&server, "evalsha") - before;
    // Now and then the process says that it is alive.
    assert!((200..220).contains(&checks), "{checks} for 200");
}

#[tokio::test]
async fn a_refusal_writes_nothing_and_nothing_grows_however_many_come() {
    let server = Server::start();
    let store = open(unremembered(patient(&server.url())));
    let limits = hourly(3);
    assert_eq!(drain(&store, &owned("a", "o"), &limits).await, 3);
    let key = "claw:{a:a}:POSTS";
    let seen = || (server.cli(&["GET", key]), server.cli(&["MEMORY", "USAGE", key]), server.cli(&["DBSIZE"]));
    let before = seen();
    let changes = || server.info("rdb_changes_since_last_save").parse::<u64>().unwrap();
    let changed = changes();
    let asks = vec![owned("a", "o"); 50];
    for _ in 0..200 {
        for decision in store.batch(&asks, &limits).await.unwrap() {
            assert!(matches!(decision, Decision::Deny { .. }));
        }
    }
    assert_eq!(seen(), before);
    // Being alive is three changes each time.
    assert!(changes() - changed < 100, "10,000 refusals, {} changes", changes() - changed);
}

#[tokio::test]
async fn what_comes_at_once_goes_together() {
    let server = Server::start();
    let store = Arc::new(open(patient(&server.url())));
    let limits = Arc::new(hourly(1_000));
    store.take(&posts("first"), &limits).await.unwrap();
    let before = calls(&server, "evalsha");
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..512 {
        let (store, limits) = (Arc::clone(&store), Arc::clone(&limits));
        tasks.spawn(async move {
            store.take(&posts(&format!("a-{}", i % 16)), &limits).await.unwrap().is_allowed()
        });
    }
    while let Some(is_allowed) = tasks.join_next().await {
        assert!(is_allowed.unwrap());
    }
    let commands = calls(&server, "evalsha") - before;
    assert!(commands <= 64, "{commands} commands for 512 asks");
    let seen = store.peek(&posts("a-7"), &limits).await.unwrap().status;
    assert_eq!(seen.hour.used, 32, "none was merged with another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_requests_in_four_processes_exactly_those_of_the_limit_are_admitted() {
    let url = empty();
    let stores: Vec<_> = (0..4).map(|_| open(patient(&url))).collect();
    for round in 0..10 {
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..64 {
            let store = stores.get(i % 4).unwrap().clone();
            let ask = owned(&format!("a-{round}"), &format!("o-{round}"));
            tasks.spawn(async move { store.take(&ask, &hourly(17)).await.unwrap().is_allowed() });
        }
        let mut admitted = 0;
        while let Some(is_allowed) = tasks.join_next().await {
            admitted += u32::from(is_allowed.unwrap());
        }
        assert_eq!(admitted, 17, "round {round}");
    }
}

#[tokio::test]
async fn a_script_that_was_lost_is_sent_again_within_the_call() {
    let server = Server::start();
    let store = open(closed(unremembered(patient(&server.url()))));
    let limits = hourly(100);
    let mut permits = Vec::new();
    for i in 0..100 {
        if i % 10 == 0 {
            server.cli(&["SCRIPT", "FLUSH"]);
        }
        permits.push(store.take(&owned("a", "o"), &limits).await.unwrap().into_permit().unwrap());
    }
    assert!(matches!(store.take(&owned("a", "o"), &limits).await.unwrap(), Decision::Deny { .. }));
    server.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(store.refund(permits.pop().unwrap()).await.unwrap(), 1);
    let counters = store.health().counters;
    assert!(counters.script_losses >= 10, "{counters:?}");
    assert_eq!((counters.errors, counters.timeouts, counters.degraded), (0, 0, 0));
}

#[tokio::test]
async fn the_same_refusal_is_answered_from_memory_and_what_another_process_lifts_is_seen() {
    let server = Server::start();
    let (here, there) = (open(patient(&server.url())), open(patient(&server.url())));
    let limits = hourly(3);
    assert_eq!(drain(&here, &posts("a"), &limits).await, 3);
    let told = match here.take(&posts("a"), &limits).await.unwrap() {
        Decision::Deny { wait, .. } => wait,
        other => panic!("{other:?}"),
    };
    let counters = here.health().counters;
    assert!(counters.denied_from_memory >= 1, "{counters:?}");
    assert!(told <= Duration::from_hours(1));
    let cheaper = here.take(&posts("a").costing(0), &limits).await.unwrap();
    assert!(cheaper.is_allowed(), "another question is another question");
    let higher = here.take(&posts("a"), &hourly(4)).await.unwrap();
    assert!(higher.is_allowed(), "other limits hold at once");
    here.suspend(&agent("b"), None).await.unwrap();
    assert!(matches!(here.take(&posts("b"), &limits).await.unwrap(), Decision::Never { .. }));
    assert!(there.lift(&agent("b")).await.unwrap());
    until("the lifted suspension is seen", || async {
        here.take(&posts("b"), &limits).await.unwrap().is_allowed()
    })
    .await;
    assert!(there.take(&posts("b"), &limits).await.unwrap().is_allowed());
    here.suspend(&agent("b"), None).await.unwrap();
    assert!(!there.take(&posts("b"), &limits).await.unwrap().is_allowed(), "no memory admits anybody");
}

#[tokio::test]
async fn a_reset_by_another_process_reaches_every_tier_that_was_ever_charged() {
    let url = empty();
    let (here, there) = (open(patient(&url)), open(patient(&url)));
    let searches = EndpointTier::new("SEARCHES").unwrap();
    let limits = Limits::default().with_quota(searches.clone(), Quota::new(4, 4)).unwrap();
    let search = Ask::new(agent("a"), searches).trusted(TrustLevel::Established);
    assert_eq!(drain(&here, &search, &limits).await, 4);
    there.reset(&agent("a"), None).await.unwrap();
    assert_eq!(there.peek(&search, &limits).await.unwrap().ruling, Ruling::Allow);
    until("the reset is seen", || async { here.take(&search, &limits).await.unwrap().is_allowed() }).await;
}

#[tokio::test]
async fn what_others_wrote_under_our_keys_is_an_error_and_neither_a_limit_nor_none() {
    let server = Server::start();
    let store = open(patient(&server.url()));
    server.cli(&["SET", "claw:{a:a}:POSTS", "abc"]);
    let error = store.take(&posts("a"), &Limits::default()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("rate-limiter/redis-damaged", FaultKind::Integrity));
    assert!(!store.health().is_away, "it answers others");
    assert!(store.take(&posts("b"), &Limits::default()).await.unwrap().is_allowed());
}

#[tokio::test]
async fn a_password_and_tls_of_a_private_authority_are_used_and_the_password_is_never_shown() {
    let server = Server::with(&Setup::new().password("hunter2").tls());
    let mut config = closed(patient(&server.url()));
    assert!(config.url.is_tls() && config.url.has_password());
    config.tls_ca_pem = Some(std::fs::read(server.authority()).unwrap());
    let store = open(config.clone());
    assert!(store.take(&posts("a"), &Limits::default()).await.unwrap().is_allowed());
    let facts = store.server().await.unwrap();
    assert_eq!(
        (facts.kind, facts.arrangement, facts.refuses_strangers),
        (ServerKind::Redis, RedisKind::Single, Some(true))
    );
    assert!(!format!("{store:?} {config:?} {facts:?}").contains("hunter2"));
    config.tls_ca_pem = None;
    (config.deadline, config.connect_deadline) =
        (hasty("redis://h").deadline, hasty("redis://h").connect_deadline);
    let error = open(config).take(&posts("a"), &Limits::default()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("rate-limiter/away", FaultKind::Unavailable));
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn the_server_says_what_whoever_looks_after_it_has_to_know() {
    let server = Server::with(&Setup::new().line("maxmemory 64mb").line("maxmemory-policy allkeys-lru"));
    let store = open(patient(&server.url()));
    let facts = store.server().await.unwrap();
    assert_eq!(facts.kind, ServerKind::Redis);
    assert!(facts.version.split('.').next().unwrap().parse::<u32>().unwrap() >= 7, "{facts:?}");
    assert_eq!(
        (facts.role.as_deref(), facts.eviction_policy.as_deref()),
        (Some("master"), Some("allkeys-lru"))
    );
    assert_eq!((facts.memory_max_bytes, facts.evicted_keys), (Some(64 << 20), Some(0)));
    assert_eq!(
        (facts.appends, facts.refuses_strangers, facts.slots_covered),
        (Some(false), Some(false), None)
    );
    let cluster = Cluster::of_one();
    let facts = open(patient(&cluster.url())).server().await.unwrap();
    assert_eq!((facts.slots_covered, facts.arrangement), (Some(16_384), RedisKind::Cluster));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_cluster_agents_of_one_owner_at_once_never_exceed_its_ceiling_and_reach_it() {
    let cluster = Cluster::start(0);
    let stores: Vec<_> = (0..2).map(|_| open(closed(unremembered(patient(&cluster.url()))))).collect();
    // Ten agents may have four each, and their owner forty; twelve ask.
    let limits = Arc::new(hourly(4));
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..12 * 8 {
        let (store, limits) = (stores.get(i % 2).unwrap().clone(), Arc::clone(&limits));
        let ask = owned(&format!("a-{}", i % 12), "o");
        tasks.spawn(async move { store.take(&ask, &limits).await.unwrap().is_allowed() });
    }
    let mut admitted = 0;
    while let Some(is_allowed) = tasks.join_next().await {
        admitted += u32::from(is_allowed.unwrap());
    }
    assert!(admitted <= 40, "{admitted}");
    let store = stores.first().unwrap();
    for i in 0..12 {
        admitted += drain(store, &owned(&format!("a-{i}"), "o"), &limits).await;
    }
    assert_eq!(admitted, 40, "whoever was refused got its units back");
    let mut of_agents = 0;
    for i in 0..12 {
        of_agents += store.peek(&owned(&format!("a-{i}"), "o"), &limits).await.unwrap().status.hour.used;
    }
    assert_eq!(of_agents, 40, "agents and owner were charged together");
}

#[tokio::test]
async fn in_a_cluster_no_id_chooses_its_slot_and_all_processes_agree_on_it() {
    let cluster = Cluster::of_one();
    let node = cluster.nodes().first().unwrap();
    let limits = hourly(5);
    let (here, there) = (open(patient(&cluster.url())), open(patient(&cluster.url())));
    assert_eq!(drain(&here, &owned("a", "o"), &limits).await, 5);
    assert!(!there.take(&owned("a", "o"), &limits).await.unwrap().is_allowed(), "they count together");
    let keys = || node.cli(&["KEYS", "claw:*a:a:POSTS"]).trim().to_owned();
    let key = keys();
    assert_ne!(node.cli(&["CLUSTER", "KEYSLOT", &key]), node.cli(&["CLUSTER", "KEYSLOT", "{a:a}"]), "{key}");
    // Whoever knows the salt puts it there again if it was lost.
    node.cli(&["DEL", "claw:{salt}"]);
    until("the salt is there again", || async { node.cli(&["EXISTS", "claw:{salt}"]).trim() == "1" }).await;
    assert!(!there.take(&owned("a", "o"), &hourly(4)).await.unwrap().is_allowed());
    assert_eq!(keys(), key);
}

#[tokio::test]
async fn a_store_whose_first_runtime_has_ended_connects_anew_on_the_next() {
    let url = empty();
    let store = open(closed(patient(&url)));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..2 {
        let store = store.clone();
        let asked = std::thread::spawn(move || {
            runtime().block_on(async { store.take(&posts("a"), &Limits::default()).await })
        });
        assert!(asked.join().unwrap().unwrap().is_allowed());
    }
    back(&store).await;
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused() {
    let mut config = patient("redis://localhost");
    config.prefix = "{a}".to_owned();
    let error = clawexchange_rate_limiter::RedisStore::open(config).unwrap_err();
    assert!(matches!(error, LimitError::RedisConfig { .. }));
    assert_eq!((error.code(), error.kind()), ("rate-limiter/redis-config", FaultKind::Configuration));
}
