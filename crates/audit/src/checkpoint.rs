//! What a log signs: its origin, its size and its root, as C2SP tlog-checkpoint has them. Pure.

use std::fmt;
use std::str::FromStr;

use crate::leaf::Hash;
use crate::note::{Note, NoteSigner, NoteVerifier, check_name, check_text, hash_text, parse_hash};
use crate::tree::{TREE_SIZE_MAX, empty_root, verify_consistency};
use crate::tree_error::TreeError;

/// How large a log is and what it comes to: the text of a note, `<origin>\n<size>\n<base64 of the root>\n`.
///
/// ```
/// use clawexchange_audit::{Checkpoint, Frontier, Note, NoteSigner};
/// use clawexchange_ssg_core::DataKey;
///
/// # fn main() -> Result<(), clawexchange_audit::TreeError> {
/// let signer = NoteSigner::new("example.org/audit/decisions", &DataKey::new([7; 32]))?;
/// let mut frontier = Frontier::new();
/// frontier.append([1; 32])?;
/// let checkpoint = Checkpoint::new(signer.verifier().name(), frontier.size(), frontier.root())?;
/// let text = checkpoint.sign(&signer)?.to_string();
///
/// let received: Note = text.parse()?;
/// assert_eq!(Checkpoint::open(&received, signer.verifier())?, checkpoint);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// That of a log of ours: its origin must do as the name of its key.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, TreeError> {
        check_name(origin)?;
        if size > TREE_SIZE_MAX {
            return Err(TreeError::OutOfRange { asked: size, size: TREE_SIZE_MAX });
        }
        if size == 0 && root != empty_root() {
            return Err(malformed("its root is not that of an empty tree"));
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions: Vec::new() })
    }

    /// Which log it is.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many entries the log has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// Lines that other logs put under the root, opaque. Ours have none: nobody could check what they say.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Signs it with the key of its log.
    ///
    /// Whoever signs must have checked that it [extends](Self::verify_extends) all that this key signed before: two
    /// signed checkpoints that do not fit are proof against the log.
    pub fn sign(&self, signer: &NoteSigner) -> Result<Note, TreeError> {
        if signer.verifier().name() != self.origin {
            return Err(TreeError::Origin { origin: signer.verifier().name().to_owned() });
        }
        Note::sign(self.to_string(), signer)
    }

    /// The checkpoint in a note, if the key of the log signed it and it is a checkpoint of that log.
    ///
    /// Signatures by others are passed over; ask [`Note::verify`] about those of witnesses.
    pub fn open(note: &Note, log: &NoteVerifier) -> Result<Self, TreeError> {
        note.verify(std::slice::from_ref(log))?;
        let checkpoint: Self = note.text().parse()?;
        if checkpoint.origin != log.name() {
            return Err(TreeError::Origin { origin: log.name().to_owned() });
        }
        Ok(checkpoint)
    }

    /// Checks that the log, as it stands here, begins with what it was at `older`.
    pub fn verify_extends(&self, older: &Self, consistency: &[Hash]) -> Result<(), TreeError> {
        if self.origin != older.origin {
            return Err(TreeError::Origin { origin: older.origin.clone() });
        }
        verify_consistency(older.size, &older.root, self.size, &self.root, consistency)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, hash_text(&self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = TreeError;

    /// Takes what [`Display`](fmt::Display) prints and nothing else. The origin may be any line, as the standard has it.
    fn from_str(text: &str) -> Result<Self, TreeError> {
        check_text(text)?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        if text.split('\n').any(str::is_empty) {
            return Err(malformed("it has an empty line"));
        }
        let mut lines = text.split('\n').map(ToOwned::to_owned);
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(malformed("it has fewer than three lines"));
        };
        let size = decimal(&size).ok_or(malformed("its size is no size of a tree"))?;
        let root = parse_hash(&root).ok_or(malformed("its root is no hash in strict base64"))?;
        if size == 0 && root != empty_root() {
            return Err(malformed("its root is not that of an empty tree"));
        }
        Ok(Self { origin, size, root, extensions: lines.collect() })
    }
}

/// A number as it must be written: digits, and no zero in front.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok().filter(|number| *number <= TREE_SIZE_MAX)?;
    (number.to_string() == text).then_some(number)
}

const fn malformed(why: &'static str) -> TreeError {
    TreeError::Malformed { what: "the checkpoint", why }
}
