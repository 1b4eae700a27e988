//! Counters in the memory of one process, with or without a journal.

mod replay;
mod shard;
mod state;

pub(crate) use self::state::State;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use clawexchange_ssg_core::{AgentId, Clock, OwnerId, SystemClock, Timestamp, TrustLevel};

use self::state::Kept;
use crate::decision::{AgentStatus, Ask, Decision, Outlook, Permit};
use crate::error::LimitError;
use crate::journal::{Journal, Keeper};
use crate::limits::Limits;
use crate::penalties::{Offence, OffenceId, Suspension};
use crate::store::Store;
use crate::tier::EndpointTier;
use crate::window::Tick;

/// What is done where the usual thing cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "who handles directions and forgets one must not compile")]
pub enum Fail {
    /// The act is refused with an error.
    #[default]
    Closed,
    /// The act is allowed, charged to nobody, and the answer says that it is degraded.
    Open,
}

/// How much memory a [`MemoryStore`] may use, and what it does beyond.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryConfig {
    /// Agents and owners that are counted at once. 1,000,000 unless set; those whose last hour was quiet and that
    /// have no penalty are forgotten and do not count.
    pub keys_max: usize,
    /// What is done with an agent that is one too many. Closed unless set.
    pub when_full: Fail,
    /// Bytes that a journal may have. 1 GiB unless set; it is written anew, shorter, long before.
    pub journal_bytes_max: u64,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { keys_max: 1_000_000, when_full: Fail::Closed, journal_bytes_max: 1 << 30 }
    }
}

/// Counters in this process: exact, bounded, a lock or two a request.
///
/// Time is that of the [`Clock`], made monotone for each account: a clock that is set back frees nothing and charges
/// nothing for the past, it only lets time stand still.
pub struct MemoryStore {
    state: Arc<State>,
    keeper: Option<Keeper>,
}

impl MemoryStore {
    /// Counters that nothing outlives, by the given clock.
    pub fn new(config: MemoryConfig, clock: impl Clock) -> Self {
        Self { state: Arc::new(State::new(config, clock)), keeper: None }
    }

    /// Counters that are written to the journal at `path` before each answer and synced each second; the file is made
    /// if there is none, and held so that no second process writes it.
    ///
    /// An end that was cut off in the middle of a write is dropped. Reads and writes files; blocks.
    ///
    /// # Errors
    ///
    /// A journal that is damaged anywhere else, of another version, open to others, held by another process, or that
    /// cannot be read or written.
    pub fn open_journal(
        path: impl AsRef<Path>,
        config: MemoryConfig,
        clock: impl Clock,
    ) -> Result<Self, LimitError> {
        let mut state = State::new(config, clock);
        let journal =
            Journal::open(path.as_ref(), state.config.journal_bytes_max, |record| state.apply(record))?;
        state.kept = Kept::Journal(journal);
        state.sweep(state.now());
        let state = Arc::new(state);
        let keeper = Keeper::start(Arc::clone(&state))?;
        Ok(Self { state, keeper })
    }

    /// What the journal at `path` says now, to look at: neither held nor changed, though another process writes it.
    ///
    /// Whatever would change a counter is refused. Reads a file; blocks.
    pub fn read_journal(path: impl AsRef<Path>, clock: impl Clock) -> Result<Self, LimitError> {
        let mut state = State::new(MemoryConfig::default(), clock);
        Journal::read(path.as_ref(), |record| state.apply(record))?;
        state.kept = Kept::ReadOnly;
        Ok(Self { state: Arc::new(state), keeper: None })
    }

    /// How many agents and owners are counted, those included that have been quiet but are not yet forgotten.
    pub fn keys(&self) -> usize {
        self.state.keys.load(Ordering::Relaxed)
    }

    /// Forgets agents and owners whose last hour was quiet and that have no penalty; says how many. It also happens
    /// by itself whenever room is needed.
    pub fn sweep(&self) -> usize {
        self.state.sweep(self.state.now())
    }

