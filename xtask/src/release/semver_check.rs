//! cargo-semver-checks: whether what is public still is what it was at the last tag.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use crate::run::{Failed, PATIENCE, streamed};
use crate::workspace::Workspace;

const PROGRAM: &str = "cargo-semver-checks";

/// How to get it.
pub(crate) const INSTALL: &str = "cargo install cargo-semver-checks --locked";

/// What is known about the public items of a crate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// There is nothing to compare with.
    FirstRelease,
    /// No commit touched it.
    Unchanged,
    /// A program has no public items.
    NoLibrary,
    /// Whoever built with the last release builds with this one.
    Compatible,
    /// Something that was public is gone or different.
    Breaking,
    /// The program was not asked, or is not there.
    NotChecked(&'static str),
    /// The program ended without a verdict.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstRelease => f.write_str("first release"),
            Self::Unchanged => f.write_str("unchanged"),
            Self::NoLibrary => f.write_str("no library"),
            Self::Compatible => f.write_str("compatible"),
            Self::Breaking => f.write_str("breaking"),
            Self::NotChecked(why) => write!(f, "not checked: {why}"),
            Self::Failed => write!(f, "failed: {PROGRAM} gave no verdict"),
        }
    }
}

/// The program on the path, if it is there.
pub(crate) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(PROGRAM)).find(|program| program.is_file())
}

/// Compares a crate with what it was at a tag; `release` is what it may be then, or else what its version says.
pub(crate) fn check(
    workspace: &Workspace,
    program: Option<&PathBuf>,
    (name, tag): (&str, &str),
    release: Option<&str>,
) -> Result<Verdict, Failed> {
    let Some(program) = program else { return Ok(Verdict::NotChecked(INSTALL)) };
    let mut command = Command::new(program);
    command.args(["semver-checks", "check-release", "--package", name, "--baseline-rev", tag]);
    command.args(release.map(|release| ["--release-type", release]).into_iter().flatten());
    command.current_dir(&workspace.root);
    let mut is_breaking = false;
    // Its exit code is the same for a break and for code that does not build.
    let status =
        streamed(command, PATIENCE, None, |line| is_breaking |= line.contains("semver requires new"))?;
    Ok(match (status.success(), is_breaking) {
        (true, _) => Verdict::Compatible,
        (false, true) => Verdict::Breaking,
        (false, false) => Verdict::Failed,
    })
}
