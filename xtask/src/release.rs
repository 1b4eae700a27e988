//! Releases: what would be released and why, the edits for it, the uploads.
//!
//! Each crate has its own version, changelog and tags. Nothing is changed or uploaded without `--execute`.

mod changelog;
mod crates;
mod git;
mod package;
mod plan;
mod prepare;
mod publish;
mod registry;
mod semver_check;
mod version;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::run::Failed;
use crate::workspace::Workspace;
use crates::Crates;
use plan::{Plan, Wishes};
use registry::CRATES_IO;
use version::Bump;

#[derive(Subcommand)]
pub(crate) enum Release {
    /// Prints what would be released, as which version, and why
    #[command(after_help = "Examples:
  cargo xtask release plan
  cargo xtask release plan audit quarantine --output json
  cargo xtask release plan --bump ssg-core=minor

Without --bump the changelog decides. An entry under `### Removed` or `### Changed (breaking)`, one that begins
with Breaking, or a break that cargo-semver-checks finds, breaks: 0.1.2 becomes 0.2.0, and 1.2.3 becomes 2.0.0.
`### Added` makes 0.1.3 of 0.1.2, and 1.3.0 of 1.2.3. All else makes 0.1.3 and 1.2.4.
Dependents of a crate that leaves its compatible range follow: libraries with a version that breaks too, since
they show its types; programs with a patch.")]
    Plan {
        #[command(flatten)]
        wishes: WishArgs,
        /// The form of the answer
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Writes the plan into manifests, Cargo.lock, changelogs and READMEs; without --execute shows the diff
    #[command(after_help = "Examples:
  cargo xtask release prepare
  cargo xtask release prepare rate-limiter --execute
  cargo xtask release prepare --bump gateway=patch --execute")]
    Prepare {
        #[command(flatten)]
        wishes: WishArgs,
        /// Writes; the tree must have nothing uncommitted
        #[arg(long)]
        execute: bool,
    },
    /// Uploads crates in order, tags them, skips what is there; without --execute tries all but the uploads
    #[command(after_help = "Examples:
  cargo xtask release publish
  cargo xtask release publish ssg-core detectors --execute
  cargo xtask release publish --execute --push origin
  cargo xtask release publish --registry local --no-verify --execute

The token is read by cargo from CARGO_REGISTRY_TOKEN, or from CARGO_REGISTRIES_<NAME>_TOKEN of another registry.
After a failure run the same command again: what was uploaded is skipped and, if need be, tagged.")]
    Publish(PublishArgs),
}

#[derive(Args)]
pub(crate) struct WishArgs {
    /// Crates to release on their own account, with or without `clawexchange-`; all by default
    #[arg(value_name = "CRATE")]
    crates: Vec<String>,
    /// Counts on this number of a crate: patch, minor or major
    #[arg(long, value_name = "CRATE=NUMBER", value_parser = bump)]
    bump: Vec<(String, Bump)>,
    /// Does not compare public items with the last tag, which takes minutes
    #[arg(long)]
    no_semver_check: bool,
}

#[derive(Args)]
pub(crate) struct PublishArgs {
    /// Crates to publish, with or without `clawexchange-`; all by default
    #[arg(value_name = "CRATE")]
    crates: Vec<String>,
    /// The registry, by the name that cargo knows it by
    #[arg(long, value_name = "NAME", default_value = CRATES_IO)]
    registry: String,
    /// Uploads and tags; what is uploaded cannot be taken back
    #[arg(long)]
    execute: bool,
    /// Does not build each package from its own files first
    #[arg(long)]
    no_verify: bool,
    /// Does not compare public items with the last tag; the reason goes into the tag
    #[arg(long, value_name = "REASON")]
    no_semver_check: Option<String>,
    /// Pushes the tags of what is there to this remote, also after a failure
    #[arg(long, value_name = "REMOTE")]
    push: Option<String>,
    /// How long an upload may take to appear in the index
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
    /// How long to wait before a failed upload is tried again
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pause: u64,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Output {
    /// Columns
    #[default]
    Table,
    /// One document
    Json,
}

/// Does what is asked.
pub(crate) fn run(workspace: &Workspace, release: Release) -> Result<ExitCode, Failed> {
    let crates = Crates::of(workspace)?;
    match release {
        Release::Plan { wishes, output } => {
            let plan = planned(workspace, &crates, wishes)?;
            match output {
                Output::Table => print!("{}", plan.table()),
                Output::Json => println!("{:#}", plan.json()),
            }
        }
        Release::Prepare { wishes, execute } => {
            let plan = planned(workspace, &crates, wishes)?;
            let diff = prepare::run(workspace, &plan, execute)?;
            print!("{diff}");
            eprintln!(
                "{}",
                match (diff.is_empty(), execute) {
                    (true, _) => "there is nothing to prepare",
                    (false, true) =>
                        "written; look at it, run `.ci/run`, commit, then `cargo xtask release publish`",
                    (false, false) => "nothing was written; `--execute` does it",
                }
            );
        }
        Release::Publish(args) => return publish(workspace, &crates, args),
    }
    Ok(ExitCode::SUCCESS)
}

fn planned<'c>(workspace: &Workspace, crates: &'c Crates, wishes: WishArgs) -> Result<Plan<'c>, Failed> {
    let WishArgs { crates: names, bump: bumps, no_semver_check: is_unchecked } = wishes;
    let plan = Plan::of(workspace, crates, &Wishes { names, bumps, is_unchecked })?;
    for note in plan.notes() {
        eprintln!("note: {note}");
    }
    Ok(plan)
}

fn publish(workspace: &Workspace, crates: &Crates, args: PublishArgs) -> Result<ExitCode, Failed> {
    let options = publish::Options {
        names: args.crates,
        registry: args.registry,
        is_executed: args.execute,
        is_unverified: args.no_verify,
        unchecked: args.no_semver_check,
        remote: args.push,
        patience: Duration::from_secs(args.patience),
        pause: Duration::from_secs(args.pause),
    };
    let (report, outcome) = publish::run(workspace, crates, &options)?;
    match args.output {
        Output::Table => print!("{}", report.table()),
        Output::Json => println!("{:#}", report.json()),
    }
    outcome?;
    eprintln!(
        "{}",
        if args.execute {
            "done; tags that were not pushed: git push --tags"
        } else {
            "nothing was uploaded; `--execute` does it"
        }
    );
    Ok(ExitCode::SUCCESS)
}

fn bump(text: &str) -> Result<(String, Bump), String> {
    let (name, number) = text.split_once('=').ok_or("write CRATE=NUMBER, such as ssg-core=minor")?;
    Ok((name.to_owned(), number.parse()?))
}
