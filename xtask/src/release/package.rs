//! What goes into a package: asked of cargo, and looked at.

use std::path::Path;

use super::crates::Crate;
use crate::run::{Failed, captured};
use crate::workspace::Workspace;

/// Files of one package: ten times what the largest has.
const FILES_MAX: usize = 1000;

/// Bytes of one package before it is packed: what crates.io takes of a packed one.
const BYTES_MAX: u64 = 10 << 20;

/// What every package must have.
const REQUIRED: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// Folders that no package has: what lies there is of use to the workspace alone, or secret.
const STRANGE_FOLDERS: [&str; 7] =
    ["tests/", "benches/", "target/", "claw-data/", "proptest-regressions/", ".git/", ".cargo/"];

/// Ends of names that keys and settings of one machine have.
const STRANGE_ENDS: [&str; 7] = [".pem", ".key", ".p12", ".env", ".db", ".sqlite", "credentials.toml"];

/// Looks at the files of a package; what is found is a reason not to publish it.
pub(crate) fn flaws(workspace: &Workspace, c: &Crate) -> Result<Vec<String>, Failed> {
    // Whether the tree is dirty is asked elsewhere.
    let output =
        captured(workspace.cargo(&["package", "--list", "--allow-dirty", "--quiet", "--package", &c.name]))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Ok(vec![format!("cargo cannot list its package: {said}")]);
    }
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let files: Vec<&str> = listed.lines().collect();
    let folder = workspace.root.join(&c.folder);
    let mut flaws = flaws_of_names(&files);
    let sizes = files.iter().filter_map(|file| std::fs::metadata(folder.join(file)).ok()).map(|m| m.len());
    let bytes: u64 = sizes.sum();
    if bytes > BYTES_MAX {
        flaws.push(format!("its package has {bytes} bytes and may have {BYTES_MAX}"));
    }
    for source in files.iter().filter(|file| Path::new(file).extension().is_some_and(|e| e == "rs")) {
        let code = std::fs::read_to_string(folder.join(source))
            .map_err(|e| Failed::new(format!("could not read {source} of {}: {e}", c.name)))?;
        for embedded in embedded(source, &code) {
            if !files.contains(&embedded.as_str()) {
                flaws.push(format!(
                    "{source} embeds {embedded}, which is not in its package: add it to `include`"
                ));
            }
        }
    }
    Ok(flaws)
}

fn flaws_of_names(files: &[&str]) -> Vec<String> {
    let missing = REQUIRED.iter().filter(|file| !files.contains(file));
    let mut flaws: Vec<_> = missing.map(|file| format!("its package has no {file}")).collect();
    let is_strange = |file: &&&str| {
        STRANGE_FOLDERS.iter().any(|folder| file.starts_with(folder) || file.contains(&format!("/{folder}")))
            || STRANGE_ENDS.iter().any(|end| file.ends_with(end))
    };
    flaws.extend(files.iter().filter(is_strange).map(|file| format!("its package has {file}")));
    if files.len() > FILES_MAX {
        flaws.push(format!("its package has {} files and may have {FILES_MAX}", files.len()));
    }
    flaws
}

/// Files that a source embeds, as paths from the folder of the crate.
fn embedded(source: &str, code: &str) -> Vec<String> {
    let calls = ["include_str!(\"", "include_bytes!(\""];
    let named =
        calls.iter().flat_map(|call| code.split(call).skip(1)).filter_map(|rest| rest.split('"').next());
    named
        .map(|path| {
            let mut parts: Vec<&str> = source.split('/').collect();
            parts.pop();
            for part in path.split('/') {
                match part {
                    ".." => drop(parts.pop()),
                    "." => {}
                    part => parts.push(part),
                }
            }
            parts.join("/")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::crates::Crates;
    use super::*;

    #[test]
    fn every_package_has_what_its_readers_and_its_compiler_need_and_nothing_else() {
        let workspace = Workspace::find().unwrap();
        for c in Crates::of(&workspace).unwrap().iter() {
            let flaws = flaws(&workspace, c).unwrap();
            assert!(flaws.is_empty(), "{}: {flaws:#?}", c.name);
            for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
                let read = |folder: &str| std::fs::read(workspace.root.join(folder).join(licence)).unwrap();
                assert_eq!(read(&c.folder), read("."), "{}: link {licence} to that of the root", c.name);
            }
        }
    }

    #[test]
    fn a_package_without_its_papers_or_with_strange_files_has_flaws() {
        let complete = [&REQUIRED[..], &["src/lib.rs", "migrations/0001.up.sql"]].concat();
        assert_eq!(flaws_of_names(&complete), [""; 0]);
        for strange in ["tests/a.rs", "src/tests/keys.pem", ".env", "target/x", "src/a.db", "benches/scan.rs"]
        {
            let flaws = flaws_of_names(&[&complete[..], &[strange]].concat());
            assert_eq!(flaws, [format!("its package has {strange}")]);
        }
        for missing in REQUIRED {
            let files: Vec<_> = complete.iter().copied().filter(|file| *file != missing).collect();
            assert_eq!(flaws_of_names(&files), [format!("its package has no {missing}")]);
        }
        assert_eq!(flaws_of_names(&vec!["README.md"; FILES_MAX + 1]).len(), 4, "three papers and the count");
    }

    #[test]
    fn what_a_source_embeds_is_found_from_where_it_stands() {
        let code =
            "#[doc = include_str!(\"../README.md\")] const A: &[u8] = include_bytes!(\"../../a/./b.bin\");";
        assert_eq!(embedded("src/one/two.rs", code), ["src/README.md", "a/b.bin"]);
        assert_eq!(embedded("src/lib.rs", "include_str!(\"../README.md\")"), ["README.md"]);
        assert_eq!(embedded("src/lib.rs", "fn include_str() {}"), [""; 0]);
    }
}
