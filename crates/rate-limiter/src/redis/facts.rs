//! What Redis says of itself, for whoever looks after it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use deadpool_redis::redis::{Cmd, FromRedisValue as _, Value, cmd};

use super::health::{ServerFacts, ServerKind};
use super::inner::Inner;
use super::link::{Connection, Failure};
use crate::error::LimitError;

/// How long each of the questions may take: nobody waits for them but a person.
const PATIENCE: Duration = Duration::from_secs(2);

impl Inner {
    pub(super) async fn facts(&self) -> Result<ServerFacts, LimitError> {
        let opened = tokio::time::timeout(PATIENCE, self.link.open()).await;
        let mut connection = opened.map_err(|_elapsed| Failure::Late)?.map_err(Failure::from)?;
        let begun = Instant::now();
        asked(&mut connection, &cmd("PING")).await?;
        let round_trip = begun.elapsed();
        // A user may be let in and yet not be told.
        let info = lines(asked(&mut connection, &cmd("INFO")).await.unwrap_or(Value::Nil));
        let of = |name: &str| info.get(name).cloned();
        let number = |name: &str| of(name).and_then(|text| text.parse().ok());
        let kind = match of("server_name").as_deref() {
            Some("valkey") => ServerKind::Valkey,
            _ if info.contains_key("valkey_version") => ServerKind::Valkey,
            _ => ServerKind::Redis,
        };
        let version = of("valkey_version").or_else(|| of("redis_version")).unwrap_or_default();
        let slots_covered = if self.link.is_cluster() {
            let cluster = lines(asked(&mut connection, cmd("CLUSTER").arg("INFO")).await?);
            cluster.get("cluster_slots_ok").and_then(|text| text.parse().ok())
        } else {
            None
        };
        Ok(ServerFacts {
            arrangement: self.config().url.kind(),
            kind,
            version,
            role: of("role"),
            eviction_policy: of("maxmemory_policy"),
            memory_max_bytes: number("maxmemory"),
            memory_used_bytes: number("used_memory"),
            evicted_keys: number("evicted_keys"),
            appends: of("aof_enabled").map(|text| text == "1"),
            snapshots: setting(&mut connection, "save").await.map(|text| !text.is_empty()),
            slots_covered,
            refuses_strangers: self.refuses_strangers().await,
            round_trip,
        })
    }

    /// Whether a connection that gives no password is refused; `None` if that cannot be told.
    async fn refuses_strangers(&self) -> Option<bool> {
        if self.config().url.master().is_some() {
            // Where the master is, the Sentinels say; a stranger would have to be let in by them first.
            return None;
        }
        let tried = async {
            let mut stranger = self.link.open_as_stranger().await?;
            cmd("PING").query_async::<String>(&mut stranger).await
        };
        match tokio::time::timeout(PATIENCE, tried).await {
            Ok(Ok(_)) => Some(false),
            Ok(Err(error)) => {
                let said = error.to_string();
                let is_refused = ["NOAUTH", "NOPERM", "DENIED"].iter().any(|code| said.contains(code));
                (is_refused || error.code() == Some("NOAUTH")).then_some(true)
            }
            Err(_elapsed) => None,
        }
    }
}

async fn asked(connection: &mut Connection, command: &Cmd) -> Result<Value, LimitError> {
    let answer = tokio::time::timeout(PATIENCE, connection.ask(command)).await;
    Ok(answer.map_err(|_elapsed| Failure::Late)?.map_err(Failure::from)?)
}

/// A setting, if we may see it.
async fn setting(connection: &mut Connection, name: &str) -> Option<String> {
    let answer = asked(connection, cmd("CONFIG").arg("GET").arg(name)).await.ok()?;
    let values = Vec::<String>::from_redis_value(first(answer)).ok()?;
    values.into_iter().nth(1)
}

/// Of the answers of several nodes the first.
fn first(value: Value) -> Value {
    match value {
        Value::Map(nodes) => nodes.into_iter().next().map_or(Value::Nil, |(_, value)| value),
        value => value,
    }
}

/// `name:value` lines.
fn lines(value: Value) -> HashMap<String, String> {
    let text = String::from_redis_value(first(value)).unwrap_or_default();
    let pair =
        |line: &str| line.trim().split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.lines().filter_map(pair).collect()
}
