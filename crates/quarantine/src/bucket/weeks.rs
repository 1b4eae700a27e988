//! Keys of weeks in the bucket, beside what they open: no backup of the database has them, and every process reaches them.

use async_trait::async_trait;
use clawexchange_ssg_core::{KeyId, PortError};

use super::{Over, S3Store};
use crate::error::QuarantineError;
use crate::objects::ROOM;
use crate::week_keys::{WEEK_KEY_BYTES_MAX, WeekKeyStore, is_name};

impl S3Store {
    /// In the room of the objects, so that one right covers both, and under no name that an object has.
    fn week_path(&self, id: &KeyId, act: &'static str) -> Result<String, QuarantineError> {
        if is_name(id) {
            Ok(format!("{}{ROOM}/weeks/{id}", self.config().prefix))
        } else {
            Err(QuarantineError::WeekKeyFile { act, source: std::io::ErrorKind::InvalidInput.into() })
        }
    }
}

/// Where the bucket keeps versions, a key that was put in the place of another leaves it there as one, wrapped by the
/// master key of before; deleting takes all of them.
#[async_trait]
impl WeekKeyStore for S3Store {
    async fn put(&self, id: &KeyId, bytes: Vec<u8>) -> Result<(), PortError> {
        let path = self.week_path(id, "store")?;
        Ok(self.put(&path, bytes, Over::Anything).await.map(drop)?)
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Vec<u8>>, PortError> {
        let path = self.week_path(id, "read")?;
        Ok(self.fetch(&path, WEEK_KEY_BYTES_MAX).await?)
    }

    async fn delete(&self, id: &KeyId) -> Result<(), PortError> {
        let path = self.week_path(id, "destroy")?;
        self.delete_all(vec![path]).await?.pop().unwrap_or(Ok(()))
    }
}
