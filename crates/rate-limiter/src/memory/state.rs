//! The accounts of a process and all that is done to them.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clawexchange_ssg_core::{AgentId, Clock, OwnerId, TrustLevel};

use super::shard::{AgentAccount, EMPTY, Logs, Pair, Shard};
use super::{Fail, MemoryConfig};
use crate::decision::{AgentStatus, Ask, Decision, Outlook, Permit, TierStatus};
use crate::error::LimitError;
use crate::journal::Journal;
use crate::journal::record::Record;
use crate::limits::Limits;
use crate::overrides::AgentRates;
use crate::penalties::{Offence, OffenceId, PenalisedUntil, Penalties};
use crate::tier::EndpointTier;
use crate::window::{Case, Ruling, SlidingLog, Tick};

/// Locks over which accounts are spread: enough that a few cores rarely meet.
const SHARDS: usize = 64;

/// How long nothing is swept after a sweep for room, so that a flood of new agents does not make each request one.
const SWEEP_EVERY_MS: u64 = 1_000;

/// All accounts, spread over parts of which each has a lock.
pub(crate) struct State {
    pub(super) shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    pub(super) keys: AtomicUsize,
    swept_at: AtomicU64,
    clock: Box<dyn Clock>,
    pub(super) config: MemoryConfig,
    pub(super) kept: Kept,
}

/// Where changes are written before they are made.
pub(super) enum Kept {
    Nowhere,
    Journal(Journal),
    ReadOnly,
}

