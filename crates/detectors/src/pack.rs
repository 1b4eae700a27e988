//! Rule packs: the rules as data, one TOML file a family.

use std::collections::BTreeMap;

use clawexchange_ssg_core::Category;
use serde::Deserialize;

use crate::error::DetectorsError;

/// The packs that ship, by name.
pub(crate) const PACKS: [(&str, &str); 9] = [
    ("tokens", include_str!("../packs/tokens.toml")),
    ("services", include_str!("../packs/services.toml")),
    ("secrets", include_str!("../packs/secrets.toml")),
    ("personal-data", include_str!("../packs/personal-data.toml")),
    ("injection", include_str!("../packs/injection.toml")),
    ("jailbreak", include_str!("../packs/jailbreak.toml")),
    ("social-engineering", include_str!("../packs/social-engineering.toml")),
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

/// One rule as it stands in its file.
#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the file")]
pub(crate) struct RuleSpec {
    pub(crate) id: String,
    pub(crate) category: Category,
    pub(crate) score: u32,
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    pub(crate) description: String,
    /// Where its format is described: the provider's own page, or the standard with its section.
    #[serde(default)]
    pub(crate) source: String,
    /// From which level of paranoia on it is looked for, 1 to 4: the higher, the more ordinary texts it is found in.
    #[serde(default = "lowest_level")]
    pub(crate) level: u8,
    #[serde(default)]
    pub(crate) face: Face,
    /// Public beginnings of the format: they are looked for, and they are all of a value that is ever shown.
    #[serde(default)]
    pub(crate) prefixes: Vec<String>,
    /// Literals of which each match has at least one, without regard to ASCII case.
    #[serde(default)]
    pub(crate) keywords: Vec<String>,
    /// Further literals of which each match has one too: where none is near, nothing is searched.
    #[serde(default)]
    pub(crate) also: Vec<String>,
    /// A match overlaps a chain of at least seven digits.
    #[serde(default)]
    pub(crate) digits: bool,
    /// Empty for what is found by code: structure of the text, sums over other findings.
    #[serde(default)]
    pub(crate) pattern: String,
    /// Words of which one must stand near the match.
    #[serde(default)]
    pub(crate) context: Vec<String>,
    /// How far before and after the match they may stand, in bytes.
    #[serde(default = "usual_reach")]
    pub(crate) reach: usize,
    /// What a match must pass.
    #[serde(default)]
    pub(crate) checks: Vec<String>,
    /// What is noted when a match passes it.
    #[serde(default)]
    pub(crate) proofs: Vec<String>,
    /// What is shown in place of a value without public prefix; `[<id>]` unless set.
    pub(crate) shown: Option<String>,
    /// Gives way to other findings of credentials at the same place.
    #[serde(default)]
    pub(crate) generic: bool,
    /// Its places are not all of what was found, so that cutting them out would leave the rest.
    #[serde(default)]
    pub(crate) open_ended: bool,
    /// Quoted or told about, it is `quoted-attack` instead.
    #[serde(default)]
    pub(crate) quotable: bool,
    /// Texts in parts, joined before use, so that no whole token stands in the file.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are the rules' tests"))]
    pub(crate) positive: Vec<Vec<String>>,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are the rules' tests"))]
    pub(crate) negative: Vec<Vec<String>>,
}

/// Which reading of a text a rule looks at.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
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

const fn lowest_level() -> u8 {
    1
}

impl Pack {
    /// Reads one file.
    pub(crate) fn read(name: &str, text: &str) -> Result<Self, DetectorsError> {
        let mut pack: Self = toml::from_str(text)
            .map_err(|e| DetectorsError::Pack { pack: name.to_owned(), reason: e.message().to_owned() })?;
        for rule in &mut pack.rule {
            for (term, words) in &pack.terms {
                rule.pattern = rule.pattern.replace(&format!("{{{{{term}}}}}"), &format!("(?:{words})"));
            }
        }
        Ok(pack)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Detectors;
    use crate::rule::parsed;

    fn specs() -> Vec<RuleSpec> {
        PACKS.iter().flat_map(|(name, text)| Pack::read(name, text).expect(name).rule).collect()
    }

    #[test]
    fn every_rule_finds_its_examples_and_leaves_its_counterexamples() {
        let detectors = Detectors::default();
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
