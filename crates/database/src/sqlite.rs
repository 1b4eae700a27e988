//! SQLite: readers, and one writer whose transactions share their commits.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use clawexchange_ssg_core::{Fault as _, FaultKind};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};

use crate::error::DatabaseError;
use crate::handle::DatabaseConfig;

/// Tells the writer that a transaction has ended, and how to say that its group is committed.
pub(crate) type Done = oneshot::Sender<oneshot::Sender<Result<(), FaultKind>>>;

/// A transaction whose turn it is.
pub(crate) type Granted = (DatabaseTransaction, Done);

/// A SQLite file that is open.
#[derive(Debug)]
pub(crate) struct Sqlite {
    pub(crate) readers: DatabaseConnection,
    turns: mpsc::Sender<Turn>,
}

impl Sqlite {
    pub(crate) async fn open(path: &Path, config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        prepare_file(path, config.create)?;
        let writer = connect(path, config, Access::Write).await?;
        let readers = connect(path, config, Access::Read).await?;
        // As many may wait as can be served before their patience ends; more would only wait to be refused.
        let (turns, queue) = mpsc::channel(1024);
        let (path, config) = (path.to_owned(), config.clone());
        tokio::spawn(Writer { path, config, connection: Some(writer), queue }.run());
        Ok(Self { readers, turns })
    }

    /// Waits for a turn to write.
    pub(crate) async fn turn(&self) -> Result<Granted, DatabaseError> {
        let (grant, granted) = oneshot::channel();
        self.turns.send(Turn { grant }).await.ok().ok_or(DatabaseError::Closed)?;
        granted.await.ok().ok_or(DatabaseError::Closed)?
    }
}

/// Somebody waits to write.
#[derive(Debug)]
struct Turn {
    grant: oneshot::Sender<Result<Granted, DatabaseError>>,
}

/// Transactions that share one commit, at most: bounds what is lost together and how long other processes wait.
const GROUP_MAX: usize = 64;

/// How long one group takes in further transactions.
const GROUP_TIME: Duration = Duration::from_millis(20);

/// Owns the writing connection and gives turns.
struct Writer {
    path: std::path::PathBuf,
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
            None => connect(&self.path, &self.config, Access::Write).await?,
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
    if turn.grant.send(Ok((inner, done))).is_err() {
        return Served::RolledBack;
    }
    is_done.await.map_or(Served::RolledBack, Served::Committed)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

async fn connect(
    path: &Path,
    config: &DatabaseConfig,
    access: Access,
) -> Result<DatabaseConnection, DatabaseError> {
    let (path, busy, pages_max) = (path.to_owned(), config.acquire_timeout, config.pages_max);
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
