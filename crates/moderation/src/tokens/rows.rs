//! Tokens as rows. Nothing but this file asks the database.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clawexchange_database::{DatabaseError, Row, Statements, Tx, Value};
use clawexchange_ssg_core::{AgentId, OwnerId, Timestamp};
use serde_json::json;

use super::{TokenFilter, TokenId, TokenInfo};
use crate::access::Role;
use crate::error::ModerationError;
use crate::principal::Principal;

/// A row of `moderation_tokens` as it lies there: words are not read yet, so that an altered row can be looked at.
#[derive(Clone, Debug)]
pub(super) struct TokenRow {
    pub(super) id: String,
    pub(super) token_hash: Vec<u8>,
    pub(super) hint: String,
    pub(super) principal_id: String,
    pub(super) role: String,
    pub(super) trust: String,
    pub(super) owner_id: Option<String>,
    pub(super) created_at: i64,
    pub(super) created_by: String,
    pub(super) expires_at: Option<i64>,
    pub(super) revoked_at: Option<i64>,
    pub(super) revoked_by: Option<String>,
    pub(super) revoke_reason: Option<String>,
    pub(super) version: i64,
    pub(super) state_mac: String,
}

const COLUMNS: &str = "id, token_hash, hint, principal_id, role, trust, owner_id, created_at, created_by, expires_at, \
                       revoked_at, revoked_by, revoke_reason, version, state_mac";

/// What a token has that opens something at a moment, which is the first parameter.
const LIVE: &str = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)";

impl TokenRow {
    fn of(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.get("id")?,
            token_hash: row.get("token_hash")?,
            hint: row.get("hint")?,
            principal_id: row.get("principal_id")?,
            role: row.get("role")?,
            trust: row.get("trust")?,
            owner_id: row.get("owner_id")?,
            created_at: row.get("created_at")?,
            created_by: row.get("created_by")?,
            expires_at: row.get("expires_at")?,
            revoked_at: row.get("revoked_at")?,
            revoked_by: row.get("revoked_by")?,
            revoke_reason: row.get("revoke_reason")?,
            version: row.get("version")?,
            state_mac: row.get("state_mac")?,
        })
    }

    /// Everything in the row that the log fixes, as canonical JSON.
    pub(super) fn state(&self) -> Vec<u8> {
        let hash = self.token_hash.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String does not fail.
            write!(text, "{byte:02x}").unwrap_or_default();
            text
        });
        let members = BTreeMap::from([
            ("created_at", json!(self.created_at)),
            ("created_by", json!(self.created_by)),
            ("expires_at", json!(self.expires_at)),
            ("hint", json!(self.hint)),
            ("id", json!(self.id)),
            ("owner_id", json!(self.owner_id)),
            ("principal_id", json!(self.principal_id)),
            ("revoke_reason", json!(self.revoke_reason)),
            ("revoked_at", json!(self.revoked_at)),
            ("revoked_by", json!(self.revoked_by)),
            ("role", json!(self.role)),
            ("token_hash", json!(hash)),
            ("trust", json!(self.trust)),
            ("version", json!(self.version)),
        ]);
        // Texts and integers under names of ours: nothing in it can fail to be written.
        serde_json::to_vec(&members).unwrap_or_default()
    }

    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > now.as_micros())
    }

    pub(super) fn altered(&self) -> ModerationError {
        // Whoever altered it may have put anything there.
        ModerationError::Altered { id: self.id.chars().filter(char::is_ascii_graphic).take(36).collect() }
    }

    /// Who speaks with it.
    pub(super) fn principal(&self) -> Result<Principal, ModerationError> {
        let owner = self.owner_id.as_ref().map(OwnerId::new).transpose();
        Ok(Principal {
            id: AgentId::new(&self.principal_id).ok().ok_or_else(|| self.altered())?,
            role: self.role.parse().ok().ok_or_else(|| self.altered())?,
            owner: owner.ok().ok_or_else(|| self.altered())?,
            trust: self.trust.parse().ok().ok_or_else(|| self.altered())?,
        })
    }

    /// Everything about it, and nothing of it.
    pub(super) fn info(&self) -> Result<TokenInfo, ModerationError> {
        let Principal { id: principal, role, owner, trust } = self.principal()?;
        Ok(TokenInfo {
            id: self.id.parse::<TokenId>().ok().ok_or_else(|| self.altered())?,
            principal,
            role,
            trust,
            owner,
            created_at: Timestamp::from_micros(self.created_at),
            created_by: self.created_by.clone(),
            expires_at: self.expires_at.map(Timestamp::from_micros),
            revoked_at: self.revoked_at.map(Timestamp::from_micros),
            revoked_by: self.revoked_by.clone(),
            revoke_reason: self.revoke_reason.clone(),
            hint: self.hint.clone(),
        })
    }
}

pub(super) async fn by_hash(
    on: &impl Statements,
    hash: &[u8; 32],
) -> Result<Option<TokenRow>, ModerationError> {
    one(on, "token_hash", hash.to_vec().into()).await
}

