//! Addresses of block chains, by their checksums.

use sha2::{Digest, Sha256};

/// A chain whose addresses can be told from chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wallet {
    /// Base58 with four bytes of a double SHA-256: Bitcoin, Litecoin, Dogecoin, Dash, Tron.
    Base58,
    /// The same over another alphabet: the XRP Ledger.
    Ripple,
    /// BIP 173 and BIP 350.
    Segwit,
    /// EIP-55: the case of the letters is the checksum.
    Ethereum,
    /// An Ethereum address without case.
    Caseless,
    /// Thirty-two bytes in base 58, without a checksum: Solana.
    Key,
}

impl Wallet {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "base58" => Self::Base58,
            "ripple" => Self::Ripple,
            "segwit" => Self::Segwit,
            "ethereum" => Self::Ethereum,
            "caseless" => Self::Caseless,
            "key" => Self::Key,
            _ => return None,
        })
    }

    pub(crate) fn is_valid(self, text: &str) -> bool {
        match self {
            Self::Base58 => base58_check(text, BITCOIN).is_some_and(|version| VERSIONS.contains(&version)),
            Self::Ripple => base58_check(text, RIPPLE) == Some(0),
            Self::Segwit => is_segwit(text),
            Self::Ethereum => is_eip55(text),
            Self::Caseless => is_caseless(text),
            Self::Key => base58(text, BITCOIN).is_some_and(|bytes| bytes.len() == 32),
        }
    }
}

const BITCOIN: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const RIPPLE: &[u8; 58] = b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz";

/// The first byte of addresses: Bitcoin 0 and 5, Dogecoin 22 and 30, Litecoin 48 and 50, Tron 65, Dash 16 and 76.
const VERSIONS: [u8; 9] = [0, 5, 16, 22, 30, 48, 50, 65, 76];

/// The bytes that a text in base 58 stands for. Addresses are short, so that one byte after another will do.
fn base58(text: &str, alphabet: &[u8; 58]) -> Option<Vec<u8>> {
    if text.len() > 64 {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::new();
    for b in text.bytes() {
        let mut carry = u32::try_from(alphabet.iter().position(|c| *c == b)?).ok()?;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xff).ok()?;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.insert(0, u8::try_from(carry & 0xff).ok()?);
            carry >>= 8;
        }
    }
    let zeros = text.bytes().take_while(|b| Some(b) == alphabet.first()).count();
    Some([vec![0; zeros], bytes].concat())
}

/// The version of an address of 25 bytes whose checksum holds.
fn base58_check(text: &str, alphabet: &[u8; 58]) -> Option<u8> {
    let bytes = base58(text, alphabet).filter(|bytes| bytes.len() == 25)?;
    let (body, sum) = bytes.split_at_checked(21)?;
    let twice = Sha256::digest(Sha256::digest(body));
    if twice.get(..4) == Some(sum) { body.first().copied() } else { None }
}

/// Version 0 has the constant of BIP 173, later ones that of BIP 350.
fn is_segwit(text: &str) -> bool {
    const BECH32M: u32 = 0x2bc8_30a3;
    let lower = text.to_ascii_lowercase();
    let one_case = lower == text || text.to_ascii_uppercase() == text;
    let version = lower.rsplit_once('1').and_then(|(_, data)| data.chars().next());
    let wanted = if version == Some('q') || !lower.starts_with("bc1") { 1 } else { BECH32M };
    one_case && super::sums::bech32_rest(&lower) == Some(wanted)
}

fn is_eip55(text: &str) -> bool {
    let Some(hex) = text.strip_prefix("0x").filter(|hex| hex.len() == 40) else { return false };
    let mixed = hex.bytes().any(|b| b.is_ascii_lowercase()) && hex.bytes().any(|b| b.is_ascii_uppercase());
    let hash = keccak256(hex.to_ascii_lowercase().as_bytes());
    let nibbles = hash.iter().flat_map(|b| [b >> 4, b & 15]);
    mixed
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
        && hex
            .bytes()
            .zip(nibbles)
            .all(|(b, nibble)| b.is_ascii_digit() || b.is_ascii_uppercase() == (nibble > 7))
}

fn is_caseless(text: &str) -> bool {
    let hex = text.strip_prefix("0x").unwrap_or("");
    let distinct: std::collections::BTreeSet<_> = hex.bytes().collect();
    let one_case =
        !hex.bytes().any(|b| b.is_ascii_lowercase()) || !hex.bytes().any(|b| b.is_ascii_uppercase());
    // Addresses with few digits are those of burnt coins and of examples.
    hex.len() == 40 && one_case && distinct.len() > 8
}

