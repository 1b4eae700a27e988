//! Changes of a schema as plain text.

use crate::dialect::Dialect;

/// One change of the schema. Once released its text never changes, which a checksum sees to.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "each crate writes its steps as constants")]
pub struct Step {
    /// `<crate>_<number>_<what>`, unlike that of any other step.
    pub name: &'static str,
    /// For SQLite.
    pub sqlite: Script,
    /// For PostgreSQL.
    pub postgres: Script,
    /// What the step leaves in PostgreSQL's catalog, as [`shape`](crate::shape) writes it and a test holds it to.
    pub shape: &'static str,
    /// PostgreSQL: the step is one statement that no transaction may hold, such as `CREATE INDEX CONCURRENTLY`. It can
    /// be cut short half-way, so it must be one that may be run again.
    pub is_alone: bool,
    /// Tables of evidence that undoing the step would destroy: while they have rows, it is refused unless told so by
    /// name.
    pub evidence: &'static [&'static str],
}

impl Step {
    /// The text for one of the two.
    pub const fn script(&self, dialect: Dialect) -> &Script {
        match dialect {
            Dialect::Sqlite => &self.sqlite,
            Dialect::Postgres => &self.postgres,
        }
    }
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

/// A step whose text stands in `migrations/<file>.{up,down}.{sqlite,pg}.sql` and `migrations/<file>.pg.shape` of the
/// crate that says so.
#[macro_export]
macro_rules! step {
    ($name:literal, $file:literal, evidence: $evidence:expr) => {
        $crate::Step {
            name: $name,
            sqlite: $crate::Script {
                up: include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/migrations/",
                    $file,
                    ".up.sqlite.sql"
                )),
                down: include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/migrations/",
                    $file,
                    ".down.sqlite.sql"
                )),
            },
            postgres: $crate::Script {
                up: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $file, ".up.pg.sql")),
                down: include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/migrations/",
                    $file,
                    ".down.pg.sql"
                )),
            },
            shape: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $file, ".pg.shape")),
            is_alone: false,
            evidence: $evidence,
        }
    };
}

/// What this crate itself keeps: deployment, outbox, leases, idempotency keys, names of
/// keys, rule packs. Every plan begins with it.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "database",
    table: "clawexchange_database_migrations",
    steps: &[
        crate::step!("database_0001_base", "0001_database", evidence: &["database_outbox"]),
        crate::step!("database_0002_idempotency", "0002_idempotency", evidence: &[]),
        crate::step!("database_0003_keys", "0003_keys", evidence: &["database_root_keys"]),
        crate::step!("database_0004_adoptions", "0004_adoptions", evidence: &["database_adoptions"]),
        crate::step!("database_0005_rules", "0005_rules", evidence: &["database_rule_activations"]),
    ],
};