impl State {
    pub(super) fn new(config: MemoryConfig, clock: impl Clock) -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            keys: AtomicUsize::new(0),
            swept_at: AtomicU64::new(0),
            clock: Box::new(clock),
            config,
            kept: Kept::Nowhere,
        }
    }

    pub(crate) fn journal(&self) -> Option<&Journal> {
        match &self.kept {
            Kept::Journal(journal) => Some(journal),
            Kept::Nowhere | Kept::ReadOnly => None,
        }
    }

    pub(super) fn now(&self) -> Tick {
        self.clock.now().into()
    }

    pub(super) fn take(&self, ask: &Ask, limits: &Limits, now: Tick) -> Result<Decision, LimitError> {
        let rates = rates(ask, limits)?;
        let decision = match self.try_take(ask, rates, now) {
            Err(LimitError::Full { .. }) if self.make_room(now) => self.try_take(ask, rates, now),
            decision => decision,
        };
        match decision {
            Err(LimitError::Full { .. }) if self.config.when_full == Fail::Open => {
                let permit = Permit { cost: 0, ..Permit::new(ask, now) };
                Ok(Decision::Allow { permit, status: TierStatus::uncounted(ask.tier.clone(), rates, now) })
            }
            decision => decision,
        }
    }

    fn try_take(&self, ask: &Ask, rates: AgentRates, now: Tick) -> Result<Decision, LimitError> {
        let mut pair = self.pair(&ask.agent, ask.owner.as_ref());
        let floor = pair.floor();
        let (agents, owners) = pair.maps();
        let agent = agents.get_mut(&ask.agent);
        let owner = ask.owner.as_ref().map(|owner| owners.get_mut(owner));
        let until = agent.as_ref().map_or_else(PenalisedUntil::default, |agent| agent.until());
        let case = Case {
            now,
            floor,
            agent: agent.as_ref().and_then(|agent| agent.logs.get(&ask.tier)).unwrap_or(&EMPTY),
            owner: owner
                .as_ref()
                .map(|owner| owner.as_ref().and_then(|logs| logs.get(&ask.tier)).unwrap_or(&EMPTY)),
            rates,
            until,
            cost: ask.cost,
        };
        let at = case.at();
        match case.decide() {
            Ruling::Allow if ask.cost > 0 => {}
            Ruling::Allow => {
                let status = TierStatus::of(ask.tier.clone(), &case);
                return Ok(Decision::Allow { permit: Permit::new(ask, at), status });
            }
            Ruling::Deny { wait_ms } => {
                let status = TierStatus::of(ask.tier.clone(), &case);
                return Ok(Decision::Deny { wait: Duration::from_millis(wait_ms), status });
            }
            Ruling::Never => {
                return Ok(Decision::Never { status: TierStatus::of(ask.tier.clone(), &case) });
            }
        }
        let opened = usize::from(agent.is_none()) + usize::from(matches!(owner, Some(None)));
        self.open(opened)?;
        let permit = Permit::new(ask, at);
        self.write(|| Record::take(&permit)).inspect_err(|_| self.close(opened))?;
        let agent: &mut SlidingLog = match agent {
            Some(agent) => agent.logs.of(&ask.tier),
            None => agents.entry(ask.agent.clone()).or_default().logs.of(&ask.tier),
        };
        agent.charge(at, ask.cost);
        let owner: Option<&SlidingLog> = match (owner, &ask.owner) {
            (Some(Some(logs)), _) => Some(charged(logs, ask, at)),
            (Some(None), Some(id)) => Some(charged(owners.entry(id.clone()).or_default(), ask, at)),
            _ => None,
        };
        let status = TierStatus::of(
            ask.tier.clone(),
            &Case { now, floor, agent, owner, rates, until, cost: ask.cost },
        );
        if opened > 0 {
            self.opened(&mut pair, opened, now);
        }
        Ok(Decision::Allow { permit, status })
    }

    pub(super) fn peek(&self, ask: &Ask, limits: &Limits) -> Result<Outlook, LimitError> {
        let rates = rates(ask, limits)?;
        let now = self.now();
        let pair = self.pair(&ask.agent, ask.owner.as_ref());
        let case = case(&pair, now, (&ask.agent, ask.owner.as_ref()), &ask.tier, rates, ask.cost);
        Ok(Outlook::new(case.decide(), TierStatus::of(ask.tier.clone(), &case)))
    }

    pub(super) fn status(
        &self,
        agent: &AgentId,
        owner: Option<&OwnerId>,
        trust: TrustLevel,
        limits: &Limits,
    ) -> AgentStatus {
        let now = self.now();
        let pair = self.pair(agent, owner);
        let tiers = limits.quotas().filter_map(|(tier, _)| {
            let rates = limits.rates_of(agent, tier, trust)?;
            Some(TierStatus::of(tier.clone(), &case(&pair, now, (agent, owner), tier, rates, 0)))
        });
        let tiers = tiers.collect();
        let (agents, _) = pair.look();
        let until = agents.get(agent).map_or_else(PenalisedUntil::default, AgentAccount::until);
        AgentStatus::new(tiers, until, now)
    }

    pub(super) fn refund(&self, permit: &Permit) -> Result<u32, LimitError> {
        let mut pair = self.pair(&permit.agent, permit.owner.as_ref());
        let (agents, owners) = pair.maps();
        let agent = agents.get_mut(&permit.agent).and_then(|agent| agent.logs.get_mut(&permit.tier));
        let owner = permit.owner.as_ref().map(|owner| {
            let logs = owners.get_mut(owner);
            logs.and_then(|logs| logs.get_mut(&permit.tier))
        });
        let charged = |log: Option<&SlidingLog>| log.map_or(0, |log| log.charged_at(permit.at));
        let mut count = permit.cost.min(charged(agent.as_deref()));
        if let Some(owner) = &owner {
            // Together or not at all: what was forgotten of one is not given back to the other.
            count = count.min(charged(owner.as_deref()));
        }
        if count == 0 {
            return Ok(0);
        }
        self.write(|| Record::refund(permit, count))?;
        for log in agent.into_iter().chain(owner.flatten()) {
            log.refund(permit.at, count);
        }
        Ok(count)
    }

    pub(super) fn reset(&self, agent: &AgentId, tier: Option<&EndpointTier>) -> Result<(), LimitError> {
        let mut shard = self.shard(agent);
        let Some(account) = shard.agents.get_mut(agent) else { return Ok(()) };
        self.write(|| Record::Reset { agent: agent.clone(), tier: tier.cloned() })?;
        account.logs.forget(tier);
        if account.is_empty() {
            shard.agents.remove(agent);
            self.close(1);
        }
        Ok(())
    }

    pub(super) fn learn(&self, agent: &AgentId, offence: &Offence) -> Result<(), LimitError> {
        self.change_penalties(agent, |penalties| {
            penalties.learn(offence).then(|| Record::Learn { agent: agent.clone(), offence: *offence })
        })
    }

    pub(super) fn unlearn(&self, agent: &AgentId, id: OffenceId) -> Result<(), LimitError> {
        self.change_penalties(agent, |penalties| {
            penalties.unlearn(id).then(|| Record::Unlearn { agent: agent.clone(), id })
        })
    }

    pub(super) fn rebuild(&self, agent: &AgentId, offences: &[Offence]) -> Result<(), LimitError> {
        self.change_penalties(agent, |penalties| {
            let rebuilt = Penalties::from_offences(offences);
            if *penalties == rebuilt {
                return None;
            }
            *penalties = rebuilt;
            let offences = penalties.offences().collect();
            Some(Record::Rebuild { agent: agent.clone(), offences })
        })
    }

    /// Sets until when an agent is suspended, [`Tick::ZERO`] to lift it; says whether it was.
    pub(super) fn suspend(&self, agent: &AgentId, until: Tick) -> Result<bool, LimitError> {
        let mut shard = self.shard(agent);
        let known = shard.agents.get(agent);
        let before = known.map_or(Tick::ZERO, |account| account.suspended);
        if before == until {
            return Ok(before > Tick::ZERO);
        }
        let opened = usize::from(known.is_none());
        self.open(opened)?;
        let record = || Record::Suspend { agent: agent.clone(), until };
        self.write(record).inspect_err(|_| self.close(opened))?;
        self.set_suspended(&mut shard, agent, until);
        Ok(before > Tick::ZERO)
    }

    pub(super) fn set_suspended(&self, shard: &mut Shard, agent: &AgentId, until: Tick) {
        let account = shard.agents.entry(agent.clone()).or_default();
        account.suspended = until;
        if account.is_empty() {
            shard.agents.remove(agent);
            self.close(1);
        }
    }

    /// Changes a copy, writes what changed, and only then puts the copy in its place.
    fn change_penalties(
        &self,
        agent: &AgentId,
        change: impl FnOnce(&mut Penalties) -> Option<Record>,
    ) -> Result<(), LimitError> {
        let mut shard = self.shard(agent);
        let known = shard.agents.get(agent);
        let mut penalties = known.and_then(|a| a.penalties.as_deref()).cloned().unwrap_or_default();
        let Some(record) = change(&mut penalties) else { return Ok(()) };
        let opened = usize::from(known.is_none());
        self.open(opened)?;
        self.write(|| record).inspect_err(|_| self.close(opened))?;
        self.set_penalties(&mut shard, agent, penalties);
        Ok(())
    }

    pub(super) fn set_penalties(&self, shard: &mut Shard, agent: &AgentId, penalties: Penalties) {
        let account = shard.agents.entry(agent.clone()).or_default();
        account.penalties = (!penalties.is_empty()).then(|| Box::new(penalties));
        if account.is_empty() {
            shard.agents.remove(agent);
            self.close(1);
        }
    }

    /// Writes a record to the journal, if there is one. Only then may what it says be done.
    fn write(&self, record: impl FnOnce() -> Record) -> Result<(), LimitError> {
        match &self.kept {
            Kept::Nowhere => Ok(()),
            Kept::ReadOnly => Err(LimitError::ReadOnly),
            Kept::Journal(journal) => journal.append(&record()),
        }
    }

    /// Writes the journal anew. Everything waits while the counters are copied to the new file, nothing while that is
    /// synced.
    pub(crate) fn compact(&self) -> Result<(), LimitError> {
        let Some(journal) = self.journal() else { return Ok(()) };
        let mut copy = journal.begin_copy()?;
        {
            let shards: Vec<_> = self.shards.iter().map(lock).collect();
            copy.mirror();
            let now = self.now();
            for mut shard in shards {
                // What is left out of the copy must be gone here, too: later records build on what the copy says.
                self.close(shard.drop_spent(now));
                shard.emit(&mut |record| copy.write(&record))?;
            }
        }
        copy.finish()
    }

    fn open(&self, accounts: usize) -> Result<(), LimitError> {
        if accounts == 0 {
            return Ok(());
        }
        let keys_max = self.config.keys_max;
        if self.keys.fetch_add(accounts, Ordering::Relaxed) + accounts > keys_max {
            self.close(accounts);
            return Err(LimitError::Full { keys_max });
        }
        Ok(())
    }

    fn close(&self, accounts: usize) {
        self.keys.fetch_sub(accounts, Ordering::Relaxed);
    }

    fn opened(&self, pair: &mut Pair<'_>, accounts: usize, now: Tick) {
        for shard in std::iter::once(&mut pair.agent).chain(pair.owner.as_mut()) {
            shard.opened += accounts;
            if shard.is_due() {
                self.close(shard.drop_spent(now));
            }
        }
    }

    fn make_room(&self, now: Tick) -> bool {
        let last = self.swept_at.load(Ordering::Relaxed);
        if now.as_ms().abs_diff(last) < SWEEP_EVERY_MS {
            return false;
        }
        // Of several that find no room at once, one sweeps.
        let swap = self.swept_at.compare_exchange(last, now.as_ms(), Ordering::Relaxed, Ordering::Relaxed);
        swap.is_ok() && self.sweep(now) > 0
    }

    pub(super) fn sweep(&self, now: Tick) -> usize {
        let swept = self.shards.iter().map(|shard| {
            let dropped = lock(shard).drop_spent(now);
            self.close(dropped);
            dropped
        });
        swept.sum()
    }

    pub(super) fn shard(&self, id: &impl Hash) -> MutexGuard<'_, Shard> {
        lock(self.nth(self.place(id)))
    }

    /// Locks the parts of an agent and its owner, the lower first, so that no two requests wait for each other.
    fn pair(&self, agent: &AgentId, owner: Option<&OwnerId>) -> Pair<'_> {
        let a = self.place(agent);
        match owner.map(|owner| self.place(owner)) {
            Some(o) if o < a => {
                let owner = lock(self.nth(o));
                Pair { agent: lock(self.nth(a)), owner: Some(owner) }
            }
            Some(o) if o > a => {
                let agent = lock(self.nth(a));
                Pair { agent, owner: Some(lock(self.nth(o))) }
            }
            _ => Pair { agent: lock(self.nth(a)), owner: None },
        }
    }

    fn place(&self, id: &impl Hash) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash are as good as any others")]
        let hash = self.hasher.hash_one(id) as usize;
        hash % SHARDS
    }

    fn nth(&self, place: usize) -> &Mutex<Shard> {
        #[expect(clippy::indexing_slicing, reason = "there are SHARDS of them and every place is below that")]
        &self.shards[place]
    }
}

