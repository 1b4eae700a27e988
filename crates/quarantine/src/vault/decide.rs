//! Deciding: released, deleted, left to a person, brought back.

use std::time::Duration;

use clawexchange_database::outbox;
use clawexchange_ssg_core::{Actor, ActorType, AuditEvent, EventKind, QuarantineId, fail_point};

use super::claims::signed;
use super::{ADOPTED_POLICY, Vault};
use crate::error::QuarantineError;
use crate::record::{Note, QuarantineRecord, Reason};
use crate::records::claims::claimant;
use crate::records::{self, ClaimGuard, Guard, StoredRow, legal};
use crate::status::{BlobState, Status};

/// What is to become of a record, and why.
#[derive(Clone, Debug)]
#[must_use]
pub struct Ruling {
    to: Status,
    reason: Reason,
    note: Option<Note>,
    fence: Option<u64>,
    meta: Vec<(&'static str, serde_json::Value)>,
}

impl Ruling {
    /// It may be published.
    pub const fn release(reason: Reason) -> Self {
        Self::new(Status::Released, reason)
    }

    /// It must not be published.
    pub const fn delete(reason: Reason) -> Self {
        Self::new(Status::Deleted, reason)
    }

    /// A person has to decide.
    pub const fn escalate(reason: Reason) -> Self {
        Self::new(Status::UnderReview, reason)
    }

    const fn new(to: Status, reason: Reason) -> Self {
        Self { to, reason, note: None, fence: None, meta: Vec::new() }
    }

    /// The same, with what somebody wrote.
    pub fn noted(mut self, note: Option<&Note>) -> Self {
        self.note = note.cloned();
        self
    }

    /// The same, by who holds the claim of this number.
    pub const fn fenced(mut self, fence: Option<u64>) -> Self {
        self.fence = fence;
        self
    }

    /// The same, with one more detail for the log: a text or an integer, of no person.
    pub fn with(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.meta.push((name, value.into()));
        self
    }
}

/// How a record comes from one state to the next.
struct Turn<'a> {
    to: Status,
    by: &'a Actor,
    kind: EventKind,
    reason: Option<Reason>,
    note: Option<&'a Note>,
    meta: &'a [(&'static str, serde_json::Value)],
    grace: Option<Duration>,
    guard: Guard,
}

impl Vault {
    /// Decides about a record as `ruling` says.
    ///
    /// Programs decide only about what is QUARANTINED, and they alone escalate. What somebody else has claimed is
    /// refused while the lease of that lives; without a claim of its own on a record that nobody claimed, a decision
    /// stands. A ruling that is [`fenced`](Ruling::fenced) stands only while its claim does: until somebody else takes
    /// the record, even if the lease ran out meanwhile.
    pub async fn decide(
        &self,
        id: QuarantineId,
        by: &Actor,
        ruling: &Ruling,
    ) -> Result<QuarantineRecord, QuarantineError> {
        self.turn(id, self.turned(by, ruling, self.0.config.grace)?).await
    }

