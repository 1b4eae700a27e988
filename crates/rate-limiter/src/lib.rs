//! Says how often an agent may act.
//!
//! A sort of act, a tier, has a quota in any hour and in any minute. Trust raises or lowers it, an agent's own history
//! lowers it, and above all agents of one owner stands a ceiling. An act is charged to the agent and to its owner in
//! both windows, or nowhere: what is refused costs nothing, and the refusal says to the millisecond when the same act
//! fits. Both windows slide: in no hour and in no minute, wherever they begin, is more admitted than the limit.
//!
//! The decision is a pure function over [`SlidingLog`]s, which a [`Store`] keeps: [`MemoryStore`] in this process, with
//! a journal if it is to survive one, `RedisStore` for all processes that share a Redis. This crate does not know who an agent is, nor what it did: trust and offences are
//! handed in.
//!
//! ```
//! use clawexchange_rate_limiter::{Ask, Decision, EndpointTier, Limiter, Limits};
//! use clawexchange_ssg_core::{AgentId, TrustLevel};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = Limiter::in_process(Limits::default()); // 10 posts an hour, 3 a minute
//! let ask = Ask::new(AgentId::new("agent-7")?, EndpointTier::POSTS).trusted(TrustLevel::Established);
//! for _ in 0..3 {
//!     assert!(limiter.take(&ask).await?.is_allowed());
//! }
//! let Decision::Deny { wait, status } = limiter.take(&ask).await? else { panic!("a fourth in one minute") };
//! assert!(wait.as_secs() <= 60);
//! assert_eq!((status.minute.used, status.hour.remaining()), (3, 7), "the refusal was charged nowhere");
//! # Ok(())
//! # }
//! ```
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `http` | a tower layer, `RateLimit` headers, refusals as problems | no |
//! | `redis` | counters in Redis or Valkey, for many processes | no |
//! | `stored` | limits kept in the database and followed, with their migrations | no |

mod campaigns;
mod decision;
mod error;
#[cfg(feature = "http")]
pub mod http;
mod journal;
mod limiter;
mod limits;
mod memory;
mod overrides;
mod penalties;
#[cfg(feature = "redis")]
mod redis;
mod store;
#[cfg(feature = "stored")]
pub mod stored;
mod tier;
mod window;

/// The examples of the README.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub use campaigns::{
    CampaignCounter, CampaignRules, CampaignRulesError, KEPT_MAX, MemorySightings, Seen, Sighting,
    SightingStore,
};
pub use decision::{AgentStatus, Ask, Decision, Outlook, OwnerStatus, Permit, TierStatus, WindowStatus};
pub use error::LimitError;
pub use limiter::Limiter;
pub use limits::{
    Limits, LimitsError, LimitsProblem, MULTIPLIER_MAX, Multiplier, MultiplierError, OWNER_SHARE,
    PenaltyFactors, QUOTA_MAX, Quota, Rates, TIERS_MAX, Trust, UNITS_MAX,
};
pub use memory::{Fail, MemoryConfig, MemoryStore};
pub use overrides::{AgentRates, OVERRIDES_MAX, Override};
pub use penalties::{
    HIGH_KEPT, HIGH_MS, MODERATE_KEPT, MODERATE_MS, Offence, OffenceId, Penalised, PenalisedUntil, Penalties,
    REPEATED_MS, Suspension,
};
#[cfg(feature = "redis")]
pub use redis::{
    BreakerState, REDIS_NODES_MAX, RedisConfig, RedisCounters, RedisHealth, RedisKind, RedisStore, RedisUrl,
    RedisUrlError, ServerFacts, ServerKind, WhenAway,
};
pub use store::Store;
pub use tier::{EndpointTier, TIER_BYTES_MAX, TierNameError};
pub use window::{Case, HOUR_MS, MINUTE_MS, Ruling, SlidingLog, Tick};
