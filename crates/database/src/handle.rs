//! One handle for all: readers, and one writer whose transactions share their commits.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawexchange_ssg_core::{Fault as _, FaultKind, KeyId};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};

use crate::error::DatabaseError;
use crate::rows::Statements as _;

/// Where the rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A SQLite file.
    Sqlite(PathBuf),
}

/// How the database is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseConfig {
    /// Where the rows are.
    pub place: Place,
    /// Whether a database is made where there is none. No, unless set.
    pub create: bool,
    /// Connections that only read: 4 unless set.
    pub readers_max: u32,
    /// How long a transaction waits for its turn, and SQLite for another process: 5 s unless set.
    pub acquire_timeout: Duration,
    /// The most pages of the file, for tests of a full disk. No bound unless set.
    pub pages_max: Option<u32>,
}

impl DatabaseConfig {
    /// The usual settings at `place`.
    pub const fn new(place: Place) -> Self {
        Self {
            place,
            create: false,
            readers_max: 4,
            acquire_timeout: Duration::from_secs(5),
            pages_max: None,
        }
    }

    /// The same settings, and a database is made where there is none.
    #[must_use]
    pub const fn creating(mut self) -> Self {
        self.create = true;
        self
    }
}

/// The rows of a deployment. Cheap to clone.
///
/// On SQLite there is one writing connection, fed by a queue. Transactions that wait for their turn together share
/// one commit and so one `fsync`: each is a savepoint, and none is acknowledged before the commit of all.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    readers: DatabaseConnection,
    turns: mpsc::Sender<Turn>,
    acquire_timeout: Duration,
    place: Place,
}

impl Database {
    /// Opens the database.
    ///
    /// WAL, `synchronous=FULL`, foreign keys and recursive triggers on, untrusted schema, deleted bytes overwritten.
    /// A new file is readable by its owner only. Must be called inside a tokio runtime with time enabled.
    pub async fn open(config: DatabaseConfig) -> Result<Self, DatabaseError> {
        let Place::Sqlite(path) = &config.place;
        prepare_file(path, config.create)?;
        let writer = connect(&config, Access::Write).await?;
        let readers = connect(&config, Access::Read).await?;
        // As many may wait as can be served before their patience ends; more would only wait to be refused.
        let (turns, queue) = mpsc::channel(1024);
        let (acquire_timeout, place) = (config.acquire_timeout, config.place.clone());
        tokio::spawn(Writer { config, connection: Some(writer), queue }.run());
        Ok(Self(Arc::new(Inner { readers, turns, acquire_timeout, place })))
    }

    /// Begins a transaction that writes: `BEGIN IMMEDIATE`, so that it never fails half-way for want of the lock.
    pub async fn begin(&self) -> Result<Tx, DatabaseError> {
        let seconds = self.0.acquire_timeout.as_secs();
        let (grant, granted) = oneshot::channel();
        let turn = async {
            self.0.turns.send(Turn { grant }).await.ok().ok_or(DatabaseError::Closed)?;
            granted.await.ok().ok_or(DatabaseError::Closed)?
        };
        // The lock of another process is waited for inside; so the turn itself is given twice the time.
        let waited = tokio::time::timeout(self.0.acquire_timeout * 2, turn).await;
        waited.unwrap_or(Err(DatabaseError::Busy { seconds }))
    }

    /// Reads what is committed.
    pub fn read(&self) -> Read {
        Read(self.0.readers.clone())
    }

    /// Where the rows are.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Which deployment this is: 16 random bytes, fixed when the schema was first made. `None` before that.
    pub async fn deployment(&self) -> Result<Option<[u8; 16]>, DatabaseError> {
        let there = "SELECT 1 AS one FROM sqlite_schema WHERE name = 'database_deployment'";
        if self.read().row(there, []).await?.is_none() {
            return Ok(None);
        }
        let row = self.read().row("SELECT id FROM database_deployment", []).await?;
        row.map(|row| row.get_bytes("id")).transpose()
    }

