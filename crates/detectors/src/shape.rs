//! What every match of an expression must look like, read off the expression.

use std::ops::Range;

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::literals::{rarity_of_literal, usualness};

/// Bounds on matches: where they may lie, and what they must have.
#[derive(Debug)]
pub(crate) struct Shape {
    /// The longest match, in bytes.
    pub(crate) reach: usize,
    /// The first bytes of the strings of which one begins each match, in lower case; none where matches begin in other
    /// ways.
    pub(crate) heads: Option<Vec<String>>,
    /// What every match has in a row; none where it would say nothing.
    run: Option<Run>,
    /// How a match lies around its literal; none where that is not known.
    key: Option<Key>,
}

/// How far a match reaches around the literal that it has.
#[derive(Debug, Clone)]
struct Key {
    /// Of which literals it has one, by their places in the list.
    literals: Vec<usize>,
    /// From the end of the literal back to the earliest start.
    before: usize,
    /// From the start of the literal to the latest end.
    after: usize,
    /// A run behind the literal, and how far behind its start this run may begin.
    behind: Option<(Run, usize)>,
}

/// At least so many bytes of a set in a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    bytes: Bytes,
    least: usize,
}

/// Shorter runs stand everywhere.
const LEAST: usize = 7;
/// From this on, in thousandths, a set is of all sorts of bytes.
const USUAL: u32 = 900;
/// So many parts of an expression in a row are looked at together.
const PARTS_MAX: usize = 32;

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes([u64; 4]);

/// An expression is taken apart into so many ways at most.
const WAYS_MAX: usize = 128;

/// The ways in which an expression matches, the first of which wins where two begin at one place. Alternatives behind
/// what can match in one way only are ways too; those that are nothing but strings stay together.
pub(crate) fn alternatives(hir: &Hir) -> Vec<Hir> {
    let mut ways = vec![hir.clone()];
    loop {
        let more: Vec<Hir> =
            ways.iter().flat_map(|way| parted(way).unwrap_or_else(|| vec![way.clone()])).collect();
        if more.len() == ways.len() || more.len() > WAYS_MAX {
            return ways;
        }
        ways = more;
    }
}

/// One step of it; none where there is nothing to part.
fn parted(hir: &Hir) -> Option<Vec<Hir>> {
    match hir.kind() {
        HirKind::Alternation(ways) => Some(grouped(ways)),
        HirKind::Concat(parts) => {
            let is_fixed = |part: &&Hir| {
                matches!(part.kind(), HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_))
            };
            let at = parts.iter().take_while(is_fixed).count();
            let (before, rest) = parts.split_at_checked(at)?;
            let (part, behind) = rest.split_first()?;
            let HirKind::Alternation(ways) = part.kind() else { return None };
            let whole = |way: Hir| Hir::concat([before, &[way], behind].concat());
            strings(part).is_none().then(|| grouped(ways).into_iter().map(whole).collect())
        }
        _ => None,
    }
}

/// Alternatives, those one after the other that are nothing but strings as one.
fn grouped(ways: &[Hir]) -> Vec<Hir> {
    let groups = ways.chunk_by(|one, next| strings(one).is_some() && strings(next).is_some());
    groups.map(|group| Hir::alternation(group.to_vec())).collect()
}

impl Shape {
    /// `literals` are those of which every match has one, in lower case.
    pub(crate) fn of(hir: &Hir, literals: &[String]) -> Self {
        let parts = parts(hir, literals).unwrap_or_default();
        Self {
            reach: hir.properties().maximum_len().unwrap_or(0),
            heads: heads(&parts),
            run: rarest(hir),
            key: key(&parts, literals),
        }
    }

    /// Whether a match may have this literal where its expression asks for one.
    pub(crate) fn has(&self, literal: usize) -> bool {
        self.key.as_ref().is_none_or(|key| key.literals.contains(&literal))
    }

    /// Where a match may lie that has this literal where its expression asks for one; none where it cannot.
    pub(crate) fn window(&self, text: &[u8], literal: &Range<usize>) -> Option<Range<usize>> {
        let Some(Key { before, after, behind, .. }) = &self.key else {
            let reach = self.reach.max(literal.len());
            return Some(literal.end.saturating_sub(reach)..(literal.start + reach).min(text.len()));
        };
        if let Some((run, most)) = behind
            && !run.is_in(text, literal.end..(literal.start + most + run.least).min(text.len()))
        {
            return None;
        }
        let start = literal.end.saturating_sub(*before).min(literal.start);
        Some(start..(literal.start + after).max(literal.end).min(text.len()))
    }

