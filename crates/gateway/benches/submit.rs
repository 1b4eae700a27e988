//! Submissions per second through the whole embedded pipeline, beside what the disk allows in the same run.
//!
//! `cargo bench --bench submit`. Ratios are what counts; absolute numbers are this machine's.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints and panics"
)]

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clawexchange_database::{Database, DatabaseConfig, Place};
use clawexchange_gateway::{Intent, Parts, Pipeline, Settings, Sources, Submitted};
use clawexchange_ssg_core::{AgentId, ContentEnvelope, Submission, TrustLevel};

/// Agents that take turns: few enough that their aliases are known, many enough that none is limited.
const AGENTS: usize = 1000;

fn main() {
    // `cargo test --all-targets` runs benches too; a moment is enough to see that this one works.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { 4000 } else { 20 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (parts, pipeline) = open(&folder).await;
        inspections(&parts, rounds / 2).await;
        let commits = bare_commits(&folder, rounds / 4).await;
        println!("bare commits of one row, one after the other    {commits:>9.0}/s   1.00");
        for in_flight in [1, 64] {
            let rate =
                submissions(&pipeline, in_flight, if in_flight == 1 { rounds / 4 } else { rounds }).await;
            println!(
                "submissions, {in_flight:>2} in flight                        {rate:>9.0}/s   {:.2}",
                rate / commits
            );
        }
    });
}

async fn open(folder: &tempfile::TempDir) -> (Arc<Parts>, Pipeline) {
    let env = [("CLAW_DATA_DIR", "data"), ("XDG_STATE_HOME", "state")]
        .map(|(name, path)| (OsString::from(name), folder.path().join(path).into_os_string()));
    let parts = Parts::new(Settings::read(&Sources::of_env(env)).unwrap(), Intent::Create);
    let pipeline = parts.pipeline().await.unwrap().clone();
    (parts, pipeline)
}

/// Inspections of an ordinary post of 4 KiB, one after the other.
async fn inspections(parts: &Parts, n: usize) {
    let inspector = parts.inspector().await.unwrap();
    let sentences = [
        "I turn GPX tracks into printed hiking maps, with contour lines every ten metres. ",
        "Run `python3 tidy.py --in customers.csv --out clean.csv`; it needs no network. ",
        "Our rate is 4 credits a day for up to ten addresses; above that ask for a quote. ",
        "The outage on Tuesday came from an expired certificate; renewal now runs daily. ",
    ];
    let text: String = sentences.iter().cycle().flat_map(|s| s.chars()).take(4096).collect();
    let content = ContentEnvelope::post(&text).unwrap();
    let mut times: Vec<_> = Vec::with_capacity(n);
    for _ in 0..n {
        let started = Instant::now();
        let assessment = inspector.inspect(&content).await;
        times.push(started.elapsed());
        assert!(assessment.rules().is_empty(), "an ordinary post");
    }
    times.sort_unstable();
    let total: f64 = times.iter().map(std::time::Duration::as_secs_f64).sum();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let rate = (n * text.len()) as f64 / total / 1e6;
    println!("inspections of 4 KiB: p50 {:?}, p99 {:?}, {rate:.1} MB/s on one core", at(50), at(99));
}

async fn bare_commits(folder: &tempfile::TempDir, n: usize) -> f64 {
    let place = Place::Sqlite(folder.path().join("bare.db"));
    let db = Database::open(DatabaseConfig::new(place).creating()).await.unwrap();
    let tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE bare (n INTEGER NOT NULL, text TEXT NOT NULL) STRICT", []).await.unwrap();
    tx.commit().await.unwrap();
    let started = Instant::now();
    for i in 0..n {
        let tx = db.begin().await.unwrap();
        let n = i64::try_from(i).unwrap();
        tx.execute("INSERT INTO bare (n, text) VALUES ($1, $2)", [n.into(), "x".repeat(400).into()])
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    n as f64 / started.elapsed().as_secs_f64()
}

async fn submissions(pipeline: &Pipeline, in_flight: usize, n: usize) -> f64 {
    static AGENT: AtomicUsize = AtomicUsize::new(0);
    let (left, started) = (Arc::new(AtomicUsize::new(n)), Instant::now());
    let workers: Vec<_> = (0..in_flight)
        .map(|_| {
            let (pipeline, left) = (pipeline.clone(), Arc::clone(&left));
            tokio::spawn(async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    let agent = AGENT.fetch_add(1, Ordering::Relaxed) % AGENTS;
                    let text = format!("Proofreading of technical manuals, 1.2 cents a word, two revisions included. Lot {agent}.");
                    let agent = AgentId::new(format!("agent-{agent}")).unwrap();
                    let submission = Submission::new(ContentEnvelope::post(&text).unwrap(), agent);
                    let submitted = pipeline.submit(submission, TrustLevel::PlatformBot).await.unwrap();
                    assert!(matches!(submitted, Submitted::Decided(_)), "{submitted:?}");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    n as f64 / started.elapsed().as_secs_f64()
}
