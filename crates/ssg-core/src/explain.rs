//! What an explanation knows beyond its assessment: lines and columns, and what was not reported.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

use crate::content::{ContentEnvelope, Field};
use crate::finding::{Category, Pattern};
use crate::inspection::{Explanation, Place, RuleResult};
use crate::plugin::Context;
use crate::registry::Registered;

/// Where a place stands, for people and for programs that do not count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Position {
    /// The line in which it begins, from 1. Lines end with a line feed.
    pub line: usize,
    /// The character of the line at which it begins, from 1.
    pub column: usize,
    /// Its first code unit, in the value's UTF-16.
    pub start_utf16: usize,
    /// The code unit after its last.
    pub end_utf16: usize,
}

/// What a plugin came upon and did not report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Suppressed {
    /// The plugin that has the rule; the inspector sets it.
    pub plugin: String,
    /// The rule.
    pub pattern_id: String,
    /// The version of its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What sort of trouble it would be.
    pub category: Category,
    /// Why it was not reported.
    pub reason: Suppression,
    /// Which check, rule or word decided that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// RFC 6901 pointer of the member.
    pub field: String,
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// What may be shown of it.
    pub redacted: String,
    /// Through which decodings it was seen, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
    /// It stands in the name of the member.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_key: bool,
    /// Where it stands in lines; the inspector sets it.
    #[serde(flatten)]
    pub position: Option<Position>,
}

/// Why something was not reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Suppression {
    /// It says of itself that it stands for something else.
    Placeholder,
    /// Its checksum or check digits do not hold.
    FailedChecksum,
    /// It did not pass another check of its rule.
    FailedCheck,
    /// None of the words stands near that its rule asks for.
    NoContext,
    /// The sentence turns it into its opposite.
    Negated,
    /// It is quoted or told about.
    ToldAbout,
    /// The operator allows all hosts that it names.
    AllowedHost,
    /// The operator allows this value.
    AllowedValue,
    /// A more specific finding stands at the same place.
    GaveWay,
}

impl Suppression {
    /// The word that stands in explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placeholder => "placeholder",
            Self::FailedChecksum => "failed-checksum",
            Self::FailedCheck => "failed-check",
            Self::NoContext => "no-context",
            Self::Negated => "negated",
            Self::ToldAbout => "told-about",
            Self::AllowedHost => "allowed-host",
            Self::AllowedValue => "allowed-value",
            Self::GaveWay => "gave-way",
        }
    }
}

impl std::fmt::Display for Suppression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Suppressed {
    /// How many an explanation lists.
    pub const MAX: usize = 100;

    /// What was not reported in a field; `redacted` is what may be shown of it.
    pub fn new(
        pattern: &Pattern,
        field: &Field<'_>,
        span: &std::ops::Range<usize>,
        redacted: impl Into<String>,
        reason: Suppression,
    ) -> Self {
        Self {
            plugin: String::new(),
            pattern_id: pattern.id().to_owned(),
            version: pattern.version().map(ToOwned::to_owned),
            category: pattern.category(),
            reason,
            by: None,
            field: field.pointer.to_owned(),
            start: span.start,
            end: span.end,
            redacted: redacted.into(),
            views: Vec::new(),
            in_key: field.in_key,
            position: None,
        }
    }

    /// The same, decided by this check, rule or word.
    #[must_use]
    pub fn by(mut self, by: impl Into<String>) -> Self {
        self.by = Some(by.into());
        self
    }

    /// The same, seen through these decodings, outermost first.
    #[must_use]
    pub fn seen_through(mut self, views: impl IntoIterator<Item = String>) -> Self {
        self.views.extend(views);
        self
    }
}

