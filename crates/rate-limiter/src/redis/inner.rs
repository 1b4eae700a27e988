//! The way of an ask: refusals in memory, Redis, and what is done without it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clawexchange_ssg_core::{Clock, SystemClock, Timestamp};
use deadpool_redis::redis::{FromRedisValue, Value, cmd};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::config::{RedisConfig, WhenAway};
use super::denied::Denied;
use super::health::{BreakerState, RedisCounters, RedisHealth};
use super::keys::{Key, Keys};
use super::link::{Failure, Link};
use super::queue::Queue;
use super::script::{Call, Question, Reply, Script, WHOLE_BYTES, replies};
use super::shadow::{Shadow, UnderWay};
use crate::decision::{Ask, Decision, Permit, TierStatus};
use crate::error::LimitError;
use crate::limits::Limits;
use crate::tier::EndpointTier;
use crate::window::Tick;

/// Whether Redis is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// It was not reached yet; asks wait for it, until their deadline.
    Connecting,
    /// It is.
    Up,
    /// It failed; it is tried in the background, and asks are answered without it.
    Away,
}

pub(super) struct Inner {
    pub(super) link: Arc<Link>,
    pub(super) keys: Keys,
    pub(super) phase: watch::Sender<Phase>,
    /// Wakes whoever brings Redis back.
    pub(super) lost: Arc<Notify>,
    pub(super) shadow: Arc<Shadow>,
    pub(super) denied: Denied,
    pub(super) queue: Queue,
    pub(super) time: Arc<Time>,
    pub(super) tally: Tally,
    /// Processes that share the limits; 0 while Redis has not said.
    pub(super) instances: AtomicU32,
    pub(super) is_probing: AtomicBool,
    pub(super) away_since: Mutex<Option<Timestamp>>,
    pub(super) background: Mutex<Vec<AbortHandle>>,
    /// The servers that last answered, by the names that they give themselves each time they start.
    pub(super) servers: Mutex<Option<Vec<String>>>,
    /// Tiers that Redis knows to exist.
    tiers: Mutex<HashSet<EndpointTier>>,
    whole_bytes: u32,
}

#[derive(Default)]
pub(super) struct Tally {
    pub(super) asks: AtomicU64,
    denied_from_memory: AtomicU64,
    degraded: AtomicU64,
    timeouts: AtomicU64,
    errors: AtomicU64,
    openings: AtomicU64,
    pub(super) replayed: AtomicU64,
}

/// What time it is where the counters are.
pub(super) struct Time {
    /// In tests the clock of the counters, in the place of Redis's.
    clock: Option<Box<dyn Clock>>,
    /// What Redis last said, and when that was here.
    last: Mutex<Option<(Tick, Instant)>>,
}

impl Time {
    /// The moment that the script is told, [`Tick::ZERO`] for its own.
    pub(super) fn told(&self) -> Tick {
        self.clock.as_ref().map_or(Tick::ZERO, |clock| clock.now().into())
    }

    fn heard(&self, now: Tick) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Instant::now()));
    }

    /// The time there as far as it can be known here.
    pub(super) fn now(&self) -> Tick {
        if self.clock.is_some() {
            return self.told();
        }
        match *self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((now, then)) => now.plus_ms(u64::try_from(then.elapsed().as_millis()).unwrap_or(u64::MAX)),
            None => SystemClock::new().now().into(),
        }
    }
}

impl Inner {
    pub(super) fn new(config: RedisConfig, clock: Option<Box<dyn Clock>>, whole_bytes: Option<u32>) -> Self {
        Self {
            keys: Keys::new(&config.prefix),
            phase: watch::Sender::new(Phase::Connecting),
            lost: Arc::new(Notify::new()),
            shadow: Arc::new(Shadow::new(config.shadow_keys)),
            denied: Denied::new(config.deny_cache_max, config.deny_cache_keys),
            queue: Queue::new(),
            time: Arc::new(Time { clock, last: Mutex::new(None) }),
            tally: Tally::default(),
            instances: AtomicU32::new(0),
            is_probing: AtomicBool::new(false),
            away_since: Mutex::new(None),
            background: Mutex::default(),
            servers: Mutex::default(),
            tiers: Mutex::new([EndpointTier::POSTS, EndpointTier::COMMENTS, EndpointTier::MESSAGES].into()),
            whole_bytes: whole_bytes.unwrap_or(WHOLE_BYTES),
            link: Arc::new(Link::new(config)),
        }
    }

    pub(super) const fn whole_bytes(&self) -> u32 {
        self.whole_bytes
    }

    pub(super) fn config(&self) -> &RedisConfig {
        &self.link.config
    }

    pub(super) fn question(&self, ask: &Ask, limits: &Limits, is_look: bool) -> Result<Question, LimitError> {
        let rates = limits.rates_of(&ask.agent, &ask.tier, ask.trust);
        let rates = rates.ok_or_else(|| LimitError::UnknownTier { tier: ask.tier.clone() })?;
        Ok(Question {
            ask: ask.clone(),
            rates,
            log: self.keys.agent(&ask.agent, &ask.tier),
            word: Some(self.keys.word(&ask.agent)),
            owner: ask.owner.as_ref().map(|owner| self.keys.owner(owner, &ask.tier)),
            is_look,
            floor: Tick::ZERO,
        })
    }

