//! Rows in: the only file that appends.

use clawexchange_database::{Database, Statements, Tx};
use clawexchange_ssg_core::{AuditEvent, EventId, KeyProvider, Timestamp, fail_point};

use crate::error::AuditError;
use crate::leaf::{BatchHead, Hash, Leaf, Log, batch_hash, genesis};
use crate::subjects;

/// The end of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) origin: String,
    pub(crate) batches: u64,
    pub(crate) size: u64,
    pub(crate) hash: Hash,
}

/// Reads the end of a log.
pub(crate) async fn head(on: &impl Statements, log: Log) -> Result<Option<Head>, AuditError> {
    let sql = "SELECT origin, batches, size, head_hash FROM audit_head WHERE log = $1";
    let row = on.row(sql, [log.as_str().into()]).await?;
    row.map(|row| {
        Ok(Head {
            origin: row.get("origin")?,
            batches: row.get_u64("batches")?,
            size: row.get_u64("size")?,
            hash: row.get_bytes("head_hash")?,
        })
    })
    .transpose()
}

/// `<host or "local">/<deployment>/<log>`, fixed when the log begins.
pub(crate) fn origin(deployment: &[u8; 16], log: Log) -> String {
    format!("local/{}/{}", EventId::from_bytes(*deployment), log.as_str())
}

/// Gives each log its end, if the database is new. A log whose end is gone and that has batches is not given another.
pub(crate) async fn begin_logs(db: &Database) -> Result<(), AuditError> {
    let deployment = db.deployment().await?.ok_or(AuditError::NoSchema)?;
    let schema = db.read().row("SELECT 1 AS one FROM sqlite_schema WHERE name = 'audit_head'", []).await?;
    if schema.is_none() {
        return Err(AuditError::NoSchema);
    }
    for log in Log::ALL {
        if head(&db.read(), log).await?.is_some() {
            continue;
        }
        let tx = db.begin().await?;
        let sql = "SELECT 1 AS one FROM audit_batches WHERE log = $1 LIMIT 1";
        if tx.row(sql, [log.as_str().into()]).await?.is_some() {
            return Err(AuditError::Head { log: log.as_str() });
        }
        // Another process may have been first.
        if head(&tx, log).await?.is_none() {
            let origin = origin(&deployment, log);
            let sql =
                "INSERT INTO audit_head (log, origin, batches, size, head_hash) VALUES ($1, $2, 0, 0, $3)";
            let hash = genesis(&origin).to_vec();
            tx.execute(sql, [log.as_str().into(), origin.into(), hash.into()]).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Appends events to their logs: aliases, leaves, rows, a batch each log, and last the end. Gives the end of each log
/// that grew.
pub(crate) async fn append(
    tx: &Tx,
    keys: &dyn KeyProvider,
    events: &[AuditEvent],
    now: Timestamp,
) -> Result<(), AuditError> {
    if events.is_empty() {
        return Ok(());
    }
    let subjects = subjects::put(tx, keys, events).await?;
    fail_point!("append.after-subjects");
    for log in Log::ALL {
        let mut leaves = Vec::new();
        for event in events.iter().filter(|event| Log::of(event.kind()) == log) {
            let actor = subjects.get(&subjects::actor_subject(event));
            let owner = event.owner().and_then(|o| subjects.get(&subjects::owner_subject(o.as_str())));
            let sealed = match actor {
                Some(actor) if !event.personal().is_empty() => subjects::seal(keys, actor, event).await?,
                _ => serde_json::Map::new(),
            };
            leaves.push(Leaf::of(
                event,
                actor.map(|s| s.alias.as_str()),
                owner.map(|s| s.alias.as_str()),
                sealed,
            )?);
        }
        if !leaves.is_empty() {
            append_batch(tx, log, &leaves, now).await?;
        }
    }
    Ok(())
}

async fn append_batch(tx: &Tx, log: Log, leaves: &[Leaf], now: Timestamp) -> Result<(), AuditError> {
    let head = head(tx, log).await?.ok_or(AuditError::Head { log: log.as_str() })?;
    let (batch_id, start) = (signed(head.batches)?, signed(head.size)?);
    insert_leaves(tx, log, batch_id, leaves).await?;
    fail_point!("append.after-leaves");
    let n = u32::try_from(leaves.len()).ok().ok_or(AuditError::TooLarge)?;
    let batch = BatchHead {
        prev: head.hash,
        start: head.size,
        n,
        uuid: *EventId::fresh().as_bytes(),
        committed_us: now.as_micros(),
    };
    let hash = batch_hash(&batch, leaves.iter().map(|leaf| &leaf.hash));
    let sql = "INSERT INTO audit_batches \
               (log, batch_id, start_index, n, batch_uuid, committed_us, prev_hash, batch_hash) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = [
        log.as_str().into(),
        batch_id.into(),
        start.into(),
        i64::from(n).into(),
        batch.uuid.to_vec().into(),
        batch.committed_us.into(),
        batch.prev.to_vec().into(),
        hash.to_vec().into(),
    ];
    tx.execute(sql, values).await?;
    fail_point!("append.after-batch");
    let sql = "UPDATE audit_head SET batches = batches + 1, size = size + $2, head_hash = $3 WHERE log = $1";
    tx.execute(sql, [log.as_str().into(), i64::from(n).into(), hash.to_vec().into()]).await?;
    fail_point!("append.after-head");
    Ok(())
}

/// Rows of one statement: 14 columns each, below SQLite's bound on parameters.
const ROWS_MAX: usize = 64;

async fn insert_leaves(tx: &Tx, log: Log, batch_id: i64, leaves: &[Leaf]) -> Result<(), AuditError> {
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
        let mut values: Vec<clawexchange_database::Value> = Vec::with_capacity(some.len() * 14);
        for leaf in some {
            let p = &leaf.projection;
            values.extend([
                log.as_str().into(),
                batch_id.into(),
                ord.into(),
                p.month.into(),
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

fn signed(n: u64) -> Result<i64, AuditError> {
    i64::try_from(n).ok().ok_or(AuditError::TooLarge)
}
