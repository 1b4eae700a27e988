//! An expression as steps that are tried one after the other.
//!
//! Most places at which a match may begin have none, and say so within a few bytes. An automaton would have to be made
//! first, remembers every place at once, and takes a hundred times the memory. Trying can take long where one may go
//! back often: whoever tries says how many steps that may take, and asks an automaton beyond them.

use std::ops::Range;

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use crate::rule::Match;
use crate::shape::Bytes;

/// An expression that never matches nothing.
pub(crate) struct Steps {
    all: Box<[Step]>,
    sets: Box<[Bytes]>,
    /// With what the rest of a match begins, from each step on; none where it may be nothing.
    firsts: Box<[Option<u16>]>,
    /// How many bytes a match has at least.
    least: usize,
    /// Twice as many as one more than the highest number of a group.
    slots: usize,
}

/// What is done at a place of a text. Numbers name steps and sets.
enum Step {
    /// These bytes.
    Literal(Box<[u8]>),
    /// These letters, in either case.
    Folded(Box<[u8]>),
    /// One byte of a set.
    One(u16),
    /// Bytes of a set, as many as there are or as few as will do.
    Run {
        set: u16,
        least: u32,
        most: u32,
        many: bool,
    },
    Look(Look),
    /// The next step, and the other one where that leads nowhere; or first the other.
    Either {
        other: u16,
        next_first: bool,
    },
    Jump(u16),
    /// Keeps the place: where a group begins or ends.
    Keep(u16),
    Found,
}

/// Where to go back to.
enum Back {
    To {
        step: u16,
        at: usize,
    },
    /// A run that may be shorter, down to `least`.
    Shorter {
        step: u16,
        least: usize,
        at: usize,
    },
    /// A run that may be longer, up to `most`.
    Longer {
        step: u16,
        at: usize,
        most: usize,
    },
    Kept {
        slot: u16,
        was: usize,
    },
}

/// What trying needs, and how many steps may still be made.
pub(crate) struct Effort {
    left: usize,
    back: Vec<Back>,
    kept: Vec<usize>,
}

impl Effort {
    pub(crate) fn of(steps: usize) -> Self {
        Self { left: steps, back: Vec::new(), kept: Vec::new() }
    }
}

/// There was no end of trying within the steps that may be made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spent;

/// Longer ones are for automata.
const STEPS_MAX: usize = 4096;
const NOWHERE: usize = usize::MAX;

impl Steps {
    /// None for what is too long, or matches nothing too.
    pub(crate) fn of(hir: &Hir) -> Option<Self> {
        let least = hir.properties().minimum_len().filter(|least| *least > 0)?;
        let mut new = Making::default();
        new.add(hir)?;
        new.push(Step::Found)?;
        let firsts = new.firsts()?;
        Some(Self { all: new.steps.into(), sets: new.sets.into(), firsts, least, slots: new.slots })
    }

