//! Rows. Nothing but this file and those below it asks the database.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clawexchange_database::{DatabaseError, Row, Statements, Tx, Value};
use clawexchange_ssg_core::{AgentId, OwnerId, QuarantineId, SourceId, Timestamp};
use serde_json::json;

use crate::error::QuarantineError;
use crate::record::{Filter, QuarantineRecord, Reason};
use crate::seal::sha256;
use crate::status::{BlobState, Status};

pub(crate) mod claims;
pub(crate) mod grants;
pub(crate) mod keys;
pub(crate) mod legal;
pub(crate) mod publications;
pub(crate) mod repeats;
pub(crate) mod sums;
pub(crate) mod tombstones;
pub(crate) mod week_keys;

/// A row of `quarantine_records` as it lies there: words are not read yet, so that an altered row can be looked at.
#[derive(Clone, Debug)]
pub(crate) struct StoredRow {
    pub(crate) id: String,
    pub(crate) s3_key: Option<String>,
    pub(crate) status: String,
    pub(crate) blob_state: String,
    pub(crate) tier: String,
    pub(crate) labels: String,
    pub(crate) matches: String,
    pub(crate) policy: String,
    pub(crate) content_type: String,
    pub(crate) size_bytes: i64,
    pub(crate) agent_id: String,
    pub(crate) owner_id: Option<String>,
    pub(crate) source_id: Option<String>,
    pub(crate) inspection_id: String,
    pub(crate) content_hmac: Option<Vec<u8>>,
    pub(crate) hmac_key_id: String,
    pub(crate) encryption_key_id: Option<String>,
    pub(crate) inline_ciphertext: Option<Vec<u8>>,
    pub(crate) expires_at: i64,
    pub(crate) shred_at: Option<i64>,
    pub(crate) reviewed_by: Option<String>,
    pub(crate) reviewed_at: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) review_notes: Option<String>,
    pub(crate) version: i64,
    pub(crate) pending_event: Option<Vec<u8>>,
    pub(crate) state_mac: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

const COLUMNS: &str = "id, s3_key, status, blob_state, tier, labels, matches, policy, content_type, size_bytes, \
     agent_id, owner_id, source_id, inspection_id, content_hmac, hmac_key_id, encryption_key_id, inline_ciphertext, \
     expires_at, shred_at, reviewed_by, reviewed_at, reason, review_notes, version, pending_event, state_mac, \
     created_at, updated_at";

impl StoredRow {
    fn of(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.get("id")?,
            s3_key: row.get("s3_key")?,
            status: row.get("status")?,
            blob_state: row.get("blob_state")?,
            tier: row.get("tier")?,
            labels: row.get("labels")?,
            matches: row.get("matches")?,
            policy: row.get("policy")?,
            content_type: row.get("content_type")?,
            size_bytes: row.get("size_bytes")?,
            agent_id: row.get("agent_id")?,
            owner_id: row.get("owner_id")?,
            source_id: row.get("source_id")?,
            inspection_id: row.get("inspection_id")?,
            content_hmac: row.get("content_hmac")?,
            hmac_key_id: row.get("hmac_key_id")?,
            encryption_key_id: row.get("encryption_key_id")?,
            inline_ciphertext: row.get("inline_ciphertext")?,
            expires_at: row.get("expires_at")?,
            shred_at: row.get("shred_at")?,
            reviewed_by: row.get("reviewed_by")?,
            reviewed_at: row.get("reviewed_at")?,
            reason: row.get("reason")?,
            review_notes: row.get("review_notes")?,
            version: row.get("version")?,
            pending_event: row.get("pending_event")?,
            state_mac: row.get("state_mac")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }

