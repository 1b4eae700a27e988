//! An explanation for people: what was found, what it is worth and why, and what was not reported.

use clawexchange_ssg_core::{
    Adjustment, Escaped, Evidence, Explanation, Place, Position, RuleMode, RuleResult, Suppressed,
};

use crate::args::Global;
use crate::output;
use crate::report::CliError;
use crate::summary::Reasons;

pub(crate) fn print(explanation: &Explanation, reasons: &Reasons, global: &Global) -> Result<(), CliError> {
    if global.is_json() {
        return output::json(explanation);
    }
    let inspection = &explanation.inspection;
    output::line(&format!(
        "{} ({}), score {}, policy {}",
        inspection.verdict, inspection.tier, explanation.score, inspection.policy
    ))?;
    if let Some(lifted) = &explanation.lifted {
        output::line(&format!("lifted by {lifted}"))?;
    }
    let (counting, watched): (Vec<_>, Vec<_>) =
        explanation.rules.iter().partition(|rule| rule.mode == RuleMode::Enforce);
    print_rules(&counting, reasons)?;
    if !watched.is_empty() {
        output::line("")?;
        output::line("only watched, counts for nothing:")?;
        print_rules(&watched, reasons)?;
    }
    print_suppressed(explanation)?;
    for failure in &explanation.failures {
        output::line(&format!("plugin {} gave no result: {}", failure.plugin, failure.reason))?;
    }
    Ok(())
}

/// A paragraph a rule, a line a place.
fn print_rules(rules: &[&RuleResult], reasons: &Reasons) -> Result<(), CliError> {
    for rule in rules {
        let version = rule.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
        let level = rule.level.map(|level| format!(", level {level}")).unwrap_or_default();
        let times = if rule.count > 1 { format!(", found {} times", rule.count) } else { String::new() };
        output::line("")?;
        output::line(&format!(
            "+{}  {}{version}  {}, {} % sure of {} harm: {} points{level}{times}",
            rule.delta,
            rule.pattern_id,
            rule.category,
            rule.confidence.get(),
            rule.severity,
            rule.points
        ))?;
        output::line(&format!("    {}", reasons.why(&rule.pattern_id)))?;
        for place in &rule.places {
            output::line(&format!("    {}", Escaped(&place_of(place, rule))))?;
        }
    }
    Ok(())
}

fn place_of(place: &Place, rule: &RuleResult) -> String {
    let mut text = place_in_lines(&place.field, place.position);
    let mut add = |more: String| text.push_str(&more);
    add(format!("  bytes {}..{}", place.start, place.end));
    if let Some(p) = place.position {
        add(format!("  UTF-16 {}..{}", p.start_utf16, p.end_utf16));
    }
    add(format!("  {}", place.redacted));
    if !place.views.is_empty() {
        add(format!("  through {}", place.views.join(" > ")));
    }
    if place.points != rule.points || place.confidence != rule.confidence {
        add(format!("  {} % sure: {} points", place.confidence.get(), place.points));
    }
    if place.proven {
        add("  proven".to_owned());
    }
    for (said, checks) in [("by", &place.checks), ("passed", &place.passed), ("failed", &place.failed)] {
        if !checks.is_empty() {
            add(format!("  {said} {}", checks.join(", ")));
        }
    }
    if let Some(other) = &place.instead_of {
        add(format!("  in place of {other}"));
    }
    if !place.evidence.is_empty() {
        let part = |e: &Evidence| {
            let words = if e.words.is_empty() { "all else".to_owned() } else { format!("\"{}\"", e.words) };
            format!("{words} {:+}", e.by)
        };
        add(format!("  since {}", place.evidence.iter().map(part).collect::<Vec<_>>().join(", ")));
    }
    for Adjustment { name, by, .. } in place.discounts.iter().chain(&place.lifts) {
        add(format!("  {name} {by:+} %"));
    }
    text
}

fn print_suppressed(explanation: &Explanation) -> Result<(), CliError> {
    if explanation.suppressed.is_empty() {
        return Ok(());
    }
    output::line("")?;
    output::line("not reported:")?;
    let mut rows = output::Rows::new(&["rule", "where", "bytes", "through", "shown", "why"]);
    for one in &explanation.suppressed {
        rows.row(&[
            &one.pattern_id,
            &place_in_lines(&one.field, one.position),
            &format!("{}..{}", one.start, one.end),
            &one.views.join(" > "),
            &one.redacted,
            &why_not(one),
        ]);
    }
    rows.print()?;
    if explanation.suppressed_truncated {
        output::line("more was not reported than is listed")?;
    }
    Ok(())
}

/// The member, and where in it as editors say it.
fn place_in_lines(field: &str, position: Option<Position>) -> String {
    position.map_or_else(|| field.to_owned(), |p| format!("{field} {}:{}", p.line, p.column))
}

fn why_not(one: &Suppressed) -> String {
    match &one.by {
        Some(by) => format!("{} ({by})", one.reason),
        None => one.reason.to_string(),
    }
}
