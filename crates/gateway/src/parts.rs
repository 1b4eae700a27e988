//! The parts of one deployment, each opened when it is first asked for and only then.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use clawexchange_audit::{AuditConfig, AuditLog};
use clawexchange_database::{Database, DatabaseClock, Dialect, Place, SchemaState};
use clawexchange_detectors::Detectors;
use clawexchange_moderation::{Desk, Tokens};
use clawexchange_quarantine::{
    FileStore, KeyCommand, KeyFile, KeyRing, Keychain, MovedStore, ObjectStore, QuarantineError, S3Store,
    Vault, VaultConfig, WeekKeyFiles,
};
use clawexchange_rate_limiter::stored::{StoredLimits, Watch};
use clawexchange_rate_limiter::{Limiter, MemoryConfig, MemoryStore, RedisStore, WhenAway};
use clawexchange_ssg_core::{Clock as _, EventId, Fault as _, Gate, SystemClock};
use tokio::sync::OnceCell;

use crate::error::PartsError;
use crate::folder::{DataFolder, FolderError, FolderLock};
use crate::metrics::Metrics;
use crate::pipeline::{Counters, Lookout, Pipeline, PipelineParts, Shared};
use crate::remote::{Remote, SharedRemote};
use crate::rules::Judging;
use crate::settings::{KeySource, Settings};

/// Where the keys of weeks lie.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeekKeyPlace {
    /// In files of this folder.
    Folder(PathBuf),
    /// In the bucket, beside what they open.
    Bucket,
    /// In the database, and so in each backup of it.
    Database,
}

/// What is done where there is no data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Intent {
    /// It is an error.
    Use,
    /// Folder, database and key are made.
    Create,
}

/// The only place where all crates of the pipeline meet. No part ever sees it.
///
/// A command opens what it needs: looking at the log opens no counters, inspecting opens nothing.
pub struct Parts {
    settings: Settings,
    intent: Intent,
    folder: OnceCell<DataFolder>,
    lock: OnceCell<FolderLock>,
    database: OnceCell<Database>,
    clock: OnceCell<DatabaseClock>,
    keys: OnceCell<Keychain>,
    log: OnceCell<AuditLog>,
    bucket: OnceLock<S3Store>,
    vault: OnceCell<Vault>,
    redis: OnceCell<Option<RedisStore>>,
    limiter: OnceCell<Limiter>,
    detectors: OnceCell<Detectors>,
    remote: OnceCell<Option<SharedRemote>>,
    tokens: OnceCell<Tokens>,
    desk: OnceCell<Desk>,
    pipeline: OnceCell<Pipeline>,
    metrics: Metrics,
    notices: Mutex<Vec<String>>,
}

/// How long a command waits for Redis, and a server before it begins without.
const PATIENCE: Duration = Duration::from_secs(2);

impl Parts {
    /// Opens nothing yet.
    pub fn new(settings: Settings, intent: Intent) -> Arc<Self> {
        Arc::new(Self {
            settings,
            intent,
            folder: OnceCell::new(),
            lock: OnceCell::new(),
            database: OnceCell::new(),
            clock: OnceCell::new(),
            keys: OnceCell::new(),
            log: OnceCell::new(),
            bucket: OnceLock::new(),
            vault: OnceCell::new(),
            redis: OnceCell::new(),
            limiter: OnceCell::new(),
            detectors: OnceCell::new(),
            remote: OnceCell::new(),
            tokens: OnceCell::new(),
            desk: OnceCell::new(),
            pipeline: OnceCell::new(),
            metrics: Metrics::new(),
            notices: Mutex::default(),
        })
    }

    /// The settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What whoever runs should be told, such as where a new key lies. Each is given once.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The data folder.
    pub async fn folder(&self) -> Result<&DataFolder, PartsError> {
        self.folder
            .get_or_try_init(|| async {
                let path = &self.settings.data_dir;
                Ok(match self.intent {
                    Intent::Create => DataFolder::created(path)?,
                    Intent::Use if self.settings.database.server.is_some() => DataFolder::expected(path)?,
                    Intent::Use => DataFolder::existing(path)?,
                })
            })
            .await
    }

