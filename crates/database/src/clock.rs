//! The time as the server has it: instances whose own clocks differ agree on what is due.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use clawexchange_ssg_core::{Clock, SystemClock, Timestamp};

use crate::dialect::Dialect;
use crate::error::DatabaseError;
use crate::handle::Database;
use crate::rows::Statements as _;

/// A clock that is set by the database server now and then, and in between goes as its own does. Clones are set together.
///
/// On SQLite it is its own clock: the file is on the same machine.
#[derive(Clone)]
pub struct DatabaseClock {
    own: Arc<dyn Clock>,
    /// How far its own clock is ahead of the server's, in microseconds.
    ahead_us: Arc<AtomicI64>,
}

impl Database {
    /// The clock of the server, set a moment ago.
    pub async fn clock(&self) -> Result<DatabaseClock, DatabaseError> {
        self.clock_over(SystemClock::new()).await
    }

    /// As [`clock`](Self::clock), with `own` in the place of the machine's.
    pub async fn clock_over(&self, own: impl Clock) -> Result<DatabaseClock, DatabaseError> {
        let clock = DatabaseClock { own: Arc::new(own), ahead_us: Arc::default() };
        clock.set_by(self).await?;
        Ok(clock)
    }
}

impl DatabaseClock {
    /// Asks the server what time it is, and says how many microseconds its own clock is ahead.
    ///
    /// Half the time that the answer took is how far off this can be; the clock is moved by no less, so that it does not
    /// jitter.
    pub async fn set_by(&self, db: &Database) -> Result<i64, DatabaseError> {
        if db.dialect() == Dialect::Sqlite {
            return Ok(0);
        }
        let before = self.own.now().as_micros();
        let row = db.read().row(&format!("SELECT {} AS us", db.dialect().now_us()), []).await?;
        let took = self.own.now().as_micros() - before;
        let theirs: i64 = row.ok_or(DatabaseError::Row { column: "us" })?.get("us")?;
        let known = self.ahead_us.load(Ordering::Relaxed);
        let ahead = before + took / 2 - theirs;
        // Its own clock was put back meanwhile: the next time will tell.
        if took < 0 || ahead.abs_diff(known) <= took.unsigned_abs() / 2 {
            return Ok(known);
        }
        self.ahead_us.store(ahead, Ordering::Relaxed);
        Ok(ahead)
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.own.now().as_micros() - self.ahead_us.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for DatabaseClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ahead = self.ahead_us.load(Ordering::Relaxed);
        f.debug_struct("DatabaseClock").field("ahead_us", &ahead).finish_non_exhaustive()
    }
}