    /// Releases content: it may be published, and stays readable while its grace lasts.
    pub async fn release(
        &self,
        id: QuarantineId,
        by: &Actor,
        reason: Reason,
        note: Option<&Note>,
    ) -> Result<QuarantineRecord, QuarantineError> {
        self.decide(id, by, &Ruling::release(reason).noted(note)).await
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
            let ruling = Ruling::delete(reason).noted(note);
            let grace = if now { Duration::ZERO } else { self.0.config.grace };
            self.turn(id, self.turned(by, &ruling, grace)?).await?
        };
        if now {
            record = self.shred(id, by).await?;
        }
        Ok(record)
    }

    /// Leaves content to a person: a program does, with what nobody has looked at yet.
    pub async fn escalate(
        &self,
        id: QuarantineId,
        by: &Actor,
        reason: Reason,
    ) -> Result<QuarantineRecord, QuarantineError> {
        self.decide(id, by, &Ruling::escalate(reason)).await
    }

    /// Brings deleted or expired content back for review, while its grace lasts.
    pub async fn restore(
        &self,
        id: QuarantineId,
        by: &Actor,
        why: &Note,
    ) -> Result<QuarantineRecord, QuarantineError> {
        let turn = Turn {
            to: Status::UnderReview,
            by,
            kind: EventKind::RecordRestored,
            reason: None,
            note: Some(why),
            meta: &[],
            grace: None,
            guard: Guard::NONE,
        };
        self.turn(id, turn).await
    }

    /// What a ruling comes to, in the hands of who rules.
    fn turned<'a>(
        &self,
        by: &'a Actor,
        ruling: &'a Ruling,
        grace: Duration,
    ) -> Result<Turn<'a>, QuarantineError> {
        let is_bot = by.kind == ActorType::Bot;
        let kind = match ruling.to {
            Status::Released if is_bot => EventKind::BotRelease,
            Status::Released => EventKind::HumanRelease,
            Status::Deleted if is_bot => EventKind::BotDelete,
            Status::Deleted => EventKind::HumanDelete,
            _ if is_bot => EventKind::BotEscalate,
            _ => return Err(QuarantineError::ProgramsOnly),
        };
        let who = claimant(by);
        let claim = match ruling.fence {
            None => ClaimGuard::NobodyElse { by: who, now: self.now() },
            Some(fence) => ClaimGuard::Fenced { by: who, fence: signed(fence) },
        };
        Ok(Turn {
            to: ruling.to,
            by,
            kind,
            reason: Some(ruling.reason),
            note: ruling.note.as_ref(),
            meta: &ruling.meta,
            grace: (ruling.to != Status::UnderReview).then_some(grace),
            guard: Guard { no_legal_hold: ruling.to == Status::Deleted, claim },
        })
    }

    async fn turn(&self, id: QuarantineId, turn: Turn<'_>) -> Result<QuarantineRecord, QuarantineError> {
        let from = self.row(id).await?;
        let (now, current) = (self.now(), from.status()?);
        let is_restored = turn.kind == EventKind::RecordRestored;
        let may = if is_restored {
            // Only what was deleted or expired comes back by this door.
            !current.is_open()
        } else if turn.by.kind == ActorType::Bot {
            // What a person was asked to look at is not a program's any more.
            current == Status::Quarantined
        } else {
            current.is_open()
        };
        if !may || !current.may_become(turn.to) {
            return Err(QuarantineError::Conflict { id, current });
        }
        if is_restored && from.policy == ADOPTED_POLICY {
            return Err(QuarantineError::NeverKept { id });
        }
        if is_restored && (from.blob_state()? == BlobState::Shredded || self.is_over(&from).await?) {
            return Err(QuarantineError::Gone { id });
        }
        let mut to = from.clone();
        turn.to.as_str().clone_into(&mut to.status);
        to.version += 1;
        to.updated_at = now.as_micros();
        to.reviewed_by = Some(turn.by.id.as_str().to_owned());
        to.reviewed_at = Some(now.as_micros());
        to.reason = turn.reason.map(|reason| reason.as_str().to_owned());
        to.review_notes = turn.note.map(|note| note.as_str().to_owned());
        to.shred_at = turn.grace.map(|grace| now.plus(grace).as_micros());
        if is_restored {
            to.expires_at = now.plus(self.0.config.expiry).as_micros();
        }
        // What the caller adds comes first, so that it cannot take the place of what is said here.
        let mut event = AuditEvent::new(turn.kind, turn.by.clone(), now);
        for (name, value) in turn.meta {
            event = event.with(name, value.clone())?;
        }
        event = event
            .with("status", turn.to.as_str())?
            .with("version", to.version)?
            .with_some("reason", turn.reason.map(Reason::as_str))?;
        if let Some(note) = turn.note {
            event = event.with_personal("note", note.as_str())?;
        }
        self.commit(&from, to, event, &turn.guard).await
    }

    /// Changes a row from what was read, together with its event.
    pub(super) async fn commit(
        &self,
        from: &StoredRow,
        mut to: StoredRow,
        event: AuditEvent,
        guard: &Guard,
    ) -> Result<QuarantineRecord, QuarantineError> {
        let event = self.sign(&mut to, event).await?;
        let tx = self.0.db.begin().await?;
        if guard.no_legal_hold {
            records::lock(&tx, &from.id).await?;
        }
        if !records::change(&tx, from, &to, guard).await? {
            return Err(self.why_not(&tx, from, guard).await?);
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
