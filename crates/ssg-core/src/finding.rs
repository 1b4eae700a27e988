//! What plugins look for, and what they found.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::actor::UnknownWord;
use crate::content::{Field, Joined};

/// What sort of trouble a pattern stands for. It decides how scores add up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "each category has a cap and a label; a new one must be given both"
)]
pub enum Category {
    /// Secrets that open something.
    Credentials,
    /// Data about a person that identifies them.
    PersonalData,
    /// How to reach somebody: addresses and numbers.
    ContactData,
    /// Text that gives orders to agents that read it.
    Injection,
    /// Text that talks agents or their owners into harm.
    SocialEngineering,
    /// Commands and links that do harm when followed.
    MaliciousCode,
    /// Text made to be read differently by people and programs.
    Obfuscation,
    /// What plugins of one's own look for.
    Other,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Credentials,
        Self::PersonalData,
        Self::ContactData,
        Self::Injection,
        Self::SocialEngineering,
        Self::MaliciousCode,
        Self::Obfuscation,
        Self::Other,
    ];

    /// The word that stands in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::PersonalData => "personal-data",
            Self::ContactData => "contact-data",
            Self::Injection => "injection",
            Self::SocialEngineering => "social-engineering",
            Self::MaliciousCode => "malicious-code",
            Self::Obfuscation => "obfuscation",
            Self::Other => "other",
        }
    }

    /// The label of the family, which every finding of the category carries.
    pub const fn label(self) -> Option<&'static str> {
        match self {
            Self::Credentials => Some("CREDENTIAL"),
            Self::PersonalData | Self::ContactData => Some("PII"),
            Self::Injection => Some("INJECTION"),
            Self::SocialEngineering => Some("SOCIAL_ENGINEERING"),
            Self::MaliciousCode => Some("MALICIOUS_CODE"),
            Self::Obfuscation => Some("OBFUSCATION"),
            Self::Other => None,
        }
    }

    /// The most points that patterns of this category make together.
    pub const fn cap(self) -> u32 {
        match self {
            Self::Credentials | Self::PersonalData | Self::MaliciousCode | Self::Other => 100,
            Self::Injection | Self::SocialEngineering => 90,
            Self::ContactData => 50,
            Self::Obfuscation => 40,
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Category {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|c| c.as_str() == text).ok_or(UnknownWord {
            known: "credentials|personal-data|contact-data|injection|social-engineering|malicious-code|obfuscation|other",
        })
    }
}

/// Whether a rule counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a rule counts, is watched, or is not run; there is no fourth")]
pub enum RuleMode {
    /// It counts.
    #[default]
    Enforce,
    /// It is looked for and reported to operators, and changes nothing.
    Shadow,
    /// It is not looked for.
    Off,
}

/// What is looked for: id, category, points and labels.
///
/// In a plugin it is a constant; detectors that read their rules from data make it with [`Pattern::named`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    id: Cow<'static, str>,
    category: Category,
    score: u32,
    labels: Labels,
    mode: RuleMode,
    open_ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Labels {
    Fixed(&'static [&'static str]),
    Read(Arc<[String]>),
}

/// The parts do not make a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// The id is not kebab-case, or longer than 64 characters.
    #[error("a pattern id is 1 to 64 characters of a-z 0-9 and single -")]
    Id,
    /// One pattern makes at most 100 points.
    #[error("a pattern makes 0 to 100 points, not {0}")]
    Score(u32),
    /// A label is not SCREAMING_SNAKE, or longer than 64 characters.
    #[error("a label is 1 to 64 characters of A-Z 0-9 _")]
    Label,
}

impl Pattern {
    /// The most points of one pattern.
    pub const SCORE_MAX: u32 = 100;