    fn values(self) -> [Value; 29] {
        [
            self.id.into(),
            self.s3_key.into(),
            self.status.into(),
            self.blob_state.into(),
            self.tier.into(),
            self.labels.into(),
            self.matches.into(),
            self.policy.into(),
            self.content_type.into(),
            self.size_bytes.into(),
            self.agent_id.into(),
            self.owner_id.into(),
            self.source_id.into(),
            self.inspection_id.into(),
            self.content_hmac.into(),
            self.hmac_key_id.into(),
            self.encryption_key_id.into(),
            self.inline_ciphertext.into(),
            self.expires_at.into(),
            self.shred_at.into(),
            self.reviewed_by.into(),
            self.reviewed_at.into(),
            self.reason.into(),
            self.review_notes.into(),
            self.version.into(),
            self.pending_event.into(),
            self.state_mac.into(),
            self.created_at.into(),
            self.updated_at.into(),
        ]
    }

    /// Everything in the row that the log fixes, as canonical JSON: all but who looks at it now, the event of an
    /// unfinished store, and the code over this text.
    pub(crate) fn state(&self) -> Vec<u8> {
        let members = BTreeMap::from([
            ("agent_id", json!(self.agent_id)),
            ("blob_state", json!(self.blob_state)),
            ("content_hmac", json!(self.content_hmac.as_deref().map(hex))),
            ("content_type", json!(self.content_type)),
            ("created_at", json!(self.created_at)),
            ("encryption_key_id", json!(self.encryption_key_id)),
            ("expires_at", json!(self.expires_at)),
            ("hmac_key_id", json!(self.hmac_key_id)),
            ("id", json!(self.id)),
            ("inline_sha256", json!(self.inline_ciphertext.as_deref().map(|b| hex(&sha256(b))))),
            ("inspection_id", json!(self.inspection_id)),
            ("labels", json!(self.labels)),
            ("matches", json!(self.matches)),
            ("owner_id", json!(self.owner_id)),
            ("policy", json!(self.policy)),
            ("reason", json!(self.reason)),
            ("review_notes", json!(self.review_notes)),
            ("reviewed_at", json!(self.reviewed_at)),
            ("reviewed_by", json!(self.reviewed_by)),
            ("s3_key", json!(self.s3_key)),
            ("shred_at", json!(self.shred_at)),
            ("size_bytes", json!(self.size_bytes)),
            ("source_id", json!(self.source_id)),
            ("status", json!(self.status)),
            ("tier", json!(self.tier)),
            ("updated_at", json!(self.updated_at)),
            ("version", json!(self.version)),
        ]);
        // Texts and integers under names of ours: nothing in it can fail to be written.
        serde_json::to_vec(&members).unwrap_or_default()
    }

    /// Reads the words of the row.
    pub(crate) fn record(&self) -> Result<QuarantineRecord, QuarantineError> {
        let wrong = |column| QuarantineError::Row { id: self.id.chars().take(36).collect(), column };
        Ok(QuarantineRecord {
            id: self.id()?,
            s3_key: self.s3_key.clone(),
            status: self.status()?,
            blob_state: self.blob_state()?,
            tier: self.tier.parse().ok().ok_or_else(|| wrong("tier"))?,
            labels: serde_json::from_str(&self.labels).ok().ok_or_else(|| wrong("labels"))?,
            matches: serde_json::from_str(&self.matches).ok().ok_or_else(|| wrong("matches"))?,
            policy: self.policy.clone(),
            content_type: clawexchange_ssg_core::ContentType::ALL
                .into_iter()
                .find(|t| t.as_str() == self.content_type)
                .ok_or_else(|| wrong("content_type"))?,
            size_bytes: u64::try_from(self.size_bytes).ok().ok_or_else(|| wrong("size_bytes"))?,
            agent_id: AgentId::new(&self.agent_id).ok().ok_or_else(|| wrong("agent_id"))?,
            owner_id: self
                .owner_id
                .as_ref()
                .map(|id| OwnerId::new(id).ok().ok_or_else(|| wrong("owner_id")))
                .transpose()?,
            source_id: self
                .source_id
                .as_ref()
                .map(|id| SourceId::new(id).ok().ok_or_else(|| wrong("source_id")))
                .transpose()?,
            inspection_id: self.inspection_id.parse().ok().ok_or_else(|| wrong("inspection_id"))?,
            encryption_key_id: self.encryption_key_id.clone(),
            expires_at: Timestamp::from_micros(self.expires_at),
            shred_at: self.shred_at.map(Timestamp::from_micros),
            reviewed_by: self.reviewed_by.clone(),
            reviewed_at: self.reviewed_at.map(Timestamp::from_micros),
            reason: self
                .reason
                .as_ref()
                .map(|r| r.parse::<Reason>().ok().ok_or_else(|| wrong("reason")))
                .transpose()?,
            review_notes: self.review_notes.clone(),
            version: u64::try_from(self.version).ok().ok_or_else(|| wrong("version"))?,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
        })
    }

