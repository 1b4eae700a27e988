//! Keys as the pipeline sees them: bytes that are wiped, and a port to whoever keeps them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, Zeroizing};

use crate::fault::{Fault, FaultKind};
use crate::id::KeyId;
use crate::port::PortError;

/// Bytes of a key: AES-256 and HMAC-SHA-256 both take 32.
pub const KEY_BYTES: usize = 32;

/// The key that wraps other keys. Bytes only: what they are used for is the business of a [`KeyProvider`].
///
/// It is wiped when dropped, has no `Display` and no `Serialize`, and its `Debug` prints nothing of it.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

impl MasterKey {
    /// Takes 32 bytes, not all of them zero.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Result<Self, MasterKeyError> {
        if bytes == [0; KEY_BYTES] { Err(MasterKeyError::Zero) } else { Ok(Self(Zeroizing::new(bytes))) }
    }

    /// Reads standard base64 (RFC 4648, section 4) with padding and nothing else: exactly 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, MasterKeyError> {
        let mut decoded = Zeroizing::new(STANDARD.decode(text).ok().ok_or(MasterKeyError::Base64)?);
        let bytes: Result<[u8; KEY_BYTES], _> = decoded.as_slice().try_into();
        let length = decoded.len();
        decoded.zeroize();
        Self::new(bytes.ok().ok_or(MasterKeyError::Length { bytes: length })?)
    }

    /// The key in standard base64, wiped when dropped.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// The bytes, for a provider.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

/// The text is not a master key. Nothing of it stands in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// It is not base64.
    #[error("a master key is standard base64 with padding and nothing else")]
    Base64,
    /// It is too short or too long.
    #[error("a master key is 32 bytes, not {bytes}")]
    Length {
        /// How many it is.
        bytes: usize,
    },
    /// All its bytes are zero.
    #[error("a master key of zeros protects nothing")]
    Zero,
}

impl Fault for MasterKeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Base64 => "ssg-core/master-key-base64",
            Self::Length { .. } => "ssg-core/master-key-length",
            Self::Zero => "ssg-core/master-key-zero",
        }
    }

    fn kind(&self) -> FaultKind {
        FaultKind::Configuration
    }

    fn hint(&self) -> Option<String> {
        Some("make one with `claw keys generate`".to_owned())
    }
}

/// The key of one thing: of one held content, of one subject. Wiped when dropped.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl DataKey {
    /// Takes 32 bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for whoever seals.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey([redacted])")
    }
}

/// A message authentication code and the key that made it, `<key id>:<64 hex>` as text.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Mac {
    /// The master key that it hangs on.
    pub key: KeyId,
    /// HMAC-SHA-256.
    pub tag: [u8; 32],
}

impl Mac {
    /// Puts the parts together.
    pub const fn new(key: KeyId, tag: [u8; 32]) -> Self {
        Self { key, tag }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.key)?;
        self.tag.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The text is not a code with its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not `<key id>:<64 hex>`")]
#[non_exhaustive]
pub struct MacError;

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let (key, hex) = text.rsplit_once(':').ok_or(MacError)?;
        let mut tag = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(MacError);
        }
        for (byte, digits) in tag.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok().ok_or(MacError)?;
            *byte = u8::from_str_radix(digits, 16).ok().ok_or(MacError)?;
        }
        Ok(Self { key: KeyId::new(key).ok().ok_or(MacError)?, tag })
    }
}

/// Keeps master keys and works with them, so that nobody else sees their bytes.
///
/// `context` separates uses: what is wrapped or coded under one context opens under no other.
#[async_trait]
pub trait KeyProvider: fmt::Debug + Send + Sync + 'static {
    /// The key that new things are wrapped with, and codes made with.
    fn active(&self) -> KeyId;

    /// The key that wraps keys which themselves wrap others, and which can be exchanged without anything else changing:
    /// a master key. [`active`](Self::active), unless there is more than one layer.
    fn master(&self) -> KeyId {
        self.active()
    }

    /// `async fn wrap(&self, key: &KeyId, context: &[u8], data_key: &DataKey) -> Result<Vec<u8>, PortError>`
    ///
    /// Seals a data key; twice the same gives two texts.
    async fn wrap(&self, key: &KeyId, context: &[u8], data_key: &DataKey) -> Result<Vec<u8>, PortError>;

    /// `async fn unwrap(&self, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError>`
    ///
    /// Opens what `wrap` sealed with the same key and context; anything else is an `Integrity` fault, a key that
    /// is not here a `Configuration` fault.
    async fn unwrap(&self, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError>;

    /// `async fn mac(&self, key: &KeyId, context: &[u8], message: &[u8]) -> Result<Mac, PortError>`
    ///
    /// HMAC-SHA-256 over `message` under a key derived from `key` and `context`.
    async fn mac(&self, key: &KeyId, context: &[u8], message: &[u8]) -> Result<Mac, PortError>;
}

#[async_trait]
impl<T: KeyProvider + ?Sized> KeyProvider for Arc<T> {
    fn active(&self) -> KeyId {
        (**self).active()
    }

    fn master(&self) -> KeyId {
        (**self).master()
    }

    async fn wrap(&self, key: &KeyId, context: &[u8], data_key: &DataKey) -> Result<Vec<u8>, PortError> {
        (**self).wrap(key, context, data_key).await
    }

    async fn unwrap(&self, key: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError> {
        (**self).unwrap(key, context, wrapped).await
    }

    async fn mac(&self, key: &KeyId, context: &[u8], message: &[u8]) -> Result<Mac, PortError> {
        (**self).mac(key, context, message).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strict_base64_of_32_bytes_that_are_not_zero_is_a_master_key() {
        let good = STANDARD.encode([7; 32]);
        assert_eq!(MasterKey::from_base64(&good).unwrap().expose(), &[7; 32]);
        for (bad, error) in [
            (String::new(), MasterKeyError::Length { bytes: 0 }),
            (format!("!!{good}###"), MasterKeyError::Base64),
            (format!("{good}\n"), MasterKeyError::Base64),
            (good.trim_end_matches('=').to_owned(), MasterKeyError::Base64),
            (STANDARD.encode([7; 31]), MasterKeyError::Length { bytes: 31 }),
            (STANDARD.encode([7; 33]), MasterKeyError::Length { bytes: 33 }),
            (STANDARD.encode([0xfb; 32]).replace('+', "-").replace('/', "_"), MasterKeyError::Base64),
            (STANDARD.encode([0; 32]), MasterKeyError::Zero),
        ] {
            assert_eq!(MasterKey::from_base64(&bad).unwrap_err(), error, "{bad}");
        }
    }

    #[test]
    fn debug_prints_nothing_of_a_key() {
        let key = MasterKey::new([7; 32]).unwrap();
        assert_eq!(
            format!("{key:?} {:?}", DataKey::new([7; 32])),
            "MasterKey([redacted]) DataKey([redacted])"
        );
    }

    #[test]
    fn a_code_is_read_back() {
        let mac = Mac::new(KeyId::new("k:1").unwrap(), [0xab; 32]);
        assert_eq!(mac.to_string().parse::<Mac>().unwrap(), mac);
        assert!("k".parse::<Mac>().is_err());
    }
}
