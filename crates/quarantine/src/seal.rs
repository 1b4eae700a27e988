//! The sealed form of held content: versioned, committed to one key, bound to its record, read in one way only.
//!
//! ```text
//! "SSGQ" | version u8 = 1 | suite u8 = 1 | length of context u16 | context | salt 24 | commitment 32 | chunks
//! ```
//!
//! Integers are big-endian. The context is nine fields in this order, each once: number u8, length u16, value.
//!
//! | number | value |
//! | --- | --- |
//! | 1 | 16 zero bytes, where a tenant would stand |
//! | 2 | record id, 16 bytes |
//! | 3 | when it was held, microseconds since 1970, i64 |
//! | 4 | tier, u8 from CLEAR = 0 to CRITICAL = 4 |
//! | 5 | content type, its word |
//! | 6 | bytes of the content, u64 |
//! | 7 | HMAC-SHA-256 of the content's canonical form |
//! | 8 | key id of that HMAC |
//! | 9 | policy that judged |
//!
//! From the salt on, the bytes are those of C2SP's chunked-encryption with `AEAD_AES_256_GCM` and HKDF-SHA-512, whose
//! context is the SHA-256 of everything before the salt. So another record's header, a tier lowered by hand or a
//! second key for the same bytes fail at the commitment, before anything is opened.

use clawexchange_ssg_core::{ContentType, DataKey, KeyId, Mac, QuarantineId, RiskTier, Timestamp};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hkdf};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Flaw, QuarantineError};

/// Bytes of content in every chunk but the last, which has fewer.
pub const CHUNK_BYTES: usize = 16 << 10;

/// Most bytes of content that are sealed: what one process may hold in memory for one reader.
pub const CONTENT_BYTES_MAX: u64 = 64 << 20;

const MAGIC: &[u8; 4] = b"SSGQ";
const VERSION: u8 = 1;
const SUITE: u8 = 1;
const PREFIX_BYTES: usize = 8;
const CONTEXT_BYTES_MAX: usize = 1 << 10;
const SALT_BYTES: usize = 24;
const COMMITMENT_BYTES: usize = 32;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
const DERIVE: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
const TENANT: [u8; 16] = [0; 16];

/// A data key that has sealed nothing yet. Sealing takes it, so that no two contents share a key.
#[derive(Debug)]
pub struct FreshKey(DataKey);

impl FreshKey {
    /// Makes one of random bytes.
    pub fn generate() -> Result<Self, QuarantineError> {
        let mut bytes = random::<KEY_BYTES>()?;
        let key = DataKey::new(bytes);
        bytes.zeroize();
        Ok(Self(key))
    }

    /// The key, for whoever wraps it.
    pub const fn data_key(&self) -> &DataKey {
        &self.0
    }
}

/// What sealed content is bound to: opened with another context, it does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealContext {
    /// The record.
    pub record: QuarantineId,
    /// When it was held.
    pub created: Timestamp,
    /// How dangerous it was judged.
    pub tier: RiskTier,
    /// What sort of content it is.
    pub content_type: ContentType,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// Code of the content's canonical form.
    pub content_mac: Mac,
    /// The rules that judged: at most 512 bytes.
    pub policy: String,
}

impl SealContext {
    /// Puts the parts together; the policy is set afterwards.
    pub const fn new(
        record: QuarantineId,
        created: Timestamp,
        tier: RiskTier,
        content_type: ContentType,
        size_bytes: u64,
        content_mac: Mac,
    ) -> Self {
        Self { record, created, tier, content_type, size_bytes, content_mac, policy: String::new() }
    }

