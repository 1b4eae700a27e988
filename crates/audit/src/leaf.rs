//! From an event to the bytes that are hashed. Pure.
//!
//! Leaf, version 1, never changed: RFC 8785 JSON of at most 60,000 bytes, `{v:1, id, ts, type, actor:{type, id|ref},
//! target?, ip?, meta}`. Agents and owners stand as aliases; personal texts stand sealed.

use std::str::FromStr;

use clawexchange_ssg_core::{ActorType, AuditEvent, EventKind, Timestamp, UnknownWord};
use ring::digest;
use serde_json::{Map, Value};

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
        let owner = owner_ref.map(Value::from);
        let sealed = (!sealed.is_empty()).then(|| Value::from(sealed));
        let mut meta: Vec<(&str, &Value)> =
            event.meta().iter().map(|(name, value)| (name.as_str(), value)).collect();
        for (name, value) in [("owner", &owner), ("sealed", &sealed)] {
            if let Some(value) = value {
                meta.retain(|(known, _)| *known != name);
                meta.push((name, value));
            }
        }
        let projection = Projection {
            id: event.id().to_string(),
            event_type: event.kind().as_str().to_owned(),
            actor_type: event.actor().kind.as_str().to_owned(),
            actor_id: match (event.actor().kind, actor_ref) {
                (ActorType::Agent, Some(alias)) => alias.to_owned(),
                _ => event.actor().id.as_str().to_owned(),
            },
            target_type: event.target().map(|target| target.kind.clone()),
            target_id: event.target().map(|target| target.id.clone()),
            ip: event.ip().map(ToOwned::to_owned),
            created_us: event.at().as_micros(),
        };
        let is_alias = event.actor().kind == ActorType::Agent && actor_ref.is_some();
        let bytes = written(&projection, is_alias, event.at(), &mut meta)?;
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(AuditError::TooLarge);
        }
        Ok(Self { hash: leaf_hash(&bytes), bytes, projection })
    }
}

/// The leaf of what the columns say, its members in the order of RFC 8785.
fn written(
    p: &Projection,
    is_alias: bool,
    at: Timestamp,
    meta: &mut [(&str, &Value)],
) -> Result<Vec<u8>, AuditError> {
    let mut out = Vec::with_capacity(512);
    out.extend(if is_alias { &br#"{"actor":{"ref":"#[..] } else { br#"{"actor":{"id":"# });
    write_text(&p.actor_id, &mut out)?;
    for (name, value) in [
        (&br#","type":"#[..], Some(&p.actor_type)),
        (br#"},"id":"#, Some(&p.id)),
        (br#","ip":"#, p.ip.as_ref()),
    ] {
        if let Some(value) = value {
            out.extend(name);
            write_text(value, &mut out)?;
        }
    }
    out.extend(br#","meta":"#);
    write_members(meta, &mut out)?;
    if let (Some(kind), Some(id)) = (&p.target_type, &p.target_id) {
        out.extend(br#","target":{"id":"#);
        write_text(id, &mut out)?;
        out.extend(br#","type":"#);
        write_text(kind, &mut out)?;
        out.push(b'}');
    }
    out.extend(br#","ts":"#);
    out.push(b'"');
    out.extend(written_time(at));
    out.push(b'"');
    out.extend(br#","type":"#);
    write_text(&p.event_type, &mut out)?;
    out.extend(br#","v":1}"#);
    Ok(out)
}

/// A moment as it prints. By hand, since formatting it takes as long as hashing the leaf does.
fn written_time(at: Timestamp) -> [u8; 27] {
    let (year, month, day) = at.date();
    let second = at.as_micros().div_euclid(1_000_000).rem_euclid(86_400);
    let parts = [
        (4, i64::from(year)),
        (7, month.into()),
        (10, day.into()),
        (13, second / 3600),
        (16, second / 60 % 60),
        (19, second % 60),
        (26, at.as_micros().rem_euclid(1_000_000)),
    ];
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    for (end, mut number) in parts {
        for place in text.iter_mut().take(end).rev() {
            if number == 0 {
                break;
            }
            *place = b"0123456789".get(usize::try_from(number % 10).unwrap_or(0)).copied().unwrap_or(b'0');
            number /= 10;
        }
    }
    text
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
    let mut out = Vec::with_capacity(512);
    write(value, &mut out)?;
    Ok(out)
}

/// The largest integer whose double has its digits.
const EXACT_MAX: u64 = (1 << 53) - 1;

/// Writes what events are made of; the rest, such as a number that is no exact integer, is left to the library that
/// does all of RFC 8785.
fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), AuditError> {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::String(text) => write_text(text, out)?,
        Value::Number(number) => match number.as_i64() {
            Some(n) if n.unsigned_abs() <= EXACT_MAX => out.extend(n.to_string().into_bytes()),
            _ => out.extend(serde_json_canonicalizer::to_vec(value).ok().ok_or(AuditError::Leaf)?),
        },
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(name, value)| (name.as_str(), value)).collect();
            write_members(&mut members, out)?;
        }
    }
    Ok(())
}

/// Members are sorted by the UTF-16 code units of their names (section 3.2.3).
fn write_members(members: &mut [(&str, &Value)], out: &mut Vec<u8>) -> Result<(), AuditError> {
    members.sort_by(|(one, _), (other, _)| {
        if one.is_ascii() && other.is_ascii() {
            one.cmp(other)
        } else {
            one.encode_utf16().cmp(other.encode_utf16())
        }
    });
    out.push(b'{');
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(name, out)?;
        out.push(b':');
        write(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// serde_json escapes what section 3.2.2.2 has escaped, as it has it, and nothing else.
fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), AuditError> {
    serde_json::to_writer(out, text).ok().ok_or(AuditError::Leaf)
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

    proptest::proptest! {
        #[test]
        fn every_moment_is_written_as_it_prints(us in proptest::prelude::any::<i64>()) {
            for at in [us, us / 100, us / 10_000, us % 1000].map(Timestamp::from_micros) {
                let written = String::from_utf8(written_time(at).to_vec()).unwrap();
                proptest::prop_assert_eq!(written, at.to_string());
            }
        }

        #[test]
        fn every_value_is_written_as_the_library_writes_it(value in values()) {
            let library = serde_json_canonicalizer::to_vec(&value).unwrap();
            proptest::prop_assert_eq!(canonical(&value).unwrap(), library);
        }
    }

    /// Names and texts of any characters, among them those whose order differs between UTF-8 and UTF-16.
    fn values() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let text =
            prop_oneof![any::<String>(), "[\u{e000}-\u{ffff}\u{10000}-\u{10010}\0-\u{20}\"\\\\/]{0,4}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-1000_i64..1000).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(text.clone(), inner, 0..5)
                    .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
            ]
        })
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