/// Keccak-256 of at most one block of 136 bytes, with the padding that Ethereum kept.
fn keccak256(message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 136];
    for (to, from) in block.iter_mut().zip(message.iter().chain(&[1])) {
        *to = *from;
    }
    if let Some(last) = block.last_mut() {
        *last |= 0x80;
    }
    let mut state = [0u64; 25];
    for (lane, bytes) in state.iter_mut().zip(block.chunks_exact(8)) {
        *lane = bytes.iter().rev().fold(0, |lane, b| lane << 8 | u64::from(*b));
    }
    permute(&mut state);
    let mut hash = [0u8; 32];
    for (to, from) in hash.iter_mut().zip(state.iter().flat_map(|lane| lane.to_le_bytes())) {
        *to = from;
    }
    hash
}

/// Keccak-f[1600] (FIPS 202, section 3).
fn permute(state: &mut [u64; 25]) {
    const ROUNDS: [u64; 24] = [
        0x0000_0000_0000_0001,
        0x0000_0000_0000_8082,
        0x8000_0000_0000_808a,
        0x8000_0000_8000_8000,
        0x0000_0000_0000_808b,
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8081,
        0x8000_0000_0000_8009,
        0x0000_0000_0000_008a,
        0x0000_0000_0000_0088,
        0x0000_0000_8000_8009,
        0x0000_0000_8000_000a,
        0x0000_0000_8000_808b,
        0x8000_0000_0000_008b,
        0x8000_0000_0000_8089,
        0x8000_0000_0000_8003,
        0x8000_0000_0000_8002,
        0x8000_0000_0000_0080,
        0x0000_0000_0000_800a,
        0x8000_0000_8000_000a,
        0x8000_0000_8000_8081,
        0x8000_0000_0000_8080,
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8008,
    ];
    // The way of one lane after another through all but the first, and by how much each is turned.
    const PLACES: [usize; 24] =
        [10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];
    const TURNS: [u32; 24] =
        [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44];
    let at = |state: &[u64], place: usize| state.get(place).copied().unwrap_or(0);
    for round in ROUNDS {
        let mut columns = [0u64; 5];
        for (place, lane) in state.iter().enumerate() {
            if let Some(column) = columns.get_mut(place % 5) {
                *column ^= lane;
            }
        }
        for (place, lane) in state.iter_mut().enumerate() {
            *lane ^= at(&columns, (place + 4) % 5) ^ at(&columns, (place + 1) % 5).rotate_left(1);
        }
        let mut moved = at(state, 1);
        for (place, turn) in PLACES.into_iter().zip(TURNS) {
            if let Some(lane) = state.get_mut(place) {
                moved = std::mem::replace(lane, moved.rotate_left(turn));
            }
        }
        for row in state.chunks_exact_mut(5) {
            let old = row.to_vec();
            for (place, lane) in row.iter_mut().enumerate() {
                *lane ^= !at(&old, (place + 1) % 5) & at(&old, (place + 2) % 5);
            }
        }
        if let Some(first) = state.first_mut() {
            *first ^= round;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |all, b| all + &format!("{b:02x}"))
    }

    #[test]
    fn keccak_is_that_of_ethereum() {
        assert_eq!(hex(&keccak256(b"")), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
        assert_eq!(
            hex(&keccak256(b"abc")),
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
        );
    }

    #[test]
    fn the_examples_of_the_standards_hold() {
        for (wallet, good) in [
            (Wallet::Base58, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
            (Wallet::Base58, "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"),
            (Wallet::Segwit, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
            (Wallet::Segwit, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"),
            (Wallet::Segwit, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"),
            (Wallet::Ethereum, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
            (Wallet::Ethereum, "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"),
            (Wallet::Ripple, "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"),
        ] {
            assert!(wallet.is_valid(good), "{good}");
            let other = if good.ends_with(['4', 'd']) { "a" } else { "4" };
            let broken = format!("{}{other}", &good[..good.len() - 1]);
            assert!(!wallet.is_valid(&broken), "{broken}");
        }
        assert!(!Wallet::Ethereum.is_valid("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"));
        assert!(Wallet::Caseless.is_valid("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"));
        assert!(!Wallet::Caseless.is_valid("0x0000000000000000000000000000000000000000"));
        assert!(Wallet::Key.is_valid("4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T"));
        assert!(!Wallet::Key.is_valid("4Nd1mBQtrMJVYVfKf2PJy9"));
    }
}
