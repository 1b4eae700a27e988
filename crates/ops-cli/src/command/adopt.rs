//! `claw migrate adopt`: takes over what the first system of this kind left in the database.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clawexchange_audit::Log;
use clawexchange_database::Database;
use clawexchange_gateway::{Intent, Parts};
use clawexchange_migrations::adopt::{
    self, AdoptError, Adopted, Destination, Ledger, ORIGINAL_SCHEMA, Original, Rows, Stage, Tally, What,
};
use clawexchange_migrations::all;
use clawexchange_ssg_core::{Clock as _, Escaped, SystemClock};
use serde_json::{Value, json};

use super::migrate;
use crate::args::{AdoptArgs, Global};
use crate::exit::Exit;
use crate::progress::Progress;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(args: &AdoptArgs, global: &Global) -> Result<Exit, CliError> {
    // A look makes nothing, neither folder nor key.
    let intent = if args.dry_run { Intent::Use } else { Intent::Create };
    let parts = migrate::parts(global, intent)?;
    let db = parts.bare_database().await?;
    let original = match adopt::stage(&db.read()).await? {
        Stage::None => return Err(AdoptError::Nothing.into()),
        Stage::Strangers(strangers) => return Err(AdoptError::Strangers { strangers }.into()),
        Stage::Taken => return Err(AdoptError::Place.into()),
        Stage::Found(original) => Some(original),
        Stage::Done if !args.dry_run => {
            // What a run that was cut short at its very end did not come to.
            migrate::announce(&parts).await?;
            command::finish(&parts).await?;
            None
        }
        _ => None,
    };
    let counts = adopt::counts(&db).await?;
    if args.dry_run {
        let statements = match &original {
            Some(original) => adopt::planned(&db, original).await?,
            None => Vec::new(),
        };
        return tell_plan(original.as_ref(), &statements, &counts, global);
    }
    if !args.yes {
        confirm(&counts)?;
    }
    let moved = adopt::relocate(&db).await?;
    let steps = all().up(&db, None, SystemClock::new().now()).await?;
    migrate::announce(&parts).await?;
    let adopted = take_over(&parts, &db, &counts, global).await?;
    let mut signed = Vec::new();
    for log in Log::ALL {
        // What was taken over is fixed by a checkpoint, which whoever wants keeps elsewhere.
        signed.push(json!({"log": log.as_str(), "size": parts.log().await?.checkpoint(log).await?.size()}));
    }
    command::finish(&parts).await?;
    tell_done(&moved, &steps, &adopted, &signed, global)?;
    Ok(Exit::Ok)
}

async fn take_over(
    parts: &Parts,
    db: &Database,
    counts: &[Rows],
    global: &Global,
) -> Result<Adopted, CliError> {
    let by = command::actor(global)?;
    let limits = parts.stored_limits().await?;
    let into =
        Destination { db, log: parts.log().await?, vault: parts.vault().await?, limits: &limits, by: &by };
    let total = |table: &str| counts.iter().find(|rows| rows.table == table).map_or(0, |rows| rows.rows);
    let (events, records) = (total("audit_logs"), total("quarantine_records"));
    let bar = Progress::of(events + records, "rows");
    let watch = |what, done| match what {
        What::Events => bar.set(done, events + records),
        _ => bar.set(events + done, events + records),
    };
    Ok(adopt::import(into, &watch).await?)
}

/// Asks on the terminal. Without one nobody can answer, so whoever means it says so.
fn confirm(counts: &[Rows]) -> Result<(), CliError> {
    let rows: u64 = counts.iter().map(|rows| rows.rows).sum();
    let what = format!(
        "this moves {} tables with {rows} rows to the schema {ORIGINAL_SCHEMA}, where the first system does not find \
         them, and takes over what is in them",
        counts.len()
    );
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage(format!("{what}; say --yes if that is meant, or --dry-run to see more")));
    }
    output::say(&format!("{what}. Go on? Type yes:"));
    let mut answer = String::new();
    std::io::stderr().flush().map_err(|e| CliError::io("ask", e))?;
    std::io::stdin().lock().read_line(&mut answer).map_err(|e| CliError::io("read the answer", e))?;
    if answer.trim() == "yes" { Ok(()) } else { Err(CliError::usage("nothing was done")) }
}

