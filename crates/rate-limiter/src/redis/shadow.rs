//! What Redis last said of each account, to go on from while it is away.
//!
//! Every answer is remembered, so that a limit does not begin anew when Redis goes. While it is away this process may give
//! its share of what was left: of n processes each floor((limit − what Redis knew) / n). Units that Redis knew only leave,
//! and each process counts what it gave, so that all of them together stay below the limit if all knew the same. An ask
//! whose answer did not come counts as given while it is under way, since Redis may have charged it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::keys::Key;
use super::script::{Question, Reply, Seen};
use crate::decision::{Decision, Outlook, Permit, TierStatus};
use crate::error::LimitError;
use crate::limits::Quota;
use crate::penalties::PenalisedUntil;
use crate::window::{Case, HOUR_MS, MINUTE_MS, Ruling, SlidingLog, Tick};

/// Units that are remembered at most in all: 40 MB.
const UNITS_MAX: usize = 8_000_000;

/// How long an ask waits that this process may not give, though the limit is not used up: others may be giving it.
const SHARE_WAIT_MS: u64 = 1_000;

/// All accounts that are remembered.
#[derive(Default)]
pub(super) struct Shadow(Mutex<Accounts>);

#[derive(Default)]
struct Accounts {
    map: HashMap<Key, Account>,
    units: usize,
    /// Units that Redis was not told of.
    untold: usize,
    keys_max: usize,
    /// When an account could last not be remembered for want of room; until an hour later none is taken for new.
    overflowed: Tick,
    swept: Tick,
}

/// What is remembered of one.
#[derive(Default)]
struct Account {
    /// As Redis knows it.
    base: SlidingLog,
    /// Given by this process while Redis was away; Redis was not told yet.
    own: SlidingLog,
    /// Part of `own` that is being told, under a name by which Redis does it once.
    telling: Option<([u8; 8], Vec<Tick>)>,
    /// Units of asks whose answers have not come yet.
    under_way: u32,
    until: PenalisedUntil,
}

/// What Redis is to be told of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Telling {
    pub(super) log: Key,
    /// By which Redis knows whether it was told already.
    pub(super) id: [u8; 8],
    /// Given while it was away.
    pub(super) given: Vec<Tick>,
    /// What it knew before, if it may have lost that.
    pub(super) known: Vec<Tick>,
}

/// An ask that is under way, until this is dropped.
pub(super) struct UnderWay {
    shadow: Arc<Shadow>,
    keys: [Option<Key>; 2],
    cost: u32,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut accounts = self.shadow.lock();
        for key in self.keys.iter().flatten() {
            if let Some(account) = accounts.map.get_mut(key) {
                account.under_way = account.under_way.saturating_sub(self.cost);
            }
        }
    }
}

