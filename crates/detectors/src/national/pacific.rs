//! Australia and New Zealand.

use super::Kind;
use crate::checks::check_digits::{at, digits, exactly, number, plain, weighted};

pub(super) const KINDS: [Kind; 6] = [
    ("au-tfn", tfn),
    ("au-medicare", medicare),
    ("au-abn", abn),
    ("au-acn", acn),
    ("nz-ird", ird),
    ("nz-nhi", nhi),
];

fn tfn(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| weighted(&d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11))
}

/// Ten digits, and an eleventh for the person on the card.
fn medicare(text: &str) -> bool {
    let d = digits(text);
    matches!(d.len(), 10 | 11)
        && (2..=6).contains(&at(&d, 0))
        && weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == at(&d, 8)
}

/// One is taken from the first digit before the sum is made.
fn abn(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        let sum = weighted(&d, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
        at(&d, 0) != 0 && (sum - 10).is_multiple_of(89)
    })
}

fn acn(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| (10 - weighted(&d, &[8, 7, 6, 5, 4, 3, 2, 1]) % 10) % 10 == at(&d, 8))
}

/// Where the first weights leave ten, others are taken.
fn ird(text: &str) -> bool {
    let mut d = digits(text);
    if d.len() == 8 {
        d.insert(0, 0);
    }
    let check = |weights: &[u32]| (11 - weighted(&d, weights) % 11) % 11;
    let first = check(&[3, 2, 7, 6, 5, 4, 3, 2]);
    let wanted = if first == 10 { check(&[7, 4, 3, 2, 5, 2, 7, 6]) } else { first };
    d.len() == 9 && (10_000_000..=150_000_000).contains(&number(&d, 0..9)) && wanted == at(&d, 8)
}

/// Three letters and four digits, or since 2022 a letter at the end; letters are without I and O.
fn nhi(text: &str) -> bool {
    const LETTERS: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ";
    let plain = plain(text);
    let letter = |c: char| LETTERS.find(c).and_then(|at| u32::try_from(at + 1).ok());
    let value = |c: char| c.to_digit(10).or_else(|| letter(c));
    let values: Option<Vec<u32>> = plain.chars().map(value).collect();
    let headed = plain.chars().take(3).all(|c| c.is_ascii_uppercase());
    values.is_some_and(|v| {
        let sum = weighted(&v, &[7, 6, 5, 4, 3, 2]);
        let old = !sum.is_multiple_of(11) && (11 - sum % 11) % 10 == at(&v, 6);
        let new = 23 - sum % 23 == at(&v, 6);
        let is_new = plain.ends_with(|c: char| c.is_ascii_uppercase());
        v.len() == 7 && headed && if is_new { new } else { old }
    })
}
