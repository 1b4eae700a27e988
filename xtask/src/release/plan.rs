//! What would be released, as which version, and why.

use std::collections::BTreeMap;
use std::path::Path;

use semver::Version;
use serde_json::{Value, json};

use super::changelog::Changelog;
use super::crates::{Crate, Crates};
use super::git::Git;
use super::semver_check::{self, Verdict};
use super::version::{Bump, Change, is_compatible};
use crate::run::Failed;
use crate::table::table;
use crate::workspace::Workspace;

/// What the maintainer asks for.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Crates to release on their own account; empty for all.
    pub(crate) names: Vec<String>,
    /// Numbers to count on, whatever the changelog says.
    pub(crate) bumps: Vec<(String, Bump)>,
    /// Whether public items are not compared with the last release.
    pub(crate) is_unchecked: bool,
}

/// One crate of a plan.
#[derive(Debug)]
pub(crate) struct Step<'c> {
    pub(crate) of: &'c Crate,
    pub(crate) facts: Facts,
    /// `None`: it stays as it is.
    pub(crate) next: Option<Version>,
    pub(crate) why: String,
    /// What its changelog is to say if it says nothing by itself.
    pub(crate) entry: Option<String>,
    dependents: Vec<&'c str>,
}

/// What is so, before anything is decided.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The last tag, and the version in it.
    pub(crate) last: Option<(String, Version)>,
    /// Subjects of the commits since.
    commits: Vec<String>,
    /// What its changelog has waiting, and how it says so.
    pub(crate) waiting: Option<(Change, String)>,
    verdict: Verdict,
}

/// The steps, in an order in which they can be published.
#[derive(Debug)]
pub(crate) struct Plan<'c> {
    pub(crate) steps: Vec<Step<'c>>,
}

impl<'c> Plan<'c> {
    pub(crate) fn of(workspace: &Workspace, crates: &'c Crates, wishes: &Wishes) -> Result<Self, Failed> {
        let asked = asked(crates, wishes)?;
        let git = Git(&workspace.root);
        let tags = git.tags()?;
        let program = semver_check::find();
        let mut facts = BTreeMap::new();
        for c in crates.iter() {
            let last = last(c, &tags);
            let tag = last.as_ref().map(|(tag, _)| tag.as_str());
            let commits = git.commits(tag, &c.folder)?;
            let verdict = match tag {
                None => Verdict::FirstRelease,
                Some(_) if commits.is_empty() => Verdict::Unchanged,
                Some(_) if !c.is_library => Verdict::NoLibrary,
                Some(_) if !asked.contains(&c.name.as_str()) => Verdict::NotChecked("not asked for"),
                Some(_) if wishes.is_unchecked => Verdict::NotChecked("--no-semver-check"),
                // What is compatible to cargo: additions are, before 1.0 and after.
                Some(tag) => semver_check::check(workspace, program.as_ref(), (&c.name, tag), Some("minor"))?,
            };
            let waiting = changelog(&workspace.root, c)?.change();
            facts.insert(c.name.as_str(), Facts { last, commits, waiting, verdict });
        }
        let bumps = wishes.bumps.iter().map(|(name, bump)| Ok((crates.called(name)?.name.as_str(), *bump)));
        let bumps = bumps.collect::<Result<_, Failed>>()?;
        Ok(Self { steps: decide(crates, facts, &asked, &bumps) })
    }

    /// What a maintainer should know before following the plan.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let stays = |need: &str| self.steps.iter().find(|s| s.of.name == need && s.next.is_none());
        for step in self.steps.iter().filter(|step| step.next.is_some()) {
            for need in step.of.needs.iter().filter_map(|need| stays(need)) {
                let (short, on) = (step.of.short(), need.of.short());
                if need.facts.last.is_none() {
                    notes.push(format!("{short} is built of {on}, which was never released"));
                } else if !need.facts.commits.is_empty() {
                    let n = need.facts.commits.len();
                    notes.push(format!("{short} is built of {on}, of which {n} commits are not released"));
                }
            }
        }
        if self.steps.iter().any(|step| step.facts.verdict == Verdict::NotChecked(semver_check::INSTALL)) {
            notes.push(format!("public items are not checked: {}", semver_check::INSTALL));
        }
        notes
    }

    pub(crate) fn table(&self) -> String {
        let head = ["crate", "last tag", "commits", "public items", "now", "next", "why", "dependents"];
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let rows: Vec<_> = self
            .steps
            .iter()
            .map(|step| {
                vec![
                    step.of.short().to_owned(),
                    or_dash(step.facts.last.as_ref().map(|(tag, _)| tag.clone())),
                    step.facts.commits.len().to_string(),
                    step.facts.verdict.to_string(),
                    step.of.version.to_string(),
                    or_dash(step.next.as_ref().map(Version::to_string)),
                    step.why.clone(),
                    if step.dependents.is_empty() { "-".to_owned() } else { step.dependents.join(" ") },
                ]
            })
            .collect();
        table(&head, &rows)
    }

    pub(crate) fn json(&self) -> Value {
        let items: Vec<_> = self
            .steps
            .iter()
            .map(|step| {
                json!({
                    "crate": step.of.name,
                    "lastTag": step.facts.last.as_ref().map(|(tag, _)| tag),
                    "commits": step.facts.commits,
                    "semver": step.facts.verdict.to_string(),
                    "version": step.of.version.to_string(),
                    "next": step.next.as_ref().map(Version::to_string),
                    "why": step.why,
                    "dependents": step.dependents,
                })
            })
            .collect();
        json!({ "items": items })
    }
}

