//! The shape of the tables, as it is and as the steps would make it.

use std::collections::{BTreeMap, BTreeSet};

use ring::digest;
use sea_orm::{ConnectionTrait, Statement};

use crate::dialect::Dialect;
use crate::error::DatabaseError;
use crate::handle::Database;
use crate::rows::{Answer, Statements as _};
use crate::sqlite::scratch;
use crate::steps::Step;

/// A part of the schema and what makes it, with white space folded.
///
/// SQLite: a table, index, trigger or view with its statement. PostgreSQL: a table with its columns, and by
/// themselves, called `<table>.<name>`, its constraints, indexes and triggers; and functions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub struct SchemaObject {
    /// `table`, `index`, `trigger`, `view`, `constraint`, `function`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What makes it; empty for indexes that SQLite makes by itself.
    pub sql: String,
}

const SQLITE: &str = "SELECT type AS kind, name, COALESCE(sql, '') AS sql FROM sqlite_schema \
                      WHERE name NOT LIKE 'sqlite_sequence' AND name NOT LIKE 'clawexchange_%migrations' \
                      AND tbl_name NOT LIKE 'clawexchange_%migrations' ORDER BY type, name";

/// Partitions are left out: they come and go with the months, and are checked by themselves. The schema's own name is
/// taken out of every text, so that it may have any.
const POSTGRES: &str = r"
WITH here AS (SELECT CAST(current_schema() AS regnamespace) AS oid, quote_ident(current_schema()) || '.' AS prefix),
tables AS (
    SELECT c.oid, c.relname, c.relkind, c.relpersistence FROM pg_catalog.pg_class c, here
    WHERE c.relnamespace = here.oid AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
      AND c.relname !~ '^clawexchange_.*migrations$'
)
SELECT 'table' AS kind, CAST(t.relname AS text) AS name,
       (SELECT string_agg(concat_ws(' ', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
                                    CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                                    CASE a.attidentity WHEN 'd' THEN 'IDENTITY BY DEFAULT' WHEN 'a' THEN 'IDENTITY' END,
                                    'DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped)
       || CASE t.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_catalog.pg_get_partkeydef(t.oid)
                         WHEN 'v' THEN ' AS ' || pg_catalog.pg_get_viewdef(t.oid) ELSE '' END
       || CASE t.relpersistence WHEN 'u' THEN ' UNLOGGED' ELSE '' END AS sql
FROM tables t
UNION ALL
SELECT 'constraint', t.relname || '.' || c.conname, pg_catalog.pg_get_constraintdef(c.oid)
FROM pg_catalog.pg_constraint c JOIN tables t ON t.oid = c.conrelid WHERE c.contype IN ('c', 'f', 'p', 'u', 'x')
UNION ALL
SELECT 'index', t.relname || '.' || x.relname,
       replace(replace(pg_catalog.pg_get_indexdef(i.indexrelid), (SELECT prefix FROM here), ''), 'ON ONLY ', 'ON ')
       || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
FROM pg_catalog.pg_index i JOIN tables t ON t.oid = i.indrelid JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
UNION ALL
SELECT 'trigger', t.relname || '.' || g.tgname,
       replace(pg_catalog.pg_get_triggerdef(g.oid), (SELECT prefix FROM here), '')
       || CASE g.tgenabled WHEN 'A' THEN ' ALWAYS' WHEN 'O' THEN '' ELSE ' DISABLED' END
FROM pg_catalog.pg_trigger g JOIN tables t ON t.oid = g.tgrelid WHERE NOT g.tgisinternal
UNION ALL
SELECT 'function', p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
       concat_ws(' ', pg_catalog.pg_get_function_result(p.oid), l.lanname,
                 CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' END,
                 replace(array_to_string(p.proconfig, ' '), rtrim((SELECT prefix FROM here), '.'), 'SCHEMA'), p.prosrc)
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang, here
WHERE p.pronamespace = here.oid
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1, 2";

/// Every part of the schema, sorted.
pub async fn schema(db: &Database) -> Result<BTreeSet<SchemaObject>, DatabaseError> {
    let catalog = match db.dialect() {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
    };
    let rows = db.read().rows(catalog, []).await?;
    rows.iter()
        .map(|row| Ok(object(row.get("kind")?, row.get("name")?, &row.get::<String>("sql")?)))
        .collect()
}

/// Every part of the schema that `steps` make, sorted.
///
/// SQLite: they are run on an empty database in memory. PostgreSQL has none, so each step says what it leaves
/// ([`Step::shape`]).
pub fn expected_schema<'a>(
    dialect: Dialect,
    steps: impl IntoIterator<Item = &'a Step>,
) -> Answer<'a, BTreeSet<SchemaObject>> {
    let steps: Vec<_> = steps.into_iter().collect();
    Box::pin(async move {
        match dialect {
            Dialect::Sqlite => made(&steps).await,
            Dialect::Postgres => Ok(told(&steps)),
        }
    })
}

async fn made(steps: &[&Step]) -> Result<BTreeSet<SchemaObject>, DatabaseError> {
    let scratch = scratch().await?;
    for step in steps {
        scratch.execute_unprepared(step.sqlite.up).await?;
    }
    let catalog = Statement::from_string(scratch.get_database_backend(), SQLITE);
    let mut objects = BTreeSet::new();
    for row in scratch.query_all_raw(catalog).await? {
        let sql: String = row.try_get("", "sql")?;
        objects.insert(object(row.try_get("", "kind")?, row.try_get("", "name")?, &sql));
    }
    scratch.close().await?;
    Ok(objects)
}

/// Adds up what the steps say: `+ kind name` and a line with what makes it, or `- kind name`.
fn told(steps: &[&Step]) -> BTreeSet<SchemaObject> {
    let mut objects: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for step in steps {
        let mut lines = step.shape.lines();
        while let Some(line) = lines.next() {
            let mut words = line.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("+"), Some(kind), Some(name)) => {
                    objects.insert((kind, name), lines.next().unwrap_or_default());
                }
                (Some("-"), Some(kind), Some(name)) => {
                    objects.remove(&(kind, name));
                }
                _ => {}
            }
        }
    }
    let named = objects.into_iter();
    named.map(|((kind, name), sql)| object(kind.to_owned(), name.to_owned(), sql)).collect()
}

/// What a step's [`shape`](Step::shape) must say: the difference between the schema before it and after.
pub fn shape(before: &BTreeSet<SchemaObject>, after: &BTreeSet<SchemaObject>) -> String {
    let is_in = |o: &SchemaObject| after.iter().any(|n| (&n.kind, &n.name) == (&o.kind, &o.name));
    let gone = before.difference(after).filter(|o| !is_in(o)).map(|o| format!("- {} {}\n", o.kind, o.name));
    let come = after.difference(before).map(|o| format!("+ {} {}\n{}\n", o.kind, o.name, o.sql));
    gone.chain(come).collect()
}

/// SHA-256 over the text of a schema, in hexadecimal: another one whenever a part comes, goes or changes.
pub fn fingerprint(schema: &BTreeSet<SchemaObject>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in schema {
        for text in [&part.kind, &part.name, &part.sql] {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
    }
    context.finish().as_ref().iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}"))
}

fn object(kind: String, name: String, sql: &str) -> SchemaObject {
    SchemaObject { kind, name, sql: sql.split_whitespace().collect::<Vec<_>>().join(" ") }
}
