//! Rules of a deployment as rows: packs of its own by their hash, which of them judge, and what is allowed all the same.
//!
//! Nothing here knows what a rule is: packs are bytes, and what is allowed is a code that only the deployment's key can
//! make. Every row that decides has a state, which its event in the log fixes.

use clawexchange_ssg_core::{KeyId, Mac, Timestamp};
use serde_json::json;

use crate::error::DatabaseError;
use crate::handle::Tx;
use crate::rows::{Row, Statements};

/// What events about an activation have as the type of their target; the id is its number.
pub const ACTIVATION_TARGET: &str = "rules";

/// What events about an allowance have as the type of their target; the id is its own.
pub const ALLOWANCE_TARGET: &str = "rule-allowance";

/// Waits until nobody else activates packs or changes what is allowed. It comes before all rows.
pub async fn lock(tx: &Tx) -> Result<(), DatabaseError> {
    tx.lock("database/rules").await
}

/// A number that is another one after every change of activations and allowances, also one by hand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Revision(i64);

/// Which change was the last: one row is read.
pub async fn revision(on: &impl Statements) -> Result<Revision, DatabaseError> {
    let sql = "SELECT revision FROM database_rule_revision WHERE one = 1";
    let row = on.row(sql, []).await?.ok_or(DatabaseError::Row { column: "revision" })?;
    Ok(Revision(row.get("revision")?))
}

/// Puts packs, unless they are there. `hash` is SHA-256 of what they say, as 64 hexadecimal digits.
pub async fn put_bundle(tx: &Tx, hash: &str, content: &[u8], rules: usize) -> Result<(), DatabaseError> {
    let sql = format!(
        "INSERT INTO database_rule_bundles (hash, content, rules, added_us) VALUES ($1, $2, $3, {}) \
         ON CONFLICT (hash) DO NOTHING",
        tx.dialect().now_us()
    );
    let rules = i64::try_from(rules).unwrap_or(i64::MAX);
    tx.execute(&sql, [hash.into(), content.to_vec().into(), rules.into()]).await.map(drop)
}

/// Packs by their hash.
pub async fn bundle(on: &impl Statements, hash: &str) -> Result<Option<Vec<u8>>, DatabaseError> {
    let row = on.row("SELECT content FROM database_rule_bundles WHERE hash = $1", [hash.into()]).await?;
    row.map(|row| row.get("content")).transpose()
}

/// The hashes of packs that begin so, at most two: whether there is one, none, or more than one.
pub async fn bundles_like(on: &impl Statements, prefix: &str) -> Result<Vec<String>, DatabaseError> {
    if !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(Vec::new());
    }
    let sql = "SELECT hash FROM database_rule_bundles WHERE hash LIKE $1 ORDER BY hash LIMIT 2";
    let rows = on.rows(sql, [format!("{prefix}%").into()]).await?;
    rows.iter().map(|row| row.get("hash")).collect()
}

/// Packs that were made to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activation {
    /// Its number: the first is 1, and the last one holds.
    pub number: i64,
    /// Which packs; `None` are the rules that ship, alone.
    pub hash: Option<String>,
    /// The activation whose packs it brings back; its own number if it brings back none.
    pub restores: i64,
    /// What was signed of them.
    pub signed: Option<Signed>,
    /// Who did it: the sort of actor, `:` and its id.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A signature over packs, and what it says of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signed {
    /// The signed text with its signatures.
    pub note: String,
    /// Its serial number, which grows.
    pub serial: i64,
    /// Until when it holds.
    pub not_after: Timestamp,
}

impl Signed {
    /// Puts the parts together.
    pub const fn new(note: String, serial: i64, not_after: Timestamp) -> Self {
        Self { note, serial, not_after }
    }
}

impl Activation {
    /// Puts the parts together.
    pub const fn new(
        number: i64,
        hash: Option<String>,
        restores: i64,
        signed: Option<Signed>,
        by: String,
        at: Timestamp,
    ) -> Self {
        Self { number, hash, restores, signed, by, at }
    }

