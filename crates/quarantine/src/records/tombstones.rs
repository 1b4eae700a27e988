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

pub(crate) async fn due(
    on: &impl Statements,
    now: Timestamp,
    at_most: u32,
) -> Result<Vec<Tombstone>, QuarantineError> {
    let sql = "SELECT object_key, last_at, attempts FROM quarantine_tombstones WHERE not_before <= $1 \
               ORDER BY not_before, object_key LIMIT $2";
    let rows = on.rows(sql, [now.as_micros().into(), i64::from(at_most).into()]).await?;
    let read = rows.iter().map(|row| {
        Ok(Tombstone {
            key: row.get_parsed("object_key")?,
            last_at: Timestamp::from_micros(row.get("last_at")?),
            attempts: row.get_u64("attempts")?,
        })
    });
    read.collect()
}

/// The object is gone: the row goes after its last look, and waits for that look before.
pub(crate) async fn gone(tx: &Tx, tombstone: &Tombstone, now: Timestamp) -> Result<(), QuarantineError> {
    let key = tombstone.key.as_str();
    if tombstone.last_at <= now {
        tx.execute("DELETE FROM quarantine_tombstones WHERE object_key = $1", [key.into()]).await?;
    } else {
        let sql = "UPDATE quarantine_tombstones SET not_before = last_at, attempts = 0 WHERE object_key = $1";
        tx.execute(sql, [key.into()]).await?;
    }
    Ok(())
}

/// The longest between two attempts.
const BACKOFF_MAX: Duration = Duration::from_hours(1);

/// The object could not be deleted: later again, twice as late each time.
pub(crate) async fn postpone(tx: &Tx, tombstone: &Tombstone, now: Timestamp) -> Result<(), QuarantineError> {
    let doubled = 1_u64 << tombstone.attempts.min(12);
    let next = now.plus(Duration::from_secs(doubled).min(BACKOFF_MAX));
    let sql =
        "UPDATE quarantine_tombstones SET not_before = $2, attempts = attempts + 1 WHERE object_key = $1";
    tx.execute(sql, [tombstone.key.as_str().into(), next.as_micros().into()]).await?;
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
