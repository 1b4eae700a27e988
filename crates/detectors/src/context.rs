//! Whether a text gives an order or tells about one.

use std::ops::Range;

use crate::view::whole_characters;

/// Words with which people write about attacks instead of making them.
const STRONG: [&str; 24] = [
    "prompt injection",
    "prompt-injection",
    "injection attempt",
    "injection attack",
    "jailbreak attempt",
    "attacker",
    "an attack",
    "attacks",
    "malicious",
    "adversarial",
    "red flag",
    "red-flag",
    "suspicious",
    "phishing",
    "detects",
    "detection",
    "scanner",
    "blocklist",
    "blacklist",
    "sanitiz",
    "test case",
    "examples of",
    "owasp",
    "threat",
];

/// Words with which they also quote.
const WEAK: [&str; 22] = [
    "example",
    "e.g.",
    "such as",
    "like ",
    "phrases",
    "pattern",
    "attack",
    "injection",
    "jailbreak",
    "detect",
    "block",
    "flag",
    "filter",
    "refuse",
    "reject",
    "never",
    "don't",
    "do not",
    "must not",
    "says",
    "saying",
    "contains",
];

/// Whether what stands at `span` is quoted, or named in a sentence about attacks. It looks at a bounded
/// neighbourhood, so that a distant remark does not excuse an order.
pub(crate) fn is_told_about(text: &str, span: &Range<usize>) -> bool {
    let part = |range: Range<usize>| text.get(whole_characters(text, range)).unwrap_or("");
    let before = part(span.start.saturating_sub(240)..span.start);
    let line = before.rsplit('\n').next().unwrap_or("");
    let after = part(span.end..span.end + 120).split('\n').next().unwrap_or("");
    let lower = format!("{line} {after}").to_lowercase();
    if STRONG.iter().any(|cue| lower.contains(cue)) {
        return true;
    }
    is_quoted(line, after) && {
        let near = before.to_lowercase();
        WEAK.iter().chain(&STRONG).any(|cue| near.contains(cue))
    }
}

/// Words before an order that forbid it or report it.
const NEGATIONS: [&str; 27] = [
    "only ",
    "never ",
    "do not ",
    "don't ",
    "dont ",
    "not to ",
    "must not ",
    "should not ",
    "shouldn't ",
    "cannot ",
    "can't ",
    "won't ",
    "will not ",
    "ask you to ",
    "asks you to ",
    "asking you to ",
    "asked to ",
    "avoid ",
    "refuse to ",
    "no one ",
    "nobody ",
    "tells you to ",
    "want you to ",
    "wants you to ",
    "attempts to ",
    "tries to ",
    "trying to ",
];

/// Whether the sentence forbids or reports what follows at `at`. The text is folded.
pub(crate) fn is_negated(text: &str, at: usize) -> bool {
    let before = text.get(whole_characters(text, at.saturating_sub(32)..at)).unwrap_or("");
    let sentence = before.rsplit(['.', '!', '?', '\n', ':', ';']).next().unwrap_or("");
    NEGATIONS.iter().any(|word| sentence.contains(word))
}

/// Between quotation marks, backticks or in a table cell of one line.
fn is_quoted(before: &str, after: &str) -> bool {
    let head = before.trim_end_matches(|c: char| c.is_whitespace() || c == '*');
    let open = head.chars().next_back();
    let tail = after.get(..after.len().min(80)).unwrap_or(after);
    match open {
        Some('"' | '“' | '”' | '„') => tail.contains(['"', '”', '“']),
        Some('\'' | '‘' | '’') => tail.contains(['\'', '’']),
        Some('«') => tail.contains('»'),
        Some('`') => tail.contains('`'),
        Some('|') => tail.contains('|'),
        _ => before.matches(['"', '“', '”']).count() % 2 == 1 && tail.contains(['"', '”']),
    }
}