    pub(crate) fn id(&self) -> Result<QuarantineId, QuarantineError> {
        let wrong = || QuarantineError::Row { id: self.id.chars().take(36).collect(), column: "id" };
        self.id.parse().ok().ok_or_else(wrong)
    }

    pub(crate) fn status(&self) -> Result<Status, QuarantineError> {
        let wrong = || QuarantineError::Row { id: self.id.chars().take(36).collect(), column: "status" };
        self.status.parse().ok().ok_or_else(wrong)
    }

    pub(crate) fn blob_state(&self) -> Result<BlobState, QuarantineError> {
        let wrong = || QuarantineError::Row { id: self.id.chars().take(36).collect(), column: "blob_state" };
        BlobState::ALL.into_iter().find(|s| s.as_str() == self.blob_state).ok_or_else(wrong)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// One row by its name, whatever its state.
pub(crate) async fn load(
    on: &impl Statements,
    id: QuarantineId,
) -> Result<Option<StoredRow>, QuarantineError> {
    one(on, id, "").await
}

/// The same, and nobody else changes it while `tx` is open.
pub(crate) async fn load_locked(tx: &Tx, id: QuarantineId) -> Result<Option<StoredRow>, QuarantineError> {
    one(tx, id, tx.dialect().for_update()).await
}

async fn one(
    on: &impl Statements,
    id: QuarantineId,
    wait: &str,
) -> Result<Option<StoredRow>, QuarantineError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine_records WHERE id = $1{wait}");
    Ok(on.row(&sql, [id.to_string().into()]).await?.as_ref().map(StoredRow::of).transpose()?)
}

/// Waits until nobody else changes a record, or places or lifts its legal hold.
///
/// A statement of its own and before all others: the statement that follows sees what those had committed who were
/// waited for, where the one that waits would not.
pub(crate) async fn lock(tx: &Tx, id: &str) -> Result<(), QuarantineError> {
    let wait = tx.dialect().for_update();
    if !wait.is_empty() {
        tx.row(&format!("SELECT 1 AS one FROM quarantine_records WHERE id = $1{wait}"), [id.into()]).await?;
    }
    Ok(())
}

/// Rows in the order of their names, after one: those that were acknowledged.
pub(crate) async fn after(
    on: &impl Statements,
    id: &str,
    at_most: u32,
) -> Result<Vec<StoredRow>, QuarantineError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM quarantine_records WHERE id > $1 AND blob_state <> 'PENDING' ORDER BY id LIMIT $2"
    );
    read(&on.rows(&sql, [id.into(), i64::from(at_most).into()]).await?)
}

fn read(rows: &[Row]) -> Result<Vec<StoredRow>, QuarantineError> {
    Ok(rows.iter().map(StoredRow::of).collect::<Result<_, _>>()?)
}

