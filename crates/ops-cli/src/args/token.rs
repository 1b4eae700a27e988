//! What `claw token` takes.

use std::time::Duration;

use clap::Subcommand;
use clawexchange_moderation::{Role, TokenId};
use clawexchange_ssg_core::{AgentId, OwnerId, TrustLevel};

use super::PageArgs;
use super::limits::age;

pub(super) const TOKEN_EXAMPLES: &str = "\
Examples:
  claw token create --id market --role platform
  claw token create --id agent-7 --role agent --owner ann --trust VERIFIED --ttl 30d
  claw token list
  claw token revoke 0198… --reason 'left the team'";

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Makes a token and shows it, this once.
    Create {
        /// Who speaks with it; of an agent, its id.
        #[arg(long, value_name = "NAME")]
        id: AgentId,
        /// In what capacity: platform, agent, bot, moderator, admin or auditor.
        #[arg(long)]
        role: Role,
        /// How far an agent is trusted [default: NEW].
        #[arg(long, value_name = "LEVEL")]
        trust: Option<TrustLevel>,
        /// Who an agent belongs to.
        #[arg(long)]
        owner: Option<OwnerId>,
        /// How long it lives, such as 12h or 30d; until it is revoked, unless said.
        #[arg(long, value_name = "TIME", value_parser = age)]
        ttl: Option<Duration>,
    },
    /// Lists tokens, without their secrets.
    List {
        /// Only of this name.
        #[arg(long, value_name = "NAME")]
        id: Option<AgentId>,
        /// Only of this role.
        #[arg(long)]
        role: Option<Role>,
        /// Only those that are valid.
        #[arg(long)]
        live: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Revokes a token: it opens nothing from then on.
    Revoke {
        /// The token's id, as `claw token list` shows it.
        id: TokenId,
        /// Why; the log keeps it.
        #[arg(long, value_name = "TEXT", default_value = "revoked")]
        reason: String,
    },
}
