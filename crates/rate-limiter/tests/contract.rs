//! What every store of counters does, asked of each of them.
#![cfg_attr(
    feature = "redis",
    expect(
        clippy::duplicate_mod,
        reason = "the same is asked of every store, each with its own way to open one"
    )
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use clawexchange_rate_limiter::{Limiter, Limits};
use clawexchange_ssg_core::testing::ManualClock;

#[path = "contract"]
mod in_process {
    use clawexchange_rate_limiter::{MemoryConfig, MemoryStore};

    use super::{Limiter, Limits, ManualClock};

    fn limiter() -> (Limiter, ManualClock) {
        let clock = ManualClock::default();
        let store = MemoryStore::new(MemoryConfig::default(), clock.clone());
        (Limiter::new(store, Limits::default()), clock)
    }

    mod cases;
}

/// A limiter over a Redis, by a clock that the test moves.
#[cfg(feature = "redis")]
fn shared(url: &str, prefix: &str) -> (Limiter, ManualClock) {
    use std::time::Duration;

    use clawexchange_rate_limiter::{RedisConfig, RedisStore, WhenAway};

    let clock = ManualClock::default();
    let mut config = RedisConfig::new(url.parse().unwrap());
    prefix.clone_into(&mut config.prefix);
    // The clock is moved without being waited for, which what is kept in memory knows nothing of.
    (config.deadline, config.deny_cache_max) = (Duration::from_secs(10), Duration::ZERO);
    config.connect_deadline = Duration::from_mins(1);
    config.when_away = WhenAway::Closed;
    let store = RedisStore::open_by(config, clock.clone(), 2_048).unwrap();
    (Limiter::new(store, Limits::default()), clock)
}

#[cfg(feature = "redis")]
#[path = "contract"]
mod in_redis {
    use super::{Limiter, ManualClock};

    fn limiter() -> (Limiter, ManualClock) {
        super::shared(&clawexchange_testkit::redis::empty(), "claw")
    }

    mod cases;
}

#[cfg(feature = "redis")]
#[path = "contract"]
mod in_a_cluster {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use clawexchange_testkit::redis::Cluster;

    use super::{Limiter, ManualClock};

    /// Three masters: most agents and owners lie on two of them.
    fn limiter() -> (Limiter, ManualClock) {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("claw{}", NEXT.fetch_add(1, Ordering::Relaxed));
        super::shared(&CLUSTER.get_or_init(|| Cluster::start(0)).url(), &prefix)
    }

    mod cases;
}