/// Newest first, those that were acknowledged; `before` is the last row that was seen.
pub(crate) async fn list(
    on: &impl Statements,
    filter: &Filter,
    before: Option<(i64, String)>,
    at_most: u32,
) -> Result<Vec<StoredRow>, QuarantineError> {
    let mut values: Vec<Value> = Vec::new();
    let mut clauses = narrowed(filter, &mut values);
    if let Some((micros, id)) = before {
        values.push(micros.into());
        values.push(id.into());
        let (at, name) = (values.len() - 1, values.len());
        write!(clauses, " AND (created_at, id) < (${at}, ${name})").unwrap_or_default();
    }
    newest(on, &clauses, values, at_most, 0).await
}

/// Newest first, those that were acknowledged, without the first `skipped`; and how many there are in all.
pub(crate) async fn list_by_offset(
    on: &impl Statements,
    filter: &Filter,
    skipped: u64,
    at_most: u32,
) -> Result<(Vec<StoredRow>, u64), QuarantineError> {
    let mut values: Vec<Value> = Vec::new();
    let clauses = narrowed(filter, &mut values);
    let sql = format!("SELECT COUNT(*) AS n FROM quarantine_records WHERE blob_state <> 'PENDING'{clauses}");
    let counted = on.row(&sql, values.clone()).await?;
    let total = counted.map_or(Ok(0), |row| row.get_u64("n"))?;
    Ok((newest(on, &clauses, values, at_most, skipped).await?, total))
}

async fn newest(
    on: &impl Statements,
    clauses: &str,
    mut values: Vec<Value>,
    at_most: u32,
    skipped: u64,
) -> Result<Vec<StoredRow>, QuarantineError> {
    values.push(i64::from(at_most).into());
    values.push(i64::try_from(skipped).unwrap_or(i64::MAX).into());
    let (limit, offset) = (values.len() - 1, values.len());
    let sql = format!(
        "SELECT {COLUMNS} FROM quarantine_records WHERE blob_state <> 'PENDING'{clauses} \
         ORDER BY created_at DESC, id DESC LIMIT ${limit} OFFSET ${offset}"
    );
    read(&on.rows(&sql, values).await?)
}

/// What a filter asks of a row, as clauses whose values are added to `values`.
fn narrowed(filter: &Filter, values: &mut Vec<Value>) -> String {
    let wanted = [
        ("status", filter.status.map(Status::as_str)),
        ("tier", filter.tier.map(clawexchange_ssg_core::RiskTier::as_str)),
        ("agent_id", filter.agent.as_ref().map(AgentId::as_str)),
        ("owner_id", filter.owner.as_ref().map(OwnerId::as_str)),
        ("source_id", filter.source.as_ref().map(SourceId::as_str)),
    ];
    let mut clauses = String::new();
    for (column, value) in wanted.into_iter().filter_map(|(column, value)| Some((column, value?))) {
        values.push(value.into());
        write!(clauses, " AND {column} = ${}", values.len()).unwrap_or_default();
    }
    clauses
}

/// The record of an inspection: the one that it held, or the one that it repeated.
pub(crate) async fn of_inspection(
    on: &impl Statements,
    inspection: &str,
) -> Result<Option<QuarantineId>, QuarantineError> {
    let sql = "SELECT id FROM quarantine_records WHERE inspection_id = $1 AND blob_state <> 'PENDING'";
    match on.row(sql, [inspection.into()]).await? {
        Some(row) => Ok(Some(row.get_parsed("id")?)),
        None => repeats::of_inspection(on, inspection).await,
    }
}

/// The highest tier first; an index of the same words answers it.
const REVIEW_ORDER: &str = "CASE tier WHEN 'CRITICAL' THEN 0 WHEN 'HIGH' THEN 1 WHEN 'MODERATE' THEN 2 \
                            WHEN 'LOW' THEN 3 ELSE 4 END";

/// Puts a new row.
pub(crate) async fn insert(tx: &Tx, row: StoredRow) -> Result<(), QuarantineError> {
    let places: Vec<String> = (1..=29).map(|n| format!("${n}")).collect();
    let sql = format!("INSERT INTO quarantine_records ({COLUMNS}) VALUES ({})", places.join(", "));
    tx.execute(&sql, row.values()).await?;
    Ok(())
}