    /// The database, whatever its schema is.
    pub async fn bare_database(&self) -> Result<Database, PartsError> {
        let place = match &self.settings.database.server {
            Some(server) => Place::Postgres(server.clone()),
            None => Place::Sqlite(self.folder().await?.database()),
        };
        let mut config = self.settings.database.config(place);
        config.create = self.intent == Intent::Create;
        Ok(Database::open(config).await?)
    }

    /// The database with the schema of this version. A new file is given it; one that holds data is not changed, and one
    /// on a server is not ours alone, so its owner changes it.
    pub async fn database(&self) -> Result<&Database, PartsError> {
        self.database
            .get_or_try_init(|| async {
                let db = self.bare_database().await?;
                let plan = clawexchange_migrations::all();
                let may_make = self.intent == Intent::Create && db.dialect() == Dialect::Sqlite;
                match (plan.state(&db).await?, may_make) {
                    (SchemaState::Current, _) => {}
                    (SchemaState::Empty, true) => {
                        plan.up(&db, None, SystemClock::new().now()).await?;
                    }
                    (SchemaState::Empty, false) => {
                        let pending = plan.steps().map(|(_, step)| step.name).collect();
                        return Err(PartsError::Pending { pending });
                    }
                    (SchemaState::Behind(pending), _) => return Err(PartsError::Pending { pending }),
                    (SchemaState::Ahead(unknown), _) => {
                        return Err(PartsError::Newer {
                            step: unknown.into_iter().next().unwrap_or_default(),
                        });
                    }
                    (_, _) => {
                        let found = clawexchange_migrations::adopt::refusal(&db.read()).await?;
                        return Err(found.map_or_else(
                            || clawexchange_database::MigrateError::Foreign.into(),
                            PartsError::from,
                        ));
                    }
                }
                Ok(db)
            })
            .await
    }

    /// The time as the database has it, on which all instances agree. `serve` sets it again now and then.
    pub async fn clock(&self) -> Result<&DatabaseClock, PartsError> {
        self.clock.get_or_try_init(|| async { Ok(self.database().await?.clock().await?) }).await
    }

    /// The keys. A new deployment without a master key is given one, in the state folder; its root key is made when it is
    /// first asked for.
    pub async fn keys(&self) -> Result<&Keychain, PartsError> {
        self.keys
            .get_or_try_init(|| async {
                let db = self.database().await?.clone();
                let opened = match &self.settings.key {
                    KeySource::Given(key) => {
                        Keychain::open(db, KeyRing::from_master(None, key.clone()), true).await
                    }
                    KeySource::File(path) => Keychain::open(db, KeyFile::open(path)?, true).await,
                    KeySource::Command { argv, deadline } => {
                        let hidden = Settings::secret_variables();
                        let command = KeyCommand::open(argv.clone(), hidden, *deadline).await?;
                        Keychain::open(db, command, true).await
                    }
                    KeySource::Generated => {
                        let path = self.state_file("key").await?;
                        match (path.exists(), db.bound_key().await?, self.intent) {
                            (true, _, _) => {}
                            (false, None, Intent::Create) => self.generate_key(&path)?,
                            (false, _, _) => return Err(PartsError::KeyGone { path }),
                        }
                        Keychain::open(db, KeyFile::open(path)?, true).await
                    }
                };
                opened.map_err(|error| match error {
                    QuarantineError::MasterMissing { key } => PartsError::WrongKey { bound: key },
                    other => other.into(),
                })
            })
            .await
    }

    fn generate_key(&self, path: &Path) -> Result<(), PartsError> {
        let ring = KeyRing::generate()?;
        ring.write_new_file(path)?;
        self.notice(format!(
            "a new master key lies in {}; without it held content cannot be opened, so keep a copy elsewhere",
            path.display()
        ));
        Ok(())
    }

