//! Events that could not be committed, kept in files until they can: each batch is on the disk before it is
//! acknowledged.
//!
//! A segment is a run of records `length u32 | CRC-32 u32 | payload`, integers big-endian. A payload is a batch: its
//! UUID, the number of its events, and each event's length and JSON. Segments are numbered; the newest is
//! appended to, and one that was replayed is deleted whole. What a batch is called in the log stands in it, so that a
//! segment that was replayed in part is replayed again without doubling anything.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clawexchange_ssg_core::{AuditEvent, Timestamp, fail_point};
use serde::Serialize;

use crate::error::AuditError;
use crate::leaf::Log;
use crate::store::Together;

/// How events are kept while the database is away.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolConfig {
    /// The folder: it must outlive the process, and one process at a time uses it.
    pub folder: PathBuf,
    /// The most bytes of all segments: 1 GiB unless set. Beyond, events are refused.
    pub bytes_max: u64,
    /// A segment of this size is not appended to any more: 16 MiB unless set.
    pub segment_bytes: u64,
}

impl SpoolConfig {
    /// The usual bounds.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), bytes_max: 1 << 30, segment_bytes: 16 << 20 }
    }
}

/// What waits in a spool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SpoolStatus {
    /// Files.
    pub segments: u64,
    /// Batches.
    pub batches: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// The most there may be.
    pub bytes_max: u64,
    /// When the oldest of them happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// Events that the database refused for what is in them, and that are kept aside for people.
    pub dead_letters: u64,
    /// Segments that are damaged, and are kept aside.
    pub damaged: u64,
    /// Why nothing can be kept any more: a write failed, and what the disk has is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_broken: bool,
}

const SEGMENT: &str = "seg";
const DAMAGED: &str = "damaged";
const DEAD: &str = "dead-letters";
const HEAD_BYTES: usize = 8;

/// The most bytes of a record: far more than a batch of the largest events that are logged at once has.
const RECORD_BYTES_MAX: u32 = 256 << 20;

/// A spool that is open for writing.
#[derive(Debug)]
pub(crate) struct Spool {
    config: SpoolConfig,
    /// Held while the spool is open; the system lets go of it when the process ends.
    _lock: File,
    newest: Option<Open>,
    next: u64,
    bytes: u64,
    is_broken: bool,
}

#[derive(Debug)]
struct Open {
    number: u64,
    file: File,
    bytes: u64,
}

/// A segment that is to be replayed.
#[derive(Debug)]
pub(crate) struct Segment {
    path: PathBuf,
    bytes: u64,
    pub(crate) batches: Vec<Together>,
}

impl Spool {
    /// Opens a spool and makes its folder. What a crash left torn at the end of the newest segment was never
    /// acknowledged, and is cut off.
    pub(crate) fn open(config: SpoolConfig) -> Result<Self, AuditError> {
        let failed = |source| AuditError::Spool { path: config.folder.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.folder).map_err(failed)?;
        let lock = config.folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock);
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(AuditError::SpoolTaken { path: config.folder }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let numbers = numbers(&config.folder, SEGMENT).map_err(failed)?;
        if let Some(newest) = numbers.last() {
            mend(&path(&config.folder, *newest)).map_err(failed)?;
        }
        let sizes = numbers.iter().map(|number| Ok(fs::metadata(path(&config.folder, *number))?.len()));
        let bytes = sizes.sum::<io::Result<u64>>().map_err(failed)?;
        let next = numbers.last().map_or(0, |number| number + 1);
        Ok(Self { config, _lock: lock, newest: None, next, bytes, is_broken: false })
    }

    /// Keeps a batch. It is on the disk when this returns `Ok`.
    ///
    /// # Errors
    ///
    /// If there is no room, or the disk fails. After a failed sync nobody knows what the disk has, and a second sync would
    /// not tell; so nothing is kept any more until the spool is opened anew.
    pub(crate) fn append(&mut self, batch: &Together) -> Result<(), AuditError> {
        if self.is_broken {
            return Err(AuditError::SpoolBroken { path: self.config.folder.clone() });
        }
        let record = encode(batch).ok_or(AuditError::TooLarge)?;
        let grown = self.bytes.saturating_add(record.len() as u64);
        if grown > self.config.bytes_max {
            return Err(AuditError::SpoolFull { bytes: self.bytes, bytes_max: self.config.bytes_max });
        }
        if let Err(source) = self.write(&record) {
            self.is_broken = true;
            return Err(AuditError::Spool { path: self.config.folder.clone(), source });
        }
        self.bytes = grown;
        Ok(())
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        let open = match &mut self.newest {
            Some(open) if open.bytes < self.config.segment_bytes => open,
            _ => {
                let number = self.next;
                let file = OpenOptions::new()
                    .create_new(true)
                    .append(true)
                    .mode(0o600)
                    .open(path(&self.config.folder, number))?;
                // The file must have its name on the disk before it has what was acknowledged.
                File::open(&self.config.folder)?.sync_all()?;
                self.next += 1;
                self.newest.insert(Open { number, file, bytes: 0 })
            }
        };
        open.file.write_all(record)?;
        fail_point!("spool.written");
        open.file.sync_data()?;
        fail_point!("spool.synced");
        open.bytes += record.len() as u64;
        Ok(())
    }

