//! The same content again, as rows.

use clawexchange_database::{Statements, Tx, Value};
use clawexchange_ssg_core::{AgentId, Mac, QuarantineId, Timestamp};

use crate::error::QuarantineError;

/// Where the content of an inspection is: its record, and whether it is a repeat of it.
pub(crate) async fn of_inspection(
    on: &impl Statements,
    inspection: &str,
) -> Result<Option<QuarantineId>, QuarantineError> {
    let sql = "SELECT record_id FROM quarantine_repeats WHERE inspection_id = $1";
    let row = on.row(sql, [inspection.into()]).await?;
    Ok(row.map(|row| row.get_parsed("record_id")).transpose()?)
}

/// Puts a repeat, and says whether it did: it may be there already.
pub(crate) async fn insert(
    tx: &Tx,
    inspection: &str,
    record: QuarantineId,
    at: Timestamp,
) -> Result<bool, QuarantineError> {
    let sql = "INSERT INTO quarantine_repeats (inspection_id, record_id, created_at) VALUES ($1, $2, $3) \
               ON CONFLICT (inspection_id) DO NOTHING";
    let values: [Value; 3] = [inspection.into(), record.to_string().into(), at.as_micros().into()];
    Ok(tx.execute(sql, values).await? == 1)
}

/// The keys under which codes of an agent's undecided contents were made: one, but after a rotation two.
pub(crate) async fn mac_keys(on: &impl Statements, agent: &AgentId) -> Result<Vec<String>, QuarantineError> {
    let sql = "SELECT DISTINCT hmac_key_id FROM quarantine_records \
               WHERE agent_id = $1 AND status IN ('QUARANTINED', 'UNDER_REVIEW')";
    let rows = on.rows(sql, [agent.as_str().into()]).await?;
    Ok(rows.iter().map(|row| row.get("hmac_key_id")).collect::<Result<_, _>>()?)
}

/// The undecided record of the same agent whose content has one of these codes.
pub(crate) async fn same_content(
    on: &impl Statements,
    agent: &AgentId,
    codes: &[Mac],
) -> Result<Option<QuarantineId>, QuarantineError> {
    find(on, agent, codes, "").await
}

/// The same, and it stays undecided while `tx` is open.
pub(crate) async fn same_content_locked(
    tx: &Tx,
    agent: &AgentId,
    codes: &[Mac],
) -> Result<Option<QuarantineId>, QuarantineError> {
    find(tx, agent, codes, tx.dialect().for_update()).await
}

async fn find(
    on: &impl Statements,
    agent: &AgentId,
    codes: &[Mac],
    wait: &str,
) -> Result<Option<QuarantineId>, QuarantineError> {
    let sql = format!(
        "SELECT id FROM quarantine_records WHERE agent_id = $1 AND hmac_key_id = $2 AND content_hmac = $3 \
         AND status IN ('QUARANTINED', 'UNDER_REVIEW') AND blob_state = 'PRESENT' ORDER BY created_at LIMIT 1{wait}"
    );
    for code in codes {
        let values: [Value; 3] = [agent.as_str().into(), code.key.as_str().into(), code.tag.to_vec().into()];
        if let Some(row) = on.row(&sql, values).await? {
            return Ok(Some(row.get_parsed("id")?));
        }
    }
    Ok(None)
}
