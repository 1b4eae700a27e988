//! `claw limits simulate`: what other limits would change. Sets nothing, counts nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use clawexchange_audit::{Entry, Query};
use clawexchange_gateway::{Intent, Parts};
use clawexchange_rate_limiter::{
    Ask, EndpointTier, Limits, MemoryConfig, MemoryStore, Offence, Penalised, Quota, Store as _, TierStatus,
};
use clawexchange_ssg_core::{
    AgentId, Clock, ContentType, EventKind, InspectionId, OwnerId, PageLimit, QuarantineId, RiskTier,
    SystemClock, Timestamp, TrustLevel,
};
use serde::Serialize;
use serde_json::json;

use crate::args::{Change, Global, SimulateArgs};
use crate::command::limits::as_usage;
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

/// Submissions that are replayed: the newest so many, a few hundred bytes each.
const SUBMISSIONS_MAX: usize = 1_000_000;

/// What is replayed begins so much earlier than what is counted: the longest window is full by then.
const RUN_UP: Duration = Duration::from_hours(1);

/// How long something counts against an agent.
const HISTORY: Duration = Duration::from_hours(7 * 24);

/// An agent is near a limit that is used up to so many tenths.
const NEAR_TENTHS: u64 = 8;

/// Agents listed for people; programs are given all.
const SHOWN_MAX: usize = 20;

const VERDICTS: [EventKind; 4] =
    [EventKind::SsgPass, EventKind::SsgWarn, EventKind::SsgQuarantine, EventKind::SsgBlock];

pub(crate) async fn run(args: &SimulateArgs, change: Change, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let today = parts.stored_limits().await?.load().await?;
    let proposed = match &change {
        Change::Quota(tier, quota) => today.clone().with_quota(tier.clone(), *quota),
        Change::Trust(level, factor) => today.clone().with_trust(*level, *factor),
    };
    let proposed = proposed.map_err(|wrong| as_usage(wrong.into()))?;
    let now = SystemClock::new().now();
    let since = args.since.moment(now);
    let table = table(&today, &proposed, &change);
    let past = Past::read(&parts, since).await?;
    let trust = args.assume_trust;
    let (was, would) = (past.replay(&today, trust).await?, past.replay(&proposed, trust).await?);
    let agents: Vec<Replayed> = was
        .into_iter()
        .map(|(agent_id, (submissions, refused_today))| {
            let refused_proposed = would.get(&agent_id).map_or(0, |(_, refused)| *refused);
            Replayed { agent_id, submissions, refused_today, refused_proposed }
        })
        .collect();
    let standing = standing(&parts, &past.lately(now), trust, &proposed).await?;
    let replay = Replay::of(&past, trust, agents);
    if global.is_json() {
        output::json(&json!({"limits": table, "replay": replay, "standing": standing}))?;
    } else {
        print(&table, &replay, &standing)?;
    }
    Ok(Exit::Ok)
}

/// A row of the table of limits.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Effect {
    tier: EndpointTier,
    trust: TrustLevel,
    penalties: &'static [&'static str],
    /// Nothing if the tier is a new one.
    today: Option<Both>,
    proposed: Option<Both>,
}

#[derive(Serialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
struct Both {
    per_hour: u32,
    per_minute: u32,
}

impl From<Quota> for Both {
    fn from(quota: Quota) -> Self {
        Self { per_hour: quota.per_hour, per_minute: quota.per_minute }
    }
}

const PENALTIES: [(&[&str], Penalised); 5] = [
    (&[], Penalised { moderate: false, high: false, repeated: false }),
    (&["moderate"], Penalised { moderate: true, high: false, repeated: false }),
    (&["high"], Penalised { moderate: false, high: true, repeated: false }),
    (&["high", "repeated"], Penalised { moderate: false, high: true, repeated: true }),
    (&["moderate", "high", "repeated"], Penalised { moderate: true, high: true, repeated: true }),
];

