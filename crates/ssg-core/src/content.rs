//! What an agent wants to post, read strictly and bounded.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::actor::TrustLevel;
use crate::event::parse_ip;
use crate::fault::{Fault, FaultKind};
use crate::id::{AgentId, OwnerId, SourceId};
use crate::json::{self, JsonError, Value};

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
    depth_max: usize,
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
        let skip = self.0.read_as.members();
        json::whole(&self.0.raw)
            .and_then(|raw| json::canonical(raw, self.0.depth_max + 1, skip))
            // It was read before by the same rules; should that ever differ, the text itself is a spelling too.
            .unwrap_or_else(|_| self.0.raw.as_bytes().to_vec())
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

/// Why content is not taken. No variant carries a part of the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The bytes are not UTF-8.
    #[error("content is not UTF-8: byte {at} begins no character")]
    NotUtf8 {
        /// Offset of the first byte that belongs to no character.
        at: usize,
    },
    /// The text is not JSON (RFC 8259), or has a lone surrogate.
    #[error("content is not JSON: line {line}, column {column}")]
    NotJson {
        /// Line in the text, from 1; inside a string, within that string.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The JSON is not an object.
    #[error("content must be a JSON object")]
    NotObject,
    /// Two members of one object have one name.
    #[error("an object has two members of one name")]
    DuplicateName,
    /// A string or a name has a NUL character.
    #[error("content has a NUL character")]
    Nul,
    /// Objects and arrays lie too deep in each other.
    #[error("content is nested deeper than {max} levels")]
    TooDeep {
        /// The bound.
        max: usize,
    },
    /// There are too many values.
    #[error("content has more than {max} fields")]
    TooManyFields {
        /// The bound.
        max: usize,
    },
    /// The JSON text is too long.
    #[error("the body is larger than {max} bytes")]
    BodyTooLarge {
        /// The bound.
        max: usize,
    },
    /// The inspected texts are too long together.
    #[error("the texts are larger than {max} bytes together")]
    TextTooLarge {
        /// The bound.
        max: usize,
    },
    /// `text` is missing or null.
    #[error("`text` is missing")]
    TextMissing,
    /// `text` has no characters.
    #[error("`text` is empty")]
    TextEmpty,
    /// A member is of the wrong type.
    #[error("`{member}` must be {expected}")]
    WrongType {
        /// The member.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A member has a word that is none of those known.
    #[error("`{member}` must be one of {known}")]
    UnknownWord {
        /// The member.
        member: &'static str,
        /// The words that are known.
        known: &'static str,
    },
    /// Only posts have a category.
    #[error("`category` is for contentType POST only")]
    CategoryWithoutPost,
    /// A member is not an id.
    #[error("`{member}` must be 1 to 128 characters of A-Z a-z 0-9 . _ : @ -")]
    NotAnId {
        /// The member.
        member: &'static str,
    },
}

impl Fault for ContentError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotUtf8 { .. } => "ssg-core/not-utf8",
            Self::NotJson { .. } => "ssg-core/not-json",
            Self::NotObject => "ssg-core/not-an-object",
            Self::DuplicateName => "ssg-core/duplicate-name",
            Self::Nul => "ssg-core/nul",
            Self::TooDeep { .. } => "ssg-core/too-deep",
            Self::TooManyFields { .. } => "ssg-core/too-many-fields",
            Self::BodyTooLarge { .. } => "ssg-core/body-too-large",
            Self::TextTooLarge { .. } => "ssg-core/text-too-large",
            Self::TextMissing => "ssg-core/text-missing",
            Self::TextEmpty => "ssg-core/text-empty",
            Self::WrongType { .. } => "ssg-core/wrong-type",
            Self::UnknownWord { .. } => "ssg-core/unknown-word",
            Self::CategoryWithoutPost => "ssg-core/category-without-post",
            Self::NotAnId { .. } => "ssg-core/not-an-id",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::BodyTooLarge { .. } | Self::TextTooLarge { .. } => FaultKind::TooLarge,
            _ => FaultKind::Invalid,
        }
    }
}

