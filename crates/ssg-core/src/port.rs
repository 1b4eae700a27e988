//! What the gate asks of the world: as small as its need.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::actor::Actor;
use crate::content::ContentEnvelope;
use crate::event::AuditEvent;
use crate::fault::{Fault, FaultKind};
use crate::id::{AgentId, OwnerId, QuarantineId, SourceId};
use crate::inspection::Assessment;

/// Where events go for good.
#[async_trait]
pub trait AuditSink: fmt::Debug + Send + Sync + 'static {
    /// `async fn record(&self, event: AuditEvent) -> Result<(), PortError>`
    ///
    /// `Ok`: the event survives a crash.
    async fn record(&self, event: AuditEvent) -> Result<(), PortError>;
}

/// Where suspicious content goes until somebody decides.
#[async_trait]
pub trait Quarantine: fmt::Debug + Send + Sync + 'static {
    /// `async fn hold(&self, hold: Hold) -> Result<Held, PortError>`
    ///
    /// `Ok`: the content and its event survive a crash, together. An id that is held already is `Ok` and changes
    /// nothing; content that its agent has in here already is not kept twice, and the answer names the first.
    async fn hold(&self, hold: Hold) -> Result<Held, PortError>;
}

/// What is to be held, under an id that the gate chose, so that asking twice holds once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hold {
    /// The id.
    pub id: QuarantineId,
    /// The content, as it came in.
    pub content: ContentEnvelope,
    /// Why it is held.
    pub assessment: Assessment,
    /// Who posts it.
    pub agent: AgentId,
    /// Who the agent belongs to.
    pub owner: Option<OwnerId>,
    /// The platform's own name for it.
    pub source: Option<SourceId>,
    /// Its event, which is committed with it.
    pub event: AuditEvent,
}

impl Hold {
    /// Puts the parts together; owner and source are set afterwards.
    pub fn new(
        id: QuarantineId,
        content: ContentEnvelope,
        assessment: Assessment,
        agent: AgentId,
        event: AuditEvent,
    ) -> Self {
        Self { id, content, assessment, agent, owner: None, source: None, event }
    }

    /// Who posts it, as the log says it.
    pub fn actor(&self) -> Actor {
        Actor::agent(self.agent.clone())
    }
}

/// Where content is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// What to ask for.
    pub id: QuarantineId,
    /// The same content of the same agent was held already, under this id.
    pub is_repeat: bool,
}

impl Held {
    /// Puts the parts together.
    pub const fn new(id: QuarantineId, is_repeat: bool) -> Self {
        Self { id, is_repeat }
    }
}

/// Why a port did not do what it was asked; any [`Fault`] becomes one by `?`.
///
/// It is not a `Fault` itself, so that it cannot be wrapped twice.
pub struct PortError(Box<dyn Fault>);

impl PortError {
    /// Stable text, `<crate>/<what-went-wrong>`.
    pub fn code(&self) -> &'static str {
        self.0.code()
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> FaultKind {
        self.0.kind()
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        self.0.is_transient()
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

impl<F: Fault> From<F> for PortError {
    fn from(fault: F) -> Self {
        Self(Box::new(fault))
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PortError").field(&self.code()).finish()
    }
}

impl Error for PortError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[async_trait]
impl<T: AuditSink + ?Sized> AuditSink for Arc<T> {
    async fn record(&self, event: AuditEvent) -> Result<(), PortError> {
        (**self).record(event).await
    }
}

#[async_trait]
impl<T: AuditSink + ?Sized> AuditSink for Box<T> {
    async fn record(&self, event: AuditEvent) -> Result<(), PortError> {
        (**self).record(event).await
    }
}

#[async_trait]
impl<T: Quarantine + ?Sized> Quarantine for Arc<T> {
    async fn hold(&self, hold: Hold) -> Result<Held, PortError> {
        (**self).hold(hold).await
    }
}

#[async_trait]
impl<T: Quarantine + ?Sized> Quarantine for Box<T> {
    async fn hold(&self, hold: Hold) -> Result<Held, PortError> {
        (**self).hold(hold).await
    }
}
