//! Telephone numbers: country codes with their lengths, national shapes, and what only looks like one.

use super::check_digits::{digits, is_dummy, varied};

/// Digits of a number, without country code, by country code: least and most (ITU-T E.164, national plans).
const PLANS: [(&str, usize, usize); 96] = [
    ("1", 10, 10),
    ("7", 10, 10),
    ("20", 8, 10),
    ("27", 9, 9),
    ("30", 10, 10),
    ("31", 9, 9),
    ("32", 8, 9),
    ("33", 9, 9),
    ("34", 9, 9),
    ("36", 8, 9),
    ("39", 8, 11),
    ("40", 9, 9),
    ("41", 9, 9),
    ("43", 7, 13),
    ("44", 9, 10),
    ("45", 8, 8),
    ("46", 7, 10),
    ("47", 8, 8),
    ("48", 9, 9),
    ("49", 7, 12),
    ("51", 8, 9),
    ("52", 10, 11),
    ("53", 8, 8),
    ("54", 10, 11),
    ("55", 10, 11),
    ("56", 9, 9),
    ("57", 10, 10),
    ("58", 10, 10),
    ("60", 8, 10),
    ("61", 9, 9),
    ("62", 8, 12),
    ("63", 10, 10),
    ("64", 8, 10),
    ("65", 8, 8),
    ("66", 8, 9),
    ("81", 9, 10),
    ("82", 8, 10),
    ("84", 9, 10),
    ("86", 10, 11),
    ("90", 10, 10),
    ("91", 10, 10),
    ("92", 9, 10),
    ("93", 9, 9),
    ("94", 9, 9),
    ("95", 7, 10),
    ("98", 10, 10),
    ("212", 9, 9),
    ("213", 8, 9),
    ("216", 8, 8),
    ("218", 8, 9),
    ("221", 9, 9),
    ("225", 8, 10),
    ("233", 9, 9),
    ("234", 7, 10),
    ("237", 8, 9),
    ("251", 9, 9),
    ("254", 9, 9),
    ("255", 9, 9),
    ("256", 9, 9),
    ("260", 9, 9),
    ("263", 9, 9),
    ("351", 9, 9),
    ("352", 6, 9),
    ("353", 7, 9),
    ("354", 7, 7),
    ("355", 8, 9),
    ("356", 8, 8),
    ("357", 8, 8),
    ("358", 6, 11),
    ("359", 8, 9),
    ("370", 8, 8),
    ("371", 8, 8),
    ("372", 7, 8),
    ("373", 8, 8),
    ("374", 8, 8),
    ("375", 9, 9),
    ("380", 9, 9),
    ("381", 8, 9),
    ("382", 8, 9),
    ("385", 8, 9),
    ("386", 8, 8),
    ("387", 8, 8),
    ("389", 8, 8),
    ("420", 9, 9),
    ("421", 9, 9),
    ("852", 8, 8),
    ("853", 8, 8),
    ("880", 8, 10),
    ("886", 8, 9),
    ("961", 7, 8),
    ("962", 8, 9),
    ("965", 8, 8),
    ("966", 9, 9),
    ("971", 8, 9),
    ("972", 8, 9),
    ("974", 8, 8),
];

/// Runs of digits with their places, without what follows an extension's sign.
fn groups(text: &str) -> Vec<(usize, &str)> {
    let main = text.get(..extension(text)).unwrap_or(text);
    let mut found = Vec::new();
    let mut rest = 0;
    for part in main.split(|c: char| !c.is_ascii_digit()) {
        if !part.is_empty() {
            found.push((rest, part));
        }
        rest += part.len() + 1;
    }
    found
}

/// Where the extension begins, or the end.
fn extension(text: &str) -> usize {
    text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len())
}

/// The least and the most digits behind a country code, and the code's length. Codes of few countries are not in the
/// table: for them three digits are taken, as most have.
fn plan(number: &str) -> Option<(usize, usize, usize)> {
    let known = PLANS.iter().find(|(code, ..)| number.starts_with(code));
    match known {
        Some(&(code, least, most)) => Some((code.len(), least, most)),
        None if number.starts_with(['2', '3', '5', '6', '8', '9']) => Some((3, 6, 10)),
        None => None,
    }
}

/// How much of `value`, which begins with a plus sign or two zeros, is the number: groups behind its longest
/// possible length are something else.
pub(super) fn international_end(value: &str) -> Option<usize> {
    let body = value.trim_start_matches(['(', '+']);
    let skipped = value.len() - body.len();
    let zeros = if skipped == 0 { 2 } else { 0 };
    let groups = groups(body);
    let number: String = groups.iter().map(|(_, group)| *group).collect();
    let (code, least, most) = plan(number.get(zeros..)?)?;
    // The zero for calls within the country stands in brackets.
    let trunk = usize::from(body.contains("(0"));
    let (mut count, mut end) = (0, None);
    for (at, group) in &groups {
        count += group.len();
        let national = count.saturating_sub(zeros + code + trunk);
        if national > most {
            break;
        }
        if national >= least {
            end = Some(skipped + at + group.len());
        }
    }
    let end = end?;
    // An extension belongs to it where nothing else is between.
    let at = extension(value);
    let is_near = value.get(end..at).is_some_and(|gap| gap.trim_matches([' ', ',', '-']).is_empty());
    Some(if is_near && at < value.len() { value.len() } else { end })
}

