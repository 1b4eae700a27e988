//! Random histories, told to a store, or to two, to the pure core and to the naive count at once.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::Path;

use clawexchange_rate_limiter::{
    Ask, Case, Decision, EndpointTier, HOUR_MS, Limits, MINUTE_MS, MemoryConfig, MemoryStore, Multiplier,
    Offence, OffenceId, Override, PenalisedUntil, Penalties, Permit, Quota, Ruling, SlidingLog, Store, Tick,
    TierStatus, WindowStatus,
};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{AgentId, OwnerId, RiskTier, Timestamp, TrustLevel};

use super::naive::{Account, Naive, Question};

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
    pub(crate) never: u64,
    pub(crate) refunded: u64,
    pub(crate) waits_that_end_with_a_penalty: u64,
    pub(crate) waits_that_end_with_an_override: u64,
    pub(crate) reopened: u64,
    pub(crate) suspended: u64,
    /// Answers that the store in Redis gave like the one in process.
    pub(crate) shared: u64,
}

const OPERATIONS_PER_WORLD: u64 = 2_500;
const AGENTS: u64 = 6;
const OWNERS: u64 = 3;

/// What stands beside the counters in process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside<'a> {
    /// Nothing.
    Nothing,
    /// A journal, from which they are opened again now and then.
    Journal(&'a Path),
    /// Counters in Redis, at this address, which are told the same and have to say the same.
    Redis(&'a str),
}

impl<'a> Beside<'a> {
    fn journal(self) -> Option<&'a Path> {
        match self {
            Self::Journal(path) => Some(path),
            Self::Nothing | Self::Redis(_) => None,
        }
    }
}

/// Runs so many operations.
pub(crate) fn run(operations: u64, seed: u64, beside: Beside<'_>) -> Result<Counts, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let mut counts = Counts::default();
    let mut left = operations;
    for world in 0.. {
        if left == 0 {
            break;
        }
        let mut world = World::new(seed, world, beside)?;
        let here = left.min(OPERATIONS_PER_WORLD);
        for step in 0..here {
            let done = runtime.block_on(world.step(&mut counts));
            done.map_err(|what| format!("seed {seed}, step {step} of {world:?}: {what}"))?;
        }
        left -= here;
    }
    Ok(counts)
}

struct World<'a> {
    number: u64,
    random: Random,
    clock: ManualClock,
    now: u64,
    /// In every other world the clock also steps back; in the rest, what is spent is dropped at any time.
    steps_back: bool,
    journal: Option<&'a Path>,
    shared: Option<Shared>,
    limits: Limits,
    tiers: Vec<EndpointTier>,
    trust: Vec<TrustLevel>,
    store: Option<MemoryStore>,
    logs: HashMap<(Account, EndpointTier), SlidingLog>,
    penalties: HashMap<u8, Penalties>,
    naive: Naive,
    permits: Vec<(Permit, Option<Permit>, u8, Option<u8>)>,
    /// When the last refusal said that it would end.
    told: u64,
}

impl Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "world {} (clock steps back: {})", self.number, self.steps_back)
    }
}

