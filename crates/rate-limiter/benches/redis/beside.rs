//! What users have today, driven by the same client: the floor of any script with state, and two transactions on sorted
//! sets, one a window.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Client, Script, Value, cmd, pipe};

/// The least that a script does which keeps anything: it asks the time, reads and writes.
const FLOOR: &str = "local t = redis.call('TIME') local v = redis.call('GET', KEYS[1]) redis.call('SET', KEYS[1], ARGV[1], 'PX', 3600000) return v";

#[derive(Clone)]
pub(crate) struct Beside {
    connections: Vec<MultiplexedConnection>,
    floor: Arc<String>,
    next: Arc<AtomicU64>,
}

impl Beside {
    /// As many connections as the store has.
    pub(crate) async fn open(url: &str, connections: usize) -> Self {
        let client = Client::open(url).unwrap();
        let mut all = Vec::new();
        for _ in 0..connections {
            all.push(client.get_multiplexed_async_connection().await.unwrap());
        }
        let floor = Script::new(FLOOR);
        let mut first = all.first().unwrap().clone();
        floor.prepare_invoke().load_async(&mut first).await.unwrap();
        Self { connections: all, floor: Arc::new(floor.get_hash().to_owned()), next: Arc::default() }
    }

    fn connection(&self) -> (MultiplexedConnection, u64) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let place = usize::try_from(number).unwrap() % self.connections.len();
        (self.connections.get(place).unwrap().clone(), number)
    }

    pub(crate) async fn floor(&self, agent: u64) {
        let (mut connection, _) = self.connection();
        let mut command = cmd("EVALSHA");
        command.arg(&*self.floor).arg(1).arg(format!("floor:{{agent-{agent:04}}}:POSTS")).arg("12345");
        command.query_async::<Value>(&mut connection).await.unwrap();
    }

    /// A transaction for the minute and, after it, one for the hour.
    pub(crate) async fn two_transactions(&self, agent: u64) {
        for (window, seconds) in [("minute", 60_i64), ("hour", 3_600)] {
            let (mut connection, number) = self.connection();
            let now =
                i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
            let key = format!("sets:{{agent-{agent:04}}}:POSTS:{window}");
            let mut both = pipe();
            both.atomic();
            both.cmd("ZREMRANGEBYSCORE").arg(&key).arg(0).arg(now - seconds * 1_000);
            both.cmd("ZADD").arg(&key).arg(now).arg(format!("{now}-{number}"));
            both.cmd("ZCARD").arg(&key);
            both.cmd("EXPIRE").arg(&key).arg(seconds);
            both.query_async::<Value>(&mut connection).await.unwrap();
        }
    }
}
