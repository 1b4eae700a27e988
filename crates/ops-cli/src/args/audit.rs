//! `claw audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clawexchange_audit::{Log, NoteVerifier};
use clawexchange_ssg_core::{ActorType, EventId, EventKind};

use super::{PageArgs, When};

pub(super) const AUDIT_EXAMPLES: &str = "\
Examples:
  claw audit tail
  claw audit query --event-type SSG_BLOCK,SSG_QUARANTINE --since 24h
  claw audit query --actor agent-7 --output json
  claw audit verify
  claw audit checkpoint --log decisions > decisions.checkpoint
  claw audit prove 17 > 17.tlog-proof
  claw audit export --from 17 --to 17 17.jsonl
  claw audit check-proof 17.tlog-proof --vkey 'local/…/decisions+…' --leaf 17.jsonl
  claw audit retire --log verdicts --before 2026-08-01T00:00:00Z --dry-run";

const RETIRE_EXAMPLES: &str = "\
Needs the owner's connection on PostgreSQL (CLAW_MIGRATE_DATABASE_URL), where whole months leave. The whole log is
verified before and after. Cut short, it is taken up by running it again.

Examples:
  claw audit retire --log verdicts --before 90d --dry-run
  claw audit retire --log verdicts --before 90d --export verdicts-2026-08.jsonl --destroy destroy-evidence
  claw audit check-export verdicts-2026-08.jsonl";

#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// Shows the newest events, newest last.
    Tail {
        /// How many, 1 to 1000.
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
        lines: u64,
        /// Goes on as events come in.
        #[arg(short, long)]
        follow: bool,
    },
    /// Finds events, newest first.
    Query(QueryArgs),
    /// Recomputes everything from the leaves and compares the state with the log.
    Verify,
    /// Signs the logs as they are, and prints what was signed; the key that verifies it is said on stderr.
    Checkpoint {
        /// Of which log.
        #[arg(long, value_enum, default_value_t = LogArg::All)]
        log: LogArg,
    },
    /// Proves that an event is in its log, to whoever has the key that verifies it.
    Prove {
        /// The index of the event in its log, from 0, or its id.
        #[arg(value_name = "INDEX|EVENT-ID")]
        event: Place,
        /// In which log [default: decisions for an index, any for an id].
        #[arg(long)]
        log: Option<Log>,
    },
    /// Writes the leaves of a log, whole, as JSON lines: index, leafHash, leaf.
    Export(ExportArgs),
    /// Checks a proof that `claw audit prove` wrote; needs neither the log nor a key of ours.
    CheckProof(CheckProofArgs),
    /// Exports old events, checks the export, says so in the log and takes them out of the database; their hashes stay.
    #[command(after_help = RETIRE_EXAMPLES)]
    Retire(RetireArgs),
    /// Compares an export with the hashes that the log keeps, also of events that were retired.
    CheckExport {
        /// The file that `claw audit export` or `claw audit retire` wrote.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Args, Debug)]
pub(crate) struct RetireArgs {
    /// Which log.
    #[arg(long)]
    pub(crate) log: Log,
    /// What was committed before this moment leaves, on PostgreSQL in whole months: RFC 3339, or an age such as 90d.
    #[arg(long, value_name = "WHEN")]
    pub(crate) before: When,
    /// Where it is exported to; one that is there must be the export of just these events.
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    pub(crate) export: Option<PathBuf>,
    /// Says what would leave, and does nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also what is younger than verdicts (90 days) and decisions (7 years) are kept.
    #[arg(long)]
    pub(crate) sooner: bool,
    /// Leave to take evidence out of the database, by the phrase that the refusal names.
    #[arg(long, value_name = "PHRASE")]
    pub(crate) destroy: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The file; `-` is standard output.
    #[arg(default_value = "-", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Which log.
    #[arg(long, default_value = "decisions")]
    pub(crate) log: Log,
    /// The index of the first event.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) from: u64,
    /// The index of the last event [default: that of the newest].
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckProofArgs {
    /// The proof; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The key that verifies the log, as `claw audit checkpoint` says it.
    #[arg(long, value_name = "KEY")]
    pub(crate) vkey: NoteVerifier,
    /// The leaf that the proof is about, or the line that `claw audit export` wrote for it. Without it only the
    /// signature is checked.
    #[arg(long, value_name = "FILE")]
    pub(crate) leaf: Option<PathBuf>,
}

/// Which event: by its place, or by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Index(u64),
    Id(EventId),
}

impl std::str::FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let index = text.parse().map(Self::Index);
        let id = || text.parse().map(Self::Id).ok();
        index.ok().or_else(id).ok_or("neither an index, such as 17, nor the id of an event")
    }
}

#[derive(Args, Debug)]
pub(crate) struct QueryArgs {
    /// In which log.
    #[arg(long, value_enum, default_value_t = LogArg::All)]
    pub(crate) log: LogArg,
    /// Of these types.
    #[arg(long, value_delimiter = ',', value_name = "T[,T]")]
    pub(crate) event_type: Vec<EventKind>,
    /// By this agent, owner or other actor.
    #[arg(long, value_name = "ID")]
    pub(crate) actor: Option<String>,
    /// By this sort of actor.
    #[arg(long, value_name = "TYPE")]
    pub(crate) actor_type: Option<ActorType>,
    /// About the thing of this id.
    #[arg(long, value_name = "ID")]
    pub(crate) target: Option<String>,
    /// About this sort of thing.
    #[arg(long, value_name = "TYPE")]
    pub(crate) target_type: Option<String>,
    /// At or after this moment: RFC 3339, or an age such as 24h, 30m, 7d.
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<When>,
    /// At or before this moment.
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<When>,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogArg {
    Decisions,
    Verdicts,
    All,
}

impl LogArg {
    /// The one that is meant; `None` if all are.
    pub(crate) const fn one(self) -> Option<Log> {
        match self {
            Self::Decisions => Some(Log::Decisions),
            Self::Verdicts => Some(Log::Verdicts),
            Self::All => None,
        }
    }
}
