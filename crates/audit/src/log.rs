//! The log: who appends first commits for all who wait.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clawexchange_database::{Database, Dialect, Drain, outbox};
use clawexchange_ssg_core::{
    AgentId, AuditEvent, AuditSink, Clock, Fault as _, KeyProvider, PortError, SystemClock, fail_point,
};
use tokio::sync::oneshot;

use crate::error::AuditError;
use crate::store::{self, Together};

/// How the log is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditConfig {
    /// Events of one batch: 1000 unless set.
    pub batch_max: u32,
    /// Where size and hash of both logs are pinned, outside the database's folder. Nowhere unless set.
    pub pin: Option<PathBuf>,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { batch_max: 1000, pin: None }
    }
}

/// The append-only log. Cheap to clone.
///
/// It needs no task of its own: whoever appends first commits for all who wait by then, and takes the outbox along.
#[derive(Clone)]
pub struct AuditLog(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) db: Database,
    pub(crate) keys: Arc<dyn KeyProvider>,
    pub(crate) config: AuditConfig,
    pub(crate) clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    events: Vec<(AuditEvent, Reply)>,
    drains: Vec<Reply>,
    is_led: bool,
}

type Reply = oneshot::Sender<Result<(), Arc<AuditError>>>;

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
        let inner =
            Inner { db, keys: Arc::new(keys), config, clock: Arc::new(clock), queue: Mutex::default() };
        Ok(Self(Arc::new(inner)))
    }

    /// Appends an event. `Ok` means that it is committed.
    pub async fn append(&self, event: AuditEvent) -> Result<(), AuditError> {
        let (reply, replied) = oneshot::channel();
        self.wait(|queue| queue.events.push((event, reply)), replied).await
    }

    /// The alias under which an agent stands in the log; one is made if it has none.
    pub async fn alias(&self, agent: &AgentId) -> Result<String, AuditError> {
        let tx = self.0.db.begin().await?;
        let alias = crate::subjects::alias(&tx, &*self.0.keys, agent).await?;
        tx.commit().await?;
        Ok(alias)
    }

    /// Moves everything that was in the outbox before the call into the log.
    pub async fn drain_outbox(&self) -> Result<(), AuditError> {
        let (reply, replied) = oneshot::channel();
        self.wait(|queue| queue.drains.push(reply), replied).await
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
        enter: impl FnOnce(&mut Queue),
        replied: oneshot::Receiver<Result<(), Arc<AuditError>>>,
    ) -> Result<(), AuditError> {
        let leads = {
            let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
            enter(&mut queue);
            !std::mem::replace(&mut queue.is_led, true)
        };
        if leads {
            // A task of its own: a caller that goes away must not take the events of the others with it.
            let log = self.clone();
            tokio::spawn(async move { log.lead().await });
        }
        match replied.await {
            Ok(result) => result.map_err(AuditError::Batch),
            Err(_) => Err(AuditError::Stopped),
        }
    }

    /// Commits batch after batch until nobody waits.
    async fn lead(&self) {
        let mut relief = Relief { log: self, is_needed: true };
        loop {
            let (events, drains) = {
                let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
                if queue.events.is_empty() && queue.drains.is_empty() {
                    queue.is_led = false;
                    relief.is_needed = false;
                    return;
                }
                let most = usize::try_from(self.0.config.batch_max).unwrap_or(usize::MAX);
                let count = queue.events.len().min(most);
                (queue.events.drain(..count).collect::<Vec<_>>(), std::mem::take(&mut queue.drains))
            };
            let (events, replies): (Vec<_>, Vec<_>) = events.into_iter().unzip();
            let result = self.commit(events, !drains.is_empty()).await;
            let result = result.map_err(Arc::new);
            for reply in replies.into_iter().chain(drains) {
                if reply.send(result.clone()).is_err() {
                    tracing::debug!("an event was committed whose caller had gone away");
                }
            }
        }
    }

    async fn commit(&self, events: Vec<AuditEvent>, with_outbox: bool) -> Result<(), AuditError> {
        let mut direct = (!events.is_empty()).then(|| Together::of(events));
        loop {
            match self.commit_once(direct.as_ref(), with_outbox).await {
                Ok(more) => {
                    direct = None;
                    if !more {
                        return Ok(());
                    }
                }
                // Nothing happened, and a moment later it may.
                Err(AuditError::Database(error)) if error.is_collision() => {}
                Err(error) => {
                    // The answer to a commit may be lost on its way: what is in the log is not appended again.
                    let Some(lost) = direct.filter(|_| error.is_transient()) else { return Err(error) };
                    if !lost.is_there(&self.0.db.read()).await.unwrap_or(false) {
                        return Err(error);
                    }
                    direct = None;
                    if !with_outbox {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// One transaction: some events, and a part of the outbox. Says whether more may be there.
    async fn commit_once(&self, direct: Option<&Together>, with_outbox: bool) -> Result<bool, AuditError> {
        let tx = self.0.db.begin().await?;
        fail_point!("append.begun");
        let mut groups: Vec<Together> = direct.into_iter().cloned().collect();
        let mut more = false;
        if with_outbox {
            let taken = outbox::take(&tx, self.0.config.batch_max).await?;
            more = u32::try_from(taken.len()).is_ok_and(|n| n >= self.0.config.batch_max);
            groups.extend((!taken.is_empty()).then(|| Together::of(taken)));
        }
        if groups.is_empty() {
            return Ok(false);
        }
        store::append(&tx, &*self.0.keys, &groups, self.0.clock.now()).await?;
        tx.commit().await?;
        fail_point!("append.committed");
        Ok(more)
    }
}

/// Lets the next caller lead if the leader is stopped in the middle.
struct Relief<'a> {
    log: &'a AuditLog,
    is_needed: bool,
}

impl Drop for Relief<'_> {
    fn drop(&mut self) {
        if self.is_needed {
            self.log.0.queue.lock().unwrap_or_else(PoisonError::into_inner).is_led = false;
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