    /// Reads the header of sealed bytes, and says where the salt begins. Nothing of it is proven yet.
    pub fn read(sealed: &[u8]) -> Result<(Self, usize), QuarantineError> {
        let (head, rest) = sealed.split_first_chunk::<PREFIX_BYTES>().ok_or(Flaw::Format)?;
        let [m0, m1, m2, m3, version, suite, high, low] = *head;
        if [m0, m1, m2, m3] != *MAGIC || version != VERSION || suite != SUITE {
            return Err(Flaw::Format.into());
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > CONTEXT_BYTES_MAX {
            return Err(Flaw::Header.into());
        }
        let context = Self::parse(rest.get(..length).ok_or(Flaw::Length)?).ok_or(Flaw::Header)?;
        Ok((context, PREFIX_BYTES + length))
    }

    fn header(&self) -> Result<Vec<u8>, QuarantineError> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, SUITE, 0, 0]);
        let fields: [&[u8]; 9] = [
            &TENANT,
            self.record.as_bytes(),
            &self.created.as_micros().to_be_bytes(),
            &[tier_number(self.tier)],
            self.content_type.as_str().as_bytes(),
            &self.size_bytes.to_be_bytes(),
            &self.content_mac.tag,
            self.content_mac.key.as_str().as_bytes(),
            self.policy.as_bytes(),
        ];
        for (number, value) in (1_u8..).zip(fields) {
            let length = u16::try_from(value.len()).ok().ok_or(Flaw::Header)?;
            out.push(number);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value);
        }
        let length = out.len() - PREFIX_BYTES;
        if length > CONTEXT_BYTES_MAX {
            return Err(Flaw::Header.into());
        }
        let length = u16::try_from(length).ok().ok_or(Flaw::Header)?;
        if let Some(place) = out.get_mut(6..8) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Ok(out)
    }

    /// `None` unless the bytes are exactly what [`header`](Self::header) writes after its prefix.
    fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut field = |wanted: u8| {
            let ([number, high, low], rest) = bytes.split_first_chunk()?;
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
            bytes = rest;
            (*number == wanted).then_some(value)
        };
        if field(1)? != TENANT {
            return None;
        }
        let record = QuarantineId::from_bytes(field(2)?.try_into().ok()?);
        let micros = i64::from_be_bytes(field(3)?.try_into().ok()?);
        let created = Timestamp::from_micros(micros);
        let [tier] = *field(4)? else { return None };
        let tier = RiskTier::ALL.into_iter().find(|t| tier_number(*t) == tier)?;
        let word = field(5)?;
        let content_type = ContentType::ALL.into_iter().find(|t| t.as_str().as_bytes() == word)?;
        let size_bytes = u64::from_be_bytes(field(6)?.try_into().ok()?);
        let tag = field(7)?.try_into().ok()?;
        let key = KeyId::new(std::str::from_utf8(field(8)?).ok()?).ok()?;
        let policy = std::str::from_utf8(field(9)?).ok()?.to_owned();
        // A moment that the calendar does not have was moved: then there would be two spellings.
        let whole = bytes.is_empty() && created.as_micros() == micros;
        whole.then(|| Self {
            policy,
            ..Self::new(record, created, tier, content_type, size_bytes, Mac::new(key, tag))
        })
    }
}

const fn tier_number(tier: RiskTier) -> u8 {
    match tier {
        RiskTier::Clear => 0,
        RiskTier::Low => 1,
        RiskTier::Moderate => 2,
        RiskTier::High => 3,
        RiskTier::Critical => 4,
    }
}

/// Seals content in one go.
pub fn seal(key: FreshKey, context: &SealContext, content: &[u8]) -> Result<Vec<u8>, QuarantineError> {
    let chunks = content.len() / CHUNK_BYTES + 1;
    let mut out = Vec::with_capacity(PREFIX_BYTES + CONTEXT_BYTES_MAX + content.len() + chunks * TAG_BYTES);
    let mut sealer = Sealer::new(key, context, &mut out)?;
    sealer.push(content, &mut out)?;
    sealer.finish(&mut out)?;
    Ok(out)
}

