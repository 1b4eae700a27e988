//! The way of a submission: limited, inspected, held or passed, logged, remembered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clawexchange_audit::{AuditLog, Entry, Log, Query};
use clawexchange_quarantine::Vault;
use clawexchange_rate_limiter::{Ask, Decision, EndpointTier, LimitError, Limiter, Offence, Permit};
use clawexchange_ssg_core::{
    AgentId, Clock as _, Cursor, EventKind, Fault as _, Gate, InspectionId, Outcome, PageLimit, QuarantineId,
    RiskTier, Submission, SystemClock, TrustLevel,
};

use crate::error::PartsError;

/// Limiter, gate and what they remember. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pipeline(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gate: Gate,
    limiter: Limiter,
    log: AuditLog,
    vault: Vault,
    /// Index in the log of decisions up to which releases were heeded.
    heeded: AtomicU64,
    looked: Mutex<Option<Instant>>,
}

/// What became of a submission.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "who answers a submission and forgets one must not compile")]
pub enum Submitted {
    /// It was inspected, and what follows from it was done.
    Decided(Box<Outcome>),
    /// It came too soon and was not looked at; nothing was charged.
    Limited(LimitError),
}

/// How long something counts against an agent.
const HISTORY: Duration = Duration::from_hours(7 * 24);

/// How often releases by other processes are looked for.
const LOOK: Duration = Duration::from_secs(1);

impl Pipeline {
    /// Puts the parts together. If the counters are new, what the log says of the last week is learned first.
    pub(crate) async fn open(
        gate: Gate,
        limiter: Limiter,
        log: AuditLog,
        vault: Vault,
        is_new: bool,
    ) -> Result<Self, PartsError> {
        let size = log.size(Log::Decisions).await?;
        let me = Self(Arc::new(Inner {
            gate,
            limiter,
            log,
            vault,
            heeded: AtomicU64::new(size),
            looked: Mutex::new(None),
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
        self.heed_releases().await?;
        let ask = Ask::new(submission.agent.clone(), EndpointTier::from(submission.content.content_type()))
            .of_owner(submission.owner.clone())
            .trusted(trust);
        let decision: Decision = self.0.limiter.take(&ask).await?;
        let permit: Permit = match decision.into_permit() {
            Ok(permit) => permit,
            Err(refused) => return Ok(Submitted::Limited(refused)),
        };
        let agent = submission.agent.clone();
        match self.0.gate.submit(submission).await {
            Ok(outcome) => {
                // The verdict stands and is acknowledged; counters that fail here fail the agent's next request.
                if let Err(error) = self.learn(&agent, &outcome).await {
                    tracing::error!(code = error.code(), "what counts against an agent could not be noted");
                }
                Ok(Submitted::Decided(Box::new(outcome)))
            }
            Err(error) => {
                if let Err(lost) = self.0.limiter.refund(permit).await {
                    tracing::error!(code = lost.code(), "a charge could not be given back");
                }
                Err(error.into())
            }
        }
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

    /// Takes offences back that other processes found to be none: at most a second later.
    async fn heed_releases(&self) -> Result<(), PartsError> {
        {
            let mut looked = self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|at| at.elapsed() < LOOK) {
                return Ok(());
            }
            *looked = Some(Instant::now());
        }
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
        let is_release =
            [EventKind::HumanRelease, EventKind::BotRelease].iter().any(|k| k.as_str() == entry.event_type);
        let is_false = entry.metadata.get("reason").and_then(|r| r.as_str()) == Some("FALSE_POSITIVE");
        let id = entry.target_id.as_deref().and_then(|id| id.parse::<QuarantineId>().ok());
        if let (true, true, Some(id)) = (is_release, is_false, id) {
            let record = self.0.vault.show(id).await?;
            self.0.limiter.unlearn(&record.agent_id, id).await?;
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

/// What an event of the log counts against its agent; nothing if it was a repeat or a plugin's failure, or if nobody
/// knows the agent any more.
fn offence_of(entry: &Entry) -> Option<(AgentId, Offence)> {
    let meta = &entry.metadata;
    if meta.contains_key("repeatOf") || meta.contains_key("byFailure") {
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
