//! Ordered sets of steps as one plan: one lock, one transaction, checksums, drift.

use std::collections::{BTreeMap, BTreeSet};

use clawexchange_ssg_core::{EventId, Fault, FaultKind, Timestamp};
use ring::digest;
use sea_orm::sea_query::{Alias, IntoIden};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, DynIden};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTraitSelf, SchemaManager};

use crate::dialect::Dialect;
use crate::error::DatabaseError;
use crate::handle::{Database, Tx};
use crate::rows::Statements;
use crate::schema::{SchemaObject, expected_schema, schema};
use crate::steps::{MIGRATIONS, MigrationSet, Step};

const fn ledger_table(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "CREATE TABLE IF NOT EXISTS clawexchange_migrations (\
             name TEXT NOT NULL PRIMARY KEY, sha256 TEXT NOT NULL, applied_us INTEGER NOT NULL) STRICT"
        }
        Dialect::Postgres => {
            "CREATE TABLE IF NOT EXISTS clawexchange_migrations (\
             name TEXT NOT NULL PRIMARY KEY, sha256 TEXT NOT NULL, applied_us BIGINT NOT NULL)"
        }
    }
}

/// The name under which one process at a time changes the schema.
const LOCK: &str = "database/migrations";

/// The changes of some crates, in order. The order is for repeatability; no table refers to another crate's.
#[derive(Clone, Debug)]
pub struct Plan {
    sets: Vec<MigrationSet>,
}

/// A step and whether it has run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepState {
    /// The crate that it belongs to.
    pub owner: &'static str,
    /// Its name.
    pub name: &'static str,
    /// SHA-256 of its text there and back, in hexadecimal.
    pub checksum: String,
    /// When it ran; `None` if it has not.
    pub applied: Option<Timestamp>,
    /// The text that it runs.
    pub sql: &'static str,
}

/// How far a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaState {
    /// It has no tables.
    Empty,
    /// Every step has run, and none besides.
    Current,
    /// These steps have not run.
    Behind(Vec<&'static str>),
    /// These steps have run and are not known: a newer version was here.
    Ahead(Vec<String>),
    /// It has tables and they are not ours.
    Foreign,
}

/// How far to go back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownTo {
    /// The last so many steps.
    Steps(u32),
    /// Every step after the one of this name.
    Step(String),
}

/// Leave to destroy rows that are evidence. Only who says the phrase gets it.
#[derive(Debug)]
pub struct Destroy(());

impl Destroy {
    /// The phrase.
    pub const PHRASE: &'static str = "destroy-evidence";

    /// `None` for any other phrase.
    pub fn named(phrase: &str) -> Option<Self> {
        (phrase == Self::PHRASE).then_some(Self(()))
    }
}

impl Plan {
    /// The steps of this crate, then those of `sets`.
    pub fn of(sets: impl IntoIterator<Item = MigrationSet>) -> Self {
        Self { sets: std::iter::once(MIGRATIONS).chain(sets).collect() }
    }

    /// The plan for one crate and nothing else; `None` if it has none of that name.
    #[must_use]
    pub fn only(&self, owner: &str) -> Option<Self> {
        let set = self.sets.iter().find(|set| set.owner == owner)?;
        Some(Self { sets: vec![*set] })
    }

