//! The command line of `claw rules`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use clawexchange_ssg_core::{Category, RuleMode};

use super::limits::age;

pub(super) const RULES_EXAMPLES: &str = "\
Examples:
  claw rules list --category credentials
  claw rules show aws-access-key
  claw rules lint rules/
  claw rules test rules/acme.toml
  claw rules bench rules/
  claw inspect post.txt --rules rules/ --explain
  claw rules activate rules/ --dry-run
  claw rules activate rules/
  claw rules rollback";

const LIST_EXAMPLES: &str = "\
Examples:
  claw rules list
  claw rules list --mode shadow
  claw rules list --active
  claw rules list rules/ --pack acme.toml --output json";

const SHOW_EXAMPLES: &str = "\
Examples:
  claw rules show github-token
  claw rules show acme-badge --rules rules/";

const LINT_EXAMPLES: &str = "\
Exit codes: 0 nothing is wrong, 1 something is.

Examples:
  claw rules lint rules/
  claw rules lint rules/acme.toml --output json
  claw rules lint";

const TEST_EXAMPLES: &str = "\
Exit codes: 0 every example is as it should be, 1 one is not.

Examples:
  claw rules test rules/
  claw rules test";

const BENCH_EXAMPLES: &str = "\
A ratio of 1.00 costs nothing; 1.10 means that a text takes a tenth longer. Ordinary texts in which one of the rules is
found are counted: in those a rule is most likely too wide.

Examples:
  claw rules bench rules/
  claw rules bench rules/ --texts posts.txt --output json";

const ACTIVATE_EXAMPLES: &str = "\
Packs are checked as `claw rules lint` checks them, stored by their hash, and judge in every server within a second. What a
server is inspecting meanwhile is judged by the rules that it began with. A server that cannot use them goes on with those
that it has, and says so in /readyz and claw_rules_refused.

Examples:
  claw rules activate rules/ --dry-run
  claw rules activate rules/ --as ann
  claw rules activate 3f0a71c2 --dry-run
  claw rules activate --none";

const SIGN_EXAMPLES: &str = "\
The signature is written beside the packs: rules.note in a folder, or the name of a file and .note. In it stand the hash of
the packs, the serial number and the last moment. `claw rules activate` asks for it where rules.trusted_keys names keys.

Examples:
  claw keys generate --out rules.key
  claw rules key --key rules.key --name acme-rules
  claw rules sign rules/ --key rules.key --name acme-rules --serial 7 --ttl 180d";

const KEY_EXAMPLES: &str = "\
Examples:
  claw keys generate --out rules.key
  claw rules key --key rules.key --name acme-rules";

const ROLLBACK_EXAMPLES: &str = "\
Done again, it goes back further, at last to the rules that ship alone.

Examples:
  claw rules rollback --dry-run
  claw rules rollback --as ann";

const HISTORY_EXAMPLES: &str = "\
Examples:
  claw rules history
  claw rules history --limit 5 --output json";

const ALLOW_EXAMPLES: &str = "\
An allowance takes away the finding of one value, or one more host from what commands may not name, and nothing else. The
value is read from a file, standard input or a prompt and is kept nowhere: what is kept is a code that only the deployment's
key can make.

Examples:
  claw rules allow add --rule aws-access-key --owner ann --reason 'the key of the public demo' --ttl 90d < key.txt
  claw rules allow add --host get.north.example --owner ann --reason 'our installer' --ttl 90d
  claw rules allow list
  claw rules allow remove 0198…";