pub(super) async fn by_id(on: &impl Statements, id: TokenId) -> Result<Option<TokenRow>, ModerationError> {
    one(on, "id", id.to_string().into()).await
}

async fn one(
    on: &impl Statements,
    column: &'static str,
    value: Value,
) -> Result<Option<TokenRow>, ModerationError> {
    let sql = format!("SELECT {COLUMNS} FROM moderation_tokens WHERE {column} = $1");
    Ok(on.row(&sql, [value]).await?.as_ref().map(TokenRow::of).transpose()?)
}

/// Newest first; `before` is the last row that was seen.
pub(super) async fn list(
    on: &impl Statements,
    filter: &TokenFilter,
    before: Option<(i64, String)>,
    at_most: u32,
    now: Timestamp,
) -> Result<Vec<TokenRow>, ModerationError> {
    let mut values: Vec<Value> = Vec::new();
    let mut clauses = Vec::new();
    if filter.live_only {
        values.push(now.as_micros().into());
        clauses.push(LIVE.to_owned());
    }
    let wanted =
        [("principal_id", filter.id.as_ref().map(AgentId::as_str)), ("role", filter.role.map(Role::as_str))];
    for (column, value) in wanted.into_iter().filter_map(|(column, value)| Some((column, value?))) {
        values.push(value.into());
        clauses.push(format!("{column} = ${}", values.len()));
    }
    if let Some((micros, id)) = before {
        values.push(micros.into());
        values.push(id.into());
        clauses.push(format!("(created_at, id) < (${}, ${})", values.len() - 1, values.len()));
    }
    let narrowed =
        if clauses.is_empty() { String::new() } else { format!("WHERE {}", clauses.join(" AND ")) };
    values.push(i64::from(at_most).into());
    let sql = format!(
        "SELECT {COLUMNS} FROM moderation_tokens {narrowed} ORDER BY created_at DESC, id DESC LIMIT ${}",
        values.len()
    );
    read(&on.rows(&sql, values).await?)
}

/// Rows in the order of their names, after one.
pub(super) async fn after(
    on: &impl Statements,
    id: &str,
    at_most: u32,
) -> Result<Vec<TokenRow>, ModerationError> {
    let sql = format!("SELECT {COLUMNS} FROM moderation_tokens WHERE id > $1 ORDER BY id LIMIT $2");
    read(&on.rows(&sql, [id.into(), i64::from(at_most).into()]).await?)
}

fn read(rows: &[Row]) -> Result<Vec<TokenRow>, ModerationError> {
    Ok(rows.iter().map(TokenRow::of).collect::<Result<_, _>>()?)
}

/// How many tokens live.
pub(super) async fn live(on: &impl Statements, now: Timestamp) -> Result<u64, ModerationError> {
    let sql = format!("SELECT COUNT(*) AS n FROM moderation_tokens WHERE {LIVE}");
    let row = on.row(&sql, [now.as_micros().into()]).await?;
    Ok(row.map_or(Ok(0), |row| row.get_u64("n"))?)
}

/// Whether an admin's token lives.
pub(super) async fn has_admin(on: &impl Statements, now: Timestamp) -> Result<bool, ModerationError> {
    let sql = format!("SELECT 1 AS one FROM moderation_tokens WHERE {LIVE} AND role = $2 LIMIT 1");
    Ok(on.row(&sql, [now.as_micros().into(), Role::Admin.as_str().into()]).await?.is_some())
}

pub(super) async fn insert(tx: &Tx, row: TokenRow) -> Result<(), ModerationError> {
    let values: [Value; 15] = [
        row.id.into(),
        row.token_hash.into(),
        row.hint.into(),
        row.principal_id.into(),
        row.role.into(),
        row.trust.into(),
        row.owner_id.into(),
        row.created_at.into(),
        row.created_by.into(),
        row.expires_at.into(),
        row.revoked_at.into(),
        row.revoked_by.into(),
        row.revoke_reason.into(),
        row.version.into(),
        row.state_mac.into(),
    ];
    let places: Vec<String> = (1..=values.len()).map(|n| format!("${n}")).collect();
    let sql = format!("INSERT INTO moderation_tokens ({COLUMNS}) VALUES ({})", places.join(", "));
    tx.execute(&sql, values).await?;
    Ok(())
}

/// Puts the end of a token into its row, if it is still as it was read, and says whether it was.
pub(super) async fn revoke(tx: &Tx, to: TokenRow) -> Result<bool, ModerationError> {
    let sql = "UPDATE moderation_tokens SET revoked_at = $1, revoked_by = $2, revoke_reason = $3, version = $4, \
               state_mac = $5 WHERE id = $6 AND version = $4 - 1 AND revoked_at IS NULL";
    let values: [Value; 6] = [
        to.revoked_at.into(),
        to.revoked_by.into(),
        to.revoke_reason.into(),
        to.version.into(),
        to.state_mac.into(),
        to.id.into(),
    ];
    Ok(tx.execute(sql, values).await? == 1)
}
