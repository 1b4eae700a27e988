//! What people see and do: lists, reveals, claims, decisions, legal holds.

use std::str::FromStr;
use std::time::Duration;

use clawexchange_quarantine::{
    Claim, Filter, Grant, GrantToken, Note, Opened, QuarantineRecord, Reason, Ruling, Status,
};
use clawexchange_ssg_core::{ContentType, QuarantineId, RiskTier, SourceId, Timestamp, UnknownWord};
use serde::{Deserialize, Serialize};

use super::{ActionResult, Desk, allow, items};
use crate::access::Act;
use crate::error::ModerationError;
use crate::principal::Principal;

/// Which records a person asks for.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ListQuery {
    /// Only those of this status.
    pub status: Option<Status>,
    /// Only those of this tier.
    pub tier: Option<RiskTier>,
    /// How many are skipped, at most 100,000.
    pub offset: u64,
    /// How many are shown: 20 unless set, 1 to 100.
    pub limit: Option<u64>,
}

/// Records, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListPage {
    /// The records of this page.
    pub items: Vec<ListItem>,
    /// How many there are in all.
    pub total: u64,
    /// How many were skipped.
    pub offset: u64,
    /// How many this page may have.
    pub limit: u64,
}

/// A record in a list, under the names that the first system of this kind had.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListItem {
    /// Its name.
    pub id: QuarantineId,
    /// What has been decided.
    pub status: Status,
    /// How dangerous it was judged.
    pub tier: RiskTier,
    /// Why.
    pub labels: Vec<String>,
    /// What sort of content it is.
    pub content_type: ContentType,
    /// The platform's own name for it.
    pub source_id: Option<SourceId>,
    /// Bytes of the envelope as it came in.
    pub size_bytes: u64,
    /// When it was held.
    pub created_at: Timestamp,
    /// Until when somebody may decide.
    pub expires_at: Timestamp,
    /// Who decided last.
    pub reviewed_by: Option<String>,
}

impl From<QuarantineRecord> for ListItem {
    fn from(record: QuarantineRecord) -> Self {
        Self {
            id: record.id,
            status: record.status,
            tier: record.tier,
            labels: record.labels,
            content_type: record.content_type,
            source_id: record.source_id,
            size_bytes: record.size_bytes,
            created_at: record.created_at,
            expires_at: record.expires_at,
            reviewed_by: record.reviewed_by,
        }
    }
}

/// What a person does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "who handles acts and forgets one must not compile")]
pub enum HumanVerb {
    /// It may be published.
    Release,
    /// It must not be published.
    Delete,
}

impl FromStr for HumanVerb {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "release" => Ok(Self::Release),
            "delete" => Ok(Self::Delete),
            _ => Err(UnknownWord::new("release|delete")),
        }
    }
}

/// What a person decides about a record that need not be claimed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HumanAction {
    /// About which record.
    pub quarantine_id: QuarantineId,
    /// What.
    pub action: HumanVerb,
    /// What they write.
    pub notes: Option<Note>,
    /// Why: unless said, FALSE_POSITIVE for a release and POLICY_VIOLATION for a deletion.
    pub reason: Option<Reason>,
}

impl HumanAction {
    /// An act of which nothing else is said.
    pub const fn new(quarantine_id: QuarantineId, action: HumanVerb) -> Self {
        Self { quarantine_id, action, notes: None, reason: None }
    }
}

/// What a person decides.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// What.
    pub verb: HumanVerb,
    /// Why: unless said, FALSE_POSITIVE for a release and POLICY_VIOLATION for a deletion.
    pub reason: Option<Reason>,
    /// What they write.
    pub notes: Option<Note>,
}

impl Decision {
    /// A decision of which nothing else is said.
    pub const fn new(verb: HumanVerb) -> Self {
        Self { verb, reason: None, notes: None }
    }

    fn ruling(&self) -> Ruling {
        let ruling = match self.verb {
            HumanVerb::Release => Ruling::release(self.reason.unwrap_or(Reason::FalsePositive)),
            HumanVerb::Delete => Ruling::delete(self.reason.unwrap_or(Reason::PolicyViolation)),
        };
        ruling.noted(self.notes.as_ref())
    }
}

