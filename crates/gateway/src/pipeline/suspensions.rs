//! Agents that may do nothing for a while. The log says who they are, and counters are taught it from there.

use std::collections::BTreeMap;

use clawexchange_audit::{AuditLog, Entry, Query};
use clawexchange_ssg_core::{
    Actor, AgentId, AuditEvent, Clock as _, EventKind, PageLimit, SystemClock, Target, Timestamp,
};
use serde::Serialize;

use super::Pipeline;
use crate::error::PartsError;

/// What events about a restriction have as the type of their target; the id is the agent's alias in the log.
const TARGET: &str = "agent";

/// What is to become of an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "who carries out changes and forgets one must not compile")]
pub enum SuspensionChange {
    /// It may do nothing until then, or until somebody lifts it.
    Suspend {
        /// When it ends by itself.
        until: Option<Timestamp>,
        /// Why; the log seals it.
        reason: String,
    },
    /// It may act again.
    Lift,
}

impl SuspensionChange {
    /// The event that tells of the change.
    pub async fn event(&self, log: &AuditLog, by: Actor, agent: &AgentId) -> Result<AuditEvent, PartsError> {
        let kind = match self {
            Self::Suspend { .. } => EventKind::RestrictionApplied,
            Self::Lift => EventKind::RestrictionLifted,
        };
        let target = Target::new(TARGET, log.alias(agent).await?);
        let event = AuditEvent::new(kind, by, SystemClock::new().now()).on(target);
        Ok(match self {
            Self::Suspend { until, reason } => event
                .with_some("untilUs", until.map(Timestamp::as_micros))?
                .with_personal("reason", reason.clone())?,
            Self::Lift => event,
        })
    }
}

/// An agent that may do nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Suspended {
    /// Who.
    pub agent_id: AgentId,
    /// When it ends by itself; never if there is none.
    pub until: Option<Timestamp>,
    /// Since when.
    pub since: Timestamp,
    /// Who did it: the sort of actor, `:` and its id.
    pub by: String,
    /// Why, as long as the log can say it.
    pub reason: Option<String>,
}

impl Suspended {
    /// Everybody who is suspended now, as the log says it.
    pub async fn all(log: &AuditLog) -> Result<Vec<Self>, PartsError> {
        let now = SystemClock::new().now();
        let last = last_of_each(log).await?;
        let mut found = Vec::new();
        for (entry, agent_id, change) in last.into_values() {
            let Change::Suspended(until) = change else { continue };
            if until.is_some_and(|until| until <= now) {
                continue;
            }
            found.push(Self {
                agent_id,
                until,
                since: entry.created_at,
                by: format!("{}:{}", entry.actor_type, entry.actor_id),
                reason: entry.metadata.get("reason").and_then(|r| r.as_str()).map(ToOwned::to_owned),
            });
        }
        found.sort_by(|a, b| a.agent_id.cmp(&b.agent_id));
        Ok(found)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Change {
    Suspended(Option<Timestamp>),
    Lifted,
}

impl Change {
    fn of(entry: &Entry) -> Option<Self> {
        let until = || entry.metadata.get("untilUs").and_then(serde_json::Value::as_i64);
        match entry.event_type.as_str() {
            word if word == EventKind::RestrictionApplied.as_str() => {
                Some(Self::Suspended(until().map(Timestamp::from_micros)))
            }
            word if word == EventKind::RestrictionLifted.as_str() => Some(Self::Lifted),
            _ => None,
        }
    }
}

/// The last change of each agent that is still known, by alias.
async fn last_of_each(log: &AuditLog) -> Result<BTreeMap<String, (Entry, AgentId, Change)>, PartsError> {
    let mut query = Query::default();
    query.kinds = vec![EventKind::RestrictionApplied, EventKind::RestrictionLifted];
    let limit = PageLimit::new(u64::from(PageLimit::MAX)).unwrap_or_default();
    let (mut cursor, mut last) = (None, BTreeMap::new());
    loop {
        let page = log.query(&query, cursor.as_ref(), limit).await?;
        for entry in page.items {
            let Some(alias) = entry.target_id.clone().filter(|alias| !last.contains_key(alias)) else {
                continue;
            };
            // Whoever was erased has no name that counters could know.
            if let (Some(change), Some(agent)) = (Change::of(&entry), log.agent(&alias).await?) {
                last.insert(alias, (entry, agent, change));
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(last);
        }
    }
}

impl Pipeline {
    /// Has the counters know what an event of the log says of a restriction; nothing if it says none.
    pub(super) async fn heed_suspension(&self, entry: &Entry) -> Result<(), PartsError> {
        let Some(change) = Change::of(entry) else { return Ok(()) };
        let Some(alias) = &entry.target_id else { return Ok(()) };
        let Some(agent) = self.0.log.agent(alias).await? else { return Ok(()) };
        self.change_suspension(&agent, &change).await
    }

    /// Has the counters know of every restriction that the log tells of.
    pub(super) async fn heed_past_suspensions(&self) -> Result<(), PartsError> {
        for (_, agent, change) in last_of_each(&self.0.log).await?.into_values() {
            self.change_suspension(&agent, &change).await?;
        }
        Ok(())
    }

    async fn change_suspension(&self, agent: &AgentId, change: &Change) -> Result<(), PartsError> {
        match change {
            Change::Suspended(until) => self.0.limiter.suspend(agent, *until).await?,
            Change::Lifted => drop(self.0.limiter.lift(agent).await?),
        }
        Ok(())
    }
}
