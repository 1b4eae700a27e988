//! Keys that are wrapped anew, some at a time: whoever is killed in between goes on where it was, and readers find each
//! key under the one wrap or under the other.

use std::sync::Arc;

use clawexchange_database::keys as deployment;
use clawexchange_database::{Statements, outbox};
use clawexchange_ssg_core::{
    Actor, AuditEvent, EventKind, Fault as _, FaultKind, KeyId, KeyProvider as _, QuarantineId, Target,
    fail_point,
};
use serde::Serialize;

use super::week_keys::wrapped_by;
use super::{Vault, port};
use crate::error::QuarantineError;
use crate::keychain::{KEY, names};
use crate::keyring::KeyRing;
use crate::records::keys::{self, KeyRow};
use crate::records::week_keys::{self as rows, WeekKeyRow};

/// Data keys that are wrapped anew in one transaction.
pub const REWRAPPED_AT_ONCE: u32 = 100;

/// How often it is begun anew because the key of the week was closed meanwhile.
const ATTEMPTS: u32 = 4;

/// What wrapping anew came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RewrapReport {
    /// Keys of weeks that the active master key wraps now.
    pub week_keys: u64,
    /// Data keys that the key of this week wraps now.
    pub data_keys: u64,
    /// Keys of weeks that nothing needs any more, and that were destroyed.
    pub destroyed: u64,
    /// What could not be opened, and stays as it is.
    pub failed: u64,
    /// There is more to do.
    pub more: bool,
}

impl RewrapReport {
    /// Both together.
    #[must_use]
    pub const fn and(self, later: Self) -> Self {
        Self {
            week_keys: self.week_keys + later.week_keys,
            data_keys: self.data_keys + later.data_keys,
            destroyed: self.destroyed + later.destroyed,
            failed: self.failed + later.failed,
            more: later.more,
        }
    }
}

/// What moving data keys on came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub(super) count: u64,
    pub(super) failed: u64,
    pub(super) more: bool,
}

/// What a master key is still needed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KeyUse {
    /// The master key.
    pub key: KeyId,
    /// The table of the rows.
    pub table: &'static str,
    /// How many rows.
    pub rows: u64,
    /// The first of them.
    pub first: String,
}

/// A key of a week, for whoever looks the keys over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WeekKeyState {
    /// Its name.
    pub id: KeyId,
    /// The master key that wraps it.
    pub master: KeyId,
    /// Whether it wraps what is new.
    pub is_open: bool,
    /// Whether it lies in the database, and so in every backup of it.
    pub is_in_database: bool,
    /// Contents that need it.
    pub contents: u64,
}

impl Vault {
    /// Does some of what there is to do after another master key was activated: keys of weeks are wrapped by it, then data
    /// keys that a master key wraps itself are wrapped by the key of this week. Each in a transaction with its event.
    ///
    /// # Errors
    ///
    /// If the database, the master keys or the store of keys of weeks are away. What does not open is counted.
    pub async fn rewrap_some(&self, by: &Actor) -> Result<RewrapReport, QuarantineError> {
        let (mut report, active) = (RewrapReport::default(), self.0.keys.master());
        for row in rows::all(&self.0.db.read()).await? {
            if row.master == active && self.lies_where_it_should(&row) {
                continue;
            }
            match self.rewrap_week_key(&row, by).await {
                Ok(is_done) => report.week_keys += u64::from(is_done),
                Err(error) => passed_over(&row.id, error, &mut report)?,
            }
        }
        let moved = self.move_on(None, by, REWRAPPED_AT_ONCE).await?;
        report.data_keys += moved.count;
        report.failed += moved.failed;
        report.more = moved.more;
        Ok(report)
    }

    fn lies_where_it_should(&self, row: &WeekKeyRow) -> bool {
        row.wrapped.is_none() || self.0.week_keys.store.is_none()
    }

