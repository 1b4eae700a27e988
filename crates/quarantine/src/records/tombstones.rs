//! Objects that are to go, as rows.

use std::time::Duration;

use clawexchange_database::{Statements, Tx, Value};
use clawexchange_ssg_core::Timestamp;

use crate::error::QuarantineError;
use crate::objects::ObjectKey;

/// An object that is to go.
#[derive(Clone, Debug)]
pub(crate) struct Tombstone {
    pub(crate) key: ObjectKey,
    pub(crate) last_at: Timestamp,
    attempts: u64,
    /// Until when it is the sweep's that took it.
    until: Timestamp,
}

/// Has an object deleted at the next sweep, and looked for once more at `last_at`.
pub(crate) async fn insert(
    tx: &Tx,
    key: &str,
    now: Timestamp,
    last_at: Timestamp,
) -> Result<(), QuarantineError> {
    let sql = "INSERT INTO quarantine_tombstones (object_key, not_before, last_at, created_at) \
               VALUES ($1, $2, $3, $2) ON CONFLICT (object_key) DO NOTHING";
    let values: [Value; 3] = [key.into(), now.as_micros().into(), last_at.as_micros().into()];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Whether there is an object whose time has come.
pub(crate) async fn is_due(on: &impl Statements, now: Timestamp) -> Result<bool, QuarantineError> {
    let sql = "SELECT 1 AS one FROM quarantine_tombstones WHERE not_before <= $1 LIMIT 1";
    Ok(on.row(sql, [now.as_micros().into()]).await?.is_some())
}

/// How long an object is one sweep's alone to delete; what it leaves undone then is due again.
const TURN: Duration = Duration::from_mins(5);

/// Takes objects whose time has come, the longest due first: no other sweep is given them for a while.
pub(crate) async fn take(tx: &Tx, now: Timestamp, at_most: u32) -> Result<Vec<Tombstone>, QuarantineError> {
    let (until, dialect) = (now.plus(TURN), tx.dialect());
    let due = format!(
        "FROM quarantine_tombstones WHERE not_before <= $1 ORDER BY not_before, object_key LIMIT $2{}",
        dialect.skip_locked()
    );
    let sql = format!(
        "UPDATE quarantine_tombstones SET not_before = $3 WHERE {} RETURNING object_key, last_at, attempts",
        dialect.is_among("object_key", &due)
    );
    let values: [Value; 3] = [now.as_micros().into(), i64::from(at_most).into(), until.as_micros().into()];
    let mut taken = Vec::new();
    for row in tx.rows(&sql, values).await? {
        taken.push(Tombstone {
            key: row.get_parsed("object_key")?,
            last_at: Timestamp::from_micros(row.get("last_at")?),
            attempts: row.get_u64("attempts")?,
            until,
        });
    }
    // Rows are changed in one order by all.
    taken.sort_by(|a, b| a.key.as_str().cmp(b.key.as_str()));
    Ok(taken)
}

/// The object is gone: the row goes after its last look, and waits for that look before.
pub(crate) async fn gone(tx: &Tx, tombstone: &Tombstone, now: Timestamp) -> Result<(), QuarantineError> {
    let sql = if tombstone.last_at <= now {
        "DELETE FROM quarantine_tombstones WHERE object_key = $1 AND not_before = $2"
    } else {
        "UPDATE quarantine_tombstones SET not_before = last_at, attempts = 0 \
         WHERE object_key = $1 AND not_before = $2"
    };
    tx.execute(sql, [tombstone.key.as_str().into(), tombstone.until.as_micros().into()]).await?;
    Ok(())
}

/// The longest between two attempts.
const BACKOFF_MAX: Duration = Duration::from_hours(1);

/// The object could not be deleted: later again, twice as late each time.
pub(crate) async fn postpone(tx: &Tx, tombstone: &Tombstone, now: Timestamp) -> Result<(), QuarantineError> {
    let doubled = 1_u64 << tombstone.attempts.min(12);
    let next = now.plus(Duration::from_secs(doubled).min(BACKOFF_MAX));
    let sql = "UPDATE quarantine_tombstones SET not_before = $3, attempts = attempts + 1 \
               WHERE object_key = $1 AND not_before = $2";
    let values: [Value; 3] =
        [tombstone.key.as_str().into(), tombstone.until.as_micros().into(), next.as_micros().into()];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Whether a row or a tombstone knows the object.
pub(crate) async fn is_known(on: &impl Statements, key: &ObjectKey) -> Result<bool, QuarantineError> {
    let sql = "SELECT 1 AS one FROM quarantine_records WHERE s3_key = $1 \
               UNION ALL SELECT 1 AS one FROM quarantine_tombstones WHERE object_key = $1 LIMIT 1";
    Ok(on.row(sql, [key.as_str().into()]).await?.is_some())
}

/// Objects that rows need, in the order of their names, after one: the object, and the record.
pub(crate) async fn needed(
    on: &impl Statements,
    after: &str,
    at_most: u32,
) -> Result<Vec<(String, String)>, QuarantineError> {
    let sql = "SELECT s3_key, id FROM quarantine_records WHERE s3_key > $1 AND blob_state = 'PRESENT' \
               ORDER BY s3_key LIMIT $2";
    let rows = on.rows(sql, [after.into(), i64::from(at_most).into()]).await?;
    let read = rows.iter().map(|row| Ok((row.get("s3_key")?, row.get("id")?)));
    read.collect()
}