impl<'a> World<'a> {
    fn new(seed: u64, number: u64, beside: Beside<'a>) -> Result<Self, String> {
        let journal = beside.journal();
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ number.wrapping_mul(0x9e37_79b9));
        let tiny = EndpointTier::new("TINY").map_err(|e| e.to_string())?;
        let limits =
            Limits::default().with_quota(tiny.clone(), Quota::new(4, 2)).map_err(|e| e.to_string())?;
        let clock = ManualClock::default();
        let shared = match beside {
            Beside::Redis(url) => Some(shared_store(url, seed, number, &clock)?),
            Beside::Nothing | Beside::Journal(_) => None,
        };
        if let Some(path) = journal {
            remove(path)?;
        }
        let mut world = Self {
            number,
            now: 200_000_000_000 + random.below(1_000_000_000),
            random,
            clock,
            steps_back: number.is_multiple_of(2) && journal.is_none(),
            journal,
            shared,
            limits,
            tiers: vec![EndpointTier::POSTS, EndpointTier::COMMENTS, EndpointTier::MESSAGES, tiny],
            trust: vec![TrustLevel::Established; usize::try_from(AGENTS).unwrap_or(0)],
            store: None,
            logs: HashMap::new(),
            penalties: HashMap::new(),
            naive: Naive::default(),
            permits: Vec::new(),
            told: 0,
        };
        world.store = Some(world.open()?);
        Ok(world)
    }

    fn open(&self) -> Result<MemoryStore, String> {
        match self.journal {
            Some(path) => MemoryStore::open_journal(path, MemoryConfig::default(), self.clock.clone())
                .map_err(|e| e.to_string()),
            None => Ok(MemoryStore::new(MemoryConfig::default(), self.clock.clone())),
        }
    }

    async fn step(&mut self, counts: &mut Counts) -> Result<(), String> {
        self.pass_time();
        match self.random.below(200) {
            0 => self.change_limits(),
            1 | 2 => {
                let trust = *self.random.pick(&TrustLevel::ALL);
                let agent = self.random.below(AGENTS);
                if let Some(known) = self.trust.get_mut(usize::try_from(agent).unwrap_or(0)) {
                    *known = trust;
                }
                Ok(())
            }
            3..=5 => self.learn().await,
            6 => self.unlearn().await,
            7 => self.reset().await,
            26 => self.suspend(counts).await,
            8..=15 => self.refund(counts).await,
            16..=20 => self.look().await,
            21..=24 => self.batch(counts).await,
            25 if !self.steps_back => self.keep(counts),
            _ => {
                let ask = self.ask();
                let Some(store) = &self.store else { return Ok(()) };
                let decision = store.take(&ask.0, &self.limits).await.map_err(|e| e.to_string())?;
                let shared = match &self.shared {
                    Some(shared) => Some(
                        shared.take(&ask.0, &self.limits).await.map_err(|e| format!("in Redis: {e:?}"))?,
                    ),
                    None => None,
                };
                self.compare(&ask, decision, shared, counts)
            }
        }
    }

    fn pass_time(&mut self) {
        let most = match self.random.below(100) {
            0..40 => 1,
            40..70 => 2_000,
            70..92 => 60_000,
            92..98 => 1_200_000,
            98 => 3 * HOUR_MS,
            _ => *self.random.pick(&[HOUR_MS, 24 * HOUR_MS, 4 * 24 * HOUR_MS]),
        };
        self.now += self.random.below(most);
        let is_near = (self.now..self.now + 2 * MINUTE_MS).contains(&self.told);
        if self.told > self.now && self.random.below(if is_near { 8 } else { 200 }) == 0 {
            // The very instant, or the last millisecond before it.
            self.now = self.told - self.random.below(2);
        }
        let back = if self.steps_back && self.random.below(50) == 0 { self.random.below(5_000) } else { 0 };
        let micros = i64::try_from(self.random.below(1_000)).unwrap_or(0);
        let shown: Timestamp = Tick::from_ms(self.now - back).into();
        self.clock.set(Timestamp::from_micros(shown.as_micros() + micros));
    }

    /// The clock as the store reads it.
    fn shown(&self) -> u64 {
        use clawexchange_ssg_core::Clock;
        Tick::from(self.clock.now()).as_ms()
    }

    fn ask(&mut self) -> (Ask, u8, Option<u8>) {
        let agent = u8::try_from(self.random.below(AGENTS)).unwrap_or(0);
        // Two agents belong to nobody, the others share two owners; now and then one changes hands.
        let owner = match (agent, self.random.below(40)) {
            (_, 0) => Some(u8::try_from(self.random.below(OWNERS)).unwrap_or(0)),
            (0 | 1, _) => None,
            (agent, _) => Some(agent % 2),
        };
        let tier = self.random.pick(&self.tiers).clone();
        let cost = *self.random.pick(&[1, 1, 1, 1, 0, 2, 3]);
        let trust = self.trust.get(usize::from(agent)).copied().unwrap_or_default();
        (
            Ask::new(agent_id(agent), tier).of_owner(owner.map(owner_id)).trusted(trust).costing(cost),
            agent,
            owner,
        )
    }

    fn compare(
        &mut self,
        asked: &(Ask, u8, Option<u8>),
        decision: Decision,
        shared: Option<Decision>,
        counts: &mut Counts,
    ) -> Result<(), String> {
        self.judge(asked, decision, shared, counts)?;
        let (ask, agent, _) = asked;
        let now = self.shown();
        let live = self.naive.live(*agent, &ask.tier, now);
        let units = self.store.as_ref().map(|store| store.units(&ask.agent, &ask.tier)).unwrap_or_default();
        let units: Vec<u64> = units.into_iter().map(|u| Tick::from(u).as_ms()).collect();
        same("units", units.into_iter().filter(|u| u + HOUR_MS > now).collect(), live)
    }

    /// Tells the naive count and the core what the store was told, and compares the answers.
    fn judge(
        &mut self,
        (ask, agent, owner): &(Ask, u8, Option<u8>),
        decision: Decision,
        shared: Option<Decision>,
        counts: &mut Counts,
    ) -> Result<(), String> {
        if let Some(shared) = &shared {
            same("the store in Redis decides", shared, &decision)?;
            counts.shared += 1;
        }
        let question = Question {
            agent: *agent,
            owner: *owner,
            trust: ask.trust,
            tier: &ask.tier,
            cost: ask.cost,
            now: self.shown(),
            limits: &self.limits,
            instead: self.limits.override_of(&ask.agent, &ask.tier),
        };
        let at = self.naive.at(&question);
        let held = self.naive.penalised(*agent, at);
        let wanted = self.naive.take(&question);
        same("the store rules", ruling(&decision), wanted)?;
        same(
            "the store counts",
            windows(decision.status(), question.owner.is_some()),
            self.naive.seen(&question),
        )?;
        let p = decision.status().penalised;
        same(
            "penalties",
            [p.moderate, p.high, p.repeated],
            self.naive.penalised(*agent, self.naive.at(&question)),
        )?;
        let suspended = self.naive.suspended(*agent);
        let pure = pure_take(&mut self.logs, &self.penalties, suspended, &question);
        same("the core rules", pure, wanted)?;
        match decision {
            Decision::Allow { permit, .. } => {
                counts.allowed += 1;
                same("when", permit.at().as_ms(), at)?;
                let shared = shared.and_then(|decision| decision.into_permit().ok());
                self.permits.push((permit, shared, *agent, *owner));
            }
            Decision::Deny { wait, .. } => {
                counts.denied += 1;
                let end = question.now + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                self.told = end;
                let after = self.naive.penalised(*agent, end);
                let before = self.naive.penalised(*agent, end - 1);
                let over = question.instead.map(|instead| Tick::from(instead.until).as_ms());
                counts.waits_that_end_with_an_override += u64::from(over == Some(end));
                counts.waits_that_end_with_a_penalty += u64::from(held != after && before != after);
            }
            Decision::Never { .. } => counts.never += 1,
        }
        if self.permits.len() > 200 {
            drop(self.permits.remove(0));
        }
        Ok(())
    }

    async fn batch(&mut self, counts: &mut Counts) -> Result<(), String> {
        let asks: Vec<_> = (0..=self.random.below(4)).map(|_| self.ask()).collect();
        let only: Vec<Ask> = asks.iter().map(|(ask, ..)| ask.clone()).collect();
        let Some(store) = &self.store else { return Ok(()) };
        let decisions = store.batch(&only, &self.limits).await.map_err(|e| e.to_string())?;
        let mut shared = Vec::new();
        if let Some(store) = &self.shared {
            shared = store.batch(&only, &self.limits).await.map_err(|e| format!("in Redis: {e:?}"))?;
        }
        let mut shared = shared.into_iter();
        for (ask, decision) in asks.iter().zip(decisions) {
            self.judge(ask, decision, shared.next(), counts)?;
        }
        Ok(())
    }

    async fn refund(&mut self, counts: &mut Counts) -> Result<(), String> {
        if self.permits.is_empty() {
            return Ok(());
        }
        // Mostly one of the last: the others have aged.
        let back = self.random.below(self.permits.len().min(12) as u64);
        let i = self.permits.len() - 1 - usize::try_from(back).unwrap_or(0);
        let (permit, shared, agent, owner) = self.permits.remove(i);
        let (tier, at, cost) = (permit.tier().clone(), permit.at(), permit.cost());
        let is_spent = at.as_ms() + HOUR_MS <= self.shown();
        let Some(store) = &self.store else { return Ok(()) };
        let back = store.refund(permit).await.map_err(|e| e.to_string())?;
        if let (Some(store), Some(permit)) = (&self.shared, shared) {
            let there = store.refund(permit).await.map_err(|e| format!("in Redis: {e:?}"))?;
            if !is_spent || self.steps_back {
                same("refunded in Redis", there, back)?;
            }
        }
        if is_spent && !self.steps_back {
            // Whether what no longer counts was dropped before it came back is the store's own business.
            return Ok(());
        }
        same("refunded", back, self.naive.refund(agent, owner, &tier, at.as_ms(), cost))?;
        for account in std::iter::once(Account::Agent(agent)).chain(owner.map(Account::Owner)) {
            if let Some(log) = self.logs.get_mut(&(account, tier.clone())) {
                same("refunded by the core", log.refund(at, back), back)?;
            }
        }
        counts.refunded += 1;
        Ok(())
    }

    async fn look(&mut self) -> Result<(), String> {
        let (ask, agent, owner) = self.ask();
        let Some(store) = &self.store else { return Ok(()) };
        let outlook = store.peek(&ask, &self.limits).await.map_err(|e| e.to_string())?;
        let status = store.status(&ask.agent, ask.owner.as_ref(), ask.trust, &self.limits).await;
        let status = status.map_err(|e| e.to_string())?;
        if let Some(store) = &self.shared {
            let there = store.peek(&ask, &self.limits).await.map_err(|e| format!("in Redis: {e:?}"))?;
            same("peek in Redis", &there, &outlook)?;
            let there = store.status(&ask.agent, ask.owner.as_ref(), ask.trust, &self.limits).await;
            same("status in Redis", &there.map_err(|e| format!("in Redis: {e:?}"))?.tiers, &status.tiers)?;
        }
        same("tiers", status.tiers.len(), self.limits.quotas().len())?;
        for seen in &status.tiers {
            let question = Question {
                agent,
                owner,
                trust: ask.trust,
                tier: &seen.tier,
                cost: ask.cost,
                now: self.shown(),
                limits: &self.limits,
                instead: self.limits.override_of(&ask.agent, &seen.tier),
            };
            same("status", windows(seen, owner.is_some()), self.naive.seen(&question))?;
            if seen.tier == ask.tier {
                same("peek", outlook.ruling, self.naive.rule(&question))?;
                same("peek", &outlook.status, seen)?;
            }
        }
        Ok(())
    }

    async fn reset(&mut self) -> Result<(), String> {
        let (ask, agent, _) = self.ask();
        let tier = (self.random.below(2) == 0).then_some(&ask.tier);
        let Some(store) = &self.store else { return Ok(()) };
        store.reset(&ask.agent, tier).await.map_err(|e| e.to_string())?;
        if let Some(store) = &self.shared {
            store.reset(&ask.agent, tier).await.map_err(|e| format!("in Redis: {e:?}"))?;
        }
        self.naive.reset(agent, tier);
        self.logs.retain(|(account, t), _| {
            *account != Account::Agent(agent) || tier.is_some_and(|tier| tier != t)
        });
        Ok(())
    }

    async fn learn(&mut self) -> Result<(), String> {
        let agent = u8::try_from(self.random.below(AGENTS)).unwrap_or(0);
        let tier = *self.random.pick(&[RiskTier::Moderate, RiskTier::High, RiskTier::Critical]);
        let id = u128::from(self.random.next());
        // Some are told late, so that they end within the run.
        let late = {
            let most = *self.random.pick(&[1, HOUR_MS, 24 * HOUR_MS]);
            self.random.below(most)
        };
        let at = self.now - late;
        if self.naive.high(agent).len() >= clawexchange_rate_limiter::HIGH_KEPT {
            return Ok(());
        }
        let offence = Offence::new(OffenceId::from_bytes(id.to_be_bytes()), tier, Tick::from_ms(at).into());
        let Some(store) = &self.store else { return Ok(()) };
        store.learn(&agent_id(agent), &offence).await.map_err(|e| e.to_string())?;
        if let Some(store) = &self.shared {
            store.learn(&agent_id(agent), &offence).await.map_err(|e| format!("in Redis: {e:?}"))?;
        }
        self.penalties.entry(agent).or_default().learn(&offence);
        self.naive.learn(agent, id, tier, at);
        Ok(())
    }

    async fn unlearn(&mut self) -> Result<(), String> {
        let agent = u8::try_from(self.random.below(AGENTS)).unwrap_or(0);
        let known = self.naive.high(agent);
        if known.is_empty() {
            return Ok(());
        }
        let id = *self.random.pick(&known);
        let Some(store) = &self.store else { return Ok(()) };
        let offence = OffenceId::from_bytes(id.to_be_bytes());
        store.unlearn(&agent_id(agent), offence).await.map_err(|e| e.to_string())?;
        if let Some(store) = &self.shared {
            store.unlearn(&agent_id(agent), offence).await.map_err(|e| format!("in Redis: {e:?}"))?;
        }
        self.penalties.entry(agent).or_default().unlearn(offence);
        self.naive.unlearn(agent, id);
        Ok(())
    }

    /// Suspends an agent for a while or for good, or lifts that.
    async fn suspend(&mut self, counts: &mut Counts) -> Result<(), String> {
        let number = u8::try_from(self.random.below(AGENTS)).unwrap_or(0);
        let agent = agent_id(number);
        let Some(store) = &self.store else { return Ok(()) };
        if self.random.below(3) > 0 {
            let was = store.lift(&agent).await.map_err(|e| e.to_string())?;
            if let Some(store) = &self.shared {
                let there = store.lift(&agent).await.map_err(|e| format!("in Redis: {e:?}"))?;
                same("lifted in Redis", there, self.naive.suspended(number) > Tick::ZERO)?;
            }
            let known = self.naive.suspend(number, 0);
            // One that is over may have been swept.
            return if was && !known { Err("lifted what was none".to_owned()) } else { Ok(()) };
        }
        let lasts = *self.random.pick(&[0, 1_000, 1_000, MINUTE_MS, MINUTE_MS, HOUR_MS]);
        let until = if lasts == 0 { u64::MAX } else { self.now + self.random.below(lasts) };
        let end = (until < u64::MAX).then(|| Tick::from_ms(until).into());
        store.suspend(&agent, end).await.map_err(|e| e.to_string())?;
        if let Some(store) = &self.shared {
            store.suspend(&agent, end).await.map_err(|e| format!("in Redis: {e:?}"))?;
        }
        self.naive.suspend(number, until);
        counts.suspended += 1;
        Ok(())
    }

    /// Sweeps, writes the journal anew, or closes the store and opens it again.
    fn keep(&mut self, counts: &mut Counts) -> Result<(), String> {
        let Some(store) = &self.store else { return Ok(()) };
        match (self.journal, self.random.below(4)) {
            (None, _) | (_, 0) => drop(store.sweep()),
            (_, 1) => store.compact().map_err(|e| e.to_string())?,
            _ => {
                self.store = None;
                self.store = Some(self.open()?);
                counts.reopened += 1;
            }
        }
        Ok(())
    }

    fn change_limits(&mut self) -> Result<(), String> {
        let tier = self.random.pick(&self.tiers).clone();
        let per_hour = *self.random.pick(&[0, 1, 4, 10, 10, 60, 60, 300]);
        let per_minute = *self.random.pick(&[1, 3, 3, 10, 30]);
        let mut limits = self.limits.clone();
        limits = limits
            .with_quota(tier, Quota::new(per_hour, per_minute.min(per_hour)))
            .map_err(|e| e.to_string())?;
        if self.random.below(3) == 0 {
            let level = *self.random.pick(&TrustLevel::ALL);
            let factor = *self.random.pick(&[1, 33, 50, 100, 200, 820]);
            limits = limits.with_trust(level, Multiplier::hundredths(factor)).map_err(|e| e.to_string())?;
        }
        let mut overrides = Vec::new();
        for _ in 0..self.random.below(4) {
            let agent = agent_id(u8::try_from(self.random.below(AGENTS)).unwrap_or(0));
            let tier = self.random.pick(&self.tiers).clone();
            let per_hour = *self.random.pick(&[0, 4, 10, 20, 60]);
            let quota = Quota::new(per_hour, per_hour.min(*self.random.pick(&[3, 5, 20])));
            let lasts = *self.random.pick(&[MINUTE_MS, HOUR_MS / 2, HOUR_MS, 24 * HOUR_MS]);
            let until = Tick::from_ms(self.now + self.random.below(lasts));
            overrides.push((agent, tier, Override::new(quota, until.into())));
        }
        limits = limits.with_overrides(overrides).map_err(|e| e.to_string())?;
        self.limits = limits;
        Ok(())
    }
}