    /// Wraps the key of a week with the active master key; says whether it was still to be.
    async fn rewrap_week_key(&self, row: &WeekKeyRow, by: &Actor) -> Result<bool, QuarantineError> {
        let key = self.open_week_key(row).await?;
        let kept = self.keep(&row.id, &key).await?;
        let tx = self.0.db.begin().await?;
        deployment::lock(&tx).await?;
        self.may_wrap(&tx, &kept.master).await?;
        // Nobody destroys it from here on, so what is put is not put back.
        match rows::locked(&tx, &row.id).await? {
            Some(now) if now.master == row.master && now.wrapped == row.wrapped => {}
            _ => return Ok(false),
        }
        let wrapped = match &self.0.week_keys.store {
            Some(store) => {
                store.put(&row.id, kept.encode()).await.map_err(port("store the key of a week"))?;
                None
            }
            None => Some(kept.encode()),
        };
        fail_point!("rewrap.after-put");
        let to = WeekKeyRow { master: kept.master, wrapped, ..row.clone() };
        rows::rewrapped(&tx, &to, self.now()).await?;
        let event = AuditEvent::new(EventKind::KeyRewrapped, by.clone(), self.now())
            .on(Target::new(KEY, &row.id))
            .with("from", row.master.as_str())?
            .with("to", to.master.as_str())?;
        outbox::put(&tx, &event).await?;
        fail_point!("rewrap.before-week");
        tx.commit().await?;
        fail_point!("rewrap.after-week");
        Ok(true)
    }

    /// Closes every key of a week, so that what is held from here on has another, and what is held already can move on to
    /// that: see [`move_some`](Self::move_some).
    pub async fn close_week_keys(&self) -> Result<u64, QuarantineError> {
        let tx = self.0.db.begin().await?;
        let closed = rows::close(&tx, None, self.now()).await?;
        tx.commit().await?;
        self.0.week_keys.forget_open();
        Ok(closed)
    }

    /// Does some of what empties closed keys of weeks: data keys move on to the key of this week, and what nothing needs
    /// any more is destroyed. Once nothing is left to do, no backup of the database from before opens what was destroyed
    /// by then.
    pub async fn move_some(&self, by: &Actor) -> Result<RewrapReport, QuarantineError> {
        let mut report = RewrapReport::default();
        let mut left = REWRAPPED_AT_ONCE;
        for row in rows::all(&self.0.db.read()).await? {
            if row.closed_at.is_none() {
                continue;
            }
            if left == 0 {
                report.more = true;
                break;
            }
            let moved = self.move_on(Some(&row.id), by, left).await?;
            report.data_keys += moved.count;
            report.failed += moved.failed;
            report.more |= moved.more;
            left = left.saturating_sub(u32::try_from(moved.count).unwrap_or(left));
            report.destroyed += u64::from(self.destroy_week_key(&row, by).await?);
        }
        let mut swept = super::SweepReport::default();
        self.erase_spent(&mut swept).await?;
        report.failed += swept.failed;
        Ok(report)
    }

    /// Wraps data keys with the key of this week: those that `from` wraps, or those that master keys wrap themselves.
    pub(super) async fn move_on(
        &self,
        from: Option<&KeyId>,
        by: &Actor,
        at_most: u32,
    ) -> Result<Moved, QuarantineError> {
        let (mut done, mut after, mut left) = (Moved::default(), String::new(), at_most);
        while left > 0 {
            let wanted = left.min(REWRAPPED_AT_ONCE);
            let some = keys::wrapped_by(&self.0.db.read(), from, &after, wanted).await?;
            let Some(last) = some.last() else { return Ok(done) };
            after.clone_from(&last.record);
            let (moved, failed) = self.exchange(from, &some, by).await?;
            done.count += moved;
            done.failed += failed;
            let looked = u32::try_from(some.len()).unwrap_or(wanted);
            if looked < wanted {
                return Ok(done);
            }
            left = left.saturating_sub(looked);
        }
        done.more = !keys::wrapped_by(&self.0.db.read(), from, &after, 1).await?.is_empty();
        Ok(done)
    }