pub(super) fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing under the lock can fail in the middle of a change.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rates(ask: &Ask, limits: &Limits) -> Result<AgentRates, LimitError> {
    let rates = limits.rates_of(&ask.agent, &ask.tier, ask.trust);
    rates.ok_or_else(|| LimitError::UnknownTier { tier: ask.tier.clone() })
}

fn charged<'a>(logs: &'a mut Logs, ask: &Ask, at: Tick) -> &'a SlidingLog {
    let log = logs.of(&ask.tier);
    log.charge(at, ask.cost);
    log
}

fn case<'a>(
    pair: &'a Pair<'_>,
    now: Tick,
    (agent, owner): (&AgentId, Option<&OwnerId>),
    tier: &EndpointTier,
    rates: AgentRates,
    cost: u32,
) -> Case<'a> {
    let (agents, owners) = pair.look();
    let agent: Option<&AgentAccount> = agents.get(agent);
    Case {
        now,
        floor: pair.floor(),
        agent: agent.and_then(|agent| agent.logs.get(tier)).unwrap_or(&EMPTY),
        owner: owner.map(|owner| owners.get(owner).and_then(|logs| logs.get(tier)).unwrap_or(&EMPTY)),
        rates,
        until: agent.map_or_else(PenalisedUntil::default, AgentAccount::until),
        cost,
    }
}