    /// The parts of a window, in order and apart from each other, in which matches lie if any lie in the window.
    pub(crate) fn narrowed(&self, text: &[u8], window: Range<usize>, parts: &mut Vec<Range<usize>>) {
        let Some(run) = &self.run else {
            parts.push(window);
            return;
        };
        // A match has so many bytes of the run, and the rest of it on one side or the other.
        let beside = self.reach.saturating_sub(run.least);
        run.each(text, window.clone(), &mut |found| {
            let part =
                found.start.saturating_sub(beside).max(window.start)..(found.end + beside).min(window.end);
            match parts.last_mut() {
                Some(last) if part.start <= last.end && part.end >= last.start => last.end = part.end,
                _ => parts.push(part),
            }
            true
        });
    }
}

impl Run {
    /// With how unlikely it is to stand somewhere by chance, the larger the better; none for what stands everywhere:
    /// words are runs of letters, and a sentence is one of letters and spaces.
    fn worth(bytes: Bytes, least: usize) -> Option<(Self, f64)> {
        if least < LEAST {
            return None;
        }
        let usual = bytes.usualness();
        let share = f64::from(usual.max(1)) / 1000.0;
        let worth = -share.log2() * f64::from(u16::try_from(least).unwrap_or(u16::MAX));
        (usual < USUAL).then_some((Self { bytes, least }, worth))
    }

    fn is_in(&self, text: &[u8], within: Range<usize>) -> bool {
        let mut none = true;
        self.each(text, within, &mut |_| {
            none = false;
            false
        });
        !none
    }

    /// Every run that is long enough, until `found` has enough. Where none is, only one byte in so many is looked at.
    fn each(&self, text: &[u8], within: Range<usize>, found: &mut impl FnMut(Range<usize>) -> bool) {
        let is_in = |at: usize| text.get(at).is_some_and(|b| self.bytes.has(*b));
        let mut at = within.start + self.least - 1;
        while at < within.end {
            if !is_in(at) {
                at += self.least;
                continue;
            }
            let (mut start, mut end) = (at, at + 1);
            while start > within.start && is_in(start - 1) {
                start -= 1;
            }
            while end < within.end && is_in(end) {
                end += 1;
            }
            if end - start >= self.least && !found(start..end) {
                return;
            }
            at = end + self.least;
        }
    }
}

impl Bytes {
    pub(crate) const NONE: Self = Self([0; 4]);
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    pub(crate) const fn has(&self, b: u8) -> bool {
        let Self([low, upper, high, highest]) = self;
        let word = match b >> 6 {
            0 => *low,
            1 => *upper,
            2 => *high,
            _ => *highest,
        };
        word >> (b & 63) & 1 == 1
    }

    fn add(&mut self, b: u8) {
        if let Some(word) = self.0.get_mut(usize::from(b >> 6)) {
            *word |= 1 << (b & 63);
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        Self([a | e, b | f, c | g, d | h])
    }

    /// How many of a thousand bytes are in it, roughly.
    fn usualness(&self) -> u32 {
        let mut sum = 0;
        for (mut word, first) in self.0.into_iter().zip([0_u32, 64, 128, 192]) {
            while word != 0 {
                sum += u8::try_from(first + word.trailing_zeros()).map_or(0, usualness);
                word &= word - 1;
            }
        }
        sum
    }
}

impl FromIterator<u8> for Bytes {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        let mut all = Self::NONE;
        bytes.into_iter().for_each(|b| all.add(b));
        all
    }
}

/// Of what bytes matches are, and how many they have at least.
fn whole(hir: &Hir) -> (Bytes, usize) {
    let mut bytes = Bytes::NONE;
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => (bytes, 0),
        HirKind::Literal(literal) => {
            literal.0.iter().for_each(|b| bytes.add(*b));
            (bytes, literal.0.len())
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.iter().flat_map(|range| range.start()..=range.end()).for_each(|b| bytes.add(b));
            (bytes, 1)
        }
        HirKind::Class(Class::Unicode(_)) => (Bytes::ALL, 1),
        HirKind::Repetition(repeated) => {
            let (bytes, least) = whole(&repeated.sub);
            (bytes, least * repeated.min as usize)
        }
        HirKind::Capture(group) => whole(&group.sub),
        HirKind::Concat(parts) => {
            parts.iter().map(whole).fold((bytes, 0), |(all, sum), (b, n)| (all.or(b), sum + n))
        }
        HirKind::Alternation(ways) => {
            ways.iter().map(whole).fold((bytes, usize::MAX), |(all, least), (b, n)| (all.or(b), least.min(n)))
        }
    }
}

