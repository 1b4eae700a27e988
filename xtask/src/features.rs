//! Builds each crate as its users may: alone, with no feature, with each by itself, with all.
//!
//! Elsewhere everything is built in one go, where one crate turns on what another has forgotten to ask for.

use std::process::{Command, ExitCode};
use std::time::Instant;

use serde_json::Value;

use crate::run::{Failed, PATIENCE, streamed};
use crate::table::table;
use crate::workspace::Workspace;

/// Checks the crates of these names, or all; with `is_full` also runs the tests of each by itself.
pub(crate) fn run(workspace: &Workspace, names: &[String], is_full: bool) -> Result<ExitCode, Failed> {
    let mut rows = Vec::new();
    let mut is_green = true;
    for (package, features) in packages(workspace, names)? {
        let mut commands: Vec<_> = selections(&features)
            .into_iter()
            .map(|selection| (selection.join(" "), check(workspace, &package, &selection)))
            .collect();
        if is_full {
            commands.push(("tests".to_owned(), alone(workspace, &["test"], &package)));
            commands.push((
                "tests --all-features".to_owned(),
                alone(workspace, &["test", "--all-features"], &package),
            ));
        }
        for (what, command) in commands {
            eprintln!("== {package} {what}");
            let started = Instant::now();
            let green = streamed(command, PATIENCE, None, |_| {})?.success();
            is_green &= green;
            let outcome = if green { "ok" } else { "failed" }.to_owned();
            rows.push(vec![
                package.clone(),
                what,
                outcome,
                format!("{:.1}", started.elapsed().as_secs_f64()),
            ]);
        }
    }
    print!("{}", table(&["crate", "features", "outcome", "seconds"], &rows));
    Ok(if is_green { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Names of the crates asked for, with their features.
fn packages(workspace: &Workspace, names: &[String]) -> Result<Vec<(String, Vec<String>)>, Failed> {
    let all: Vec<_> = workspace
        .packages()
        .filter_map(|package| {
            let features = package.get("features").and_then(Value::as_object)?;
            let features = features.keys().filter(|feature| *feature != "default").cloned().collect();
            Some((package.get("name").and_then(Value::as_str)?.to_owned(), features))
        })
        .collect();
    let is_called =
        |package: &str, name: &String| package == name || package.strip_prefix("clawexchange-") == Some(name);
    for name in names {
        if !all.iter().any(|(package, _)| is_called(package, name)) {
            return Err(Failed::new(format!("no crate is called {name}")));
        }
    }
    let is_asked = |package: &str| names.is_empty() || names.iter().any(|name| is_called(package, name));
    Ok(all.into_iter().filter(|(package, _)| is_asked(package)).collect())
}

/// The arguments of each check: what a crate without features is checked with is the same three times.
fn selections(features: &[String]) -> Vec<Vec<String>> {
    let none = || vec!["--no-default-features".to_owned()];
    let mut selections = vec![none()];
    selections.extend(
        features.iter().map(|feature| [none(), vec!["--features".to_owned(), feature.clone()]].concat()),
    );
    if features.len() > 1 {
        selections.push(vec!["--all-features".to_owned()]);
    }
    selections
}

fn check(workspace: &Workspace, package: &str, selection: &[String]) -> Command {
    let mut command = alone(workspace, &["check"], package);
    command.args(selection);
    command
}

/// A cargo command on one crate. It has a target folder of its own: what is built here has other features than what
/// everything else builds, and each would push the other out.
fn alone(workspace: &Workspace, args: &[&str], package: &str) -> Command {
    let mut command = workspace.cargo(args);
    command.args(["--quiet", "--locked", "--package", package]);
    command.env("CARGO_TARGET_DIR", workspace.target.join("features"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_built_by_itself_and_all_together() {
        let joined = |features: &[&str]| {
            let features: Vec<_> = features.iter().map(|&feature| feature.to_owned()).collect();
            selections(&features).iter().map(|selection| selection.join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(joined(&[]), ["--no-default-features"]);
        assert_eq!(joined(&["a"]), ["--no-default-features", "--no-default-features --features a"]);
        assert_eq!(
            joined(&["a", "b"]),
            [
                "--no-default-features",
                "--no-default-features --features a",
                "--no-default-features --features b",
                "--all-features"
            ]
        );
    }

    #[test]
    fn every_crate_of_the_workspace_has_its_turn() {
        let workspace = Workspace::find().unwrap();
        let all = packages(&workspace, &[]).unwrap();
        assert!(
            all.iter().any(|(package, features)| package == "clawexchange-ssg-core" && !features.is_empty())
        );
        let one = packages(&workspace, &["ssg-core".to_owned()]).unwrap();
        assert_eq!(one.len(), 1);
        assert!(packages(&workspace, &["nothing".to_owned()]).is_err());
    }
}
