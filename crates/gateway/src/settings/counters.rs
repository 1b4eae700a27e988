//! Settings of the counters that several instances share.

use super::setting::{Setting, Usual};
use super::table::number;
use super::value::Kind;

/// As the store of the counters has it: a prefix is in every key, and in memory as often.
const PREFIX_CHARS_MAX: usize = 64;
/// As the store of the counters has them. Nobody waits ten seconds to be told to come back later.
const REDIS_DEADLINE_MS_MAX: u64 = 10_000;
const REDIS_CONNECT_MS_MAX: u64 = 60_000;
const REDIS_CONNECTIONS_MAX: u64 = 64;
/// More servers than any platform of agents has before one gate.
const INSTANCES_MAX: u64 = 10_000;

pub(super) static REDIS: Setting = Setting::env(
    "REDIS_URL",
    Kind::Redis,
    Usual::Unset("counters in this process, journalled to the data folder"),
    "the Redis or Valkey of the counters: one server, a cluster, or what Sentinel names; several instances count together there",
);
pub(super) static REDIS_CA: Setting = Setting::env(
    "CLAW_REDIS_CA_FILE",
    Kind::Path,
    Usual::Unset("the authorities that the system trusts"),
    "the certificates in PEM of the authorities that may speak for Redis, where REDIS_URL says rediss",
)
.key("redis.ca_file");
pub(super) static SENTINEL_PASSWORD: Setting = Setting::env(
    "CLAW_REDIS_SENTINEL_PASSWORD",
    Kind::Password,
    Usual::Unset("none"),
    "what the Sentinels want to hear, if anything; the password in REDIS_URL is that of the servers",
);
pub(super) static REDIS_PLAINTEXT: Setting = Setting::env(
    "CLAW_REDIS_PLAINTEXT",
    Kind::Boolean,
    Usual::Same("false"),
    "whether production may ask a Redis beyond this machine without TLS, where the network between is nobody else's",
)
.key("redis.plaintext");
pub(super) static REDIS_PREFIX: Setting = Setting::env(
    "CLAW_REDIS_PREFIX",
    Kind::Text { chars_max: PREFIX_CHARS_MAX },
    Usual::Same("claw"),
    "what the names of all keys in Redis begin with: `A-Za-z0-9_.:-`; each deployment that shares a Redis has its own",
)
.key("redis.prefix");
pub(super) static REDIS_DEADLINE: Setting = Setting::env(
    "CLAW_REDIS_DEADLINE_MS",
    number(1, REDIS_DEADLINE_MS_MAX, "milliseconds"),
    Usual::Same("25"),
    "how long Redis may take to answer, all told; then CLAW_LIMITER_WHEN_AWAY says what is done",
)
.key("redis.deadline_ms");
pub(super) static REDIS_CONNECT: Setting = Setting::env(
    "CLAW_REDIS_CONNECT_DEADLINE_MS",
    number(1, REDIS_CONNECT_MS_MAX, "milliseconds"),
    Usual::Same("1000"),
    "how long a connection to Redis may take to be made; no submission waits for it",
)
.key("redis.connect_deadline_ms");
pub(super) static REDIS_CONNECTIONS: Setting = Setting::env(
    "CLAW_REDIS_CONNECTIONS",
    number(1, REDIS_CONNECTIONS_MAX, ""),
    Usual::Same("2"),
    "how many connections each node of Redis is asked through; many questions share one",
)
.key("redis.connections");
pub(super) static INSTANCES: Setting = Setting::env(
    "CLAW_LIMITER_INSTANCES",
    number(1, INSTANCES_MAX, ""),
    Usual::Same("1"),
    "how many instances an instance that begins while Redis is away takes there to be: it gives one share of so many",
)
.key("redis.instances");
pub(super) static WHEN_AWAY: Setting = Setting::env(
    "CLAW_LIMITER_WHEN_AWAY",
    Kind::Word(&["local", "open", "closed"]),
    Usual::Same("local"),
    "what is done while Redis does not answer: each instance gives its share of the limits, everything is let in, or submissions are answered 503",
)
.key("redis.when_away");
