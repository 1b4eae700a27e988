//! One handle for all: readers and transactions, on either database.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clawexchange_ssg_core::KeyId;
use ring::digest;
use sea_orm::{AccessMode, DatabaseConnection, DatabaseTransaction, IsolationLevel, TransactionTrait as _};
use tokio::sync::oneshot;

use crate::breaker::{Breaker, Make, Whose};
use crate::dialect::Dialect;
use crate::error::DatabaseError;
use crate::postgres::{self, PostgresUrl, Reach};
use crate::rows::{Answer, Statements as _};
use crate::sqlite::{Done, Sqlite};

/// Where the rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database, version 14 or newer.
    Postgres(PostgresUrl),
}

impl Place {
    /// What is spoken there.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }
}

/// How the database is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseConfig {
    /// Where the rows are.
    pub place: Place,
    /// SQLite: whether a database is made where there is none. No, unless set.
    pub create: bool,
    /// SQLite: connections that only read: 4 unless set.
    pub readers_max: u32,
    /// How long a transaction waits for its turn, for a connection, and SQLite for another process: 5 s unless set.
    pub acquire_timeout: Duration,
    /// SQLite: the most pages of the file, for tests of a full disk. No bound unless set.
    pub pages_max: Option<u32>,
    /// PostgreSQL: a copy that follows, for [`Database::replica`]. None unless set.
    pub replica: Option<PostgresUrl>,
    /// PostgreSQL: connections that are kept open: 2 unless set.
    pub connections_min: u32,
    /// PostgreSQL: connections at most: 20 unless set, and 2 at least.
    pub connections_max: u32,
    /// PostgreSQL: how long one statement may take: 5 s unless set; with zero what it takes. A server that does not even
    /// refuse is given up on a second later.
    pub statement_timeout: Duration,
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
            replica: None,
            connections_min: 2,
            connections_max: 20,
            statement_timeout: Duration::from_secs(5),
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
///
/// On PostgreSQL there is one pool, and transactions run side by side under READ COMMITTED: whoever reads before it
/// writes takes a [lock](Tx::lock) first, or says in the statement what must still hold.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    rows: Rows,
    acquire_timeout: Duration,
    bounds: Bounds,
    place: Place,
}

enum Rows {
    Sqlite(Sqlite),
    Postgres { pool: Arc<Breaker>, copy: Option<Arc<Breaker>> },
}

