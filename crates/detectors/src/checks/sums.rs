//! Check sums and structures that tell a token that was issued from one that only looks like it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// What a chance text does not have: a check sum, or a structure behind an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// GitHub's and npm's: the CRC-32 of what stands between prefix and it, in base 62.
    Crc32Base62,
    /// Matrix servers': the CRC-32 of all before the last underscore, in base 62.
    Crc32Matrix,
    /// Grafana's: the CRC-32 of all before the last underscore, in hex, lowest byte first.
    Crc32Grafana,
    /// GitLab's routable tokens: the CRC-32 of all before it, in base 36.
    Crc32Gitlab,
    /// BIP 173.
    Bech32,
    /// The first four bytes of the SHA-256 of the SHA-256, in base 58: keys of wallets.
    Base58Check,
    /// A macaroon for the Python package index.
    Macaroon,
    /// The account of Amazon Web Services that stands in each access key id since 2019.
    AwsAccount,
    /// The id of a user of Discord, in base 64.
    DiscordId,
    /// A private key in DER or in the form of OpenSSH.
    KeyStructure,
}

impl Sum {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "crc32-base62" => Self::Crc32Base62,
            "crc32-matrix" => Self::Crc32Matrix,
            "crc32-grafana" => Self::Crc32Grafana,
            "crc32-gitlab" => Self::Crc32Gitlab,
            "bech32" => Self::Bech32,
            "base58check" => Self::Base58Check,
            "macaroon" => Self::Macaroon,
            "aws-account" => Self::AwsAccount,
            "discord-id" => Self::DiscordId,
            "key-structure" => Self::KeyStructure,
            _ => return None,
        })
    }

    /// The name that stands in results when it was a proof.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Crc32Base62 | Self::Crc32Matrix | Self::Crc32Grafana | Self::Crc32Gitlab => "crc32",
            Self::Bech32 => "bech32",
            Self::Base58Check => "base58check",
            Self::Macaroon => "macaroon",
            Self::AwsAccount => "account",
            Self::DiscordId => "user-id",
            Self::KeyStructure => "key-structure",
        }
    }

    /// Whether it holds for `value`; `after` is the text behind it.
    pub(crate) fn holds(self, value: &str, after: &str) -> bool {
        match self {
            Self::Crc32Base62 => is_crc32_base62(value),
            Self::Crc32Matrix => is_crc32_matrix(value),
            Self::Crc32Grafana => is_crc32_grafana(value),
            Self::Crc32Gitlab => is_crc32_gitlab(value),
            Self::Bech32 => is_bech32(value),
            Self::Base58Check => is_base58check(value),
            Self::Macaroon => is_macaroon(value),
            Self::AwsAccount => has_aws_account(value),
            Self::DiscordId => has_discord_id(value),
            Self::KeyStructure => has_key_structure(after),
        }
    }
}

const UPPER_FIRST: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LOWER_FIRST: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Whether `sum` is the CRC-32 of `body` in the base that `digits` makes, padded with zeros at the left.
fn is_crc32_in(body: &str, sum: &str, digits: &[u8]) -> bool {
    let base = u32::try_from(digits.len()).unwrap_or(u32::MAX);
    let mut rest = crc32fast::hash(body.as_bytes());
    let same = sum.bytes().rev().all(|b| {
        let digit = digits.get((rest % base) as usize);
        rest /= base;
        digit == Some(&b)
    });
    same && rest == 0
}

/// The part before the last `len` bytes, and these.
fn split_end(text: &str, len: usize) -> Option<(&str, &str)> {
    text.split_at_checked(text.len().checked_sub(len)?)
}

fn is_crc32_base62(token: &str) -> bool {
    let Some((_, rest)) = token.split_once('_') else { return false };
    split_end(rest, 6).is_some_and(|(body, sum)| is_crc32_in(body, sum, UPPER_FIRST))
}

fn is_crc32_matrix(token: &str) -> bool {
    token
        .rsplit_once('_')
        .is_some_and(|(body, sum)| is_crc32_in(body, sum, LOWER_FIRST) || is_crc32_in(body, sum, UPPER_FIRST))
}

fn is_crc32_grafana(token: &str) -> bool {
    token.rsplit_once('_').is_some_and(|(body, sum)| {
        let wanted = crc32fast::hash(body.as_bytes()).swap_bytes();
        u32::from_str_radix(sum, 16) == Ok(wanted)
    })
}

fn is_crc32_gitlab(token: &str) -> bool {
    split_end(token, 7).is_some_and(|(body, sum)| is_crc32_in(body, sum, &LOWER_FIRST[..36]))
}

