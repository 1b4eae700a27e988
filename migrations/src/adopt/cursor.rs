//! How far rows were taken over.

use clawexchange_database::{DatabaseError, Row, Statements, Tx, Value};
use clawexchange_ssg_core::Timestamp;

/// The sorts of rows that are taken over, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The rows of its log.
    Events,
    /// The rows of its quarantine.
    Records,
    /// Its limits and multipliers.
    Limits,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Events, Self::Records, Self::Limits];

    /// The word that stands in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Records => "records",
            Self::Limits => "limits",
        }
    }
}

/// How many rows were taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// How many.
    pub done: u64,
    /// How many of these had something that could not be taken over as it was; of limits those that were left.
    pub flawed: u64,
    /// Whether these are all.
    pub is_finished: bool,
}

/// The row of one sort.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    pub(super) what: What,
    pub(super) last_id: Option<String>,
    pub(super) tally: Tally,
}

const COLUMNS: &str = "SELECT last_id, done, flawed, finished_us FROM database_adoptions WHERE what = $1";

impl Cursor {
    /// Where it stands; nobody else takes rows of this sort over while `tx` is open.
    pub(super) async fn locked(tx: &Tx, what: What, now: Timestamp) -> Result<Self, DatabaseError> {
        let sql = "INSERT INTO database_adoptions (what, done, flawed, begun_us) VALUES ($1, 0, 0, $2) \
                   ON CONFLICT DO NOTHING";
        tx.execute(sql, [what.as_str().into(), now.as_micros().into()]).await?;
        let sql = format!("{COLUMNS}{}", tx.dialect().for_update());
        let row = tx.row(&sql, [what.as_str().into()]).await?;
        let row = row.ok_or(DatabaseError::Row { column: "what" })?;
        Self::of(what, &row)
    }

    /// How far rows of a sort were taken over.
    pub(super) async fn look(on: &impl Statements, what: What) -> Result<Tally, DatabaseError> {
        let row = on.row(COLUMNS, [what.as_str().into()]).await?;
        Ok(row.map(|row| Self::of(what, &row)).transpose()?.map_or_else(Tally::default, |c| c.tally))
    }

    fn of(what: What, row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            what,
            last_id: row.get("last_id")?,
            tally: Tally {
                done: row.get_u64("done")?,
                flawed: row.get_u64("flawed")?,
                is_finished: row.get::<Option<i64>>("finished_us")?.is_some(),
            },
        })
    }

    /// Moves it by rows that were taken over.
    pub(super) async fn advance(
        &mut self,
        tx: &Tx,
        last_id: Option<&str>,
        done: u64,
        flawed: u64,
    ) -> Result<(), DatabaseError> {
        self.tally.done += done;
        self.tally.flawed += flawed;
        let sql = "UPDATE database_adoptions SET last_id = $2, done = $3, flawed = $4 WHERE what = $1";
        let number = |n: u64| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
        let values =
            [self.what.as_str().into(), last_id.into(), number(self.tally.done), number(self.tally.flawed)];
        tx.execute(sql, values).await?;
        Ok(())
    }

    /// Notes that these were all.
    pub(super) async fn finish(&mut self, tx: &Tx, now: Timestamp) -> Result<(), DatabaseError> {
        self.tally.is_finished = true;
        let sql = "UPDATE database_adoptions SET finished_us = $2 WHERE what = $1";
        tx.execute(sql, [self.what.as_str().into(), now.as_micros().into()]).await?;
        Ok(())
    }
}
