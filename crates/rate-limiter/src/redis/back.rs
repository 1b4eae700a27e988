//! The background: connects, says that this process is alive, and brings Redis back after it was away.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use clawexchange_ssg_core::InspectionId;
use deadpool_redis::redis::{ErrorKind, RedisError, Value};

use super::inner::{Inner, Phase};
use super::keys::Keys;
use super::link::Failure;

/// How often a process says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// After how long a process that said nothing is none.
const DEAD_AFTER_MS: u64 = 10_000;

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
    async fn come_back(&self, name: &str) -> Result<(), Failure> {
        let late = |_elapsed| Failure::Late;
        let deadline = self.config().connect_deadline;
        tokio::time::timeout(deadline, self.link.connect()).await.map_err(late)??;
        tokio::time::timeout(deadline, self.beat(name)).await.map_err(late)??;
        loop {
            self.replay().await?;
            let is_up = self.phase.send_if_modified(|phase| {
                // Nobody decides without Redis while this is held.
                let is_told = self.shadow.counts().1 == 0;
                if is_told {
                    *phase = Phase::Up;
                }
                is_told
            });
            if is_up {
                return Ok(());
            }
        }
    }

    /// Says that this process is alive, and learns how many are.
    async fn beat(&self, name: &str) -> Result<(), Failure> {
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

    /// Tells Redis what was given while it was away.
    async fn replay(&self) -> Result<(), Failure> {
        for telling in self.shadow.untold(fresh) {
            let keys = [telling.log.clone(), Keys::done(&telling.log, telling.id)];
            let units: Vec<u8> = telling.units.iter().flat_map(|unit| unit.to_bytes()).collect();
            let args = [units, self.time.told().to_bytes().to_vec()];
            let told = self.link.run(&self.link.scripts.merge, &keys, &args);
            tokio::time::timeout(self.config().connect_deadline, told)
                .await
                .map_err(|_elapsed| Failure::Late)??;
            self.shadow.told(&telling);
            self.tally.replayed.fetch_add(telling.units.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }
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
