//! Programs that the suites start and that rustup does not bring.

use std::io::IsTerminal as _;
use std::process::{Command, Stdio};

use crate::run::Failed;
use crate::workspace::Workspace;

/// A program, the Debian package that has it, and what it is for.
struct Tool {
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const GIT: Tool = Tool { program: "git", package: "git", purpose: "samples are drawn by the commit id" };

/// Sees to it that all is there: installs what is missing where that is safe or asked for, else says how.
///
/// Safe is root on Debian with nobody at the terminal or in CI; there the machine is thrown away afterwards.
pub(crate) fn provide(workspace: &Workspace, install: bool) -> Result<(), Failed> {
    // A tree that was unpacked and not cloned has no commit to ask for.
    let needed: &[Tool] = if workspace.root.join(".git").exists() { &[GIT] } else { &[] };
    let missing: Vec<_> = needed.iter().filter(|tool| !is_there(tool.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    let command = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    let unattended = std::env::var("CI").is_ok_and(|ci| ci == "true") || !std::io::stderr().is_terminal();
    if is_root_on_debian() && (install || unattended) {
        eprintln!("+ {command}");
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "--no-install-recommends"]).args(&packages).stdout(Stdio::null());
        let status = apt.status().map_err(|e| Failed::start("apt-get", &e))?;
        if status.success() {
            return Ok(());
        }
    }
    let what: Vec<_> = missing.iter().map(|t| format!("{} ({})", t.program, t.purpose)).collect();
    Err(Failed::missing(format!("not installed: {}", what.join(", ")), command))
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn is_root_on_debian() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let effective = uid.and_then(|uids| uids.split_whitespace().nth(1));
    effective == Some("0") && std::path::Path::new("/etc/debian_version").exists()
}
