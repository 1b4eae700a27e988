//! The command line.

mod audit;
mod keys;
mod limits;
mod rules;
mod serve;
mod token;
mod watch;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clawexchange_migrations::RoleName;
use clawexchange_ssg_core::{AgentId, OwnerId, QuarantineId, RiskTier, SourceId, Timestamp, TrustLevel};

pub(crate) use self::audit::{
    AuditCommand, CheckProofArgs, ExportArgs, LogArg, Place, QueryArgs, RetireArgs,
};
pub(crate) use self::keys::KeysCommand;
pub(crate) use self::limits::{Change, LimitsCommand, OverrideArgs, SimulateArgs};
pub(crate) use self::rules::{
    AllowArgs, AllowCommand, DryRun, ListRulesArgs, RulesCommand, SignArgs, SigningKeyArgs,
};
pub(crate) use self::serve::ServeArgs;
pub(crate) use self::token::TokenCommand;
pub(crate) use self::watch::{DoctorArgs, HealthcheckArgs, TapArgs};
use crate::exit::HELP;

/// Inspects what agents post, holds what is suspicious, and keeps a log that nobody can quietly change.
#[derive(Parser, Debug)]
#[command(name = "claw", version, after_help = HELP, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args, Debug)]
pub(crate) struct Global {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub(crate) output: Format,
    /// The folder of rows, held content and counters [env: CLAW_DATA_DIR] [default: ./claw-data].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A TOML file of settings [env: CLAW_CONFIG].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Who acts, as the log will say it [default: os:USER].
    #[arg(long = "as", global = true, value_name = "NAME")]
    pub(crate) acts_as: Option<AgentId>,
    /// Says more on stderr; twice, much more.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Global {
    pub(crate) fn is_json(&self) -> bool {
        self.output == Format::Json
    }
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// For programs: one JSON value, or one a line.
    Json,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Judges content and stores nothing.
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Sends content through the whole pipeline: limited, inspected, held or passed, logged.
    #[command(after_help = SUBMIT_EXAMPLES)]
    Submit(SubmitArgs),
    /// Serves the pipeline over HTTP, until it is told to stop.
    #[command(after_help = serve::SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Makes, lists and revokes the tokens with which programs and people speak over HTTP.
    #[command(subcommand, after_help = token::TOKEN_EXAMPLES)]
    Token(TokenCommand),
    /// Reviews held content.
    #[command(subcommand, after_help = QUARANTINE_EXAMPLES)]
    Quarantine(QuarantineCommand),
    /// Reads and checks the log.
    #[command(subcommand, after_help = audit::AUDIT_EXAMPLES)]
    Audit(AuditCommand),
    /// Shows and moves events that are kept while the database is away.
    #[command(subcommand, after_help = SPOOL_EXAMPLES)]
    Spool(SpoolCommand),
    /// Shows and sets how often agents may act.
    #[command(subcommand)]
    Limits(LimitsCommand),
    /// Lists, checks and activates rules: those that ship, packs of one's own, and what is allowed all the same.
    #[command(subcommand, after_help = rules::RULES_EXAMPLES)]
    Rules(RulesCommand),
    /// Looks the deployment over and says what to mend; changes nothing.
    #[command(after_help = watch::DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Asks a running server whether it is ready, for containers.
    #[command(after_help = watch::HEALTHCHECK_EXAMPLES)]
    Healthcheck(HealthcheckArgs),
    /// Follows verdicts and decisions as they are made, a line each.
    #[command(after_help = watch::TAP_EXAMPLES)]
    Tap(TapArgs),
    /// Changes the schema of the database.
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Checks and shows settings.
    #[command(subcommand, after_help = CONFIG_EXAMPLES)]
    Config(ConfigCommand),
    /// Makes, exchanges and retires master keys.
    #[command(subcommand, after_help = keys::KEYS_EXAMPLES)]
    Keys(KeysCommand),
    /// Prints the manual page, or writes those of all commands.
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// Writes a page for each command into this folder.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Prints a script that completes this command line in a shell.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  claw inspect post.txt
  echo 'my key is AKIA…' | claw inspect --explain
  claw inspect post.txt --level 3 --explain --output json
  claw inspect post.txt --rules rules/ --explain
  claw inspect --json envelope.json
  claw inspect --jsonl posts.jsonl --report report.md --fail-on HIGH";

const SUBMIT_EXAMPLES: &str = "\
Examples:
  claw submit post.txt --agent agent-7 --owner ann
  claw submit --jsonl examples/posts.jsonl
  claw submit --jsonl posts.jsonl --agent importer --trust PLATFORM_BOT --output json";

const QUARANTINE_EXAMPLES: &str = "\
Examples:
  claw quarantine list
  claw quarantine content 0198… --purpose 'review of a complaint'
  claw quarantine release 0198… --reason FALSE_POSITIVE
  claw quarantine delete 0198… --reason POLICY_VIOLATION
  claw quarantine sweep --dry-run";

const SPOOL_EXAMPLES: &str = "\
Examples:
  claw spool status
  claw spool replay
  claw spool dead-letters > refused.jsonl";

/// `claw spool …`
#[derive(Subcommand, Debug)]
pub(crate) enum SpoolCommand {
    /// Says what waits, how old it is, and what was set aside; works beside a server and while the database is away.
    Status,
    /// Moves what waits into the log; a server does so by itself, so none may use the folder.
    Replay,
    /// Prints the events that the log refused for what is in them, one in JSON a line.
    DeadLetters,
}

const CONFIG_EXAMPLES: &str = "\
Examples:
  claw config check
  claw config show --origin
  claw config example > claw.toml
  claw config check --config claw.toml
  claw config schema > claw.schema.json";

const MAN_EXAMPLES: &str = "\
Examples:
  claw man | man -l -
  claw man --out /usr/local/share/man/man1";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  claw completions bash > /etc/bash_completion.d/claw
  claw completions zsh > \"${fpath[1]}/_claw\"";

/// How content is read.
#[derive(Args, Debug)]
pub(crate) struct ContentArgs {
    /// The file with the content; `-` is standard input.
    #[arg(default_value = "-", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file is one envelope in JSON and not the text itself.
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) json: bool,
    /// The file is envelopes in JSON, one a line.
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// A title beside the text.
    #[arg(long, conflicts_with_all = ["json", "jsonl"])]
    pub(crate) title: Option<String>,
    /// What sort of content the text is.
    #[arg(long, value_enum, conflicts_with_all = ["json", "jsonl"], value_name = "TYPE")]
    pub(crate) content_type: Option<ContentTypeArg>,
    /// What the post is about.
    #[arg(long, value_enum, conflicts_with_all = ["json", "jsonl"])]
    pub(crate) category: Option<CategoryArg>,
    /// Writes a summary of all lines in Markdown.
    #[arg(long, requires = "jsonl", value_name = "FILE.md")]
    pub(crate) report: Option<PathBuf>,
    /// Exits with 10 if a line is of this tier or worse, with 11 if one is blocked.
    #[arg(long, requires = "jsonl", value_name = "TIER")]
    pub(crate) fail_on: Option<RiskTier>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ContentTypeArg {
    Post,
    Comment,
    Message,
    Profile,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum CategoryArg {
    Supply,
    Demand,
    Concept,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) content: ContentArgs,
    /// Says how the score came about, and what was come upon and not reported. For operators: it shows what callers
    /// never see.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Judges with rules up to this level of paranoia, 1 to 4 [default: as `policy.level` is set].
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(crate) level: Option<u8>,
    /// Judges with packs of one's own besides: a file, or a folder of *.toml. What is active in the database plays no part.
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    pub(crate) content: ContentArgs,
    /// Who posts; for lines that do not say.
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<AgentId>,
    /// Who the agent belongs to; for lines that do not say.
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<OwnerId>,
    /// How far the agent is trusted; for lines that do not say [default: NEW].
    #[arg(long, value_name = "LEVEL")]
    pub(crate) trust: Option<TrustLevel>,
    /// The platform's own name for the content; for lines that do not say.
    #[arg(long, value_name = "ID")]
    pub(crate) source: Option<SourceId>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum QuarantineCommand {
    /// Lists held content, newest first.
    List(ListArgs),
    /// Shows what is known of held content, without the content.
    Show {
        /// The hold.
        id: QuarantineId,
    },
    /// Opens held content, once, and says so in the log before the first byte.
    Content {
        /// The hold.
        id: QuarantineId,
        /// Why it is looked at; the log keeps it.
        #[arg(long, value_name = "TEXT")]
        purpose: String,
    },
    /// Gives a link to the sealed bytes in the bucket: ciphertext, which opens nothing. Says so in the log before.
    CiphertextUrl {
        /// The hold.
        id: QuarantineId,
        /// Why it is handed out; the log keeps it.
        #[arg(long, value_name = "TEXT")]
        purpose: String,
        /// How many seconds the link lasts: 1 to 900.
        #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=900))]
        ttl: u64,
    },
    /// Releases held content.
    Release {
        /// The hold.
        id: QuarantineId,
        #[command(flatten)]
        decision: DecisionArgs,
    },
    /// Deletes held content: it is unreadable at once and gone for good after the grace of 24 hours.
    Delete {
        /// The hold.
        id: QuarantineId,
        #[command(flatten)]
        decision: DecisionArgs,
        /// Destroys its key now: nobody can bring it back.
        #[arg(long)]
        now: bool,
    },
    /// Brings deleted or expired content back for review, within the grace.
    Restore {
        /// The hold.
        id: QuarantineId,
        /// Why; the log keeps it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Places a legal hold, under which nothing expires and nothing is destroyed, or lifts it.
    Hold {
        /// The hold.
        id: QuarantineId,
        /// Why; the log keeps it.
        #[arg(long, value_name = "TEXT", required_unless_present = "lift")]
        reason: Option<String>,
        /// Lifts the legal hold.
        #[arg(long)]
        lift: bool,
    },
    /// Expires what is due, finishes what a crash left half-done, and destroys what is past its grace.
    Sweep {
        /// Says what would be done and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Looks for objects without rows and rows without objects.
    Reconcile {
        /// Has the next sweep delete the objects that no row needs. Not after a database was restored from a backup.
        #[arg(long)]
        condemn: bool,
    },
    /// Counts held content by status.
    Stats,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Only of this status.
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Only of this tier.
    #[arg(long)]
    pub(crate) tier: Option<RiskTier>,
    /// Only of this agent.
    #[arg(long)]
    pub(crate) agent: Option<AgentId>,
    /// Only of this owner.
    #[arg(long)]
    pub(crate) owner: Option<OwnerId>,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PageArgs {
    /// How many, 1 to 1000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) limit: u64,
    /// Where the page before this one ended.
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

impl PageArgs {
    pub(crate) fn after(&self) -> Option<clawexchange_ssg_core::Cursor> {
        self.cursor.as_deref().map(clawexchange_ssg_core::Cursor::new)
    }
}

#[derive(Args, Debug)]
pub(crate) struct DecisionArgs {
    /// Why, as a code: FALSE_POSITIVE, TRUE_POSITIVE_LOW_RISK, TRUE_POSITIVE_HIGH_RISK, NEEDS_HUMAN_REVIEW,
    /// POLICY_VIOLATION or DUPLICATE_CONTENT [default: FALSE_POSITIVE for release, POLICY_VIOLATION for delete].
    #[arg(long, value_name = "CODE")]
    pub(crate) reason: Option<String>,
    /// Why, in words; the log keeps it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) notes: Option<String>,
}

/// A moment, or how long ago it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum When {
    At(Timestamp),
    Ago(std::time::Duration),
}

impl std::str::FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "neither RFC 3339, such as 2026-11-21T09:30:00Z, nor an age such as 24h";
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let unit = text.chars().last().ok_or(WRONG)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(WRONG),
        };
        let number: u64 = text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or(WRONG)?;
        Ok(Self::Ago(std::time::Duration::from_secs(number.checked_mul(seconds).ok_or(WRONG)?)))
    }
}

impl When {
    pub(crate) fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.minus(ago),
        }
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum MigrateCommand {
    /// Runs what has not run, all of it or nothing.
    Up {
        /// Only the steps of this crate.
        #[arg(long = "crate", value_name = "CRATE")]
        only: Option<String>,
        /// Up to this step.
        #[arg(long, value_name = "STEP")]
        to: Option<String>,
    },
    /// Undoes steps, last first.
    Down {
        /// Only the steps of this crate.
        #[arg(long = "crate", value_name = "CRATE")]
        only: Option<String>,
        /// How many.
        #[arg(long, required_unless_present = "to", conflicts_with = "to")]
        steps: Option<u32>,
        /// Every step after this one.
        #[arg(long, value_name = "STEP")]
        to: Option<String>,
        /// Leave to destroy evidence, by the phrase that the refusal names.
        #[arg(long, value_name = "PHRASE")]
        destroy: Option<String>,
    },
    /// Lists the steps and which have run.
    Status,
    /// Prints the text of what has not run.
    Plan,
    /// Compares the schema with what the steps make.
    Verify,
    /// Takes over what the first system of this kind left in the database: its tables move to a schema of their own, and
    /// its log, records and limits are taken over.
    #[command(after_help = ADOPT_EXAMPLES)]
    Adopt(AdoptArgs),
    /// Prints the statements that give PostgreSQL's role of the application what it needs, and nothing else.
    #[command(after_help = ROLES_EXAMPLES)]
    Roles {
        /// The role as which the application logs in.
        #[arg(long, value_name = "ROLE", default_value = "claw_app")]
        app: RoleName,
    },
}

#[derive(Args, Debug)]
pub(crate) struct AdoptArgs {
    /// Says what would be done, with the statements and how many rows there are, and does nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Does not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

const ADOPT_EXAMPLES: &str = "\
PostgreSQL only, and with the owner's connection (CLAW_MIGRATE_DATABASE_URL). Stop the first system before: it does not
find its tables any more. Nothing is dropped. Cut short, it is taken up by running it again.

Examples:
  claw migrate adopt --dry-run
  claw migrate adopt
  claw migrate adopt --yes --output json";

const ROLES_EXAMPLES: &str = "\
Examples:
  claw migrate roles | psql -v ON_ERROR_STOP=1 claw
  claw migrate roles --app shop_claw";

#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Says everything that is wrong with the settings, at once, or what should be known of them.
    Check,
    /// Shows the settings as they hold; secrets only as set.
    Show {
        /// Also where each value came from.
        #[arg(long)]
        origin: bool,
    },
    /// Prints a settings file in which everything stands as a comment at its default.
    Example {
        /// With the defaults of production, and what it needs besides.
        #[arg(long)]
        production: bool,
    },
    /// Prints the JSON Schema of the settings file, for editors.
    Schema,
}
