//! Limits of single agents, kept in the database until they end.
//!
//! Each override has a slot. Slots are reused and never go, so that the log's last event about a slot always has a row
//! to be compared with, and no agent's name need stand in the target of an event.

use std::time::Duration;

use clawexchange_database::{Row, STATE, StateRow, Statements, Tx, outbox};
use clawexchange_ssg_core::{Actor, AgentId, AuditEvent, EventKind, Target, Timestamp};
use serde::Serialize;

use super::{CHANGE, StoredLimits, limits, rows, system};
use crate::error::LimitError;
use crate::limits::{Limits, Quota};
use crate::overrides::{OVERRIDES_MAX, Override};
use crate::tier::EndpointTier;
use crate::window::Tick;

/// What events about an override have as the type of their target; the id is the number of its slot.
pub const OVERRIDE_TARGET: &str = "limit-override";

/// Longest reason of an override: a sentence or two, as the log keeps it.
pub const REASON_CHARS_MAX: usize = 500;

/// How long an override may last: what holds for longer than a year is no exception.
pub const OVERRIDE_DAYS_MAX: u64 = 366;

/// Most overrides that one sweep ends: others wait for the transaction meanwhile.
pub const SWEEP_MAX: u32 = 500;

/// An override as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StoredOverride {
    /// Whose.
    pub agent_id: AgentId,
    /// For which sort of act.
    pub tier: EndpointTier,
    /// Units in any hour.
    pub per_hour: u32,
    /// Units in any minute.
    pub per_minute: u32,
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who set it: the sort of actor, `:` and its id.
    pub set_by: String,
    /// Since when it is there, by whomever it was changed meanwhile.
    pub created_at: Timestamp,
    /// What events about it have as the id of their target.
    pub slot: i64,
}

