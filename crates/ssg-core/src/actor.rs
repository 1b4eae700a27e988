//! Who did it, and how far a platform trusts an agent.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, IdError, OwnerId};

/// The sorts of actors that the log knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ActorType {
    /// An agent that posts.
    Agent,
    /// A program that reviews.
    Bot,
    /// A person.
    Human,
    /// The pipeline itself.
    System,
}

impl ActorType {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Bot, Self::Human, Self::System];

    /// The word that stands in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Bot => "bot",
            Self::Human => "human",
            Self::System => "system",
        }
    }
}

impl fmt::Display for ActorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is none of those that are known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not one of {known}")]
#[non_exhaustive]
pub struct UnknownWord {
    /// The words that are known, with `|` between them.
    pub known: &'static str,
}

impl UnknownWord {
    /// The text is none of `known`, which are separated by `|`.
    pub const fn new(known: &'static str) -> Self {
        Self { known }
    }
}

impl FromStr for ActorType {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord { known: "agent|bot|human|system" })
    }
}

/// Who did it, as the log says it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Actor {
    /// What sort of actor it is.
    #[serde(rename = "type")]
    pub kind: ActorType,
    /// The actor's own id: 1 to 128 characters of `A-Z a-z 0-9 . _ : @ -`.
    pub id: AgentId,
}

impl Actor {
    /// Names an actor.
    pub fn new(kind: ActorType, id: impl AsRef<str>) -> Result<Self, IdError> {
        Ok(Self { kind, id: AgentId::new(id)? })
    }

    /// An actor of any sort, by an id that is one.
    pub const fn named(kind: ActorType, id: AgentId) -> Self {
        Self { kind, id }
    }

    /// The agent that posts.
    pub fn agent(id: AgentId) -> Self {
        Self { kind: ActorType::Agent, id }
    }

    /// A person.
    pub fn human(id: impl AsRef<str>) -> Result<Self, IdError> {
        Self::new(ActorType::Human, id)
    }

    /// A part of the pipeline, such as `sweep`.
    pub fn system(part: impl AsRef<str>) -> Result<Self, IdError> {
        Self::new(ActorType::System, part)
    }
}

/// How far the platform trusts an agent. What is not said is `New`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(
    clippy::exhaustive_enums,
    reason = "who gives each level its limits and forgets one must not compile"
)]
pub enum TrustLevel {
    /// Nothing is known of it yet.
    #[default]
    New,
    /// It has been around without trouble.
    Established,
    /// The platform knows who is behind it.
    Verified,
    /// The platform's own.
    PlatformBot,
}

impl TrustLevel {
    /// All of them, from least to most.
    pub const ALL: [Self; 4] = [Self::New, Self::Established, Self::Verified, Self::PlatformBot];

    /// The word that stands in requests and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Established => "ESTABLISHED",
            Self::Verified => "VERIFIED",
            Self::PlatformBot => "PLATFORM_BOT",
        }
    }
}

impl fmt::Display for TrustLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TrustLevel {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or(UnknownWord { known: "NEW|ESTABLISHED|VERIFIED|PLATFORM_BOT" })
    }
}

/// Who posts, as an application's authentication knows it: what it puts into the extensions of a request, and what
/// the HTTP layers of this pipeline take from there. None there means that nobody is known, and they refuse.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Caller {
    /// The agent that posts.
    pub agent: AgentId,
    /// Who the agent belongs to.
    pub owner: Option<OwnerId>,
    /// How far the platform trusts the agent. NEW unless set.
    pub trust: TrustLevel,
    /// Where the agent's request came from.
    pub ip: Option<IpAddr>,
}

impl Caller {
    /// An agent of which nothing else is known.
    pub const fn new(agent: AgentId) -> Self {
        Self { agent, owner: None, trust: TrustLevel::New, ip: None }
    }
}