    /// The oldest segment, to be replayed. What is appended from here on goes to another one.
    pub(crate) fn oldest(&mut self) -> Result<Option<Segment>, AuditError> {
        let folder = self.config.folder.clone();
        let failed = |source| AuditError::Spool { path: folder.clone(), source };
        loop {
            let Some(number) = numbers(&folder, SEGMENT).map_err(failed)?.first().copied() else {
                return Ok(None);
            };
            if self.newest.as_ref().is_some_and(|open| open.number == number) {
                self.newest = None;
            }
            let path = path(&folder, number);
            let bytes = fs::metadata(&path).map_err(failed)?.len();
            let (batches, whole) = read(&path).map_err(failed)?;
            if whole < bytes {
                // It was acknowledged and cannot be read: what can be is replayed, and the file is kept.
                let aside = path.with_extension(DAMAGED);
                tracing::error!(path = %aside.display(), "a segment of the spool is damaged; it is kept aside");
                fs::copy(&path, &aside).map_err(failed)?;
                File::open(&aside).and_then(|file| file.sync_all()).map_err(failed)?;
                File::open(&folder).and_then(|file| file.sync_all()).map_err(failed)?;
            }
            if !batches.is_empty() {
                return Ok(Some(Segment { path, bytes, batches }));
            }
            self.delete(&Segment { path, bytes, batches })?;
        }
    }

