//! Uploads crates in the order of their needs, tags what is out, and goes on after a failure where it stopped.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::changelog::Heading;
use super::crates::{Crate, Crates};
use super::git::Git;
use super::package;
use super::plan::{changelog, last};
use super::registry::Registry;
use super::semver_check::{self, Verdict};
use crate::run::{Failed, PATIENCE, streamed};
use crate::table::table;
use crate::workspace::Workspace;

/// How often one upload is tried: a registry that fails three times in a row needs somebody to look at it.
const ATTEMPTS_MAX: u32 = 3;

/// What cargo says when another try may help: the registry is ill or away, not the package.
const PASSING: [&str; 7] = [
    "(status 5",
    "got 5",
    "spurious network error",
    "timed out",
    "ould not connect",
    "onnection reset",
    "HTTP2",
];

/// How it is done.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) names: Vec<String>,
    pub(crate) registry: String,
    pub(crate) is_executed: bool,
    /// Whether packages are not built before they go.
    pub(crate) is_unverified: bool,
    /// Why public items are not compared with the last release, if they are not.
    pub(crate) unchecked: Option<String>,
    /// Where the tags are pushed to, if anywhere.
    pub(crate) remote: Option<String>,
    /// How long an upload may take to appear.
    pub(crate) patience: Duration,
    /// Before the second attempt; twice as long before the third.
    pub(crate) pause: Duration,
}

/// What became of a crate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    There,
    /// A tag or the registry says that it was uploaded, and the index does not show it.
    Hidden,
    WouldUpload,
    Uploaded,
    Failed,
    Waiting,
}

impl Outcome {
    fn text(self) -> &'static str {
        match self {
            Self::There => "there already",
            Self::Hidden => "there and not shown: yanked?",
            Self::WouldUpload => "would upload",
            Self::Uploaded => "uploaded",
            Self::Failed => "failed",
            Self::Waiting => "not tried",
        }
    }
}

/// What became of all of them.
#[derive(Debug)]
pub(crate) struct Report<'c>(Vec<(&'c Crate, Outcome)>);

impl Report<'_> {
    pub(crate) fn table(&self) -> String {
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|(c, outcome)| vec![c.short().to_owned(), c.version.to_string(), outcome.text().to_owned()])
            .collect();
        table(&["crate", "version", "outcome"], &rows)
    }

    pub(crate) fn json(&self) -> Value {
        let items = self.0.iter().map(
            |(c, outcome)| json!({ "crate": c.name, "version": c.version.to_string(), "outcome": outcome.text() }),
        );
        json!({ "items": items.collect::<Vec<_>>() })
    }
}

/// Publishes what is asked for, or tries everything that can be tried without uploading.
///
/// The report tells what was done, also of a run that failed in the middle.
pub(crate) fn run<'c>(
    workspace: &Workspace,
    crates: &'c Crates,
    options: &Options,
) -> Result<(Report<'c>, Result<(), Failed>), Failed> {
    let release = Release {
        workspace,
        git: Git(&workspace.root),
        registry: Registry::called(workspace, &options.registry),
        options,
    };
    let mut report = Report(Vec::new());
    for c in crates.select(&options.names)? {
        let outcome = release.outcome_so_far(c)?;
        report.0.push((c, outcome));
    }
    let waiting: Vec<&Crate> =
        report.0.iter().filter(|(_, o)| *o == Outcome::Waiting).map(|(c, _)| *c).collect();
    release.refuse_flaws(crates, &waiting)?;
    if !options.is_executed {
        let outcome = release.rehearse(&mut report);
        return Ok((report, outcome));
    }
    let uploaded = release.upload_all(&mut report);
    // What is up keeps its tag whatever became of the others.
    let pushed = release.push_tags(&report);
    if let (Err(_), Err(why)) = (&uploaded, &pushed) {
        eprintln!("error: {why}");
    }
    Ok((report, uploaded.and(pushed)))
}

struct Release<'w> {
    workspace: &'w Workspace,
    git: Git<'w>,
    registry: Registry<'w>,
    options: &'w Options,
}

