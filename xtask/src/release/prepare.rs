//! Writes a plan into manifests, lock files, changelogs and READMEs; or shows what it would write.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use semver::{Version, VersionReq};
use toml_edit::{DocumentMut, Item, Value};

use super::changelog::Heading;
use super::git::Git;
use super::plan::{Plan, Step, changelog};
use crate::run::{Failed, captured};
use crate::workspace::Workspace;

/// Lock files that have our crates by their paths.
const LOCKS: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

/// Prepares, and gives what changes as a diff.
pub(crate) fn run(workspace: &Workspace, plan: &Plan<'_>, is_executed: bool) -> Result<String, Failed> {
    let root = &workspace.root;
    if is_executed {
        let uncommitted = Git(root).uncommitted()?;
        if !uncommitted.is_empty() {
            return Err(Failed::new(format!("not committed: {}", uncommitted.join(", ")))
                .hinting("commit first, so that a preparation can be looked at and taken back alone"));
        }
    }
    let edits = edits(root, plan, &date(SystemTime::now()))?;
    let diff = edits.diff(&workspace.target.join("release"))?;
    if is_executed {
        edits.write(root)?;
        check_lock(workspace)?;
    }
    Ok(diff)
}

/// Texts before and after, by their paths from the root.
#[derive(Debug, Default)]
struct Edits(BTreeMap<String, (String, String)>);

fn edits(root: &Path, plan: &Plan<'_>, date: &str) -> Result<Edits, Failed> {
    let mut edits = Edits::default();
    let mut unsaid = Vec::new();
    for step in &plan.steps {
        let Some(next) = &step.next else { continue };
        let name = &step.of.name;
        edits.change(root, &format!("{}/Cargo.toml", step.of.folder), |text| own_version(text, next))?;
        edits.change(root, "Cargo.toml", |text| required_version(text, name, next))?;
        for lock in LOCKS.iter().filter(|lock| root.join(lock).is_file()) {
            edits.change(root, lock, |text| locked_version(text, name, next))?;
        }
        for reader in plan.steps.iter().map(|s| s.of.folder.as_str()).chain(["."]) {
            let path = if reader == "." { "README.md".to_owned() } else { format!("{reader}/README.md") };
            if root.join(&path).is_file() {
                edits.change(root, &path, |text| Ok(shown_version(text, name, next)))?;
            }
        }
        match dated(root, step, next, date)? {
            Some(text) => edits.change(root, &format!("{}/CHANGELOG.md", step.of.folder), |_| Ok(text))?,
            None => unsaid.push(format!("{}/CHANGELOG.md", step.of.folder)),
        }
    }
    if unsaid.is_empty() {
        return Ok(edits);
    }
    Err(Failed::new(format!("nothing is said of what changed in {}", unsaid.join(", "))).hinting(
        "write `## Unreleased` and below it, under `### Added` or the like, what users would notice",
    ))
}

/// The changelog of a step with its newest heading dated; `None` if it has nothing to say.
fn dated(root: &Path, step: &Step<'_>, next: &Version, date: &str) -> Result<Option<String>, Failed> {
    let log = changelog(root, step.of)?;
    if log.heading == Heading::Released(next.clone()) {
        return Ok(Some(log.text()));
    }
    let says = log.change().is_some() || step.entry.is_some();
    Ok(says.then(|| log.released(next, date, step.entry.as_deref())))
}

impl Edits {
    fn change(
        &mut self,
        root: &Path,
        path: &str,
        edit: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<(), Failed> {
        if !self.0.contains_key(path) {
            let text = std::fs::read_to_string(root.join(path))
                .map_err(|e| Failed::new(format!("could not read {path}: {e}")))?;
            self.0.insert(path.to_owned(), (text.clone(), text));
        }
        if let Some((_, after)) = self.0.get_mut(path) {
            *after = edit(after).map_err(|what| Failed::new(format!("{path} {what}")))?;
        }
        Ok(())
    }

    fn changed(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let texts =
            self.0.iter().map(|(path, (before, after))| (path.as_str(), before.as_str(), after.as_str()));
        texts.filter(|(_, before, after)| before != after)
    }

    /// As git shows it: the two sides are laid out in a folder of their own.
    fn diff(&self, scratch: &Path) -> Result<String, Failed> {
        let unkept = |e: std::io::Error| Failed::new(format!("could not write {}: {e}", scratch.display()));
        if scratch.exists() {
            std::fs::remove_dir_all(scratch).map_err(unkept)?;
        }
        for (path, before, after) in self.changed() {
            for (side, text) in [("a", before), ("b", after)] {
                let file = scratch.join(side).join(path);
                std::fs::create_dir_all(file.parent().unwrap_or(scratch)).map_err(unkept)?;
                std::fs::write(file, text).map_err(unkept)?;
            }
        }
        if self.changed().next().is_none() {
            return Ok(String::new());
        }
        let mut git = Command::new("git");
        git.args(["diff", "--no-index", "--no-color", "--no-prefix", "a", "b"]).current_dir(scratch);
        Ok(String::from_utf8_lossy(&captured(git)?.stdout).into_owned())
    }

    fn write(&self, root: &Path) -> Result<(), Failed> {
        for (path, _, after) in self.changed() {
            std::fs::write(root.join(path), after)
                .map_err(|e| Failed::new(format!("could not write {path}: {e}")).hinting("git restore ."))?;
        }
        Ok(())
    }
}

/// Cargo must find nothing to mend in what was written.
fn check_lock(workspace: &Workspace) -> Result<(), Failed> {
    let tree = ["tree", "--workspace", "--depth", "0", "--locked", "--offline", "--quiet"];
    let output = captured(workspace.cargo(&tree))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failed::new(format!("Cargo.lock does not fit what was written: {said}")).hinting("git restore ."))
}