/// The run of most worth that every match has.
fn rarest(hir: &Hir) -> Option<Run> {
    let mut best = Best::default();
    let (bytes, least) = whole(hir);
    best.consider(bytes, least, ());
    match hir.kind() {
        HirKind::Capture(group) => best.consider_run(rarest(&group.sub), ()),
        HirKind::Repetition(repeated) if repeated.min > 0 => best.consider_run(rarest(&repeated.sub), ()),
        HirKind::Concat(parts) => {
            for part in parts {
                best.consider_run(rarest(part), ());
            }
            let parts: Vec<_> = parts.iter().map(whole).collect();
            for start in 0..parts.len() {
                best.consider_from(parts.iter().skip(start).copied(), &());
            }
        }
        HirKind::Alternation(ways) => {
            let runs: Option<Vec<Run>> = ways.iter().map(rarest).collect();
            let both = |a: Run, b: Run| Run { bytes: a.bytes.or(b.bytes), least: a.least.min(b.least) };
            best.consider_run(runs.into_iter().flatten().reduce(both), ());
        }
        _ => {}
    }
    best.0.map(|(run, ..)| run)
}

/// The run of most worth so far, and what is to be remembered with it.
struct Best<T>(Option<(Run, f64, T)>);

impl<T> Default for Best<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone> Best<T> {
    fn consider(&mut self, bytes: Bytes, least: usize, with: T) {
        if let Some((run, worth)) = Run::worth(bytes, least)
            && self.0.as_ref().is_none_or(|(_, best, _)| worth > *best)
        {
            self.0 = Some((run, worth, with));
        }
    }

    fn consider_run(&mut self, run: Option<Run>, with: T) {
        if let Some(Run { bytes, least }) = run {
            self.consider(bytes, least, with);
        }
    }

    /// The first part, the first two, and so on.
    fn consider_from(&mut self, parts: impl Iterator<Item = (Bytes, usize)>, with: &T) {
        let (mut bytes, mut least) = (Bytes::NONE, 0);
        for (b, n) in parts.take(PARTS_MAX) {
            (bytes, least) = (bytes.or(b), least + n);
            self.consider(bytes, least, with.clone());
        }
    }
}

/// Strings of one part of an expression, at most.
const STRINGS_MAX: usize = 1024;

/// Every string that an expression matches, in lower case; none where there are many.
fn strings(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let one = |b: u8| vec![b.to_ascii_lowercase()];
    let mut all = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![Vec::new()],
        HirKind::Literal(literal) => vec![literal.0.to_ascii_lowercase()],
        HirKind::Class(Class::Bytes(class)) => {
            class.iter().flat_map(|range| range.start()..=range.end()).map(one).collect()
        }
        HirKind::Class(Class::Unicode(_)) => return None,
        HirKind::Capture(group) => return strings(&group.sub),
        HirKind::Repetition(repeated) => {
            let (each, most) = (strings(&repeated.sub)?, repeated.max.filter(|max| *max <= 4)?);
            let mut all = Vec::new();
            let mut so_many = vec![Vec::new()];
            for times in 0..=most {
                if times >= repeated.min {
                    all.extend(so_many.iter().cloned());
                }
                so_many = if times < most { joined(&so_many, &each)? } else { Vec::new() };
            }
            all
        }
        HirKind::Concat(parts) => {
            parts.iter().try_fold(vec![Vec::new()], |all, part| joined(&all, &strings(part)?))?
        }
        HirKind::Alternation(ways) => ways.iter().map(strings).collect::<Option<Vec<_>>>()?.concat(),
    };
    all.sort_unstable();
    all.dedup();
    (all.len() <= STRINGS_MAX).then_some(all)
}

/// Each of the first before each of the others.
fn joined(first: &[Vec<u8>], then: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let pairs = first.iter().flat_map(|a| then.iter().map(|b| [a.as_slice(), b.as_slice()].concat()));
    (first.len() * then.len() <= STRINGS_MAX).then(|| pairs.collect())
}

/// A part of an expression that matches one thing after the other.
struct Part {
    /// All that it matches, where that is little.
    strings: Option<Vec<Vec<u8>>>,
    bytes: Bytes,
    least: usize,
    most: usize,
    run: Option<Run>,
    /// Of which literals each match has one; none where it may have none.
    literals: Option<Vec<usize>>,
}

