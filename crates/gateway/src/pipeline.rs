//! The way of a submission: limited, inspected, held or passed, logged, remembered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clawexchange_audit::{AuditLog, Entry, Log, Query};
use clawexchange_moderation::{Token, Tokens};
use clawexchange_quarantine::Vault;
use clawexchange_rate_limiter::{
    Ask, Decision, EndpointTier, LimitError, Limiter, Offence, Permit, TierStatus,
};
use clawexchange_ssg_core::{
    Actor, ActorType, AgentId, Clock as _, ContentEnvelope, Cursor, EventKind, Fault as _, FaultKind, Gate,
    InspectionId, Inspector, Outcome, PageLimit, QuarantineId, Recorded, RiskTier, Submission, SystemClock,
    TrustLevel, Verdict,
};

use crate::error::PartsError;
use crate::settings::{GateMode, GateModes};

/// Limiter, gate and what they remember. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pipeline(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gate: Gate,
    limiter: Limiter,
    log: AuditLog,
    vault: Vault,
    tokens: Tokens,
    modes: GateModes,
    /// Index in the log of decisions up to which it was heeded.
    heeded: AtomicU64,
    looked: Mutex<Option<Instant>>,
    /// One reads at a time, or what was taken back could be learned again by one who read before.
    heeding: tokio::sync::Mutex<()>,
}

