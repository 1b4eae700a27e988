//! The limiter: limits that may change at any time, over a store.

use std::sync::{Arc, PoisonError, RwLock};

use clawexchange_ssg_core::{AgentId, OwnerId, Timestamp, TrustLevel};

use crate::decision::{AgentStatus, Ask, Decision, Outlook, Permit};
use crate::error::LimitError;
use crate::limits::Limits;
use crate::memory::MemoryStore;
use crate::penalties::{Offence, OffenceId};
use crate::store::Store;
use crate::tier::EndpointTier;

/// Says how often an agent may act. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Box<dyn Store>,
    limits: RwLock<Arc<Limits>>,
}

impl Limiter {
    /// A limiter whose counters live and die with this process.
    pub fn in_process(limits: Limits) -> Self {
        Self::new(MemoryStore::default(), limits)
    }

    /// A limiter over a store, which keeps counters and time.
    pub fn new(store: impl Store, limits: Limits) -> Self {
        Self(Arc::new(Inner { store: Box::new(store), limits: RwLock::new(Arc::new(limits)) }))
    }

    /// Charges what is asked, if it fits. A refusal charges nothing.
    pub async fn take(&self, ask: &Ask) -> Result<Decision, LimitError> {
        self.0.store.take(ask, &self.limits()).await
    }

    /// Says what [`take`](Self::take) would answer, and charges nothing.
    pub async fn peek(&self, ask: &Ask) -> Result<Outlook, LimitError> {
        self.0.store.peek(ask, &self.limits()).await
    }

    /// Decides one after the other, in one round trip. Where one fails, those before it are refunded.
    pub async fn batch(&self, asks: &[Ask]) -> Result<Vec<Decision>, LimitError> {
        self.0.store.batch(asks, &self.limits()).await
    }

    /// Gives the units of an act back that failed by our own fault, and says how many: fewer than were charged if
    /// some have been forgotten meanwhile.
    pub async fn refund(&self, permit: Permit) -> Result<u32, LimitError> {
        self.0.store.refund(permit).await
    }

    /// How an agent stands in every tier, in one round trip. Counts nothing.
    pub async fn status(
        &self,
        agent: &AgentId,
        trust: TrustLevel,
        owner: Option<&OwnerId>,
    ) -> Result<AgentStatus, LimitError> {
        self.0.store.status(agent, owner, trust, &self.limits()).await
    }

    /// Forgets what an agent was charged, in one tier or in all. Its owner's ceiling and its penalties stay.
    pub async fn reset(&self, agent: &AgentId, tier: Option<&EndpointTier>) -> Result<(), LimitError> {
        self.0.store.reset(agent, tier).await
    }

    /// Counts an offence of an agent, once; it lowers the limits of what the agent asks next.
    ///
    /// What does not count (failed plugins, rules that only shadow, content that is held already) is not handed in.
    pub async fn learn(&self, agent: &AgentId, offence: &Offence) -> Result<(), LimitError> {
        self.0.store.learn(agent, offence).await
    }

    /// Takes an offence back, when what was held turned out to be harmless.
    pub async fn unlearn(&self, agent: &AgentId, id: impl Into<OffenceId>) -> Result<(), LimitError> {
        self.0.store.unlearn(agent, id.into()).await
    }

    /// Replaces what is known of an agent's offences by what its history says.
    pub async fn rebuild(&self, agent: &AgentId, offences: &[Offence]) -> Result<(), LimitError> {
        self.0.store.rebuild(agent, offences).await
    }

    /// Forbids an agent everything in every tier, until then or else until it is lifted.
    pub async fn suspend(&self, agent: &AgentId, until: Option<Timestamp>) -> Result<(), LimitError> {
        self.0.store.suspend(agent, until).await
    }

    /// Ends an agent's suspension; says whether there was one, be it over or not.
    pub async fn lift(&self, agent: &AgentId) -> Result<bool, LimitError> {
        self.0.store.lift(agent).await
    }

    /// `Ok`: what was acknowledged until now survives the end of power, if the store keeps anything at all.
    pub async fn sync(&self) -> Result<(), LimitError> {
        self.0.store.sync().await
    }

    /// The limits that hold now.
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.0.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets limits that hold from the next question on. What was charged stays charged.
    pub fn set_limits(&self, limits: Limits) {
        *self.0.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }
}