/// The changelog of a crate.
pub(crate) fn changelog(root: &Path, c: &Crate) -> Result<Changelog, Failed> {
    let path = root.join(&c.folder).join("CHANGELOG.md");
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Failed::new(format!("could not read {}: {e}", path.display())))?;
    Changelog::read(&text).map_err(|what| Failed::new(format!("{} {what}", path.display())))
}

/// The newest tag of a crate by its version.
pub(crate) fn last(c: &Crate, tags: &[String]) -> Option<(String, Version)> {
    let prefix = format!("{}-v", c.short());
    let versions =
        tags.iter().filter_map(|tag| Some((tag.clone(), tag.strip_prefix(&prefix)?.parse().ok()?)));
    versions.max_by(|(_, a): &(String, Version), (_, b)| a.cmp(b))
}

/// Names of the crates that are released on their own account: those asked for, and those with a bump of their own.
fn asked<'c>(crates: &'c Crates, wishes: &Wishes) -> Result<Vec<&'c str>, Failed> {
    let mut asked: Vec<_> = crates.select(&wishes.names)?.iter().map(|c| c.name.as_str()).collect();
    for (name, _) in &wishes.bumps {
        asked.push(crates.called(name)?.name.as_str());
    }
    Ok(asked)
}

/// Decides crate by crate; whatever a crate is built of has been decided before it.
fn decide<'c>(
    crates: &'c Crates,
    mut facts: BTreeMap<&str, Facts>,
    asked: &[&str],
    bumps: &BTreeMap<&str, Bump>,
) -> Vec<Step<'c>> {
    // Versions that no requirement written before them takes.
    let mut left: BTreeMap<&str, Version> = BTreeMap::new();
    let mut steps = Vec::new();
    for c in crates.iter() {
        let Some(facts) = facts.remove(c.name.as_str()) else { continue };
        let bump = bumps.get(c.name.as_str()).copied();
        let (own, reason) = if asked.contains(&c.name.as_str()) {
            own(c, &facts, bump)
        } else {
            (None, "not asked for".to_owned())
        };
        let causes: Vec<_> = c.needs.iter().filter_map(|need| left.get_key_value(need.as_str())).collect();
        let followed =
            facts.last.as_ref().filter(|_| !causes.is_empty()).map(|(_, last)| follow(c, last, bump));
        let names: Vec<_> =
            causes.iter().map(|(name, _)| crates.called(name).map_or(**name, Crate::short)).collect();
        let entry = causes.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>();
        let why = match (&own, &followed) {
            (_, None) => reason,
            (None, Some(_)) => format!("dependent of {}", names.join(", ")),
            (Some(_), Some(_)) => format!("{reason}; dependent of {}", names.join(", ")),
        };
        let next = own.max(followed);
        if let (Some(next), Some((_, last))) = (&next, &facts.last)
            && !is_compatible(last, next)
        {
            left.insert(c.name.as_str(), next.clone());
        }
        steps.push(Step {
            of: c,
            next,
            why,
            entry: (!entry.is_empty()).then(|| format!("Built of {}.", entry.join(", "))),
            dependents: crates.dependents(&c.name).into_iter().map(Crate::short).collect(),
            facts,
        });
    }
    steps
}

/// The version that a crate's own changes ask for.
fn own(c: &Crate, facts: &Facts, bump: Option<Bump>) -> (Option<Version>, String) {
    let Some((_, last)) = &facts.last else {
        let version = bump.map_or_else(|| c.version.clone(), |bump| bump.apply(&c.version));
        return (Some(version), "first release".to_owned());
    };
    if let Some(bump) = bump {
        return (Some(bump.apply(last)), format!("own changes: --bump {bump}"));
    }
    let found = match (&facts.waiting, &facts.verdict) {
        (Some((Change::Break, how)), _) => Some((Change::Break, how.clone())),
        (_, Verdict::Breaking) => Some((Change::Break, "cargo-semver-checks finds a break".to_owned())),
        (waiting, _) => waiting.clone(),
    };
    let found = found.map(|(change, how)| {
        let bump = Bump::for_change(change, last);
        (bump.apply(last), format!("own changes: {how}, so {bump}"))
    });
    let is_prepared = c.version > *last;
    match found {
        Some((version, _)) if is_prepared && version <= c.version => {
            (Some(c.version.clone()), "own changes: prepared".to_owned())
        }
        None if is_prepared => (Some(c.version.clone()), "own changes: prepared".to_owned()),
        Some((version, why)) => (Some(version), why),
        None if facts.commits.is_empty() => (None, "unchanged".to_owned()),
        None => (None, "its changelog has nothing waiting".to_owned()),
    }
}

/// The version of a crate that must take another version of one that it is built of.
///
/// Its public items may show types of that one, and then it breaks whoever hands these on; a program breaks nobody.
fn follow(c: &Crate, last: &Version, bump: Option<Bump>) -> Version {
    let change = if c.is_library { Change::Break } else { Change::Fix };
    let next = bump.unwrap_or_else(|| Bump::for_change(change, last)).apply(last);
    // One that was prepared before stays prepared.
    next.max(if c.version > *last { c.version.clone() } else { Version::new(0, 0, 0) })
}
