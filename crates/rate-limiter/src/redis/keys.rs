//! What keys are called: all of an agent's in one slot, all of an owner's in one.
//!
//! Ids and tiers have no brace in them and neither has the prefix, so that the only braces of a key are ours and no id
//! stands for another's key or chooses what its slot is made of.

use clawexchange_ssg_core::{AgentId, OwnerId};

use crate::tier::EndpointTier;

/// A key, as bytes.
pub(super) type Key = Box<[u8]>;

/// Names keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: Box<str>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// What an agent was charged in a tier.
    pub(super) fn agent(&self, agent: &AgentId, tier: &EndpointTier) -> Key {
        self.named("{a:", agent.as_str(), "}:", tier.as_str())
    }

    /// What an owner was charged in a tier.
    pub(super) fn owner(&self, owner: &OwnerId, tier: &EndpointTier) -> Key {
        self.named("{o:", owner.as_str(), "}:", tier.as_str())
    }

    /// An agent's penalties and suspension. Tiers begin with a capital, so that this is none.
    pub(super) fn word(&self, agent: &AgentId) -> Key {
        self.named("{a:", agent.as_str(), "}:", "x")
    }

    /// An agent's offences.
    pub(super) fn offences(&self, agent: &AgentId) -> Key {
        self.named("{a:", agent.as_str(), "}:", "o")
    }

    /// The processes that are alive.
    pub(super) fn instances(&self) -> Key {
        self.named("{", "instances", "}", "")
    }

    /// The tiers that were ever charged, besides the three of the original.
    pub(super) fn tiers(&self) -> Key {
        self.named("{", "tiers", "}", "")
    }

    /// A text that lies beside the counters.
    pub(super) fn note(&self) -> Key {
        self.named("{", "note", "}", "")
    }

    /// That something was done to a log, beside it.
    pub(super) fn done(log: &[u8], id: [u8; 8]) -> Key {
        let tag = log.iter().position(|b| *b == b'}').map_or(log.len(), |at| at + 1);
        let id = u64::from_be_bytes(id);
        log.iter().take(tag).copied().chain(format!(":d{id:016x}").into_bytes()).collect()
    }

    fn named(&self, open: &str, id: &str, close: &str, what: &str) -> Key {
        let mut key =
            Vec::with_capacity(self.prefix.len() + 1 + open.len() + id.len() + close.len() + what.len());
        for part in [&*self.prefix, ":", open, id, close, what] {
            key.extend_from_slice(part.as_bytes());
        }
        key.into_boxed_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &Key) -> &str {
        std::str::from_utf8(key).unwrap()
    }

    #[test]
    fn an_agent_and_an_owner_of_one_name_have_different_keys_and_each_has_one_slot_for_all_of_them() {
        let keys = Keys::new("claw");
        let (agent, owner) = (AgentId::new("ann:x}").ok(), AgentId::new("ann").unwrap());
        assert!(agent.is_none(), "no id has a brace");
        let log = keys.agent(&owner, &EndpointTier::POSTS);
        assert_eq!(text(&log), "claw:{a:ann}:POSTS");
        assert_eq!(
            text(&keys.owner(&OwnerId::new("ann").unwrap(), &EndpointTier::POSTS)),
            "claw:{o:ann}:POSTS"
        );
        assert_eq!(
            (text(&keys.word(&owner)), text(&keys.offences(&owner))),
            ("claw:{a:ann}:x", "claw:{a:ann}:o")
        );
        assert_eq!(text(&Keys::done(&log, [0, 0, 0, 0, 0, 0, 1, 2])), "claw:{a:ann}:d0000000000000102");
    }
}