/// The limits that the change is about, under every level of trust and every penalty.
fn table(today: &Limits, proposed: &Limits, change: &Change) -> Vec<Effect> {
    let is_about = |tier: &EndpointTier, trust: TrustLevel| match change {
        Change::Quota(changed, _) => changed == tier,
        Change::Trust(changed, _) => *changed == trust,
    };
    let mut table = Vec::new();
    for (tier, _) in proposed.quotas() {
        for trust in TrustLevel::ALL.into_iter().filter(|trust| is_about(tier, *trust)) {
            for (penalties, held) in PENALTIES {
                let of = |limits: &Limits| limits.rates(tier, trust).map(|rates| rates.agent(held).into());
                let (today, proposed) = (of(today), of(proposed));
                table.push(Effect { tier: tier.clone(), trust, penalties, today, proposed });
            }
        }
    }
    table
}

/// What the log says of submissions, oldest first, and of what came before them.
struct Past {
    since: Timestamp,
    submissions: Vec<Submitted>,
    /// What counted against agents when the replay begins.
    before: Vec<(AgentId, Offence)>,
    /// There were more submissions than are replayed.
    is_cut: bool,
    /// Events that do not say who submitted what, and so are not replayed.
    unreadable: u64,
}

struct Submitted {
    agent: AgentId,
    owner: Option<OwnerId>,
    tier: EndpointTier,
    at: Timestamp,
    offence: Option<Offence>,
}

impl Past {
    async fn read(parts: &Arc<Parts>, since: Timestamp) -> Result<Self, CliError> {
        let begin = since.minus(RUN_UP);
        let history = begin.minus(HISTORY);
        let mut harmless: HashSet<QuarantineId> = HashSet::new();
        let released = [EventKind::HumanRelease, EventKind::BotRelease];
        each(parts, &query(&released, history, None), |entry| {
            if entry.metadata.get("reason").and_then(|r| r.as_str()) == Some("FALSE_POSITIVE") {
                harmless.extend(entry.target_id.as_deref().and_then(|id| id.parse::<QuarantineId>().ok()));
            }
            true
        })
        .await?;
        let (mut before, mut unreadable) = (Vec::new(), 0);
        let until = Timestamp::from_micros(begin.as_micros() - 1);
        let counting = VERDICTS.get(1..).unwrap_or_default();
        each(parts, &query(counting, history, Some(until)), |entry| {
            match AgentId::new(&entry.actor_id) {
                Ok(agent) => before.extend(offence(entry, &harmless).map(|offence| (agent, offence))),
                Err(_) => unreadable += 1,
            }
            true
        })
        .await?;
        let (mut submissions, mut is_cut) = (Vec::new(), false);
        each(parts, &query(&VERDICTS, begin, None), |entry| {
            is_cut = submissions.len() >= SUBMISSIONS_MAX;
            match Submitted::of(entry, &harmless) {
                _ if is_cut => {}
                Some(submitted) => submissions.push(submitted),
                None => unreadable += 1,
            }
            !is_cut
        })
        .await?;
        submissions.reverse();
        Ok(Self { since, submissions, before, is_cut, unreadable })
    }

    /// Sends all of it through the sliding log under these limits. Gives each agent's submissions and refusals.
    ///
    /// What is refused there is not charged and no offence, as it would have been.
    async fn replay(
        &self,
        limits: &Limits,
        trust: TrustLevel,
    ) -> Result<BTreeMap<AgentId, (u64, u64)>, CliError> {
        let clock = Then::default();
        let store = MemoryStore::new(MemoryConfig::default(), clock.clone());
        for (agent, offence) in &self.before {
            store.learn(agent, offence).await?;
        }
        let mut counts: BTreeMap<AgentId, (u64, u64)> = BTreeMap::new();
        for submitted in &self.submissions {
            clock.set(submitted.at);
            let ask = Ask::new(submitted.agent.clone(), submitted.tier.clone())
                .of_owner(submitted.owner.clone())
                .trusted(trust);
            let is_allowed = store.take_now(&ask, limits)?.is_allowed();
            if let Some(offence) = submitted.offence.filter(|_| is_allowed) {
                store.learn(&submitted.agent, &offence).await?;
            }
            if submitted.at >= self.since {
                let (all, refused) = counts.entry(submitted.agent.clone()).or_default();
                *all += 1;
                *refused += u64::from(!is_allowed);
            }
        }
        Ok(counts)
    }

