//! `claw doctor`: looks the deployment over and says what to mend.

use clawexchange_gateway::{Intent, Parts, Settings};
use serde_json::json;

use crate::args::{DoctorArgs, Global};
use crate::doctor::{CHECKS, Check, Deployment, Found, State};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(args: &DoctorArgs, global: &Global) -> Result<Exit, CliError> {
    if args.list {
        return list(global);
    }
    let wanted = wanted(&args.run)?;
    let sources = command::sources(global);
    let settings = Settings::read(&sources)?;
    let deployment = Deployment::open(Parts::new(settings, Intent::Use), sources.env).await?;
    let mut told = Vec::new();
    for check in wanted {
        told.push((check, check.look(&deployment).await));
    }
    let is_well = told.iter().all(|(_, found)| found.state != State::Fail);
    if global.is_json() {
        let items: Vec<_> = told.iter().map(|(check, found)| item(check, found)).collect();
        output::json(&json!({"ok": is_well, "items": items}))?;
    } else {
        print(&told)?;
    }
    Ok(if is_well { Exit::Ok } else { Exit::Failed })
}

fn list(global: &Global) -> Result<Exit, CliError> {
    if global.is_json() {
        let items: Vec<_> =
            CHECKS.iter().map(|check| json!({"check": check.name, "about": check.about})).collect();
        output::json(&json!({ "items": items }))?;
        return Ok(Exit::Ok);
    }
    let mut rows = output::Rows::new(&["check", "what should be so"]);
    for check in &CHECKS {
        rows.row(&[check.name, check.about]);
    }
    rows.print()?;
    Ok(Exit::Ok)
}

/// The checks that are named, in their own order; all if none is.
fn wanted(names: &[String]) -> Result<Vec<&'static Check>, CliError> {
    if let Some(unknown) = names.iter().find(|name| CHECKS.iter().all(|check| check.name != **name)) {
        return Err(CliError::usage(format!(
            "no check is called {unknown:?}; `claw doctor --list` names them"
        )));
    }
    Ok(CHECKS
        .iter()
        .filter(|check| names.is_empty() || names.iter().any(|name| name == check.name))
        .collect())
}

fn item(check: &Check, found: &Found) -> serde_json::Value {
    let mut item = json!({"check": check.name, "state": found.state, "found": found.text});
    if let (Some(fix), Some(members)) = (&found.fix, item.as_object_mut()) {
        members.insert("fix".to_owned(), fix.as_str().into());
    }
    item
}

/// A line each, and what mends it below.
fn print(told: &[(&Check, Found)]) -> Result<(), CliError> {
    for (check, found) in told {
        let found_text = clawexchange_ssg_core::Escaped(&found.text).to_string();
        output::line(&format!("{:<7}  {:<20}  {found_text}", found.state.as_str(), check.name))?;
        if let Some(fix) = &found.fix {
            output::line(&format!("{:31}fix: {}", "", clawexchange_ssg_core::Escaped(fix)))?;
        }
    }
    let count = |state| told.iter().filter(|(_, found)| found.state == state).count();
    output::say(&format!(
        "{} ok, {} to see to, {} failed, {} not used here, {} cannot be told",
        count(State::Ok),
        count(State::Warn),
        count(State::Fail),
        count(State::Skip),
        count(State::Unknown)
    ));
    Ok(())
}