    /// Deletes a segment whose batches are all in the log.
    pub(crate) fn delete(&mut self, segment: &Segment) -> Result<(), AuditError> {
        let failed = |source| AuditError::Spool { path: self.config.folder.clone(), source };
        fs::remove_file(&segment.path).map_err(failed)?;
        File::open(&self.config.folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        self.bytes = self.bytes.saturating_sub(segment.bytes);
        Ok(())
    }

    /// Keeps an event aside that the database refuses for what is in it.
    pub(crate) fn set_aside(&self, event: &AuditEvent) -> Result<(), AuditError> {
        let failed = |source| AuditError::Spool { path: self.config.folder.clone(), source };
        let alone = Together::of(vec![event.clone()]);
        let record = alone.first().and_then(encode).ok_or(AuditError::TooLarge)?;
        let path = self.config.folder.join(DEAD);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let written = file.and_then(|mut file| {
            file.write_all(&record)?;
            file.sync_all()?;
            File::open(&self.config.folder)?.sync_all()
        });
        written.map_err(failed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.is_broken && self.bytes < self.config.bytes_max
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What waits.
    pub(crate) fn status(&self) -> Result<SpoolStatus, AuditError> {
        let mut status = spool_status(&self.config)?;
        status.is_broken = self.is_broken;
        Ok(status)
    }
}

/// What waits in a spool, whoever uses it: nothing is locked or changed.
pub fn spool_status(config: &SpoolConfig) -> Result<SpoolStatus, AuditError> {
    let failed = |source| AuditError::Spool { path: config.folder.clone(), source };
    let mut status = SpoolStatus { bytes_max: config.bytes_max, ..SpoolStatus::default() };
    if !config.folder.exists() {
        return Ok(status);
    }
    for number in numbers(&config.folder, SEGMENT).map_err(failed)? {
        let path = path(&config.folder, number);
        let (batches, _) = match read(&path) {
            // It was replayed while we looked.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            read => read.map_err(failed)?,
        };
        status.segments += 1;
        status.batches += batches.len() as u64;
        status.events += batches.iter().map(|batch| batch.events.len() as u64).sum::<u64>();
        status.bytes += fs::metadata(&path).map_or(0, |meta| meta.len());
        let oldest = batches.iter().flat_map(|batch| &batch.events).map(AuditEvent::at).min();
        status.oldest = status.oldest.into_iter().chain(oldest).min();
    }
    status.dead_letters = dead_letters(config)?.len() as u64;
    status.damaged = numbers(&config.folder, DAMAGED).map_err(failed)?.len() as u64;
    Ok(status)
}

/// The events that were set aside.
pub fn dead_letters(config: &SpoolConfig) -> Result<Vec<AuditEvent>, AuditError> {
    match read(&config.folder.join(DEAD)) {
        Ok((batches, _)) => Ok(batches.into_iter().flat_map(|batch| batch.events).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(AuditError::Spool { path: config.folder.clone(), source }),
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.{SEGMENT}"))
}

/// The numbers of the files with this ending, in order.
fn numbers(folder: &Path, ending: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == ending) {
            numbers.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Cuts off what a crash left torn at the end: a record that reaches to the end of the file or beyond and does not fit
/// its checksum. Anything else that does not read is damage, and stays to be found.
fn mend(path: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let mut rest = bytes.as_slice();
    while let Some((_, next)) = decode(rest) {
        rest = next;
    }
    // A file system may have made the file longer before it wrote into it; a record ends with a brace.
    let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let is_torn = match rest.get(..written).and_then(|written| written.first_chunk::<HEAD_BYTES>()) {
        Some([a, b, c, d, ..]) => HEAD_BYTES + u32::from_be_bytes([*a, *b, *c, *d]) as usize >= written,
        None => true,
    };
    if !rest.is_empty() && is_torn {
        tracing::warn!(path = %path.display(), bytes = rest.len(), "a batch that was being written was cut off");
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len((bytes.len() - rest.len()) as u64)?;
        file.sync_all()?;
    }
    Ok(())
}

/// The batches of a segment up to the first that does not read, and how many bytes they are.
fn read(path: &Path) -> io::Result<(Vec<Together>, u64)> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let (mut rest, mut batches) = (bytes.as_slice(), Vec::new());
    while let Some((batch, next)) = decode(rest) {
        batches.push(batch);
        rest = next;
    }
    Ok((batches, (bytes.len() - rest.len()) as u64))
}

/// A record. `None` if it would be larger than any that is read again.
fn encode(batch: &Together) -> Option<Vec<u8>> {
    let mut payload = batch.uuid.to_vec();
    payload.extend(u32::try_from(batch.events.len()).ok()?.to_be_bytes());
    for event in &batch.events {
        let json = event.to_json();
        payload.extend(u32::try_from(json.len()).ok()?.to_be_bytes());
        payload.extend(json);
    }
    let length = u32::try_from(payload.len()).ok().filter(|length| *length <= RECORD_BYTES_MAX)?;
    let mut record = Vec::with_capacity(HEAD_BYTES + payload.len());
    record.extend(length.to_be_bytes());
    record.extend(crc32fast::hash(&payload).to_be_bytes());
    record.extend(payload);
    Some(record)
}

/// The first record, and what comes behind it. `None` if there is none that is whole and fits its checksum.
fn decode(bytes: &[u8]) -> Option<(Together, &[u8])> {
    let (length, bytes) = bytes.split_first_chunk::<4>()?;
    let (sum, bytes) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    if length > RECORD_BYTES_MAX {
        return None;
    }
    let (payload, rest) = bytes.split_at_checked(length as usize)?;
    if crc32fast::hash(payload) != u32::from_be_bytes(*sum) {
        return None;
    }
    let (uuid, payload) = payload.split_first_chunk::<16>()?;
    let (count, mut payload) = payload.split_first_chunk::<4>()?;
    let mut events = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let (length, bytes) = payload.split_first_chunk::<4>()?;
        let (json, next) = bytes.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        events.push(AuditEvent::from_json(json).ok()?);
        payload = next;
    }
    let log = Log::of(events.first()?.kind());
    payload.is_empty().then_some((Together { uuid: *uuid, log, events }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clawexchange_ssg_core::{Actor, EventKind, Target};

    fn batch(n: usize) -> Together {
        let event = |i: usize| {
            AuditEvent::new(EventKind::SsgPass, Actor::system("test").unwrap(), Timestamp::UNIX_EPOCH)
                .on(Target::new("content", format!("post-{n}-{i}")))
        };
        Together::of((0..=n).map(event).collect()).remove(0)
    }

    fn uuids(batches: &[Together]) -> Vec<[u8; 16]> {
        batches.iter().map(|batch| batch.uuid).collect()
    }

    fn filled(folder: &Path, count: usize) -> (SpoolConfig, Vec<Together>) {
        let config = SpoolConfig::new(folder);
        let batches: Vec<_> = (0..count).map(batch).collect();
        let mut spool = Spool::open(config.clone()).unwrap();
        for batch in &batches {
            spool.append(batch).unwrap();
        }
        (config, batches)
    }

    #[test]
    fn what_was_kept_is_read_again_in_order_and_through_many_segments() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = SpoolConfig::new(folder.path());
        config.segment_bytes = 1000;
        let batches: Vec<_> = (0..20).map(batch).collect();
        let mut spool = Spool::open(config.clone()).unwrap();
        for batch in &batches {
            spool.append(batch).unwrap();
        }
        let status = spool.status().unwrap();
        assert!(status.segments > 3);
        assert_eq!((status.batches, status.events), (20, 210));
        assert_eq!(status.bytes, spool.bytes());
        let mut read = Vec::new();
        while let Some(segment) = spool.oldest().unwrap() {
            read.extend(uuids(&segment.batches));
            spool.delete(&segment).unwrap();
        }
        assert_eq!(read, uuids(&batches));
        assert!(spool.is_empty());
    }

    #[test]
    fn a_segment_that_is_replayed_is_not_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(SpoolConfig::new(folder.path())).unwrap();
        spool.append(&batch(0)).unwrap();
        let segment = spool.oldest().unwrap().unwrap();
        let late = batch(1);
        spool.append(&late).unwrap();
        spool.delete(&segment).unwrap();
        assert_eq!(uuids(&spool.oldest().unwrap().unwrap().batches), uuids(&[late]));
    }

    #[test]
    fn wherever_a_crash_cuts_the_end_what_was_whole_before_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (config, batches) = filled(folder.path(), 3);
        let path = path(folder.path(), 0);
        let whole = fs::read(&path).unwrap();
        let ends: Vec<usize> = batches
            .iter()
            .scan(0, |end, batch| {
                *end += encode(batch).unwrap().len();
                Some(*end)
            })
            .collect();
        for cut in 0..=whole.len() {
            for blank in [0, 5] {
                // Some file systems make a file longer before they write into it.
                fs::write(&path, [whole.get(..cut).unwrap(), &vec![0; blank]].concat()).unwrap();
                let mut spool = Spool::open(config.clone()).unwrap();
                let left = ends.iter().filter(|end| **end <= cut).count();
                let read = spool.oldest().unwrap().map(|segment| uuids(&segment.batches)).unwrap_or_default();
                assert_eq!(read, uuids(batches.get(..left).unwrap()), "cut at {cut}");
                assert_eq!(spool.status().unwrap().damaged, 0, "cut at {cut}");
                drop(spool);
                fs::write(&path, &whole).unwrap();
            }
        }
    }

    #[test]
    fn what_was_acknowledged_and_is_damaged_is_kept_aside_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let (config, batches) = filled(folder.path(), 3);
        let path = path(folder.path(), 0);
        let mut bytes = fs::read(&path).unwrap();
        let middle = encode(batches.first().unwrap()).unwrap().len() + 30;
        *bytes.get_mut(middle).unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        let mut spool = Spool::open(config.clone()).unwrap();
        let segment = spool.oldest().unwrap().unwrap();
        assert_eq!(uuids(&segment.batches), uuids(batches.get(..1).unwrap()));
        spool.delete(&segment).unwrap();
        assert_eq!(spool.status().unwrap().damaged, 1);
        assert_eq!(fs::read(path.with_extension(DAMAGED)).unwrap(), bytes, "whoever looks finds all of it");
    }

    #[test]
    fn one_process_at_a_time_uses_a_spool() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(SpoolConfig::new(folder.path())).unwrap();
        let second = Spool::open(SpoolConfig::new(folder.path())).unwrap_err();
        assert!(matches!(second, AuditError::SpoolTaken { .. }));
        drop(spool);
        Spool::open(SpoolConfig::new(folder.path())).unwrap();
    }

    #[test]
    fn any_bytes_are_read_without_harm() {
        let record = encode(&batch(2)).unwrap();
        for at in 0..record.len() {
            for bit in 0..8 {
                let mut bent = record.clone();
                *bent.get_mut(at).unwrap() ^= 1 << bit;
                assert!(decode(&bent).is_none(), "bit {bit} of byte {at}");
            }
        }
    }
}
