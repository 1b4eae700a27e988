//! Taking over what the first system of this kind left in a database: its tables move out of the way of ours, its log
//! and its records are taken over as what they say, and nothing is claimed about their past.
//!
//! Each part can be cut short anywhere and is taken up by the next call. Nothing is dropped and nothing overwritten.

mod cursor;
mod error;
mod events;
mod limits;
mod recognise;
mod records;
mod relocate;
mod tables;
mod text;

use clawexchange_audit::AuditLog;
use clawexchange_database::{Database, DatabaseError, Dialect, Statements};
use clawexchange_quarantine::Vault;
use clawexchange_rate_limiter::stored::StoredLimits;
use clawexchange_ssg_core::{Actor, Fault as _, FaultKind};

pub use self::cursor::{Tally, What};
pub use self::error::AdoptError;
pub use self::limits::Left;
pub use self::recognise::{Found, Ledger, Original, OriginalTable, Stranger};
pub use self::relocate::{ORIGINAL_SCHEMA, relocate};

use self::cursor::Cursor;
use self::recognise::recognise;
use self::relocate::{Place, is_ours, place, statements};

/// Told how many rows of a sort were taken over so far.
pub type Watch<'a> = &'a (dyn Fn(What, u64) + Send + Sync);

/// How far a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// There is nothing of the first system.
    None,
    /// Its tables are where ours would be.
    Found(Original),
    /// Tables that are not its own have names of ours.
    Strangers(Vec<Stranger>),
    /// Its tables would move to a schema in which somebody else has things.
    Taken,
    /// Its tables have moved, and not all of their rows are taken over.
    Moved,
    /// Everything is taken over.
    Done,
}

/// Looks how far a database is. Needs no right to change anything.
pub async fn stage(on: &impl Statements) -> Result<Stage, DatabaseError> {
    if on.dialect() != Dialect::Postgres {
        return Ok(Stage::None);
    }
    let look = async || Ok::<_, DatabaseError>((place(on).await?, is_ours(on).await?));
    let (mut place, mut is_ours) = look().await?;
    let found = loop {
        if is_ours {
            return if place == Place::Ours { how_far(on).await } else { Ok(Stage::None) };
        }
        let found = recognise(on).await?;
        // Somebody else may have moved them in the middle of it: what was seen first is true no more.
        let now = look().await?;
        if now == (place, is_ours) {
            break found;
        }
        (place, is_ours) = now;
    };
    Ok(match (found, place) {
        (Found::Strangers(strangers), _) => Stage::Strangers(strangers),
        (Found::Original(original), Place::Free) => Stage::Found(original),
        (Found::Original(_), _) => Stage::Taken,
        (Found::Nothing, Place::Ours) => Stage::Moved,
        (Found::Nothing, _) => Stage::None,
    })
}

/// How far the rows of tables that have moved are taken over.
async fn how_far(on: &impl Statements) -> Result<Stage, DatabaseError> {
    if !on.has_table("database_adoptions").await? {
        return Ok(Stage::Moved);
    }
    for what in What::ALL {
        if !Cursor::look(on, what).await?.is_finished {
            return Ok(Stage::Moved);
        }
    }
    Ok(Stage::Done)
}

/// Why the first system's tables, or somebody else's, keep ours from being made; `None` if nothing does.
pub async fn refusal(on: &impl Statements) -> Result<Option<AdoptError>, DatabaseError> {
    Ok(match stage(on).await? {
        Stage::Found(original) => {
            let tables = original.tables.iter().map(|table| table.name).collect();
            Some(AdoptError::NotAdopted { tables })
        }
        Stage::Strangers(strangers) => Some(AdoptError::Strangers { strangers }),
        Stage::Taken => Some(AdoptError::Place),
        Stage::None | Stage::Moved | Stage::Done => None,
    })
}

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rows {
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
}

/// How many rows each of the first system's tables has, wherever they are now.
pub async fn counts(db: &Database) -> Result<Vec<Rows>, AdoptError> {
    let mut tries = 0;
    loop {
        match counted(db).await {
            // Somebody else moved them in the middle of it.
            Err(AdoptError::Database(error)) if error.kind() == FaultKind::Pending && tries < TRIES_MAX => {
                tries += 1;
            }
            done => return done,
        }
    }
}

/// How often something is tried again that was in another's way.
const TRIES_MAX: u32 = 10;

