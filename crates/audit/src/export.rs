//! An export against the hashes that the log keeps: what left can be shown to be what was there.

use std::fmt::Write as _;

use ring::digest;
use serde::Deserialize;

use crate::error::AuditError;
use crate::leaf::{Hash, Log, leaf_hash};
use crate::log::AuditLog;
use crate::pin::hex;

/// The most bytes of a line: a leaf has 60,000, and in JSON each may stand for six.
pub const EXPORT_LINE_BYTES_MAX: usize = 512 << 10;

/// Hashes read at once.
const HASHES: u64 = 4096;

/// A file to which events were exported, by which it is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever exports says all of it")]
pub struct ExportedTo {
    /// Its name, which the log seals.
    pub name: String,
    /// The log of which its events are.
    pub log: Log,
    /// The index of the first.
    pub from: u64,
    /// The index behind the last.
    pub to: u64,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 over it, in lower-case hexadecimal.
    pub sha256: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    index: u64,
    leaf_hash: String,
    leaf: String,
}

/// Reads an export line by line and compares each leaf with the hash in the tiles of the log, which a checkpoint signed.
pub struct ExportCheck<'a> {
    audit: &'a AuditLog,
    log: Option<Log>,
    from: u64,
    next: u64,
    lines: u64,
    bytes: u64,
    sum: digest::Context,
    /// Hashes from `next` on.
    hashes: std::vec::IntoIter<Hash>,
}

impl<'a> ExportCheck<'a> {
    /// Begins. Of which log it is, the first line says by its hash, unless it is given.
    pub fn new(audit: &'a AuditLog, log: Option<Log>) -> Self {
        let sum = digest::Context::new(&digest::SHA256);
        Self { audit, log, from: 0, next: 0, lines: 0, bytes: 0, sum, hashes: Vec::new().into_iter() }
    }

    /// Takes a line, its end included.
    ///
    /// # Errors
    ///
    /// `Integrity` if it is none of an export, does not follow the one before it, or is not what the log hashed.
    pub async fn line(&mut self, line: &[u8]) -> Result<(), AuditError> {
        self.lines += 1;
        self.bytes += line.len() as u64;
        self.sum.update(line);
        let wrong = |what| AuditError::Export { line: self.lines, what };
        let read: Line =
            serde_json::from_slice(line).ok().ok_or_else(|| wrong("it is no line of an export"))?;
        let hash = leaf_hash(read.leaf.as_bytes());
        if read.leaf_hash != hex(&hash) {
            return Err(wrong("the hash beside the leaf is not the leaf's"));
        }
        if self.lines == 1 {
            (self.from, self.next) = (read.index, read.index);
            let logs = self.log.map_or_else(|| Log::ALL.to_vec(), |log| vec![log]);
            let mut of = None;
            for log in logs {
                if self.audit.tile_hashes(log, read.index, 1).await?.first() == Some(&hash) {
                    of = Some(log);
                }
            }
            self.log = Some(of.ok_or_else(|| wrong("no log has this leaf at this index"))?);
        }
        if read.index != self.next {
            return Err(wrong("it does not follow the line before it"));
        }
        let Some(log) = self.log else { return Err(wrong("no log has this leaf at this index")) };
        if self.hashes.len() == 0 {
            self.hashes = self.audit.tile_hashes(log, self.next, HASHES).await?.into_iter();
        }
        if self.hashes.next() != Some(hash) {
            return Err(wrong("the log has another leaf at this index"));
        }
        self.next += 1;
        Ok(())
    }

    /// What was read.
    ///
    /// # Errors
    ///
    /// `Integrity` if that was nothing.
    pub fn finish(self, name: &str) -> Result<ExportedTo, AuditError> {
        let log = self.log.filter(|_| self.lines > 0);
        let log = log.ok_or(AuditError::Export { line: 1, what: "there is none" })?;
        let sha256 = self.sum.finish().as_ref().iter().fold(String::new(), |mut text, byte| {
            // A string takes everything.
            let _written = write!(text, "{byte:02x}");
            text
        });
        Ok(ExportedTo {
            name: name.to_owned(),
            log,
            from: self.from,
            to: self.next,
            bytes: self.bytes,
            sha256,
        })
    }
}

impl std::fmt::Debug for ExportCheck<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportCheck")
            .field("log", &self.log)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
