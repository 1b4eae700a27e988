//! What git knows: the tags, the commits since, whether anything is uncommitted.

use std::path::Path;
use std::process::Command;

use crate::run::{Failed, captured};

/// Commits that are listed of one crate at most; more say nothing more.
const COMMITS_MAX: &str = "--max-count=500";

/// The repository of the workspace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Git<'w>(pub(crate) &'w Path);

impl Git<'_> {
    /// Paths that are changed and not committed, or that git does not know.
    pub(crate) fn uncommitted(self) -> Result<Vec<String>, Failed> {
        let status = self.ask(&["status", "--porcelain"])?;
        Ok(status.lines().filter_map(|line| line.get(3..)).map(ToOwned::to_owned).collect())
    }

    pub(crate) fn head(self) -> Result<String, Failed> {
        Ok(self.ask(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Tags on the way to what is checked out; one of another branch tells nothing of this one.
    pub(crate) fn tags(self) -> Result<Vec<String>, Failed> {
        Ok(self.ask(&["tag", "--list", "--merged", "HEAD"])?.lines().map(ToOwned::to_owned).collect())
    }

    /// Subjects of the commits that touched a folder since a tag, or ever; newest first.
    pub(crate) fn commits(self, since: Option<&str>, folder: &str) -> Result<Vec<String>, Failed> {
        let range = since.map_or_else(|| "HEAD".to_owned(), |tag| format!("refs/tags/{tag}..HEAD"));
        let listed = self.ask(&["log", COMMITS_MAX, "--no-merges", "--format=%s", &range, "--", folder])?;
        Ok(listed.lines().map(ToOwned::to_owned).collect())
    }

    pub(crate) fn has_tag(self, tag: &str) -> Result<bool, Failed> {
        Ok(!self.ask(&["tag", "--list", tag])?.trim().is_empty())
    }

    /// The commit that a tag stands on.
    pub(crate) fn commit_of(self, tag: &str) -> Result<String, Failed> {
        Ok(self.ask(&["rev-parse", &format!("refs/tags/{tag}^{{commit}}")])?.trim().to_owned())
    }

    /// Whether a tag can be made: git wants to know who makes it.
    pub(crate) fn knows_who_tags(self) -> bool {
        self.ask(&["var", "GIT_COMMITTER_IDENT"]).is_ok()
    }

    pub(crate) fn tag(self, tag: &str, message: &str, commit: &str) -> Result<(), Failed> {
        self.ask(&["tag", "--annotate", "--message", message, tag, commit]).map(drop)
    }

    pub(crate) fn push(self, remote: &str, tags: &[String]) -> Result<(), Failed> {
        let refs: Vec<_> = tags.iter().map(|tag| format!("refs/tags/{tag}")).collect();
        let args = ["push", "--quiet", "--", remote].into_iter().chain(refs.iter().map(String::as_str));
        self.ask(&args.collect::<Vec<_>>()).map(drop)
    }

    fn ask(self, args: &[&str]) -> Result<String, Failed> {
        let mut git = Command::new("git");
        git.args(args).current_dir(self.0);
        let output = captured(git)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failed::new(format!("git {}: {said}", args.join(" "))))
    }
}