    /// Decides one ask.
    pub(super) async fn take(&self, question: Question) -> Result<Decision, LimitError> {
        self.tally.asks.fetch_add(1, Ordering::Relaxed);
        if let Some(refusal) = self.denied.refusal(&question, Instant::now()) {
            self.tally.denied_from_memory.fetch_add(1, Ordering::Relaxed);
            return Ok(refusal);
        }
        let deadline = tokio::time::Instant::now() + self.config().deadline;
        let Some(under_way) = self.enter(&question, deadline).await else { return self.without(&question) };
        let answer = tokio::time::timeout_at(deadline, self.ask(&question)).await;
        let reply = match answer.unwrap_or(Err(Failure::Late)) {
            Ok(reply) => reply,
            Err(Failure::Answer(error)) => return Err(error),
            Err(failure) => {
                self.fail(&failure);
                // Only now: until here it counted as given, so that nobody else could give the same.
                drop(under_way);
                return self.without_after(&question, failure);
            }
        };
        self.settle(&question, reply)
    }

    /// Turns an answer of Redis into a decision, and remembers it.
    pub(super) fn settle(&self, question: &Question, reply: Reply) -> Result<Decision, LimitError> {
        self.time.heard(reply.now);
        let owner_at = reply.owner_at;
        let (mut decision, reply) = reply.decision(question)?;
        if let (Decision::Allow { permit, .. }, Some(at)) = (&mut decision, owner_at) {
            permit.owner_at = at;
        }
        self.shadow.remember(question, &reply);
        self.denied.keep(question, &decision, Instant::now());
        Ok(decision)
    }

    async fn ask(&self, question: &Question) -> Result<Reply, Failure> {
        self.make_known(&question.ask.tier).await?;
        if self.link.is_cluster() {
            return self.ask_apart(question).await;
        }
        self.queue.ask(question.clone()).await
    }

    /// Asks several at one moment, in one call.
    pub(super) async fn ask_all(&self, questions: &[Question]) -> Result<Vec<Reply>, Failure> {
        let mut call = Call::new(self.time.told(), self.whole_bytes);
        for question in questions {
            call.push(question);
        }
        let value = self.run(&self.link.scripts.take, &call.keys, &call.args).await?;
        let asked: Vec<&Question> = questions.iter().collect();
        replies(value, &asked).map_err(Failure::Answer)
    }

    /// Waits until Redis is there, if it was never reached, and marks the ask as under way; `None` if Redis is away.
    pub(super) async fn enter(
        &self,
        question: &Question,
        deadline: tokio::time::Instant,
    ) -> Option<UnderWay> {
        loop {
            {
                // Held while it is marked: whoever declares Redis away does so after this, and counts it.
                let phase = self.phase.borrow();
                match *phase {
                    Phase::Up => return Some(self.shadow.enter(question, self.time.now())),
                    Phase::Away => return None,
                    Phase::Connecting => {}
                }
            }
            if let Err(failure @ Failure::Late) = self.reach(deadline).await {
                self.fail(&failure);
                return None;
            }
        }
    }

    /// Waits until Redis is there, until the deadline.
    pub(super) async fn reach(&self, deadline: tokio::time::Instant) -> Result<(), Failure> {
        let mut phases = self.phase.subscribe();
        let reached = tokio::time::timeout_at(deadline, phases.wait_for(|phase| *phase != Phase::Connecting));
        match reached.await {
            Ok(Ok(phase)) if *phase == Phase::Up => Ok(()),
            Ok(_) => Err(Failure::Unconnected),
            Err(_elapsed) => Err(Failure::Late),
        }
    }

