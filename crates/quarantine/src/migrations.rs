//! The tables of this crate, as text.

use clawexchange_database::{MigrationSet, step};

/// The ordered changes that make the tables of this crate: held content, its keys, and what was decided.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "quarantine",
    table: "clawexchange_quarantine_migrations",
    steps: &[
        step!("quarantine_0001_records", "0001_quarantine", evidence: &["quarantine_records"]),
        step!("quarantine_0002_review", "0002_review", evidence: &["quarantine_publications"]),
        step!("quarantine_0003_week_keys", "0003_week_keys", evidence: &["quarantine_week_keys"]),
        step!("quarantine_0004_adopted", "0004_adopted", evidence: &[]),
    ],
};