impl Shadow {
    pub(super) fn new(keys_max: usize) -> Self {
        Self(Mutex::new(Accounts { keys_max, ..Accounts::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        // Nothing under the lock can fail in the middle of a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many accounts are remembered, and how many units Redis was not told of.
    pub(super) fn counts(&self) -> (usize, usize) {
        let accounts = self.lock();
        (accounts.map.len(), accounts.untold)
    }

    /// Marks an ask as under way.
    pub(super) fn enter(self: &Arc<Self>, question: &Question, now: Tick) -> UnderWay {
        let mut keys = [Some(question.log.clone()), question.owner.clone()];
        let cost = question.ask.cost;
        let mut accounts = self.lock();
        for slot in &mut keys {
            match slot.as_ref().and_then(|key| accounts.open(key, now)) {
                Some(account) => account.under_way = account.under_way.saturating_add(cost),
                None => *slot = None,
            }
        }
        UnderWay { shadow: Arc::clone(self), keys, cost }
    }

    /// Remembers what Redis said, and what was charged by it.
    pub(super) fn remember(&self, question: &Question, reply: &Reply) {
        let mut accounts = self.lock();
        let seen =
            [(Some(&question.log), Some(&reply.agent)), (question.owner.as_ref(), reply.owner.as_ref())];
        for (key, seen) in seen {
            let (Some(key), Some(seen)) = (key, seen) else { continue };
            let log = whole(seen);
            let Some(account) = accounts.open(key, reply.now) else { continue };
            if *key == question.log {
                account.until = reply.until;
            }
            // Answers may overtake each other: the one that knows more is the later one.
            let known = (account.base.floor(), account.base.len());
            if (log.floor(), log.len()) < known {
                continue;
            }
            let (before, after) = (account.base.len(), log.len());
            account.base = log;
            accounts.units = (accounts.units + after).saturating_sub(before);
        }
    }

    /// Gives units of Redis's back here, too.
    pub(super) fn refund(&self, key: &Key, at: Tick, count: u32) {
        let mut accounts = self.lock();
        if let Some(account) = accounts.map.get_mut(key) {
            let back = account.base.refund(at, count);
            accounts.units = accounts.units.saturating_sub(back as usize);
        }
    }

    /// Gives units back that were given here and that Redis was not told of; says how many.
    pub(super) fn take_back(&self, keys: [Option<&Key>; 2], at: Tick, cost: u32) -> u32 {
        let mut accounts = self.lock();
        let there = keys.iter().flatten().map(|key| {
            let account = accounts.map.get(*key).filter(|account| account.telling.is_none());
            account.map_or(0, |account| account.own.charged_at(at))
        });
        let count = there.min().unwrap_or(0).min(cost);
        for key in keys.iter().flatten() {
            accounts.change_own(key, |own| {
                own.refund(at, count);
            });
        }
        count
    }

    /// Forgets what Redis knew of an account: it was reset.
    pub(super) fn forget(&self, key: &Key) {
        let mut accounts = self.lock();
        if let Some(account) = accounts.map.get_mut(key) {
            let units = std::mem::take(&mut account.base).len();
            accounts.units = accounts.units.saturating_sub(units);
        }
    }

    /// Decides without Redis, at `now` as far as this process knows the time there, as one of so many processes.
    pub(super) fn decide(&self, question: &Question, now: Tick, parts: u32) -> Result<Decision, LimitError> {
        let mut accounts = self.lock();
        let standing = accounts.standing(question, now)?;
        let (agent, owner) = (&standing.agent, standing.owner.as_ref());
        let case = standing.case(question, agent, owner, now);
        let at = case.at();
        let ask = &question.ask;
        let mut decided = TierStatus::of(ask.tier.clone(), &case);
        decided.is_degraded = true;
        match case.decide() {
            Ruling::Never => return Ok(Decision::Never { status: decided }),
            Ruling::Deny { wait_ms } => {
                return Ok(Decision::Deny { wait: Duration::from_millis(wait_ms), status: decided });
            }
            Ruling::Allow => {}
        }
        let rates = question.rates.at(at);
        let limits = [rates.agent(case.until.at(at)), rates.owner()];
        let keys = [Some(&question.log), question.owner.as_ref()];
        let fits = keys.iter().zip(limits).all(|(key, limits)| {
            key.is_none_or(|key| {
                accounts.map.get(key).is_none_or(|a| a.has_room(at, limits, ask.cost, parts))
            }) && key.is_none_or(|key| accounts.map.contains_key(key) || is_share(limits, ask.cost, parts))
        });
        if !fits {
            return Ok(Decision::Deny { wait: Duration::from_millis(SHARE_WAIT_MS), status: decided });
        }
        // Both have a place before either is charged.
        for key in keys.into_iter().flatten() {
            if accounts.open(key, now).is_none() {
                return Err(LimitError::Full { keys_max: accounts.keys_max });
            }
        }
        for key in keys.into_iter().flatten() {
            accounts.change_own(key, |own| own.charge(at, ask.cost));
        }
        let standing = accounts.standing(question, now)?;
        let case = standing.case(question, &standing.agent, standing.owner.as_ref(), now);
        let mut status = TierStatus::of(ask.tier.clone(), &case);
        status.is_degraded = true;
        Ok(Decision::Allow { permit: Permit::new(ask, at), status })
    }

    /// What is known, and what [`decide`](Self::decide) would say if this were the only process.
    pub(super) fn look(
        &self,
        question: &Question,
        now: Tick,
    ) -> Result<(Outlook, PenalisedUntil), LimitError> {
        let standing = self.lock().standing(question, now)?;
        let case = standing.case(question, &standing.agent, standing.owner.as_ref(), now);
        let mut status = TierStatus::of(question.ask.tier.clone(), &case);
        status.is_degraded = true;
        Ok((Outlook::new(case.decide(), status), standing.until))
    }

    /// What Redis has to be told, and what it knew, if it may have forgotten that. What was not confirmed comes again
    /// under the same name.
    pub(super) fn untold(&self, has_forgotten: bool, now: Tick, fresh: impl Fn() -> [u8; 8]) -> Vec<Telling> {
        let mut accounts = self.lock();
        let mut all = Vec::new();
        for (key, account) in &mut accounts.map {
            if account.telling.is_none() && !account.own.is_empty() {
                account.telling = Some((fresh(), account.own.units().collect()));
            }
            let is_known = has_forgotten && !account.base.is_empty() && !account.base.is_spent(now);
            let known = if is_known { account.base.units().collect() } else { Vec::new() };
            if let Some((id, given)) = account.telling.clone() {
                all.push(Telling { log: key.clone(), id, given, known });
            } else if is_known {
                all.push(Telling { log: key.clone(), id: fresh(), given: Vec::new(), known });
            }
        }
        all
    }

    /// Redis was told.
    pub(super) fn told(&self, telling: &Telling) {
        let mut accounts = self.lock();
        if telling.given.is_empty() {
            return;
        }
        accounts.change_own(&telling.log, |own| {
            for unit in &telling.given {
                own.refund(*unit, 1);
            }
        });
        let Some(account) = accounts.map.get_mut(&telling.log) else { return };
        account.telling = None;
        let before = account.base.len();
        account.base = merged(&account.base, &telling.given);
        let after = account.base.len();
        accounts.units = (accounts.units + after).saturating_sub(before);
    }
}

/// What is known of an agent and its owner, in one log each.
struct Standing {
    agent: SlidingLog,
    owner: Option<SlidingLog>,
    until: PenalisedUntil,
}

impl Standing {
    fn case<'a>(
        &self,
        question: &Question,
        agent: &'a SlidingLog,
        owner: Option<&'a SlidingLog>,
        now: Tick,
    ) -> Case<'a> {
        let (rates, cost) = (question.rates, question.ask.cost);
        Case { now, floor: Tick::ZERO, agent, owner, rates, until: self.until, cost }
    }
}

impl Accounts {
    fn standing(&self, question: &Question, now: Tick) -> Result<Standing, LimitError> {
        let keys = [Some(&question.log), question.owner.as_ref()];
        let is_forgotten = self.overflowed > Tick::ZERO && now < self.overflowed.plus_ms(HOUR_MS);
        if is_forgotten && keys.into_iter().flatten().any(|key| !self.map.contains_key(key)) {
            return Err(LimitError::Full { keys_max: self.keys_max });
        }
        let log = |key: &Key| {
            self.map.get(key).map_or_else(SlidingLog::new, |account| {
                let own: Vec<Tick> = account.own.units().collect();
                merged(&account.base, &own)
            })
        };
        Ok(Standing {
            agent: log(&question.log),
            owner: question.owner.as_ref().map(log),
            until: self.map.get(&question.log).map_or_else(PenalisedUntil::default, |account| account.until),
        })
    }

    /// Changes what was given of an account, if there is one.
    fn change_own(&mut self, key: &Key, change: impl FnOnce(&mut SlidingLog)) {
        let Some(account) = self.map.get_mut(key) else { return };
        let before = account.own.len();
        change(&mut account.own);
        self.untold = (self.untold + account.own.len()).saturating_sub(before);
    }

    /// The account of a key, made if there is none; `None` if there is no room.
    fn open(&mut self, key: &Key, now: Tick) -> Option<&mut Account> {
        if !self.map.contains_key(key) {
            if self.map.len() >= self.keys_max || self.units >= UNITS_MAX {
                self.sweep(now);
            }
            if self.map.len() >= self.keys_max || self.units >= UNITS_MAX {
                self.overflowed = self.overflowed.max(now);
                return None;
            }
        }
        Some(self.map.entry(key.clone()).or_default())
    }

    /// Drops what cannot matter any more, at most once a second.
    fn sweep(&mut self, now: Tick) {
        if now.as_ms().abs_diff(self.swept.as_ms()) < 1_000 {
            return;
        }
        self.swept = now;
        self.map.retain(|_, account| {
            let is_idle = account.own.is_empty() && account.telling.is_none() && account.under_way == 0;
            !(is_idle && account.base.is_spent(now))
        });
        self.units = self.map.values().map(|account| account.base.len()).sum();
    }
}

impl Account {
    /// Whether so many more stay within this process's share of what Redis had left.
    fn has_room(&self, at: Tick, limits: Quota, cost: u32, parts: u32) -> bool {
        [(limits.per_hour, HOUR_MS), (limits.per_minute, MINUTE_MS)].into_iter().all(|(limit, span)| {
            let left = limit.saturating_sub(self.base.used(at, span));
            let given = self.own.used(at, span).saturating_add(self.under_way);
            given.saturating_add(cost) <= left / parts.max(1)
        })
    }
}

/// Whether so many are within the share of the whole limit, for an account that was never seen.
fn is_share(limits: Quota, cost: u32, parts: u32) -> bool {
    cost <= limits.per_hour.min(limits.per_minute) / parts.max(1)
}

/// A log with more units, in order.
fn merged(log: &SlidingLog, units: &[Tick]) -> SlidingLog {
    if units.first().is_none_or(|first| *first >= log.floor()) {
        let mut merged = log.clone();
        merged.restore(log.floor(), units.iter().copied());
        return merged;
    }
    let mut all: Vec<Tick> = log.units().chain(units.iter().copied()).collect();
    all.sort_unstable();
    let mut merged = SlidingLog::new();
    merged.restore(log.floor(), all.into_iter());
    merged
}

/// The log of an answer. Of one that was only summed, units are taken to be as young as they can be, so that they leave
/// rather late.
fn whole(seen: &Seen) -> SlidingLog {
    let sum = match seen {
        Seen::Whole(log) => return log.clone(),
        Seen::Summed(sum) => sum,
    };
    let older = sum.hour.units.saturating_sub(sum.minute.units) as usize;
    let before = Tick::from_ms(sum.last.as_ms().saturating_sub(MINUTE_MS));
    let mut units = vec![before; older];
    units.resize(older + sum.minute.units as usize, sum.last);
    let mut log = SlidingLog::new();
    log.restore(sum.last, units.into_iter());
    log
}

#[cfg(test)]
mod tests {
    use clawexchange_ssg_core::{AgentId, TrustLevel};
    use proptest::prelude::*;

    use super::*;
    use crate::decision::Ask;
    use crate::limits::Limits;
    use crate::tier::EndpointTier;

    const BEGIN: u64 = 200_000_000_000;

    fn question(agent: &str, per_hour: u32, per_minute: u32, cost: u32) -> Question {
        let quota = Quota::new(per_hour.max(per_minute), per_minute);
        let limits = Limits::default().with_quota(EndpointTier::POSTS, quota).unwrap();
        let ask = Ask::new(AgentId::new(agent).unwrap(), EndpointTier::POSTS);
        let ask = ask.trusted(TrustLevel::Established).costing(cost);
        let rates = limits.rates_of(&ask.agent, &ask.tier, ask.trust).unwrap();
        let log = agent.as_bytes().into();
        Question { ask, rates, log, word: None, owner: None, is_look: false, floor: Tick::ZERO }
    }

    fn seen(units: &[u64]) -> Reply {
        let mut log = SlidingLog::new();
        for unit in units {
            log.charge(Tick::from_ms(*unit), 1);
        }
        Reply {
            fits: true,
            now: Tick::from_ms(BEGIN),
            until: PenalisedUntil::default(),
            agent: Seen::Whole(log),
            owner: None,
            wait_until: Tick::ZERO,
            owner_at: None,
        }
    }

    fn worst(units: &[u64], span: u64) -> usize {
        units
            .iter()
            .map(|from| units.iter().filter(|u| (*from..from + span).contains(u)).count())
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn processes_that_have_seen_the_same_stay_within_the_limit_together_however_long_redis_is_away(
            (hour, minute, parts) in (1..60_u32, 1..20_u32, 1..5_u32),
            before in prop::collection::vec(0..3_600_000_u64, 0..60),
            steps in prop::collection::vec((0..5_usize, 0..90_000_u64, 1..3_u32), 1..200),
        ) {
            let hour = hour.max(minute);
            let mut units: Vec<u64> = before.iter().map(|back| BEGIN - back).collect();
            units.sort_unstable();
            // What Redis admitted was within the limit.
            let mut admitted: Vec<u64> = Vec::new();
            for unit in units {
                let used = |span| admitted.iter().filter(|u| **u + span > unit).count();
                if used(HOUR_MS) < hour as usize && used(MINUTE_MS) < minute as usize {
                    admitted.push(unit);
                }
            }
            let shadows: Vec<_> = (0..parts).map(|_| Shadow::new(10)).collect();
            for shadow in &shadows {
                shadow.remember(&question("a", hour, minute, 1), &seen(&admitted));
            }
            let mut now = BEGIN;
            for (who, step, cost) in steps {
                now += step;
                let shadow = &shadows[who % shadows.len()];
                let decision = shadow.decide(&question("a", hour, minute, cost), Tick::from_ms(now), parts).unwrap();
                if decision.is_allowed() {
                    admitted.extend(std::iter::repeat_n(now, cost as usize));
                }
            }
            prop_assert!(worst(&admitted, HOUR_MS) <= hour as usize);
            prop_assert!(worst(&admitted, MINUTE_MS) <= minute as usize);
        }
    }

    #[test]
    fn an_ask_that_is_under_way_counts_as_given_until_its_answer_is_there() {
        let shadow = Arc::new(Shadow::new(10));
        let (now, q) = (Tick::from_ms(BEGIN), question("a", 2, 2, 1));
        let first = shadow.enter(&q, now);
        let second = shadow.enter(&q, now);
        drop(first);
        assert!(shadow.decide(&q, now, 1).unwrap().is_allowed(), "its own was given up");
        assert!(!shadow.decide(&q, now, 1).unwrap().is_allowed(), "the second may have been charged");
        drop(second);
        assert!(shadow.decide(&q, now, 1).unwrap().is_allowed());
        assert_eq!(shadow.counts(), (1, 2));
    }

    #[test]
    fn an_answer_that_was_overtaken_does_not_forget_what_the_later_one_knew() {
        let shadow = Shadow::new(10);
        let q = question("a", 3, 3, 1);
        shadow.remember(&q, &seen(&[BEGIN, BEGIN + 1, BEGIN + 2]));
        shadow.remember(&q, &seen(&[BEGIN, BEGIN + 1]));
        assert!(!shadow.decide(&q, Tick::from_ms(BEGIN + 3), 1).unwrap().is_allowed());
    }

    #[test]
    fn who_could_not_be_remembered_for_want_of_room_is_not_taken_for_new() {
        let shadow = Shadow::new(2);
        let now = Tick::from_ms(BEGIN);
        for agent in ["a", "b", "c"] {
            shadow.remember(&question(agent, 3, 3, 1), &seen(&[BEGIN]));
        }
        assert!(shadow.decide(&question("a", 3, 3, 1), now, 1).unwrap().is_allowed());
        assert!(matches!(
            shadow.decide(&question("c", 3, 3, 1), now, 1),
            Err(LimitError::Full { keys_max: 2 })
        ));
        let later = now.plus_ms(HOUR_MS);
        assert!(
            shadow.decide(&question("c", 3, 3, 1), later, 1).unwrap().is_allowed(),
            "all it did has aged"
        );
    }

    #[test]
    fn what_redis_was_told_is_told_once_and_what_was_not_confirmed_again_by_the_same_name() {
        let shadow = Shadow::new(10);
        let (now, q) = (Tick::from_ms(BEGIN), question("a", 5, 5, 2));
        assert!(shadow.decide(&q, now, 1).unwrap().is_allowed());
        let first = shadow.untold(false, now, || [1; 8]);
        assert!(shadow.decide(&q, now.plus_ms(1), 1).unwrap().is_allowed());
        assert_eq!(shadow.untold(false, now, || [2; 8]), first, "its answer was lost");
        shadow.told(&first[0]);
        let second = shadow.untold(false, now, || [3; 8]);
        assert_eq!((second[0].given.len(), second[0].id), (2, [3; 8]));
        shadow.told(&second[0]);
        assert!(shadow.untold(false, now, || [4; 8]).is_empty());
        assert_eq!(shadow.untold(true, now, || [5; 8])[0].known.len(), 4, "unless Redis has forgotten it");
    }
}
