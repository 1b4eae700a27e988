//! Events that commit with the change that they tell of.

use clawexchange_ssg_core::{AuditEvent, PortError, Target};

use crate::error::DatabaseError;
use crate::handle::{Database, Tx};
use crate::rows::Statements as _;

/// Puts an event beside a change: both survive, or neither.
pub async fn put(tx: &Tx, event: &AuditEvent) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO database_outbox (event, created_us) VALUES ($1, $2)";
    tx.execute(sql, [event.to_json().into(), event.at().as_micros().into()]).await?;
    Ok(())
}

/// The name under which one transaction at a time takes events.
const LOCK: &str = "database/outbox";

/// Takes up to `at_most` events out, oldest first. They are gone if and when `tx` commits.
///
/// What was read is deleted, never «all up to»: on a database with concurrent writers a smaller number may commit
/// later. One takes at a time, since two would mix up the order of what they took. A row that does not parse was
/// changed behind our back; it is set aside and said.
pub async fn take(tx: &Tx, at_most: u32) -> Result<Vec<AuditEvent>, DatabaseError> {
    tx.lock(LOCK).await?;
    let first = tx.dialect().is_among("seq", "FROM database_outbox WHERE aside = 0 ORDER BY seq LIMIT $1");
    let sql = format!("DELETE FROM database_outbox WHERE {first} RETURNING seq, event, created_us");
    let mut taken = Vec::new();
    for row in tx.rows(&sql, [i64::from(at_most).into()]).await? {
        let (seq, json) = (row.get::<i64>("seq")?, row.get::<Vec<u8>>("event")?);
        match AuditEvent::from_json(&json) {
            Ok(event) => taken.push((seq, event)),
            Err(_) => {
                tracing::error!(seq, "a row of the outbox is no event; it is set aside");
                let sql =
                    "INSERT INTO database_outbox (seq, event, created_us, aside) VALUES ($1, $2, $3, 1)";
                tx.execute(sql, [seq.into(), json.into(), row.get::<i64>("created_us")?.into()]).await?;
            }
        }
    }
    taken.sort_by_key(|(seq, _)| *seq);
    Ok(taken.into_iter().map(|(_, event)| event).collect())
}

/// Sets an event aside that the log refuses, so that it does not stop the others. `false`: it does not wait any more.
pub async fn set_aside(tx: &Tx, event: &AuditEvent) -> Result<bool, DatabaseError> {
    tx.lock(LOCK).await?;
    let sql = "UPDATE database_outbox SET aside = 1 WHERE event = $1 AND aside = 0";
    Ok(tx.execute(sql, [event.to_json().into()]).await? > 0)
}

/// What waits in the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxDepth {
    /// Events that the log will take.
    pub waiting: u64,
    /// Rows that are no events, or that the log refuses.
    pub aside: u64,
}

/// Counts what waits.
pub async fn depth(db: &Database) -> Result<OutboxDepth, DatabaseError> {
    let sql = "SELECT COUNT(*) FILTER (WHERE aside = 0) AS waiting, COUNT(*) FILTER (WHERE aside <> 0) AS aside \
               FROM database_outbox";
    match db.read().row(sql, []).await? {
        Some(row) => Ok(OutboxDepth { waiting: row.get_u64("waiting")?, aside: row.get_u64("aside")? }),
        None => Ok(OutboxDepth::default()),
    }
}

/// What waits, oldest first, without taking it: at most 10,000, far more than ever wait while a log works.
pub async fn waiting(db: &Database) -> Result<Vec<AuditEvent>, DatabaseError> {
    let sql = "SELECT event FROM database_outbox WHERE aside = 0 ORDER BY seq LIMIT 10000";
    let rows = db.read().rows(sql, []).await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        // One that does not parse is set aside by whoever takes it, and counted then.
        events.extend(AuditEvent::from_json(&row.get::<Vec<u8>>("event")?));
    }
    Ok(events)
}

/// Moves what waits in the outbox to where it belongs for good; the log implements it.
#[async_trait::async_trait]
pub trait Drain: std::fmt::Debug + Send + Sync + 'static {
    /// `async fn drain(&self) -> Result<(), PortError>`
    ///
    /// `Ok`: everything that was committed to the outbox before the call is in the log.
    async fn drain(&self) -> Result<(), PortError>;
}

#[async_trait::async_trait]
impl<T: Drain + ?Sized> Drain for std::sync::Arc<T> {
    async fn drain(&self) -> Result<(), PortError> {
        (**self).drain().await
    }
}

/// The name under which an event's `meta` has the code of a row as the event left it.
///
/// The code is a [`Mac`](clawexchange_ssg_core::Mac) of [`StateRow::state`] under [`STATE_CONTEXT`].
pub const STATE: &str = "state";

/// The context of codes over rows.
pub const STATE_CONTEXT: &[u8] = b"claw/state/v1";

/// A row whose content its last event fixes, so that an edit behind the log's back is found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateRow {
    /// The table, for the message.
    pub table: &'static str,
    /// What the events of the row have as their target.
    pub target: Target,
    /// Everything in the row that the event fixes, as canonical JSON.
    pub state: Vec<u8>,
}

impl StateRow {
    /// Puts the parts together.
    pub const fn new(table: &'static str, target: Target, state: Vec<u8>) -> Self {
        Self { table, target, state }
    }
}