    /// Notes which master key this deployment is used with, if none is noted yet, and says which is noted.
    pub async fn bind_key(&self, key: &KeyId) -> Result<KeyId, DatabaseError> {
        let tx = self.begin().await?;
        tx.execute("UPDATE database_deployment SET key_id = $1 WHERE key_id IS NULL", [key.as_str().into()])
            .await?;
        let row = tx.row("SELECT key_id FROM database_deployment", []).await?;
        let bound = row.ok_or(DatabaseError::Row { column: "key_id" })?.get_parsed("key_id")?;
        tx.commit().await?;
        Ok(bound)
    }

    /// Which master key this deployment is used with; `None` if it was never used with any.
    pub async fn bound_key(&self) -> Result<Option<KeyId>, DatabaseError> {
        let row = self.read().row("SELECT key_id FROM database_deployment", []).await?;
        let bound: Option<String> = row.map(|row| row.get("key_id")).transpose()?.flatten();
        bound.map(|id| KeyId::new(id).ok().ok_or(DatabaseError::Row { column: "key_id" })).transpose()
    }

    /// Waits until everything begun is done, and closes the files.
    pub async fn close(self) -> Result<(), DatabaseError> {
        let readers = self.0.readers.clone();
        drop(self);
        Ok(readers.close().await?)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.0.place).finish()
    }
}

/// Reads what is committed; each statement by itself.
#[derive(Clone, Debug)]
pub struct Read(DatabaseConnection);

impl Read {
    pub(crate) const fn inner(&self) -> &DatabaseConnection {
        &self.0
    }
}

/// A transaction that writes. Dropped without [`commit`](Self::commit) it never was.
///
/// It holds up every other writer, so nothing that waits for the world may be done while it is open.
pub struct Tx {
    inner: DatabaseTransaction,
    done: oneshot::Sender<oneshot::Sender<Result<(), FaultKind>>>,
}

impl Tx {
    /// Makes it so. `Ok` means that it survives a crash.
    ///
    /// After an error it may have happened all the same, if the failure was that of the disk.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        let Self { inner, done } = self;
        inner.commit().await?;
        let (ack, acked) = oneshot::channel();
        if done.send(ack).is_err() {
            return Err(DatabaseError::Closed);
        }
        match acked.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(kind)) => Err(DatabaseError::Group { kind }),
            Err(_) => Err(DatabaseError::Closed),
        }
    }

    pub(crate) const fn inner(&self) -> &DatabaseTransaction {
        &self.inner
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

/// Somebody waits to write.
struct Turn {
    grant: oneshot::Sender<Result<Tx, DatabaseError>>,
}

/// Transactions that share one commit, at most: bounds what is lost together and how long other processes wait.
const GROUP_MAX: usize = 64;

/// How long one group takes in further transactions.
const GROUP_TIME: Duration = Duration::from_millis(20);

/// Owns the writing connection and gives turns.
struct Writer {
    config: DatabaseConfig,
    connection: Option<DatabaseConnection>,
    queue: mpsc::Receiver<Turn>,
}

impl Writer {
    async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            self.group(first).await;
        }
        if let Some(connection) = self.connection.take()
            && connection.close().await.is_err()
        {
            tracing::warn!("the writing connection did not close cleanly");
        }
    }

    /// Serves `first` and whoever waits behind it, then commits for all.
    async fn group(&mut self, first: Turn) {
        let outer = match self.begin().await {
            Ok(outer) => outer,
            Err(error) => {
                // It is gone if the receiver is; nobody is left to tell.
                drop(first.grant.send(Err(error)));
                return;
            }
        };
        let (mut acks, started, mut next) = (Vec::new(), Instant::now(), Some(first));
        while let Some(turn) = next.take() {
            match serve(&outer, turn).await {
                Served::Committed(ack) => acks.push(ack),
                Served::Unclaimed => {}
                // A failed statement may have ended the outer transaction with it: nobody else joins.
                Served::RolledBack => break,
            }
            if acks.len() < GROUP_MAX && started.elapsed() < GROUP_TIME {
                next = self.queue.try_recv().ok();
            }
        }
        let result = self.end(outer, acks.is_empty()).await;
        for ack in acks {
            if ack.send(result).is_err() {
                tracing::debug!("a transaction was committed whose caller had gone away");
            }
        }
    }

    async fn begin(&mut self) -> Result<DatabaseTransaction, DatabaseError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.config, Access::Write).await?,
        };
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let outer = connection.begin_with_options(options).await?;
        self.connection = Some(connection);
        Ok(outer)
    }

    async fn end(&mut self, outer: DatabaseTransaction, is_empty: bool) -> Result<(), FaultKind> {
        let ended = if is_empty { outer.rollback().await } else { outer.commit().await };
        match ended {
            Ok(()) => Ok(()),
            Err(error) => {
                // What state the connection is in is unknown: the next group gets a new one.
                self.connection = None;
                let error = DatabaseError::from(error);
                if !is_empty {
                    tracing::error!(%error, "a group of transactions could not be committed");
                }
                Err(error.kind())
            }
        }
    }
}

