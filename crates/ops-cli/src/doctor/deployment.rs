//! The parts of a deployment, as far as they open, opened without making or changing anything.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use clawexchange_audit::AuditLog;
use clawexchange_database::{Database, Statements as _, keys};
use clawexchange_gateway::{DataFolder, FolderError, KeySource, Parts, PartsError, Serving, Settings};
use clawexchange_quarantine::{Keychain, Vault};

use clawexchange_rate_limiter::{RedisStore, ServerFacts};
use tokio::sync::OnceCell;

use super::Found;
use super::elsewhere::NOT_USED;
use crate::report::CliError;

/// What is looked over.
pub(crate) struct Deployment {
    parts: Arc<Parts>,
    env: BTreeMap<String, OsString>,
    folder: Result<DataFolder, Found>,
    /// Whatever its schema is.
    bare: Result<Database, Found>,
    current: Result<Database, Found>,
    keys: Result<Keychain, Found>,
    log: Result<AuditLog, Found>,
    redis: OnceCell<Result<ServerFacts, Found>>,
}

impl Deployment {
    /// Opens what opens. That there is no data at all is an error: there is nothing to look at.
    pub(crate) async fn open(parts: Arc<Parts>, env: BTreeMap<String, OsString>) -> Result<Self, CliError> {
        let folder = match parts.folder().await {
            Ok(folder) => Ok(folder.clone()),
            Err(PartsError::Folder(missing @ FolderError::Missing { .. })) => return Err(missing.into()),
            Err(error) => Err(error.into()),
        };
        let current = match &folder {
            Ok(_) => parts.database().await.cloned().map_err(Found::from),
            Err(_) => Err(Found::unknown_until("data-folder")),
        };
        let bare = match (&current, &folder) {
            (Ok(db), _) => Ok(db.clone()),
            (Err(_), Ok(_)) => parts.bare_database().await.map_err(Found::from),
            (Err(waits), Err(_)) => Err(waits.clone()),
        };
        let keys = match &current {
            // Opening the keys would make the folder, and the root key of a deployment that has none yet.
            Ok(db) if parts.settings().state_dir.is_dir() => open_keys(&parts, db).await,
            Ok(_) => Err(Found::unknown_until("state-folder")),
            Err(_) => Err(Found::unknown_until("schema")),
        };
        let log = match (&current, &keys) {
            (Ok(db), Ok(_)) => open_log(&parts, db).await,
            (Ok(_), Err(_)) => Err(Found::unknown_until("master-key")),
            (Err(_), _) => Err(Found::unknown_until("schema")),
        };
        Ok(Self { parts, env, folder, bare, current, keys, log, redis: OnceCell::new() })
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) fn settings(&self) -> &Settings {
        self.parts.settings()
    }

    /// A variable of the environment that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&Path> {
        self.env.get(name).filter(|value| !value.is_empty()).map(Path::new)
    }

    /// Why the folder cannot be used, or the folder.
    pub(super) fn folder(&self) -> Result<&DataFolder, Found> {
        self.folder.as_ref().map_err(Clone::clone)
    }

    /// The folder, for what can only be looked at in one.
    pub(super) fn inside(&self) -> Result<&DataFolder, Found> {
        self.folder.as_ref().ok().ok_or_else(|| Found::unknown_until("data-folder"))
    }

    /// The database, whatever its schema is.
    pub(super) fn bare(&self) -> Result<&Database, Found> {
        self.bare.as_ref().map_err(Clone::clone)
    }

    /// The folder, for what is looked at on its disk. Where rows are on a server it is made when it is needed.
    pub(super) fn on_disk(&self) -> Result<&DataFolder, Found> {
        let folder = self.inside()?;
        if self.settings().database.server.is_some() && !folder.path().exists() {
            return Err(Found::skip("nothing was held or counted here yet, so there is no folder"));
        }
        Ok(folder)
    }

    /// The same, for what can only be looked at in one.
    pub(super) fn opened(&self) -> Result<&Database, Found> {
        self.bare.as_ref().ok().ok_or_else(|| Found::unknown_until("database"))
    }

    /// The database if it is on a server of PostgreSQL, for what is asked of no file.
    pub(super) fn server(&self) -> Result<&Database, Found> {
        if self.settings().database.server.is_none() {
            return Err(Found::skip(format!("no PostgreSQL: {NOT_USED}")));
        }
        self.opened()
    }

    /// The counters in Redis, for what is asked of none in this process.
    pub(super) async fn counters(&self) -> Result<&RedisStore, Found> {
        let store = self.parts.redis().await?;
        store.ok_or_else(|| Found::skip(format!("no Redis: {NOT_USED}")))
    }

    /// What Redis says of itself; asked once.
    pub(super) async fn redis_facts(&self) -> Result<&ServerFacts, Found> {
        let store = self.counters().await?;
        let facts = self.redis.get_or_init(|| async { store.server().await.map_err(Found::from) });
        facts.await.as_ref().map_err(Clone::clone)
    }

    /// Why the schema is not that of this version, or the database.
    pub(super) fn current(&self) -> Result<&Database, Found> {
        self.current.as_ref().map_err(Clone::clone)
    }

    /// The database, for what needs the tables of this version.
    pub(super) fn rows(&self) -> Result<&Database, Found> {
        self.current.as_ref().ok().ok_or_else(|| Found::unknown_until("schema"))
    }

    /// Why there are no keys, or the keys.
    pub(super) fn keys(&self) -> Result<&Keychain, Found> {
        self.keys.as_ref().map_err(Clone::clone)
    }

    /// The keys, for what needs them.
    pub(super) fn opening_keys(&self) -> Result<&Keychain, Found> {
        self.keys.as_ref().ok().ok_or_else(|| Found::unknown_until("master-key"))
    }

    pub(super) fn log(&self) -> Result<&AuditLog, Found> {
        self.log.as_ref().map_err(Clone::clone)
    }

    pub(super) async fn vault(&self) -> Result<&Vault, Found> {
        self.log()?;
        Ok(self.parts.vault().await?)
    }

    pub(super) fn serving(&self) -> Result<Serving, Found> {
        Ok(self.inside()?.serving()?)
    }
}

/// Opens the keys unless that would make the first one.
async fn open_keys(parts: &Parts, db: &Database) -> Result<Keychain, Found> {
    let is_new = db.bound_key().await?.is_none() && keys::roots(&db.read()).await?.is_empty();
    let is_generated = matches!(parts.settings().key, KeySource::Generated);
    // Where there is no key file, opening says so.
    if is_new && (!is_generated || parts.key_path().await?.exists()) {
        return Err(Found::skip("no key was used here yet"));
    }
    Ok(parts.keys().await?.clone())
}

/// Opens the log unless that would begin it anew.
async fn open_log(parts: &Parts, db: &Database) -> Result<AuditLog, Found> {
    let row = db.read().row("SELECT COUNT(*) AS ends FROM audit_head", []).await?;
    let ends = row.map(|row| row.get_u64("ends")).transpose()?;
    if ends != Some(2) {
        return Err(Found::fail(
            "the ends of the logs are missing",
            "run `claw audit verify` and restore a backup",
        ));
    }
    Ok(parts.log().await?.clone())
}
