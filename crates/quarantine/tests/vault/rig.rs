//! A vault with everything around it in one temporary folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use clawexchange_database::{Database, Drain, Plan, Row, STATE, STATE_CONTEXT, Statements as _, outbox};
use clawexchange_quarantine::{
    FileStore, KeyRing, MIGRATIONS, Note, ObjectKey, ObjectStore, PutOutcome, QuarantineError, STATE_TARGETS,
    SweepReport, Vault, VaultConfig, WeekKeyFiles,
};
#[cfg(feature = "s3")]
use clawexchange_quarantine::{S3Config, S3Store};
use clawexchange_ssg_core::testing::{ManualClock, hold_of};
use clawexchange_ssg_core::{
    Actor, AgentId, AuditEvent, Clock as _, ContentEnvelope, EventKind, Fault, FaultKind, Held, Hold, KeyId,
    KeyProvider as _, Mac, MasterKey, PortError, Quarantine as _, QuarantineId, Timestamp,
};
use clawexchange_testkit::{open_in, s3, tamper};
use tempfile::TempDir;

pub(crate) struct Rig {
    pub(crate) db: Database,
    pub(crate) vault: Vault,
    pub(crate) clock: ManualClock,
    pub(crate) keys: KeyRing,
    pub(crate) log: Log,
    pub(crate) objects: Objects,
    pub(crate) folder: PathBuf,
    temporary: Option<TempDir>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(VaultConfig::default()).await
    }

    /// Everything lies as an object.
    pub(crate) async fn of_objects() -> Self {
        let mut config = VaultConfig::default();
        config.inline_bytes_max = 0;
        Self::with(config).await
    }

    pub(crate) async fn with(config: VaultConfig) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().to_owned();
        let mut rig = Self::at(&folder, config, ManualClock::default()).await;
        rig.temporary = Some(temporary);
        rig
    }

    /// In a folder that stays, under a key that is always the same.
    pub(crate) async fn at(folder: &Path, config: VaultConfig, clock: ManualClock) -> Self {
        Self::over(open_in(folder).await, Objects::of(folder), folder, config, clock).await
    }

    /// The same over a database of any sort, with its objects in files.
    pub(crate) async fn over_files(db: Database, folder: &Path) -> Self {
        Self::over(db, Objects::in_files(folder), folder, VaultConfig::default(), ManualClock::default())
            .await
    }

    async fn over(
        db: Database,
        objects: Objects,
        folder: &Path,
        config: VaultConfig,
        clock: ManualClock,
    ) -> Self {
        Plan::of([MIGRATIONS]).up(&db, None, clock.now()).await.unwrap();
        let key = KeyId::new("test").unwrap();
        let keys = KeyRing::from_master(Some(key), MasterKey::new([7; 32]).unwrap())
            .with(Some(KeyId::new("next").unwrap()), MasterKey::new([8; 32]).unwrap())
            .unwrap();
        let log = Log { db: db.clone(), inner: Arc::default() };
        let vault = Vault::new(db.clone(), objects.clone(), keys.clone(), log.clone(), config)
            .unwrap()
            .with_clock(clock.clone())
            .with_week_keys(WeekKeyFiles::new(folder.join("weeks")));
        Self { db, vault, clock, keys, log, objects, folder: folder.to_owned(), temporary: None }
    }

    /// The same with objects that lie elsewhere.
    pub(crate) async fn with_objects(store: impl ObjectStore, root: PathBuf, config: VaultConfig) -> Self {
        let mut rig = Self::with(config.clone()).await;
        rig.objects = Objects { store: Arc::new(store), root, inner: Arc::default() };
        let (db, keys, log) = (rig.db.clone(), rig.keys.clone(), rig.log.clone());
        rig.vault = Vault::new(db, rig.objects.clone(), keys, log, config).unwrap();
        let week_keys = WeekKeyFiles::new(rig.folder.join("weeks"));
        rig.vault = rig.vault.with_clock(rig.clock.clone()).with_week_keys(week_keys);
        rig
    }

    /// The same deployment, whose objects are reached in another way.
    pub(crate) fn also_over(&self, store: impl ObjectStore, root: PathBuf) -> Self {
        let objects = Objects { store: Arc::new(store), root, inner: Arc::default() };
        let (db, keys, log) = (self.db.clone(), self.keys.clone(), self.log.clone());
        let config = self.vault.config().clone();
        let vault = Vault::new(db.clone(), objects.clone(), keys.clone(), log.clone(), config).unwrap();
        let (clock, week_keys) = (self.clock.clone(), WeekKeyFiles::new(self.folder.join("weeks")));
        let vault = vault.with_clock(clock.clone()).with_week_keys(week_keys);
        Self { db, vault, clock, keys, log, objects, folder: self.folder.clone(), temporary: None }
    }

    /// The same vault as other processes have it, each over a connection of its own.
    pub(crate) async fn others<const N: usize>(&self) -> [Vault; N] {
        let mut others = Vec::new();
        for _ in 0..N {
            let db = open_in(&self.folder).await;
            let log = Log { db: db.clone(), inner: Arc::clone(&self.log.inner) };
            let config = self.vault.config().clone();
            let vault = Vault::new(db, self.objects.clone(), self.keys.clone(), log, config).unwrap();
            let week_keys = WeekKeyFiles::new(self.folder.join("weeks"));
            others.push(vault.with_clock(self.clock.clone()).with_week_keys(week_keys));
        }
        others.try_into().unwrap()
    }

    /// The same vault, whose keys are others, over the same database.
    pub(crate) fn with_keys(&self, keys: impl clawexchange_ssg_core::KeyProvider) -> Vault {
        let config = self.vault.config().clone();
        Vault::new(self.db.clone(), self.objects.clone(), keys, self.log.clone(), config)
            .unwrap()
            .with_clock(self.clock.clone())
            .with_week_keys(WeekKeyFiles::new(self.folder.join("weeks")))
    }

    /// The names of the keys of weeks that lie outside the database.
    pub(crate) fn week_files(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.folder.join("weeks"));
        let mut names: Vec<String> =
            folder.into_iter().flatten().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) async fn hold(&self, text: &str) -> QuarantineId {
        self.hold_by(text, "agent-1").await.unwrap().id
    }

    pub(crate) async fn hold_by(&self, text: &str, agent: &str) -> Result<Held, PortError> {
        self.vault.hold(self.a_hold(text, agent).await).await
    }

    pub(crate) async fn a_hold(&self, text: &str, agent: &str) -> Hold {
        hold_of(&format!("flag-hold {text}"), &AgentId::new(agent).unwrap(), self.clock.clone()).await
    }

    /// The text of what is held, as a reviewer reads it.
    pub(crate) async fn text_of(&self, id: QuarantineId) -> Result<String, QuarantineError> {
        let grant = self.vault.grant(id, &ann(), &note("to see")).await?;
        let opened = self.vault.open(&ann(), &grant.token).await?;
        Ok(ContentEnvelope::from_json(&opened.content).unwrap().text().to_owned())
    }

    pub(crate) async fn sweep(&self) -> SweepReport {
        self.vault.sweep(100.try_into().unwrap(), None).await.unwrap()
    }

    pub(crate) fn pass(&self, hours: u64) {
        self.clock.advance(std::time::Duration::from_hours(hours));
    }

    /// Runs a statement behind the vault's back.
    pub(crate) async fn sql(&self, sql: &str) {
        tamper::run(&self.db, sql).await;
    }

    pub(crate) fn blob(&self, hex: &str) -> String {
        tamper::blob(&self.db, hex)
    }

    pub(crate) async fn try_sql(&self, sql: &str) -> bool {
        let tx = self.db.begin().await.unwrap();
        tx.execute(sql, []).await.is_ok()
    }

    pub(crate) async fn count(&self, table_and_clause: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) AS n FROM {table_and_clause}");
        self.row(&sql).await.get("n").unwrap()
    }

    pub(crate) async fn row(&self, sql: &str) -> Row {
        self.db.read().row(sql, []).await.unwrap().unwrap()
    }

    /// Kinds of events in their order, as far as they are about `id`.
    pub(crate) async fn kinds(&self, id: QuarantineId) -> Vec<EventKind> {
        let events = self.log.events().await;
        let about = events.iter().filter(|e| e.target().is_some_and(|t| t.id == id.to_string()));
        about.map(AuditEvent::kind).collect()
    }

    pub(crate) async fn object_names(&self) -> Vec<ObjectKey> {
        self.objects.store.list(None, 1000).await.unwrap()
    }

    /// How many objects there are, if that can be seen.
    pub(crate) async fn objects_or_none(&self) -> Option<usize> {
        self.objects.store.list(None, 1000).await.ok().map(|names| names.len())
    }

    /// Places where rows and log disagree.
    pub(crate) async fn discrepancies(&self) -> Vec<String> {
        let mut said: BTreeMap<(String, String), String> = BTreeMap::new();
        for event in self.log.events().await {
            if let (Some(target), Some(state)) = (event.target(), event.meta().get(STATE)) {
                let place = (target.kind.clone(), target.id.clone());
                said.insert(place, state.as_str().unwrap().to_owned());
            }
        }
        let (mut wrong, mut after) = (Vec::new(), None);
        loop {
            let page = self.vault.state_rows(after.as_ref(), 7).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.target.clone());
            for row in page {
                assert!(STATE_TARGETS.contains(&row.target.kind.as_str()));
                let place = format!("{} {}", row.table, row.target.id);
                match said.remove(&(row.target.kind.clone(), row.target.id.clone())) {
                    None => wrong.push(format!("{place}: no event")),
                    Some(mac) => {
                        let mac: Mac = mac.parse().unwrap();
                        if self.keys.mac(&mac.key, STATE_CONTEXT, &row.state).await.unwrap() != mac {
                            wrong.push(format!("{place}: altered"));
                        }
                    }
                }
            }
        }
        wrong.extend(said.keys().map(|(kind, id)| format!("{kind} {id}: no row")));
        wrong
    }

    /// Rows agree with the log, and objects with rows.
    pub(crate) async fn assert_sound(&self) {
        assert_eq!(self.discrepancies().await, Vec::<String>::new());
        let found = self.vault.reconcile(false).await.unwrap();
        assert!(
            found.orphans.is_empty() && found.missing.is_empty() && found.keyless.is_empty(),
            "{found:?}"
        );
    }
}

