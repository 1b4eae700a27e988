//! What time does: expires, settles, shreds, clears away.

use std::num::NonZeroU32;
use std::time::Duration;

use clawexchange_database::{Tx, outbox};
use clawexchange_ssg_core::{
    Actor, AuditEvent, EventKind, Fault as _, FaultKind, QuarantineId, Timestamp, fail_point,
};
use serde::Serialize;

use super::store::Settled;
use super::{Vault, port};
use crate::error::QuarantineError;
use crate::objects::ObjectKey;
use crate::record::QuarantineRecord;
use crate::records::{self, Due, Guard, StoredRow, grants, keys, tombstones};
use crate::status::{BlobState, Status};

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SweepReport {
    /// Records that nobody had decided about in time.
    pub expired: u64,
    /// Stores that were cut short and whose content had come whole: they are held now.
    pub finished: u64,
    /// Stores that were cut short and are given up.
    pub aborted: u64,
    /// Contents whose key was destroyed.
    pub shredded: u64,
    /// Objects that were deleted, or were gone already.
    pub objects_deleted: u64,
    /// Half-written files that were removed.
    pub drafts_removed: u64,
    /// Grants that had stopped opening a day ago.
    pub grants_forgotten: u64,
    /// Data keys that moved on from the key of a week which is long over.
    pub keys_moved: u64,
    /// Keys of weeks that nothing needed any more, and that were destroyed.
    pub week_keys_destroyed: u64,
    /// What could not be done, and is tried again by the next sweep.
    pub failed: u64,
    /// There was more to do than this sweep was allowed.
    pub more: bool,
}

/// What lies where the rows do not know of it, or does not lie where they say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReconcileReport {
    /// Objects that were looked at.
    pub objects: u64,
    /// Rows with objects that were looked at.
    pub rows: u64,
    /// Objects that no row needs, at most 1000.
    pub orphans: Vec<String>,
    /// Records whose object is missing, at most 1000.
    pub missing: Vec<QuarantineId>,
    /// Records whose wrapped key is missing, or what wraps it, at most 1000.
    pub keyless: Vec<QuarantineId>,
    /// Orphans that the next sweep will delete.
    pub condemned: u64,
    /// There were more than are listed.
    pub truncated: bool,
}

const LISTED_MAX: u32 = 1000;
const PAGE: u32 = 500;
/// Records that are expired or shredded in one transaction.
const BATCH: u32 = 50;
const DAY: Duration = Duration::from_hours(24);

impl Vault {
    /// Does what is due: expires what nobody decided, settles stores that were cut short, destroys keys whose grace is
    /// over, deletes objects whose key is destroyed, forgets old grants, destroys keys of weeks that nothing needs. At most `at_most` of each, and nothing new
    /// after `until`. Two at once do no harm, and what one could not do the next tries again.
    ///
    /// # Errors
    ///
    /// If the database is away. What fails for one record alone is counted.
    pub async fn sweep(
        &self,
        at_most: NonZeroU32,
        until: Option<Timestamp>,
    ) -> Result<SweepReport, QuarantineError> {
        let mut report = SweepReport::default();
        let actor = Actor::system("sweep").ok().ok_or(QuarantineError::Stopped)?;
        let steps = [
            (Due::Expiry, self.now()),
            (Due::Settlement, self.now().minus(self.0.config.upload_budget)),
            (Due::Shredding, self.now()),
        ];
        for (what, at) in steps {
            let sweep = Sweep { what, at, until, actor: &actor };
            let is_late = match what {
                Due::Settlement => self.settle_due(&sweep, at_most.get(), &mut report).await?,
                Due::Expiry | Due::Shredding => self.end_due(&sweep, at_most.get(), &mut report).await?,
            };
            if is_late {
                report.more = true;
                return Ok(report);
            }
        }
        self.bury(at_most, &mut report).await?;
        let tx = self.0.db.begin().await?;
        report.grants_forgotten = grants::forget(&tx, self.now().minus(DAY), at_most.get()).await?;
        tx.commit().await?;
        self.sweep_week_keys(&actor, at_most.get(), &mut report).await?;
        match self.0.objects.tidy(self.now().minus(self.0.config.upload_budget)).await {
            Ok(removed) => report.drafts_removed = removed,
            Err(error) => {
                report.failed += 1;
                tracing::warn!(code = error.code(), "half-written files could not be removed");
            }
        }
        Ok(report)
    }

