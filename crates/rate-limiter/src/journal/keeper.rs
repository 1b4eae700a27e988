//! The thread that syncs a journal each second and writes it anew when it has grown.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::LimitError;
use crate::journal::Journal;
use crate::memory::State;

/// What was acknowledged and not synced is at most so old.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Wakes the thread.
#[derive(Default)]
pub(crate) struct Bell {
    wanted: Mutex<Wanted>,
    rung: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Wanted {
    sync: bool,
    compact: bool,
    stop: bool,
}

impl Bell {
    /// Something was written that is to be synced within a second.
    pub(crate) fn sync_soon(&self) {
        self.ring(|wanted| wanted.sync = true);
    }

    /// The journal has grown: it is to be written anew.
    pub(crate) fn compact(&self) {
        self.ring(|wanted| wanted.compact = true);
    }

    fn ring(&self, want: impl FnOnce(&mut Wanted)) {
        want(&mut self.lock());
        self.rung.notify_all();
    }

    /// Waits until there is something to do; to sync, a second longer.
    fn wait(&self) -> Wanted {
        let nothing = |w: &mut Wanted| !(w.sync || w.compact || w.stop);
        let not_now = |w: &mut Wanted| !(w.compact || w.stop);
        let wanted = self.rung.wait_while(self.lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        let waited = self.rung.wait_timeout_while(wanted, SYNC_EVERY, not_now);
        let (mut wanted, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *wanted)
    }

    /// Waits a second, or until the end.
    fn rest(&self) {
        let not_over = |w: &mut Wanted| !w.stop;
        drop(self.rung.wait_timeout_while(self.lock(), SYNC_EVERY, not_over));
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread, and how to end it.
pub(crate) struct Keeper {
    bell: Arc<Bell>,
    thread: JoinHandle<()>,
}

impl Keeper {
    pub(crate) fn start(state: Arc<State>) -> Result<Option<Self>, LimitError> {
        let Some(journal) = state.journal() else { return Ok(None) };
        let bell = journal.bell();
        let path = journal.path().to_owned();
        let thread = {
            let bell = Arc::clone(&bell);
            std::thread::Builder::new().name("claw-limits".to_owned()).spawn(move || keep(&state, &bell))
        };
        match thread {
            Ok(thread) => Ok(Some(Self { bell, thread })),
            Err(source) => Err(LimitError::Journal { doing: "start the keeper of", path, source }),
        }
    }

    /// Syncs and ends.
    pub(crate) fn stop(self) {
        self.bell.ring(|wanted| wanted.stop = true);
        if self.thread.join().is_err() {
            tracing::error!("the keeper of the limits' journal panicked");
        }
    }
}

fn keep(state: &State, bell: &Bell) {
    loop {
        let wanted = bell.wait();
        say(state.journal().map_or(Ok(()), Journal::sync));
        if wanted.stop {
            return;
        }
        if wanted.compact {
            say(state.compact());
            // On a full disk each write asks for it again.
            bell.rest();
        }
    }
}

/// The next write fails with the same cause and is answered with it: nothing is lost silently.
fn say(done: Result<(), LimitError>) {
    if let Err(error) = done {
        tracing::error!(error = &error as &dyn std::error::Error, "could not keep the limits' journal");
    }
}
