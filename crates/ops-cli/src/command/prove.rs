//! `claw audit checkpoint|prove|export|check-proof`: what leaves the machine, and the check of it elsewhere.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use clawexchange_audit::{
    AuditLog, Checkpoint, LeafAt, Log, PROOF_BYTES_MAX, SignedCheckpoint, TlogProof, TreeError,
};
use clawexchange_gateway::Intent;
use clawexchange_ssg_core::{Fault, FaultKind};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::args::{CheckProofArgs, ExportArgs, Global, LogArg, Place};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

/// Leaves read at once.
const PAGE: u16 = 256;

/// The most bytes of a file with a leaf: a leaf has 60,000, and in a line of JSON each may stand for six.
const LEAF_FILE_BYTES_MAX: usize = 512 << 10;

/// What is asked for and is not there, or does not hold.
#[derive(Debug, thiserror::Error)]
enum ProveError {
    #[error("there is no event of this id{}", log.map(|log| format!(" in log {}", log.as_str())).unwrap_or_default())]
    NoEvent { log: Option<Log> },
    #[error("the proof is not UTF-8")]
    NotText,
    #[error("the proof does not hold for this key and this leaf")]
    DoesNotHold(#[source] TreeError),
}

impl Fault for ProveError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoEvent { .. } => "ops-cli/no-event",
            Self::NotText => "ops-cli/proof-not-text",
            Self::DoesNotHold(_) => "ops-cli/proof-does-not-hold",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::NoEvent { .. } => FaultKind::NotFound,
            Self::NotText => FaultKind::Invalid,
            Self::DoesNotHold(_) => FaultKind::Integrity,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::DoesNotHold(error) => error.hint(),
            _ => None,
        }
    }
}

pub(super) async fn checkpoint(log: LogArg, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let audit = parts.log().await?;
    audit.drain_outbox().await?;
    let mut signed: Vec<SignedCheckpoint> = Vec::new();
    for log in Log::ALL.into_iter().filter(|one| log.one().is_none_or(|log| log == *one)).collect::<Vec<_>>()
    {
        signed.push(audit.checkpoint(log).await?);
    }
    command::finish(&parts).await?;
    if global.is_json() {
        output::json(&json!({ "logs": signed }))?;
        return Ok(Exit::Ok);
    }
    for (n, one) in signed.iter().enumerate() {
        if n > 0 {
            output::line("")?;
        }
        output::bytes(one.note.to_string().as_bytes())?;
        output::say(&format!("vkey of {}: {}", one.log.as_str(), one.verifier));
    }
    Ok(Exit::Ok)
}

pub(super) async fn prove(event: Place, log: Option<Log>, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let audit = parts.log().await?;
    audit.drain_outbox().await?;
    let (log, index) = match event {
        Place::Index(index) => (log.unwrap_or(Log::Decisions), index),
        Place::Id(id) => {
            let found = audit.find(id).await?;
            let found = found.and_then(|entry| Some((entry.log.parse::<Log>().ok()?, entry.index)));
            found.filter(|(of, _)| log.is_none_or(|log| log == *of)).ok_or(ProveError::NoEvent { log })?
        }
    };
    let proof = audit.prove(log, index).await?;
    command::finish(&parts).await?;
    if global.is_json() {
        output::json(&json!({"log": log.as_str(), "index": index, "proof": proof.to_string()}))?;
    } else {
        output::bytes(proof.to_string().as_bytes())?;
    }
    Ok(Exit::Ok)
}

/// One line of an export. The leaf is text and not an object: what was hashed are its bytes, and a program that reads
/// and writes JSON may change them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Exported {
    index: u64,
    leaf_hash: String,
    leaf: String,
}

impl Exported {
    fn of(leaf: LeafAt) -> Result<Self, CliError> {
        let text = String::from_utf8(leaf.leaf).ok().ok_or(clawexchange_audit::AuditError::Leaf)?;
        Ok(Self { index: leaf.index, leaf_hash: hex(&leaf.hash), leaf: text })
    }
}

