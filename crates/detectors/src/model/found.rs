//! What the model says of a reading of a text, as a finding.

use clawexchange_ssg_core::{Category, Suppression};

use super::Strongest;
use crate::detectors::{Detectors, Reading};
use crate::explain::Refusal;
use crate::hit::{Hit, Marks, UNREADABLE, WRAPPED};

/// The rule that stands for the model.
const RULE: &str = "model-prompt-attack";
/// What it adds to the confidence, in percentage points, that a window is above the upper threshold. Severity HIGH
/// bounds what the model can come to.
const HELD: i8 = 35;

impl Detectors {
    /// Notes the window of a reading that looks most like an attack and is not told about. Where all are told about
    /// and one of them is beyond doubt, that an attack is quoted.
    pub(crate) fn weigh(&self, reading: &Reading<'_>, hits: &mut Vec<Hit>) {
        let Some(&rule) = self.0.by_code.get(RULE) else { return };
        let &Reading { seen, folded: Some((folded, map)) } = reading else { return };
        let mut told = None;
        for strongest in self.0.model.noticed(folded) {
            let Some(span) = seen.views.source(seen.view, map.source(&strongest.span)) else { continue };
            let is_plain = seen.views.depth(seen.view) == 0;
            if is_plain && seen.telling.is_about(&span, Category::Injection) {
                told.get_or_insert((strongest, span));
                continue;
            }
            let (views, marks) = (seen.views.chain(seen.view), self.marks(folded, &strongest, seen));
            let redacted = format!("[{RULE}]");
            hits.push(Hit {
                rule,
                span,
                redacted,
                views,
                checks: Vec::new(),
                marks: Some(Box::new(marks)),
                value: 0,
            });
            return;
        }
        let Some((strongest, span)) = told else { return };
        let quoted = self.0.by_code.get("quoted-attack").filter(|_| self.0.model.is_held(strongest.score));
        if let Some(refusals) = seen.refusals {
            let (redacted, by) = (format!("[{RULE}]"), quoted.map(|_| "quoted-attack".to_owned()));
            let reason = Suppression::ToldAbout;
            refusals.note(Refusal { rule, span: span.clone(), redacted, views: Vec::new(), reason, by });
        }
        if let Some(&quoted) = quoted
            && self.rule(rule).is_some_and(crate::rule::Rule::is_enforced)
        {
            let mut marks = self.marks(folded, &strongest, seen);
            marks.adjustments.clear();
            marks.instead_of = Some(rule);
            let (redacted, views) = ("[quoted attack]".to_owned(), Vec::new());
            hits.push(Hit {
                rule: quoted,
                span,
                redacted,
                views,
                checks: Vec::new(),
                marks: Some(Box::new(marks)),
                value: 0,
            });
        }
    }

    fn marks(&self, folded: &str, strongest: &Strongest, seen: &crate::detectors::Seen<'_>) -> Marks {
        let mut marks = Marks::default();
        if self.0.model.is_held(strongest.score) {
            marks.adjustments.push(("strong".to_owned(), HELD));
        }
        if seen.views.chain(seen.view).iter().any(|view| UNREADABLE.contains(view)) {
            marks.adjustments.push(("decoded".to_owned(), WRAPPED));
        }
        marks.weighed = self.0.model.reasons(folded, strongest);
        marks
    }
}