/// What else must hold for a change to happen: nothing, unless said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    /// No legal hold is in force.
    pub(crate) no_legal_hold: bool,
    /// Who may look at it at this moment.
    pub(crate) claim: ClaimGuard,
}

/// Who may look at a record while it is changed.
#[derive(Clone, Debug, Default)]
pub(crate) enum ClaimGuard {
    /// Anybody.
    #[default]
    Anybody,
    /// Nobody.
    Nobody(Timestamp),
    /// Nobody else.
    NobodyElse { by: String, now: Timestamp },
    /// The one with this number.
    Fenced { by: String, fence: i64 },
}

impl Guard {
    /// Nothing else.
    pub(crate) const NONE: Self = Self { no_legal_hold: false, claim: ClaimGuard::Anybody };

    /// No legal hold is in force.
    pub(crate) const NO_LEGAL_HOLD: Self = Self { no_legal_hold: true, claim: ClaimGuard::Anybody };

    /// No legal hold is in force, and nobody is looking at it at this moment.
    pub(crate) const fn idle(now: Timestamp) -> Self {
        Self { no_legal_hold: true, claim: ClaimGuard::Nobody(now) }
    }
}

const NO_LEGAL_HOLD: &str = " AND NOT EXISTS (SELECT 1 FROM quarantine_holds h WHERE h.record_id = \
                             quarantine_records.id AND h.lifted_at IS NULL)";

/// Turns the row `from` into `to` if it is still what it was, and says whether it did. Where no legal hold may be in
/// force, the record is [locked](lock) before.
pub(crate) async fn change(
    tx: &Tx,
    from: &StoredRow,
    to: &StoredRow,
    guard: &Guard,
) -> Result<bool, QuarantineError> {
    let mut sql = "UPDATE quarantine_records SET status = $1, blob_state = $2, \
         inline_ciphertext = CASE WHEN $2 = 'SHREDDED' THEN NULL ELSE inline_ciphertext END, content_hmac = $3, \
         encryption_key_id = $4, expires_at = $5, shred_at = $6, reviewed_by = $7, reviewed_at = $8, reason = $9, \
         review_notes = $10, version = $11, pending_event = $12, state_mac = $13, updated_at = $14, \
         claimed_by = NULL, lease_until = NULL, fence = NULL \
         WHERE id = $15 AND version = $16 AND status = $17 AND blob_state = $18 \
         AND state_mac IS NOT DISTINCT FROM $19 AND s3_key IS NOT DISTINCT FROM $20"
        .to_owned();
    let to = to.clone();
    let mut values: Vec<Value> = vec![
        to.status.into(),
        to.blob_state.into(),
        to.content_hmac.into(),
        to.encryption_key_id.into(),
        to.expires_at.into(),
        to.shred_at.into(),
        to.reviewed_by.into(),
        to.reviewed_at.into(),
        to.reason.into(),
        to.review_notes.into(),
        to.version.into(),
        to.pending_event.into(),
        to.state_mac.into(),
        to.updated_at.into(),
        from.id.clone().into(),
        from.version.into(),
        from.status.clone().into(),
        from.blob_state.clone().into(),
        from.state_mac.clone().into(),
        from.s3_key.clone().into(),
    ];
    if guard.no_legal_hold {
        sql.push_str(NO_LEGAL_HOLD);
    }
    match &guard.claim {
        ClaimGuard::Anybody => {}
        ClaimGuard::Nobody(now) => {
            sql.push_str(" AND (claimed_by IS NULL OR lease_until IS NULL OR lease_until <= $21)");
            values.push(now.as_micros().into());
        }
        ClaimGuard::NobodyElse { by, now } => {
            sql.push_str(
                " AND (claimed_by IS NULL OR lease_until IS NULL OR lease_until <= $21 OR claimed_by = $22)",
            );
            values.extend([now.as_micros().into(), by.as_str().into()]);
        }
        ClaimGuard::Fenced { by, fence } => {
            sql.push_str(" AND claimed_by = $21 AND fence = $22");
            values.extend([by.as_str().into(), (*fence).into()]);
        }
    }
    Ok(tx.execute(&sql, values).await? == 1)
}

