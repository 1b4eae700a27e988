//! Campaigns over a Redis that is shared, slow, damaged or away.

use std::time::{Duration, Instant};

use clawexchange_rate_limiter::{
    CampaignCounter, CampaignRules, LimitError, MemorySightings, RedisConfig, RedisStore, Seen, Sighting,
    SightingStore,
};
use clawexchange_ssg_core::{AgentId, InspectionId, OwnerId, Sketch};
use clawexchange_testkit::redis::Server;

fn config(url: &str, deadline: Duration) -> RedisConfig {
    let mut config = RedisConfig::new(url.parse().unwrap());
    (config.deadline, config.connect_deadline) = (deadline, Duration::from_secs(5));
    config
}

fn process(url: &str) -> CampaignCounter {
    let store = RedisStore::open(config(url, Duration::from_secs(10))).unwrap();
    CampaignCounter::shared(CampaignRules::default(), &[7; 32], MemorySightings::new(), store)
}

fn text(n: u16) -> Sketch {
    Sketch::new(u128::from(n).wrapping_mul(0x0123_4567_89ab_cdef_1357_9bdf_0246_8ace), [n; Sketch::PLACES])
}

async fn see(process: &CampaignCounter, agent: &str, owner: Option<&str>) -> Seen {
    let (agent, owner) = (AgentId::new(agent).unwrap(), owner.map(|owner| OwnerId::new(owner).unwrap()));
    process.see(&text(1), &agent, owner.as_ref(), InspectionId::fresh()).await
}

#[tokio::test]
async fn processes_that_share_a_redis_count_together_and_an_agent_without_an_owner_is_its_own() {
    let url = clawexchange_testkit::redis::empty();
    let (here, there) = (process(&url), process(&url));
    for i in 0..10 {
        see(&here, &format!("a{i}"), None).await;
        see(&there, &format!("b{i}"), Some("one")).await;
    }
    let seen = see(&there, "a0", None).await;
    assert_eq!((seen.owners, seen.agents, seen.times, seen.own_times), (11, 20, 21, 2));
    assert!(there.rules().is_campaign(&seen) && !there.rules().may_hold(&seen));
    let seen = see(&here, "one", None).await;
    assert_eq!(seen.owners, 12, "an agent that is called like an owner is another");
    assert_eq!((here.counted_alone(), there.counted_alone()), (0, 0));
}

#[tokio::test]
async fn what_one_process_learns_to_be_harmless_another_knows() {
    let url = clawexchange_testkit::redis::empty();
    let (here, there) = (process(&url), process(&url));
    assert!(!there.is_released(&text(1)).await);
    here.release(text(1).bits()).await.unwrap();
    assert!(there.is_released(&text(1)).await && !there.is_released(&text(2)).await);
}

#[tokio::test]
async fn a_sighting_is_one_command_and_its_keys_are_six_that_end() {
    let server = Server::start();
    let here = process(&server.url());
    see(&here, "first", None).await;
    let calls = || {
        let line = server.info("cmdstat_evalsha");
        line.split(',').find_map(|part| part.strip_prefix("calls=")?.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = calls();
    for i in 0..200 {
        see(&here, &format!("a{i}"), None).await;
    }
    let commands = calls() - before;
    // Now and then the process says that it is alive.
    assert!((200..220).contains(&commands), "{commands} for 200");
    let keys = server.cli(&["KEYS", "claw:{c:*"]);
    let mut keys: Vec<&str> = keys.lines().collect();
    keys.sort_unstable();
    assert_eq!(keys.first(), Some(&"claw:{c:0-0001}"), "the nth place, and where that is");
    assert_eq!(keys.len(), Sketch::PLACES, "{keys:?}");
    for key in keys {
        let ttl: u64 = server.cli(&["PTTL", key]).trim().parse().unwrap();
        assert!((3_500_000..=3_660_000).contains(&ttl), "{key} lasts {ttl} ms");
        assert_eq!(server.cli(&["STRLEN", key]).trim(), (33 * 128).to_string(), "{key}");
    }
    let all: String = server.cli(&["--no-raw", "GET", "claw:{c:0-0001}"]);
    assert!(!all.contains("first") && !all.contains("a17"), "no name is kept");
}

#[tokio::test]
async fn while_redis_is_away_counts_go_on_here_and_nobody_waits_longer_than_its_deadline() {
    let mut server = Server::start();
    let store = RedisStore::open(config(&server.url(), Duration::from_millis(200))).unwrap();
    store.connected(Duration::from_mins(1)).await.unwrap();
    let here = CampaignCounter::shared(CampaignRules::default(), &[7; 32], MemorySightings::new(), store);
    for i in 0..3 {
        assert_eq!(see(&here, &format!("a{i}"), None).await.owners, i + 1);
    }
    server.kill();
    for i in 3..30 {
        let started = Instant::now();
        assert_eq!(
            see(&here, &format!("a{i}"), None).await.owners,
            i + 1,
            "what this process saw goes on to count"
        );
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    assert!(here.counted_alone() >= 26, "{}", here.counted_alone());
    assert!(here.release(text(1).bits()).await.is_err(), "others do not know of it");
    assert!(here.is_released(&text(1)).await, "this process does");
    assert!(!here.is_released(&text(2)).await);
}

#[tokio::test]
async fn what_is_no_place_of_ours_is_said_and_the_process_counts_on() {
    let server = Server::start();
    let store = RedisStore::open(config(&server.url(), Duration::from_secs(10))).unwrap();
    let sighting = Sighting { sketch: text(1), owner: 1, agent: 1, submission: 1 };
    server.cli(&["SET", "claw:{c:3-0001}", "somebody else's"]);
    let refused = store.see(&sighting).await.unwrap_err();
    assert!(matches!(refused, LimitError::RedisDamaged { .. }), "{refused:?}");
    server.cli(&["SET", "claw:{released}", "x"]);
    assert!(matches!(store.is_released(&text(1)).await, Err(LimitError::RedisDamaged { .. })));
    assert!(matches!(store.release(7).await, Err(LimitError::RedisDamaged { .. })));
    assert!(!store.health().is_away, "the limiter goes on");
    let here = CampaignCounter::shared(CampaignRules::default(), &[7; 32], MemorySightings::new(), store);
    assert_eq!(see(&here, "a", None).await.owners, 1);
    assert_eq!(here.counted_alone(), 1);
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    for (owners, repeats, hold_owners, good) in [
        (5, 5, 20, true),
        (2, 2, 2, true),
        (100, 100, 100, true),
        (1, 5, 20, false),
        (5, 101, 20, false),
        (21, 5, 20, false),
    ] {
        let rules = CampaignRules::new(owners, repeats, hold_owners);
        assert_eq!(rules.is_ok(), good, "{owners} {repeats} {hold_owners}");
    }
}
