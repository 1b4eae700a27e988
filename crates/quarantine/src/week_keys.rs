//! Keys of weeks: one wraps the data keys of what was held in a week, so that destroying it destroys every copy of them.
//!
//! A data key is a row, and a row lives on in every backup of the database. So what wraps it lies elsewhere, in a
//! [`WeekKeyStore`], and is destroyed there when nothing needs it any more.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use clawexchange_ssg_core::{EventId, KEY_BYTES, KeyId, PortError, Timestamp};
use rustix::fs::OFlags;

use crate::error::QuarantineError;
use crate::keyring::named_by_itself;

/// A wrapped key of a week is some hundred bytes, with a key service some thousand.
pub const WEEK_KEY_BYTES_MAX: u64 = 8 << 10;

const DAY_MICROS: i64 = 86_400_000_000;
const NAME: &str = "wk-";

/// Monday, 00:00 UTC, of the week in which `at` is.
pub(crate) fn week_of(at: Timestamp) -> i64 {
    let day = at.as_micros().div_euclid(DAY_MICROS);
    // 1970 began on a Thursday.
    (day - (day + 3).rem_euclid(7)) * DAY_MICROS
}

/// The end of the week that begins at `week`.
pub(crate) const fn end_of(week: i64) -> Timestamp {
    Timestamp::from_micros(week + 7 * DAY_MICROS)
}

/// The name of a week's key: its Monday, and a code of the key itself, so that no other key is taken for it.
pub(crate) fn name_of(week: i64, key: &[u8; KEY_BYTES]) -> KeyId {
    let (year, month, day) = Timestamp::from_micros(week).date();
    named_by_itself(&format!("{NAME}{year:04}-{month:02}-{day:02}-"), key, 8)
}

/// Whether a text is the name of a week's key: only such a one is ever the name of a file.
pub(crate) fn is_name(id: &KeyId) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    id.as_str().starts_with(NAME) && id.as_str().chars().all(is_plain)
}

const MAGIC: &[u8] = b"SSGW\x01";

/// A week's key as it is kept: by which master key it is wrapped, and itself, wrapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    pub(crate) master: KeyId,
    pub(crate) wrapped: Vec<u8>,
}

impl Kept {
    /// `SSGW`, 1, the length of the name as a byte, the name, the wrapped key.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let name = self.master.as_str().as_bytes();
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        [MAGIC, &[length], name, &self.wrapped].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.strip_prefix(MAGIC)?.split_first()?;
        let (name, wrapped) = rest.split_at_checked(usize::from(*length))?;
        let master = KeyId::new(std::str::from_utf8(name).ok()?).ok()?;
        Some(Self { master, wrapped: wrapped.to_vec() })
    }
}

/// Keeps wrapped keys of weeks, outside the database and what is backed up with it. What it deletes must be gone: no
/// version, no copy.
///
/// Few and small: one for each week in which something is still held. What it keeps opens nothing without a master key.
/// An implementer runs [`week_key_store_conforms`].
#[async_trait]
pub trait WeekKeyStore: fmt::Debug + Send + Sync + 'static {
    /// `async fn put(&self, id: &KeyId, bytes: Vec<u8>) -> Result<(), PortError>`
    ///
    /// Stores bytes under a name, whole or not at all, in the place of what was there; they survive a crash.
    async fn put(&self, id: &KeyId, bytes: Vec<u8>) -> Result<(), PortError>;

    /// `async fn get(&self, id: &KeyId) -> Result<Option<Vec<u8>>, PortError>`
    ///
    /// The bytes of a name, `None` if it has none; never more than [`WEEK_KEY_BYTES_MAX`].
    async fn get(&self, id: &KeyId) -> Result<Option<Vec<u8>>, PortError>;

    /// `async fn delete(&self, id: &KeyId) -> Result<(), PortError>`
    ///
    /// Deletes; a name that has no bytes is deleted already.
    async fn delete(&self, id: &KeyId) -> Result<(), PortError>;
}

