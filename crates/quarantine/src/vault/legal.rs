//! Legal holds: content is kept, whatever else is decided or due.

use clawexchange_database::{STATE, outbox};
use clawexchange_ssg_core::{Actor, AuditEvent, EventKind, QuarantineId, Target};

use super::Vault;
use crate::error::QuarantineError;
use crate::record::Note;
use crate::records;
use crate::records::legal::{self, HoldRow};
use crate::status::BlobState;

/// What the events of a legal hold have as their target, with the id of the record.
pub(super) const LEGAL_HOLD: &str = "legal-hold";

impl Vault {
    /// Forbids that content be deleted, expire, or lose its key, until the hold is lifted.
    pub async fn place_legal_hold(
        &self,
        id: QuarantineId,
        by: &Actor,
        why: &Note,
    ) -> Result<(), QuarantineError> {
        if self.row(id).await?.blob_state()? == BlobState::Shredded {
            return Err(QuarantineError::Gone { id });
        }
        let before = self.legal_hold(id).await?;
        if before.as_ref().is_some_and(HoldRow::is_in_force) {
            return Err(QuarantineError::LegalHold { id });
        }
        let version = before.map_or(0, |hold| hold.version);
        let row = HoldRow {
            record_id: id.to_string(),
            placed_by: by.id.as_str().to_owned(),
            placed_at: self.now().as_micros(),
            reason: why.as_str().to_owned(),
            lifted_by: None,
            lifted_at: None,
            lift_reason: None,
            version: version + 1,
            state_mac: String::new(),
        };
        self.put_legal_hold(id, by, EventKind::HoldPlaced, row, why).await
    }

    /// Lifts a legal hold: what is due becomes due again.
    pub async fn lift_legal_hold(
        &self,
        id: QuarantineId,
        by: &Actor,
        why: &Note,
    ) -> Result<(), QuarantineError> {
        self.row(id).await?;
        let before = self.legal_hold(id).await?.filter(HoldRow::is_in_force);
        let before = before.ok_or(QuarantineError::NoLegalHold { id })?;
        let row = HoldRow {
            lifted_by: Some(by.id.as_str().to_owned()),
            lifted_at: Some(self.now().as_micros()),
            lift_reason: Some(why.as_str().to_owned()),
            version: before.version + 1,
            ..before
        };
        self.put_legal_hold(id, by, EventKind::HoldLifted, row, why).await
    }

    /// Whether a legal hold is in force for a record.
    pub async fn is_under_legal_hold(&self, id: QuarantineId) -> Result<bool, QuarantineError> {
        Ok(self.legal_hold(id).await?.is_some_and(|hold| hold.is_in_force()))
    }

    async fn legal_hold(&self, id: QuarantineId) -> Result<Option<HoldRow>, QuarantineError> {
        let row = legal::load(&self.0.db.read(), &id.to_string()).await?;
        if let Some(row) = &row {
            self.check_state(Some(&row.state_mac), &row.state(), id).await?;
        }
        Ok(row)
    }

    async fn put_legal_hold(
        &self,
        id: QuarantineId,
        by: &Actor,
        kind: EventKind,
        mut row: HoldRow,
        why: &Note,
    ) -> Result<(), QuarantineError> {
        let mac = self.state_mac(&row.state()).await?.to_string();
        row.state_mac.clone_from(&mac);
        let event = AuditEvent::new(kind, by.clone(), self.now())
            .on(Target::new(LEGAL_HOLD, id))
            .with("version", row.version)?
            .with(STATE, mac)?
            .with_personal("note", why.as_str())?;
        let tx = self.0.db.begin().await?;
        let before = row.version - 1;
        records::lock(&tx, &row.record_id).await?;
        if !legal::put(&tx, row, before).await? {
            // Somebody was faster, or the content went.
            let current = records::load(&tx, id).await?.ok_or(QuarantineError::NotFound { id })?;
            return Err(QuarantineError::Conflict { id, current: current.status()? });
        }
        outbox::put(&tx, &event).await?;
        tx.commit().await?;
        Ok(())
    }
}
