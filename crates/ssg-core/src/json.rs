//! JSON read strictly: what two readers could read differently is refused.
//!
//! serde_json reads; this adds what it lets pass: duplicate names (RFC 8259, section 4, leaves them open), NUL,
//! nesting beyond a bound. Numbers keep their source text, since a float would lose digits of a card number.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Why a text is not taken. No variant carries a part of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonError {
    Syntax { line: usize, column: usize },
    DuplicateName,
    Nul,
    TooDeep,
}

/// One value, its text not yet looked into.
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    String(String),
    Array(Vec<&'a RawValue>),
    Object(Vec<(String, &'a RawValue)>),
}

/// Checks that all of `text` is one JSON value.
pub(crate) fn whole(text: &str) -> Result<&RawValue, JsonError> {
    serde_json::from_str(text).map_err(|e| syntax(&e))
}

/// Looks one level into a value.
pub(crate) fn value(raw: &RawValue) -> Result<Value<'_>, JsonError> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'n') => Ok(Value::Null),
        Some(first @ (b't' | b'f')) => Ok(Value::Bool(*first == b't')),
        Some(b'"') => {
            let string: String = serde_json::from_str(text).map_err(|e| syntax(&e))?;
            no_nul(&string)?;
            Ok(Value::String(string))
        }
        Some(b'[') => serde_json::Deserializer::from_str(text)
            .deserialize_seq(Elements)
            .map(Value::Array)
            .map_err(|e| syntax(&e)),
        Some(b'{') => {
            let members =
                serde_json::Deserializer::from_str(text).deserialize_map(Members).map_err(|e| syntax(&e))?;
            let mut names = HashSet::with_capacity(members.len());
            for (name, _) in &members {
                no_nul(name)?;
                if !names.insert(name.as_str()) {
                    return Err(JsonError::DuplicateName);
                }
            }
            Ok(Value::Object(members))
        }
        _ => Ok(Value::Number(text)),
    }
}

fn no_nul(text: &str) -> Result<(), JsonError> {
    if text.as_bytes().contains(&0) { Err(JsonError::Nul) } else { Ok(()) }
}

fn syntax(error: &serde_json::Error) -> JsonError {
    JsonError::Syntax { line: error.line(), column: error.column() }
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            elements.push(raw);
        }
        Ok(elements)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            members.push((name, map.next_value::<&RawValue>()?));
        }
        Ok(members)
    }
}

/// Writes `raw` with other strings at the places that `edits` names by RFC 6901 pointer, and without the members of
/// the outermost object that `leave_out` names. Members keep their order and numbers their text. `None` if there is
/// no string at one of these places.
pub(crate) fn rewrite(
    raw: &RawValue,
    edits: &BTreeMap<String, String>,
    leave_out: &[&str],
) -> Option<String> {
    let mut writer = Rewriter { edits, written: 0, out: String::with_capacity(raw.get().len()) };
    writer.value(raw, "", leave_out)?;
    (writer.written == edits.len()).then_some(writer.out)
}

struct Rewriter<'e> {
    edits: &'e BTreeMap<String, String>,
    written: usize,
    out: String,
}

impl Rewriter<'_> {
    fn value(&mut self, raw: &RawValue, pointer: &str, leave_out: &[&str]) -> Option<()> {
        let below = format!("{pointer}/");
        let has_edits =
            self.edits.range(below.clone()..).next().is_some_and(|(at, _)| at.starts_with(&below));
        match (value(raw).ok()?, self.edits.get(pointer)) {
            (Value::String(_), Some(new)) => {
                self.out.push_str(&serde_json::to_string(new).ok()?);
                self.written += 1;
            }
            (Value::Array(elements), None) if has_edits => {
                for (i, element) in elements.into_iter().enumerate() {
                    self.out.push(if i == 0 { '[' } else { ',' });
                    self.value(element, &format!("{below}{i}"), &[])?;
                }
                self.out.push(']');
            }
            (Value::Object(members), None) if has_edits => {
                let kept = members.into_iter().filter(|(name, _)| !leave_out.contains(&name.as_str()));
                for (i, (name, member)) in kept.enumerate() {
                    self.out.push(if i == 0 { '{' } else { ',' });
                    self.out.push_str(&serde_json::to_string(&name).ok()?);
                    self.out.push(':');
                    self.value(member, &format!("{below}{}", escaped(&name)), &[])?;
                }
                self.out.push('}');
            }
            _ => self.out.push_str(raw.get()),
        }
        Some(())
    }
}

/// A name as it stands in an RFC 6901 pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Members that say nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Skip {
    /// Those of this name, whatever they say.
    Name(&'static str),
    /// Those of this name that say this, in JSON.
    Saying(&'static str, &'static str),
    /// Those that say null.
    Null,
}

impl Skip {
    fn covers(self, name: &str, raw: &RawValue) -> bool {
        match self {
            Self::Name(skipped) => name == skipped,
            Self::Saying(skipped, value) => name == skipped && raw.get() == value,
            Self::Null => raw.get() == "null",
        }
    }
}

/// Writes `raw` with its members in the order of RFC 8785, section 3.2.3, leaving out the members of the outermost
/// object that `skip` names. Numbers are written as they came: two texts of one number are two contents.
pub(crate) fn canonical(raw: &RawValue, depth_max: usize, skip: &[Skip]) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::with_capacity(raw.get().len());
    write_canonical(raw, depth_max, skip, &mut out)?;
    Ok(out)
}

fn write_canonical(
    raw: &RawValue,
    depth_left: usize,
    skip: &[Skip],
    out: &mut Vec<u8>,
) -> Result<(), JsonError> {
    let Some(deeper) = depth_left.checked_sub(1) else { return Err(JsonError::TooDeep) };
    match value(raw)? {
        Value::Null | Value::Bool(_) | Value::Number(_) => out.extend_from_slice(raw.get().as_bytes()),
        Value::String(text) => write_string(&text, out)?,
        Value::Array(elements) => {
            out.push(b'[');
            for (i, element) in elements.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_canonical(element, deeper, &[], out)?;
            }
            out.push(b']');
        }
        Value::Object(mut members) => {
            members.retain(|(name, raw)| !skip.iter().any(|s| s.covers(name, raw)));
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (i, (name, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(&name, out)?;
                out.push(b':');
                write_canonical(member, deeper, &[], out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) -> Result<(), JsonError> {
    serde_json::to_writer(out, text).map_err(|e| syntax(&serde_json::Error::custom(e)))
}
