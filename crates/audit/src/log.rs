//! The log: who appends first commits for all who wait.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clawexchange_database::{Database, Dialect, Drain, Tx, outbox};
use clawexchange_ssg_core::{
    AgentId, AuditEvent, AuditSink, Clock, Fault as _, KeyProvider, PortError, SystemClock, fail_point,
};
use tokio::sync::oneshot;

use crate::error::AuditError;
use crate::leaf::Log;
use crate::replay;
use crate::spool::{Spool, SpoolConfig};
use crate::store::{self, Together};
use crate::subjects::Known;

/// How the log is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditConfig {
    /// Events of one batch: 1000 unless set.
    pub batch_max: u32,
    /// Where size and hash of both logs are pinned, outside the database's folder. Nowhere unless set.
    pub pin: Option<PathBuf>,
    /// Where events are kept while the database is away. Nowhere unless set: then they are refused.
    pub spool: Option<SpoolConfig>,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { batch_max: 1000, pin: None, spool: None }
    }
}

/// The append-only log. Cheap to clone.
///
/// It needs no task of its own: whoever appends first commits for all who wait by then.
#[derive(Clone)]
pub struct AuditLog(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) db: Database,
    pub(crate) keys: Arc<dyn KeyProvider>,
    pub(crate) config: AuditConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) spool: Option<Mutex<Spool>>,
    /// One empties the spool at a time.
    pub(crate) replaying: tokio::sync::Mutex<()>,
    /// Whether a task empties the spool.
    pub(crate) is_replaying: AtomicBool,
    /// Aliases that this process has looked up.
    pub(crate) known: Known,
    queue: Mutex<Queue>,
}

impl Inner {
    fn lane<T>(&self, at: usize, what: impl FnOnce(&mut Lane) -> T) -> T {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let [decisions, verdicts, outbox] = &mut *queue;
        what(match at {
            0 => decisions,
            1 => verdicts,
            _ => outbox,
        })
    }
}

fn lane_of(event: &AuditEvent) -> usize {
    match Log::of(event.kind()) {
        Log::Decisions => 0,
        Log::Verdicts => 1,
    }
}

/// Who waits for one thing: for events to be in one of the logs, or for the outbox to be empty. Lanes do not wait for
/// each other.
#[derive(Default)]
struct Lane {
    events: Vec<(AuditEvent, Reply)>,
    drains: Vec<Reply>,
    is_led: bool,
}

/// A lane for each log, and one for the outbox.
type Queue = [Lane; 3];

/// The lane of the outbox.
const OUTBOX: usize = 2;

/// How long events are gathered while the database is away, before they are kept together: a batch costs one sync here,
/// and one statement when it is replayed, however few events it has.
const GATHER: Duration = Duration::from_millis(10);

type Reply = oneshot::Sender<Told>;

impl AuditLog {
    /// Opens the log in a database whose schema is there. `keys` seals personal texts and signs aliases.
    pub async fn open(db: Database, keys: impl KeyProvider, config: AuditConfig) -> Result<Self, AuditError> {
        Self::open_with_clock(db, keys, config, SystemClock::new()).await
    }

    /// As [`open`](Self::open), asking `clock`.
    pub async fn open_with_clock(
        db: Database,
        keys: impl KeyProvider,
        config: AuditConfig,
        clock: impl Clock,
    ) -> Result<Self, AuditError> {
        store::begin_logs(&db).await?;
        let spool = match config.spool.clone() {
            Some(spool) => {
                let opened = tokio::task::spawn_blocking(move || Spool::open(spool)).await;
                Some(Mutex::new(opened.unwrap_or(Err(AuditError::Stopped))?))
            }
            None => None,
        };
        let log = Self(Arc::new(Inner {
            db,
            keys: Arc::new(keys),
            config,
            clock: Arc::new(clock),
            spool,
            replaying: tokio::sync::Mutex::new(()),
            is_replaying: AtomicBool::new(false),
            known: Known::default(),
            queue: Mutex::default(),
        }));
        // What an earlier process left.
        log.replay_soon();
        Ok(log)
    }

    /// Appends an event. `Ok` means that it is committed.
    pub async fn append(&self, event: AuditEvent) -> Result<(), AuditError> {
        let (reply, replied) = oneshot::channel();
        self.wait(lane_of(&event), |lane| lane.events.push((event, reply)), replied).await
    }

