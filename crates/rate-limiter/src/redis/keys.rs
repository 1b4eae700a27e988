//! What keys are called: all of an agent's in one slot, all of an owner's in one.
//!
//! Ids and tiers have no brace in them and neither has the prefix, so that the only braces of a key are ours and no id
//! stands for another's key. In a cluster what is in the braces is a sum of the id under a salt that only the cluster and
//! its clients know: who chooses an id does not choose its slot, nor whose slot it shares.

use std::hash::Hasher as _;
#[expect(deprecated, reason = "the standard library has no other hash that takes a key")]
use std::hash::SipHasher;

use clawexchange_ssg_core::{AgentId, InspectionId, OwnerId};

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

    /// What was seen at the nth place of sketches. Sketches hang on a secret, so that no text chooses its places.
    pub(super) fn place(&self, nth: usize, place: u16) -> Key {
        self.named("{c:", &format!("{nth}-{place:04x}"), "}", "")
    }

    /// Texts that were found harmless.
    pub(super) fn released(&self) -> Key {
        self.named("{", "released", "}", "")
    }

    /// The salt of a cluster.
    pub(super) fn salt(&self) -> Key {
        self.named("{", "salt", "}", "")
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

/// What makes slots unpredictable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt([u8; 16]);

impl Salt {
    pub(super) fn fresh() -> Self {
        let (one, other) = (InspectionId::fresh(), InspectionId::fresh());
        let half = |id: &InspectionId| {
            let [.., a, b, c, d, e, f, g, h] = *id.as_bytes();
            [a, b, c, d, e, f, g, h]
        };
        let mut salt = [0; 16];
        for (to, from) in salt.iter_mut().zip(half(&one).into_iter().chain(half(&other))) {
            *to = from;
        }
        Self(salt)
    }

    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The key of an agent or owner as it is called in the cluster; others are called there as here.
    pub(super) fn wire(&self, key: &[u8]) -> Key {
        let (Some(open), Some(close)) = (place(key, b'{'), place(key, b'}')) else { return key.into() };
        let (Some(before), Some(id), Some(after)) =
            (key.get(..open), key.get(open + 1..close), key.get(close + 1..))
        else {
            return key.into();
        };
        if !id.contains(&b':') {
            return key.into();
        }
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.0;
        #[expect(deprecated, reason = "the standard library has no other hash that takes a key")]
        let mut hasher =
            SipHasher::new_with_keys(u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(rest));
        hasher.write(id);
        let tag = format!("{{{:016x}}}", hasher.finish());
        [before, tag.as_bytes(), id, after].concat().into_boxed_slice()
    }
}

fn place(key: &[u8], byte: u8) -> Option<usize> {
    key.iter().position(|b| *b == byte)
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

    #[test]
    fn in_a_cluster_a_slot_follows_from_the_id_and_a_salt_and_all_keys_of_one_share_it() {
        let (keys, agent) = (Keys::new("claw"), AgentId::new("ann").unwrap());
        let (one, other) = (Salt([1; 16]), Salt([2; 16]));
        let tag = |salt: &Salt, key: &Key| {
            text(&salt.wire(key)).split_once('}').map(|(tag, _)| tag.to_owned()).unwrap()
        };
        let log = keys.agent(&agent, &EndpointTier::POSTS);
        for key in [keys.word(&agent), keys.offences(&agent), Keys::done(&log, [7; 8])] {
            assert_eq!(tag(&one, &log), tag(&one, &key));
        }
        assert_ne!(tag(&one, &log), tag(&other, &log));
        assert_eq!(tag(&one, &log).len(), "claw:{".len() + 16);
        assert!(text(&one.wire(&log)).ends_with("}a:ann:POSTS"), "who looks still sees whose it is");
        assert_eq!(one.wire(&keys.instances()), keys.instances());
        assert!(Salt::of(Salt::fresh().as_bytes()) != Some(Salt::fresh()));
    }
}
