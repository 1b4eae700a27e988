//! Where to look: literals first, then expressions in small windows around them.

use std::ops::{ControlFlow, Range};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::checks::Site;
use crate::error::DetectorsError;
use crate::pack::Face;
use crate::rule::{Match, Rule};

/// The rules that look at one reading of a text.
pub(crate) struct Matcher {
    literals: AhoCorasick,
    /// The rules of each literal, and whether it is one that a match has besides.
    owners: Vec<Vec<(usize, bool)>>,
    /// The rules that look at chains of digits.
    of_digits: Vec<usize>,
    #[cfg_attr(not(test), expect(dead_code, reason = "a test runs every rule without literals"))]
    of_face: Vec<usize>,
}

/// How much was done for a text: it grows with the text and with nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Literals and chains of digits that were met.
    pub(crate) anchors: usize,
    /// Bytes that expressions were run over.
    pub(crate) searched_bytes: usize,
    /// Bytes that came out of decodings.
    pub(crate) decoded_bytes: usize,
}

impl Matcher {
    pub(crate) fn new(rules: &[Rule], face: Face) -> Result<Self, DetectorsError> {
        let mut literals: Vec<&str> = Vec::new();
        let mut owners: Vec<Vec<(usize, bool)>> = Vec::new();
        let mut place = std::collections::HashMap::new();
        let mut of_digits = Vec::new();
        let mut of_face = Vec::new();
        for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.is_on(face)) {
            of_face.push(at);
            if rule.spec.digits {
                of_digits.push(at);
            }
            let firsts = rule.spec.prefixes.iter().chain(&rule.spec.keywords).map(|l| (l, false));
            let besides = if rule.spec.also.is_empty() { &rule.spec.context } else { &rule.spec.also };
            for (literal, besides) in firsts.chain(besides.iter().map(|l| (l, true))) {
                let slot = *place.entry(literal.to_ascii_lowercase()).or_insert_with(|| {
                    literals.push(literal);
                    owners.push(Vec::new());
                    owners.len() - 1
                });
                if let Some(rules) = owners.get_mut(slot)
                    && !rules.contains(&(at, besides))
                {
                    rules.push((at, besides));
                }
            }
        }
        let literals = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&literals)
            .map_err(|e| DetectorsError::Pack { pack: "claw".to_owned(), reason: e.to_string() })?;
        Ok(Self { literals, owners, of_digits, of_face })
    }

    /// Every match of every rule, rule by rule, until `found` has enough of a rule.
    /// Windows that `skip` names are left out.
    pub(crate) fn find(
        &self,
        rules: &[Rule],
        text: &str,
        skip: &Skip<'_>,
        work: &mut Work,
        found: &mut Found<'_>,
    ) {
        let mut windows = Windows::new(rules.len());
        for literal in self.literals.find_overlapping_iter(text) {
            work.anchors += 1;
            for &(rule, besides) in self.owners.get(literal.pattern().as_usize()).into_iter().flatten() {
                if besides {
                    windows.note(rule, literal.start());
                    continue;
                }
                // A match has its literal inside, so that it lies within its longest length on either side.
                let reach = rules.get(rule).map_or(0, Rule::reach);
                let (start, end) = (literal.end().saturating_sub(reach), literal.start() + reach);
                windows.add(rule, start..end.max(literal.end()).min(text.len()));
            }
        }
        if !self.of_digits.is_empty() {
            digit_chains(text.as_bytes(), |chain| {
                work.anchors += 1;
                for &rule in &self.of_digits {
                    let reach = rules.get(rule).map_or(0, Rule::reach);
                    let (start, end) = (chain.start.saturating_sub(reach), chain.end + reach);
                    windows.add(rule, start..end.min(text.len()));
                }
            });
        }
        for (at, windows) in windows.finish(rules) {
            let Some(rule) = rules.get(at) else { continue };
            for window in windows.into_iter().filter(|window| !skip(window)) {
                work.searched_bytes += window.len();
                if search(rule, text, window, &mut |m| found(at, m)).is_break() {
                    break;
                }
            }
        }
    }

    /// As [`Self::find`], without the literals: what the equivalence test compares with.
    #[cfg(test)]
    pub(crate) fn find_by_force(&self, rules: &[Rule], text: &str, found: &mut Found<'_>) {
        for &at in &self.of_face {
            if let Some(rule) = rules.get(at) {
                let _enough = search(rule, text, 0..text.len(), &mut |m| found(at, m));
            }
        }
    }
}

/// Says that nothing in a part of the text is news.
pub(crate) type Skip<'s> = dyn Fn(&Range<usize>) -> bool + 's;

/// Takes a match of a rule, and breaks when it has enough of this rule.
pub(crate) type Found<'f> = dyn FnMut(usize, &Match) -> ControlFlow<()> + 'f;

/// Expressions have bounded matches, so that each search behind a match costs at most one match more.
fn search(
    rule: &Rule,
    text: &str,
    window: Range<usize>,
    found: &mut dyn FnMut(&Match) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut at = window.start;
    while at < window.end
        && let Some(mut m) = rule.find(text, at..window.end)
    {
        at = m.whole.end.max(at + 1);
        let value = text.get(m.value.clone()).unwrap_or("");
        if let Some(end) = rule.checks.iter().find_map(|check| check.end_of(value)) {
            m.value.end = m.value.start + end;
            at = m.value.end;
        }
        if passes(rule, text, &m) {
            found(&m)?;
        }
    }
    ControlFlow::Continue(())
}