/// Opens sealed content in one go: all of it, or nothing. What it returns is wiped when dropped.
pub fn open(
    key: &DataKey,
    expected: &SealContext,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, QuarantineError> {
    let room = usize::try_from(expected.size_bytes.min(CONTENT_BYTES_MAX)).unwrap_or(0);
    let mut out = Zeroizing::new(Vec::with_capacity(room.min(sealed.len())));
    let mut opener = Opener::new(key, expected)?;
    opener.push(sealed, &mut out)?;
    opener.finish(&mut out)?;
    Ok(out)
}

/// Seals content that comes piece by piece; needs room for one chunk.
#[derive(Debug)]
pub struct Sealer {
    cipher: Cipher,
    waiting: Zeroizing<Vec<u8>>,
    left: u64,
}

impl Sealer {
    /// Takes the key, and writes everything before the first chunk to `out`.
    pub fn new(key: FreshKey, context: &SealContext, out: &mut Vec<u8>) -> Result<Self, QuarantineError> {
        Self::salted(key, context, &random()?, out)
    }

    fn salted(
        key: FreshKey,
        context: &SealContext,
        salt: &[u8; SALT_BYTES],
        out: &mut Vec<u8>,
    ) -> Result<Self, QuarantineError> {
        if context.size_bytes > CONTENT_BYTES_MAX {
            return Err(QuarantineError::TooLarge { max: CONTENT_BYTES_MAX });
        }
        let header = context.header()?;
        let FreshKey(key) = key;
        let (cipher, commitment) = Cipher::derive(&key, salt, &header)?;
        out.extend_from_slice(&header);
        out.extend_from_slice(salt);
        out.extend_from_slice(&commitment);
        // Room for all that will wait, so that no copy of it is left behind by growing.
        let room = usize::try_from(context.size_bytes).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        Ok(Self { cipher, waiting: Zeroizing::new(Vec::with_capacity(room)), left: context.size_bytes })
    }

    /// Takes the next piece, and writes to `out` what is a whole chunk.
    pub fn push(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), QuarantineError> {
        let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(length).ok_or(Flaw::Length)?;
        chunked(&mut self.waiting, content, CHUNK_BYTES, |chunk| self.cipher.seal(chunk, out))
    }

    /// Writes the last chunk; fails if less came than the context says.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), QuarantineError> {
        if self.left > 0 {
            return Err(Flaw::Length.into());
        }
        self.cipher.seal(&self.waiting, out)
    }
}

/// Opens sealed bytes that come piece by piece; needs room for one chunk. What it lets out is proven, but only
/// [`finish`](Self::finish) proves that it is all.
#[derive(Debug)]
pub struct Opener<'a> {
    key: &'a DataKey,
    expected: &'a SealContext,
    header: Vec<u8>,
    cipher: Option<Cipher>,
    waiting: Vec<u8>,
    left: u64,
}

impl<'a> Opener<'a> {
    /// Opens what was sealed with this key for this context, and nothing else.
    pub fn new(key: &'a DataKey, expected: &'a SealContext) -> Result<Self, QuarantineError> {
        let header = expected.header()?;
        Ok(Self { key, expected, header, cipher: None, waiting: Vec::new(), left: expected.size_bytes })
    }

    /// Takes the next piece, and appends to `out` what was proven by it.
    pub fn push(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), QuarantineError> {
        let head = self.header.len() + SALT_BYTES + COMMITMENT_BYTES;
        let mut rest = sealed;
        let cipher = match &mut self.cipher {
            Some(cipher) => cipher,
            none => {
                let (wanted, after) = rest.split_at(rest.len().min(head - self.waiting.len().min(head)));
                self.waiting.extend_from_slice(wanted);
                rest = after;
                if self.waiting.len() < head {
                    return Ok(());
                }
                let cipher = none.insert(admit(self.key, self.expected, &self.header, &self.waiting)?);
                self.waiting.clear();
                cipher
            }
        };
        let left = &mut self.left;
        chunked(&mut self.waiting, rest, SEALED_CHUNK_BYTES, |chunk| cipher.open(chunk, left, out))
    }