    /// Exchanges the wraps of some data keys in one transaction; says how many it were, and how many did not open.
    async fn exchange(
        &self,
        from: Option<&KeyId>,
        some: &[KeyRow],
        by: &Actor,
    ) -> Result<(u64, u64), QuarantineError> {
        for _ in 0..ATTEMPTS {
            let (to, ring) = self.key_of_this_week().await?;
            if from == Some(&to) {
                return Ok((0, 0));
            }
            let (pairs, failed) = self.pairs(some, &to, &ring).await?;
            if pairs.is_empty() {
                return Ok((0, failed));
            }
            let tx = self.0.db.begin().await?;
            if rows::locked(&tx, &to).await?.is_none_or(|row| row.closed_at.is_some()) {
                drop(tx);
                self.0.week_keys.forget_open();
                continue;
            }
            let moved = keys::exchange(&tx, &pairs, self.now()).await?;
            if moved > 0 {
                let event = AuditEvent::new(EventKind::KeyRewrapped, by.clone(), self.now())
                    .on(Target::new(KEY, &to))
                    .with_some("from", from.map(KeyId::as_str))?
                    .with("contents", moved)?;
                outbox::put(&tx, &event).await?;
            }
            fail_point!("rewrap.before-batch");
            tx.commit().await?;
            fail_point!("rewrap.after-batch");
            return Ok((moved, failed));
        }
        Err(QuarantineError::WeekKeysBusy)
    }

    async fn pairs(
        &self,
        some: &[KeyRow],
        to: &KeyId,
        ring: &Arc<KeyRing>,
    ) -> Result<(Vec<(KeyRow, KeyRow)>, u64), QuarantineError> {
        let (mut pairs, mut failed) = (Vec::with_capacity(some.len()), 0);
        for old in some {
            match self.unwrapped(old).await {
                Ok(key) => pairs.push((old.clone(), wrapped_by(to, ring, &old.record, &key).await?)),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    let now = keys::of(&self.0.db.read(), &old.record).await?;
                    // Somebody else wrapped it anew, or destroyed it.
                    if now.is_none_or(|now| now.wrapped != old.wrapped) {
                        continue;
                    }
                    failed += 1;
                    tracing::error!(
                        id = old.record,
                        code = error.code(),
                        "a data key does not open and stays as it is"
                    );
                }
            }
        }
        Ok((pairs, failed))
    }

    /// What is left to do after another master key was activated: keys of weeks, and data keys that master keys wrap
    /// themselves.
    pub async fn to_rewrap(&self) -> Result<(u64, u64), QuarantineError> {
        let (read, active) = (self.0.db.read(), self.0.keys.master());
        let all = rows::all(&read).await?;
        let week_keys =
            all.iter().filter(|row| row.master != active || !self.lies_where_it_should(row)).count();
        let direct = keys::count_by_master(&read).await?;
        Ok((week_keys as u64, direct.iter().map(|(_, n)| n).sum()))
    }

    /// Keys of weeks, the oldest first.
    pub async fn week_keys(&self) -> Result<Vec<WeekKeyState>, QuarantineError> {
        let read = self.0.db.read();
        let mut states = Vec::new();
        for row in rows::all(&read).await? {
            let contents = keys::count(&read, &row.id).await?;
            states.push(WeekKeyState {
                id: row.id,
                master: row.master,
                is_open: row.closed_at.is_none(),
                is_in_database: row.wrapped.is_some(),
                contents,
            });
        }
        Ok(states)
    }

    /// Records whose data key is there and the key of its week is not: after a backup from before it was destroyed was
    /// restored, or where that key lies elsewhere.
    pub(super) async fn without_week_key(&self, at_most: u32) -> Result<Vec<QuarantineId>, QuarantineError> {
        let (read, mut found) = (self.0.db.read(), Vec::new());
        for row in rows::all(&read).await? {
            match self.open_week_key(&row).await {
                Err(QuarantineError::WeekKeyGone { .. } | QuarantineError::WeekKeyElsewhere { .. }) => {}
                Err(error) if error.is_transient() => return Err(error),
                _ => continue,
            }
            for key in keys::wrapped_by(&read, Some(&row.id), "", at_most).await? {
                found.extend(key.record.parse::<QuarantineId>().ok());
            }
        }
        Ok(found)
    }

    /// What each master key is needed for.
    pub async fn key_uses(&self) -> Result<Vec<KeyUse>, QuarantineError> {
        key_uses(&self.0.db.read()).await
    }

    /// Retires a master key: it is never activated again. Nothing is deleted; who has the key should keep it as long as
    /// backups from before are kept. With `dry_run` it is only seen whether it may be.
    ///
    /// # Errors
    ///
    /// `Conflict` if it is active, if a process that serves uses it, or if a row needs it, and which one.
    pub async fn retire_master(&self, key: &KeyId, by: &Actor, dry_run: bool) -> Result<(), QuarantineError> {
        let tx = self.0.db.begin().await?;
        deployment::lock(&tx).await?;
        if deployment::active(&tx).await?.as_ref() == Some(key) {
            return Err(QuarantineError::KeyActive { key: key.clone() });
        }
        let mut using = deployment::live(&tx).await?;
        using.retain(|instance| instance.active == *key);
        if !using.is_empty() {
            return Err(QuarantineError::Lagging { key: key.clone(), instances: names(&using) });
        }
        let uses = key_uses(&tx).await?;
        if let Some(needed) = uses.into_iter().find(|found| found.key == *key) {
            return Err(QuarantineError::KeyNeeded { needed: Box::new(needed) });
        }
        if deployment::state(&tx, key).await? == Some(deployment::MasterState::Retired) || dry_run {
            return Ok(());
        }
        if !deployment::retire(&tx, key).await? {
            return Err(QuarantineError::KeyActive { key: key.clone() });
        }
        let event = AuditEvent::new(EventKind::KeyRetired, by.clone(), self.now()).on(Target::new(KEY, key));
        outbox::put(&tx, &event).await?;
        fail_point!("keys.before-retire");
        tx.commit().await?;
        fail_point!("keys.after-retire");
        Ok(())
    }
}

