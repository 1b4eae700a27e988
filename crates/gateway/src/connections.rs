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
    /// The first that came after the rest was told to close.
    late_from: Option<u64>,
    /// How many are open that came before that.
    early: usize,
}

impl Open {
    fn remove(&mut self, number: u64) -> Option<Arc<State>> {
        let state = self.known.remove(&number)?;
        if self.late_from.is_some_and(|from| number < from) {
            self.early = self.early.saturating_sub(1);
        }
        Some(state)
    }

    /// How many the end waits for.
    fn awaited(&self) -> usize {
        if self.late_from.is_some() { self.early } else { self.known.len() }
    }
}

#[derive(Debug, Default)]
struct State {
    answered: AtomicU64,
    at_work: AtomicU32,
    begun: Notify,
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
    is_late: bool,
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
            if let Some(state) = open.remove(number) {
                state.evicted.notify_one();
            }
        }
        let (number, state) = (open.next, Arc::new(State::default()));
        open.next += 1;
        open.known.insert(number, Arc::clone(&state));
        let is_late = open.late_from.is_some();
        self.tell(&open);
        Some(Connection { all: self.clone(), number, is_late, state })
    }

    /// Has every connection finish what it is at and close. Those that come later are answered once.
    pub(crate) fn close(&self) {
        let mut open = self.open();
        if open.late_from.is_none() {
            (open.late_from, open.early) = (Some(open.next), open.known.len());
        }
        self.tell(&open);
        self.0.closing.send_replace(true);
    }

    /// Cuts off whoever is still there.
    pub(crate) fn cut_off(&self) {
        for state in self.open().known.values() {
            state.evicted.notify_one();
        }
    }

    /// Whether they are to close.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.0.closing.subscribe()
    }

    /// Waits until none is open that was there when they were told to close.
    pub(crate) async fn gone(&self) {
        // The sender is here, so it cannot be gone.
        drop(self.0.count.subscribe().wait_for(|count| *count == 0).await);
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, open: &Open) {
        self.0.count.send_replace(open.awaited());
        let count = u64::try_from(open.known.len()).unwrap_or(u64::MAX);
        self.0.metrics.set("claw_http_connections", &[("listener", self.0.listener)], count);
    }
}

impl Connection {
    /// Notes that a request is being answered, until what is returned is dropped.
    pub(crate) fn begin(&self) -> Begun {
        self.state.at_work.fetch_add(1, Ordering::AcqRel);
        self.state.begun.notify_one();
        Begun(Arc::clone(&self.state))
    }

    /// Waits until it has asked for something, now or before.
    pub(crate) async fn has_asked(&self) {
        if self.state.is_idle() && !self.state.was_ever_answered() {
            self.state.begun.notified().await;
        }
    }

    /// Whether it came after the others were told to close.
    pub(crate) const fn is_late(&self) -> bool {
        self.is_late
    }

    /// Waits until it has to make room.
    pub(crate) async fn evicted(&self) {
        self.state.evicted.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.all.open();
        // One that had to make room is out already.
        if open.remove(self.number).is_some() {
            self.all.tell(&open);
        }
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
    async fn the_end_waits_for_those_that_were_there_and_for_no_other() {
        let (all, open) = three();
        all.close();
        let late = all.enter();
        drop(open);
        all.gone().await;
        assert!(late.is_none_or(|late| late.is_late()));
    }

    #[tokio::test]
    async fn the_end_of_all_is_noticed() {
        let (all, open) = three();
        drop(open);
        all.gone().await;
    }
}