fn passes(rule: &Rule, text: &str, m: &Match) -> bool {
    let site = Site { text, whole: m.whole.clone(), value: m.value.clone() };
    rule.checks.iter().all(|check| check.passes(&site)) && has_context(rule, text, &m.whole)
}

/// Whether one of the rule's words stands near: as a whole word if it is short, as the beginning of one if it is long.
pub(crate) fn has_context(rule: &Rule, text: &str, whole: &Range<usize>) -> bool {
    if rule.spec.context.is_empty() {
        return true;
    }
    let around = crate::view::whole_characters(
        text,
        whole.start.saturating_sub(rule.spec.reach)..whole.end + rule.spec.reach,
    );
    let near = text.get(around).unwrap_or("").to_lowercase();
    rule.spec.context.iter().any(|word| {
        near.match_indices(word.as_str()).any(|(at, _)| {
            let before = near.get(..at).and_then(|b| b.chars().next_back());
            let after = near.get(at + word.len()..).and_then(|a| a.chars().next());
            let ends =
                word.len() > SHORT_WORD || !word.ends_with(is_lettered) || !after.is_some_and(is_lettered);
            ends && !(word.starts_with(is_lettered) && before.is_some_and(is_lettered))
        })
    })
}

/// Words of at most so many bytes are also the beginning of many others.
const SHORT_WORD: usize = 4;

/// Letters and digits of scripts that put blanks between words.
fn is_lettered(c: char) -> bool {
    c.is_alphanumeric() && c < '\u{2e80}' && !('\u{e00}'..'\u{e80}').contains(&c)
}

/// The parts of a text in which each rule is looked for: disjoint, so that no rule reads a byte twice.
struct Windows {
    /// One more than the place of a rule in `touched`, or zero: most texts touch few rules, and many are short.
    slots: Vec<u16>,
    touched: Vec<OfRule>,
}

#[derive(Default)]
struct OfRule {
    rule: usize,
    windows: Vec<Range<usize>>,
    /// Where the literals stand that a match has besides, or near it.
    besides: Vec<usize>,
}

impl Windows {
    fn new(rules: usize) -> Self {
        Self { slots: vec![0; rules], touched: Vec::new() }
    }

    fn of_rule(&mut self, rule: usize) -> Option<&mut OfRule> {
        let slot = self.slots.get_mut(rule)?;
        if *slot == 0 {
            self.touched.push(OfRule { rule, ..OfRule::default() });
            *slot = u16::try_from(self.touched.len()).ok()?;
        }
        self.touched.get_mut(usize::from(*slot) - 1)
    }

    /// Literals come in the order of their ends, so that a window never begins far before the last one.
    fn add(&mut self, rule: usize, window: Range<usize>) {
        let Some(of_rule) = self.of_rule(rule) else { return };
        match of_rule.windows.last_mut() {
            Some(last) if window.start <= last.end => {
                *last = last.start.min(window.start)..last.end.max(window.end);
            }
            _ => of_rule.windows.push(window),
        }
    }

    fn note(&mut self, rule: usize, at: usize) {
        if let Some(of_rule) = self.of_rule(rule)
            && of_rule.besides.last() != Some(&at)
        {
            of_rule.besides.push(at);
        }
    }

    fn finish(mut self, rules: &[Rule]) -> impl Iterator<Item = (usize, Vec<Range<usize>>)> {
        self.touched.sort_unstable_by_key(|of_rule| of_rule.rule);
        self.touched.into_iter().map(|mut of_rule| {
            if let Some(margin) = rules.get(of_rule.rule).and_then(margin) {
                let besides = &mut of_rule.besides;
                besides.sort_unstable();
                of_rule.windows.retain(|window| {
                    let next = besides.partition_point(|at| *at < window.start.saturating_sub(margin));
                    besides.get(next).is_some_and(|at| *at < window.end + margin)
                });
            }
            (of_rule.rule, of_rule.windows)
        })
    }
}

/// How far from a window one of the rule's further literals may stand; none where it asks for none.
fn margin(rule: &Rule) -> Option<usize> {
    match (rule.spec.also.is_empty(), rule.spec.context.is_empty()) {
        (false, _) => Some(0),
        // What is near is taken in whole characters.
        (true, false) => Some(rule.spec.reach + 4),
        (true, true) => None,
    }
}

/// Chains of at least seven digits with at most two signs or letters between one and the next.
fn digit_chains(bytes: &[u8], mut found: impl FnMut(Range<usize>)) {
    let mut at = 0;
    while let Some(start) =
        bytes.get(at..).and_then(|b| b.iter().position(u8::is_ascii_digit)).map(|p| at + p)
    {
        let (mut end, mut digits) = (start, 0);
        let mut here = start;
        while let Some(b) = bytes.get(here) {
            if b.is_ascii_digit() {
                digits += 1;
                end = here + 1;
            } else if here >= end + 2
                || !(b.is_ascii_alphabetic() || matches!(b, b' ' | b'-' | b'.' | b'(' | b')' | b'/' | b'+'))
            {
                break;
            }
            here += 1;
        }
        if digits >= 7 {
            found(start..end);
        }
        at = end;
    }
}