    /// Settles stores that were cut short, each by itself; says whether it became late before it was through.
    async fn settle_due(
        &self,
        sweep: &Sweep<'_>,
        at_most: u32,
        report: &mut SweepReport,
    ) -> Result<bool, QuarantineError> {
        let ids = records::due(&self.0.db.read(), sweep.what, sweep.at, at_most).await?;
        report.more |= ids.len() >= at_most as usize;
        for id in ids {
            if sweep.is_late(self.now()) {
                return Ok(true);
            }
            match self.settle_one(id).await {
                Ok(Settled::Held) => report.finished += 1,
                Ok(Settled::GivenUp) => report.aborted += 1,
                // Somebody else was faster.
                Ok(Settled::Elsewhere) | Err(QuarantineError::NotFound { .. }) => {}
                Err(error) => failed(&id.to_string(), error, report)?,
            }
        }
        Ok(false)
    }

    async fn settle_one(&self, id: QuarantineId) -> Result<Settled, QuarantineError> {
        let row = records::load(&self.0.db.read(), id).await?.ok_or(QuarantineError::NotFound { id })?;
        if row.blob_state()? != BlobState::Pending {
            return Ok(Settled::Elsewhere);
        }
        let settled = self.settle(&row).await?;
        fail_point!("sweep.after-settle");
        Ok(settled)
    }

    /// Expires or shreds what is due, some in one transaction. Sweeps at once pass over what another has in hand. Says
    /// whether it became late before it was through.
    async fn end_due(
        &self,
        sweep: &Sweep<'_>,
        at_most: u32,
        report: &mut SweepReport,
    ) -> Result<bool, QuarantineError> {
        // Nobody is held up by a look.
        if records::due(&self.0.db.read(), sweep.what, sweep.at, 1).await?.is_empty() {
            return Ok(false);
        }
        let (mut left, mut size, mut after) = (at_most, BATCH, (i64::MIN, String::new()));
        while left > 0 {
            let tx = self.0.db.begin().await?;
            let wanted = left.min(size);
            let rows = records::take_due(&tx, sweep.what, sweep.at, after.clone(), wanted).await?;
            let Some(last) = rows.last() else { return Ok(false) };
            if sweep.is_late(self.now()) {
                return Ok(true);
            }
            let (taken, last) = (u32::try_from(rows.len()).unwrap_or(wanted), sweep.what.place(last));
            match self.end_batch(tx, sweep, &rows, report).await {
                Ok(()) => {}
                Err(error) if error.is_transient() => return Err(error),
                // What a table refuses undoes the whole transaction: each by itself, then.
                Err(_) if size > 1 => {
                    size = 1;
                    continue;
                }
                Err(error) => failed(&last.1, error, report)?,
            }
            (left, after) = (left.saturating_sub(taken), last);
            if taken < wanted {
                return Ok(false);
            }
        }
        report.more = true;
        Ok(false)
    }

    async fn end_batch(
        &self,
        tx: Tx,
        sweep: &Sweep<'_>,
        rows: &[StoredRow],
        report: &mut SweepReport,
    ) -> Result<(), QuarantineError> {
        let (mut done, mut counted) = (0, *report);
        for from in rows {
            let ended = match sweep.what {
                Due::Expiry => self.expire(&tx, from, sweep.actor).await,
                Due::Settlement | Due::Shredding => {
                    self.shred_row(&tx, from, sweep.actor).await.map(|to| to.is_some())
                }
            };
            match ended {
                Ok(ended) => done += u64::from(ended),
                Err(error @ QuarantineError::Database(_)) => return Err(error),
                Err(error) => failed(&from.id, error, &mut counted)?,
            }
        }
        tx.commit().await?;
        match sweep.what {
            Due::Expiry => {
                counted.expired += done;
                fail_point!("sweep.after-expire");
            }
            Due::Settlement | Due::Shredding => {
                counted.shredded += done;
                fail_point!("sweep.after-shred");
            }
        }
        *report = counted;
        Ok(())
    }

