//! The vault: the only place where rows, objects, keys and events meet.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use clawexchange_database::{Database, Drain, STATE, STATE_CONTEXT, Tx};
use clawexchange_ssg_core::{
    AuditEvent, Clock, Cursor, Held, Hold, InspectionId, KeyProvider, Mac, Page, PageLimit, PortError,
    Quarantine, QuarantineId, SystemClock, Target, Timestamp,
};
use subtle::ConstantTimeEq as _;

use crate::config::VaultConfig;
use crate::error::QuarantineError;
use crate::objects::ObjectStore;
use crate::record::{Filter, QuarantineRecord, Stats};
use crate::records::claims::{self as claim_rows};
use crate::records::{self, ClaimGuard, Guard, StoredRow, legal as holds, sums};
use crate::status::BlobState;

mod adopt;
mod claims;
mod decide;
mod due;
mod export;
mod legal;
mod publish;
mod reveal;
mod rewrap;
mod states;
mod store;
mod sweep;
mod week_keys;

pub use adopt::{ADOPTED_POLICY, Adopted};
pub use claims::{Claim, LEASE_DEFAULT, LEASE_MAX, LEASE_MIN};
pub use decide::Ruling;
pub use due::DueReport;
pub use rewrap::{KeyUse, REWRAPPED_AT_ONCE, RewrapReport, WeekKeyState};
pub use states::STATE_TARGETS;
pub use sweep::{ReconcileReport, SweepReport};
use week_keys::WeekKeys;

/// The furthest that a list by offset skips: each skipped row is read.
pub const OFFSET_MAX: u64 = 100_000;

/// The most records that a list by offset shows at once.
pub const OFFSET_ITEMS_MAX: u64 = 100;

/// What the events of a record have as their target.
pub(crate) const RECORD: &str = "quarantine";

/// Holds content sealed until somebody decides. Cheap to clone.
///
/// Every change of a record and its event commit together; every change is made only to the record that was read, so
/// that of two who decide at once one is told of the other. What the tables hold is checked against a code under the
/// master key before it is built upon, so that a row edited by hand is refused and not worked with.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    db: Database,
    objects: Box<dyn ObjectStore>,
    keys: Arc<dyn KeyProvider>,
    week_keys: WeekKeys,
    drain: Box<dyn Drain>,
    config: VaultConfig,
    clock: Arc<dyn Clock>,
}

impl Vault {
    /// Puts a vault together. `drain` moves what waits in the outbox to the log; without it no content is shown.
    pub fn new(
        db: Database,
        objects: impl ObjectStore,
        keys: impl KeyProvider,
        drain: impl Drain,
        config: VaultConfig,
    ) -> Result<Self, QuarantineError> {
        config.check()?;
        Ok(Self(Arc::new(Inner {
            db,
            objects: Box::new(objects),
            keys: Arc::new(keys),
            week_keys: WeekKeys::default(),
            drain: Box::new(drain),
            config,
            clock: Arc::new(SystemClock::new()),
        })))
    }

