//! `claw inspect`: pure; touches no data folder, stores and counts nothing.

use clawexchange_detectors::{Levels, OwnPacks};
use clawexchange_gateway::{Intent, Parts};
use clawexchange_ssg_core::{Assessment, Inspector, LineId, ReadAs, RiskTier, Verdict};
use serde_json::json;

use crate::args::{Global, InspectArgs};
use crate::command::packs;
use crate::exit::Exit;
use crate::lines::{InOrder, Line, Lines};
use crate::report::{self, CliError};
use crate::summary::{Judged, Reasons, Summary};
use crate::{command, explained, output};

pub(crate) async fn run(args: &InspectArgs, global: &Global) -> Result<Exit, CliError> {
    let mut settings = command::settings(global)?;
    if let Some(level) = args.level {
        settings.levels = Levels::new(level, settings.levels.detection().max(level))?;
    }
    let parts = Parts::new(settings, Intent::Use);
    let own = args.rules.as_deref().map_or_else(|| Ok(OwnPacks::default()), packs::read)?;
    let detectors = parts.detectors_with(own)?;
    let (inspector, reasons) = (parts.inspector_of(&detectors)?, Reasons::of(&detectors));
    if args.content.jsonl {
        let lines = Lines::open(&args.content.file, parts.settings().bounds.clone()).await?;
        return judge_lines(args, lines, &inspector, &reasons).await;
    }
    let received = command::read_content(&args.content, ReadAs::Envelope, &parts.settings().bounds)?;
    let assessment = inspector.inspect(&received.content).await;
    if args.explain {
        let explanation = inspector.explain(&received.content, &assessment).await;
        explained::print(&explanation, &reasons, global)?;
    } else if global.is_json() {
        output::json(assessment.inspection())?;
    } else {
        print(&assessment, &reasons)?;
    }
    Ok(Exit::of_verdict(assessment.verdict()))
}

/// For people: the verdict, then what was found where.
pub(crate) fn print(assessment: &Assessment, reasons: &Reasons) -> Result<(), CliError> {
    let inspection = assessment.inspection();
    let would_be = inspection.would_be.map(|verdict| format!(", would be {verdict}")).unwrap_or_default();
    output::line(&format!("{} ({}){would_be}", inspection.verdict, inspection.tier))?;
    if let Some(id) = inspection.quarantine_id {
        output::line(&format!("held as {id}"))?;
    }
    if let Some(campaign) = inspection.campaign {
        output::line(&campaign.to_string())?;
    }
    if inspection.sanitized.is_some() {
        output::line(
            "something is cut out of what is passed on; --output json has that text in `sanitized`",
        )?;
    }
    if inspection.matches.is_empty() {
        return Ok(());
    }
    let mut rows = output::Rows::new(&["rule", "field", "bytes", "shown", "why"]);
    for m in &inspection.matches {
        let bytes = format!("{}..{}", m.start, m.end);
        rows.row(&[&m.pattern_id, &m.field, &bytes, &m.redacted, reasons.why(&m.pattern_id)]);
    }
    rows.print()?;
    if inspection.truncated {
        output::line("more was found than is listed")?;
    }
    Ok(())
}

async fn judge_lines(
    args: &InspectArgs,
    mut lines: Lines,
    inspector: &Inspector,
    reasons: &Reasons,
) -> Result<Exit, CliError> {
    let (mut running, mut summary) = (InOrder::new(), Summary::new(args.content.report.is_some()));
    let explain = args.explain;
    loop {
        let next = lines.next().await?;
        let is_last = next.is_none();
        if let Some(line) = next {
            let inspector = inspector.clone();
            running.start(async move { judge(&inspector, line, explain).await });
        }
        while running.is_full() || is_last {
            let Some(judged) = running.oldest().await else { break };
            let judged = judged?;
            print_line(&judged)?;
            summary.add(&judged);
        }
        if is_last {
            break;
        }
    }
    if let Some(path) = &args.content.report {
        summary.write(path, reasons)?;
    }
    Ok(exit_of_lines(&summary, args.content.fail_on))
}

async fn judge(inspector: &Inspector, line: Line, explain: bool) -> Judged {
    let Line { number, id, received } = line;
    match received {
        Ok(received) => {
            let assessment = inspector.inspect(&received.content).await;
            let explanation = if explain {
                Some(Box::new(inspector.explain(&received.content, &assessment).await))
            } else {
                None
            };
            Judged {
                number,
                id,
                label: received.line.label,
                agent: None,
                explanation,
                result: crate::summary::Result::Assessed(Box::new(assessment)),
            }
        }
        Err(error) => Judged {
            number,
            id,
            label: None,
            agent: None,
            explanation: None,
            result: crate::summary::Result::Refused(Box::new(error)),
        },
    }
}

fn print_line(judged: &Judged) -> Result<(), CliError> {
    match (&judged.result, &judged.explanation) {
        (crate::summary::Result::Assessed(_), Some(explanation)) => with_id(&judged.id, explanation),
        (crate::summary::Result::Assessed(a), None) => with_id(&judged.id, a.inspection()),
        (other, _) => print_failure(judged, other),
    }
}

/// A line that has no verdict, as JSON.
pub(crate) fn print_failure(judged: &Judged, result: &crate::summary::Result) -> Result<(), CliError> {
    match result {
        crate::summary::Result::Limited(limited) => {
            let mut line = json!({"id": judged.id, "code": clawexchange_ssg_core::Fault::code(limited)});
            if let (Some(seconds), Some(members)) = (limited.retry_after_seconds(), line.as_object_mut()) {
                members.insert("retryAfterSeconds".to_owned(), seconds.into());
            }
            output::json(&line)
        }
        crate::summary::Result::Refused(error) => {
            output::json(&json!({"line": judged.number, "id": judged.id, "error": report::as_json(&**error)}))
        }
        crate::summary::Result::Assessed(_) => Ok(()),
    }
}

/// A result with the line's name in front.
pub(crate) fn with_id(id: &LineId, result: &impl serde::Serialize) -> Result<(), CliError> {
    #[derive(serde::Serialize)]
    struct Named<'a, T> {
        id: &'a LineId,
        #[serde(flatten)]
        result: &'a T,
    }
    output::json(&Named { id, result })
}

/// 1 after a bad line; else as `--fail-on` says; else 0.
pub(crate) fn exit_of_lines(summary: &Summary, fail_on: Option<RiskTier>) -> Exit {
    if summary.refused > 0 {
        return Exit::Failed;
    }
    match fail_on {
        Some(_) if summary.count(Verdict::Block) > 0 => Exit::Block,
        Some(tier) if summary.worst >= Some(tier) => Exit::Quarantine,
        _ => Exit::Ok,
    }
}
