//! North and South America.

use super::Kind;
use crate::checks::check_digits::is_day;
use crate::checks::check_digits::{at, digits, exactly, luhn, luhn_sum, number, plain, weighted};

pub(super) const KINDS: [Kind; 17] = [
    ("us-ssn", ssn),
    ("us-itin", itin),
    ("us-ein", ein),
    ("us-npi", npi),
    ("us-mbi", mbi),
    ("us-aba", aba),
    ("ca-sin", sin),
    ("mx-curp", curp),
    ("mx-rfc", rfc),
    ("br-cpf", cpf),
    ("br-cnpj", cnpj),
    ("cl-rut", rut),
    ("ar-cuil", cuil),
    ("co-nit", nit),
    ("ec-cedula", cedula),
    ("pe-ruc", ruc),
    ("uy-ci", ci),
];

/// Area 000, 666 and 900 to 999, group 00 and serial 0000 were never issued; some were printed in advertisements.
fn ssn(text: &str) -> bool {
    const PRINTED: [u64; 5] = [78_051_120, 219_099_999, 123_456_789, 457_555_462, 987_654_321];
    exactly(text, 9).is_some_and(|d| {
        let (area, group, serial) = (number(&d, 0..3), number(&d, 3..5), number(&d, 5..9));
        !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0 && !PRINTED.contains(&number(&d, 0..9))
    })
}

fn itin(text: &str) -> bool {
    exactly(text, 9)
        .is_some_and(|d| at(&d, 0) == 9 && matches!(number(&d, 3..5), 50..=65 | 70..=88 | 90..=92 | 94..=99))
}

/// The first two digits name the campus or the way in which it was given.
fn ein(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| {
        !matches!(
            number(&d, 0..2),
            0 | 7..=9 | 17..=19 | 28 | 29 | 49 | 69 | 70 | 78 | 79 | 89 | 96 | 97
        )
    })
}

/// Luhn's check over the number with 80840 before it, which adds 24.
fn npi(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| matches!(at(&d, 0), 1 | 2) && (luhn_sum(&d) + 24).is_multiple_of(10))
}

/// Eleven places, each a digit, a letter without S, L, O, I, B and Z, or either.
fn mbi(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_uppercase() && !"SLOIBZ".contains(c);
    let plain = plain(text);
    plain.len() == 11
        && plain.chars().zip("19xdaxdaadd".chars()).enumerate().all(|(place, (c, kind))| match kind {
            '1' => ('1'..='9').contains(&c),
            '9' | 'a' => letter(c),
            'x' => letter(c) || c.is_ascii_digit(),
            _ => c.is_ascii_digit() && place > 0,
        })
}

/// Routing numbers of banks: weights 3, 7, 1; the first two digits name the district.
fn aba(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| {
        matches!(number(&d, 0..2), 1..=12 | 21..=32 | 61..=72 | 80)
            && weighted(&d, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
    })
}

fn sin(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| !matches!(at(&d, 0), 0 | 8) && luhn(&d))
}

fn curp(text: &str) -> bool {
    let plain = plain(text);
    // The alphabet has a letter more than ours behind N.
    let value = |c: char| c.to_digit(36).map(|v| if c > 'N' { v + 1 } else { v });
    let sum = plain.chars().take(17).zip((2..=18).rev()).map(|(c, weight)| value(c).map(|v| v * weight));
    let d = digits(plain.get(4..10).unwrap_or(""));
    let check = plain.chars().nth(17).and_then(|c| c.to_digit(10));
    plain.len() == 18
        && is_day(number(&d, 4..6), number(&d, 2..4), number(&d, 0..2))
        && matches!(plain.get(10..11), Some("H" | "M" | "X"))
        && sum.sum::<Option<u32>>().map(|sum| (10 - sum % 10) % 10) == check
}

fn rfc(text: &str) -> bool {
    const VALUES: &str = "0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ";
    let plain: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect::<String>().to_uppercase();
    // Firms have three letters, before which a blank is counted.
    let (letters, blank) = if plain.len() == 12 { (3, 37 * 13) } else { (4, 0) };
    let d = digits(plain.get(letters..letters + 6).unwrap_or(""));
    let weights = (2..=if letters == 3 { 12 } else { 13 }).rev();
    let sum = plain
        .chars()
        .zip(weights)
        .map(|(c, weight)| VALUES.find(c).and_then(|v| u32::try_from(v).ok()).map(|v| v * weight));
    let Some(sum) = sum.sum::<Option<u32>>() else { return false };
    let check = match (11 - (sum + blank) % 11) % 11 {
        10 => 'A',
        rest => char::from_digit(rest, 10).unwrap_or('0'),
    };
    plain.is_ascii()
        && plain.len() == letters + 9
        && is_day(number(&d, 4..6), number(&d, 2..4), number(&d, 0..2))
        && plain.ends_with(check)
}

fn cpf(text: &str) -> bool {
    let check = |d: &[u32], n: usize| {
        let weights: Vec<u32> = (2..=11).rev().skip(10 - n).collect();
        weighted(d.get(..n).unwrap_or(&[]), &weights) * 10 % 11 % 10 == at(d, n)
    };
    exactly(text, 11).is_some_and(|d| check(&d, 9) && check(&d, 10))
}

/// Letters count as their place in ASCII less 48: from 2026 on, numbers have them too.
fn cnpj(text: &str) -> bool {
    let values: Vec<u32> = plain(text).bytes().map(|b| u32::from(b) - 48).collect();
    let check = |n: usize| {
        let weights = (2..=9).cycle();
        let body = values.get(..n).unwrap_or(&[]);
        let sum: u32 = body.iter().rev().zip(weights).map(|(v, w)| v * w).sum();
        let rest = sum % 11;
        (if rest < 2 { 0 } else { 11 - rest }) == at(&values, n)
    };
    values.len() == 14 && check(12) && check(13)
}

fn rut(text: &str) -> bool {
    let plain = plain(text);
    let Some((body, check)) = plain.split_at_checked(plain.len().saturating_sub(1)) else { return false };
    let sum: u32 = digits(body).iter().rev().zip((2..=7).cycle()).map(|(d, w)| d * w).sum();
    let wanted = match 11 - sum % 11 {
        11 => "0".to_owned(),
        10 => "K".to_owned(),
        rest => rest.to_string(),
    };
    (7..=8).contains(&body.len()) && body.bytes().all(|b| b.is_ascii_digit()) && check == wanted
}

fn cuil(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        let wanted = match 11 - weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
            11 => 0,
            10 => 9,
            check => check,
        };
        matches!(number(&d, 0..2), 20 | 23..=27 | 30 | 33 | 34) && wanted == at(&d, 10)
    })
}

fn nit(text: &str) -> bool {
    let d = digits(text);
    let Some((check, body)) = d.split_last() else { return false };
    let weights = [3, 7, 13, 17, 19, 23, 29, 37, 41, 43];
    let rest = body.iter().rev().zip(weights).map(|(d, w)| d * w).sum::<u32>() % 11;
    (9..=11).contains(&d.len()) && (if rest < 2 { rest } else { 11 - rest }) == *check
}

fn cedula(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| matches!(number(&d, 0..2), 1..=24 | 30) && at(&d, 2) < 7 && luhn(&d))
}

fn ruc(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        let rest = weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
        matches!(number(&d, 0..2), 10 | 15 | 17 | 20) && (11 - rest) % 10 == at(&d, 10)
    })
}

fn ci(text: &str) -> bool {
    exactly(text, 8).is_some_and(|d| weighted(&d, &[2, 9, 8, 7, 6, 3, 4, 1]).is_multiple_of(10))
}
