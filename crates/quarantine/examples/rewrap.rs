//! How fast data keys move on to another key of a week, against updating the same rows with nothing to be computed.
//!
//! `cargo run --release -p clawexchange-quarantine --example rewrap -- 5000 7`: so many contents, so many rounds of both.
//! On SQLite in a temporary folder.
#![expect(clippy::print_stdout, reason = "an example says what it found")]

use std::time::{Duration, Instant};

use clawexchange_database::{Database, DatabaseConfig, Drain, Place, Plan, Statements as _, Value};
use clawexchange_quarantine::{
    FileStore, KeyRing, Keychain, MIGRATIONS, REWRAPPED_AT_ONCE, Vault, VaultConfig, WeekKeyFiles,
};
use clawexchange_ssg_core::testing::hold_of;
use clawexchange_ssg_core::{Actor, AgentId, Clock as _, PortError, Quarantine as _, SystemClock};

type Failed = Box<dyn std::error::Error>;

/// Stands for the log.
#[derive(Debug)]
struct NoLog;

#[async_trait::async_trait]
impl Drain for NoLog {
    async fn drain(&self) -> Result<(), PortError> {
        Ok(())
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let (contents, rounds) = (args.next().unwrap_or(Ok(2000))?, args.next().unwrap_or(Ok(5))?);
    let folder = tempfile::tempdir()?;
    let place = Place::Sqlite(folder.path().join("claw.db"));
    let db = Database::open(DatabaseConfig::new(place).creating()).await?;
    Plan::of([MIGRATIONS]).up(&db, None, SystemClock::new().now()).await?;
    let keys = Keychain::open(db.clone(), KeyRing::generate()?, true).await?;
    let mut config = VaultConfig::default();
    (config.holds_max, config.bytes_max) = (u64::MAX, u64::MAX);
    let objects = FileStore::new(folder.path().join("objects"));
    let vault = Vault::new(db.clone(), objects, keys, NoLog, config)?
        .with_week_keys(WeekKeyFiles::new(folder.path().join("weeks")));
    for n in 0..contents {
        let agent = AgentId::new(format!("agent-{n}"))?;
        vault.hold(hold_of(&format!("flag-hold {n}"), &agent, SystemClock::new()).await).await?;
    }
    let by = Actor::human("ann")?;
    let (mut moves, mut updates) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        vault.close_week_keys().await?;
        while vault.move_some(&by).await?.more {}
        moves.push(began.elapsed());
        updates.push(plain(&db).await?);
    }
    let (moved, updated) = (median(&mut moves), median(&mut updates));
    let per_second =
        |time: Duration| f64::from(u32::try_from(contents).unwrap_or(u32::MAX)) / time.as_secs_f64();
    let (moves, updates) = (per_second(moved), per_second(updated));
    println!("{moves:.0} keys/s moved, {updates:.0} rows/s updated, ratio {:.2}", moves / updates);
    Ok(())
}

/// Updates the same columns of the same rows with what stands there, as many at once.
async fn plain(db: &Database) -> Result<Duration, Failed> {
    let began = Instant::now();
    let mut after = String::new();
    loop {
        let sql = "SELECT record_id, encrypted_data_key FROM encryption_keys WHERE record_id > $1 ORDER BY record_id LIMIT $2";
        let rows = db.read().rows(sql, [after.as_str().into(), i64::from(REWRAPPED_AT_ONCE).into()]).await?;
        let Some(last) = rows.last() else { return Ok(began.elapsed()) };
        after = last.get("record_id")?;
        let (mut list, mut values): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
        for row in &rows {
            let n = values.len();
            list.push(format!("(${}, ${})", n + 1, n + 2));
            values.push(row.get::<String>("record_id")?.into());
            values.push(row.get::<Vec<u8>>("encrypted_data_key")?.into());
        }
        let sql = format!(
            "UPDATE encryption_keys SET encrypted_data_key = v.column2, wrapped_at = wrapped_at + 1 \
             FROM (VALUES {}) AS v WHERE record_id = v.column1",
            list.join(", ")
        );
        let tx = db.begin().await?;
        tx.execute(&sql, values).await?;
        tx.commit().await?;
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
