//! The background: connects, says that this process is alive, and brings Redis back after it was away.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use clawexchange_ssg_core::InspectionId;
use deadpool_redis::redis::{ErrorKind, RedisError, Value, cmd};
use tokio::task::JoinSet;

use super::inner::{Inner, Phase};
use super::keys::Keys;
use super::link::Failure;
use super::shadow::Telling;
use crate::window::Tick;

/// How often a process says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// After how long a process that said nothing is none.
const DEAD_AFTER_MS: u64 = 10_000;

/// How many accounts are told of at once.
const TELLERS: usize = 32;

/// How long is waited after an attempt that failed: doubled each time, with up to half of it more by chance.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

impl Inner {
    /// Starts what runs in the background, on the runtime of the caller, unless it runs already.
    pub(super) fn start(self: &Arc<Self>) {
        let mut background = self.background.lock().unwrap_or_else(PoisonError::into_inner);
        if background.first().is_some_and(|task| !task.is_finished()) {
            return;
        }
        for task in background.drain(..) {
            task.abort();
        }
        if *self.phase.borrow() == Phase::Up {
            // The runtime on which the connections lived has ended.
            self.phase.send_replace(Phase::Connecting);
        }
        background.push(tokio::spawn(watch(Arc::downgrade(self))).abort_handle());
        if !self.link.is_cluster() {
            for _ in 0..self.config().connections {
                let time = Arc::clone(&self.time);
                let sender =
                    self.queue.sender(Arc::clone(&self.link), self.whole_bytes(), move || time.told());
                background.push(tokio::spawn(sender).abort_handle());
            }
        }
    }

    /// Connects, says that we are alive, tells what was given meanwhile, and only then lets asks go to Redis again.
    async fn come_back(self: &Arc<Self>, name: &str) -> Result<(), Failure> {
        let late = |_elapsed| Failure::Late;
        let deadline = self.config().connect_deadline;
        tokio::time::timeout(deadline, self.link.connect()).await.map_err(late)??;
        tokio::time::timeout(deadline, self.beat(name)).await.map_err(late)??;
        let servers = tokio::time::timeout(deadline, self.link.servers()).await.map_err(late)??;
        let known = self.servers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A server that was started anew may have lost all, and one that was promoted the last moments.
        let mut has_forgotten = known.is_some_and(|known| known.is_empty() || known != servers);
        loop {
            self.replay(has_forgotten).await?;
            has_forgotten = false;
            let is_up = self.phase.send_if_modified(|phase| {
                // Nobody decides without Redis while this is held.
                let is_told = self.shadow.counts().1 == 0;
                if is_told {
                    *phase = Phase::Up;
                }
                is_told
            });
            if is_up {
                *self.servers.lock().unwrap_or_else(PoisonError::into_inner) = Some(servers);
                return Ok(());
            }
        }
    }

    /// Says that this process is alive, and learns how many are.
    async fn beat(&self, name: &str) -> Result<(), Failure> {
        self.link.agree_on_salt(&self.keys.salt()).await?;
        if self.config().is_observer {
            return self.link.ask(&cmd("PING")).await.map(drop);
        }
        let keys = [self.keys.instances()];
        let args = [name.to_owned(), DEAD_AFTER_MS.to_string()];
        match self.link.run(&self.link.scripts.alive, &keys, &args).await? {
            Value::Int(alive) => {
                self.instances.store(u32::try_from(alive).unwrap_or(1).max(1), Ordering::Relaxed);
                Ok(())
            }
            _ => Err(RedisError::from((ErrorKind::UnexpectedReturnType, "no number of processes")).into()),
        }
    }

    /// Tells Redis what was given while it was away, and what it knew, if it may have forgotten that.
    async fn replay(self: &Arc<Self>, has_forgotten: bool) -> Result<(), Failure> {
        let all = self.shadow.untold(has_forgotten, self.time.now(), fresh);
        let mut tellers = JoinSet::new();
        for tellings in all.chunks(all.len().div_ceil(TELLERS).max(1)) {
            tellers.spawn(tell(Arc::clone(self), tellings.to_vec()));
        }
        while let Some(told) = tellers.join_next().await {
            told.unwrap_or(Err(Failure::Unconnected))?;
        }
        Ok(())
    }
}

async fn tell(inner: Arc<Inner>, tellings: Vec<Telling>) -> Result<(), Failure> {
    for telling in tellings {
        let keys = [telling.log.clone(), Keys::done(&telling.log, telling.id)];
        let bytes = |units: &[Tick]| units.iter().flat_map(|unit| unit.to_bytes()).collect::<Vec<u8>>();
        let args = [bytes(&telling.given), bytes(&telling.known), inner.time.told().to_bytes().to_vec()];
        let told = inner.link.run(&inner.link.scripts.merge, &keys, &args);
        let deadline = inner.config().connect_deadline;
        match tokio::time::timeout(deadline, told).await.map_err(|_elapsed| Failure::Late)? {
            // One key that others wrote must not keep all away.
            Err(Failure::Answer(error)) => tracing::error!(%error, "units that were given are lost"),
            told => drop(told?),
        }
        inner.shadow.told(&telling);
        inner.tally.replayed.fetch_add(telling.given.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}

fn fresh() -> [u8; 8] {
    let [.., a, b, c, d, e, f, g, h] = *InspectionId::fresh().as_bytes();
    [a, b, c, d, e, f, g, h]
}

async fn watch(inner: Weak<Inner>) {
    let name = InspectionId::fresh().to_string();
    let Some(lost) = inner.upgrade().map(|inner| Arc::clone(&inner.lost)) else { return };
    let mut backoff = BACKOFF_FIRST;
    loop {
        let Some(store) = inner.upgrade() else { return };
        if *store.phase.borrow() == Phase::Up {
            drop(store);
            // Over or not, it is looked at again.
            drop(tokio::time::timeout(HEARTBEAT, lost.notified()).await);
            let Some(store) = inner.upgrade() else { return };
            if *store.phase.borrow() == Phase::Up {
                let beat = tokio::time::timeout(store.config().connect_deadline, store.beat(&name)).await;
                if let Err(failure) = beat.unwrap_or(Err(Failure::Late)) {
                    store.fail(&failure);
                }
            }
            continue;
        }
        store.is_probing.store(true, Ordering::Relaxed);
        let came = store.come_back(&name).await;
        store.is_probing.store(false, Ordering::Relaxed);
        match came {
            Ok(()) => {
                backoff = BACKOFF_FIRST;
                let since = store.away_since.lock().unwrap_or_else(PoisonError::into_inner).take();
                if since.is_some() {
                    tracing::info!("the counters in Redis answer again");
                }
            }
            Err(failure) => {
                store.link.disconnect();
                store.fail(&failure);
                drop(store);
                tokio::time::sleep(backoff + jitter(backoff / 2)).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

/// Any part of a duration, so that processes that lost Redis together do not all come back at once.
fn jitter(most: Duration) -> Duration {
    let [.., byte] = fresh();
    most * u32::from(byte) / 255
}
