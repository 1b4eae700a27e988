//! The command line of `claw limits`.

use std::time::Duration;

use clap::{Args, Subcommand};
use clawexchange_rate_limiter::stored::REASON_CHARS_MAX;
use clawexchange_rate_limiter::{EndpointTier, Multiplier, Quota};
use clawexchange_ssg_core::{AgentId, OwnerId, TrustLevel};

use super::When;

const SET_EXAMPLES: &str = "\
Examples:
  claw limits set POSTS --per-hour 20 --per-minute 4
  claw limits set SEARCHES --per-hour 100 --per-minute 20
  claw limits set --trust VERIFIED --multiplier 2.5";

const SUSPEND_EXAMPLES: &str = "\
Examples:
  claw limits suspend spammer --ttl 24h --reason 'floods of offers'
  claw limits suspend spammer --reason 'until its owner answers'
  claw limits lift spammer";

const OVERRIDE_EXAMPLES: &str = "\
Examples:
  claw limits override agent-7 --tier POSTS --per-hour 500 --per-minute 60 --ttl 24h --reason import
  claw limits override spammer --tier MESSAGES --per-hour 0 --per-minute 0 --ttl 7d --reason spam
  claw limits override agent-7 --tier POSTS --lift";

const OVERRIDES_EXAMPLES: &str = "\
Examples:
  claw limits overrides
  claw limits overrides --output json";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  claw limits simulate POSTS --per-hour 5 --per-minute 2
  claw limits simulate --trust NEW --multiplier 0.25 --since 7d
  claw limits simulate COMMENTS --per-hour 30 --per-minute 5 --assume-trust VERIFIED";

const VIOLATIONS_EXAMPLES: &str = "\
Examples:
  claw limits violations
  claw limits violations --since 7d --output json";

#[derive(Subcommand, Debug)]
pub(crate) enum LimitsCommand {
    /// Shows how often agents of each trust level may act.
    Show,
    /// Shows how an agent stands; counts nothing.
    Status {
        /// The agent.
        agent: AgentId,
        /// How far it is trusted.
        #[arg(long, default_value = "NEW")]
        trust: TrustLevel,
        /// Who it belongs to.
        #[arg(long)]
        owner: Option<OwnerId>,
    },
    /// Forgets what an agent was charged; its penalties stay.
    Reset {
        /// The agent.
        agent: AgentId,
        /// Only in this tier: POSTS, COMMENTS or MESSAGES.
        #[arg(long)]
        tier: Option<String>,
    },
    /// Has an agent do nothing at all, in no tier, for a while or until that is lifted; whoever serves follows within a second.
    #[command(after_help = SUSPEND_EXAMPLES)]
    Suspend {
        /// The agent.
        agent: AgentId,
        /// How long: an age such as 24h, 30m, 7d; without it until `claw limits lift`.
        #[arg(long, value_name = "AGE", value_parser = age)]
        ttl: Option<Duration>,
        /// Why, on one line; the log keeps it sealed.
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
    },
    /// Has a suspended agent act again, within its limits.
    Lift {
        /// The agent.
        agent: AgentId,
    },
    /// Lists who is suspended now.
    Suspended,
    /// Sets the quota of a tier, or what a level of trust multiplies; whoever serves follows within a second.
    #[command(after_help = SET_EXAMPLES)]
    Set(SetArgs),
    /// Gives one agent another quota for a while, in the place of base and trust; penalties still lower it.
    #[command(after_help = OVERRIDE_EXAMPLES)]
    Override(OverrideArgs),
    /// Lists the overrides that hold now.
    #[command(after_help = OVERRIDES_EXAMPLES)]
    Overrides,
    /// Says what other limits would change: the table, what was submitted, and who stands near a limit. Sets nothing.
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateArgs),
    /// Sums up how often agents were told to come back later.
    #[command(after_help = VIOLATIONS_EXAMPLES)]
    Violations {
        /// At or after this moment: RFC 3339, or an age such as 24h, 30m, 7d.
        #[arg(long, value_name = "WHEN", default_value = "24h")]
        since: When,
    },
}

/// What is to be set: a quota, or a multiplier.
#[derive(Args, Debug)]
pub(crate) struct SetArgs {
    /// The tier: POSTS, COMMENTS, MESSAGES, or one of your own.
    #[arg(required_unless_present = "trust", conflicts_with = "trust", requires_all = ["per_hour", "per_minute"])]
    tier: Option<EndpointTier>,
    /// Units in any hour; 0 blocks.
    #[arg(long, value_name = "N", requires = "tier")]
    per_hour: Option<u32>,
    /// Units in any minute; 0 blocks.
    #[arg(long, value_name = "N", requires = "tier")]
    per_minute: Option<u32>,
    /// The level of trust whose multiplier is set.
    #[arg(long, value_name = "LEVEL", requires = "multiplier")]
    trust: Option<TrustLevel>,
    /// What the level multiplies, at most two decimals; 0 blocks.
    #[arg(long, value_name = "X", requires = "trust")]
    multiplier: Option<Multiplier>,
}

/// One change of the limits.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Quota(EndpointTier, Quota),
    Trust(TrustLevel, Multiplier),
}

impl SetArgs {
    /// What was said; `None` if the command line let through what does not go together.
    pub(crate) fn change(&self) -> Option<Change> {
        match (&self.tier, self.trust) {
            (Some(tier), _) => {
                Some(Change::Quota(tier.clone(), Quota::new(self.per_hour?, self.per_minute?)))
            }
            (None, Some(level)) => Some(Change::Trust(level, self.multiplier?)),
            (None, None) => None,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct OverrideArgs {
    /// The agent.
    pub(crate) agent: AgentId,
    /// The tier.
    #[arg(long)]
    pub(crate) tier: EndpointTier,
    /// Units in any hour; 0 blocks.
    #[arg(long, value_name = "N", required_unless_present = "lift")]
    pub(crate) per_hour: Option<u32>,
    /// Units in any minute; 0 blocks.
    #[arg(long, value_name = "N", required_unless_present = "lift")]
    pub(crate) per_minute: Option<u32>,
    /// How long: an age such as 24h, 30m, 7d, at most 366d.
    #[arg(long, value_name = "AGE", value_parser = age, required_unless_present = "lift")]
    pub(crate) ttl: Option<Duration>,
    /// Why, on one line; the log keeps it.
    #[arg(long, value_name = "TEXT", required_unless_present = "lift")]
    pub(crate) reason: Option<String>,
    /// Has the usual limits hold again.
    #[arg(long, conflicts_with_all = ["per_hour", "per_minute", "ttl", "reason"])]
    pub(crate) lift: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    pub(crate) set: SetArgs,
    /// What was submitted at or after this moment is replayed: RFC 3339, or an age such as 24h, 30m, 7d.
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub(crate) since: When,
    /// How far agents are taken to be trusted: the log does not say it.
    #[arg(long, value_name = "LEVEL", default_value = "NEW")]
    pub(crate) assume_trust: TrustLevel,
}

/// One line that is not blank: it is shown in lists.
fn reason(text: &str) -> Result<String, String> {
    let is_one = (1..=REASON_CHARS_MAX).contains(&text.chars().count())
        && !text.trim().is_empty()
        && !text.chars().any(char::is_control);
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| format!("not 1 to {REASON_CHARS_MAX} characters on one line"))
}

pub(super) fn age(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(When::Ago(age)) => Ok(age),
        _ => Err("not an age such as 24h, 30m or 7d"),
    }
}
