//! Checkpoints as a log signs them: the key of a log, and what it signed.

use clawexchange_ssg_core::{DataKey, KeyId, KeyProvider, Timestamp};
use serde::{Serialize, Serializer};
use zeroize::Zeroize as _;

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::leaf::{Hash, Log};
use crate::note::{Note, NoteSigner, NoteVerifier};
use crate::pin::hex;

/// The seed of a log's key is the code of its origin under this context.
const KEY_CONTEXT: &[u8] = b"claw/checkpoint-key/v1";

/// The key with which a log signs. It is derived from the master key and stored nowhere: whoever has the keyring has
/// it, and when the master key is rotated, so is this one.
pub(crate) async fn signer(
    keys: &dyn KeyProvider,
    key: &KeyId,
    origin: &str,
) -> Result<NoteSigner, AuditError> {
    let mut mac = keys.mac(key, KEY_CONTEXT, origin.as_bytes()).await.map_err(AuditError::Key)?;
    let seed = DataKey::new(mac.tag);
    mac.tag.zeroize();
    Ok(NoteSigner::new(origin, &seed)?)
}

/// What a log signed about itself, with what checks it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SignedCheckpoint {
    /// The log.
    pub log: Log,
    /// Its origin, how many events it had, and the root over them.
    pub checkpoint: Checkpoint,
    /// The hash of the last of the batches that it covers.
    pub head_hash: [u8; 32],
    /// When that was committed; the beginning of 1970 for a log without events.
    pub committed_at: Timestamp,
    /// The checkpoint as it was signed: this is what is given away.
    pub note: Note,
    /// The key that verifies it, for whoever does not have it from elsewhere.
    pub verifier: NoteVerifier,
    /// The master key from which the key that signed is derived.
    pub key: KeyId,
}

/// As programs are given it: hashes in lower-case hex, and what was signed as it was signed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    log: &'static str,
    origin: &'a str,
    size: u64,
    head_hash: String,
    root: String,
    note: String,
    vkey: String,
}

impl Serialize for SignedCheckpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = View {
            log: self.log.as_str(),
            origin: self.checkpoint.origin(),
            size: self.size(),
            head_hash: hex(&self.head_hash),
            root: hex(self.root()),
            note: self.note.to_string(),
            vkey: self.verifier.to_string(),
        };
        view.serialize(serializer)
    }
}

impl SignedCheckpoint {
    /// How many events it covers.
    pub const fn size(&self) -> u64 {
        self.checkpoint.size()
    }

    /// The root over them.
    pub const fn root(&self) -> &Hash {
        self.checkpoint.root()
    }
}
