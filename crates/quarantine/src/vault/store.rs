//! Storing: in one transaction with its row, or as an object in two, so that no crash leaves a row without its bytes
//! acknowledged or bytes without a row.

use clawexchange_database::{Dialect, Statements as _, Tx, outbox};
use clawexchange_ssg_core::{
    AuditEvent, DataKey, Held, Hold, InspectionId, KeyId, Mac, QuarantineId, Target, Timestamp, fail_point,
};

use super::{RECORD, Vault, port};
use crate::error::QuarantineError;
use crate::objects::{ObjectKey, PutOutcome};
use crate::record::key_id;
use crate::records::keys::{self, KeyRow};
use crate::records::sums::{Scope, Usage, usage};
use crate::records::{self, Guard, StoredRow, repeats, tombstones};
use crate::seal::{self, FreshKey, SealContext};
use crate::status::{BlobState, Status};

/// Separates the codes of contents from all other codes.
const CONTENT_CONTEXT: &[u8] = b"claw/quarantine/content/v1";

/// More stores than are ever under way at once: each has a connection to the database.
const STORES_AT_ONCE: u64 = 1000;

/// More bytes than they ever have together.
const STORED_AT_ONCE_BYTES: u64 = 256 << 20;

/// What a content's data key is wrapped for.
pub(super) fn wrap_context(record: &str) -> Vec<u8> {
    [b"claw/quarantine/data-key/v1\0", record.as_bytes()].concat()
}

/// Content that is sealed and not yet stored.
struct Prepared {
    row: StoredRow,
    key: KeyRow,
    /// For the case that what wraps it is closed before it is stored.
    data_key: DataKey,
    sealed: Vec<u8>,
}

/// How often a store is begun anew because the key of the week was closed meanwhile.
const ATTEMPTS: u32 = 4;

/// What a transaction that stores finds.
enum Entry {
    /// Nothing of the kind: it may store.
    New(Tx),
    /// The same content, undecided; that is noted and committed.
    Repeat(Held),
}

/// How a store that was cut short ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// Its content is held.
    Held,
    /// It is given up.
    GivenUp,
    /// Somebody else ended it, whichever way.
    Elsewhere,
}

impl Vault {
    pub(super) async fn store(&self, hold: Hold) -> Result<Held, QuarantineError> {
        let inspection = hold.assessment.inspection().inspection_id;
        if let Some(held) = self.known(&hold, inspection).await? {
            return Ok(held);
        }
        let size = u64::try_from(hold.content.received().len()).unwrap_or(u64::MAX);
        if size > self.0.config.content_bytes_max {
            return Err(QuarantineError::TooLarge { max: self.0.config.content_bytes_max });
        }
        let codes = self.content_codes(&hold).await?;
        let same = repeats::same_content(&self.0.db.read(), &hold.agent, &codes).await?;
        // It may have been decided since.
        if same.is_some()
            && let Entry::Repeat(held) = self.enter(&hold, inspection, &codes).await?
        {
            return Ok(held);
        }
        let prepared = self.prepare(&hold, inspection, size, codes.first()).await?;
        fail_point!("store.before-stage");
        if prepared.row.s3_key.is_some() {
            self.store_object(hold, prepared, inspection, &codes).await
        } else {
            self.store_inline(hold, prepared, inspection, &codes).await
        }
    }

    /// Asking twice holds once: the record of this id, or the repeat of this inspection.
    async fn known(&self, hold: &Hold, inspection: InspectionId) -> Result<Option<Held>, QuarantineError> {
        let read = self.0.db.read();
        if let Some(row) = records::load(&read, hold.id).await? {
            let mut is_held = row.blob_state()? != BlobState::Pending;
            if !is_held {
                is_held = match self.settle(&row).await? {
                    Settled::Held => true,
                    Settled::GivenUp => false,
                    // By its own process, it may be.
                    Settled::Elsewhere => {
                        let row = records::load(&read, hold.id).await?;
                        row.is_some_and(|row| row.blob_state != BlobState::Pending.as_str())
                    }
                };
            }
            // What was there and was given up is stored anew.
            return Ok(is_held.then(|| Held::new(hold.id, false)));
        }
        let first = repeats::of_inspection(&read, &inspection.to_string()).await?;
        Ok(first.map(|id| Held::new(id, true)))
    }

