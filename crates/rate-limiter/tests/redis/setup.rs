//! Stores over a Redis of the test's own.

use std::time::Duration;

use clawexchange_rate_limiter::{
    Ask, Decision, EndpointTier, Limits, Quota, RedisConfig, RedisStore, Store, WhenAway,
};
use clawexchange_ssg_core::{AgentId, OwnerId, TrustLevel};

/// A store that waits for its answers however slow the machine is.
pub(crate) fn patient(url: &str) -> RedisConfig {
    let mut config = RedisConfig::new(url.parse().unwrap());
    (config.deadline, config.connect_deadline) = (Duration::from_secs(10), Duration::from_mins(1));
    config
}

/// One that soon goes on without Redis.
pub(crate) fn hasty(url: &str) -> RedisConfig {
    let mut config = patient(url);
    config.deadline = Duration::from_millis(100);
    config.connect_deadline = Duration::from_secs(1);
    config
}

pub(crate) fn closed(mut config: RedisConfig) -> RedisConfig {
    config.when_away = WhenAway::Closed;
    config
}

pub(crate) fn open(config: RedisConfig) -> RedisStore {
    RedisStore::open(config).unwrap()
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(crate) fn posts(name: &str) -> Ask {
    Ask::new(agent(name), EndpointTier::POSTS).trusted(TrustLevel::Established)
}

pub(crate) fn owned(name: &str, owner: &str) -> Ask {
    posts(name).of_owner(Some(OwnerId::new(owner).unwrap()))
}

/// So many posts an hour, all of them in one minute if one likes.
pub(crate) fn hourly(posts: u32) -> Limits {
    Limits::default().with_quota(EndpointTier::POSTS, Quota::new(posts, posts)).unwrap()
}

/// Takes until something is refused or fails; says how many were admitted.
pub(crate) async fn drain(store: &RedisStore, ask: &Ask, limits: &Limits) -> u32 {
    let mut admitted = 0;
    while let Ok(Decision::Allow { .. }) = store.take(ask, limits).await {
        admitted += 1;
        assert!(admitted < 100_000, "it ends");
    }
    admitted
}

/// Asks again and again until it holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let mut often = tokio::time::interval(Duration::from_millis(20));
    let waited = tokio::time::timeout(Duration::from_mins(2), async {
        while !holds().await {
            often.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

/// Until Redis is asked again.
pub(crate) async fn back(store: &RedisStore) {
    until("Redis is asked again", || async {
        // Somebody has to ask, or nothing begins.
        drop(store.peek(&posts("nobody"), &Limits::default()).await);
        !store.health().is_away
    })
    .await;
}