    /// Every step in order.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = (&MigrationSet, &'static Step)> {
        self.sets.iter().flat_map(|set| set.steps.iter().map(move |step| (set, step)))
    }

    /// Every step in order, and whether it has run. Needs no right to make tables.
    pub async fn status(&self, db: &Database) -> Result<Vec<StepState>, MigrateError> {
        let (ledger, dialect) = (ledger(&db.read()).await?, db.dialect());
        Ok(self
            .steps()
            .map(|(set, step)| StepState {
                owner: set.owner,
                name: step.name,
                checksum: checksum(step, dialect),
                applied: ledger.get(step.name).map(|(_, at)| *at),
                sql: step.script(dialect).up,
            })
            .collect())
    }

    /// How far the database is.
    ///
    /// # Errors
    ///
    /// If a step has another text than when it ran.
    pub async fn state(&self, db: &Database) -> Result<SchemaState, MigrateError> {
        let ledger = ledger(&db.read()).await?;
        if ledger.is_empty() {
            return Ok(if self.is_taken(db).await? { SchemaState::Foreign } else { SchemaState::Empty });
        }
        self.unchanged(&ledger, db.dialect())?;
        let unknown: Vec<String> =
            ledger.keys().filter(|name| !self.steps().any(|(_, step)| step.name == *name)).cloned().collect();
        if !unknown.is_empty() {
            return Ok(SchemaState::Ahead(unknown));
        }
        let pending: Vec<_> =
            self.steps().map(|(_, step)| step.name).filter(|name| !ledger.contains_key(*name)).collect();
        Ok(if pending.is_empty() { SchemaState::Current } else { SchemaState::Behind(pending) })
    }

    /// Runs what has not run, up to `to` if given: all of it or nothing, by one process at a time. Gives the names
    /// of what ran. On PostgreSQL a step that no transaction may hold ([`Step::is_alone`]) parts those before it from
    /// those behind it, and all or nothing holds for each part.
    pub async fn up(
        &self,
        db: &Database,
        to: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<&'static str>, MigrateError> {
        if let Some(name) = to {
            self.known(name)?;
        }
        if self.state(db).await? == SchemaState::Foreign {
            return Err(MigrateError::Foreign);
        }
        let guard = db.begin().await?.patiently().await?;
        guard.lock(LOCK).await?;
        let dialect = guard.dialect();
        let ledger = ledger(&guard).await?;
        self.unchanged(&ledger, dialect)?;
        self.no_newer(&ledger)?;
        let wanted = self.steps().filter(|(_, step)| !self.is_after(step.name, to));
        let pending: Vec<_> = wanted.filter(|(_, step)| !ledger.contains_key(step.name)).collect();
        let names = pending.iter().map(|(_, step)| step.name).collect();
        if dialect == Dialect::Sqlite || !pending.iter().any(|(_, step)| step.is_alone) {
            run(&guard, &pending, now).await?;
            guard.commit().await?;
            return Ok(names);
        }
        // Whoever holds the lock waits in one transaction while the steps run in others: all up to one that no
        // transaction may hold, then that one, and so on. What was done before a failure stays.
        let parts: Vec<_> = pending.chunk_by(|(_, one), (_, next)| !one.is_alone && !next.is_alone).collect();
        for part in parts {
            match part {
                [(set, step)] if step.is_alone => {
                    set.up(db.read().inner(), Some(1)).await.map_err(|source| failed(Some(step), source))?;
                    let tx = db.begin().await?;
                    note(&tx, step, now).await?;
                    tx.commit().await?;
                }
                _ => {
                    let tx = db.begin().await?.patiently().await?;
                    run(&tx, part, now).await?;
                    tx.commit().await?;
                }
            }
        }
        Ok(names)
    }

    /// Undoes steps, last first through the whole plan. Gives the names of what was undone.
    ///
    /// # Errors
    ///
    /// Refuses while a table of evidence that would go has rows, unless `destroy` is given.
    pub async fn down(
        &self,
        db: &Database,
        to: &DownTo,
        destroy: Option<Destroy>,
    ) -> Result<Vec<&'static str>, MigrateError> {
        let tx = db.begin().await?.patiently().await?;
        tx.lock(LOCK).await?;
        let ledger = ledger(&tx).await?;
        self.unchanged(&ledger, tx.dialect())?;
        self.no_newer(&ledger)?;
        let applied = self.steps().rev().filter(|(_, step)| ledger.contains_key(step.name));
        let undo: Vec<_> = match to {
            DownTo::Steps(n) => applied.take(usize::try_from(*n).unwrap_or(usize::MAX)).collect(),
            DownTo::Step(name) => {
                self.known(name)?;
                applied.take_while(|(_, step)| step.name != name).collect()
            }
        };
        for (set, step) in &undo {
            if destroy.is_none() {
                for table in step.evidence {
                    refuse_if_rows(&tx, step.name, table).await?;
                }
            }
            set.down(tx.inner(), Some(1)).await.map_err(|source| failed(Some(step), source))?;
            tx.execute("DELETE FROM clawexchange_migrations WHERE name = $1", [step.name.into()]).await?;
        }
        tx.commit().await?;
        Ok(undo.into_iter().map(|(_, step)| step.name).collect())
    }

    /// Waits until nobody else changes the schema, and keeps others from it while `tx` is open.
    pub async fn hold(tx: &Tx) -> Result<(), DatabaseError> {
        tx.lock(LOCK).await
    }

    /// Compares the schema with what the steps that have run would make. Gives what is missing and what is too much.
    pub async fn drift(&self, db: &Database) -> Result<Drift, MigrateError> {
        let ledger = ledger(&db.read()).await?;
        self.unchanged(&ledger, db.dialect())?;
        let applied = self.steps().map(|(_, step)| step).filter(|step| ledger.contains_key(step.name));
        let wanted = expected_schema(db.dialect(), applied).await?;
        let found = schema(db).await?;
        let unexpected = found.difference(&wanted).filter(|o| concerns(db.dialect(), &wanted, o));
        Ok(Drift {
            missing: wanted.difference(&found).cloned().collect(),
            unexpected: unexpected.cloned().collect(),
        })
    }

    /// Whether somebody else's tables are where ours would be: any at all in a SQLite file, which is ours alone; in
    /// PostgreSQL those that have our names.
    async fn is_taken(&self, db: &Database) -> Result<bool, MigrateError> {
        let found = schema(db).await?;
        if db.dialect() == Dialect::Sqlite {
            return Ok(!found.is_empty());
        }
        let ours = expected_schema(db.dialect(), self.steps().map(|(_, step)| step)).await?;
        let is_table = |o: &&SchemaObject| o.kind == "table";
        Ok(found.iter().filter(is_table).any(|f| ours.iter().filter(is_table).any(|o| o.name == f.name)))
    }

    fn known(&self, name: &str) -> Result<(), MigrateError> {
        if self.steps().any(|(_, step)| step.name == name) {
            Ok(())
        } else {
            Err(MigrateError::Unknown { name: name.chars().take(64).collect() })
        }
    }

    fn is_after(&self, name: &str, to: Option<&str>) -> bool {
        let at = |wanted: &str| self.steps().position(|(_, step)| step.name == wanted);
        to.is_some_and(|to| at(name) > at(to))
    }

    fn unchanged(&self, ledger: &Ledger, dialect: Dialect) -> Result<(), MigrateError> {
        for (_, step) in self.steps() {
            if ledger.get(step.name).is_some_and(|(sum, _)| *sum != checksum(step, dialect)) {
                return Err(MigrateError::Changed { name: step.name });
            }
        }
        Ok(())
    }

    fn no_newer(&self, ledger: &Ledger) -> Result<(), MigrateError> {
        // A plan of one crate sees the steps of the others and leaves them alone.
        if self.sets.len() == 1 {
            return Ok(());
        }
        match ledger.keys().find(|name| !self.steps().any(|(_, step)| step.name == *name)) {
            Some(name) => Err(MigrateError::Newer { name: name.chars().take(64).collect() }),
            None => Ok(()),
        }
    }
}