    /// Codes of the content under each key that one of the agent's undecided contents has its own under, that of the
    /// active key first.
    async fn content_codes(&self, hold: &Hold) -> Result<Vec<Mac>, QuarantineError> {
        let active = self.0.keys.active();
        let others = repeats::mac_keys(&self.0.db.read(), &hold.agent).await?;
        let names: Vec<KeyId> = std::iter::once(active.clone())
            .chain(others.iter().filter_map(|name| key_id(name)).filter(|key| *key != active))
            .collect();
        let content = hold.content.canonical();
        let mut codes = Vec::with_capacity(names.len());
        for key in names {
            let code = self.0.keys.mac(&key, CONTENT_CONTEXT, &content).await;
            codes.push(code.map_err(port("make the code of a content"))?);
        }
        Ok(codes)
    }

    async fn prepare(
        &self,
        hold: &Hold,
        inspection: InspectionId,
        size: u64,
        code: Option<&Mac>,
    ) -> Result<Prepared, QuarantineError> {
        let now = self.now();
        let judged = hold.assessment.inspection();
        let code = code.ok_or(QuarantineError::NoRandomness)?;
        let context = SealContext {
            policy: judged.policy.clone(),
            ..SealContext::new(hold.id, now, judged.tier, hold.content.content_type(), size, code.clone())
        };
        let key = FreshKey::generate()?;
        let data_key = key.data_key().clone();
        let id = hold.id.to_string();
        let wrapped = self.wrapped(&id, &data_key).await?;
        let sealed = seal::seal(key, &context, hold.content.received().as_bytes())?;
        let is_inline = size <= self.0.config.inline_bytes_max;
        let json = |value| serde_json::to_string(value).unwrap_or_else(|_| "[]".to_owned());
        let row = StoredRow {
            s3_key: (!is_inline).then(|| ObjectKey::fresh(now).as_str().to_owned()),
            status: Status::Quarantined.as_str().to_owned(),
            blob_state: BlobState::Present.as_str().to_owned(),
            tier: judged.tier.as_str().to_owned(),
            labels: json(&serde_json::json!(judged.labels)),
            matches: json(&serde_json::json!(judged.matches)),
            policy: judged.policy.clone(),
            content_type: hold.content.content_type().as_str().to_owned(),
            size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
            agent_id: hold.agent.as_str().to_owned(),
            owner_id: hold.owner.as_ref().map(|id| id.as_str().to_owned()),
            source_id: hold.source.as_ref().map(|id| id.as_str().to_owned()),
            inspection_id: inspection.to_string(),
            content_hmac: Some(code.tag.to_vec()),
            hmac_key_id: code.key.as_str().to_owned(),
            encryption_key_id: Some(id.clone()),
            inline_ciphertext: is_inline.then(|| sealed.clone()),
            expires_at: now.plus(self.0.config.expiry).as_micros(),
            shred_at: None,
            reviewed_by: None,
            reviewed_at: None,
            reason: None,
            review_notes: None,
            version: 1,
            pending_event: None,
            state_mac: None,
            created_at: now.as_micros(),
            updated_at: now.as_micros(),
            id,
        };
        Ok(Prepared { row, key: wrapped, data_key, sealed })
    }

    async fn store_inline(
        &self,
        hold: Hold,
        mut prepared: Prepared,
        inspection: InspectionId,
        codes: &[Mac],
    ) -> Result<Held, QuarantineError> {
        let event = self.sign(&mut prepared.row, hold.event.clone()).await?;
        let tx = match self.stage(&hold, &mut prepared, inspection, codes).await? {
            Entry::New(tx) => tx,
            Entry::Repeat(held) => return Ok(held),
        };
        outbox::put(&tx, &event).await?;
        fail_point!("store.before-finish");
        tx.commit().await?;
        fail_point!("store.after-finish");
        Ok(Held::new(hold.id, false))
    }

