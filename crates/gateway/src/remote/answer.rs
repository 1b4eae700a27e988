//! What is asked, and what an answer may say.

use clawexchange_ssg_core::{Category, ContentEnvelope, Findings, Pattern, RuleMode};
use serde::Deserialize;
use serde_json::json;

/// As much of a text as is sent.
pub(super) const TEXT_BYTES_MAX: usize = 32 << 10;
/// A finding for each category.
const FINDINGS_MAX: usize = Category::ALL.len();
/// A classifier's word alone holds content and blocks none: it has seen no evidence.
const SCORE_MAX: u32 = 84;

/// What a classifier said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    findings: Vec<Said>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    category: Category,
    score: u32,
}

/// The texts of all fields, a line each, as many bytes as are sent.
pub(super) fn text_of(content: &ContentEnvelope) -> String {
    let mut text = String::new();
    for field in content.fields().filter(|field| !field.in_key) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(field.text);
        if text.len() > TEXT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
            break;
        }
    }
    text
}

/// The body of a question.
pub(super) fn question(text: &str) -> Vec<u8> {
    json!({ "text": text }).to_string().into_bytes()
}

impl Answer {
    /// Nothing but exactly an answer is one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let answer: Self = serde_json::from_slice(bytes).ok()?;
        let fits =
            answer.findings.len() <= FINDINGS_MAX && answer.findings.iter().all(|said| said.score <= 100);
        fits.then_some(answer)
    }

    /// What it says, as findings at the text: where in it, a classifier does not know.
    pub(super) fn findings(&self, content: &ContentEnvelope, mode: RuleMode) -> Findings {
        let mut findings = Findings::default();
        let Some(field) = content.fields().find(|field| field.pointer == "/text" && !field.in_key) else {
            return findings;
        };
        for said in self.findings.iter().filter(|said| said.score > 0) {
            let id = format!("remote-{}", said.category);
            // The name of a category is one of a pattern, and the score is within bounds.
            let Ok(pattern) = Pattern::named(&id, said.category, said.score.min(SCORE_MAX), &[]) else {
                continue;
            };
            let pattern = pattern.in_mode(mode).open_ended();
            findings.add(&pattern, &field, 0..field.text.len(), format!("[{id}]"));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_exactly_an_answer_is_one() {
        for good in [
            "{\"findings\":[]}",
            "{\"findings\":[{\"category\":\"injection\",\"score\":100},{\"category\":\"other\",\"score\":0}]}",
        ] {
            assert!(Answer::read(good.as_bytes()).is_some(), "{good}");
        }
        let many = format!("{{\"findings\":[{}]}}", ["{\"category\":\"other\",\"score\":1}"; 9].join(","));
        for bad in [
            "",
            "[]",
            "{}",
            "{\"findings\":{}}",
            "{\"findings\":[],\"text\":\"x\"}",
            "{\"findings\":[{\"category\":\"injection\",\"score\":101}]}",
            "{\"findings\":[{\"category\":\"injection\",\"score\":-1}]}",
            "{\"findings\":[{\"category\":\"injection\",\"score\":0.5}]}",
            "{\"findings\":[{\"category\":\"nonsense\",\"score\":1}]}",
            "{\"findings\":[{\"category\":\"injection\"}]}",
            "{\"findings\":[]} x",
            &many,
        ] {
            assert!(Answer::read(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn no_more_of_a_text_is_sent_than_is_bounded_and_no_character_is_cut() {
        let content = ContentEnvelope::post(&"é".repeat(TEXT_BYTES_MAX)).unwrap();
        let text = text_of(&content);
        assert!(text.len() <= TEXT_BYTES_MAX && text.chars().all(|c| c == 'é'));
    }
}
