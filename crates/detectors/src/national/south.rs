//! The Near East, Africa and India.

use super::Kind;
use crate::checks::check_digits::{at, exactly, is_day, luhn, number, plain, verhoeff, weighted};

pub(super) const KINDS: [Kind; 9] = [
    ("tr-tckn", tckn),
    ("il-id", il_id),
    ("za-id", za_id),
    ("ae-eid", eid),
    ("sa-id", sa_id),
    ("ir-meli", meli),
    ("eg-id", eg_id),
    ("in-aadhaar", aadhaar),
    ("in-pan", pan),
];

fn tckn(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        let odd: u32 = d.iter().take(9).step_by(2).sum();
        let even: u32 = d.iter().take(8).skip(1).step_by(2).sum();
        let all: u32 = d.iter().take(10).sum();
        // Ninety more, so that nothing is less than nothing.
        at(&d, 0) != 0 && (odd * 7 + 90 - even) % 10 == at(&d, 9) && all % 10 == at(&d, 10)
    })
}

fn il_id(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| luhn(&d))
}

/// The date, a serial, the citizenship and a digit that once was the race.
fn za_id(text: &str) -> bool {
    exactly(text, 13).is_some_and(|d| {
        is_day(number(&d, 4..6), number(&d, 2..4), number(&d, 0..2)) && at(&d, 10) < 3 && luhn(&d)
    })
}

fn eid(text: &str) -> bool {
    exactly(text, 15)
        .is_some_and(|d| number(&d, 0..3) == 784 && (1900..2100).contains(&number(&d, 3..7)) && luhn(&d))
}

fn sa_id(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| matches!(at(&d, 0), 1 | 2) && luhn(&d))
}

fn meli(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| {
        let rest = weighted(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
        (if rest < 2 { rest } else { 11 - rest }) == at(&d, 9)
    })
}

/// Century, date and governorate; how the last digit is made has not been published.
fn eg_id(text: &str) -> bool {
    exactly(text, 14).is_some_and(|d| {
        matches!(at(&d, 0), 2 | 3)
            && is_day(number(&d, 5..7), number(&d, 3..5), number(&d, 1..3))
            && matches!(number(&d, 7..9), 1..=35 | 88)
    })
}

fn aadhaar(text: &str) -> bool {
    exactly(text, 12).is_some_and(|d| at(&d, 0) > 1 && verhoeff(&d))
}

/// The fourth letter says whose it is, P for a person; how the last is made has not been published.
fn pan(text: &str) -> bool {
    let plain = plain(text);
    plain.len() == 10
        && plain.chars().enumerate().all(|(place, c)| match place {
            5..=8 => c.is_ascii_digit(),
            3 => "ABCEFGHJLPT".contains(c),
            _ => c.is_ascii_uppercase(),
        })
        && plain.get(5..9) != Some("0000")
}
