//! PostgreSQL: functions that run with the owner's rights. The application's role may append through them and read, and
//! nothing else.

use clawexchange_database::{Database, DatabaseError, Statements as _, Tx, Value};
use clawexchange_ssg_core::fail_point;

use crate::error::AuditError;
use crate::leaf::{Leaf, Log};

/// Gives a log its end unless it has one. `false`: it has none, and batches all the same.
pub(super) async fn begin_log(tx: &Tx, log: Log, origin: String) -> Result<bool, AuditError> {
    let row = tx.row("SELECT audit_begin($1, $2) AS begun", [log.as_str().into(), origin.into()]).await?;
    Ok(row.map(|row| row.get("begun")).transpose()?.unwrap_or(false))
}

/// Sees to it that this month and `ahead` more have their partition, and says how many had none.
pub(crate) async fn make_months(db: &Database, ahead: u32) -> Result<u64, AuditError> {
    let tx = db.begin().await?;
    let ahead = i32::try_from(ahead).unwrap_or(i32::MAX);
    let row = tx.row("SELECT audit_partitions_ahead($1) AS made", [ahead.into()]).await?;
    let made = row.map(|row| row.get_u64("made")).transpose()?.unwrap_or(0);
    tx.commit().await?;
    Ok(made)
}

const APPEND: &str = "SELECT audit_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS start_index, $2 AS batch_uuid";

/// Appends a batch: one call, in which the rows are written first and the end of the log is taken last.
pub(super) async fn append_batch(
    tx: &Tx,
    log: Log,
    uuid: [u8; 16],
    leaves: Vec<Leaf>,
) -> Result<(), AuditError> {
    tx.row(APPEND, values(log, uuid, leaves, None)).await?;
    fail_point!("append.after-head");
    Ok(())
}

/// The same as a transaction of its own.
pub(super) async fn append_at_once(
    db: &Database,
    log: Log,
    uuid: [u8; 16],
    leaves: Vec<Leaf>,
    erased: i64,
) -> Result<(), AuditError> {
    // What is acknowledged is this batch and no other: a connection that was given up in the middle of another question
    // must not answer for it.
    let row = db.read().row(APPEND, values(log, uuid, leaves, Some(erased))).await?;
    match row.map(|row| row.get_bytes::<16>("batch_uuid")) {
        Some(Ok(said)) if said == uuid => Ok(()),
        _ => Err(DatabaseError::Misplaced.into()),
    }
}

fn values(log: Log, uuid: [u8; 16], leaves: Vec<Leaf>, erased: Option<i64>) -> [Value; 13] {
    let mut columns = Columns::default();
    for leaf in leaves {
        columns.push(leaf);
    }
    [
        log.as_str().into(),
        uuid.to_vec().into(),
        columns.leaves.into(),
        columns.hashes.into(),
        columns.ids.into(),
        columns.types.into(),
        columns.actor_types.into(),
        columns.actor_ids.into(),
        columns.target_types.into(),
        columns.target_ids.into(),
        columns.ips.into(),
        columns.created.into(),
        erased.into(),
    ]
}

/// A batch by columns: arrays, so that one statement serves batches of any length.
#[derive(Default)]
struct Columns {
    leaves: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
    ids: Vec<String>,
    types: Vec<String>,
    actor_types: Vec<String>,
    actor_ids: Vec<String>,
    target_types: Vec<String>,
    target_ids: Vec<String>,
    ips: Vec<String>,
    created: Vec<i64>,
}

impl Columns {
    fn push(&mut self, leaf: Leaf) {
        let p = leaf.projection;
        self.leaves.push(leaf.bytes);
        self.hashes.push(leaf.hash.to_vec());
        self.ids.push(p.id);
        self.types.push(p.event_type);
        self.actor_types.push(p.actor_type);
        self.actor_ids.push(p.actor_id);
        self.target_types.push(p.target_type.unwrap_or_default());
        self.target_ids.push(p.target_id.unwrap_or_default());
        self.ips.push(p.ip.unwrap_or_default());
        self.created.push(p.created_us);
    }
}
