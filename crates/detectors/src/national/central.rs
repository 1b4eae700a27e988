//! The middle and the east of Europe.

use super::Kind;
use crate::checks::check_digits::{at, digits, exactly, is_day, luhn, mod11_10, number, plain, weighted};

pub(super) const KINDS: [Kind; 18] = [
    ("pl-pesel", pesel),
    ("pl-nip", nip),
    ("pl-id-card", pl_id_card),
    ("cz-rc", rodne_cislo),
    ("hu-szemelyi", szemelyi),
    ("hu-taj", taj),
    ("hu-adoazonosito", adoazonosito),
    ("ro-cnp", cnp),
    ("bg-egn", egn),
    ("hr-oib", oib),
    ("yu-jmbg", jmbg),
    ("si-davcna", davcna),
    ("gr-afm", afm),
    ("gr-amka", amka),
    ("ru-inn", inn),
    ("ru-snils", snils),
    ("ua-rnokpp", rnokpp),
    ("kz-iin", iin),
];

/// Months of other centuries have 20, 40, 60 or 80 more.
fn pesel(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        is_day(number(&d, 4..6), number(&d, 2..4) % 20, number(&d, 0..2))
            && weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
    })
}

fn nip(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| {
        number(&d, 0..3) > 100 && weighted(&d, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == at(&d, 9)
    })
}

fn pl_id_card(text: &str) -> bool {
    let values: Option<Vec<u32>> = plain(text).chars().map(|c| c.to_digit(36)).collect();
    values.is_some_and(|values| {
        let (letters, digits) = values.split_at(values.len().min(3));
        values.len() == 9
            && letters.iter().all(|v| *v > 9)
            && digits.iter().all(|v| *v < 10)
            && weighted(&values, &[7, 3, 1, 9, 7, 3, 1, 7, 3]).is_multiple_of(10)
    })
}

/// Czechia and Slovakia. Women have months with 50 more, days that ran out of numbers 20 more. Until 1953 numbers had
/// nine digits and no check.
fn rodne_cislo(text: &str) -> bool {
    let d = digits(text);
    let month = number(&d, 2..4) % 50;
    let rest = number(&d, 0..9) % 11 % 10;
    let holds = match d.len() {
        9 => text.contains('/') && number(&d, 0..2) < 54,
        10 => rest == u64::from(at(&d, 9)),
        _ => false,
    };
    holds && is_day(number(&d, 4..6), if month > 20 { month - 20 } else { month }, number(&d, 0..2))
}

/// Those born until 1996 have weights from 1 up, those after from 10 down.
fn szemelyi(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        let rising = weighted(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) % 11;
        let falling = weighted(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) % 11;
        let late = matches!(at(&d, 0), 3 | 4) || number(&d, 1..3) > 96;
        (1..=8).contains(&at(&d, 0))
            && is_day(number(&d, 5..7), number(&d, 3..5), number(&d, 1..3))
            && (if late { falling } else { rising }) == at(&d, 10)
    })
}

fn taj(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| weighted(&d, &[3, 7, 3, 7, 3, 7, 3, 7]) % 10 == at(&d, 8))
}

fn adoazonosito(text: &str) -> bool {
    exactly(text, 10)
        .is_some_and(|d| at(&d, 0) == 8 && weighted(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9]) % 11 == at(&d, 9))
}

fn cnp(text: &str) -> bool {
    exactly(text, 13).is_some_and(|d| {
        let rest = weighted(&d, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
        at(&d, 0) != 0
            && is_day(number(&d, 5..7), number(&d, 3..5), number(&d, 1..3))
            && matches!(number(&d, 7..9), 1..=52 | 70 | 80..=83)
            && (if rest == 10 { 1 } else { rest }) == at(&d, 12)
    })
}

/// Months of the 19th century have 20 more, those of the 21st 40.
fn egn(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| {
        is_day(number(&d, 4..6), number(&d, 2..4) % 20, number(&d, 0..2))
            && number(&d, 2..4) < 53
            && weighted(&d, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == at(&d, 9)
    })
}

fn oib(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| mod11_10(&d))
}

/// The states that once were one: day, month, three digits of the year, region, serial, check digit.
fn jmbg(text: &str) -> bool {
    exactly(text, 13).is_some_and(|d| {
        let rest = weighted(&d, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
        let year = number(&d, 4..7);
        is_day(number(&d, 0..2), number(&d, 2..4), year)
            && !(100..=849).contains(&year)
            && match rest {
                0 => at(&d, 12) == 0,
                1 => false,
                _ => 11 - rest == at(&d, 12),
            }
    })
}

fn davcna(text: &str) -> bool {
    exactly(text, 8).is_some_and(|d| {
        let rest = weighted(&d, &[8, 7, 6, 5, 4, 3, 2]) % 11;
        at(&d, 0) != 0 && rest != 0 && (11 - rest) % 10 == at(&d, 7)
    })
}

fn afm(text: &str) -> bool {
    exactly(text, 9).is_some_and(|d| weighted(&d, &[256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10 == at(&d, 8))
}

fn amka(text: &str) -> bool {
    exactly(text, 11)
        .is_some_and(|d| is_day(number(&d, 0..2), number(&d, 2..4), number(&d, 4..6)) && luhn(&d))
}

/// Twelve digits, of a person; firms have ten.
fn inn(text: &str) -> bool {
    exactly(text, 12).is_some_and(|d| {
        weighted(&d, &[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10 == at(&d, 10)
            && weighted(&d, &[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10 == at(&d, 11)
    })
}

fn snils(text: &str) -> bool {
    exactly(text, 11).is_some_and(|d| {
        let rest = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101;
        u64::from(if rest == 100 { 0 } else { rest }) == number(&d, 9..11)
    })
}

/// The first weight is less than nothing; ten more of it are the same modulo 11.
fn rnokpp(text: &str) -> bool {
    exactly(text, 10).is_some_and(|d| weighted(&d, &[10, 5, 7, 9, 4, 6, 10, 5, 7]) % 11 % 10 == at(&d, 9))
}

fn iin(text: &str) -> bool {
    let d = digits(text);
    let first = weighted(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) % 11;
    let second = weighted(&d, &[3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2]) % 11;
    d.len() == 12
        && is_day(number(&d, 4..6), number(&d, 2..4), number(&d, 0..2))
        && (1..=6).contains(&at(&d, 6))
        && (if first == 10 { second } else { first }) == at(&d, 11)
}
