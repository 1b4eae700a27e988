//! What can go wrong while another system's tables are taken over.

use clawexchange_audit::AuditError;
use clawexchange_database::DatabaseError;
use clawexchange_quarantine::QuarantineError;
use clawexchange_rate_limiter::LimitError;
use clawexchange_ssg_core::{Escaped, EventError, Fault, FaultKind, IdError};

use super::recognise::Stranger;
use super::relocate::ORIGINAL_SCHEMA;

/// Why the first system's tables were not taken over, or not all of them. None carries what is in their rows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// The database refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log refused.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The quarantine refused.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// The limits could not be read or set.
    #[error(transparent)]
    Limits(#[from] LimitError),
    /// An event could not be made.
    #[error("a row could not be put into words")]
    Event(#[from] EventError),
    /// A name of ours is no id.
    #[error("a name of this system is no id")]
    Id(#[from] IdError),
    /// There is nothing to take over.
    #[error("there are no tables of the first system here")]
    Nothing,
    /// The first system's tables are where ours would be.
    #[error("the database holds tables of the first system: {}", tables.join(", "))]
    NotAdopted {
        /// Which.
        tables: Vec<&'static str>,
    },
    /// Names of ours are taken by tables that are not the first system's.
    #[error("tables with names of this system are not the first system's: {}", told(strangers))]
    Strangers {
        /// Which.
        strangers: Vec<Stranger>,
    },
    /// Somebody else has things where the tables would move to.
    #[error("the schema {ORIGINAL_SCHEMA} has things in it already")]
    Place,
    /// A row that was taken over is not there any more.
    #[error("the row of {table} that was taken over last is gone: somebody changes the tables")]
    Changed {
        /// The table.
        table: &'static str,
    },
    /// Not all rows were taken over.
    #[error("{table} has {rows} rows, and {done} were taken over")]
    Count {
        /// The table.
        table: &'static str,
        /// How many rows it has.
        rows: u64,
        /// How many were taken over.
        done: u64,
    },
}

fn told(strangers: &[Stranger]) -> String {
    let each = strangers.iter().map(|s| Escaped(&format!("{} ({})", s.table, s.why)).to_string());
    each.collect::<Vec<_>>().join(", ")
}

impl Fault for AdoptError {
    fn code(&self) -> &'static str {
        match self {
            Self::Database(e) => e.code(),
            Self::Audit(e) => e.code(),
            Self::Quarantine(e) => e.code(),
            Self::Limits(e) => e.code(),
            Self::Event(e) => e.code(),
            Self::Id(_) => "migrations/name",
            Self::Nothing => "migrations/nothing-to-adopt",
            Self::NotAdopted { .. } => "migrations/not-adopted",
            Self::Strangers { .. } => "migrations/names-taken",
            Self::Place => "migrations/schema-taken",
            Self::Changed { .. } => "migrations/original-changed",
            Self::Count { .. } => "migrations/original-count",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Database(e) => e.kind(),
            Self::Audit(e) => e.kind(),
            Self::Quarantine(e) => e.kind(),
            Self::Limits(e) => e.kind(),
            Self::Event(_) | Self::Id(_) => FaultKind::Internal,
            Self::Nothing => FaultKind::NotFound,
            Self::NotAdopted { .. } | Self::Strangers { .. } | Self::Place => FaultKind::NotAllowed,
            Self::Changed { .. } | Self::Count { .. } => FaultKind::Integrity,
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Database(e) => e.is_transient(),
            Self::Audit(e) => e.is_transient(),
            Self::Quarantine(e) => e.is_transient(),
            Self::Limits(e) => e.is_transient(),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Database(e) => return e.hint(),
            Self::Audit(e) => return e.hint(),
            Self::Quarantine(e) => return e.hint(),
            Self::Limits(e) => return e.hint(),
            Self::NotAdopted { .. } => {
                "adopt them first: `claw migrate adopt --dry-run` says what it does, `claw migrate adopt` does it"
            }
            Self::Nothing => "`claw migrate status` says how far the schema is",
            Self::Strangers { .. } => "use a database or a schema of its own, or rename the tables",
            Self::Place => "find out what is in it, and move that elsewhere; nothing is overwritten",
            Self::Changed { .. } | Self::Count { .. } => {
                "stop whatever still writes to the tables, and see the server's log for who changed them"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
