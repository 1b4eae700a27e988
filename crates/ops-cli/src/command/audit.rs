//! `claw audit`: reads and checks the log.

use clawexchange_audit::{Entry, Query, Report, StateSource};
use clawexchange_gateway::{HeldStates, Intent, LimitStates, Parts, RuleStates, TokenStates};
use clawexchange_ssg_core::{Clock as _, PageLimit, SystemClock};

use crate::args::{AuditCommand, Global, QueryArgs};
use crate::command::follow::Follow;
use crate::command::{prove, retire};
use crate::exit::Exit;
use crate::progress::Progress;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(command: &AuditCommand, global: &Global) -> Result<Exit, CliError> {
    match command {
        AuditCommand::Tail { lines, follow } => tail(*lines, *follow, global).await,
        AuditCommand::Query(args) => query(args, global).await,
        AuditCommand::Verify => verify(global).await,
        AuditCommand::Checkpoint { log } => prove::checkpoint(*log, global).await,
        AuditCommand::Prove { event, log } => prove::prove(*event, *log, global).await,
        AuditCommand::Export(args) => prove::export(args, global).await,
        AuditCommand::CheckProof(args) => prove::check(args, global),
        AuditCommand::Retire(args) => retire::run(args, global).await,
        AuditCommand::CheckExport { file } => retire::check(file, global).await,
    }
}

async fn query(args: &QueryArgs, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let now = SystemClock::new().now();
    let mut query = Query::default();
    query.may_be_behind = true;
    query.log = args.log.one();
    query.kinds.clone_from(&args.event_type);
    query.actor.clone_from(&args.actor);
    query.actor_type = args.actor_type;
    query.target.clone_from(&args.target);
    query.target_type.clone_from(&args.target_type);
    query.since = args.since.map(|when| when.moment(now));
    query.until = args.until.map(|when| when.moment(now));
    let limit = PageLimit::new(args.page.limit).unwrap_or_default();
    let page = parts.log().await?.query(&query, args.page.after().as_ref(), limit).await?;
    if global.is_json() {
        output::json(&page)?;
        return Ok(Exit::Ok);
    }
    print(&page.items)?;
    if let Some(cursor) = &page.next_cursor {
        output::say(&format!("more: --cursor {}", cursor.as_str()));
    }
    Ok(Exit::Ok)
}

fn print(entries: &[Entry]) -> Result<(), CliError> {
    let mut rows = output::Rows::new(&["when", "event", "actor", "target", "details"]);
    for entry in entries {
        rows.row(&cells(entry).each_ref().map(String::as_str));
    }
    rows.print()
}

fn cells(entry: &Entry) -> [String; 5] {
    let target = match (&entry.target_type, &entry.target_id) {
        (Some(kind), Some(id)) => format!("{kind} {id}"),
        _ => String::new(),
    };
    let detail = |name: &str| entry.metadata.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    let labels: Vec<&str> = entry
        .metadata
        .get("labels")
        .and_then(|labels| labels.as_array())
        .map(|labels| labels.iter().filter_map(|label| label.as_str()).collect())
        .unwrap_or_default();
    let details = [detail("tier"), detail("reason"), &labels.join(",")].join(" ");
    [
        entry.created_at.to_string(),
        entry.event_type.clone(),
        format!("{} {}", entry.actor_type, entry.actor_id),
        target,
        details.trim().to_owned(),
    ]
}

async fn tail(lines: u64, follow: bool, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let log = parts.log().await?;
    // Where following begins is noted before the past is read, so that nothing falls between.
    let now = Follow::from_now(log).await?;
    let mut query = Query::default();
    query.may_be_behind = !follow;
    let page = log.query(&query, None, PageLimit::new(lines).unwrap_or_default()).await?;
    let mut entries: Vec<Entry> =
        page.items.into_iter().filter(|entry| !follow || now.is_past(entry)).collect();
    entries.reverse();
    print_each(&entries, global)?;
    if follow {
        now.run(log, |entry| print_each(std::slice::from_ref(entry), global)).await?;
    }
    Ok(Exit::Ok)
}

fn print_each(entries: &[Entry], global: &Global) -> Result<(), CliError> {
    for entry in entries {
        if global.is_json() {
            output::json(entry)?;
        } else {
            let [when, event, actor, target, details] = cells(entry);
            let text = format!("{when}  {event:<18} {actor:<28} {target}  {details}");
            output::line(clawexchange_ssg_core::Escaped(text.trim_end()).to_string().as_str())?;
        }
    }
    Ok(())
}

/// Everything that can be checked, and what was found.
pub(super) async fn verified(parts: &Parts) -> Result<Report, CliError> {
    let log = parts.log().await?;
    let held = HeldStates::of(parts.vault().await?.clone());
    let limits = LimitStates::of(parts.stored_limits().await?);
    let tokens = TokenStates::of(parts.tokens().await?.clone());
    let rules = RuleStates::of(parts.stored_rules().await?);
    let sources: [&dyn StateSource; 4] = [&held, &limits, &tokens, &rules];
    let progress = Progress::of(0, "events");
    let mut report = log.verify(&sources, &|done, total| progress.set(done, total)).await?;
    drop(progress);
    // The log looks after its own guards; here are those of all the others.
    let drift = clawexchange_migrations::all().drift(parts.database().await?).await?;
    let objects = drift
        .missing
        .iter()
        .map(|o| (o, "missing or altered"))
        .chain(drift.unexpected.iter().map(|o| (o, "not made by a step")));
    for (object, what) in objects {
        let place = format!("schema: {} {}", object.kind, object.name);
        if !report.discrepancies.iter().any(|d| d.place == place) {
            report.add(place, what);
        }
    }
    Ok(report)
}

async fn verify(global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let report = verified(&parts).await?;
    if global.is_json() {
        output::json(&report)?;
    } else {
        output::line(&format!(
            "{} decisions, {} verdicts, {} rows of state; {} events wait in the outbox",
            report.decisions, report.verdicts, report.state_rows, report.waiting
        ))?;
        if report.retired > 0 {
            output::line(&format!(
                "{} of these were retired: their hashes are here, and they are in exports",
                report.retired
            ))?;
        }
        if report.not_removed > 0 {
            output::say(&format!(
                "{} count as retired and are there: `claw audit retire` goes on",
                report.not_removed
            ));
        }
        output::line(match report.extends_pin {
            None => "nothing is pinned, so a log cut off at its end would not be noticed",
            Some(true) => "the logs extend what was pinned",
            Some(false) => "the logs do NOT extend what was pinned",
        })?;
        output::line(&format!("signed checkpoints: {}", report.checkpoints))?;
        for line in discrepancies(&report) {
            output::line(&line)?;
        }
        if report.is_clean() {
            output::line("everything is as it was written")?;
        }
    }
    Ok(if report.is_clean() { Exit::Ok } else { Exit::Integrity })
}

/// What was found, a line each, as it may be printed.
pub(super) fn discrepancies(report: &Report) -> Vec<String> {
    let each = report.discrepancies.iter().map(|d| {
        let text = format!("ALTERED {}: {}", d.place, d.what);
        clawexchange_ssg_core::Escaped(&text).to_string()
    });
    each.chain(report.truncated.then(|| "more was found than is listed".to_owned())).collect()
}
