//! The one vocabulary of the log: what happened, who did it, to what.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::actor::{Actor, UnknownWord};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::id::{EventId, OwnerId};
use crate::tier::Verdict;

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum EventKind { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl EventKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word that stands in the log.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

event_kinds! {
    /// Content was passed on.
    SsgPass = "SSG_PASS",
    /// Content was passed on with a warning.
    SsgWarn = "SSG_WARN",
    /// Content was held.
    SsgQuarantine = "SSG_QUARANTINE",
    /// Content was refused.
    SsgBlock = "SSG_BLOCK",
    /// Content could not be judged, held or recorded, and was not passed on.
    SsgError = "SSG_ERROR",
    /// A program released held content.
    BotRelease = "BOT_RELEASE",
    /// A program deleted held content.
    BotDelete = "BOT_DELETE",
    /// A program left held content to a person.
    BotEscalate = "BOT_ESCALATE",
    /// A person released held content.
    HumanRelease = "HUMAN_RELEASE",
    /// A person deleted held content.
    HumanDelete = "HUMAN_DELETE",
    /// A person was shown held content.
    HumanViewContent = "HUMAN_VIEW_CONTENT",
    /// A legal hold was placed.
    HoldPlaced = "HOLD_PLACED",
    /// A legal hold was lifted.
    HoldLifted = "HOLD_LIFTED",
    /// Nobody decided in time.
    RecordExpired = "RECORD_EXPIRED",
    /// Deleted or expired content came back for review.
    RecordRestored = "RECORD_RESTORED",
    /// The platform published what was released.
    ReleaseConfirmed = "RELEASE_CONFIRMED",
    /// The platform fetched released content, to publish it.
    ReleaseFetched = "RELEASE_FETCHED",
    /// The key of content was destroyed: it is gone for good.
    RecordPurged = "RECORD_PURGED",
    /// Somebody may look at held content once.
    GrantIssued = "GRANT_ISSUED",
    /// A master key was made, and added to those that the deployment has.
    KeyGenerated = "KEY_GENERATED",
    /// Another master key wraps what is new.
    KeyActivated = "KEY_ACTIVATED",
    /// Keys were wrapped by another key.
    KeyRewrapped = "KEY_REWRAPPED",
    /// A master key is used for nothing any more.
    KeyRetired = "KEY_RETIRED",
    /// The key of a week was destroyed, and with it every copy of what it wrapped.
    KeyDestroyed = "KEY_DESTROYED",
    /// A setting that decides was set.
    ConfigChanged = "CONFIG_CHANGED",
    /// Other rule packs judge, or something else is allowed.
    RulesChanged = "RULES_CHANGED",
    /// Counters of an agent were forgotten.
    LimitReset = "LIMIT_RESET",
    /// An agent may do nothing, for a while or until that is lifted.
    RestrictionApplied = "RESTRICTION_APPLIED",
    /// An agent may act again.
    RestrictionLifted = "RESTRICTION_LIFTED",
    /// An agent was told to come back later, so many times in a minute.
    RateLimited = "RATE_LIMITED",
    /// Somebody was refused for want of a right, so many times in a minute.
    AuthDenied = "AUTH_DENIED",
    /// A token was made.
    TokenCreated = "TOKEN_CREATED",
    /// A token was revoked.
    TokenRevoked = "TOKEN_REVOKED",
    /// A key that reveals subjects was destroyed.
    SubjectErased = "SUBJECT_ERASED",
    /// An event could not be logged, for what is in it, and is kept aside.
    AuditGap = "AUDIT_GAP",
    /// The log, and the state that it fixes, were checked.
    IntegrityChecked = "INTEGRITY_CHECKED",
    /// The shape of the tables and their guards, as a process found them.
    SchemaFingerprint = "SCHEMA_FINGERPRINT",
    /// A row of another system's tables was taken over; nothing is claimed about its past.
    Imported = "IMPORTED",
    /// Old events left the log, after they were exported.
    LogRetired = "LOG_RETIRED",
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = "the event types, such as SSG_BLOCK or HUMAN_RELEASE";
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or(UnknownWord { known })
    }
}

