//! Settings, folders and files.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clawexchange_gateway::KeySource;
use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use super::{Deployment, Found, Looked};

/// A note that has a check of its own begins so.
const OWN_CHECKS: [&str; 5] =
    ["QUARANTINE_ENABLED:", "AUDIT_ENABLED:", "CLAW_GATE_MODE:", "CLAW_LISTEN:", "CLAW_ADMIN_LISTEN:"];

pub(super) async fn config(deployment: &Deployment) -> Looked {
    let settings = deployment.settings();
    let notices = settings.notices().iter().filter(|n| !OWN_CHECKS.iter().any(|own| n.starts_with(own)));
    let notes: Vec<&str> = settings.unknown().iter().chain(notices).map(String::as_str).collect();
    if notes.is_empty() {
        return Ok(Found::ok(format!("{} settings, no problem", settings.shown().len())));
    }
    Ok(Found::warn(
        notes.join("; "),
        "`claw config check` says it, `claw config show --origin` where it came from",
    ))
}

pub(super) async fn data_folder(deployment: &Deployment) -> Looked {
    deployment.folder()?;
    let path = deployment.on_disk()?.path();
    let about = metadata(path)?;
    Ok(Found::ok(format!("{}, of user {}, mode {:o}", path.display(), about.uid(), about.mode() & 0o777)))
}

/// Less room than this stops the server within minutes: SQLite needs some for its journal.
const ROOM_MIN: u64 = 64 << 20;
/// Less than this is soon gone.
const ROOM_LOW: u64 = 1 << 30;

pub(super) async fn space(deployment: &Deployment) -> Looked {
    let path = deployment.on_disk()?.path();
    let disk = statvfs(path).map_err(|e| unreadable(path, &e.into()))?;
    Ok(room_left(disk.f_bavail.saturating_mul(disk.f_frsize)))
}

fn room_left(free: u64) -> Found {
    let text = format!("{} MiB are free", free >> 20);
    let fix = "make room, as docs/operations.md says under A full disk";
    match free {
        0..ROOM_MIN => Found::fail(text, fix),
        ROOM_MIN..ROOM_LOW => Found::warn(text, fix),
        ROOM_LOW.. => Found::ok(text),
    }
}

pub(super) async fn writable(deployment: &Deployment) -> Looked {
    let path = deployment.on_disk()?.path();
    let disk = statvfs(path).map_err(|e| unreadable(path, &e.into()))?;
    if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(Found::fail(
            "it lies on a read-only disk",
            "mount it writable, or see what the kernel said of the disk",
        ));
    }
    match access(path, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(Found::ok("it can be written")),
        Err(error) => Ok(Found::fail(
            format!("it cannot be written: {}", std::io::Error::from(error)),
            format!("chmod 700 {}", path.display()),
        )),
    }
}

pub(super) async fn state_folder(deployment: &Deployment) -> Looked {
    let path = &deployment.settings().state_dir;
    if !path.exists() {
        return Ok(Found::fail(
            format!("{} is not there", path.display()),
            "restore it from the backup, or set XDG_STATE_HOME to where it lies",
        ));
    }
    let about = metadata(path)?;
    if let Some(found) = open_to_others(path, &about) {
        return Ok(found);
    }
    if lies_within(path, deployment.inside()?.path()) {
        return Ok(Found::fail(
            format!("{} lies in the data folder, so who takes the one has the other", path.display()),
            "set XDG_STATE_HOME to a folder outside the data folder, and move it there",
        ));
    }
    Ok(Found::ok(format!("{}, mode {:o}", path.display(), about.mode() & 0o777)))
}

pub(super) async fn master_key(deployment: &Deployment) -> Looked {
    let keys = deployment.keys()?;
    let here = keys.masters();
    let names: Vec<&str> = here.iter().map(clawexchange_ssg_core::KeyId::as_str).collect();
    let Some(path) = key_path(deployment).await? else {
        return Ok(Found::ok(format!("{} opens this folder", names.join(", "))));
    };
    let about = metadata(&path)?;
    // That a generated one is ours alone was seen when it was read. Mounted secrets have an owner and a group of their own.
    if let Some(found) = open_to_everybody(&path, &about) {
        return Ok(found);
    }
    if lies_within(&path, deployment.inside()?.path()) {
        return Ok(Found::fail(
            format!("{} lies in the data folder, so who takes the one has the other", path.display()),
            "keep it outside the data folder, and name it in ENCRYPTION_MASTER_KEY_FILE",
        ));
    }
    let age = about.modified().ok().and_then(|at| at.elapsed().ok()).map_or(0, |age| age.as_secs() / 86_400);
    Ok(Found::ok(format!(
        "{} opens this folder; {}, mode {:o}, {age} days old",
        names.join(", "),
        path.display(),
        about.mode() & 0o777
    )))
}

pub(super) async fn key_source(deployment: &Deployment) -> Looked {
    Ok(match &deployment.settings().key {
        KeySource::Given(_) if deployment.variable("ENCRYPTION_MASTER_KEY").is_some() => Found::warn(
            "the master key stands in the environment, where other programs of this user read it",
            "put it into a file of mode 600 and name that in ENCRYPTION_MASTER_KEY_FILE",
        ),
        KeySource::Given(_) => Found::ok("the master key comes from a file that is named"),
        KeySource::File(_) => Found::ok("the master keys come from a file that is named"),
        KeySource::Command { .. } => Found::ok("the master keys are kept by a command"),
        _ => Found::ok("the master key was generated into the state folder; keep a copy elsewhere"),
    })
}

/// The file that the key lies in, if it lies in one.
async fn key_path(deployment: &Deployment) -> Result<Option<PathBuf>, Found> {
    match &deployment.settings().key {
        KeySource::Given(_) => Ok(deployment.variable("ENCRYPTION_MASTER_KEY_FILE").map(Path::to_path_buf)),
        KeySource::File(path) => Ok(Some(path.clone())),
        KeySource::Command { .. } => Ok(None),
        _ => Ok(Some(deployment.parts().key_path().await?)),
    }
}

fn metadata(path: &Path) -> Result<Metadata, Found> {
    std::fs::metadata(path).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Found {
    Found::fail(
        format!("could not look at {}: {error}", path.display()),
        "see who owns it, and whether it is there",
    )
}

/// Says it if others than the owner may look into a folder, or if the owner is another one.
fn open_to_others(path: &Path, about: &Metadata) -> Option<Found> {
    let uid = rustix::process::geteuid().as_raw();
    if about.uid() != uid {
        return Some(Found::fail(
            format!("{} belongs to user {}, not to user {uid}", path.display(), about.uid()),
            format!("run as user {}, or chown it", about.uid()),
        ));
    }
    let mode = about.mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        Found::fail(
            format!("{} is open to others (mode {mode:o})", path.display()),
            format!("chmod 700 {}", path.display()),
        )
    })
}

/// Says it if everybody may read or write a file.
fn open_to_everybody(path: &Path, about: &Metadata) -> Option<Found> {
    let mode = about.mode() & 0o777;
    (mode & 0o007 != 0).then(|| {
        Found::fail(
            format!("{} is open to everybody (mode {mode:o})", path.display()),
            format!("chmod 600 {}", path.display()),
        )
    })
}

fn lies_within(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => path.starts_with(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_disk_runs_low_before_it_runs_out() {
        for (mib, state) in
            [(0, State::Fail), (63, State::Fail), (64, State::Warn), (1023, State::Warn), (1024, State::Ok)]
        {
            assert_eq!(room_left(mib << 20).state, state, "{mib}");
        }
    }
}
