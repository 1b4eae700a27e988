//! What is in a database where our tables would be: nothing, the first system's tables, or somebody else's.

use std::collections::{BTreeMap, BTreeSet};

use clawexchange_database::{DatabaseError, Dialect, Statements, expected_schema};

use super::tables::{LEDGER, TABLES, Table};
use crate::all;

/// A table of the first system.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OriginalTable {
    /// Its name.
    pub name: &'static str,
    /// Columns that the first system does not have. They move with the table, and are not taken over.
    pub added: Vec<String>,
}

/// The first system's tables, as they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Original {
    /// The schema of the database that they are in.
    pub schema: String,
    /// Those that are there.
    pub tables: Vec<OriginalTable>,
    /// Those that are not.
    pub missing: Vec<&'static str>,
    /// Whether there is a note of migrations that have run.
    pub ledger: Option<Ledger>,
}

/// What becomes of `SequelizeMeta`, in which programs around the first system note which migrations have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ledger {
    /// Nothing else is in the schema, so it moves too.
    Moves,
    /// There are other tables in the schema, whose migrations may be noted in it, so it stays.
    Stays,
}

/// A table that has a name of ours and is not the first system's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stranger {
    /// Its name.
    pub table: String,
    /// Why it is not.
    pub why: String,
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// No name of ours is taken.
    Nothing,
    /// Names of ours are taken by tables of the first system, and by nobody else.
    Original(Original),
    /// Names of ours are taken by somebody else.
    Strangers(Vec<Stranger>),
}

/// Relations and their columns, in one statement: somebody else may move them meanwhile, and two would see halves.
const RELATIONS: &str = "SELECT CAST(c.relname AS TEXT) AS relation, CAST(c.relkind AS TEXT) AS kind, \
     CAST(a.attname AS TEXT) AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, \
     t.typtype = 'e' AS is_enum, a.attnotnull AS is_set, \
     EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary \
             AND CAST(i.indkey AS TEXT) = CAST(a.attnum AS TEXT)) AS is_key \
     FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_attribute a \
     ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

struct Column {
    type_name: String,
    is_enum: bool,
    is_set: bool,
    is_key: bool,
}

/// Looks where our tables would be. To be asked while none of our steps has run, since its tables have names of ours.
pub(super) async fn recognise(on: &impl Statements) -> Result<Found, DatabaseError> {
    if on.dialect() != Dialect::Postgres {
        return Ok(Found::Nothing);
    }
    let ours = expected_schema(Dialect::Postgres, all().steps().map(|(_, step)| step)).await?;
    let ours: BTreeSet<String> = ours.into_iter().filter(|o| o.kind == "table").map(|o| o.name).collect();
    let mut relations: BTreeMap<String, String> = BTreeMap::new();
    let mut columns: BTreeMap<String, BTreeMap<String, Column>> = BTreeMap::new();
    for row in on.rows(RELATIONS, []).await? {
        let relation: String = row.get("relation")?;
        relations.insert(relation.clone(), row.get("kind")?);
        let Some(name) = row.get::<Option<String>>("name")? else { continue };
        let column = Column {
            type_name: row.get("type")?,
            is_enum: row.get("is_enum")?,
            is_set: row.get("is_set")?,
            is_key: row.get("is_key")?,
        };
        columns.entry(relation).or_default().insert(name, column);
    }
    let (mut tables, mut strangers) = (Vec::new(), Vec::new());
    for (name, kind) in relations.iter().filter(|(name, _)| ours.contains(*name)) {
        let none = BTreeMap::new();
        match compared(name, kind, columns.get(name).unwrap_or(&none)) {
            Ok(table) => tables.push(table),
            Err(why) => strangers.push(Stranger { table: name.clone(), why }),
        }
    }
    if !strangers.is_empty() {
        return Ok(Found::Strangers(strangers));
    }
    if tables.is_empty() {
        return Ok(Found::Nothing);
    }
    let is_there = |name: &str| tables.iter().any(|table| table.name == name);
    let missing = TABLES.iter().map(|table| table.name).filter(|name| !is_there(name)).collect();
    let is_alone = relations.keys().all(|name| name == LEDGER || is_there(name));
    let ledger =
        relations.contains_key(LEDGER).then_some(if is_alone { Ledger::Moves } else { Ledger::Stays });
    let schema = on.row("SELECT CAST(current_schema() AS TEXT) AS name", []).await?;
    let schema = schema.map(|row| row.get("name")).transpose()?.unwrap_or_default();
    Ok(Found::Original(Original { schema, tables, missing, ledger }))
}

/// Whether a relation is the first system's table of that name; if not, why.
fn compared(name: &str, kind: &str, columns: &BTreeMap<String, Column>) -> Result<OriginalTable, String> {
    let table: &Table =
        TABLES.iter().find(|table| table.name == name).ok_or("the first system has no such table")?;
    if kind != "r" {
        return Err("it is no ordinary table".to_owned());
    }
    for (column, sort) in table.columns {
        let found = columns.get(*column).ok_or_else(|| format!("it has no column {column}"))?;
        if !sort.is(&found.type_name, found.is_enum) {
            return Err(format!("its column {column} is {}", found.type_name));
        }
        if *column == "id" && !found.is_key {
            return Err("its primary key is not id".to_owned());
        }
        if *column == "created_at" && !found.is_set {
            return Err("its created_at may be empty".to_owned());
        }
    }
    let is_known = |column: &&String| table.columns.iter().any(|(known, _)| known == column);
    let added = columns.keys().filter(|column| !is_known(column)).cloned().collect();
    Ok(OriginalTable { name: table.name, added })
}