pub(crate) fn ann() -> Actor {
    Actor::human("ann").unwrap()
}

pub(crate) fn platform() -> Actor {
    Actor::system("platform").unwrap()
}

pub(crate) fn triage() -> Actor {
    Actor::new(clawexchange_ssg_core::ActorType::Bot, "triage").unwrap()
}

pub(crate) fn note(text: &str) -> Note {
    Note::new(text).unwrap()
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, QuarantineError>) -> &'static str {
    result.unwrap_err().code()
}

/// A log in memory, that takes what waits in the outbox and fails when told to.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    db: Database,
    inner: Arc<LogInner>,
}

#[derive(Debug, Default)]
struct LogInner {
    events: Mutex<Vec<AuditEvent>>,
    failing: AtomicBool,
}

impl Log {
    pub(crate) fn set_failing(&self, failing: bool) {
        self.inner.failing.store(failing, Ordering::SeqCst);
    }

    /// Everything that was logged, or waits to be.
    pub(crate) async fn events(&self) -> Vec<AuditEvent> {
        self.take().await;
        self.inner.events.lock().unwrap().clone()
    }

    /// What was logged so far.
    pub(crate) fn logged(&self) -> Vec<AuditEvent> {
        self.inner.events.lock().unwrap().clone()
    }

    async fn take(&self) {
        let tx = self.db.begin().await.unwrap();
        let events = outbox::take(&tx, 10_000).await.unwrap();
        tx.commit().await.unwrap();
        self.inner.events.lock().unwrap().extend(events);
    }
}

