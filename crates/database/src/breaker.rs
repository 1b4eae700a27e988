//! Whether a server is away. Once somebody has waited in vain, nobody else does until it answers again.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection};

use crate::error::DatabaseError;

/// How often a server that is away is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long it may take to answer.
const ASK_TIME: Duration = Duration::from_secs(1);

/// Remembers whether the server of a pool is away, and while it is asks it now and then.
pub(crate) struct Breaker {
    is_open: AtomicBool,
    pool: DatabaseConnection,
}

impl Breaker {
    pub(crate) fn new(pool: DatabaseConnection) -> Arc<Self> {
        Arc::new(Self { is_open: AtomicBool::new(false), pool })
    }

    /// Refuses at once while the server is away.
    pub(crate) fn check(&self) -> Result<(), DatabaseError> {
        if self.is_open.load(Ordering::Relaxed) { Err(DatabaseError::Away) } else { Ok(()) }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Takes note of a failure: after one that says that nobody answers, the server counts as away.
    pub(crate) fn note(self: &Arc<Self>, error: &DatabaseError) {
        if error.is_away() && !self.is_open.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the database is away; nobody waits for it until it answers");
            tokio::spawn(ask(Arc::downgrade(self)));
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Breaker").field(&self.is_open()).finish()
    }
}

async fn ask(breaker: Weak<Breaker>) {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let Some(breaker) = breaker.upgrade() else { return };
        let asked = tokio::time::timeout(ASK_TIME, breaker.pool.execute_unprepared("SELECT 1")).await;
        if matches!(asked, Ok(Ok(_))) {
            breaker.is_open.store(false, Ordering::Relaxed);
            tracing::info!("the database answers again");
            return;
        }
    }
}
