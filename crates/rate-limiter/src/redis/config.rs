//! How counters in Redis are reached, and what is done while they are not.

use std::fmt;
use std::time::Duration;

use crate::error::LimitError;
use crate::redis::url::RedisUrl;

/// How long one question may take, all told.
const DEADLINE: Duration = Duration::from_millis(25);

/// How long making a connection may take. It happens beside the questions, which wait no longer for it.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);

/// How long a refusal is answered from memory at most: what another process changes is seen within a second.
const DENY_CACHE_AGE: Duration = Duration::from_millis(900);

const DENY_CACHE_KEYS: usize = 100_000;
const SHADOW_KEYS: usize = 100_000;
const CONNECTIONS: usize = 2;
const CONNECTIONS_MAX: usize = 64;
const PREFIX: &str = "claw";
const PREFIX_BYTES_MAX: usize = 64;

/// What is done with an act while Redis does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "who handles directions and forgets one must not compile")]
pub enum WhenAway {
    /// What was last known of the account goes on to count here, and of what was left of its limit this process may give
    /// its share: one part of as many as there are processes. An account that this process never saw has its share of the
    /// whole limit. What was given is told to Redis when it is back.
    #[default]
    Local,
    /// The act is allowed and charged to nobody.
    Open,
    /// The act is refused with an error.
    Closed,
}

/// Where Redis is and how it is asked.
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    /// Where Redis is.
    pub url: RedisUrl,
    /// What all keys begin with, so that several platforms may share a Redis; `claw` unless set. 1 to 64 of
    /// `A-Z a-z 0-9 _ . : -`.
    pub prefix: String,
    /// Certificates in PEM of the authorities that may speak for the servers, in the place of the system's.
    pub tls_ca_pem: Option<Vec<u8>>,
    /// What the Sentinels want to hear, if anything; the password of the address is that of the servers. Not shown.
    pub sentinel_password: Option<String>,
    /// How long one question may take, waiting for its turn and for the answer included. 25 ms unless set; 1 ms to 10 s.
    pub deadline: Duration,
    /// How long making a connection may take. 1 s unless set; 1 ms to 60 s. No question waits so long.
    pub connect_deadline: Duration,
    /// Connections to each node. 2 unless set; 1 to 64. Many questions share one.
    pub connections: usize,
    /// How long a refusal is answered from memory at most, even if the place that it waits for frees later: as long as a
    /// lifted suspension, a reset or a refund by another process may stay unseen. 900 ms unless set; zero: not at all.
    pub deny_cache_max: Duration,
    /// Refusals that are kept in memory at most. 100,000 unless set.
    pub deny_cache_keys: usize,
    /// Whether this process only looks after the counters, as a command does, and gives nothing while Redis is away: it
    /// is not counted among those that share the limits. It is, unless set.
    pub is_observer: bool,
    /// Processes that share the limits as long as Redis has not said how many there are: one that begins while Redis is
    /// away takes its share of so many. 1 unless set.
    pub instances_assumed: u32,
    /// Accounts of which is remembered what Redis last said, in case it goes away. 100,000 unless set, some 100 bytes and
    /// five for each unit.
    pub shadow_keys: usize,
    /// What is done while Redis does not answer.
    pub when_away: WhenAway,
}

impl RedisConfig {
    /// That address, and the rest as it is unless set.
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            prefix: PREFIX.to_owned(),
            tls_ca_pem: None,
            sentinel_password: None,
            deadline: DEADLINE,
            connect_deadline: CONNECT_DEADLINE,
            connections: CONNECTIONS,
            deny_cache_max: DENY_CACHE_AGE,
            deny_cache_keys: DENY_CACHE_KEYS,
            is_observer: false,
            instances_assumed: 1,
            shadow_keys: SHADOW_KEYS,
            when_away: WhenAway::default(),
        }
    }

    pub(crate) fn checked(self) -> Result<Self, LimitError> {
        let wrong = |what| Err(LimitError::RedisConfig { what });
        let is_named = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
        let ms = Duration::from_millis(1);
        if !(1..=PREFIX_BYTES_MAX).contains(&self.prefix.len()) || !self.prefix.bytes().all(is_named) {
            // A brace would choose the slot for all keys, or let an id choose it.
            return wrong("the prefix of keys has 1 to 64 of A-Z a-z 0-9 _ . : -");
        }
        if !(ms..=Duration::from_secs(10)).contains(&self.deadline) {
            return wrong("the deadline of a question is 1 ms to 10 s");
        }
        if !(ms..=Duration::from_mins(1)).contains(&self.connect_deadline) {
            return wrong("the deadline of a connection is 1 ms to 60 s");
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return wrong("there are 1 to 64 connections");
        }
        Ok(self)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &self.url)
            .field("prefix", &self.prefix)
            .field("deadline", &self.deadline)
            .field("connections", &self.connections)
            .field("when_away", &self.when_away)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_could_choose_a_slot_and_a_deadline_that_is_none_are_refused() {
        let config = || RedisConfig::new("redis://h".parse().unwrap());
        assert!(config().checked().is_ok());
        for prefix in ["", "a{b}", "a b", "ä", &"a".repeat(65)] {
            let refused = RedisConfig { prefix: (*prefix).to_owned(), ..config() };
            assert!(matches!(refused.checked(), Err(LimitError::RedisConfig { .. })), "{prefix}");
        }
        assert!(RedisConfig { deadline: Duration::ZERO, ..config() }.checked().is_err());
        assert!(RedisConfig { connections: 0, ..config() }.checked().is_err());
    }
}
