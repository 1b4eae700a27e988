//! Legal holds, as rows: one a record that ever had one.

use std::collections::BTreeMap;

use clawexchange_database::{DatabaseError, Row, Statements, Tx, Value};
use serde_json::json;

use crate::error::QuarantineError;

/// A legal hold that is or was in force.
#[derive(Clone, Debug)]
pub(crate) struct HoldRow {
    pub(crate) record_id: String,
    pub(crate) placed_by: String,
    pub(crate) placed_at: i64,
    pub(crate) reason: String,
    pub(crate) lifted_by: Option<String>,
    pub(crate) lifted_at: Option<i64>,
    pub(crate) lift_reason: Option<String>,
    pub(crate) version: i64,
    pub(crate) state_mac: String,
}

const COLUMNS: &str =
    "record_id, placed_by, placed_at, reason, lifted_by, lifted_at, lift_reason, version, state_mac";

impl HoldRow {
    fn of(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            record_id: row.get("record_id")?,
            placed_by: row.get("placed_by")?,
            placed_at: row.get("placed_at")?,
            reason: row.get("reason")?,
            lifted_by: row.get("lifted_by")?,
            lifted_at: row.get("lifted_at")?,
            lift_reason: row.get("lift_reason")?,
            version: row.get("version")?,
            state_mac: row.get("state_mac")?,
        })
    }

    /// Everything in the row that the log fixes, as canonical JSON.
    pub(crate) fn state(&self) -> Vec<u8> {
        let members = BTreeMap::from([
            ("lift_reason", json!(self.lift_reason)),
            ("lifted_at", json!(self.lifted_at)),
            ("lifted_by", json!(self.lifted_by)),
            ("placed_at", json!(self.placed_at)),
            ("placed_by", json!(self.placed_by)),
            ("reason", json!(self.reason)),
            ("record_id", json!(self.record_id)),
            ("version", json!(self.version)),
        ]);
        // Texts and integers under names of ours: nothing in it can fail to be written.
        serde_json::to_vec(&members).unwrap_or_default()
    }

    pub(crate) const fn is_in_force(&self) -> bool {
        self.lifted_at.is_none()
    }
}

pub(crate) async fn load(on: &impl Statements, record: &str) -> Result<Option<HoldRow>, QuarantineError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine_holds WHERE record_id = $1");
    Ok(on.row(&sql, [record.into()]).await?.as_ref().map(HoldRow::of).transpose()?)
}

/// Holds in the order of their records, after one.
pub(crate) async fn after(
    on: &impl Statements,
    record: &str,
    at_most: u32,
) -> Result<Vec<HoldRow>, QuarantineError> {
    let sql =
        format!("SELECT {COLUMNS} FROM quarantine_holds WHERE record_id > $1 ORDER BY record_id LIMIT $2");
    let rows = on.rows(&sql, [record.into(), i64::from(at_most).into()]).await?;
    Ok(rows.iter().map(HoldRow::of).collect::<Result<_, _>>()?)
}

/// Puts the row in the place of version `from` (0 for none), and says whether that was still there.
pub(crate) async fn put(tx: &Tx, row: HoldRow, from: i64) -> Result<bool, QuarantineError> {
    let values: [Value; 10] = [
        row.record_id.into(),
        row.placed_by.into(),
        row.placed_at.into(),
        row.reason.into(),
        row.lifted_by.into(),
        row.lifted_at.into(),
        row.lift_reason.into(),
        row.version.into(),
        row.state_mac.into(),
        from.into(),
    ];
    // Content that is gone cannot be kept.
    let sql = format!(
        "INSERT INTO quarantine_holds ({COLUMNS}) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 \
         WHERE EXISTS (SELECT 1 FROM quarantine_records WHERE id = $1 AND blob_state = 'PRESENT') \
         AND ($10 > 0 OR NOT EXISTS (SELECT 1 FROM quarantine_holds WHERE record_id = $1)) \
         ON CONFLICT (record_id) DO UPDATE SET placed_by = excluded.placed_by, placed_at = excluded.placed_at, \
         reason = excluded.reason, lifted_by = excluded.lifted_by, lifted_at = excluded.lifted_at, \
         lift_reason = excluded.lift_reason, version = excluded.version, state_mac = excluded.state_mac \
         WHERE quarantine_holds.version = $10"
    );
    Ok(tx.execute(&sql, values).await? == 1)
}
