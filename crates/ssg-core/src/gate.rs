//! Inspects, and sees to what follows from it: holds, records.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::json;

use crate::actor::Actor;
use crate::campaign::{Campaigns, Posted};
use crate::content::{Attribution, ContentEnvelope};
use crate::event::{AuditEvent, EventError, Target};
use crate::fault::{Fault, FaultKind};
use crate::id::{AgentId, InspectionId, OwnerId, QuarantineId, RequestId, SourceId};
use crate::inspection::Assessment;
use crate::inspector::Inspector;
use crate::port::{AuditSink, Hold, PortError, Quarantine};
use crate::tier::Verdict;

/// The gate: content in, verdict out, and nothing forgotten on the way. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    parts: Arc<Parts>,
    campaigns: Option<Arc<dyn Campaigns>>,
    holds: bool,
    logs_verdicts: bool,
}

#[derive(Debug)]
struct Parts {
    inspector: RwLock<Inspector>,
    quarantine: Box<dyn Quarantine>,
    audit: Box<dyn AuditSink>,
}

/// Content, and who posts it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Submission {
    /// The content.
    pub content: ContentEnvelope,
    /// Who posts it.
    pub agent: AgentId,
    /// Who the agent belongs to.
    pub owner: Option<OwnerId>,
    /// The platform's own name for it.
    pub source: Option<SourceId>,
    /// The platform's name for what it replaces.
    pub revision_of: Option<SourceId>,
    /// Where the agent's request came from; only its network is kept.
    pub ip: Option<IpAddr>,
    /// The caller's own name for the request.
    pub request: Option<RequestId>,
    /// The id that its inspection is to have, so that an attempt that was cut short can be made again as the same.
    /// A fresh one unless set.
    pub inspection: Option<InspectionId>,
    /// The id that its hold is to have, if it comes to that. A fresh one unless set.
    pub hold: Option<QuarantineId>,
    /// Everything is judged and recorded, and nothing follows from it: the answer is PASS, and what it would be
    /// stands in [`Inspection::would_be`](crate::Inspection::would_be).
    pub shadow: bool,
}

impl Submission {
    /// Content of an agent, and nothing else known of it.
    pub const fn new(content: ContentEnvelope, agent: AgentId) -> Self {
        Self {
            content,
            agent,
            owner: None,
            source: None,
            revision_of: None,
            ip: None,
            request: None,
            inspection: None,
            hold: None,
            shadow: false,
        }
    }

    /// Content of an agent, and what its sender said of it.
    pub fn attributed(content: ContentEnvelope, agent: AgentId, said: &Attribution) -> Self {
        Self {
            owner: said.owner.clone(),
            source: said.source.clone(),
            revision_of: said.revision_of.clone(),
            ip: said.ip,
            ..Self::new(content, agent)
        }
    }
}

/// What became of a submission.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The verdict and how it came about; it says where the content is held.
    pub assessment: Assessment,
    /// The content lies in quarantine.
    pub is_held: bool,
    /// The same content of the same agent was held already.
    pub is_repeat: bool,
}

impl Gate {
    /// Puts a gate together.
    pub fn new(inspector: Inspector, quarantine: impl Quarantine, audit: impl AuditSink) -> Self {
        let inspector = RwLock::new(inspector);
        let parts = Parts { inspector, quarantine: Box::new(quarantine), audit: Box::new(audit) };
        Self { parts: Arc::new(parts), campaigns: None, holds: true, logs_verdicts: true }
    }

    /// The same gate, which has counted who else posts the same: content of a campaign is labelled CAMPAIGN, and held if
    /// whoever counts says so.
    #[must_use]
    pub fn with_campaigns(mut self, campaigns: impl Campaigns) -> Self {
        self.campaigns = Some(Arc::new(campaigns));
        self
    }

    /// The same gate without a quarantine: the verdict QUARANTINE stays, nothing is held, and its event says so.
    /// The content must not be passed on all the same.
    #[must_use]
    pub fn without_quarantine(mut self) -> Self {
        self.holds = false;
        self
    }

