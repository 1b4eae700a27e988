//! What can go wrong with the log.

use clawexchange_database::DatabaseError;
use clawexchange_ssg_core::{EventError, Fault, FaultKind, PortError};

use crate::leaf::Log;
use crate::tree_error::TreeError;

/// Why the log did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The database refused.
    #[error("the log could not be read or written")]
    Database(#[from] DatabaseError),
    /// The schema was never made.
    #[error("the database has no log yet")]
    NoSchema,
    /// The end of a log does not fit its batches.
    #[error("the end of log {log} is missing or does not belong to it")]
    Head {
        /// The log.
        log: &'static str,
    },
    /// Rows of the log, of its tree or of what was signed do not fit each other.
    #[error("log {log} is not as it was written, at index {index}: {what}")]
    Altered {
        /// The log.
        log: &'static str,
        /// Where in the log.
        index: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// The log is not as long as that.
    #[error("log {log} has {size} events and does not reach {asked}")]
    NotReached {
        /// The log.
        log: &'static str,
        /// How many events it has.
        size: u64,
        /// What was asked for: an index, or a size.
        asked: u64,
    },
    /// The event has left the database.
    #[error("event {asked} of log {log} is retired: those before {until} are")]
    Retired {
        /// The log.
        log: &'static str,
        /// Which was asked for.
        asked: u64,
        /// From which on they are there.
        until: u64,
    },
    /// Only the owner of the tables takes rows out of the log.
    #[error("this role does not own the log, and nobody else takes events out of it")]
    NotOwner,
    /// A file is no export of the log, or was altered.
    #[error("the export is not what the log hashed, at line {line}: {what}")]
    Export {
        /// Which line, from 1.
        line: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// An event of the log itself cannot be made.
    #[error("could not put into words what happened to the log")]
    Event(#[from] EventError),
    /// Something about the tree, a note or a proof.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A leaf would be larger than 60,000 bytes.
    #[error("an event is larger than a leaf may be")]
    TooLarge,
    /// A leaf is no JSON of ours.
    #[error("a leaf of the log does not parse")]
    Leaf,
    /// A key could not be used.
    #[error("could not use a key for the log")]
    Key(#[source] PortError),
    /// A text could not be sealed.
    #[error("could not seal a personal text")]
    Seal,
    /// A row that the log should fix could not be read.
    #[error("could not read the rows that the log fixes")]
    State(#[source] PortError),
    /// The cursor is not one of ours.
    #[error("the cursor is not one that this list gave")]
    Cursor,
    /// The pin could not be read or written.
    #[error("could not read or write the pin {}", path.display())]
    Pin {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The pin was altered, or belongs to another log.
    #[error("the pin {} is not what was written there", path.display())]
    PinAltered {
        /// The file.
        path: std::path::PathBuf,
    },
    /// The log is not the one that was pinned.
    #[error("log {log} does not extend what was pinned: {pinned} events then")]
    NotExtended {
        /// The log.
        log: &'static str,
        /// How many events it had.
        pinned: u64,
    },
    /// The spool could not be read or written.
    #[error("could not read or write the spool {}", path.display())]
    Spool {
        /// Its folder.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A write to the spool failed, and what the disk has is not known.
    #[error("the spool {} failed once and keeps nothing any more", path.display())]
    SpoolBroken {
        /// Its folder.
        path: std::path::PathBuf,
    },
    /// The spool has as much as it may have.
    #[error("the spool is full: {bytes} of {bytes_max} bytes")]
    SpoolFull {
        /// How much it has.
        bytes: u64,
        /// How much it may have.
        bytes_max: u64,
    },
    /// Another process uses the spool.
    #[error("another process uses the spool {}", path.display())]
    SpoolTaken {
        /// Its folder.
        path: std::path::PathBuf,
    },
    /// The batch of this event was not committed.
    #[error("the batch of the event was not committed")]
    Batch(#[source] std::sync::Arc<Self>),
    /// The task that commits was stopped.
    #[error("the log is shutting down")]
    Stopped,
}

impl AuditError {
    pub(crate) const fn altered(log: Log, index: u64, what: &'static str) -> Self {
        Self::Altered { log: log.as_str(), index, what }
    }
}

impl Fault for AuditError {
    fn code(&self) -> &'static str {
        match self {
            Self::Database(e) => e.code(),
            Self::NoSchema => "audit/no-schema",
            Self::Head { .. } => "audit/head",
            Self::Altered { .. } => "audit/altered",
            Self::NotReached { .. } => "audit/not-reached",
            Self::Retired { .. } => "audit/retired",
            Self::NotOwner => "audit/not-owner",
            Self::Export { .. } => "audit/export",
            Self::Event(e) => e.code(),
            Self::Tree(e) => e.code(),
            Self::TooLarge => "audit/too-large",
            Self::Leaf => "audit/leaf",
            Self::Key(e) => e.code(),
            Self::Seal => "audit/seal",
            Self::State(_) => "audit/state",
            Self::Cursor => "audit/cursor",
            Self::Pin { .. } => "audit/pin",
            Self::PinAltered { .. } => "audit/pin-altered",
            Self::NotExtended { .. } => "audit/not-extended",
            Self::Spool { .. } => "audit/spool",
            Self::SpoolBroken { .. } => "audit/spool-broken",
            Self::SpoolFull { .. } => "audit/spool-full",
            Self::SpoolTaken { .. } => "audit/spool-taken",
            Self::Batch(e) => e.code(),
            Self::Stopped => "audit/stopped",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Database(e) => e.kind(),
            Self::NoSchema => FaultKind::Pending,
            Self::Head { .. }
            | Self::Altered { .. }
            | Self::Leaf
            | Self::Export { .. }
            | Self::PinAltered { .. }
            | Self::NotExtended { .. } => FaultKind::Integrity,
            Self::NotReached { .. } | Self::Retired { .. } => FaultKind::NotFound,
            Self::NotOwner => FaultKind::NotAllowed,
            Self::Event(e) => e.kind(),
            Self::Tree(e) => e.kind(),
            Self::TooLarge | Self::Seal => FaultKind::Internal,
            Self::Key(e) | Self::State(e) => e.kind(),
            Self::Cursor => FaultKind::Invalid,
            Self::Pin { .. }
            | Self::Stopped
            | Self::Spool { .. }
            | Self::SpoolBroken { .. }
            | Self::SpoolFull { .. } => FaultKind::Unavailable,
            Self::SpoolTaken { .. } => FaultKind::Locked,
            Self::Batch(e) => e.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Database(e) => e.hint(),
            Self::NoSchema => Some("run `claw migrate up`".to_owned()),
            Self::Head { .. } | Self::Altered { .. } | Self::Leaf | Self::NotExtended { .. } => Some(
                "`claw audit verify` says what was altered; restore the database from a backup".to_owned(),
            ),
            Self::Retired { .. } => Some(
                "it is in the export that the LOG_RETIRED event names: `claw audit query --event-type LOG_RETIRED`"
                    .to_owned(),
            ),
            Self::NotOwner => Some("give the owner's connection in CLAW_MIGRATE_DATABASE_URL".to_owned()),
            Self::Export { .. } => Some("export again, or take the copy that was kept elsewhere".to_owned()),
            Self::PinAltered { .. } => {
                Some("`claw audit verify` compares; keep the file for whoever investigates".to_owned())
            }
            Self::Spool { .. } => Some("see whether the disk is full, read-only or failing".to_owned()),
            Self::SpoolBroken { .. } => Some("see the disk, then restart the process".to_owned()),
            Self::SpoolFull { .. } => {
                Some("bring the database back, or raise CLAW_SPOOL_MAX_BYTES".to_owned())
            }
            Self::SpoolTaken { .. } => Some(
                "a serving process replays its spool by itself; each needs a folder of its own".to_owned(),
            ),
            Self::Key(e) => e.hint(),
            Self::Tree(e) => e.hint(),
            Self::Batch(e) => e.hint(),
            _ => None,
        }
    }
}