#[async_trait]
impl Drain for Log {
    async fn drain(&self) -> Result<(), PortError> {
        if self.inner.failing.load(Ordering::SeqCst) {
            return Err(AskedFor.into());
        }
        self.take().await;
        Ok(())
    }
}

/// Objects, in files or in a bucket, that fail when told to.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Where their bytes lie in the end.
    root: PathBuf,
    inner: Arc<ObjectsInner>,
}

#[derive(Debug, Default)]
struct ObjectsInner {
    trouble: Mutex<Option<Trouble>>,
    gets: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing is stored.
    NoPut,
    /// It is stored, and the answer is lost.
    LostReply,
    /// It never comes back; nothing is stored.
    Hangs,
    /// It is stored, and never comes back.
    StoresAndHangs,
    /// Nothing is deleted.
    NoDelete,
    /// Nothing can be read.
    NoGet,
}

impl Objects {
    /// Those of a folder: below it, or in the bucket that belongs to it.
    fn of(folder: &Path) -> Self {
        if s3::is_wanted() { Self::in_bucket(folder) } else { Self::in_files(folder) }
    }

    #[cfg(feature = "s3")]
    fn in_bucket(folder: &Path) -> Self {
        let bucket = s3::bucket_in(folder);
        let store = in_bucket(&bucket.endpoint, &bucket.name);
        Self { store: Arc::new(store), root: bucket.root, inner: Arc::default() }
    }

