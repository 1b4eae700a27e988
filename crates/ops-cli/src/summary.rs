//! What many lines come to: verdicts, rules, rates, and how right they were where lines say what they are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clawexchange_detectors::Detectors;
use clawexchange_gateway::PartsError;
use clawexchange_rate_limiter::LimitError;
use clawexchange_ssg_core::{
    Assessment, ContentError, Escaped, Explanation, Fault, LineId, RiskTier, Verdict,
};

use crate::report::CliError;

/// One line and what became of it.
pub(crate) struct Judged {
    pub(crate) number: u64,
    pub(crate) id: LineId,
    pub(crate) label: Option<bool>,
    pub(crate) agent: Option<String>,
    /// How its score came about, where somebody asked.
    pub(crate) explanation: Option<Box<Explanation>>,
    pub(crate) result: Result,
}

/// What became of a line.
pub(crate) enum Result {
    Assessed(Box<Assessment>),
    Limited(LimitError),
    Refused(Box<dyn Fault>),
}

impl From<ContentError> for Result {
    fn from(error: ContentError) -> Self {
        Self::Refused(Box::new(error))
    }
}

impl From<PartsError> for Result {
    fn from(error: PartsError) -> Self {
        Self::Refused(Box::new(error))
    }
}

/// Why each rule fires, in a sentence.
pub(crate) struct Reasons(BTreeMap<String, String>);

impl Reasons {
    pub(crate) fn of(detectors: &Detectors) -> Self {
        Self(detectors.rules().map(|rule| (rule.id.to_owned(), rule.description.to_owned())).collect())
    }

    pub(crate) fn why(&self, rule: &str) -> &str {
        self.0.get(rule).map_or("", String::as_str)
    }
}

/// The sum of a run.
pub(crate) struct Summary {
    keeps_samples: bool,
    lines: u64,
    verdicts: BTreeMap<Verdict, u64>,
    tiers: BTreeMap<RiskTier, u64>,
    pub(crate) limited: u64,
    pub(crate) refused: u64,
    pub(crate) worst: Option<RiskTier>,
    rules: BTreeMap<String, RuleSum>,
    /// Lines by (should be flagged, was noticed).
    judged: BTreeMap<(bool, bool), u64>,
}

#[derive(Default)]
struct RuleSum {
    lines: u64,
    on_harmless: u64,
    samples: Vec<String>,
}

/// Samples of one rule in a report.
const SAMPLES_MAX: usize = 10;

impl Summary {
    pub(crate) fn new(keeps_samples: bool) -> Self {
        Self {
            keeps_samples,
            lines: 0,
            verdicts: BTreeMap::new(),
            tiers: BTreeMap::new(),
            limited: 0,
            refused: 0,
            worst: None,
            rules: BTreeMap::new(),
            judged: BTreeMap::new(),
        }
    }

    pub(crate) fn count(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, judged: &Judged) {
        self.lines += 1;
        let assessment = match &judged.result {
            Result::Assessed(assessment) => assessment,
            Result::Limited(_) => {
                self.limited += 1;
                return;
            }
            Result::Refused(_) => {
                self.refused += 1;
                return;
            }
        };
        let inspection = assessment.inspection();
        *self.verdicts.entry(inspection.verdict).or_default() += 1;
        *self.tiers.entry(inspection.tier).or_default() += 1;
        self.worst = self.worst.max(Some(inspection.tier));
        if let Some(label) = judged.label {
            *self.judged.entry((label, inspection.tier >= RiskTier::Moderate)).or_default() += 1;
        }
        if !self.keeps_samples {
            return;
        }
        for rule in assessment.rules() {
            let sum = self.rules.entry(rule.pattern_id.clone()).or_default();
            sum.lines += 1;
            sum.on_harmless += u64::from(judged.label == Some(false));
            if sum.samples.len() < SAMPLES_MAX
                && let Some(place) = rule.places.first()
            {
                sum.samples.push(format!(
                    "line {}: {} at {} {}..{}",
                    judged.number, place.redacted, place.field, place.start, place.end
                ));
            }
        }
    }

    pub(crate) fn write(&self, path: &Path, reasons: &Reasons) -> std::result::Result<(), CliError> {
        std::fs::write(path, self.markdown(reasons))
            .map_err(|e| CliError::io(format!("write {}", path.display()), e))
    }

