//! The connections of a listener: so many at once, and under pressure those go first that ask for nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::metrics::Metrics;

/// The connections of one listener. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    listener: &'static str,
    most: usize,
    metrics: Metrics,
    open: Mutex<Open>,
    count: watch::Sender<usize>,
    closing: watch::Sender<bool>,
}

/// Those that are open, in the order in which they came.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    known: BTreeMap<u64, Arc<State>>,
}

#[derive(Debug, Default)]
struct State {
    answered: AtomicU64,
    at_work: AtomicU32,
    evicted: Notify,
}

impl State {
    fn is_idle(&self) -> bool {
        self.at_work.load(Ordering::Acquire) == 0
    }

    fn was_ever_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire) > 0
    }
}

/// One connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    all: Connections,
    number: u64,
    state: Arc<State>,
}

impl Connections {
    pub(crate) fn new(listener: &'static str, most: usize, metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            listener,
            most,
            metrics,
            open: Mutex::default(),
            count: watch::Sender::new(0),
            closing: watch::Sender::new(false),
        }))
    }

    /// Takes a new connection in. Where there is no room, the oldest that asks for nothing makes it: first one that
    /// never did, then one that did. `None` if all are at work.
    pub(crate) fn enter(&self) -> Option<Connection> {
        let mut open = self.open();
        if open.known.len() >= self.0.most {
            let idle = || open.known.iter().filter(|(_, state)| state.is_idle());
            let first = idle().find(|(_, state)| !state.was_ever_answered()).or_else(|| idle().next());
            let Some((number, _)) = first else {
                self.0.metrics.count(
                    "claw_http_connections_refused_total",
                    &[("listener", self.0.listener)],
                    1,
                );
                return None;
            };
            let number = *number;
            if let Some(state) = open.known.remove(&number) {
                state.evicted.notify_one();
            }
        }
        let (number, state) = (open.next, Arc::new(State::default()));
        open.next += 1;
        open.known.insert(number, Arc::clone(&state));
        self.tell(open.known.len());
        Some(Connection { all: self.clone(), number, state })
    }

    /// Has every connection finish what it is at and close.
    pub(crate) fn close(&self) {
        self.0.closing.send_replace(true);
    }

    /// Whether they are to close.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.0.closing.subscribe()
    }

    /// Waits until none is open.
    pub(crate) async fn gone(&self) {
        // The sender is here, so it cannot be gone.
        drop(self.0.count.subscribe().wait_for(|count| *count == 0).await);
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, count: usize) {
        self.0.count.send_replace(count);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.metrics.set("claw_http_connections", &[("listener", self.0.listener)], count);
    }
}

impl Connection {
    /// Notes that a request is being answered, until what is returned is dropped.
    pub(crate) fn begin(&self) -> Begun {
        self.state.at_work.fetch_add(1, Ordering::AcqRel);
        Begun(Arc::clone(&self.state))
    }

    /// Waits until it has to make room.
    pub(crate) async fn evicted(&self) {
        self.state.evicted.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.all.open();
        open.known.remove(&self.number);
        self.all.tell(open.known.len());
    }
}

/// A request of a connection that is being answered.
#[derive(Debug)]
pub(crate) struct Begun(Arc<State>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::AcqRel);
        self.0.at_work.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> (Connections, [Connection; 3]) {
        let all = Connections::new("public", 3, Metrics::new());
        let open = [(); 3].map(|()| all.enter().unwrap());
        (all, open)
    }

    fn is_open(all: &Connections, connection: &Connection) -> bool {
        all.open().known.contains_key(&connection.number)
    }

    #[test]
    fn under_pressure_who_never_asked_goes_before_who_did_and_the_oldest_first() {
        let (all, [asked, silent, later]) = three();
        drop(asked.begin());
        let new = all.enter().unwrap();
        assert!(is_open(&all, &asked) && !is_open(&all, &silent) && is_open(&all, &later));
        drop((new.begin(), later.begin()));
        let _newest = all.enter().unwrap();
        assert!(!is_open(&all, &asked), "all have asked, so the oldest goes");
    }

    #[test]
    fn who_is_being_answered_is_never_sent_away() {
        let (all, open) = three();
        let works: Vec<Begun> = open.iter().map(Connection::begin).collect();
        assert!(all.enter().is_none());
        drop(works);
        assert!(all.enter().is_some());
    }

    #[tokio::test]
    async fn the_end_of_all_is_noticed() {
        let (all, open) = three();
        drop(open);
        all.gone().await;
    }
}
