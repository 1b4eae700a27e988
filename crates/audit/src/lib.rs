//! An append-only log of decisions whose every edit is found.
//!
//! Two logs of one kind: `decisions` (what was held and refused, and all that people, bots, keys and settings did)
//! and `verdicts` (what was passed on). Events become leaves, leaves are committed in batches whose hashes form a
//! chain, triggers refuse to change them, and [`AuditLog::verify`] recomputes everything from the leaves, compares the
//! state of other tables with what their last events fixed, and both logs with a pin kept outside the database.
//!
//! Agents and owners stand as aliases; `audit_subjects` alone knows both. This crate knows no content and no
//! quarantine; whoever owns rows that the log fixes hands them in as a [`StateSource`].
//!
//! Each log is a Merkle tree as well. [`AuditLog::checkpoint`] signs its size and root with a key that hangs on the
//! master key; [`AuditLog::prove`] and [`AuditLog::prove_extends`] prove to whoever has a checkpoint and no database
//! that an event is in the log, and that the log only grew. Formats are those of C2SP (tlog-checkpoint, tlog-tiles,
//! tlog-proof), so tools that others wrote check them.
//!
//! What it cannot do: whoever owns the database file *and* the pin's folder *and* the master key can write another
//! history. Those who keep a checkpoint elsewhere see that it is another.
//!
//! The crate has no features.

mod checkpoint;
mod error;
mod export;
mod integrate;
mod leaf;
mod log;
mod note;
mod pin;
mod plain;
mod proof;
mod prove;
mod query;
mod replay;
mod retire;
mod retired;
mod signed;
mod spool;
mod store;
mod subjects;
mod tile;
mod tree;
mod tree_error;
mod tree_rows;
mod verify;
mod verify_leaves;
mod verify_tree;
mod walk;

use clawexchange_database::{MigrationSet, step};

pub use checkpoint::Checkpoint;
pub use error::AuditError;
pub use export::{EXPORT_LINE_BYTES_MAX, ExportCheck, ExportedTo};
pub use leaf::Log;
pub use log::{AuditConfig, AuditLog};
pub use note::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, Note, NoteSignature, NoteSigner, NoteVerifier};
pub use proof::{PROOF_BYTES_MAX, TlogProof};
pub use prove::Extension;
pub use query::{Entry, LogHead, Query};
pub use retire::Leaving;
#[cfg(debug_assertions)]
#[doc(hidden)]
pub use retire::RETIRE_FAIL_POINTS;
pub use retired::Retired;
pub use signed::SignedCheckpoint;
pub use spool::{SpoolConfig, SpoolStatus, dead_letters, spool_status};
pub use tile::{Edge, TILE_WIDTH, Tile, TilePath};
pub use tree::{
    Frontier, ProofPlan, TREE_SIZE_MAX, empty_root, node_hash, root_of, verify_consistency, verify_inclusion,
};
pub use tree_error::TreeError;
pub use verify::{Discrepancy, Report, StateSource};
pub use walk::LeafAt;

/// The tables of the log.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "audit",
    table: "clawexchange_audit_migrations",
    steps: &[
        step!("audit_0001_log", "0001_audit", evidence: &["audit_logs", "audit_subjects"]),
        step!("audit_0002_tree", "0002_tree", evidence: &["audit_checkpoints"]),
    ],
};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
