//! What stays of all that was found.

use std::ops::Range;

use clawexchange_ssg_core::{Category, Suppression};

use crate::cover::Cover;
use crate::detectors::{Detectors, is_contact};
use crate::explain::{KEPT_MAX, Refusal, Refusals};
use crate::hit::Hit;
use crate::rule::Rule;

/// Points from which a text is held with the usual thresholds.
const HELD: u32 = 60;
/// The pack of what is told of and not held for.
const DOUBTFUL: &str = "doubtful";

impl Detectors {
    /// One hit a rule and place, without those that say again what a stronger one at the same place says; and that
    /// something was wrapped, where something was found in it.
    pub(crate) fn settled(&self, mut hits: Vec<Hit>, refusals: Option<&Refusals>) -> Vec<Hit> {
        hits.sort_by(|a, b| {
            // What is allowed comes last: of two values in one encoded run, the other one stays.
            let order = |h: &Hit| (h.rule, h.span.start, h.span.end, h.allowed().is_some(), h.views.len());
            order(a).cmp(&order(b))
        });
        hits.dedup_by(|b, a| a.rule == b.rule && a.span == b.span);
        let mut wrapped: Vec<Range<usize>> = Vec::new();
        for hit in &hits {
            let weighs = |r: &Rule| r.is_enforced() && r.spec.score >= 30 && !is_contact(r);
            let counts = self.rule(hit.rule).is_some_and(weighs);
            if counts && !hit.views.is_empty() && hit.allowed().is_none() {
                wrapped.push(hit.span.clone());
            }
        }
        for span in wrapped {
            self.add_by_code("wrapped-finding", span, &mut hits);
        }
        // What is only watched takes the place of nothing.
        let is_private = |r: &Rule| {
            r.is_enforced() && matches!(r.spec.category, Category::Credentials | Category::PersonalData)
        };
        let is_strong = |r: &Rule| is_private(r) && !r.spec.generic;
        let is_named = |r: &Rule| r.is_enforced() && is_contact(r) && !r.spec.generic;
        let cover = |wanted: &dyn Fn(&Rule) -> bool, is_allowed: bool| {
            let some = hits.iter().filter(|h| h.allowed().is_some() == is_allowed);
            Cover::of(some.filter(|h| self.rule(h.rule).is_some_and(wanted)).map(|h| &h.span))
        };
        let reported = |wanted: &dyn Fn(&Rule) -> bool| cover(wanted, false);
        // What is only doubtful says nothing more where something else is found that is not.
        let is_credential = |r: &Rule| r.is_enforced() && r.spec.category == Category::Credentials;
        let is_doubtful = |r: &Rule| is_credential(r) && r.spec.pack == DOUBTFUL && r.spec.score < HELD;
        let is_sure = |r: &Rule| is_credential(r) && r.spec.score >= HELD;
        let (private, strong, named) = (reported(&is_private), reported(&is_strong), reported(&is_named));
        let sure = reported(&is_sure);
        // What is allowed covers only what lies in it: a longer value around it is another one.
        let allowed = cover(&is_private, true);
        let gives_way = |hit: &Hit| {
            self.rule(hit.rule).is_some_and(|rule| {
                let generic = rule.spec.generic;
                (generic || is_contact(rule)) && allowed.holds(&hit.span)
                    || generic && strong.meets(&hit.span)
                    || is_doubtful(rule) && sure.meets(&hit.span)
                    || is_contact(rule) && private.meets(&hit.span)
                    || is_contact(rule) && generic && named.meets(&hit.span)
            })
        };
        if let Some(refusals) = refusals {
            for hit in hits.iter().filter(|hit| hit.allowed().is_some()).take(KEPT_MAX) {
                let by = hit.allowed().map(ToOwned::to_owned);
                let Hit { rule, span, redacted, views, .. } = hit.clone();
                refusals.note(Refusal { rule, span, redacted, views, reason: Suppression::AllowedValue, by });
            }
            let others = hits.iter().filter(|hit| hit.allowed().is_none());
            for hit in others.filter(|hit| gives_way(hit)).take(KEPT_MAX) {
                let over = |h: &&Hit| {
                    let Some(rule) = self.rule(h.rule) else { return false };
                    let is_over =
                        is_strong(rule) || h.rule != hit.rule && (is_private(rule) || is_named(rule));
                    is_over && h.span.start < hit.span.end && hit.span.start < h.span.end
                };
                let by = hits.iter().find(over).and_then(|h| self.rule(h.rule)).map(|r| r.id().to_owned());
                let Hit { rule, span, redacted, views, .. } = hit.clone();
                refusals.note(Refusal { rule, span, redacted, views, reason: Suppression::GaveWay, by });
            }
        }
        hits.retain(|hit| hit.allowed().is_none() && !gives_way(hit));
        hits
    }
}
