//! Counters in Redis or Valkey: the same decisions, for as many processes as there are.

mod apart;
mod back;
mod config;
mod denied;
mod facts;
mod health;
mod inner;
mod keys;
mod link;
mod note;
mod offences;
mod queue;
mod script;
mod shadow;
mod sightings;
mod url;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use clawexchange_ssg_core::{AgentId, Clock, OwnerId, Timestamp, TrustLevel};
use deadpool_redis::redis::cmd;

use self::apart::refund_args;
pub use self::config::{RedisConfig, WhenAway};
pub use self::health::{BreakerState, RedisCounters, RedisHealth, ServerFacts, ServerKind};
use self::inner::{Inner, Phase};
use self::script::{Question, Reply};
pub use self::url::{REDIS_NODES_MAX, RedisKind, RedisUrl, RedisUrlError};
use crate::decision::{AgentStatus, Ask, Decision, Outlook, Permit};
use crate::error::LimitError;
use crate::limits::Limits;
use crate::penalties::{Offence, OffenceId, PenalisedUntil, Penalties, Suspension};
use crate::store::Store;
use crate::tier::EndpointTier;
use crate::window::Tick;

/// Counters in Redis or Valkey, shared by all processes that name the same servers and prefix. Cheap to clone.
///
/// A decision is one call of one script, which sees the whole log of agent and owner and the time of the server; what
/// comes at once goes together. In a cluster agent and owner lie on two servers, and are charged one after the other.
/// What is done while Redis is away, [`WhenAway`] says; such answers are marked as degraded.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

impl RedisStore {
    /// Takes the configuration. Connects when the first question is asked; what then runs in the background (connecting,
    /// sending what comes at once together, saying that this process is alive, telling Redis what was given while it was
    /// away) runs on the runtime of that question, and ends with the last clone of the store.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be used.
    pub fn open(config: RedisConfig) -> Result<Self, LimitError> {
        Ok(Self(Arc::new(Inner::new(config.checked()?, None, None))))
    }

    /// The same by a clock of its own in the place of Redis's, and handing so many bytes of logs back whole, for tests:
    /// of two processes with two clocks the one whose clock is ahead would free what the other one charged.
    #[doc(hidden)]
    pub fn open_by(config: RedisConfig, clock: impl Clock, whole_bytes: u32) -> Result<Self, LimitError> {
        Ok(Self(Arc::new(Inner::new(config.checked()?, Some(Box::new(clock)), Some(whole_bytes)))))
    }

    /// How the store stands, as this process knows it: no question is asked.
    pub fn health(&self) -> RedisHealth {
        self.0.health()
    }

    /// What Redis says of itself, for whoever looks after it. Asks several questions, over a connection of its own.
    ///
    /// # Errors
    ///
    /// Redis does not answer.
    pub async fn server(&self) -> Result<ServerFacts, LimitError> {
        self.0.facts().await
    }

    /// Answers to asks that only look, without Redis where it is away and that is wished.
    async fn looks(
        &self,
        questions: &[Question],
    ) -> Result<Vec<(Outlook, PenalisedUntil, Tick)>, LimitError> {
        let inner = &self.0;
        inner.start();
        let asked = async {
            if inner.link.is_cluster() {
                inner.look_apart(questions).await
            } else {
                inner.ask_all(questions).await
            }
        };
        let looked = |(question, reply): (&Question, Reply)| {
            let at = reply.at(Tick::ZERO);
            Ok((reply.outlook(question)?, reply.until, at))
        };
        match asked.await {
            Ok(replies) => questions.iter().zip(replies).map(looked).collect(),
            Err(failure) => {
                let is_local = inner.config().when_away == WhenAway::Local;
                if !is_local || *inner.phase.borrow() != Phase::Away {
                    return Err(failure.into());
                }
                let now = inner.time.now();
                let look = |question| {
                    let (outlook, until) = inner.shadow.look(question, now)?;
                    Ok((outlook, until, now))
                };
                questions.iter().map(look).collect()
            }
        }
    }

    async fn decide_together(&self, questions: Vec<Question>) -> Result<Vec<Decision>, LimitError> {
        let inner = &self.0;
        inner.tally.asks.fetch_add(questions.len() as u64, Ordering::Relaxed);
        let deadline = tokio::time::Instant::now() + inner.config().deadline;
        let mut under_way = Vec::new();
        for question in &questions {
            match inner.enter(question, deadline).await {
                Some(entered) => under_way.push(entered),
                None => break,
            }
        }
        let mut decisions = Vec::with_capacity(questions.len());
        if under_way.len() == questions.len() {
            match inner.ask_all(&questions).await {
                Ok(replies) => {
                    for (question, reply) in questions.iter().zip(replies) {
                        decisions.push(inner.settle(question, reply)?);
                    }
                    return Ok(decisions);
                }
                Err(failure @ link::Failure::Answer(_)) => return Err(failure.into()),
                Err(_) => {}
            }
        }
        drop(under_way);
        for question in &questions {
            match inner.without(question) {
                Ok(decision) => decisions.push(decision),
                Err(error) => {
                    self.refund_all(decisions).await;
                    return Err(error);
                }
            }
        }
        Ok(decisions)
    }

