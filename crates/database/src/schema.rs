//! The shape of the tables, as it is and as the steps would make it.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, Statement};

use crate::error::DatabaseError;
use crate::handle::{Database, scratch};
use crate::rows::Statements as _;
use crate::steps::Step;

/// A table, index, trigger or view, and the statement that makes it, with white space folded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub struct SchemaObject {
    /// `table`, `index`, `trigger` or `view`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The statement; empty for indexes that SQLite makes by itself.
    pub sql: String,
}

const CATALOG: &str = "SELECT type AS kind, name, COALESCE(sql, '') AS sql FROM sqlite_schema \
                       WHERE name NOT LIKE 'sqlite_sequence' AND name NOT LIKE 'clawexchange_%migrations' \
                       AND tbl_name NOT LIKE 'clawexchange_%migrations' ORDER BY type, name";

/// Every object of the database, sorted.
pub async fn schema(db: &Database) -> Result<BTreeSet<SchemaObject>, DatabaseError> {
    let rows = db.read().rows(CATALOG, []).await?;
    rows.iter()
        .map(|row| Ok(object(row.get("kind")?, row.get("name")?, &row.get::<String>("sql")?)))
        .collect()
}

/// Every object that `steps` make, sorted: they are run on an empty database in memory.
pub async fn expected_schema(
    steps: impl IntoIterator<Item = &Step>,
) -> Result<BTreeSet<SchemaObject>, DatabaseError> {
    let scratch = scratch().await?;
    for step in steps {
        scratch.execute_unprepared(step.sqlite.up).await?;
    }
    let catalog = Statement::from_string(scratch.get_database_backend(), CATALOG);
    let mut objects = BTreeSet::new();
    for row in scratch.query_all_raw(catalog).await? {
        let sql: String = row.try_get("", "sql")?;
        objects.insert(object(row.try_get("", "kind")?, row.try_get("", "name")?, &sql));
    }
    scratch.close().await?;
    Ok(objects)
}

fn object(kind: String, name: String, sql: &str) -> SchemaObject {
    SchemaObject { kind, name, sql: sql.split_whitespace().collect::<Vec<_>>().join(" ") }
}
