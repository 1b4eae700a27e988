//! A leaf as it is nearly always written, read in one pass and without a copy. Pure.
//!
//! A check of the whole log reads every leaf. To parse each into values and to write these again, only to see that
//! nothing changes, costs several times what its hash does. Here a leaf is read that has the form in which `leaf.rs`
//! writes it: members where they are put there, names of ASCII in order, texts without escapes, integers of few digits.
//! Such a leaf is canonical, since RFC 8785 has one spelling for each of these. Any other is `None`: whoever asks reads
//! it the long way, which decides.

use clawexchange_database::STATE;
use clawexchange_ssg_core::Timestamp;

use crate::leaf::Projection;

/// What a leaf says, as far as it is compared with something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plain<'a> {
    pub(crate) id: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) actor_type: &'a str,
    pub(crate) actor_id: &'a str,
    /// The actor stands as an alias.
    pub(crate) is_alias: bool,
    pub(crate) target_type: Option<&'a str>,
    pub(crate) target_id: Option<&'a str>,
    pub(crate) ip: Option<&'a str>,
    pub(crate) created_us: i64,
    /// The alias of the owner.
    pub(crate) owner: Option<&'a str>,
    /// The code of the row that the event is about.
    pub(crate) state: Option<&'a str>,
}

/// Levels of `meta` that are followed; events have at most four.
const DEPTH_MAX: u32 = 8;

/// Fifteen digits are below 2^53, so a number of them is its own double.
const DIGITS_MAX: usize = 15;

