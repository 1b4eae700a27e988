//! What programs see and do: envelopes, and decisions within their floors.

use std::str::FromStr;

use clawexchange_quarantine::{Filter, Reason, Ruling, Status};
use clawexchange_ssg_core::{QuarantineId, RiskTier, UnknownWord};
use serde::{Deserialize, Serialize};

use super::{ActionResult, Desk, Floor, allow, items};
use crate::access::Act;
use crate::confidence::Confidence;
use crate::envelope::BotEnvelope;
use crate::error::ModerationError;
use crate::principal::Principal;

/// Which envelopes a program asks for.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct QueueQuery {
    /// Only those of this tier.
    pub tier: Option<RiskTier>,
    /// How many are skipped, at most 100,000.
    pub offset: u64,
    /// How many are shown: 20 unless set, 1 to 100.
    pub limit: Option<u64>,
}

/// Envelopes, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct QueuePage {
    /// The envelopes of this page.
    pub items: Vec<BotEnvelope>,
    /// How many there are in all.
    pub total: u64,
    /// How many were skipped.
    pub offset: u64,
    /// How many this page may have.
    pub limit: u64,
}

/// What a program does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "who handles acts and forgets one must not compile")]
pub enum BotVerb {
    /// It may be published.
    Release,
    /// It must not be published.
    Delete,
    /// A person has to decide.
    Escalate,
}

impl FromStr for BotVerb {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "release" => Ok(Self::Release),
            "delete" => Ok(Self::Delete),
            "escalate" => Ok(Self::Escalate),
            _ => Err(UnknownWord::new("release|delete|escalate")),
        }
    }
}

/// What a program decides. It has no text of its own: what a program writes may come from what an agent wrote.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BotAction {
    /// About which record.
    pub quarantine_id: QuarantineId,
    /// What.
    pub action: BotVerb,
    /// How sure it is.
    pub confidence: Confidence,
    /// Why.
    pub reason: Reason,
}

impl BotAction {
    /// Puts the parts together.
    pub const fn new(
        quarantine_id: QuarantineId,
        action: BotVerb,
        confidence: Confidence,
        reason: Reason,
    ) -> Self {
        Self { quarantine_id, action, confidence, reason }
    }
}

impl Desk {
    /// What waits for a decision and is not left to a person yet, as a program may see it.
    pub async fn bot_queue(&self, by: &Principal, query: &QueueQuery) -> Result<QueuePage, ModerationError> {
        allow(by, Act::SeeBotQueue)?;
        let mut filter = Filter::default();
        (filter.status, filter.tier) = (Some(Status::Quarantined), query.tier);
        let (offset, limit) = (query.offset, items(query.limit));
        let (records, total) = self.vault.list_by_offset(&filter, offset, limit).await?;
        Ok(QueuePage { items: records.iter().map(BotEnvelope::of).collect(), total, offset, limit })
    }

    /// Decides as a program does: about what is QUARANTINED only, and only if it is sure enough.
    pub async fn bot_act(&self, by: &Principal, action: &BotAction) -> Result<ActionResult, ModerationError> {
        allow(by, Act::ActAsBot)?;
        // The tier of a record never changes, so it may be looked at before.
        let tier = self.vault.show(action.quarantine_id).await?.tier;
        let (floor, ruling) = match action.action {
            BotVerb::Release => (Some(self.config.release.of(tier)), Ruling::release(action.reason)),
            BotVerb::Delete => (Some(self.config.delete.of(tier)), Ruling::delete(action.reason)),
            BotVerb::Escalate => (None, Ruling::escalate(action.reason)),
        };
        match floor {
            Some(Floor::Never) => return Err(ModerationError::PeopleOnly { tier }),
            Some(Floor::At(needed)) if action.confidence < needed => {
                return Err(ModerationError::BelowFloor { needed });
            }
            _ => {}
        }
        let ruling = ruling.with("confidencePermille", action.confidence.permille());
        let record = self.vault.decide(action.quarantine_id, &by.actor(), &ruling).await?;
        Ok(ActionResult::of(record.status))
    }
}
