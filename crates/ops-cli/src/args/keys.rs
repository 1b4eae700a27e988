//! What `claw keys` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use clawexchange_ssg_core::KeyId;

use super::limits::age;

pub(super) const KEYS_EXAMPLES: &str = "\
Examples:
  claw keys status
  claw keys generate --out ring.key
  claw keys generate --add --id 2027-q1
  claw keys activate 2027-q1
  claw keys rewrap
  claw keys rewrap --content
  claw keys retire 2026-q4 --dry-run";

/// `claw keys …`
#[derive(Subcommand, Debug)]
pub(crate) enum KeysCommand {
    /// Shows master keys, what each is needed for, keys of weeks, and which processes have which.
    Status,
    /// Makes a master key: base64 on stdout, in a new file that only its owner reads, or in the file of this deployment.
    Generate {
        /// The file; one that is there is not touched.
        #[arg(long, value_name = "FILE", conflicts_with = "add")]
        out: Option<PathBuf>,
        /// Adds it to the key file of this deployment; it wraps nothing before it is activated.
        #[arg(long)]
        add: bool,
        /// What it is called; a code of itself unless said.
        #[arg(long, value_name = "KEY")]
        id: Option<KeyId>,
    },
    /// Has another master key wrap what is new, in all processes at once, once all that serve have it.
    Activate {
        /// The key.
        key: KeyId,
        /// How long to wait for processes that do not have it yet, such as 30s or 5m.
        #[arg(long, value_name = "TIME", value_parser = age, default_value = "1m")]
        wait: Duration,
    },
    /// Wraps with the active master key what others wrapped; may be stopped at any time, and goes on where it was.
    Rewrap {
        /// Also moves the keys of all that is held to a new key of the week and destroys those before it: no backup of the
        /// database from before then opens what was destroyed.
        #[arg(long)]
        content: bool,
        /// Says what would be done and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Ends the use of a master key for good, unless something needs it.
    Retire {
        /// The key.
        key: KeyId,
        /// Says whether it may be retired and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
}