    /// Makes a pattern out of constants; `labels` are its own, besides that of its family.
    ///
    /// # Panics
    ///
    /// At compile time, in a `const`, when `score` is above 100, the id is not kebab-case, or a label is not
    /// SCREAMING_SNAKE.
    #[must_use]
    pub const fn new(
        id: &'static str,
        category: Category,
        score: u32,
        labels: &'static [&'static str],
    ) -> Self {
        assert!(score <= Self::SCORE_MAX, "one pattern makes at most 100 points");
        assert!(is_kebab(id), "a pattern id is 1 to 64 characters of a-z 0-9 and single -");
        let mut rest = labels;
        while let [label, tail @ ..] = rest {
            assert!(is_label(label), "a label is 1 to 64 characters of A-Z 0-9 _");
            rest = tail;
        }
        Self {
            id: Cow::Borrowed(id),
            category,
            score,
            labels: Labels::Fixed(labels),
            mode: RuleMode::Enforce,
            open_ended: false,
        }
    }

    /// Makes a pattern whose parts are known only at run time.
    pub fn named(id: &str, category: Category, score: u32, labels: &[String]) -> Result<Self, PatternError> {
        if !is_kebab(id) {
            return Err(PatternError::Id);
        }
        if score > Self::SCORE_MAX {
            return Err(PatternError::Score(score));
        }
        if !labels.iter().all(|label| is_label(label)) {
            return Err(PatternError::Label);
        }
        Ok(Self {
            id: Cow::Owned(id.to_owned()),
            category,
            score,
            labels: Labels::Read(labels.into()),
            mode: RuleMode::Enforce,
            open_ended: false,
        })
    }

    /// The same pattern in another mode.
    #[must_use]
    pub fn in_mode(mut self, mode: RuleMode) -> Self {
        self.mode = mode;
        self
    }

    /// The same pattern, whose places are not all of what was found, as the first line of a key is not the key. It
    /// is never cut out of content.
    #[must_use]
    pub fn open_ended(mut self) -> Self {
        self.open_ended = true;
        self
    }

    /// Its name, kebab-case.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its category.
    pub const fn category(&self) -> Category {
        self.category
    }

    /// Its points, 0 to 100.
    pub const fn score(&self) -> u32 {
        self.score
    }

    /// Its own labels, without that of its family.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let (fixed, read): (&[&str], &[String]) = match &self.labels {
            Labels::Fixed(fixed) => (fixed, &[]),
            Labels::Read(read) => (&[], read),
        };
        fixed.iter().copied().chain(read.iter().map(String::as_str))
    }

    /// Whether it counts.
    pub const fn mode(&self) -> RuleMode {
        self.mode
    }

    /// Whether what was found goes on behind its places.
    pub const fn is_open_ended(&self) -> bool {
        self.open_ended
    }
}

const fn is_kebab(id: &str) -> bool {
    let mut rest = id.as_bytes();
    if rest.is_empty() || rest.len() > 64 {
        return false;
    }
    let mut after_dash = true;
    while let [b, tail @ ..] = rest {
        let dash = *b == b'-';
        if !(dash && !after_dash || b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return false;
        }
        after_dash = dash;
        rest = tail;
    }
    !after_dash
}

const fn is_label(label: &str) -> bool {
    let mut rest = label.as_bytes();
    if rest.is_empty() || rest.len() > 64 {
        return false;
    }
    while let [b, tail @ ..] = rest {
        if !(b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_') {
            return false;
        }
        rest = tail;
    }
    true
}

/// One place where a pattern was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was found.
    pub pattern: Pattern,
    /// RFC 6901 pointer of the field.
    pub field: String,
    /// Bytes of the field's value, after JSON decoding.
    pub span: Range<usize>,
    /// What may be shown of it: the public prefix of its format at most.
    pub redacted: String,
    /// It stands in the name of the member, not in its value.
    pub in_key: bool,
    /// It runs over the end of its field into the next.
    pub joined: bool,
    /// Through which decodings it was seen, outermost first, such as `base64`.
    pub views: Vec<Cow<'static, str>>,
    /// Which proofs it passed, such as `crc32` or `luhn`.
    pub checks: Vec<Cow<'static, str>>,
}

/// What one plugin found.
///
/// A pattern scores once, however often it is found. Of each pattern at most [`Findings::PLACES_MAX`] places are
/// kept, so that hostile text cannot fill the memory; how many there were is counted all the same.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    found: Vec<Found>,
}

