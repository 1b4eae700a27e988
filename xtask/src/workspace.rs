//! Where things are: the root, the target folder, the packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::run::Failed;

/// The workspace, as `cargo metadata` tells it.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    metadata: Value,
}

impl Workspace {
    /// Asks cargo about the workspace that this program was started in.
    pub(crate) fn find() -> Result<Self, Failed> {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .current_dir(&here)
            .output()
            .map_err(|e| Failed::start("cargo", &e))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failed::new(format!("cargo cannot read the workspace: {said}")));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)
            .map_err(|e| Failed::new(format!("cargo metadata is not JSON: {e}")))?;
        let path = |name: &str| {
            metadata.get(name).and_then(Value::as_str).map(PathBuf::from).ok_or_else(|| {
                Failed::new(format!("cargo metadata says no {name}: is this cargo older than 1.95?"))
            })
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")?, metadata })
    }

    /// The members, as cargo describes them.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata.get("packages").and_then(Value::as_array).into_iter().flatten()
    }

    /// Names of all targets of a kind, such as `bench` or `test`, sorted and each once.
    pub(crate) fn targets(&self, kind: &str) -> Vec<&str> {
        let targets = self.packages().filter_map(|p| p.get("targets")).filter_map(Value::as_array).flatten();
        let is_of = |t: &&Value| {
            let kinds = t.get("kind").and_then(Value::as_array);
            kinds.is_some_and(|kinds| kinds.iter().any(|k| k == kind))
        };
        let mut names: Vec<_> =
            targets.filter(is_of).filter_map(|t| t.get("name").and_then(Value::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// A cargo command at the root, which sees nothing of the one that runs this program: some build scripts look at what
    /// cargo sets, and would run again each time that one is called by hand and the other from here.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo());
        command.args(args).current_dir(&self.root);
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_str().is_some_and(is_of_this_package)) {
            command.env_remove(name);
        }
        command
    }

    /// What a debug build puts at `path`, such as `claw` or `examples/evaluate`.
    pub(crate) fn built(&self, path: impl AsRef<Path>) -> PathBuf {
        self.target.join("debug").join(path).with_extension(std::env::consts::EXE_EXTENSION)
    }

    /// The commit that is checked out, in hexadecimal; `None` outside a repository or before its first commit.
    pub(crate) fn commit(&self) -> Option<String> {
        let mut git = Command::new("git");
        let output = git.args(["rev-parse", "HEAD"]).current_dir(&self.root).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }

    /// What samples are drawn by: the first 16 digits of the commit id, so that each commit has its own sample and
    /// a failure can be had again; 0 where there is no commit.
    pub(crate) fn seed(&self) -> u64 {
        let commit = self.commit();
        let digits = commit.as_deref().and_then(|commit| commit.get(..16));
        digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
    }
}

/// Whether `cargo run` sets a variable for the package that it runs.
fn is_of_this_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
