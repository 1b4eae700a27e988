//! The north of Europe and the Baltic states.

use super::Kind;
use crate::checks::check_digits::{at, digits, exactly, is_day, luhn, number, plain, weighted};

pub(super) const KINDS: [Kind; 7] = [
    ("se-pnr", pnr),
    ("no-fnr", fnr),
    ("dk-cpr", cpr),
    ("fi-hetu", hetu),
    ("is-kennitala", kennitala),
    ("ee-isikukood", isikukood),
    ("lv-pk", pk),
];

/// Days of those with a coordination number have 60 more.
fn pnr(text: &str) -> bool {
    let d = digits(text);
    let short = match d.len() {
        12 if matches!(number(&d, 0..2), 18..=20) => d.get(2..).unwrap_or(&[]),
        10 => &d,
        _ => return false,
    };
    let day = number(short, 4..6);
    is_day(if day > 60 { day - 60 } else { day }, number(short, 2..4), number(short, 0..2)) && luhn(short)
}

/// Days with 40 more are of those who stay for a while, months with 40 more of hospitals, with 80 of tests.
fn fnr(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        let (day, month) = (number(&d, 0..2), number(&d, 2..4));
        is_day(if day > 40 { day - 40 } else { day }, month % 40, number(&d, 4..6))
            && weighted(&d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
            && weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
    })
}

/// Only the date: since 2007 numbers are given whose check digit does not hold.
fn cpr(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| is_day(number(&d, 0..2), number(&d, 2..4), number(&d, 4..6)))
}

fn hetu(text: &str) -> bool {
    const LETTERS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let d = digits(&format!("{}{}", text.get(..6).unwrap_or(""), text.get(7..10).unwrap_or("")));
    let wanted = usize::try_from(number(&d, 0..9)).ok().and_then(|n| LETTERS.get(n % 31));
    text.len() == 11
        && d.len() == 9
        && number(&d, 6..9) > 1
        && is_day(number(&d, 0..2), number(&d, 2..4), number(&d, 4..6))
        && text.as_bytes().get(10).map(u8::to_ascii_uppercase).as_ref() == wanted
}

fn kennitala(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| {
        matches!(at(&d, 9), 0 | 8 | 9)
            && is_day(number(&d, 0..2), number(&d, 2..4), number(&d, 4..6))
            && weighted(&d, &[3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
    })
}

/// Estonia and Lithuania: where the first weights leave ten, others are taken.
fn isikukood(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        let first = weighted(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
        let second = weighted(&d, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10;
        (1..=8).contains(&at(&d, 0))
            && is_day(number(&d, 5..7), number(&d, 3..5), number(&d, 1..3))
            && (if first == 10 { second } else { first }) == at(&d, 10)
    })
}

/// Latvia. Numbers from 32 on, given since 2017, say nothing of a date and are left to the words beside them.
fn pk(text: &str) -> bool {
    exactly(&plain(text), 11).is_some_and(|d| {
        let sum = weighted(&d, &[1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
        number(&d, 0..2) == 32
            || is_day(number(&d, 0..2), number(&d, 2..4), number(&d, 4..6))
                && (1101 - sum) % 11 % 10 == at(&d, 10)
    })
}
