//! What was come upon and not reported, for an operator who asks why. It is looked for again then, by the same rules
//! without their checks, so that nobody else pays for it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;

use clawexchange_ssg_core::{Field, Suppressed, Suppression};

use crate::detectors::{Detectors, Find, Search};
use crate::engine::Matcher;
use crate::pack::Face;
use crate::rule::Rule;

/// The rules without what a match must pass, in the same order.
pub(crate) struct Bare {
    rules: Vec<Rule>,
    exact: Matcher,
    folded: Matcher,
}

impl Bare {
    fn of(rules: &[Rule]) -> Option<Self> {
        let rules: Vec<Rule> = rules.iter().map(Rule::bare).collect();
        let exact = Matcher::new(&rules, Face::Exact).ok()?;
        let folded = Matcher::new(&rules, Face::Folded).ok()?;
        Some(Self { rules, exact, folded })
    }
}

/// What one text made rules refuse.
#[derive(Default)]
pub(crate) struct Refusals(RefCell<Vec<Refusal>>);

/// One match that was refused.
pub(crate) struct Refusal {
    pub(crate) rule: usize,
    pub(crate) span: Range<usize>,
    pub(crate) redacted: String,
    pub(crate) views: Vec<&'static str>,
    pub(crate) reason: Suppression,
    /// The check, rule or word that decided.
    pub(crate) by: Option<String>,
}

/// How many are kept of one text. An explanation lists a hundred; more are kept, since they are sorted afterwards.
pub(crate) const KEPT_MAX: usize = 4096;

impl Refusals {
    pub(crate) fn note(&self, refusal: Refusal) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT_MAX {
            kept.push(refusal);
        }
    }
}

impl Detectors {
    /// What was come upon in a field and not reported, by place.
    pub(crate) fn suppressed_in(&self, field: &Field<'_>) -> Vec<Suppressed> {
        let inner = &*self.0;
        let Some(bare) = inner.bare.get_or_init(|| Bare::of(&inner.rules)) else { return Vec::new() };
        let refusals = Refusals::default();
        let find: &Find<'_> = &|matcher, _, text, skip, work, found| {
            let is_exact = std::ptr::eq(matcher, &raw const inner.exact);
            let matcher = if is_exact { &bare.exact } else { &bare.folded };
            matcher.find(&bare.rules, text, skip, work, found);
        };
        let reported = self.hits_by(field.text, &Search { find, refusals: Some(&refusals) }).hits;
        let mut refusals = refusals.0.into_inner();
        // A rule may refuse a reading of a place and find it in another.
        let reported: HashSet<_> = reported.iter().map(|hit| (hit.rule, hit.span.clone())).collect();
        refusals
            .retain(|r| r.reason == Suppression::ToldAbout || !reported.contains(&(r.rule, r.span.clone())));
        refusals.sort_by(|a, b| {
            (a.span.start, a.span.end, a.rule, a.reason, a.views.len()).cmp(&(
                b.span.start,
                b.span.end,
                b.rule,
                b.reason,
                b.views.len(),
            ))
        });
        refusals.dedup_by(|b, a| (a.rule, &a.span, a.reason) == (b.rule, &b.span, b.reason));
        let suppressed = refusals.into_iter().filter_map(|r| {
            let rule = self.rule(r.rule)?;
            let views = r.views.into_iter().map(ToOwned::to_owned);
            let one =
                Suppressed::new(&rule.pattern, field, &r.span, r.redacted, r.reason).seen_through(views);
            Some(if let Some(by) = r.by { one.by(by) } else { one })
        });
        suppressed.collect()
    }
}
