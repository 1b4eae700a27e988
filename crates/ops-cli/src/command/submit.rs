//! `claw submit`: the whole pipeline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clawexchange_gateway::{Intent, Parts, Pipeline, Submitted};
use clawexchange_ssg_core::{AgentId, Assessment, ReadAs, Received, Submission, TrustLevel, Verdict};

use crate::args::{Global, SubmitArgs};
use crate::command::inspect;
use crate::exit::Exit;
use crate::lines::{InOrder, Line, Lines, Turns};
use crate::report::{self, CliError};
use crate::summary::{Judged, Reasons, Result as LineResult, Summary};
use crate::{command, output};

pub(crate) async fn run(args: &SubmitArgs, global: &Global) -> Result<Exit, CliError> {
    if args.content.jsonl {
        return lines(args, global).await;
    }
    // What is wrong with the request is said before anything is made or charged.
    let parts = command::parts(global, Intent::Create)?;
    let received = command::read_content(&args.content, ReadAs::Submission, &parts.settings().bounds)?;
    parts.settings().accepts(received.content.content_type())?;
    let (submission, trust) = submission(received, args)?;
    let pipeline = parts.pipeline().await?;
    let submitted = pipeline.submit(submission, trust).await;
    command::finish(&parts).await?;
    match submitted? {
        Submitted::Limited(limited) => Err(limited.error.into()),
        Submitted::Decided(decided) => {
            let assessment = &decided.outcome.assessment;
            if global.is_json() {
                output::json(assessment.inspection())?;
            } else {
                inspect::print(assessment, &Reasons::of(parts.detectors().await?))?;
            }
            if is_lost(assessment) {
                output::say(NOT_HELD);
                return Ok(Exit::Refused);
            }
            Ok(Exit::of_verdict(assessment.verdict()))
        }
    }
}

/// Said of what should be held where nothing is.
const NOT_HELD: &str = "refused: it should be held, and nothing is held here (QUARANTINE_ENABLED is false)";

/// Whether content that should be held is not.
fn is_lost(assessment: &Assessment) -> bool {
    assessment.verdict() == Verdict::Quarantine && assessment.inspection().quarantine_id.is_none()
}

/// What the content says of itself, and what the flags say where it does not.
fn submission(
    received: Received,
    args: &SubmitArgs,
) -> Result<(Submission, TrustLevel), clawexchange_gateway::PartsError> {
    let Received { content, attribution: said, .. } = received;
    let agent: AgentId =
        said.agent.clone().or_else(|| args.agent.clone()).ok_or(clawexchange_gateway::PartsError::NoAgent)?;
    let trust = said.trust.or(args.trust).unwrap_or_default();
    let mut submission = Submission::attributed(content, agent, &said);
    submission.owner = submission.owner.or_else(|| args.owner.clone());
    submission.source = submission.source.or_else(|| args.source.clone());
    Ok((submission, trust))
}

async fn lines(args: &SubmitArgs, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Create)?;
    let mut lines = Lines::open(&args.content.file, parts.settings().bounds.clone()).await?;
    let done = submit_lines(args, global, &parts, &mut lines).await;
    // Whatever stopped the lines, what was acknowledged is in the log and pinned.
    let finished = command::finish(&parts).await;
    let (summary, next) = done?;
    finished?;
    if let Some(path) = &args.content.report {
        summary.write(path, &Reasons::of(parts.detectors().await?))?;
    }
    if !global.is_json() {
        say_what_next(&summary, &next, global);
    }
    Ok(inspect::exit_of_lines(&summary, args.content.fail_on))
}

/// How much of the end of a log a long run leaves unpinned, at most.
const PIN_EVERY: Duration = Duration::from_secs(1);

async fn submit_lines(
    args: &SubmitArgs,
    global: &Global,
    parts: &Arc<Parts>,
    lines: &mut Lines,
) -> Result<(Summary, Next), CliError> {
    let pipeline = parts.pipeline().await?;
    command::say_notices(parts);
    let reasons = Reasons::of(parts.detectors().await?);
    let (mut running, mut turns) = (InOrder::new(), Turns::default());
    let (mut summary, mut next) = (Summary::new(args.content.report.is_some()), Next::default());
    let mut stopped = std::pin::pin!(tokio::signal::ctrl_c());
    let (mut is_last, mut pinned) = (false, Instant::now());
    if !global.is_json() {
        output::line(&format!("{:>5}  {:<20} {:<10}  why", "line", "agent", "verdict"))?;
    }
    while !is_last {
        // Ctrl-C takes in no further line and finishes those begun.
        let line = tokio::select! {
            biased;
            _ = &mut stopped => None,
            line = lines.next() => line?,
        };
        is_last = line.is_none();
        if let Some(line) = line {
            start(line, args, parts, pipeline, (&mut running, &mut turns));
        }
        while running.is_full() || is_last {
            let Some(judged) = running.oldest().await else { break };
            let judged = judged?;
            print_line(&judged, global, &reasons)?;
            next.see(&judged);
            summary.add(&judged);
            if pinned.elapsed() >= PIN_EVERY {
                parts.log().await?.pin().await?;
                pinned = Instant::now();
            }
        }
    }
    Ok((summary, next))
}

