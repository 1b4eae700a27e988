//! Who asks, as a token or a command line says.

use clawexchange_ssg_core::{Actor, ActorType, AgentId, IdError, OwnerId, TrustLevel};

use crate::access::{Act, Role};

/// Who asks, and in what capacity. There is none that is unknown: who cannot be named is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Principal {
    /// Its name, as the log says it; of an agent, its id.
    pub id: AgentId,
    /// In what capacity it speaks.
    pub role: Role,
    /// Who an agent belongs to, as its token says.
    pub owner: Option<OwnerId>,
    /// How far an agent is trusted, as its token says.
    pub trust: TrustLevel,
}

impl Principal {
    /// Somebody of a role, of whom nothing else is known.
    pub fn new(id: impl AsRef<str>, role: Role) -> Result<Self, IdError> {
        Ok(Self { id: AgentId::new(id)?, role, owner: None, trust: TrustLevel::New })
    }

    /// How the log names it: platforms are systems, moderators, admins and auditors are people.
    pub fn actor(&self) -> Actor {
        let kind = match self.role {
            Role::Agent => ActorType::Agent,
            Role::Bot => ActorType::Bot,
            Role::Platform => ActorType::System,
            Role::Moderator | Role::Admin | Role::Auditor => ActorType::Human,
        };
        Actor::named(kind, self.id.clone())
    }

    /// Whether it may.
    pub fn may(&self, act: Act) -> bool {
        self.role.may(act)
    }
}
