//! Names for texts by their content: versions of rules, the policy of a set of rules.

use sha2::{Digest, Sha256};

use crate::pack::RuleSpec;

/// Hashes parts one after the other, each with its length, so that nothing can move from one into the next.
#[derive(Default)]
pub(crate) struct ContentHash(Sha256);

impl ContentHash {
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.0.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
    }

    /// The first `digits` hexadecimal digits of SHA-256, at most 64.
    pub(crate) fn hex(self, digits: usize) -> String {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        let hash = self.0.finalize();
        hash.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).take(digits).collect()
    }
}

/// The version of a rule: what it looks for and what that is worth, without examples and sentences for people, so that
/// nobody has to remember to raise a number.
pub(crate) fn version_of(spec: &RuleSpec) -> String {
    let mut hash = ContentHash::default();
    // A specification is strings and numbers, which JSON can always say.
    hash.part(&serde_json::to_vec(spec).unwrap_or_default());
    hash.hex(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_from_one_part_into_the_next_is_another_content() {
        let of = |parts: &[&str]| {
            let mut hash = ContentHash::default();
            for part in parts {
                hash.part(part.as_bytes());
            }
            hash.hex(16)
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
        assert_eq!(of(&["ab", "c"]).len(), 16);
    }
}
