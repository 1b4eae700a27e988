//! What is asked of a deployment that is only looked at: nothing here makes, locks or writes anything that stays.

use std::fs::{File, TryLockError};
use std::io::Read as _;
use std::path::PathBuf;

use clawexchange_ssg_core::EventId;

use crate::error::PartsError;
use crate::folder::{DataFolder, FolderError};
use crate::parts::Parts;

impl Parts {
    /// Where the generated key of this deployment lies, or would lie. Unlike opening the keys, it makes no folder.
    pub async fn key_path(&self) -> Result<PathBuf, PartsError> {
        let deployment = self.database().await?.deployment().await?;
        let deployment = deployment.ok_or(clawexchange_audit::AuditError::NoSchema)?;
        Ok(self.settings().state_dir.join(format!("{}.key", EventId::from_bytes(deployment))))
    }
}

/// Who serves a data folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "somebody does or nobody does")]
pub enum Serving {
    /// Nobody.
    Nobody,
    /// A process, with its number if it said so.
    Process(Option<u32>),
}

impl DataFolder {
    /// Whether a process serves the folder. It is asked with a shared lock that is given back at once.
    pub fn serving(&self) -> Result<Serving, FolderError> {
        let path = self.path().join("claw.lock");
        let unreadable = |source| FolderError::Unreadable { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Serving::Nobody),
            Err(error) => return Err(unreadable(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Serving::Nobody),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.take(64).read_to_string(&mut holder).map_err(unreadable)?;
                Ok(Serving::Process(holder.trim().parse().ok()))
            }
            Err(TryLockError::Error(error)) => Err(unreadable(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_serves_is_known_and_asking_keeps_nobody_out() {
        let home = tempfile::tempdir().unwrap();
        let folder = DataFolder::created(&home.path().join("data")).unwrap();
        assert_eq!(folder.serving().unwrap(), Serving::Nobody);
        assert!(!folder.path().join("claw.lock").exists(), "asking makes nothing");
        let lock = folder.lock().unwrap();
        assert_eq!(folder.serving().unwrap(), Serving::Process(Some(std::process::id())));
        drop(lock);
        assert_eq!(folder.serving().unwrap(), Serving::Nobody);
        assert!(folder.lock().is_ok());
    }
}
