//! The journal: what was admitted, written down before it is answered.

pub(crate) mod frame;
mod keeper;
pub(crate) mod record;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::frame::{Frames, HEADER_BYTES, Next, VERSION};
pub(crate) use self::keeper::{Bell, Keeper};
use self::record::Record;
use crate::error::LimitError;

/// A journal below this size is not written anew: it is read in milliseconds.
const COMPACT_BYTES_MIN: u64 = 4 << 20;

/// A journal is written anew when it is so many times as large as when it was last written.
const COMPACT_GROWTH: u64 = 4;

/// How often a file that another process replaced while it was opened is opened again.
const OPEN_TRIES: usize = 8;

/// A journal that this process writes and no other.
pub(crate) struct Journal {
    path: PathBuf,
    bytes_max: u64,
    writer: Mutex<Writer>,
    /// Held while a copy is made: one at a time.
    copying: Mutex<()>,
    bell: Arc<Bell>,
}

struct Writer {
    file: Arc<File>,
    len: u64,
    number: u32,
    /// Its length when it was last written anew.
    written: u64,
    frame: Vec<u8>,
    record: Vec<u8>,
    /// Records since a copy was begun, which the copy needs, too.
    mirror: Option<Vec<Box<[u8]>>>,
    is_dirty: bool,
    /// What is on the disk is no longer known: nothing more is written, until it is written anew as a whole.
    is_broken: bool,
}

impl Journal {
    /// Opens the journal, makes it if there is none, hands every record to `apply`, and cuts off a torn end.
    pub(crate) fn open(
        path: &Path,
        bytes_max: u64,
        apply: impl FnMut(Record) -> Result<(), &'static str>,
    ) -> Result<Self, LimitError> {
        let failed = |doing| move |source| LimitError::Journal { doing, path: path.to_owned(), source };
        let mut file = open_and_hold(path)?;
        let size = file.metadata().map_err(failed("open"))?.len();
        let (mut len, number) = replay(path, &mut file, apply)?;
        if len == 0 {
            len = HEADER_BYTES as u64;
            let begun = file.set_len(0).and_then(|()| file.write_all(&frame::header()));
            begun.and_then(|()| file.sync_all()).map_err(failed("begin"))?;
            sync_folder(path).map_err(failed("begin"))?;
        } else if len < size {
            tracing::warn!(
                bytes = size - len,
                "the last write to the limits' journal was cut off and is dropped"
            );
            file.set_len(len).and_then(|()| file.sync_all()).map_err(failed("mend"))?;
        }
        let writer = Writer {
            file: Arc::new(file),
            len,
            number,
            written: 0,
            frame: Vec::new(),
            record: Vec::new(),
            mirror: None,
            is_dirty: false,
            is_broken: false,
        };
        Ok(Self {
            path: path.to_owned(),
            bytes_max,
            writer: Mutex::new(writer),
            copying: Mutex::new(()),
            bell: Arc::default(),
        })
    }

    /// Hands every record of the journal to `apply` and leaves it alone.
    pub(crate) fn read(
        path: &Path,
        apply: impl FnMut(Record) -> Result<(), &'static str>,
    ) -> Result<(), LimitError> {
        let mut file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(LimitError::NoJournal { path: path.to_owned() });
            }
            file => {
                file.map_err(|source| LimitError::Journal { doing: "open", path: path.to_owned(), source })?
            }
        };
        replay(path, &mut file, apply).map(|_| ())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.lock().len
    }

    pub(crate) fn is_synced(&self) -> bool {
        !self.lock().is_dirty
    }

    /// Writes the record, wholly or not at all. `Ok`: it survives the end of this process.
    pub(crate) fn append(&self, record: &Record) -> Result<(), LimitError> {
        let mut guard = self.lock();
        let w = &mut *guard;
        if w.is_broken {
            self.bell.compact();
            return Err(self.failed("write", io::Error::other("an earlier write did not reach the disk")));
        }
        w.record.clear();
        record.encode(&mut w.record);
        w.frame.clear();
        frame::put(w.number, &w.record, &mut w.frame);
        let len = w.len + w.frame.len() as u64;
        if len > self.bytes_max {
            self.bell.compact();
            return Err(LimitError::JournalFull { path: self.path.clone(), bytes_max: self.bytes_max });
        }
        if let Err(source) = (&*w.file).write_all(&w.frame) {
            // Half a frame must not stay: the next one would stand behind it.
            w.is_broken = w.file.set_len(w.len).is_err();
            return Err(self.failed("write", source));
        }
        (w.len, w.number) = (len, w.number.wrapping_add(1));
        if let Some(mirror) = &mut w.mirror {
            mirror.push(w.record.as_slice().into());
        }
        if !std::mem::replace(&mut w.is_dirty, true) {
            self.bell.sync_soon();
        }
        if len > COMPACT_BYTES_MIN.max(w.written * COMPACT_GROWTH) && w.mirror.is_none() {
            // Asked for once; again when it has grown as much again.
            w.written = len;
            self.bell.compact();
        }
        Ok(())
    }

    /// `Ok`: what was written survives the end of power.
    pub(crate) fn sync(&self) -> Result<(), LimitError> {
        let file = {
            let mut writer = self.lock();
            if writer.is_broken {
                return Err(self.failed("sync", io::Error::other("an earlier write did not reach the disk")));
            }
            if !std::mem::take(&mut writer.is_dirty) {
                return Ok(());
            }
            Arc::clone(&writer.file)
        };
        file.sync_data().map_err(|source| {
            // Pages that could not be written may be dropped and the next sync succeed: nothing is known any more.
            self.lock().is_broken = true;
            self.failed("sync", source)
        })
    }

    /// Begins a shorter copy, which is to take the journal's place.
    pub(crate) fn begin_copy(&self) -> Result<Copy<'_>, LimitError> {
        let alone = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        let path = copy_path(&self.path);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(self.failed("copy", e)),
            _ => {}
        }
        let file = private().create_new(true).open(&path).map_err(|source| self.failed("copy", source))?;
        let mut copy = Copy {
            journal: self,
            path,
            file,
            len: 0,
            number: 0,
            frames: Vec::new(),
            is_finished: false,
            _alone: alone,
        };
        copy.file.try_lock().map_err(|e| self.failed("copy", e.into()))?;
        copy.frames.extend(frame::header());
        Ok(copy)
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> LimitError {
        LimitError::Journal { doing, path: self.path.clone(), source }
    }
}