impl From<Verdict> for EventKind {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::SsgPass,
            Verdict::Warn => Self::SsgWarn,
            Verdict::Quarantine => Self::SsgQuarantine,
            Verdict::Block => Self::SsgBlock,
        }
    }
}

/// What something was done to.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Target {
    /// Its name: 1 to 128 characters of `A-Z a-z 0-9 . _ : @ -`.
    pub id: String,
    /// What it is, such as `quarantine` or `content`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Target {
    /// Names a thing by its sort and its id.
    pub fn new(kind: &'static str, id: impl fmt::Display) -> Self {
        Self { id: id.to_string(), kind: kind.to_owned() }
    }
}

/// One event, before it has a place in the log: valid and bounded by construction, so that whatever has the type
/// can be logged.
///
/// It has no content, no text of a match and no redacted text. `meta` has integers and no floats, so that it reads
/// the same everywhere. What names or describes a person goes to `personal`, which the log seals.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEvent {
    // In the order of their names, as RFC 8785 wants them.
    actor: Actor,
    at: Timestamp,
    id: EventId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    meta: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerId>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    personal: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    #[serde(rename = "type")]
    kind: EventKind,
}

/// Bytes of `meta` as JSON: with all else that a leaf has, it stays below the leaf's 60,000.
pub const META_BYTES_MAX: usize = 32 << 10;

/// Bytes of all personal texts together.
pub const PERSONAL_BYTES_MAX: usize = 8 << 10;

const META_DEPTH_MAX: usize = 4;
const INTEGER_MAX: u64 = (1 << 53) - 1;

impl AuditEvent {
    /// An event with a fresh id.
    pub fn new(kind: EventKind, actor: Actor, at: Timestamp) -> Self {
        Self {
            actor,
            at,
            id: EventId::fresh(),
            ip: None,
            meta: Map::new(),
            owner: None,
            personal: BTreeMap::new(),
            target: None,
            kind,
        }
    }

    /// The same event under an id that was chosen before.
    #[must_use]
    pub fn named(mut self, id: impl Into<EventId>) -> Self {
        self.id = id.into();
        self
    }

    /// The same event about `target`.
    #[must_use]
    pub fn on(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// The same event of an agent that belongs to `owner`.
    #[must_use]
    pub fn of_owner(mut self, owner: Option<OwnerId>) -> Self {
        self.owner = owner;
        self
    }

    /// The same event from an address, of which only the network is kept.
    #[must_use]
    pub fn from_ip(mut self, ip: Option<IpAddr>) -> Self {
        self.ip = ip.map(mask_ip);
        self
    }

    /// The same event with one more detail. Refused are names other than 1 to 64 of `A-Z a-z 0-9 _ . -`, floats,
    /// integers beyond ±(2^53 - 1), NUL, more than 4 levels, and more than 32 KiB in all.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Result<Self, EventError> {
        let value = value.into();
        check_name(name)?;
        check_value(&value, META_DEPTH_MAX)?;
        self.meta.insert(name.to_owned(), value);
        let size = serde_json::to_string(&self.meta).map_or(usize::MAX, |json| json.len());
        if size > META_BYTES_MAX { Err(EventError::TooLarge) } else { Ok(self) }
    }

    /// The same event with one more detail, if there is one.
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Result<Self, EventError> {
        match value {
            Some(value) => self.with(name, value),
            None => Ok(self),
        }
    }