    async fn store_object(
        &self,
        hold: Hold,
        mut prepared: Prepared,
        inspection: InspectionId,
        codes: &[Mac],
    ) -> Result<Held, QuarantineError> {
        let event = hold.event.clone().on(Target::new(RECORD, hold.id));
        BlobState::Pending.as_str().clone_into(&mut prepared.row.blob_state);
        prepared.row.pending_event = Some(event.to_json());
        let tx = match self.stage(&hold, &mut prepared, inspection, codes).await? {
            Entry::New(tx) => tx,
            Entry::Repeat(held) => return Ok(held),
        };
        tx.commit().await?;
        fail_point!("store.after-stage");
        if let Err(error) = self.put(&prepared.row, hold.id, prepared.sealed).await {
            // Should this fail as well, a sweep does it.
            if let Err(later) = self.give_up(&prepared.row).await {
                tracing::warn!(id = %hold.id, code = clawexchange_ssg_core::Fault::code(&later), "a store that failed is settled later");
            }
            return Err(error);
        }
        fail_point!("store.after-put");
        if self.finish(&prepared.row, event).await? {
            Ok(Held::new(hold.id, false))
        } else {
            // It took longer than its budget, and a sweep gave it up.
            Err(QuarantineError::Conflict { id: hold.id, current: Status::Expired })
        }
    }

    /// Puts row and key, in a transaction that is still to commit.
    async fn stage(
        &self,
        hold: &Hold,
        prepared: &mut Prepared,
        inspection: InspectionId,
        codes: &[Mac],
    ) -> Result<Entry, QuarantineError> {
        for _ in 0..ATTEMPTS {
            let tx = match self.enter(hold, inspection, codes).await? {
                Entry::New(tx) => tx,
                repeat @ Entry::Repeat(_) => return Ok(repeat),
            };
            self.within_bounds(&tx, hold, prepared.row.size_bytes).await?;
            records::insert(&tx, prepared.row.clone()).await?;
            let at = Timestamp::from_micros(prepared.row.created_at);
            if keys::insert(&tx, &prepared.key, at).await? {
                return Ok(Entry::New(tx));
            }
            // What wraps its key is closed.
            drop(tx);
            self.0.week_keys.forget_open();
            prepared.key = self.wrapped(&prepared.row.id, &prepared.data_key).await?;
        }
        Err(QuarantineError::WeekKeysBusy)
    }

    async fn put(&self, row: &StoredRow, id: QuarantineId, sealed: Vec<u8>) -> Result<(), QuarantineError> {
        let key: ObjectKey = row.s3_key.as_deref().unwrap_or_default().parse()?;
        match self.0.objects.put_new(&key, sealed).await.map_err(port("store an object"))? {
            PutOutcome::Created => Ok(()),
            PutOutcome::Taken => Err(QuarantineError::ObjectTaken { id }),
        }
    }

    /// The second half of a store: the object is there. Says whether the first half still was.
    async fn finish(&self, pending: &StoredRow, event: AuditEvent) -> Result<bool, QuarantineError> {
        let mut row = pending.clone();
        BlobState::Present.as_str().clone_into(&mut row.blob_state);
        row.pending_event = None;
        let event = self.sign(&mut row, event).await?;
        let tx = self.0.db.begin().await?;
        if !records::change(&tx, pending, &row, &Guard::NONE).await? {
            return Ok(false);
        }
        outbox::put(&tx, &event).await?;
        fail_point!("store.before-finish");
        tx.commit().await?;
        fail_point!("store.after-finish");
        Ok(true)
    }

