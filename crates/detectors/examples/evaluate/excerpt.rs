//! What may be printed of a text: a part of it, without what was found.

use std::ops::Range;

use clawexchange_detectors::Detectors;

/// Characters before and after a finding.
const AROUND: usize = 90;
/// Characters of a text in which nothing was found.
const START: usize = 240;

/// What stands around the first places, or how the text begins, on one line. Everything that any rule finds is
/// replaced, whether it gave to the score or not.
pub(crate) fn of(detectors: &Detectors, text: &str, places: &[(usize, usize)]) -> Vec<String> {
    let mut found: Vec<(Range<usize>, String)> = Vec::new();
    for one in detectors.scan(text) {
        if one.redacted.starts_with('[') || one.redacted.ends_with('…') {
            // Words that attack are what is asked about: only values are secret.
            let is_value = matches!(
                one.category,
                clawexchange_ssg_core::Category::Credentials
                    | clawexchange_ssg_core::Category::PersonalData
                    | clawexchange_ssg_core::Category::ContactData
            );
            if is_value && found.last().is_none_or(|(last, _)| last.end <= one.span.start) {
                found.push((one.span, one.redacted));
            }
        }
    }
    if places.is_empty() {
        return vec![printed(
            text,
            0..text.char_indices().nth(START).map_or(text.len(), |(at, _)| at),
            &found,
        )];
    }
    let mut shown = Vec::new();
    let mut until = 0;
    for &(start, end) in places.iter().filter(|(start, end)| start < end).take(4) {
        if start < until {
            continue;
        }
        let before = text.get(..start).unwrap_or("");
        let from = before.char_indices().rev().nth(AROUND).map_or(0, |(at, _)| at);
        let last = end.min(start + 400);
        let last = (last..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        let after = text.get(last..).unwrap_or("");
        until = last + after.char_indices().nth(AROUND).map_or(after.len(), |(at, _)| at);
        shown.push(printed(text, from..until, &found));
    }
    shown
}

fn printed(text: &str, part: Range<usize>, found: &[(Range<usize>, String)]) -> String {
    let mut out = String::new();
    let mut at = part.start;
    for (span, redacted) in found.iter().filter(|(span, _)| span.start < part.end && span.end > part.start) {
        out.push_str(text.get(at..span.start.max(at)).unwrap_or(""));
        out.push_str(redacted);
        at = span.end.max(at);
    }
    out.push_str(text.get(at.min(part.end)..part.end).unwrap_or(""));
    out.chars().flat_map(char::escape_debug).collect()
}