    /// The same event with a text that may name or describe a person; the log seals it.
    pub fn with_personal(mut self, name: &str, text: impl Into<String>) -> Result<Self, EventError> {
        let text = text.into();
        check_name(name)?;
        if text.contains('\0') {
            return Err(EventError::Nul);
        }
        self.personal.insert(name.to_owned(), text);
        let size: usize = self.personal.iter().map(|(name, text)| name.len() + text.len()).sum();
        if size > PERSONAL_BYTES_MAX { Err(EventError::TooLarge) } else { Ok(self) }
    }

    /// Its id.
    pub const fn id(&self) -> EventId {
        self.id
    }

    /// What happened.
    pub const fn kind(&self) -> EventKind {
        self.kind
    }

    /// Who did it.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Who the agent belongs to.
    pub const fn owner(&self) -> Option<&OwnerId> {
        self.owner.as_ref()
    }

    /// To what it was done.
    pub const fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// From which network.
    pub fn ip(&self) -> Option<&str> {
        self.ip.as_deref()
    }

    /// The details.
    pub const fn meta(&self) -> &Map<String, Value> {
        &self.meta
    }

    /// Texts that may name or describe a person.
    pub const fn personal(&self) -> &BTreeMap<String, String> {
        &self.personal
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The event as JSON, members in the order of their names.
    pub fn to_json(&self) -> Vec<u8> {
        // Nothing in it can fail to be written: names are strings and numbers are integers.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote, and checks it as if it were new.
    pub fn from_json(json: &[u8]) -> Result<Self, EventError> {
        let event: Self = serde_json::from_slice(json).ok().ok_or(EventError::NotAnEvent)?;
        let mut checked = Self { meta: Map::new(), personal: BTreeMap::new(), ..event.clone() };
        for (name, value) in event.meta {
            checked = checked.with(&name, value)?;
        }
        for (name, text) in event.personal {
            checked = checked.with_personal(&name, text)?;
        }
        Ok(checked)
    }
}

fn check_name(name: &str) -> Result<(), EventError> {
    let usable = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if usable { Ok(()) } else { Err(EventError::Name) }
}

fn check_value(value: &Value, depth_left: usize) -> Result<(), EventError> {
    let Some(deeper) = depth_left.checked_sub(1) else { return Err(EventError::TooDeep) };
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::Number(n) => {
            let size = n.as_i64().map(i64::unsigned_abs).or_else(|| n.as_u64());
            if size.is_some_and(|size| size <= INTEGER_MAX) { Ok(()) } else { Err(EventError::Number) }
        }
        Value::String(text) => {
            if text.contains('\0') {
                Err(EventError::Nul)
            } else {
                Ok(())
            }
        }
        Value::Array(values) => values.iter().try_for_each(|v| check_value(v, deeper)),
        Value::Object(members) => members.iter().try_for_each(|(name, v)| {
            check_name(name)?;
            check_value(v, deeper)
        }),
    }
}

/// Why an event cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// A name is not usable.
    #[error("the name of a detail is 1 to 64 characters of A-Z a-z 0-9 _ . -")]
    Name,
    /// A number is a float or too large.
    #[error("a number in an event is an integer of at most 53 bits")]
    Number,
    /// A text has a NUL character.
    #[error("a text in an event has a NUL character")]
    Nul,
    /// The details are nested too deep.
    #[error("the details of an event are nested deeper than 4 levels")]
    TooDeep,
    /// The event is too large.
    #[error("an event has more than 32 KiB of details or 8 KiB of personal texts")]
    TooLarge,
    /// The bytes are not an event.
    #[error("not an event")]
    NotAnEvent,
}

impl Fault for EventError {
    fn code(&self) -> &'static str {
        "ssg-core/event"
    }

    fn kind(&self) -> FaultKind {
        FaultKind::Internal
    }
}

/// Reads an address as proxies write it: with brackets, a port or a zone. `None` if it is none.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            let port = after.strip_prefix(':');
            if !(after.is_empty() || port.is_some_and(|p| p.parse::<u16>().is_ok())) {
                return None;
            }
            inside
        }
        None => match text.split_once(':') {
            Some((v4, port)) if v4.contains('.') && port.parse::<u16>().is_ok() => v4,
            _ => text,
        },
    };
    bare.split('%').next()?.parse().ok()
}

