//! `claw config`: checks and shows settings.

use serde_json::json;

use crate::args::{ConfigCommand, Global};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) fn run(command: &ConfigCommand, global: &Global) -> Result<Exit, CliError> {
    let settings = command::settings(global)?;
    match command {
        ConfigCommand::Check => {
            if global.is_json() {
                output::json(&json!({"ok": true, "settings": settings.shown().len()}))?;
            } else {
                output::line(&format!("{} settings, no problem", settings.shown().len()))?;
            }
        }
        ConfigCommand::Show { origin } => {
            if global.is_json() {
                output::json(&json!({ "items": settings.shown() }))?;
                return Ok(Exit::Ok);
            }
            let head: &[&str] =
                if *origin { &["setting", "value", "from", "what it is"] } else { &["setting", "value"] };
            let mut rows = output::Rows::new(head);
            for s in settings.shown() {
                let from = format!("{:?}", s.origin).to_lowercase();
                if *origin {
                    rows.row(&[&s.name, &s.value, &from, s.about]);
                } else {
                    rows.row(&[&s.name, &s.value]);
                }
            }
            rows.print()?;
        }
    }
    Ok(Exit::Ok)
}
