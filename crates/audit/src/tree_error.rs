//! What can go wrong with the tree, its notes and its proofs.
//!
//! Apart from [`AuditError`](crate::AuditError): whoever checks a proof has no log, no database and no key of ours.

use clawexchange_ssg_core::{Fault, FaultKind};

use crate::tile::Tile;

/// Why something about the tree was not made, not read or not believed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// There is no such entry, or no such tree before the other one.
    #[error("a tree of {size} entries has no place for {asked}")]
    OutOfRange {
        /// What was asked for: an index, or an earlier size.
        asked: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A frontier or a tile has not as many hashes as it must have.
    #[error("{what} has not as many hashes as it must have")]
    HashCount {
        /// What it is.
        what: &'static str,
    },
    /// A tile that is needed is not there, or shorter than it must be.
    #[error("{tile} is missing or too short")]
    TileMissing {
        /// The tile.
        tile: Tile,
    },
    /// A text is not what it must be.
    #[error("{what} does not parse: {why}")]
    Malformed {
        /// What it should have been.
        what: &'static str,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A text is larger than its bound.
    #[error("{what} is larger than it may be")]
    TooLarge {
        /// What it is.
        what: &'static str,
    },
    /// A signature by a known key is not one.
    #[error("the signature of {name} does not verify")]
    Signature {
        /// The name of the key.
        name: String,
    },
    /// No known key signed the note.
    #[error("no known key signed the note")]
    Unsigned,
    /// The checkpoint is that of another log.
    #[error("the checkpoint is not one of log {origin}")]
    Origin {
        /// The log that was asked about.
        origin: String,
    },
    /// The proof does not lead from what it is about to the root.
    #[error("the proof does not lead to the root")]
    Unproven,
}

impl Fault for TreeError {
    fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "audit/out-of-range",
            Self::HashCount { .. } => "audit/hash-count",
            Self::TileMissing { .. } => "audit/tile-missing",
            Self::Malformed { .. } => "audit/malformed",
            Self::TooLarge { .. } => "audit/text-too-large",
            Self::Signature { .. } => "audit/signature",
            Self::Unsigned => "audit/unsigned",
            Self::Origin { .. } => "audit/origin",
            Self::Unproven => "audit/unproven",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::OutOfRange { .. } | Self::Malformed { .. } => FaultKind::Invalid,
            Self::TooLarge { .. } => FaultKind::TooLarge,
            Self::HashCount { .. }
            | Self::TileMissing { .. }
            | Self::Signature { .. }
            | Self::Unsigned
            | Self::Origin { .. }
            | Self::Unproven => FaultKind::Integrity,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unsigned => Some("give the verifier key of the log that made it".to_owned()),
            _ => None,
        }
    }
}