    /// Expires a row, and says whether it was still to be.
    async fn expire(&self, tx: &Tx, from: &StoredRow, by: &Actor) -> Result<bool, QuarantineError> {
        self.check_state(from.state_mac.as_deref(), &from.state(), from.id()?).await?;
        let (now, mut to) = (self.now(), from.clone());
        Status::Expired.as_str().clone_into(&mut to.status);
        to.version += 1;
        to.updated_at = now.as_micros();
        to.shred_at = Some(now.plus(self.0.config.grace).as_micros());
        let event = AuditEvent::new(EventKind::RecordExpired, by.clone(), now)
            .with("status", Status::Expired.as_str())?
            .with("version", to.version)?;
        let event = self.sign(&mut to, event).await?;
        let is_changed = records::change(tx, from, &to, &Guard::idle(now)).await?;
        if is_changed {
            outbox::put(tx, &event).await?;
        }
        Ok(is_changed)
    }

    /// Destroys the key of a decided content whose grace is over: from then on its bytes say nothing, wherever they are.
    pub(super) async fn shred(
        &self,
        id: QuarantineId,
        by: &Actor,
    ) -> Result<QuarantineRecord, QuarantineError> {
        let tx = self.0.db.begin().await?;
        let from = records::load_locked(&tx, id).await?.ok_or(QuarantineError::NotFound { id })?;
        let Some(to) = self.shred_row(&tx, &from, by).await? else {
            return Err(self.why_not(&tx, &from, &Guard::NO_LEGAL_HOLD).await?);
        };
        fail_point!("sweep.before-shred");
        tx.commit().await?;
        fail_point!("sweep.after-shred");
        to.record()
    }

    /// The same for one row, which is locked; `None` if a legal hold keeps it.
    async fn shred_row(
        &self,
        tx: &Tx,
        from: &StoredRow,
        by: &Actor,
    ) -> Result<Option<StoredRow>, QuarantineError> {
        let (id, now, current) = (from.id()?, self.now(), from.status()?);
        self.check_state(from.state_mac.as_deref(), &from.state(), id).await?;
        if from.blob_state()? != BlobState::Present || current.is_open() {
            return Err(QuarantineError::Conflict { id, current });
        }
        let mut to = from.clone();
        BlobState::Shredded.as_str().clone_into(&mut to.blob_state);
        to.encryption_key_id = None;
        to.content_hmac = None;
        to.inline_ciphertext = None;
        to.version += 1;
        to.updated_at = now.as_micros();
        let event = AuditEvent::new(EventKind::RecordPurged, by.clone(), now)
            .with("status", current.as_str())?
            .with("version", to.version)?;
        let event = self.sign(&mut to, event).await?;
        if !records::change(tx, from, &to, &Guard::NO_LEGAL_HOLD).await? {
            return Ok(None);
        }
        keys::destroy(tx, &from.id).await?;
        if let Some(key) = &from.s3_key {
            tombstones::insert(tx, key, now, now).await?;
        }
        outbox::put(tx, &event).await?;
        Ok(Some(to))
    }

