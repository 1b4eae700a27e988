//! `claw rules sign` and `claw rules key`: packs that deployments take from nobody else.

use std::path::Path;

use clawexchange_audit::NoteSigner;
use clawexchange_detectors::DetectorsError;
use clawexchange_gateway::sign_packs;
use clawexchange_ssg_core::{Clock as _, DataKey, MasterKey, SystemClock};
use serde_json::json;

use crate::args::{Global, SignArgs, SigningKeyArgs};
use crate::command::packs;
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

/// The file of a signing key has one line.
const KEY_BYTES_MAX: usize = 4096;

pub(crate) fn run(args: &SignArgs, global: &Global) -> Result<Exit, CliError> {
    let own = packs::read(&args.packs)?;
    let problems = own.try_out().problems;
    if !problems.is_empty() {
        return Err(DetectorsError::OwnPacks { problems }.into());
    }
    let signer = signer(&args.by)?;
    let not_after = SystemClock::new().now().plus(args.ttl);
    let note = sign_packs(&own, &signer, args.serial, not_after)?;
    let path = packs::note_path(&args.packs);
    std::fs::write(&path, note).map_err(|e| CliError::io(format!("write {}", path.display()), e))?;
    if global.is_json() {
        output::json(&json!({
            "file": path.display().to_string(), "hash": own.hash(), "serial": args.serial, "notAfter": not_after,
            "key": signer.verifier().to_string(),
        }))?;
    } else {
        output::line(&format!("signed as number {} until {not_after}: {}", args.serial, path.display()))?;
    }
    Ok(Exit::Ok)
}

pub(crate) fn key(args: &SigningKeyArgs, global: &Global) -> Result<Exit, CliError> {
    let key = signer(args)?.verifier().to_string();
    if global.is_json() {
        output::json(&json!({ "key": key }))?;
    } else {
        output::line(&key)?;
    }
    Ok(Exit::Ok)
}

fn signer(args: &SigningKeyArgs) -> Result<NoteSigner, CliError> {
    Ok(NoteSigner::new(&args.name, &seed(&args.key)?)?)
}

fn seed(file: &Path) -> Result<DataKey, CliError> {
    let bytes = command::read_bounded(file, KEY_BYTES_MAX)?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    // A file that `claw keys generate` made may have a name before the key.
    let key = MasterKey::from_base64(text.split_whitespace().next_back().unwrap_or(""))?;
    Ok(DataKey::new(*key.expose()))
}
