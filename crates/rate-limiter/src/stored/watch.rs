//! Notices that the limits in the database were changed, by whomever, and has them hold.

use clawexchange_database::Statements as _;
use clawexchange_ssg_core::{Fault as _, FaultKind};

use super::StoredLimits;
use crate::error::LimitError;
use crate::limiter::Limiter;

/// A number that is another one after every change of the three tables, also one by hand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Revision(i64);

impl StoredLimits {
    /// Which change of the limits was the last: one row is read.
    pub async fn revision(&self) -> Result<Revision, LimitError> {
        let sql = "SELECT revision FROM rate_limit_revision WHERE one = 1";
        let row = self.db.read().row(sql, []).await?.ok_or_else(|| LimitError::StoredRow {
            table: "rate_limit_revision",
            name: "1".to_owned(),
            what: "is missing",
        })?;
        Ok(Revision(row.get("revision")?))
    }
}

/// What a look found.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "who looks and forgets what may come of it must not compile")]
pub enum Looked {
    /// The limits hold that are kept.
    Same,
    /// Other limits are kept, and hold from now on.
    Changed,
    /// What is kept cannot be used, for this reason; the last good limits go on to hold. Said once a revision.
    Refused(LimitError),
}

/// Keeps a limiter's limits those of the database: look once a second.
#[derive(Debug)]
pub struct Watch {
    stored: StoredLimits,
    limiter: Limiter,
    seen: Option<Revision>,
}

impl Watch {
    /// Has `limiter` follow `stored`. The first look loads.
    pub const fn new(stored: StoredLimits, limiter: Limiter) -> Self {
        Self { stored, limiter, seen: None }
    }

    /// Loads what is kept if it was changed since the last look, checks it as a whole, and has it hold.
    ///
    /// # Errors
    ///
    /// The database does not answer: nothing is changed, and the next look asks again.
    pub async fn look(&mut self) -> Result<Looked, LimitError> {
        // Asked first: what changes while the limits are read is seen by the next look.
        let revision = self.stored.revision().await?;
        if self.seen == Some(revision) {
            return Ok(Looked::Same);
        }
        let looked = match self.stored.load().await {
            Ok(limits) if *self.limiter.limits() == limits => Looked::Same,
            Ok(limits) => {
                self.limiter.set_limits(limits);
                Looked::Changed
            }
            Err(error) if matches!(error.kind(), FaultKind::Integrity | FaultKind::Configuration) => {
                Looked::Refused(error)
            }
            Err(error) => return Err(error),
        };
        self.seen = Some(revision);
        Ok(looked)
    }
}
