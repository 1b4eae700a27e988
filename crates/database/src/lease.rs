//! Leadership as a row: who leads, until when, under which fence.

use std::time::Duration;

use crate::error::DatabaseError;
use crate::handle::Database;
use crate::rows::Statements as _;

/// How long a lease lasts unless it is renewed.
pub const LEASE_TIME: Duration = Duration::from_secs(15);

/// A lease that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// What is led.
    pub name: String,
    /// Who leads.
    pub holder: String,
    /// Grows with every new holder: work done under a smaller one is refused.
    pub fence: u64,
}

impl Lease {
    /// Takes or renews the lease `name` for `holder`. `None` while somebody else has it.
    pub async fn take(
        db: &Database,
        name: &str,
        holder: &str,
        time: Duration,
    ) -> Result<Option<Self>, DatabaseError> {
        let tx = db.begin().await?;
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let now = db.dialect().now_us();
        let sql = format!(
            "INSERT INTO database_leases (name, holder, fence, until_us) VALUES ($1, $2, 1, {now} + $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_us = excluded.until_us, \
             fence = database_leases.fence + CASE WHEN database_leases.holder <> excluded.holder THEN 1 ELSE 0 END \
             WHERE database_leases.holder = excluded.holder OR database_leases.until_us <= {now} \
             RETURNING fence"
        );
        let row = tx.row(&sql, [name.into(), holder.into(), micros.into()]).await?;
        let fence = row.map(|row| row.get_u64("fence")).transpose()?;
        tx.commit().await?;
        Ok(fence.map(|fence| Self { name: name.to_owned(), holder: holder.to_owned(), fence }))
    }

    /// Gives the lease back, if it is still this one.
    pub async fn release(self, db: &Database) -> Result<(), DatabaseError> {
        let tx = db.begin().await?;
        let fence = i64::try_from(self.fence).unwrap_or(i64::MAX);
        let sql = "UPDATE database_leases SET until_us = 0 WHERE name = $1 AND holder = $2 AND fence = $3";
        tx.execute(sql, [self.name.into(), self.holder.into(), fence.into()]).await?;
        tx.commit().await
    }
}
