//! Master keys by name, and what is derived from them.
//!
//! A key file is text, a key a line: the key in standard base64 (RFC 4648, section 4), or a name of 1 to 128
//! characters of `A-Z a-z 0-9 . _ : @ -`, one space, and the key. Each line ends with a line feed. The first key is
//! the active one. A key without a name is named by a code of itself, `mk-` and eight hexadecimal digits, which tells
//! nothing of it. The file belongs to the user that runs the process, and nobody else can read it.
//!
//! What is derived: for each wrap, one key by HKDF-Expand-SHA-512 from the master key, the key's name, the context and
//! 24 random bytes, used once with AES-256-GCM; for codes, one key a context by the same function, used with
//! HMAC-SHA-256.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use async_trait::async_trait;
use clawexchange_ssg_core::{DataKey, KEY_BYTES, KeyId, KeyProvider, Mac, MasterKey, PortError};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::QuarantineError;
use crate::seal::{Length, random};

/// Most keys in one ring: a key a week for a year, and some.
pub const KEYS_MAX: usize = 64;

const FILE_BYTES_MAX: u64 = 64 << 10;
const WRAP_VERSION: u8 = 1;
const SALT_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const WRAPPED_BYTES: usize = 1 + SALT_BYTES + KEY_BYTES + TAG_BYTES;
const WRAP: &[u8] = b"claw/keyring/wrap/v1\0";
const MAC: &[u8] = b"claw/keyring/mac/v1\0";
const NAME: &[u8] = b"claw/keyring/id/v1";

/// Keeps master keys in memory. Its `Debug` prints names and no keys.
///
/// ```
/// use clawexchange_quarantine::KeyRing;
/// use clawexchange_ssg_core::{DataKey, KeyProvider};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = KeyRing::generate()?;
/// let wrapped = keys.wrap(&keys.active(), b"record 7", &DataKey::new([7; 32])).await?;
/// assert_eq!(keys.unwrap(&keys.active(), b"record 7", &wrapped).await?.expose(), &[7; 32]);
/// assert!(keys.unwrap(&keys.active(), b"record 8", &wrapped).await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyRing {
    /// The first is the active one.
    first: (KeyId, MasterKey),
    others: Vec<(KeyId, MasterKey)>,
}

impl KeyRing {
    /// A ring of one key, which is named by a code of itself unless `id` names it.
    pub fn from_master(id: Option<KeyId>, master: MasterKey) -> Self {
        Self { first: (id.unwrap_or_else(|| name_of(&master)), master), others: Vec::new() }
    }

    /// A ring of one new key of random bytes.
    pub fn generate() -> Result<Self, QuarantineError> {
        let mut bytes = random::<KEY_BYTES>()?;
        let master = MasterKey::new(bytes);
        bytes.zeroize();
        Ok(Self::from_master(None, master.ok().ok_or(QuarantineError::NoRandomness)?))
    }

    /// The same ring with one more key, which opens what it once wrapped and wraps nothing new.
    ///
    /// Refused are a second key of one name, and more than [`KEYS_MAX`] keys.
    pub fn with(mut self, id: Option<KeyId>, master: MasterKey) -> Result<Self, QuarantineError> {
        let key = id.unwrap_or_else(|| name_of(&master));
        if self.find(&key).is_some() {
            return Err(QuarantineError::KeyTwice { key });
        }
        if self.others.len() + 1 >= KEYS_MAX {
            return Err(QuarantineError::Config { setting: "the key ring", expected: "64 keys at most" });
        }
        self.others.push((key, master));
        Ok(self)
    }

    /// The active key itself, for whoever hands a new key to its owner.
    pub fn active_master(&self) -> &MasterKey {
        &self.first.1
    }

