//! How fast the spool is emptied once the database is back, beside how fast events go on arriving meanwhile.
//!
//! `cargo bench --workspace --bench spool`, behind `--` how many seconds the server is away (10) and how many events come
//! a second (5000). The server is killed and recovers; it syncs as in production. Events come whether or not the ones
//! before were answered.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a bench prints and panics"
)]

#[path = "support/events.rs"]
#[expect(unreachable_pub, reason = "it is shared between benches")]
mod events;
#[path = "../tests/support/log.rs"]
#[expect(dead_code, unreachable_pub, reason = "of the tests' support only the keys are used")]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clawexchange_audit::{AuditConfig, AuditLog, Log, MIGRATIONS, SpoolConfig};
use clawexchange_database::{Database, DatabaseConfig, Place, Plan, PostgresUrl};
use clawexchange_ssg_core::{Clock as _, SystemClock};
use clawexchange_testkit::postgres::{Durability, Server};
use events::{event, median};
use support::TestKeys;

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    // `cargo test --all-targets` runs benches too; a moment is enough to see that this one works.
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let (away, rate, rounds) = if is_bench { (10, 5000, 3) } else { (1, 100, 1) };
    let away = Duration::from_secs(numbers.first().copied().unwrap_or(away));
    let rate = numbers.get(1).copied().unwrap_or(rate);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let drained: Vec<f64> = (0..rounds).map(|_| runtime.block_on(round(away, rate))).collect();
    let drained = median(drained);
    println!("median of {rounds}: the spool is emptied {drained:.1} times as fast as events arrive");
}

async fn open(url: &str, folder: &std::path::Path) -> AuditLog {
    let mut config = DatabaseConfig::new(Place::Postgres(PostgresUrl::parse(url).unwrap()));
    (config.acquire_timeout, config.statement_timeout) = (Duration::from_secs(1), Duration::from_secs(2));
    let db = Database::open(config).await.unwrap();
    Plan::of([MIGRATIONS]).up(&db, None, SystemClock::new().now()).await.unwrap();
    let mut config = AuditConfig::default();
    config.spool = Some(SpoolConfig::new(folder));
    AuditLog::open(db, TestKeys::default(), config).await.unwrap()
}

/// What arrives, until it is told to stop.
#[derive(Default)]
struct Arrivals {
    ends: AtomicBool,
    acknowledged: AtomicU64,
    refused: AtomicU64,
}

async fn arrive(log: AuditLog, rate: u64, arrivals: Arc<Arrivals>) {
    let (started, mut sent, mut tasks) = (Instant::now(), 0, tokio::task::JoinSet::new());
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while !arrivals.ends.load(Ordering::Relaxed) {
        tick.tick().await;
        let due = started.elapsed().as_millis() as u64 * rate / 1000;
        while sent < due {
            let (log, arrivals, event) = (log.clone(), Arc::clone(&arrivals), event(sent as usize));
            tasks.spawn(async move {
                let told =
                    if log.append(event).await.is_ok() { &arrivals.acknowledged } else { &arrivals.refused };
                told.fetch_add(1, Ordering::Relaxed);
            });
            sent += 1;
        }
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
}

/// So much time of the load.
async fn passed(time: Duration) {
    let mut ends = tokio::time::interval(time);
    ends.tick().await;
    ends.tick().await;
}

/// How many times as fast as they arrive the events that were kept came into the log.
async fn round(away: Duration, rate: u64) -> f64 {
    let mut server = Server::start(Durability::Full);
    let url = server.url(&server.create());
    let folder = tempfile::tempdir().unwrap();
    let log = open(&url, folder.path()).await;
    let arrivals = Arc::new(Arrivals::default());
    let arriving = tokio::spawn(arrive(log.clone(), rate, Arc::clone(&arrivals)));
    passed(Duration::from_secs(1)).await;
    tokio::task::block_in_place(|| server.kill());
    passed(away).await;
    tokio::task::block_in_place(|| server.run());
    let back = Instant::now();
    let kept = log.spool_status().await.unwrap().unwrap().events;
    let mut look = tokio::time::interval(Duration::from_millis(5));
    let before = arrivals.acknowledged.load(Ordering::Relaxed);
    while log.spool_bytes() > 0 {
        look.tick().await;
        assert!(back.elapsed() < Duration::from_mins(5), "the spool is not emptied");
    }
    let took = back.elapsed().as_secs_f64();
    let arrived = (arrivals.acknowledged.load(Ordering::Relaxed) - before) as f64 / took;
    arrivals.ends.store(true, Ordering::Relaxed);
    arriving.await.unwrap();
    log.replay_spool().await.unwrap();
    let acknowledged = arrivals.acknowledged.load(Ordering::Relaxed);
    assert_eq!(log.size(Log::Verdicts).await.unwrap(), acknowledged, "each once that was acknowledged");
    let drained = kept as f64 / took;
    println!(
        "away {:.0} s: {kept} events kept, all in the log {took:.2} s after the server was back: {drained:.0}/s, while \
         {arrived:.0}/s went on arriving ({} refused): {:.1} times",
        away.as_secs_f64(),
        arrivals.refused.load(Ordering::Relaxed),
        drained / arrived
    );
    drained / arrived
}