    /// Opens the last chunk, and checks that it is the last and that nothing is missing.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), QuarantineError> {
        let Some(cipher) = &mut self.cipher else {
            // A stranger's bytes are told apart from ours that were cut.
            SealContext::read(&self.waiting)?;
            return Err(Flaw::Length.into());
        };
        if self.waiting.len() < TAG_BYTES {
            return Err(Flaw::Length.into());
        }
        cipher.open(&self.waiting, &mut self.left, out)?;
        if self.left == 0 { Ok(()) } else { Err(Flaw::Length.into()) }
    }
}

/// Checks everything before the first chunk.
fn admit(
    key: &DataKey,
    expected: &SealContext,
    header: &[u8],
    head: &[u8],
) -> Result<Cipher, QuarantineError> {
    let (found, _) = SealContext::read(head)?;
    let (found_header, rest) = head.split_at_checked(header.len()).ok_or(Flaw::Length)?;
    if found != *expected || found_header != header {
        return Err(Flaw::Context.into());
    }
    let (salt, commitment) = rest.split_first_chunk::<SALT_BYTES>().ok_or(Flaw::Length)?;
    let (cipher, derived) = Cipher::derive(key, salt, header)?;
    if bool::from(derived.ct_eq(commitment)) { Ok(cipher) } else { Err(Flaw::Commitment.into()) }
}

/// Hands `each` whole chunks of what waits and what comes; keeps the rest waiting.
fn chunked(
    waiting: &mut Vec<u8>,
    mut coming: &[u8],
    size: usize,
    mut each: impl FnMut(&[u8]) -> Result<(), QuarantineError>,
) -> Result<(), QuarantineError> {
    if !waiting.is_empty() {
        let (first, rest) = coming.split_at(coming.len().min(size - waiting.len().min(size)));
        waiting.extend_from_slice(first);
        coming = rest;
        if waiting.len() == size {
            each(waiting)?;
            waiting.zeroize();
        }
    }
    let mut chunks = coming.chunks_exact(size);
    for chunk in &mut chunks {
        each(chunk)?;
    }
    waiting.extend_from_slice(chunks.remainder());
    Ok(())
}

/// The key of one content, its nonce, and how many chunks it has done.
struct Cipher {
    key: LessSafeKey,
    nonce: [u8; NONCE_BYTES],
    chunks: u64,
}

impl Cipher {
    fn derive(
        key: &DataKey,
        salt: &[u8],
        header: &[u8],
    ) -> Result<(Self, [u8; COMMITMENT_BYTES]), QuarantineError> {
        let context = sha256(header);
        let mut okm = Zeroizing::new([0; KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES]);
        hkdf::Prk::new_less_safe(hkdf::HKDF_SHA512, key.expose())
            .expand(&[DERIVE, salt, &context], Length(okm.len()))
            .and_then(|okm_of| okm_of.fill(okm.as_mut_slice()))
            .ok()
            .ok_or(Flaw::Header)?;
        let (key, rest) = okm.split_first_chunk::<KEY_BYTES>().ok_or(Flaw::Header)?;
        let (nonce, commitment) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Flaw::Header)?;
        let commitment = commitment.try_into().ok().ok_or(Flaw::Header)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok().ok_or(Flaw::Header)?);
        Ok((Self { key, nonce: *nonce, chunks: 0 }, commitment))
    }

    /// The base nonce with the number of the chunk laid over its end.
    fn next_nonce(&mut self) -> Nonce {
        let mut nonce = self.nonce;
        for (byte, of_number) in nonce.iter_mut().skip(4).zip(self.chunks.to_be_bytes()) {
            *byte ^= of_number;
        }
        self.chunks += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), QuarantineError> {
        let (from, nonce) = (out.len(), self.next_nonce());
        out.extend_from_slice(chunk);
        let place = out.get_mut(from..).ok_or(Flaw::Length)?;
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), place).ok().ok_or(Flaw::Length)?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    fn open(&mut self, chunk: &[u8], left: &mut u64, out: &mut Vec<u8>) -> Result<(), QuarantineError> {
        let (text, tag) = chunk.split_last_chunk::<TAG_BYTES>().ok_or(Flaw::Length)?;
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        *left = left.checked_sub(length).ok_or(Flaw::Length)?;
        let (from, nonce) = (out.len(), self.next_nonce());
        out.extend_from_slice(text);
        let place = out.get_mut(from..).ok_or(Flaw::Length)?;
        if self.key.open_in_place_separate_tag(nonce, Aad::empty(), (*tag).into(), place, 0..).is_err() {
            place.zeroize();
            out.truncate(from);
            return Err(Flaw::Chunk.into());
        }
        Ok(())
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cipher").field("chunks", &self.chunks).finish_non_exhaustive()
    }
}