    #[cfg(not(feature = "s3"))]
    fn in_bucket(_: &Path) -> Self {
        panic!("a bucket is wanted, and this was built without the feature s3")
    }

    fn in_files(folder: &Path) -> Self {
        let root = folder.join("objects");
        Self { store: Arc::new(FileStore::new(&root)), root, inner: Arc::default() }
    }

    /// The file that has the bytes of an object.
    pub(crate) fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// The folder of the objects of the clock's first day.
    pub(crate) fn days(&self) -> PathBuf {
        self.root.join(ObjectKey::fresh(ManualClock::default().now()).as_str()).parent().unwrap().to_owned()
    }

    pub(crate) fn set(&self, trouble: Option<Trouble>) {
        *self.inner.trouble.lock().unwrap() = trouble;
    }

    fn has(&self, trouble: Trouble) -> bool {
        *self.inner.trouble.lock().unwrap() == Some(trouble)
    }

    pub(crate) fn gets(&self) -> u32 {
        self.inner.gets.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn put_new(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<PutOutcome, PortError> {
        if self.has(Trouble::NoPut) {
            return Err(AskedFor.into());
        }
        if self.has(Trouble::Hangs) {
            return std::future::pending().await;
        }
        let outcome = self.store.put_new(key, bytes).await?;
        if self.has(Trouble::StoresAndHangs) {
            return std::future::pending().await;
        }
        if self.has(Trouble::LostReply) { Err(AskedFor.into()) } else { Ok(outcome) }
    }

    async fn get(&self, key: &ObjectKey, bytes_max: u64) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.gets.fetch_add(1, Ordering::SeqCst);
        if self.has(Trouble::NoGet) { Err(AskedFor.into()) } else { self.store.get(key, bytes_max).await }
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<(), PortError>> {
        if self.has(Trouble::NoDelete) {
            return keys.iter().map(|_| Err(AskedFor.into())).collect();
        }
        self.store.delete(keys).await
    }

    async fn list(&self, after: Option<&ObjectKey>, at_most: usize) -> Result<Vec<ObjectKey>, PortError> {
        self.store.list(after, at_most).await
    }

    async fn tidy(&self, before: Timestamp) -> Result<u64, PortError> {
        self.store.tidy(before).await
    }
}

/// A bucket of a test's server.
#[cfg(feature = "s3")]
pub(crate) fn in_bucket(endpoint: &str, bucket: &str) -> S3Store {
    let mut config = S3Config::new(endpoint, bucket, s3::ACCESS_KEY, s3::SECRET_KEY);
    s3::REGION.clone_into(&mut config.region);
    S3Store::open(config).unwrap()
}

/// A failure that the test asked for.
#[derive(Debug, thiserror::Error)]
#[error("the test asked for a failure")]
pub(crate) struct AskedFor;

impl Fault for AskedFor {
    fn code(&self) -> &'static str {
        "testing/asked-for"
    }

    fn kind(&self) -> FaultKind {
        FaultKind::Unavailable
    }
}

impl Rig {
    /// The ring of this rig, with another key as the active one.
    pub(crate) fn keys_from(active: &str) -> KeyRing {
        let masters = [("test", 7), ("next", 8)];
        let (mut first, mut others) = (None, Vec::new());
        for (name, byte) in masters {
            let (id, key) = (KeyId::new(name).unwrap(), MasterKey::new([byte; 32]).unwrap());
            if name == active { first = Some((id, key)) } else { others.push((id, key)) }
        }
        let (id, key) = first.unwrap();
        others
            .into_iter()
            .fold(KeyRing::from_master(Some(id), key), |ring, (id, key)| ring.with(Some(id), key).unwrap())
    }