async fn counted(db: &Database) -> Result<Vec<Rows>, AdoptError> {
    let schema = if place(&db.read()).await? == Place::Ours { ORIGINAL_SCHEMA } else { "" };
    let mut counts = Vec::new();
    for table in &tables::TABLES {
        let name = qualified(schema, table.name);
        if has(&db.read(), &name).await? {
            // One look for each, so that whoever moves all of them waits for no more than one.
            let snapshot = db.snapshot().await?;
            let row = snapshot.row(&format!("SELECT COUNT(*) AS n FROM {name}"), []).await?;
            let rows = row.map(|row| row.get_u64("n")).transpose()?.unwrap_or_default();
            counts.push(Rows { table: table.name, rows });
        }
    }
    Ok(counts)
}

fn qualified(schema: &str, table: &str) -> String {
    if schema.is_empty() { table.to_owned() } else { format!("{schema}.{table}") }
}

async fn has(on: &impl Statements, name: &str) -> Result<bool, DatabaseError> {
    let row = on.row("SELECT to_regclass($1) IS NOT NULL AS is_there", [name.into()]).await?;
    Ok(row.map(|row| row.get("is_there")).transpose()?.unwrap_or(false))
}

/// What would move the tables, statement by statement.
pub async fn planned(db: &Database, original: &Original) -> Result<Vec<String>, AdoptError> {
    Ok(statements(&db.read(), original).await?)
}

/// What was taken over: by this call and all before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adopted {
    /// Rows of its log.
    pub events: Tally,
    /// Rows of its quarantine.
    pub records: Tally,
    /// Its limits; those that were left count as flawed.
    pub limits: Tally,
    /// Limits that this call left, and why.
    pub left: Vec<Left>,
}

/// Into what the rows are taken over.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever takes over needs every part")]
pub struct Destination<'a> {
    /// The database, as its owner.
    pub db: &'a Database,
    /// The log.
    pub log: &'a AuditLog,
    /// Held content.
    pub vault: &'a Vault,
    /// The limits.
    pub limits: &'a StoredLimits,
    /// Who does it, for limits that are set.
    pub by: &'a Actor,
}

/// Takes over the rows of tables that were [moved](relocate), once each. To be called when all of our steps have run.
///
/// # Errors
///
/// `Integrity` if rows were changed meanwhile: what was taken over is not what is there.
pub async fn import(into: Destination<'_>, watch: Watch<'_>) -> Result<Adopted, AdoptError> {
    let Destination { db, log, vault, limits, by } = into;
    if place(&db.read()).await? != Place::Ours {
        return Err(AdoptError::Nothing);
    }
    let mut adopted = Adopted::default();
    let has = async |table: &str| has(&db.read(), &qualified(ORIGINAL_SCHEMA, table)).await;
    let [has_events, has_records] = [has("audit_logs").await?, has("quarantine_records").await?];
    let has_limits = [has("rate_limit_configs").await?, has("tier_threshold_configs").await?];
    adopted.events =
        if has_events { events::import(db, log, watch).await? } else { nothing(db, What::Events).await? };
    adopted.records = if has_records {
        records::import(db, vault, log, watch).await?
    } else {
        nothing(db, What::Records).await?
    };
    for Rows { table, rows } in counts(db).await? {
        let done = match table {
            "audit_logs" => adopted.events.done,
            "quarantine_records" => adopted.records.done,
            _ => rows,
        };
        if done != rows {
            return Err(AdoptError::Count { table, rows, done });
        }
    }
    (adopted.limits, adopted.left) = limits::import(db, limits, by, has_limits).await?;
    log.drain_outbox().await?;
    Ok(adopted)
}

/// Notes that there were no rows of a sort.
async fn nothing(db: &Database, what: What) -> Result<Tally, AdoptError> {
    let now = clawexchange_ssg_core::Clock::now(&clawexchange_ssg_core::SystemClock::new());
    let tx = db.begin().await?;
    let mut cursor = Cursor::locked(&tx, what, now).await?;
    cursor.finish(&tx, now).await?;
    tx.commit().await?;
    Ok(cursor.tally)
}

/// Where a test may kill the process: each step of an adoption.
#[cfg(debug_assertions)]
#[doc(hidden)]
pub const FAIL_POINTS: &[&str] = &[
    "adopt.moving",
    "adopt.before-move",
    "adopt.moved",
    "adopt.before-events",
    "adopt.events",
    "adopt.before-records",
    "adopt.records",
    "adopt.before-limits",
    "adopt.limits",
];