/// How the schema differs from what it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drift {
    /// What should be there, and as it should be.
    pub missing: Vec<SchemaObject>,
    /// What is there and should not be, or not so.
    pub unexpected: Vec<SchemaObject>,
}

impl Drift {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty()
    }
}

type Ledger = BTreeMap<String, (String, Timestamp)>;

async fn ledger(on: &impl Statements) -> Result<Ledger, DatabaseError> {
    if !on.has_table("clawexchange_migrations").await? {
        return Ok(Ledger::new());
    }
    let rows = on.rows("SELECT name, sha256, applied_us FROM clawexchange_migrations", []).await?;
    rows.iter()
        .map(|row| {
            Ok((row.get("name")?, (row.get("sha256")?, Timestamp::from_micros(row.get("applied_us")?))))
        })
        .collect()
}

/// Runs steps in one transaction and notes them.
async fn run(tx: &Tx, steps: &[(&MigrationSet, &'static Step)], now: Timestamp) -> Result<(), MigrateError> {
    execute(tx, ledger_table(tx.dialect())).await?;
    let parts: Vec<_> = steps.chunk_by(|(one, _), (next, _)| one.owner == next.owner).collect();
    for part in parts {
        let Some((set, first)) = part.first() else { continue };
        let count = u32::try_from(part.len()).unwrap_or(u32::MAX);
        set.up(tx.inner(), Some(count)).await.map_err(|source| failed(Some(first), source))?;
        for (_, step) in part {
            note(tx, step, now).await?;
        }
    }
    name_deployment(tx, now).await?;
    Ok(())
}

/// Notes that a step has run.
async fn note(tx: &Tx, step: &Step, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO clawexchange_migrations (name, sha256, applied_us) VALUES ($1, $2, $3)";
    tx.execute(sql, [step.name.into(), checksum(step, tx.dialect()).into(), now.as_micros().into()]).await?;
    Ok(())
}

async fn name_deployment(tx: &Tx, now: Timestamp) -> Result<(), DatabaseError> {
    if tx.has_table("database_deployment").await? {
        let sql =
            "INSERT INTO database_deployment (one, id, created_us) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
        tx.execute(sql, [EventId::fresh().as_bytes().to_vec().into(), now.as_micros().into()]).await?;
    }
    Ok(())
}

/// Whether a part that no step makes is our concern. In a database shared with others that is one that hangs on a
/// table of ours.
fn concerns(dialect: Dialect, wanted: &BTreeSet<SchemaObject>, found: &SchemaObject) -> bool {
    dialect == Dialect::Sqlite
        || wanted.iter().any(|o| (&o.kind, &o.name) == (&found.kind, &found.name))
        || found
            .name
            .split_once('.')
            .is_some_and(|(table, _)| wanted.iter().any(|o| o.kind == "table" && o.name == table))
}

async fn refuse_if_rows(tx: &Tx, step: &'static str, table: &'static str) -> Result<(), MigrateError> {
    let rows = tx.row(&format!("SELECT 1 AS one FROM {table} LIMIT 1"), []).await?;
    if rows.is_some() { Err(MigrateError::WouldDestroy { step, table }) } else { Ok(()) }
}

async fn execute(tx: &Tx, sql: &str) -> Result<(), DatabaseError> {
    tx.inner().execute_unprepared(sql).await?;
    Ok(())
}

fn checksum(step: &Step, dialect: Dialect) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    let script = step.script(dialect);
    for text in [script.up, script.down] {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    context.finish().as_ref().iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}"))
}

fn failed(step: Option<&Step>, source: DbErr) -> MigrateError {
    let name = step.map_or("?", |step| step.name);
    MigrateError::Step { name, source: DatabaseError::from(source) }
}

/// Why a plan was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A step failed; nothing of the plan was done.
    #[error("step {name} failed; nothing was changed")]
    Step {
        /// The step, or the first of several that ran together.
        name: &'static str,
        /// Why.
        source: DatabaseError,
    },
    /// A step has another text than when it ran.
    #[error("step {name} was changed after it had run")]
    Changed {
        /// The step.
        name: &'static str,
    },
    /// A newer version was here.
    #[error("step {name} has run and is not known: a newer version made this schema")]
    Newer {
        /// The step.
        name: String,
    },
    /// There is no such step.
    #[error("there is no step {name}")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The tables are not ours.
    #[error("the database has tables that are not of this system")]
    Foreign,
    /// Evidence would be lost.
    #[error("undoing {step} would destroy the rows of {table}")]
    WouldDestroy {
        /// The step.
        step: &'static str,
        /// The table.
        table: &'static str,
    },
}

