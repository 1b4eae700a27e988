//! Examples are the tests of a rule: each is looked at with all rules, as a post would be.

use clawexchange_ssg_core::RuleMode;

use super::{OwnPacks, OwnRule, PackProblem, PackReport, PackText};
use crate::detectors::{Detectors, DetectorsConfig};
use crate::levels::Levels;

/// Nobody reads on after so many problems.
const PROBLEMS_MAX: usize = 50;

/// Looks at every example of `rules`, with those that ship and `own`, all of them counting.
pub(super) fn run(texts: &[PackText], rules: &[OwnRule], own: &OwnPacks) -> PackReport {
    let mut report = PackReport {
        rules: rules.len(),
        examples: 0,
        compiled_bytes: 0,
        compile_micros: 0,
        problems: Vec::new(),
    };
    let mut config = DetectorsConfig { own: own.clone(), ..DetectorsConfig::default() };
    config.levels = Levels::new(Levels::MAX, Levels::MAX).unwrap_or_default();
    // A rule that is watched or off is tried like any other: one day it will count.
    config.modes = own.specs().map(|spec| (spec.id.clone(), RuleMode::Enforce)).collect();
    let problem = |rule: &OwnRule, (line, column): (usize, usize), what: String, hint: &str| PackProblem {
        file: texts.get(rule.file).map(|text| text.name.clone()).unwrap_or_default(),
        line,
        column,
        what: format!("rule {}: {what}", rule.spec.id),
        hint: hint.to_owned(),
    };
    let detectors = match Detectors::configured(config) {
        Ok(detectors) => detectors,
        Err(error) => {
            let Some(first) = rules.first() else { return report };
            report.problems.push(problem(first, first.head, error.to_string(), "mend it"));
            return report;
        }
    };
    for rule in rules {
        let sorts = [(&rule.spec.positive, true), (&rule.spec.negative, false)];
        for ((examples, is_wanted), places) in sorts.into_iter().zip(&rule.examples) {
            for (at, parts) in examples.iter().enumerate() {
                report.examples += 1;
                if report.problems.len() >= PROBLEMS_MAX {
                    continue;
                }
                let place = places.get(at).copied().unwrap_or(rule.head);
                if let Some((what, hint)) = wrong(&detectors, rule, &parts.concat(), is_wanted) {
                    let (sort, number) = (if is_wanted { "positive" } else { "negative" }, at + 1);
                    report.problems.push(problem(
                        rule,
                        place,
                        format!("{sort} example {number} {what}"),
                        hint,
                    ));
                }
            }
        }
    }
    report
}

/// What is wrong with an example, if anything is, and what to do.
fn wrong(
    detectors: &Detectors,
    rule: &OwnRule,
    text: &str,
    is_wanted: bool,
) -> Option<(String, &'static str)> {
    let is_found = |found: &[crate::Detection]| found.iter().any(|d| d.id == rule.spec.id);
    let found = detectors.scan(text);
    match (is_found(&found), is_wanted) {
        (true, true) | (false, false) => None,
        (true, false) => Some((
            "is found by it".to_owned(),
            "narrow the pattern, add a check, or make it a positive example",
        )),
        // Every expression over everything: whether it is the literals that miss it.
        (false, true) if is_found(&detectors.scan_by_force(text)) => Some((
            "has none of its prefixes and keywords where its pattern matches".to_owned(),
            "name literals of which every match has one",
        )),
        (false, true) => {
            let others: Vec<_> = found.iter().map(|d| d.id.as_str()).take(3).collect();
            let what = if others.is_empty() {
                "is not found by it".to_owned()
            } else {
                format!("is not found by it, but by {}", others.join(", "))
            };
            Some((what, "widen the pattern, look at its checks and context, or make it a negative example"))
        }
    }
}
