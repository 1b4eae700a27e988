//! What every match of an expression must look like, read off the expression.

use std::ops::Range;

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::literals::usualness;

/// Bounds on matches: where they may lie, and what they must have.
#[derive(Debug)]
pub(crate) struct Shape {
    /// The longest match, in bytes.
    pub(crate) reach: usize,
    pub(crate) groups: usize,
    /// What every match has in a row; none where it would say nothing.
    pub(crate) run: Option<Run>,
}

/// At least so many bytes of a set in a row.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    bytes: Bytes,
    least: usize,
}

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bytes([u64; 4]);

impl Shape {
    pub(crate) fn of(hir: &Hir) -> Self {
        let properties = hir.properties();
        Self {
            reach: properties.maximum_len().unwrap_or(0),
            groups: properties.explicit_captures_len() + 1,
            run: rarest(hir),
        }
    }

    /// The parts of a window, in order and apart from each other, in which matches lie if any lie in the window.
    pub(crate) fn narrowed(&self, text: &[u8], window: Range<usize>, parts: &mut Vec<Range<usize>>) {
        let Some(run) = &self.run else {
            parts.push(window);
            return;
        };
        // A match has so many bytes of the run, and the rest of it on one side or the other.
        let beside = self.reach.saturating_sub(run.least);
        run.each(text, window.clone(), |found| {
            let part =
                found.start.saturating_sub(beside).max(window.start)..(found.end + beside).min(window.end);
            match parts.last_mut() {
                Some(last) if part.start <= last.end && part.end >= last.start => last.end = part.end,
                _ => parts.push(part),
            }
        });
    }
}

impl Run {
    /// Words are runs of letters: what is short, or of all sorts of bytes, stands everywhere.
    fn says_something(&self) -> bool {
        self.least >= 7 && self.bytes.usualness() < 850
    }

    /// How unlikely it is to stand somewhere by chance: the larger the better.
    fn worth(&self) -> f64 {
        let share = f64::from(self.bytes.usualness().clamp(1, 1000)) / 1000.0;
        -share.log2() * f64::from(u16::try_from(self.least).unwrap_or(u16::MAX))
    }

    /// Every run that is long enough. Looks at each byte of a text of other bytes only once in so many.
    fn each(&self, text: &[u8], within: Range<usize>, mut found: impl FnMut(Range<usize>)) {
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
            if end - start >= self.least {
                found(start..end);
            }
            at = end + self.least;
        }
    }
}

impl Bytes {
    const NONE: Self = Self([0; 4]);
    const ALL: Self = Self([u64::MAX; 4]);

    const fn has(&self, b: u8) -> bool {
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

    fn or(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        Self([a | e, b | f, c | g, d | h])
    }

    fn usualness(&self) -> u32 {
        (0..=u8::MAX).filter(|b| self.has(*b)).map(usualness).sum()
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

/// The run of most worth that every match has, of those that say something.
fn rarest(hir: &Hir) -> Option<Run> {
    let mut best: Option<Run> = None;
    let mut consider = |(bytes, least): (Bytes, usize)| {
        let run = Run { bytes, least };
        if run.says_something() && best.as_ref().is_none_or(|best| run.worth() > best.worth()) {
            best = Some(run);
        }
    };
    consider(whole(hir));
    let mut consider_run = |run: Run| consider((run.bytes, run.least));
    match hir.kind() {
        HirKind::Capture(group) => rarest(&group.sub).into_iter().for_each(consider_run),
        HirKind::Repetition(repeated) if repeated.min > 0 => {
            rarest(&repeated.sub).into_iter().for_each(consider_run);
        }
        HirKind::Concat(parts) => {
            parts.iter().filter_map(rarest).for_each(&mut consider_run);
            let parts: Vec<_> = parts.iter().map(whole).collect();
            for start in 0..parts.len() {
                let (mut bytes, mut least) = (Bytes::NONE, 0);
                for (b, n) in parts.iter().skip(start) {
                    (bytes, least) = (bytes.or(*b), least + n);
                    consider((bytes, least));
                }
            }
        }
        HirKind::Alternation(ways) => {
            let runs: Option<Vec<Run>> = ways.iter().map(rarest).collect();
            let merged = runs
                .into_iter()
                .flatten()
                .reduce(|a, b| Run { bytes: a.bytes.or(b.bytes), least: a.least.min(b.least) });
            merged.into_iter().for_each(consider_run);
        }
        _ => {}
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::parsed;

    fn run(pattern: &str) -> Option<(usize, bool)> {
        let run = Shape::of(&parsed(pattern)).run?;
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
        let shape = Shape::of(&parsed(r"k: [0-9]{8}\b"));
        let narrowed = |text: &str, window: Range<usize>| {
            let mut parts = Vec::new();
            shape.narrowed(text.as_bytes(), window, &mut parts);
            parts
        };
        assert_eq!(narrowed("k: 1234567 and k: 1234", 0..22), [0..0; 0]);
        assert_eq!(narrowed("and so k: 12345678, and", 0..23), [7..21]);
        assert_eq!(narrowed("k: 12345678 k: 12345678", 0..23), [0..23]);
        assert_eq!(narrowed("k: 12345678", 4..11), [0..0; 0]);
        assert_eq!(narrowed("k: 12345678", 3..11), [3..11]);
    }
}
