//! What can go wrong with rows, classified once.

use std::fmt;
use std::path::PathBuf;

use clawexchange_ssg_core::{Fault, FaultKind};
use sea_orm::sqlx::postgres::PgDatabaseError;
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
        /// What can be done about it; empty if that is not known.
        hint: &'static str,
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
    /// The server did not answer at all.
    #[error("the database server did not answer within {seconds} s")]
    Silent {
        /// How long it was waited for.
        seconds: u64,
    },
    /// An answer belongs to another question: what was asked may have been done or not.
    #[error("the database answered another question")]
    Misplaced,
    /// Somebody waited for the server in vain a moment ago, and it has not answered since.
    #[error("the database server is away")]
    Away,
    /// The copy that lists and searches go to does not answer; the database itself may well.
    #[error("the copy of the database for lists and searches does not answer")]
    CopyAway {
        /// What came of asking it.
        source: Box<Self>,
    },
    /// What should say where the database is does not. The message never repeats it: it has a password in it.
    #[error("the address of the database cannot be used: {what}")]
    Url {
        /// What is wrong with it.
        what: &'static str,
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

impl DatabaseError {
    /// Whether two transactions were in each other's way, so that this one was undone and may be tried again at once.
    pub fn is_collision(&self) -> bool {
        matches!(self, Self::Query { what, .. } if *what == COLLISION)
    }

    /// Whether it says that the server is not there at all, and not that it refused.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Misplaced | Self::Away)
            || matches!(self, Self::Query { what, .. } if *what == NO_CONNECTION)
    }
}

const NO_CONNECTION: &str = "no connection in time";
const COLLISION: &str = "it collided with another transaction";

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
            Self::Silent { .. } => "database/silent",
            Self::Away => "database/away",
            Self::Misplaced => "database/misplaced",
            Self::CopyAway { .. } => "database/copy-away",
            Self::Url { .. } => "database/url",
            Self::Closed => "database/closed",
            Self::Group { .. } => "database/commit",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Missing { .. } => FaultKind::NotFound,
            Self::Open { .. }
            | Self::Closed
            | Self::Silent { .. }
            | Self::Away
            | Self::Misplaced
            | Self::CopyAway { .. } => FaultKind::Unavailable,
            Self::Url { .. } => FaultKind::Configuration,
            Self::Query { kind, .. } | Self::Group { kind } => *kind,
            Self::Row { .. } => FaultKind::Integrity,
            Self::Busy { .. } => FaultKind::Locked,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Busy { .. } => "another process is writing for long; see which one holds the file",
            Self::Silent { .. } | Self::Away => REACH,
            Self::CopyAway { .. } => COPY,
            Self::Url { .. } => "it looks like postgres://user:password@host:5432/database",
            Self::Query { hint, .. } => hint,
            Self::Group { kind: FaultKind::Unavailable } => DISK,
            _ => "",
        };
        (!hint.is_empty()).then(|| hint.to_owned())
    }
}

impl From<DbErr> for DatabaseError {
    fn from(source: DbErr) -> Self {
        let Sort(kind, what, hint) = classify(&source);
        Self::Query { what, kind, hint, source: Box::new(source) }
    }
}

const DISK: &str = "see whether the disk is full, read-only or failing";
const COPY: &str =
    "see whether the standby runs; where none is named, lists and searches go to the database itself";
const REACH: &str = "see whether the server runs, is reachable and not overloaded";

/// What sort of fault it is, what happened, and what can be done about it.
struct Sort(FaultKind, &'static str, &'static str);

const NO_TLS: Sort = Sort(
    FaultKind::Configuration,
    "no encrypted connection came about",
    "the server must speak TLS with a certificate for this host; sslrootcert= names its authority",
);

const MISTAKE: Sort = Sort(FaultKind::Internal, "a mistake in a statement", "");

fn classify(error: &DbErr) -> Sort {
    let inner = match error {
        DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e))
        | DbErr::Conn(RuntimeErr::SqlxError(e)) => e,
        DbErr::ConnectionAcquire(_) => return Sort(FaultKind::Unavailable, NO_CONNECTION, REACH),
        _ => return MISTAKE,
    };
    match &**inner {
        sqlx::Error::Database(e) => match e.try_downcast_ref::<PgDatabaseError>() {
            Some(e) => postgres_sort(e.code()),
            None => sqlite_sort(e.code().as_deref()),
        },
        sqlx::Error::Tls(_) => NO_TLS,
        // A certificate that does not do comes as data that does not.
        sqlx::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => NO_TLS,
        sqlx::Error::Configuration(_) => Sort(
            FaultKind::Configuration,
            "its address cannot be used",
            "see sslrootcert, sslcert and sslkey",
        ),
        sqlx::Error::PoolTimedOut => Sort(FaultKind::Unavailable, NO_CONNECTION, REACH),
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Sort(FaultKind::Unavailable, "the connection is gone", REACH),
        _ => MISTAKE,
    }
}

