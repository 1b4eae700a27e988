//! The arithmetic of check digits, which many numbers share.

/// The decimal digits of a text, in their order.
pub(crate) fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

/// Its digits, where it has exactly so many.
pub(crate) fn exactly(text: &str, count: usize) -> Option<Vec<u32>> {
    Some(digits(text)).filter(|d| d.len() == count)
}

/// Its letters and digits, letters in upper case.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// How many different digits there are: dummies have one or two.
pub(crate) fn varied(d: &[u32]) -> usize {
    d.iter().collect::<std::collections::BTreeSet<_>>().len()
}

/// Whether the digits are the same few over and over, or counted up or down throughout.
pub(crate) fn is_dummy(text: &str) -> bool {
    let d = digits(text);
    let counts = |step: u32| d.windows(2).all(|pair| matches!(pair, [a, b] if (a + step) % 10 == *b));
    varied(&d) < 3 || counts(1) || counts(9)
}

pub(crate) fn weighted(d: &[u32], weights: &[u32]) -> u32 {
    d.iter().zip(weights).map(|(d, w)| d * w).sum()
}

/// The digit at a place, or a number that is none.
pub(crate) fn at(d: &[u32], place: usize) -> u32 {
    d.get(place).copied().unwrap_or(99)
}

/// Some digits read as a number.
pub(crate) fn number(d: &[u32], places: std::ops::Range<usize>) -> u64 {
    d.get(places).unwrap_or(&[]).iter().fold(0, |n, &digit| n * 10 + u64::from(digit))
}

pub(crate) fn luhn_sum(d: &[u32]) -> u32 {
    d.iter()
        .rev()
        .enumerate()
        .map(|(place, &d)| match place % 2 {
            0 => d,
            _ if d > 4 => d * 2 - 9,
            _ => d * 2,
        })
        .sum()
}

pub(crate) fn luhn(d: &[u32]) -> bool {
    luhn_sum(d).is_multiple_of(10)
}

/// ISO/IEC 7064, MOD 11,10.
pub(crate) fn mod11_10(d: &[u32]) -> bool {
    let Some((check, body)) = d.split_last() else { return false };
    let product = body.iter().fold(10, |product, &digit| {
        let sum = (digit + product) % 10;
        2 * (if sum == 0 { 10 } else { sum }) % 11
    });
    (11 - product) % 10 == *check
}

/// Verhoeff's check.
pub(crate) fn verhoeff(d: &[u32]) -> bool {
    const STEP: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    // The dihedral group of the pentagon, and the permutation by place.
    let times = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a + 10 - b - 5) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let sum = d.iter().rev().enumerate().fold(0, |sum, (place, &digit)| {
        let moved = (0..place % 8).fold(digit, |n, _| STEP.get(n as usize).copied().unwrap_or(n));
        times(sum, moved)
    });
    sum == 0
}

/// The sum of ICAO Doc 9303 over digits, letters and fillers, modulo 10.
pub(crate) fn machine_readable(text: &str) -> Option<u32> {
    text.chars().zip([7, 3, 1].into_iter().cycle()).try_fold(0, |sum, (c, weight)| {
        let value = if c == '<' { 0 } else { c.to_digit(36)? };
        Some((sum + value * weight) % 10)
    })
}

/// Whether there is such a day. A year of two digits may be of any century.
pub(crate) fn is_day(day: u64, month: u64, year: u64) -> bool {
    let longest = match month {
        2 if year.is_multiple_of(4) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=longest).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classical_examples_hold() {
        assert!(luhn(&digits("79927398713")) && !luhn(&digits("79927398710")));
        assert!(mod11_10(&digits("07945")) && !mod11_10(&digits("07946")));
        assert!(verhoeff(&digits("2363")) && !verhoeff(&digits("2364")));
        // The specimen of ICAO Doc 9303, part 4.
        assert_eq!(machine_readable("L898902C3"), Some(6));
        assert_eq!(machine_readable("740812"), Some(2));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert!(is_day(29, 2, 96) && is_day(31, 12, 1999));
        assert!(!is_day(29, 2, 97) && !is_day(31, 4, 99) && !is_day(0, 1, 99) && !is_day(1, 13, 99));
    }
}
