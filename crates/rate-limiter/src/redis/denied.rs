//! Refusals that are answered from memory, until the moment at which they end.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clawexchange_ssg_core::AgentId;

use super::script::Question;
use crate::decision::{Decision, TierStatus, WindowStatus};

const SHARDS: usize = 16;

/// One part of the refusals: of an agent the last in each tier.
type Shard = HashMap<AgentId, Vec<Refusal>>;

/// The last refusal of each agent and tier.
pub(super) struct Denied {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    age_max: Duration,
    keys_max: usize,
}

struct Refusal {
    question: Question,
    /// When it was refused.
    since: Instant,
    /// After how long the same fits; `None`: never.
    wait: Option<Duration>,
    /// Until when it is answered from here.
    until: Instant,
    status: TierStatus,
}

impl Denied {
    pub(super) fn new(age_max: Duration, keys_max: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            age_max,
            keys_max: if age_max.is_zero() { 0 } else { keys_max },
        }
    }

    /// Of how many agents refusals are kept, those included that are over but have not yet left.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// The refusal of the same, if it holds at `now`. A log only frees with time, so that until then nothing can have
    /// made room but what another process gave back, or limits that are other ones.
    pub(super) fn refusal(&self, question: &Question, now: Instant) -> Option<Decision> {
        let shard = self.shard(&question.ask.agent)?;
        let of_agent = shard.get(&question.ask.agent)?;
        let refusal = of_agent.iter().find(|refusal| refusal.question.ask.tier == question.ask.tier)?;
        let known = &refusal.question;
        // More than was refused may have to wait longer, or for ever, and less may fit: neither has been asked.
        let is_same = question.ask.cost == known.ask.cost
            && question.rates == known.rates
            && question.ask.owner == known.ask.owner;
        if !is_same || now >= refusal.until {
            return None;
        }
        let passed = now.saturating_duration_since(refusal.since);
        let status = aged(&refusal.status, passed);
        Some(match refusal.wait {
            Some(wait) => Decision::Deny { wait: wait.saturating_sub(passed), status },
            None => Decision::Never { status },
        })
    }

    /// Keeps a refusal. While one of its windows would look otherwise it is not answered from here.
    pub(super) fn keep(&self, question: &Question, decision: &Decision, now: Instant) {
        let (wait, status) = match decision {
            Decision::Deny { wait, status } => (Some(*wait), status),
            Decision::Never { status } => (None, status),
            Decision::Allow { .. } => return,
        };
        let Some(mut shard) = self.shard(&question.ask.agent) else { return };
        let owner = status.owner.as_ref();
        let windows =
            [Some(&status.hour), Some(&status.minute), owner.map(|o| &o.hour), owner.map(|o| &o.minute)];
        let changes = windows.into_iter().flatten().filter_map(|window| window.frees_in);
        let lasts = changes.chain(wait).min().unwrap_or(self.age_max).min(self.age_max);
        let most = self.keys_max.div_ceil(SHARDS);
        if shard.len() >= most && !shard.contains_key(&question.ask.agent) {
            shard.retain(|_, refusals| refusals.iter().any(|refusal| now < refusal.until));
            if shard.len() >= most {
                return;
            }
        }
        let refusals = shard.entry(question.ask.agent.clone()).or_default();
        refusals.retain(|refusal| refusal.question.ask.tier != question.ask.tier);
        refusals.push(Refusal {
            question: question.clone(),
            since: now,
            wait,
            until: now + lasts,
            status: status.clone(),
        });
    }

    /// Forgets the refusals of one agent, in all tiers: something was given back to it, or lifted.
    pub(super) fn forget(&self, agent: &AgentId) {
        if let Some(mut shard) = self.shard(agent) {
            shard.remove(agent);
        }
    }

    fn shard(&self, agent: &AgentId) -> Option<MutexGuard<'_, Shard>> {
        if self.keys_max == 0 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash are as good as any others")]
        let place = self.hasher.hash_one(agent) as usize % SHARDS;
        self.shards.get(place).map(lock)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same status so much later. No unit has left a window meanwhile.
