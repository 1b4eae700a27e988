//! The table of this crate, as text.

use clawexchange_database::{MigrationSet, Script, Step};

/// The ordered changes that make the table of this crate: tokens.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "moderation",
    table: "clawexchange_moderation_migrations",
    steps: &[Step {
        name: "moderation_0001_tokens",
        sqlite: Script {
            up: include_str!("../migrations/0001_tokens.up.sqlite.sql"),
            down: include_str!("../migrations/0001_tokens.down.sqlite.sql"),
        },
        evidence: &["moderation_tokens"],
    }],
};
