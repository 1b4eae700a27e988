//! `claw spool`: events that are kept while the database is away.

use clawexchange_audit::{SpoolConfig, dead_letters, spool_status};
use clawexchange_gateway::Intent;
use clawexchange_ssg_core::Escaped;
use serde_json::json;

use crate::args::{Global, SpoolCommand};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(command: &SpoolCommand, global: &Global) -> Result<Exit, CliError> {
    let settings = command::settings(global)?;
    let Some(spool) = settings.database.spool.clone() else {
        return Err(CliError::usage("there is no spool: rows lie in SQLite, or CLAW_SPOOL is false"));
    };
    match command {
        SpoolCommand::Status => status(&spool, global),
        SpoolCommand::Replay => replay(global).await,
        SpoolCommand::DeadLetters => print_dead_letters(&spool),
    }
}

fn status(spool: &SpoolConfig, global: &Global) -> Result<Exit, CliError> {
    let status = spool_status(spool)?;
    if global.is_json() {
        output::json(&status)?;
        return Ok(Exit::Ok);
    }
    let oldest = status.oldest.map_or_else(|| "none".to_owned(), |at| at.to_string());
    output::line(&format!("folder        {}", Escaped(&spool.folder.display().to_string())))?;
    output::line(&format!("waiting       {} events in {} batches", status.events, status.batches))?;
    output::line(&format!("oldest        {oldest}"))?;
    output::line(&format!("bytes         {} of {}", status.bytes, status.bytes_max))?;
    output::line(&format!("dead letters  {}", status.dead_letters))?;
    output::line(&format!("damaged       {}", status.damaged))?;
    Ok(Exit::Ok)
}

async fn replay(global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let replayed = parts.log_with_spool().await?.replay_spool().await?;
    command::finish(&parts).await?;
    if global.is_json() {
        output::json(&json!({ "replayed": replayed }))?;
    } else {
        output::line(&format!("{replayed} events were moved into the log"))?;
    }
    Ok(Exit::Ok)
}

fn print_dead_letters(spool: &SpoolConfig) -> Result<Exit, CliError> {
    for event in dead_letters(spool)? {
        output::line(&String::from_utf8_lossy(&event.to_json()))?;
    }
    Ok(Exit::Ok)
}
