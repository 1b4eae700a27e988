//! What the platform said it published, as rows: one a record, written once.

use std::collections::BTreeMap;

use clawexchange_database::{DatabaseError, Row, Statements, Tx, Value};
use serde_json::json;

use crate::error::QuarantineError;

/// A publication.
#[derive(Clone, Debug)]
pub(crate) struct PublicationRow {
    pub(crate) record_id: String,
    pub(crate) confirmed_by: String,
    pub(crate) confirmed_at: i64,
    pub(crate) state_mac: String,
}

const COLUMNS: &str = "record_id, confirmed_by, confirmed_at, state_mac";

impl PublicationRow {
    fn of(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            record_id: row.get("record_id")?,
            confirmed_by: row.get("confirmed_by")?,
            confirmed_at: row.get("confirmed_at")?,
            state_mac: row.get("state_mac")?,
        })
    }

    /// Everything in the row that the log fixes, as canonical JSON.
    pub(crate) fn state(&self) -> Vec<u8> {
        let members = BTreeMap::from([
            ("confirmed_at", json!(self.confirmed_at)),
            ("confirmed_by", json!(self.confirmed_by)),
            ("record_id", json!(self.record_id)),
        ]);
        // Texts and integers under names of ours: nothing in it can fail to be written.
        serde_json::to_vec(&members).unwrap_or_default()
    }
}

pub(crate) async fn load(
    on: &impl Statements,
    record: &str,
) -> Result<Option<PublicationRow>, QuarantineError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine_publications WHERE record_id = $1");
    Ok(on.row(&sql, [record.into()]).await?.as_ref().map(PublicationRow::of).transpose()?)
}

/// Publications in the order of their records, after one.
pub(crate) async fn after(
    on: &impl Statements,
    record: &str,
    at_most: u32,
) -> Result<Vec<PublicationRow>, QuarantineError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM quarantine_publications WHERE record_id > $1 ORDER BY record_id LIMIT $2"
    );
    let rows = on.rows(&sql, [record.into(), i64::from(at_most).into()]).await?;
    Ok(rows.iter().map(PublicationRow::of).collect::<Result<_, _>>()?)
}

/// Puts a row for a record that is released, and says whether it did: of two who say the same, one does.
pub(crate) async fn put(tx: &Tx, row: PublicationRow) -> Result<bool, QuarantineError> {
    let sql = format!(
        "INSERT INTO quarantine_publications ({COLUMNS}) SELECT $1, $2, $3, $4 \
         WHERE EXISTS (SELECT 1 FROM quarantine_records WHERE id = $1 AND status = 'RELEASED') \
         ON CONFLICT (record_id) DO NOTHING"
    );
    let values: [Value; 4] =
        [row.record_id.into(), row.confirmed_by.into(), row.confirmed_at.into(), row.state_mac.into()];
    Ok(tx.execute(&sql, values).await? == 1)
}
