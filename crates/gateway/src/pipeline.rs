//! The way of a submission: limited, inspected, held or passed, logged, remembered.

mod campaigns;
mod history;
mod suspensions;

use std::sync::{Arc, PoisonError, RwLock};

use clawexchange_audit::{AuditLog, Entry};
use clawexchange_moderation::{Token, Tokens};
use clawexchange_quarantine::Vault;
use clawexchange_rate_limiter::{
    Ask, Decision, EndpointTier, LimitError, Limiter, Offence, Permit, TierStatus,
};
use clawexchange_ssg_core::{
    Actor, ActorType, AgentId, Campaign, ContentEnvelope, Fault as _, Gate, InspectionId, Inspector, Outcome,
    Recorded, RiskTier, Submission, TrustLevel, Verdict,
};

pub(crate) use self::campaigns::Lookout;
use self::history::History;
pub use self::history::HistoryMark;
pub(crate) use self::history::{Counters, Shared};
pub use self::suspensions::{Suspended, SuspensionChange};
use crate::error::PartsError;
use crate::rules::{ActiveRules, Judging};
use crate::settings::{GateMode, GateModes};

/// Limiter, gate and what they remember. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pipeline(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gate: Gate,
    /// What of the rules is the deployment's own; the gate has them ready to judge.
    rules: RwLock<Arc<ActiveRules>>,
    limiter: Limiter,
    log: AuditLog,
    vault: Vault,
    tokens: Tokens,
    campaigns: Option<Lookout>,
    modes: GateModes,
    history: History,
}

/// What a pipeline is put together of.
pub(crate) struct PipelineParts {
    pub(crate) gate: Gate,
    pub(crate) rules: ActiveRules,
    pub(crate) limiter: Limiter,
    pub(crate) log: AuditLog,
    pub(crate) vault: Vault,
    pub(crate) tokens: Tokens,
    pub(crate) campaigns: Option<Lookout>,
}

/// What became of a submission.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "who answers a submission and forgets one must not compile")]
pub enum Submitted {
    /// It was inspected, and what follows from it was done.
    Decided(Box<Decided>),
    /// It came too soon and was not looked at; nothing was charged.
    Limited(Box<Limited>),
}

/// A submission that was inspected.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decided {
    /// The verdict, and what was done.
    pub outcome: Outcome,
    /// How its agent stands now; nothing if it was not charged.
    pub limits: Option<TierStatus>,
    /// Tokens of ours that stood in it and open nothing any more.
    pub tokens_revoked: u64,
}

/// A submission that came too soon.
#[derive(Debug)]
#[non_exhaustive]
pub struct Limited {
    /// Why, and when to come back.
    pub error: LimitError,
    /// How its agent stands.
    pub limits: Option<TierStatus>,
}

/// Whether a submission is charged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "it is charged or it was")]
pub enum Charge {
    /// Now.
    Once,
    /// It was, by an attempt that was cut short.
    Made,
}

impl Pipeline {
    /// Puts the parts together. What the log says of the last week is learned first where counters do not know it.
    pub(crate) async fn open(
        parts: PipelineParts,
        modes: GateModes,
        counters: Counters,
    ) -> Result<Self, PartsError> {
        let PipelineParts { mut gate, rules, limiter, log, vault, tokens, campaigns } = parts;
        if let Some(lookout) = &campaigns {
            gate = gate.with_campaigns(lookout.clone());
        }
        let history = History::new(counters, &log).await?;
        let rules = RwLock::new(Arc::new(rules));
        let me =
            Self(Arc::new(Inner { gate, rules, limiter, log, vault, tokens, campaigns, modes, history }));
        me.begin_history().await?;
        Ok(me)
    }

    /// Charges the agent, inspects, holds or records, and remembers what counts against the agent.
    ///
    /// # Errors
    ///
    /// If it could not be inspected, held or recorded; the charge is given back, and the content must not be passed on.
    pub async fn submit(&self, submission: Submission, trust: TrustLevel) -> Result<Submitted, PartsError> {
        self.submit_charging(submission, trust, Charge::Once).await
    }