/// Adds lines, columns, the checks of rules, and what plugins say that they did not report.
pub(crate) fn complete<'p>(
    mut explanation: Explanation,
    content: &ContentEnvelope,
    plugins: impl Iterator<Item = &'p Registered>,
    cx: &Context,
) -> Explanation {
    let mut suppressed: Vec<Suppressed> = Vec::new();
    for plugin in plugins {
        // A plugin that panics here has given its findings already; it only says no more.
        let asked = catch_unwind(AssertUnwindSafe(|| plugin.plugin.suppressed(content, cx)));
        let named = |s| Suppressed { plugin: plugin.id.as_ref().to_owned(), ..s };
        suppressed.extend(asked.unwrap_or_default().into_iter().map(named));
    }
    suppressed.sort_by(|a, b| {
        (&a.field, a.in_key, a.start, a.end, &a.pattern_id, a.reason, &a.by).cmp(&(
            &b.field,
            b.in_key,
            b.start,
            b.end,
            &b.pattern_id,
            b.reason,
            &b.by,
        ))
    });
    suppressed.dedup();
    explanation.suppressed_truncated = suppressed.len() > Suppressed::MAX;
    suppressed.truncate(Suppressed::MAX);
    let positions = Positions::of(content, &explanation.rules, &suppressed);
    for rule in &mut explanation.rules {
        for place in &mut rule.places {
            place.position = positions.get(&place.field, place.in_key, place.start, place.end);
            let passed = rule.validators.iter().filter(|name| !place.checks.iter().any(|c| c == *name));
            place.passed = passed.map(|name| (*name).to_owned()).collect();
        }
    }
    suppressed.retain_mut(|s| {
        s.position = positions.get(&s.field, s.in_key, s.start, s.end);
        s.position.is_some()
    });
    explanation.suppressed = suppressed;
    explanation
}

/// A place between two characters.
#[derive(Clone, Copy)]
struct Mark {
    line: usize,
    column: usize,
    utf16: usize,
}

/// The marks of all places by field and byte. Each text is read once, however many places it has.
struct Positions(BTreeMap<(String, bool), BTreeMap<usize, Mark>>);

impl Positions {
    fn of(content: &ContentEnvelope, rules: &[RuleResult], suppressed: &[Suppressed]) -> Self {
        let mut asked: BTreeMap<(&str, bool), BTreeSet<usize>> = BTreeMap::new();
        let places = rules.iter().flat_map(|rule| &rule.places);
        let places = places.map(|p: &Place| (&*p.field, p.in_key, p.start, p.end));
        let others = suppressed.iter().map(|s| (&*s.field, s.in_key, s.start, s.end));
        for (field, in_key, start, end) in places.chain(others) {
            asked.entry((field, in_key)).or_default().extend([start, end]);
        }
        let mut marks = BTreeMap::new();
        for field in content.fields() {
            if let Some(offsets) = asked.remove(&(field.pointer, field.in_key)) {
                marks.insert((field.pointer.to_owned(), field.in_key), marks_of(field.text, offsets));
            }
        }
        Self(marks)
    }

    fn get(&self, field: &str, in_key: bool, start: usize, end: usize) -> Option<Position> {
        let marks = self.0.get(&(field.to_owned(), in_key))?;
        let (from, to) = (marks.get(&start)?, marks.get(&end)?);
        Some(Position { line: from.line, column: from.column, start_utf16: from.utf16, end_utf16: to.utf16 })
    }
}

/// Offsets beyond the text or inside of a character have no mark.
fn marks_of(text: &str, offsets: BTreeSet<usize>) -> BTreeMap<usize, Mark> {
    let mut at = 0;
    let mut here = Mark { line: 1, column: 1, utf16: 0 };
    let mut marks = BTreeMap::new();
    for offset in offsets {
        let Some(between) = text.get(at..offset) else { continue };
        for c in between.chars() {
            here.utf16 += c.len_utf16();
            if c == '\n' {
                here.line += 1;
                here.column = 1;
            } else {
                here.column += 1;
            }
        }
        at = offset;
        marks.insert(offset, here);
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_characters_and_code_units_are_those_that_an_editor_shows() {
        let text = "ä\n😀b\r\n\nc";
        let marks = marks_of(text, (0..=text.len() + 1).collect());
        let at = |offset: usize| marks.get(&offset).map(|m| (m.line, m.column, m.utf16));
        assert_eq!(at(0), Some((1, 1, 0)));
        assert_eq!(at(1), None, "inside of a character");
        assert_eq!(at(2), Some((1, 2, 1)));
        assert_eq!(at(3), Some((2, 1, 2)));
        assert_eq!(at(7), Some((2, 2, 4)), "a character beyond the basic plane has two code units");
        assert_eq!(at(text.len()), Some((4, 2, 9)));
        assert_eq!(at(text.len() + 1), None, "beyond the text");
    }
}