impl Fault for MigrateError {
    fn code(&self) -> &'static str {
        match self {
            Self::Database(e) => e.code(),
            Self::Step { .. } => "database/migration-failed",
            Self::Changed { .. } => "database/migration-changed",
            Self::Newer { .. } => "database/schema-newer",
            Self::Unknown { .. } => "database/migration-unknown",
            Self::Foreign => "database/schema-foreign",
            Self::WouldDestroy { .. } => "database/would-destroy-evidence",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Database(e) | Self::Step { source: e, .. } => e.kind(),
            Self::Changed { .. } => FaultKind::Integrity,
            Self::Unknown { .. } => FaultKind::NotFound,
            Self::Newer { .. } | Self::Foreign | Self::WouldDestroy { .. } => FaultKind::NotAllowed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Database(e) | Self::Step { source: e, .. } => e.hint(),
            Self::Changed { .. } => {
                Some("run the version that made this schema, or restore the step's text".to_owned())
            }
            Self::Newer { .. } => Some("run the version that made this schema, or a newer one".to_owned()),
            Self::Unknown { .. } => Some("`claw migrate status` lists the steps".to_owned()),
            Self::Foreign => Some("choose another folder or file".to_owned()),
            Self::WouldDestroy { .. } => {
                Some(format!("export them first; then say so by name: --destroy {}", Destroy::PHRASE))
            }
        }
    }
}

/// One step as sea-orm-migration wants it: inside a transaction, which SQLite does not do by itself.
struct Adapter(&'static Step);

impl MigrationName for Adapter {
    fn name(&self) -> &str {
        self.0.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Adapter {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let script = self.0.script(dialect(manager));
        manager.get_connection().execute_unprepared(script.up).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let script = self.0.script(dialect(manager));
        manager.get_connection().execute_unprepared(script.down).await.map(drop)
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(!self.0.is_alone)
    }
}

fn dialect(manager: &SchemaManager) -> Dialect {
    match manager.get_database_backend() {
        DbBackend::Postgres => Dialect::Postgres,
        _ => Dialect::Sqlite,
    }
}

impl MigratorTraitSelf for MigrationSet {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        self.steps.iter().map(|step| Box::new(Adapter(step)) as Box<dyn MigrationTrait>).collect()
    }

    fn migration_table_name(&self) -> DynIden {
        Alias::new(self.table).into_iden()
    }
}
