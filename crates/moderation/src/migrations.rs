//! The table of this crate, as text.

use clawexchange_database::{MigrationSet, step};

/// The ordered changes that make the table of this crate: tokens.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "moderation",
    table: "clawexchange_moderation_migrations",
    steps: &[step!("moderation_0001_tokens", "0001_tokens", evidence: &["moderation_tokens"])],
};
