//! What every store of sightings does, asked of each of them, and what is said of them together.
#![cfg_attr(
    feature = "redis",
    expect(
        clippy::duplicate_mod,
        reason = "the same is asked of every store, each with its own way to open one"
    )
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use clawexchange_rate_limiter::SightingStore;
use clawexchange_ssg_core::testing::ManualClock;

type Store = Arc<dyn SightingStore>;

#[path = "sightings"]
mod in_process {
    use clawexchange_rate_limiter::MemorySightings;

    use super::{Arc, ManualClock, Store};

    fn store() -> (Store, ManualClock) {
        let clock = ManualClock::default();
        (Arc::new(MemorySightings::with_clock(10_000, clock.clone())), clock)
    }

    mod cases;
}

/// A store over a Redis, by a clock that the test moves.
#[cfg(feature = "redis")]
fn shared(url: &str, prefix: &str) -> (Store, ManualClock) {
    use std::time::Duration;

    use clawexchange_rate_limiter::{RedisConfig, RedisStore};

    let clock = ManualClock::default();
    let mut config = RedisConfig::new(url.parse().unwrap());
    prefix.clone_into(&mut config.prefix);
    (config.deadline, config.connect_deadline) = (Duration::from_secs(10), Duration::from_mins(1));
    (Arc::new(RedisStore::open_by(config, clock.clone(), 2_048).unwrap()), clock)
}

#[cfg(feature = "redis")]
#[path = "sightings"]
mod in_redis {
    use super::{ManualClock, Store};

    fn store() -> (Store, ManualClock) {
        super::shared(&clawexchange_testkit::redis::empty(), "claw")
    }

    mod cases;
}

#[cfg(feature = "redis")]
#[path = "sightings"]
mod in_a_cluster {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use clawexchange_testkit::redis::Cluster;

    use super::{ManualClock, Store};

    /// Three masters: the places of a text lie on all of them.
    fn store() -> (Store, ManualClock) {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("claw{}", NEXT.fetch_add(1, Ordering::Relaxed));
        super::shared(&CLUSTER.get_or_init(|| Cluster::start(0)).url(), &prefix)
    }

    mod cases;
}

#[cfg(feature = "redis")]
#[path = "sightings/beside_redis.rs"]
mod beside_redis;