impl Release<'_> {
    fn outcome_so_far(&self, c: &Crate) -> Result<Outcome, Failed> {
        if self.registry.has(c, &c.version)? {
            return Ok(Outcome::There);
        }
        let tag = c.tag(&c.version);
        let is_older = self.git.has_tag(&tag)? && self.git.commit_of(&tag)? != self.git.head()?;
        Ok(if is_older { Outcome::Hidden } else { Outcome::Waiting })
    }

    /// Everything that speaks against it, found before the first upload: none can be taken back.
    fn refuse_flaws(&self, crates: &Crates, waiting: &[&Crate]) -> Result<(), Failed> {
        let mut flaws = Vec::new();
        let uncommitted = self.git.uncommitted()?;
        if !uncommitted.is_empty() {
            flaws.push(format!("not committed: {}", uncommitted.join(", ")));
        }
        let tags = self.git.tags()?;
        for &c in waiting {
            let mut say = |what: String| flaws.push(format!("{}: {what}", c.short()));
            match changelog(&self.workspace.root, c)?.heading {
                Heading::Released(version) if version == c.version => {}
                Heading::Released(version) => {
                    say(format!("its changelog ends with {version}, its manifest has {}", c.version));
                }
                Heading::Unreleased => {
                    say("its changelog says unreleased: `cargo xtask release prepare`".to_owned());
                }
            }
            for need in c.needs.iter().map(|need| crates.called(need)).collect::<Result<Vec<_>, _>>()? {
                if !waiting.iter().any(|w| w.name == need.name) && !self.registry.has(need, &need.version)? {
                    say(format!(
                        "is built of {} {}, which is not published: name it too",
                        need.short(),
                        need.version
                    ));
                }
            }
            package::flaws(self.workspace, c)?.into_iter().for_each(&mut say);
            if let Some(what) = self.semver_flaw(c, &tags)? {
                say(what);
            }
        }
        if self.options.is_executed && !waiting.is_empty() {
            let token = self.registry.token_variable();
            if std::env::var_os(&token).is_none_or(|token| token.is_empty()) {
                flaws.push(format!("no token: set {token} in the environment"));
            }
            if !self.git.knows_who_tags() {
                flaws.push("git does not know who tags: set user.name and user.email".to_owned());
            }
        }
        if flaws.is_empty() {
            return Ok(());
        }
        Err(Failed::new(format!("nothing was uploaded\n  {}", flaws.join("\n  "))))
    }

    /// Public items that say something else than the version.
    fn semver_flaw(&self, c: &Crate, tags: &[String]) -> Result<Option<String>, Failed> {
        let older: Vec<_> = tags.iter().filter(|tag| **tag != c.tag(&c.version)).cloned().collect();
        let Some((tag, _)) = last(c, &older) else { return Ok(None) };
        if !c.is_library {
            return Ok(None);
        }
        if let Some(reason) = &self.options.unchecked {
            eprintln!("{}: public items are not compared with {tag}: {reason}", c.short());
            return Ok(None);
        }
        let program = semver_check::find();
        Ok(match semver_check::check(self.workspace, program.as_ref(), (&c.name, &tag), None)? {
            Verdict::Compatible => None,
            Verdict::Breaking => Some(format!("breaks more since {tag} than version {} says", c.version)),
            Verdict::NotChecked(how) if self.options.is_executed => {
                Some(format!("public items are not checked: {how}, or --no-semver-check REASON"))
            }
            Verdict::NotChecked(how) => {
                eprintln!("{}: public items are not checked: {how}", c.short());
                None
            }
            verdict => Some(format!("public items since {tag}: {verdict}")),
        })
    }

    /// Lets cargo do all but the uploads; crates that are not there yet stand in for each other.
    fn rehearse(&self, report: &mut Report<'_>) -> Result<(), Failed> {
        let mut command =
            self.workspace.cargo(&["publish", "--dry-run", "--locked", "--registry", self.registry.name]);
        command.args(self.options.is_unverified.then_some("--no-verify"));
        let mut is_something = false;
        for (c, outcome) in &mut report.0 {
            if *outcome == Outcome::Waiting {
                command.args(["--package", &c.name]);
                *outcome = Outcome::WouldUpload;
                is_something = true;
            }
        }
        if !is_something || streamed(command, PATIENCE, None, |_| {})?.success() {
            return Ok(());
        }
        Err(Failed::new("cargo publish --dry-run failed, and so would the uploads"))
    }

    fn upload_all(&self, report: &mut Report<'_>) -> Result<(), Failed> {
        let mut failed = None;
        for (c, outcome) in &mut report.0 {
            let done = match outcome {
                Outcome::Hidden => continue,
                Outcome::There => self.tag_what_is_there(c).map(|()| Outcome::There),
                _ => self.upload(c),
            };
            match done {
                Ok(done) => *outcome = done,
                Err(why) => {
                    *outcome = Outcome::Failed;
                    failed = Some(why);
                    break;
                }
            }
        }
        let Some(why) = failed else { return Ok(()) };
        Err(why.hinting(
            "what was uploaded stays and cannot be taken back; mend what failed and run the same command again: \
             what is there is skipped",
        ))
    }

    fn upload(&self, c: &Crate) -> Result<Outcome, Failed> {
        let earlier = std::fs::read_to_string(self.note_of(c)).ok();
        self.note(c, &self.git.head()?)?;
        let mut attempt = 1;
        loop {
            eprintln!("== {} {}", c.name, c.version);
            let mut command =
                self.workspace.cargo(&["publish", "--locked", "--registry", self.registry.name]);
            command.args(["--package", &c.name]).args(self.options.is_unverified.then_some("--no-verify"));
            let (mut is_passing, mut is_limited, mut is_taken) = (false, false, false);
            let status = streamed(command, PATIENCE, None, |line| {
                is_passing |= PASSING.iter().any(|sign| line.contains(sign));
                is_limited |= line.contains("status 429");
                is_taken |= line.contains("already uploaded") || line.contains("already exists");
            })?;
            // An upload whose answer was lost is an upload.
            if status.success() || self.registry.has(c, &c.version).unwrap_or(false) {
                self.registry.wait_for(c, self.options.patience)?;
                self.tag(c)?;
                return Ok(Outcome::Uploaded);
            }
            if is_taken {
                // It is what an earlier run has uploaded, if anybody here knows of what it was made.
                match earlier {
                    Some(commit) => self.note(c, &commit)?,
                    None => self.forget(c)?,
                }
                return Ok(Outcome::Hidden);
            }
            if is_limited {
                return Err(Failed::new(format!(
                    "{} was not uploaded: the registry wants you to wait",
                    c.name
                )));
            }
            if !is_passing || attempt == ATTEMPTS_MAX {
                return Err(Failed::new(format!("{} was not uploaded, attempt {attempt}", c.name)));
            }
            let pause = self.options.pause * attempt;
            eprintln!("attempt {attempt} of {ATTEMPTS_MAX} failed; the next in {} s", pause.as_secs());
            std::thread::sleep(pause);
            attempt += 1;
        }
    }

    /// Tags what a run before this one has uploaded and not tagged, if it has left word of the commit.
    fn tag_what_is_there(&self, c: &Crate) -> Result<(), Failed> {
        let tag = c.tag(&c.version);
        if self.git.has_tag(&tag)? {
            return Ok(());
        }
        if self.note_of(c).is_file() {
            return self.tag(c);
        }
        eprintln!(
            "{} {} is there and has no tag {tag}: if you know the commit that it was made of, git tag -a {tag} COMMIT",
            c.name, c.version
        );
        Ok(())
    }

    fn tag(&self, c: &Crate) -> Result<(), Failed> {
        let (tag, note) = (c.tag(&c.version), self.note_of(c));
        let unread = |e| Failed::new(format!("could not read {}: {e}", note.display()));
        let commit = std::fs::read_to_string(&note).map_err(unread)?;
        if !self.git.has_tag(&tag)? {
            let unchecked = self.options.unchecked.as_deref();
            let unchecked = unchecked.map(|why| format!("\n\nPublic items were not checked: {why}"));
            let message = format!("{} {}{}", c.name, c.version, unchecked.unwrap_or_default());
            self.git.tag(&tag, &message, commit.trim())?;
            eprintln!("tagged {tag}");
        }
        self.forget(c)
    }

    fn push_tags(&self, report: &Report<'_>) -> Result<(), Failed> {
        let Some(remote) = &self.options.remote else { return Ok(()) };
        let mut tags = Vec::new();
        for tag in report.0.iter().map(|(c, _)| c.tag(&c.version)) {
            if self.git.has_tag(&tag)? {
                tags.push(tag);
            }
        }
        if tags.is_empty() { Ok(()) } else { self.git.push(remote, &tags) }
    }

    /// Leaves word of the commit that an upload is made of, for a run that comes after one that was killed.
    fn note(&self, c: &Crate, commit: &str) -> Result<(), Failed> {
        let note = self.note_of(c);
        let unkept = |e| Failed::new(format!("could not write {}: {e}", note.display()));
        std::fs::create_dir_all(note.parent().unwrap_or(&note)).map_err(unkept)?;
        std::fs::write(&note, commit).map_err(unkept)
    }

    fn forget(&self, c: &Crate) -> Result<(), Failed> {
        let note = self.note_of(c);
        std::fs::remove_file(&note)
            .map_err(|e| Failed::new(format!("could not remove {}: {e}", note.display())))
    }

    fn note_of(&self, c: &Crate) -> PathBuf {
        self.workspace.target.join("uploading").join(c.tag(&c.version))
    }
}
