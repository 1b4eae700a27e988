//! Who looks at a record now. Orthogonal to its status, and not part of what the log fixes.

use clawexchange_database::{DatabaseError, Row, Statements, Tx, Value};
use clawexchange_ssg_core::{Actor, QuarantineId, Timestamp};

use super::{REVIEW_ORDER, narrowed};
use crate::error::QuarantineError;
use crate::record::Filter;

/// Who looks at a record, until when, and by which number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimRow {
    pub(crate) by: String,
    pub(crate) until: i64,
    pub(crate) fence: i64,
}

/// A claim that is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) by: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) fence: i64,
}

/// How a claim names an actor: sort and id, so that a program and a person of one name stay two.
pub(crate) fn claimant(by: &Actor) -> String {
    format!("{}:{}", by.kind, by.id)
}

impl ClaimRow {
    fn of(row: &Row) -> Result<Option<Self>, DatabaseError> {
        let parts = (row.get("claimed_by")?, row.get("lease_until")?, row.get("fence")?);
        Ok(match parts {
            (Some(by), Some(until), Some(fence)) => Some(Self { by, until, fence }),
            _ => None,
        })
    }

    /// Whether others have to wait.
    pub(crate) const fn is_live(&self, now: Timestamp) -> bool {
        self.until > now.as_micros()
    }
}

/// Undecided, in the words of the index that has their order.
const OPEN: &str = "status NOT IN ('RELEASED', 'DELETED', 'EXPIRED') AND blob_state <> 'PENDING'";

/// Claims the first record of the queue that nobody looks at, and says which it is.
pub(crate) async fn take_next(
    tx: &Tx,
    filter: &Filter,
    wanted: Wanted<'_>,
) -> Result<Option<QuarantineId>, QuarantineError> {
    let mut values: Vec<Value> = parameters(wanted).into();
    let (clauses, skip) = (narrowed(filter, &mut values), tx.dialect().skip_locked());
    let sql = format!(
        "UPDATE quarantine_records SET claimed_by = $1, lease_until = $2, fence = $3 WHERE id = \
         (SELECT id FROM quarantine_records WHERE {OPEN} \
          AND (claimed_by IS NULL OR lease_until IS NULL OR lease_until <= $4){clauses} \
          ORDER BY {REVIEW_ORDER}, created_at, id LIMIT 1{skip}) RETURNING id"
    );
    Ok(tx.row(&sql, values).await?.map(|row| row.get_parsed("id")).transpose()?)
}

/// Claims one record that nobody else looks at, and says whether it did.
pub(crate) async fn take(tx: &Tx, id: QuarantineId, wanted: Wanted<'_>) -> Result<bool, QuarantineError> {
    let sql = format!(
        "UPDATE quarantine_records SET claimed_by = $1, lease_until = $2, fence = $3 WHERE id = $5 AND {OPEN} \
         AND (claimed_by IS NULL OR lease_until IS NULL OR lease_until <= $4 OR claimed_by = $1)"
    );
    let values = parameters(wanted).into_iter().chain([id.to_string().into()]);
    Ok(tx.execute(&sql, values).await? == 1)
}

/// Lengthens a claim that still stands, and says whether it did.
pub(crate) async fn extend(tx: &Tx, id: QuarantineId, wanted: Wanted<'_>) -> Result<bool, QuarantineError> {
    let sql =
        "UPDATE quarantine_records SET lease_until = $1 WHERE id = $2 AND claimed_by = $3 AND fence = $4";
    let values: [Value; 4] =
        [wanted.until.as_micros().into(), id.to_string().into(), wanted.by.into(), wanted.fence.into()];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Takes a claim back, and says whether it was there.
pub(crate) async fn drop(tx: &Tx, id: QuarantineId, by: &str, fence: i64) -> Result<bool, QuarantineError> {
    let sql = "UPDATE quarantine_records SET claimed_by = NULL, lease_until = NULL, fence = NULL \
               WHERE id = $1 AND claimed_by = $2 AND fence = $3";
    Ok(tx.execute(sql, [id.to_string().into(), by.into(), fence.into()]).await? == 1)
}

/// The claim of a record, whether its lease lives or not.
pub(crate) async fn of(on: &impl Statements, id: QuarantineId) -> Result<Option<ClaimRow>, QuarantineError> {
    let sql = "SELECT claimed_by, lease_until, fence FROM quarantine_records WHERE id = $1";
    let Some(row) = on.row(sql, [id.to_string().into()]).await? else { return Ok(None) };
    Ok(ClaimRow::of(&row)?)
}

fn parameters(wanted: Wanted<'_>) -> [Value; 4] {
    [wanted.by.into(), wanted.until.as_micros().into(), wanted.fence.into(), wanted.now.as_micros().into()]
}
