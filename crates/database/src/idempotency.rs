//! Requests that name themselves: asked again, they are answered again and not done again
//! (draft-ietf-httpapi-idempotency-key-header-07, section 2).

use std::time::Duration;

use clawexchange_ssg_core::{InspectionId, QuarantineId, Timestamp};

use crate::dialect::Dialect;
use crate::error::DatabaseError;
use crate::handle::{Database, Tx};
use crate::keys;
use crate::rows::{Row, Statements as _};

/// How long an answer is kept.
pub const KEPT: Duration = Duration::from_hours(24);

/// A request that names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Named {
    /// Who asks: one principal's names mean nothing to another.
    pub principal: String,
    /// What is asked for.
    pub route: &'static str,
    /// The name.
    pub key: String,
    /// SHA-256 of what was sent.
    body_hash: [u8; 32],
}

impl Named {
    /// Puts the parts together; of the body only a hash is kept.
    pub fn new(
        principal: impl Into<String>,
        route: &'static str,
        key: impl Into<String>,
        body: &[u8],
    ) -> Self {
        let mut body_hash = [0; 32];
        body_hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, body).as_ref());
        Self { principal: principal.into(), route, key: key.into(), body_hash }
    }
}

/// What is to be done about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who answers and forgets a case must not compile")]
pub enum Begun {
    /// It is new: do it, under these names.
    New(Names),
    /// It was begun and never answered: by a process that is gone for 15 seconds, or by this one, whose attempt failed. Whether this
    /// one is still at it, whoever asks must know. Do what was left undone, under the names that were used.
    Again {
        /// The names.
        names: Names,
        /// Whether it was this process.
        by_us: bool,
    },
    /// It was answered: say the same again.
    Answered {
        /// The status.
        status: u16,
        /// The answer.
        answer: Vec<u8>,
    },
    /// Another process that serves is at it, or was until a moment ago: ask again later. What it has begun may still be
    /// on its way into the log.
    InFlight,
    /// The name was used for something else.
    Mismatch,
}

/// The names that what is done gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Names {
    /// Of the inspection.
    pub inspection: InspectionId,
    /// Of the hold, if it comes to that.
    pub hold: QuarantineId,
}

/// Notes that a request is being done by `holder`, or says what became of it. Committed when this returns.
pub async fn begin(
    db: &Database,
    named: &Named,
    holder: &str,
    now: Timestamp,
) -> Result<Begun, DatabaseError> {
    let tx = db.begin().await?;
    // Two that ask at once under one name: the second finds what the first noted.
    tx.lock(&format!("database/idempotency/{}/{}/{}", named.principal, named.route, named.key)).await?;
    let sql = "SELECT body_hash, inspection_id, hold_id, holder, status, answer, until_us \
               FROM database_idempotency WHERE principal = $1 AND route = $2 AND key = $3";
    let begun = match tx.row(sql, key(named)).await? {
        Some(row) if row.get::<i64>("until_us")? > now.as_micros() => known(&tx, named, holder, &row).await?,
        found => {
            if found.is_some() {
                let sql = "DELETE FROM database_idempotency WHERE principal = $1 AND route = $2 AND key = $3";
                tx.execute(sql, key(named)).await?;
            }
            insert(&tx, named, holder, now).await?
        }
    };
    tx.commit().await?;
    Ok(begun)
}

async fn known(tx: &Tx, named: &Named, holder: &str, row: &Row) -> Result<Begun, DatabaseError> {
    if row.get_bytes::<32>("body_hash")? != named.body_hash {
        return Ok(Begun::Mismatch);
    }
    if let (Some(status), Some(answer)) =
        (row.get::<Option<i64>>("status")?, row.get::<Option<Vec<u8>>>("answer")?)
    {
        let status = u16::try_from(status).ok().ok_or(DatabaseError::Row { column: "status" })?;
        return Ok(Begun::Answered { status, answer });
    }
    let at_work: String = row.get("holder")?;
    let by_us = at_work == holder;
    // One process at a time serves a file, so on SQLite whoever else held it is gone, and so is all that it had begun.
    // A server goes on with the last statements of a process that is dead: they end within the time that statements
    // may take, long before a process counts as gone.
    if !by_us && tx.dialect() == Dialect::Postgres && keys::is_live(tx, &at_work).await? {
        return Ok(Begun::InFlight);
    }
    let sql = "UPDATE database_idempotency SET holder = $4 WHERE principal = $1 AND route = $2 AND key = $3";
    tx.execute(sql, key(named).into_iter().chain([holder.into()])).await?;
    let names = Names {
        inspection: InspectionId::from_bytes(row.get_bytes("inspection_id")?),
        hold: QuarantineId::from_bytes(row.get_bytes("hold_id")?),
    };
    Ok(Begun::Again { names, by_us })
}

async fn insert(tx: &Tx, named: &Named, holder: &str, now: Timestamp) -> Result<Begun, DatabaseError> {
    let names = Names { inspection: InspectionId::fresh(), hold: QuarantineId::fresh() };
    let sql = "INSERT INTO database_idempotency \
               (principal, route, key, body_hash, inspection_id, hold_id, holder, created_us, until_us) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let rest = [
        named.body_hash.to_vec().into(),
        names.inspection.as_bytes().to_vec().into(),
        names.hold.as_bytes().to_vec().into(),
        holder.into(),
        now.as_micros().into(),
        now.plus(KEPT).as_micros().into(),
    ];
    tx.execute(sql, key(named).into_iter().chain(rest)).await?;
    Ok(Begun::New(names))
}

/// Keeps the answer, to be said again: the first, should two processes have come to one.
pub async fn finish(db: &Database, named: &Named, status: u16, answer: &[u8]) -> Result<(), DatabaseError> {
    let tx = db.begin().await?;
    let sql = "UPDATE database_idempotency SET status = $4, answer = $5 \
               WHERE principal = $1 AND route = $2 AND key = $3 AND status IS NULL";
    tx.execute(sql, key(named).into_iter().chain([i64::from(status).into(), answer.to_vec().into()])).await?;
    tx.commit().await
}

/// Forgets a request of which `holder` did nothing: it may be tried again as if it were new. One that another process
/// took over meanwhile stays that one's.
pub async fn forget(db: &Database, named: &Named, holder: &str) -> Result<(), DatabaseError> {
    let tx = db.begin().await?;
    let sql = "DELETE FROM database_idempotency \
               WHERE principal = $1 AND route = $2 AND key = $3 AND holder = $4 AND status IS NULL";
    tx.execute(sql, key(named).into_iter().chain([holder.into()])).await?;
    tx.commit().await
}

/// Takes out at most `at_most` answers whose time is over, and says how many.
pub async fn sweep(db: &Database, now: Timestamp, at_most: u32) -> Result<u64, DatabaseError> {
    let tx = db.begin().await?;
    let key = match tx.dialect() {
        Dialect::Sqlite => "(principal, route, key)",
        // Where a row lies, which does not change while it is locked.
        Dialect::Postgres => "ctid",
    };
    let over = format!(
        "FROM database_idempotency WHERE until_us <= $1 ORDER BY until_us LIMIT $2{}",
        tx.dialect().skip_locked()
    );
    let sql = format!("DELETE FROM database_idempotency WHERE {}", tx.dialect().is_among(key, &over));
    let swept = tx.execute(&sql, [now.as_micros().into(), i64::from(at_most).into()]).await?;
    tx.commit().await?;
    Ok(swept)
}

fn key(named: &Named) -> [crate::Value; 3] {
    [named.principal.as_str().into(), named.route.into(), named.key.as_str().into()]
}
