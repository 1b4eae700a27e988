//! What plugins look for, and what they found.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::actor::UnknownWord;
use crate::content::{Field, Joined};
use crate::rating::{Adjustment, Confidence, Evidence, PROVEN_POINTS_MIN, Severity};

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
    severity: Severity,
    labels: Labels,
    mode: RuleMode,
    open_ended: bool,
    origin: Option<Arc<Origin>>,
}

/// What is known of a pattern that stands in a rule pack.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    version: String,
    level: u8,
    validators: Vec<&'static str>,
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
            severity: Severity::usual(category).with_room_for(score),
            labels: Labels::Fixed(labels),
            mode: RuleMode::Enforce,
            open_ended: false,
            origin: None,
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
            severity: Severity::usual(category).with_room_for(score),
            labels: Labels::Read(labels.into()),
            mode: RuleMode::Enforce,
            open_ended: false,
            origin: None,
        })
    }

    /// The same pattern in another mode.
    #[must_use]
    pub fn in_mode(mut self, mode: RuleMode) -> Self {
        self.mode = mode;
        self
    }

    /// The same pattern of another severity, with the points that it has; of the least above it that has room for
    /// them, if it has none. Unless set, it is critical for credentials, injection, malicious code and patterns of
    /// one's own, high for personal data and social engineering, medium for contact data and obfuscation.
    #[must_use]
    pub const fn of_severity(mut self, severity: Severity) -> Self {
        self.severity = severity.with_room_for(self.score);
        self
    }

    /// The same pattern as a rule of a pack: the version of its text, its level of paranoia, and what each match of it
    /// has passed. Explanations show them.
    #[must_use]
    pub fn of_rule(mut self, version: impl Into<String>, level: u8, validators: Vec<&'static str>) -> Self {
        self.origin = Some(Arc::new(Origin { version: version.into(), level, validators }));
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

    /// How far the harm of what it finds reaches.
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// How sure what it finds is, before anything more is known of the place.
    pub const fn confidence(&self) -> Confidence {
        Confidence::of(self.score, self.severity)
    }

    /// The version of the rule's text; none of a plugin's constants.
    pub fn version(&self) -> Option<&str> {
        self.origin.as_ref().map(|origin| &*origin.version)
    }

    /// From which level of paranoia on it is looked for; none of a plugin's constants.
    pub fn level(&self) -> Option<u8> {
        self.origin.as_ref().map(|origin| origin.level)
    }

    /// What each match of it has passed.
    pub fn validators(&self) -> &[&'static str] {
        self.origin.as_ref().map_or(&[], |origin| &origin.validators)
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
    /// What is known of this place beyond that, if anything is.
    pub(crate) circumstances: Option<Box<Circumstances>>,
}

/// What makes a place differ from what its pattern says. Few have any, so that it lies apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Circumstances {
    /// Which proofs it did not pass.
    pub(crate) failed: Vec<Cow<'static, str>>,
    /// What made it less or more sure.
    pub(crate) adjustments: Vec<Adjustment>,
    /// What it would be but for a discount: a pattern's id, and how sure that is.
    pub(crate) instead_of: Option<(String, Confidence)>,
    /// There is no doubt.
    pub(crate) is_proven: bool,
    /// What a score was made of, for those who ask why.
    pub(crate) evidence: Vec<Evidence>,
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
    /// Those of the strongest place, kept or not.
    pub(crate) points: u32,
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
        self.push(Finding::new(pattern, field, span, redacted));
    }

    /// Notes that `pattern` was found in the joined view; it is reported at the field where it begins.
    pub fn add_joined(
        &mut self,
        pattern: &Pattern,
        joined: &Joined,
        span: Range<usize>,
        redacted: impl Into<String>,
    ) {
        self.push_joined(joined, Finding::new(pattern, &Field::new("", joined.text()), span, redacted));
    }

    /// The same with all that is known of the finding, whose span is one of the joined view.
    pub fn push_joined(&mut self, joined: &Joined, finding: Finding) {
        let Some((field, clipped)) = joined.locate(&finding.span) else {
            return;
        };
        self.push(Finding {
            field: field.pointer.to_owned(),
            in_key: field.in_key,
            joined: clipped.len() < finding.span.len(),
            span: clipped,
            ..finding
        });
    }

    /// Notes a finding with all that is known of it.
    pub fn push(&mut self, finding: Finding) {
        let at = self.found.iter().position(|f| f.pattern.id() == finding.pattern.id());
        let points = finding.points();
        match at.and_then(|i| self.found.get_mut(i)) {
            Some(found) => {
                found.count += 1;
                found.points = found.points.max(points);
                if found.places.len() < Self::PLACES_MAX {
                    found.places.push(finding);
                }
            }
            None => {
                let pattern = finding.pattern.clone();
                self.found.push(Found { pattern, places: vec![finding], count: 1, points });
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
            circumstances: None,
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

    /// The same finding, which did not pass a check that it need not pass.
    #[must_use]
    pub fn failing(mut self, check: impl Into<Cow<'static, str>>) -> Self {
        self.circumstances_mut().failed.push(check.into());
        self
    }

    /// The same finding, less or more sure.
    #[must_use]
    pub fn adjusted(mut self, adjustment: Adjustment) -> Self {
        self.circumstances_mut().adjustments.push(adjustment);
        self
    }

    /// The same finding, beyond doubt: it makes at least 85 points whatever its pattern says and whatever is said
    /// around it, and is as severe as can be.
    #[must_use]
    pub fn proven(mut self) -> Self {
        self.circumstances_mut().is_proven = true;
        self
    }

    /// The same finding, with one part of what its score was made of, the largest first. Only explanations show it.
    #[must_use]
    pub fn since(mut self, evidence: Evidence) -> Self {
        self.circumstances_mut().evidence.push(evidence);
        self
    }

    /// The same finding in the place of one of `pattern`, which it would be but for the discount called `name`.
    #[must_use]
    pub fn instead_of(self, pattern: &Pattern, name: impl Into<Cow<'static, str>>) -> Self {
        let (from, to) = (pattern.confidence(), self.pattern.confidence());
        let by = i8::try_from(i16::from(to.get()) - i16::from(from.get())).unwrap_or(0);
        let mut finding = self.adjusted(Adjustment::new(name, by));
        finding.circumstances_mut().instead_of = Some((pattern.id().to_owned(), from));
        finding
    }

    /// How far its harm reaches.
    pub fn severity(&self) -> Severity {
        if self.is_proven() { Severity::Critical } else { self.pattern.severity() }
    }

    /// How sure it is: as sure as its pattern, less discounts, with lifts.
    pub fn confidence(&self) -> Confidence {
        let Some(circumstances) = &self.circumstances else { return self.pattern.confidence() };
        let from = circumstances.instead_of.as_ref().map_or(self.pattern.confidence(), |(_, from)| *from);
        let moved = circumstances.adjustments.iter().fold(from, |confidence, a| confidence.moved(a.by));
        if circumstances.is_proven {
            moved.max(Confidence::of(PROVEN_POINTS_MIN, Severity::Critical))
        } else {
            moved
        }
    }

    /// Its points, 0 to 100.
    pub fn points(&self) -> u32 {
        match &self.circumstances {
            None => self.pattern.score(),
            Some(_) => self.severity().points(self.confidence()),
        }
    }

    fn is_proven(&self) -> bool {
        self.circumstances.as_ref().is_some_and(|c| c.is_proven)
    }

    fn circumstances_mut(&mut self) -> &mut Circumstances {
        self.circumstances.get_or_insert_default()
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

    const P: Pattern = Pattern::new("p", Category::Credentials, 70, &[]);
    const FIELD: Field<'_> = Field { pointer: "/text", text: "xxx", in_key: false };

    fn finding(pattern: &Pattern) -> Finding {
        Finding::new(pattern, &FIELD, 0..1, "x")
    }

    #[test]
    fn what_is_proven_is_critical_whatever_is_said_around_it() {
        assert_eq!(finding(&P).proven().points(), 85);
        assert_eq!(finding(&P).proven().adjusted(Adjustment::new("told-about", -60)).points(), 85);
        let mild = Pattern::new("q", Category::PersonalData, 65, &[]);
        assert_eq!(finding(&mild).proven().severity(), Severity::Critical);
        let strong = Pattern::new("r", Category::Credentials, 95, &[]);
        assert_eq!(finding(&strong).proven().points(), 95, "nothing is taken away");
    }

    #[test]
    fn discounts_lower_and_lifts_raise_what_a_pattern_is_worth() {
        assert_eq!(finding(&P).points(), 70);
        assert_eq!(finding(&P).failing("crc32").points(), 70, "by itself it says nothing");
        assert_eq!(finding(&P).adjusted(Adjustment::new("failed-crc32", -30)).points(), 40);
        assert_eq!(finding(&P).adjusted(Adjustment::new("decoded", 10)).points(), 80);
        assert_eq!(finding(&P).adjusted(Adjustment::new("decoded", 90)).points(), 100);
    }

    #[test]
    fn what_stands_in_for_another_pattern_has_its_own_points_and_says_what_it_cost() {
        let quoted = Pattern::new("quoted-attack", Category::Injection, 30, &[]);
        let lure = Pattern::new("lure", Category::SocialEngineering, 66, &[]);
        let found = finding(&quoted).instead_of(&lure, "told-about");
        assert_eq!(found.points(), 30);
        assert_eq!(found.confidence(), quoted.confidence());
        let circumstances = found.circumstances.unwrap();
        assert_eq!(circumstances.adjustments, [Adjustment::new("told-about", 30 - 79)]);
        assert_eq!(circumstances.instead_of, Some(("lure".to_owned(), lure.confidence())));
    }

    #[test]
    fn a_pattern_is_as_strong_as_its_strongest_place_even_beyond_those_that_are_kept() {
        let mut findings = Findings::none();
        for _ in 0..Findings::PLACES_MAX {
            findings.push(finding(&P).adjusted(Adjustment::new("told-about", -40)));
        }
        findings.push(finding(&P));
        assert_eq!(findings.into_found()[0].points, 70);
    }
}