impl Received {
    /// Reads one JSON object.
    ///
    /// `null` is as if the member were absent. Refused are: anything but UTF-8, duplicate names at any depth, NUL,
    /// lone surrogates, unknown words in `contentType`, `category` and `trustLevel`, `category` on anything but a
    /// post, and whatever exceeds `bounds`.
    pub fn read(json: &[u8], read_as: ReadAs, bounds: &EnvelopeBounds) -> Result<Self, ContentError> {
        if json.len() > bounds.body_bytes_max {
            return Err(ContentError::BodyTooLarge { max: bounds.body_bytes_max });
        }
        let text = std::str::from_utf8(json).map_err(|e| ContentError::NotUtf8 { at: e.valid_up_to() })?;
        let in_json = |e: JsonError| from_json(&e, bounds);
        let raw = json::whole(text).map_err(in_json)?;
        let Value::Object(members) = json::value(raw).map_err(in_json)? else {
            return Err(ContentError::NotObject);
        };
        let mut reader = Reader { bounds, fields: Vec::new(), count: 0, text_bytes: 0, pointer_bytes: 0 };
        let mut head = Head::default();
        let mut rest: Vec<(String, &RawValue)> = Vec::new();
        for (name, raw) in members {
            let is_request = read_as.members().contains(&name.as_str());
            let value = json::value(raw).map_err(in_json)?;
            if !head.take(&name, &value, is_request)? && !matches!(value, Value::Null | Value::Bool) {
                rest.push((name, raw));
            }
        }
        if let Some(title) = head.title.take() {
            reader.field("/title", title, false)?;
        }
        let text = head.text.take().ok_or(ContentError::TextMissing)?;
        if text.is_empty() {
            return Err(ContentError::TextEmpty);
        }
        let text_at = reader.fields.len();
        reader.field("/text", text, false)?;
        for (name, raw) in rest {
            reader.member("", name, raw, 1)?;
        }
        if head.category.is_some() && head.content_type != ContentType::Post {
            return Err(ContentError::CategoryWithoutPost);
        }
        let content = ContentEnvelope(Arc::new(Inner {
            raw: raw.get().into(),
            read_as,
            depth_max: bounds.depth_max,
            content_type: head.content_type,
            category: head.category,
            fields: reader.fields,
            text_at,
            joined: OnceLock::new(),
        }));
        Ok(Self { content, attribution: head.attribution, line: head.line })
    }
}

fn from_json(error: &JsonError, bounds: &EnvelopeBounds) -> ContentError {
    match *error {
        JsonError::Syntax { line, column } => ContentError::NotJson { line, column },
        JsonError::DuplicateName => ContentError::DuplicateName,
        JsonError::Nul => ContentError::Nul,
        JsonError::TooDeep => ContentError::TooDeep { max: bounds.depth_max },
    }
}

/// The members that have a meaning of their own.
#[derive(Default)]
struct Head {
    text: Option<String>,
    title: Option<String>,
    content_type: ContentType,
    category: Option<PostCategory>,
    attribution: Attribution,
    line: LineMembers,
}

impl Head {
    /// Takes a member whose meaning is known and says whether it did.
    fn take(&mut self, name: &str, value: &Value<'_>, is_request: bool) -> Result<bool, ContentError> {
        match name {
            "text" => self.text = optional("text", value)?.map(ToOwned::to_owned),
            "title" => self.title = optional("title", value)?.map(ToOwned::to_owned),
            "contentType" => {
                let known = "POST|COMMENT|MESSAGE|PROFILE";
                self.content_type =
                    word("contentType", known, value, ContentType::parse)?.unwrap_or_default();
            }
            "category" => {
                self.category = word("category", "SUPPLY|DEMAND|CONCEPT", value, PostCategory::parse)?;
            }
            "metadata" => {
                if !matches!(value, Value::Object(_) | Value::Null) {
                    return Err(ContentError::WrongType { member: "metadata", expected: "an object" });
                }
                return Ok(matches!(value, Value::Null));
            }
            _ if is_request => self.take_request(name, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_request(&mut self, name: &str, value: &Value<'_>) -> Result<(), ContentError> {
        let who = &mut self.attribution;
        match name {
            "agentId" => who.agent = id("agentId", value, |t| AgentId::new(t).ok())?,
            "ownerId" => who.owner = id("ownerId", value, |t| OwnerId::new(t).ok())?,
            "sourceId" => who.source = id("sourceId", value, |t| SourceId::new(t).ok())?,
            "revisionOf" => who.revision_of = id("revisionOf", value, |t| SourceId::new(t).ok())?,
            "trustLevel" => {
                let known = "NEW|ESTABLISHED|VERIFIED|PLATFORM_BOT";
                who.trust = word("trustLevel", known, value, |t| t.parse().ok())?;
            }
            // It is noted and judges nothing, so an unreadable one is as good as none.
            "ip" => who.ip = optional("ip", value)?.and_then(parse_ip),
            "id" => self.line.id = line_id(value)?,
            "label" => self.line.label = label(value)?,
            "cat" => self.line.cat = optional("cat", value)?.map(|cat| cat.chars().take(128).collect()),
            _ => {}
        }
        Ok(())
    }
}

fn optional<'v>(member: &'static str, value: &'v Value<'_>) -> Result<Option<&'v str>, ContentError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(ContentError::WrongType { member, expected: "a string" }),
    }
}