    async fn refund_all(&self, decisions: Vec<Decision>) {
        for decision in decisions {
            if let Decision::Allow { permit, .. } = decision
                && let Err(error) = self.refund(permit).await
            {
                tracing::warn!(%error, "an act that was not done stays charged");
            }
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("config", self.0.config()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn take(&self, ask: &Ask, limits: &Limits) -> Result<Decision, LimitError> {
        let question = self.0.question(ask, limits, false)?;
        self.0.start();
        self.0.take(question).await
    }

    async fn peek(&self, ask: &Ask, limits: &Limits) -> Result<Outlook, LimitError> {
        let question = self.0.question(ask, limits, true)?;
        let looked = self.looks(&[question]).await?;
        let outlook = looked.into_iter().next().map(|(outlook, ..)| outlook);
        outlook.ok_or(LimitError::RedisDamaged { what: "was not answered" })
    }

    async fn batch(&self, asks: &[Ask], limits: &Limits) -> Result<Vec<Decision>, LimitError> {
        let questions = asks.iter().map(|ask| self.0.question(ask, limits, false));
        let questions = questions.collect::<Result<Vec<_>, _>>()?;
        self.0.start();
        let mut decisions = Vec::with_capacity(questions.len());
        if self.0.link.is_cluster() {
            for question in questions {
                match self.0.take(question).await {
                    Ok(decision) => decisions.push(decision),
                    Err(error) => {
                        self.refund_all(decisions).await;
                        return Err(error);
                    }
                }
            }
            return Ok(decisions);
        }
        for together in questions.chunks(queue::TOGETHER_MAX) {
            match self.decide_together(together.to_vec()).await {
                Ok(more) => decisions.extend(more),
                Err(error) => {
                    self.refund_all(decisions).await;
                    return Err(error);
                }
            }
        }
        Ok(decisions)
    }

    async fn refund(&self, permit: Permit) -> Result<u32, LimitError> {
        if permit.cost == 0 {
            return Ok(0);
        }
        let inner = &self.0;
        inner.start();
        let log = inner.keys.agent(&permit.agent, &permit.tier);
        let owner = permit.owner.as_ref().map(|owner| inner.keys.owner(owner, &permit.tier));
        let local = inner.shadow.take_back([Some(&log), owner.as_ref()], permit.at, permit.cost);
        if local > 0 {
            return Ok(local);
        }
        let back = match &owner {
            Some(owner) if inner.link.is_cluster() => {
                inner.refund_apart((&log, permit.at), (owner, permit.owner_at), permit.cost).await?
            }
            _ => {
                let keys: Vec<_> = std::iter::once(log.clone()).chain(owner.clone()).collect();
                let args = [refund_args(permit.at, permit.owner_at, permit.cost, false)];
                inner.number(&inner.link.scripts.refund, &keys, &args).await?
            }
        };
        inner.shadow.refund(&log, permit.at, back);
        if let Some(owner) = &owner {
            inner.shadow.refund(owner, permit.owner_at, back);
        }
        inner.denied.forget(&permit.agent);
        Ok(back)
    }

    async fn status(
        &self,
        agent: &AgentId,
        owner: Option<&OwnerId>,
        trust: TrustLevel,
        limits: &Limits,
    ) -> Result<AgentStatus, LimitError> {
        let mut questions = Vec::new();
        for (tier, _) in limits.quotas() {
            let ask =
                Ask::new(agent.clone(), tier.clone()).of_owner(owner.cloned()).trusted(trust).costing(0);
            questions.push(self.0.question(&ask, limits, true)?);
        }
        let looked = self.looks(&questions).await?;
        let now = looked.iter().map(|(.., at)| *at).max().unwrap_or(Tick::ZERO);
        let until = looked.first().map_or_else(PenalisedUntil::default, |(_, until, _)| *until);
        let tiers = looked.into_iter().map(|(outlook, ..)| outlook.status).collect();
        Ok(AgentStatus::new(tiers, until, now))
    }

    async fn reset(&self, agent: &AgentId, tier: Option<&EndpointTier>) -> Result<(), LimitError> {
        self.0.start();
        let tiers = match tier {
            Some(tier) => vec![tier.clone()],
            None => self.0.all_tiers().await?,
        };
        let mut command = cmd("UNLINK");
        for tier in &tiers {
            let log = self.0.link.wire(&self.0.keys.agent(agent, tier));
            command.arg(&*log);
        }
        self.0.plain::<u64>(&command).await?;
        for tier in &tiers {
            self.0.shadow.forget(&self.0.keys.agent(agent, tier));
        }
        self.0.denied.forget(agent);
        Ok(())
    }

    async fn learn(&self, agent: &AgentId, offence: &Offence) -> Result<(), LimitError> {
        self.0.change_offences(agent, |penalties| penalties.learn(offence)).await
    }

    async fn unlearn(&self, agent: &AgentId, id: OffenceId) -> Result<(), LimitError> {
        self.0.change_offences(agent, |penalties| penalties.unlearn(id)).await
    }

    async fn rebuild(&self, agent: &AgentId, offences: &[Offence]) -> Result<(), LimitError> {
        let rebuilt = Penalties::from_offences(offences);
        self.0
            .change_offences(agent, |penalties| {
                let is_new = *penalties != rebuilt;
                penalties.clone_from(&rebuilt);
                is_new
            })
            .await
    }

    async fn suspend(&self, agent: &AgentId, until: Option<Timestamp>) -> Result<(), LimitError> {
        self.0.set_suspended(agent, Suspension::tick(until)).await.map(drop)
    }

    async fn lift(&self, agent: &AgentId) -> Result<bool, LimitError> {
        self.0.set_suspended(agent, Tick::ZERO).await
    }

    /// Whether it survives the end of power, Redis's own configuration says.
    async fn sync(&self) -> Result<(), LimitError> {
        Ok(())
    }
}