/// What a pipeline is put together of.
pub(crate) struct PipelineParts {
    pub(crate) gate: Gate,
    pub(crate) limiter: Limiter,
    pub(crate) log: AuditLog,
    pub(crate) vault: Vault,
    pub(crate) tokens: Tokens,
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

/// How long something counts against an agent.
const HISTORY: Duration = Duration::from_hours(7 * 24);

/// How often releases by other processes are looked for.
const LOOK: Duration = Duration::from_secs(1);

impl Pipeline {
    /// Puts the parts together. If the counters are new, what the log says of the last week is learned first.
    pub(crate) async fn open(
        parts: PipelineParts,
        modes: GateModes,
        is_new: bool,
    ) -> Result<Self, PartsError> {
        let PipelineParts { gate, limiter, log, vault, tokens } = parts;
        let size = log.size(Log::Decisions).await?;
        let me = Self(Arc::new(Inner {
            gate,
            limiter,
            log,
            vault,
            tokens,
            modes,
            heeded: AtomicU64::new(size),
            looked: Mutex::new(None),
            heeding: tokio::sync::Mutex::new(()),
        }));
        if is_new {
            me.relearn().await?;
        }
        me.heed_past_releases().await?;
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
        match self.heed_log().await {
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

    /// What it judges with.
    pub fn inspector(&self) -> &Inspector {
        self.0.gate.inspector()
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

    /// Has the next submission heed what this process has just decided, whenever one looked last. The decision stands
    /// whatever comes of it here.
    pub(crate) async fn heed_decision(&self) {
        if let Err(error) = self.0.log.drain_outbox().await {
            tracing::error!(code = error.code(), "a decision is not in the log yet");
        }
        *self.0.looked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Learns offences that other processes found, and takes back those that were found to be none: at most a second
    /// later.
    async fn heed_log(&self) -> Result<(), PartsError> {
        {
            let mut looked = self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|at| at.elapsed() < LOOK) {
                return Ok(());
            }
            *looked = Some(Instant::now());
        }
        let _turn = self.0.heeding.lock().await;
        loop {
            let from = self.0.heeded.load(Ordering::SeqCst);
            let entries = self.0.log.read_from(Log::Decisions, from, PageLimit::MAX).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            let next = last.index + 1;
            for entry in &entries {
                self.heed(entry).await?;
            }
            self.0.heeded.fetch_max(next, Ordering::SeqCst);
        }
    }

    async fn heed_past_releases(&self) -> Result<(), PartsError> {
        let mut query = Query::default();
        query.kinds = vec![EventKind::HumanRelease, EventKind::BotRelease];
        query.since = Some(SystemClock::new().now().minus(HISTORY));
        self.each(&query, async |entry| self.heed(entry).await).await
    }

    async fn heed(&self, entry: &Entry) -> Result<(), PartsError> {
        // An offence that is known counts once.
        if let Some((agent, offence)) = offence_of(entry) {
            return Ok(self.0.limiter.learn(&agent, &offence).await?);
        }
        let is_release =
            [EventKind::HumanRelease, EventKind::BotRelease].iter().any(|k| k.as_str() == entry.event_type);
        let is_false = entry.metadata.get("reason").and_then(|r| r.as_str()) == Some("FALSE_POSITIVE");
        let id = entry.target_id.as_deref().and_then(|id| id.parse::<QuarantineId>().ok());
        if let (true, true, Some(id)) = (is_release, is_false, id) {
            match self.0.vault.show(id).await {
                Ok(record) => self.0.limiter.unlearn(&record.agent_id, id).await?,
                // Nobody knows any more whose it was, so it counts against nobody who is known.
                Err(error) if error.kind() == FaultKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Learns from the log what the lost counters knew of each agent's last week.
    async fn relearn(&self) -> Result<(), PartsError> {
        let mut query = Query::default();
        query.kinds = vec![EventKind::SsgWarn, EventKind::SsgQuarantine, EventKind::SsgBlock];
        query.since = Some(SystemClock::new().now().minus(HISTORY));
        let known: Mutex<HashMap<AgentId, Vec<Offence>>> = Mutex::default();
        self.each(&query, async |entry| {
            if let Some((agent, offence)) = offence_of(entry) {
                known.lock().unwrap_or_else(PoisonError::into_inner).entry(agent).or_default().push(offence);
            }
            Ok(())
        })
        .await?;
        for (agent, offences) in known.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.0.limiter.rebuild(&agent, &offences).await?;
        }
        Ok(())
    }

    async fn each(
        &self,
        query: &Query,
        each: impl AsyncFn(&Entry) -> Result<(), PartsError>,
    ) -> Result<(), PartsError> {
        let mut cursor: Option<Cursor> = None;
        let limit = PageLimit::new(u64::from(PageLimit::MAX)).unwrap_or_default();
        loop {
            let page = self.0.log.query(query, cursor.as_ref(), limit).await?;
            for entry in &page.items {
                each(entry).await?;
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
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
    said.labels = labels.filter_map(|label| label.as_str().map(ToOwned::to_owned)).collect();
    said.hold = held.and_then(|id| id.parse().ok());
    said.is_repeat = meta.contains_key("repeatOf");
    said.would_be = meta.get("wouldBe").and_then(|word| word.as_str()).and_then(|word| word.parse().ok());
    said.is_sanitized = meta.get("sanitized").and_then(serde_json::Value::as_bool) == Some(true);
    Some(said)
}

/// The rule that finds tokens of ours.
const TOKEN_RULE: &str = "claw-token";

#[expect(clippy::expect_used, reason = "a word of letters is an id")]
fn gateway() -> AgentId {
    AgentId::new("gateway").expect("a word of letters is an id")
}

/// What an event of the log counts against its agent; nothing if it was a repeat or a plugin's failure, or if nobody
/// knows the agent any more.
fn offence_of(entry: &Entry) -> Option<(AgentId, Offence)> {
    let meta = &entry.metadata;
    let is_verdict = ["SSG_WARN", "SSG_QUARANTINE", "SSG_BLOCK"].contains(&entry.event_type.as_str());
    if !is_verdict || meta.contains_key("repeatOf") || meta.contains_key("byFailure") {
        return None;
    }
    let tier: RiskTier = meta.get("tier")?.as_str()?.parse().ok()?;
    let agent = AgentId::new(&entry.actor_id).ok().filter(|_| !entry.actor_id.starts_with("erased:"))?;
    let held =
        (entry.target_type.as_deref() == Some("quarantine")).then_some(entry.target_id.as_deref()).flatten();
    let offence = match held {
        Some(id) => Offence::new(id.parse::<QuarantineId>().ok()?, tier, entry.created_at),
        None => Offence::new(entry.id.parse::<InspectionId>().ok()?, tier, entry.created_at),
    };
    Some((agent, offence))
}