fn word<T>(
    member: &'static str,
    known: &'static str,
    value: &Value<'_>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ContentError> {
    optional(member, value)?
        .map(|text| parse(text).ok_or(ContentError::UnknownWord { member, known }))
        .transpose()
}

fn id<T>(
    member: &'static str,
    value: &Value<'_>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ContentError> {
    optional(member, value)?.map(|text| parse(text).ok_or(ContentError::NotAnId { member })).transpose()
}

fn line_id(value: &Value<'_>) -> Result<Option<LineId>, ContentError> {
    let wrong =
        ContentError::WrongType { member: "id", expected: "a string of 1 to 128 bytes or an integer" };
    match value {
        Value::Null => Ok(None),
        Value::String(text) if (1..=128).contains(&text.len()) => Ok(Some(LineId::Text(text.clone()))),
        Value::Number(text) => text.parse().map(|n| Some(LineId::Number(n))).ok().ok_or(wrong),
        _ => Err(wrong),
    }
}

fn label(value: &Value<'_>) -> Result<Option<bool>, ContentError> {
    match value {
        Value::Null => Ok(None),
        Value::Number("1") => Ok(Some(true)),
        Value::Number("0") => Ok(Some(false)),
        _ => Err(ContentError::WrongType { member: "label", expected: "0 or 1" }),
    }
}

/// Numbers with as many digits as a card or an account may be one.
const NUMBER_DIGITS_MIN: usize = 12;

struct Reader<'b> {
    bounds: &'b EnvelopeBounds,
    fields: Vec<OwnedField>,
    count: usize,
    text_bytes: usize,
    pointer_bytes: usize,
}

impl Reader<'_> {
    /// Each pointer repeats the names above it; together they are bounded, so that one long name above many
    /// values does not multiply.
    fn pointer(&mut self, parent: &str, name: &str) -> Result<String, ContentError> {
        self.pointer_bytes += parent.len() + 1 + name.len();
        if self.pointer_bytes > 4 * self.bounds.text_bytes_max {
            return Err(ContentError::TextTooLarge { max: self.bounds.text_bytes_max });
        }
        Ok(format!("{parent}/{name}"))
    }

    fn member(
        &mut self,
        parent: &str,
        name: String,
        raw: &RawValue,
        depth: usize,
    ) -> Result<(), ContentError> {
        let pointer = self.pointer(parent, &name.replace('~', "~0").replace('/', "~1"))?;
        // `metadata` is our own word, not the sender's.
        if pointer != "/metadata" {
            self.text(&pointer, name, true)?;
        }
        self.value(&pointer, raw, depth)
    }

    fn value(&mut self, pointer: &str, raw: &RawValue, depth: usize) -> Result<(), ContentError> {
        match json::value(raw).map_err(|e| from_json(&e, self.bounds))? {
            Value::Null | Value::Bool => Ok(()),
            Value::Number(text) => {
                if text.bytes().filter(u8::is_ascii_digit).count() >= NUMBER_DIGITS_MIN {
                    self.field(pointer, text.to_owned(), false)?;
                }
                Ok(())
            }
            Value::String(text) => self.field(pointer, text, false),
            Value::Array(elements) => {
                self.deeper(depth)?;
                for (i, element) in elements.into_iter().enumerate() {
                    let pointer = self.pointer(pointer, &i.to_string())?;
                    self.value(&pointer, element, depth + 1)?;
                }
                Ok(())
            }
            Value::Object(members) => {
                self.deeper(depth)?;
                for (name, member) in members {
                    self.member(pointer, name, member, depth + 1)?;
                }
                Ok(())
            }
        }
    }

    fn deeper(&self, depth: usize) -> Result<(), ContentError> {
        if depth >= self.bounds.depth_max {
            return Err(ContentError::TooDeep { max: self.bounds.depth_max });
        }
        Ok(())
    }

    fn field(&mut self, pointer: &str, text: String, in_key: bool) -> Result<(), ContentError> {
        self.count += 1;
        if self.count > self.bounds.fields_max {
            return Err(ContentError::TooManyFields { max: self.bounds.fields_max });
        }
        self.text(pointer, text, in_key)
    }

    fn text(&mut self, pointer: &str, text: String, in_key: bool) -> Result<(), ContentError> {
        self.text_bytes += text.len();
        if self.text_bytes > self.bounds.text_bytes_max {
            return Err(ContentError::TextTooLarge { max: self.bounds.text_bytes_max });
        }
        if !text.is_empty() {
            self.fields.push(OwnedField { pointer: pointer.into(), text: text.into(), in_key });
        }
        Ok(())
    }
}