fn pure_take(
    logs: &mut HashMap<(Account, EndpointTier), SlidingLog>,
    penalties: &HashMap<u8, Penalties>,
    suspended: Tick,
    q: &Question<'_>,
) -> Ruling {
    let empty = SlidingLog::new();
    let keys = [Some(Account::Agent(q.agent)), q.owner.map(Account::Owner)];
    let log = |account| logs.get(&(account, q.tier.clone())).unwrap_or(&empty);
    let Some(rates) = q.limits.rates_of(&agent_id(q.agent), q.tier, q.trust) else { return Ruling::Never };
    let case = Case {
        now: Tick::from_ms(q.now),
        floor: Tick::ZERO,
        agent: log(Account::Agent(q.agent)),
        owner: q.owner.map(|owner| log(Account::Owner(owner))),
        rates,
        until: PenalisedUntil {
            suspended,
            ..penalties.get(&q.agent).map(Penalties::until).unwrap_or_default()
        },
        cost: q.cost,
    };
    let (at, ruling) = (case.at(), case.decide());
    if ruling == Ruling::Allow {
        for account in keys.into_iter().flatten() {
            logs.entry((account, q.tier.clone())).or_default().charge(at, q.cost);
        }
    }
    ruling
}

/// The store that several processes would share.
#[cfg(feature = "redis")]
type Shared = clawexchange_rate_limiter::RedisStore;

