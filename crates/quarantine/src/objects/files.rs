//! Objects as files below one folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use clawexchange_ssg_core::{EventId, PortError, Timestamp};
use rustix::fs::OFlags;

use super::{ObjectKey, ObjectStore, PutOutcome};
use crate::error::QuarantineError;

/// Keeps objects as files, readable by their owner only: the folder `root`, and below it the object's name.
///
/// A file is written under a name of its own in the folder where it will be, synced, and then linked to its name,
/// which replaces nothing; then the folder is synced. So a name has its bytes whole, or has none, whenever the machine
/// stops. Folders are made as they are needed.
#[derive(Clone, Debug)]
pub struct FileStore {
    root: PathBuf,
}

/// What half-written files are called, after a random name.
const DRAFT: &str = ".part";

impl FileStore {
    /// Objects below `root`, which need not be there yet. Nothing is touched before something is stored.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }
}

#[async_trait]
impl ObjectStore for FileStore {
    async fn put_new(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<PutOutcome, PortError> {
        let (root, path) = (self.root.clone(), self.path(key));
        aside("store", move || put(&root, &path, &bytes)).await
    }

    async fn get(&self, key: &ObjectKey, bytes_max: u64) -> Result<Option<Vec<u8>>, PortError> {
        let path = self.path(key);
        match aside("read", move || read(&path, bytes_max)).await? {
            Found::Nothing => Ok(None),
            Found::Bytes(bytes) => Ok(Some(bytes)),
            Found::TooMany => Err(QuarantineError::TooLarge { max: bytes_max }.into()),
        }
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<(), PortError>> {
        let mut answers = Vec::with_capacity(keys.len());
        for key in keys {
            let path = self.path(key);
            answers.push(aside("delete", move || remove(&path)).await);
        }
        answers
    }

    async fn list(&self, after: Option<&ObjectKey>, at_most: usize) -> Result<Vec<ObjectKey>, PortError> {
        let (root, after) = (self.root.clone(), after.cloned());
        aside("list", move || {
            let mut names = Vec::new();
            walk(&root, &mut |name, _| {
                if let Ok(key) = name.parse::<ObjectKey>()
                    && after.as_ref().is_none_or(|after| key > *after)
                {
                    names.push(key);
                }
                Ok(names.len() < at_most)
            })?;
            Ok(names)
        })
        .await
    }

    async fn tidy(&self, before: Timestamp) -> Result<u64, PortError> {
        let root = self.root.clone();
        aside("tidy", move || {
            let mut removed = 0;
            walk(&root, &mut |name, path| {
                if name.ends_with(DRAFT) && changed(path)?.is_none_or(|at| at < before) {
                    remove(path)?;
                    removed += 1;
                }
                Ok(true)
            })?;
            Ok(removed)
        })
        .await
    }
}

/// Runs what waits for the disk where it holds nobody up, and sorts what went wrong.
async fn aside<T: Send + 'static>(
    act: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, PortError> {
    let done = tokio::task::spawn_blocking(work).await.ok().ok_or(QuarantineError::Stopped)?;
    Ok(done.map_err(|source| match source.kind() {
        ErrorKind::PermissionDenied => QuarantineError::ObjectsDenied { act, source },
        _ => QuarantineError::Objects { act, source },
    })?)
}

fn put(root: &Path, path: &Path, bytes: &[u8]) -> io::Result<PutOutcome> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    make_folders(root, folder)?;
    let draft = folder.join(format!(".{}{DRAFT}", EventId::fresh()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // A link, unlike a rename, never replaces what is there.
        fs::hard_link(&draft, path)
    })();
    let tidied = remove(&draft);
    match written {
        Ok(()) => {
            tidied?;
            File::open(folder)?.sync_all()?;
            Ok(PutOutcome::Created)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(PutOutcome::Taken),
        Err(e) => Err(e),
    }
}

/// Makes `folder` and what is missing above it, down from `root`; each is on the disk before anything lies in it.
fn make_folders(root: &Path, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent()
        && folder != root
    {
        make_folders(root, above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    match folder.parent() {
        Some(above) if !above.as_os_str().is_empty() => File::open(above)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

enum Found {
    Nothing,
    Bytes(Vec<u8>),
    TooMany,
}

fn read(path: &Path, bytes_max: u64) -> io::Result<Found> {
    // Whoever could put a link here could show us another file as ours.
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = match OpenOptions::new().read(true).custom_flags(no_link).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(if length > bytes_max { Found::TooMany } else { Found::Bytes(bytes) })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn changed(path: &Path) -> io::Result<Option<Timestamp>> {
    let at = match fs::symlink_metadata(path).and_then(|about| about.modified()) {
        Ok(at) => at,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Some(Timestamp::UNIX_EPOCH.plus(since)))
}

/// Year, month and day below the folder of all objects.
const LEVELS: usize = 3;

/// Shows `each` the files of all days in the order of their names, until it has seen enough.
fn walk(root: &Path, each: &mut impl FnMut(&str, &Path) -> io::Result<bool>) -> io::Result<()> {
    descend(&root.join(super::ROOM), super::ROOM, LEVELS, each).map(drop)
}

fn descend(
    folder: &Path,
    name: &str,
    levels: usize,
    each: &mut impl FnMut(&str, &Path) -> io::Result<bool>,
) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(e),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        // What is not named as ours is not ours.
        if let Ok(own) = entry.file_name().into_string()
            && entry.file_type()?.is_dir() == (levels > 0)
        {
            names.push(own);
        }
    }
    names.sort_unstable();
    for own in names {
        let (path, name) = (folder.join(&own), format!("{name}/{own}"));
        let go_on = match levels.checked_sub(1) {
            Some(levels) => descend(&path, &name, levels, each)?,
            None => each(&name, &path)?,
        };
        if !go_on {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clawexchange_ssg_core::FaultKind;

    use super::super::object_store_conforms;
    use super::*;

    fn day() -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000)
    }

    #[tokio::test]
    async fn files_are_an_object_store() {
        let folder = tempfile::tempdir().unwrap();
        object_store_conforms(|| async { FileStore::new(folder.path().join(EventId::fresh().to_string())) })
            .await;
    }

    #[tokio::test]
    async fn nobody_else_can_read_what_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("objects"));
        let key = ObjectKey::fresh(day());
        store.put_new(&key, b"sealed".to_vec()).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let mut path = store.path(&key);
        assert_eq!(mode(&path), 0o600);
        while path != store.root() {
            path = path.parent().unwrap().to_owned();
            assert_eq!(mode(&path), 0o700, "{}", path.display());
        }
    }

    #[tokio::test]
    async fn a_draft_that_a_crash_left_is_no_object_and_is_tidied_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        let key = ObjectKey::fresh(day());
        store.put_new(&key, b"sealed".to_vec()).await.unwrap();
        let draft = store.path(&key).with_file_name(".019bbd7c-5c00-7000-8000-000000000001.part");
        fs::write(&draft, b"half").unwrap();
        assert_eq!(store.list(None, 10).await.unwrap(), [key]);
        assert_eq!(store.tidy(Timestamp::UNIX_EPOCH).await.unwrap(), 0, "it may still be being written");
        assert_eq!(store.tidy(Timestamp::from_micros(i64::MAX)).await.unwrap(), 1);
        assert!(!draft.exists());
    }

    #[tokio::test]
    async fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        let (key, elsewhere) = (ObjectKey::fresh(day()), folder.path().join("secret"));
        store.put_new(&key, b"sealed".to_vec()).await.unwrap();
        fs::write(&elsewhere, b"secret").unwrap();
        fs::remove_file(store.path(&key)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, store.path(&key)).unwrap();
        let error = store.get(&key, 100).await.unwrap_err();
        assert_eq!(error.kind(), FaultKind::Unavailable);
    }

    #[tokio::test]
    async fn a_full_disk_and_a_folder_of_somebody_else_are_told_apart() {
        for (kind, code, is_transient) in [
            (ErrorKind::StorageFull, "quarantine/objects", true),
            (ErrorKind::ReadOnlyFilesystem, "quarantine/objects", true),
            (ErrorKind::PermissionDenied, "quarantine/objects-denied", false),
        ] {
            let error = aside::<()>("store", move || Err(kind.into())).await.unwrap_err();
            assert_eq!((error.code(), error.kind()), (code, FaultKind::Unavailable));
            assert_eq!(error.is_transient(), is_transient, "{kind}");
            assert!(error.hint().is_some(), "{kind}");
        }
    }

    #[tokio::test]
    async fn a_place_that_is_no_folder_is_away_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("objects"), b"a file").unwrap();
        let store = FileStore::new(folder.path().join("objects"));
        let error = store.put_new(&ObjectKey::fresh(day()), Vec::new()).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("quarantine/objects", FaultKind::Unavailable));
    }
}
