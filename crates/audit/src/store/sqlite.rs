//! SQLite: one writer, so the end of a log is read, built upon and written in one transaction.

use clawexchange_database::{Statements as _, Tx, Value};
use clawexchange_ssg_core::{Timestamp, fail_point};

use super::{head, signed};
use crate::error::AuditError;
use crate::leaf::{BatchHead, Leaf, Log, batch_hash, genesis, month};

/// Gives a log its end unless it has one. `false`: it has none, and batches all the same.
pub(super) async fn begin_log(tx: &Tx, log: Log, origin: String) -> Result<bool, AuditError> {
    let sql = "SELECT 1 AS one FROM audit_batches WHERE log = $1 LIMIT 1";
    let has_batches = tx.row(sql, [log.as_str().into()]).await?.is_some();
    // Another process may have been first.
    if head(tx, log).await?.is_some() {
        return Ok(true);
    }
    if has_batches {
        return Ok(false);
    }
    let sql = "INSERT INTO audit_head (log, origin, batches, size, committed_us, head_hash) VALUES ($1, $2, 0, 0, 0, $3)";
    let hash = genesis(&origin).to_vec();
    tx.execute(sql, [log.as_str().into(), origin.into(), hash.into()]).await?;
    Ok(true)
}

/// Appends a batch.
pub(super) async fn append_batch(
    tx: &Tx,
    log: Log,
    uuid: [u8; 16],
    leaves: &[Leaf],
    now: Timestamp,
) -> Result<(), AuditError> {
    let head = head(tx, log).await?.ok_or(AuditError::Head { log: log.as_str() })?;
    let (batch_id, start) = (signed(head.batches)?, signed(head.size)?);
    // A clock that was set back does not set back the log.
    let committed_us = now.as_micros().max(head.committed_us);
    let month = month(committed_us);
    insert_leaves(tx, log, batch_id, month, leaves).await?;
    fail_point!("append.after-leaves");
    let n = u32::try_from(leaves.len()).ok().ok_or(AuditError::TooLarge)?;
    let batch = BatchHead { prev: head.hash, start: head.size, n, uuid, committed_us };
    let hash = batch_hash(&batch, leaves.iter().map(|leaf| &leaf.hash));
    let sql = "INSERT INTO audit_batches \
               (log, start_index, n, batch_id, month, batch_uuid, committed_us, prev_hash, batch_hash) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = [
        log.as_str().into(),
        start.into(),
        i64::from(n).into(),
        batch_id.into(),
        month.into(),
        batch.uuid.to_vec().into(),
        batch.committed_us.into(),
        batch.prev.to_vec().into(),
        hash.to_vec().into(),
    ];
    tx.execute(sql, values).await?;
    fail_point!("append.after-batch");
    let sql = "UPDATE audit_head SET batches = batches + 1, size = size + $2, committed_us = $3, head_hash = $4 \
               WHERE log = $1";
    let values = [log.as_str().into(), i64::from(n).into(), committed_us.into(), hash.to_vec().into()];
    tx.execute(sql, values).await?;
    fail_point!("append.after-head");
    Ok(())
}

/// Rows of one statement: 14 columns each, below SQLite's bound on parameters.
const ROWS_MAX: usize = 64;

async fn insert_leaves(
    tx: &Tx,
    log: Log,
    batch_id: i64,
    month: i64,
    leaves: &[Leaf],
) -> Result<(), AuditError> {
    let mut ord = 0_i64;
    for some in leaves.chunks(ROWS_MAX) {
        let rows: Vec<String> = (0..some.len())
            .map(|row| {
                let marks: Vec<String> = (1..=14).map(|column| format!("${}", row * 14 + column)).collect();
                format!("({})", marks.join(", "))
            })
            .collect();
        let sql = format!(
            "INSERT INTO audit_logs (log, batch_id, ord, month, leaf, leaf_hash, id, event_type, actor_type, \
             actor_id, target_type, target_id, ip_address, created_us) VALUES {}",
            rows.join(", ")
        );
        let mut values: Vec<Value> = Vec::with_capacity(some.len() * 14);
        for leaf in some {
            let p = &leaf.projection;
            values.extend([
                log.as_str().into(),
                batch_id.into(),
                ord.into(),
                month.into(),
                leaf.bytes.clone().into(),
                leaf.hash.to_vec().into(),
                p.id.clone().into(),
                p.event_type.clone().into(),
                p.actor_type.clone().into(),
                p.actor_id.clone().into(),
                p.target_type.clone().into(),
                p.target_id.clone().into(),
                p.ip.clone().into(),
                p.created_us.into(),
            ]);
            ord += 1;
        }
        tx.execute(&sql, values).await?;
    }
    Ok(())
}