pub(super) async fn export(args: &ExportArgs, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let audit = parts.log().await?;
    audit.drain_outbox().await?;
    let size = audit.size(args.log).await?;
    let asked = args.to.map_or(args.from, |to| to.max(args.from));
    if args.to.is_some_and(|to| to < args.from) {
        return Err(CliError::usage("--to comes before --from"));
    }
    if asked >= size && (args.to.is_some() || args.from > 0) {
        let log = args.log.as_str();
        return Err(clawexchange_audit::AuditError::NotReached { log, size, asked }.into());
    }
    let end = args.to.map_or(size, |to| to + 1);
    let doing = || format!("write {}", args.file.display());
    let mut file = open(&args.file).map_err(|e| CliError::io(doing(), e))?;
    let mut at = args.from;
    while at < end {
        let lines = lines(audit, args.log, at, end).await?;
        at += lines.len() as u64;
        for line in lines {
            file.write_all(&line).map_err(|e| CliError::io(doing(), e))?;
        }
    }
    file.flush().map_err(|e| CliError::io(doing(), e))?;
    drop(file);
    command::finish(&parts).await?;
    if args.file != Path::new("-") {
        output::say(&format!("events of log {} written: {}", args.log.as_str(), end - args.from));
    }
    Ok(Exit::Ok)
}

/// Some lines of an export, from one event on and before another; one at least.
pub(super) async fn lines(audit: &AuditLog, log: Log, at: u64, end: u64) -> Result<Vec<Vec<u8>>, CliError> {
    let most = u16::try_from(end - at).unwrap_or(PAGE).min(PAGE);
    let leaves = audit.leaves(log, at, most).await?;
    if leaves.is_empty() {
        return Err(clawexchange_audit::AuditError::Head { log: log.as_str() }.into());
    }
    let mut lines = Vec::with_capacity(leaves.len());
    for leaf in leaves {
        let line = serde_json::to_vec(&Exported::of(leaf)?);
        let mut line = line.map_err(|e| CliError::io("write JSON", e.into()))?;
        line.push(b'\n');
        lines.push(line);
    }
    Ok(lines)
}

/// Leaves say who did what, under aliases: nobody else is to read them.
fn open(file: &Path) -> std::io::Result<Box<dyn Write>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufWriter::new(std::io::stdout())));
    }
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    Ok(Box::new(BufWriter::new(file)))
}

pub(super) fn check(args: &CheckProofArgs, global: &Global) -> Result<Exit, CliError> {
    let bytes = command::read_bounded(&args.file, PROOF_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).ok().ok_or(ProveError::NotText)?;
    let proof: TlogProof = text.parse().map_err(CliError::from)?;
    let (checkpoint, is_included) = match &args.leaf {
        Some(leaf) => {
            let leaf = leaf_of(command::read_bounded(leaf, LEAF_FILE_BYTES_MAX)?);
            (proof.verify(&leaf, &args.vkey).map_err(ProveError::DoesNotHold)?, true)
        }
        None => (Checkpoint::open(proof.checkpoint(), &args.vkey).map_err(ProveError::DoesNotHold)?, false),
    };
    let (index, size, origin) = (proof.index(), checkpoint.size(), checkpoint.origin());
    if global.is_json() {
        output::json(&json!({
            "origin": origin, "size": size, "root": hex(checkpoint.root()), "index": index,
            "signed": true, "included": is_included.then_some(true),
        }))?;
    } else if is_included {
        output::line(&format!("the leaf is event {index} of the {size} of {origin}"))?;
    } else {
        output::line(&format!("{origin} was signed with {size} events"))?;
        output::say("no leaf was given, so what the proof is about was not checked: give it with --leaf");
    }
    Ok(Exit::Ok)
}

/// The leaf in a file: the bytes themselves, or the line of an export. No leaf of ours is such a line, and none ends in a
/// newline.
fn leaf_of(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Ok(exported) = serde_json::from_slice::<Exported>(&bytes) {
        return exported.leaf.into_bytes();
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
