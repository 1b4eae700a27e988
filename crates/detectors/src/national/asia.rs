//! The east and south-east of Asia.

use super::Kind;
use crate::checks::check_digits::{at, digits, exactly, is_day, number, plain, weighted};

pub(super) const KINDS: [Kind; 10] = [
    ("cn-resident", resident),
    ("hk-hkid", hkid),
    ("tw-id", tw_id),
    ("sg-nric", nric),
    ("my-mykad", mykad),
    ("th-id", th_id),
    ("id-nik", nik),
    ("kr-rrn", rrn),
    ("jp-my-number", my_number),
    ("vn-cccd", cccd),
];

/// ISO/IEC 7064, MOD 11-2, behind a date.
fn resident(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let body = digits(text.get(..17).unwrap_or(""));
    let check = (12 - weighted(&body, &WEIGHTS) % 11) % 11;
    let last = text.get(17..).unwrap_or("");
    body.len() == 17
        && (11..=91).contains(&number(&body, 0..2))
        && (1900..2100).contains(&number(&body, 6..10))
        && is_day(number(&body, 12..14), number(&body, 10..12), number(&body, 6..10))
        && if check == 10 { last.eq_ignore_ascii_case("x") } else { last.parse() == Ok(check) }
}

/// Letters count from ten on, a missing first one as 36.
fn hkid(text: &str) -> bool {
    let plain = plain(text);
    let letters = plain.chars().take_while(char::is_ascii_uppercase).count();
    let mut values: Vec<u32> = Vec::new();
    values.extend((letters == 1).then_some(36));
    values.extend(plain.chars().map_while(|c| c.to_digit(36)));
    // The last may be an A, which is ten and counts so.
    matches!(letters, 1 | 2)
        && values.len() == 9
        && values.get(2..8).is_some_and(|d| d.iter().all(|v| *v < 10))
        && at(&values, 8) < 11
        && weighted(&values, &[9, 8, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// The letter of the place counts as two digits.
fn tw_id(text: &str) -> bool {
    const PLACES: &str = "ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let plain = plain(text);
    let place = plain.chars().next().and_then(|c| PLACES.find(c)).and_then(|p| u32::try_from(p).ok());
    let d = digits(plain.get(1..).unwrap_or(""));
    d.len() == 9
        && plain.len() == 10
        && matches!(at(&d, 0), 1 | 2 | 8 | 9)
        && place.is_some_and(|place| {
            let code = place + 10;
            (code / 10 + code % 10 * 9 + weighted(&d, &[8, 7, 6, 5, 4, 3, 2, 1, 1])).is_multiple_of(10)
        })
}

fn nric(text: &str) -> bool {
    let plain = plain(text);
    let (Some(head), Some(tail)) = (plain.chars().next(), plain.chars().nth(8)) else { return false };
    let offset = match head {
        'T' | 'G' => 4,
        'M' => 3,
        _ => 0,
    };
    let rest = (weighted(&digits(&plain), &[2, 7, 6, 5, 4, 3, 2]) + offset) % 11;
    let letters: &[u8; 11] = match head {
        'S' | 'T' => b"JZIHGFEDCBA",
        'F' | 'G' => b"XWUTRQPNMLK",
        'M' => b"XWUTRQPNJLK",
        _ => return false,
    };
    plain.len() == 9 && letters.get(rest as usize).is_some_and(|l| char::from(*l) == tail)
}

/// A date and a place of birth; there is no check digit.
fn mykad(text: &str) -> bool {
    exactly(text, 12).is_some_and(|d| {
        is_day(number(&d, 4..6), number(&d, 2..4), number(&d, 0..2))
            && matches!(number(&d, 6..8), 1..=16 | 21..=68 | 71 | 72 | 74..=79 | 82..=93 | 98 | 99)
    })
}

fn th_id(text: &str) -> bool {
    exactly(text, 13).is_some_and(|d| {
        let sum = weighted(&d, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
        (1..9).contains(&at(&d, 0)) && (11 - sum % 11) % 10 == at(&d, 12)
    })
}

/// Province, and a date whose day has 40 more for women; there is no check digit.
fn nik(text: &str) -> bool {
    exactly(text, 16).is_some_and(|d| {
        let day = number(&d, 6..8);
        (11..=96).contains(&number(&d, 0..2))
            && is_day(if day > 40 { day - 40 } else { day }, number(&d, 8..10), number(&d, 10..12))
            && number(&d, 12..16) > 0
    })
}

/// A date and the century with the sex. Numbers given since October 2020 have no check digit.
fn rrn(text: &str) -> bool {
    exactly(text, 13).is_some_and(|d| {
        is_day(number(&d, 4..6), number(&d, 2..4), number(&d, 0..2)) && (1..9).contains(&at(&d, 6))
    })
}

fn my_number(text: &str) -> bool {
    exactly(text, 12).is_some_and(|d| {
        let rest = weighted(&d, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
        (if rest < 2 { 0 } else { 11 - rest }) == at(&d, 11)
    })
}

/// Province, century with the sex, and year; there is no check digit.
fn cccd(text: &str) -> bool {
    exactly(text, 12).is_some_and(|d| (1..=96).contains(&number(&d, 0..3)) && at(&d, 3) < 4)
}
