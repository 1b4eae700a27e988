//! Where sealed bytes lie that are too long for a row: small, and strange to whoever keeps it.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clawexchange_ssg_core::{PortError, QuarantineId, Timestamp};
use zeroize::Zeroizing;

use crate::error::QuarantineError;

pub(crate) mod files;
pub(crate) mod moved;

/// What the names of all objects begin with.
pub(crate) const ROOM: &str = "quarantine";

/// The name of an object: `quarantine/YYYY/MM/DD/<uuid>`, the day in UTC. No object ever takes another's name, and no
/// text that is not exactly of this form is one.
///
/// ```
/// use clawexchange_quarantine::ObjectKey;
/// assert!("quarantine/2027/01/15/019bbd7c-5c00-7000-8000-000000000001".parse::<ObjectKey>().is_ok());
/// assert!("quarantine/2027/01/15/../../../etc/passwd".parse::<ObjectKey>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// A new name for something that is stored at `at`.
    pub fn fresh(at: Timestamp) -> Self {
        let (year, month, day) = at.date();
        Self(format!("{ROOM}/{year:04}/{month:02}/{day:02}/{}", QuarantineId::fresh()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectKey {
    type Err = QuarantineError;

    fn from_str(text: &str) -> Result<Self, QuarantineError> {
        let mut parts = text.split('/');
        let mut next = || parts.next().unwrap_or_default();
        let digits =
            |part: &str, count: usize| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
        let named = next() == ROOM
            && digits(next(), 4)
            && digits(next(), 2)
            && digits(next(), 2)
            && is_own_name(next())
            && parts.next().is_none();
        if named { Ok(Self(text.to_owned())) } else { Err(QuarantineError::ObjectKey) }
    }
}

/// A UUID in its one spelling: lower case, with hyphens.
fn is_own_name(text: &str) -> bool {
    text.parse::<QuarantineId>().is_ok_and(|id| id.to_string() == text)
}

/// What became of an object that should be new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PutOutcome {
    /// It is there, whole, and survives a crash.
    Created,
    /// Another was there under this name, and still is.
    Taken,
}

/// Keeps bytes by name. What it keeps is sealed, so it need not be trusted with more than keeping it.
///
/// An implementer runs [`object_store_conforms`].
#[async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync + 'static {
    /// `async fn put_new(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<PutOutcome, PortError>`
    ///
    /// Stores bytes under a name that has none, whole or not at all; `Created` means that they survive a crash.
    async fn put_new(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<PutOutcome, PortError>;

    /// `async fn get(&self, key: &ObjectKey, bytes_max: u64) -> Result<Option<Vec<u8>>, PortError>`
    ///
    /// The bytes of a name, `None` if it has none; more than `bytes_max` are never read and are a `TooLarge` fault.
    async fn get(&self, key: &ObjectKey, bytes_max: u64) -> Result<Option<Vec<u8>>, PortError>;

    /// `async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<(), PortError>>`
    ///
    /// One answer a name, in their order; a name that has no bytes is deleted already.
    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<(), PortError>>;

    /// `async fn list(&self, after: Option<&ObjectKey>, at_most: usize) -> Result<Vec<ObjectKey>, PortError>`
    ///
    /// Names in their order, beginning after one.
    async fn list(&self, after: Option<&ObjectKey>, at_most: usize) -> Result<Vec<ObjectKey>, PortError>;

    /// `async fn tidy(&self, before: Timestamp) -> Result<u64, PortError>`
    ///
    /// Removes what stores that were cut short before that moment left half-written, and says how much it was.
    async fn tidy(&self, before: Timestamp) -> Result<u64, PortError>;

    /// `async fn ciphertext_link(&self, key: &ObjectKey, lasting: Duration) -> Result<Option<Zeroizing<String>>, PortError>`
    ///
    /// A link at which whoever has it gets the sealed bytes for a while, at most 15 minutes; `None` where there is no
    /// such thing, which is so unless a store says otherwise.
    async fn ciphertext_link(
        &self,
        key: &ObjectKey,
        lasting: Duration,
    ) -> Result<Option<Zeroizing<String>>, PortError> {
        let (_, _) = (key, lasting);
        Ok(None)
    }
}

macro_rules! forward_object_store {
    ($($pointer:ident)*) => { $(
        #[async_trait]
        impl<T: ObjectStore + ?Sized> ObjectStore for $pointer<T> {
            async fn put_new(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<PutOutcome, PortError> {
                (**self).put_new(key, bytes).await
            }

            async fn get(&self, key: &ObjectKey, bytes_max: u64) -> Result<Option<Vec<u8>>, PortError> {
                (**self).get(key, bytes_max).await
            }

            async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<(), PortError>> {
                (**self).delete(keys).await
            }

            async fn list(&self, after: Option<&ObjectKey>, at_most: usize) -> Result<Vec<ObjectKey>, PortError> {
                (**self).list(after, at_most).await
            }

            async fn tidy(&self, before: Timestamp) -> Result<u64, PortError> {
                (**self).tidy(before).await
            }

            async fn ciphertext_link(
                &self,
                key: &ObjectKey,
                lasting: Duration,
            ) -> Result<Option<Zeroizing<String>>, PortError> {
                (**self).ciphertext_link(key, lasting).await
            }
        }
    )* };
}

forward_object_store! { Arc Box }

/// What every [`ObjectStore`] must do. `fresh` gives an empty one each time.
///
/// # Panics
///
/// Where the store does not do it, as a test does.
#[expect(clippy::panic, reason = "a suite fails by panicking, as every test does")]
pub async fn object_store_conforms<S: ObjectStore, F: Future<Output = S>>(fresh: impl Fn() -> F) {
    fn got<T>(what: &str, result: Result<T, PortError>) -> T {
        result.unwrap_or_else(|error| panic!("{what}: {error} ({})", error.code()))
    }
    let (day, next_day) =
        (Timestamp::from_micros(1_800_000_000_000_000), Timestamp::from_micros(1_800_086_400_000_000));
    let store = fresh().await;
    let (key, later) = (ObjectKey::fresh(day), ObjectKey::fresh(next_day));
    assert_eq!(got("get of nothing", store.get(&key, 10).await), None, "what was never stored is not there");
    assert!(got("list of nothing", store.list(None, 10).await).is_empty());
    assert_eq!(got("put", store.put_new(&key, b"one".to_vec()).await), PutOutcome::Created);
    assert_eq!(got("get", store.get(&key, 3).await).as_deref(), Some(&b"one"[..]));
    let again = got("put over", store.put_new(&key, b"two".to_vec()).await);
    assert_eq!(again, PutOutcome::Taken, "a name that is taken is said to be");
    let kept = got("get after put over", store.get(&key, 3).await);
    assert_eq!(kept.as_deref(), Some(&b"one"[..]), "what is there is never replaced");
    assert!(store.get(&key, 2).await.is_err(), "more than asked for is never read");
    let large = vec![7; 300_000];
    got("put large", store.put_new(&later, large.clone()).await);
    assert!(
        got("get large", store.get(&later, 300_000).await) == Some(large),
        "bytes come back as they were"
    );
    let middle = ObjectKey::fresh(day);
    got("put empty", store.put_new(&middle, Vec::new()).await);
    let mut all = vec![key.clone(), middle, later.clone()];
    all.sort();
    assert_eq!(got("list", store.list(None, 10).await), all, "names come in their order");
    let mut paged: Vec<ObjectKey> = Vec::new();
    for _ in 0..4 {
        paged.extend(got("list a page", store.list(paged.last(), 1).await));
    }
    assert_eq!(paged, all, "page by page they are the same");
    assert_eq!(
        got("tidy", store.tidy(Timestamp::from_micros(i64::MAX)).await),
        0,
        "whole objects are left alone"
    );
    let gone = ObjectKey::fresh(day);
    let answers = store.delete(&[key.clone(), gone, later.clone()]).await;
    assert_eq!(answers.len(), 3, "one answer a name");
    assert!(answers.iter().all(Result::is_ok), "a name without bytes is deleted already");
    assert_eq!(got("get deleted", store.get(&key, 3).await), None);
    assert_eq!(got("list the rest", store.list(None, 10).await).len(), 1);
    assert_eq!(got("put again", store.put_new(&later, b"three".to_vec()).await), PutOutcome::Created);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_not_a_name() {
        let good = ObjectKey::fresh(Timestamp::from_micros(1_800_000_000_000_000));
        assert!(good.as_str().starts_with("quarantine/2027/01/15/"), "{good}");
        assert_eq!(good.as_str().parse::<ObjectKey>().unwrap(), good);
        let id = "019bbd7c-5c00-7000-8000-000000000001";
        for bad in [
            String::new(),
            "/".to_owned(),
            format!("quarantine/2027/01/15/{id}/"),
            format!("/quarantine/2027/01/15/{id}"),
            format!("quarantine//01/15/{id}"),
            format!("quarantine/2027/../15/{id}"),
            format!("quarantine/2027/01/15/../{id}"),
            format!("quarantine/2027/01/15/{id}\0"),
            format!("quarantine/2027/01/15/{}", id.to_uppercase()),
            format!("quarantine/2027/01/15/{}", id.replace('-', "")),
            format!("quarantine/2027/01/15/{{{id}}}"),
            format!("quarantine/27/01/15/{id}"),
            format!("quarantine\\2027/01/15/{id}"),
            format!("quarantine/٢٠٢٧/01/15/{id}"),
            format!("other/2027/01/15/{id}"),
        ] {
            assert!(bad.parse::<ObjectKey>().is_err(), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_a_name_stays_below_its_root(text in "[quarantie0-9/.\\\\-]{0,80}") {
            if let Ok(key) = text.parse::<ObjectKey>() {
                let path = std::path::Path::new(key.as_str());
                proptest::prop_assert!(path.is_relative());
                proptest::prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
            }
        }
    }
}