    /// Appends events as one batch of each log. `Ok` means that all of them are committed.
    ///
    /// # Errors
    ///
    /// The first failure; an event that the log refuses does not keep the others out.
    pub async fn append_all(&self, events: Vec<AuditEvent>) -> Result<(), AuditError> {
        let mut told = Vec::new();
        for batch in Together::of(events) {
            told.extend(self.commit_or_keep(batch).await);
        }
        told.into_iter().collect::<Result<(), _>>().map_err(AuditError::Batch)
    }

    /// Appends events in a transaction of the caller: they are in the log if and when it commits, together with all else
    /// that it does. For what takes events from elsewhere and notes in the same transaction how far it came.
    ///
    /// It takes the end of the log, so it comes last: others wait from here until the commit.
    pub async fn append_in(&self, tx: &Tx, events: Vec<AuditEvent>) -> Result<(), AuditError> {
        store::append(tx, &*self.0.keys, &Together::of(events), self.0.clock.now()).await
    }

    /// The alias under which an agent stands in the log; one is made if it has none.
    pub async fn alias(&self, agent: &AgentId) -> Result<String, AuditError> {
        let tx = self.0.db.begin().await?;
        let alias = crate::subjects::alias(&tx, &*self.0.keys, agent).await?;
        tx.commit().await?;
        Ok(alias)
    }

    /// The agent that stands under an alias; `None` if there is no such alias, it is none of an agent, or the agent was
    /// erased.
    pub async fn agent(&self, alias: &str) -> Result<Option<AgentId>, AuditError> {
        let known = crate::subjects::find(&self.0.db.read(), "ref", &[alias.to_owned()]).await?;
        let subject = known.into_iter().next();
        let prefix = crate::subjects::agent_subject("");
        Ok(subject.and_then(|subject| AgentId::new(subject.id.strip_prefix(&prefix)?).ok()))
    }

    /// Moves everything that was in the outbox before the call into the log.
    pub async fn drain_outbox(&self) -> Result<(), AuditError> {
        let (reply, replied) = oneshot::channel();
        self.wait(OUTBOX, |lane| lane.drains.push(reply), replied).await
    }

    /// PostgreSQL: sees to it that this month and `ahead` more have their part of the log, and says how many had none.
    /// On SQLite there are no parts.
    pub async fn make_months(&self, ahead: u32) -> Result<u64, AuditError> {
        match self.0.db.dialect() {
            Dialect::Sqlite => Ok(0),
            Dialect::Postgres => store::make_months(&self.0.db, ahead).await,
        }
    }

    async fn wait(
        &self,
        at: usize,
        enter: impl FnOnce(&mut Lane),
        replied: oneshot::Receiver<Told>,
    ) -> Result<(), AuditError> {
        let leads = self.0.lane(at, |lane| {
            enter(lane);
            !std::mem::replace(&mut lane.is_led, true)
        });
        if leads {
            // A task of its own: a caller that goes away must not take the events of the others with it.
            let log = self.clone();
            tokio::spawn(async move { log.lead(at).await });
        }
        match replied.await {
            Ok(result) => result.map_err(AuditError::Batch),
            Err(_) => Err(AuditError::Stopped),
        }
    }

    /// Commits batch after batch until nobody waits in a lane.
    async fn lead(&self, at: usize) {
        let mut relief = Relief { log: self, at, is_needed: true };
        let most = usize::try_from(self.0.config.batch_max).unwrap_or(usize::MAX);
        loop {
            if at != OUTBOX && self.0.spool.is_some() && self.0.db.is_away() {
                tokio::time::sleep(GATHER).await;
            }
            let taken = self.0.lane(at, |lane| {
                lane.is_led = !lane.events.is_empty() || !lane.drains.is_empty();
                let count = lane.events.len().min(most);
                lane.is_led.then(|| {
                    (lane.events.drain(..count).collect::<Vec<_>>(), std::mem::take(&mut lane.drains))
                })
            });
            let Some((events, drains)) = taken else {
                relief.is_needed = false;
                return;
            };
            let (events, replies): (Vec<_>, Vec<_>) = events.into_iter().unzip();
            let mut told = Vec::with_capacity(replies.len());
            for batch in Together::of(events) {
                told.extend(self.commit_or_keep(batch).await);
            }
            if !drains.is_empty() {
                told.extend(vec![self.drain().await.map_err(Arc::new); drains.len()]);
            }
            for (reply, result) in replies.into_iter().chain(drains).zip(told) {
                if reply.send(result).is_err() {
                    tracing::debug!("an event was committed whose caller had gone away");
                }
            }
            // Whoever was just told may have another one, which then need not wait for a batch of its own.
            tokio::task::yield_now().await;
        }
    }

