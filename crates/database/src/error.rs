//! What can go wrong with rows, classified once.

use std::fmt;
use std::path::PathBuf;

use clawexchange_ssg_core::{Fault, FaultKind};
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Why the database did not do what it was asked.
///
/// `Debug` prints no more than `Display`: the errors of a driver may quote rows.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// There is no database at the place.
    #[error("there is no database at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file could not be made or opened.
    #[error("could not open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database refused a statement or could not be reached.
    #[error("the database did not do it ({what})")]
    Query {
        /// What sort of failure it was.
        what: &'static str,
        /// What sort of fault that is.
        kind: FaultKind,
        /// What the driver said.
        source: Box<DbErr>,
    },
    /// A column has something that it cannot have.
    #[error("column {column} of a row does not parse")]
    Row {
        /// The column.
        column: &'static str,
    },
    /// Others kept the writer for too long.
    #[error("waited {seconds} s for a turn to write")]
    Busy {
        /// How long.
        seconds: u64,
    },
    /// The handle was closed, or its task ended.
    #[error("the database handle is closed")]
    Closed,
    /// The commit of a group of transactions failed, this one's among them.
    #[error("the transactions of one group could not be committed")]
    Group {
        /// What sort of fault that is.
        kind: FaultKind,
    },
}

impl fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseError({self})")
    }
}

impl Fault for DatabaseError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "database/missing",
            Self::Open { .. } => "database/open",
            Self::Query { .. } => "database/query",
            Self::Row { .. } => "database/row",
            Self::Busy { .. } => "database/busy",
            Self::Closed => "database/closed",
            Self::Group { .. } => "database/commit",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Missing { .. } => FaultKind::NotFound,
            Self::Open { .. } | Self::Closed => FaultKind::Unavailable,
            Self::Query { kind, .. } | Self::Group { kind } => *kind,
            Self::Row { .. } => FaultKind::Integrity,
            Self::Busy { .. } => FaultKind::Locked,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Busy { .. } => {
                Some("another process is writing for long; see which one holds the file".to_owned())
            }
            Self::Query { kind: FaultKind::Unavailable, .. }
            | Self::Group { kind: FaultKind::Unavailable } => {
                Some("see whether the disk is full, read-only or failing".to_owned())
            }
            Self::Query { kind: FaultKind::Integrity, .. } => {
                Some("the file is damaged or no SQLite database; restore it from a backup".to_owned())
            }
            _ => None,
        }
    }
}

impl From<DbErr> for DatabaseError {
    fn from(source: DbErr) -> Self {
        let (kind, what) = classify(&source);
        Self::Query { what, kind, source: Box::new(source) }
    }
}

fn classify(error: &DbErr) -> (FaultKind, &'static str) {
    let inner = match error {
        DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e))
        | DbErr::Conn(RuntimeErr::SqlxError(e)) => e,
        DbErr::ConnectionAcquire(_) => return (FaultKind::Unavailable, "no connection in time"),
        _ => return (FaultKind::Internal, "a mistake in a statement"),
    };
    match &**inner {
        sqlx::Error::Database(e) => sqlite_kind(e.code().as_deref()),
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => (FaultKind::Unavailable, "the connection is gone"),
        _ => (FaultKind::Internal, "a mistake in a statement"),
    }
}

/// The result codes of SQLite (https://sqlite.org/rescode.html): the lowest byte of an extended code is the primary.
fn sqlite_kind(code: Option<&str>) -> (FaultKind, &'static str) {
    match code.and_then(|c| c.parse::<u32>().ok()).map(|c| c & 0xff) {
        Some(5 | 6) => (FaultKind::Locked, "another process writes"),
        Some(3 | 8) => (FaultKind::Unavailable, "it may not be written"),
        Some(10 | 14) => (FaultKind::Unavailable, "the file cannot be read or written"),
        Some(13) => (FaultKind::Unavailable, "it is full"),
        Some(11 | 26) => (FaultKind::Integrity, "the file is damaged or no database"),
        Some(19) => (FaultKind::Conflict, "a rule of the table forbids it"),
        _ => (FaultKind::Internal, "a mistake in a statement"),
    }
}
