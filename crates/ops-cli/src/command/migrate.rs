//! `claw migrate`: changes the schema of the database.

use std::sync::Arc;

use clawexchange_database::Database;
use clawexchange_gateway::{Intent, Parts, PartsError};
use clawexchange_migrations::{Destroy, DownTo, Plan, RoleName, SchemaState, adopt, all, grants};
use clawexchange_ssg_core::{Clock as _, Fault as _, SystemClock};
use serde_json::json;

use crate::args::{Global, MigrateCommand};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(command: &MigrateCommand, global: &Global) -> Result<Exit, CliError> {
    match command {
        MigrateCommand::Up { only, to } => up(only.as_deref(), to.as_deref(), global).await,
        MigrateCommand::Down { only, steps, to, destroy } => {
            let to = match (to, steps) {
                (Some(name), _) => DownTo::Step(name.clone()),
                (None, steps) => DownTo::Steps(steps.unwrap_or(1)),
            };
            down(only.as_deref(), &to, destroy.as_deref(), global).await
        }
        MigrateCommand::Status => status(global).await,
        MigrateCommand::Plan => plan(global).await,
        MigrateCommand::Verify => verify(global).await,
        MigrateCommand::Adopt(args) => super::adopt::run(args, global).await,
        MigrateCommand::Roles { app } => roles(app, global).await,
    }
}

fn plan_of(only: Option<&str>) -> Result<Plan, CliError> {
    match only {
        None => Ok(all()),
        Some(owner) => all().only(owner).ok_or_else(|| {
            CliError::usage(format!(
                "no crate {owner:?} has migrations; there are database, audit, quarantine and rate-limiter"
            ))
        }),
    }
}

/// The parts, as whoever owns the schema sees them.
pub(super) fn parts(global: &Global, intent: Intent) -> Result<Arc<Parts>, CliError> {
    Ok(Parts::new(command::settings(global)?.as_owner(), intent))
}

async fn up(only: Option<&str>, to: Option<&str>, global: &Global) -> Result<Exit, CliError> {
    let parts = parts(global, Intent::Create)?;
    let db = parts.bare_database().await?;
    refuse_others(&db).await?;
    let ran = plan_of(only)?.up(&db, to, SystemClock::new().now()).await?;
    if only.is_none() && to.is_none() {
        announce(&parts).await?;
        command::finish(&parts).await?;
    }
    report_steps("ran", &ran, global)
}

/// Makes the rows that the steps brought known to the log, which needs the key.
pub(super) async fn announce(parts: &Parts) -> Result<(), CliError> {
    parts.stored_limits().await?.ensure_events().await?;
    parts.log().await?;
    Ok(())
}

/// Names of ours that are taken by tables of another system are said before anything is done.
async fn refuse_others(db: &Database) -> Result<(), CliError> {
    match adopt::refusal(&db.read()).await? {
        Some(found) => Err(found.into()),
        None => Ok(()),
    }
}

async fn down(
    only: Option<&str>,
    to: &DownTo,
    destroy: Option<&str>,
    global: &Global,
) -> Result<Exit, CliError> {
    let destroy = match destroy {
        None => None,
        Some(phrase) => Some(Destroy::named(phrase).ok_or_else(|| {
            CliError::usage(format!("--destroy takes the phrase {} and nothing else", Destroy::PHRASE))
        })?),
    };
    let parts = parts(global, Intent::Use)?;
    let db = parts.bare_database().await?;
    let undone = plan_of(only)?.down(&db, to, destroy).await?;
    report_steps("undid", &undone, global)
}

fn report_steps(did: &str, names: &[&str], global: &Global) -> Result<Exit, CliError> {
    if global.is_json() {
        output::json(&json!({ "steps": names }))?;
    } else if names.is_empty() {
        output::line("nothing to do")?;
    } else {
        for name in names {
            output::line(&format!("{did} {name}"))?;
        }
    }
    Ok(Exit::Ok)
}

async fn status(global: &Global) -> Result<Exit, CliError> {
    let parts = parts(global, Intent::Use)?;
    let db = parts.bare_database().await?;
    let steps = all().status(&db).await?;
    let state = all().state(&db).await?;
    let stage = adopt::stage(&db.read()).await?;
    if global.is_json() {
        let items: Vec<_> = steps
            .iter()
            .map(|s| json!({"crate": s.owner, "step": s.name, "sha256": s.checksum, "appliedAt": s.applied}))
            .collect();
        output::json(&json!({ "items": items }))?;
    } else {
        let mut rows = output::Rows::new(&["crate", "step", "ran at"]);
        for s in &steps {
            rows.row(&[
                s.owner,
                s.name,
                &s.applied.map_or_else(|| "pending".to_owned(), |at| at.to_string()),
            ]);
        }
        rows.print()?;
    }
    if stage == adopt::Stage::Moved {
        output::say(
            "the first system's tables were moved and not all is taken over: `claw migrate adopt` goes on",
        );
        return Ok(Exit::Pending);
    }
    refuse_others(&db).await?;
    Ok(match state {
        SchemaState::Current => Exit::Ok,
        SchemaState::Empty | SchemaState::Behind(_) => Exit::Pending,
        SchemaState::Ahead(unknown) => {
            let newer = PartsError::Newer { step: unknown.into_iter().next().unwrap_or_default() };
            output::say(&newer.to_string());
            newer.kind().into()
        }
        _ => Exit::Refused,
    })
}

async fn plan(global: &Global) -> Result<Exit, CliError> {
    let parts = parts(global, Intent::Use)?;
    let db = parts.bare_database().await?;
    refuse_others(&db).await?;
    let pending: Vec<_> =
        all().status(&db).await?.into_iter().filter(|step| step.applied.is_none()).collect();
    if global.is_json() {
        let items: Vec<_> =
            pending.iter().map(|s| json!({"crate": s.owner, "step": s.name, "sql": s.sql})).collect();
        output::json(&json!({ "items": items }))?;
    } else if pending.is_empty() {
        output::line("-- nothing to do")?;
    } else {
        for step in &pending {
            output::line(&format!("-- {}\n{}", step.name, step.sql.trim_end()))?;
        }
    }
    Ok(if pending.is_empty() { Exit::Ok } else { Exit::Pending })
}

async fn verify(global: &Global) -> Result<Exit, CliError> {
    let parts = parts(global, Intent::Use)?;
    let db = parts.bare_database().await?;
    let drift = all().drift(&db).await?;
    let name = |o: &clawexchange_database::SchemaObject| format!("{} {}", o.kind, o.name);
    let missing: Vec<_> = drift.missing.iter().map(name).collect();
    let unexpected: Vec<_> = drift.unexpected.iter().map(name).collect();
    if global.is_json() {
        output::json(&json!({"missing": missing, "unexpected": unexpected}))?;
    } else if drift.is_none() {
        output::line("the schema is what the steps make")?;
    } else {
        for object in missing {
            output::line(&format!("missing or altered: {object}"))?;
        }
        for object in unexpected {
            output::line(&format!("not made by a step: {object}"))?;
        }
    }
    Ok(if drift.is_none() { Exit::Ok } else { Exit::Integrity })
}

async fn roles(app: &RoleName, global: &Global) -> Result<Exit, CliError> {
    let sql = grants(app).await?;
    if global.is_json() {
        output::json(&json!({ "role": app.to_string(), "sql": sql }))?;
    } else {
        output::bytes(sql.as_bytes())?;
    }
    Ok(Exit::Ok)
}