    /// Who submitted anything within the longest window: nobody else has anything charged.
    fn lately(&self, now: Timestamp) -> BTreeSet<AgentId> {
        let recent = self.submissions.iter().filter(|s| s.at > now.minus(RUN_UP));
        recent.map(|s| s.agent.clone()).collect()
    }
}

impl Submitted {
    /// The submission that an event tells of; none if the event does not say what was submitted.
    fn of(entry: &Entry, harmless: &HashSet<QuarantineId>) -> Option<Self> {
        let text = |name: &str| entry.metadata.get(name)?.as_str();
        let content: ContentType =
            ContentType::ALL.into_iter().find(|c| Some(c.as_str()) == text("contentType"))?;
        Some(Self {
            agent: AgentId::new(&entry.actor_id).ok()?,
            owner: text("owner").and_then(|owner| OwnerId::new(owner).ok()),
            tier: EndpointTier::from(content),
            at: entry.created_at,
            offence: offence(entry, harmless),
        })
    }
}

/// What an event counts against its agent: nothing if it was a repeat, a plugin's failure, or found to be harmless.
fn offence(entry: &Entry, harmless: &HashSet<QuarantineId>) -> Option<Offence> {
    let meta = &entry.metadata;
    if meta.contains_key("repeatOf") || meta.contains_key("byFailure") {
        return None;
    }
    let tier: RiskTier = meta.get("tier")?.as_str()?.parse().ok()?;
    let held = entry.target_id.as_deref().filter(|_| entry.target_type.as_deref() == Some("quarantine"));
    match held {
        Some(id) => {
            let id = id.parse::<QuarantineId>().ok().filter(|id| !harmless.contains(id))?;
            Some(Offence::new(id, tier, entry.created_at))
        }
        None => Some(Offence::new(entry.id.parse::<InspectionId>().ok()?, tier, entry.created_at)),
    }
}

/// The clock of the replay: it shows when the submission came that is replayed.
#[derive(Clone, Debug, Default)]
struct Then(Arc<AtomicI64>);

impl Then {
    fn set(&self, at: Timestamp) {
        self.0.store(at.as_micros(), Ordering::Relaxed);
    }
}

