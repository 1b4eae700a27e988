//! `claw audit retire|check-export`: old events leave the database, and stay provable.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clawexchange_audit::{AuditLog, EXPORT_LINE_BYTES_MAX, ExportCheck, ExportedTo, Leaving, Log};
use clawexchange_gateway::{Intent, Parts};
use clawexchange_migrations::Destroy;
use clawexchange_ssg_core::{Clock as _, Fault, FaultKind, SystemClock, Timestamp, fail_point};
use serde_json::json;

use crate::args::{Global, RetireArgs};
use crate::command::{audit, prove};
use crate::exit::Exit;
use crate::progress::Progress;
use crate::report::CliError;
use crate::{command, output};

/// How long verdicts are kept at hand.
const VERDICTS_KEPT: Duration = Duration::from_hours(24 * 90);

/// How long decisions are kept at hand: seven years, two of them leap years at most.
const DECISIONS_KEPT: Duration = Duration::from_hours(24 * (7 * 365 + 2));

/// Records looked at together.
const PAGE: u32 = 1000;

/// Why nothing is retired.
#[derive(Debug, thiserror::Error)]
enum RetireError {
    #[error("events of log {} that are younger than {} days are kept", log.as_str(), kept.as_secs() / 86_400)]
    TooYoung { log: Log, kept: Duration },
    #[error("record {id} is undecided or under a legal hold, and what would leave tells of it{}", more(*others))]
    Unsettled { id: String, others: usize },
    #[error("the export {} has events {}..{} of log {}, and {}..{} of log {} would leave", path.display(),
        found.from, found.to, found.log.as_str(), leaving.from, leaving.to, leaving.log.as_str())]
    OtherExport { path: PathBuf, found: Box<ExportedTo>, leaving: Leaving },
    #[error("this takes evidence out of the database, and nobody said so by name")]
    Unnamed,
}

fn more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and of {others} more)") }
}

impl Fault for RetireError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooYoung { .. } => "ops-cli/too-young",
            Self::Unsettled { .. } => "ops-cli/unsettled",
            Self::OtherExport { .. } => "ops-cli/other-export",
            Self::Unnamed => "ops-cli/unnamed",
        }
    }

    fn kind(&self) -> FaultKind {
        FaultKind::NotAllowed
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::TooYoung { .. } => "name an earlier moment, or say --sooner if that is meant".to_owned(),
            Self::Unsettled { .. } => {
                "decide about it, or lift the hold: `claw quarantine show ID`; or name an earlier moment"
                    .to_owned()
            }
            Self::OtherExport { .. } => "name a file that is not there yet".to_owned(),
            Self::Unnamed => format!("say it by name: --destroy {}", Destroy::PHRASE),
        })
    }
}

pub(super) async fn run(args: &RetireArgs, global: &Global) -> Result<Exit, CliError> {
    let parts = Parts::new(command::settings(global)?.as_owner(), Intent::Use);
    let log = parts.log().await?;
    log.drain_outbox().await?;
    let before = moment(args)?;
    let leaving = log.leaving(args.log, before).await?;
    refuse_unsettled(&parts, &leaving).await?;
    if args.dry_run {
        return tell(&leaving, None, 0, global);
    }
    match args.destroy.as_deref() {
        None => return Err(RetireError::Unnamed.into()),
        Some(phrase) if Destroy::named(phrase).is_none() => {
            return Err(CliError::usage(format!(
                "--destroy takes the phrase {} and nothing else",
                Destroy::PHRASE
            )));
        }
        Some(_) => {}
    }
    log.may_remove().await?;
    if !is_verified(&parts).await? {
        return Ok(Exit::Integrity);
    }
    let mut exported = None;
    if leaving.to > leaving.from {
        log.checkpoint(args.log).await?;
        let file = args.export.as_deref().ok_or_else(|| CliError::usage("--export names no file"))?;
        let export = export(log, &leaving, file).await?;
        log.announce(&leaving, &export, &command::actor(global)?).await?;
        // What was said is signed and pinned before anything goes.
        log.checkpoint(Log::Decisions).await?;
        log.pin().await?;
        fail_point!("retire.signed");
        exported = Some(export);
    }
    let removed = log.remove_retired(args.log).await?;
    if !is_verified(&parts).await? {
        return Ok(Exit::Integrity);
    }
    command::finish(&parts).await?;
    tell(&leaving, exported.as_ref(), removed, global)
}

/// Up to when what leaves was committed.
fn moment(args: &RetireArgs) -> Result<Timestamp, CliError> {
    let now = SystemClock::new().now();
    let before = args.before.moment(now);
    if before > now {
        return Err(CliError::usage("--before is a moment of the past"));
    }
    let kept = match args.log {
        Log::Verdicts => VERDICTS_KEPT,
        Log::Decisions => DECISIONS_KEPT,
    };
    if before > now.minus(kept) && !args.sooner {
        return Err(RetireError::TooYoung { log: args.log, kept }.into());
    }
    Ok(before)
}

