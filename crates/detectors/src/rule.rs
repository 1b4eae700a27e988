//! A rule, ready to be looked for.

use std::ops::Range;
use std::sync::OnceLock;

use clawexchange_ssg_core::{Category, Confidence, Pattern, RuleMode, Severity, Suppression};
use regex_automata::meta::{self, Regex};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use crate::checks::{Check, Site};
use crate::error::DetectorsError;
use crate::hash::version_of;
use crate::literals::Literals;
use crate::pack::{Face, RuleSpec};
use crate::ways::{Way, Ways};

/// What a rule is, for lists and documentation.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RuleInfo<'a> {
    /// Its name, kebab-case.
    pub id: &'a str,
    /// What sort of trouble it stands for.
    pub category: Category,
    /// The version of its text: 8 hexadecimal digits of a hash over what it looks for.
    pub version: &'a str,
    /// How far the harm of what it finds reaches.
    pub severity: Severity,
    /// How sure what it finds is, before anything more is known of the place.
    pub confidence: Confidence,
    /// Its points, 0 to 100: they follow from severity and confidence.
    pub score: u32,
    /// Its own labels, besides that of its family.
    pub labels: &'a [String],
    /// What was found, in a sentence for people.
    pub description: &'a str,
    /// From which level of paranoia on it is looked for, 1 to 4.
    pub level: u8,
    /// Where its format is described; empty where no format is.
    pub source: &'a str,
    /// Whether it counts.
    pub mode: RuleMode,
    /// The pack that has it.
    pub pack: &'a str,
    /// Public beginnings of its format.
    pub prefixes: &'a [String],
    /// Literals of which each match has one.
    pub keywords: &'a [String],
    /// Words of which one must stand near.
    pub context: &'a [String],
    /// What a match must pass, by name.
    pub checks: &'a [String],
    /// What is noted when a match passes it, by name.
    pub proofs: &'a [String],
    /// Its expression; empty for what is found by code.
    pub pattern: &'a str,
}

/// One rule. Its expression is made when it is first needed: most texts need few.
pub(crate) struct Rule {
    pub(crate) spec: RuleSpec,
    pub(crate) pattern: Pattern,
    pub(crate) checks: Vec<Check>,
    pub(crate) proofs: Vec<Check>,
    shown: String,
    ways: OnceLock<Ways>,
    /// All of it at once, which only the search by force needs.
    whole: OnceLock<Way>,
    /// What a match has besides, or near it; none where anything may be there.
    besides: OnceLock<Option<Literals<64>>>,
}

/// A match of the expression: all of it, and the part that is the value.
#[derive(Clone)]
pub(crate) struct Match {
    pub(crate) whole: Range<usize>,
    pub(crate) value: Range<usize>,
}

impl Rule {
    pub(crate) fn new(spec: RuleSpec, mode: RuleMode, pack: &str) -> Result<Self, DetectorsError> {
        let wrong = |reason: String| DetectorsError::Pack {
            pack: pack.to_owned(),
            reason: format!("rule {}: {reason}", spec.id),
        };
        let pattern = Pattern::named(&spec.id, spec.category, spec.score, &spec.labels)
            .map_err(|e| wrong(e.to_string()))?
            .in_mode(mode);
        let pattern = match spec.severity {
            Some(severity) if severity.points_max() < spec.score => {
                return Err(wrong(format!("{} points are too many for severity {severity}", spec.score)));
            }
            Some(severity) => pattern.of_severity(severity),
            None => pattern,
        };
        let pattern = if spec.open_ended { pattern.open_ended() } else { pattern };
        let parse = |names: &[String]| {
            names
                .iter()
                .map(|name| Check::parse(name).ok_or_else(|| wrong(format!("no check {name}"))))
                .collect::<Result<Vec<_>, _>>()
        };
        let (checks, proofs) = (parse(&spec.checks)?, parse(&spec.proofs)?);
        let mut validators: Vec<&'static str> = checks.iter().map(|check| check.name()).collect();
        if !spec.context.is_empty() {
            validators.push("words-near");
        }
        validators.dedup();
        let pattern = pattern.of_rule(version_of(&spec), spec.level, validators);
        let shown = spec.shown.clone().unwrap_or_else(|| format!("[{}]", spec.id));
        Ok(Self {
            spec,
            pattern,
            checks,
            proofs,
            shown,
            ways: OnceLock::new(),
            whole: OnceLock::new(),
            besides: OnceLock::new(),
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.spec.id
    }

    pub(crate) fn info(&self) -> RuleInfo<'_> {
        RuleInfo {
            id: &self.spec.id,
            category: self.spec.category,
            version: self.pattern.version().unwrap_or_default(),
            severity: self.pattern.severity(),
            confidence: self.pattern.confidence(),
            score: self.spec.score,
            labels: &self.spec.labels,
            description: &self.spec.description,
            level: self.spec.level,
            source: &self.spec.source,
            mode: self.pattern.mode(),
            pack: &self.spec.pack,
            prefixes: &self.spec.prefixes,
            keywords: &self.spec.keywords,
            context: &self.spec.context,
            checks: &self.spec.checks,
            proofs: &self.spec.proofs,
            pattern: &self.spec.pattern,
        }
    }

    /// The same rule without what a match must pass.
    pub(crate) fn bare(&self) -> Self {
        let mut spec = self.spec.clone();
        spec.context.clear();
        let (pattern, shown) = (self.pattern.clone(), self.shown.clone());
        Self {
            spec,
            pattern,
            checks: Vec::new(),
            proofs: Vec::new(),
            shown,
            ways: OnceLock::new(),
            whole: OnceLock::new(),
            besides: OnceLock::new(),
        }
    }

    /// Why a match of the expression is none of the rule, if it is none, and which check or word says so.
    pub(crate) fn refusal(&self, text: &str, m: &Match) -> Option<(Suppression, Option<&'static str>)> {
        let mut value = m.value.clone();
        let of_value = text.get(value.clone()).unwrap_or("");
        if let Some(end) = self.checks.iter().find_map(|check| check.end_of(of_value)) {
            value.end = value.start + end;
        }
        let site = Site { text, whole: m.whole.clone(), value };
        if let Some((check, word)) =
            self.checks.iter().zip(&self.spec.checks).find(|(check, _)| !check.passes(&site))
        {
            return Some((refused_by(*check, word), Some(check.name())));
        }
        if crate::engine::has_context(self, text, &m.whole) {
            None
        } else {
            Some((Suppression::NoContext, None))
        }
    }

    /// Whether it counts.
    pub(crate) fn is_enforced(&self) -> bool {
        self.pattern.mode() == RuleMode::Enforce
    }

    /// Whether a match that passed this check is proven by it. A header that can be read proves that a token is one
    /// of its sort, not that it opens anything.
    pub(crate) fn is_proven_by(&self, check: Check) -> bool {
        self.spec.category == Category::Credentials && check.is_proof() && check != Check::JwtHeader
    }

    /// Whether it is found by its expression on this reading of a text.
    pub(crate) fn is_on(&self, face: Face) -> bool {
        self.spec.face == face && !self.spec.pattern.is_empty()
    }

    /// Its expression, way by way.
    pub(crate) fn ways(&self) -> &Ways {
        self.ways.get_or_init(|| {
            let literals: Vec<_> = self.literals().map(|literal| literal.to_ascii_lowercase()).collect();
            Ways::of(&self.spec.pattern, &literals)
        })
    }

    /// Of which each match has one, if it has no chain of digits.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &String> {
        self.spec.prefixes.iter().chain(&self.spec.keywords)
    }

