//! Counters in Redis or Valkey: the same decisions, for as many processes as there are.

mod config;
mod health;
mod note;
mod url;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use clawexchange_ssg_core::{AgentId, OwnerId, Timestamp, TrustLevel};

pub use self::config::{RedisConfig, WhenAway};
pub use self::health::{BreakerState, RedisCounters, RedisHealth, ServerFacts, ServerKind};
pub use self::url::{REDIS_NODES_MAX, RedisKind, RedisUrl, RedisUrlError};
use crate::decision::{AgentStatus, Ask, Decision, Outlook, Permit};
use crate::error::LimitError;
use crate::limits::Limits;
use crate::penalties::{Offence, OffenceId};
use crate::store::Store;
use crate::tier::EndpointTier;

/// Counters in Redis or Valkey, shared by all processes that name the same servers and prefix. Cheap to clone.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    config: RedisConfig,
}

impl RedisStore {
    /// Takes the configuration. Connects when the first question is asked; what then runs in the background runs on the
    /// runtime of that question, and ends with the last clone of the store.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be used.
    pub fn open(config: RedisConfig) -> Result<Self, LimitError> {
        Ok(Self(Arc::new(Inner { config: config.checked()? })))
    }

    /// How the store stands, as this process knows it: no question is asked.
    pub fn health(&self) -> RedisHealth {
        RedisHealth::default()
    }

    /// What Redis says of itself, for whoever looks after it. Asks several questions.
    ///
    /// # Errors
    ///
    /// Redis does not answer.
    pub async fn server(&self) -> Result<ServerFacts, LimitError> {
        Err(away())
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("config", &self.0.config).finish_non_exhaustive()
    }
}

fn away() -> LimitError {
    LimitError::Away("it is not asked yet".into())
}

#[async_trait]
impl Store for RedisStore {
    async fn take(&self, _: &Ask, _: &Limits) -> Result<Decision, LimitError> {
        Err(away())
    }

    async fn peek(&self, _: &Ask, _: &Limits) -> Result<Outlook, LimitError> {
        Err(away())
    }

    async fn batch(&self, _: &[Ask], _: &Limits) -> Result<Vec<Decision>, LimitError> {
        Err(away())
    }

    async fn refund(&self, _: Permit) -> Result<u32, LimitError> {
        Err(away())
    }

    async fn status(
        &self,
        _: &AgentId,
        _: Option<&OwnerId>,
        _: TrustLevel,
        _: &Limits,
    ) -> Result<AgentStatus, LimitError> {
        Err(away())
    }

    async fn reset(&self, _: &AgentId, _: Option<&EndpointTier>) -> Result<(), LimitError> {
        Err(away())
    }

    async fn learn(&self, _: &AgentId, _: &Offence) -> Result<(), LimitError> {
        Err(away())
    }

    async fn unlearn(&self, _: &AgentId, _: OffenceId) -> Result<(), LimitError> {
        Err(away())
    }

    async fn rebuild(&self, _: &AgentId, _: &[Offence]) -> Result<(), LimitError> {
        Err(away())
    }

    async fn suspend(&self, _: &AgentId, _: Option<Timestamp>) -> Result<(), LimitError> {
        Err(away())
    }

    async fn lift(&self, _: &AgentId) -> Result<bool, LimitError> {
        Err(away())
    }

    async fn sync(&self) -> Result<(), LimitError> {
        Ok(())
    }
}
