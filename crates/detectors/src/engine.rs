//! Where to look: literals first, then expressions in small windows around them.

use std::ops::{ControlFlow, Range};

use crate::checks::Site;
use crate::error::DetectorsError;
use crate::literals::Literals;
use crate::pack::Face;
use crate::rule::{Match, Rule};
use crate::ways::{self, Part, Ways};

/// The rules that look at one reading of a text.
pub(crate) struct Matcher {
    literals: Literals<2048>,
    /// The rules of each literal, each with the place of the literal in its own list.
    owners: Vec<Vec<(u16, u16)>>,
    /// The rules that look at chains of digits.
    of_digits: Vec<u16>,
    of_face: Vec<u16>,
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
        let mut literals: Vec<String> = Vec::new();
        let mut owners: Vec<Vec<(u16, u16)>> = Vec::new();
        let mut place = std::collections::HashMap::new();
        let (mut of_digits, mut of_face) = (Vec::new(), Vec::new());
        let too_many =
            |reason: &str| DetectorsError::Pack { pack: "claw".to_owned(), reason: reason.to_owned() };
        for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.is_on(face)) {
            let at = u16::try_from(at).map_err(|_e| too_many("there are more than 65,535 rules"))?;
            of_face.push(at);
            if rule.spec.digits {
                of_digits.push(at);
            }
            for (literal, place_in_rule) in rule.literals().zip(0..) {
                let literal = literal.to_ascii_lowercase();
                let slot = *place.entry(literal.clone()).or_insert_with(|| {
                    literals.push(literal);
                    owners.push(Vec::new());
                    owners.len() - 1
                });
                if let Some(rules) = owners.get_mut(slot) {
                    rules.push((at, place_in_rule));
                }
            }
        }
        if literals.len() > usize::from(u16::MAX) {
            return Err(too_many("there are more than 65,535 literals"));
        }
        let literals = Literals::new(literals.iter().map(String::as_str));
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
        let windows = self.windows(rules, text, work);
        let mut narrowed = Vec::new();
        for (at, ways) in windows.finish() {
            let Some(rule) = rules.get(usize::from(at)) else { continue };
            let mut parts = Vec::new();
            for (order, OfWay { windows, begins }) in ways.into_iter().enumerate() {
                let Some(way) = rule.ways().get(order) else { continue };
                for window in windows {
                    way.shape.narrowed(text.as_bytes(), window, &mut narrowed);
                }
                parts.extend(narrowed.drain(..).map(|within| Part::new(way, order, within, &begins)));
            }
            parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.within.start));
            while let Some((all, mut parts)) = Ways::cluster(&mut parts) {
                if skip(&all) || !rule.may_match(text, &all) {
                    continue;
                }
                rule.ways().begin(text, &all, &mut parts);
                if parts.is_empty() {
                    continue;
                }
                work.searched_bytes += parts.iter().map(|part| part.within.len()).sum::<usize>();
                let mut next = |from: usize| ways::first_of(&mut parts, text, from);
                if search(rule, text, all, &mut next, &mut |m| found(usize::from(at), m)).is_break() {
                    break;
                }
            }
        }
    }

    /// Where the literals of each way of each rule stand, with as much to either side as its longest match has.
    fn windows(&self, rules: &[Rule], text: &str, work: &mut Work) -> Windows {
        let mut windows = Windows::new(rules.len());
        let bytes = text.as_bytes();
        self.literals.each(bytes, &mut |literal, place| {
            work.anchors += 1;
            let place = place..place + self.literals.len_of(literal);
            for &(at, literal) in self.owners.get(literal).into_iter().flatten() {
                let Some(ways) = rules.get(usize::from(at)).map(Rule::ways) else { continue };
                for &order in ways.with_literal(usize::from(literal)) {
                    let order = usize::from(order);
                    if let Some(window) = ways.get(order).and_then(|way| way.shape.window(bytes, &place)) {
                        let begins = window.start..place.start + 1;
                        windows.add(at, ways.len(), order, window, begins);
                    }
                }
            }
            true
        });
        if !self.of_digits.is_empty() {
            digit_chains(text.as_bytes(), |chain| {
                work.anchors += 1;
                for &at in &self.of_digits {
                    let Some(ways) = rules.get(usize::from(at)).map(Rule::ways) else { continue };
                    for (order, way) in ways.iter().enumerate() {
                        let reach = way.shape.reach;
                        let window = chain.start.saturating_sub(reach)..(chain.end + reach).min(text.len());
                        let begins = window.start..chain.end;
                        windows.add(at, ways.len(), order, window, begins);
                    }
                }
            });
        }
        windows
    }

    /// As [`Self::find`], every expression over everything: what it is compared with.
    pub(crate) fn find_by_force(&self, rules: &[Rule], text: &str, found: &mut Found<'_>) {
        for &at in &self.of_face {
            if let Some(rule) = rules.get(usize::from(at)) {
                let mut next = |from: usize| rule.find(text, from..text.len());
                let found = &mut |m: &Match| found(usize::from(at), m);
                let _enough = search(rule, text, 0..text.len(), &mut next, found);
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
    next: &mut dyn FnMut(usize) -> Option<Match>,
    found: &mut dyn FnMut(&Match) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut at = window.start;
    while at < window.end
        && let Some(mut m) = next(at)
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

/// The parts of a text in which each way of each rule is looked for.
struct Windows {
    /// One more than the place of a rule in `touched`, or zero: most texts touch few rules, and many are short.
    slots: Vec<u16>,
    touched: Vec<(u16, OfWays)>,
}

/// The windows of each way of a rule.
type OfWays = Vec<OfWay>;

/// The windows of a way, and where in them matches may begin.
#[derive(Clone, Default)]
struct OfWay {
    windows: Vec<Range<usize>>,
    begins: Vec<Range<usize>>,
}

impl Windows {
    fn new(rules: usize) -> Self {
        Self { slots: vec![0; rules], touched: Vec::new() }
    }

    fn add(&mut self, rule: u16, ways: usize, way: usize, window: Range<usize>, begins: Range<usize>) {
        let Some(slot) = self.slots.get_mut(usize::from(rule)) else { return };
        if *slot == 0 {
            self.touched.push((rule, vec![OfWay::default(); ways]));
            *slot = u16::try_from(self.touched.len()).unwrap_or(0);
        }
        let touched = self.touched.get_mut(usize::from(*slot) - 1);
        if let Some(of_way) = touched.and_then(|(_, ways)| ways.get_mut(way)) {
            join(&mut of_way.windows, window);
            join(&mut of_way.begins, begins);
        }
    }

    /// Rule by rule, the windows of each way in order and apart from each other, so that no way reads a byte twice.
    fn finish(mut self) -> impl Iterator<Item = (u16, OfWays)> {
        self.touched.sort_unstable_by_key(|(rule, _)| *rule);
        self.touched.into_iter().map(|(rule, mut ways)| {
            for OfWay { windows, begins } in &mut ways {
                part(windows);
                part(begins);
            }
            (rule, ways)
        })
    }
}

/// Ranges come in the order of the text, nearly: what overlaps the last one is one with it.
fn join(ranges: &mut Vec<Range<usize>>, next: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if next.start <= last.end && last.start <= next.end => {
            *last = last.start.min(next.start)..last.end.max(next.end);
        }
        _ => ranges.push(next),
    }
}

/// Puts ranges in order, and joins those that meet.
fn part(ranges: &mut Vec<Range<usize>>) {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let meet = next.start <= last.end;
        if meet {
            last.end = last.end.max(next.end);
        }
        meet
    });
}

/// Chains of at least seven digits with at most two signs or letters between one and the next.
fn digit_chains(bytes: &[u8], mut found: impl FnMut(Range<usize>)) {
    let mut at = 0;
    while let Some(start) = next_digit(bytes, at) {
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

/// Sixteen bytes at a time, which the compiler compares at once.
fn next_digit(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(here) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        if here.iter().fold(false, |any, b| any | b.is_ascii_digit()) {
            break;
        }
        at += 16;
    }
    Some(at + bytes.get(at..)?.iter().position(u8::is_ascii_digit)?)
}
