//! From an event to the bytes that are hashed. Pure.
//!
//! Leaf, version 1, never changed: RFC 8785 JSON of at most 60,000 bytes, `{v:1, id, ts, type, actor:{type, id|ref},
//! target?, ip?, meta}`. Agents and owners stand as aliases; personal texts stand sealed.

use std::str::FromStr;

use clawexchange_ssg_core::{ActorType, AuditEvent, EventKind, Timestamp, UnknownWord};
use ring::digest;
use serde_json::{Map, Value, json};

use crate::error::AuditError;

/// The most bytes of a leaf: a length of 16 bits has room for it.
pub(crate) const LEAF_BYTES_MAX: usize = 60_000;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// The two logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "each log has its own numbers; a third would have to be given them"
)]
pub enum Log {
    /// What was held and refused, and all that people, bots, keys, settings and limits did.
    Decisions,
    /// What was passed on.
    Verdicts,
}

impl Log {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Decisions, Self::Verdicts];

    /// The word that stands in tables and origins.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decisions => "decisions",
            Self::Verdicts => "verdicts",
        }
    }

    /// Where an event belongs.
    pub const fn of(kind: EventKind) -> Self {
        match kind {
            EventKind::SsgPass | EventKind::SsgWarn => Self::Verdicts,
            _ => Self::Decisions,
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|log| log.as_str() == text)
    }
}

impl FromStr for Log {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::parse(text).ok_or(UnknownWord::new("decisions|verdicts"))
    }
}

/// What a leaf says, as columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Projection {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) actor_type: String,
    pub(crate) actor_id: String,
    pub(crate) target_type: Option<String>,
    pub(crate) target_id: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) created_us: i64,
}

/// The bytes of a leaf and their hash.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: Hash,
    pub(crate) projection: Projection,
}

impl Leaf {
    /// Makes the leaf of an event whose agent and owner have these aliases and whose personal texts are sealed.
    pub(crate) fn of(
        event: &AuditEvent,
        actor_ref: Option<&str>,
        owner_ref: Option<&str>,
        sealed: Map<String, Value>,
    ) -> Result<Self, AuditError> {
        let mut meta = event.meta().clone();
        if let Some(owner) = owner_ref {
            meta.insert("owner".to_owned(), owner.into());
        }
        if !sealed.is_empty() {
            meta.insert("sealed".to_owned(), sealed.into());
        }
        let actor = match (event.actor().kind, actor_ref) {
            (ActorType::Agent, Some(alias)) => json!({"type": "agent", "ref": alias}),
            (kind, _) => json!({"type": kind.as_str(), "id": event.actor().id.as_str()}),
        };
        let mut leaf = json!({
            "v": 1,
            "id": event.id().to_string(),
            "ts": event.at().to_string(),
            "type": event.kind().as_str(),
            "actor": actor,
            "meta": meta,
        });
        if let Some(members) = leaf.as_object_mut() {
            if let Some(target) = event.target() {
                members.insert("target".to_owned(), json!({"type": target.kind, "id": target.id}));
            }
            if let Some(ip) = event.ip() {
                members.insert("ip".to_owned(), ip.into());
            }
        }
        let bytes = canonical(&leaf)?;
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(AuditError::TooLarge);
        }
        let projection = Projection::of(&leaf).ok_or(AuditError::Leaf)?;
        Ok(Self { hash: leaf_hash(&bytes), bytes, projection })
    }
}

impl Projection {
    /// What the columns beside a leaf must say. `None` if it is no leaf of version 1.
    pub(crate) fn of(leaf: &Value) -> Option<Self> {
        let text = |value: &Value, name: &str| value.get(name)?.as_str().map(ToOwned::to_owned);
        if leaf.get("v")?.as_u64()? != 1 {
            return None;
        }
        let actor = leaf.get("actor")?;
        let target = leaf.get("target");
        let ts: Timestamp = leaf.get("ts")?.as_str()?.parse().ok()?;
        Some(Self {
            id: text(leaf, "id")?,
            event_type: text(leaf, "type")?,
            actor_type: text(actor, "type")?,
            actor_id: text(actor, "ref").or_else(|| text(actor, "id"))?,
            target_type: target.and_then(|t| text(t, "type")),
            target_id: target.and_then(|t| text(t, "ref").or_else(|| text(t, "id"))),
            ip: text(leaf, "ip"),
            created_us: ts.as_micros(),
        })
    }
}