    /// The same vault, which takes the time from `clock`. For tests, and before the vault is shared.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        let Self(shared) = self;
        let clock = Arc::new(clock);
        match Arc::try_unwrap(shared) {
            Ok(inner) => Self(Arc::new(Inner { clock, ..inner })),
            // Shared already: who has it keeps the clock that it had.
            Err(shared) => Self(shared),
        }
    }

    /// The bounds of this vault.
    pub fn config(&self) -> &VaultConfig {
        &self.0.config
    }

    /// One record: everything about it, nothing of it.
    pub async fn show(&self, id: QuarantineId) -> Result<QuarantineRecord, QuarantineError> {
        self.row(id).await?.record()
    }

    /// Records, newest first; a page begins after `cursor`.
    pub async fn list(
        &self,
        filter: &Filter,
        cursor: Option<&Cursor>,
        limit: PageLimit,
    ) -> Result<Page<QuarantineRecord>, QuarantineError> {
        let before = cursor.map(read_cursor).transpose()?;
        let wanted = usize::from(limit.get());
        let read = self.0.db.replica();
        // One more than asked for tells whether there is a page after this one.
        let mut rows = records::list(&read, filter, before, u32::from(limit.get()) + 1).await?;
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let next =
            rows.last().filter(|_| more).map(|row| Cursor::new(format!("{}:{}", row.created_at, row.id)));
        Ok(Page::new(rows.iter().map(StoredRow::record).collect::<Result<_, _>>()?, next))
    }

    /// Records, newest first, without the first `offset` of them, and how many there are in all. For routes of the
    /// first system of this kind, whose pages are counted; all else pages by key.
    ///
    /// # Errors
    ///
    /// `Invalid` beyond [`OFFSET_MAX`], or for other than 1 to [`OFFSET_ITEMS_MAX`] records.
    pub async fn list_by_offset(
        &self,
        filter: &Filter,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<QuarantineRecord>, u64), QuarantineError> {
        if offset > OFFSET_MAX || !(1..=OFFSET_ITEMS_MAX).contains(&limit) {
            return Err(QuarantineError::Offset { max: OFFSET_MAX, items_max: OFFSET_ITEMS_MAX });
        }
        let at_most = u32::try_from(limit).unwrap_or(1);
        let (rows, total) = records::list_by_offset(&self.0.db.replica(), filter, offset, at_most).await?;
        Ok((rows.iter().map(StoredRow::record).collect::<Result<_, _>>()?, total))
    }

    /// The record of an inspection: the one that it held, or the one whose content it repeated.
    pub async fn find_by_inspection(
        &self,
        inspection: InspectionId,
    ) -> Result<Option<QuarantineRecord>, QuarantineError> {
        match records::of_inspection(&self.0.db.read(), &inspection.to_string()).await? {
            Some(id) => Ok(Some(self.show(id).await?)),
            None => Ok(None),
        }
    }

    /// What is held, summed up.
    pub async fn stats(&self) -> Result<Stats, QuarantineError> {
        sums::stats(&self.0.db.replica()).await
    }

    /// Some ids of records after one, in their order: of those that somebody has to decide about, and of those that a
    /// legal hold keeps. What the log says of them is still needed.
    pub async fn unsettled(&self, after: Option<&str>, at_most: u32) -> Result<Vec<String>, QuarantineError> {
        sums::unsettled(&self.0.db.read(), after.unwrap_or_default(), at_most).await
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// An acknowledged row as the log left it.
    async fn row(&self, id: QuarantineId) -> Result<StoredRow, QuarantineError> {
        let row = records::load(&self.0.db.read(), id).await?.ok_or(QuarantineError::NotFound { id })?;
        if row.blob_state == BlobState::Pending.as_str() {
            return Err(QuarantineError::NotFound { id });
        }
        self.check_state(row.state_mac.as_deref(), &row.state(), id).await?;
        Ok(row)
    }

    /// The code of a row's state.
    async fn state_mac(&self, state: &[u8]) -> Result<Mac, QuarantineError> {
        let keys = &self.0.keys;
        keys.mac(&keys.active(), STATE_CONTEXT, state).await.map_err(port("make the code of a row"))
    }

    /// Refuses a row that is not as its last change left it: what is built on it would be signed anew.
    async fn check_state(
        &self,
        said: Option<&str>,
        state: &[u8],
        id: QuarantineId,
    ) -> Result<(), QuarantineError> {
        let altered = QuarantineError::Altered { id };
        let Some(said) = said.and_then(|text| text.parse::<Mac>().ok()) else { return Err(altered) };
        let found =
            self.0.keys.mac(&said.key, STATE_CONTEXT, state).await.map_err(port("make the code of a row"))?;
        if bool::from(found.tag.ct_eq(&said.tag)) { Ok(()) } else { Err(altered) }
    }

    /// Completes a changed row with its code, and its event with the same.
    async fn sign(&self, row: &mut StoredRow, event: AuditEvent) -> Result<AuditEvent, QuarantineError> {
        let mac = self.state_mac(&row.state()).await?.to_string();
        row.state_mac = Some(mac.clone());
        Ok(event.on(Target::new(RECORD, &row.id)).with(STATE, mac)?)
    }

    /// Why a change that was tried in `tx` did not happen: the record as it is there. What commits together with this
    /// transaction is seen in it and not yet by readers.
    async fn why_not(
        &self,
        tx: &Tx,
        from: &StoredRow,
        guard: &Guard,
    ) -> Result<QuarantineError, QuarantineError> {
        let id = from.id()?;
        let Some(now) = records::load(tx, id).await? else { return Ok(QuarantineError::NotFound { id }) };
        let conflict = QuarantineError::Conflict { id, current: now.status()? };
        if now.version != from.version {
            return Ok(conflict);
        }
        let hold = holds::load(tx, &from.id).await?;
        if guard.no_legal_hold && hold.is_some_and(|hold| hold.is_in_force()) {
            return Ok(QuarantineError::LegalHold { id });
        }
        Ok(match &guard.claim {
            ClaimGuard::Fenced { .. } => QuarantineError::StaleClaim { id },
            ClaimGuard::NobodyElse { by, now } => match claim_rows::of(tx, id).await? {
                Some(claim) if claim.by != *by && claim.is_live(*now) => {
                    QuarantineError::Claimed { id, until: Timestamp::from_micros(claim.until) }
                }
                _ => conflict,
            },
            _ => conflict,
        })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("db", &self.0.db)
            .field("objects", &self.0.objects)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Quarantine for Vault {
    async fn hold(&self, hold: Hold) -> Result<Held, PortError> {
        Ok(self.store(hold).await?)
    }
}

/// Says what was asked of another part that failed.
fn port(act: &'static str) -> impl FnOnce(PortError) -> QuarantineError {
    move |source| QuarantineError::Port { act, source }
}

fn read_cursor(cursor: &Cursor) -> Result<(i64, String), QuarantineError> {
    let read = || {
        let (micros, id) = cursor.as_str().split_once(':')?;
        Some((micros.parse().ok()?, id.parse::<QuarantineId>().ok()?.to_string()))
    };
    read().ok_or(QuarantineError::Cursor)
}

/// Where a test may kill the process: each step of a store, a decision, a reveal and a sweep.
#[cfg(debug_assertions)]
#[doc(hidden)]
pub const FAIL_POINTS: &[&str] = &[
    "store.before-stage",
    "store.after-stage",
    "store.after-put",
    "store.before-finish",
    "store.after-finish",
    "decide.before-commit",
    "decide.after-commit",
    "reveal.before-commit",
    "reveal.after-commit",
    "reveal.after-drain",
    "confirm.before-commit",
    "confirm.after-commit",
    "fetch.before-commit",
    "fetch.after-commit",
    "sweep.after-expire",
    "sweep.after-settle",
    "sweep.before-shred",
    "sweep.after-shred",
    "sweep.after-delete",
    "week.after-put",
    "week.after-make",
    "week.before-destroy",
    "week.after-destroy",
    "week.after-erase",
    "rewrap.after-put",
    "rewrap.before-week",
    "rewrap.after-week",
    "rewrap.before-batch",
    "rewrap.after-batch",
    "rewrap.before-root",
    "rewrap.after-root",
    "keys.before-activate",
    "keys.after-activate",
    "keys.before-retire",
    "keys.after-retire",
];
