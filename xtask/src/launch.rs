//! Runs programs of the workspace out of target/.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::run::{Failed, handed_over};
use crate::workspace::Workspace;

/// Where other people's texts lie beside a checkout, unless `CLAW_CORPORA` says otherwise.
const CORPORA: &str = "../shared/corpora/dev";

/// Runs `claw migrate` with these arguments.
pub(crate) fn migrate(workspace: &Workspace, args: &[String]) -> Result<ExitCode, Failed> {
    build(workspace)?;
    let mut claw = Command::new(workspace.built("claw"));
    claw.arg("migrate").args(args);
    handed_over(claw)
}

/// Runs the evaluation over our own texts and those that are there.
pub(crate) fn eval(workspace: &Workspace, corpora: &[PathBuf], args: &[String]) -> Result<ExitCode, Failed> {
    build(workspace)?;
    handed_over(evaluation(workspace, corpora, args))
}

/// The evaluation as a command. Its program reads `eval/` by itself; each further folder is named to it.
pub(crate) fn evaluation(workspace: &Workspace, corpora: &[PathBuf], args: &[String]) -> Command {
    let theirs = corpora_of(workspace);
    let mut evaluate = Command::new(workspace.built(Path::new("examples").join("evaluate")));
    evaluate.current_dir(&workspace.root);
    for folder in corpora.iter().chain(theirs.is_dir().then_some(&theirs)) {
        evaluate.arg("--corpora").arg(folder);
    }
    evaluate.args(args);
    evaluate
}

/// Trains the model, or says whether the one that is there is what its inputs make.
pub(crate) fn train(
    workspace: &Workspace,
    check: bool,
    corpora: Option<&Path>,
    args: &[String],
) -> Result<ExitCode, Failed> {
    let corpora = corpora.map_or_else(|| corpora_of(workspace), Path::to_path_buf);
    if !corpora.is_dir() {
        return Err(Failed::new(format!("there are no texts in {}", corpora.display()))
            .hinting("name their folder with --corpora DIR or CLAW_CORPORA"));
    }
    build(workspace)?;
    let mut trainer = Command::new(workspace.built(Path::new("examples").join("train")));
    trainer.current_dir(&workspace.root).arg("--corpora").arg(corpora);
    trainer.args(check.then_some("--check")).args(args);
    handed_over(trainer)
}

/// The folder of other people's texts, whether it is there or not.
fn corpora_of(workspace: &Workspace) -> PathBuf {
    workspace.root.join(std::env::var_os("CLAW_CORPORA").unwrap_or_else(|| OsString::from(CORPORA)))
}

/// Builds binaries and examples. Naming examples makes cargo unify features as it does for tests, so that nothing
/// that a test run has built is built again.
pub(crate) fn build(workspace: &Workspace) -> Result<(), Failed> {
    let mut cargo = workspace.cargo(&["build", "--quiet", "--workspace", "--bins", "--examples"]);
    let status = cargo.status().map_err(|e| Failed::start("cargo", &e))?;
    if status.success() { Ok(()) } else { Err(Failed::new("the workspace does not build")) }
}
