//! Travel documents, vehicles and devices.

use super::check_digits::{digits, exactly, is_day, luhn, machine_readable, number, varied};

/// The lines of a passport or card that machines read (ICAO Doc 9303): number, birth and expiry have check digits.
pub(super) fn is_machine_readable_zone(text: &str) -> bool {
    let lines: Vec<&str> = text.split_whitespace().collect();
    let part = |line: &str, from: usize, len: usize| line.get(from..from + len).unwrap_or("").to_owned();
    // What has no sum, or a sign that is no digit in its place, holds nothing.
    let holds =
        |body: String, check: String| machine_readable(&body).is_some_and(|sum| check.parse() == Ok(sum));
    match *lines {
        // Three lines of thirty: the number stands in the first, the dates in the second.
        [first, second, _] if first.len() == 30 && second.len() == 30 => {
            holds(part(first, 5, 9), part(first, 14, 1))
                && holds(part(second, 0, 6), part(second, 6, 1))
                && holds(part(second, 8, 6), part(second, 14, 1))
        }
        [.., line] if matches!(line.len(), 36 | 44) => {
            holds(part(line, 0, 9), part(line, 9, 1))
                && holds(part(line, 13, 6), part(line, 19, 1))
                && holds(part(line, 21, 6), part(line, 27, 1))
        }
        _ => false,
    }
}

/// The ninth place is the sum of all, modulo 11 (ISO 3779, 49 CFR 565.15).
pub(super) fn is_vin(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    // Letters count 1 to 9 along the alphabet, from S on from 2, without I, O and Q.
    let value = |c: char| match c.to_ascii_uppercase() {
        c @ 'A'..='H' => Some(u32::from(c) - 64),
        c @ ('J'..='N' | 'P' | 'R') => Some(u32::from(c) - 73),
        c @ 'S'..='Z' => Some(u32::from(c) - 81),
        c => c.to_digit(10),
    };
    let sum = text.chars().zip(WEIGHTS).map(|(c, weight)| value(c).map(|v| v * weight)).sum::<Option<u32>>();
    let check = text
        .chars()
        .nth(8)
        .map(|c| if c.eq_ignore_ascii_case(&'x') { 10 } else { c.to_digit(10).unwrap_or(11) });
    text.len() == 17 && sum.map(|s| s % 11) == check && varied(&digits(text)) >= 3
}

/// Fourteen digits and Luhn's; the first two name the body that gave it.
pub(super) fn is_imei(text: &str) -> bool {
    exactly(text, 15).is_some_and(|d| {
        matches!(number(&d, 0..2), 1 | 10 | 30 | 33 | 35 | 44 | 45 | 49..=54 | 86 | 91 | 98 | 99)
            && luhn(&d)
            && varied(&d) >= 3
    })
}

/// A day on which somebody who lives may have been born.
pub(super) fn is_birthday(text: &str) -> bool {
    let parts: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|p| !p.is_empty()).collect();
    let numbers: Vec<u64> = parts.iter().filter_map(|p| p.parse().ok()).collect();
    let year = |y: u64| (1900..2030).contains(&y) || y < 100;
    match *numbers {
        [a, b, c] if a > 31 => year(a) && is_day(c, b, a),
        [a, b, c] => year(c) && (is_day(a, b, c) || is_day(b, a, c)),
        // The month is a word.
        [a, b] => year(a.max(b)) && a.min(b) <= 31,
        _ => false,
    }
}

/// ISO 9362: the fifth and sixth letters are a country.
pub(super) fn is_bic(text: &str) -> bool {
    const COUNTRIES: &str = "AD AE AF AG AL AM AO AR AT AU AZ BA BB BD BE BF BG BH BI BJ BM BN BO BR BS BT BW BY BZ CA CD CF CG CH CI CL CM CN CO CR CU CV CW CY CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FK FO FR GA GB GD GE GG GH GI GL GM GN GQ GR GT GY HK HN HR HT HU ID IE IL IM IN IQ IR IS IT JE JM JO JP KE KG KH KM KN KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MG MK ML MM MN MO MR MT MU MV MW MX MY MZ NA NC NE NG NI NL NO NP NZ OM PA PE PF PG PH PK PL PR PS PT PY QA RO RS RU RW SA SB SC SD SE SG SI SK SL SM SN SO SR SS ST SV SY SZ TC TD TG TH TJ TL TM TN TO TR TT TW TZ UA UG US UY UZ VA VC VE VG VN VU WS XK YE ZA ZM ZW";
    let country = text.get(4..6).unwrap_or("  ");
    matches!(text.len(), 8 | 11) && COUNTRIES.split(' ').any(|known| known == country)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specimens_of_icao_hold_and_break_with_each_digit() {
        let passport =
            "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10";
        let card =
            "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<";
        assert!(is_machine_readable_zone(passport) && is_machine_readable_zone(card));
        assert!(!is_machine_readable_zone(&passport.replace("740812", "740813")));
        assert!(!is_machine_readable_zone(&passport.replace("L8989", "L8988")));
        assert!(!is_machine_readable_zone(&card.replace("D2314", "D2315")));
        for filler in ["-", "!", "é"] {
            assert!(!is_machine_readable_zone(&filler.repeat(44 / filler.len())), "{filler}");
        }
    }

    #[test]
    fn vehicles_and_devices_have_check_digits() {
        assert!(is_vin("1M8GDM9AXKP042788") && !is_vin("1M8GDM9AXKP042789") && !is_vin("1M8GDM9A1KP042788"));
        assert!(is_imei("490154203237518") && !is_imei("490154203237519"));
    }

    #[test]
    fn days_of_birth_are_days() {
        for day in ["1985-03-12", "12.03.1985", "03/12/85", "March 12, 1985", "12 mars 1985"] {
            assert!(is_birthday(day), "{day}");
        }
        for other in ["1985-13-12", "32.03.1985", "1.2.3.4", "2150-01-01"] {
            assert!(!is_birthday(other), "{other}");
        }
        assert!(is_bic("DEUTDEFF") && is_bic("BNPAFRPPXXX") && !is_bic("DEUTXXFF") && !is_bic("DEUTDEF"));
    }
}