/// Year and month of a moment, in UTC, as 202611: what a batch's rows are kept by.
pub(crate) fn month(us: i64) -> i64 {
    let (year, month, _) = Timestamp::from_micros(us).date();
    i64::from(year) * 100 + i64::from(month)
}

/// RFC 8785.
pub(crate) fn canonical(value: &Value) -> Result<Vec<u8>, AuditError> {
    serde_json_canonicalizer::to_vec(value).ok().ok_or(AuditError::Leaf)
}

/// SHA-256(0x00 ‖ leaf).
pub(crate) fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0x00], leaf])
}

/// What a log's first batch has as the hash before it: SHA-256(0x03 ‖ origin).
pub(crate) fn genesis(origin: &str) -> Hash {
    sha256(&[&[0x03], origin.as_bytes()])
}

/// What a batch hash covers besides the leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchHead {
    pub(crate) prev: Hash,
    pub(crate) start: u64,
    pub(crate) n: u32,
    pub(crate) uuid: [u8; 16],
    pub(crate) committed_us: i64,
}

/// SHA-256(0x02 ‖ prev ‖ start u64 ‖ n u32 ‖ uuid ‖ committed i64 ‖ leaf hashes), integers big-endian.
pub(crate) fn batch_hash<'a>(head: &BatchHead, leaves: impl Iterator<Item = &'a Hash>) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[0x02]);
    context.update(&head.prev);
    context.update(&head.start.to_be_bytes());
    context.update(&head.n.to_be_bytes());
    context.update(&head.uuid);
    context.update(&head.committed_us.to_be_bytes());
    for leaf in leaves {
        context.update(leaf);
    }
    finish(context)
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    finish(context)
}

fn finish(context: digest::Context) -> Hash {
    let mut hash = [0; 32];
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use clawexchange_ssg_core::{Actor, AgentId, Target};

    fn hex(hash: &Hash) -> String {
        hash.iter().fold(String::new(), |text, b| text + &format!("{b:02x}"))
    }

    #[test]
    fn the_leaf_of_version_1_never_changes() {
        let agent = Actor::agent(AgentId::new("agent-7").unwrap());
        let event =
            AuditEvent::new(EventKind::SsgBlock, agent, Timestamp::from_micros(1_800_000_000_123_456))
                .named(clawexchange_ssg_core::EventId::from_bytes([7; 16]))
                .on(Target::new("content", "post-1"))
                .with("tier", "CRITICAL")
                .unwrap()
                .with("labels", vec!["AWS_KEY", "CREDENTIAL"])
                .unwrap();
        let leaf = Leaf::of(&event, Some("00112233445566778899aabbccddeeff"), None, Map::new()).unwrap();
        assert_eq!(
            String::from_utf8(leaf.bytes).unwrap(),
            concat!(
                r#"{"actor":{"ref":"00112233445566778899aabbccddeeff","type":"agent"},"#,
                r#""id":"07070707-0707-0707-0707-070707070707","meta":{"labels":["AWS_KEY","CREDENTIAL"],"#,
                r#""tier":"CRITICAL"},"target":{"id":"post-1","type":"content"},"ts":"2027-01-15T08:00:00.123456Z","#,
                r#""type":"SSG_BLOCK","v":1}"#
            )
        );
        assert_eq!(hex(&leaf.hash), "4415d02cc6e3558f06a941cec4f4f4d38244bb11f9bcc8c37998cd560e72c80d");
        assert_eq!(leaf.projection.actor_id, "00112233445566778899aabbccddeeff");
        assert_eq!(month(leaf.projection.created_us), 202_701);
    }

    #[test]
    fn hashes_of_batches_cover_everything_that_they_name() {
        let head =
            BatchHead { prev: genesis("local/x/decisions"), start: 1, n: 2, uuid: [3; 16], committed_us: 4 };
        let hash = |head: &BatchHead, leaves: [Hash; 2]| batch_hash(head, leaves.iter());
        let base = hash(&head, [[1; 32], [2; 32]]);
        let others = [
            hash(&BatchHead { prev: [0; 32], ..head }, [[1; 32], [2; 32]]),
            hash(&BatchHead { start: 2, ..head }, [[1; 32], [2; 32]]),
            hash(&BatchHead { n: 3, ..head }, [[1; 32], [2; 32]]),
            hash(&BatchHead { uuid: [4; 16], ..head }, [[1; 32], [2; 32]]),
            hash(&BatchHead { committed_us: -4, ..head }, [[1; 32], [2; 32]]),
            hash(&head, [[2; 32], [1; 32]]),
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