    /// The same for a submission that was begun before under the ids that it has: what was done then is found and told
    /// again, what was left undone is done.
    pub async fn resume(
        &self,
        submission: Submission,
        trust: TrustLevel,
        charge: Charge,
    ) -> Result<Submitted, PartsError> {
        if let Some(id) = submission.inspection
            && let Some(outcome) = self.done_before(&submission, id).await?
        {
            // Whoever did it may have been cut short between verdict and revocation.
            let tokens_revoked = self.revoke_exposed(&submission.content, &outcome).await;
            return Ok(Submitted::Decided(Box::new(Decided { outcome, limits: None, tokens_revoked })));
        }
        self.submit_charging(submission, trust, charge).await
    }

    async fn submit_charging(
        &self,
        mut submission: Submission,
        trust: TrustLevel,
        charge: Charge,
    ) -> Result<Submitted, PartsError> {
        submission.shadow = self.0.modes.of(submission.content.content_type()) == GateMode::Shadow;
        match self.heed_before_submission().await {
            Ok(()) => {}
            // Counters go on as they are while the database is away: what others forgave or found is heeded later.
            Err(error) if error.is_transient() => {
                tracing::warn!(code = error.code(), "what other processes decided is not known yet");
            }
            Err(error) => return Err(error),
        }
        let (permit, limits) = match charge {
            Charge::Once if !submission.shadow => match self.charge(&submission, trust).await? {
                Ok((permit, limits)) => (Some(permit), Some(limits)),
                Err(limited) => return Ok(Submitted::Limited(limited)),
            },
            _ => (None, None),
        };
        let (agent, content) = (submission.agent.clone(), submission.content.clone());
        match self.0.gate.submit(submission).await {
            Ok(outcome) => {
                // The verdict stands and is acknowledged; counters that fail here fail the agent's next request.
                if let Err(error) = self.learn(&agent, &outcome).await {
                    self.0.history.missed();
                    tracing::error!(code = error.code(), "what counts against an agent could not be noted");
                }
                let tokens_revoked = self.revoke_exposed(&content, &outcome).await;
                Ok(Submitted::Decided(Box::new(Decided { outcome, limits, tokens_revoked })))
            }
            Err(error) => {
                if let Some(permit) = permit
                    && let Err(lost) = self.0.limiter.refund(permit).await
                {
                    tracing::error!(code = lost.code(), "a charge could not be given back");
                }
                Err(error.into())
            }
        }
    }

    async fn charge(
        &self,
        submission: &Submission,
        trust: TrustLevel,
    ) -> Result<Result<(Permit, TierStatus), Box<Limited>>, PartsError> {
        let ask = Ask::new(submission.agent.clone(), EndpointTier::from(submission.content.content_type()))
            .of_owner(submission.owner.clone())
            .trusted(trust);
        let decision: Decision = self.0.limiter.take(&ask).await?;
        let limits = decision.status().clone();
        Ok(match decision.into_permit() {
            Ok(permit) => Ok((permit, limits)),
            Err(error) => Err(Box::new(Limited { error, limits: Some(limits) })),
        })
    }

    /// What an attempt of the same id did, if it came so far that the log or the vault has it.
    async fn done_before(
        &self,
        submission: &Submission,
        id: InspectionId,
    ) -> Result<Option<Outcome>, PartsError> {
        self.0.log.drain_outbox().await?;
        let Some(entry) = self.0.log.find(id.into()).await? else { return Ok(None) };
        let again = self.0.gate.inspector().inspect_as(id, &submission.content).await;
        match recorded_of(&entry) {
            Some(said) => Ok(Some(Outcome::recorded(again, said).ok_or(PartsError::RulesChanged)?)),
            None => Ok(None),
        }
    }

