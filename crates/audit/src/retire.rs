//! Old events leave the database, after they were exported.
//!
//! In this order: what leaves is found, the caller exports and checks it, the log says so, and the rows go. Cut short
//! behind the last but one, the rows are there and count as retired; the next call takes them away.

use std::collections::BTreeMap;

use clawexchange_database::{DatabaseError, Dialect, STATE, Statements as _, Tx};
use clawexchange_ssg_core::{Actor, AuditEvent, EventKind, Target, Timestamp, fail_point};
use serde_json::Value;

use crate::error::AuditError;
use crate::export::ExportedTo;
use crate::leaf::{Log, month};
use crate::log::AuditLog;
use crate::retired::{Retired, TARGET, look};
use crate::store;
use crate::walk::{bound, leaves_from};

/// Leaves that leave in one transaction of SQLite, unless one batch has more: others wait so long for their turn.
const LEAVES: i64 = 20_000;

/// Leaves read at once.
const PAGE: u16 = 1000;

/// Events appended as one batch.
const TOGETHER: usize = 500;

/// PostgreSQL: how long a month waits for those who read it; everybody who comes later waits behind.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '3s'";

/// Events of a log that can leave: those behind the ones that left before, as far as the last that is old enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaving {
    /// The log.
    pub log: Log,
    /// The index of the first.
    pub from: u64,
    /// The index behind the last.
    pub to: u64,
    /// When the last was committed; `None` if there are none.
    pub until: Option<Timestamp>,
}

impl AuditLog {
    /// What can leave a log: whole batches that were committed before a moment. On PostgreSQL these are whole months, by
    /// which the log is kept.
    pub async fn leaving(&self, log: Log, before: Timestamp) -> Result<Leaving, AuditError> {
        let read = self.0.db.read();
        let from = look(&read, &*self.0.keys).await?.0.end(log);
        let (condition, limit) = match self.0.db.dialect() {
            Dialect::Sqlite => ("committed_us < $2", before.as_micros()),
            Dialect::Postgres => ("month < $2", month(before.as_micros())),
        };
        let sql = format!(
            "SELECT start_index, n, committed_us FROM audit_batches WHERE log = $1 AND {condition} \
             ORDER BY start_index DESC LIMIT 1"
        );
        let last = read.row(&sql, [log.as_str().into(), limit.into()]).await?;
        let Some(last) = last else { return Ok(Leaving { log, from, to: from, until: None }) };
        let to = last.get_u64("start_index")?.saturating_add(last.get_u64("n")?).max(from);
        let until = (to > from).then_some(Timestamp::from_micros(last.get("committed_us")?));
        Ok(Leaving { log, from, to, until })
    }

    /// Whether this connection may take rows out of the log: on PostgreSQL the owner of the tables alone.
    ///
    /// # Errors
    ///
    /// `NotAllowed` if it may not.
    pub async fn may_remove(&self) -> Result<(), AuditError> {
        if self.0.db.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let sql = "SELECT pg_has_role(relowner, 'USAGE') AS is_owner FROM pg_catalog.pg_class \
                   WHERE oid = CAST('audit_logs' AS regclass)";
        let row = self.0.db.read().row(sql, []).await?;
        let is_owner = row.map(|row| row.get("is_owner")).transpose()?.unwrap_or(false);
        if is_owner { Ok(()) } else { Err(AuditError::NotOwner) }
    }

    /// Which of some ids events that leave are about.
    pub async fn leaving_about(&self, leaving: &Leaving, ids: &[String]) -> Result<Vec<String>, AuditError> {
        let mut found = Vec::new();
        for some in ids.chunks(500) {
            let (is_any, mut values) = self.0.db.dialect().is_any_of(4, some);
            let sql = format!(
                "SELECT DISTINCT l.target_id AS id FROM audit_logs l JOIN audit_batches b ON b.log = l.log \
                 AND b.batch_id = l.batch_id AND b.month = l.month WHERE b.log = $1 AND b.start_index >= $2 \
                 AND b.start_index < $3 AND l.target_id {is_any}"
            );
            values.splice(
                0..0,
                [leaving.log.as_str().into(), bound(leaving.from).into(), bound(leaving.to).into()],
            );
            for row in self.0.db.read().rows(&sql, values).await? {
                found.push(row.get("id")?);
            }
        }
        Ok(found)
    }

