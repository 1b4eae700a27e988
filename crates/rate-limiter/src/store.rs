//! Where counters are kept.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use clawexchange_ssg_core::{AgentId, OwnerId, Timestamp, TrustLevel};

use crate::decision::{AgentStatus, Ask, Decision, Outlook, Permit};
use crate::error::LimitError;
use crate::limits::Limits;
use crate::penalties::{Offence, OffenceId};
use crate::tier::EndpointTier;

/// Keeps the logs of what was admitted, the penalties, and the time: no caller's clock decides.
///
/// Whatever the store, an act is charged to the agent and to its owner, in both windows, or nowhere; a refusal
/// changes nothing; and waits are exact. Limits come with each question, so that nothing of them is kept here.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// `async fn take(&self, ask: &Ask, limits: &Limits) -> Result<Decision, LimitError>`
    ///
    /// Charges what is asked, if it fits.
    async fn take(&self, ask: &Ask, limits: &Limits) -> Result<Decision, LimitError>;

    /// `async fn peek(&self, ask: &Ask, limits: &Limits) -> Result<Outlook, LimitError>`
    ///
    /// Says what [`take`](Self::take) would answer. Changes nothing.
    async fn peek(&self, ask: &Ask, limits: &Limits) -> Result<Outlook, LimitError>;

    /// `async fn batch(&self, asks: &[Ask], limits: &Limits) -> Result<Vec<Decision>, LimitError>`
    ///
    /// Decides one after the other, as so many calls of [`take`](Self::take) at one moment would. Where one fails,
    /// those before it are refunded and the failure is the answer.
    async fn batch(&self, asks: &[Ask], limits: &Limits) -> Result<Vec<Decision>, LimitError>;

    /// `async fn refund(&self, permit: Permit) -> Result<u32, LimitError>`
    ///
    /// Gives the units back to agent and owner, and says how many: fewer than were charged if some have been forgotten
    /// meanwhile.
    async fn refund(&self, permit: Permit) -> Result<u32, LimitError>;

    /// `async fn status(&self, agent: &AgentId, owner: Option<&OwnerId>, trust: TrustLevel, limits: &Limits)
    /// -> Result<AgentStatus, LimitError>`
    ///
    /// How the agent stands in every tier that has a quota, in one round trip. Changes nothing.
    async fn status(
        &self,
        agent: &AgentId,
        owner: Option<&OwnerId>,
        trust: TrustLevel,
        limits: &Limits,
    ) -> Result<AgentStatus, LimitError>;

    /// `async fn reset(&self, agent: &AgentId, tier: Option<&EndpointTier>) -> Result<(), LimitError>`
    ///
    /// Forgets what the agent was charged, in one tier or in all. Its owner's ceiling and its penalties stay.
    async fn reset(&self, agent: &AgentId, tier: Option<&EndpointTier>) -> Result<(), LimitError>;

    /// `async fn learn(&self, agent: &AgentId, offence: &Offence) -> Result<(), LimitError>`
    ///
    /// Counts an offence of the agent, once.
    async fn learn(&self, agent: &AgentId, offence: &Offence) -> Result<(), LimitError>;

    /// `async fn unlearn(&self, agent: &AgentId, id: OffenceId) -> Result<(), LimitError>`
    ///
    /// Takes an offence back that was none.
    async fn unlearn(&self, agent: &AgentId, id: OffenceId) -> Result<(), LimitError>;

    /// `async fn rebuild(&self, agent: &AgentId, offences: &[Offence]) -> Result<(), LimitError>`
    ///
    /// Replaces all that is known of the agent's offences.
    async fn rebuild(&self, agent: &AgentId, offences: &[Offence]) -> Result<(), LimitError>;

    /// `async fn suspend(&self, agent: &AgentId, until: Option<Timestamp>) -> Result<(), LimitError>`
    ///
    /// Forbids the agent everything in every tier, until then or else until it is lifted. A suspension that holds already
    /// is replaced; one whose end is past lifts it. Nothing is charged meanwhile, and nothing is forgotten.
    async fn suspend(&self, agent: &AgentId, until: Option<Timestamp>) -> Result<(), LimitError>;

    /// `async fn lift(&self, agent: &AgentId) -> Result<bool, LimitError>`
    ///
    /// Ends the agent's suspension; says whether there was one, be it over or not.
    async fn lift(&self, agent: &AgentId) -> Result<bool, LimitError>;

    /// `async fn sync(&self) -> Result<(), LimitError>`
    ///
    /// `Ok`: what was acknowledged until now survives the end of power, if the store keeps anything at all.
    async fn sync(&self) -> Result<(), LimitError>;
}

macro_rules! stores_behind {
    ($($pointer:ident)*) => { $(
        #[async_trait]
        impl<T: Store + ?Sized> Store for $pointer<T> {
            async fn take(&self, ask: &Ask, limits: &Limits) -> Result<Decision, LimitError> {
                (**self).take(ask, limits).await
            }

            async fn peek(&self, ask: &Ask, limits: &Limits) -> Result<Outlook, LimitError> {
                (**self).peek(ask, limits).await
            }

            async fn batch(&self, asks: &[Ask], limits: &Limits) -> Result<Vec<Decision>, LimitError> {
                (**self).batch(asks, limits).await
            }

            async fn refund(&self, permit: Permit) -> Result<u32, LimitError> {
                (**self).refund(permit).await
            }

            async fn status(
                &self,
                agent: &AgentId,
                owner: Option<&OwnerId>,
                trust: TrustLevel,
                limits: &Limits,
            ) -> Result<AgentStatus, LimitError> {
                (**self).status(agent, owner, trust, limits).await
            }

            async fn reset(&self, agent: &AgentId, tier: Option<&EndpointTier>) -> Result<(), LimitError> {
                (**self).reset(agent, tier).await
            }

            async fn learn(&self, agent: &AgentId, offence: &Offence) -> Result<(), LimitError> {
                (**self).learn(agent, offence).await
            }

            async fn unlearn(&self, agent: &AgentId, id: OffenceId) -> Result<(), LimitError> {
                (**self).unlearn(agent, id).await
            }

            async fn rebuild(&self, agent: &AgentId, offences: &[Offence]) -> Result<(), LimitError> {
                (**self).rebuild(agent, offences).await
            }

            async fn suspend(&self, agent: &AgentId, until: Option<Timestamp>) -> Result<(), LimitError> {
                (**self).suspend(agent, until).await
            }

            async fn lift(&self, agent: &AgentId) -> Result<bool, LimitError> {
                (**self).lift(agent).await
            }

            async fn sync(&self) -> Result<(), LimitError> {
                (**self).sync().await
            }
        }
    )* };
}

stores_behind! { Box Arc }