impl<'a> Plain<'a> {
    /// Reads a leaf of version 1. `None` if it is not in the form that is read here.
    pub(crate) fn of(leaf: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(std::str::from_utf8(leaf).ok()?);
        rest.word(r#"{"actor":{""#)?;
        let is_alias = rest.is_next("ref");
        if !is_alias {
            rest.word("id")?;
        }
        rest.word(r#"":"#)?;
        let actor_id = rest.text()?;
        let actor_type = rest.word(r#","type":"#)?.text()?;
        let id = rest.word(r#"},"id":"#)?.text()?;
        let ip = if rest.is_next(r#","ip":"#) { Some(rest.text()?) } else { None };
        let (mut owner, mut state) = (None, None);
        rest.word(r#","meta":"#)?.object(DEPTH_MAX, |name, text| match name {
            "owner" => owner = text,
            STATE => state = text,
            _ => {}
        })?;
        let (mut target_type, mut target_id) = (None, None);
        if rest.is_next(r#","target":{"id":"#) {
            target_id = Some(rest.text()?);
            target_type = Some(rest.word(r#","type":"#)?.text()?);
            rest.word("}")?;
        }
        let at: Timestamp = rest.word(r#","ts":"#)?.text()?.parse().ok()?;
        let event_type = rest.word(r#","type":"#)?.text()?;
        rest.word(r#","v":1}"#)?;
        let created_us = at.as_micros();
        let whole = Self {
            id,
            event_type,
            actor_type,
            actor_id,
            is_alias,
            target_type,
            target_id,
            ip,
            created_us,
            owner,
            state,
        };
        rest.0.is_empty().then_some(whole)
    }
}

/// For what is compared with columns; what stands in no column is left out.
impl<'a> From<&'a Projection> for Plain<'a> {
    fn from(said: &'a Projection) -> Self {
        Self {
            id: &said.id,
            event_type: &said.event_type,
            actor_type: &said.actor_type,
            actor_id: &said.actor_id,
            is_alias: false,
            target_type: said.target_type.as_deref(),
            target_id: said.target_id.as_deref(),
            ip: said.ip.as_deref(),
            created_us: said.created_us,
            owner: None,
            state: None,
        }
    }
}

/// A value that was read.
enum Read<'a> {
    Text(&'a str),
    Other,
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Reads just this.
    fn word(&mut self, word: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(word)?;
        Some(self)
    }

    /// Reads this if it is next.
    fn is_next(&mut self, word: &str) -> bool {
        self.word(word).is_some()
    }

    /// A text without escapes.
    fn text(&mut self) -> Option<&'a str> {
        let from = self.0.strip_prefix('"')?;
        let end = from.bytes().position(|b| b < b' ' || b == b'"' || b == b'\\')?;
        let (text, rest) = from.split_at_checked(end)?;
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    /// Any value.
    fn value(&mut self, depth: u32) -> Option<Read<'a>> {
        match self.0.as_bytes().first()? {
            b'"' => return self.text().map(Read::Text),
            b'{' => self.object(depth.checked_sub(1)?, |_, _| {})?,
            b'[' => self.array(depth.checked_sub(1)?)?,
            b't' => drop(self.word("true")?),
            b'f' => drop(self.word("false")?),
            b'n' => drop(self.word("null")?),
            _ => self.integer()?,
        }
        Some(Read::Other)
    }

    /// An object whose names are of ASCII and in order, so that none is there twice. `seen` is given each name, and its
    /// value if that is a text.
    fn object(&mut self, depth: u32, mut seen: impl FnMut(&'a str, Option<&'a str>)) -> Option<()> {
        self.word("{")?;
        if self.is_next("}") {
            return Some(());
        }
        let mut before: Option<&str> = None;
        loop {
            let name = self.text()?;
            if !name.is_ascii() || before.is_some_and(|before| before >= name) {
                return None;
            }
            before = Some(name);
            match self.word(":")?.value(depth)? {
                Read::Text(text) => seen(name, Some(text)),
                Read::Other => seen(name, None),
            }
            if self.is_next("}") {
                return Some(());
            }
            self.word(",")?;
        }
    }

    fn array(&mut self, depth: u32) -> Option<()> {
        self.word("[")?;
        if self.is_next("]") {
            return Some(());
        }
        loop {
            self.value(depth)?;
            if self.is_next("]") {
                return Some(());
            }
            self.word(",")?;
        }
    }

    /// An integer of few digits, without a zero in front and not the zero below zero.
    fn integer(&mut self) -> Option<()> {
        let is_negative = self.is_next("-");
        let end = self.0.bytes().position(|b| !b.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at_checked(end)?;
        let is_plain = match digits.as_bytes() {
            [b'0'] => !is_negative,
            [b'1'..=b'9', ..] => digits.len() <= DIGITS_MAX,
            _ => false,
        };
        self.0 = rest;
        // A fraction or an exponent is no member's end, so it is refused by whoever reads on.
        is_plain.then_some(())
    }
}

#[cfg(test)]
mod tests {
    use clawexchange_ssg_core::{Actor, AgentId, AuditEvent, EventId, EventKind, Target};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::leaf::{Leaf, canonical};

    /// What the long way says of a leaf that it takes for one of ours.
    fn long(leaf: &[u8]) -> Option<(Projection, bool, Option<String>, Option<String>)> {
        let value: Value = serde_json::from_slice(leaf).ok()?;
        if canonical(&value).ok()? != leaf {
            return None;
        }
        let text = |name: &str| Some(value.get("meta")?.get(name)?.as_str()?.to_owned());
        let is_alias = value.get("actor")?.get("ref").is_some();
        Some((Projection::of(&value)?, is_alias, text("owner"), text(STATE)))
    }

    fn short(leaf: &[u8]) -> Option<(Projection, bool, Option<String>, Option<String>)> {
        let plain = Plain::of(leaf)?;
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        let projection = Projection {
            id: plain.id.to_owned(),
            event_type: plain.event_type.to_owned(),
            actor_type: plain.actor_type.to_owned(),
            actor_id: plain.actor_id.to_owned(),
            target_type: owned(plain.target_type),
            target_id: owned(plain.target_id),
            ip: owned(plain.ip),
            created_us: plain.created_us,
        };
        Some((projection, plain.is_alias, owned(plain.owner), owned(plain.state)))
    }

    fn leaf(meta: &Map<String, Value>, with: [bool; 4]) -> Vec<u8> {
        let [is_agent, has_owner, has_target, has_ip] = with;
        let actor = if is_agent {
            Actor::agent(AgentId::new("agent-7").unwrap())
        } else {
            Actor::human("os:ann").unwrap()
        };
        let mut event =
            AuditEvent::new(EventKind::SsgPass, actor, Timestamp::from_micros(1_800_000_000_000_001))
                .named(EventId::from_bytes([7; 16]))
                .from_ip(has_ip.then(|| "203.0.113.77".parse().unwrap()));
        if has_target {
            event = event.on(Target::new("content", "post-1"));
        }
        for (name, value) in meta {
            event = event.clone().with(name, value.clone()).unwrap_or(event);
        }
        let owner = has_owner.then_some("ffeeddccbbaa99887766554433221100");
        Leaf::of(&event, is_agent.then_some("00112233445566778899aabbccddeeff"), owner, Map::new())
            .unwrap()
            .bytes
    }

    #[test]
    fn what_the_log_writes_is_read_the_short_way() {
        let meta = json!({
            "labels": ["EMAIL", "PII"], "tier": "LOW", "count": 12, "deep": {"a": [], "b": {"c": null, "d": true}},
            "state": "key:00", "low": -999_999_999_999_999_i64, "text": "Grüße, 你好"
        });
        let meta = meta.as_object().unwrap();
        for bits in 0..16 {
            let leaf = leaf(meta, [1, 2, 4, 8].map(|bit| bits & bit != 0));
            assert!(short(&leaf).is_some(), "{}", String::from_utf8_lossy(&leaf));
            assert_eq!(short(&leaf), long(&leaf));
        }
    }

    #[test]
    fn another_spelling_of_the_same_is_not_read_the_short_way() {
        let whole = |meta: &str| {
            format!(
                r#"{{"actor":{{"id":"a","type":"human"}},"id":"b","meta":{meta},"ts":"2027-01-15T08:00:00.000000Z","type":"SSG_PASS","v":1}}"#
            )
        };
        assert!(short(whole(r#"{"a":1,"b":[0,"x"]}"#).as_bytes()).is_some());
        for meta in [
            r#"{ "a":1}"#,
            r#"{"b":1,"a":1}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":01}"#,
            r#"{"a":-0}"#,
            r#"{"a":1.0}"#,
            r#"{"a":1e3}"#,
            r#"{"a":+1}"#,
            r#"{"a":-}"#,
            r#"{"a":1000000000000000000000}"#,
            r#"{"a":"\u0041"}"#,
            r#"{"a":"\/"}"#,
            "{\"a\":\"\t\"}",
            r#"{"a":[1,]}"#,
            r#"{"a":1,}"#,
            r#"{"a":truest}"#,
            r#"{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}}"#,
            "[]",
            r#""""#,
        ] {
            assert_eq!(short(whole(meta).as_bytes()), None, "{meta}");
        }
        let good = whole("{}");
        for bad in [
            good.replace("\"v\":1", "\"v\":2"),
            good.replace("2027-01-15T", "2027-13-15T"),
            good.replace("\"type\":\"human\"", "\"type\":\"human\",\"z\":1"),
            format!("{good} "),
            format!(" {good}"),
            good.replace('}', ""),
        ] {
            assert_eq!(short(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_the_short_way_is_what_the_long_way_reads(
            meta in metas(),
            with in any::<[bool; 4]>(),
            bends in proptest::collection::vec((any::<proptest::sample::Index>(), bytes()), 0..3),
        ) {
            let mut leaf = leaf(&meta, with);
            for (at, byte) in bends {
                let at = at.index(leaf.len());
                leaf[at] = byte;
            }
            if let Some(said) = short(&leaf) {
                prop_assert_eq!(Some(said), long(&leaf));
            }
        }
    }

    fn bytes() -> impl Strategy<Value = u8> {
        prop_oneof![any::<u8>(), proptest::sample::select(b"\"\\{}[]:,-0129eE.tfn \n".to_vec())]
    }

    fn metas() -> impl Strategy<Value = Map<String, Value>> {
        let name = prop_oneof!["[a-d]{1,3}", "owner|state|sealed", any::<String>()];
        let value = prop_oneof![
            any::<i64>().prop_map(Value::from),
            (-20_i64..20).prop_map(Value::from),
            "[ -~]{0,8}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
            proptest::collection::vec("[a-c]{0,2}", 0..3).prop_map(Value::from),
        ];
        proptest::collection::btree_map(name, value, 0..6).prop_map(|members| members.into_iter().collect())
    }
}