    /// Says in the log that events are retired and to what they were exported, and says again what the last of them said
    /// of rows that are still there, so that these stay fixed. From here on they count as retired.
    ///
    /// # Errors
    ///
    /// `NotReached` if no checkpoint covers them, which has to be signed before.
    pub async fn announce(
        &self,
        leaving: &Leaving,
        export: &ExportedTo,
        by: &Actor,
    ) -> Result<(), AuditError> {
        let Leaving { log, from, to, .. } = *leaving;
        let signed = self.signed_size(log).await?;
        if signed < to {
            return Err(AuditError::NotReached { log: log.as_str(), size: signed, asked: to });
        }
        let now = self.0.clock.now();
        let mut restated = Vec::new();
        for ((kind, id), code) in self.last_states(leaving).await? {
            let mut target = Target::new(TARGET, id);
            target.kind = kind;
            restated
                .push(AuditEvent::new(EventKind::LogRetired, by.clone(), now).on(target).with(STATE, code)?);
        }
        for some in restated.chunks(TOGETHER) {
            self.append_all(some.to_vec()).await?;
        }
        fail_point!("retire.restated");
        let head = store::head(&self.0.db.read(), Log::Decisions).await?;
        let origin = head.ok_or(AuditError::Head { log: Log::Decisions.as_str() })?.origin;
        let ends: Retired = self.retired().await?.with(log, to);
        let mut event = AuditEvent::new(EventKind::LogRetired, by.clone(), now)
            .on(Target::new(TARGET, log.as_str()))
            .with("from", from)?
            .with("to", to)?
            .with("exportBytes", export.bytes)?
            .with("exportSha256", export.sha256.as_str())?
            .with_personal("export", export.name.as_str())?;
        for (name, value) in ends.details(&*self.0.keys, &origin).await? {
            event = event.with(name, value)?;
        }
        self.append(event).await?;
        fail_point!("retire.announced");
        Ok(())
    }

    /// The last code of each row that the log fixes, where it is among what leaves.
    async fn last_states(&self, leaving: &Leaving) -> Result<BTreeMap<(String, String), String>, AuditError> {
        let Leaving { log, from, to, .. } = *leaving;
        let (mut at, mut last) = (from, BTreeMap::new());
        while at < to {
            let most = u16::try_from(to - at).unwrap_or(PAGE).min(PAGE);
            let leaves = leaves_from(&self.0.db.read(), log, at, most).await?;
            if leaves.is_empty() {
                return Err(AuditError::altered(log, at, "an event is missing"));
            }
            at += leaves.len() as u64;
            for leaf in leaves {
                last.extend(state_of(&leaf.leaf));
            }
        }
        let mut standing = BTreeMap::new();
        for ((kind, id), code) in last {
            if !self.is_stated_later(log, to, &kind, &id).await? {
                standing.insert((kind, id), code);
            }
        }
        Ok(standing)
    }

