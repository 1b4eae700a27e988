//! The keys of one deployment: a root key that stays, and master keys that are exchanged.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use clawexchange_database::keys::{self, Instance, RootKey};
use clawexchange_database::{Database, outbox};
use clawexchange_ssg_core::{
    Actor, AuditEvent, Clock as _, DataKey, EventKind, FaultKind, KeyId, KeyProvider, Mac, MasterKey,
    PortError, SystemClock, Target, fail_point,
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::error::QuarantineError;
use crate::keyring::{KeyRing, named_by_itself};
use crate::masters::MasterKeys;
use crate::seal::random;

/// What the events of keys have as their target.
pub(crate) const KEY: &str = "key";

const ROOT: &[u8] = b"claw/root-key/v1\0";
const PROBE: &[u8] = b"claw/key-probe/v1";

/// The keys of one deployment. Cheap to clone.
///
/// Codes, aliases and the signing key of the log hang on a root key of random bytes, made when the deployment is first
/// used and kept in the database, wrapped by a master key. So a master key can be exchanged: what it wrapped is wrapped
/// anew, and what hangs on the root key stays what it was. The root key stays in memory while the process runs.
///
/// As a [`KeyProvider`] it wraps, unwraps and makes codes with the root key; its [`master`](KeyProvider::master) is the
/// master key that is active, which the database says, for all processes at once.
#[derive(Clone)]
pub struct Keychain(Arc<Inner>);

struct Inner {
    db: Database,
    masters: Box<dyn MasterKeys>,
    roots: KeyRing,
    active: RwLock<KeyId>,
}

impl Keychain {
    /// Opens the keys of the deployment in `db`; its root key is made if there is none yet and `making` says so.
    ///
    /// # Errors
    ///
    /// `Configuration` if the master key is not here or is another, and if there is no root key and none is made.
    pub async fn open(db: Database, masters: impl MasterKeys, making: bool) -> Result<Self, QuarantineError> {
        let mut rows = keys::roots(&db.read()).await?;
        if rows.is_empty() && making {
            make_root(&db, &masters).await?;
            rows = keys::roots(&db.read()).await?;
        }
        let mut roots: Option<KeyRing> = None;
        for row in rows {
            let key = open_root(&masters, &row).await?;
            roots = Some(match roots {
                None => KeyRing::from_master(Some(row.id), key),
                Some(ring) => ring.with(Some(row.id), key)?,
            });
        }
        let roots = roots.ok_or(QuarantineError::KeysUnused)?;
        let active = keys::active(&db.read()).await?;
        let active =
            active.or_else(|| masters.ids().into_iter().next()).ok_or(QuarantineError::KeysUnused)?;
        if !has(&masters, &active).await {
            return Err(QuarantineError::MasterMissing { key: active });
        }
        Ok(Self(Arc::new(Inner { db, masters: Box::new(masters), roots, active: RwLock::new(active) })))
    }

    /// Names of the master keys that are here.
    pub fn masters(&self) -> Vec<KeyId> {
        self.0.masters.ids()
    }

    /// Whether a master key is here, after looking anew if need be.
    pub async fn has(&self, key: &KeyId) -> bool {
        has(&*self.0.masters, key).await
    }

    /// Names of the root keys, the one first that new codes are made with.
    pub fn roots(&self) -> impl Iterator<Item = &KeyId> {
        self.0.roots.ids()
    }

    /// Looks anew which master keys are here and which is active.
    ///
    /// # Errors
    ///
    /// `Configuration` if the one that is active is not here; the one that was goes on to be used.
    pub async fn follow(&self) -> Result<(), QuarantineError> {
        let looked = self.0.masters.refresh().await;
        let Some(active) = keys::active(&self.0.db.read()).await? else { return Ok(()) };
        if active != self.master() {
            if !self.has(&active).await {
                return Err(QuarantineError::MasterMissing { key: active });
            }
            self.set_active(active);
        }
        looked.map_err(|source| QuarantineError::Port { act: "look for master keys", source })
    }

    fn set_active(&self, key: KeyId) {
        *self.0.active.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// Says that this process serves: nothing is activated from here on that it does not have.
    ///
    /// # Errors
    ///
    /// `Configuration` if what is active is not here.
    pub async fn join(&self, id: &str, name: &str) -> Result<(), QuarantineError> {
        // In turn with whoever activates: either they see this process, or it sees what they activated.
        let tx = self.0.db.begin().await?;
        keys::lock(&tx).await?;
        let active = keys::active(&tx).await?.unwrap_or_else(|| self.master());
        if !self.has(&active).await {
            return Err(QuarantineError::MasterMissing { key: active });
        }
        self.set_active(active);
        keys::beat(&tx, &self.instance(id, name)).await?;
        Ok(tx.commit().await?)
    }

    /// What this process says of itself.
    pub fn instance(&self, id: &str, name: &str) -> Instance {
        Instance::new(id, name, self.masters(), self.master())
    }

    /// Processes that serve and do not have a master key.
    pub async fn lagging(&self, key: &KeyId) -> Result<Vec<Instance>, QuarantineError> {
        let mut live = keys::live(&self.0.db.read()).await?;
        live.retain(|instance| !instance.has(key));
        Ok(live)
    }

    /// Processes that serve and do not wrap with a master key yet.
    pub async fn not_using(&self, key: &KeyId) -> Result<Vec<Instance>, QuarantineError> {
        let mut live = keys::live(&self.0.db.read()).await?;
        live.retain(|instance| instance.active != *key);
        Ok(live)
    }

    /// Makes a master key the one that wraps what is new, for all processes, once it was seen to work. `false`: it is
    /// active already.
    ///
    /// # Errors
    ///
    /// `Configuration` if it is not here; `NotAllowed` if it is retired; `Pending` while a process that serves does not
    /// have it.
    pub async fn activate(&self, key: &KeyId, by: &Actor) -> Result<bool, QuarantineError> {
        if !self.has(key).await {
            return Err(QuarantineError::MasterMissing { key: key.clone() });
        }
        // Looked at first, since to see a key at work may take seconds, and whoever waits asks again and again.
        let late = self.lagging(key).await?;
        if !late.is_empty() && keys::active(&self.0.db.read()).await?.as_ref() != Some(key) {
            return Err(QuarantineError::Lagging { key: key.clone(), instances: names(&late) });
        }
        self.prove(key).await?;
        let tx = self.0.db.begin().await?;
        keys::lock(&tx).await?;
        let before = keys::active(&tx).await?;
        if before.as_ref() == Some(key) {
            tx.commit().await?;
            self.set_active(key.clone());
            return Ok(false);
        }
        let mut lagging = keys::live(&tx).await?;
        lagging.retain(|instance| !instance.has(key));
        if !lagging.is_empty() {
            return Err(QuarantineError::Lagging { key: key.clone(), instances: names(&lagging) });
        }
        if !keys::activate(&tx, key).await? {
            return Err(QuarantineError::KeyRetired { key: key.clone() });
        }
        let event = AuditEvent::new(EventKind::KeyActivated, by.clone(), SystemClock::new().now())
            .on(Target::new(KEY, key))
            .with_some("before", before.as_ref().map(KeyId::as_str))?;
        outbox::put(&tx, &event).await?;
        fail_point!("keys.before-activate");
        tx.commit().await?;
        fail_point!("keys.after-activate");
        self.set_active(key.clone());
        Ok(true)
    }

    /// Sees to it that what a master key wraps opens again.
    pub async fn prove(&self, key: &KeyId) -> Result<(), QuarantineError> {
        let mut bytes = random::<32>()?;
        let probe = DataKey::new(bytes);
        bytes.zeroize();
        wrap_and_see(&*self.0.masters, key, PROBE, &probe).await.map(drop)
    }

    /// Root keys that another master key than the active one wraps.
    pub async fn roots_to_rewrap(&self) -> Result<u64, QuarantineError> {
        let active = self.master();
        let rows = keys::roots(&self.0.db.read()).await?;
        Ok(rows.iter().filter(|row| row.master != active).count() as u64)
    }

    /// Wraps the root keys with the active master key, each in a transaction of its own; says how many it were.
    pub async fn rewrap_roots(&self, by: &Actor) -> Result<u64, QuarantineError> {
        let (active, mut done) = (self.master(), 0);
        for row in keys::roots(&self.0.db.read()).await? {
            if row.master == active {
                continue;
            }
            let key = open_root(&*self.0.masters, &row).await?;
            let key = DataKey::new(*key.expose());
            let wrapped = wrap_and_see(&*self.0.masters, &active, &root_context(&row.id), &key).await?;
            let new = RootKey::new(row.id.clone(), wrapped, active.clone());
            let tx = self.0.db.begin().await?;
            keys::lock(&tx).await?;
            if keys::active(&tx).await?.as_ref() != Some(&active) {
                return Err(QuarantineError::KeyNotActive { key: active });
            }
            if !keys::rewrap_root(&tx, &row, &new).await? {
                continue;
            }
            let event = AuditEvent::new(EventKind::KeyRewrapped, by.clone(), SystemClock::new().now())
                .on(Target::new(KEY, &row.id))
                .with("from", row.master.as_str())?
                .with("to", active.as_str())?;
            outbox::put(&tx, &event).await?;
            fail_point!("rewrap.before-root");
            tx.commit().await?;
            fail_point!("rewrap.after-root");
            done += 1;
        }
        Ok(done)
    }
}

async fn has(masters: &dyn MasterKeys, key: &KeyId) -> bool {
    if let Err(error) = masters.look_for(key).await {
        tracing::warn!(code = error.code(), "master keys could not be looked for");
    }
    masters.ids().contains(key)
}

/// The names of processes, for a sentence.
pub(crate) fn names(instances: &[Instance]) -> String {
    let names: Vec<String> = instances.iter().map(|i| format!("{} ({})", i.name, i.id)).collect();
    names.join(", ")
}

/// Wraps a key, and looks whether it comes out again as it went in: what a key is exchanged for must be no less.
pub(crate) async fn wrap_and_see(
    masters: &dyn MasterKeys,
    key: &KeyId,
    context: &[u8],
    data_key: &DataKey,
) -> Result<Vec<u8>, QuarantineError> {
    let wrapped = masters.wrap(key, context, data_key).await.map_err(port("wrap a key"))?;
    let again = masters.unwrap(key, context, &wrapped).await.map_err(port("unwrap a key"))?;
    if bool::from(again.expose().ct_eq(data_key.expose())) {
        Ok(wrapped)
    } else {
        Err(QuarantineError::WrappedKey)
    }
}

fn port(act: &'static str) -> impl FnOnce(PortError) -> QuarantineError {
    move |source| QuarantineError::Port { act, source }
}

fn root_context(id: &KeyId) -> Vec<u8> {
    [ROOT, id.as_str().as_bytes()].concat()
}

/// A root key out of its row.
async fn open_root(masters: &dyn MasterKeys, row: &RootKey) -> Result<MasterKey, QuarantineError> {
    let missing = || QuarantineError::MasterMissing { key: row.master.clone() };
    if !has(masters, &row.master).await {
        return Err(missing());
    }
    let key = match masters.unwrap(&row.master, &root_context(&row.id), &row.wrapped).await {
        Ok(key) => MasterKey::new(*key.expose()).ok().ok_or_else(missing)?,
        // Of this name, and not the one that it was.
        Err(error) if error.kind() == FaultKind::Integrity => return Err(missing()),
        Err(source) => return Err(QuarantineError::Port { act: "unwrap the root key", source }),
    };
    // Whoever keeps master keys elsewhere may not bind what it wraps to a context.
    if row.id.as_str().starts_with(ROOT_NAME) && row.id != root_name(&key) {
        return Err(missing());
    }
    Ok(key)
}

const ROOT_NAME: &str = "rk-";

fn root_name(key: &MasterKey) -> KeyId {
    named_by_itself(ROOT_NAME, key.expose(), 8)
}

/// Makes the root key of a deployment, unless somebody else was faster.
async fn make_root(db: &Database, masters: &dyn MasterKeys) -> Result<(), QuarantineError> {
    let first = masters.ids().into_iter().next().ok_or(QuarantineError::KeysUnused)?;
    let (id, root) = match db.bound_key().await? {
        // Codes were made with the master key itself: it goes on as the root key, and can still be exchanged as a
        // master key.
        Some(bound) => match masters.copy(&bound) {
            Some(key) => (bound, key),
            // It was made since the caller looked, and is bound together with its row.
            None if !keys::roots(&db.read()).await?.is_empty() => return Ok(()),
            None => return Err(QuarantineError::MasterMissing { key: bound }),
        },
        None => {
            let mut bytes = random::<32>()?;
            let root = MasterKey::new(bytes);
            bytes.zeroize();
            let root = root.ok().ok_or(QuarantineError::NoRandomness)?;
            (root_name(&root), root)
        }
    };
    let wrapped = wrap_and_see(masters, &first, &root_context(&id), &DataKey::new(*root.expose())).await?;
    let tx = db.begin().await?;
    keys::lock(&tx).await?;
    if !keys::roots(&tx).await?.is_empty() {
        // Theirs may commit together with this one, and is not to be read before.
        return Ok(tx.commit().await?);
    }
    keys::put_root(&tx, &RootKey::new(id, wrapped, first.clone())).await?;
    if keys::active(&tx).await?.is_none() && !keys::activate(&tx, &first).await? {
        return Err(QuarantineError::KeyRetired { key: first });
    }
    Ok(tx.commit().await?)
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keychain")
            .field("masters", &self.0.masters)
            .field("roots", &self.0.roots)
            .field("active", &self.master())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyProvider for Keychain {
    fn active(&self) -> KeyId {
        self.0.roots.active()
    }

    fn master(&self) -> KeyId {
        self.0.active.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn wrap(&self, key: &KeyId, context: &[u8], data_key: &DataKey) -> Result<Vec<u8>, PortError> {
        if self.0.roots.find(key).is_some() {
            KeyProvider::wrap(&self.0.roots, key, context, data_key).await
        } else {
            self.0.masters.wrap(key, context, data_key).await
        }
    }

    async fn unwrap(&self, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError> {
        if self.0.roots.find(key).is_some() {
            KeyProvider::unwrap(&self.0.roots, key, context, wrapped).await
        } else {
            self.0.masters.unwrap(key, context, wrapped).await
        }
    }

    async fn mac(&self, key: &KeyId, context: &[u8], message: &[u8]) -> Result<Mac, PortError> {
        self.0.roots.mac(key, context, message).await
    }
}
