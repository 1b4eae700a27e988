//! A match of a rule, and what is known of its place.

use std::ops::Range;

use clawexchange_ssg_core::{Adjustment, Category, Field, Finding};

use crate::checks::Site;
use crate::detectors::Detectors;
use crate::rule::Rule;

/// One match before it is given a form.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) rule: usize,
    pub(crate) span: Range<usize>,
    pub(crate) redacted: String,
    pub(crate) views: Vec<&'static str>,
    pub(crate) checks: Vec<&'static str>,
    /// What is known of it beyond that; few have any, so that it lies apart.
    pub(crate) marks: Option<Box<Marks>>,
    /// Tells values of contacts and identities apart without keeping them.
    pub(crate) value: u64,
}

/// What makes a place differ from what its rule says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// Which proofs it did not pass.
    pub(crate) failed: Vec<&'static str>,
    /// Discounts and lifts, in percentage points.
    pub(crate) adjustments: Vec<(String, i8)>,
    /// The rule that it would be but for being told about.
    pub(crate) instead_of: Option<usize>,
    /// It is evidence by itself.
    pub(crate) is_proven: bool,
    /// Why its value may be posted all the same.
    pub(crate) allowed: Option<String>,
}

impl Hit {
    /// Why it is not reported though it was found.
    pub(crate) fn allowed(&self) -> Option<&str> {
        self.marks.as_ref()?.allowed.as_deref()
    }
}

/// What it adds to an attack that it was wrapped in what nobody reads by eye.
const WRAPPED: i8 = 10;
/// What nobody reads by eye, and pages do not use for ordinary text as they use entities and percent signs.
const UNREADABLE: [&str; 6] = ["base64", "base32", "hex", "binary", "rot13", "reversed"];

/// Which proofs a match passed, and what else is known of it.
pub(crate) fn marks_of(
    rule: &Rule,
    site: &Site<'_>,
    chain: &[&'static str],
    instead_of: Option<usize>,
) -> (Vec<&'static str>, Option<Box<Marks>>) {
    let mut marks = Marks { is_proven: rule.spec.proven, instead_of, ..Marks::default() };
    let mut passed = Vec::new();
    for check in rule.checks.iter().filter(|check| check.is_proof()) {
        marks.is_proven |= rule.is_proven_by(*check);
        passed.push(check.name());
    }
    for check in &rule.proofs {
        if check.passes(site) {
            marks.is_proven |= rule.is_proven_by(*check);
            passed.push(check.name());
            continue;
        }
        marks.failed.push(check.name());
    }
    let attacks = matches!(
        rule.spec.category,
        Category::Injection | Category::SocialEngineering | Category::MaliciousCode
    );
    if attacks && chain.iter().any(|view| UNREADABLE.contains(view)) {
        marks.adjustments.push(("decoded".to_owned(), WRAPPED));
    }
    let Marks { failed, adjustments, instead_of, is_proven, .. } = &marks;
    let is_plain = failed.is_empty() && adjustments.is_empty() && instead_of.is_none() && !is_proven;
    (passed, if is_plain { None } else { Some(Box::new(marks)) })
}

/// A hit in a field, with all that is known of it.
pub(crate) fn finding(detectors: &Detectors, rule: &Rule, hit: &Hit, field: &Field<'_>) -> Finding {
    let finding = Finding::new(&rule.pattern, field, hit.span.clone(), hit.redacted.clone())
        .seen_through(hit.views.iter().map(|view| (*view).into()));
    let finding = hit.checks.iter().fold(finding, |finding, check| finding.proven_by(*check));
    let Some(marks) = &hit.marks else { return finding };
    let finding = match marks.instead_of.and_then(|rule| detectors.rule(rule)) {
        Some(instead) => finding.instead_of(&instead.pattern, "told-about"),
        None => finding,
    };
    let finding = marks.failed.iter().fold(finding, |finding, check| finding.failing(*check));
    let adjustments = marks.adjustments.iter();
    let finding =
        adjustments.fold(finding, |finding, (name, by)| finding.adjusted(Adjustment::new(name.clone(), *by)));
    if marks.is_proven && marks.instead_of.is_none() { finding.proven() } else { finding }
}
