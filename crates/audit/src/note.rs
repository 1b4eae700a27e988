//! Signed texts, as C2SP signed-note has them: a text, an empty line, and a line for each signature. Pure.
//!
//! Only Ed25519 is signed and verified; signatures of other sorts, such as those of witnesses, are kept and passed over.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clawexchange_ssg_core::DataKey;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::leaf::Hash;
use crate::tree::sha256;
use crate::tree_error::TreeError;

/// The most bytes of a note: room for 16 signatures of post-quantum size, which every verifier must take, and as many
/// again.
pub const NOTE_BYTES_MAX: usize = 256 << 10;

/// The most signatures of a note. A log has one, two while its key changes, and one for each witness.
pub const NOTE_SIGNATURES_MAX: usize = 64;

/// The most bytes of one signature: the largest that is in use has less than 5,000.
const SIGNATURE_BYTES_MAX: usize = 8 << 10;

/// The most bytes of the text of a note. A checkpoint has some 150.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// The most bytes of a key's name, which is an origin.
const NAME_BYTES_MAX: usize = 255;

/// How the line of a signature begins: an em dash and a space.
const SIGNATURE_MARK: &str = "\u{2014} ";

/// The byte that stands for Ed25519 before a key and in its id.
const ED25519_MARK: u8 = 0x01;

/// A text and who signed it.
///
/// What it says counts for nothing before [`verify`](Self::verify).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Signs a text. It ends in a newline and has no other control characters.
    pub fn sign(text: impl Into<String>, signer: &NoteSigner) -> Result<Self, TreeError> {
        let text = text.into();
        check_text(&text)?;
        let signatures = vec![signer.signature_of(&text)];
        Ok(Self { text, signatures })
    }

    /// Adds a signature: whoever changes keys signs once with the old and the new one.
    pub fn signed_also_by(mut self, signer: &NoteSigner) -> Result<Self, TreeError> {
        if self.signatures.len() >= NOTE_SIGNATURES_MAX {
            return Err(TreeError::TooLarge { what: "the list of signatures of a note" });
        }
        self.signatures.push(signer.signature_of(&self.text));
        Ok(self)
    }

    /// The text, with the newline at its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, whoever they are by.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Which of the known keys signed it, each once.
    ///
    /// Signatures by unknown keys are passed over. It fails if one by a known key does not verify, and if there is
    /// none by a known key.
    pub fn verify<'k>(&self, known: &'k [NoteVerifier]) -> Result<Vec<&'k NoteVerifier>, TreeError> {
        let mut signed = Vec::new();
        for signature in &self.signatures {
            for key in known.iter().filter(|key| key.name == signature.name && key.id == signature.key_id) {
                let public = UnparsedPublicKey::new(&ED25519, key.public);
                if public.verify(self.text.as_bytes(), &signature.bytes).is_err() {
                    return Err(TreeError::Signature { name: key.name.clone() });
                }
                if !signed.contains(&key) {
                    signed.push(key);
                }
            }
        }
        if signed.is_empty() { Err(TreeError::Unsigned) } else { Ok(signed) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for Note {
    type Err = TreeError;

    /// Takes what [`Display`](fmt::Display) prints and nothing else.
    fn from_str(note: &str) -> Result<Self, TreeError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(TreeError::TooLarge { what: "a note" });
        }
        // The last empty line counts: the text may have some of its own.
        let end = note.rfind("\n\n").ok_or(malformed("there is no empty line before the signatures"))?;
        let (text, lines) = note.split_at(end + 1);
        check_text(text)?;
        let lines = lines.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.ok_or(malformed("it does not end in a newline"))?;
        if lines.split('\n').count() > NOTE_SIGNATURES_MAX {
            return Err(TreeError::TooLarge { what: "the list of signatures of a note" });
        }
        let signatures = lines.split('\n').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }
}

/// One line under a note: who signed, and with what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// The name of the key. Anybody can write any name here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key, which tells keys of one name apart.
    pub const fn key_id(&self) -> [u8; 4] {
        self.key_id
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = STANDARD.encode([&self.key_id[..], &self.bytes].concat());
        write!(f, "{SIGNATURE_MARK}{} {bytes}", self.name)
    }
}

impl FromStr for NoteSignature {
    type Err = TreeError;