    /// Names of all keys, the active one first.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        std::iter::once(&self.first).chain(&self.others).map(|(id, _)| id)
    }

    /// Reads a key file. It must belong to this user and be readable by nobody else (mode 600 or 400); a link is
    /// followed, as mounted secrets are links.
    pub fn read_file(path: &Path) -> Result<Self, QuarantineError> {
        let unusable = |source| QuarantineError::KeyFile { path: path.to_owned(), source };
        let file = File::open(path).map_err(unusable)?;
        let about = file.metadata().map_err(unusable)?;
        let own = about.uid() == rustix::process::geteuid().as_raw();
        if !about.is_file() || !own || about.mode() & 0o077 != 0 {
            return Err(QuarantineError::KeyFileOpen { path: path.to_owned() });
        }
        let too_long = || unusable(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 64 KiB"));
        if about.len() > FILE_BYTES_MAX {
            return Err(too_long());
        }
        // Room for all of it, so that no copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(usize::try_from(about.len()).unwrap_or(0) + 1));
        let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unusable)?;
        if u64::try_from(read).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
            return Err(too_long());
        }
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, QuarantineError> {
        let wrong =
            |line, source| QuarantineError::KeyFileLine { path: path.to_owned(), line: line + 1, source };
        let mut ring: Option<Self> = None;
        for (line, whole) in text.split_inclusive('\n').enumerate() {
            let content = whole.strip_suffix('\n').ok_or_else(|| wrong(line, None))?;
            let (id, key) = match content.split_once(' ') {
                Some((id, key)) => (Some(KeyId::new(id).ok().ok_or_else(|| wrong(line, None))?), key),
                None => (None, content),
            };
            let master = MasterKey::from_base64(key).map_err(|e| wrong(line, Some(e)))?;
            ring = Some(match ring {
                None => Self::from_master(id, master),
                Some(ring) => ring.with(id, master)?,
            });
        }
        ring.ok_or_else(|| wrong(0, None))
    }

    /// Writes a new key file with mode 600: whole or not at all, and on the disk before this returns. A file that is
    /// there already is never touched, and its being there an error.
    pub fn write_new_file(&self, path: &Path) -> Result<(), QuarantineError> {
        // A link, unlike a rename, never replaces what is there.
        self.write(path, |draft| fs::hard_link(draft, path))
            .map_err(|source| QuarantineError::KeyFile { path: path.to_owned(), source })
    }

    /// Adds a key at the end of a key file, where it opens what it wrapped and is not the active one. The file is exchanged
    /// whole, and is on the disk before this returns; where it is a link, what it leads to is exchanged.
    pub fn add_to_file(path: &Path, id: Option<KeyId>, master: MasterKey) -> Result<Self, QuarantineError> {
        let unusable = |source| QuarantineError::KeyFile { path: path.to_owned(), source };
        let ring = Self::read_file(path)?.with(id, master)?;
        let place = path.canonicalize().map_err(unusable)?;
        ring.write(&place, |draft| fs::rename(draft, &place)).map_err(unusable)?;
        Ok(ring)
    }

    fn write(&self, path: &Path, put: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file")),
        };
        let mut text = Zeroizing::new(String::with_capacity(KEYS_MAX * 256));
        for (id, master) in std::iter::once(&self.first).chain(&self.others) {
            if *id != name_of(master) {
                text.push_str(id.as_str());
                text.push(' ');
            }
            text.push_str(&master.to_base64());
            text.push('\n');
        }
        let draft = folder.join(format!(".{}.part", clawexchange_ssg_core::EventId::fresh()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            put(&draft)
        })();
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return written.and(Err(error)),
            _ => written?,
        }
        File::open(folder)?.sync_all()
    }

    pub(crate) fn find(&self, id: &KeyId) -> Option<&MasterKey> {
        std::iter::once(&self.first).chain(&self.others).find(|(known, _)| known == id).map(|(_, key)| key)
    }

    fn known(&self, id: &KeyId) -> Result<&MasterKey, QuarantineError> {
        self.find(id).ok_or_else(|| QuarantineError::KeyUnknown { key: id.clone() })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids().map(KeyId::as_str)).finish()
    }
}

#[async_trait]
impl KeyProvider for KeyRing {
    fn active(&self) -> KeyId {
        self.first.0.clone()
    }

