//! A proof that an entry is in a log, complete in one text: that of C2SP tlog-proof. Pure.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, decimal};
use crate::leaf::{Hash, leaf_hash};
use crate::note::{NOTE_BYTES_MAX, Note, NoteVerifier, hash_text, parse_hash};
use crate::tree::{TREE_SIZE_MAX, verify_inclusion};
use crate::tree_error::TreeError;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most hashes of a proof: a tree of the largest size is no higher.
const PATH_MAX: usize = 63;

/// The most bytes of extra data. Ours have none; those of others name versions or hold a proof of a random function.
const EXTRA_BYTES_MAX: usize = 4 << 10;

/// The most bytes of a proof: its lines (extra data in base64, an index, hashes) and its checkpoint.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + 2 * EXTRA_BYTES_MAX + 64 * (PATH_MAX + 3);

/// Where an entry is in a log, the hashes from there to the root, and the signed checkpoint with that root.
///
/// It can be checked without the log, with the log's [`NoteVerifier`] and the entry alone. Its file name ends in
/// `.tlog-proof`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    path: Vec<Hash>,
    checkpoint: Note,
}

impl TlogProof {
    /// Puts a proof together. It is not checked here: [`verify`](Self::verify) does that.
    pub fn new(index: u64, path: Vec<Hash>, checkpoint: Note) -> Result<Self, TreeError> {
        if index >= TREE_SIZE_MAX {
            return Err(TreeError::OutOfRange { asked: index, size: TREE_SIZE_MAX });
        }
        if path.len() > PATH_MAX {
            return Err(TreeError::TooLarge { what: "the list of hashes of a proof" });
        }
        Ok(Self { extra: None, index, path, checkpoint })
    }

    /// The index of the entry, from 0.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The hashes from the sibling of the leaf up to the child of the root.
    pub fn path(&self) -> &[Hash] {
        &self.path
    }

    /// The checkpoint as it was signed.
    pub const fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }

    /// What somebody added. Nothing covers it: it can be changed and the proof still holds.
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// Checks that `leaf` is in the log of this key at [`index`](Self::index). Gives the checkpoint that says so.
    pub fn verify(&self, leaf: &[u8], log: &NoteVerifier) -> Result<Checkpoint, TreeError> {
        self.verify_hash(&leaf_hash(leaf), log)
    }

    /// As [`verify`](Self::verify), for who has only the hash of the leaf: SHA-256(0x00 ‖ leaf).
    pub fn verify_hash(&self, leaf_hash: &Hash, log: &NoteVerifier) -> Result<Checkpoint, TreeError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, log)?;
        verify_inclusion(self.index, checkpoint.size(), leaf_hash, checkpoint.root(), &self.path)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash_text(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = TreeError;

    /// Takes what [`Display`](fmt::Display) prints and nothing else.
    fn from_str(text: &str) -> Result<Self, TreeError> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(TreeError::TooLarge { what: "a proof" });
        }
        // The lines before the first empty one are ours; the checkpoint behind it has one of its own.
        let parts =
            text.split_once("\n\n").ok_or(malformed("there is no empty line before the checkpoint"))?;
        let (mut lines, checkpoint) = (parts.0.split('\n').peekable(), parts.1);
        if lines.next() != Some(HEADER) {
            return Err(malformed("its first line is not c2sp.org/tlog-proof@v1"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra ")).map(parse_extra).transpose()?;
        let index = lines.next().and_then(|line| decimal(line.strip_prefix("index ")?));
        let index = index.ok_or(malformed("its index does not stand where it must, or is no index"))?;
        let mut path = Vec::new();
        for line in lines {
            if path.len() >= PATH_MAX {
                return Err(TreeError::TooLarge { what: "the list of hashes of a proof" });
            }
            path.push(parse_hash(line).ok_or(malformed("a line is no hash in strict base64"))?);
        }
        Ok(Self { extra, ..Self::new(index, path, checkpoint.parse()?)? })
    }
}

fn parse_extra(line: &str) -> Result<Vec<u8>, TreeError> {
    let text = line.strip_prefix("extra ").unwrap_or(line);
    let extra = STANDARD.decode(text).ok().ok_or(malformed("its extra data is not strict base64"))?;
    if extra.is_empty() {
        return Err(malformed("its line for extra data is empty"));
    }
    if extra.len() > EXTRA_BYTES_MAX {
        return Err(TreeError::TooLarge { what: "the extra data of a proof" });
    }
    Ok(extra)
}

const fn malformed(why: &'static str) -> TreeError {
    TreeError::Malformed { what: "the proof", why }
}