/// A key that cannot be opened is passed over; a part that is away is not.
fn passed_over(id: &KeyId, error: QuarantineError, report: &mut RewrapReport) -> Result<(), QuarantineError> {
    match &error {
        QuarantineError::WeekKeyGone { .. } | QuarantineError::WrappedKey => {}
        QuarantineError::Port { source, .. } if source.kind() == FaultKind::Integrity => {}
        _ => return Err(error),
    }
    report.failed += 1;
    tracing::error!(%id, code = error.code(), "the key of a week could not be wrapped anew");
    Ok(())
}

/// Tables of rows that a master key wraps.
const WRAPS: [(&str, &str); 3] = [
    (
        "database_root_keys",
        "SELECT master_key_id AS k, COUNT(*) AS n, MIN(id) AS first FROM database_root_keys GROUP BY master_key_id",
    ),
    (
        "quarantine_week_keys",
        "SELECT master_key_id AS k, COUNT(*) AS n, MIN(id) AS first FROM quarantine_week_keys GROUP BY master_key_id",
    ),
    (
        "encryption_keys",
        "SELECT master_key_id AS k, COUNT(*) AS n, MIN(record_id) AS first FROM encryption_keys \
         WHERE week_key_id IS NULL GROUP BY master_key_id",
    ),
];

async fn key_uses(on: &impl Statements) -> Result<Vec<KeyUse>, QuarantineError> {
    let mut uses = Vec::new();
    for (table, sql) in WRAPS {
        for row in on.rows(sql, []).await? {
            uses.push(KeyUse {
                key: row.get_parsed("k")?,
                table,
                rows: row.get_u64("n")?,
                first: row.get("first")?,
            });
        }
    }
    // Where there is no root key, codes hang on master keys, and those are needed for good.
    let sql = "SELECT hmac_key_id AS k, COUNT(*) AS n, MIN(id) AS first FROM quarantine_records r \
               WHERE NOT EXISTS (SELECT 1 FROM database_root_keys k WHERE k.id = r.hmac_key_id) GROUP BY hmac_key_id";
    for row in on.rows(sql, []).await? {
        let (rows, first) = (row.get_u64("n")?, row.get("first")?);
        uses.push(KeyUse { key: row.get_parsed("k")?, table: "quarantine_records", rows, first });
    }
    Ok(uses)
}