/// Takes out a store that was given up; says whether it was there. Another attempt under the same id has another
/// object, and stays.
pub(crate) async fn abort(tx: &Tx, pending: &StoredRow) -> Result<bool, QuarantineError> {
    lock(tx, &pending.id).await?;
    let given_up: [Value; 2] = [pending.id.clone().into(), pending.s3_key.clone().into()];
    let sql = "DELETE FROM encryption_keys WHERE record_id IN \
               (SELECT id FROM quarantine_records WHERE id = $1 AND s3_key = $2 AND blob_state = 'PENDING')";
    tx.execute(sql, given_up.clone()).await?;
    let sql = "DELETE FROM quarantine_records WHERE id = $1 AND s3_key = $2 AND blob_state = 'PENDING'";
    Ok(tx.execute(sql, given_up).await? == 1)
}

/// Which rows a sweep looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nobody decided in time.
    Expiry,
    /// Their store was cut short.
    Settlement,
    /// Their grace is over.
    Shredding,
}

impl Due {
    /// When it was due, and what else must hold.
    fn condition(self) -> (&'static str, String) {
        match self {
            Self::Expiry => (
                "expires_at",
                format!(
                    "status IN ('QUARANTINED', 'UNDER_REVIEW') AND blob_state = 'PRESENT' AND expires_at <= $1 \
                     AND (claimed_by IS NULL OR lease_until IS NULL OR lease_until <= $1){NO_LEGAL_HOLD}"
                ),
            ),
            Self::Settlement => ("created_at", "blob_state = 'PENDING' AND created_at <= $1".to_owned()),
            Self::Shredding => (
                "shred_at",
                format!("blob_state = 'PRESENT' AND shred_at IS NOT NULL AND shred_at <= $1{NO_LEGAL_HOLD}"),
            ),
        }
    }

    /// Where a row stands among those that are due.
    pub(crate) fn place(self, row: &StoredRow) -> (i64, String) {
        let since = match self {
            Self::Expiry => row.expires_at,
            Self::Settlement => row.created_at,
            Self::Shredding => row.shred_at.unwrap_or(i64::MAX),
        };
        (since, row.id.clone())
    }
}

/// Names of rows for which something is due at `at`, the longest due first.
pub(crate) async fn due(
    on: &impl Statements,
    what: Due,
    at: Timestamp,
    at_most: u32,
) -> Result<Vec<QuarantineId>, QuarantineError> {
    let (since, condition) = what.condition();
    let sql = format!("SELECT id FROM quarantine_records WHERE {condition} ORDER BY {since}, id LIMIT $2");
    let rows = on.rows(&sql, [at.as_micros().into(), i64::from(at_most).into()]).await?;
    Ok(rows.iter().map(|row| row.get_parsed("id")).collect::<Result<_, _>>()?)
}

/// Rows for which something is due at `at`, the longest due first, after one; nobody else changes them while `tx` is
/// open. What others are changing is passed over.
pub(crate) async fn take_due(
    tx: &Tx,
    what: Due,
    at: Timestamp,
    (after, id): (i64, String),
    at_most: u32,
) -> Result<Vec<StoredRow>, QuarantineError> {
    let ((since, condition), skip) = (what.condition(), tx.dialect().skip_locked());
    let sql = format!(
        "SELECT {COLUMNS} FROM quarantine_records WHERE {condition} AND ({since}, id) > ($3, $4) \
         ORDER BY {since}, id LIMIT $2{skip}"
    );
    let values: [Value; 4] = [at.as_micros().into(), i64::from(at_most).into(), after.into(), id.into()];
    read(&tx.rows(&sql, values).await?)
}
