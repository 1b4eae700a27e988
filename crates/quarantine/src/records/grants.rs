//! Permissions to look once, as rows.

use clawexchange_database::{Statements, Tx, Value};
use clawexchange_ssg_core::{Actor, ActorType, AgentId, QuarantineId, Timestamp};

use crate::error::QuarantineError;
use crate::record::GrantToken;
use crate::seal::sha256;

fn hash(token: &GrantToken) -> Vec<u8> {
    sha256(token.expose().as_bytes()).to_vec()
}

pub(crate) async fn insert(
    tx: &Tx,
    token: &GrantToken,
    record: QuarantineId,
    by: &Actor,
    purpose: &str,
    [created, expires]: [Timestamp; 2],
) -> Result<(), QuarantineError> {
    let sql = "INSERT INTO quarantine_grants \
               (token_hash, record_id, actor_type, actor_id, purpose, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values: [Value; 7] = [
        hash(token).into(),
        record.to_string().into(),
        by.kind.as_str().into(),
        by.id.as_str().into(),
        purpose.into(),
        created.as_micros().into(),
        expires.as_micros().into(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

const OPENS: &str =
    "token_hash = $1 AND actor_type = $2 AND actor_id = $3 AND used_at IS NULL AND expires_at > $4";

fn asked(token: &GrantToken, by: &Actor, now: Timestamp) -> [Value; 4] {
    [hash(token).into(), by.kind.as_str().into(), by.id.as_str().into(), now.as_micros().into()]
}

/// What the token would open, and what for.
pub(crate) async fn find(
    on: &impl Statements,
    token: &GrantToken,
    by: &Actor,
    now: Timestamp,
) -> Result<Option<(QuarantineId, String)>, QuarantineError> {
    let sql = format!("SELECT record_id, purpose FROM quarantine_grants WHERE {OPENS}");
    let Some(row) = on.row(&sql, asked(token, by, now)).await? else { return Ok(None) };
    Ok(Some((row.get_parsed("record_id")?, row.get("purpose")?)))
}

/// To whom an unspent grant was given.
pub(crate) async fn holder(
    on: &impl Statements,
    token: &GrantToken,
    now: Timestamp,
) -> Result<Option<Actor>, QuarantineError> {
    let sql = "SELECT actor_type, actor_id FROM quarantine_grants \
               WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2";
    let Some(row) = on.row(sql, [hash(token).into(), now.as_micros().into()]).await? else { return Ok(None) };
    let (kind, id) = (row.get_parsed::<ActorType>("actor_type")?, row.get_parsed::<AgentId>("actor_id")?);
    Ok(Some(Actor::named(kind, id)))
}

/// Spends the grant, and says whether it was there to be spent: of many who ask, one does.
pub(crate) async fn spend(
    tx: &Tx,
    token: &GrantToken,
    by: &Actor,
    now: Timestamp,
) -> Result<bool, QuarantineError> {
    let sql = format!("UPDATE quarantine_grants SET used_at = $4 WHERE {OPENS}");
    Ok(tx.execute(&sql, asked(token, by, now)).await? == 1)
}

/// Takes out grants that stopped opening before a moment; the log remembers them.
pub(crate) async fn forget(tx: &Tx, before: Timestamp, at_most: u32) -> Result<u64, QuarantineError> {
    let dialect = tx.dialect();
    let over = format!(
        "FROM quarantine_grants WHERE expires_at < $1 ORDER BY expires_at LIMIT $2{}",
        dialect.skip_locked()
    );
    let sql = format!("DELETE FROM quarantine_grants WHERE {}", dialect.is_among("token_hash", &over));
    Ok(tx.execute(&sql, [before.as_micros().into(), i64::from(at_most).into()]).await?)
}