    /// A record whose content is still there.
    pub(crate) async fn any_open_record(&self) -> QuarantineId {
        let row = self
            .row("SELECT id FROM quarantine_records WHERE blob_state = 'PRESENT' ORDER BY id LIMIT 1")
            .await;
        row.get_parsed("id").unwrap()
    }

    /// Has the key of a record wrapped as it was before there were keys of weeks: by a master key itself.
    pub(crate) async fn unwrap_from_week(&self, id: QuarantineId) {
        let context = [b"claw/quarantine/data-key/v1\0", id.to_string().as_bytes()].concat();
        let sql = "SELECT encrypted_data_key, week_key_id FROM encryption_keys WHERE record_id = $1";
        let row = self.db.read().row(sql, [id.to_string().into()]).await.unwrap().unwrap();
        let week: KeyId = row.get_parsed("week_key_id").unwrap();
        let wrapped: Vec<u8> = row.get("encrypted_data_key").unwrap();
        let bytes = std::fs::read(self.folder.join("weeks").join(week.as_str())).unwrap();
        // `SSGW`, 1, the length of the name, the name, the wrapped key.
        let (name_length, rest) = bytes.strip_prefix(b"SSGW\x01").unwrap().split_first().unwrap();
        let (name, week_key) = rest.split_at(usize::from(*name_length));
        let master = KeyId::new(std::str::from_utf8(name).unwrap()).unwrap();
        let week_context = [b"claw/quarantine/week-key/v1\0", week.as_str().as_bytes()].concat();
        let key = self.keys.unwrap(&master, &week_context, week_key).await.unwrap();
        let ring = KeyRing::from_master(Some(week.clone()), MasterKey::new(*key.expose()).unwrap());
        let data_key = ring.unwrap(&week, &context, &wrapped).await.unwrap();
        let direct = self.keys.wrap(&self.keys.active(), &context, &data_key).await.unwrap();
        let tx = self.db.begin().await.unwrap();
        let sql = "UPDATE encryption_keys SET encrypted_data_key = $1, master_key_id = $2, week_key_id = NULL \
                   WHERE record_id = $3";
        let values = [direct.into(), self.keys.active().as_str().into(), id.to_string().into()];
        tx.execute(sql, values).await.unwrap();
        tx.commit().await.unwrap();
    }
}
