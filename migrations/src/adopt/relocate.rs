//! Moving the first system's tables out of the way, with all that belongs to them.

use clawexchange_database::{Database, DatabaseError, Plan, Statements};
use clawexchange_ssg_core::fail_point;

use super::TRIES_MAX;
use super::error::AdoptError;
use super::recognise::{Found, Ledger, Original, recognise};
use super::tables::LEDGER;

/// The schema that they move to.
pub const ORIGINAL_SCHEMA: &str = "clawexchange_original";

/// What the schema has as its comment, by which it is known again.
const MARK: &str =
    "Tables of the first system, moved here by claw migrate adopt. Nothing uses them any more.";

/// How the schema of that name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// There is none, or an empty one.
    Free,
    /// The tables were moved to it.
    Ours,
    /// Somebody else has things in it.
    Taken,
}

/// Looks at the schema of that name.
pub(super) async fn place(on: &impl Statements) -> Result<Place, DatabaseError> {
    let sql = "SELECT pg_catalog.obj_description(n.oid, 'pg_namespace') AS mark, \
               EXISTS (SELECT 1 FROM pg_catalog.pg_class WHERE relnamespace = n.oid) \
               OR EXISTS (SELECT 1 FROM pg_catalog.pg_type WHERE typnamespace = n.oid) \
               OR EXISTS (SELECT 1 FROM pg_catalog.pg_proc WHERE pronamespace = n.oid) AS is_used \
               FROM pg_catalog.pg_namespace n WHERE n.nspname = $1";
    let Some(row) = on.row(sql, [ORIGINAL_SCHEMA.into()]).await? else { return Ok(Place::Free) };
    let mark: Option<String> = row.get("mark")?;
    Ok(match (mark.as_deref() == Some(MARK), row.get("is_used")?) {
        (true, _) => Place::Ours,
        (false, true) => Place::Taken,
        (false, false) => Place::Free,
    })
}

/// Types that columns of the moved tables have and no column of another table has.
const TYPES: &str = "SELECT DISTINCT quote_ident(t.typname) AS name FROM pg_catalog.pg_attribute a \
     JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND CAST(c.relname AS TEXT) = ANY($1) \
     AND t.typnamespace = c.relnamespace AND t.typtype IN ('e', 'd') AND a.attnum > 0 AND NOT a.attisdropped \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute o JOIN pg_catalog.pg_class oc ON oc.oid = o.attrelid \
     WHERE o.atttypid = t.oid AND NOT o.attisdropped AND oc.relkind IN ('r', 'p', 'f', 'm') \
     AND NOT (oc.relnamespace = c.relnamespace AND CAST(oc.relname AS TEXT) = ANY($1))) ORDER BY 1";

/// Functions that triggers of the moved tables call and no trigger of another table does.
const FUNCTIONS: &str = "SELECT DISTINCT quote_ident(p.proname) || '(' || \
     pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS name FROM pg_catalog.pg_trigger g \
     JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid \
     WHERE NOT g.tgisinternal AND c.relnamespace = CAST(current_schema() AS regnamespace) \
     AND CAST(c.relname AS TEXT) = ANY($1) AND p.pronamespace = c.relnamespace \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger o JOIN pg_catalog.pg_class oc ON oc.oid = o.tgrelid \
     WHERE o.tgfoid = p.oid AND NOT (oc.relnamespace = c.relnamespace AND CAST(oc.relname AS TEXT) = ANY($1))) \
     ORDER BY 1";

/// What moves them, statement by statement. Indexes, constraints, triggers and the sequences of their columns go with a
/// table by themselves; whoever refers to one, such as a foreign key or a view, goes on doing so.
pub(super) async fn statements(
    on: &impl Statements,
    original: &Original,
) -> Result<Vec<String>, DatabaseError> {
    let mut names: Vec<String> = original.tables.iter().map(|table| table.name.to_owned()).collect();
    if original.ledger == Some(Ledger::Moves) {
        names.push(LEDGER.to_owned());
    }
    let mut statements = vec![
        format!("CREATE SCHEMA IF NOT EXISTS {ORIGINAL_SCHEMA}"),
        format!("COMMENT ON SCHEMA {ORIGINAL_SCHEMA} IS '{MARK}'"),
    ];
    // Names of ours and one that is known, so quotes are all that they need.
    statements
        .extend(names.iter().map(|name| format!("ALTER TABLE \"{name}\" SET SCHEMA {ORIGINAL_SCHEMA}")));
    for (what, sql) in [("TYPE", TYPES), ("FUNCTION", FUNCTIONS)] {
        for row in on.rows(sql, [names.clone().into()]).await? {
            let name: String = row.get("name")?;
            statements.push(format!("ALTER {what} {name} SET SCHEMA {ORIGINAL_SCHEMA}"));
        }
    }
    Ok(statements)
}

/// Moves them, all or none, while nobody else changes the schema. Gives the statements that were run; none if they were
/// moved before.
///
/// # Errors
///
/// `NotAllowed` if somebody else's tables have names of ours, or somebody else has things in the schema that they would
/// move to, or the role does not own them.
pub async fn relocate(db: &Database) -> Result<Vec<String>, AdoptError> {
    let mut tries = 0;
    loop {
        match relocate_once(db).await {
            // Whoever reads the tables may hold one and wait for another.
            Err(AdoptError::Database(error)) if error.is_collision() && tries < TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}

async fn relocate_once(db: &Database) -> Result<Vec<String>, AdoptError> {
    let tx = db.begin().await?;
    Plan::hold(&tx).await?;
    let original = match (recognise(&tx).await?, place(&tx).await?, is_ours(&tx).await?) {
        (_, Place::Ours, true) | (Found::Nothing, Place::Ours, _) => return Ok(Vec::new()),
        (Found::Strangers(strangers), _, false) => return Err(AdoptError::Strangers { strangers }),
        (Found::Original(original), Place::Free, false) => original,
        (Found::Original(_), _, false) => return Err(AdoptError::Place),
        _ => return Err(AdoptError::Nothing),
    };
    let statements = statements(&tx, &original).await?;
    for statement in &statements {
        tx.execute(statement, []).await?;
        fail_point!("adopt.moving");
    }
    fail_point!("adopt.before-move");
    tx.commit().await?;
    fail_point!("adopt.moved");
    Ok(statements)
}

/// Whether steps of ours have run, after which our own tables have these names.
pub(super) async fn is_ours(on: &impl Statements) -> Result<bool, DatabaseError> {
    if !on.has_table("clawexchange_migrations").await? {
        return Ok(false);
    }
    Ok(on.row("SELECT 1 AS one FROM clawexchange_migrations LIMIT 1", []).await?.is_some())
}
