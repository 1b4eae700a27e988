//! Keys of weeks, as rows: that there is one, by which master key it is wrapped, and what needs it.

use clawexchange_database::{Dialect, Row, Statements, Tx, Value};
use clawexchange_ssg_core::{KeyId, Timestamp};

use crate::error::QuarantineError;

/// A key of a week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WeekKeyRow {
    pub(crate) id: KeyId,
    pub(crate) week_at: i64,
    pub(crate) master: KeyId,
    /// Only where nothing else keeps it.
    pub(crate) wrapped: Option<Vec<u8>>,
    pub(crate) closed_at: Option<i64>,
}

const COLUMNS: &str = "id, week_at, master_key_id, wrapped, closed_at";

/// More than there are weeks in which something is held: what is held long moves on.
const ROWS_MAX: i64 = 500;

fn read(row: &Row) -> Result<WeekKeyRow, QuarantineError> {
    Ok(WeekKeyRow {
        id: row.get_parsed("id")?,
        week_at: row.get("week_at")?,
        master: row.get_parsed("master_key_id")?,
        wrapped: row.get("wrapped")?,
        closed_at: row.get("closed_at")?,
    })
}

pub(crate) async fn insert(tx: &Tx, row: &WeekKeyRow, at: Timestamp) -> Result<(), QuarantineError> {
    let sql = "INSERT INTO quarantine_week_keys (id, week_at, master_key_id, wrapped, created_at, wrapped_at) \
               VALUES ($1, $2, $3, $4, $5, $5)";
    let values: [Value; 5] = [
        row.id.as_str().into(),
        row.week_at.into(),
        row.master.as_str().into(),
        row.wrapped.clone().into(),
        at.as_micros().into(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

pub(crate) async fn of(on: &impl Statements, id: &KeyId) -> Result<Option<WeekKeyRow>, QuarantineError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine_week_keys WHERE id = $1");
    on.row(&sql, [id.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// The same, which nobody destroys or wraps anew while `tx` is open; data keys may still be wrapped by it.
pub(crate) async fn locked(tx: &Tx, id: &KeyId) -> Result<Option<WeekKeyRow>, QuarantineError> {
    let wait = match tx.dialect() {
        Dialect::Sqlite => "",
        Dialect::Postgres => " FOR NO KEY UPDATE",
    };
    let sql = format!("SELECT {COLUMNS} FROM quarantine_week_keys WHERE id = $1{wait}");
    tx.row(&sql, [id.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// The key that wraps what is held in a week.
pub(crate) async fn open_in(on: &impl Statements, week: i64) -> Result<Option<WeekKeyRow>, QuarantineError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine_week_keys WHERE week_at = $1 AND closed_at IS NULL");
    on.row(&sql, [week.into()]).await?.as_ref().map(read).transpose()
}

/// All keys of weeks, the oldest first.
pub(crate) async fn all(on: &impl Statements) -> Result<Vec<WeekKeyRow>, QuarantineError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine_week_keys ORDER BY week_at, created_at, id LIMIT $1");
    on.rows(&sql, [ROWS_MAX.into()]).await?.iter().map(read).collect()
}

/// Closes keys: those of weeks before `week`, or all of them. They wrap nothing new.
pub(crate) async fn close(tx: &Tx, week: Option<i64>, at: Timestamp) -> Result<u64, QuarantineError> {
    let sql = "UPDATE quarantine_week_keys SET closed_at = $1 WHERE closed_at IS NULL AND week_at < $2";
    Ok(tx.execute(sql, [at.as_micros().into(), week.unwrap_or(i64::MAX).into()]).await?)
}

/// Notes that a key is wrapped by another master key.
pub(crate) async fn rewrapped(tx: &Tx, row: &WeekKeyRow, at: Timestamp) -> Result<bool, QuarantineError> {
    let sql =
        "UPDATE quarantine_week_keys SET master_key_id = $1, wrapped = $2, wrapped_at = $3 WHERE id = $4";
    let values: [Value; 4] = [
        row.master.as_str().into(),
        row.wrapped.clone().into(),
        at.as_micros().into(),
        row.id.as_str().into(),
    ];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Takes the row of a closed key away that nothing needs, and notes that it was there; says whether it did.
pub(crate) async fn spend(tx: &Tx, row: &WeekKeyRow, at: Timestamp) -> Result<bool, QuarantineError> {
    // A statement of its own: what follows sees what those had committed who were waited for.
    let wait = tx.dialect().for_update();
    if !wait.is_empty() {
        let sql = format!("SELECT 1 AS one FROM quarantine_week_keys WHERE id = $1{wait}");
        tx.row(&sql, [row.id.as_str().into()]).await?;
    }
    let sql = "DELETE FROM quarantine_week_keys WHERE id = $1 AND closed_at IS NOT NULL \
               AND NOT EXISTS (SELECT 1 FROM encryption_keys WHERE week_key_id = $1)";
    if tx.execute(sql, [row.id.as_str().into()]).await? == 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO quarantine_spent_week_keys (id, week_at, destroyed_at, erased_at) VALUES ($1, $2, $3, $4)";
    let at = at.as_micros();
    // What lay in the row alone is gone with it.
    let erased = row.wrapped.as_ref().map(|_| at);
    tx.execute(sql, [row.id.as_str().into(), row.week_at.into(), at.into(), erased.into()]).await?;
    Ok(true)
}

/// Destroyed keys of which something may still lie outside the database.
pub(crate) async fn not_erased(on: &impl Statements) -> Result<Vec<KeyId>, QuarantineError> {
    let sql = "SELECT id FROM quarantine_spent_week_keys WHERE erased_at IS NULL ORDER BY destroyed_at, id LIMIT $1";
    let rows = on.rows(sql, [ROWS_MAX.into()]).await?;
    Ok(rows.iter().map(|row| row.get_parsed("id")).collect::<Result<_, _>>()?)
}

/// Nothing of it lies anywhere any more.
pub(crate) async fn erased(tx: &Tx, id: &KeyId, at: Timestamp) -> Result<(), QuarantineError> {
    let sql = "UPDATE quarantine_spent_week_keys SET erased_at = $1 WHERE id = $2";
    tx.execute(sql, [at.as_micros().into(), id.as_str().into()]).await?;
    Ok(())
}
