//! Account numbers of ISO 13616.

use super::check_digits::{digits, varied};

/// The parts of the number behind country and check digits, of the registry of ISO 13616: so many digits (n), letters
/// (a) or either (c).
const STRUCTURES: &str = "\
    AD8n12c AE19n AL8n16c AT16n AZ4a20c BA16n BE12n BG4a6n8c BH4a14c \
    BI23n BR23n1a1c BY4c4n16c CH5n12c CR18n CY8n16c CZ20n DE18n DJ23n \
    DK14n DO4c20n EE16n EG25n ES20n FI14n FK2a12n FO14n FR10n11c2n \
    GB4a14n GE2a16n GI4a15c GL14n GR7n16c GT24c HN4a20n HR17n HU24n \
    IE4a14n IL19n IQ4a15n IS22n IT1a10n12c JO4a4n18c KW4a22c KZ3n13c LB4n20c \
    LC4a24c LI5n12c LT16n LU3n13c LV4a13c LY21n MC10n11c2n MD20c ME18n \
    MK3n10c2n MN16n MR23n MT4a5n18c MU4a19n3a NI4a20n NL4a10n NO11n OM3n16c \
    PK4a16c PL24n PS4a21c PT21n QA4a21c RO4a16c RS18n RU14n15c SA2n18c \
    SC4a20n3a SD14n SE20n SI15n SK20n SM1a10n12c SO19n ST21n SV4a20n \
    TL19n TN20n TR6n16c UA6n19c VA18n VG4a16n XK16n YE4a4n18c";

fn structure(text: &str) -> Option<&'static str> {
    let country = text.get(..2)?.to_ascii_uppercase();
    STRUCTURES.split(' ').find_map(|entry| entry.strip_prefix(&*country))
}

/// The kind of each place behind country and check digits.
fn kinds(structure: &str) -> impl Iterator<Item = char> {
    structure.split_inclusive(['n', 'a', 'c']).flat_map(|part| {
        let (count, kind) = part.split_at(part.len().saturating_sub(1));
        std::iter::repeat_n(kind.chars().next().unwrap_or('n'), count.parse().unwrap_or(0))
    })
}

/// How many bytes from the start belong to the account number, by the length that its country has. What follows
/// may look like a further group.
pub(super) fn iban_end(text: &str) -> Option<usize> {
    let length = 4 + kinds(structure(text)?).count();
    let (at, c) = text.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()).nth(length - 1)?;
    Some(at + c.len_utf8())
}

/// Length and structure of the country, and 1 modulo 97.
pub(super) fn is_iban(text: &str) -> bool {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let (Some(structure), Some(rest)) = (structure(text), plain.get(4..)) else { return false };
    let fits = |(c, kind): (char, char)| match kind {
        'n' => c.is_ascii_digit(),
        'a' => c.is_ascii_alphabetic(),
        _ => true,
    };
    let turned = rest.chars().chain(plain.chars().take(4));
    let remainder = turned
        .filter_map(|c| c.to_digit(36))
        .fold(0, |r, d| if d < 10 { (r * 10 + d) % 97 } else { (r * 100 + d) % 97 });
    rest.len() == kinds(structure).count()
        && rest.chars().zip(kinds(structure)).all(fits)
        && remainder == 1
        && varied(&digits(text)) >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_the_length_and_the_structure_of_their_country() {
        for good in
            ["GB29 NWBK 6016 1331 9268 19", "DE89370400440532013000", "MT84MALT011000012345MTLCAST001S"]
        {
            assert!(is_iban(good), "{good}");
        }
        for bad in [
            "GB29 NWBK 6016 1331 9268 18",
            "XX89370400440532013000",
            "DE8937040044053201300",
            "GB29 1WBK 6016 1331 9268 19",
        ] {
            assert!(!is_iban(bad), "{bad}");
        }
        assert_eq!(iban_end("DE89 3704 0044 0532 0130 00 and"), Some(27));
    }

    #[test]
    fn any_changed_digit_breaks_the_sum() {
        let good = "DE89370400440532013000";
        for (at, was) in good.char_indices().skip(2) {
            for other in ('0'..='9').filter(|d| *d != was) {
                let broken = format!("{}{other}{}", &good[..at], &good[at + 1..]);
                assert!(!is_iban(&broken), "{broken}");
            }
        }
    }

    #[test]
    fn every_entry_of_the_registry_can_be_read() {
        for entry in STRUCTURES.split(' ') {
            let count = kinds(&entry[2..]).count();
            assert!((11..=30).contains(&count), "{entry}");
        }
    }
}