/// How many bytes a derivation gives.
pub(crate) struct Length(pub(crate) usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Random bytes of the machine.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], QuarantineError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok().ok_or(QuarantineError::NoRandomness)?;
    Ok(bytes)
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(size_bytes: usize) -> SealContext {
        SealContext {
            policy: "words@1+00000000".to_owned(),
            ..SealContext::new(
                QuarantineId::from_bytes([0x11; 16]),
                Timestamp::from_micros(1_800_000_000_000_000),
                RiskTier::High,
                ContentType::Post,
                size_bytes as u64,
                Mac::new(KeyId::new("k").unwrap(), [0x22; 32]),
            )
        }
    }

    fn content(size_bytes: usize) -> Vec<u8> {
        (0..size_bytes).map(|i| u8::try_from(i % 251).unwrap()).collect()
    }

    fn data_key() -> DataKey {
        DataKey::new([0x33; 32])
    }

    /// Sealed under a key that the test knows.
    fn sealed(context: &SealContext, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut sealer = Sealer::salted(FreshKey(data_key()), context, &[0x44; 24], &mut out).unwrap();
        sealer.push(content, &mut out).unwrap();
        sealer.finish(&mut out).unwrap();
        out
    }

    fn flaw(result: Result<Zeroizing<Vec<u8>>, QuarantineError>) -> Flaw {
        match result {
            Err(QuarantineError::Damaged { flaw }) => flaw,
            other => panic!("{other:?}"),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, b| {
            write!(text, "{b:02x}").unwrap();
            text
        })
    }

    #[test]
    fn what_was_sealed_opens_byte_for_byte_whatever_its_length() {
        for size in [0, 1, 280, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7] {
            let (context, content) = (context(size), content(size));
            let key = FreshKey::generate().unwrap();
            let for_reader = key.data_key().clone();
            let sealed = seal(key, &context, &content).unwrap();
            let (read, salt_at) = SealContext::read(&sealed).unwrap();
            assert_eq!(read, context);
            assert_eq!(sealed.len() - salt_at, 56 + size + 16 * (size / CHUNK_BYTES + 1));
            assert_eq!(*open(&for_reader, &context, &sealed).unwrap(), content);
        }
    }

    #[test]
    fn pieces_of_any_size_make_the_same_bytes_and_open_to_the_same_content() {
        let (context, content) = (context(40_000), content(40_000));
        let whole = sealed(&context, &content);
        for piece in [1, 7, 1000, CHUNK_BYTES, CHUNK_BYTES + 16, 39_999] {
            let mut out = Vec::new();
            let mut sealer = Sealer::salted(FreshKey(data_key()), &context, &[0x44; 24], &mut out).unwrap();
            content.chunks(piece).for_each(|p| sealer.push(p, &mut out).unwrap());
            sealer.finish(&mut out).unwrap();
            assert!(out == whole, "in pieces of {piece}");
            let (key, mut opened) = (data_key(), Vec::new());
            let mut opener = Opener::new(&key, &context).unwrap();
            whole.chunks(piece).for_each(|p| opener.push(p, &mut opened).unwrap());
            opener.finish(&mut opened).unwrap();
            assert!(opened == content, "in pieces of {piece}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused_before_anything_is_shown() {
        let (context, content) = (context(2048), content(2048));
        let good = sealed(&context, &content);
        for at in 0..good.len() * 8 {
            let mut bent = good.clone();
            bent[at / 8] ^= 1 << (at % 8);
            flaw(open(&data_key(), &context, &bent));
        }
        for length in 0..good.len() {
            flaw(open(&data_key(), &context, &good[..length]));
        }
        let mut longer = good;
        longer.push(0);
        flaw(open(&data_key(), &context, &longer));
    }

    #[test]
    fn chunks_cannot_be_swapped_doubled_or_left_out() {
        let (context, content) = (context(3 * CHUNK_BYTES + 5), content(3 * CHUNK_BYTES + 5));
        let good = sealed(&context, &content);
        let (_, salt_at) = SealContext::read(&good).unwrap();
        let (head, body) = good.split_at(salt_at + 56);
        let chunks: Vec<&[u8]> = body.chunks(SEALED_CHUNK_BYTES).collect();
        let of = |order: &[usize]| {
            let mut out = head.to_vec();
            for i in order {
                out.extend_from_slice(chunks[*i]);
            }
            out
        };
        assert_eq!(*open(&data_key(), &context, &of(&[0, 1, 2, 3])).unwrap(), content);
        for order in [&[1, 0, 2, 3][..], &[0, 0, 2, 3], &[0, 2, 3], &[0, 1, 2], &[3], &[0, 1, 1, 2, 3], &[]] {
            flaw(open(&data_key(), &context, &of(order)));
        }
    }

    #[test]
    fn a_stream_that_is_cut_at_a_chunk_never_counts_as_whole() {
        let (context, content) = (context(2 * CHUNK_BYTES), content(2 * CHUNK_BYTES));
        let good = sealed(&context, &content);
        let (key, mut out) = (data_key(), Vec::new());
        let mut opener = Opener::new(&key, &context).unwrap();
        opener.push(&good[..good.len() - TAG_BYTES], &mut out).unwrap();
        assert_eq!(out, content, "what was proven was let out");
        assert!(matches!(opener.finish(&mut out), Err(QuarantineError::Damaged { flaw: Flaw::Length })));
    }

    #[test]
    fn another_record_tier_moment_length_or_policy_does_not_open_it() {
        let (base, content) = (context(300), content(300));
        let good = sealed(&base, &content);
        let changes: [fn(&mut SealContext); 7] = [
            |c| c.record = QuarantineId::from_bytes([0x12; 16]),
            |c| c.tier = RiskTier::Low,
            |c| c.created = Timestamp::from_micros(7),
            |c| c.size_bytes = 299,
            |c| c.content_type = ContentType::Message,
            |c| c.content_mac = Mac::new(KeyId::new("k").unwrap(), [0x23; 32]),
            |c| c.policy = "words@2+00000000".to_owned(),
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_eq!(flaw(open(&data_key(), &other, &good)), Flaw::Context);
            // A forger who rewrites the header as well is stopped by the commitment.
            let mut forged = other.header().unwrap();
            forged.extend_from_slice(&good[SealContext::read(&good).unwrap().1..]);
            assert_eq!(flaw(open(&data_key(), &other, &forged)), Flaw::Commitment);
        }
        assert_eq!(flaw(open(&DataKey::new([0x34; 32]), &base, &good)), Flaw::Commitment);
    }

    #[test]
    fn bytes_that_open_under_two_keys_are_refused_by_the_commitment() {
        // AES-GCM alone commits to no key: were the commitment of one key laid over the bytes of another, the
        // cipher would have to decide. It is never asked.
        let (base, content) = (context(32), content(32));
        let one = sealed(&base, &content);
        let mut other = Vec::new();
        let mut sealer =
            Sealer::salted(FreshKey(DataKey::new([9; 32])), &base, &[0x44; 24], &mut other).unwrap();
        sealer.push(&content, &mut other).unwrap();
        sealer.finish(&mut other).unwrap();
        let (_, salt_at) = SealContext::read(&one).unwrap();
        let commitment = salt_at + SALT_BYTES..salt_at + SALT_BYTES + COMMITMENT_BYTES;
        let mut polyglot = one.clone();
        polyglot[commitment.clone()].copy_from_slice(&other[commitment]);
        assert_eq!(flaw(open(&data_key(), &base, &polyglot)), Flaw::Commitment);
        assert_eq!(flaw(open(&DataKey::new([9; 32]), &base, &polyglot)), Flaw::Chunk);
        assert_eq!(flaw(open(&DataKey::new([9; 32]), &base, &one)), Flaw::Commitment);
    }

    #[test]
    fn a_header_has_one_spelling_and_versions_that_are_not_known_are_refused() {
        let good = sealed(&context(0), b"");
        let length = SealContext::read(&good).unwrap().1;
        for (at, wrong) in [(0, b'X'), (4, 2), (5, 0), (8, 2), (11, 1)] {
            let mut bent = good.clone();
            bent[at] = wrong;
            assert!(SealContext::read(&bent).is_err(), "byte {at}");
        }
        let mut padded = good[..length].to_vec();
        padded.push(0);
        let longer = u16::try_from(length - PREFIX_BYTES + 1).unwrap();
        padded[6..8].copy_from_slice(&longer.to_be_bytes());
        assert!(SealContext::read(&padded).is_err(), "a byte more at the end");
        let mut huge = good;
        huge[6..8].copy_from_slice(&u16::MAX.to_be_bytes());
        assert!(SealContext::read(&huge).is_err(), "a header beyond its bound");
        let far = SealContext { policy: "p".repeat(CONTEXT_BYTES_MAX), ..context(0) };
        assert!(seal(FreshKey(data_key()), &far, b"").is_err());
        let lying = SealContext { size_bytes: 5, ..context(0) };
        assert!(seal(FreshKey(data_key()), &lying, b"1234").is_err(), "shorter than it says");
        assert!(seal(FreshKey(data_key()), &lying, b"123456").is_err(), "longer than it says");
    }

    /// The published vector: key 32 × 33, salt 24 × 44, all else as in `context`. Other implementations compare.
    #[test]
    fn the_published_vector_is_made_byte_for_byte() {
        let text = b"{\"text\":\"vector one\"}";
        let sealed = sealed(&context(text.len()), text);
        assert_eq!(hex(&sealed), VECTOR);
    }

    const VECTOR: &str = "5353475101010081010010000000000000000000000000000000000200101111111111111111111111111111\
        1111030008000665172898800004000103050004504f53540600080000000000000015070020222222222222\
        22222222222222222222222222222222222222222222222222220800016b090010776f72647340312b303030\
        30303030304444444444444444444444444444444444444444444444447535459f5d5314004c45bd397799c1\
        189c08da20def9a3729783522e17d0cab525c7296419d5c6da27332bdc7929218a0212dd3a33c4ab75755a81\
        f77978b7f95324df7eb5";

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_of_headers_panic(bytes in proptest::collection::vec(0_u8.., 0..300)) {
            let mut ours = b"SSGQ\x01\x01".to_vec();
            ours.extend_from_slice(&bytes);
            drop(SealContext::read(&bytes));
            if let Ok((context, end)) = SealContext::read(&ours) {
                proptest::prop_assert_eq!(context.header().unwrap(), &ours[..end]);
            }
        }
    }
}
