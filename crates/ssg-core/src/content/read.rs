//! From JSON to an envelope: every refusal, every field.

use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;

use super::{
    Attribution, ContentEnvelope, ContentError, ContentType, EnvelopeBounds, Inner, LineId, LineMembers,
    OwnedField, PostCategory, ReadAs, Received,
};
use crate::event::parse_ip;
use crate::id::{AgentId, OwnerId, SourceId};
use crate::json::{self, JsonError, Value};

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
            // Whatever the value, the name is a text that somebody chose.
            if !head.take(&name, &value, is_request)? {
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
            bounds: bounds.clone(),
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
        Value::Number("1") | Value::Bool(true) => Ok(Some(true)),
        Value::Number("0") | Value::Bool(false) => Ok(Some(false)),
        _ => Err(ContentError::WrongType { member: "label", expected: "0, 1, true or false" }),
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
        let pointer = self.pointer(parent, &json::escaped(&name))?;
        // `metadata` is our own word, not the sender's.
        if pointer != "/metadata" {
            self.text(&pointer, name, true)?;
        }
        self.value(&pointer, raw, depth)
    }

    fn value(&mut self, pointer: &str, raw: &RawValue, depth: usize) -> Result<(), ContentError> {
        match json::value(raw).map_err(|e| from_json(&e, self.bounds))? {
            Value::Null | Value::Bool(_) => Ok(()),
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