    /// Moves the outbox into the log, part by part.
    async fn drain(&self) -> Result<(), AuditError> {
        loop {
            match self.drain_some().await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(AuditError::Database(error)) if error.is_collision() => {}
                Err(error) if replay::is_refusal(&error) => return self.drain_piecemeal().await,
                Err(error) => return Err(error),
            }
        }
    }

    /// A part of the outbox. Says whether more may be there.
    async fn drain_some(&self) -> Result<bool, AuditError> {
        let tx = self.0.db.begin().await?;
        fail_point!("append.begun");
        let taken = outbox::take(&tx, self.0.config.batch_max).await?;
        let more = u32::try_from(taken.len()).is_ok_and(|n| n >= self.0.config.batch_max);
        self.append_and_commit(tx, &Together::of(taken)).await?;
        Ok(more)
    }

    /// Commits a batch. One whose answer was lost on its way is found by its name and not appended again.
    pub(crate) async fn commit_named(&self, batch: &Together) -> Result<(), AuditError> {
        let (mut tries, mut has_asked_anew) = (0, false);
        loop {
            match self.commit_once(batch).await {
                // Nothing happened, and a moment later it may.
                Err(AuditError::Database(error)) if error.is_collision() && tries < COLLISIONS_MAX => {
                    tries += 1;
                }
                // An alias that was remembered may have been erased.
                Err(error) if replay::is_refusal(&error) && !has_asked_anew && self.remembers() => {
                    has_asked_anew = true;
                    self.0.known.forget();
                }
                Err(error) if self.is_there_after_all(&error, batch).await => return Ok(()),
                done => return done,
            }
        }
    }

    async fn commit_once(&self, batch: &Together) -> Result<(), AuditError> {
        if self.remembers() {
            fail_point!("append.begun");
            store::append_at_once(&self.0.db, &*self.0.keys, &self.0.known, batch).await?;
            fail_point!("append.committed");
            return Ok(());
        }
        let tx = self.0.db.begin().await?;
        fail_point!("append.begun");
        self.append_and_commit(tx, std::slice::from_ref(batch)).await
    }

    /// Whether aliases are remembered from batch to batch.
    fn remembers(&self) -> bool {
        self.0.db.dialect() == Dialect::Postgres
    }

    /// Commits those of some batches that are not in the log yet.
    pub(crate) async fn commit_missing(&self, batches: &[Together]) -> Result<(), AuditError> {
        let tx = self.0.db.begin().await?;
        let there = store::there(&tx, batches).await?;
        let missing: Vec<Together> =
            batches.iter().filter(|batch| !there.contains(&batch.uuid)).cloned().collect();
        self.append_and_commit(tx, &missing).await
    }

    pub(crate) async fn append_and_commit(&self, tx: Tx, groups: &[Together]) -> Result<(), AuditError> {
        if groups.is_empty() {
            return Ok(());
        }
        store::append(&tx, &*self.0.keys, groups, self.0.clock.now()).await?;
        tx.commit().await?;
        fail_point!("append.committed");
        Ok(())
    }

    /// Whether a batch is in the log although its commit failed: the answer may be lost on its way.
    async fn is_there_after_all(&self, error: &AuditError, batch: &Together) -> bool {
        if !error.is_transient() || self.0.db.is_away() {
            return false;
        }
        let there = store::there(&self.0.db.read(), std::slice::from_ref(batch)).await;
        there.is_ok_and(|there| !there.is_empty())
    }
}

/// What a caller is told.
type Told = Result<(), Arc<AuditError>>;

/// How often a batch is tried again that collided with another one.
const COLLISIONS_MAX: u32 = 10;

/// Lets the next caller lead if the leader is stopped in the middle.
struct Relief<'a> {
    log: &'a AuditLog,
    at: usize,
    is_needed: bool,
}

impl Drop for Relief<'_> {
    fn drop(&mut self) {
        if self.is_needed {
            self.log.0.lane(self.at, |lane| lane.is_led = false);
        }
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("db", &self.0.db).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl AuditSink for AuditLog {
    async fn record(&self, event: AuditEvent) -> Result<(), PortError> {
        Ok(self.append(event).await?)
    }
}

#[async_trait::async_trait]
impl Drain for AuditLog {
    async fn drain(&self) -> Result<(), PortError> {
        Ok(self.drain_outbox().await?)
    }
}
