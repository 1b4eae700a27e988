//! The file of a model: a head of fixed form, the cues, the weights, and a hash of all that.

use sha2::{Digest, Sha256};

use super::words::CUE_BITS;
use super::{Model, WINDOW_PIECES};

/// What a file begins with; the digit is the version of the form and of the n-grams.
const MAGIC: &[u8; 8] = b"CLAWLIN1";
/// The magic, the exponent of the number of buckets, two thresholds, a bias for each length of a window, and the
/// SHA-256 of what it was trained on. Thresholds, biases and weights are hundredths of a logit.
const HEAD_BYTES: usize = 8 + 4 + 4 + 4 + 4 * WINDOW_PIECES + 32;
const CUES_BYTES: usize = CUE_BITS / 8;
const DIGEST_BYTES: usize = 32;
/// Two to the power of these many buckets: 64 Ki to 512 Ki.
const BUCKETS_LOG2: std::ops::RangeInclusive<u32> = 16..=19;

/// Why a file is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the model has another form than this version reads")]
    Form,
    #[error("the model has {found} bytes in place of {expected}")]
    Length { expected: usize, found: usize },
    #[error("the model is not what was trained: its hash does not hold")]
    Hash,
}

/// All that a file says, to be written.
pub(crate) struct Parts<'p> {
    pub(crate) weights: &'p [i8],
    pub(crate) cues: &'p [u8],
    pub(crate) bias: [i32; WINDOW_PIECES],
    pub(crate) lower: i32,
    pub(crate) upper: i32,
    pub(crate) inputs: [u8; 32],
}

impl Parts<'_> {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.weights.len().trailing_zeros().to_le_bytes());
        for number in [self.lower, self.upper].iter().chain(&self.bias) {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.inputs);
        out.extend(self.cues);
        out.extend(self.weights.iter().map(|weight| weight.to_le_bytes()[0]));
        let digest = Sha256::digest(&out);
        out.extend(digest);
        out
    }
}

impl<'m> Model<'m> {
    /// Reads a file; one that was altered in any byte is refused.
    pub(crate) fn read(bytes: &'m [u8]) -> Result<Self, Broken> {
        let mut rest = bytes;
        if take(&mut rest, MAGIC.len()) != MAGIC {
            return Err(Broken::Form);
        }
        let log2 = number(&mut rest).cast_unsigned();
        if !BUCKETS_LOG2.contains(&log2) {
            return Err(Broken::Form);
        }
        let buckets = 1_usize << log2;
        let expected = HEAD_BYTES + CUES_BYTES + buckets + DIGEST_BYTES;
        if bytes.len() != expected {
            return Err(Broken::Length { expected, found: bytes.len() });
        }
        let (content, digest) = bytes.split_at(expected - DIGEST_BYTES);
        if *Sha256::digest(content) != *digest {
            return Err(Broken::Hash);
        }
        let (lower, upper) = (number(&mut rest), number(&mut rest));
        let bias = std::array::from_fn(|_| number(&mut rest));
        let _inputs = take(&mut rest, 32);
        let cues = take(&mut rest, CUES_BYTES);
        let weights = take(&mut rest, buckets);
        Ok(Self { weights, cues, bias, lower, upper, digest })
    }
}

/// The next bytes; nothing where there are not so many.
fn take<'m>(rest: &mut &'m [u8], len: usize) -> &'m [u8] {
    let Some((head, tail)) = rest.split_at_checked(len) else { return &[] };
    *rest = tail;
    head
}

fn number(rest: &mut &[u8]) -> i32 {
    take(rest, 4).try_into().map_or(0, i32::from_le_bytes)
}
