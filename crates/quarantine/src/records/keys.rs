//! Wrapped data keys, as rows.

use std::fmt::Write as _;

use clawexchange_database::{Dialect, Row, Statements, Tx, Value};
use clawexchange_ssg_core::{KeyId, QuarantineId, Timestamp};

use crate::error::QuarantineError;

/// A wrapped data key.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    pub(crate) record: String,
    pub(crate) wrapped: Vec<u8>,
    /// What wrapped it: the key of a week, or a master key.
    pub(crate) by: String,
    /// Whether that is the key of a week. Before there were such, master keys wrapped data keys themselves.
    pub(crate) is_of_a_week: bool,
}

/// Names the construction that wrapped the key.
const ALGORITHM: &str = "hkdf-sha512+aes-256-gcm/v1";

const COLUMNS: &str = "record_id, encrypted_data_key, master_key_id, week_key_id";

/// Puts a key that the key of a week wraps; `false`, and nothing put: that one wraps nothing new any more.
pub(crate) async fn insert(tx: &Tx, key: &KeyRow, at: Timestamp) -> Result<bool, QuarantineError> {
    // Whoever destroys the key of a week waits for this, or this for them.
    let share = match tx.dialect() {
        Dialect::Sqlite => "",
        Dialect::Postgres => " FOR KEY SHARE",
    };
    let sql = format!(
        "INSERT INTO encryption_keys \
         (id, record_id, encrypted_data_key, master_key_id, week_key_id, algorithm, created_at, wrapped_at) \
         SELECT $1, $1, $2, w.id, w.id, $3, $4, $4 FROM quarantine_week_keys w \
         WHERE w.id = $5 AND w.closed_at IS NULL{share}"
    );
    let values: [Value; 5] = [
        key.record.clone().into(),
        key.wrapped.clone().into(),
        ALGORITHM.into(),
        at.as_micros().into(),
        key.by.clone().into(),
    ];
    Ok(tx.execute(&sql, values).await? == 1)
}

pub(crate) async fn of(on: &impl Statements, record: &str) -> Result<Option<KeyRow>, QuarantineError> {
    let sql = format!("SELECT {COLUMNS} FROM encryption_keys WHERE record_id = $1 AND algorithm = $2");
    on.row(&sql, [record.into(), ALGORITHM.into()]).await?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<KeyRow, QuarantineError> {
    let week: Option<String> = row.get("week_key_id")?;
    Ok(KeyRow {
        record: row.get("record_id")?,
        wrapped: row.get("encrypted_data_key")?,
        is_of_a_week: week.is_some(),
        by: match week {
            Some(week) => week,
            None => row.get("master_key_id")?,
        },
    })
}

/// Some keys that the key of a week wraps, or with `None` those that master keys wrap themselves; those of records after
/// `after`, in the order of their records.
pub(crate) async fn wrapped_by(
    on: &impl Statements,
    week: Option<&KeyId>,
    after: &str,
    at_most: u32,
) -> Result<Vec<KeyRow>, QuarantineError> {
    let mut values: Vec<Value> = vec![after.into(), i64::from(at_most).into()];
    let which = match week {
        Some(week) => {
            values.push(week.as_str().into());
            "week_key_id = $3"
        }
        None => "week_key_id IS NULL",
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM encryption_keys WHERE {which} AND record_id > $1 ORDER BY record_id LIMIT $2"
    );
    on.rows(&sql, values).await?.iter().map(read).collect()
}

/// How many keys that is.
pub(crate) async fn count(on: &impl Statements, week: &KeyId) -> Result<u64, QuarantineError> {
    let sql = "SELECT COUNT(*) AS n FROM encryption_keys WHERE week_key_id = $1";
    let row = on.row(sql, [week.as_str().into()]).await?;
    Ok(row.map_or(Ok(0), |row| row.get_u64("n"))?)
}

/// How many keys master keys wrap themselves, by their names.
pub(crate) async fn count_by_master(on: &impl Statements) -> Result<Vec<(String, u64)>, QuarantineError> {
    let sql = "SELECT master_key_id, COUNT(*) AS n FROM encryption_keys WHERE week_key_id IS NULL \
               GROUP BY master_key_id ORDER BY master_key_id";
    let rows = on.rows(sql, []).await?;
    rows.iter().map(|row| Ok((row.get("master_key_id")?, row.get_u64("n")?))).collect()
}

/// Exchanges wraps, each if it is still the old one, for wraps by the key of a week; says how many were.
pub(crate) async fn exchange(
    tx: &Tx,
    pairs: &[(KeyRow, KeyRow)],
    at: Timestamp,
) -> Result<u64, QuarantineError> {
    let Some((_, first)) = pairs.first() else { return Ok(0) };
    let mut values: Vec<Value> = vec![first.by.clone().into(), at.as_micros().into()];
    let mut rows = String::new();
    for (old, new) in pairs {
        let n = values.len();
        let comma = if rows.is_empty() { "" } else { ", " };
        // A value of a list has no type by itself on PostgreSQL.
        match tx.dialect() {
            Dialect::Sqlite => write!(rows, "{comma}(${}, ${}, ${})", n + 1, n + 2, n + 3),
            Dialect::Postgres => write!(
                rows,
                "{comma}(CAST(${} AS TEXT), CAST(${} AS BYTEA), CAST(${} AS BYTEA))",
                n + 1,
                n + 2,
                n + 3
            ),
        }
        .unwrap_or_default();
        values.extend([old.record.clone().into(), old.wrapped.clone().into(), new.wrapped.clone().into()]);
    }
    let sql = format!(
        "UPDATE encryption_keys SET encrypted_data_key = v.column3, master_key_id = $1, week_key_id = $1, \
         wrapped_at = $2 FROM (VALUES {rows}) AS v WHERE encryption_keys.record_id = v.column1 \
         AND encryption_keys.encrypted_data_key = v.column2"
    );
    Ok(tx.execute(&sql, values).await?)
}

pub(crate) async fn destroy(tx: &Tx, record: &str) -> Result<(), QuarantineError> {
    tx.execute("DELETE FROM encryption_keys WHERE record_id = $1", [record.into()]).await?;
    Ok(())
}

/// Records whose content should be there and whose key is not, at most `at_most`.
pub(crate) async fn missing(
    on: &impl Statements,
    at_most: u32,
) -> Result<Vec<QuarantineId>, QuarantineError> {
    let sql = "SELECT id FROM quarantine_records r WHERE blob_state = 'PRESENT' \
               AND NOT EXISTS (SELECT 1 FROM encryption_keys k WHERE k.record_id = r.id) ORDER BY id LIMIT $1";
    let rows = on.rows(sql, [i64::from(at_most).into()]).await?;
    Ok(rows.iter().map(|row| row.get_parsed("id")).collect::<Result<_, _>>()?)
}