/// The parts of an expression one after the other, those with few strings taken together.
fn parts(hir: &Hir, literals: &[String]) -> Option<Vec<Part>> {
    fn flat<'h>(hir: &'h Hir, out: &mut Vec<&'h Hir>) {
        match hir.kind() {
            HirKind::Capture(group) => flat(&group.sub, out),
            HirKind::Concat(parts) => parts.iter().for_each(|part| flat(part, out)),
            _ => out.push(hir),
        }
    }
    let mut flattened = Vec::new();
    flat(hir, &mut flattened);
    let mut parts: Vec<Part> = Vec::new();
    for hir in flattened {
        let (bytes, least) = whole(hir);
        let most = hir.properties().maximum_len()?;
        let strings = strings(hir);
        if let (Some(strings), Some(last)) = (&strings, parts.last_mut())
            && let Some(both) = last.strings.as_ref().and_then(|before| joined(before, strings))
        {
            last.strings = Some(both);
            last.bytes = last.bytes.or(bytes);
            last.least += least;
            last.most += most;
            continue;
        }
        let of_part = if strings.is_none() { literals_of(hir, literals) } else { None };
        parts.push(Part { strings, bytes, least, most, run: rarest(hir), literals: of_part });
    }
    for part in &mut parts {
        if let Some(strings) = &part.strings {
            part.literals = literals_in(strings, literals);
        }
    }
    Some(parts)
}

/// Which literals stand in the strings; none if one of these has no literal.
fn literals_in(strings: &[Vec<u8>], literals: &[String]) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for string in strings {
        let here = literals.iter().enumerate().filter(|(_, l)| has(string, l.as_bytes()));
        let before = all.len();
        all.extend(here.map(|(at, _)| at));
        if all.len() == before {
            return None;
        }
    }
    Some(sorted(all))
}

fn has(string: &[u8], literal: &[u8]) -> bool {
    string.windows(literal.len()).any(|here| here == literal)
}

fn sorted(mut all: Vec<usize>) -> Vec<usize> {
    all.sort_unstable();
    all.dedup();
    all
}

/// Of which literals every match has one; none where a match may have none.
fn literals_of(hir: &Hir, literals: &[String]) -> Option<Vec<usize>> {
    match hir.kind() {
        HirKind::Alternation(ways) => {
            let each: Option<Vec<_>> = ways.iter().map(|way| literals_of(way, literals)).collect();
            Some(sorted(each?.concat()))
        }
        HirKind::Repetition(repeated) if repeated.min > 0 => literals_of(&repeated.sub, literals),
        HirKind::Capture(_) | HirKind::Concat(_) => {
            let parts = parts(hir, literals)?;
            let at = with_rarest_literals(&parts, literals)?;
            parts.into_iter().nth(at)?.literals
        }
        _ => literals_in(&strings(hir)?, literals),
    }
}

/// The part whose literals stand in the fewest texts.
fn with_rarest_literals(parts: &[Part], literals: &[String]) -> Option<usize> {
    let rarity = |part: &Part| {
        let of_part = part.literals.as_ref()?.iter().filter_map(|at| literals.get(*at));
        of_part.map(|literal| rarity_of_literal(literal.as_bytes())).min()
    };
    let known = parts.iter().enumerate().filter_map(|(at, part)| Some((rarity(part)?, at)));
    known.max_by_key(|(rarity, at)| (*rarity, std::cmp::Reverse(*at))).map(|(_, at)| at)
}

/// Heads are looked for if each has at least so many bytes.
const HEAD_BYTES_MIN: usize = 3;
/// And no more than so many of them, so that they are few.
const HEAD_BYTES_MAX: usize = 5;

fn heads(parts: &[Part]) -> Option<Vec<String>> {
    let strings = parts.first()?.strings.as_ref()?;
    let head = |string: &Vec<u8>| {
        let string = std::str::from_utf8(string).ok().filter(|s| s.len() >= HEAD_BYTES_MIN)?;
        let end =
            (HEAD_BYTES_MIN..=HEAD_BYTES_MAX.min(string.len())).rev().find(|at| string.is_char_boundary(*at));
        string.get(..end?).map(ToOwned::to_owned)
    };
    let mut heads = strings.iter().map(head).collect::<Option<Vec<_>>>()?;
    heads.sort_unstable();
    heads.dedup();
    Some(heads)
}

