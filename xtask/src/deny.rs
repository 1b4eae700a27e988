//! cargo-deny: one version of it, found or built.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failed, PATIENCE, streamed};
use crate::workspace::Workspace;

/// The version that deny.toml is written for.
const VERSION: &str = "0.20.2";

/// The three checks that need no advisory database, and so no network: a fourth would fail wherever there is none.
const CHECKS: [&str; 5] = ["--offline", "check", "bans", "licenses", "sources"];

/// The command that checks what we depend on; builds cargo-deny first where this version is not there.
pub(crate) fn command(workspace: &Workspace, log: &mut File) -> Result<Command, Failed> {
    let cache = cache();
    let program = find(cache.as_deref()).map_or_else(|| install(workspace, cache.as_deref(), log), Ok)?;
    // Offline, the check can only read packages that lie on this machine.
    let fetched = streamed(workspace.cargo(&["fetch"]), PATIENCE, Some(log), |_| {})?;
    if !fetched.success() {
        return Err(Failed::new("could not fetch the packages that Cargo.lock names"));
    }
    let mut command = Command::new(program);
    command.args(CHECKS).current_dir(&workspace.root);
    Ok(command)
}

fn find(cache: Option<&Path>) -> Option<PathBuf> {
    let home = std::env::home_dir().map(|home| home.join(".cargo/bin/cargo-deny"));
    let cached = cache.map(|cache| cache.join("bin/cargo-deny"));
    let places = [Some(PathBuf::from("cargo-deny")), home, cached];
    places.into_iter().flatten().find(|program| has_version(program))
}

fn has_version(program: &Path) -> bool {
    let Ok(output) = Command::new(program).arg("--version").output() else { return false };
    String::from_utf8_lossy(&output.stdout).trim() == format!("cargo-deny {VERSION}")
}

fn install(workspace: &Workspace, cache: Option<&Path>, log: &mut File) -> Result<PathBuf, Failed> {
    let Some(cache) = cache else {
        return Err(Failed::missing(
            format!("cargo-deny {VERSION} is not installed, and there is no home folder to keep it in"),
            format!("cargo install cargo-deny --version {VERSION} --locked"),
        ));
    };
    eprintln!("building cargo-deny {VERSION} into {}", cache.display());
    // Unoptimised it is built in half the time, and what it has to check is small.
    let mut cargo = workspace.cargo(&["install", "cargo-deny", "--version", VERSION, "--locked", "--debug"]);
    cargo.arg("--root").arg(cache).env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    cargo.env("CARGO_TARGET_DIR", cache.join("build"));
    let installed = streamed(cargo, PATIENCE, Some(log), |_| {})?;
    // What it was built from is of no use once it is built.
    drop(std::fs::remove_dir_all(cache.join("build")));
    let program = cache.join("bin/cargo-deny");
    if installed.success() && has_version(&program) {
        Ok(program)
    } else {
        Err(Failed::missing(
            format!("could not build cargo-deny {VERSION}"),
            format!("cargo install cargo-deny --version {VERSION} --locked"),
        ))
    }
}

/// Where it is kept: a folder per version, beside other caches of this user.
fn cache() -> Option<PathBuf> {
    let caches = match std::env::var_os("XDG_CACHE_HOME") {
        Some(set) if !set.is_empty() => PathBuf::from(set),
        _ => std::env::home_dir()?.join(".cache"),
    };
    Some(caches.join("clawexchange").join(format!("cargo-deny-{VERSION}")))
}
