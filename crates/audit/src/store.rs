//! Rows in: nothing else appends.

mod postgres;
mod sqlite;

pub(crate) use postgres::make_months;

use std::collections::HashSet;

use clawexchange_database::{Database, Dialect, Statements, Tx};
use clawexchange_ssg_core::{AuditEvent, EventId, KeyProvider, Timestamp, fail_point};

use crate::error::AuditError;
use crate::leaf::{Hash, Leaf, Log};
use crate::subjects::{self, Known, Name, Subjects};

/// The end of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) origin: String,
    pub(crate) batches: u64,
    pub(crate) size: u64,
    pub(crate) committed_us: i64,
    pub(crate) hash: Hash,
}

/// Reads the end of a log.
pub(crate) async fn head(on: &impl Statements, log: Log) -> Result<Option<Head>, AuditError> {
    let sql = "SELECT origin, batches, size, committed_us, head_hash FROM audit_head WHERE log = $1";
    let row = on.row(sql, [log.as_str().into()]).await?;
    row.map(|row| {
        Ok(Head {
            origin: row.get("origin")?,
            batches: row.get_u64("batches")?,
            size: row.get_u64("size")?,
            committed_us: row.get("committed_us")?,
            hash: row.get_bytes("head_hash")?,
        })
    })
    .transpose()
}

/// `<host or "local">/<deployment>/<log>`, fixed when the log begins.
pub(crate) fn origin(deployment: &[u8; 16], log: Log) -> String {
    format!("local/{}/{}", EventId::from_bytes(*deployment), log.as_str())
}

/// Gives each log its end, if the database is new. A log whose end is gone and that has batches is not given another.
pub(crate) async fn begin_logs(db: &Database) -> Result<(), AuditError> {
    let deployment = db.deployment().await?.ok_or(AuditError::NoSchema)?;
    if !db.read().has_table("audit_head").await? {
        return Err(AuditError::NoSchema);
    }
    for log in Log::ALL {
        if head(&db.read(), log).await?.is_some() {
            continue;
        }
        let (tx, origin) = (db.begin().await?, origin(&deployment, log));
        let begun = match tx.dialect() {
            Dialect::Sqlite => sqlite::begin_log(&tx, log, origin).await?,
            Dialect::Postgres => postgres::begin_log(&tx, log, origin).await?,
        };
        if !begun {
            return Err(AuditError::Head { log: log.as_str() });
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Events of one log that are appended together, and what their batch is called. Under this name they are appended once,
/// however often that is tried.
#[derive(Clone, Debug)]
pub(crate) struct Together {
    pub(crate) uuid: [u8; 16],
    pub(crate) log: Log,
    pub(crate) events: Vec<AuditEvent>,
}

impl Together {
    /// A batch for each log that has some of the events.
    pub(crate) fn of(events: Vec<AuditEvent>) -> Vec<Self> {
        let (decisions, verdicts): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| Log::of(event.kind()) == Log::Decisions);
        let batch = |(log, events)| Self { uuid: *EventId::fresh().as_bytes(), log, events };
        let batches = [(Log::Decisions, decisions), (Log::Verdicts, verdicts)].into_iter();
        batches.filter(|(_, events)| !events.is_empty()).map(batch).collect()
    }

    /// Its leaves, whose agents and owners are among `subjects`.
    async fn leaves(&self, keys: &dyn KeyProvider, subjects: &Subjects) -> Result<Vec<Leaf>, AuditError> {
        let (mut leaves, mut name) = (Vec::with_capacity(self.events.len()), Name::default());
        for event in &self.events {
            let actor = subjects.get(name.of_actor(event));
            let owner = name.of_owner(event).and_then(|owner| subjects.get(owner));
            let sealed = match actor {
                Some(actor) if !event.personal().is_empty() => subjects::seal(keys, actor, event).await?,
                _ => serde_json::Map::new(),
            };
            leaves.push(Leaf::of(
                event,
                actor.map(|s| s.alias.as_str()),
                owner.map(|s| s.alias.as_str()),
                sealed,
            )?);
        }
        Ok(leaves)
    }
}

/// Which of the names of some batches are in the log already.
pub(crate) async fn there(
    on: &impl Statements,
    batches: &[Together],
) -> Result<HashSet<[u8; 16]>, AuditError> {
    let mut there = HashSet::new();
    let names: Vec<[u8; 16]> = batches.iter().map(|batch| batch.uuid).collect();
    for some in names.chunks(500) {
        let marks: Vec<String> = (1..=some.len()).map(|mark| format!("${mark}")).collect();
        let sql = format!("SELECT batch_uuid FROM audit_batches WHERE batch_uuid IN ({})", marks.join(", "));
        for row in on.rows(&sql, some.iter().map(|name| name.to_vec().into())).await? {
            there.insert(row.get_bytes("batch_uuid")?);
        }
    }
    Ok(there)
}

/// Appends batches to their logs: aliases, leaves, rows, a batch each, and last the end.
///
/// All aliases are put before the first end is taken, and ends are taken in the order of the logs: two transactions that
/// each wait for what the other has would wait for ever.
pub(crate) async fn append(
    tx: &Tx,
    keys: &dyn KeyProvider,
    groups: &[Together],
    now: Timestamp,
) -> Result<(), AuditError> {
    let subjects = subjects::put(tx, keys, groups).await?;
    fail_point!("append.after-subjects");
    let mut batches = Vec::with_capacity(groups.len());
    for group in groups {
        batches.push((group.log, group.uuid, group.leaves(keys, &subjects).await?));
    }
    batches.sort_by_key(|(log, ..)| *log);
    for (log, uuid, leaves) in batches {
        match tx.dialect() {
            Dialect::Sqlite => sqlite::append_batch(tx, log, uuid, &leaves, now).await?,
            Dialect::Postgres => postgres::append_batch(tx, log, uuid, leaves).await?,
        }
    }
    Ok(())
}

/// PostgreSQL: appends a batch in one statement that is its own transaction, with aliases that are remembered.
pub(crate) async fn append_at_once(
    db: &Database,
    keys: &dyn KeyProvider,
    known: &Known,
    batch: &Together,
) -> Result<(), AuditError> {
    let (subjects, erased) = known.of(db, keys, batch).await?;
    fail_point!("append.after-subjects");
    let leaves = batch.leaves(keys, &subjects).await?;
    postgres::append_at_once(db, batch.log, batch.uuid, leaves, erased).await
}

fn signed(n: u64) -> Result<i64, AuditError> {
    i64::try_from(n).ok().ok_or(AuditError::TooLarge)
}