/// Whether something is done, or only told.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DryRun {
    /// Says what would change and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum RulesCommand {
    /// Lists the rules that ship, and those of packs of one's own, with the modes that are set.
    #[command(after_help = LIST_EXAMPLES)]
    List(ListRulesArgs),
    /// Shows what a rule looks for, and what that is worth.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// The rule.
        id: String,
        /// Packs of one's own: a file, or a folder of *.toml.
        #[arg(long, value_name = "PATH")]
        rules: Option<PathBuf>,
    },
    /// Checks packs and says all that is wrong, by file, line and column: form, ranges, literals, size, time, examples.
    #[command(after_help = LINT_EXAMPLES)]
    Lint {
        /// A file, or a folder of *.toml; the packs that ship unless given.
        packs: Option<PathBuf>,
    },
    /// Tries the examples of every rule, which are its tests.
    #[command(after_help = TEST_EXAMPLES)]
    Test {
        /// A file, or a folder of *.toml; the packs that ship unless given.
        packs: Option<PathBuf>,
    },
    /// Measures what packs cost on ordinary texts: the time with them as a ratio to that without.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench {
        /// A file, or a folder of *.toml.
        packs: PathBuf,
        /// Texts of one's own, one a line, in place of those that ship.
        #[arg(long, value_name = "FILE")]
        texts: Option<PathBuf>,
    },
    /// Has packs judge in every server of the deployment, beside the rules that ship.
    #[command(after_help = ACTIVATE_EXAMPLES)]
    Activate {
        /// A file, a folder of *.toml, or the hash of packs that were active (8 digits of it or more).
        #[arg(required_unless_present = "none")]
        packs: Option<PathBuf>,
        /// No packs: the rules that ship alone.
        #[arg(long, conflicts_with = "packs")]
        none: bool,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Goes back to what was active before.
    #[command(after_help = ROLLBACK_EXAMPLES)]
    Rollback {
        #[command(flatten)]
        dry: DryRun,
    },
    /// Signs packs, so that deployments that trust the key take them from nobody else.
    #[command(after_help = SIGN_EXAMPLES)]
    Sign(SignArgs),
    /// Prints the public key of a signing key, for rules.trusted_keys.
    #[command(after_help = KEY_EXAMPLES)]
    Key(SigningKeyArgs),
    /// Lists what was active, and when, and who did it; the last first.
    #[command(after_help = HISTORY_EXAMPLES)]
    History {
        /// How many, 1 to 1000.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Allows single values and hosts for a while, with an owner and a reason.
    #[command(subcommand, after_help = ALLOW_EXAMPLES)]
    Allow(AllowCommand),
}

#[derive(Args, Debug)]
pub(crate) struct SigningKeyArgs {
    /// The file of the signing key: base64 of 32 bytes, as `claw keys generate --out` makes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// What the key is called: no spaces, no plus.
    #[arg(long)]
    pub(crate) name: String,
}

#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// A file, or a folder of *.toml.
    pub(crate) packs: PathBuf,
    #[command(flatten)]
    pub(crate) by: SigningKeyArgs,
    /// A number that is greater than that of the packs before.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) serial: i64,
    /// How long they may be activated: an age such as 30d or 180d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) ttl: Duration,
}

/// `claw rules allow …`
#[derive(Subcommand, Debug)]
pub(crate) enum AllowCommand {
    /// Allows a value, which is read from standard input, or a host.
    #[command(after_help = ALLOW_EXAMPLES)]
    Add(AllowArgs),
    /// Lists what is allowed now.
    List,
    /// Takes an allowance back.
    Remove {
        /// The allowance, as `claw rules allow list` shows it.
        id: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct AllowArgs {
    /// Only as a finding of this rule.
    #[arg(long, value_name = "ID", required_unless_present_any = ["any_rule", "host"], conflicts_with = "any_rule")]
    pub(crate) rule: Option<String>,
    /// As a finding of any rule.
    #[arg(long)]
    pub(crate) any_rule: bool,
    /// A host that commands may name, in place of a value.
    #[arg(long, conflicts_with_all = ["rule", "any_rule", "file"])]
    pub(crate) host: Option<String>,
    /// Who answers for it.
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: String,
    /// Why, on one line; the log keeps it sealed.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// How long: an age such as 24h, 7d, 90d, at most 366d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) ttl: Duration,
    /// The file with the value; `-` is standard input. One line end at its end is no part of it.
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ListRulesArgs {
    /// Packs of one's own: a file, or a folder of *.toml.
    pub(crate) packs: Option<PathBuf>,
    /// The packs that are active in the deployment, with what is switched by them.
    #[arg(long, conflicts_with = "packs")]
    pub(crate) active: bool,
    /// Only of this category.
    #[arg(long)]
    pub(crate) category: Option<Category>,
    /// Only in this mode: enforce, shadow or off.
    #[arg(long, value_parser = mode)]
    pub(crate) mode: Option<RuleMode>,
    /// Only of this pack.
    #[arg(long, value_name = "NAME")]
    pub(crate) pack: Option<String>,
}

fn mode(text: &str) -> Result<RuleMode, &'static str> {
    match text {
        "enforce" => Ok(RuleMode::Enforce),
        "shadow" => Ok(RuleMode::Shadow),
        "off" => Ok(RuleMode::Off),
        _ => Err("a mode is enforce, shadow or off"),
    }
}
