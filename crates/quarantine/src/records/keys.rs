//! Wrapped data keys, as rows.

use clawexchange_database::{Statements, Tx, Value};
use clawexchange_ssg_core::{QuarantineId, Timestamp};

use crate::error::QuarantineError;

/// A wrapped data key.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    pub(crate) id: String,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) master_key_id: String,
}

/// Names the construction that wrapped the key.
const ALGORITHM: &str = "hkdf-sha512+aes-256-gcm/v1";

pub(crate) async fn insert(tx: &Tx, record: &str, key: KeyRow, at: Timestamp) -> Result<(), QuarantineError> {
    let sql = "INSERT INTO encryption_keys \
               (id, record_id, encrypted_data_key, master_key_id, algorithm, created_at, wrapped_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $6)";
    let values: [Value; 6] = [
        key.id.into(),
        record.into(),
        key.wrapped.into(),
        key.master_key_id.into(),
        ALGORITHM.into(),
        at.as_micros().into(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

pub(crate) async fn of(on: &impl Statements, record: &str) -> Result<Option<KeyRow>, QuarantineError> {
    let sql = "SELECT id, encrypted_data_key, master_key_id FROM encryption_keys \
               WHERE record_id = $1 AND algorithm = $2";
    let Some(row) = on.row(sql, [record.into(), ALGORITHM.into()]).await? else { return Ok(None) };
    Ok(Some(KeyRow {
        id: row.get("id")?,
        wrapped: row.get("encrypted_data_key")?,
        master_key_id: row.get("master_key_id")?,
    }))
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
