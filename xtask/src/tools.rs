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

/// What the documents have their readers use, and what stands for programs of others.
const OTHERS: [Tool; 6] = [
    // Debian's package starts a server of its own when it is installed; ours are others, on ports that are free.
    Tool {
        program: "initdb",
        package: "postgresql",
        purpose: "the suites start PostgreSQL servers of their own",
    },
    // As above; the package brings redis-cli along.
    Tool {
        program: "redis-server",
        package: "redis-server",
        purpose: "the suites start Redis servers of their own",
    },
    Tool { program: "curl", package: "curl", purpose: "the README's first day is run as it is written" },
    Tool {
        program: "sqlite3",
        package: "sqlite3",
        purpose: "backups are made and restored as they are written down",
    },
    Tool { program: "node", package: "nodejs", purpose: "a program written for the original is run" },
    Tool {
        program: "python3",
        package: "python3",
        purpose: "a key service that is asked through a program stands in it",
    },
];

/// Sees to it that all is there: installs what is missing where that is safe or asked for, else says how.
///
/// Safe is root on Debian with nobody at the terminal or in CI; there the machine is thrown away afterwards.
pub(crate) fn provide(workspace: &Workspace, install: bool) -> Result<(), Failed> {
    // A tree that was unpacked and not cloned has no commit to ask for.
    let git = workspace.root.join(".git").exists().then_some(GIT);
    let missing: Vec<Tool> = git.into_iter().chain(OTHERS).filter(|tool| !is_there(tool.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    let command = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    let unattended = std::env::var("CI").is_ok_and(|ci| ci == "true") || !std::io::stderr().is_terminal();
    if is_root_on_debian() && (install || unattended) {
        let install = [&["install", "-y", "--no-install-recommends"], packages.as_slice()].concat();
        // A new machine has no lists yet, and one that has them need not ask for them again.
        if apt(&install)? || (apt(&["update"])? && apt(&install)?) {
            return Ok(());
        }
    }
    let what: Vec<_> = missing.iter().map(|t| format!("{} ({})", t.program, t.purpose)).collect();
    Err(Failed::missing(format!("not installed: {}", what.join(", ")), command))
}

fn apt(args: &[&str]) -> Result<bool, Failed> {
    eprintln!("+ apt-get {}", args.join(" "));
    let mut command = Command::new("apt-get");
    // Nobody is there to answer what a package asks.
    let status = command.args(args).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()).status();
    Ok(status.map_err(|e| Failed::start("apt-get", &e))?.success())
}

/// Where Debian has the programs of PostgreSQL's server, a folder a version.
const POSTGRES: &str = "/usr/lib/postgresql";

fn is_there(program: &str) -> bool {
    let mut versions = std::fs::read_dir(POSTGRES).into_iter().flatten().flatten();
    if versions.any(|version| version.path().join("bin").join(program).exists()) {
        return true;
    }
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn is_root_on_debian() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let effective = uid.and_then(|uids| uids.split_whitespace().nth(1));
    effective == Some("0") && std::path::Path::new("/etc/debian_version").exists()
}
