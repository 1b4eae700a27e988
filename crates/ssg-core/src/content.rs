//! What an agent wants to post, read strictly and bounded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::actor::TrustLevel;
use crate::id::{AgentId, OwnerId, SourceId};
use crate::json::{self, Skip};

mod error;
mod read;

pub use error::ContentError;

/// What sort of content it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(
    clippy::exhaustive_enums,
    reason = "who limits or handles content types and forgets one must not compile"
)]
pub enum ContentType {
    /// An offer, a request, an idea.
    #[default]
    Post,
    /// A reply below a post.
    Comment,
    /// From one to another.
    Message,
    /// What an agent says of itself.
    Profile,
}

impl ContentType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Post, Self::Comment, Self::Message, Self::Profile];

    /// The word that stands in requests and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Comment => "COMMENT",
            Self::Message => "MESSAGE",
            Self::Profile => "PROFILE",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a post is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum PostCategory {
    /// Something is offered.
    Supply,
    /// Something is sought.
    Demand,
    /// Something is proposed.
    Concept,
}

impl PostCategory {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Supply, Self::Demand, Self::Concept];

    /// The word that stands in requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Supply => "SUPPLY",
            Self::Demand => "DEMAND",
            Self::Concept => "CONCEPT",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == text)
    }
}

/// How much of anything one envelope may have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvelopeBounds {
    /// Bytes of the JSON text. 2 MiB unless set: twice the text, for escapes.
    pub body_bytes_max: usize,
    /// Bytes of all inspected values and names together. 1 MiB unless set: what one inspection does in a few
    /// milliseconds.
    pub text_bytes_max: usize,
    /// Inspected values. 256 unless set.
    pub fields_max: usize,
    /// Objects and arrays inside each other, the envelope being the first. 32 unless set.
    pub depth_max: usize,
}

impl Default for EnvelopeBounds {
    fn default() -> Self {
        Self { body_bytes_max: 2 << 20, text_bytes_max: 1 << 20, fields_max: 256, depth_max: 32 }
    }
}

/// Which members are about the request and not content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReadAs {
    /// The envelope alone: every other member is content and is inspected.
    Envelope,
    /// Also `agentId`, `ownerId`, `trustLevel`, `sourceId`, `revisionOf` and `ip`: validated, not inspected.
    Submission,
    /// As a submission, and `id`, `label` and `cat`, by which lines are told apart and judged.
    Line,
}

const SUBMISSION_MEMBERS: [&str; 6] = ["agentId", "ownerId", "trustLevel", "sourceId", "revisionOf", "ip"];
const LINE_MEMBERS: [&str; 9] =
    ["agentId", "ownerId", "trustLevel", "sourceId", "revisionOf", "ip", "id", "label", "cat"];

impl ReadAs {
    const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Envelope => &[],
            Self::Submission => &SUBMISSION_MEMBERS,
            Self::Line => &LINE_MEMBERS,
        }
    }
}

/// Who a submission is from and what it belongs to, as far as the sender said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribution {
    /// The agent that posts.
    pub agent: Option<AgentId>,
    /// Who the agent belongs to.
    pub owner: Option<OwnerId>,
    /// How far the platform trusts the agent.
    pub trust: Option<TrustLevel>,
    /// The platform's own name for the content.
    pub source: Option<SourceId>,
    /// The platform's name for the content that this replaces.
    pub revision_of: Option<SourceId>,
    /// Where the agent's request came from.
    pub ip: Option<IpAddr>,
}

/// What a line of a JSONL file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineMembers {
    /// The line's own name.
    pub id: Option<LineId>,
    /// Whether the line should be flagged: 1 or `true`, 0 or `false`.
    pub label: Option<bool>,
    /// The group of texts that the line belongs to.
    pub cat: Option<String>,
}