    /// `<state folder>/<deployment>.<ending>`; makes the folder.
    async fn state_file(&self, ending: &str) -> Result<PathBuf, PartsError> {
        let deployment =
            self.database().await?.deployment().await?.ok_or(clawexchange_audit::AuditError::NoSchema)?;
        let folder = &self.settings.state_dir;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| PartsError::State { path: folder.clone(), source })?;
        Ok(folder.join(format!("{}.{ending}", EventId::from_bytes(deployment))))
    }

    /// The log.
    pub async fn log(&self) -> Result<&AuditLog, PartsError> {
        self.log
            .get_or_try_init(|| async {
                let keys = self.keys().await?.clone();
                let mut config = AuditConfig::default();
                config.pin = Some(self.state_file("pin").await?);
                // Commands that run beside a server leave the spool to it.
                config.spool = self.settings.database.spool.clone().filter(|_| self.lock.initialized());
                let (db, clock) = (self.database().await?.clone(), self.clock().await?.clone());
                Ok(AuditLog::open_with_clock(db, keys, config, clock).await?)
            })
            .await
    }

    /// The log with its spool, for moving what is in it: no server may use the folder meanwhile.
    pub async fn log_with_spool(&self) -> Result<&AuditLog, PartsError> {
        self.lock().await?;
        self.log().await
    }

    /// Held content.
    pub async fn vault(&self) -> Result<&Vault, PartsError> {
        self.vault.get_or_try_init(|| self.open_vault(VaultConfig::default())).await
    }

    /// Held content, for a sweep. While nobody serves the folder of a database that is a file in it, every store under
    /// way was cut short, so the sweep need not wait as long for it as beside a process that may be about to finish it.
    pub async fn vault_for_sweep(&self) -> Result<Vault, PartsError> {
        let mut config = VaultConfig::default();
        if self.settings.database.server.is_some() {
            return self.open_vault(config).await;
        }
        match self.lock().await {
            Ok(()) => config.upload_budget = Duration::from_secs(1),
            Err(PartsError::Folder(FolderError::Served { .. })) => {}
            Err(error) => return Err(error),
        }
        self.open_vault(config).await
    }

    async fn open_vault(&self, config: VaultConfig) -> Result<Vault, PartsError> {
        let keys = self.keys().await?.clone();
        let log = self.log().await?.clone();
        let objects = self.object_store().await?;
        let config = self.settings.vault_config(config);
        let vault = Vault::new(self.database().await?.clone(), objects, keys, log, config)?;
        let vault = vault.with_clock(self.clock().await?.clone());
        Ok(match (self.week_keys().await?, self.bucket()?) {
            (WeekKeyPlace::Folder(folder), _) => vault.with_week_keys(WeekKeyFiles::new(folder)),
            (WeekKeyPlace::Bucket, Some(bucket)) => vault.with_week_keys(bucket.clone()),
            _ => vault,
        })
    }

    /// Where the keys of weeks lie: where every process that serves the rows reaches them, and no backup of the rows has
    /// them, if there is such a place.
    pub async fn week_keys(&self) -> Result<WeekKeyPlace, PartsError> {
        let Settings { week_key_dir, database, objects, .. } = &self.settings;
        Ok(match (week_key_dir, &database.server, objects) {
            (Some(folder), ..) => WeekKeyPlace::Folder(folder.clone()),
            (None, None, _) => WeekKeyPlace::Folder(self.state_file("weeks").await?),
            (None, Some(_), Some(_)) => WeekKeyPlace::Bucket,
            (None, Some(_), None) => WeekKeyPlace::Database,
        })
    }

    /// Where held content lies that is not in its row: in the bucket that is set, and what older files there are
    /// beside it; in files where none is set.
    async fn object_store(&self) -> Result<Box<dyn ObjectStore>, PartsError> {
        let folder = self.folder().await?.objects();
        let files = FileStore::new(&folder);
        let Some(bucket) = self.bucket()? else { return Ok(Box::new(files)) };
        if files.list(None, 1).await.map_err(PartsError::Port)?.is_empty() {
            return Ok(Box::new(bucket.clone()));
        }
        self.notice(format!(
            "held content lies in {} from before S3_ENDPOINT was set; it is read there until it is gone, and other \
             machines do not see it",
            folder.display()
        ));
        Ok(Box::new(MovedStore::new(bucket.clone(), files)))
    }

    /// The bucket of held content, if one is set. Nothing is asked of it yet.
    pub fn bucket(&self) -> Result<Option<&S3Store>, PartsError> {
        let Some(config) = &self.settings.objects else { return Ok(None) };
        if let Some(bucket) = self.bucket.get() {
            return Ok(Some(bucket));
        }
        let opened = S3Store::open(config.clone())?;
        Ok(Some(self.bucket.get_or_init(|| opened)))
    }

    /// Limits as they are kept in the database. Each seeded or changed one has its event in the log.
    pub async fn stored_limits(&self) -> Result<StoredLimits, PartsError> {
        let keys = self.keys().await?.clone();
        Ok(StoredLimits::new(self.database().await?.clone(), keys))
    }

    /// Follows the limits in the database for the limiter of this process.
    pub async fn limits_watch(&self) -> Result<Watch, PartsError> {
        Ok(Watch::new(self.stored_limits().await?, self.limiter().await?.clone()))
    }

    /// Who may speak. The first admin of a deployment is made when there is none and `ADMIN_USER_ID` names one.
    pub async fn tokens(&self) -> Result<&Tokens, PartsError> {
        self.tokens
            .get_or_try_init(|| async {
                let keys = self.keys().await?.clone();
                let tokens = Tokens::new(self.database().await?.clone(), keys);
                Ok(tokens.with_clock(self.clock().await?.clone()))
            })
            .await
    }

    /// Makes the first admin's token, if there is no admin and one is named, and says where it lies: in a file of the
    /// state folder that only its owner reads.
    pub async fn ensure_admin(&self) -> Result<(), PartsError> {
        let Some(admin) = &self.settings.admin_user else { return Ok(()) };
        let Some(made) = self.tokens().await?.ensure_admin(admin).await? else { return Ok(()) };
        let path = self.state_file("admin-token").await?;
        let written = write_secret(&path, made.token.expose());
        written.map_err(|source| PartsError::State { path: path.clone(), source })?;
        self.notice(format!(
            "the token of the first admin, {admin}, lies in {}; read it once and take the file away",
            path.display()
        ));
        Ok(())
    }

    /// The desk at which held content is decided.
    pub async fn desk(&self) -> Result<&Desk, PartsError> {
        self.desk
            .get_or_try_init(|| async {
                Ok(Desk::new(self.vault().await?.clone(), self.settings.desk_config()))
            })
            .await
    }

    /// What is counted and timed.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn notice(&self, sentence: String) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(sentence);
    }

    /// Counters in Redis, if one is named. It is asked when there is something to ask.
    pub async fn redis(&self) -> Result<Option<&RedisStore>, PartsError> {
        let store = self.redis.get_or_try_init(|| async {
            let Some(settings) = &self.settings.redis else { return Ok::<_, PartsError>(None) };
            let mut config = settings.config();
            if self.intent == Intent::Use {
                // Whoever looks wants to know what Redis has, and would rather wait than be told what it may have.
                config.is_observer = true;
                config.when_away = WhenAway::Closed;
                config.deadline = config.deadline.max(PATIENCE);
            }
            let store = RedisStore::open(config)?;
            // The first question need not wait for the connection; whoever serves begins without it too.
            if let Err(error) = store.connected(PATIENCE).await {
                tracing::warn!(code = error.code(), "the counters in Redis cannot be reached");
            }
            Ok(Some(store))
        });
        Ok(store.await?.as_ref())
    }

    /// The limiter with its counters: those in Redis, or this process's own, which hold the data folder, since one
    /// process at a time counts there.
    pub async fn limiter(&self) -> Result<&Limiter, PartsError> {
        self.limiter
            .get_or_try_init(|| async {
                let limits = self.stored_limits().await?.load().await?;
                if let Some(store) = self.redis().await? {
                    return Ok(Limiter::new(store.clone(), limits));
                }
                self.lock().await?;
                let journal = self.folder().await?.journal();
                let store = MemoryStore::open_journal(journal, MemoryConfig::default(), SystemClock::new())?;
                Ok(Limiter::new(store, limits))
            })
            .await
    }

    /// The limiter to look at beside a process that serves: the one in Redis, or as the journal says it stands.
    pub async fn limiter_read_only(&self) -> Result<Limiter, PartsError> {
        if self.settings.redis.is_some() {
            return Ok(self.limiter().await?.clone());
        }
        let limits = self.stored_limits().await?.load().await?;
        let journal = self.folder().await?.journal();
        let store = if journal.exists() {
            MemoryStore::read_journal(journal, SystemClock::new())?
        } else {
            MemoryStore::default()
        };
        Ok(Limiter::new(store, limits))
    }

    async fn lock(&self) -> Result<(), PartsError> {
        let folder = self.folder().await?;
        self.lock.get_or_try_init(|| async { folder.lock() }).await?;
        Ok(())
    }

    /// The classifier that is asked, if there is one: one for all inspectors, so that what it knows outlives a switch.
    pub(crate) async fn remote(&self) -> Result<Option<SharedRemote>, PartsError> {
        let remote = self.remote.get_or_try_init(|| async {
            let open = |settings| Remote::open(settings, self.metrics.clone()).map(SharedRemote::new);
            self.settings.remote.as_ref().map(open).transpose()
        });
        Ok(remote.await?.clone())
    }

    /// Where the rules that ship are kept once they are ready.
    pub(crate) const fn shipped(&self) -> &OnceCell<Detectors> {
        &self.detectors
    }

    /// The whole way of a submission.
    pub async fn pipeline(&self) -> Result<&Pipeline, PartsError> {
        self.pipeline
            .get_or_try_init(|| async {
                // The folder is taken first: a second process is told so before it waits for anything else.
                self.database().await?;
                if self.needs_folder() {
                    self.lock().await?;
                }
                self.stored_limits().await?.ensure_events().await?;
                let (log, vault) = (self.log().await?.clone(), self.vault().await?.clone());
                log.drain_outbox().await?;
                let counters = self.counters().await?;
                let limiter = self.limiter().await?.clone();
                let (Judging { detectors, inspector }, rules) = self.active_rules().await?;
                let mut gate = Gate::new(inspector, vault.clone(), log.clone());
                if !self.settings.quarantine_enabled {
                    gate = gate.without_quarantine();
                }
                if !self.settings.audit_enabled {
                    gate = gate.without_verdict_log();
                }
                let tokens = self.tokens().await?.clone();
                let campaigns = self.lookout(detectors).await?;
                let parts = PipelineParts { gate, rules, limiter, log, vault, tokens, campaigns };
                Pipeline::open(parts, self.settings.gate_mode.clone(), counters).await
            })
            .await
    }

    /// What counts who submits the same, if anything does: beside the limiter's counters.
    async fn lookout(&self, detectors: Detectors) -> Result<Option<Lookout>, PartsError> {
        let Some(rules) = self.settings.campaigns else { return Ok(None) };
        let (keys, redis) = (self.keys().await?, self.redis().await?.cloned());
        let opened = Lookout::open(rules, keys, detectors, redis, self.metrics.clone()).await;
        opened.map(Some).map_err(PartsError::Port)
    }

    /// Whether one process at a time may have the data folder: rows, counters or the spool lie there.
    fn needs_folder(&self) -> bool {
        let Settings { database, redis, .. } = &self.settings;
        database.server.is_none() || redis.is_none() || database.spool.is_some()
    }

    /// Whose counters they are.
    async fn counters(&self) -> Result<Counters, PartsError> {
        if let Some(store) = self.redis().await? {
            let db = self.database().await?;
            let deployment = db.deployment().await?.ok_or(clawexchange_audit::AuditError::NoSchema)?;
            let shared = Shared::new(store.clone(), db.clone(), EventId::from_bytes(deployment));
            return Ok(Counters::Shared(Box::new(shared)));
        }
        // Others that share the database may have found things while this folder was not served.
        let is_shared = self.settings.database.server.is_some();
        Ok(Counters::Own { is_new: is_shared || !self.folder().await?.journal().exists() })
    }

    /// What a command that wrote does last: everything is in the log, and the log is pinned.
    pub async fn finish(&self) -> Result<(), PartsError> {
        if let Some(pipeline) = self.pipeline.get() {
            pipeline.sync().await?;
        }
        if let Some(log) = self.log.get() {
            log.drain_outbox().await?;
            log.pin().await?;
        }
        Ok(())
    }
}

/// A new file that only its owner reads; one that is there is replaced.
fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    use std::io::Write as _;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("data_dir", &self.settings.data_dir).finish_non_exhaustive()
    }
}
