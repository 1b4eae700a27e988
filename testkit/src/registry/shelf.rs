//! What was uploaded, in a folder: a file of lines per crate, an archive per version.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::upload::Upload;

/// The folder. Whoever has it has it alone: the registry keeps it behind a lock.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    uploaded: Vec<String>,
}

/// Why something is not kept or not changed.
#[derive(Debug)]
pub(super) enum Refusal {
    Invalid(&'static str),
    Missing,
    Repeated(String),
    Broken(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => f.write_str(what),
            Self::Missing => f.write_str("no such version"),
            Self::Repeated(what) => write!(f, "crate version `{what}` is already uploaded"),
            Self::Broken(e) => write!(f, "the registry cannot keep it: {e}"),
        }
    }
}

impl Shelf {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder.join("index"))?;
        std::fs::create_dir_all(folder.join("archives"))?;
        Ok(Self { folder: folder.to_owned(), uploaded: Vec::new() })
    }

    pub(super) fn uploaded(&self) -> &[String] {
        &self.uploaded
    }

    /// The index file of a crate, whichever way its name is written.
    pub(super) fn entries(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.join("index").join(index_path(name))).ok()
    }

    /// The archive, if the index knows the version: what was not committed there is not handed out.
    pub(super) fn archive(&self, name: &str, version: &str) -> Option<Vec<u8>> {
        self.lines(name).iter().find(|line| line["name"] == name && line["vers"] == version)?;
        std::fs::read(self.archive_path(name, version)).ok()
    }

    /// Keeps an upload: the archive first, and then the line that makes it known.
    pub(super) fn keep(&mut self, upload: &Upload<'_>) -> Result<(), Refusal> {
        let Upload { name, version, archive, .. } = upload;
        let mut lines = self.lines(name);
        if lines.iter().any(|line| line["name"] != *name) {
            return Err(Refusal::Invalid("another crate has this name but for its case"));
        }
        if lines
            .iter()
            .any(|line| without_build(line["vers"].as_str().unwrap_or("")) == without_build(version))
        {
            return Err(Refusal::Repeated(format!("{name}@{version}")));
        }
        lines.push(upload.entry(&format!("{:x}", Sha256::digest(archive))));
        replace(&self.archive_path(name, version), archive).map_err(Refusal::Broken)?;
        self.commit(name, &lines)?;
        self.uploaded.push(format!("{name}@{version}"));
        Ok(())
    }

    pub(super) fn set_yanked(&self, name: &str, version: &str, yanked: bool) -> Result<(), Refusal> {
        let mut lines = self.lines(name);
        let line = lines.iter_mut().find(|line| line["vers"] == version).ok_or(Refusal::Missing)?;
        line["yanked"] = json!(yanked);
        self.commit(name, &lines)
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let entries = self.entries(name).unwrap_or_default();
        entries.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn commit(&self, name: &str, lines: &[Value]) -> Result<(), Refusal> {
        let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n";
        let file = self.folder.join("index").join(index_path(name));
        replace(&file, text.as_bytes()).map_err(Refusal::Broken)
    }

    fn archive_path(&self, name: &str, version: &str) -> PathBuf {
        self.folder.join("archives").join(format!("{name}-{version}.crate"))
    }
}

/// Where the index has a crate: by the length of its name, or by its first letters.
pub(super) fn index_path(name: &str) -> String {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let name = name.to_lowercase();
    match (name.len(), name.get(..1), name.get(..2), name.get(2..4)) {
        (0 | 1, ..) => format!("1/{name}"),
        (2, ..) => format!("2/{name}"),
        (_, Some(first), _, None) => format!("3/{first}/{name}"),
        (_, _, Some(two), Some(next)) => format!("{two}/{next}/{name}"),
        _ => name,
    }
}

/// Versions that differ in nothing but their build are one to a registry.
fn without_build(version: &str) -> &str {
    version.split('+').next().unwrap_or(version)
}

/// Writes a file aside and renames it: a reader sees the old one or the new one.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut aside = file.as_os_str().to_owned();
    aside.push(".new");
    std::fs::write(&aside, bytes)?;
    std::fs::rename(aside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_lies_where_cargo_looks_for_it() {
        for (name, path) in [
            ("a", "1/a"),
            ("ab", "2/ab"),
            ("abc", "3/a/abc"),
            ("abcd", "ab/cd/abcd"),
            ("Clawexchange-Audit", "cl/aw/clawexchange-audit"),
            ("../../etc/passwd", "et/cp/etcpasswd"),
        ] {
            assert_eq!(index_path(name), path, "{name}");
        }
    }
}
