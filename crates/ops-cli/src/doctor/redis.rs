//! Redis: whether it answers, lets nobody else in, and keeps what it was told.

use std::net::IpAddr;

use clawexchange_audit::Log;
use clawexchange_gateway::{HistoryMark, PartsError, RedisSettings};
use clawexchange_rate_limiter::{LimitError, RedisUrl, ServerFacts, ServerKind};
use clawexchange_ssg_core::{Clock as _, Fault as _, FaultKind, SystemClock};

use super::{Deployment, Found, Looked, postgres};

/// The oldest version whose scripts write what they decide, and not what they were told.
const REDIS_MIN: u32 = 7;

/// The slots of a cluster.
const SLOTS: u16 = 16_384;

/// From so much of the memory on that Redis may use, somebody should see to it: in percent.
const FULL: u64 = 80;

fn facts_of(found: Result<&ServerFacts, Found>) -> Result<&ServerFacts, Found> {
    found.map_err(|found| match found.state {
        super::State::Skip => found,
        _ => Found::unknown_until("redis"),
    })
}

pub(super) async fn answers(deployment: &Deployment) -> Looked {
    let facts = deployment.redis_facts().await.map_err(|found| match found.state {
        super::State::Skip => found,
        _ => Found::fail(
            found.text,
            "start it, or see REDIS_URL; meanwhile submissions are counted as CLAW_LIMITER_WHEN_AWAY says",
        ),
    })?;
    let name = match facts.kind {
        ServerKind::Valkey => "Valkey",
        _ => "Redis",
    };
    if facts.version.is_empty() {
        return Ok(Found::unknown(
            "this user may not ask which version it is; it answers",
            Some("see that it is Redis 7 or newer, or Valkey, or grant +info"),
        ));
    }
    let major = facts.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if facts.kind == ServerKind::Redis && major.is_none_or(|major| major < REDIS_MIN) {
        return Ok(Found::fail(
            format!("it is {name} {}", facts.version),
            format!("run Redis {REDIS_MIN} or newer, or Valkey"),
        ));
    }
    if facts.role.as_deref() == Some("slave") {
        return Ok(Found::fail(
            "it is a replica, which writes nothing down",
            "name the master in REDIS_URL, or Sentinel, which knows it: redis+sentinel://host:26379/master",
        ));
    }
    let deadline = deployment.settings().redis.as_ref().map(|redis| redis.deadline).unwrap_or_default();
    let text =
        format!("{name} {}, an answer took {:.1} ms", facts.version, facts.round_trip.as_secs_f64() * 1e3);
    Ok(if facts.round_trip * 2 > deadline {
        Found::warn(
            format!("{text}, of {} ms that it may take", deadline.as_millis()),
            "move it nearer, or raise CLAW_REDIS_DEADLINE_MS; each submission waits for it",
        )
    } else {
        Found::ok(text)
    })
}

pub(super) async fn auth(deployment: &Deployment) -> Looked {
    let facts = facts_of(deployment.redis_facts().await)?;
    let fix = "set requirepass or ACL users in redis.conf, and name user and password in REDIS_URL_FILE";
    Ok(match facts.refuses_strangers {
        Some(true) => Found::ok("who has no password is refused"),
        Some(false) => Found::fail("it lets in whoever has no password", fix),
        None => Found::unknown("a connection without a password could not be tried", Some(fix)),
    })
}

pub(super) async fn private(deployment: &Deployment) -> Looked {
    deployment.counters().await?;
    let Some(RedisSettings { url, .. }) = &deployment.settings().redis else {
        return Ok(Found::skip("no Redis"));
    };
    if url.is_local() {
        return Ok(Found::ok("it is on this machine; see that `bind` in redis.conf names no other address"));
    }
    let fix = "give it a private address, or let a firewall keep everybody but the application out";
    Ok(match public_node(url) {
        Some(node) => Found::warn(format!("{node} is a public address"), fix),
        None => Found::unknown("who is kept out by a firewall is not seen from here", Some(fix)),
    })
}

fn public_node(url: &RedisUrl) -> Option<IpAddr> {
    let mut addresses = url.nodes().filter_map(|(host, _)| host.parse::<IpAddr>().ok());
    addresses.find(|address| !postgres::is_private(*address))
}