    /// Runs a script that is no ask, within the deadline.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[Key],
        args: &[impl AsRef<[u8]> + Sync],
    ) -> Result<Value, Failure> {
        let deadline = tokio::time::Instant::now() + self.config().deadline;
        self.reach(deadline).await?;
        let answer = tokio::time::timeout_at(deadline, self.link.run(script, keys, args)).await;
        answer.unwrap_or(Err(Failure::Late)).inspect_err(|failure| self.fail(failure))
    }

    /// The same for a script that answers with a number.
    pub(super) async fn number(
        &self,
        script: &Script,
        keys: &[Key],
        args: &[impl AsRef<[u8]> + Sync],
    ) -> Result<u32, LimitError> {
        match self.run(script, keys, args).await? {
            Value::Int(number) => Ok(u32::try_from(number).unwrap_or(0)),
            _ => Err(LimitError::RedisDamaged { what: "did not answer with a number" }),
        }
    }

    /// Asks a plain command, within the deadline.
    pub(super) async fn plain<T: FromRedisValue>(
        &self,
        command: &deadpool_redis::redis::Cmd,
    ) -> Result<T, LimitError> {
        let deadline = tokio::time::Instant::now() + self.config().deadline;
        self.reach(deadline).await?;
        let answer = tokio::time::timeout_at(deadline, self.link.ask(command)).await;
        let value = answer.unwrap_or(Err(Failure::Late)).inspect_err(|failure| self.fail(failure))?;
        T::from_redis_value(value).map_err(|error| LimitError::Away(Box::new(error)))
    }

    /// Tells Redis of a tier before it is charged, so that a reset finds it.
    async fn make_known(&self, tier: &EndpointTier) -> Result<(), Failure> {
        if self.tiers.lock().unwrap_or_else(PoisonError::into_inner).contains(tier) {
            return Ok(());
        }
        let mut command = cmd("SADD");
        command.arg(&*self.keys.tiers()).arg(tier.as_str());
        self.link.ask(&command).await?;
        self.tiers.lock().unwrap_or_else(PoisonError::into_inner).insert(tier.clone());
        Ok(())
    }

    /// All tiers that were ever charged.
    pub(super) async fn all_tiers(&self) -> Result<Vec<EndpointTier>, LimitError> {
        let mut command = cmd("SMEMBERS");
        command.arg(&*self.keys.tiers());
        let named: Vec<String> = self.plain(&command).await?;
        let mut tiers = self.tiers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tiers.extend(named.iter().filter_map(|name| name.parse().ok()));
        Ok(tiers.into_iter().collect())
    }

    /// Declares Redis away. From now on nothing is sent there until it was told of everything that is given meanwhile.
    pub(super) fn fail(&self, failure: &Failure) {
        match failure {
            Failure::Late => self.tally.timeouts.fetch_add(1, Ordering::Relaxed),
            Failure::Answer(_) => return,
            Failure::Unconnected | Failure::Redis(_) => self.tally.errors.fetch_add(1, Ordering::Relaxed),
        };
        self.declare_away(failure);
    }

    fn declare_away(&self, failure: &Failure) {
        let is_news = self.phase.send_if_modified(|phase| {
            let is_news = *phase != Phase::Away;
            *phase = Phase::Away;
            is_news
        });
        if is_news {
            self.tally.openings.fetch_add(1, Ordering::Relaxed);
            *self.away_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(SystemClock::new().now());
            tracing::warn!(reason = %reason(failure), "the counters in Redis do not answer");
            self.lost.notify_one();
        }
    }

    /// Decides without Redis, which is known to be away.
    pub(super) fn without(&self, question: &Question) -> Result<Decision, LimitError> {
        self.without_after(question, Failure::Unconnected)
    }

    fn without_after(&self, question: &Question, failure: Failure) -> Result<Decision, LimitError> {
        self.tally.degraded.fetch_add(1, Ordering::Relaxed);
        match self.config().when_away {
            WhenAway::Closed => Err(failure.into()),
            WhenAway::Open => {
                let now = self.time.now();
                let ask = Ask { cost: 0, ..question.ask.clone() };
                let status = TierStatus::uncounted(ask.tier.clone(), question.rates, now);
                Ok(Decision::Allow { permit: Permit::new(&ask, now), status })
            }
            WhenAway::Local => loop {
                {
                    // Held while it is decided: Redis does not come back in the middle.
                    let phase = self.phase.borrow();
                    if *phase == Phase::Away {
                        return self.shadow.decide(question, self.time.now(), self.parts());
                    }
                }
                // It came back since; what is decided here has to be told there before others ask.
                self.declare_away(&failure);
            },
        }
    }

    /// As one of how many processes this one decides.
    pub(super) fn parts(&self) -> u32 {
        match self.instances.load(Ordering::Relaxed) {
            0 => self.config().instances_assumed.max(1),
            known => known,
        }
    }

    pub(super) fn health(&self) -> RedisHealth {
        let phase = *self.phase.borrow();
        let (shadow_keys, unreplayed) = self.shadow.counts();
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let is_probing = self.is_probing.load(Ordering::Relaxed);
        RedisHealth {
            is_away: phase == Phase::Away,
            away_since: *self.away_since.lock().unwrap_or_else(PoisonError::into_inner),
            breaker: match phase {
                Phase::Away if is_probing => BreakerState::Probing,
                Phase::Away => BreakerState::Open,
                Phase::Connecting | Phase::Up => BreakerState::Closed,
            },
            instances: self.parts(),
            shadow_keys: shadow_keys as u64,
            deny_cache_keys: self.denied.len() as u64,
            unreplayed: unreplayed as u64,
            counters: RedisCounters {
                asks: count(&self.tally.asks),
                denied_from_memory: count(&self.tally.denied_from_memory),
                commands: count(&self.link.commands),
                degraded: count(&self.tally.degraded),
                timeouts: count(&self.tally.timeouts),
                errors: count(&self.tally.errors),
                script_losses: count(&self.link.script_losses),
                breaker_openings: count(&self.tally.openings),
                replayed_units: count(&self.tally.replayed),
                connections_made: count(&self.link.made),
            },
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in self.background.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            task.abort();
        }
    }
}

/// Why, for the log: no address and no password.
fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Unconnected => "there is no connection".to_owned(),
        Failure::Late => "no answer in time".to_owned(),
        Failure::Redis(error) => error.category().to_owned(),
        Failure::Answer(error) => error.to_string(),
    }
}