fn start(
    line: Line,
    args: &SubmitArgs,
    parts: &Parts,
    pipeline: &Pipeline,
    (running, turns): (&mut InOrder<Judged>, &mut Turns),
) {
    let Line { number, id, received } = line;
    let label = received.as_ref().ok().and_then(|r| r.line.label);
    let said = received.map_err(LineResult::from).and_then(|received| {
        let accepted = parts.settings().accepts(received.content.content_type());
        accepted.map_err(|error| LineResult::Refused(Box::new(error)))?;
        submission(received, args).map_err(LineResult::from)
    });
    let (submission, trust): (Submission, TrustLevel) = match said {
        Ok(said) => said,
        Err(result) => {
            running
                .start(async move { Judged { number, id, label, agent: None, explanation: None, result } });
            return;
        }
    };
    let agent = submission.agent.to_string();
    let keys = [Some(format!("a:{agent}")), submission.owner.as_ref().map(|owner| format!("o:{owner}"))];
    let mut turn = turns.after(keys.into_iter().flatten());
    let pipeline = pipeline.clone();
    running.start(async move {
        turn.wait().await;
        let result = match pipeline.submit(submission, trust).await {
            Ok(Submitted::Decided(decided)) => LineResult::Assessed(Box::new(decided.outcome.assessment)),
            Ok(Submitted::Limited(limited)) => LineResult::Limited(limited.error),
            Err(error) => LineResult::from(error),
        };
        Judged { number, id, label, agent: Some(agent), explanation: None, result }
    });
}

fn print_line(judged: &Judged, global: &Global, reasons: &Reasons) -> Result<(), CliError> {
    if global.is_json() {
        return match &judged.result {
            LineResult::Assessed(a) => inspect::with_id(&judged.id, a.inspection()),
            other => inspect::print_failure(judged, other),
        };
    }
    let (verdict, why) = match &judged.result {
        LineResult::Assessed(a) => (a.verdict().as_str(), why(a, reasons)),
        LineResult::Limited(limited) => ("(limited)", limited.to_string()),
        LineResult::Refused(error) => {
            let again = if report::is_worth_another_try(error.kind()) { "; try again" } else { "" };
            ("(refused)", format!("{error}{again}"))
        }
    };
    let agent = judged.agent.as_deref().unwrap_or("");
    let why = clawexchange_ssg_core::Escaped(&why).to_string();
    let text = format!(
        "{:>5}  {agent:<20} {verdict:<10}  {why}",
        clawexchange_ssg_core::Escaped(&judged.id.to_string()).to_string()
    );
    output::line(text.trim_end())
}

/// What was found, and what became of the verdict where that is not said by it.
fn why(assessment: &Assessment, reasons: &Reasons) -> String {
    let inspection = assessment.inspection();
    let fate = if let Some(verdict) = inspection.would_be {
        Some(format!("would be {verdict}"))
    } else if is_lost(assessment) {
        Some("refused, since nothing is held here".to_owned())
    } else if inspection.sanitized.is_some() {
        Some("passed on with something cut out".to_owned())
    } else {
        None
    };
    let found = assessment.rules().iter().filter(|rule| rule.delta > 0).take(WHYS_MAX);
    let found = found.map(|rule| reasons.why(&rule.pattern_id).to_owned());
    let campaign = inspection.campaign.map(|campaign| campaign.to_string());
    fate.into_iter().chain(campaign).chain(found).collect::<Vec<_>>().join("; ")
}

/// Rules that are named in a line of the table.
const WHYS_MAX: usize = 3;

/// What a newcomer can try with what is there now.
#[derive(Default)]
struct Next {
    held: Option<String>,
    agent: Option<String>,
}

impl Next {
    fn see(&mut self, judged: &Judged) {
        if let LineResult::Assessed(a) = &judged.result
            && let Some(id) = a.inspection().quarantine_id
        {
            self.held.get_or_insert_with(|| id.to_string());
            self.agent = self.agent.take().or_else(|| judged.agent.clone());
        }
    }
}

fn say_what_next(summary: &Summary, next: &Next, global: &Global) {
    let counts = Verdict::ALL.map(|verdict| format!("{} {verdict}", summary.count(verdict))).join(", ");
    output::say(&format!("\n{counts}, {} limited, {} refused", summary.limited, summary.refused));
    let program = std::env::args().next().unwrap_or_else(|| "claw".to_owned());
    let folder =
        global.data_dir.as_ref().map(|dir| format!(" --data-dir {}", dir.display())).unwrap_or_default();
    output::say("\nTry next:");
    let mut tries = vec!["quarantine list".to_owned()];
    if let Some(id) = &next.held {
        tries.push(format!("quarantine content {id} --purpose 'a first look'"));
        tries.push(format!("quarantine release {id} --reason FALSE_POSITIVE"));
    }
    if let Some(agent) = &next.agent {
        tries.push(format!("limits status {agent}"));
    }
    tries.push("audit query --event-type SSG_BLOCK,SSG_QUARANTINE".to_owned());
    tries.push("audit verify".to_owned());
    for command in tries {
        output::say(&format!("  {program}{folder} {command}"));
    }
}
