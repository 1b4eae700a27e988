//! What the two databases say differently. Everything else is the same text on both.

use sea_orm::Value;

/// The language of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a third database must be given its words everywhere")]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// What ends a query for rows to be worked on: rows that another transaction works on are passed over.
    ///
    /// SQLite has one writer, so nobody else works on any.
    pub const fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// What ends a query for a row that is about to be changed: others wait until it is, or is not.
    pub const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// The present moment by the database's own clock, in microseconds since 1970, so that instances need not agree
    /// on theirs.
    pub const fn now_us(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
            Self::Postgres => "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
        }
    }

    /// The condition that a row is among those that `SELECT {key} {from_where}` gives, which are few: `key` is what names
    /// a row of the table.
    ///
    /// PostgreSQL gets an array, since it would go through the whole table rather than look up more than some.
    pub fn is_among(self, key: &str, from_where: &str) -> String {
        match self {
            // Columns in brackets are a row before IN, and one value after SELECT.
            Self::Sqlite => {
                format!("{key} IN (SELECT {} {from_where})", key.trim_matches(['(', ')']))
            }
            Self::Postgres => format!("{key} = ANY(ARRAY(SELECT {key} {from_where}))"),
        }
    }

    /// The condition that a column is one of `wanted`, whose values begin at mark `first`, and these values.
    ///
    /// PostgreSQL gets one array, so that the text of the statement is the same for any number of them.
    pub fn is_any_of(self, first: usize, wanted: &[String]) -> (String, Vec<Value>) {
        match self {
            Self::Sqlite => {
                let marks: Vec<String> =
                    (first..).take(wanted.len()).map(|mark| format!("${mark}")).collect();
                let values = wanted.iter().map(|text| text.as_str().into()).collect();
                (format!("IN ({})", marks.join(", ")), values)
            }
            Self::Postgres => (format!("= ANY(${first})"), vec![wanted.to_vec().into()]),
        }
    }

    /// Gives one row while there is a table called `$1` where ours are.
    pub(crate) const fn table_exists(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT 1 AS one FROM sqlite_schema WHERE name = $1",
            Self::Postgres => {
                "SELECT 1 AS one FROM pg_catalog.pg_class \
                 WHERE relname = $1 AND relnamespace = CAST(current_schema() AS regnamespace)"
            }
        }
    }
}
