//! `claw limits violations`: who was told to come back later, and how often.

use std::collections::BTreeMap;

use clawexchange_audit::Query;
use clawexchange_gateway::Intent;
use clawexchange_ssg_core::{Clock as _, EventKind, PageLimit, SystemClock, Timestamp};
use serde_json::json;

use crate::args::{Global, When};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

/// From more flagged agents than this on it is worth a look.
const NOTABLE: usize = 5;

/// From more flagged agents than this on it looks like spam.
const ALARMING: usize = 20;

/// Refusals of one agent in one tier.
#[derive(Clone, Copy)]
struct Refusals {
    count: u64,
    last: Timestamp,
}

pub(crate) async fn run(since: When, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let since = since.moment(SystemClock::new().now());
    let mut query = Query::default();
    query.kinds = vec![EventKind::RateLimited];
    query.since = Some(since);
    let mut known: BTreeMap<(String, String), Refusals> = BTreeMap::new();
    let mut cursor = None;
    loop {
        let limit = PageLimit::new(u64::from(PageLimit::MAX)).unwrap_or_default();
        let page = parts.log().await?.query(&query, cursor.as_ref(), limit).await?;
        for entry in page.items {
            let count = entry.metadata.get("count").and_then(serde_json::Value::as_u64).unwrap_or(1);
            let tier =
                entry.metadata.get("tier").and_then(|tier| tier.as_str()).unwrap_or_default().to_owned();
            let sum =
                known.entry((entry.actor_id, tier)).or_insert(Refusals { count: 0, last: entry.created_at });
            sum.count = sum.count.saturating_add(count);
            sum.last = sum.last.max(entry.created_at);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    print(since, known, global)?;
    Ok(Exit::Ok)
}

fn print(
    since: Timestamp,
    known: BTreeMap<(String, String), Refusals>,
    global: &Global,
) -> Result<(), CliError> {
    // Agents are in order, so those that are alike stand together.
    let mut agents: Vec<String> = known.keys().map(|(agent, _)| agent.clone()).collect();
    agents.dedup();
    let level = match agents.len() {
        n if n > ALARMING => "alarming",
        n if n > NOTABLE => "notable",
        _ => "usual",
    };
    let mut sums: Vec<_> = known.into_iter().collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.count));
    if global.is_json() {
        let items: Vec<_> = sums
            .iter()
            .map(|((agent, tier), sum)| {
                json!({"agentId": agent, "tier": tier, "refusals": sum.count, "lastAt": sum.last})
            })
            .collect();
        return output::json(
            &json!({"since": since, "items": items, "flaggedAgents": agents.len(), "level": level}),
        );
    }
    let mut rows = output::Rows::new(&["agent", "tier", "refusals", "last"]).right(2);
    for ((agent, tier), sum) in &sums {
        rows.row(&[agent, tier, &sum.count.to_string(), &sum.last.to_string()]);
    }
    rows.print()?;
    match level {
        "alarming" => {
            output::say(&format!(
                "warning: {} agents were limited, more than {ALARMING}: look for spam",
                agents.len()
            ));
        }
        "notable" => output::say(&format!("note: {} agents were limited, more than {NOTABLE}", agents.len())),
        _ => {}
    }
    Ok(())
}