fn own_version(text: &str, next: &Version) -> Result<String, String> {
    let mut manifest = parsed(text)?;
    let version = member(manifest.as_item_mut(), &["package", "version"]);
    replace(version.ok_or("has no version under [package]")?, &next.to_string())?;
    Ok(manifest.to_string())
}

/// The requirement that all crates share; one that nobody requires has none.
fn required_version(text: &str, name: &str, next: &Version) -> Result<String, String> {
    let mut manifest = parsed(text)?;
    if let Some(required) = member(manifest.as_item_mut(), &["workspace", "dependencies", name]) {
        let version = member(required, &["version"]);
        replace(version.ok_or_else(|| format!("requires {name} without a version"))?, &next.to_string())?;
    }
    Ok(manifest.to_string())
}

fn locked_version(text: &str, name: &str, next: &Version) -> Result<String, String> {
    let mut lock = parsed(text)?;
    let packages = lock.get_mut("package").and_then(Item::as_array_of_tables_mut);
    for package in packages.into_iter().flat_map(toml_edit::ArrayOfTables::iter_mut) {
        // One of the same name from a registry is another.
        let is_ours =
            package.get("name").and_then(Item::as_str) == Some(name) && !package.contains_key("source");
        if let Some(version) = package.get_mut("version").filter(|_| is_ours) {
            replace(version, &next.to_string())?;
        }
    }
    Ok(lock.to_string())
}

/// What a README tells its readers to write, where that no longer takes the version.
fn shown_version(text: &str, name: &str, next: &Version) -> String {
    let raised = format!("{}.{}", next.major, next.minor);
    let mut shown = text.to_owned();
    for before in [format!("{name} = \""), format!("{name} = {{ version = \"")] {
        let mut parts = shown.split(before.as_str());
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            text.push_str(&before);
            let (required, rest) = part.split_once('"').unwrap_or((part, ""));
            let is_outdated = required.parse::<VersionReq>().is_ok_and(|required| !required.matches(next));
            text.push_str(if is_outdated { &raised } else { required });
            if part.len() > required.len() {
                text.push('"');
                text.push_str(rest);
            }
        }
        shown = text;
    }
    shown
}

fn parsed(text: &str) -> Result<DocumentMut, String> {
    text.parse().map_err(|e| format!("is not TOML: {e}"))
}

/// What lies at the end of these keys. Asking the document itself would make what is not there.
fn member<'d>(item: &'d mut Item, keys: &[&str]) -> Option<&'d mut Item> {
    keys.iter().try_fold(item, |item, key| item.as_table_like_mut()?.get_mut(key))
}

/// Another text in the place of one, with whatever stands around it.
fn replace(item: &mut Item, text: &str) -> Result<(), String> {
    let value = item.as_value_mut().filter(|value| value.is_str());
    let value = value.ok_or("has a version that is not a text")?;
    let decor = value.decor().clone();
    *value = Value::from(text);
    *value.decor_mut() = decor;
    Ok(())
}

/// The day in UTC, as changelogs write it.
fn date(now: SystemTime) -> String {
    let days = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / 86_400;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_the_calendar_has_it() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_799, "2024-02-28"),
            (1_767_225_599, "2025-12-31"),
            (1_767_225_600, "2026-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), day, "{seconds}");
        }
    }

    #[test]
    fn a_version_changes_and_nothing_around_it() {
        let next = Version::new(0, 2, 0);
        let manifest = "# A crate\n[package]\nname = \"kit\"\nversion  =  \"0.1.0\" # its own\n\n[lints]\nworkspace = true\n";
        assert_eq!(own_version(manifest, &next).unwrap(), manifest.replace("0.1.0", "0.2.0"));
        assert!(own_version("[package]\nversion.workspace = true\n", &next).is_err());
        let root = "[workspace.dependencies]\n# Ours\nkit = { path = \"kit\", version = \"0.1.0\" }\nkit-two = \"0.1.0\"\n";
        let raised = root.replacen("0.1.0", "0.2.0", 1);
        assert_eq!(required_version(root, "kit", &next).unwrap(), raised);
        assert_eq!(required_version(root, "program", &next).unwrap(), root, "nobody requires it");
        let lock = "version = 4\n\n[[package]]\nname = \"kit\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"kit\"\n\
                    version = \"0.1.0\"\nsource = \"registry+x\"\n";
        assert_eq!(locked_version(lock, "kit", &next).unwrap(), lock.replacen("0.1.0", "0.2.0", 1));
    }

    #[test]
    fn a_readme_is_raised_where_it_would_mislead() {
        let next = Version::new(0, 2, 0);
        for (before, after) in [
            ("kit = \"0.1\"\n", "kit = \"0.2\"\n"),
            ("kit = { version = \"0.1\", features = [] }", "kit = { version = \"0.2\", features = [] }"),
            ("kit = \"0.2.0\"", "kit = \"0.2.0\""),
            ("kit-two = \"0.1\"", "kit-two = \"0.1\""),
            ("kit = \"", "kit = \""),
            ("no kit here", "no kit here"),
        ] {
            assert_eq!(shown_version(before, "kit", &next), after);
        }
    }
}