    /// Says whether it was there to be given up.
    async fn give_up(&self, pending: &StoredRow) -> Result<bool, QuarantineError> {
        let tx = self.0.db.begin().await?;
        if !records::abort(&tx, pending).await? {
            return Ok(false);
        }
        if let Some(key) = &pending.s3_key {
            // What was sent may arrive late, so it is looked for again a day later.
            let now = self.now();
            tombstones::insert(&tx, key, now, now.plus(std::time::Duration::from_hours(24))).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Ends a store that was cut short: its content is held now if its object came whole.
    pub(super) async fn settle(&self, pending: &StoredRow) -> Result<Settled, QuarantineError> {
        let event = pending.pending_event.as_deref().map(AuditEvent::from_json);
        let whole = match self.open_sealed(pending).await {
            Ok(_) => true,
            // Not there, or not all of it, or not ours: nobody was told that it is held.
            Err(QuarantineError::ObjectMissing { .. } | QuarantineError::Damaged { .. }) => false,
            Err(QuarantineError::Port { source, .. })
                if source.kind() == clawexchange_ssg_core::FaultKind::TooLarge =>
            {
                false
            }
            Err(error) => return Err(error),
        };
        let (done, settled) = match event {
            Some(Ok(event)) if whole => (self.finish(pending, event).await?, Settled::Held),
            _ => (self.give_up(pending).await?, Settled::GivenUp),
        };
        Ok(if done { settled } else { Settled::Elsewhere })
    }

    /// Begins the transaction that stores: alone among those of one agent, so that what is the same is held once and no
    /// more is held than may be.
    async fn enter(
        &self,
        hold: &Hold,
        inspection: InspectionId,
        codes: &[Mac],
    ) -> Result<Entry, QuarantineError> {
        let tx = self.0.db.begin().await?;
        tx.lock(&format!("quarantine/agent/{}", hold.agent)).await?;
        match repeats::same_content_locked(&tx, &hold.agent, codes).await? {
            Some(first) => Ok(Entry::Repeat(self.repeat(tx, hold, inspection, first).await?)),
            None => Ok(Entry::New(tx)),
        }
    }

    /// The same content again: it is not kept twice, but its inspection and its event are.
    async fn repeat(
        &self,
        tx: Tx,
        hold: &Hold,
        inspection: InspectionId,
        first: QuarantineId,
    ) -> Result<Held, QuarantineError> {
        // Another process that does the same request was faster.
        if first == hold.id {
            return Ok(Held::new(first, false));
        }
        let event = hold.event.clone().on(Target::new(RECORD, first)).with("repeatOf", first.to_string())?;
        if repeats::insert(&tx, &inspection.to_string(), first, self.now()).await? {
            outbox::put(&tx, &event).await?;
            tx.commit().await?;
        }
        Ok(Held::new(first, true))
    }

    async fn within_bounds(&self, tx: &Tx, hold: &Hold, size: i64) -> Result<(), QuarantineError> {
        let config = &self.0.config;
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        let limited = |scope| move |max, unit| QuarantineError::TooManyHolds { scope, max, unit };
        let agent = usage(tx, Scope::Agent(&hold.agent)).await?;
        room(agent, size, config.agent_holds_max, config.agent_bytes_max, limited("agent"))?;
        if let Some(owner) = &hold.owner {
            tx.lock(&format!("quarantine/owner/{owner}")).await?;
            let owner = usage(tx, Scope::Owner(owner)).await?;
            room(owner, size, config.owner_holds_max, u64::MAX, limited("owner"))?;
        }
        let mut all = usage(tx, Scope::All).await?;
        // Far from the bounds stores do not wait for each other.
        let is_near = all.holds.saturating_add(STORES_AT_ONCE) > config.holds_max
            || all.bytes.saturating_add(STORED_AT_ONCE_BYTES) > config.bytes_max;
        if is_near && tx.dialect() == Dialect::Postgres {
            tx.lock("quarantine/all").await?;
            all = usage(tx, Scope::All).await?;
        }
        room(all, size, config.holds_max, config.bytes_max, |max, unit| QuarantineError::Full { max, unit })
    }
}

fn room(
    used: Usage,
    size: u64,
    holds_max: u64,
    bytes_max: u64,
    error: impl Fn(u64, &'static str) -> QuarantineError,
) -> Result<(), QuarantineError> {
    if used.holds >= holds_max {
        Err(error(holds_max, "records"))
    } else if used.bytes.saturating_add(size) > bytes_max {
        Err(error(bytes_max, "bytes"))
    } else {
        Ok(())
    }
}