    /// Everything that its event fixes, as canonical JSON.
    pub fn state(&self) -> Vec<u8> {
        let Self { number, hash, restores, signed, by, at } = self;
        json!({
            "activated_by": by, "activated_us": at.as_micros(), "hash": hash,
            "not_after_us": signed.as_ref().map(|s| s.not_after.as_micros()), "number": number,
            "restores": restores, "serial": signed.as_ref().map(|s| s.serial),
            "signature": signed.as_ref().map(|s| &s.note),
        })
        .to_string()
        .into_bytes()
    }
}

const ACTIVATION: &str = "SELECT number, hash, restores, signature, serial, not_after_us, activated_by, activated_us \
                          FROM database_rule_activations";

/// Puts an activation; its number is one more than that of the last.
pub async fn put_activation(tx: &Tx, activation: &Activation) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO database_rule_activations (number, hash, restores, signature, serial, not_after_us, \
               activated_by, activated_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let Activation { number, hash, restores, signed, by, at } = activation;
    let values = [
        (*number).into(),
        hash.clone().into(),
        (*restores).into(),
        signed.as_ref().map(|s| s.note.clone()).into(),
        signed.as_ref().map(|s| s.serial).into(),
        signed.as_ref().map(|s| s.not_after.as_micros()).into(),
        by.as_str().into(),
        at.as_micros().into(),
    ];
    tx.execute(sql, values).await.map(drop)
}

/// Activations, the last first.
pub async fn activations(on: &impl Statements, at_most: u32) -> Result<Vec<Activation>, DatabaseError> {
    let sql = format!("{ACTIVATION} ORDER BY number DESC LIMIT $1");
    let rows = on.rows(&sql, [i64::from(at_most).into()]).await?;
    rows.iter().map(activation).collect()
}

/// The activation that holds; `None` while there was none.
pub async fn active(on: &impl Statements) -> Result<Option<Activation>, DatabaseError> {
    Ok(activations(on, 1).await?.pop())
}

/// The last activation before this one that brought back none itself.
pub async fn made_before(on: &impl Statements, number: i64) -> Result<Option<Activation>, DatabaseError> {
    let sql = format!("{ACTIVATION} WHERE number < $1 AND restores = number ORDER BY number DESC LIMIT 1");
    on.row(&sql, [number.into()]).await?.as_ref().map(activation).transpose()
}

fn activation(row: &Row) -> Result<Activation, DatabaseError> {
    let note: Option<String> = row.get("signature")?;
    let (serial, not_after): (Option<i64>, Option<i64>) = (row.get("serial")?, row.get("not_after_us")?);
    let signed = match (note, serial, not_after) {
        (Some(note), Some(serial), Some(end)) => {
            Some(Signed { note, serial, not_after: Timestamp::from_micros(end) })
        }
        (None, None, None) => None,
        _ => return Err(DatabaseError::Row { column: "signature" }),
    };
    Ok(Activation {
        number: row.get("number")?,
        hash: row.get("hash")?,
        restores: row.get("restores")?,
        signed,
        by: row.get("activated_by")?,
        at: Timestamp::from_micros(row.get("activated_us")?),
    })
}

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who judges and forgets one must not compile")]
pub enum Allowed {
    /// A value, as rules find it.
    Value,
    /// A host that commands may name.
    Host,
}

impl Allowed {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Value => "VALUE",
            Self::Host => "HOST",
        }
    }
}

/// Something that is not reported though a rule finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "who adds one says all of it")]
pub struct Allowance {
    /// Its own id, a UUID as text.
    pub id: String,
    /// What is allowed.
    pub kind: Allowed,
    /// Only findings of this rule; `None`: of any.
    pub rule: Option<String>,
    /// The key that the code was made with.
    pub key: KeyId,
    /// The code over the value or host.
    pub fingerprint: [u8; 32],
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Who added it: the sort of actor, `:` and its id.
    pub by: String,
    /// When.
    pub created: Timestamp,
    /// Until when it holds.
    pub expires: Timestamp,
    /// When it was taken back before that.
    pub ended: Option<Timestamp>,
    /// How often it was written: 1 when it is added.
    pub version: i64,
}