    fn from_str(line: &str) -> Result<Self, TreeError> {
        let parts = line.strip_prefix(SIGNATURE_MARK).and_then(|rest| rest.split_once(' '));
        let (name, bytes) = parts.ok_or(malformed("a signature is not `\u{2014} <name> <base64>`"))?;
        check_name(name)?;
        let bytes = STANDARD.decode(bytes).ok().ok_or(malformed("a signature is not strict base64"))?;
        let (key_id, bytes) = bytes.split_first_chunk().ok_or(malformed("a signature has no key id"))?;
        if bytes.is_empty() || bytes.len() > SIGNATURE_BYTES_MAX {
            return Err(malformed("a signature is empty, or larger than any that is in use"));
        }
        Ok(Self { name: name.to_owned(), key_id: *key_id, bytes: bytes.to_vec() })
    }
}

/// A key that signs notes, with the name that it signs under.
pub struct NoteSigner {
    verifier: NoteVerifier,
    pair: Ed25519KeyPair,
}

impl NoteSigner {
    /// The key of a seed of 32 bytes. The name of a log's key is its origin.
    pub fn new(name: &str, seed: &DataKey) -> Result<Self, TreeError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose());
        let pair = pair.ok().ok_or(TreeError::Malformed { what: "the seed", why: "it gives no key" })?;
        let public = <[u8; 32]>::try_from(pair.public_key().as_ref());
        let public = public.ok().ok_or(TreeError::Malformed { what: "the seed", why: "it gives no key" })?;
        Ok(Self { verifier: NoteVerifier::new(name, public)?, pair })
    }

    /// What verifies it, to be given away.
    pub const fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }

    fn signature_of(&self, text: &str) -> NoteSignature {
        let bytes = self.pair.sign(text.as_bytes()).as_ref().to_vec();
        NoteSignature { name: self.verifier.name.clone(), key_id: self.verifier.id, bytes }
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteSigner").field("verifier", &self.verifier.to_string()).finish_non_exhaustive()
    }
}

/// A public key and its name, `<name>+<8 hex digits>+<base64>` as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteVerifier {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl NoteVerifier {
    /// That of an Ed25519 key.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, TreeError> {
        check_name(name)?;
        let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[ED25519_MARK], &public]);
        Ok(Self { name: name.to_owned(), id: [a, b, c, d], public })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id: the first bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key). It tells keys apart and proves nothing.
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519_MARK][..], &self.public].concat());
        write!(f, "{}+{:08x}+{key}", self.name, u32::from_be_bytes(self.id))
    }
}

impl FromStr for NoteVerifier {
    type Err = TreeError;

    /// Takes what [`Display`](fmt::Display) prints and nothing else; an id that is not that of name and key is refused.
    fn from_str(text: &str) -> Result<Self, TreeError> {
        let malformed = |why| TreeError::Malformed { what: "the verifier key", why };
        if text.len() > NAME_BYTES_MAX + 64 {
            return Err(malformed("it is longer than any"));
        }
        let parts = text.split_once('+').and_then(|(name, rest)| Some((name, rest.split_once('+')?.1)));
        let (name, key) = parts.ok_or(malformed("it is not `<name>+<id>+<base64>`"))?;
        let key = STANDARD.decode(key).ok().ok_or(malformed("its key is not strict base64"))?;
        let Some((&ED25519_MARK, key)) = key.split_first() else {
            return Err(malformed("its key is not an Ed25519 key"));
        };
        let key = <[u8; 32]>::try_from(key).ok().ok_or(malformed("its key has not 32 bytes"))?;
        let verifier = Self::new(name, key)?;
        if verifier.to_string() == text {
            Ok(verifier)
        } else {
            Err(malformed("its id is not that of its key"))
        }
    }
}

/// No spaces, which end a name in a line, no plus, which ends it in a verifier key, and nothing that is no character.
pub(crate) fn check_name(name: &str) -> Result<(), TreeError> {
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.chars().any(|c| c == '+' || c.is_whitespace() || c.is_control());
    if is_name {
        Ok(())
    } else {
        Err(malformed("the name of a key is empty, too long, or has a space or a plus"))
    }
}

/// A text that can be signed: it ends in a newline and has no other control characters.
pub(crate) fn check_text(text: &str) -> Result<(), TreeError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(TreeError::TooLarge { what: "the text of a note" });
    }
    if !text.ends_with('\n') {
        return Err(malformed("its text does not end in a newline"));
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(malformed("its text has control characters"));
    }
    Ok(())
}

/// A hash as notes and proofs have it.
pub(crate) fn hash_text(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

/// Takes what [`hash_text`] gives and nothing else.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    // Its length first: 32 bytes have 44 characters, whatever else the line has.
    if text.len() != 44 {
        return None;
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

const fn malformed(why: &'static str) -> TreeError {
    TreeError::Malformed { what: "the note", why }
}