/// What the log says of a record that is undecided or under a legal hold stays in it.
async fn refuse_unsettled(parts: &Parts, leaving: &Leaving) -> Result<(), CliError> {
    if leaving.log == Log::Verdicts || leaving.to == leaving.from {
        return Ok(());
    }
    let (vault, log) = (parts.vault().await?, parts.log().await?);
    let (mut after, mut told): (Option<String>, Vec<String>) = (None, Vec::new());
    loop {
        let ids = vault.unsettled(after.as_deref(), PAGE).await?;
        let Some(last) = ids.last() else { break };
        after = Some(last.clone());
        told.extend(log.leaving_about(leaving, &ids).await?);
    }
    told.sort();
    let others = told.len().saturating_sub(1);
    match told.into_iter().next() {
        Some(id) => Err(RetireError::Unsettled { id, others }.into()),
        None => Ok(()),
    }
}

async fn is_verified(parts: &Parts) -> Result<bool, CliError> {
    let report = audit::verified(parts).await?;
    for line in audit::discrepancies(&report) {
        output::say(&line);
    }
    if !report.is_clean() {
        output::say("the log is not as it was written, so nothing leaves it; see `claw audit verify`");
    }
    Ok(report.is_clean())
}

/// Exports what leaves, unless the file is there; then it is read again, from the disk, and compared with the log.
async fn export(log: &AuditLog, leaving: &Leaving, file: &Path) -> Result<ExportedTo, CliError> {
    if !file.exists() {
        write(log, leaving, file).await?;
        fail_point!("retire.exported");
    }
    let found = checked(log, Some(leaving.log), file).await?;
    if (found.log, found.from, found.to) != (leaving.log, leaving.from, leaving.to) {
        let (path, found) = (file.to_path_buf(), Box::new(found));
        return Err(RetireError::OtherExport { path, found, leaving: *leaving }.into());
    }
    Ok(found)
}

/// Writes the export beside its place, and gives it its name once all of it is on the disk.
async fn write(log: &AuditLog, leaving: &Leaving, file: &Path) -> Result<(), CliError> {
    let doing = || format!("write {}", file.display());
    let draft = PathBuf::from(format!("{}.part", file.display()));
    let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
    let mut out = BufWriter::new(open.map_err(|e| CliError::io(doing(), e))?);
    let progress = Progress::of(leaving.to - leaving.from, "events");
    let mut at = leaving.from;
    while at < leaving.to {
        let lines = prove::lines(log, leaving.log, at, leaving.to).await?;
        at += lines.len() as u64;
        progress.add(lines.len() as u64);
        for line in lines {
            out.write_all(&line).map_err(|e| CliError::io(doing(), e))?;
        }
    }
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let kept = || {
        let written = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        written.sync_all()?;
        std::fs::rename(&draft, file)?;
        File::open(parent)?.sync_all()
    };
    kept().map_err(|e| CliError::io(doing(), e))
}

/// Compares every line of an export with the log.
async fn checked(log: &AuditLog, of: Option<Log>, file: &Path) -> Result<ExportedTo, CliError> {
    let doing = || format!("read {}", file.display());
    let mut read = BufReader::new(File::open(file).map_err(|e| CliError::io(doing(), e))?);
    let mut check = ExportCheck::new(log, of);
    loop {
        let mut line = Vec::new();
        let most = u64::try_from(EXPORT_LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let n =
            read.by_ref().take(most).read_until(b'\n', &mut line).map_err(|e| CliError::io(doing(), e))?;
        if n == 0 {
            break;
        }
        check.line(&line).await?;
    }
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(check.finish(name.get(..name.len().min(255)).unwrap_or_default())?)
}

pub(super) async fn check(file: &Path, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let found = checked(parts.log().await?, None, file).await?;
    if global.is_json() {
        output::json(&json!({
            "log": found.log.as_str(), "from": found.from, "to": found.to, "bytes": found.bytes, "sha256": found.sha256,
        }))?;
    } else {
        output::line(&format!(
            "events {} to {} of log {} are what the log hashed",
            found.from,
            found.to.saturating_sub(1),
            found.log.as_str()
        ))?;
        output::line(&format!("sha256 {}", found.sha256))?;
    }
    Ok(Exit::Ok)
}

fn tell(
    leaving: &Leaving,
    exported: Option<&ExportedTo>,
    removed: u64,
    global: &Global,
) -> Result<Exit, CliError> {
    let (log, n) = (leaving.log.as_str(), leaving.to - leaving.from);
    if global.is_json() {
        output::json(&json!({
            "log": log, "from": leaving.from, "to": leaving.to, "until": leaving.until,
            "exportSha256": exported.map(|export| &export.sha256), "removed": removed,
        }))?;
        return Ok(Exit::Ok);
    }
    match (leaving.until, exported) {
        (Some(until), Some(export)) => output::line(&format!(
            "events {} to {} of log {log}, the last of {until}, are exported: sha256 {}",
            leaving.from,
            leaving.to - 1,
            export.sha256
        ))?,
        (Some(until), None) => output::line(&format!(
            "{n} events of log {log} would leave: {} to {}, the last of {until}",
            leaving.from,
            leaving.to - 1
        ))?,
        (None, _) => output::line(&format!("no event of log {log} is old enough"))?,
    }
    if removed > 0 {
        output::line(&format!("{removed} events left the database; the log verifies without them"))?;
    }
    Ok(Exit::Ok)
}
