//! The log on PostgreSQL, beside what the database allows in the same run: the same client, pool and durability (fsync,
//! full_page_writes and synchronous_commit on), the same columns and indexes, rounds that take turns, medians.
//!
//! `cargo bench --workspace --bench append`. Ratios are what counts; absolute numbers are this machine's, on whose cores
//! both the server and the client run.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a bench prints and panics"
)]

#[path = "support/events.rs"]
#[expect(unreachable_pub, reason = "it is shared between benches")]
mod events;
#[path = "../tests/support/log.rs"]
#[expect(dead_code, unreachable_pub, reason = "of the tests' support only the keys are used")]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clawexchange_audit::{AuditConfig, AuditLog, MIGRATIONS};
use clawexchange_database::{Database, DatabaseConfig, Place, Plan, PostgresUrl};
use clawexchange_ssg_core::{AuditEvent, Clock as _, SystemClock};
use clawexchange_testkit::postgres::{Durability, Server};
use events::{event, median};
use sea_orm::sqlx::postgres::{PgPool, PgPoolOptions};
use sea_orm::sqlx::{self, Executor as _, Row as _};
use support::TestKeys;

/// Names the database for a process that only appends.
const WRITER: &str = "CLAW_BENCH_WRITER";

fn events(count: usize) -> Vec<AuditEvent> {
    (0..count).map(event).collect()
}

async fn open(url: &str) -> AuditLog {
    let config = DatabaseConfig::new(Place::Postgres(PostgresUrl::parse(url).unwrap()));
    let db = Database::open(config).await.unwrap();
    Plan::of([MIGRATIONS]).up(&db, None, SystemClock::new().now()).await.unwrap();
    AuditLog::open(db, TestKeys::default(), AuditConfig::default()).await.unwrap()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if let Ok(url) = std::env::var(WRITER) {
        runtime.block_on(write_alone(&url));
        return;
    }
    // `cargo test --all-targets` runs benches too; a moment is enough to see that this one works.
    let (scale, rounds) = if std::env::args().any(|arg| arg == "--bench") { (1, 7) } else { (50, 1) };
    runtime.block_on(async {
        let server = Server::start(Durability::Full);
        let url = server.url(&server.create());
        let pool = PgPoolOptions::new().max_connections(20).connect(&url).await.unwrap();
        let log = open(&url).await;
        in_batches(&url, &pool, &log, 1000 / scale, rounds).await;
        one_by_one(&pool, &log, 4000 / scale, rounds).await;
        processes(&url, 8000 / scale, rounds);
        verification(&pool, &log, rounds).await;
    });
}

/// The columns of some rows, to be inserted by other ways.
#[derive(Clone, Default)]
struct Columns {
    leaves: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
    texts: [Vec<String>; 6],
    created: Vec<i64>,
}

async fn columns(pool: &PgPool, count: usize) -> Columns {
    let rows = sqlx::query(
        "SELECT leaf, leaf_hash, id, event_type, actor_type, actor_id, target_type, target_id, created_us \
         FROM audit_logs LIMIT $1",
    )
    .bind(count as i64)
    .fetch_all(pool)
    .await
    .unwrap();
    let mut columns = Columns::default();
    for row in rows {
        columns.leaves.push(row.get(0));
        columns.hashes.push(row.get(1));
        for (at, texts) in columns.texts.iter_mut().enumerate() {
            texts.push(row.get(at + 2));
        }
        columns.created.push(row.get(8));
    }
    columns
}

