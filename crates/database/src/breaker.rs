//! The pool of a server, and whether the server is away. Once somebody has waited in vain, nobody else does until it
//! answers again.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection};

use crate::error::DatabaseError;
use crate::rows::Answer;

/// How often a server that is away is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long it may take to answer.
const ASK_TIME: Duration = Duration::from_secs(1);

/// Makes a pool, without waiting for a connection.
pub(crate) type Make = Box<dyn Fn() -> Answer<'static, DatabaseConnection> + Send + Sync>;

/// Whose pool it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    /// The database itself.
    Database,
    /// A copy that follows it.
    Copy,
}

/// Has the pool, remembers whether its server is away, and while it is asks it now and then.
///
/// A connection on which a question was given up is never asked another one: it might take the late answer for that of
/// the new question. So the whole pool is exchanged then.
pub(crate) struct Breaker {
    is_open: AtomicBool,
    pool: RwLock<DatabaseConnection>,
    make: Make,
    whose: Whose,
}

impl Breaker {
    pub(crate) fn new(pool: DatabaseConnection, make: Make, whose: Whose) -> Arc<Self> {
        Arc::new(Self { is_open: AtomicBool::new(false), pool: RwLock::new(pool), make, whose })
    }

    /// The pool as it is now.
    pub(crate) fn pool(&self) -> DatabaseConnection {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Exchanges the pool for a new one. What is at work on the old one goes on, and its connections end with it.
    async fn exchange(&self) {
        match (self.make)().await {
            Ok(new) => {
                let old =
                    std::mem::replace(&mut *self.pool.write().unwrap_or_else(PoisonError::into_inner), new);
                tokio::spawn(async move {
                    if old.close().await.is_err() {
                        tracing::warn!("the connections that were given up did not close cleanly");
                    }
                });
            }
            Err(error) => tracing::error!(%error, "no new pool could be made"),
        }
    }

    /// Refuses at once while the server is away.
    pub(crate) fn check(&self) -> Result<(), DatabaseError> {
        if self.is_open() { Err(self.told(DatabaseError::Away)) } else { Ok(()) }
    }

    /// Says of a copy that it is the copy which does not answer.
    fn told(&self, error: DatabaseError) -> DatabaseError {
        match self.whose {
            Whose::Copy if error.is_away() => DatabaseError::CopyAway { source: Box::new(error) },
            _ => error,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Takes note of a failure: after one that says that nobody answers, the server counts as away.
    pub(crate) fn noted(self: &Arc<Self>, error: DatabaseError) -> DatabaseError {
        if error.is_away() && !self.is_open.swap(true, Ordering::Relaxed) {
            let whose = self.whose;
            tracing::error!(%error, ?whose, "a database server is away; nobody waits for it until it answers");
            let breaker = Arc::clone(self);
            tokio::spawn(async move {
                breaker.exchange().await;
                let breaker = Arc::downgrade(&breaker);
                ask(breaker).await;
            });
        }
        self.told(error)
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
        let pool = breaker.pool();
        let asked = tokio::time::timeout(ASK_TIME, pool.execute_unprepared("SELECT 1")).await;
        if asked.is_err() {
            breaker.exchange().await;
        }
        if matches!(asked, Ok(Ok(_))) {
            breaker.is_open.store(false, Ordering::Relaxed);
            tracing::info!(whose = ?breaker.whose, "a database server answers again");
            return;
        }
    }
}