enum Served {
    Committed(oneshot::Sender<Result<(), FaultKind>>),
    RolledBack,
    Unclaimed,
}

async fn serve(outer: &DatabaseTransaction, turn: Turn) -> Served {
    if turn.grant.is_closed() {
        return Served::Unclaimed;
    }
    let inner = match outer.begin().await {
        Ok(inner) => inner,
        Err(error) => {
            drop(turn.grant.send(Err(error.into())));
            return Served::RolledBack;
        }
    };
    let (done, is_done) = oneshot::channel();
    if turn.grant.send(Ok(Tx { inner, done })).is_err() {
        return Served::RolledBack;
    }
    is_done.await.map_or(Served::RolledBack, Served::Committed)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

async fn connect(config: &DatabaseConfig, access: Access) -> Result<DatabaseConnection, DatabaseError> {
    let Place::Sqlite(path) = &config.place;
    let (path, busy, pages_max) = (path.clone(), config.acquire_timeout, config.pages_max);
    // The path is set below as a path: in a URL some characters would mean something.
    let mut options = ConnectOptions::new("sqlite://unused");
    options
        .max_connections(if access == Access::Write { 1 } else { config.readers_max })
        .min_connections(1)
        .acquire_timeout(config.acquire_timeout)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .test_before_acquire(false)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .map_sqlx_sqlite_opts(move |sqlite| {
            let sqlite = sqlite
                .filename(&path)
                .create_if_missing(false)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(busy)
                .foreign_keys(true)
                .pragma("recursive_triggers", "ON")
                .pragma("trusted_schema", "OFF")
                .pragma("secure_delete", "ON");
            let sqlite = match pages_max {
                Some(pages) => sqlite.pragma("max_page_count", pages.to_string()),
                None => sqlite,
            };
            if access == Access::Read { sqlite.pragma("query_only", "ON") } else { sqlite }
        });
    Ok(sea_orm::Database::connect(options).await?)
}

/// Sees to it that the file is there, or not, before SQLite opens it: SQLite would make one that others can read.
fn prepare_file(path: &Path, create: bool) -> Result<(), DatabaseError> {
    let opened =
        OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path);
    match opened {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !create => {
            Err(DatabaseError::Missing { path: path.to_owned() })
        }
        Err(source) => Err(DatabaseError::Open { path: path.to_owned(), source }),
    }
}

/// A database in memory, for comparing schemas.
pub(crate) async fn scratch() -> Result<DatabaseConnection, sea_orm::DbErr> {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false).record_stmt_in_spans(false);
    sea_orm::Database::connect(options).await
}