/// A table like the log's, with its indexes, checks and partitions, and nothing else.
async fn plain_table(pool: &PgPool, name: &str) {
    let sql = format!(
        "CREATE TABLE {name} (LIKE audit_logs INCLUDING ALL) PARTITION BY LIST (month); \
         CREATE TABLE {name}_now PARTITION OF {name} FOR VALUES IN (202601)"
    );
    pool.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// How an INSERT is committed.
#[derive(Clone, Copy)]
enum By {
    /// A transaction around it, as a program has it that writes more than one thing.
    Transaction,
    /// Itself: one round trip.
    Itself,
}

async fn unnest(pool: &PgPool, rows: &Columns, by: By) {
    let batch = NEXT.fetch_add(1, Ordering::Relaxed) as i64;
    let [ids, types, actor_types, actor_ids, target_types, target_ids] = &rows.texts;
    let sql = "INSERT INTO plain_unnest (log, batch_id, ord, month, leaf, leaf_hash, id, event_type, actor_type, \
               actor_id, target_type, target_id, created_us) \
               SELECT 'verdicts', $1, t.at - 1, 202601, t.a, t.b, t.c, t.d, t.e, t.f, t.g, t.h, t.i \
               FROM unnest($2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], \
               $9::text[], $10::bigint[]) WITH ORDINALITY AS t (a, b, c, d, e, f, g, h, i, at)";
    let insert = sqlx::query(sql)
        .bind(batch)
        .bind(&rows.leaves)
        .bind(&rows.hashes)
        .bind(ids)
        .bind(types)
        .bind(actor_types)
        .bind(actor_ids)
        .bind(target_types)
        .bind(target_ids)
        .bind(&rows.created);
    if matches!(by, By::Itself) {
        insert.execute(pool).await.unwrap();
        return;
    }
    let mut tx = pool.begin().await.unwrap();
    insert.execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

async fn copy(pool: &PgPool, rows: &Columns) {
    let batch = NEXT.fetch_add(1, Ordering::Relaxed) as i64;
    let mut bytes = Vec::from(*b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    let put = |bytes: &mut Vec<u8>, value: &[u8]| {
        bytes.extend((value.len() as i32).to_be_bytes());
        bytes.extend(value);
    };
    for at in 0..rows.leaves.len() {
        bytes.extend(13_i16.to_be_bytes());
        put(&mut bytes, b"verdicts");
        put(&mut bytes, &batch.to_be_bytes());
        put(&mut bytes, &(at as i64).to_be_bytes());
        put(&mut bytes, &202_601_i64.to_be_bytes());
        put(&mut bytes, rows.leaves.get(at).unwrap());
        put(&mut bytes, rows.hashes.get(at).unwrap());
        for texts in &rows.texts {
            put(&mut bytes, texts.get(at).unwrap().as_bytes());
        }
        put(&mut bytes, &rows.created.get(at).unwrap().to_be_bytes());
    }
    bytes.extend((-1_i16).to_be_bytes());
    let mut connection = pool.acquire().await.unwrap();
    let sql = "COPY plain_copy (log, batch_id, ord, month, leaf, leaf_hash, id, event_type, actor_type, actor_id, \
               target_type, target_id, created_us) FROM STDIN (FORMAT binary)";
    let mut into = connection.copy_in_raw(sql).await.unwrap();
    into.send(bytes).await.unwrap();
    into.finish().await.unwrap();
}

/// Rows a second when `writers` at once do `what` with batches of `rows` rows.
async fn rate<F: Future<Output = ()> + Send + 'static>(
    writers: usize,
    batches: usize,
    rows: usize,
    what: impl Fn(usize) -> F,
) -> f64 {
    let started = Instant::now();
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let work: Vec<F> = (0..batches).map(|_| what(writer)).collect();
        tasks.push(tokio::spawn(async move {
            for batch in work {
                batch.await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    (writers * batches * rows) as f64 / started.elapsed().as_secs_f64()
}

async fn in_batches(url: &str, pool: &PgPool, log: &AuditLog, size: usize, rounds: usize) {
    plain_table(pool, "plain_unnest").await;
    plain_table(pool, "plain_copy").await;
    log.append_all(events(size)).await.unwrap();
    let rows = Arc::new(columns(pool, size).await);
    let mut four = Vec::new();
    for _ in 0..4 {
        four.push(open(url).await);
    }
    let (mut ours, mut unnested, mut copied) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        let prepared: Vec<_> = (0..4 * 5).map(|_| events(size)).collect();
        let prepared = std::sync::Mutex::new(prepared);
        ours.push(
            rate(4, 5, size, |writer| {
                let log = four.get(writer).unwrap().clone();
                let events = prepared.lock().unwrap().pop().unwrap();
                async move { log.append_all(events).await.unwrap() }
            })
            .await,
        );
        unnested.push(
            rate(4, 5, size, |_| {
                let (pool, rows) = (pool.clone(), Arc::clone(&rows));
                async move { unnest(&pool, &rows, By::Transaction).await }
            })
            .await,
        );
        for (clients, copied) in [1, 2, 4].into_iter().zip(&mut copied) {
            copied.push(
                rate(clients, 20 / clients, size, |_| {
                    let (pool, rows) = (pool.clone(), Arc::clone(&rows));
                    async move { copy(&pool, &rows).await }
                })
                .await,
            );
        }
    }
    let (ours, unnested) = (median(ours), median(unnested));
    let copied = copied.into_iter().map(median).fold(0.0, f64::max);
    println!("batches of {size}, 4 writers: INSERT … UNNEST without order  {unnested:>9.0} rows/s  1.00");
    println!(
        "                             best COPY of 1, 2, 4 clients   {copied:>9.0} rows/s  {:.2}",
        copied / unnested
    );
    println!(
        "                             events into the log            {ours:>9.0} rows/s  {:.2} of INSERT, {:.2} of COPY",
        ours / unnested,
        ours / copied
    );
}

async fn one_by_one(pool: &PgPool, log: &AuditLog, count: usize, rounds: usize) {
    let rows = columns(pool, 1).await;
    let rows = Arc::new(rows);
    let (mut single, mut alone, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (by, rates) in [(By::Transaction, &mut single), (By::Itself, &mut alone)] {
            rates.push(
                rate(16, count / 16, 1, |_| {
                    let (pool, rows) = (pool.clone(), Arc::clone(&rows));
                    async move { unnest(&pool, &rows, by).await }
                })
                .await,
            );
        }
        ours.push(
            rate(16, count / 16, 1, |writer| {
                let (log, event) = (log.clone(), event(writer));
                async move { log.append(event).await.unwrap() }
            })
            .await,
        );
    }
    let (single, alone, ours) = (median(single), median(alone), median(ours));
    println!("16 tasks, event by event: a prepared INSERT in a transaction {single:>8.0} /s       1.00");
    println!(
        "                          a prepared INSERT by itself       {alone:>9.0} /s       {:.2}",
        alone / single
    );
    println!(
        "                          into the log                      {ours:>9.0} /s       {:.2}, {:.2} of the one by itself",
        ours / single,
        ours / alone
    );
    latency(pool, log, &rows, count).await;
}

/// How long a caller waits: a single-row commit alone, and the log at half of what 64 tasks get out of it.
async fn latency(pool: &PgPool, log: &AuditLog, rows: &Columns, count: usize) {
    let mut alone = Vec::new();
    for _ in 0..count / 4 {
        let started = Instant::now();
        unnest(pool, rows, By::Transaction).await;
        alone.push(started.elapsed());
    }
    let most = rate(64, count / 16, 1, |writer| {
        let (log, event) = (log.clone(), event(writer));
        async move { log.append(event).await.unwrap() }
    })
    .await;
    // An open loop: the next one comes when its time has come and not when the last one is answered.
    let every = Duration::from_secs_f64(2.0 / most);
    let started = Instant::now();
    let mut tasks = Vec::new();
    for n in 0..count {
        let due = started + every * n as u32;
        tokio::time::sleep_until(due.into()).await;
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            log.append(event(n)).await.unwrap();
            due.elapsed()
        }));
    }
    let mut waits = Vec::new();
    for task in tasks {
        waits.push(task.await.unwrap());
    }
    let (alone, ours) = (percentile(alone, 99), percentile(waits, 99));
    println!("64 tasks, event by event: into the log                      {most:>9.0} /s");
    println!(
        "p99: single-row commit {:.2} ms, log at half of that load {:.2} ms: {:.2} times",
        alone.as_secs_f64() * 1e3,
        ours.as_secs_f64() * 1e3,
        ours.as_secs_f64() / alone.as_secs_f64()
    );
}

fn percentile(mut values: Vec<Duration>, percent: usize) -> Duration {
    values.sort_unstable();
    let at = values.len() * percent / 100;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Appends events one by one with 64 tasks until the standard input says how many, and says how long that took.
async fn write_alone(url: &str) {
    let mut line = String::new();
    let log = open(url).await;
    println!("ready");
    std::io::stdin().read_line(&mut line).unwrap();
    let count: usize = line.trim().parse().unwrap();
    rate(64, count / 64, 1, |writer| {
        let (log, event) = (log.clone(), event(writer));
        async move { log.append(event).await.unwrap() }
    })
    .await;
    println!("done");
}

fn processes(url: &str, count: usize, rounds: usize) {
    let (mut one, mut four) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        one.push(in_processes(url, 1, count));
        four.push(in_processes(url, 4, count));
    }
    let (one, four) = (median(one), median(four));
    println!("one process, 64 tasks                                       {one:>9.0} /s       1.00");
    println!(
        "four processes, 64 tasks each                               {four:>9.0} /s       {:.2}",
        four / one
    );
}

fn in_processes(url: &str, processes: usize, count: usize) -> f64 {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Command, Stdio};
    let me = std::env::current_exe().unwrap();
    let mut running: Vec<_> = (0..processes)
        .map(|_| {
            let mut command = Command::new(&me);
            command.env(WRITER, url).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            (child, out)
        })
        .collect();
    let started = Instant::now();
    for (child, _) in &mut running {
        writeln!(child.stdin.as_mut().unwrap(), "{}", count / processes).unwrap();
    }
    for (child, out) in &mut running {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "done");
        child.wait().unwrap();
    }
    (count / 64 * 64) as f64 / started.elapsed().as_secs_f64()
}

async fn verification(pool: &PgPool, log: &AuditLog, rounds: usize) {
    use futures_util::TryStreamExt as _;
    let (mut copied, mut verified) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let started = Instant::now();
        let mut connection = pool.acquire().await.unwrap();
        let sql = "COPY (SELECT batch_id, ord, leaf, leaf_hash, id, event_type, actor_type, actor_id, target_type, \
                   target_id, ip_address, created_us FROM audit_logs) TO STDOUT (FORMAT binary)";
        let mut out = connection.copy_out_raw(sql).await.unwrap();
        let mut bytes = 0;
        while let Some(some) = out.try_next().await.unwrap() {
            bytes += some.len();
        }
        drop(out);
        assert!(bytes > 0);
        let took = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let report = log.verify(&[], &|_, _| {}).await.unwrap();
        assert!(report.is_clean());
        let rows = (report.decisions + report.verdicts) as f64;
        copied.push(rows / took);
        verified.push(rows / started.elapsed().as_secs_f64());
    }
    let (copied, verified) = (median(copied), median(verified));
    println!("COPY … TO STDOUT of the log's columns                       {copied:>9.0} rows/s  1.00");
    println!(
        "verification                                                {verified:>9.0} rows/s  {:.2}",
        verified / copied
    );
}
