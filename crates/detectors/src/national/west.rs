//! Western Europe.

use super::Kind;
use crate::checks::check_digits::{
    at, digits, exactly, is_day, luhn, machine_readable, mod11_10, number, plain, verhoeff, weighted,
};

pub(super) const KINDS: [Kind; 23] = [
    ("uk-nhs", nhs),
    ("uk-nino", nino),
    ("uk-driving-licence", uk_driving_licence),
    ("ie-pps", pps),
    ("de-steuer-id", steuer_id),
    ("de-document", de_document),
    ("de-rvnr", rvnr),
    ("de-kvnr", kvnr),
    ("de-vat", de_vat),
    ("at-svnr", svnr),
    ("ch-ahv", ahv),
    ("fr-nir", nir),
    ("fr-spi", spi),
    ("nl-bsn", bsn),
    ("be-nrn", nrn),
    ("lu-matricule", matricule),
    ("es-dni", dni),
    ("es-nss", nss),
    ("pt-nif", nif),
    ("pt-niss", niss),
    ("pt-cc", cartao),
    ("it-codice-fiscale", codice_fiscale),
    ("it-iva", iva),
];

fn nhs(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| weighted(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11))
}

/// No check digit: letters and prefixes that are not given out, and a last letter from A to D.
fn nino(text: &str) -> bool {
    let plain = plain(text);
    let Some(head) = plain.get(..2) else { return false };
    let mut letters = head.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_uppercase() && !"DFIQUV".contains(c));
    let second = letters.next().is_some_and(|c| c.is_ascii_uppercase() && !"DFIQUVO".contains(c));
    plain.len() == 9
        && first
        && second
        && !matches!(head, "BG" | "GB" | "KN" | "NK" | "NT" | "TN" | "ZZ")
        && plain.get(2..8).is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit()))
        && plain.ends_with(['A', 'B', 'C', 'D'])
}

/// Five letters of the name, the decade, the month (women have 50 more), day and year of birth.
fn uk_driving_licence(text: &str) -> bool {
    let plain = plain(text);
    let d = digits(plain.get(5..11).unwrap_or(""));
    let month = number(&d, 1..3);
    let year = number(&d, 0..1) * 10 + number(&d, 5..6);
    plain.len() == 16
        && d.len() == 6
        && is_day(number(&d, 3..5), if month > 50 { month - 50 } else { month }, year)
}

fn pps(text: &str) -> bool {
    let plain = plain(text);
    let d = digits(plain.get(..7).unwrap_or(""));
    let mut letters = plain.chars().skip(7).map(|c| u32::from(c).wrapping_sub(64));
    let (check, second) = (letters.next(), letters.next().unwrap_or(0));
    // W, the 23rd letter, was added for people of the same number, and counts nothing.
    let second = if second == 23 { 0 } else { second };
    d.len() == 7
        && (8..=9).contains(&plain.len())
        && check.is_some_and(|check| {
            (1..=23).contains(&check)
                && (weighted(&d, &[8, 7, 6, 5, 4, 3, 2]) + second * 9) % 23 == check % 23
        })
}

fn steuer_id(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| at(&d, 0) != 0 && mod11_10(&d))
}

/// Identity card and passport: a letter for the office, letters that are no vowels, the check digit of ICAO 9303.
fn de_document(text: &str) -> bool {
    let plain = plain(text);
    let Some((body, check)) = plain.split_at_checked(plain.len().saturating_sub(1)) else { return false };
    plain.len() == 9
        && body.starts_with(|c| "CFGHJKLMNPRTVWXYZ".contains(c))
        && body.chars().all(|c| c.is_ascii_digit() || "CFGHJKLMNPRTVWXYZ".contains(c))
        && check.parse().ok() == machine_readable(body)
}

/// Cross sum of the products by the weights, the letter taken as the two digits of its place.
fn cross_sum(d: &[u32], weights: &[u32]) -> u32 {
    d.iter().zip(weights).map(|(d, w)| d * w).map(|p| p / 10 + p % 10).sum()
}

fn with_letter_in_digits(plain: &str) -> Vec<u32> {
    let spell = |c: char| match c {
        'A'..='Z' => {
            let place = u32::from(c) - 64;
            vec![place / 10, place % 10]
        }
        _ => c.to_digit(10).into_iter().collect(),
    };
    plain.chars().flat_map(spell).collect()
}

fn rvnr(text: &str) -> bool {
    let plain = plain(text);
    let d = with_letter_in_digits(&plain);
    let day = number(&d, 2..4);
    // From 51 on where the same birthday was given before.
    plain.len() == 12
        && d.len() == 13
        && plain.get(8..9).is_some_and(|c| c.bytes().all(|b| b.is_ascii_uppercase()))
        && is_day(if day > 50 { day - 50 } else { day }, number(&d, 4..6), number(&d, 6..8))
        && cross_sum(&d, &[2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1]) % 10 == at(&d, 12)
}

fn kvnr(text: &str) -> bool {
    let plain = plain(text);
    let d = with_letter_in_digits(&plain);
    plain.len() == 10
        && plain.starts_with(|c: char| c.is_ascii_uppercase())
        && d.len() == 11
        && cross_sum(&d, &[1, 2, 1, 2, 1, 2, 1, 2, 1, 2]) % 10 == at(&d, 10)
}

fn de_vat(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| at(&d, 0) != 0 && mod11_10(&d))
}

fn svnr(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| {
        let sum = weighted(&d, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]);
        // Months 13 to 15 stand where a day has run out of numbers.
        at(&d, 0) != 0
            && sum % 11 == at(&d, 3)
            && (1..=31).contains(&number(&d, 4..6))
            && (1..=15).contains(&number(&d, 6..8))
    })
}

