//! Objects of an older deployment beside those of today.

use std::time::Duration;

use async_trait::async_trait;
use clawexchange_ssg_core::{PortError, Timestamp};
use zeroize::Zeroizing;

use super::{ObjectKey, ObjectStore, PutOutcome};

/// Stores in one place, and still reads, lists and deletes what lies in another: for a deployment that has moved.
#[derive(Debug)]
pub struct MovedStore {
    today: Box<dyn ObjectStore>,
    before: Box<dyn ObjectStore>,
}

impl MovedStore {
    /// What is new goes into `today`; what is in `before` is read until it is gone.
    pub fn new(today: impl ObjectStore, before: impl ObjectStore) -> Self {
        Self { today: Box::new(today), before: Box::new(before) }
    }
}

#[async_trait]
impl ObjectStore for MovedStore {
    async fn put_new(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<PutOutcome, PortError> {
        match self.before.get(key, 0).await {
            Ok(None) => self.today.put_new(key, bytes).await,
            Ok(Some(_)) => Ok(PutOutcome::Taken),
            Err(error) if error.kind() == clawexchange_ssg_core::FaultKind::TooLarge => Ok(PutOutcome::Taken),
            Err(error) => Err(error),
        }
    }

    async fn get(&self, key: &ObjectKey, bytes_max: u64) -> Result<Option<Vec<u8>>, PortError> {
        match self.before.get(key, bytes_max).await? {
            Some(bytes) => Ok(Some(bytes)),
            None => self.today.get(key, bytes_max).await,
        }
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<(), PortError>> {
        let (today, before) = (self.today.delete(keys).await, self.before.delete(keys).await);
        // Gone is what is gone from both.
        today.into_iter().zip(before).map(|(today, before)| today.and(before)).collect()
    }

    async fn list(&self, after: Option<&ObjectKey>, at_most: usize) -> Result<Vec<ObjectKey>, PortError> {
        let mut names = self.today.list(after, at_most).await?;
        names.extend(self.before.list(after, at_most).await?);
        names.sort_unstable();
        names.dedup();
        names.truncate(at_most);
        Ok(names)
    }

    async fn tidy(&self, before: Timestamp) -> Result<u64, PortError> {
        Ok(self.today.tidy(before).await? + self.before.tidy(before).await?)
    }

    async fn ciphertext_link(
        &self,
        key: &ObjectKey,
        lasting: Duration,
    ) -> Result<Option<Zeroizing<String>>, PortError> {
        match self.before.get(key, 0).await {
            Ok(None) => self.today.ciphertext_link(key, lasting).await,
            _ => self.before.ciphertext_link(key, lasting).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::FileStore;
    use super::super::object_store_conforms;
    use super::*;

    fn day(n: i64) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000 + n * 86_400_000_000)
    }

    #[tokio::test]
    async fn two_places_are_one_object_store() {
        let folder = tempfile::tempdir().unwrap();
        let place =
            || FileStore::new(folder.path().join(clawexchange_ssg_core::EventId::fresh().to_string()));
        object_store_conforms(|| async { MovedStore::new(place(), place()) }).await;
    }

    #[tokio::test]
    async fn what_lay_in_the_old_place_is_read_listed_and_deleted_and_nothing_new_goes_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| FileStore::new(folder.path().join(name));
        let (old, new) = (ObjectKey::fresh(day(0)), ObjectKey::fresh(day(1)));
        place("before").put_new(&old, b"old".to_vec()).await.unwrap();
        let store = MovedStore::new(place("today"), place("before"));
        store.put_new(&new, b"new".to_vec()).await.unwrap();
        assert_eq!(store.put_new(&old, b"x".to_vec()).await.unwrap(), PutOutcome::Taken);
        assert_eq!(place("before").list(None, 10).await.unwrap(), std::slice::from_ref(&old));
        assert_eq!(store.get(&old, 10).await.unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(store.get(&new, 10).await.unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!(store.list(None, 10).await.unwrap(), [old.clone(), new.clone()]);
        assert_eq!(store.list(None, 1).await.unwrap(), std::slice::from_ref(&old));
        assert_eq!(store.list(Some(&old), 1).await.unwrap(), std::slice::from_ref(&new));
        assert!(store.delete(&[old, new]).await.iter().all(Result::is_ok));
        assert!(store.list(None, 10).await.unwrap().is_empty());
        assert!(place("before").list(None, 10).await.unwrap().is_empty());
    }
}