impl Desk {
    /// Records, without their content.
    pub async fn human_list(&self, by: &Principal, query: &ListQuery) -> Result<ListPage, ModerationError> {
        allow(by, Act::SeeHeld)?;
        let mut filter = Filter::default();
        (filter.status, filter.tier) = (query.status, query.tier);
        let (offset, limit) = (query.offset, items(query.limit));
        let (records, total) = self.vault.list_by_offset(&filter, offset, limit).await?;
        Ok(ListPage { items: records.into_iter().map(Into::into).collect(), total, offset, limit })
    }

    /// Permits who asks to look at one content, once, for a few minutes.
    pub async fn content_access(
        &self,
        by: &Principal,
        id: QuarantineId,
        purpose: &Note,
    ) -> Result<Grant, ModerationError> {
        allow(by, Act::Reveal)?;
        Ok(self.vault.grant(id, &by.actor(), purpose).await?)
    }

    /// Shows the content that a grant opens to whom it was given, after the log has it.
    pub async fn open(&self, by: &Principal, token: &GrantToken) -> Result<Opened, ModerationError> {
        allow(by, Act::Reveal)?;
        Ok(self.vault.open(&by.actor(), token).await?)
    }

    /// Decides about a record that nobody else has claimed.
    pub async fn human_act(
        &self,
        by: &Principal,
        action: &HumanAction,
    ) -> Result<ActionResult, ModerationError> {
        let decision = Decision { verb: action.action, reason: action.reason, notes: action.notes.clone() };
        let record = self.decide(by, action.quarantine_id, None, &decision).await?;
        Ok(ActionResult::of(record.status))
    }

    /// Decides about a record; with `fence`, only while the claim of that number stands.
    pub async fn decide(
        &self,
        by: &Principal,
        id: QuarantineId,
        fence: Option<u64>,
        decision: &Decision,
    ) -> Result<QuarantineRecord, ModerationError> {
        allow(by, Act::Decide)?;
        Ok(self.vault.decide(id, &by.actor(), &decision.ruling().fenced(fence)).await?)
    }

    /// Claims the undecided record that nobody looks at and that comes first: of the highest tier, of these the oldest.
    pub async fn claim_next(
        &self,
        by: &Principal,
        filter: &Filter,
        lease: Duration,
    ) -> Result<Option<Claim>, ModerationError> {
        allow(by, Act::Decide)?;
        Ok(self.vault.claim_next(&by.actor(), filter, lease).await?)
    }

    /// Claims one record.
    pub async fn claim(
        &self,
        by: &Principal,
        id: QuarantineId,
        lease: Duration,
    ) -> Result<Claim, ModerationError> {
        allow(by, Act::Decide)?;
        Ok(self.vault.claim(id, &by.actor(), lease).await?)
    }

    /// Lengthens a claim: it lasts for `lease` from now on.
    pub async fn extend(
        &self,
        by: &Principal,
        id: QuarantineId,
        fence: u64,
        lease: Duration,
    ) -> Result<Claim, ModerationError> {
        allow(by, Act::Decide)?;
        Ok(self.vault.extend(id, &by.actor(), fence, lease).await?)
    }

    /// Gives a claimed record back.
    pub async fn unclaim(&self, by: &Principal, id: QuarantineId, fence: u64) -> Result<(), ModerationError> {
        allow(by, Act::Decide)?;
        Ok(self.vault.unclaim(id, &by.actor(), fence).await?)
    }

    /// Brings deleted or expired content back for review, while its grace lasts.
    pub async fn restore(
        &self,
        by: &Principal,
        id: QuarantineId,
        why: &Note,
    ) -> Result<QuarantineRecord, ModerationError> {
        allow(by, Act::Decide)?;
        Ok(self.vault.restore(id, &by.actor(), why).await?)
    }

    /// Forbids that content be deleted, expire, or lose its key, until the hold is lifted.
    pub async fn hold_legally(
        &self,
        by: &Principal,
        id: QuarantineId,
        why: &Note,
    ) -> Result<(), ModerationError> {
        allow(by, Act::HoldLegally)?;
        Ok(self.vault.place_legal_hold(id, &by.actor(), why).await?)
    }

    /// Lifts a legal hold: what is due becomes due again.
    pub async fn lift_legal_hold(
        &self,
        by: &Principal,
        id: QuarantineId,
        why: &Note,
    ) -> Result<(), ModerationError> {
        allow(by, Act::HoldLegally)?;
        Ok(self.vault.lift_legal_hold(id, &by.actor(), why).await?)
    }
}