fn tell_plan(
    original: Option<&Original>,
    statements: &[String],
    counts: &[Rows],
    global: &Global,
) -> Result<Exit, CliError> {
    if global.is_json() {
        let tables: Vec<Value> =
            counts.iter().map(|rows| json!({"table": rows.table, "rows": rows.rows})).collect();
        let added: Vec<Value> = original
            .iter()
            .flat_map(|original| &original.tables)
            .filter(|table| !table.added.is_empty())
            .map(|table| json!({"table": table.name, "columns": table.added}))
            .collect();
        output::json(&json!({
            "schema": original.map(|original| original.schema.as_str()),
            "tables": tables,
            "missing": original.map(|original| &original.missing),
            "addedColumns": added,
            "statements": statements,
        }))?;
        return Ok(Exit::Ok);
    }
    match original {
        Some(original) => tell_found(original)?,
        None => output::line(&format!("the first system's tables are in the schema {ORIGINAL_SCHEMA}"))?,
    }
    for rows in counts {
        output::line(&format!("  {:<24} {} rows", rows.table, rows.rows))?;
    }
    if !statements.is_empty() {
        output::line("would run, in one transaction:")?;
        for statement in statements {
            output::line(&format!("  {};", Escaped(statement)))?;
        }
    }
    output::line("would then run what `claw migrate up` runs, and take over what is not taken over yet:")?;
    output::line("  rows of audit_logs as IMPORTED events, texts that may name people sealed")?;
    output::line("  rows of quarantine_records as records whose content nobody can open")?;
    output::line("  limits that can hold here; nothing is dropped")?;
    Ok(Exit::Ok)
}

fn tell_found(original: &Original) -> Result<(), CliError> {
    let schema = Escaped(&original.schema).to_string();
    output::line(&format!("{} tables of the first system in schema {schema}", original.tables.len()))?;
    for table in &original.tables {
        if !table.added.is_empty() {
            let added = Escaped(&table.added.join(", ")).to_string();
            output::line(&format!("  {} has more columns, which are not taken over: {added}", table.name))?;
        }
    }
    if !original.missing.is_empty() {
        output::line(&format!("  not there: {}", original.missing.join(", ")))?;
    }
    match original.ledger {
        Some(Ledger::Stays) => {
            output::line("  SequelizeMeta stays: other tables are there, and it may be theirs")
        }
        Some(_) => output::line("  SequelizeMeta moves too"),
        None => Ok(()),
    }
}

fn tell_done(
    moved: &[String],
    steps: &[&str],
    adopted: &Adopted,
    signed: &[Value],
    global: &Global,
) -> Result<(), CliError> {
    if global.is_json() {
        let tally = |tally: &Tally| json!({"done": tally.done, "flawed": tally.flawed});
        let left: Vec<Value> = adopted
            .left
            .iter()
            .map(|left| json!({"table": left.table, "name": left.name, "why": left.why}))
            .collect();
        return output::json(&json!({
            "statements": moved,
            "steps": steps,
            "events": tally(&adopted.events),
            "records": tally(&adopted.records),
            "limits": tally(&adopted.limits),
            "left": left,
            "checkpoints": signed,
        }));
    }
    if moved.is_empty() {
        output::line(&format!("the tables had been moved to {ORIGINAL_SCHEMA}"))?;
    } else {
        output::line(&format!("moved the tables to {ORIGINAL_SCHEMA}"))?;
    }
    for (what, tally) in
        [("events", adopted.events), ("records", adopted.records), ("limits", adopted.limits)]
    {
        let flawed = match (tally.flawed, what) {
            (0, _) => String::new(),
            (n, "limits") => format!(", {n} of them left as they are here"),
            (n, _) => format!(", {n} of them with something that could not be taken over as it was"),
        };
        output::line(&format!("took over {} {what}{flawed}", tally.done))?;
    }
    for left in &adopted.left {
        output::line(&Escaped(&format!("left {} {:?}: {}", left.table, left.name, left.why)).to_string())?;
    }
    for checkpoint in signed {
        let (log, size) = (checkpoint["log"].as_str().unwrap_or_default(), &checkpoint["size"]);
        output::line(&format!("signed a checkpoint over {size} {log}"))?;
    }
    output::line("see that all is well: `claw audit verify`, `claw doctor`")
}