impl Database {
    /// Opens the database.
    ///
    /// SQLite: WAL, `synchronous=FULL`, foreign keys and recursive triggers on, untrusted schema, deleted bytes
    /// overwritten; a new file is readable by its owner only. PostgreSQL: `synchronous_commit` at least on, bounds on
    /// statements and on transactions that idle. Must be called inside a tokio runtime with time enabled.
    pub fn open(config: DatabaseConfig) -> Answer<'static, Self> {
        Box::pin(async move {
            let (rows, bounds) = match &config.place {
                Place::Sqlite(path) => (Rows::Sqlite(Sqlite::open(path, &config).await?), Bounds::default()),
                Place::Postgres(url) => {
                    let pool = postgres::connect(url, &config, Reach::Now).await?;
                    let pool = Breaker::new(pool, pools_of(url, &config), Whose::Database);
                    let copy = match &config.replica {
                        Some(url) => {
                            let copy = postgres::connect(url, &config, Reach::WhenAsked).await?;
                            Some(Breaker::new(copy, pools_of(url, &config), Whose::Copy))
                        }
                        None => None,
                    };
                    let patience = (!config.statement_timeout.is_zero())
                        .then(|| config.acquire_timeout + config.statement_timeout + Duration::from_secs(1));
                    let bounds = Bounds { patience, breaker: Some(Arc::clone(&pool)) };
                    (Rows::Postgres { pool, copy }, bounds)
                }
            };
            let (acquire_timeout, place) = (config.acquire_timeout, config.place);
            Ok(Self(Arc::new(Inner { rows, acquire_timeout, bounds, place })))
        })
    }

    /// Begins a transaction that writes. SQLite: `BEGIN IMMEDIATE`, so that it never fails half-way for want of the
    /// lock.
    pub fn begin(&self) -> Answer<'_, Tx> {
        Box::pin(async move {
            let dialect = self.dialect();
            match &self.0.rows {
                Rows::Sqlite(sqlite) => {
                    // The lock of another process is waited for inside; so the turn itself is given twice the time.
                    let waited = tokio::time::timeout(self.0.acquire_timeout * 2, sqlite.turn()).await;
                    let seconds = self.0.acquire_timeout.as_secs();
                    let (inner, done) = waited.unwrap_or(Err(DatabaseError::Busy { seconds }))?;
                    Ok(Tx { inner, done: Some(done), dialect, bounds: Bounds::default() })
                }
                Rows::Postgres { pool, .. } => {
                    let bounds = self.0.bounds.clone();
                    let inner = bounds.with_wait(async { Ok(pool.pool().begin().await?) }).await?;
                    Ok(Tx { inner, done: None, dialect, bounds })
                }
            }
        })
    }

    /// Begins a transaction that only reads, in which everything is as it was at one moment and statements take as long
    /// as they take: for checks that go through whole tables. It holds up nobody; while it is open the database keeps
    /// what it would otherwise clear away.
    pub fn snapshot(&self) -> Answer<'_, Tx> {
        Box::pin(async move {
            let (dialect, bounds) = (self.dialect(), self.0.bounds.clone());
            let inner = match &self.0.rows {
                Rows::Sqlite(sqlite) => sqlite.readers.begin().await?,
                Rows::Postgres { pool, .. } => {
                    let pool = pool.pool();
                    let begun = pool
                        .begin_with_config(Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly));
                    bounds.with_wait(async { Ok(begun.await?) }).await?
                }
            };
            Tx { inner, done: None, dialect, bounds }.patiently().await
        })
    }

    /// Reads what is committed.
    pub fn read(&self) -> Read {
        let inner = match &self.0.rows {
            Rows::Sqlite(sqlite) => sqlite.readers.clone(),
            Rows::Postgres { pool, .. } => pool.pool(),
        };
        self.reads(inner)
    }

    /// Reads what was committed a while ago, if there is a copy that follows; else as [`read`](Self::read). For
    /// searches and lists, on whose freshness nothing depends.
    pub fn replica(&self) -> Read {
        match &self.0.rows {
            Rows::Postgres { copy: Some(copy), .. } => {
                let bounds = Bounds { breaker: Some(Arc::clone(copy)), ..self.0.bounds.clone() };
                Read { inner: copy.pool(), dialect: self.dialect(), bounds }
            }
            _ => self.read(),
        }
    }

    fn reads(&self, inner: DatabaseConnection) -> Read {
        Read { inner, dialect: self.dialect(), bounds: self.0.bounds.clone() }
    }

    /// Whether the server counts as away: somebody waited for it in vain, and it has not answered since.
    pub fn is_away(&self) -> bool {
        self.0.bounds.breaker.as_ref().is_some_and(|breaker| breaker.is_open())
    }

    /// Where the rows are.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// What is spoken there.
    pub fn dialect(&self) -> Dialect {
        self.0.place.dialect()
    }

    /// How many connections there are now; `None` on SQLite, where they do not come and go.
    pub fn connections(&self) -> Option<Connections> {
        let Rows::Postgres { pool, .. } = &self.0.rows else { return None };
        let pool = pool.pool();
        let pool = pool.get_postgres_connection_pool();
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        Some(Connections {
            used: pool.size().saturating_sub(idle),
            idle,
            max: pool.options().get_max_connections(),
        })
    }

    /// Which deployment this is: 16 random bytes, fixed when the schema was first made. `None` before that.
    pub async fn deployment(&self) -> Result<Option<[u8; 16]>, DatabaseError> {
        if !self.read().has_table("database_deployment").await? {
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

    /// Waits until everything begun is done, and closes files and connections.
    pub fn close(self) -> Answer<'static, ()> {
        let open: Vec<DatabaseConnection> = match &self.0.rows {
            Rows::Sqlite(sqlite) => vec![sqlite.readers.clone()],
            Rows::Postgres { pool, copy } => {
                copy.iter().chain([pool]).map(|breaker| breaker.pool()).collect()
            }
        };
        drop(self);
        Box::pin(async move {
            for connection in open {
                connection.close().await?;
            }
            Ok(())
        })
    }
}

/// Makes pools of the same server, for its breaker.
fn pools_of(url: &PostgresUrl, config: &DatabaseConfig) -> Make {
    let (url, config) = (url.clone(), config.clone());
    Box::new(move || {
        let (url, config) = (url.clone(), config.clone());
        Box::pin(async move { postgres::connect(&url, &config, Reach::WhenAsked).await })
    })
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.0.place).finish()
    }
}

/// The connections of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connections {
    /// Somebody works on them.
    pub used: u32,
    /// They wait for work.
    pub idle: u32,
    /// So many there may be.
    pub max: u32,
}