#[async_trait]
impl<T: WeekKeyStore + ?Sized> WeekKeyStore for Arc<T> {
    async fn put(&self, id: &KeyId, bytes: Vec<u8>) -> Result<(), PortError> {
        (**self).put(id, bytes).await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Vec<u8>>, PortError> {
        (**self).get(id).await
    }

    async fn delete(&self, id: &KeyId) -> Result<(), PortError> {
        (**self).delete(id).await
    }
}

/// What every [`WeekKeyStore`] does.
///
/// # Panics
///
/// Where one does not.
pub async fn week_key_store_conforms(store: impl WeekKeyStore) {
    #![expect(clippy::expect_used, reason = "who does not conform fails here")]
    let (one, other) = (name_of(0, &[1; KEY_BYTES]), name_of(0, &[2; KEY_BYTES]));
    assert_eq!(store.get(&one).await.expect("get"), None, "nothing is there at first");
    store.delete(&one).await.expect("what is not there is deleted already");
    store.put(&one, vec![1; 100]).await.expect("put");
    store.put(&other, vec![2; 200]).await.expect("put");
    store.put(&one, vec![3; 50]).await.expect("put in the place of what was there");
    assert_eq!(store.get(&one).await.expect("get"), Some(vec![3; 50]));
    store.delete(&one).await.expect("delete");
    assert_eq!(store.get(&one).await.expect("get"), None, "what was deleted is gone");
    assert_eq!(store.get(&other).await.expect("get"), Some(vec![2; 200]), "and nothing else is");
    store.delete(&other).await.expect("delete");
}

/// Keeps wrapped keys of weeks as files of one folder, readable by their owner only.
///
/// A file that is deleted is overwritten first, which helps on disks that write in place; elsewhere, as on flash and on
/// file systems that copy on write, what lay there may be found until the disk reuses it. Snapshots and backups must leave
/// the folder out.
#[derive(Clone, Debug)]
pub struct WeekKeyFiles {
    folder: PathBuf,
}

impl WeekKeyFiles {
    /// Files in `folder`, which is made when something is stored.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    async fn aside<T: Send + 'static>(
        &self,
        act: &'static str,
        id: &KeyId,
        work: impl FnOnce(&Path, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        if !is_name(id) {
            return Err(QuarantineError::WeekKeyFile { act, source: ErrorKind::InvalidInput.into() }.into());
        }
        let (folder, path) = (self.folder.clone(), self.folder.join(id.as_str()));
        let done = tokio::task::spawn_blocking(move || work(&folder, &path)).await;
        let done = done.ok().ok_or(QuarantineError::Stopped)?;
        Ok(done.map_err(|source| QuarantineError::WeekKeyFile { act, source })?)
    }
}

#[async_trait]
impl WeekKeyStore for WeekKeyFiles {
    async fn put(&self, id: &KeyId, bytes: Vec<u8>) -> Result<(), PortError> {
        self.aside("store", id, move |folder, path| put(folder, path, &bytes)).await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Vec<u8>>, PortError> {
        self.aside("read", id, |_, path| get(path)).await
    }

    async fn delete(&self, id: &KeyId) -> Result<(), PortError> {
        self.aside("destroy", id, delete).await
    }
}

fn put(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = folder.join(format!(".{}.part", EventId::fresh()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

fn get(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // Whoever could put a link here could show us another file as ours.
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = match OpenOptions::new().read(true).custom_flags(no_link).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    file.take(WEEK_KEY_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn delete(folder: &Path, path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let length = usize::try_from(file.metadata()?.len().min(WEEK_KEY_BYTES_MAX)).unwrap_or(0);
    file.write_all(&vec![0; length])?;
    file.sync_all()?;
    fs::remove_file(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_keep_keys_of_weeks_and_are_not_open_to_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let store = WeekKeyFiles::new(folder.path().join("weeks"));
        week_key_store_conforms(store.clone()).await;
        let id = name_of(0, &[1; KEY_BYTES]);
        store.put(&id, vec![1]).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(store.folder()), mode(&store.folder().join(id.as_str()))), (0o700, 0o600));
        for hostile in ["..", "wk-../../x", "wk-A", "other"] {
            if let Ok(id) = KeyId::new(hostile) {
                assert!(store.get(&id).await.is_err(), "{hostile} is no name of a file");
            }
        }
    }

    #[test]
    fn a_week_begins_on_monday() {
        let at = |text: &str| week_of(text.parse().unwrap());
        let monday: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        for (text, is_in) in [
            ("2026-11-22T23:59:59.999999Z", false),
            ("2026-11-23T00:00:00Z", true),
            ("2026-11-29T23:59:59.999999Z", true),
            ("2026-11-30T00:00:00Z", false),
        ] {
            assert_eq!(at(text) == monday.as_micros(), is_in, "{text}");
        }
        assert!(name_of(monday.as_micros(), &[1; 32]).as_str().starts_with("wk-2026-11-23-"));
        assert_eq!(end_of(monday.as_micros()), "2026-11-30T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn what_is_kept_is_read_back_and_nothing_else() {
        let kept = Kept { master: KeyId::new("mk-1").unwrap(), wrapped: vec![7; 73] };
        assert_eq!(Kept::decode(&kept.encode()), Some(kept));
        for bad in [&b""[..], b"SSGW", b"SSGW\x01", b"SSGW\x02\x01k", b"SSGW\x01\x09k", b"SSGW\x01\x01/"] {
            assert_eq!(Kept::decode(bad), None, "{bad:?}");
        }
    }
}
