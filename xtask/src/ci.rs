//! What CI runs: one step after the other, up to the first that fails.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::ValueEnum;

use crate::run::{Failed, PATIENCE, streamed};
use crate::suites::{self, Selection, Tally};
use crate::workspace::Workspace;
use crate::{deny, launch, tools};

/// One step, in the order in which they run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Step {
    /// The format of all files
    Fmt,
    /// All lints, none tolerated
    Clippy,
    /// Every suite, as `cargo xtask test` runs them
    Test,
    /// The documentation, without a broken link
    Docs,
    /// What we depend on: bans, licences, sources
    Deny,
    /// A seeded sample of the evaluation, held against its floors
    Eval,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.write_str(name.as_ref().map_or("", |name| name.get_name()))
    }
}

/// Texts of each set that CI evaluates at most: all of the sets that are usual beside a checkout, whose figures then
/// do not vary with the seed, and two minutes' worth of larger ones.
const EVAL_SAMPLE: &str = "4000";

/// Runs the steps asked for, or all of them.
pub(crate) fn run(workspace: &Workspace, asked: &[Step]) -> Result<ExitCode, Failed> {
    let steps = if asked.is_empty() { Step::value_variants() } else { asked };
    let logs = workspace.target.join("ci");
    let unkept = |e: std::io::Error| Failed::new(format!("could not keep output in {}: {e}", logs.display()));
    std::fs::create_dir_all(&logs).map_err(unkept)?;
    let mut took = Vec::new();
    let mut tests = None;
    for &step in steps {
        eprintln!("== {step}");
        let path = logs.join(format!("{step}.log"));
        let mut log = File::create(&path).map_err(unkept)?;
        let started = Instant::now();
        let outcome = perform(workspace, step, &mut log);
        took.push((step, started.elapsed()));
        let green = match outcome {
            Ok(Outcome::Tests(tally)) => {
                tests = Some(tally);
                tally.is_green()
            }
            Ok(Outcome::Done(green)) => green,
            Err(failed) => {
                report(&took);
                close(tests);
                return Err(failed.in_step(step));
            }
        };
        if !green {
            report(&took);
            close(tests);
            return Err(red(step, &path));
        }
    }
    report(&took);
    close(tests);
    Ok(ExitCode::SUCCESS)
}

enum Outcome {
    Done(bool),
    Tests(Tally),
}

fn perform(workspace: &Workspace, step: Step, log: &mut File) -> Result<Outcome, Failed> {
    let command = match step {
        Step::Test => {
            tools::provide(workspace, false)?;
            return suites::run(workspace, &Selection::default(), Some(log)).map(Outcome::Tests);
        }
        Step::Fmt => workspace.cargo(&["fmt", "--all", "--check"]),
        Step::Clippy => workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        Step::Docs => docs(workspace),
        Step::Deny => deny::command(workspace, log)?,
        Step::Eval => {
            launch::build(workspace)?;
            let seed = workspace.seed().to_string();
            let args = ["--gate", "--sample", EVAL_SAMPLE, "--seed", &seed].map(ToOwned::to_owned);
            launch::evaluation(workspace, &[], &args)
        }
    };
    streamed(command, PATIENCE, Some(log), |_| {}).map(|status| Outcome::Done(status.success()))
}

/// Documenting examples too makes cargo unify features as it does for tests and lints, and reuse what these built.
fn docs(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo(&["doc", "--workspace", "--no-deps", "--lib", "--bins", "--examples"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

fn report(took: &[(Step, std::time::Duration)]) {
    for (step, time) in took {
        eprintln!("{step:>8} {:>7.1} s", time.as_secs_f64());
    }
}

/// The count of tests closes stdout as it does for `cargo xtask test`.
fn close(tests: Option<Tally>) {
    if let Some(tally) = tests {
        println!("{tally}");
    }
}

fn red(step: Step, log: &Path) -> Failed {
    Failed::new(format!("step {step} failed; its output is in {}", log.display()))
        .hinting(format!("run it alone with `cargo xtask ci {step}`"))
}