/// The network of an address, by which nobody is known: IPv4 /24, IPv6 /48, 6to4 /40 (a /48 of it would hold a
/// whole IPv4 address), IPv4 inside IPv6 as IPv4.
pub fn mask_ip(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => mask_v4(v4).to_string(),
        IpAddr::V6(v6) => {
            let s = v6.segments();
            let embedded = |high: u16, low: u16| {
                let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
                mask_v4(Ipv4Addr::new(a, b, c, d)).to_string()
            };
            match s {
                [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                    embedded(high, low)
                }
                [0x2002, high, low, ..] => {
                    Ipv6Addr::new(0x2002, high, low & 0xff00, 0, 0, 0, 0, 0).to_string()
                }
                [a, b, c, ..] => Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string(),
            }
        }
    }
}

fn mask_v4(v4: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = v4.octets();
    Ipv4Addr::new(a, b, c, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> AuditEvent {
        AuditEvent::new(EventKind::SsgPass, Actor::system("test").unwrap(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn only_the_network_of_an_address_is_kept() {
        for (text, masked) in [
            ("203.0.113.77", "203.0.113.0"),
            ("203.0.113.7:8080", "203.0.113.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("2001:0DB8:0001:0002:0003:0004:0005:0006", "2001:db8:1::"),
            ("[2001:db8::1]:443", "2001:db8::"),
            ("[2001:db8::1]", "2001:db8::"),
            ("fe80::1%eth0", "fe80::"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
            ("::ffff:c000:024d", "192.0.2.0"),
            ("64:ff9b::c000:24d", "192.0.2.0"),
            ("2002:c000:024d::1", "2002:c000:200::"),
            (" 192.0.2.1 ", "192.0.2.0"),
        ] {
            assert_eq!(parse_ip(text).map(mask_ip).as_deref(), Some(masked), "{text}");
        }
        for bad in ["", "999.1.1.1", "not:an:ip", "1.2.3", "[::1", "[::1]x", "1.2.3.4:99999", "unknown"] {
            assert_eq!(parse_ip(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_has_the_type_can_be_logged() {
        assert_eq!(event().with("a b", 1).unwrap_err(), EventError::Name);
        assert_eq!(event().with("a", 0.5).unwrap_err(), EventError::Number);
        assert_eq!(event().with("a", 1_u64 << 53).unwrap_err(), EventError::Number);
        assert_eq!(event().with("a", i64::MIN).unwrap_err(), EventError::Number);
        assert_eq!(event().with("a", "\0").unwrap_err(), EventError::Nul);
        assert_eq!(event().with("a", serde_json::json!([[[[1]]]])).unwrap_err(), EventError::TooDeep);
        assert_eq!(event().with("a", "x".repeat(META_BYTES_MAX)).unwrap_err(), EventError::TooLarge);
        assert_eq!(
            event().with_personal("a", "x".repeat(PERSONAL_BYTES_MAX)).unwrap_err(),
            EventError::TooLarge
        );
    }

    #[test]
    fn an_event_is_read_back_as_it_was_written_and_checked_again() {
        let event = event()
            .on(Target::new("content", "post-1"))
            .from_ip(parse_ip("203.0.113.7"))
            .with("labels", vec!["A", "B"])
            .unwrap()
            .with_personal("reason", "Ann said so")
            .unwrap();
        assert_eq!(AuditEvent::from_json(&event.to_json()).unwrap(), event);
        let forged = String::from_utf8(event.to_json()).unwrap().replace("[\"A\",\"B\"]", "0.5");
        assert_eq!(AuditEvent::from_json(forged.as_bytes()).unwrap_err(), EventError::Number);
    }

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse::<EventKind>().unwrap(), *kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
