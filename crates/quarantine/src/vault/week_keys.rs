//! What wraps data keys: the key of the week, which is made when it is first needed, remembered for a while, and destroyed
//! when nothing needs it any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clawexchange_database::keys::{self as deployment, MasterState};
use clawexchange_database::outbox;
use clawexchange_ssg_core::{
    Actor, AuditEvent, DataKey, EventKind, Fault as _, FaultKind, KeyId, KeyProvider as _, MasterKey, Target,
    Timestamp, fail_point,
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use super::store::wrap_context;
use super::sweep::SweepReport;
use super::{Vault, port};
use crate::error::QuarantineError;
use crate::keychain::KEY;
use crate::keyring::KeyRing;
use crate::records::keys::{self, KeyRow};
use crate::records::week_keys::{self as rows, WeekKeyRow};
use crate::seal::random;
use crate::week_keys::{Kept, WEEK_KEY_BYTES_MAX, WeekKeyStore, end_of, name_of, week_of};

/// How long an unwrapped key of a week stays in memory, and how many do: so long a key service may be away unnoticed,
/// and a key that it withdrew is used.
const REMEMBERED: Duration = Duration::from_hours(1);
const REMEMBERED_MAX: usize = 32;

/// How long after its week a key is still for what comes in: clocks differ.
const LATE: Duration = Duration::from_hours(1);

/// How long after its week a key may last. What still needs it then moves on to the key of the present week.
const LAST: Duration = Duration::from_hours(7 * 24);

/// How often a reader looks again where a key went, before it is said that it is gone.
const LOOKS: u32 = 4;

/// Keys of weeks, as this process knows them.
#[derive(Default)]
pub(super) struct WeekKeys {
    /// Nothing: they lie in their rows.
    pub(super) store: Option<Arc<dyn WeekKeyStore>>,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    open: Option<(i64, KeyId)>,
    keys: HashMap<KeyId, (Arc<KeyRing>, Instant)>,
}

impl WeekKeys {
    pub(super) fn in_store(store: impl WeekKeyStore) -> Self {
        Self { store: Some(Arc::new(store)), remembered: Mutex::default() }
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, id: &KeyId) -> Option<Arc<KeyRing>> {
        let mut remembered = self.remembered();
        remembered.keys.retain(|_, (_, since)| since.elapsed() < REMEMBERED);
        remembered.keys.get(id).map(|(ring, _)| Arc::clone(ring))
    }

    fn remember(&self, id: &KeyId, ring: &Arc<KeyRing>) {
        let mut remembered = self.remembered();
        if remembered.keys.len() >= REMEMBERED_MAX {
            remembered.keys.clear();
        }
        remembered.keys.insert(id.clone(), (Arc::clone(ring), Instant::now()));
    }

    /// The next one who asks for the key of the week looks which it is.
    pub(super) fn forget_open(&self) {
        self.remembered().open = None;
    }

    fn forget(&self, id: &KeyId) {
        let mut remembered = self.remembered();
        remembered.keys.remove(id);
        remembered.open.take_if(|(_, open)| open == id);
    }
}

/// What the key of a week is wrapped for.
fn context(id: &KeyId) -> Vec<u8> {
    [b"claw/quarantine/week-key/v1\0", id.as_str().as_bytes()].concat()
}

impl Vault {
    /// The same vault, whose keys of weeks lie in `store`, outside the database. Before the vault is shared.
    ///
    /// Without it they lie in the database, and whoever has a backup of it from before content was destroyed, and the
    /// master key, opens that content.
    #[must_use]
    pub fn with_week_keys(self, store: impl WeekKeyStore) -> Self {
        let Self(shared) = self;
        let week_keys = WeekKeys::in_store(store);
        match Arc::try_unwrap(shared) {
            Ok(inner) => Self(Arc::new(super::Inner { week_keys, ..inner })),
            // Shared already: who has it keeps the store that it had.
            Err(shared) => Self(shared),
        }
    }

    /// Wraps the data key of a record with the key of this week.
    pub(super) async fn wrapped(&self, record: &str, data_key: &DataKey) -> Result<KeyRow, QuarantineError> {
        let (id, ring) = self.key_of_this_week().await?;
        wrapped_by(&id, &ring, record, data_key).await
    }

    /// The data key of a record, whatever wraps it, and though it is being wrapped anew meanwhile.
    pub(super) async fn data_key(&self, record: &str) -> Result<DataKey, QuarantineError> {
        let mut looks = 1;
        loop {
            // Content that was destroyed never comes this far, so somebody took its key away.
            let key = keys::of(&self.0.db.read(), record).await?.ok_or(QuarantineError::WrappedKey)?;
            match self.unwrapped(&key).await {
                // It may have moved on since it was read, or be wrapped by another master key.
                Err(error) if looks < LOOKS && may_have_moved(&error) => looks += 1,
                done => return done,
            }
        }
    }

    /// A data key as a row has it.
    pub(super) async fn unwrapped(&self, key: &KeyRow) -> Result<DataKey, QuarantineError> {
        let altered = || QuarantineError::Row { id: key.record.clone(), column: "master_key_id" };
        let by = KeyId::new(&key.by).ok().ok_or_else(altered)?;
        let context = wrap_context(&key.record);
        let unwrapped = if key.is_of_a_week {
            self.week_key(&by).await?.unwrap(&by, &context, &key.wrapped).await
        } else {
            self.0.keys.unwrap(&by, &context, &key.wrapped).await
        };
        unwrapped.map_err(port("unwrap a data key"))
    }

    /// The key that wraps what is held now.
    pub(super) async fn key_of_this_week(&self) -> Result<(KeyId, Arc<KeyRing>), QuarantineError> {
        let week = week_of(self.now());
        let known = self.0.week_keys.remembered().open.clone();
        let open = match known {
            Some((of, id)) if of == week => id,
            _ => {
                let row = rows::open_in(&self.0.db.read(), week).await?;
                let id = match row {
                    Some(row) => row.id,
                    None => self.make_week_key(week).await?,
                };
                self.0.week_keys.remembered().open = Some((week, id.clone()));
                id
            }
        };
        let ring = self.week_key(&open).await?;
        Ok((open, ring))
    }

    /// Makes the key of a week, unless somebody else was faster.
    async fn make_week_key(&self, week: i64) -> Result<KeyId, QuarantineError> {
        let mut bytes = random::<32>()?;
        let (id, key) = (name_of(week, &bytes), DataKey::new(bytes));
        bytes.zeroize();
        let kept = self.keep(&id, &key).await?;
        // First, since a store may be far away, and whoever needs a key waits for the transaction.
        if let Some(store) = &self.0.week_keys.store {
            store.put(&id, kept.encode()).await.map_err(port("store the key of a week"))?;
        }
        fail_point!("week.after-put");
        let tx = self.0.db.begin().await?;
        deployment::lock(&tx).await?;
        if let Some(row) = rows::open_in(&tx, week).await? {
            // Theirs may commit together with this one, and is not to be read before.
            tx.commit().await?;
            self.forsake(&id).await;
            return Ok(row.id);
        }
        self.may_wrap(&tx, &kept.master).await?;
        let mut row = WeekKeyRow {
            id: id.clone(),
            week_at: week,
            master: kept.master.clone(),
            wrapped: None,
            closed_at: None,
        };
        if self.0.week_keys.store.is_none() {
            row.wrapped = Some(kept.encode());
        }
        rows::insert(&tx, &row, self.now()).await?;
        tx.commit().await?;
        fail_point!("week.after-make");
        Ok(id)
    }

    /// Deletes a key that was made and wraps nothing. Should that fail, it opens nothing where it lies.
    async fn forsake(&self, id: &KeyId) {
        if let Some(store) = &self.0.week_keys.store
            && let Err(error) = store.delete(id).await
        {
            tracing::warn!(%id, code = error.code(), "a key of a week that nobody needs could not be deleted");
        }
    }

    /// A key of a week as it is kept: wrapped by the active master key, and seen to come out again.
    pub(super) async fn keep(&self, id: &KeyId, key: &DataKey) -> Result<Kept, QuarantineError> {
        let (keys, master, context) = (&self.0.keys, self.0.keys.master(), context(id));
        let wrapped = keys.wrap(&master, &context, key).await.map_err(port("wrap the key of a week"))?;
        let again =
            keys.unwrap(&master, &context, &wrapped).await.map_err(port("unwrap the key of a week"))?;
        let kept = Kept { master, wrapped };
        let is_short = kept.encode().len() as u64 <= WEEK_KEY_BYTES_MAX;
        if is_short && bool::from(again.expose().ct_eq(key.expose())) {
            Ok(kept)
        } else {
            Err(QuarantineError::WrappedKey)
        }
    }

    /// Refuses a master key that is retired. The transaction has the lock of keys, so none is retired meanwhile.
    pub(super) async fn may_wrap(
        &self,
        tx: &clawexchange_database::Tx,
        master: &KeyId,
    ) -> Result<(), QuarantineError> {
        match deployment::state(tx, master).await? {
            Some(MasterState::Retired) => Err(QuarantineError::KeyRetired { key: master.clone() }),
            _ => Ok(()),
        }
    }

    /// A key of a week, unwrapped, as a ring of it alone.
    pub(super) async fn week_key(&self, id: &KeyId) -> Result<Arc<KeyRing>, QuarantineError> {
        if let Some(ring) = self.0.week_keys.known(id) {
            return Ok(ring);
        }
        let gone = || QuarantineError::WeekKeyGone { key: id.clone() };
        let row = rows::of(&self.0.db.read(), id).await?.ok_or_else(gone)?;
        let key = self.open_week_key(&row).await?;
        let master = MasterKey::new(*key.expose()).ok().ok_or(QuarantineError::WrappedKey)?;
        let ring = Arc::new(KeyRing::from_master(Some(id.clone()), master));
        self.0.week_keys.remember(id, &ring);
        Ok(ring)
    }

    /// A key of a week out of wherever it lies, seen to be the one that its name says.
    pub(super) async fn open_week_key(&self, row: &WeekKeyRow) -> Result<DataKey, QuarantineError> {
        let bytes = match (&row.wrapped, &self.0.week_keys.store) {
            (Some(bytes), _) => bytes.clone(),
            (None, Some(store)) => {
                let found = store.get(&row.id).await.map_err(port("read the key of a week"))?;
                found.ok_or_else(|| QuarantineError::WeekKeyGone { key: row.id.clone() })?
            }
            (None, None) => return Err(QuarantineError::WeekKeyElsewhere { key: row.id.clone() }),
        };
        let kept = Kept::decode(&bytes).ok_or(QuarantineError::WrappedKey)?;
        let unwrapped = self.0.keys.unwrap(&kept.master, &context(&row.id), &kept.wrapped).await;
        let key = unwrapped.map_err(port("unwrap the key of a week"))?;
        // Whoever keeps master keys elsewhere may not bind what it wraps to a context.
        if name_of(row.week_at, key.expose()) == row.id { Ok(key) } else { Err(QuarantineError::WrappedKey) }
    }

    /// Closes keys of weeks that are over, moves on what has needed one for too long, and destroys those that nothing
    /// needs.
    pub(super) async fn sweep_week_keys(
        &self,
        by: &Actor,
        at_most: u32,
        report: &mut SweepReport,
    ) -> Result<(), QuarantineError> {
        let (now, read) = (self.now(), self.0.db.read());
        let week = week_of(now.minus(LATE));
        let mut all = rows::all(&read).await?;
        if all.iter().any(|row| row.closed_at.is_none() && row.week_at < week) {
            let tx = self.0.db.begin().await?;
            rows::close(&tx, Some(week), now).await?;
            tx.commit().await?;
            all = rows::all(&read).await?;
        }
        let mut left = at_most;
        for row in all.iter().filter(|row| row.closed_at.is_some()) {
            if end_of(row.week_at).plus(LAST) <= now && left > 0 {
                match self.move_on(Some(&row.id), by, left).await {
                    Ok(moved) => {
                        report.keys_moved += moved.count;
                        report.failed += moved.failed;
                        report.more |= moved.more;
                        left = left.saturating_sub(u32::try_from(moved.count).unwrap_or(left));
                    }
                    Err(error) => failed(&row.id, error, report)?,
                }
            }
            match self.destroy_week_key(row, by).await {
                Ok(is_gone) => report.week_keys_destroyed += u64::from(is_gone),
                Err(error) => failed(&row.id, error, report)?,
            }
        }
        self.erase_spent(report).await
    }

    /// Destroys a closed key of a week if nothing needs it; says whether it did. What lies outside the database goes with
    /// [`erase_spent`](Self::erase_spent).
    pub(super) async fn destroy_week_key(
        &self,
        row: &WeekKeyRow,
        by: &Actor,
    ) -> Result<bool, QuarantineError> {
        if keys::count(&self.0.db.read(), &row.id).await? > 0 {
            return Ok(false);
        }
        let (tx, now) = (self.0.db.begin().await?, self.now());
        if !rows::spend(&tx, row, now).await? {
            return Ok(false);
        }
        let event = AuditEvent::new(EventKind::KeyDestroyed, by.clone(), now)
            .on(Target::new(KEY, &row.id))
            .with("week", Timestamp::from_micros(row.week_at).to_string())?;
        outbox::put(&tx, &event).await?;
        fail_point!("week.before-destroy");
        tx.commit().await?;
        fail_point!("week.after-destroy");
        self.0.week_keys.forget(&row.id);
        Ok(true)
    }

    /// Deletes what lies outside the database of keys that are destroyed in it.
    pub(super) async fn erase_spent(&self, report: &mut SweepReport) -> Result<(), QuarantineError> {
        for id in rows::not_erased(&self.0.db.read()).await? {
            // Whoever has no store cannot: another process does.
            let Some(store) = &self.0.week_keys.store else { return Ok(()) };
            if let Err(source) = store.delete(&id).await {
                failed(&id, QuarantineError::Port { act: "destroy the key of a week", source }, report)?;
                continue;
            }
            fail_point!("week.after-erase");
            let tx = self.0.db.begin().await?;
            rows::erased(&tx, &id, self.now()).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Wraps a data key with the key of a week.
pub(super) async fn wrapped_by(
    id: &KeyId,
    ring: &KeyRing,
    record: &str,
    data_key: &DataKey,
) -> Result<KeyRow, QuarantineError> {
    let wrapped = ring.wrap(id, &wrap_context(record), data_key).await.map_err(port("wrap a data key"))?;
    Ok(KeyRow { record: record.to_owned(), wrapped, by: id.as_str().to_owned(), is_of_a_week: true })
}

/// Whether a key was perhaps wrapped by something else between two looks.
fn may_have_moved(error: &QuarantineError) -> bool {
    matches!(error, QuarantineError::WeekKeyGone { .. }) || error.kind() == FaultKind::Configuration
}

/// Counts what could not be done, unless nothing can be.
fn failed(id: &KeyId, error: QuarantineError, report: &mut SweepReport) -> Result<(), QuarantineError> {
    if matches!(error, QuarantineError::Database(_)) && error.is_transient() {
        return Err(error);
    }
    report.failed += 1;
    tracing::error!(%id, code = error.code(), "the key of a week could not be seen to");
    Ok(())
}
