//! Rule packs: the rules as data, one TOML file a family.

use std::collections::BTreeMap;

use clawexchange_ssg_core::{Category, Confidence, RuleMode, Severity};
use serde::{Deserialize, Serialize};

use crate::error::DetectorsError;

/// The packs that ship, by name.
pub(crate) const PACKS: [(&str, &str); 20] = [
    ("tokens", include_str!("../packs/tokens.toml")),
    ("cloud", include_str!("../packs/cloud.toml")),
    ("models", include_str!("../packs/models.toml")),
    ("code-hosts", include_str!("../packs/code-hosts.toml")),
    ("payments", include_str!("../packs/payments.toml")),
    ("messaging", include_str!("../packs/messaging.toml")),
    ("infrastructure", include_str!("../packs/infrastructure.toml")),
    ("named-services", include_str!("../packs/named-services.toml")),
    ("services", include_str!("../packs/services.toml")),
    ("secrets", include_str!("../packs/secrets.toml")),
    ("doubtful", include_str!("../packs/doubtful.toml")),
    ("personal-data", include_str!("../packs/personal-data.toml")),
    ("national-ids", include_str!("../packs/national-ids.toml")),
    ("injection", include_str!("../packs/injection.toml")),
    ("injection-languages", include_str!("../packs/injection-languages.toml")),
    ("jailbreak", include_str!("../packs/jailbreak.toml")),
    ("social-engineering", include_str!("../packs/social-engineering.toml")),
    ("lures-languages", include_str!("../packs/lures-languages.toml")),
    ("malicious-code", include_str!("../packs/malicious-code.toml")),
    ("obfuscation", include_str!("../packs/obfuscation.toml")),
];

/// One file of rules.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pack {
    /// Alternations that several patterns share: `{{name}}` in a pattern stands for `(?:…)`.
    #[serde(default)]
    pub(crate) terms: BTreeMap<String, String>,
    pub(crate) rule: Vec<RuleSpec>,
}

/// One rule as it stands in its file. What is written of it as JSON makes its version: members that are not set are left
/// out, so that a new one leaves the versions of all others as they are.
#[derive(Deserialize, Serialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the file")]
pub(crate) struct RuleSpec {
    pub(crate) id: String,
    /// The pack that has it, for lists.
    #[serde(skip)]
    pub(crate) pack: String,
    pub(crate) category: Category,
    /// Its points. They may be left to severity and confidence.
    #[serde(default)]
    pub(crate) score: u32,
    /// How far its harm reaches; as usual in its category, unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) severity: Option<Severity>,
    /// How sure a match is, in percent, in place of points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) confidence: Option<u8>,
    /// A match is evidence by itself: it is CRITICAL whatever is said around it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) proven: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) labels: Vec<String>,
    #[serde(skip_serializing)]
    pub(crate) description: String,
    /// Where its format is described: the provider's own page, or the standard with its section.
    #[serde(default, skip_serializing)]
    pub(crate) source: String,
    /// Whether it counts, whatever its level: a new rule of one's own begins in shadow. It is no part of what it looks for.
    #[serde(default, skip_serializing)]
    pub(crate) mode: Option<RuleMode>,
    /// From which level of paranoia on it is looked for, 1 to 4: the higher, the more ordinary texts it is found in.
    #[serde(default = "lowest_level")]
    pub(crate) level: u8,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) face: Face,
    /// Public beginnings of the format: they are looked for, and they are all of a value that is ever shown.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) prefixes: Vec<String>,
    /// Literals of which each match has at least one, without regard to ASCII case.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) keywords: Vec<String>,
    /// Further literals of which each match has one too: where none is near, nothing is searched.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) also: Vec<String>,
    /// A match overlaps a chain of at least seven digits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) digits: bool,
    /// Empty for what is found by code: structure of the text, sums over other findings.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) pattern: String,
    /// Words of which one must stand near the match.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) context: Vec<String>,
    /// How far before and after the match they may stand, in bytes.
    #[serde(default = "usual_reach")]
    pub(crate) reach: usize,
    /// What a match must pass.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) checks: Vec<String>,
    /// What is noted when a match passes it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) proofs: Vec<String>,
    /// What is shown in place of a value without public prefix; `[<id>]` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shown: Option<String>,
    /// Gives way to other findings of credentials at the same place.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) generic: bool,
    /// Its places are not all of what was found, so that cutting them out would leave the rest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) open_ended: bool,
    /// Quoted or told about, it is `quoted-attack` instead.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) quotable: bool,
    /// Texts in parts, joined before use, so that no whole token stands in the file.
    #[serde(default, skip_serializing)]
    pub(crate) positive: Vec<Vec<String>>,
    #[serde(default, skip_serializing)]
    pub(crate) negative: Vec<Vec<String>>,
}