    /// Whether a match may lie in this part of a text: what it has besides its first literal is there, or near.
    pub(crate) fn may_match(&self, text: &str, part: &Range<usize>) -> bool {
        let Some(besides) = self.besides.get_or_init(|| self.made_besides()) else { return true };
        if !self.spec.also.is_empty() {
            return besides.any(text.as_bytes().get(part.clone()).unwrap_or(&[]));
        }
        let around = part.start.saturating_sub(self.spec.reach + 4)..part.end + self.spec.reach + 4;
        let around = text.as_bytes().get(around.start..around.end.min(text.len())).unwrap_or(&[]);
        // Beyond ASCII, words in capitals have more than one spelling.
        !around.is_ascii() || besides.any(around)
    }

    fn made_besides(&self) -> Option<Literals<64>> {
        let RuleSpec { also, context, .. } = &self.spec;
        let words = if also.is_empty() { context } else { also };
        (!words.is_empty()).then(|| Literals::new(words.iter().map(String::as_str)))
    }

    /// The first match that begins and ends in `within`, of whichever way.
    pub(crate) fn find(&self, text: &str, within: Range<usize>) -> Option<Match> {
        self.whole.get_or_init(|| Way::whole(&self.spec.pattern)).find(text, within)
    }

    /// What may be shown of `value`: its public prefix at most.
    pub(crate) fn redact(&self, value: &str) -> String {
        match self.spec.prefixes.iter().filter(|p| value.starts_with(p.as_str())).max_by_key(|p| p.len()) {
            Some(prefix) if self.spec.shown.is_none() => format!("{prefix}…"),
            _ => self.shown.clone(),
        }
    }
}

/// An expression, ready to be searched for.
#[expect(clippy::result_large_err, reason = "it is made for people, once a rule")]
pub(crate) fn compiled(hir: &Hir) -> Result<Regex, meta::BuildError> {
    meta::Builder::new()
        // Half a megabyte holds the states that posts lead to; with the usual two, all rules together
        // would take as much as the rest of the process.
        .configure(
            meta::Config::new()
                .hybrid_cache_capacity(512 << 10)
                .utf8_empty(false)
                .nfa_size_limit(Some(8 << 20)),
        )
        .build_from_hir(hir)
}

/// What it means that a match did not pass a check, which stands in the pack as `word`.
fn refused_by(check: Check, word: &str) -> Suppression {
    const STANDS_FOR_SOMETHING: [&str; 5] =
        ["not-placeholder", "not-dummy", "not-variable", "real-password", "real-address"];
    if STANDS_FOR_SOMETHING.contains(&word) {
        Suppression::Placeholder
    } else if word == "not-negated" {
        Suppression::Negated
    } else if check.is_proof() {
        Suppression::FailedChecksum
    } else {
        Suppression::FailedCheck
    }
}

#[expect(clippy::expect_used, reason = "expressions are parsed once when packs are checked")]
pub(crate) fn parsed(pattern: &str) -> Hir {
    try_parsed(pattern).expect("the expression of a checked rule can be parsed")
}

/// Bytes, not characters: repetitions stay small, and spans are widened to whole characters afterwards.
#[expect(clippy::result_large_err, reason = "it is made for people, once a rule")]
pub(crate) fn try_parsed(pattern: &str) -> Result<Hir, regex_syntax::Error> {
    ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern)
}