impl Clock for Then {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

fn query(kinds: &[EventKind], since: Timestamp, until: Option<Timestamp>) -> Query {
    let mut query = Query::default();
    query.kinds = kinds.to_vec();
    query.since = Some(since);
    query.until = until;
    query
}

/// Hands each event to `heed`, newest first, until it wants no more.
async fn each(
    parts: &Arc<Parts>,
    query: &Query,
    mut heed: impl FnMut(&Entry) -> bool,
) -> Result<(), CliError> {
    let limit = PageLimit::new(u64::from(PageLimit::MAX)).unwrap_or_default();
    let mut cursor = None;
    loop {
        let page = parts.log().await?.query(query, cursor.as_ref(), limit).await?;
        let goes_on = page.items.iter().all(&mut heed);
        cursor = page.next_cursor;
        if cursor.is_none() || !goes_on {
            return Ok(());
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replay {
    since: Timestamp,
    assumed_trust: TrustLevel,
    submissions: u64,
    refused_today: u64,
    refused_proposed: u64,
    agents: Vec<Replayed>,
    truncated: bool,
    unreadable: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    agent_id: AgentId,
    submissions: u64,
    refused_today: u64,
    refused_proposed: u64,
}

impl Replay {
    fn of(past: &Past, assumed_trust: TrustLevel, mut agents: Vec<Replayed>) -> Self {
        let sum = |of: fn(&Replayed) -> u64| agents.iter().map(of).sum();
        let (submissions, refused_today) = (sum(|a| a.submissions), sum(|a| a.refused_today));
        let refused_proposed = sum(|a| a.refused_proposed);
        agents.sort_by_key(|a| std::cmp::Reverse(a.refused_today.abs_diff(a.refused_proposed)));
        let &Past { since, is_cut: truncated, unreadable, .. } = past;
        Self {
            since,
            assumed_trust,
            submissions,
            refused_today,
            refused_proposed,
            agents,
            truncated,
            unreadable,
        }
    }
}

/// How an agent that is near a limit would stand.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    agent_id: AgentId,
    tier: EndpointTier,
    window: &'static str,
    used: u32,
    limit_today: u32,
    limit_proposed: u32,
}

/// Reads the counters' journal beside whoever writes it.
async fn standing(
    parts: &Arc<Parts>,
    agents: &BTreeSet<AgentId>,
    trust: TrustLevel,
    proposed: &Limits,
) -> Result<Vec<Standing>, CliError> {
    let limiter = parts.limiter_read_only().await?;
    let mut today = Vec::new();
    for agent in agents {
        today.push((agent, limiter.status(agent, trust, None).await?));
    }
    limiter.set_limits(proposed.clone());
    let mut standing = Vec::new();
    for (agent, today) in today {
        let would = limiter.status(agent, trust, None).await?;
        for tier in &today.tiers {
            let Some(after) = would.tiers.iter().find(|t| t.tier == tier.tier) else { continue };
            standing.extend(near(agent, tier, after));
        }
    }
    Ok(standing)
}

fn near(agent: &AgentId, today: &TierStatus, would: &TierStatus) -> Vec<Standing> {
    let is_near = |used: u32, limit: u32| u64::from(used) * 10 >= u64::from(limit) * NEAR_TENTHS;
    let windows = [("hour", today.hour, would.hour), ("minute", today.minute, would.minute)];
    let mut near = Vec::new();
    for (window, now, then) in windows {
        if now.used > 0 && (is_near(now.used, now.limit) || is_near(now.used, then.limit)) {
            near.push(Standing {
                agent_id: agent.clone(),
                tier: today.tier.clone(),
                window,
                used: now.used,
                limit_today: now.limit,
                limit_proposed: then.limit,
            });
        }
    }
    near
}

fn print(table: &[Effect], replay: &Replay, standing: &[Standing]) -> Result<(), CliError> {
    let head = ["tier", "trust", "penalties", "an hour", "proposed", "a minute", "proposed"];
    let mut rows = output::Rows::new(&head).right(3).right(4).right(5).right(6);
    for effect in table {
        let number = |both: Option<Both>, which: fn(Both) -> u32| {
            both.map_or_else(|| "-".to_owned(), |both| which(both).to_string())
        };
        rows.row(&[
            effect.tier.as_str(),
            effect.trust.as_str(),
            &effect.penalties.join(", "),
            &number(effect.today, |both| both.per_hour),
            &number(effect.proposed, |both| both.per_hour),
            &number(effect.today, |both| both.per_minute),
            &number(effect.proposed, |both| both.per_minute),
        ]);
    }
    rows.print()?;
    output::line("")?;
    output::line(&format!(
        "of {} submissions since {}, {} would have been refused under today's limits and {} under the proposed \
         ones, had all agents been {}",
        replay.submissions, replay.since, replay.refused_today, replay.refused_proposed, replay.assumed_trust
    ))?;
    if replay.truncated {
        output::line(&format!("there were more; the newest {SUBMISSIONS_MAX} were replayed"))?;
    }
    if replay.unreadable > 0 {
        let n = replay.unreadable;
        output::line(&format!("{n} events do not say who submitted what, and were not replayed"))?;
    }
    let differing = replay.agents.iter().filter(|a| a.refused_today != a.refused_proposed);
    let mut rows =
        output::Rows::new(&["agent", "submissions", "refused", "proposed"]).right(1).right(2).right(3);
    let mut count = 0;
    for agent in differing.take(SHOWN_MAX) {
        let numbers = [agent.submissions, agent.refused_today, agent.refused_proposed].map(|n| n.to_string());
        let [submissions, today, proposed] = &numbers;
        rows.row(&[agent.agent_id.as_str(), submissions, today, proposed]);
        count += 1;
    }
    if count > 0 {
        rows.print()?;
    }
    if standing.is_empty() {
        return output::line("nobody stands near a limit now");
    }
    output::line("")?;
    let head = ["near a limit now", "tier", "window", "used", "limit", "proposed"];
    let mut rows = output::Rows::new(&head).right(3).right(4).right(5);
    for s in standing.iter().take(SHOWN_MAX) {
        let [used, today, proposed] = &[s.used, s.limit_today, s.limit_proposed].map(|n| n.to_string());
        rows.row(&[s.agent_id.as_str(), s.tier.as_str(), s.window, used, today, proposed]);
    }
    rows.print()
}