impl StoredLimits {
    /// Gives an agent another quota in a tier until a moment, and writes its event, in a transaction of the caller.
    /// Gives the limits as they are once that commits.
    ///
    /// What is set already is not set again and has no event. The log seals the agent's id and the reason.
    ///
    /// # Errors
    ///
    /// A tier without a quota, numbers that no quota may have, a reason that is none, a moment that is over or too far
    /// ahead, and one override too many.
    #[expect(
        clippy::too_many_arguments,
        reason = "each has a type of its own, and all of them are the change"
    )]
    pub async fn set_override(
        &self,
        tx: &Tx,
        by: &Actor,
        agent: &AgentId,
        tier: &EndpointTier,
        quota: Quota,
        until: Timestamp,
        reason: &str,
    ) -> Result<Limits, LimitError> {
        let now = self.clock.now();
        // Counters know whole milliseconds; so that all say the same moment, it is one from the start.
        let until = Timestamp::from(Tick::from(until));
        check(now, until, reason)?;
        tx.lock(CHANGE).await?;
        let (rows, mut slots) = (rows(tx).await?, slots(tx).await?);
        let has_room = |slots: &[Slot]| {
            slots.len() < OVERRIDES_MAX || slots.iter().any(|slot| slot.is_empty() || slot.is_of(agent, tier))
        };
        // Those that are over are only waiting to be swept.
        if !has_room(&slots) && self.end_expired(tx, &mut slots, now).await? == 0 {
            return Err(LimitError::OverridesFull);
        }
        let limits = limits(&rows, &slots)?;
        if limits.quota(tier).is_none() {
            return Err(LimitError::UnknownTier { tier: tier.clone() });
        }
        let others: Vec<_> =
            limits.overrides().map(|(agent, tier, o)| (agent.clone(), tier.clone(), o)).collect();
        let set = (agent.clone(), tier.clone(), Override::new(quota, until));
        let changed = limits.with_overrides(others.into_iter().chain([set]))?;
        let known = slots.iter().find(|slot| slot.is_of(agent, tier));
        let held = known.and_then(|slot| slot.held.as_ref());
        let set = Held {
            agent: agent.as_str().to_owned(),
            tier: tier.as_str().to_owned(),
            per_hour: quota.per_hour.into(),
            per_minute: quota.per_minute.into(),
            reason: reason.to_owned(),
            set_by: format!("{}:{}", by.kind, by.id),
            created_at: held
                .filter(|held| held.is_in_force(now))
                .map_or(now.as_micros(), |held| held.created_at),
            expires_at: until.as_micros(),
        };
        if held.is_some_and(|held| held.says_the_same(&set)) {
            return Ok(changed);
        }
        let slot = known.or_else(|| slots.iter().find(|slot| slot.is_empty()));
        let last = slots.last().map_or(0, |slot| slot.number);
        let after = Slot {
            number: slot.map_or(last.saturating_add(1), |slot| slot.number),
            updated_at: now.as_micros(),
            version: slot.map_or(1, |slot| slot.version.saturating_add(1)),
            held: Some(set),
        };
        self.put(tx, by, &after, held, None).await?;
        Ok(changed)
    }

    /// Has the usual limits hold again for an agent in a tier, and writes the event, in a transaction of the caller.
    /// Gives the limits as they are once that commits.
    ///
    /// # Errors
    ///
    /// There is no override.
    pub async fn lift_override(
        &self,
        tx: &Tx,
        by: &Actor,
        agent: &AgentId,
        tier: &EndpointTier,
    ) -> Result<Limits, LimitError> {
        tx.lock(CHANGE).await?;
        let (rows, mut slots) = (rows(tx).await?, slots(tx).await?);
        let found = slots.iter_mut().find(|slot| slot.is_of(agent, tier));
        let slot = found.ok_or_else(|| LimitError::NoOverride { tier: tier.clone() })?;
        self.end(tx, by, slot, End::Lifted).await?;
        limits(&rows, &slots)
    }

    /// The overrides that hold now, by agent and tier.
    pub async fn overrides(&self) -> Result<Vec<StoredOverride>, LimitError> {
        let now = self.clock.now();
        let mut all = Vec::new();
        for slot in slots(&self.db.read()).await? {
            if let Some(held) = slot.held.as_ref().filter(|held| held.is_in_force(now)) {
                let (agent_id, tier, Override { quota, until }) = slot.parsed(held)?;
                let (reason, set_by) = (held.reason.clone(), held.set_by.clone());
                let created_at = Timestamp::from_micros(held.created_at);
                let Quota { per_hour, per_minute } = quota;
                let slot = slot.number;
                all.push(StoredOverride {
                    agent_id,
                    tier,
                    per_hour,
                    per_minute,
                    until,
                    reason,
                    set_by,
                    created_at,
                    slot,
                });
            }
        }
        all.sort_by(|a, b| (&a.agent_id, &a.tier).cmp(&(&b.agent_id, &b.tier)));
        Ok(all)
    }

    /// Empties the slots of overrides that are over at `now`, at most [`SWEEP_MAX`], and says how many. Each has its
    /// event. Nothing depends on it but room: what is over holds no more.
    pub async fn sweep(&self, now: Timestamp) -> Result<u32, LimitError> {
        let due = "SELECT 1 AS one FROM rate_limit_overrides WHERE expires_at <= $1 LIMIT 1";
        if self.db.read().row(due, [now.as_micros().into()]).await?.is_none() {
            return Ok(0);
        }
        let tx = self.db.begin().await?;
        tx.lock(CHANGE).await?;
        let mut slots = slots(&tx).await?;
        let ended = self.end_expired(&tx, &mut slots, now).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn end_expired(&self, tx: &Tx, slots: &mut [Slot], now: Timestamp) -> Result<u32, LimitError> {
        let by = system("sweep")?;
        let mut ended = 0;
        let is_over = |slot: &&mut Slot| slot.held.as_ref().is_some_and(|held| !held.is_in_force(now));
        for slot in slots.iter_mut().filter(is_over).take(SWEEP_MAX as usize) {
            self.end(tx, &by, slot, End::Expired).await?;
            ended += 1;
        }
        Ok(ended)
    }

    async fn end(&self, tx: &Tx, by: &Actor, slot: &mut Slot, how: End) -> Result<(), LimitError> {
        let before = slot.held.take();
        slot.updated_at = self.clock.now().as_micros();
        slot.version = slot.version.saturating_add(1);
        self.put(tx, by, slot, before.as_ref(), Some(how)).await
    }

    /// Writes a slot as it is to be, and the event that fixes it.
    async fn put(
        &self,
        tx: &Tx,
        by: &Actor,
        slot: &Slot,
        before: Option<&Held>,
        end: Option<End>,
    ) -> Result<(), LimitError> {
        let sql = "INSERT INTO rate_limit_overrides (slot, agent_id, endpoint_tier, per_hour, per_minute, reason, \
                   set_by, created_at, expires_at, updated_at, version) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (slot) DO UPDATE SET \
                   agent_id = $2, endpoint_tier = $3, per_hour = $4, per_minute = $5, reason = $6, set_by = $7, \
                   created_at = $8, expires_at = $9, updated_at = $10, version = $11";
        let held = slot.held.as_ref();
        let values = [
            slot.number.into(),
            held.map(|held| held.agent.clone()).into(),
            held.map(|held| held.tier.clone()).into(),
            held.map(|held| held.per_hour).into(),
            held.map(|held| held.per_minute).into(),
            held.map(|held| held.reason.clone()).into(),
            held.map(|held| held.set_by.clone()).into(),
            held.map(|held| held.created_at).into(),
            held.map(|held| held.expires_at).into(),
            slot.updated_at.into(),
            slot.version.into(),
        ];
        tx.execute(sql, values).await?;
        let tier = held.or(before).map(|held| held.tier.as_str());
        let number = |of: Option<&Held>, which: fn(&Held) -> i64| of.map(which);
        let until = held.map(|held| Timestamp::from_micros(held.expires_at).to_string());
        let mut event = AuditEvent::new(EventKind::ConfigChanged, by.clone(), self.clock.now())
            .on(slot.target())
            .with("version", slot.version)?
            .with(STATE, self.code(&slot.state()).await?)?
            .with_some("tier", tier)?
            .with_some("until", until)?
            .with_some("ended", end.map(End::as_str))?
            .with_some("perHour", number(held, |held| held.per_hour))?
            .with_some("perHourBefore", number(before, |held| held.per_hour))?
            .with_some("burstPerMinute", number(held, |held| held.per_minute))?
            .with_some("burstPerMinuteBefore", number(before, |held| held.per_minute))?;
        if end != Some(End::Expired)
            && let Some(about) = held.or(before)
        {
            event = event.with_personal("agent", &*about.agent)?;
        }
        if let Some(held) = held {
            event = event.with_personal("reason", &*held.reason)?;
        }
        outbox::put(tx, &event).await?;
        Ok(())
    }
}