/// Behind the country code, not the same digit over and over.
pub(super) fn is_international(text: &str) -> bool {
    let d = digits(text);
    international_end(text).is_some() && varied(d.get(3..).unwrap_or(&[])) >= 3
}

/// The North American plan: area and exchange begin with 2 to 9 and do not end in 11.
pub(super) fn is_nanp(text: &str) -> bool {
    let number: String = groups(text).into_iter().map(|(_, group)| group).collect();
    let number = match number.len() {
        13 => number.strip_prefix("001").unwrap_or(""),
        11 => number.strip_prefix('1').unwrap_or(""),
        _ => &number,
    };
    let (Some(area), Some(exchange), Some(line)) = (number.get(..3), number.get(3..6), number.get(6..))
    else {
        return false;
    };
    let plausible = |code: &str| !code.starts_with(['0', '1']) && !code.ends_with("11");
    line.len() == 4 && plausible(area) && plausible(exchange) && varied(&digits(number)) >= 3
}

/// A number in groups beside a word that calls it one.
pub(super) fn is_grouped_phone(text: &str) -> bool {
    !text.bytes().all(|b| b.is_ascii_digit()) && is_phone(text)
}

/// A number beside a word that calls it one: seven to fifteen digits that are no date, address, version or count.
pub(super) fn is_phone(text: &str) -> bool {
    let groups = groups(text);
    let lengths: Vec<usize> = groups.iter().map(|(_, group)| group.len()).collect();
    let count: usize = lengths.iter().sum();
    (7..=15).contains(&count)
        && !is_dummy(text)
        && !is_date(&groups)
        && !is_dotted_address(text, &lengths)
        && !are_years(&groups)
        && lengths.last().is_some_and(|last| *last > 1)
        && text.matches('(').count() == text.matches(')').count()
}

/// The same without separators: times in seconds and milliseconds since 1970 look like numbers of ten and thirteen.
pub(super) fn is_bare_phone(text: &str) -> bool {
    let epoch =
        matches!(text.len(), 10 | 13) && ["15", "16", "17", "18"].iter().any(|years| text.starts_with(years));
    !epoch && is_phone(text)
}

/// A number in the shape that its country gives it, so particular that no word need stand beside it.
pub(super) fn is_national(text: &str) -> bool {
    let groups = groups(text);
    let pairs = groups.len() == 5 && groups.iter().all(|(_, group)| group.len() == 2);
    let counting = groups.windows(2).all(|pair| match pair {
        [(_, a), (_, b)] => a.parse::<u32>().ok().map(|a| a + 1) == b.parse().ok(),
        _ => false,
    });
    is_phone(text) && !(pairs && counting)
}

/// Day, month and year in any order.
fn is_date(groups: &[(usize, &str)]) -> bool {
    let numbers: Vec<u32> = groups.iter().filter_map(|(_, g)| g.parse().ok()).collect();
    let is_year = |n: &u32, (_, g): &(usize, &str)| g.len() == 4 && (1900..2100).contains(n);
    match (&*numbers, groups) {
        ([a, b, c, ..], [x, y, z, ..]) => {
            is_year(a, x) && *b <= 12 && *c <= 31 && y.1.len() <= 2 && z.1.len() <= 2
                || is_year(c, z) && *a <= 31 && *b <= 31 && x.1.len() <= 2 && y.1.len() <= 2
        }
        _ => false,
    }
}

fn is_dotted_address(text: &str, lengths: &[usize]) -> bool {
    text.matches('.').count() == 3 && lengths.len() == 4 && lengths.iter().all(|l| *l <= 3)
}

fn are_years(groups: &[(usize, &str)]) -> bool {
    groups.len() == 2
        && groups.iter().all(|(_, g)| g.len() == 4 && g.parse().is_ok_and(|y: u32| (1900..2100).contains(&y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_their_country_says() {
        for (text, whole) in [
            ("+49 30 9018 2021", "+49 30 9018 2021"),
            ("+1 415 555 0132 2024", "+1 415 555 0132"),
            ("+44 (0)20 7946 0958 11", "+44 (0)20 7946 0958"),
            ("+33 6 12 34 56 78 90", "+33 6 12 34 56 78"),
            ("0047 22 33 44 55", "0047 22 33 44 55"),
            ("+1 415 555 0132 x12", "+1 415 555 0132 x12"),
        ] {
            assert_eq!(international_end(text).and_then(|end| text.get(..end)), Some(whole), "{text}");
        }
        for none in ["+1234567", "+12 and 34", "+0 123 456 789", "00 12"] {
            assert_eq!(international_end(none), None, "{none}");
        }
    }

    #[test]
    fn dates_addresses_and_years_are_no_numbers() {
        for other in
            ["2024-11-02", "02.11.2024", "11/02/2024", "192.168.100.20", "2019-2021", "1111111", "123 45 6"]
        {
            assert!(!is_phone(other), "{other}");
        }
        for phone in ["030 901 8200", "01.43.25.68.89", "(02) 4036 2106", "555-1234", "079 123 45 67"] {
            assert!(is_phone(phone), "{phone}");
        }
        assert!(
            !is_bare_phone("1700000123") && !is_bare_phone("1700000123456") && is_bare_phone("5551234567")
        );
        assert!(!is_national("01 02 03 04 05") && is_national("06 12 34 56 78"));
        assert!(is_nanp("(415) 555-2671") && is_nanp("001-415-555-2671") && is_nanp("415.555.2671x99"));
        assert!(!is_nanp("(115) 555-2671") && !is_nanp("1234567"));
    }
}
