//! The keys of a deployment as rows: which master key is active, what is wrapped by which, and which process has which.
//!
//! No key stands here that could be read: root keys are wrapped, and of master keys there are names. Who keeps master keys
//! is the business of a [`KeyProvider`](clawexchange_ssg_core::KeyProvider).

use std::time::Duration;

use clawexchange_ssg_core::{KeyId, Timestamp};

use crate::error::DatabaseError;
use crate::handle::{Database, Tx};
use crate::rows::{Row, Statements};

/// A process that was not seen for so long is gone: three times as long as it may take between two of its signs.
pub const LIVE: Duration = Duration::from_secs(15);

/// How often a process that serves says that it does.
pub const BEAT: Duration = Duration::from_secs(5);

/// Waits until nobody else makes, activates or retires a key. It comes before all rows.
pub async fn lock(tx: &Tx) -> Result<(), DatabaseError> {
    tx.lock("database/keys").await
}

/// A root key as it is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RootKey {
    /// Its name.
    pub id: KeyId,
    /// Itself, wrapped.
    pub wrapped: Vec<u8>,
    /// By which master key.
    pub master: KeyId,
}

impl RootKey {
    /// Puts the parts together.
    pub const fn new(id: KeyId, wrapped: Vec<u8>, master: KeyId) -> Self {
        Self { id, wrapped, master }
    }
}

/// All root keys, the newest first.
pub async fn roots(on: &impl Statements) -> Result<Vec<RootKey>, DatabaseError> {
    let sql = "SELECT id, wrapped, master_key_id FROM database_root_keys ORDER BY created_us DESC, id";
    let rows = on.rows(sql, []).await?;
    rows.iter()
        .map(|row| {
            Ok(RootKey::new(row.get_parsed("id")?, row.get("wrapped")?, row.get_parsed("master_key_id")?))
        })
        .collect()
}

/// Puts a new root key. It is the one that the deployment is known by, unless there is one already.
pub async fn put_root(tx: &Tx, root: &RootKey) -> Result<(), DatabaseError> {
    let now = tx.dialect().now_us();
    let sql = format!(
        "INSERT INTO database_root_keys (id, wrapped, master_key_id, created_us, wrapped_us) \
         VALUES ($1, $2, $3, {now}, {now})"
    );
    let values = [root.id.as_str().into(), root.wrapped.clone().into(), root.master.as_str().into()];
    tx.execute(&sql, values).await?;
    let sql = "UPDATE database_deployment SET key_id = $1 WHERE key_id IS NULL";
    tx.execute(sql, [root.id.as_str().into()]).await.map(drop)
}

/// Exchanges the wrap of a root key for `new`, if it is still `old`; says whether it was.
pub async fn rewrap_root(tx: &Tx, old: &RootKey, new: &RootKey) -> Result<bool, DatabaseError> {
    let sql = format!(
        "UPDATE database_root_keys SET wrapped = $1, master_key_id = $2, wrapped_us = {} \
         WHERE id = $3 AND wrapped = $4",
        tx.dialect().now_us()
    );
    let values = [
        new.wrapped.clone().into(),
        new.master.as_str().into(),
        old.id.as_str().into(),
        old.wrapped.clone().into(),
    ];
    Ok(tx.execute(&sql, values).await? == 1)
}

/// What a master key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MasterState {
    /// It wraps what is new.
    Active,
    /// It did, and what it wrapped may still be there.
    Former,
    /// It is to be used for nothing, ever.
    Retired,
}

impl MasterState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Former => "FORMER",
            Self::Retired => "RETIRED",
        }
    }
}

/// A master key that is or was in use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Master {
    /// Its name.
    pub id: KeyId,
    /// What it is used for.
    pub state: MasterState,
    /// Since when it was active, by the database's clock.
    pub activated: Timestamp,
    /// Since when it is retired.
    pub retired: Option<Timestamp>,
}

/// All master keys that are or were in use, the newest first.
pub async fn masters(on: &impl Statements) -> Result<Vec<Master>, DatabaseError> {
    let sql =
        "SELECT id, state, activated_us, retired_us FROM database_master_keys ORDER BY activated_us DESC, id";
    let rows = on.rows(sql, []).await?;
    rows.iter().map(master).collect()
}

fn master(row: &Row) -> Result<Master, DatabaseError> {
    let state: String = row.get("state")?;
    let states = [MasterState::Active, MasterState::Former, MasterState::Retired];
    let retired: Option<i64> = row.get("retired_us")?;
    Ok(Master {
        id: row.get_parsed("id")?,
        state: states
            .into_iter()
            .find(|s| s.as_str() == state)
            .ok_or(DatabaseError::Row { column: "state" })?,
        activated: Timestamp::from_micros(row.get("activated_us")?),
        retired: retired.map(Timestamp::from_micros),
    })
}

/// What a master key is used for; `None` if it never was.
pub async fn state(on: &impl Statements, id: &KeyId) -> Result<Option<MasterState>, DatabaseError> {
    let sql = "SELECT id, state, activated_us, retired_us FROM database_master_keys WHERE id = $1";
    let row = on.row(sql, [id.as_str().into()]).await?;
    row.as_ref().map(|row| master(row).map(|master| master.state)).transpose()
}