fn check(now: Timestamp, until: Timestamp, reason: &str) -> Result<(), LimitError> {
    let latest = now.plus(Duration::from_hours(24 * OVERRIDE_DAYS_MAX));
    if until <= now || until > latest {
        return Err(LimitError::OverrideTime);
    }
    let is_reason = (1..=REASON_CHARS_MAX).contains(&reason.chars().count());
    if !is_reason || reason.trim().is_empty() || reason.contains(char::is_control) {
        return Err(LimitError::OverrideReason);
    }
    Ok(())
}

/// How an override ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Lifted,
    Expired,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Lifted => "lifted",
            Self::Expired => "expired",
        }
    }
}

/// A row, as it is, whether it makes sense or not.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    number: i64,
    held: Option<Held>,
    updated_at: i64,
    version: i64,
}

#[derive(Clone, Debug)]
struct Held {
    agent: String,
    tier: String,
    per_hour: i64,
    per_minute: i64,
    reason: String,
    set_by: String,
    created_at: i64,
    expires_at: i64,
}

impl Held {
    const fn is_in_force(&self, now: Timestamp) -> bool {
        now.as_micros() < self.expires_at
    }

    fn says_the_same(&self, other: &Self) -> bool {
        let of = |held: &Self| (held.per_hour, held.per_minute, held.expires_at, held.reason.clone());
        of(self) == of(other)
    }
}