pub(super) async fn memory(deployment: &Deployment) -> Looked {
    let facts = facts_of(deployment.redis_facts().await)?;
    let Some(policy) = &facts.eviction_policy else {
        return Ok(Found::unknown(
            "this user may not ask for maxmemory-policy",
            Some("see that it is noeviction or volatile-ttl, or grant +config|get +info"),
        ));
    };
    let fix = "CONFIG SET maxmemory-policy noeviction, and write it into redis.conf; a Redis that is also a cache needs one of its own for counters";
    if !["noeviction", "volatile-ttl"].contains(&policy.as_str()) {
        return Ok(Found::fail(
            format!(
                "with maxmemory-policy {policy} it drops counters when memory is short, and whoever used up a limit begins anew"
            ),
            fix,
        ));
    }
    if let Some(evicted) = facts.evicted_keys.filter(|evicted| *evicted > 0) {
        return Ok(Found::warn(
            format!("{evicted} keys were dropped since it began, counters perhaps among them"),
            "raise maxmemory, or give the counters a Redis of their own; CONFIG RESETSTAT counts anew",
        ));
    }
    let (used, most) = (facts.memory_used_bytes, facts.memory_max_bytes.filter(|most| *most > 0));
    let size = |bytes: u64| postgres::size(i64::try_from(bytes).unwrap_or(i64::MAX));
    Ok(match (used, most) {
        (Some(used), Some(most)) if used.saturating_mul(100) > most.saturating_mul(FULL) => Found::warn(
            format!(
                "{} of {} are used, and nothing is dropped: full, it refuses to count",
                size(used),
                size(most)
            ),
            "raise maxmemory",
        ),
        (Some(used), Some(most)) => Found::ok(format!("{policy}, {} of {} used", size(used), size(most))),
        (Some(used), None) => {
            Found::ok(format!("{policy}, {} used, with no bound but the machine's", size(used)))
        }
        _ => Found::ok(policy.clone()),
    })
}

pub(super) async fn persistence(deployment: &Deployment) -> Looked {
    let facts = facts_of(deployment.redis_facts().await)?;
    Ok(match (facts.appends, facts.snapshots) {
        (Some(true), _) => Found::ok("it appends what it is told to a file"),
        (Some(false), Some(true)) => Found::warn(
            "it writes snapshots alone: a crash forgets what was counted since the last",
            "set appendonly yes; the penalties of a week come back from the log in any case",
        ),
        (Some(false), Some(false)) => Found::warn(
            "it writes nothing down: a restart lets every agent begin anew",
            "set appendonly yes; the penalties of a week come back from the log in any case",
        ),
        _ => Found::unknown(
            "this user may not ask whether it writes anything down",
            Some("see that appendonly is yes, or grant +config|get +info"),
        ),
    })
}

pub(super) async fn cluster(deployment: &Deployment) -> Looked {
    let facts = facts_of(deployment.redis_facts().await)?;
    Ok(match facts.slots_covered {
        None => Found::skip("no cluster"),
        Some(SLOTS) => Found::ok("all slots have a node"),
        Some(covered) => Found::fail(
            format!(
                "{} of {SLOTS} slots have no node, so some agents are not counted",
                SLOTS.saturating_sub(covered)
            ),
            "bring the missing nodes back, or run redis-cli --cluster fix",
        ),
    })
}

/// Followers are a second behind; so many decisions behind for as long as it takes to run this is too many.
const BEHIND_MAX: u64 = 1000;

pub(super) async fn history(deployment: &Deployment) -> Looked {
    let store = deployment.counters().await?;
    let log = deployment.log()?;
    let mark = match HistoryMark::read(store, deployment.rows()?).await {
        Ok(mark) => mark,
        Err(PartsError::Limits(LimitError::Away(_))) => return Ok(Found::unknown_until("redis")),
        Err(error) if error.kind() == FaultKind::Configuration => return Err(error.into()),
        Err(error) => return Err(error.into()),
    };
    let Some(mark) = mark else {
        return Ok(Found::warn(
            "the counters were not taught what the log says: they are new, or were emptied",
            "let `claw serve` run, which does it within a second",
        ));
    };
    let size = log.size(Log::Decisions).await?;
    let age = SystemClock::new().now().since(mark.learned).as_secs() / 60;
    Ok(if size.abs_diff(mark.index) > BEHIND_MAX {
        Found::warn(
            format!("the counters know {} of {size} decisions", mark.index),
            "let `claw serve` run, and see its log for what keeps it from teaching them",
        )
    } else {
        Found::ok(format!("they know the log up to its end, and all of the last week since {age} minutes"))
    })
}

pub(super) async fn tls(redis: &RedisSettings, deployment: &Deployment) -> Looked {
    facts_of(deployment.redis_facts().await)?;
    Ok(if redis.url.is_tls() {
        Found::ok("Redis proved its name by a certificate")
    } else if redis.url.is_local() {
        Found::ok("Redis is on this machine, where nobody listens in")
    } else if redis.plaintext {
        Found::warn(
            "what Redis is told can be read on the way, as CLAW_REDIS_PLAINTEXT allows",
            "write rediss:// in REDIS_URL and leave CLAW_REDIS_PLAINTEXT out",
        )
    } else {
        Found::fail(
            "what Redis is told, and its password, can be read on the way",
            "write rediss:// in REDIS_URL",
        )
    })
}
