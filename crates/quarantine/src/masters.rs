//! Who keeps master keys: a ring in memory, a file that is read anew, a command.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use clawexchange_ssg_core::{DataKey, KeyId, KeyProvider, MasterKey, PortError};

use crate::error::QuarantineError;
use crate::keyring::KeyRing;

/// Keeps master keys by name, and wraps and unwraps other keys with them.
///
/// Few keys are wrapped by master keys, and whoever asks remembers what it was given for a while, so an answer may take
/// some seconds.
#[async_trait]
pub trait MasterKeys: fmt::Debug + Send + Sync + 'static {
    /// Names of the keys that were there when it was last looked; first the one that a new deployment begins with.
    fn ids(&self) -> Vec<KeyId>;

    /// `async fn refresh(&self) -> Result<(), PortError>`
    ///
    /// Looks anew which keys there are. Where that is costly, not each time that it is asked.
    async fn refresh(&self) -> Result<(), PortError>;

    /// `async fn look_for(&self, key: &KeyId) -> Result<(), PortError>`
    ///
    /// The same for the sake of a key that is wanted and was not there.
    async fn look_for(&self, key: &KeyId) -> Result<(), PortError> {
        if self.ids().contains(key) { Ok(()) } else { self.refresh().await }
    }

    /// `async fn wrap(&self, key: &KeyId, context: &[u8], data_key: &DataKey) -> Result<Vec<u8>, PortError>`
    ///
    /// Seals a key.
    async fn wrap(&self, key: &KeyId, context: &[u8], data_key: &DataKey) -> Result<Vec<u8>, PortError>;

    /// `async fn unwrap(&self, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError>`
    ///
    /// Opens what `wrap` sealed; anything else is an `Integrity` fault, a key that is not here a `Configuration` fault.
    async fn unwrap(&self, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError>;

    /// The key itself, where its bytes are here.
    fn copy(&self, _key: &KeyId) -> Option<MasterKey> {
        None
    }
}

#[async_trait]
impl MasterKeys for KeyRing {
    fn ids(&self) -> Vec<KeyId> {
        Self::ids(self).cloned().collect()
    }

    async fn refresh(&self) -> Result<(), PortError> {
        Ok(())
    }

    async fn wrap(&self, key: &KeyId, context: &[u8], data_key: &DataKey) -> Result<Vec<u8>, PortError> {
        KeyProvider::wrap(self, key, context, data_key).await
    }

    async fn unwrap(&self, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError> {
        KeyProvider::unwrap(self, key, context, wrapped).await
    }

    fn copy(&self, key: &KeyId) -> Option<MasterKey> {
        self.find(key).cloned()
    }
}

/// A key file that is read anew: each time that it is looked, and when a key is asked for that was not in it.
///
/// A file that cannot be read takes no key away that was read before.
pub struct KeyFile {
    path: PathBuf,
    ring: RwLock<Arc<KeyRing>>,
}

impl KeyFile {
    /// Reads the file for the first time.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, QuarantineError> {
        let path = path.into();
        let ring = KeyRing::read_file(&path)?;
        Ok(Self { path, ring: RwLock::new(Arc::new(ring)) })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read(&self) -> Result<(), QuarantineError> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || KeyRing::read_file(&path)).await;
        let ring = read.ok().ok_or(QuarantineError::Stopped)??;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }

    /// The ring, read anew if it does not have the key.
    async fn with(&self, key: &KeyId) -> Result<Arc<KeyRing>, PortError> {
        if self.ring().find(key).is_none() {
            self.read().await?;
        }
        Ok(self.ring())
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).field("ring", &self.ring()).finish()
    }
}

#[async_trait]
impl MasterKeys for KeyFile {
    fn ids(&self) -> Vec<KeyId> {
        self.ring().ids().cloned().collect()
    }

    async fn refresh(&self) -> Result<(), PortError> {
        Ok(self.read().await?)
    }

    async fn wrap(&self, key: &KeyId, context: &[u8], data_key: &DataKey) -> Result<Vec<u8>, PortError> {
        KeyProvider::wrap(&*self.with(key).await?, key, context, data_key).await
    }

    async fn unwrap(&self, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError> {
        KeyProvider::unwrap(&*self.with(key).await?, key, context, wrapped).await
    }

    fn copy(&self, key: &KeyId) -> Option<MasterKey> {
        self.ring().find(key).cloned()
    }
}
