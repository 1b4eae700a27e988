//! Cuts out what was found, where that is all that there is against content.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use crate::action::{Actions, CategoryAction};
use crate::content::ContentEnvelope;
use crate::finding::{Category, RuleMode};
use crate::inspection::{Assessment, Place, RuleResult};
use crate::json;
use crate::tier::RiskTier;

/// The label of content of which something was cut out.
pub(crate) const REDACTED: &str = "REDACTED";

/// Content with `[REDACTED:<label>]` in place of what was found in it. It was inspected again.
///
/// It is written as the envelope's JSON object: numbers have the text and members the order in which they came, and
/// members that are about the request are left out. `Debug` prints nothing of it.
#[derive(Clone)]
pub struct Sanitized(ContentEnvelope);

impl Sanitized {
    /// The content.
    pub const fn content(&self) -> &ContentEnvelope {
        &self.0
    }

    /// The content alone.
    pub fn into_content(self) -> ContentEnvelope {
        self.0
    }
}

impl fmt::Debug for Sanitized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sanitized([content])")
    }
}

impl PartialEq for Sanitized {
    fn eq(&self, other: &Self) -> bool {
        self.0.received() == other.0.received()
    }
}

impl Eq for Sanitized {}

impl Serialize for Sanitized {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let raw =
            json::whole(self.0.received()).ok().ok_or_else(|| S::Error::custom("content is not JSON"))?;
        raw.serialize(to)
    }
}

/// The content without what categories with [`CategoryAction::Redact`] have found. `None` where nothing was, where
/// something else was found too, and where what was found cannot be cut out cleanly.
pub(crate) fn cut(
    content: &ContentEnvelope,
    seen: &Assessment,
    actions: &Actions,
) -> Option<ContentEnvelope> {
    let is_cut = |rule: &RuleResult| actions.get(&rule.category) == Some(&CategoryAction::Redact);
    if !seen.failures.is_empty() || seen.inspection.truncated {
        return None;
    }
    if enforced(seen).any(|rule| rule.delta > 0 && !is_cut(rule)) {
        return None;
    }
    let mut cuts: BTreeMap<&str, Vec<Cut>> = BTreeMap::new();
    for rule in enforced(seen).filter(|rule| is_cut(rule)) {
        for place in &rule.places {
            if rule.is_open_ended || !is_plain(place) {
                return None;
            }
            let span = place.start..place.end;
            cuts.entry(&place.field).or_default().push(Cut { span, category: rule.category });
        }
    }
    if cuts.is_empty() {
        return None;
    }
    let texts: HashMap<&str, &str> =
        content.fields().filter(|field| !field.in_key).map(|field| (field.pointer, field.text)).collect();
    let mut edits = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (field, mut of_field) in cuts {
        let text = *texts.get(field)?;
        of_field.sort_by_key(|cut| (cut.span.start, cut.span.end));
        for cut in &of_field {
            found.insert(text.get(cut.span.clone())?);
        }
        edits.insert(field.to_owned(), without(text, of_field)?);
    }
    let rest = content.rewritten(&edits)?;
    // The same text may stand elsewhere too, where no rule knows it for what it is.
    let is_left = |found: &str| {
        rest.received().contains(found) || rest.fields().any(|field| field.text.contains(found))
    };
    if found.into_iter().any(is_left) { None } else { Some(rest) }
}

/// The judgement of content of which something was cut out: that of what is left, if nothing is left against it,
/// else the first.
pub(crate) fn settle(
    first: Assessment,
    second: &Assessment,
    rest: ContentEnvelope,
    actions: &Actions,
) -> Assessment {
    let is_known = |rule: &RuleResult| {
        // What was cut out must not be found again, not even at another place.
        actions.get(&rule.category) != Some(&CategoryAction::Redact)
            && enforced(&first).any(|r| (&r.plugin, &r.pattern_id) == (&rule.plugin, &rule.pattern_id))
    };
    let is_clean = second.failures.is_empty()
        && !second.inspection.truncated
        && second.inspection.tier <= RiskTier::Low
        && enforced(second).all(is_known);
    if !is_clean {
        return first;
    }
    let mut settled = first;
    let inspection = &mut settled.inspection;
    inspection.tier = second.inspection.tier;
    inspection.verdict = second.inspection.verdict;
    inspection.labels.push(REDACTED.to_owned());
    inspection.labels.sort_unstable();
    inspection.labels.dedup();
    inspection.sanitized = Some(Sanitized(rest));
    settled.lifted = None;
    settled
}

fn enforced(seen: &Assessment) -> impl Iterator<Item = &RuleResult> {
    seen.rules.iter().filter(|rule| rule.mode == RuleMode::Enforce)
}

/// Whether the place is some characters of a value as it was sent.
fn is_plain(place: &Place) -> bool {
    !place.in_key && !place.joined && place.views.is_empty() && place.start < place.end
}

/// One place that is cut out.
struct Cut {
    span: Range<usize>,
    category: Category,
}

impl Cut {
    /// A rule reads a secret up to a longest length; what hangs on its end belongs to it.
    fn end_in(&self, text: &str) -> usize {
        let rest = text.get(self.span.end..).unwrap_or("").bytes();
        let hangs_on = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-');
        let more = if self.category == Category::Credentials { rest.take_while(hangs_on).count() } else { 0 };
        self.span.end + more
    }
}

/// `text` without the places of `cuts`, which are sorted; those that overlap are one, named after the first.
fn without(text: &str, cuts: Vec<Cut>) -> Option<String> {
    let (mut rest, mut kept_to) = (String::with_capacity(text.len()), 0);
    for cut in cuts {
        let end = cut.end_in(text);
        if cut.span.start >= kept_to {
            rest.push_str(text.get(kept_to..cut.span.start)?);
            rest.push_str("[REDACTED:");
            rest.push_str(cut.category.label().unwrap_or("OTHER"));
            rest.push(']');
        }
        kept_to = kept_to.max(end);
    }
    rest.push_str(text.get(kept_to..)?);
    Some(rest)
}