    /// Deletes objects that are to go. Each answer is looked at by itself.
    async fn bury(&self, at_most: NonZeroU32, report: &mut SweepReport) -> Result<(), QuarantineError> {
        let now = self.now();
        if !tombstones::is_due(&self.0.db.read(), now).await? {
            return Ok(());
        }
        let tx = self.0.db.begin().await?;
        let due = tombstones::take(&tx, now, at_most.get()).await?;
        // Objects take their time, and no transaction is open meanwhile.
        tx.commit().await?;
        report.more |= due.len() >= at_most.get() as usize;
        let keys: Vec<ObjectKey> = due.iter().map(|tombstone| tombstone.key.clone()).collect();
        let mut answers = self.0.objects.delete(&keys).await.into_iter();
        fail_point!("sweep.after-delete");
        let tx = self.0.db.begin().await?;
        for tombstone in &due {
            match answers.next() {
                Some(Ok(())) => {
                    tombstones::gone(&tx, tombstone, now).await?;
                    report.objects_deleted += 1;
                }
                // No answer is no yes.
                answer => {
                    tombstones::postpone(&tx, tombstone, now).await?;
                    report.failed += 1;
                    let code = answer.and_then(Result::err).map_or("none", |error| error.code());
                    tracing::warn!(key = %tombstone.key, code, "an object could not be deleted");
                }
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Compares objects with rows, both ways. With `condemn`, objects that no row needs are deleted by the next sweep;
    /// without, they are only listed: after a database was restored from a backup they may be newer than it.
    pub async fn reconcile(&self, condemn: bool) -> Result<ReconcileReport, QuarantineError> {
        let (mut report, read) = (ReconcileReport::default(), self.0.db.read());
        let mut after: Option<ObjectKey> = None;
        loop {
            let keys =
                self.0.objects.list(after.as_ref(), PAGE as usize).await.map_err(port("list objects"))?;
            let Some(last) = keys.last() else { break };
            after = Some(last.clone());
            for key in keys {
                report.objects += 1;
                // A row is always older than its object, so an object without one is nobody's.
                if tombstones::is_known(&read, &key).await? {
                    continue;
                }
                if condemn {
                    let (tx, now) = (self.0.db.begin().await?, self.now());
                    tombstones::insert(&tx, key.as_str(), now, now).await?;
                    tx.commit().await?;
                    report.condemned += 1;
                }
                report.list(|r| &mut r.orphans, key.to_string());
            }
        }
        for id in keys::missing(&read, LISTED_MAX + 1).await? {
            report.list(|r| &mut r.keyless, id);
        }
        for id in self.without_week_key(LISTED_MAX + 1).await? {
            report.list(|r| &mut r.keyless, id);
        }
        let mut after = String::new();
        loop {
            let rows = tombstones::needed(&read, &after, PAGE).await?;
            let Some((last, _)) = rows.last() else { break };
            after.clone_from(last);
            for (key, id) in rows {
                report.rows += 1;
                if self.is_missing(&key).await?
                    && let Ok(id) = id.parse::<QuarantineId>()
                    && self.row(id).await.is_ok_and(|row| row.blob_state == BlobState::Present.as_str())
                {
                    report.list(|r| &mut r.missing, id);
                }
            }
        }
        Ok(report)
    }

    /// Whether there is no object of this name; asks for no more than its first byte.
    async fn is_missing(&self, key: &str) -> Result<bool, QuarantineError> {
        let Ok(key) = key.parse::<ObjectKey>() else { return Ok(true) };
        match self.0.objects.get(&key, 1).await {
            Ok(found) => Ok(found.is_none()),
            Err(error) if error.kind() == FaultKind::TooLarge => Ok(false),
            Err(source) => Err(QuarantineError::Port { act: "read an object", source }),
        }
    }
}

/// One thing that a sweep does.
struct Sweep<'a> {
    what: Due,
    /// What is due by then.
    at: Timestamp,
    /// Nothing new is begun after it.
    until: Option<Timestamp>,
    actor: &'a Actor,
}

impl Sweep<'_> {
    fn is_late(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now > until)
    }
}

/// Counts what could not be done, unless nothing can be.
fn failed(id: &str, error: QuarantineError, report: &mut SweepReport) -> Result<(), QuarantineError> {
    if matches!(error, QuarantineError::Database(_)) && error.is_transient() {
        return Err(error);
    }
    report.failed += 1;
    tracing::error!(id, code = error.code(), "something that was due could not be done");
    Ok(())
}

impl ReconcileReport {
    fn list<T>(&mut self, into: impl Fn(&mut Self) -> &mut Vec<T>, item: T) {
        if into(self).len() < LISTED_MAX as usize {
            into(self).push(item);
        } else {
            self.truncated = true;
        }
    }
}
