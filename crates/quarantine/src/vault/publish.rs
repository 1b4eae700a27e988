//! Released content on its way out: fetched by the platform, and confirmed when it is published.

use clawexchange_database::{STATE, outbox};
use clawexchange_ssg_core::{
    Actor, ActorType, AuditEvent, EventKind, QuarantineId, Target, Timestamp, fail_point,
};

use super::{ADOPTED_POLICY, RECORD, Vault};
use crate::error::QuarantineError;
use crate::record::{Opened, QuarantineRecord};
use crate::records::publications::{self, PublicationRow};
use crate::records::{self, StoredRow};
use crate::status::{BlobState, Status};

/// What the events of a publication have as their target, with the id of the record.
pub(super) const PUBLICATION: &str = "publication";

impl Vault {
    /// Notes that the platform published released content. Said again, it is noted no second time.
    pub async fn confirm_release(
        &self,
        id: QuarantineId,
        by: &Actor,
    ) -> Result<QuarantineRecord, QuarantineError> {
        refuse_programs(by)?;
        let row = self.row(id).await?;
        let current = row.status()?;
        if current != Status::Released {
            return Err(QuarantineError::Conflict { id, current });
        }
        if self.publication(id).await?.is_some() {
            return row.record();
        }
        let now = self.now();
        let mut publication = PublicationRow {
            record_id: id.to_string(),
            confirmed_by: by.id.as_str().to_owned(),
            confirmed_at: now.as_micros(),
            state_mac: String::new(),
        };
        let mac = self.state_mac(&publication.state()).await?.to_string();
        publication.state_mac.clone_from(&mac);
        let event = AuditEvent::new(EventKind::ReleaseConfirmed, by.clone(), now)
            .on(Target::new(PUBLICATION, id))
            .with(STATE, mac)?;
        let tx = self.0.db.begin().await?;
        if publications::put(&tx, publication).await? {
            outbox::put(&tx, &event).await?;
            fail_point!("confirm.before-commit");
            tx.commit().await?;
            fail_point!("confirm.after-commit");
        }
        // Else somebody said the same at the same time, and what is released stays so.
        row.record()
    }

    /// When the platform said that it published the content of a record; `None` if it did not yet.
    pub async fn published_at(&self, id: QuarantineId) -> Result<Option<Timestamp>, QuarantineError> {
        Ok(self.publication(id).await?.map(|row| Timestamp::from_micros(row.confirmed_at)))
    }

    /// Hands released content to the platform, while it is readable.
    ///
    /// The event RELEASE_FETCHED is in the log before the content is read. If the log cannot take it, nothing is
    /// handed out.
    pub async fn fetch_released(&self, id: QuarantineId, by: &Actor) -> Result<Opened, QuarantineError> {
        refuse_programs(by)?;
        let row = self.row(id).await?;
        may_be_fetched(&row)?;
        let event = AuditEvent::new(EventKind::ReleaseFetched, by.clone(), self.now())
            .on(Target::new(RECORD, id))
            .with("sizeBytes", row.size_bytes)?;
        let tx = self.0.db.begin().await?;
        // Its grace may have ended since it was read.
        may_be_fetched(&records::load_locked(&tx, id).await?.ok_or(QuarantineError::NotFound { id })?)?;
        outbox::put(&tx, &event).await?;
        fail_point!("fetch.before-commit");
        tx.commit().await?;
        fail_point!("fetch.after-commit");
        self.show_logged(&row, "record who fetches").await
    }

    async fn publication(&self, id: QuarantineId) -> Result<Option<PublicationRow>, QuarantineError> {
        let row = publications::load(&self.0.db.read(), &id.to_string()).await?;
        if let Some(row) = &row {
            self.check_state(Some(&row.state_mac), &row.state(), id).await?;
        }
        Ok(row)
    }
}

/// Those who post and those who review do not publish.
fn refuse_programs(by: &Actor) -> Result<(), QuarantineError> {
    match by.kind {
        ActorType::System | ActorType::Human => Ok(()),
        _ => Err(QuarantineError::PlatformOnly),
    }
}

fn may_be_fetched(row: &StoredRow) -> Result<(), QuarantineError> {
    let (id, current) = (row.id()?, row.status()?);
    if current != Status::Released {
        Err(QuarantineError::Conflict { id, current })
    } else if row.policy == ADOPTED_POLICY {
        Err(QuarantineError::NeverKept { id })
    } else if row.blob_state()? == BlobState::Shredded {
        Err(QuarantineError::Gone { id })
    } else {
        Ok(())
    }
}