/// Which reading of a text a rule looks at.
#[derive(Deserialize, Serialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Face {
    /// The text as it is.
    #[default]
    Exact,
    /// The text in lower case, without accents, disguises and line ends.
    Folded,
}

const fn usual_reach() -> usize {
    80
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const fn lowest_level() -> u8 {
    1
}

/// An expression with its terms has at most so many bytes: four times what the longest has that ships.
pub(crate) const PATTERN_BYTES_MAX: usize = 64 << 10;

/// A pattern with its terms put in, the first of them first; `None` if it gets too long by that.
pub(crate) fn with_terms(pattern: &str, terms: &BTreeMap<String, String>) -> Option<String> {
    let mut pattern = pattern.to_owned();
    for (term, words) in terms {
        let name = format!("{{{{{term}}}}}");
        let places = pattern.matches(&name).count();
        // Told before it is made: terms in terms double with each.
        let more = places.checked_mul(words.len() + "(?:)".len())?;
        if pattern.len().checked_add(more)? > PATTERN_BYTES_MAX {
            return None;
        }
        if places > 0 {
            pattern = pattern.replace(&name, &format!("(?:{words})"));
        }
    }
    (pattern.len() <= PATTERN_BYTES_MAX).then_some(pattern)
}

impl Pack {
    /// Reads one file.
    pub(crate) fn read(name: &str, text: &str) -> Result<Self, DetectorsError> {
        let mut pack: Self = toml::from_str(text)
            .map_err(|e| DetectorsError::Pack { pack: name.to_owned(), reason: e.message().to_owned() })?;
        for rule in &mut pack.rule {
            name.clone_into(&mut rule.pack);
            rule.score = rule.points().map_err(|reason| DetectorsError::Pack {
                pack: name.to_owned(),
                reason: format!("rule {}: {reason}", rule.id),
            })?;
            rule.pattern = with_terms(&rule.pattern, &pack.terms).ok_or_else(|| DetectorsError::Pack {
                pack: name.to_owned(),
                reason: format!("rule {}: its expression is too long with its terms", rule.id),
            })?;
        }
        Ok(pack)
    }
}

impl RuleSpec {
    /// The points that it says, or those that follow from its two axes.
    pub(crate) fn points(&self) -> Result<u32, &'static str> {
        let Some(percent) = self.confidence else { return Ok(self.score) };
        let confidence = Confidence::percent(percent).ok_or("a confidence is at most 100 percent")?;
        match (self.score, self.severity) {
            (0, Some(severity)) => Ok(severity.points(confidence)),
            (0, None) => Err("a confidence stands beside a severity"),
            _ => Err("a confidence stands in place of a score"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::hash::version_of;
    use crate::rule::{Rule, parsed};
    use crate::{Detectors, HostPolicy, Levels};

    fn specs() -> Vec<RuleSpec> {
        PACKS.iter().flat_map(|(name, text)| Pack::read(name, text).expect(name).rule).collect()
    }

    #[test]
    fn every_rule_finds_its_examples_and_leaves_its_counterexamples() {
        let levels = Levels::new(4, 4).expect("levels");
        let detectors =
            Detectors::with_levels(&BTreeMap::new(), HostPolicy::default(), levels).expect("packs");
        let mut wrong = Vec::new();
        for spec in specs() {
            for (examples, wanted) in [(&spec.positive, true), (&spec.negative, false)] {
                for (at, parts) in examples.iter().enumerate() {
                    let found = detectors.scan(&parts.concat());
                    if found.iter().any(|d| d.id == spec.id) != wanted {
                        let ids: Vec<_> = found.iter().map(|d| &d.id).collect();
                        wrong.push(format!(
                            "{} {} {at}: {ids:?}",
                            spec.id,
                            if wanted { "positive" } else { "negative" }
                        ));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_rule_with_an_expression_has_examples_of_both_sorts() {
        for spec in specs().iter().filter(|s| !s.pattern.is_empty()) {
            assert!(!spec.positive.is_empty() && !spec.negative.is_empty(), "{}", spec.id);
        }
    }

    #[test]
    fn every_match_has_a_longest_length() {
        let mut wrong = Vec::new();
        for spec in specs().iter().filter(|s| !s.pattern.is_empty()) {
            let longest = parsed(&spec.pattern).properties().maximum_len();
            if longest.is_none_or(|l| l > 9 << 10) {
                wrong.push((spec.id.clone(), longest));
            }
            assert!(spec.digits || !spec.prefixes.is_empty() || !spec.keywords.is_empty(), "{}", spec.id);
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn points_follow_from_severity_and_confidence_where_a_rule_has_no_score() {
        let read = |lines: &str| {
            let head = "[[rule]]\nid = \"a-rule\"\ncategory = \"credentials\"\ndescription = \"A rule.\"\n";
            Pack::read("a", &format!("{head}{lines}")).map(|pack| pack.rule[0].score)
        };
        assert_eq!(read("severity = \"high\"\nconfidence = 80"), Ok(67));
        assert_eq!(read("score = 70\nseverity = \"high\""), Ok(70));
        for wrong in ["confidence = 80", "score = 7\nconfidence = 80\nseverity = \"low\"", "confidence = 101"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_rule_is_as_severe_as_its_points_need() {
        for spec in specs() {
            let pattern = Rule::new(spec.clone(), RuleMode::Enforce, "test").unwrap().pattern;
            assert_eq!(pattern.severity().points(pattern.confidence()), spec.score, "{}", spec.id);
            assert!(spec.severity.is_none_or(|said| said == pattern.severity()), "{}", spec.id);
            assert!(!spec.proven || spec.score >= 85, "{}: what is evidence by itself is CRITICAL", spec.id);
        }
    }

    #[test]
    fn a_rule_has_another_version_when_it_looks_for_something_else_and_only_then() {
        let spec = &specs()[0];
        let version = |change: &dyn Fn(&mut RuleSpec)| {
            let mut changed = spec.clone();
            change(&mut changed);
            version_of(&changed)
        };
        let plain = version_of(spec);
        assert_eq!(plain.len(), 8);
        assert_eq!(plain, version(&|_| {}));
        assert_eq!(plain, version(&|s| s.positive.clear()), "examples are its tests");
        assert_eq!(plain, version(&|s| s.description.push('!')));
        assert_eq!(plain, version(&|s| s.mode = Some(RuleMode::Shadow)), "a mode is not what it looks for");
        for (at, changed) in [
            version(&|s| s.score += 1),
            version(&|s| s.level += 1),
            version(&|s| s.pattern.push('x')),
            version(&|s| s.checks.push("mixed".to_owned())),
            version(&|s| s.context.push("word".to_owned())),
            version(&|s| s.generic = !s.generic),
            version(&|s| s.proven = !s.proven),
        ]
        .into_iter()
        .enumerate()
        {
            assert_ne!(plain, changed, "{at}");
        }
    }

    #[test]
    fn levels_are_four_and_sources_are_pages_or_standards() {
        for spec in specs() {
            assert!((1..=4).contains(&spec.level), "{}: {}", spec.id, spec.level);
            let source = &spec.source;
            let is_page = source.starts_with("https://") && !source.contains(' ');
            let is_standard =
                ["RFC ", "ISO ", "ISO/IEC ", "BIP "].iter().any(|body| source.starts_with(body));
            assert!(source.is_empty() || is_page || is_standard, "{}: {source}", spec.id);
        }
    }

    #[test]
    fn ids_are_there_once_and_those_of_the_original_keep_name_points_and_label() {
        let specs = specs();
        let ids: HashSet<_> = specs.iter().map(|s| &s.id).collect();
        assert_eq!(ids.len(), specs.len());
        for (id, score, label) in [
            ("aws-access-key", 90, "AWS_KEY"),
            ("generic-api-key", 70, "API_KEY"),
            ("github-token", 90, "GITHUB_TOKEN"),
            ("private-key-header", 95, "PRIVATE_KEY"),
            ("slack-webhook", 80, "SLACK_WEBHOOK"),
            ("email-address", 40, "EMAIL"),
            ("us-phone-number", 35, "PHONE"),
        ] {
            let rule = specs.iter().find(|s| s.id == id).expect(id);
            assert_eq!((rule.score, &rule.labels[0][..]), (score, label), "{id}");
        }
    }

    #[test]
    fn no_example_stands_whole_in_a_file() {
        for (name, text) in PACKS {
            let rules = Pack::read(name, text).expect(name).rule;
            for spec in rules.into_iter().filter(|r| r.category == Category::Credentials) {
                for parts in spec.positive {
                    let whole = parts.concat();
                    assert!(whole.len() < 8 || !text.contains(&whole), "{}: {whole}", spec.id);
                }
            }
        }
    }
}