/// A line's own name: text or an integer, given back as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(clippy::exhaustive_enums, reason = "JSON has no third sort of name")]
pub enum LineId {
    /// 1 to 128 bytes.
    Text(String),
    /// An integer.
    Number(i64),
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Everything that one JSON object said.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received {
    /// What is inspected.
    pub content: ContentEnvelope,
    /// Who it is from.
    pub attribution: Attribution,
    /// What the line says of itself.
    pub line: LineMembers,
}

/// Content as it came in, and every text in it. Cheap to clone, never changed; `Debug` prints no text.
///
/// ```
/// use clawexchange_ssg_core::{ContentEnvelope, ContentType};
/// let content = ContentEnvelope::from_json(br#"{"text":"hello","tags":["a"],"metadata":{"k":"v"}}"#)?;
/// let fields: Vec<_> = content.fields().map(|f| (f.pointer, f.text, f.in_key)).collect();
/// assert_eq!(fields, [
///     ("/text", "hello", false), ("/tags", "tags", true), ("/tags/0", "a", false),
///     ("/metadata/k", "k", true), ("/metadata/k", "v", false),
/// ]);
/// # Ok::<(), clawexchange_ssg_core::ContentError>(())
/// ```
#[derive(Clone)]
pub struct ContentEnvelope(Arc<Inner>);

struct Inner {
    raw: Box<str>,
    read_as: ReadAs,
    bounds: EnvelopeBounds,
    content_type: ContentType,
    category: Option<PostCategory>,
    fields: Vec<OwnedField>,
    text_at: usize,
    joined: OnceLock<Option<Joined>>,
}

struct OwnedField {
    pointer: Box<str>,
    text: Box<str>,
    in_key: bool,
}

/// One inspected text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field<'a> {
    /// RFC 6901 pointer of the member.
    pub pointer: &'a str,
    /// The value, after JSON decoding; of a number, its source text; of a name, the name.
    pub text: &'a str,
    /// It is the name of the member and not its value.
    pub in_key: bool,
}

impl<'a> Field<'a> {
    /// A value, for whoever looks at a text without an envelope.
    pub const fn new(pointer: &'a str, text: &'a str) -> Self {
        Self { pointer, text, in_key: false }
    }
}

impl ContentEnvelope {
    /// A post with nothing but text.
    pub fn post(text: &str) -> Result<Self, ContentError> {
        EnvelopeParts::new(text).build()
    }

    /// Reads an envelope within the usual bounds.
    pub fn from_json(json: &[u8]) -> Result<Self, ContentError> {
        Ok(Received::read(json, ReadAs::Envelope, &EnvelopeBounds::default())?.content)
    }

    /// What sort of content it is.
    pub fn content_type(&self) -> ContentType {
        self.0.content_type
    }

    /// What a post is about.
    pub fn category(&self) -> Option<PostCategory> {
        self.0.category
    }

    /// The value of `text`.
    pub fn text(&self) -> &str {
        self.0.fields.get(self.0.text_at).map_or("", |f| &f.text)
    }