fn is_bech32(text: &str) -> bool {
    bech32_rest(text) == Some(1)
}

/// What the checksum of BIP 173 leaves: one, or the constant of BIP 350.
pub(super) fn bech32_rest(text: &str) -> Option<u32> {
    const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let lower = text.to_ascii_lowercase();
    let (human, data) = lower.rsplit_once('1')?;
    let step = |sum: u32, value: u32| {
        let top = sum >> 25;
        let mut next = (sum & 0x01ff_ffff) << 5 ^ value;
        for (bit, g) in GENERATOR.iter().enumerate() {
            if top >> bit & 1 == 1 {
                next ^= g;
            }
        }
        next
    };
    let mut sum = human.bytes().fold(1, |sum, b| step(sum, u32::from(b >> 5)));
    sum = step(sum, 0);
    sum = human.bytes().fold(sum, |sum, b| step(sum, u32::from(b & 31)));
    for b in data.bytes() {
        let value = CHARSET.iter().position(|c| *c == b).and_then(|v| u32::try_from(v).ok())?;
        sum = step(sum, value);
    }
    (!human.is_empty()).then_some(sum)
}

fn is_base58check(text: &str) -> bool {
    let Some(bytes) = from_base58(text) else { return false };
    let Some((body, sum)) = bytes.len().checked_sub(4).and_then(|at| bytes.split_at_checked(at)) else {
        return false;
    };
    // An extended key has 78 bytes, a key in the import format a version, 32 bytes and at most a mark.
    matches!(body.len(), 33 | 34 | 78) && Sha256::digest(Sha256::digest(body)).starts_with(sum)
}

/// At most 112 characters: longer than any key.
fn from_base58(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    if text.len() > 112 {
        return None;
    }
    // Lowest byte first.
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    for b in text.bytes() {
        let mut carry = DIGITS.iter().position(|d| *d == b)?;
        for byte in &mut bytes {
            carry += usize::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xff).ok()?;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(u8::try_from(carry & 0xff).ok()?);
            carry >>= 8;
        }
    }
    bytes.extend(text.bytes().take_while(|b| *b == b'1').map(|_| 0));
    bytes.reverse();
    Some(bytes)
}

/// Version 2, and then the field for the place: `pypi.org` or its test index.
fn is_macaroon(token: &str) -> bool {
    let Some(body) = token.strip_prefix("pypi-") else { return false };
    // The last characters may belong to what follows the token.
    let whole = body.get(..body.len() / 4 * 4).unwrap_or("");
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(whole) else { return false };
    let Some(([2, 1, len], rest)) = bytes.split_first_chunk::<3>() else { return false };
    rest.get(..usize::from(*len)).is_some_and(|place| matches!(place, b"pypi.org" | b"test.pypi.org"))
}

/// Base 32, and an account of at most twelve digits in the forty bits behind the first.
fn has_aws_account(id: &str) -> bool {
    let Some(body) = id.get(4..14) else { return false };
    let mut bits = 0u64;
    for b in body.bytes() {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'2'..=b'7' => b - b'2' + 26,
            _ => return false,
        };
        bits = bits << 5 | u64::from(value);
    }
    let rest = id.get(14..).unwrap_or("");
    let is_new = body.as_bytes().first().is_some_and(|b| *b >= b'Q' || b.is_ascii_digit());
    is_new
        && rest.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'))
        && (bits >> 9) & 0xff_ffff_ffff < 1_000_000_000_000
}

/// Seventeen to twenty digits in front of the first dot.
fn has_discord_id(token: &str) -> bool {
    let head = token.split('.').next().unwrap_or("");
    let Ok(id) = STANDARD_NO_PAD.decode(head) else { return false };
    (17..=20).contains(&id.len()) && id.iter().all(u8::is_ascii_digit)
}

/// How far behind its header a key is read: keys of 16,384 bits have 12 KiB.
const KEY_BYTES_MAX: usize = 16 << 10;

