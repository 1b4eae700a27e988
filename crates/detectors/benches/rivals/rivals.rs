//! The same rules, run as others run theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Input, PatternSet};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use serde::Deserialize;

#[derive(Deserialize)]
struct Pack {
    #[serde(default)]
    terms: BTreeMap<String, String>,
    rule: Vec<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    category: String,
    #[serde(default)]
    face: String,
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    digits: bool,
    #[serde(default)]
    pattern: String,
    #[serde(default)]
    positive: Vec<Vec<String>>,
}

/// What all ways share of a rule.
#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) category: String,
    pub(crate) is_folded: bool,
    keywords: Vec<String>,
    always: bool,
    pattern: String,
    pub(crate) examples: Vec<String>,
}

/// Every rule with an expression, from the files that ship.
pub(crate) fn read() -> Vec<Rule> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs");
    let mut rules = Vec::new();
    let packs =
        std::fs::read_dir(folder).expect("the packs are there").map(|entry| entry.expect("a pack").path());
    for path in packs.filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        let text = std::fs::read_to_string(path).expect("a pack can be read");
        let pack: Pack = toml::from_str(&text).expect("a pack is TOML");
        for spec in pack.rule.into_iter().filter(|spec| !spec.pattern.is_empty()) {
            let pattern = pack.terms.iter().fold(spec.pattern, |pattern, (term, words)| {
                pattern.replace(&format!("{{{{{term}}}}}"), &format!("(?:{words})"))
            });
            rules.push(Rule {
                category: spec.category,
                is_folded: spec.face == "folded",
                keywords: spec.prefixes.into_iter().chain(spec.keywords).collect(),
                always: spec.digits,
                pattern,
                examples: spec.positive.into_iter().map(|parts| parts.concat()).collect(),
            });
        }
    }
    rules
}

/// Three ways to run them.
pub(crate) struct Rivals {
    regexes: Vec<(Regex, bool)>,
    set: Option<Regex>,
    literals: AhoCorasick,
    owners: Vec<Vec<usize>>,
    always: Vec<usize>,
}

/// A set that takes more is none that anybody could use.
const SET_BYTES_MAX: usize = 64 << 20;

fn config() -> meta::Config {
    meta::Config::new().utf8_empty(false).nfa_size_limit(None)
}

fn parsed(pattern: &str) -> Hir {
    ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).expect("an expression that ships")
}

impl Rivals {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let hirs: Vec<Hir> = rules.iter().map(|rule| parsed(&rule.pattern)).collect();
        let one =
            |hir: &Hir| meta::Builder::new().configure(config()).build_from_hir(hir).expect("one expression");
        let mut literals: Vec<String> = Vec::new();
        let mut owners: Vec<Vec<usize>> = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            for keyword in rule.keywords.iter().map(|word| word.to_ascii_lowercase()) {
                let slot = literals.iter().position(|known| *known == keyword).unwrap_or_else(|| {
                    literals.push(keyword);
                    owners.push(Vec::new());
                    owners.len() - 1
                });
                owners[slot].push(at);
            }
        }
        Self {
            regexes: hirs.iter().map(one).zip(rules.iter().map(|rule| rule.is_folded)).collect(),
            set: meta::Builder::new()
                .configure(config().which_captures(WhichCaptures::None).nfa_size_limit(Some(SET_BYTES_MAX)))
                .build_many_from_hir(&hirs)
                .ok(),
            literals: AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .kind(Some(AhoCorasickKind::DFA))
                .build(&literals)
                .expect("an automaton"),
            owners,
            always: rules.iter().enumerate().filter(|(_, rule)| rule.always).map(|(at, _)| at).collect(),
        }
    }

    fn matches(&self, rule: usize, text: &str, lower: &str) -> usize {
        let (regex, is_folded) = &self.regexes[rule];
        regex.find_iter(if *is_folded { lower } else { text }).count()
    }

    /// What stands for the folded text: cheaper than ours, and blind to disguises.
    fn lower(&self, text: &str) -> String {
        if self.regexes.iter().any(|(_, is_folded)| *is_folded) {
            text.to_ascii_lowercase()
        } else {
            String::new()
        }
    }

    pub(crate) fn by_loop(&self, text: &str) -> usize {
        let lower = self.lower(text);
        (0..self.regexes.len()).map(|rule| self.matches(rule, text, &lower)).sum()
    }

    /// Whether there is a set of all expressions.
    pub(crate) fn has_set(&self) -> bool {
        self.set.is_some()
    }

    /// Which ones match, not where: more the set does not say.
    pub(crate) fn by_set(&self, text: &str) -> usize {
        let Some(set) = &self.set else { return 0 };
        let mut found = PatternSet::new(set.pattern_len());
        set.which_overlapping_matches(&Input::new(text), &mut found);
        found.len()
    }

    pub(crate) fn by_keywords(&self, text: &str) -> usize {
        let lower = self.lower(text);
        let mut candidates: BTreeSet<usize> = self.always.iter().copied().collect();
        for literal in self.literals.find_overlapping_iter(text) {
            candidates.extend(&self.owners[literal.pattern().as_usize()]);
        }
        candidates.into_iter().map(|rule| self.matches(rule, text, &lower)).sum()
    }
}