/// A copy that is not yet the journal. Dropped before it is finished, it leaves no trace.
pub(crate) struct Copy<'a> {
    journal: &'a Journal,
    path: PathBuf,
    file: File,
    len: u64,
    number: u32,
    frames: Vec<u8>,
    is_finished: bool,
    _alone: MutexGuard<'a, ()>,
}

impl Copy<'_> {
    /// From now on, what is written to the journal is kept for the copy, too.
    pub(crate) fn mirror(&mut self) {
        self.journal.lock().mirror = Some(Vec::new());
    }

    pub(crate) fn write(&mut self, record: &Record) -> Result<(), LimitError> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        self.put(&bytes)
    }

    /// Puts the copy in the journal's place, together with what was written meanwhile.
    pub(crate) fn finish(mut self) -> Result<(), LimitError> {
        self.flush()?;
        let journal = self.journal;
        let failed = |source| journal.failed("copy", source);
        self.file.sync_all().map_err(failed)?;
        let mut w = journal.lock();
        let written = self.len;
        for record in w.mirror.take().unwrap_or_default() {
            self.put(&record)?;
        }
        self.flush()?;
        if self.len > written {
            // Some of it may have been synced where it stood before.
            self.file.sync_all().map_err(failed)?;
        }
        let file = self.file.try_clone().map_err(failed)?;
        std::fs::rename(&self.path, &journal.path).map_err(failed)?;
        self.is_finished = true;
        w.file = Arc::new(file);
        (w.len, w.number, w.written) = (self.len, self.number, self.len);
        (w.is_dirty, w.is_broken) = (false, false);
        drop(w);
        sync_folder(&journal.path).map_err(failed)
    }

    fn put(&mut self, record: &[u8]) -> Result<(), LimitError> {
        frame::put(self.number, record, &mut self.frames);
        self.number = self.number.wrapping_add(1);
        if self.frames.len() > 64 << 10 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), LimitError> {
        self.file.write_all(&self.frames).map_err(|source| self.journal.failed("copy", source))?;
        self.len += self.frames.len() as u64;
        self.frames.clear();
        Ok(())
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.journal.lock().mirror = None;
            if let Err(error) = std::fs::remove_file(&self.path) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an unfinished copy was left behind"
                );
            }
        }
    }
}

fn replay(
    path: &Path,
    file: &mut File,
    mut apply: impl FnMut(Record) -> Result<(), &'static str>,
) -> Result<(u64, u32), LimitError> {
    let failed = |source| LimitError::Journal { doing: "read", path: path.to_owned(), source };
    let damaged = |offset, what| LimitError::JournalDamaged { path: path.to_owned(), offset, what };
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut begun = Vec::with_capacity(HEADER_BYTES);
    reader.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut begun).map_err(failed)?;
    let Some(header) = begun.first_chunk() else {
        // Being made at this moment by another process, or never written beyond its name.
        let is_ours = frame::header().starts_with(&begun);
        return if is_ours { Ok((0, 0)) } else { Err(damaged(0, "it does not begin as a journal")) };
    };
    match frame::version(header) {
        Some(VERSION) => {}
        Some(found) => return Err(LimitError::JournalVersion { path: path.to_owned(), found }),
        None => return Err(damaged(0, "it does not begin as a journal")),
    }
    let mut frames = Frames::new(reader);
    loop {
        let offset = frames.offset();
        match frames.next().map_err(failed)? {
            Next::Record(bytes) => {
                let record = Record::decode(bytes).ok_or_else(|| damaged(offset, "a record is unknown"))?;
                apply(record).map_err(|what| damaged(offset, what))?;
            }
            Next::End | Next::Torn => return Ok((offset, frames.number())),
            Next::Damaged(what) => return Err(damaged(offset, what)),
        }
    }
}

/// Opens or makes the file and takes its lock, which a copy that takes its place holds, too.
fn open_and_hold(path: &Path) -> Result<File, LimitError> {
    let failed = |source| LimitError::Journal { doing: "open", path: path.to_owned(), source };
    for _ in 0..OPEN_TRIES {
        check_private(path)?;
        let file = private().create(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LimitError::JournalHeld { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        if is_at(&file, path).map_err(failed)? {
            return Ok(file);
        }
    }
    Err(LimitError::JournalHeld { path: path.to_owned() })
}

fn copy_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Reading and appending, for the owner alone.
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    options
}

fn check_private(path: &Path) -> Result<(), LimitError> {
    use std::os::unix::fs::MetadataExt;
    let exposed = |what| Err(LimitError::JournalExposed { path: path.to_owned(), what });
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => exposed("not a plain file"),
        Ok(found) if found.mode() & 0o077 != 0 => exposed("open to others"),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(LimitError::Journal { doing: "open", path: path.to_owned(), source }),
    }
}

/// Whether the open file is still the one at the path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let open = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((open.dev(), open.ino()) == (there.dev(), there.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}
