//! `claw config`: checks, shows and describes settings.

use clawexchange_gateway::{Environment, Settings};
use serde_json::json;

use crate::args::{ConfigCommand, Global};
use crate::exit::Exit;
use crate::report::{self, CliError};
use crate::{command, output};

pub(crate) fn run(command: &ConfigCommand, global: &Global) -> Result<Exit, CliError> {
    match command {
        ConfigCommand::Check if global.is_json() => return check_as_json(global),
        ConfigCommand::Check => {
            let settings = command::settings(global)?;
            output::line(&format!("ok: {} settings, no problem", settings.shown().len()))?;
        }
        ConfigCommand::Show { origin } => show(&command::settings(global)?, *origin, global)?,
        ConfigCommand::Example { production } => {
            let environment = if *production { Environment::Production } else { Environment::Development };
            output::bytes(Settings::example(environment).as_bytes())?;
        }
        ConfigCommand::Schema => {
            let schema = serde_json::to_string_pretty(&Settings::schema());
            output::line(&schema.map_err(|e| CliError::io("write JSON", e.into()))?)?;
        }
    }
    Ok(Exit::Ok)
}

/// One value for programs: each problem is an item, beside the error that every failure prints.
fn check_as_json(global: &Global) -> Result<Exit, CliError> {
    match Settings::read(&command::sources(global)) {
        Ok(settings) => {
            output::json(&json!({
                "ok": true,
                "settings": settings.shown().len(),
                "notices": settings.notices(),
                "unknown": settings.unknown(),
            }))?;
            Ok(Exit::Ok)
        }
        Err(error) => {
            output::json(&json!({
                "ok": false,
                "error": report::as_json(&error),
                "problems": error.problems,
            }))?;
            Ok(Exit::Configuration)
        }
    }
}

fn show(settings: &Settings, origin: bool, global: &Global) -> Result<(), CliError> {
    if global.is_json() {
        return output::json(&json!({ "items": settings.shown() }));
    }
    let head: &[&str] =
        if origin { &["setting", "value", "from", "what it is"] } else { &["setting", "value"] };
    let mut rows = output::Rows::new(head);
    for s in settings.shown() {
        let from = format!("{:?}", s.origin).to_lowercase();
        if origin {
            rows.row(&[&s.name, &s.value, &from, s.about]);
        } else {
            rows.row(&[&s.name, &s.value]);
        }
    }
    rows.print()
}