    async fn wrap(&self, key: &KeyId, context: &[u8], data_key: &DataKey) -> Result<Vec<u8>, PortError> {
        let salt = random::<SALT_BYTES>()?;
        let cipher = wrapping(self.known(key)?, key, context, &salt).ok_or(QuarantineError::WrappedKey)?;
        let mut place = Zeroizing::new(*data_key.expose());
        let tag = cipher
            .seal_in_place_separate_tag(one_use(), Aad::empty(), place.as_mut_slice())
            .ok()
            .ok_or(QuarantineError::WrappedKey)?;
        let mut wrapped = Vec::with_capacity(WRAPPED_BYTES);
        wrapped.push(WRAP_VERSION);
        wrapped.extend_from_slice(&salt);
        wrapped.extend_from_slice(place.as_slice());
        wrapped.extend_from_slice(tag.as_ref());
        Ok(wrapped)
    }

    async fn unwrap(&self, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError> {
        let master = self.known(key)?;
        Ok(unwrapped(master, key, context, wrapped).ok_or(QuarantineError::WrappedKey)?)
    }

    async fn mac(&self, key: &KeyId, context: &[u8], message: &[u8]) -> Result<Mac, PortError> {
        let mut derived = Zeroizing::new([0; 32]);
        expand(self.known(key)?, &[MAC, &prefixed(key.as_str().as_bytes()), context], derived.as_mut_slice())
            .ok_or(QuarantineError::WrappedKey)?;
        Ok(Mac::new(key.clone(), hmac_sha256(derived.as_slice(), message)))
    }
}

fn unwrapped(master: &MasterKey, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Option<DataKey> {
    let (version, rest) = wrapped.split_first()?;
    let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>()?;
    let (sealed, tag) = rest.split_first_chunk::<KEY_BYTES>()?;
    let tag: [u8; TAG_BYTES] = tag.try_into().ok()?;
    if *version != WRAP_VERSION {
        return None;
    }
    let mut place = Zeroizing::new(*sealed);
    wrapping(master, key, context, salt)?
        .open_in_place_separate_tag(one_use(), Aad::empty(), tag.into(), place.as_mut_slice(), 0..)
        .ok()?;
    Some(DataKey::new(*place))
}

/// The cipher of one wrap. Name, context and salt are bound through the derivation, so none of them can be another.
fn wrapping(master: &MasterKey, key: &KeyId, context: &[u8], salt: &[u8]) -> Option<LessSafeKey> {
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    expand(master, &[WRAP, &prefixed(key.as_str().as_bytes()), salt, context], derived.as_mut_slice())?;
    UnboundKey::new(&AES_256_GCM, derived.as_slice()).ok().map(LessSafeKey::new)
}

/// Each key that `wrapping` derives seals one text, so its nonce need not differ.
fn one_use() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn expand(master: &MasterKey, info: &[&[u8]], out: &mut [u8]) -> Option<()> {
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA512, master.expose())
        .expand(info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .ok()
}

/// The bytes after their number, so that where they end is never in doubt. A name has at most 128.
fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![u8::try_from(bytes.len()).unwrap_or(u8::MAX)];
    out.extend_from_slice(bytes);
    out
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    out
}

/// The name of a key that has none: the same for the same key, and no help in finding it.
fn name_of(master: &MasterKey) -> KeyId {
    named_by_itself("mk-", master.expose(), 4)
}

/// A name that is a code of the key itself, so that another key does not have it.
pub(crate) fn named_by_itself(prefix: &str, key: &[u8; KEY_BYTES], code_bytes: usize) -> KeyId {
    use fmt::Write as _;
    let mut name = prefix.to_owned();
    for byte in hmac_sha256(key, NAME).iter().take(code_bytes) {
        // Writing to a String does not fail.
        write!(name, "{byte:02x}").unwrap_or_default();
    }
    #[expect(clippy::expect_used, reason = "a prefix of ours and hexadecimal digits are characters of an id")]
    KeyId::new(&name).expect("a name of hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clawexchange_ssg_core::testing::key_provider_conforms;
    use clawexchange_ssg_core::{Fault as _, FaultKind};

    use super::*;

    fn master(byte: u8) -> MasterKey {
        MasterKey::new([byte; 32]).unwrap()
    }

    fn id(text: &str) -> KeyId {
        KeyId::new(text).unwrap()
    }

    #[tokio::test]
    async fn a_ring_is_a_key_provider() {
        key_provider_conforms(KeyRing::generate().unwrap()).await;
        key_provider_conforms(KeyRing::from_master(Some(id("a")), master(1)).with(None, master(2)).unwrap())
            .await;
    }

    #[tokio::test]
    async fn content_held_under_an_older_key_still_opens_after_a_new_one_is_active() {
        let old = KeyRing::from_master(None, master(1));
        let wrapped = old.wrap(&old.active(), b"c", &DataKey::new([7; 32])).await.unwrap();
        let ring = KeyRing::from_master(None, master(2)).with(None, master(1)).unwrap();
        assert_ne!(ring.active(), old.active());
        assert_eq!(ring.unwrap(&old.active(), b"c", &wrapped).await.unwrap().expose(), &[7; 32]);
        let relabelled = ring.unwrap(&ring.active(), b"c", &wrapped).await.unwrap_err();
        assert_eq!(relabelled.kind(), FaultKind::Integrity, "a wrap belongs to the key that made it");
    }

    #[test]
    fn the_name_of_a_key_is_the_same_each_time_and_tells_nothing_of_it() {
        let name = name_of(&master(1));
        assert_eq!(name, name_of(&master(1)));
        assert_ne!(name, name_of(&master(2)));
        assert_eq!(name.as_str().len(), 11);
        assert!(!name.as_str().contains("0101"));
        assert_eq!(format!("{:?}", KeyRing::from_master(None, master(1))), format!("[\"{name}\"]"));
    }

    #[test]
    fn a_key_file_is_read_back_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.key");
        let ring = KeyRing::from_master(None, master(1)).with(Some(id("2026-w1")), master(2)).unwrap();
        ring.write_new_file(&path).unwrap();
        let read = KeyRing::read_file(&path).unwrap();
        assert_eq!(read.ids().collect::<Vec<_>>(), ring.ids().collect::<Vec<_>>());
        assert_eq!(read.first.1.expose(), &[1; 32]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = KeyRing::generate().unwrap().write_new_file(&path).unwrap_err();
        assert_eq!((again.kind(), again.code()), (FaultKind::Configuration, "quarantine/key-file"));
        assert_eq!(KeyRing::read_file(&path).unwrap().active(), ring.active());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.key");
        KeyRing::generate().unwrap().write_new_file(&path).unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(KeyRing::read_file(&path).is_ok(), good, "{mode:o}");
        }
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(&path, Some(1), None).unwrap();
            let error = KeyRing::read_file(&path).unwrap_err();
            assert_eq!(error.code(), "quarantine/key-file-open", "somebody else's, though root can read it");
        }
        let error = KeyRing::read_file(folder.path()).unwrap_err();
        assert_eq!(error.code(), "quarantine/key-file-open", "a folder is no key file");
        let error = KeyRing::read_file(&folder.path().join("none")).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("quarantine/key-file", FaultKind::Configuration));
    }

    /// Defect 26 of the original: junk around the key, base64url and a key of zeros were taken.
    #[test]
    fn only_the_documented_spelling_of_a_key_file_is_taken() {
        let (one, two) = (master(0xfb).to_base64(), master(2).to_base64());
        let (one, two) = (one.as_str(), two.as_str());
        let parse = |text: &str| KeyRing::parse(text, Path::new("k"));
        assert!(parse(&format!("{one}\n")).is_ok());
        assert_eq!(parse(&format!("a {one}\nb {two}\n")).unwrap().active(), id("a"));
        for bad in [
            String::new(),
            "\n".to_owned(),
            one.to_owned(),
            format!("{one}\n\n"),
            format!("{one}\r\n"),
            format!(" {one}\n"),
            format!("a  {one}\n"),
            format!("a b {one}\n"),
            format!("!!{one}###\n"),
            format!("{}\n", one.replace('+', "-").replace('/', "_")),
            format!("{}\n", one.trim_end_matches('=')),
            format!("{}=\n", "A".repeat(43)),
            format!("{one}\n{one}\n"),
            format!("a {one}\na {two}\n"),
            "# a comment\n".to_owned(),
        ] {
            let error = parse(&bad).unwrap_err();
            assert_eq!(error.kind(), FaultKind::Configuration, "{bad:?}");
            assert!(!format!("{error} {error:?}").contains(one), "an error shows no key");
        }
    }
}