fn aged(status: &TierStatus, passed: Duration) -> TierStatus {
    let mut status = status.clone();
    let age = |window: &mut WindowStatus| {
        for wait in [&mut window.frees_in, &mut window.more_in].into_iter().flatten() {
            *wait = wait.saturating_sub(passed);
        }
    };
    age(&mut status.hour);
    age(&mut status.minute);
    if let Some(owner) = &mut status.owner {
        age(&mut owner.hour);
        age(&mut owner.minute);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Ask;
    use crate::limits::{Limits, Quota};
    use crate::penalties::PenalisedUntil;
    use crate::tier::EndpointTier;
    use crate::window::{Case, HOUR_MS, SlidingLog, Tick};

    const AGE: Duration = Duration::from_millis(900);

    fn question(agent: &str, limits: &Limits) -> Question {
        let ask = Ask::new(AgentId::new(agent).unwrap(), EndpointTier::POSTS);
        let rates = limits.rates_of(&ask.agent, &ask.tier, ask.trust).unwrap();
        let log = agent.as_bytes().into();
        Question { ask, rates, log, word: None, owner: None, is_look: false, floor: Tick::ZERO }
    }

    /// The refusal of one whose only unit leaves the hour after so long.
    fn refusal(question: &Question, wait: Duration) -> Decision {
        let now = Tick::from_ms(200_000_000_000);
        let mut log = SlidingLog::new();
        log.charge(Tick::from_ms(now.as_ms() - HOUR_MS + u64::try_from(wait.as_millis()).unwrap()), 1);
        let until = PenalisedUntil::default();
        let (rates, floor) = (question.rates, Tick::ZERO);
        let case = Case { now, floor, agent: &log, owner: None, rates, until, cost: 1 };
        Decision::Deny { wait, status: TierStatus::of(EndpointTier::POSTS, &case) }
    }

    #[test]
    fn a_refusal_is_answered_from_memory_until_the_very_instant_at_which_it_ends() {
        let denied = Denied::new(AGE, 10);
        let (q, begun) = (question("a", &Limits::default()), Instant::now());
        let (wait, ms) = (Duration::from_millis(500), Duration::from_millis(1));
        denied.keep(&q, &refusal(&q, wait), begun);
        let last = denied.refusal(&q, begun + wait.checked_sub(ms).unwrap()).unwrap();
        let Decision::Deny { wait: left, status } = last else { panic!("it was denied") };
        assert_eq!((left, status.hour.frees_in, status.hour.used), (ms, Some(ms), 1));
        assert_eq!(denied.refusal(&q, begun + wait), None, "now it fits");
    }

    #[test]
    fn no_refusal_is_answered_from_memory_for_longer_than_another_process_may_stay_unseen() {
        let denied = Denied::new(AGE, 10);
        let (q, begun) = (question("a", &Limits::default()), Instant::now());
        denied.keep(&q, &refusal(&q, Duration::from_mins(30)), begun);
        assert!(denied.refusal(&q, begun + AGE / 2).is_some());
        assert_eq!(denied.refusal(&q, begun + AGE), None);
        denied.keep(&q, &refusal(&q, Duration::from_mins(30)), begun);
        denied.forget(&q.ask.agent);
        assert_eq!(denied.refusal(&q, begun), None, "something was given back");
    }

    #[test]
    fn only_the_same_question_under_the_same_limits_is_answered_from_memory() {
        let denied = Denied::new(AGE, 10);
        let (q, begun) = (question("a", &Limits::default()), Instant::now());
        denied.keep(&q, &refusal(&q, Duration::from_mins(30)), begun);
        let raised = Limits::default().with_quota(EndpointTier::POSTS, Quota::new(100, 100)).unwrap();
        let mut cheaper = question("a", &Limits::default());
        cheaper.ask.cost = 0;
        for other in [question("b", &Limits::default()), question("a", &raised), cheaper] {
            assert_eq!(denied.refusal(&other, begun), None);
        }
    }

    #[test]
    fn a_flood_of_agents_that_are_refused_fills_no_memory() {
        let denied = Denied::new(AGE, 160);
        let begun = Instant::now();
        for i in 0..10_000 {
            let q = question(&format!("a-{i}"), &Limits::default());
            denied.keep(&q, &refusal(&q, Duration::from_mins(30)), begun);
        }
        assert!(denied.len() <= 160, "{}", denied.len());
        let q = question("late", &Limits::default());
        denied.keep(&q, &refusal(&q, Duration::from_mins(30)), begun + AGE);
        assert!(denied.refusal(&q, begun + AGE).is_some(), "those that are over make room");
    }
}