    /// The same gate without a log of verdicts: only holds have their event, which is committed with them.
    #[must_use]
    pub fn without_verdict_log(mut self) -> Self {
        self.logs_verdicts = false;
        self
    }

    /// What it inspects with now.
    pub fn inspector(&self) -> Inspector {
        self.parts.inspector.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Inspects with another inspector from the next submission on. What is under way is judged to its end by the one that
    /// it began with.
    pub fn judge_with(&self, inspector: Inspector) {
        *self.parts.inspector.write().unwrap_or_else(PoisonError::into_inner) = inspector;
    }

    /// Inspects content, holds it if need be, and records the verdict.
    ///
    /// `Ok` means that all of it survives a crash. It is finished even if the caller goes away: the work runs in a
    /// task of its own. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the content cannot be held or the verdict not be recorded, the content must not be passed on.
    pub async fn submit(&self, submission: Submission) -> Result<Outcome, GateError> {
        let gate = self.clone();
        tokio::spawn(async move { gate.decide(submission).await })
            .await
            .unwrap_or_else(|_| Err(GateError::Stopped))
    }

    async fn decide(&self, submission: Submission) -> Result<Outcome, GateError> {
        let inspection = submission.inspection.unwrap_or_else(InspectionId::fresh);
        let inspector = self.inspector();
        let mut assessment = inspector.inspect_as(inspection, &submission.content).await;
        self.count(inspection, &submission, &inspector, &mut assessment).await;
        if submission.shadow {
            assessment.only_watched();
        }
        let is_by_failure = assessment.is_by_failure(&inspector.config().thresholds);
        let event = verdict_event(&submission, &assessment, is_by_failure)?;
        if assessment.verdict() == Verdict::Quarantine && self.holds {
            return self.hold(submission, assessment, event).await;
        }
        if self.logs_verdicts {
            let event = match assessment.verdict() {
                Verdict::Quarantine => event.with("held", false)?,
                _ => event,
            };
            let record = self.parts.audit.record(event).await;
            record.map_err(|source| GateError::NotRecorded { inspection, source })?;
        }
        Ok(Outcome { assessment, is_held: false, is_repeat: false })
    }

    /// A trial run counts too, or it would not show what would be done.
    async fn count(
        &self,
        inspection: InspectionId,
        submission: &Submission,
        inspector: &Inspector,
        assessment: &mut Assessment,
    ) {
        let Some(campaigns) = &self.campaigns else { return };
        let Submission { content, agent, owner, .. } = submission;
        let posted = Posted { inspection, content, assessment, agent, owner: owner.as_ref() };
        if let Some(campaign) = campaigns.count(posted).await {
            assessment.in_campaign(campaign, &inspector.config().thresholds);
        }
    }

    async fn hold(
        &self,
        submission: Submission,
        mut assessment: Assessment,
        event: AuditEvent,
    ) -> Result<Outcome, GateError> {
        let inspection = assessment.inspection().inspection_id;
        let id = submission.hold.unwrap_or_else(QuarantineId::fresh);
        let hold = Hold {
            id,
            content: submission.content,
            assessment: assessment.clone(),
            agent: submission.agent,
            owner: submission.owner,
            source: submission.source,
            event: event.on(Target::new("quarantine", id)),
        };
        let held = self
            .parts
            .quarantine
            .hold(hold)
            .await
            .map_err(|source| GateError::NotHeld { inspection, source })?;
        assessment.held_as(held.id);
        Ok(Outcome { assessment, is_held: true, is_repeat: held.is_repeat })
    }
}

/// Labels and rules that one event names at most; results name all.
const NAMED_MAX: usize = 64;

fn verdict_event(s: &Submission, a: &Assessment, is_by_failure: bool) -> Result<AuditEvent, EventError> {
    let inspection = a.inspection();
    let labels: Vec<&str> = inspection.labels.iter().take(NAMED_MAX).map(String::as_str).collect();
    let findings: Vec<_> = a
        .rules()
        .iter()
        .take(NAMED_MAX)
        .map(|r| match r.mode {
            crate::RuleMode::Enforce => {
                json!({"rule": r.pattern_id, "category": r.category, "count": r.count})
            }
            _ => json!({"rule": r.pattern_id, "category": r.category, "count": r.count, "mode": r.mode}),
        })
        .collect();
    let mut event = AuditEvent::new(a.verdict().into(), Actor::agent(s.agent.clone()), inspection.timestamp)
        .named(inspection.inspection_id)
        .of_owner(s.owner.clone())
        .from_ip(s.ip)
        .with("inspectionId", inspection.inspection_id.to_string())?
        .with_some("requestId", s.request.as_ref().map(RequestId::as_str))?
        .with("tier", inspection.tier.as_str())?
        .with("labels", labels)?
        .with("contentType", s.content.content_type().as_str())?
        .with_some("sourceId", s.source.as_ref().map(SourceId::as_str))?
        .with_some("revisionOf", s.revision_of.as_ref().map(SourceId::as_str))?
        .with("policy", inspection.policy.as_str())?
        .with("findings", findings)?;
    if let Some(source) = &s.source {
        event = event.on(Target::new("content", source));
    }
    if !a.failures().is_empty() {
        let failed: Vec<&str> = a.failures().iter().take(NAMED_MAX).map(|f| f.plugin.as_str()).collect();
        event = event.with("failedPlugins", failed)?;
    }
    event = event
        .with_some("wouldBe", inspection.would_be.map(Verdict::as_str))?
        .with_some("lifted", a.lifted.map(|lift| lift.to_string()))?
        .with_some("sanitized", inspection.sanitized.as_ref().map(|_| true))?;
    if let Some(campaign) = &inspection.campaign {
        event = campaign.told_in(event)?;
    }
    if is_by_failure {
        // It says nothing of the agent, so it must not count against it.
        event = event.with("byFailure", true)?;
    }
    Ok(event)
}

/// Why content has no verdict that holds. It must not be passed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// Its event could not be made.
    #[error("could not put the verdict into words")]
    Event(#[from] EventError),
    /// The verdict could not be recorded.
    #[error("could not record inspection {inspection}")]
    NotRecorded {
        /// The inspection.
        inspection: InspectionId,
        /// Why.
        source: PortError,
    },
    /// The content could not be held.
    #[error("could not hold the content of inspection {inspection}")]
    NotHeld {
        /// The inspection.
        inspection: InspectionId,
        /// Why.
        source: PortError,
    },
    /// The runtime is shutting down, or a port panicked.
    #[error("the gate stopped before it was done")]
    Stopped,
}

impl GateError {
    fn port(&self) -> Option<&PortError> {
        match self {
            Self::NotRecorded { source, .. } | Self::NotHeld { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Fault for GateError {
    fn code(&self) -> &'static str {
        match self {
            // What the caller can do about is named as its maker named it.
            Self::NotRecorded { source, .. } | Self::NotHeld { source, .. } if !is_away(source) => {
                source.code()
            }
            Self::Event(_) => "ssg-core/event",
            Self::NotRecorded { .. } => "ssg-core/not-recorded",
            Self::NotHeld { .. } => "ssg-core/not-held",
            Self::Stopped => "ssg-core/stopped",
        }
    }

    fn kind(&self) -> FaultKind {
        match self.port() {
            Some(source) if !is_away(source) => source.kind(),
            Some(_) => FaultKind::Unavailable,
            None => FaultKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        self.port().and_then(PortError::hint)
    }
}

fn is_away(source: &PortError) -> bool {
    !matches!(
        source.kind(),
        FaultKind::Limited
            | FaultKind::Integrity
            | FaultKind::Configuration
            | FaultKind::Pending
            | FaultKind::Locked
    )
}
