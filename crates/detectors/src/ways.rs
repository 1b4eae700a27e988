//! The ways in which a rule matches, each looked for by itself.
//!
//! An expression of many ways is slow as a whole: an automaton remembers at each byte how far every way has come. One
//! way alone is quick, where it is known where it may begin; and most texts have the literals of few ways.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;

use crate::literals::Literals;
use crate::rule::{Match, compiled, parsed};
use crate::shape::{Shape, alternatives};
use crate::steps::{Effort, Spent, Steps};

/// All ways of a rule, in the order of its expression.
pub(crate) struct Ways {
    all: Vec<Way>,
    /// The ways that may have a literal, by the place of the literal in the list of the rule.
    of_literal: Vec<Vec<u16>>,
    /// How matches begin, of the ways of which that is known.
    heads: Literals<64>,
    /// The ways of each head.
    of_head: Vec<Vec<u16>>,
}

/// One way: an expression without alternatives at its top.
pub(crate) struct Way {
    pub(crate) shape: Shape,
    /// Where it stands among the ways, and the expression of all of them; made when it is first needed.
    pattern: Arc<str>,
    at: Option<usize>,
    /// How it is tried; none for what only automata do well.
    steps: Option<Steps>,
    regex: OnceLock<Regex>,
}

/// The longest texts whose beginnings of matches are all tried, in their own lengths; others are read in one go.
const TRIED_MAX: usize = 16;

impl Ways {
    /// `literals` are those of the rule, in lower case.
    pub(crate) fn of(pattern: &str, literals: &[String]) -> Self {
        let ways = alternatives(&parsed(pattern));
        let pattern: Arc<str> = pattern.into();
        let all: Vec<_> =
            ways.iter().enumerate().map(|(at, hir)| Way::new(hir, literals, &pattern, at)).collect();
        let ways_of = |literal: usize| {
            let has = |(way, at): (&Way, u16)| way.shape.has(literal).then_some(at);
            all.iter().zip(0..).filter_map(has).collect()
        };
        let of_literal = (0..literals.len()).map(ways_of).collect();
        let mut heads: Vec<&String> =
            all.iter().filter_map(|way| way.shape.heads.as_ref()).flatten().collect();
        heads.sort_unstable();
        heads.dedup();
        let begin_with = |head: &&String| {
            let begins =
                |(way, at): (&Way, u16)| way.shape.heads.as_ref()?.binary_search(head).ok().map(|_| at);
            all.iter().zip(0..).filter_map(begins).collect()
        };
        let of_head = heads.iter().map(begin_with).collect();
        let heads = Literals::new(heads.into_iter().map(String::as_str));
        Self { all, of_literal, heads, of_head }
    }

    /// Takes the parts that lie over or beside each other, the first in the text, and all of the text that they are
    /// about; the parts are in order, the first one last.
    pub(crate) fn cluster<'r>(parts: &mut Vec<Part<'r>>) -> Option<(Range<usize>, Vec<Part<'r>>)> {
        let first = parts.pop()?;
        let (mut all, mut cluster) = (first.within.clone(), vec![first]);
        while let Some(part) = parts.pop_if(|part| part.within.start <= all.end) {
            all.end = all.end.max(part.within.end);
            cluster.push(part);
        }
        Some((all, cluster))
    }

    /// Looks where matches may begin, and leaves out the parts in which none can.
    pub(crate) fn begin(&self, text: &str, all: &Range<usize>, parts: &mut Vec<Part<'_>>) {
        if parts.iter().all(|part| part.way.shape.heads.is_none()) {
            return;
        }
        let mut starts: Vec<Vec<usize>> = vec![Vec::new(); self.all.len()];
        let here = text.as_bytes().get(all.clone()).unwrap_or(&[]);
        self.heads.each(here, &mut |head, at| {
            for &way in self.of_head.get(head).into_iter().flatten() {
                if let Some(starts) = starts.get_mut(usize::from(way)) {
                    starts.push(all.start + at);
                }
            }
            true
        });
        for starts in &mut starts {
            starts.sort_unstable();
            starts.dedup();
        }
        parts.retain_mut(|part| part.begin(starts.get(part.order).map_or(&[], |starts| starts)));
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Way> {
        self.all.iter()
    }

    pub(crate) fn get(&self, way: usize) -> Option<&Way> {
        self.all.get(way)
    }

    /// The ways that may have this literal of the rule.
    pub(crate) fn with_literal(&self, literal: usize) -> &[u16] {
        self.of_literal.get(literal).map_or(&[], |ways| ways)
    }
}

impl Way {
    fn new(hir: &Hir, literals: &[String], pattern: &Arc<str>, at: usize) -> Self {
        Self {
            shape: Shape::of(hir, literals),
            pattern: Arc::clone(pattern),
            at: Some(at),
            steps: Steps::of(hir),
            regex: OnceLock::new(),
        }
    }

    /// A whole expression, as if it were one way, for an automaton.
    pub(crate) fn whole(pattern: &str) -> Self {
        let shape = Shape::of(&parsed(pattern), &[]);
        Self { shape, pattern: pattern.into(), at: None, steps: None, regex: OnceLock::new() }
    }

    /// The first match that begins and ends in `within`.
    pub(crate) fn find(&self, text: &str, within: Range<usize>) -> Option<Match> {
        // The plain search is the faster one, and most windows have no match.
        let whole = self.regex().search(&Input::new(text).span(within))?.range();
        Some(self.matched(text, whole))
    }