    /// The moments of an agent's units in a tier, oldest first, those included that no longer count but have not yet
    /// left.
    pub fn units(&self, agent: &AgentId, tier: &EndpointTier) -> Vec<Timestamp> {
        let shard = self.state.shard(agent);
        let log = shard.agents.get(agent).and_then(|agent| agent.logs.get(tier));
        log.map_or_else(Vec::new, |log| log.units().map(Timestamp::from).collect())
    }

    /// The same of an owner.
    pub fn owner_units(&self, owner: &OwnerId, tier: &EndpointTier) -> Vec<Timestamp> {
        let shard = self.state.shard(owner);
        let log = shard.owners.get(owner).and_then(|logs| logs.get(tier));
        log.map_or_else(Vec::new, |log| log.units().map(Timestamp::from).collect())
    }

    /// Bytes that the journal has, if there is one.
    pub fn journal_bytes(&self) -> Option<u64> {
        self.state.journal().map(Journal::bytes)
    }

    /// Whether all that was acknowledged would survive the end of power.
    pub fn is_synced(&self) -> bool {
        self.state.journal().is_none_or(Journal::is_synced)
    }

    /// Writes the journal anew with what still counts, if there is one. It also happens by itself when it has grown.
    /// Writes files; blocks, and questions wait while the counters are copied.
    pub fn compact(&self) -> Result<(), LimitError> {
        self.state.compact()
    }

    /// Charges what is asked, if it fits. Does not wait for anything but a lock and, with a journal, one write to it.
    pub fn take_now(&self, ask: &Ask, limits: &Limits) -> Result<Decision, LimitError> {
        self.state.take(ask, limits, self.state.now())
    }
}

impl Default for MemoryStore {
    /// By the clock of the machine.
    fn default() -> Self {
        Self::new(MemoryConfig::default(), SystemClock::new())
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.stop();
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("keys", &self.keys())
            .field("journal_bytes", &self.journal_bytes())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn take(&self, ask: &Ask, limits: &Limits) -> Result<Decision, LimitError> {
        self.take_now(ask, limits)
    }

    async fn peek(&self, ask: &Ask, limits: &Limits) -> Result<Outlook, LimitError> {
        self.state.peek(ask, limits)
    }

    async fn batch(&self, asks: &[Ask], limits: &Limits) -> Result<Vec<Decision>, LimitError> {
        let now = self.state.now();
        let mut decisions = Vec::with_capacity(asks.len());
        for ask in asks {
            match self.state.take(ask, limits, now) {
                Ok(decision) => decisions.push(decision),
                Err(error) => {
                    for decision in decisions {
                        if let Decision::Allow { permit, .. } = decision {
                            self.state.refund(&permit)?;
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(decisions)
    }

    async fn refund(&self, permit: Permit) -> Result<u32, LimitError> {
        self.state.refund(&permit)
    }

    async fn status(
        &self,
        agent: &AgentId,
        owner: Option<&OwnerId>,
        trust: TrustLevel,
        limits: &Limits,
    ) -> Result<AgentStatus, LimitError> {
        Ok(self.state.status(agent, owner, trust, limits))
    }

    async fn reset(&self, agent: &AgentId, tier: Option<&EndpointTier>) -> Result<(), LimitError> {
        self.state.reset(agent, tier)
    }

    async fn learn(&self, agent: &AgentId, offence: &Offence) -> Result<(), LimitError> {
        self.state.learn(agent, offence)
    }

    async fn unlearn(&self, agent: &AgentId, id: OffenceId) -> Result<(), LimitError> {
        self.state.unlearn(agent, id)
    }

    async fn rebuild(&self, agent: &AgentId, offences: &[Offence]) -> Result<(), LimitError> {
        self.state.rebuild(agent, offences)
    }

    async fn suspend(&self, agent: &AgentId, until: Option<Timestamp>) -> Result<(), LimitError> {
        self.state.suspend(agent, Suspension::tick(until)).map(drop)
    }

    async fn lift(&self, agent: &AgentId) -> Result<bool, LimitError> {
        self.state.suspend(agent, Tick::ZERO)
    }

    async fn sync(&self) -> Result<(), LimitError> {
        let state = Arc::clone(&self.state);
        let sync = move || state.journal().map_or(Ok(()), Journal::sync);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(sync).await.unwrap_or(Err(LimitError::Stopped)),
            Err(_) => sync(),
        }
    }
}
