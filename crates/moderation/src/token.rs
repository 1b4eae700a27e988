//! The text by which somebody is known: random, with a checksum, and never kept.

use std::fmt;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::error::ModerationError;

/// How each token begins, so that it is known wherever it lies.
pub const TOKEN_PREFIX: &str = "claw_";

/// Random characters of a token: 40 of 62 are 238 bits.
const RANDOM_CHARS: usize = 40;

/// Characters that hold a CRC-32 in base 62, with zeros before it.
const CHECKSUM_CHARS: usize = 6;

const TOKEN_CHARS: usize = TOKEN_PREFIX.len() + RANDOM_CHARS + CHECKSUM_CHARS;

/// Characters of a hint: the prefix and four more. Of 238 bits 24 are given away.
const HINT_CHARS: usize = TOKEN_PREFIX.len() + 4;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `claw_`, 40 random characters, and the CRC-32 (IEEE) of these in six: the scheme of GitHub's tokens, so that scanners
/// tell a token from a text that looks like one without asking anybody.
///
/// Whoever has the text is who it was made for: `Debug` does not print it, and it is wiped when dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes a text whose form and checksum are those of a token. Whether it opens anything is not asked.
    pub fn parse(text: &str) -> Result<Self, ModerationError> {
        let body = text.strip_prefix(TOKEN_PREFIX).and_then(|rest| rest.split_at_checked(RANDOM_CHARS));
        match body {
            Some((random, sum)) if random.bytes().all(is_base62) && *checksum(random) == *sum => {
                Ok(Self(Zeroizing::new(text.to_owned())))
            }
            _ => Err(ModerationError::TokenForm),
        }
    }

    pub(crate) fn fresh() -> Result<Self, ModerationError> {
        let random = SystemRandom::new();
        // Made as long as it gets, so that it does not leave copies behind where it grew.
        let mut text = Zeroizing::new(String::with_capacity(TOKEN_CHARS));
        text.push_str(TOKEN_PREFIX);
        let mut bytes = Zeroizing::new([0_u8; 64]);
        while text.len() < TOKEN_PREFIX.len() + RANDOM_CHARS {
            random.fill(bytes.as_mut_slice()).ok().ok_or(ModerationError::NoRandomness)?;
            for digit in bytes.iter().copied().filter_map(unbiased) {
                if text.len() < TOKEN_PREFIX.len() + RANDOM_CHARS {
                    text.push(digit);
                }
            }
        }
        let sum = checksum(text.get(TOKEN_PREFIX.len()..).unwrap_or_default());
        text.push_str(&sum);
        Ok(Self(text))
    }

    /// The text, for whoever it was made for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it: SHA-256 of the whole text. Of 238 random bits a slow hash would hide no more.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(digest(&SHA256, self.0.as_bytes()).as_ref()) {
            *to = *from;
        }
        hash
    }

    /// How it begins.
    pub(crate) fn hint(&self) -> &str {
        self.0.get(..HINT_CHARS).unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

fn is_base62(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// A character for a random byte. Bytes of the last, shorter round of 62 stand for none: they would make eight
/// characters likelier than others.
fn unbiased(byte: u8) -> Option<char> {
    const WHOLE_ROUNDS: u8 = 62 * 4;
    let digit = BASE62.get(usize::from(byte % 62))?;
    (byte < WHOLE_ROUNDS).then_some(char::from(*digit))
}

fn checksum(random: &str) -> Zeroizing<String> {
    let mut left = crc32fast::hash(random.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62.get(left as usize % 62).copied().unwrap_or(b'0');
        left /= 62;
    }
    Zeroizing::new(digits.iter().copied().map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_form_and_checksum_alone() {
        let token = Token::fresh().unwrap();
        let text = token.expose().to_owned();
        assert_eq!((text.len(), &text[..5]), (51, "claw_"));
        assert_eq!(Token::parse(&text).unwrap().hash(), token.hash());
        assert!(text.starts_with(token.hint()) && token.hint().len() == 9);
        for at in 0..text.len() {
            let mut bent = text.clone().into_bytes();
            bent[at] = if bent[at] == b'a' { b'b' } else { b'a' };
            assert!(Token::parse(&String::from_utf8(bent).unwrap()).is_err(), "character {at} was bent");
            assert!(Token::parse(&text[..at]).is_err(), "cut to {at}");
        }
        let long = "é".repeat(26);
        for bad in [&format!("{text}0"), &format!(" {text}"), &format!("{text}\n"), &long, "", "claw_"] {
            assert!(Token::parse(bad).is_err(), "{bad:?}");
        }
        assert!(
            Token::parse(&format!("claw_{}", "é".repeat(23))).is_err(),
            "46 bytes that are no characters of ours"
        );
    }

    #[test]
    fn the_checksum_is_the_crc_32_of_the_random_part_with_zeros_before_it() {
        // The check value of CRC-32/ISO-HDLC over these nine digits is 0xCBF43926, which is this in base 62.
        assert_eq!(checksum("123456789").as_str(), "3jZRME");
        assert_eq!(checksum("").as_str(), "000000");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_token_by_chance(text in "(claw_)?[0-9A-Za-z]{0,60}|.{0,80}") {
            proptest::prop_assert!(Token::parse(&text).is_err());
        }
    }

    #[test]
    fn every_character_is_as_likely_as_any_other() {
        let mut counts = std::collections::BTreeMap::new();
        for digit in (0..=u8::MAX).filter_map(unbiased) {
            *counts.entry(digit).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 62);
        assert!(counts.values().all(|count| *count == 4), "{counts:?}");
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", Token::fresh().unwrap()), "Token([redacted])");
    }
}