    fn find_at(&self, text: &str, within: Range<usize>) -> Option<Match> {
        let whole = self.regex().search(&Input::new(text).span(within).anchored(Anchored::Yes))?.range();
        Some(self.matched(text, whole))
    }

    /// As [`Self::find`] where matches can begin in `begins` only, by trying as long as that does not take too long.
    fn try_find(
        &self,
        text: &str,
        begins: &[Range<usize>],
        within: Range<usize>,
        effort: &mut Effort,
    ) -> Option<Match> {
        let Some(steps) = &self.steps else { return self.find(text, within) };
        for begins in begins.iter().skip(begins.partition_point(|begins| begins.end <= within.start)) {
            let begins = begins.start.max(within.start)..begins.end;
            match steps.find(text.as_bytes(), begins, within.end, effort) {
                Ok(None) => {}
                Ok(found) => return found,
                Err(Spent) => return self.find(text, within),
            }
        }
        None
    }

    fn try_find_at(&self, text: &str, within: Range<usize>, effort: &mut Effort) -> Option<Match> {
        let tried = self
            .steps
            .as_ref()
            .map_or(Err(Spent), |steps| steps.find_at(text.as_bytes(), within.clone(), effort));
        tried.unwrap_or_else(|Spent| self.find_at(text, within))
    }

    /// A match with its value: what stands in parentheses, if anything does.
    fn matched(&self, text: &str, whole: Range<usize>) -> Match {
        let regex = self.regex();
        if regex.captures_len() < 2 {
            return Match { value: whole.clone(), whole };
        }
        let mut captures = regex.create_captures();
        let again = Input::new(text).span(whole.clone()).anchored(Anchored::Yes);
        regex.search_captures(&again, &mut captures);
        // A way has some of the groups of its rule, and keeps their numbers.
        let value = captures.iter().skip(1).flatten().next();
        Match { value: value.map_or_else(|| whole.clone(), |v| v.range()), whole }
    }

    fn regex(&self) -> &Regex {
        self.regex.get_or_init(|| {
            let hir = parsed(&self.pattern);
            let way = self.at.and_then(|at| alternatives(&hir).into_iter().nth(at)).unwrap_or(hir);
            #[expect(clippy::expect_used, reason = "expressions are made once when packs are checked")]
            let regex = compiled(&way).expect("the expression of a checked rule can be made");
            regex
        })
    }
}

/// A part of a text in which a way is looked for.
pub(crate) struct Part<'r> {
    way: &'r Way,
    /// Where the way stands among those of its rule.
    order: usize,
    pub(crate) within: Range<usize>,
    /// Where matches may begin, in order and apart from each other.
    begins: Vec<Range<usize>>,
    /// Where the heads of matches stand, in order, if few do.
    starts: Option<Vec<usize>>,
    /// The next match, and from where on it is the next.
    next: Option<(usize, Option<Match>)>,
    effort: Effort,
}

/// How many steps may be tried for each byte of a part, and at least.
const STEPS_A_BYTE: usize = 6;
const STEPS_MIN: usize = 1024;

impl<'r> Part<'r> {
    /// `begins` are in order, and apart from each other.
    pub(crate) fn new(way: &'r Way, order: usize, within: Range<usize>, begins: &[Range<usize>]) -> Self {
        let first = begins.partition_point(|begins| begins.end <= within.start);
        let here = begins.iter().skip(first).take_while(|begins| begins.start < within.end);
        let begins = here.map(|here| here.start.max(within.start)..here.end.min(within.end)).collect();
        let effort = Effort::of(STEPS_MIN + STEPS_A_BYTE * within.len());
        Self { way, order, within, begins, starts: None, next: None, effort }
    }

    /// Takes those of the places, in order, at which a match in it may begin; false if there are none.
    fn begin(&mut self, starts: &[usize]) -> bool {
        if self.way.shape.heads.is_none() {
            return true;
        }
        let place = |at: usize| starts.partition_point(|start| *start < at);
        let here = starts.get(place(self.within.start)..place(self.within.end)).unwrap_or(&[]);
        let len = self.within.len();
        if here.len() * self.way.shape.reach.min(len) <= TRIED_MAX * len {
            self.starts = Some(here.to_vec());
        }
        !here.is_empty()
    }

    /// The first match that begins at `from` or behind it.
    fn next(&mut self, text: &str, from: usize) -> Option<&Match> {
        let is_known = self.next.as_ref().is_some_and(|(known, next)| {
            *known <= from && next.as_ref().is_none_or(|m| m.whole.start >= from)
        });
        if !is_known {
            let from = from.max(self.within.start);
            let next = match &self.starts {
                _ if from >= self.within.end => None,
                None => self.way.try_find(text, &self.begins, from..self.within.end, &mut self.effort),
                Some(starts) => {
                    let first = starts.partition_point(|at| *at < from);
                    let here = starts.get(first..).unwrap_or(&[]).iter();
                    here.clone()
                        .find_map(|at| self.way.try_find_at(text, *at..self.within.end, &mut self.effort))
                }
            };
            self.next = Some((from, next));
        }
        self.next.as_ref().and_then(|(_, next)| next.as_ref())
    }
}

/// The first match in any of the parts that begins at `from` or behind it: of those that begin at one place, that of
/// the first way.
pub(crate) fn first_of(parts: &mut [Part<'_>], text: &str, from: usize) -> Option<Match> {
    let each = parts.iter_mut().filter_map(|part| {
        let order = part.order;
        part.next(text, from).map(|m| (m.whole.start, order, m))
    });
    each.min_by_key(|(start, order, _)| (*start, *order)).map(|(.., m)| m.clone())
}
