//! What happens when the database does not take a batch: it is kept, and taken up again when the database is back.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use clawexchange_database::outbox;
use clawexchange_ssg_core::{Actor, AuditEvent, EventKind, Fault as _, FaultKind, Target};
use ring::digest;

use crate::error::AuditError;
use crate::leaf::Log;
use crate::log::{AuditLog, Inner};
use crate::spool::{Segment, Spool, SpoolStatus};
use crate::store::Together;

/// How often it is tried to empty the spool.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Events that are replayed in one transaction, at least one batch.
const EVENTS_AT_ONCE: usize = 4000;

/// Why a batch was not committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    /// The database is away, or lacks something; later it may have it.
    NotNow,
    /// Something in it is refused.
    Refused,
    /// The log itself is not as it should be.
    Broken,
}

fn why(error: &AuditError) -> Why {
    match error.kind() {
        FaultKind::Conflict | FaultKind::Internal | FaultKind::TooLarge | FaultKind::Invalid => Why::Refused,
        FaultKind::Integrity => Why::Broken,
        _ => Why::NotNow,
    }
}

/// Whether it is for what is in the events.
pub(crate) fn is_refusal(error: &AuditError) -> bool {
    why(error) == Why::Refused
}

/// The names of the two halves of a batch: derived, so that a half that was appended before a crash is known again.
fn halves(batch: &Together) -> Option<[Together; 2]> {
    let (left, right) = batch.events.split_at_checked(batch.events.len() / 2)?;
    if left.is_empty() {
        return None;
    }
    let named = |half: u8, events: &[AuditEvent]| Together {
        uuid: derived(&[&batch.uuid, &[half]]),
        log: batch.log,
        events: events.to_vec(),
    };
    Some([named(0, left), named(1, right)])
}

