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
        let pipeline = open(&folder).await;
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

async fn open(folder: &tempfile::TempDir) -> Pipeline {
    let env = [("CLAW_DATA_DIR", "data"), ("XDG_STATE_HOME", "state")]
        .map(|(name, path)| (OsString::from(name), folder.path().join(path).into_os_string()));
    let parts = Parts::new(Settings::read(&Sources::of_env(env)).unwrap(), Intent::Create);
    let pipeline = parts.pipeline().await.unwrap().clone();
    // The folder is held for as long as the process lives.
    std::mem::forget(parts);
    pipeline
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
