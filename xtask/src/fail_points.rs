//! Looks for fail points in the binary as it is released: places at which a test may kill the process must not be there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use crate::run::Failed;
use crate::workspace::Workspace;

/// What arms a place.
const SETTING: &str = "CLAW_FAIL_POINT";

/// Builds `claw` with the release profile and searches it for the setting and for every name that the sources have.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode, Failed> {
    let mut names = BTreeSet::from([SETTING.to_owned()]);
    for folder in ["crates", "migrations"] {
        collect(&workspace.root.join(folder), &mut names)?;
    }
    if names.len() < 2 {
        return Err(Failed::new("no fail point was found in the sources, so the search would prove nothing"));
    }
    let status = workspace.cargo(&["build", "--release", "--bin", "claw"]).status();
    if !status.map_err(|e| Failed::start("cargo", &e))?.success() {
        return Err(Failed::new("claw does not build as a release"));
    }
    let path = workspace.target.join("release/claw").with_extension(std::env::consts::EXE_EXTENSION);
    let binary = read(&path)?;
    let found: Vec<&String> = names.iter().filter(|name| contains(&binary, name.as_bytes())).collect();
    if !found.is_empty() {
        return Err(Failed::new(format!("the release build knows {found:?}")));
    }
    println!("none of {} names is in {}", names.len(), path.display());
    Ok(ExitCode::SUCCESS)
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) -> Result<(), Failed> {
    let unreadable = |e: std::io::Error| Failed::new(format!("could not read {}: {e}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            collect(&path, names)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = String::from_utf8_lossy(&read(&path)?).into_owned();
            let quoted = text.split("fail_point!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            // Names have a dot; what stands in documentation as an example has none.
            names.extend(quoted.filter(|name| name.contains('.')).map(ToOwned::to_owned));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(path).map_err(|e| Failed::new(format!("could not read {}: {e}", path.display())))
}

fn contains(binary: &[u8], name: &[u8]) -> bool {
    binary.windows(name.len()).any(|window| window == name)
}
