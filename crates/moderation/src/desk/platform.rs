//! What submitters and the platform ask: what became of it, and the way out of what was released.

use clawexchange_quarantine::{Opened, QuarantineRecord, Reason, Status};
use clawexchange_ssg_core::{InspectionId, QuarantineId, Timestamp};
use serde::Serialize;

use super::{Desk, allow};
use crate::access::{Act, Role};
use crate::error::ModerationError;
use crate::principal::Principal;

/// What became of content that was held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SubmissionState {
    /// Nobody has decided yet.
    Pending,
    /// It may be published.
    Released,
    /// The platform says that it is.
    Published,
    /// It must not be published.
    Deleted,
    /// Nobody decided in time.
    Expired,
}

/// What a submitter is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SubmissionStatus {
    /// The inspection that was asked about.
    pub inspection_id: InspectionId,
    /// The record that holds its content.
    pub quarantine_id: QuarantineId,
    /// What became of it.
    pub status: SubmissionState,
    /// Why, once it is released or deleted.
    pub reason: Option<Reason>,
    /// When, once it is released or deleted.
    pub decided_at: Option<Timestamp>,
    /// Until when somebody may decide, or could.
    pub expires_at: Timestamp,
}

impl Desk {
    /// What became of the content of an inspection; `None` if it was not held.
    ///
    /// Agents are told of their own content only: that of others is for them as if it were not there.
    pub async fn submission(
        &self,
        by: &Principal,
        inspection: InspectionId,
    ) -> Result<Option<SubmissionStatus>, ModerationError> {
        allow(by, Act::SeeSubmission)?;
        let found = self.vault.find_by_inspection(inspection).await?;
        let Some(record) = found.filter(|record| by.role != Role::Agent || record.agent_id == by.id) else {
            return Ok(None);
        };
        let status = match record.status {
            Status::Released if self.vault.published_at(record.id).await?.is_some() => {
                SubmissionState::Published
            }
            Status::Released => SubmissionState::Released,
            Status::Deleted => SubmissionState::Deleted,
            Status::Expired => SubmissionState::Expired,
            _ => SubmissionState::Pending,
        };
        // A program that escalated has given a reason, too: it is none of a decision.
        let is_decided = matches!(record.status, Status::Released | Status::Deleted);
        Ok(Some(SubmissionStatus {
            inspection_id: inspection,
            quarantine_id: record.id,
            status,
            reason: record.reason.filter(|_| is_decided),
            decided_at: record.reviewed_at.filter(|_| is_decided),
            expires_at: record.expires_at,
        }))
    }

    /// Notes that released content was published. Said again, it is noted no second time.
    pub async fn confirm(
        &self,
        by: &Principal,
        id: QuarantineId,
    ) -> Result<QuarantineRecord, ModerationError> {
        allow(by, Act::ConfirmRelease)?;
        Ok(self.vault.confirm_release(id, &by.actor()).await?)
    }

    /// Hands released content out to be published, while it is readable, after the log has it.
    pub async fn fetch(&self, by: &Principal, id: QuarantineId) -> Result<Opened, ModerationError> {
        allow(by, Act::ConfirmRelease)?;
        Ok(self.vault.fetch_released(id, &by.actor()).await?)
    }
}
