//! What the commands take that look at a deployment and change nothing.

use std::time::Duration;

use clap::Args;
use clawexchange_ssg_core::{AgentId, EventKind};

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  claw doctor
  claw doctor --list
  claw doctor --run database,integrity,append-only
  claw doctor --output json";

pub(super) const HEALTHCHECK_EXAMPLES: &str = "\
Examples:
  claw healthcheck
  claw healthcheck --live
  claw healthcheck --url http://127.0.0.1:9090/readyz --timeout 5s

Exit codes: 0 ready, 1 not ready, 69 nobody answers";

pub(super) const TAP_EXAMPLES: &str = "\
Examples:
  claw tap
  claw tap --type SSG_BLOCK,SSG_QUARANTINE
  claw tap --agent agent-7 --output json";

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Only these checks.
    #[arg(long, value_delimiter = ',', value_name = "NAME[,NAME]")]
    pub(crate) run: Vec<String>,
    /// Lists the checks and looks at nothing.
    #[arg(long, conflicts_with = "run")]
    pub(crate) list: bool,
}

/// Where a server listens unless set, and what it says of itself there.
const ASKED: &str = "http://127.0.0.1:8080/readyz";

#[derive(Args, Debug)]
pub(crate) struct HealthcheckArgs {
    /// What is asked.
    #[arg(long, value_name = "URL", default_value = ASKED)]
    pub(crate) url: String,
    /// Asks only whether the process runs: /livez of the same address.
    #[arg(long)]
    pub(crate) live: bool,
    /// How long the answer may take, 1 ms to 60 s.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = patience)]
    pub(crate) timeout: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct TapArgs {
    /// Only events of these types.
    #[arg(long = "type", value_delimiter = ',', value_name = "T[,T]")]
    pub(crate) kinds: Vec<EventKind>,
    /// Only what this agent did.
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<AgentId>,
}

/// The longest that anybody waits for one answer.
const PATIENCE_MAX: Duration = Duration::from_mins(1);

fn patience(text: &str) -> Result<Duration, String> {
    let wrong = || "not a time from 1ms to 60s, such as 500ms or 2s".to_owned();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let number: u64 = number.parse().ok().ok_or_else(wrong)?;
    let time = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        _ => return Err(wrong()),
    };
    if time.is_zero() || time > PATIENCE_MAX { Err(wrong()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_short_and_has_a_unit() {
        assert_eq!(patience("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(patience("60s"), Ok(Duration::from_mins(1)));
        for wrong in ["", "5", "s", "0s", "61s", "2m", "-1s", "1.5s", "99999999999999999999s"] {
            assert!(patience(wrong).is_err(), "{wrong}");
        }
    }
}
