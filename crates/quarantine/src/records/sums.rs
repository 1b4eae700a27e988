//! How much is held: for bounds, and for people.

use clawexchange_database::{Statements, Value};
use clawexchange_ssg_core::{AgentId, OwnerId, Timestamp};

use crate::error::QuarantineError;
use crate::record::Stats;

/// Undecided records and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) holds: u64,
    pub(crate) bytes: u64,
}

/// Whose records are counted.
pub(crate) enum Scope<'a> {
    Agent(&'a AgentId),
    Owner(&'a OwnerId),
    All,
}

/// Counts undecided records; stores under way are among them.
pub(crate) async fn usage(on: &impl Statements, scope: Scope<'_>) -> Result<Usage, QuarantineError> {
    let (clause, values): (_, Vec<Value>) = match scope {
        Scope::Agent(agent) => ("agent_id = $1 AND", vec![agent.as_str().into()]),
        Scope::Owner(owner) => ("owner_id = $1 AND", vec![owner.as_str().into()]),
        Scope::All => ("", Vec::new()),
    };
    let sql = format!(
        "SELECT COUNT(*) AS holds, CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS bytes FROM quarantine_records \
         WHERE {clause} status IN ('QUARANTINED', 'UNDER_REVIEW')"
    );
    match on.row(&sql, values).await? {
        Some(row) => Ok(Usage { holds: row.get_u64("holds")?, bytes: row.get_u64("bytes")? }),
        None => Ok(Usage::default()),
    }
}

/// Names of records after one, in their order, that somebody has to decide about or that a legal hold keeps.
pub(crate) async fn unsettled(
    on: &impl Statements,
    after: &str,
    at_most: u32,
) -> Result<Vec<String>, QuarantineError> {
    let sql = "SELECT id FROM quarantine_records r WHERE id > $1 AND (status IN ('QUARANTINED', 'UNDER_REVIEW') \
               OR EXISTS (SELECT 1 FROM quarantine_holds h WHERE h.record_id = r.id AND h.lifted_at IS NULL)) \
               ORDER BY id LIMIT $2";
    let rows = on.rows(sql, [after.into(), i64::from(at_most).into()]).await?;
    Ok(rows.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?)
}

/// Everything summed up.
pub(crate) async fn stats(on: &impl Statements) -> Result<Stats, QuarantineError> {
    let mut stats = Stats::default();
    let sql = "SELECT status, COUNT(*) AS n, \
               CAST(COALESCE(SUM(CASE WHEN blob_state = 'PRESENT' THEN size_bytes ELSE 0 END), 0) AS BIGINT) AS bytes, \
               MIN(created_at) AS oldest FROM quarantine_records WHERE blob_state <> 'PENDING' GROUP BY status";
    for row in on.rows(sql, []).await? {
        let status = row.get_parsed::<crate::Status>("status")?;
        let (n, bytes) = (row.get_u64("n")?, row.get_u64("bytes")?);
        stats.by_status.insert(status, n);
        stats.kept_bytes += bytes;
        if status.is_open() {
            stats.open += n;
            stats.open_bytes += bytes;
            let oldest = Timestamp::from_micros(row.get("oldest")?);
            stats.oldest_open = Some(stats.oldest_open.map_or(oldest, |known| known.min(oldest)));
        }
    }
    let sql = "SELECT (SELECT COUNT(*) FROM quarantine_records WHERE blob_state = 'PENDING') AS pending, \
               (SELECT COUNT(*) FROM quarantine_tombstones) AS tombstones, \
               (SELECT COUNT(*) FROM quarantine_holds WHERE lifted_at IS NULL) AS legal_holds";
    if let Some(row) = on.row(sql, []).await? {
        stats.pending = row.get_u64("pending")?;
        stats.tombstones = row.get_u64("tombstones")?;
        stats.legal_holds = row.get_u64("legal_holds")?;
    }
    let sql = "SELECT COALESCE(w.master_key_id, k.master_key_id) AS master_key_id, CAST(SUM(k.n) AS BIGINT) AS n \
               FROM (SELECT week_key_id, master_key_id, COUNT(*) AS n FROM encryption_keys \
               GROUP BY week_key_id, master_key_id) k LEFT JOIN quarantine_week_keys w ON w.id = k.week_key_id \
               GROUP BY COALESCE(w.master_key_id, k.master_key_id)";
    for row in on.rows(sql, []).await? {
        stats.keys.insert(row.get("master_key_id")?, row.get_u64("n")?);
    }
    Ok(stats)
}