/// The master key that wraps what is new; `None` before the first one does.
pub async fn active(on: &impl Statements) -> Result<Option<KeyId>, DatabaseError> {
    let row = on.row("SELECT id FROM database_master_keys WHERE state = 'ACTIVE'", []).await?;
    row.map(|row| row.get_parsed("id")).transpose()
}

/// Makes a master key the one that wraps what is new. `false`, and nothing changed: it is retired. The transaction has
/// the [`lock`].
pub async fn activate(tx: &Tx, id: &KeyId) -> Result<bool, DatabaseError> {
    if state(tx, id).await? == Some(MasterState::Retired) {
        return Ok(false);
    }
    let sql = "UPDATE database_master_keys SET state = 'FORMER' WHERE state = 'ACTIVE' AND id <> $1";
    tx.execute(sql, [id.as_str().into()]).await?;
    let now = tx.dialect().now_us();
    let sql = format!(
        "INSERT INTO database_master_keys (id, state, activated_us) VALUES ($1, 'ACTIVE', {now}) \
         ON CONFLICT (id) DO UPDATE SET state = 'ACTIVE', activated_us = {now}"
    );
    tx.execute(&sql, [id.as_str().into()]).await?;
    Ok(true)
}

/// Retires a master key that is not active: it is never activated again. The transaction has the [`lock`], and whoever
/// calls has seen that nothing needs the key.
pub async fn retire(tx: &Tx, id: &KeyId) -> Result<bool, DatabaseError> {
    let now = tx.dialect().now_us();
    let sql = format!(
        "INSERT INTO database_master_keys (id, state, activated_us, retired_us) VALUES ($1, 'RETIRED', {now}, {now}) \
         ON CONFLICT (id) DO UPDATE SET state = 'RETIRED', retired_us = {now} \
         WHERE database_master_keys.state = 'FORMER'"
    );
    Ok(tx.execute(&sql, [id.as_str().into()]).await? == 1)
}

/// A process that serves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Instance {
    /// Its own name, which no other has.
    pub id: String,
    /// Where it runs, for people.
    pub name: String,
    /// The master keys that it has.
    pub keys: Vec<KeyId>,
    /// The one with which it wraps what is new.
    pub active: KeyId,
}

impl Instance {
    /// Puts the parts together.
    pub fn new(id: impl Into<String>, name: impl Into<String>, keys: Vec<KeyId>, active: KeyId) -> Self {
        Self { id: id.into(), name: name.into(), keys, active }
    }

    /// Whether it has a master key.
    pub fn has(&self, key: &KeyId) -> bool {
        self.keys.contains(key)
    }
}

/// Says that a process serves, and with which keys; forgets those that are gone.
pub async fn beat(tx: &Tx, instance: &Instance) -> Result<(), DatabaseError> {
    let now = tx.dialect().now_us();
    let keys: Vec<&str> = instance.keys.iter().map(KeyId::as_str).collect();
    let sql = format!(
        "INSERT INTO database_instances (id, name, keys, active, started_us, seen_us) \
         VALUES ($1, $2, $3, $4, {now}, {now}) \
         ON CONFLICT (id) DO UPDATE SET keys = $3, active = $4, seen_us = {now}"
    );
    let values = [
        instance.id.as_str().into(),
        instance.name.as_str().into(),
        keys.join(" ").into(),
        instance.active.as_str().into(),
    ];
    tx.execute(&sql, values).await?;
    // Long gone: whoever looks a moment after it was killed should still see that it was there.
    let sql = format!("DELETE FROM database_instances WHERE seen_us < {now} - $1");
    tx.execute(&sql, [micros(LIVE * 240).into()]).await.map(drop)
}

/// Says that a process serves no more.
pub async fn leave(db: &Database, id: &str) -> Result<(), DatabaseError> {
    let tx = db.begin().await?;
    tx.execute("DELETE FROM database_instances WHERE id = $1", [id.into()]).await?;
    tx.commit().await
}

/// Processes that serve, by their own word of the last 15 seconds.
pub async fn live(on: &impl Statements) -> Result<Vec<Instance>, DatabaseError> {
    let sql = format!(
        "SELECT id, name, keys, active FROM database_instances WHERE seen_us > {} - $1 ORDER BY name, id",
        on.dialect().now_us()
    );
    let rows = on.rows(&sql, [micros(LIVE).into()]).await?;
    rows.iter().map(instance).collect()
}

/// Whether a process serves, or did until less than 15 seconds ago.
pub(crate) async fn is_live(on: &impl Statements, id: &str) -> Result<bool, DatabaseError> {
    let sql = format!(
        "SELECT 1 AS one FROM database_instances WHERE id = $1 AND seen_us > {} - $2",
        on.dialect().now_us()
    );
    Ok(on.row(&sql, [id.into(), micros(LIVE).into()]).await?.is_some())
}

fn instance(row: &Row) -> Result<Instance, DatabaseError> {
    let wrong = || DatabaseError::Row { column: "keys" };
    let keys: String = row.get("keys")?;
    let keys: Result<_, _> =
        keys.split_whitespace().map(|id| KeyId::new(id).ok().ok_or_else(wrong)).collect();
    let (id, name): (String, String) = (row.get("id")?, row.get("name")?);
    Ok(Instance::new(id, name, keys?, row.get_parsed("active")?))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
