//! How records stand in the file, so that what was torn is told from what was damaged.
//!
//! The file begins with 16 bytes: `CLAWRATE`, the version, two zeros, and the CRC-32 of these twelve. Then frames
//! follow: the length of the record (u16), the number of the frame (u32), the CRC-32 of both and the record, the record.
//! Frames are numbered without gaps, so that one that was cut out or put in is found.

use std::io::{self, Read};

/// Bytes before the first frame.
pub(crate) const HEADER_BYTES: usize = 16;

/// The version that is written, and the only one that is read.
pub(crate) const VERSION: u16 = 1;

/// Longest record. What it bounds is the search for whole frames behind a broken one.
pub(crate) const RECORD_BYTES_MAX: usize = 4_096;

const FRAME_HEAD_BYTES: usize = 10;
const FRAME_BYTES_MAX: usize = FRAME_HEAD_BYTES + RECORD_BYTES_MAX;
const READ_BYTES: usize = 64 << 10;

pub(crate) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let (text, crc) = header.split_at_mut(12);
    text.copy_from_slice(&[b"CLAWRATE".as_slice(), &VERSION.to_be_bytes(), &[0, 0]].concat());
    crc.copy_from_slice(&crc32fast::hash(text).to_be_bytes());
    header
}

/// The version in a header; `None` if it is none.
pub(crate) fn version(header: &[u8; HEADER_BYTES]) -> Option<u16> {
    let (text, crc) = header.split_at(12);
    let version = text.strip_prefix(b"CLAWRATE").and_then(|rest| rest.first_chunk())?;
    (crc32fast::hash(text).to_be_bytes() == *crc).then(|| u16::from_be_bytes(*version))
}

/// Adds a frame with the record to `to`; the record has at most [`RECORD_BYTES_MAX`] bytes.
pub(crate) fn put(number: u32, record: &[u8], to: &mut Vec<u8>) {
    let len = u16::try_from(record.len()).unwrap_or(u16::MAX).to_be_bytes();
    let number = number.to_be_bytes();
    to.extend(len);
    to.extend(number);
    to.extend(checksum(len, number, record).to_be_bytes());
    to.extend(record);
}

fn checksum(len: [u8; 2], number: [u8; 4], record: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&len);
    crc.update(&number);
    crc.update(record);
    crc.finalize()
}

/// The whole frame with which `bytes` begin: its number and its record.
fn whole(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let size = usize::from(u16::from_be_bytes(*len));
    if size == 0 || size > RECORD_BYTES_MAX {
        return None;
    }
    let record = rest.get(..size)?;
    let is_whole = checksum(*len, *number, record) == u32::from_be_bytes(*crc);
    is_whole.then(|| (u32::from_be_bytes(*number), record))
}

/// Reads frames one after the other, in bounded memory.
pub(crate) struct Frames<R> {
    from: R,
    buffer: Vec<u8>,
    at: usize,
    offset: u64,
    number: u32,
    is_at_end: bool,
}

/// What comes next in a journal.
pub(crate) enum Next<'a> {
    /// A record.
    Record(&'a [u8]),
    /// Nothing.
    End,
    /// Bytes that are no whole frame, and no whole frame after them: the last write was cut off.
    Torn,
    /// Bytes that are no whole frame, and whole ones after them; or a frame in the wrong place.
    Damaged(&'static str),
}

impl<R: Read> Frames<R> {
    /// Reads from behind the header.
    pub(crate) fn new(from: R) -> Self {
        let offset = HEADER_BYTES as u64;
        Self { from, buffer: Vec::new(), at: 0, offset, number: 0, is_at_end: false }
    }

    /// Where the next frame begins in the file.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of the next frame.
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        self.fill()?;
        match whole(self.ahead()).map(|(number, record)| (number, record.len())) {
            Some((number, _)) if number != self.number => Ok(Next::Damaged("records are missing or doubled")),
            Some((_, len)) => {
                let begin = self.at + FRAME_HEAD_BYTES;
                self.skip(FRAME_HEAD_BYTES + len);
                self.number = self.number.wrapping_add(1);
                Ok(Next::Record(self.buffer.get(begin..begin + len).unwrap_or_default()))
            }
            None if self.ahead().is_empty() => Ok(Next::End),
            None => self.look_behind(),
        }
    }

    /// Whether a whole frame follows somewhere behind a broken one.
    fn look_behind(&mut self) -> io::Result<Next<'_>> {
        let broken_at = self.offset;
        while !self.ahead().is_empty() {
            self.skip(1);
            self.fill()?;
            if whole(self.ahead()).is_some() {
                self.offset = broken_at;
                return Ok(Next::Damaged("a record is not as it was written"));
            }
        }
        self.offset = broken_at;
        Ok(Next::Torn)
    }

    fn ahead(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.offset += bytes as u64;
    }

    /// Sees to it that a longest frame is ahead, or all that is left.
    fn fill(&mut self) -> io::Result<()> {
        if self.is_at_end || self.buffer.len() - self.at >= FRAME_BYTES_MAX {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let read = self.from.by_ref().take(READ_BYTES as u64).read_to_end(&mut self.buffer)?;
        self.is_at_end = read < READ_BYTES;
        Ok(())
    }
}
