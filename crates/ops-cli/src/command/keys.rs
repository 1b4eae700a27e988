//! `claw keys`: makes master keys.

use clawexchange_quarantine::KeyRing;
use clawexchange_ssg_core::KeyProvider as _;

use crate::args::{Global, KeysCommand};
use crate::exit::Exit;
use crate::output;
use crate::report::CliError;

pub(crate) fn run(command: &KeysCommand, global: &Global) -> Result<Exit, CliError> {
    let KeysCommand::Generate { out } = command;
    let ring = KeyRing::generate()?;
    match out {
        Some(path) => {
            ring.write_new_file(path)?;
            if global.is_json() {
                output::json(&serde_json::json!({"keyId": ring.active(), "file": path}))?;
            } else {
                output::line(&format!("key {} lies in {}", ring.active(), path.display()))?;
            }
        }
        None => {
            output::bytes(ring.active_master().to_base64().as_bytes())?;
            output::line("")?;
        }
    }
    Ok(Exit::Ok)
}
