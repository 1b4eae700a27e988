//! `claw tap`: verdicts and decisions as they are made.

use clawexchange_audit::Entry;
use clawexchange_gateway::Intent;
use clawexchange_ssg_core::{ActorType, Escaped};

use crate::args::{Global, TapArgs};
use crate::command::follow::Follow;
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(args: &TapArgs, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let log = parts.log().await?;
    let followed = Follow::from_now(log)
        .await?
        .run(log, |entry| if is_wanted(entry, args) { print(entry, global) } else { Ok(()) })
        .await;
    match followed {
        // Who taps into a pipe ends it from either side.
        Ok(()) | Err(CliError::NobodyReads) => Ok(Exit::Ok),
        Err(error) => Err(error),
    }
}

fn is_wanted(entry: &Entry, args: &TapArgs) -> bool {
    let is_kind = args.kinds.is_empty() || args.kinds.iter().any(|kind| kind.as_str() == entry.event_type);
    let is_agent = args.agent.as_ref().is_none_or(|agent| {
        entry.actor_type == ActorType::Agent.as_str() && entry.actor_id == agent.as_str()
    });
    is_kind && is_agent
}

fn print(entry: &Entry, global: &Global) -> Result<(), CliError> {
    if global.is_json() { output::json(entry) } else { output::line(&text(entry)) }
}

/// Time, what was decided, tier, who, labels.
fn text(entry: &Entry) -> String {
    let word = |name: &str| entry.metadata.get(name).and_then(|value| value.as_str());
    let labels: Vec<&str> = entry
        .metadata
        .get("labels")
        .and_then(|labels| labels.as_array())
        .map(|labels| labels.iter().filter_map(|label| label.as_str()).collect())
        .unwrap_or_default();
    let what = entry.event_type.strip_prefix("SSG_").unwrap_or(&entry.event_type);
    let target = entry.target_id.as_deref().unwrap_or_default();
    let why =
        [word("wouldBe").map(|verdict| format!("would be {verdict}")), word("reason").map(ToOwned::to_owned)];
    let rest = [labels.join(","), why.into_iter().flatten().collect::<Vec<_>>().join(" "), target.to_owned()]
        .join(" ");
    let tier = word("tier").unwrap_or("-");
    let line = format!("{}  {what:<18} {tier:<8}  {:<24}  {}", entry.created_at, entry.actor_id, rest.trim());
    Escaped(line.trim_end()).to_string()
}