/// Everything that the event fixes, in the order of the names, as canonical JSON has it.
#[derive(Serialize)]
struct State<'a> {
    agent_id: Option<&'a str>,
    created_at: Option<i64>,
    endpoint_tier: Option<&'a str>,
    expires_at: Option<i64>,
    per_hour: Option<i64>,
    per_minute: Option<i64>,
    reason: Option<&'a str>,
    set_by: Option<&'a str>,
    slot: i64,
    updated_at: i64,
    version: i64,
}

impl Slot {
    fn of(row: &Row) -> Result<Self, LimitError> {
        let held = match row.get::<Option<String>>("agent_id")? {
            None => None,
            Some(agent) => Some(Held {
                agent,
                tier: row.get("endpoint_tier")?,
                per_hour: row.get("per_hour")?,
                per_minute: row.get("per_minute")?,
                reason: row.get("reason")?,
                set_by: row.get("set_by")?,
                created_at: row.get("created_at")?,
                expires_at: row.get("expires_at")?,
            }),
        };
        Ok(Self {
            number: row.get("slot")?,
            held,
            updated_at: row.get("updated_at")?,
            version: row.get("version")?,
        })
    }

    const fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    fn is_of(&self, agent: &AgentId, tier: &EndpointTier) -> bool {
        self.held.as_ref().is_some_and(|held| held.agent == agent.as_str() && held.tier == tier.as_str())
    }

    fn target(&self) -> Target {
        Target::new(OVERRIDE_TARGET, self.number)
    }

    fn state(&self) -> Vec<u8> {
        let held = self.held.as_ref();
        let state = State {
            agent_id: held.map(|held| held.agent.as_str()),
            created_at: held.map(|held| held.created_at),
            endpoint_tier: held.map(|held| held.tier.as_str()),
            expires_at: held.map(|held| held.expires_at),
            per_hour: held.map(|held| held.per_hour),
            per_minute: held.map(|held| held.per_minute),
            reason: held.map(|held| held.reason.as_str()),
            set_by: held.map(|held| held.set_by.as_str()),
            slot: self.number,
            updated_at: self.updated_at,
            version: self.version,
        };
        // Texts and numbers are always JSON.
        serde_json::to_vec(&state).unwrap_or_default()
    }

    pub(super) fn state_row(&self) -> StateRow {
        StateRow::new(TABLE, self.target(), self.state())
    }

    /// The override in it, if there is one and it is one.
    pub(super) fn parse(&self) -> Option<Result<(AgentId, EndpointTier, Override), LimitError>> {
        self.held.as_ref().map(|held| self.parsed(held))
    }

    fn parsed(&self, held: &Held) -> Result<(AgentId, EndpointTier, Override), LimitError> {
        let broken = |what| LimitError::StoredRow { table: TABLE, name: self.number.to_string(), what };
        let number =
            |value: i64| u32::try_from(value).ok().ok_or_else(|| broken("has a number that is none"));
        let agent = AgentId::new(&held.agent).ok().ok_or_else(|| broken("is of no agent"))?;
        let tier = held.tier.parse().ok().ok_or_else(|| broken("has a name that no tier has"))?;
        let quota = Quota::new(number(held.per_hour)?, number(held.per_minute)?);
        Ok((agent, tier, Override::new(quota, Timestamp::from_micros(held.expires_at))))
    }
}

const TABLE: &str = "rate_limit_overrides";

/// All slots as they are at one moment, in order.
pub(super) async fn slots(on: &impl Statements) -> Result<Vec<Slot>, LimitError> {
    let sql = "SELECT slot, agent_id, endpoint_tier, per_hour, per_minute, reason, set_by, created_at, expires_at, \
               updated_at, version FROM rate_limit_overrides ORDER BY slot LIMIT $1";
    // One more than there may be, so that too many are seen as such.
    let at_most = i64::try_from(OVERRIDES_MAX + 1).unwrap_or(i64::MAX);
    on.rows(sql, [at_most.into()]).await?.iter().map(Slot::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_slot_for_each_override_that_may_be() {
        let text = include_str!("../../migrations/0002_overrides.up.sqlite.sql");
        assert!(text.contains(&format!("slot BETWEEN 1 AND {OVERRIDES_MAX}")));
        assert!(text.contains(&format!("length(reason) BETWEEN 1 AND {REASON_CHARS_MAX}")));
    }
}