    /// Revokes tokens of ours that stand in content: whoever reads it could use them.
    async fn revoke_exposed(&self, content: &ContentEnvelope, outcome: &Outcome) -> u64 {
        let (mut revoked, by) = (0, Actor::named(ActorType::System, gateway()));
        for found in &outcome.assessment.inspection().matches {
            if found.pattern_id != TOKEN_RULE {
                continue;
            }
            let field = content.fields().find(|f| f.pointer == found.field && f.in_key == found.in_key);
            let text = field.and_then(|field| field.text.get(found.start..found.end));
            let Some(token) = text.and_then(|text| Token::parse(text).ok()) else { continue };
            match self.0.tokens.revoke_exposed(&by, &token).await {
                Ok(known) => revoked += u64::from(known.is_some()),
                Err(error) => {
                    tracing::error!(code = error.code(), "a token that was posted could not be revoked");
                }
            }
        }
        revoked
    }

    /// What it judges with now.
    pub fn inspector(&self) -> Inspector {
        self.0.gate.inspector()
    }

    /// What of the rules is the deployment's own.
    pub(crate) fn rules(&self) -> Arc<ActiveRules> {
        Arc::clone(&self.0.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Judges with other rules from the next inspection on.
    pub(crate) fn judge_with(&self, judging: Judging, rules: ActiveRules) {
        if let Some(lookout) = &self.0.campaigns {
            lookout.judge_with(judging.detectors);
        }
        self.0.gate.judge_with(judging.inspector);
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// `Ok`: the counters survive the end of power.
    pub async fn sync(&self) -> Result<(), PartsError> {
        Ok(self.0.limiter.sync().await?)
    }

    async fn learn(&self, agent: &AgentId, outcome: &Outcome) -> Result<(), PartsError> {
        let (assessment, inspection) = (&outcome.assessment, outcome.assessment.inspection());
        let by_failure = assessment.is_by_failure(&self.0.gate.inspector().config().thresholds);
        if inspection.tier < RiskTier::Moderate || outcome.is_repeat || by_failure {
            return Ok(());
        }
        let offence = match inspection.quarantine_id {
            Some(id) => Offence::new(id, inspection.tier, inspection.timestamp),
            None => Offence::new(inspection.inspection_id, inspection.tier, inspection.timestamp),
        };
        Ok(self.0.limiter.learn(agent, &offence).await?)
    }
}

/// What an event of the log says of a verdict; nothing if it is none.
fn recorded_of(entry: &Entry) -> Option<Recorded> {
    let meta = &entry.metadata;
    let verdict = match entry.event_type.as_str() {
        "SSG_PASS" => Verdict::Pass,
        "SSG_WARN" => Verdict::Warn,
        "SSG_QUARANTINE" => Verdict::Quarantine,
        "SSG_BLOCK" => Verdict::Block,
        _ => return None,
    };
    let labels = meta.get("labels")?.as_array()?.iter();
    let held =
        (entry.target_type.as_deref() == Some("quarantine")).then_some(entry.target_id.as_deref()).flatten();
    let mut said = Recorded::new(verdict, meta.get("tier")?.as_str()?.parse().ok()?, entry.created_at);
    said.policy = meta.get("policy").and_then(|policy| policy.as_str()).map(ToOwned::to_owned);
    said.labels = labels.filter_map(|label| label.as_str().map(ToOwned::to_owned)).collect();
    said.hold = held.and_then(|id| id.parse().ok());
    said.is_repeat = meta.contains_key("repeatOf");
    said.would_be = meta.get("wouldBe").and_then(|word| word.as_str()).and_then(|word| word.parse().ok());
    said.is_sanitized = meta.get("sanitized").and_then(serde_json::Value::as_bool) == Some(true);
    said.campaign = Campaign::of_event(meta);
    Some(said)
}

/// The rule that finds tokens of ours.
const TOKEN_RULE: &str = "claw-token";

#[expect(clippy::expect_used, reason = "a word of letters is an id")]
fn gateway() -> AgentId {
    AgentId::new("gateway").expect("a word of letters is an id")
}