    /// Every inspected text: `title` and `text` first, then the others in the order in which they came.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.0.fields.iter().map(OwnedField::view)
    }

    /// All fields after each other, a line each, so that what is split over fields is seen. `None` if there is
    /// but one.
    pub fn joined(&self) -> Option<&Joined> {
        self.0
            .joined
            .get_or_init(|| {
                let values = || self.0.fields.iter().filter(|f| !f.in_key);
                (values().count() > 1).then(|| Joined::of(values()))
            })
            .as_ref()
    }

    /// The JSON text as it came in.
    pub fn received(&self) -> &str {
        &self.0.raw
    }

    /// The envelope in one spelling and without what is about the request: equal for equal content, however its
    /// JSON was written. Members are ordered as RFC 8785, section 3.2.3, says; numbers keep their text.
    pub fn canonical(&self) -> Vec<u8> {
        // An absent member, one that is null and one that says what is meant anyway are one content.
        let usual = [Skip::Null, Skip::Saying("contentType", "\"POST\"")];
        let skip: Vec<Skip> = self.0.read_as.members().iter().copied().map(Skip::Name).chain(usual).collect();
        json::whole(&self.0.raw)
            .and_then(|raw| json::canonical(raw, self.0.bounds.depth_max + 1, &skip))
            // It was read before by the same rules; should that ever differ, the text itself is a spelling too.
            .unwrap_or_else(|_| self.0.raw.as_bytes().to_vec())
    }

    /// The same envelope with other strings at the fields that `edits` names, read again by the same rules. Members
    /// that are about the request are left out. `None` where one of these fields is no string, or the bounds are
    /// exceeded.
    pub(crate) fn rewritten(&self, edits: &BTreeMap<String, String>) -> Option<Self> {
        let raw = json::whole(&self.0.raw).ok()?;
        let json = json::rewrite(raw, edits, self.0.read_as.members())?;
        Some(Received::read(json.as_bytes(), ReadAs::Envelope, &self.0.bounds).ok()?.content)
    }

    /// Bytes of all inspected texts.
    pub fn size_bytes(&self) -> usize {
        self.0.fields.iter().map(|f| f.text.len()).sum()
    }
}

impl fmt::Debug for ContentEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentEnvelope")
            .field("content_type", &self.0.content_type)
            .field("fields", &self.0.fields.len())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

impl OwnedField {
    fn view(&self) -> Field<'_> {
        Field { pointer: &self.pointer, text: &self.text, in_key: self.in_key }
    }
}

/// The values of all fields as one text, a line feed between them.
#[derive(Debug)]
pub struct Joined {
    text: String,
    parts: Vec<(usize, Box<str>, usize)>,
}

impl Joined {
    fn of<'a>(fields: impl Iterator<Item = &'a OwnedField>) -> Self {
        let (mut text, mut parts) = (String::new(), Vec::new());
        for field in fields {
            if !text.is_empty() {
                text.push('\n');
            }
            parts.push((text.len(), field.pointer.clone(), field.text.len()));
            text.push_str(&field.text);
        }
        Self { text, parts }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Offsets in the text at which a field begins, the first being 0.
    pub fn starts(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().map(|(start, ..)| *start)
    }

    /// Whether `span` runs over the end of the field in which it begins.
    pub fn crosses(&self, span: &Range<usize>) -> bool {
        self.part(span.start).is_some_and(|(start, _, len)| span.end > start + len)
    }

    /// The field in which `span` begins, and the part of it that lies in that field.
    pub(crate) fn locate(&self, span: &Range<usize>) -> Option<(Field<'_>, Range<usize>)> {
        let (start, pointer, len) = self.part(span.start)?;
        let from = span.start - start;
        if from > *len {
            return None;
        }
        let clipped = from..(span.end - start).min(*len);
        Some((Field { pointer, text: "", in_key: false }, clipped))
    }

    fn part(&self, at: usize) -> Option<&(usize, Box<str>, usize)> {
        let next = self.parts.partition_point(|(start, ..)| *start <= at);
        self.parts.get(next.checked_sub(1)?)
    }
}

/// The parts of an envelope that is made and not received.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EnvelopeParts<'a> {
    /// The text, required.
    pub text: Cow<'a, str>,
    /// A title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Cow<'a, str>>,
    /// What sort of content it is.
    pub content_type: ContentType,
    /// What a post is about; only posts have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<PostCategory>,
    /// Whatever else belongs to it.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl<'a> EnvelopeParts<'a> {
    /// A post with nothing but text.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self {
            text: text.into(),
            title: None,
            content_type: ContentType::Post,
            category: None,
            metadata: serde_json::Map::new(),
        }
    }

    /// Makes the envelope: the same rules and bounds as for one that came in.
    pub fn build(&self) -> Result<ContentEnvelope, ContentError> {
        let json = serde_json::to_string(self)
            .map_err(|e| ContentError::NotJson { line: e.line(), column: e.column() })?;
        ContentEnvelope::from_json(json.as_bytes())
    }
}