fn derived(parts: &[&[u8]]) -> [u8; 16] {
    let hash = digest::digest(&digest::SHA256, &parts.concat());
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

impl AuditLog {
    /// What waits in the spool; `None` if there is none.
    pub async fn spool_status(&self) -> Result<Option<SpoolStatus>, AuditError> {
        if self.0.spool.is_none() {
            return Ok(None);
        }
        self.with_spool(|spool| spool.status()).await.map(Some)
    }

    /// How many bytes wait in the spool, without looking at the disk.
    pub fn spool_bytes(&self) -> u64 {
        let spool = self.0.spool.as_ref();
        spool.map_or(0, |spool| spool.lock().unwrap_or_else(PoisonError::into_inner).bytes())
    }

    fn has_spool(&self) -> bool {
        self.0.spool.is_some()
    }

    /// Whether a batch that the database does not take now can be kept.
    pub fn can_keep(&self) -> bool {
        let spool = self.0.spool.as_ref();
        spool.is_some_and(|spool| spool.lock().unwrap_or_else(PoisonError::into_inner).has_room())
    }

    /// Does something with the spool where waiting for a disk holds up nobody.
    async fn with_spool<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Spool) -> Result<T, AuditError> + Send + 'static,
    ) -> Result<T, AuditError> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let spool = inner.spool.as_ref().ok_or(AuditError::Stopped)?;
            what(&mut spool.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.unwrap_or(Err(AuditError::Stopped))
    }

    /// Commits a batch of events that callers wait for, or sees to it that it is kept. Gives what to tell each of them.
    pub(crate) async fn commit_or_keep(&self, batch: Together) -> Vec<Result<(), Arc<AuditError>>> {
        let count = batch.events.len();
        let error = match self.commit_named(&batch).await {
            Ok(()) => return vec![Ok(()); count],
            Err(error) => error,
        };
        match why(&error) {
            Why::NotNow if self.has_spool() => {
                let kept = self.with_spool(move |spool| spool.append(&batch)).await;
                self.replay_soon();
                if let Err(unkept) = &kept {
                    tracing::error!(error = %unkept, "events could neither be logged nor kept");
                }
                vec![kept.map_err(Arc::new); count]
            }
            // One event may spoil it for the others: each half by itself, down to the one.
            Why::Refused => match halves(&batch) {
                Some([left, right]) => {
                    let mut told = Box::pin(self.commit_or_keep(left)).await;
                    told.extend(Box::pin(self.commit_or_keep(right)).await);
                    told
                }
                None => vec![Err(Arc::new(error)); count],
            },
            _ => vec![Err(Arc::new(error)); count],
        }
    }

    /// Sees to it that the spool is emptied as soon as that can be done.
    pub(crate) fn replay_soon(&self) {
        let Some(spool) = &self.0.spool else { return };
        let is_empty = spool.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if !is_empty && !self.0.is_replaying.swap(true, Ordering::AcqRel) {
            tokio::spawn(replay_until_empty(Arc::downgrade(&self.0)));
        }
    }

    /// Moves what is in the spool into the log: all of it, or up to a failure. Gives how many events that were.
    pub async fn replay_spool(&self) -> Result<u64, AuditError> {
        let _turn = self.0.replaying.lock().await;
        let mut replayed = 0;
        while let Some(segment) = self.with_spool(Spool::oldest).await? {
            replayed += self.replay(&segment).await?;
            self.with_spool(move |spool| spool.delete(&segment)).await?;
        }
        Ok(replayed)
    }

    async fn replay(&self, segment: &Segment) -> Result<u64, AuditError> {
        let (mut replayed, mut batches) = (0, segment.batches.as_slice());
        while !batches.is_empty() {
            let mut events = 0;
            let fits = |batch: &&Together| {
                let fits = events == 0 || events + batch.events.len() <= EVENTS_AT_ONCE;
                events += batch.events.len();
                fits
            };
            let count = batches.iter().take_while(fits).count();
            let (some, rest) = batches.split_at_checked(count).unwrap_or((batches, &[]));
            match self.commit_missing(some).await {
                Ok(()) => {}
                Err(error) if is_refusal(&error) => {
                    for batch in some {
                        self.replay_piecemeal(batch).await?;
                    }
                }
                Err(error) => return Err(error),
            }
            replayed += some.iter().map(|batch| batch.events.len() as u64).sum::<u64>();
            batches = rest;
        }
        Ok(replayed)
    }

    /// Replays a batch in which something is refused: each half by itself, down to the event that it is, which is set
    /// aside once the log has an event that says so. If the log does not take that one either, it is not for the event.
    async fn replay_piecemeal(&self, batch: &Together) -> Result<(), AuditError> {
        let error = match self.commit_missing(std::slice::from_ref(batch)).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if why(&error) != Why::Refused {
            return Err(error);
        }
        if let Some(halves) = halves(batch) {
            for half in &halves {
                Box::pin(self.replay_piecemeal(half)).await?;
            }
            return Ok(());
        }
        let Some(event) = batch.events.first() else { return Ok(()) };
        tracing::error!(event = %event.id(), code = error.code(), "the log refuses an event of the spool; it is set aside");
        let gap = Together {
            uuid: derived(&[&batch.uuid, b"gap"]),
            log: Log::Decisions,
            events: vec![self.gap(event, &error)],
        };
        self.commit_missing(&[gap]).await?;
        let lost = event.clone();
        self.with_spool(move |spool| spool.set_aside(&lost)).await
    }

    /// Moves the outbox into the log when something in it is refused: one event at a time, and the one that it is
    /// stays in the outbox, set aside, beside an event that says so.
    pub(crate) async fn drain_piecemeal(&self) -> Result<(), AuditError> {
        loop {
            let tx = self.0.db.begin().await?;
            let taken = outbox::take(&tx, 1).await?;
            let Some(event) = taken.first().cloned() else { return Ok(()) };
            let error = match self.append_and_commit(tx, &Together::of(taken)).await {
                Ok(()) => continue,
                Err(error) if is_refusal(&error) => error,
                Err(error) => return Err(error),
            };
            tracing::error!(event = %event.id(), code = error.code(), "the log refuses an event of the outbox; it is set aside");
            let tx = self.0.db.begin().await?;
            // Another process may have come upon it in between.
            if outbox::set_aside(&tx, &event).await? {
                let gap = self.gap(&event, &error);
                self.append_and_commit(tx, &Together::of(vec![gap])).await?;
            }
        }
    }

    /// Says that an event is missing in the log, and which.
    fn gap(&self, event: &AuditEvent, error: &AuditError) -> AuditEvent {
        let actor = Actor::system("audit-log").unwrap_or_else(|_| event.actor().clone());
        let gap = AuditEvent::new(EventKind::AuditGap, actor, self.0.clock.now())
            .on(Target::new("event", event.id()));
        let with = |gap: AuditEvent, name, value: &str| gap.clone().with(name, value).unwrap_or(gap);
        let gap = with(gap, "eventType", event.kind().as_str());
        with(gap, "code", error.code())
    }
}

async fn replay_until_empty(log: Weak<Inner>) {
    loop {
        tokio::time::sleep(TRY_EVERY).await;
        let Some(inner) = log.upgrade() else { return };
        let log = AuditLog(inner);
        if log.0.db.is_away() {
            continue;
        }
        match log.replay_spool().await {
            Ok(replayed) => {
                log.0.is_replaying.store(false, Ordering::Release);
                tracing::info!(replayed, "the spool was emptied into the log");
                // Something may have come in between.
                log.replay_soon();
                return;
            }
            Err(error) => tracing::warn!(code = error.code(), %error, "the spool could not be emptied yet"),
        }
    }
}
