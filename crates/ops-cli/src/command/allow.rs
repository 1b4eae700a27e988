//! `claw rules allow`: single values and hosts that may be posted all the same, for a while.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use clawexchange_database::rules::Allowance;
use clawexchange_detectors::Host;
use clawexchange_gateway::{ALLOWED_BYTES_MAX, AllowWhat, Intent, Parts, RulesError};
use clawexchange_ssg_core::{Clock as _, SystemClock};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use crate::args::{AllowArgs, AllowCommand, Global};
use crate::command::rules;
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(command: &AllowCommand, global: &Global) -> Result<Exit, CliError> {
    match command {
        AllowCommand::Add(args) => add(args, global).await,
        AllowCommand::List => list(global).await,
        AllowCommand::Remove { id } => remove(id, global).await,
    }
}

async fn add(args: &AllowArgs, global: &Global) -> Result<Exit, CliError> {
    let by = command::actor(global)?;
    let parts = command::parts(global, Intent::Use)?;
    if let Some(rule) = &args.rule {
        has_rule(&parts, rule).await?;
    }
    let what = match &args.host {
        Some(host) => AllowWhat::Host(host.parse::<Host>()?),
        None => AllowWhat::Value { value: value(&args.file)?, rule: args.rule.clone() },
    };
    parts.log().await?;
    let stored = parts.stored_rules().await?;
    let until = SystemClock::new().now().plus(args.ttl);
    let tx = parts.database().await?.begin().await?;
    let made = stored.allow(&tx, &by, &what, &args.owner, &args.reason, until).await?;
    tx.commit().await?;
    command::finish(&parts).await?;
    if global.is_json() {
        output::json(&as_json(&made))?;
    } else {
        output::line(&format!("allowed as {} until {}", made.id, made.expires))?;
    }
    Ok(Exit::Ok)
}

/// A rule that is misspelt would allow nothing, silently.
async fn has_rule(parts: &Parts, id: &str) -> Result<(), CliError> {
    let own = parts.stored_rules().await?.load().await?.own?;
    rules::named(&parts.detectors_with(own)?, id).map(drop)
}

async fn list(global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let all = parts.stored_rules().await?.allowances().await?;
    if global.is_json() {
        let items: Vec<Value> = all.iter().map(as_json).collect();
        output::json(&json!({ "items": items }))?;
        return Ok(Exit::Ok);
    }
    let mut rows = output::Rows::new(&["id", "what", "rule", "until", "owner", "reason", "by"]);
    for a in &all {
        let rule = a.rule.as_deref().unwrap_or("any");
        let kind = a.kind.as_str().to_ascii_lowercase();
        rows.row(&[&a.id, &kind, rule, &a.expires.to_string(), &a.owner, &a.reason, &a.by]);
    }
    rows.print()?;
    Ok(Exit::Ok)
}

async fn remove(id: &str, global: &Global) -> Result<Exit, CliError> {
    let by = command::actor(global)?;
    let parts = command::parts(global, Intent::Use)?;
    parts.log().await?;
    let stored = parts.stored_rules().await?;
    let tx = parts.database().await?.begin().await?;
    let ended = stored.disallow(&tx, &by, id).await?;
    tx.commit().await?;
    command::finish(&parts).await?;
    if global.is_json() {
        output::json(&as_json(&ended))?;
    } else {
        output::line(&format!("{} is taken back", ended.id))?;
    }
    Ok(Exit::Ok)
}

fn as_json(a: &Allowance) -> Value {
    json!({
        "id": a.id, "kind": a.kind.as_str(), "rule": a.rule, "owner": a.owner, "reason": a.reason,
        "by": a.by, "createdAt": a.created, "until": a.expires, "endedAt": a.ended,
    })
}

/// Reads the value. It is never an argument: those stand in lists of processes and in histories of shells.
fn value(file: &Path) -> Result<String, CliError> {
    let mut text = if file == Path::new("-") && std::io::stdin().is_terminal() {
        hidden_line("the value, ended by a line end; it is neither shown nor kept:")
            .map_err(|e| CliError::io("read the value", e))?
    } else {
        // With its line end.
        command::read_text(file, ALLOWED_BYTES_MAX + 2)?
    };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    // One that is too long was cut off where it was read: it must not be taken for another.
    if text.len() > ALLOWED_BYTES_MAX {
        return Err(RulesError::AllowanceValue { max: ALLOWED_BYTES_MAX }.into());
    }
    Ok(text)
}

/// Asks at the terminal for a line that is not shown while it is typed.
fn hidden_line(prompt: &str) -> std::io::Result<String> {
    let (terminal, mut line) = (std::io::stdin(), String::new());
    let shown = tcgetattr(&terminal)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    hidden.local_modes.insert(LocalModes::ECHONL);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
    output::say(prompt);
    let read = terminal.lock().read_line(&mut line);
    tcsetattr(&terminal, OptionalActions::Drain, &shown)?;
    read.map(|_| line)
}