    /// The first match that begins in `begins` and ends at `end` or before it.
    pub(crate) fn find(
        &self,
        text: &[u8],
        begins: Range<usize>,
        end: usize,
        effort: &mut Effort,
    ) -> Result<Option<Match>, Spent> {
        let last = (end + 1).saturating_sub(self.least).min(begins.end);
        effort.left = effort.left.saturating_sub(begins.len() / 8);
        for start in begins.start..last {
            if self.may(0, text, start, end)
                && let Some(found) = self.find_at(text, start..end, effort)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether the byte here is one with which the rest of a match from this step on may begin.
    fn may(&self, step: u16, text: &[u8], at: usize, end: usize) -> bool {
        let set = self.firsts.get(usize::from(step)).copied().flatten();
        set.is_none_or(|set| at < end && text.get(at).is_some_and(|b| self.set(set).has(*b)))
    }

    /// The match that begins where `within` does, and ends in it.
    pub(crate) fn find_at(
        &self,
        text: &[u8],
        within: Range<usize>,
        effort: &mut Effort,
    ) -> Result<Option<Match>, Spent> {
        let Range { start, end } = within;
        effort.back.clear();
        effort.kept.clear();
        effort.kept.resize(self.slots, NOWHERE);
        let mut now = Some((0, start));
        while let Some((step, at)) = now {
            effort.left = effort.left.checked_sub(1).ok_or(Spent)?;
            if matches!(self.all.get(usize::from(step)), None | Some(Step::Found)) {
                let groups = effort.kept.chunks_exact(2).skip(1);
                let mut values = groups.filter_map(|kept| match kept {
                    [start, end] if *end != NOWHERE => Some(*start..*end),
                    _ => None,
                });
                let whole = start..at;
                return Ok(Some(Match { value: values.next().unwrap_or_else(|| whole.clone()), whole }));
            }
            now = self.made(step, text, at, end, effort).or_else(|| self.back(text, end, effort));
        }
        Ok(None)
    }

    /// Makes one step at a place; none where it leads nowhere.
    fn made(
        &self,
        step: u16,
        text: &[u8],
        at: usize,
        end: usize,
        effort: &mut Effort,
    ) -> Option<(u16, usize)> {
        let next = step + 1;
        let here = || text.get(at).copied().filter(|_| at < end);
        match self.all.get(usize::from(step))? {
            Step::Literal(literal) => {
                let after = at + literal.len();
                (after <= end && text.get(at..after)? == &**literal).then_some((next, after))
            }
            Step::Folded(literal) => {
                let after = at + literal.len();
                (after <= end && text.get(at..after)?.eq_ignore_ascii_case(literal)).then_some((next, after))
            }
            Step::One(set) => self.set(*set).has(here()?).then_some((next, at + 1)),
            Step::Run { set, least, most, many } => {
                let (least, most) = (at + *least as usize, at.saturating_add(*most as usize).min(end));
                let (set, until) = (self.set(*set), if *many { most } else { least });
                if least > end {
                    return None;
                }
                let run = text.get(at..until)?;
                let len = run.iter().position(|b| !set.has(*b)).unwrap_or(run.len());
                effort.left = effort.left.saturating_sub(len / 8);
                let after = at + len;
                if after < least {
                    return None;
                }
                if *many {
                    self.shorter(step, text, least..after, end, effort)
                } else {
                    self.longer(step, text, after..most, end, effort)
                }
            }
            Step::Look(look) => looks(*look, text, at).then_some((next, at)),
            Step::Either { other, next_first } => {
                match (self.may(next, text, at, end), self.may(*other, text, at, end)) {
                    (true, true) => {
                        let (now, later) = if *next_first { (next, *other) } else { (*other, next) };
                        effort.back.push(Back::To { step: later, at });
                        Some((now, at))
                    }
                    (true, false) => Some((next, at)),
                    (false, true) => Some((*other, at)),
                    (false, false) => None,
                }
            }
            Step::Jump(to) => Some((*to, at)),
            Step::Keep(slot) => {
                let kept = effort.kept.get_mut(usize::from(*slot))?;
                effort.back.push(Back::Kept { slot: *slot, was: std::mem::replace(kept, at) });
                Some((next, at))
            }
            Step::Found => None,
        }
    }

    /// Goes back to the last place at which there was a choice.
    fn back(&self, text: &[u8], end: usize, effort: &mut Effort) -> Option<(u16, usize)> {
        loop {
            match effort.back.pop()? {
                Back::To { step, at } => return Some((step, at)),
                Back::Shorter { step, least, at } => {
                    let shorter = self.shorter(step, text, least..at - 1, end, effort);
                    if shorter.is_some() {
                        return shorter;
                    }
                }
                Back::Longer { step, at, most } => {
                    let Some(Step::Run { set, .. }) = self.all.get(usize::from(step)) else { continue };
                    if text.get(at).is_some_and(|b| self.set(*set).has(*b)) {
                        let longer = self.longer(step, text, at + 1..most, end, effort);
                        if longer.is_some() {
                            return longer;
                        }
                    }
                }
                Back::Kept { slot, was } => {
                    if let Some(kept) = effort.kept.get_mut(usize::from(slot)) {
                        *kept = was;
                    }
                }
            }
        }
    }

    /// Goes on behind the longest run that ends in `ends` and that something can follow.
    fn shorter(
        &self,
        step: u16,
        text: &[u8],
        ends: Range<usize>,
        end: usize,
        effort: &mut Effort,
    ) -> Option<(u16, usize)> {
        let next = step + 1;
        let at = (ends.start..=ends.end).rev().find(|at| self.may(next, text, *at, end))?;
        effort.left = effort.left.saturating_sub((ends.end - at) / 8);
        if at > ends.start {
            effort.back.push(Back::Shorter { step, least: ends.start, at });
        }
        Some((next, at))
    }

    /// The same with the shortest.
    fn longer(
        &self,
        step: u16,
        text: &[u8],
        ends: Range<usize>,
        end: usize,
        effort: &mut Effort,
    ) -> Option<(u16, usize)> {
        let next = step + 1;
        let Some(Step::Run { set, .. }) = self.all.get(usize::from(step)) else { return None };
        let set = self.set(*set);
        let mut at = ends.start;
        while !self.may(next, text, at, end) {
            if at >= ends.end || !text.get(at).is_some_and(|b| set.has(*b)) {
                return None;
            }
            at += 1;
        }
        effort.left = effort.left.saturating_sub((at - ends.start) / 8);
        if at < ends.end {
            effort.back.push(Back::Longer { step, at, most: ends.end });
        }
        Some((next, at))
    }

    fn set(&self, set: u16) -> &Bytes {
        self.sets.get(usize::from(set)).unwrap_or(&Bytes::NONE)
    }
}

/// Whether it can be told by the bytes before and behind.
const fn is_known(look: Look) -> bool {
    !matches!(
        look,
        Look::StartCRLF
            | Look::EndCRLF
            | Look::WordUnicode
            | Look::WordUnicodeNegate
            | Look::WordStartUnicode
            | Look::WordEndUnicode
            | Look::WordStartHalfUnicode
            | Look::WordEndHalfUnicode
    )
}

/// Whether a place is one between lines, words or texts.
fn looks(look: Look, text: &[u8], at: usize) -> bool {
    let is_word = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let before = || at.checked_sub(1).and_then(|at| text.get(at));
    let (word_before, word_after) = (is_word(before()), is_word(text.get(at)));
    match look {
        Look::Start => at == 0,
        Look::End => at == text.len(),
        Look::StartLF => before().is_none_or(|b| *b == b'\n'),
        Look::EndLF => text.get(at).is_none_or(|b| *b == b'\n'),
        Look::WordAscii => word_before != word_after,
        Look::WordAsciiNegate => word_before == word_after,
        Look::WordStartAscii => !word_before && word_after,
        Look::WordEndAscii => word_before && !word_after,
        Look::WordStartHalfAscii => !word_before,
        Look::WordEndHalfAscii => !word_after,
        _ => false,
    }
}

/// The bytes of what matches one byte, whichever it is.
fn single(hir: &Hir) -> Option<Bytes> {
    match hir.kind() {
        HirKind::Literal(literal) if literal.0.len() == 1 => Some(literal.0.iter().copied().collect()),
        HirKind::Class(Class::Bytes(class)) => {
            Some(class.iter().flat_map(|range| range.start()..=range.end()).collect())
        }
        HirKind::Class(Class::Unicode(class)) if class.is_ascii() => {
            let chars = class.iter().flat_map(|range| range.start()..=range.end());
            Some(chars.filter_map(|c| u8::try_from(c).ok()).collect())
        }
        _ => None,
    }
}

/// A letter in either case, in lower case.
fn folded(hir: &Hir) -> Option<u8> {
    let HirKind::Class(Class::Bytes(class)) = hir.kind() else { return None };
    let [upper, lower] = class.ranges() else { return None };
    let is_letter = upper.start() == upper.end()
        && lower.start() == lower.end()
        && lower.end().is_ascii_lowercase()
        && upper.end().to_ascii_lowercase() == lower.end();
    is_letter.then_some(lower.end())
}

/// Steps that are being made.
#[derive(Default)]
struct Making {
    steps: Vec<Step>,
    sets: Vec<Bytes>,
    slots: usize,
}

impl Making {
    fn push(&mut self, step: Step) -> Option<u16> {
        self.steps.push(step);
        (self.steps.len() <= STEPS_MAX).then(|| self.here().map(|here| here - 1))?
    }

    fn here(&self) -> Option<u16> {
        u16::try_from(self.steps.len()).ok()
    }

    fn set(&mut self, bytes: Bytes) -> Option<u16> {
        let known = self.sets.iter().position(|set| *set == bytes);
        let at = known.unwrap_or_else(|| {
            self.sets.push(bytes);
            self.sets.len() - 1
        });
        u16::try_from(at).ok()
    }

    fn add(&mut self, hir: &Hir) -> Option<()> {
        match hir.kind() {
            HirKind::Empty => {}
            HirKind::Literal(literal) => {
                self.push(Step::Literal(literal.0.clone()))?;
            }
            HirKind::Class(_) => {
                let set = self.set(single(hir)?)?;
                self.push(Step::One(set))?;
            }
            HirKind::Look(look) => {
                if !is_known(*look) {
                    return None;
                }
                self.push(Step::Look(*look))?;
            }
            HirKind::Repetition(repeated) => self.add_repeated(repeated)?,
            HirKind::Capture(group) => {
                let slot = u16::try_from(group.index.checked_mul(2)?).ok()?;
                self.slots = self.slots.max(usize::from(slot) + 2);
                self.push(Step::Keep(slot))?;
                self.add(&group.sub)?;
                self.push(Step::Keep(slot + 1))?;
            }
            HirKind::Concat(parts) => self.add_parts(parts)?,
            HirKind::Alternation(ways) => self.add_ways(ways)?,
        }
        Some(())
    }

    /// One after the other, letters that are looked for in both cases together.
    fn add_parts(&mut self, parts: &[Hir]) -> Option<()> {
        for group in parts.chunk_by(|one, next| folded(one).is_some() && folded(next).is_some()) {
            let letters: Option<Box<[u8]>> = group.iter().map(folded).collect();
            if let Some(letters) = letters {
                self.push(Step::Folded(letters))?;
            } else {
                group.iter().try_for_each(|part| self.add(part))?;
            }
        }
        Some(())
    }

    fn add_repeated(&mut self, repeated: &Repetition) -> Option<()> {
        let (least, most, sub) = (repeated.min, repeated.max?, &*repeated.sub);
        if let Some(bytes) = single(sub) {
            let set = self.set(bytes)?;
            self.push(Step::Run { set, least, most, many: repeated.greedy })?;
            return Some(());
        }
        (0..least).try_for_each(|_| self.add(sub))?;
        let mut forks = Vec::new();
        for _ in least..most {
            forks.push(self.push(Step::Either { other: 0, next_first: repeated.greedy })?);
            self.add(sub)?;
        }
        let end = self.here()?;
        for fork in forks {
            self.lead(fork, end);
        }
        Some(())
    }

    fn add_ways(&mut self, ways: &[Hir]) -> Option<()> {
        let (last, before) = ways.split_last()?;
        let mut ends = Vec::new();
        for way in before {
            let fork = self.push(Step::Either { other: 0, next_first: true })?;
            self.add(way)?;
            ends.push(self.push(Step::Jump(0))?);
            let next = self.here()?;
            self.lead(fork, next);
        }
        self.add(last)?;
        let end = self.here()?;
        for step in ends {
            self.lead(step, end);
        }
        Some(())
    }

    fn lead(&mut self, step: u16, to: u16) {
        match self.steps.get_mut(usize::from(step)) {
            Some(Step::Either { other, .. }) => *other = to,
            Some(Step::Jump(target)) => *target = to,
            _ => {}
        }
    }

    /// With what the rest of a match begins, from each step on. Steps lead to later ones only.
    fn firsts(&mut self) -> Option<Box<[Option<u16>]>> {
        let mut firsts: Vec<Option<Bytes>> = vec![None; self.steps.len()];
        for (at, step) in self.steps.iter().enumerate().rev() {
            let of = |at: usize| firsts.get(at).copied().flatten();
            let set = |set: u16| self.sets.get(usize::from(set)).copied();
            let first = match step {
                Step::Literal(literal) => literal.first().map(|b| std::iter::once(*b).collect()),
                Step::Folded(letters) => {
                    letters.first().map(|b| [*b, b.to_ascii_uppercase()].into_iter().collect())
                }
                Step::One(one) => set(*one),
                Step::Run { set: of_run, least: 0, .. } => {
                    set(*of_run).zip(of(at + 1)).map(|(run, next)| run.or(next))
                }
                Step::Run { set: of_run, .. } => set(*of_run),
                Step::Either { other, .. } => {
                    of(at + 1).zip(of(usize::from(*other))).map(|(next, other)| next.or(other))
                }
                Step::Jump(to) => of(usize::from(*to)),
                Step::Look(_) | Step::Keep(_) => of(at + 1),
                Step::Found => None,
            };
            if let Some(place) = firsts.get_mut(at) {
                *place = first;
            }
        }
        firsts.into_iter().map(|first| first.map_or(Some(None), |first| self.set(first).map(Some))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_automata::Input;

    use super::*;
    use crate::rule::{compiled, parsed};

    /// Every sort of step, and orders of choice that change what is found.
    const EXPRESSIONS: [&str; 16] = [
        "ab0",
        "(?i)ab",
        "[ab]{1,3}(0)",
        "a{0,2}?b",
        "a[^\n]{0,6}?(b{1,2})[01]",
        "(a|ab)(0|b0)?1",
        "(?:a|(b)|0){2,4}",
        r"\b(?:aa|b)_?1\b",
        "^a[ab]{0,3}$",
        "(?m)^(?:a|b)[01]{1,3}$",
        r#"(?i)a(?:b[= ]{0,3}){0,2}["=]{0,2}([01ab]{2,4})(?:[^01]|$)"#,
        "(?:(a)|b){1,3}0",
        "(?:a?b?){1,3}1",
        "(?:ab??){1,2}(0?)1",
        r"\Ba[ab_]{1,8}?\B",
        "(?:[ab]{1,4}[01]{1,4}){2}",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn trying_finds_what_an_automaton_finds(text in r#"[aAbB01 _="\n]{0,24}"#, from in 0_usize..6) {
            for expression in EXPRESSIONS {
                let hir = parsed(expression);
                let steps = Steps::of(&hir).expect(expression);
                let regex = compiled(&hir).unwrap();
                let mut places = regex.create_captures();
                let from = from.min(text.len());
                regex.captures(Input::new(&text).span(from..text.len()), &mut places);
                let wanted = places.get_match().map(|whole| {
                    let value = places.iter().skip(1).flatten().next().map_or(whole.range(), |span| span.range());
                    (whole.range(), value)
                });
                let mut effort = Effort::of(usize::MAX);
                let found = steps.find(text.as_bytes(), from..text.len(), text.len(), &mut effort).unwrap();
                prop_assert_eq!(found.map(|m| (m.whole, m.value)), wanted, "{} in {:?}", expression, text);
            }
        }
    }

    #[test]
    fn trying_ends_where_it_may_take_no_more_steps() {
        let steps = Steps::of(&parsed("(?:[ab]{1,40}[ab]{1,40}){4}0")).unwrap();
        let text = "ab".repeat(80);
        let mut effort = Effort::of(10_000);
        assert!(matches!(steps.find(text.as_bytes(), 0..text.len(), text.len(), &mut effort), Err(Spent)));
    }
}
