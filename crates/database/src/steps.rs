//! Changes of a schema as plain text.

/// One change of the schema. Once released its text never changes, which a checksum sees to.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "each crate writes its steps as constants")]
pub struct Step {
    /// `<crate>_<number>_<what>`, unlike that of any other step.
    pub name: &'static str,
    /// For SQLite.
    pub sqlite: Script,
    /// Tables of evidence that undoing the step would destroy: while they have rows, it is refused unless told so by
    /// name.
    pub evidence: &'static [&'static str],
}

/// There and back.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "each crate writes its steps as constants")]
pub struct Script {
    /// Makes the change.
    pub up: &'static str,
    /// Undoes it.
    pub down: &'static str,
}

/// The ordered changes of one crate, and the table that remembers them.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "each crate writes its set as a constant")]
pub struct MigrationSet {
    /// The crate, without the prefix of its name.
    pub owner: &'static str,
    /// `clawexchange_<crate>_migrations`.
    pub table: &'static str,
    /// The changes, which only ever grow at the end.
    pub steps: &'static [Step],
}

/// What this crate itself keeps: deployment, outbox, leases, idempotency keys. Every plan begins with it.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "database",
    table: "clawexchange_database_migrations",
    steps: &[
        Step {
            name: "database_0001_base",
            sqlite: Script {
                up: include_str!("../migrations/0001_database.up.sqlite.sql"),
                down: include_str!("../migrations/0001_database.down.sqlite.sql"),
            },
            evidence: &["database_outbox"],
        },
        Step {
            name: "database_0002_idempotency",
            sqlite: Script {
                up: include_str!("../migrations/0002_idempotency.up.sqlite.sql"),
                down: include_str!("../migrations/0002_idempotency.down.sqlite.sql"),
            },
            evidence: &[],
        },
    ],
};
