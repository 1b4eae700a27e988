//! Deciding: released, deleted, brought back.

use std::time::Duration;

use clawexchange_database::outbox;
use clawexchange_ssg_core::{Actor, ActorType, AuditEvent, EventKind, QuarantineId, fail_point};

use super::Vault;
use crate::error::QuarantineError;
use crate::record::{Note, QuarantineRecord, Reason};
use crate::records::{self, Guard, StoredRow, legal};
use crate::status::{BlobState, Status};

/// What is to become of a record.
struct Decision<'a> {
    to: Status,
    by: &'a Actor,
    kind: EventKind,
    reason: Option<Reason>,
    note: Option<&'a Note>,
    grace: Option<Duration>,
    guard: Guard,
}

impl Vault {
    /// Releases content: it may be published, and stays readable while its grace lasts.
    pub async fn release(
        &self,
        id: QuarantineId,
        by: &Actor,
        reason: Reason,
        note: Option<&Note>,
    ) -> Result<QuarantineRecord, QuarantineError> {
        let decision = Decision {
            to: Status::Released,
            by,
            kind: of_actor(by, EventKind::BotRelease, EventKind::HumanRelease),
            reason: Some(reason),
            note,
            grace: Some(self.0.config.grace),
            guard: Guard::None,
        };
        self.decide(id, decision).await
    }

    /// Deletes content: it is not shown any more. Its key is destroyed when its grace is over, or at once if `now`;
    /// `now` also ends the grace of content that is deleted already. Refused while a legal hold is in force.
    pub async fn delete(
        &self,
        id: QuarantineId,
        by: &Actor,
        reason: Reason,
        note: Option<&Note>,
        now: bool,
    ) -> Result<QuarantineRecord, QuarantineError> {
        let row = self.row(id).await?;
        let is_deleted = row.status()? == Status::Deleted && row.blob_state()? == BlobState::Present;
        let mut record = if now && is_deleted {
            row.record()?
        } else {
            let decision = Decision {
                to: Status::Deleted,
                by,
                kind: of_actor(by, EventKind::BotDelete, EventKind::HumanDelete),
                reason: Some(reason),
                note,
                grace: Some(if now { Duration::ZERO } else { self.0.config.grace }),
                guard: Guard::NoLegalHold,
            };
            self.decide(id, decision).await?
        };
        if now {
            record = self.shred(id, by).await?;
        }
        Ok(record)
    }

    /// Brings deleted or expired content back for review, while its grace lasts.
    pub async fn restore(
        &self,
        id: QuarantineId,
        by: &Actor,
        why: &Note,
    ) -> Result<QuarantineRecord, QuarantineError> {
        let decision = Decision {
            to: Status::UnderReview,
            by,
            kind: EventKind::RecordRestored,
            reason: None,
            note: Some(why),
            grace: None,
            guard: Guard::None,
        };
        self.decide(id, decision).await
    }

    async fn decide(
        &self,
        id: QuarantineId,
        decision: Decision<'_>,
    ) -> Result<QuarantineRecord, QuarantineError> {
        let from = self.row(id).await?;
        let (now, current) = (self.now(), from.status()?);
        let is_restored = decision.to == Status::UnderReview;
        // Only what was deleted or expired comes back by this door.
        if !current.may_become(decision.to) || (is_restored && current.is_open()) {
            return Err(QuarantineError::Conflict { id, current });
        }
        if is_restored && (from.blob_state()? == BlobState::Shredded || self.is_over(&from).await?) {
            return Err(QuarantineError::Gone { id });
        }
        let mut to = from.clone();
        decision.to.as_str().clone_into(&mut to.status);
        to.version += 1;
        to.updated_at = now.as_micros();
        to.reviewed_by = Some(decision.by.id.as_str().to_owned());
        to.reviewed_at = Some(now.as_micros());
        to.reason = decision.reason.map(|reason| reason.as_str().to_owned());
        to.review_notes = decision.note.map(|note| note.as_str().to_owned());
        to.shred_at = decision.grace.map(|grace| now.plus(grace).as_micros());
        if is_restored {
            to.expires_at = now.plus(self.0.config.expiry).as_micros();
        }
        let mut event = AuditEvent::new(decision.kind, decision.by.clone(), now)
            .with("status", decision.to.as_str())?
            .with("version", to.version)?
            .with_some("reason", decision.reason.map(Reason::as_str))?;
        if let Some(note) = decision.note {
            event = event.with_personal("note", note.as_str())?;
        }
        self.commit(&from, to, event, decision.guard).await
    }

    /// Changes a row from what was read, together with its event.
    pub(super) async fn commit(
        &self,
        from: &StoredRow,
        mut to: StoredRow,
        event: AuditEvent,
        guard: Guard,
    ) -> Result<QuarantineRecord, QuarantineError> {
        let event = self.sign(&mut to, event).await?;
        let tx = self.0.db.begin().await?;
        if !records::change(&tx, from, &to, guard).await? {
            return Err(self.why_not(&tx, from).await?);
        }
        outbox::put(&tx, &event).await?;
        fail_point!("decide.before-commit");
        tx.commit().await?;
        fail_point!("decide.after-commit");
        to.record()
    }

    /// Whether the grace of a decided record is over. A legal hold keeps it from ending.
    async fn is_over(&self, row: &StoredRow) -> Result<bool, QuarantineError> {
        let due = row.shred_at.is_some_and(|at| at <= self.now().as_micros());
        let hold = legal::load(&self.0.db.read(), &row.id).await?;
        Ok(due && !hold.is_some_and(|hold| hold.is_in_force()))
    }
}

/// The log tells programs from people.
fn of_actor(by: &Actor, bot: EventKind, human: EventKind) -> EventKind {
    if by.kind == ActorType::Bot { bot } else { human }
}