    async fn is_stated_later(&self, log: Log, from: u64, kind: &str, id: &str) -> Result<bool, AuditError> {
        let sql = "SELECT l.leaf FROM audit_logs l JOIN audit_batches b ON b.log = l.log AND b.batch_id = l.batch_id \
                   AND b.month = l.month WHERE l.target_id = $1 AND l.target_type = $2 AND l.log = $3 \
                   AND b.start_index >= $4";
        let values = [id.into(), kind.into(), log.as_str().into(), bound(from).into()];
        for row in self.0.db.read().rows(sql, values).await? {
            if state_of(&row.get::<Vec<u8>>("leaf")?).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes away the rows of events that the log says are retired, and says how many there were. Nothing else can: the
    /// guards refuse everybody, and on PostgreSQL only the owner of the tables may pass them, for one month in one
    /// transaction.
    pub async fn remove_retired(&self, log: Log) -> Result<u64, AuditError> {
        let end = self.retired().await?.end(log);
        match self.0.db.dialect() {
            Dialect::Sqlite => self.remove_batches(log, end).await,
            Dialect::Postgres => self.remove_months(log, end).await,
        }
    }

    async fn remove_batches(&self, log: Log, end: u64) -> Result<u64, AuditError> {
        let mut removed = 0;
        loop {
            let tx = self.0.db.begin().await?;
            // Whole batches, from the first that is there.
            let sql = "SELECT MAX(batch_id) AS last FROM (SELECT batch_id, SUM(n) OVER (ORDER BY batch_id) - n AS before \
                       FROM audit_batches WHERE log = $1 AND start_index + n <= $2 AND batch_id >= \
                       (SELECT MIN(batch_id) FROM audit_logs WHERE log = $1)) WHERE before < $3";
            let row = tx.row(sql, [log.as_str().into(), bound(end).into(), LEAVES.into()]).await?;
            let Some(last) = row.map(|row| row.get::<Option<i64>>("last")).transpose()?.flatten() else {
                return Ok(removed);
            };
            let sql =
                "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = 'audit_logs_no_delete'";
            let guard = tx.row(sql, []).await?;
            let guard: String = guard.ok_or(DatabaseError::Row { column: "sql" })?.get("sql")?;
            tx.execute("DROP TRIGGER audit_logs_no_delete", []).await?;
            let sql = "DELETE FROM audit_logs WHERE log = $1 AND batch_id <= $2";
            removed += tx.execute(sql, [log.as_str().into(), last.into()]).await?;
            tx.execute(&guard, []).await?;
            fail_point!("retire.before-commit");
            tx.commit().await?;
            fail_point!("retire.removed");
        }
    }

    async fn remove_months(&self, log: Log, end: u64) -> Result<u64, AuditError> {
        let sql = "SELECT month FROM audit_batches WHERE log = $1 GROUP BY month \
                   HAVING MAX(start_index + n) <= $2 ORDER BY month";
        let rows = self.0.db.read().rows(sql, [log.as_str().into(), bound(end).into()]).await?;
        let months: Vec<i64> = rows.iter().map(|row| row.get("month")).collect::<Result<_, _>>()?;
        let mut removed = 0;
        for month in months {
            let tx = self.0.db.begin().await?.patiently().await?;
            tx.execute(LOCK_TIMEOUT, []).await?;
            tx.lock("audit/retire").await?;
            removed += remove_month(&tx, log, month).await?;
            fail_point!("retire.before-commit");
            tx.commit().await?;
            fail_point!("retire.removed");
        }
        Ok(removed)
    }
}

/// Takes a log out of a month: all of the month if nothing else is in it.
async fn remove_month(tx: &Tx, log: Log, month: i64) -> Result<u64, AuditError> {
    // A number, so quotes are not needed.
    let partition = format!("audit_logs_{month}");
    if !tx.has_table(&partition).await? {
        return Ok(0);
    }
    let sql = format!(
        "SELECT COUNT(*) FILTER (WHERE log = $1) AS mine, COUNT(*) FILTER (WHERE log <> $1) AS others FROM {partition}"
    );
    let row = tx.row(&sql, [log.as_str().into()]).await?;
    let (mine, others) =
        row.map_or(Ok((0, 0)), |row| Ok::<_, DatabaseError>((row.get_u64("mine")?, row.get_u64("others")?)))?;
    if mine == 0 {
        return Ok(0);
    }
    if others == 0 {
        tx.execute(&format!("DROP TABLE {partition}"), []).await?;
    } else {
        tx.execute(&format!("ALTER TABLE {partition} DISABLE TRIGGER audit_no_change"), []).await?;
        tx.execute(&format!("DELETE FROM {partition} WHERE log = $1"), [log.as_str().into()]).await?;
        tx.execute(&format!("ALTER TABLE {partition} ENABLE ALWAYS TRIGGER audit_no_change"), []).await?;
    }
    Ok(mine)
}

/// What a leaf says of a row: the row, and its code.
fn state_of(leaf: &[u8]) -> Option<((String, String), String)> {
    let leaf: Value = serde_json::from_slice(leaf).ok()?;
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(ToOwned::to_owned);
    let target = leaf.get("target")?;
    let code = text(leaf.get("meta")?, STATE)?;
    Some(((text(target, "type")?, text(target, "id")?), code))
}

/// Where a test may kill the process: each step of a retirement.
#[cfg(debug_assertions)]
#[doc(hidden)]
pub const RETIRE_FAIL_POINTS: &[&str] =
    &["retire.restated", "retire.announced", "retire.before-commit", "retire.removed"];
