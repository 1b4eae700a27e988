//! Measures.

use std::process::ExitCode;

use crate::run::{Failed, handed_over};
use crate::workspace::Workspace;

/// Runs all benches or one, in the release profile.
///
/// Each is named to cargo: asked for all, it would also start the unit tests as benches, and these do not know the
/// options of criterion.
pub(crate) fn run(workspace: &Workspace, name: Option<&str>, args: &[String]) -> Result<ExitCode, Failed> {
    let known = workspace.targets("bench");
    let asked: Vec<_> =
        known.iter().copied().filter(|bench| name.is_none_or(|name| name == *bench)).collect();
    if asked.is_empty() {
        let what =
            name.map_or("there are no benches".to_owned(), |name| format!("no bench is called {name}"));
        return Err(Failed::new(what).hinting(format!("there are {}", known.join(", "))));
    }
    let mut command = workspace.cargo(&["bench", "--workspace"]);
    for bench in asked {
        command.args(["--bench", bench]);
    }
    command.arg("--").args(args);
    handed_over(command)
}