/// What holds for every statement on a server: how long it may take, its wait for a connection included, and that
/// nobody waits while the server is away. Nothing for SQLite, whose statements take what they take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    patience: Option<Duration>,
    breaker: Option<Arc<Breaker>>,
}

impl Bounds {
    /// Does something that begins with a wait for a connection.
    pub(crate) fn with_wait<'a, T: Send + 'a>(
        &self,
        what: impl Future<Output = Result<T, DatabaseError>> + Send + 'a,
    ) -> Answer<'a, T> {
        match self.breaker.as_ref().map_or(Ok(()), |breaker| breaker.check()) {
            Ok(()) => self.within(what),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    /// Does something on a connection that is there. Gives up on what takes longer than it may: a server that was
    /// stopped or cut off answers nothing, not even that.
    pub(crate) fn within<'a, T: Send + 'a>(
        &self,
        what: impl Future<Output = Result<T, DatabaseError>> + Send + 'a,
    ) -> Answer<'a, T> {
        let Self { patience, breaker } = self.clone();
        Box::pin(async move {
            let done = match patience {
                Some(patience) => {
                    let seconds = patience.as_secs();
                    let timed = tokio::time::timeout(patience, what).await;
                    timed.unwrap_or(Err(DatabaseError::Silent { seconds }))
                }
                None => what.await,
            };
            match breaker {
                Some(breaker) => done.map_err(|error| breaker.noted(error)),
                None => done,
            }
        })
    }
}

/// Reads what is committed; each statement by itself.
#[derive(Clone, Debug)]
pub struct Read {
    inner: DatabaseConnection,
    dialect: Dialect,
    bounds: Bounds,
}

impl Read {
    pub(crate) const fn inner(&self) -> &DatabaseConnection {
        &self.inner
    }

    pub(crate) const fn spoken(&self) -> Dialect {
        self.dialect
    }

    pub(crate) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }
}

/// A transaction that writes. Dropped without [`commit`](Self::commit) it never was.
///
/// It holds up other writers, on SQLite all of them, so nothing that waits for the world may be done while it is open.
pub struct Tx {
    inner: DatabaseTransaction,
    /// SQLite: tells the writer, and gets the commit of the group.
    done: Option<Done>,
    dialect: Dialect,
    bounds: Bounds,
}

impl Tx {
    /// Makes it so. `Ok` means that it survives a crash.
    ///
    /// After an error it may have happened all the same, if the failure was that of the disk or of the network.
    pub fn commit(self) -> Answer<'static, ()> {
        Box::pin(async move {
            let Self { inner, done, bounds, .. } = self;
            bounds.within(async { Ok(inner.commit().await?) }).await?;
            let Some(done) = done else { return Ok(()) };
            let (ack, acked) = oneshot::channel();
            if done.send(ack).is_err() {
                return Err(DatabaseError::Closed);
            }
            match acked.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(kind)) => Err(DatabaseError::Group { kind }),
                Err(_) => Err(DatabaseError::Closed),
            }
        })
    }

    /// Waits until no other transaction that locked `name` is open. What is read from here on was not changed by such
    /// a one that is still to commit. The lock goes with the transaction.
    ///
    /// On SQLite there is one writer, and nothing to wait for.
    pub fn lock(&self, name: &str) -> Answer<'_, ()> {
        if self.dialect == Dialect::Sqlite {
            return Box::pin(async { Ok(()) });
        }
        let name = digest::digest(&digest::SHA256, &[b"claw/lock/v1/", name.as_bytes()].concat());
        let key = name.as_ref().first_chunk::<8>().map_or(0, |first| i64::from_be_bytes(*first));
        // A cast, since a function that gives nothing gives a column of no type that a driver knows.
        let locked = self.row("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT) AS locked", [key.into()]);
        Box::pin(async move { locked.await.map(drop) })
    }

    /// Lets every statement of this transaction take as long as it takes, as a change of the schema may, and what goes
    /// through whole tables.
    pub async fn patiently(mut self) -> Result<Self, DatabaseError> {
        if self.dialect == Dialect::Postgres {
            self.execute("SET LOCAL statement_timeout = 0", []).await?;
            self.execute("SET LOCAL idle_in_transaction_session_timeout = 0", []).await?;
            self.bounds.patience = None;
        }
        Ok(self)
    }

    pub(crate) const fn inner(&self) -> &DatabaseTransaction {
        &self.inner
    }

    pub(crate) const fn spoken(&self) -> Dialect {
        self.dialect
    }

    pub(crate) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}