/// Counters in Redis under keys of their own, by the same clock; logs are handed back whole up to various lengths.
#[cfg(feature = "redis")]
fn shared_store(url: &str, seed: u64, number: u64, clock: &ManualClock) -> Result<Shared, String> {
    use clawexchange_rate_limiter::RedisConfig;

    let url = url.parse().map_err(|e| format!("{e}"))?;
    let mut config = RedisConfig::new(url);
    config.prefix = format!("oracle-{seed}-{number}");
    config.deadline = std::time::Duration::from_secs(10);
    // Time stands still here for as long as the clock is not moved, and moves without being waited for.
    config.deny_cache_max = std::time::Duration::ZERO;
    let whole_bytes = [0, 60, 2_048].into_iter().cycle().nth(usize::try_from(number % 3).unwrap_or(0));
    Shared::open_by(config, clock.clone(), whole_bytes.unwrap_or(0)).map_err(|e| e.to_string())
}

/// None in a build without Redis.
#[cfg(not(feature = "redis"))]
type Shared = MemoryStore;

#[cfg(not(feature = "redis"))]
fn shared_store(_: &str, _: u64, _: u64, _: &ManualClock) -> Result<Shared, String> {
    Err("this was built without Redis: add --features redis".to_owned())
}

fn ruling(decision: &Decision) -> Ruling {
    match decision {
        Decision::Allow { .. } => Ruling::Allow,
        Decision::Deny { wait, .. } => {
            Ruling::Deny { wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) }
        }
        Decision::Never { .. } => Ruling::Never,
    }
}

fn windows(status: &TierStatus, has_owner: bool) -> Vec<(u32, u32, Option<u64>)> {
    let seen = |w: WindowStatus| {
        (w.limit, w.used, w.frees_in.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    };
    let owner = status.owner.filter(|_| has_owner);
    let all = [Some(status.hour), Some(status.minute), owner.map(|o| o.hour), owner.map(|o| o.minute)];
    all.into_iter().flatten().map(seen).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "each call compares what it has just made")]
fn same<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: {got:?}, wanted {wanted:?}")) }
}

fn agent_id(number: u8) -> AgentId {
    name(number).parse().unwrap_or_else(|e| unnamed(&e))
}

fn owner_id(number: u8) -> OwnerId {
    name(number).parse().unwrap_or_else(|e| unnamed(&e))
}

fn name(number: u8) -> String {
    format!("number-{number}")
}

#[expect(clippy::panic, reason = "a name made of letters and digits is an id")]
fn unnamed<T>(error: &dyn std::error::Error) -> T {
    panic!("{error}")
}

fn remove(path: &Path) -> Result<(), String> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.to_string()),
        _ => Ok(()),
    }
}

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    #[expect(clippy::indexing_slicing, reason = "the place is below the length")]
    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap_or(0)]
    }
}