/// 756, and the check digit of EAN-13.
fn ahv(text: &str) -> bool {
    exactly(text, 13).is_some_and(|d| {
        number(&d, 0..3) == 756 && weighted(&d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
    })
}

/// Departments 2A and 2B of Corsica count as 19 and 18.
fn nir(text: &str) -> bool {
    let plain = plain(text);
    let (head, department, rest) =
        (plain.get(..5).unwrap_or(""), plain.get(5..7).unwrap_or(""), plain.get(7..).unwrap_or(""));
    let department = department.replace("2A", "19").replace("2B", "18");
    exactly(&[head, &department, rest].concat(), 15).is_some_and(|d| {
        let month = number(&d, 3..5);
        // Births abroad or with part of the date unknown have months from 20 on.
        plain.len() == 15
            && matches!(at(&d, 0), 1 | 2)
            && matches!(month, 1..=12 | 20..=42 | 50..=99)
            && number(&d, 13..15) == 97 - number(&d, 0..13) % 97
    })
}

/// The key is the number before it modulo 511.
fn spi(text: &str) -> bool {
    exactly(text, 13).is_some_and(|d| at(&d, 0) < 4 && number(&d, 0..10) % 511 == number(&d, 10..13))
}

fn bsn(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| {
        number(&d, 0..9) > 9_999_999 && weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2, 10]).is_multiple_of(11)
    })
}

/// 97 less the remainder; with a 2 before it for those born from 2000 on.
fn nrn(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        let (body, check) = (number(&d, 0..9), number(&d, 9..11));
        // Numbers for those who are no residents have months from 21 and from 41 on.
        let month = number(&d, 2..4) % 20;
        month <= 12
            && number(&d, 4..6) <= 31
            && (check == 97 - body % 97 || check == 97 - (2_000_000_000 + body) % 97)
    })
}

/// The date, a serial, Luhn's check and then Verhoeff's over the first eleven digits.
fn matricule(text: &str) -> bool {
    exactly(text, 13).is_some_and(|d| {
        let luhn_part = d.get(..12).unwrap_or(&[]);
        let verhoeff_part: Vec<u32> = d.iter().take(11).chain(d.last()).copied().collect();
        (1850..2100).contains(&number(&d, 0..4))
            && is_day(number(&d, 6..8), number(&d, 4..6), number(&d, 0..4))
            && luhn(luhn_part)
            && verhoeff(&verhoeff_part)
    })
}

/// DNI and NIE, and the numbers with K, L and M for those without either.
fn dni(text: &str) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let plain = plain(text);
    let Some((body, letter)) = plain.split_at_checked(plain.len().saturating_sub(1)) else { return false };
    let body = match body.chars().next() {
        Some('X' | 'K' | 'L' | 'M') => body.replacen(['X', 'K', 'L', 'M'], "0", 1),
        Some('Y') => body.replacen('Y', "1", 1),
        Some('Z') => body.replacen('Z', "2", 1),
        _ => body.to_owned(),
    };
    let number = body.parse::<usize>().ok().filter(|_| body.len() == 8);
    number.and_then(|n| LETTERS.get(n % 23)).is_some_and(|l| letter.as_bytes() == [*l])
}

fn nss(text: &str) -> bool {
    exactly(text, 12).is_some_and(|d| {
        // The serial of those with less than eight digits is set without its zero.
        let (province, serial) = (number(&d, 0..2), number(&d, 2..10));
        let body = if serial < 10_000_000 { province * 10_000_000 + serial } else { number(&d, 0..10) };
        matches!(province, 1..=53 | 66) && body % 97 == number(&d, 10..12)
    })
}

fn nif(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| {
        let rest = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
        !matches!(at(&d, 0), 0) && (if rest < 2 { 0 } else { 11 - rest }) == at(&d, 8)
    })
}

fn niss(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        matches!(at(&d, 0), 1 | 2)
            && 9 - weighted(&d, &[29, 23, 19, 17, 13, 11, 7, 5, 3, 2]) % 10 == at(&d, 10)
    })
}

/// Luhn's check, with letters counted from ten on.
fn cartao(text: &str) -> bool {
    let values: Option<Vec<u32>> = plain(text).chars().map(|c| c.to_digit(36)).collect();
    values.is_some_and(|values| {
        let sum: u32 = values
            .iter()
            .enumerate()
            .map(|(place, &v)| match (place % 2, v * 2) {
                (0, twice) if twice > 9 => twice - 9,
                (0, twice) => twice,
                _ => v,
            })
            .sum();
        values.len() == 12 && sum.is_multiple_of(10)
    })
}

/// Digits may have been replaced by letters where two people would have the same number.
fn codice_fiscale(text: &str) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    const MONTHS: &str = "ABCDEHLMPRST";
    let plain = plain(text);
    let value = |c: char| c.to_digit(36).map(|d| if d < 10 { d } else { d - 10 });
    let mut sum = 0;
    for (place, c) in plain.chars().take(15).enumerate() {
        let Some(v) = value(c) else { return false };
        // The first character is in an odd place.
        sum += if place % 2 == 0 { ODD.get(v as usize).copied().unwrap_or(0) } else { v };
    }
    plain.len() == 16
        && plain.chars().nth(8).is_some_and(|month| MONTHS.contains(month))
        && plain.chars().nth(15).filter(char::is_ascii_uppercase).and_then(value) == Some(sum % 26)
}

fn iva(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        number(&d, 0..7) > 0 && matches!(number(&d, 7..10), 1..=100 | 120 | 121 | 888 | 999) && luhn(&d)
    })
}