/// A sequence in DER whose length fits in with what follows, or the magic words of OpenSSH.
fn has_key_structure(after: &str) -> bool {
    let near = after.get(crate::view::whole_characters(after, 0..KEY_BYTES_MAX)).unwrap_or("");
    let body: String = near
        .lines()
        .flat_map(|line| line.split("\\n"))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains(':'))
        .take_while(|line| !line.starts_with('-'))
        .collect();
    let len = body.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')).count();
    let encoded = body.get(..len).unwrap_or("");
    let whole = encoded.get(..encoded.len() / 4 * 4).unwrap_or("");
    let Ok(bytes) = STANDARD_NO_PAD.decode(whole) else { return false };
    let is_long = |wanted: usize| wanted >= 16 && bytes.len() + 3 >= wanted && bytes.len() <= wanted + 12;
    match bytes.as_slice() {
        [0x30, len, ..] if *len < 0x80 => is_long(usize::from(*len) + 2),
        [0x30, 0x81, len, ..] => is_long(usize::from(*len) + 3),
        [0x30, 0x82, high, low, ..] => is_long((usize::from(*high) << 8) + usize::from(*low) + 4),
        other => other.starts_with(b"openssh-key-v1\0") && other.len() > 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(mut number: u32, digits: &[u8], width: usize) -> String {
        let mut made = vec![b'0'; width];
        for digit in made.iter_mut().rev() {
            *digit = digits[number as usize % digits.len()];
            number /= u32::try_from(digits.len()).expect("few");
        }
        String::from_utf8(made).expect("ascii")
    }

    #[test]
    fn tokens_with_a_checksum_are_told_from_those_that_look_alike() {
        let body = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5";
        let github = format!("ghp_{body}{}", base(crc32fast::hash(body.as_bytes()), UPPER_FIRST, 6));
        let matrix = format!("syt_Ym9i_{}", "aBcDeFgHiJkLmNoPqRsT");
        let matrix = format!("{matrix}_{}", base(crc32fast::hash(matrix.as_bytes()), LOWER_FIRST, 6));
        let grafana = format!("glsa_{body}x1");
        let grafana = format!("{grafana}_{:08x}", crc32fast::hash(grafana.as_bytes()).swap_bytes());
        let gitlab = format!("glpat-{body}abcdef.1o");
        let gitlab = format!("{gitlab}{}", base(crc32fast::hash(gitlab.as_bytes()), &LOWER_FIRST[..36], 7));
        for (sum, token) in [
            (Sum::Crc32Base62, github),
            (Sum::Crc32Matrix, matrix),
            (Sum::Crc32Grafana, grafana),
            (Sum::Crc32Gitlab, gitlab),
        ] {
            assert!(sum.holds(&token, ""), "{token}");
            for (at, b) in token.bytes().enumerate().skip(6).filter(|(_, b)| b.is_ascii_digit()) {
                let mut other = token.clone();
                other.replace_range(at..=at, if b == b'7' { "8" } else { "7" });
                assert!(!sum.holds(&other, ""), "{other}");
            }
        }
    }

    #[test]
    fn bech32_follows_the_examples_of_bip_173() {
        assert!(is_bech32("A12UEL5L"));
        assert!(is_bech32("split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w"));
        assert!(!is_bech32("split1checkupstagehandshakeupstreamerranterredcaperred2y9e3x"));
    }

    #[test]
    fn keys_of_wallets_have_a_sum() {
        // The key one, which everybody knows.
        let known = ["KwDiBf89QgGbjEhKnhXJuH7L", "rciVrZi3qYjgd9M7rFU73sVHnoWn"].concat();
        assert!(is_base58check(&known));
        assert!(!is_base58check(&known.replace("89Q", "88Q")));
        assert!(!is_base58check("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"));
        assert!(!is_base58check(&"1".repeat(200)));
    }

    #[test]
    fn structures_are_read_behind_their_encoding() {
        let token = format!(
            "pypi-{}",
            URL_SAFE_NO_PAD.encode(b"\x02\x01\x08pypi.org\x02\x24abcdefghijklmnopqrstuvwxyz")
        );
        assert!(is_macaroon(&token) && !is_macaroon("pypi-AgEIcHlwaS5vcmd4"[..18].trim_end_matches('x')));
        assert!(!is_macaroon("pypi-AgENdGVzdA"));
        assert!(has_discord_id(&format!("{}.G1.x", STANDARD_NO_PAD.encode(b"918273645546372819"))));
        assert!(!has_discord_id("MyClassLoaderProvidesThat.method.Another"));
        assert!(has_aws_account("AKIAQ7WJ4ZLMN2XTRB5K") && !has_aws_account("AKIA2E0A8F3B244C9986"));
    }

    #[test]
    fn a_key_is_as_long_as_it_says() {
        let mut der = vec![0x30, 0x81, 150];
        der.extend(std::iter::repeat_n(7, 150));
        let pem = format!("\n{}\n-----END", STANDARD_NO_PAD.encode(&der));
        assert!(has_key_structure(&pem));
        assert!(has_key_structure(&pem.replace('\n', "\\n")));
        assert!(!has_key_structure(&format!("\n{}\n", STANDARD_NO_PAD.encode(&der[..60]))));
        assert!(!has_key_structure("\nMIIEpAIBAAKCAQEA\n"));
    }
}
