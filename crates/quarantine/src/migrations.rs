//! The tables of this crate, as text.

use clawexchange_database::{MigrationSet, Script, Step};

/// The ordered changes that make the tables of this crate: held content, its keys, and what was decided.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "quarantine",
    table: "clawexchange_quarantine_migrations",
    steps: &[
        Step {
            name: "quarantine_0001_records",
            sqlite: Script {
                up: include_str!("../migrations/0001_quarantine.up.sqlite.sql"),
                down: include_str!("../migrations/0001_quarantine.down.sqlite.sql"),
            },
            evidence: &["quarantine_records"],
        },
        Step {
            name: "quarantine_0002_review",
            sqlite: Script {
                up: include_str!("../migrations/0002_review.up.sqlite.sql"),
                down: include_str!("../migrations/0002_review.down.sqlite.sql"),
            },
            evidence: &["quarantine_publications"],
        },
    ],
};
