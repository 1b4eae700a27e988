//! Claims: of many who review, each has a record of their own, for a while.

use std::time::Duration;

use clawexchange_ssg_core::{Actor, QuarantineId, Timestamp};
use serde::Serialize;

use super::Vault;
use crate::error::QuarantineError;
use crate::record::{Filter, QuarantineRecord};
use crate::records::claims::{self, Wanted, claimant};
use crate::records::{self};
use crate::seal::random;

/// How long a claim lasts unless it is said: time to read a post and to think about it.
pub const LEASE_DEFAULT: Duration = Duration::from_mins(10);

/// The shortest claim: shorter ones run out while their page is loaded.
pub const LEASE_MIN: Duration = Duration::from_mins(1);

/// The longest claim: whoever went home without a word holds nobody up for longer.
pub const LEASE_MAX: Duration = Duration::from_hours(1);

/// A record that somebody looks at, for a while. Others cannot decide about it meanwhile, and it does not expire.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Claim {
    /// The record.
    pub record: QuarantineRecord,
    /// The number of this claim, unlike that of any other: to be shown when deciding. At most 53 bits, which readers
    /// of JSON keep exactly.
    pub fence: u64,
    /// Until when others have to wait.
    pub until: Timestamp,
}

impl Vault {
    /// Claims the undecided record that nobody looks at and that comes first: of the highest tier, of these the
    /// oldest. Of many who ask at once, no two are given the same.
    ///
    /// # Errors
    ///
    /// A row that was altered behind the log's back is an `Integrity` fault that names it. It stays claimed, so that
    /// the next who asks is given the next.
    pub async fn claim_next(
        &self,
        by: &Actor,
        filter: &Filter,
        lease: Duration,
    ) -> Result<Option<Claim>, QuarantineError> {
        let (name, now, until, fence) = self.lease(by, lease)?;
        let tx = self.0.db.begin().await?;
        let Some(id) =
            claims::take_next(&tx, filter, Wanted { by: &name, now, until, fence: signed(fence) }).await?
        else {
            return Ok(None);
        };
        tx.commit().await?;
        Ok(Some(Claim { record: self.show(id).await?, fence, until }))
    }

    /// Claims one record. Who claims their own again is given a new number, and the one before is stale.
    pub async fn claim(
        &self,
        id: QuarantineId,
        by: &Actor,
        lease: Duration,
    ) -> Result<Claim, QuarantineError> {
        let (name, now, until, fence) = self.lease(by, lease)?;
        let record = self.show(id).await?;
        if !record.status.is_open() {
            return Err(QuarantineError::Conflict { id, current: record.status });
        }
        let tx = self.0.db.begin().await?;
        if !claims::take(&tx, id, Wanted { by: &name, now, until, fence: signed(fence) }).await? {
            // Somebody was faster: with a claim, or with a decision.
            let row = records::load(&tx, id).await?.ok_or(QuarantineError::NotFound { id })?;
            let current = row.status()?;
            return Err(match claims::of(&tx, id).await? {
                Some(claim) if current.is_open() => {
                    QuarantineError::Claimed { id, until: Timestamp::from_micros(claim.until) }
                }
                _ => QuarantineError::Conflict { id, current },
            });
        }
        tx.commit().await?;
        Ok(Claim { record, fence, until })
    }

    /// Lengthens a claim: it lasts for `lease` from now on. One that ran out is taken up again if nobody else took the
    /// record meanwhile.
    pub async fn extend(
        &self,
        id: QuarantineId,
        by: &Actor,
        fence: u64,
        lease: Duration,
    ) -> Result<Claim, QuarantineError> {
        let (name, now, until, _) = self.lease(by, lease)?;
        let record = self.show(id).await?;
        let tx = self.0.db.begin().await?;
        if !claims::extend(&tx, id, Wanted { by: &name, now, until, fence: signed(fence) }).await? {
            return Err(QuarantineError::StaleClaim { id });
        }
        tx.commit().await?;
        Ok(Claim { record, fence, until })
    }

    /// Gives a claimed record back.
    pub async fn unclaim(&self, id: QuarantineId, by: &Actor, fence: u64) -> Result<(), QuarantineError> {
        self.row(id).await?;
        let tx = self.0.db.begin().await?;
        if !claims::drop(&tx, id, &claimant(by), signed(fence)).await? {
            return Err(QuarantineError::StaleClaim { id });
        }
        Ok(tx.commit().await?)
    }

    /// Who claims, when, until when, and a number for it.
    fn lease(
        &self,
        by: &Actor,
        lease: Duration,
    ) -> Result<(String, Timestamp, Timestamp, u64), QuarantineError> {
        if !(LEASE_MIN..=LEASE_MAX).contains(&lease) {
            return Err(QuarantineError::Lease);
        }
        let now = self.now();
        // Random, so that no number comes again when a record is claimed, decided, brought back and claimed again.
        let fence = (u64::from_be_bytes(random()?) >> 11).max(1);
        Ok((claimant(by), now, now.plus(lease), fence))
    }
}

/// As it lies in the row. What is too large for that is no number of ours, and matches none.
pub(super) fn signed(fence: u64) -> i64 {
    i64::try_from(fence).unwrap_or(-1)
}