impl Allowance {
    /// Whether it holds at a moment.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.expires
    }

    /// Everything that its event fixes, as canonical JSON.
    pub fn state(&self) -> Vec<u8> {
        let code = Mac::new(self.key.clone(), self.fingerprint).to_string();
        json!({
            "created_by": self.by, "created_us": self.created.as_micros(),
            "ended_us": self.ended.map(Timestamp::as_micros), "expires_us": self.expires.as_micros(),
            "fingerprint": code, "id": self.id, "kind": self.kind.as_str(),
            "owner": self.owner, "reason": self.reason, "rule": self.rule, "version": self.version,
        })
        .to_string()
        .into_bytes()
    }
}

const ALLOWANCE: &str = "SELECT id, kind, rule, key_id, fingerprint, owner, reason, created_by, created_us, expires_us, \
                         ended_us, version FROM database_rule_allowances";

/// Adds an allowance that nobody has taken back.
pub async fn put_allowance(tx: &Tx, new: &Allowance) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO database_rule_allowances (id, kind, rule, key_id, fingerprint, owner, reason, created_by, \
               created_us, expires_us, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let values = [
        new.id.as_str().into(),
        new.kind.as_str().into(),
        new.rule.clone().into(),
        new.key.as_str().into(),
        new.fingerprint.to_vec().into(),
        new.owner.as_str().into(),
        new.reason.as_str().into(),
        new.by.as_str().into(),
        new.created.as_micros().into(),
        new.expires.as_micros().into(),
        new.version.into(),
    ];
    tx.execute(sql, values).await.map(drop)
}

/// Takes an allowance back that was not; gives it as it is then. `None`: there is none that holds.
pub async fn end_allowance(tx: &Tx, id: &str, at: Timestamp) -> Result<Option<Allowance>, DatabaseError> {
    let sql = "UPDATE database_rule_allowances SET ended_us = $2, version = version + 1 \
               WHERE id = $1 AND ended_us IS NULL AND expires_us > $2";
    if tx.execute(sql, [id.into(), at.as_micros().into()]).await? == 0 {
        return Ok(None);
    }
    let sql = format!("{ALLOWANCE} WHERE id = $1");
    tx.row(&sql, [id.into()]).await?.as_ref().map(allowance).transpose()
}

/// Allowances that hold at a moment, the next to end first, at most `at_most`.
pub async fn allowances(
    on: &impl Statements,
    now: Timestamp,
    at_most: u32,
) -> Result<Vec<Allowance>, DatabaseError> {
    let sql =
        format!("{ALLOWANCE} WHERE ended_us IS NULL AND expires_us > $1 ORDER BY expires_us, id LIMIT $2");
    let rows = on.rows(&sql, [now.as_micros().into(), i64::from(at_most).into()]).await?;
    rows.iter().map(allowance).collect()
}

/// All allowances that there ever were, after this id, in the order of their ids.
pub async fn every_allowance(
    on: &impl Statements,
    after: &str,
    at_most: u32,
) -> Result<Vec<Allowance>, DatabaseError> {
    let sql = format!("{ALLOWANCE} WHERE id > $1 ORDER BY id LIMIT $2");
    let rows = on.rows(&sql, [after.into(), i64::from(at_most).into()]).await?;
    rows.iter().map(allowance).collect()
}

fn allowance(row: &Row) -> Result<Allowance, DatabaseError> {
    let kind: String = row.get("kind")?;
    let kinds = [Allowed::Value, Allowed::Host];
    let ended: Option<i64> = row.get("ended_us")?;
    Ok(Allowance {
        id: row.get("id")?,
        kind: kinds
            .into_iter()
            .find(|known| known.as_str() == kind)
            .ok_or(DatabaseError::Row { column: "kind" })?,
        rule: row.get("rule")?,
        key: row.get_parsed("key_id")?,
        fingerprint: row.get_bytes("fingerprint")?,
        owner: row.get("owner")?,
        reason: row.get("reason")?,
        by: row.get("created_by")?,
        created: Timestamp::from_micros(row.get("created_us")?),
        expires: Timestamp::from_micros(row.get("expires_us")?),
        ended: ended.map(Timestamp::from_micros),
        version: row.get("version")?,
    })
}