/// One pattern and its places.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) pattern: Pattern,
    pub(crate) places: Vec<Finding>,
    pub(crate) count: u64,
}

impl Findings {
    /// How many places of one pattern are kept.
    pub const PLACES_MAX: usize = 100;

    /// Nothing was found.
    pub const fn none() -> Self {
        Self { found: Vec::new() }
    }

    /// Notes that `pattern` was found in a field. `redacted` is what may be shown of it.
    pub fn add(
        &mut self,
        pattern: &Pattern,
        field: &Field<'_>,
        span: Range<usize>,
        redacted: impl Into<String>,
    ) {
        self.push(Finding {
            pattern: pattern.clone(),
            field: field.pointer.to_owned(),
            span,
            redacted: redacted.into(),
            in_key: field.in_key,
            joined: false,
            views: Vec::new(),
            checks: Vec::new(),
        });
    }

    /// Notes that `pattern` was found in the joined view; it is reported at the field where it begins.
    pub fn add_joined(
        &mut self,
        pattern: &Pattern,
        joined: &Joined,
        span: Range<usize>,
        redacted: impl Into<String>,
    ) {
        let Some((field, clipped)) = joined.locate(&span) else {
            return;
        };
        self.push(Finding {
            pattern: pattern.clone(),
            field: field.pointer.to_owned(),
            joined: clipped.len() < span.len(),
            span: clipped,
            redacted: redacted.into(),
            in_key: field.in_key,
            views: Vec::new(),
            checks: Vec::new(),
        });
    }

    /// Notes a finding with all that is known of it.
    pub fn push(&mut self, finding: Finding) {
        let at = self.found.iter().position(|f| f.pattern.id() == finding.pattern.id());
        match at.and_then(|i| self.found.get_mut(i)) {
            Some(found) => {
                found.count += 1;
                if found.places.len() < Self::PLACES_MAX {
                    found.places.push(finding);
                }
            }
            None => {
                self.found.push(Found { pattern: finding.pattern.clone(), places: vec![finding], count: 1 });
            }
        }
    }

    /// Every place that was kept, pattern by pattern in the order in which they were first found.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.found.iter().flat_map(|f| &f.places)
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_found(self) -> Vec<Found> {
        self.found
    }
}

impl Finding {
    /// A finding in a field.
    pub fn new(
        pattern: &Pattern,
        field: &Field<'_>,
        span: Range<usize>,
        redacted: impl Into<String>,
    ) -> Self {
        Self {
            pattern: pattern.clone(),
            field: field.pointer.to_owned(),
            span,
            redacted: redacted.into(),
            in_key: field.in_key,
            joined: false,
            views: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// The same finding, seen through these decodings, outermost first.
    #[must_use]
    pub fn seen_through(mut self, views: impl IntoIterator<Item = Cow<'static, str>>) -> Self {
        self.views.extend(views);
        self
    }

    /// The same finding, proven by one more check.
    #[must_use]
    pub fn proven_by(mut self, check: impl Into<Cow<'static, str>>) -> Self {
        self.checks.push(check.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_labels_have_one_spelling() {
        for good in ["a", "aws-access-key", "x1-2y"] {
            assert!(is_kebab(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "A", "a_b", "ä", &"a".repeat(65)] {
            assert!(!is_kebab(bad), "{bad}");
        }
        assert!(Pattern::named("a", Category::Other, 101, &[]).is_err());
        assert!(Pattern::named("a", Category::Other, 100, &["lower".to_owned()]).is_err());
    }

    #[test]
    fn many_matches_are_counted_and_a_bounded_number_kept() {
        const P: Pattern = Pattern::new("p", Category::Other, 10, &[]);
        let field = Field { pointer: "/text", text: "xxx", in_key: false };
        let mut findings = Findings::none();
        for _ in 0..250 {
            findings.add(&P, &field, 0..1, "x");
        }
        assert_eq!(findings.iter().count(), Findings::PLACES_MAX);
        assert_eq!(findings.into_found()[0].count, 250);
    }
}
