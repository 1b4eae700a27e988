//! Statements in, rows out, on whatever can run a statement.

use std::pin::Pin;

use sea_orm::{ConnectionTrait, QueryResult, Statement, TryGetable, Value};

use crate::dialect::Dialect;
use crate::error::DatabaseError;
use crate::handle::{Read, Tx};

/// Runs statements with numbered parameters (`$1`, `$2`, …), the same text on each database.
pub trait Statements: Send + Sync {
    /// What runs them.
    #[doc(hidden)]
    fn connection(&self) -> &impl ConnectionTrait;

    /// What is spoken there.
    fn dialect(&self) -> Dialect;

    /// Does something within the bounds that hold there.
    #[doc(hidden)]
    fn bounded<'a, T: Send + 'a>(
        &self,
        what: impl Future<Output = Result<T, DatabaseError>> + Send + 'a,
    ) -> Answer<'a, T>;

    /// All rows of a query.
    fn rows<'a>(&'a self, sql: &str, values: impl IntoIterator<Item = Value>) -> Answer<'a, Vec<Row>> {
        let statement = statement(self.connection(), sql, values);
        self.bounded(async move {
            let rows = self.connection().query_all_raw(statement).await?;
            Ok(rows.into_iter().map(Row).collect())
        })
    }

    /// The first row of a query, if there is one.
    fn row<'a>(&'a self, sql: &str, values: impl IntoIterator<Item = Value>) -> Answer<'a, Option<Row>> {
        let statement = statement(self.connection(), sql, values);
        self.bounded(async move { Ok(self.connection().query_one_raw(statement).await?.map(Row)) })
    }

    /// Whether there is a table of this name where ours are.
    fn has_table<'a>(&'a self, name: &str) -> Answer<'a, bool> {
        let row = self.row(self.dialect().table_exists(), [name.into()]);
        Box::pin(async move { Ok(row.await?.is_some()) })
    }
}

/// What a statement comes to. Boxed, so that it does not carry the type of the values into every caller's future.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, DatabaseError>> + Send + 'a>>;

impl Tx {
    /// Runs a statement that changes rows and says how many it changed.
    pub fn execute<'a>(&'a self, sql: &str, values: impl IntoIterator<Item = Value>) -> Answer<'a, u64> {
        let statement = statement(self.connection(), sql, values);
        self.bounded(async move { Ok(self.connection().execute_raw(statement).await?.rows_affected()) })
    }
}

impl Statements for Tx {
    fn connection(&self) -> &impl ConnectionTrait {
        self.inner()
    }

    fn dialect(&self) -> Dialect {
        self.spoken()
    }

    fn bounded<'a, T: Send + 'a>(
        &self,
        what: impl Future<Output = Result<T, DatabaseError>> + Send + 'a,
    ) -> Answer<'a, T> {
        self.bounds().within(what)
    }
}

impl Statements for Read {
    fn connection(&self) -> &impl ConnectionTrait {
        self.inner()
    }

    fn dialect(&self) -> Dialect {
        self.spoken()
    }

    fn bounded<'a, T: Send + 'a>(
        &self,
        what: impl Future<Output = Result<T, DatabaseError>> + Send + 'a,
    ) -> Answer<'a, T> {
        self.bounds().with_wait(what)
    }
}

fn statement(on: &impl ConnectionTrait, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(on.get_database_backend(), sql, values)
}

/// One row of a result.
#[derive(Debug)]
pub struct Row(QueryResult);

impl Row {
    /// The value of a column; a value of another type is an `Integrity` fault, since nobody but us writes them.
    pub fn get<T: TryGetable>(&self, column: &'static str) -> Result<T, DatabaseError> {
        self.0.try_get("", column).ok().ok_or(DatabaseError::Row { column })
    }

    /// A column that holds a number that is never negative.
    pub fn get_u64(&self, column: &'static str) -> Result<u64, DatabaseError> {
        u64::try_from(self.get::<i64>(column)?).ok().ok_or(DatabaseError::Row { column })
    }

    /// As [`get`](Self::get), of the column at this place of the select list, from 0: to look for each name costs as much
    /// as the value does, which counts for who reads a whole table.
    pub fn get_at<T: TryGetable>(&self, at: usize, column: &'static str) -> Result<T, DatabaseError> {
        self.0.try_get_by_index(at).ok().ok_or(DatabaseError::Row { column })
    }

    /// As [`get_u64`](Self::get_u64), of the column at this place.
    pub fn get_u64_at(&self, at: usize, column: &'static str) -> Result<u64, DatabaseError> {
        u64::try_from(self.get_at::<i64>(at, column)?).ok().ok_or(DatabaseError::Row { column })
    }

    /// A column that holds exactly `N` bytes.
    pub fn get_bytes<const N: usize>(&self, column: &'static str) -> Result<[u8; N], DatabaseError> {
        self.get::<Vec<u8>>(column)?.try_into().ok().ok_or(DatabaseError::Row { column })
    }

    /// A column whose text is read by `FromStr`.
    pub fn get_parsed<T: std::str::FromStr>(&self, column: &'static str) -> Result<T, DatabaseError> {
        self.get::<String>(column)?.parse().ok().ok_or(DatabaseError::Row { column })
    }
}