/// The result codes of SQLite (https://sqlite.org/rescode.html): the lowest byte of an extended code is the primary.
fn sqlite_sort(code: Option<&str>) -> Sort {
    match code.and_then(|c| c.parse::<u32>().ok()).map(|c| c & 0xff) {
        Some(5 | 6) => Sort(FaultKind::Locked, "another process writes", ""),
        Some(3 | 8) => Sort(FaultKind::Unavailable, "it may not be written", DISK),
        Some(10 | 14) => Sort(FaultKind::Unavailable, "the file cannot be read or written", DISK),
        Some(13) => Sort(FaultKind::Unavailable, "it is full", DISK),
        Some(11 | 26) => Sort(
            FaultKind::Integrity,
            "the file is damaged or no database",
            "the file is damaged or no SQLite database; restore it from a backup",
        ),
        Some(19) => Sort(FaultKind::Conflict, "a rule of the table forbids it", ""),
        _ => MISTAKE,
    }
}

/// What a server of PostgreSQL says (its manual, appendix A): the code or its class, and what it comes to. The
/// first that fits.
const SQLSTATES: &[(&str, Sort)] = &[
    (
        "08P01",
        Sort(
            FaultKind::Configuration,
            "it does not take what the connection asks for at its start",
            "a pooler does not know a parameter: take `options` out of the URL, or name it in PgBouncer's \
             ignore_startup_parameters",
        ),
    ),
    (
        "08",
        Sort(
            FaultKind::Unavailable,
            "the connection is gone",
            "see whether the server runs and is reachable",
        ),
    ),
    ("23", Sort(FaultKind::Conflict, "a rule of the table forbids it", "")),
    (
        "25006",
        Sort(
            FaultKind::Unavailable,
            "the server only reads",
            "it is a standby; point DATABASE_URL at the primary",
        ),
    ),
    (
        "26000",
        Sort(
            FaultKind::Configuration,
            "a pooler handed a statement to another connection",
            "PgBouncer in transaction mode needs version 1.21 or newer and max_prepared_statements above 0",
        ),
    ),
    (
        "42P05",
        Sort(
            FaultKind::Configuration,
            "a pooler handed a statement to another connection",
            "PgBouncer in transaction mode needs version 1.21 or newer and max_prepared_statements above 0",
        ),
    ),
    (
        "28",
        Sort(
            FaultKind::Configuration,
            "it does not let this user in",
            "see user and password in DATABASE_URL, and pg_hba.conf",
        ),
    ),
    (
        "3D000",
        Sort(
            FaultKind::Configuration,
            "there is no such database",
            "make it, or mend the name in DATABASE_URL",
        ),
    ),
    ("40", Sort(FaultKind::Unavailable, COLLISION, "try again")),
    (
        "42501",
        Sort(
            FaultKind::NotAllowed,
            "this role may not do that",
            "`claw migrate roles` prints what each role needs",
        ),
    ),
    ("42P01", Sort(FaultKind::Pending, "a table is missing", "run `claw migrate up`")),
    ("42883", Sort(FaultKind::Pending, "a function is missing", "run `claw migrate up`")),
    ("42703", Sort(FaultKind::Pending, "a column is missing", "run `claw migrate up`")),
    ("53100", Sort(FaultKind::Unavailable, "its disk is full", "make room on the server")),
    (
        "53300",
        Sort(
            FaultKind::Unavailable,
            "it takes no more connections",
            "raise max_connections, or lower CLAW_DB_POOL_MAX",
        ),
    ),
    ("53", Sort(FaultKind::Unavailable, "it has run out of something", "see the server's log")),
    (
        "55P03",
        Sort(
            FaultKind::Unavailable,
            "another transaction holds it for long",
            "see pg_stat_activity for what runs long",
        ),
    ),
    ("57014", Sort(FaultKind::Unavailable, "it took too long", "see pg_stat_activity for what runs long")),
    (
        "57",
        Sort(FaultKind::Unavailable, "the server is stopping or starting", "wait, or see the server's log"),
    ),
    ("58", Sort(FaultKind::Unavailable, "the server cannot read or write its files", "see the server's log")),
    ("P0001", Sort(FaultKind::Conflict, "a rule of the table forbids it", "")),
    ("XX001", Sort(FaultKind::Integrity, "its files are damaged", "restore it from a backup")),
    ("XX002", Sort(FaultKind::Integrity, "an index is damaged", "REINDEX it, and see the server's log")),
];

fn postgres_sort(code: &str) -> Sort {
    let known = SQLSTATES.iter().find(|(state, _)| code.starts_with(state));
    known.map_or(MISTAKE, |(_, Sort(kind, what, hint))| Sort(*kind, what, hint))
}