    fn markdown(&self, reasons: &Reasons) -> String {
        let mut text = String::from("# Report\n\n");
        let inspected: u64 = self.verdicts.values().sum();
        let _written = writeln!(
            text,
            "{} lines: {inspected} judged, {} limited, {} refused.\n",
            self.lines, self.limited, self.refused
        );
        text += "| verdict | lines | share |\n| --- | ---: | ---: |\n";
        for verdict in Verdict::ALL {
            let n = self.count(verdict);
            let _written = writeln!(text, "| {verdict} | {n} | {:.2} % |", percent(n, inspected));
        }
        text += "\n| tier | lines |\n| --- | ---: |\n";
        for tier in RiskTier::ALL {
            let _written = writeln!(text, "| {tier} | {} |", self.tiers.get(&tier).copied().unwrap_or(0));
        }
        self.write_accuracy(&mut text);
        text += "\n## Rules\n\nRates are per thousand judged lines, with their 95 % interval (Wilson).\n\n";
        text += "| rule | lines | per 1000 | interval | on lines labelled harmless |\n| --- | ---: | ---: | --- | ---: |\n";
        let mut rules: Vec<_> = self.rules.iter().collect();
        rules.sort_by(|a, b| (b.1.lines, a.0).cmp(&(a.1.lines, b.0)));
        for (id, sum) in &rules {
            let (low, high) = wilson(sum.lines, inspected);
            let rate = percent(sum.lines, inspected) * 10.0;
            let _written = writeln!(
                text,
                "| {id} | {} | {rate:.2} | {:.2} to {:.2} | {} |",
                sum.lines,
                low * 1000.0,
                high * 1000.0,
                sum.on_harmless
            );
        }
        for (id, sum) in rules {
            let _written = writeln!(text, "\n### {id}\n\n{}\n", reasons.why(id));
            for sample in &sum.samples {
                let _written = writeln!(text, "- {}", markdown_safe(sample));
            }
        }
        text
    }

    fn write_accuracy(&self, text: &mut String) {
        let n = |label, noticed| self.judged.get(&(label, noticed)).copied().unwrap_or(0);
        let (hit, missed, false_alarm, rightly_left) =
            (n(true, true), n(true, false), n(false, true), n(false, false));
        if hit + missed + false_alarm + rightly_left == 0 {
            return;
        }
        *text += "\n## Labelled lines\n\nNoticed is WARN or more.\n\n| what | lines | of | share | 95 % interval |\n| --- | ---: | ---: | ---: | --- |\n";
        for (what, part, whole) in [
            ("recall: harmful lines noticed", hit, hit + missed),
            ("precision: noticed lines that are harmful", hit, hit + false_alarm),
            ("false alarms: harmless lines noticed", false_alarm, false_alarm + rightly_left),
        ] {
            let (low, high) = wilson(part, whole);
            let share = percent(part, whole);
            let _written = writeln!(
                text,
                "| {what} | {part} | {whole} | {share:.1} % | {:.1} to {:.1} % |",
                low * 100.0,
                high * 100.0
            );
        }
    }
}

/// What others chose, in a form that neither a terminal nor Markdown takes for anything.
fn markdown_safe(text: &str) -> String {
    let mut safe = String::new();
    for c in Escaped(text).to_string().chars() {
        if matches!(c, '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '&' | '!') {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

#[expect(clippy::cast_precision_loss, reason = "counts of lines, far below 2^53")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The interval in which a share lies with 95 % confidence (Wilson 1927), as fractions.
#[expect(clippy::cast_precision_loss, reason = "counts of lines, far below 2^53")]
fn wilson(part: u64, whole: u64) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if whole == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (whole as f64, part as f64 / whole as f64);
    let middle = p + Z * Z / (2.0 * n);
    let width = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((middle - width) / scale).max(0.0), ((middle + width) / scale).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_published_one() {
        let (low, high) = wilson(10, 100);
        assert!((low - 0.0552).abs() < 0.0005 && (high - 0.1744).abs() < 0.0005, "{low} {high}");
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn samples_cannot_forge_markdown() {
        assert_eq!(markdown_safe("<b>[x](y)\u{202e}\n# `"), r"\<b\>\[x\](y)\u{202e}\u{a}\# \`");
    }
}