/// How a match lies around the literal that its expression asks for.
fn key(parts: &[Part], literals: &[String]) -> Option<Key> {
    let at = with_rarest_literals(parts, literals)?;
    let most =
        |range: Range<usize>| parts.get(range).into_iter().flatten().map(|part| part.most).sum::<usize>();
    let mut behind = Best::default();
    for start in at + 1..parts.len() {
        let from = parts.iter().skip(start).map(|part| (part.bytes, part.least));
        behind.consider_from(from, &most(at..start));
        if let Some(run) = parts.get(start).and_then(|part| part.run) {
            let far = most(at..start + 1).saturating_sub(run.least);
            behind.consider_run(Some(run), far);
        }
    }
    Some(Key {
        literals: parts.get(at)?.literals.clone()?,
        before: most(0..at + 1),
        after: most(at..parts.len()),
        behind: behind.0.map(|(run, _, far)| (run, far)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::parsed;

    fn run(pattern: &str) -> Option<(usize, bool)> {
        let run = Shape::of(&parsed(pattern), &[]).run?;
        Some((run.least, run.bytes.has(b' ')))
    }

    #[test]
    fn the_longest_rare_run_is_read_off_an_expression() {
        assert_eq!(run(r"\b(ghp_[A-Za-z0-9]{36})\b"), Some((40, false)));
        assert_eq!(run(r"(?:key|token)\s{0,3}=\s?([a-f0-9]{32})"), Some((32, false)));
        assert_eq!(run(r"x[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}"), Some((19, false)));
        assert_eq!(run(r"[a-f0-9]{20}|[g-k]{12,80}"), Some((12, false)));
        assert_eq!(run(r"ignore (?:all|any) rules"), Some((16, true)));
        assert_eq!(run(r"ignore[^~]{0,20}rules"), None);
        assert_eq!(run(r"a{0,9}b?"), None);
    }

    #[test]
    fn a_window_is_narrowed_to_where_such_runs_stand() {
        let shape = Shape::of(&parsed(r"k: [0-9]{8}\b"), &[]);
        let narrowed = |text: &str, window: Range<usize>| {
            let mut parts = Vec::new();
            shape.narrowed(text.as_bytes(), window, &mut parts);
            parts.into_iter().map(|part| (part.start, part.end)).collect::<Vec<_>>()
        };
        assert_eq!(narrowed("k: 1234567 and k: 1234", 0..22), []);
        assert_eq!(narrowed("and so k: 12345678, and", 0..23), [(7, 21)]);
        assert_eq!(narrowed("k: 12345678 k: 12345678", 0..23), [(0, 23)]);
        assert_eq!(narrowed("k: 12345678", 4..11), []);
        assert_eq!(narrowed("k: 12345678", 3..11), [(3, 11)]);
    }

    #[test]
    fn a_literal_opens_a_window_only_where_the_rest_of_a_match_can_stand_around_it() {
        let window = |pattern: &str, literals: &[&str], text: &str, literal: Range<usize>| {
            let literals: Vec<_> = literals.iter().map(|l| (*l).to_owned()).collect();
            let window = Shape::of(&parsed(pattern), &literals).window(text.as_bytes(), &literal);
            window.map(|w| (w.start, w.end))
        };
        let assigned = r"(?i)(?:[a-z]{1,4}_){0,2}(?:key|token)s?\s{0,2}[=:]\s?([a-f0-9]{16,20})";
        let text = "see my_key = 0123456789abcdef0123 and more of the same";
        assert_eq!(window(assigned, &["key", "token"], text, 7..10), Some((0, 37)));
        assert_eq!(window(assigned, &["key", "token"], "my_key = none, but 0123456789abcdef", 3..6), None);
        // One of two ways, and the literal of the other is not asked for here.
        let either = r"ghp_[A-Za-z0-9]{36}|hf_[a-z]{8}";
        let ways = |literal: usize| -> Vec<bool> {
            let literals = ["ghp_".to_owned(), "hf_".to_owned()];
            let of = |way: &Hir| Shape::of(way, &literals).has(literal);
            alternatives(&parsed(either)).iter().map(of).collect()
        };
        assert_eq!((ways(0), ways(1)), (vec![true, false], vec![false, true]));
        // The expression does not always have the literal: nothing is known.
        assert_eq!(window(r"(?:key|[a-z]{3})=[0-9]{9}", &["key"], "a key", 2..5), Some((0, 5)));
    }
}
