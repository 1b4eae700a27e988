//! What can be said of the store without asking Redis, and what Redis says of itself.

use std::time::Duration;

use clawexchange_ssg_core::Timestamp;

use crate::redis::url::RedisKind;

/// Whether Redis is asked at all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "who shows states and forgets one must not compile")]
pub enum BreakerState {
    /// It is: it answers.
    #[default]
    Closed,
    /// It is not: it failed too often, and questions are answered without it.
    Open,
    /// It is tried by one question.
    Probing,
}

/// How a [`RedisStore`](crate::RedisStore) stands, as this process knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RedisHealth {
    /// Whether answers are given without Redis.
    pub is_away: bool,
    /// Since when, if they are.
    pub away_since: Option<Timestamp>,
    /// Whether Redis is asked.
    pub breaker: BreakerState,
    /// Processes that share the limits, this one included, as Redis last said; 1 until it did.
    pub instances: u32,
    /// Accounts of which is remembered what Redis last said.
    pub shadow_keys: u64,
    /// Refusals that are kept in memory.
    pub deny_cache_keys: u64,
    /// Acts that were given while Redis was away and that it was not told of yet.
    pub unreplayed: u64,
    /// What happened since this process began.
    pub counters: RedisCounters,
}

/// What happened since this process began: numbers that only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RedisCounters {
    /// Acts that were asked for.
    pub asks: u64,
    /// Of these, answered from memory because the same was refused a moment ago.
    pub denied_from_memory: u64,
    /// Commands that were sent to decide the rest: fewer than asks where several went as one.
    pub commands: u64,
    /// Acts that were decided without Redis.
    pub degraded: u64,
    /// Questions that Redis did not answer in time.
    pub timeouts: u64,
    /// Questions that failed otherwise.
    pub errors: u64,
    /// How often Redis had lost the script and was sent it again.
    pub script_losses: u64,
    /// How often the breaker opened.
    pub breaker_openings: u64,
    /// Units given while Redis was away that it was told of.
    pub replayed_units: u64,
    /// Connections that were made.
    pub connections_made: u64,
}

/// What sort of server it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ServerKind {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

/// What Redis says of itself. What it does not say, or not to us, is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ServerFacts {
    /// How the servers are arranged, as we were told.
    pub arrangement: RedisKind,
    /// What sort of server it is.
    pub kind: ServerKind,
    /// Its version, such as `7.0.15`.
    pub version: String,
    /// `master` or `slave`.
    pub role: Option<String>,
    /// What it forgets when memory is short, such as `noeviction`.
    pub eviction_policy: Option<String>,
    /// Bytes that it may use; 0: as many as there are.
    pub memory_max_bytes: Option<u64>,
    /// Bytes that it uses.
    pub memory_used_bytes: Option<u64>,
    /// Keys that it dropped since it began because memory was short.
    pub evicted_keys: Option<u64>,
    /// Whether it appends each change to a file.
    pub appends: Option<bool>,
    /// Whether it writes snapshots.
    pub snapshots: Option<bool>,
    /// Slots of the cluster that are served, of 16,384; `None` if there is no cluster.
    pub slots_covered: Option<u16>,
    /// Whether a connection that gives no password is refused.
    pub refuses_strangers: Option<bool>,
    /// How long the answer took.
    pub round_trip: Duration,
}
