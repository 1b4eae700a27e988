//! Numbers of payment cards.

use super::check_digits::{digits, luhn, varied};

/// Luhn's check, and not the same few digits over and over.
pub(super) fn is_luhn(text: &str) -> bool {
    let d = digits(text);
    varied(&d) >= 3 && luhn(&d)
}

/// Whether a card number begins as one of the issuers' do, and is as long as theirs.
pub(super) fn is_of_issuer(text: &str) -> bool {
    let number: String = text.chars().filter(char::is_ascii_digit).collect();
    let head = |n: usize| number.get(..n).and_then(|h| h.parse::<u32>().ok()).unwrap_or(0);
    let of = |lengths: &[usize]| lengths.contains(&number.len());
    match (head(1), head(2), head(3), head(4)) {
        (4, ..) => of(&[13, 16, 19]),
        (_, 35 | 51..=55 | 65, ..) | (_, _, 644..=649, _) | (_, _, _, 2221..=2720 | 6011) => of(&[16, 19]),
        (_, 34 | 37, ..) => of(&[15]),
        (_, 36 | 38 | 39, ..) | (_, _, 300..=305, _) => of(&[14, 16, 19]),
        (_, 62 | 81, ..) => of(&[16, 17, 18, 19]),
        (_, 50 | 56..=58 | 63 | 67, ..) => of(&[12, 13, 14, 15, 16, 17, 18, 19]),
        (_, _, _, 1800 | 2131) | (1, ..) => of(&[15]),
        _ => false,
    }
}

/// Numbers that payment services print for trying them out.
const SAMPLES: [&str; 26] = [
    "4242424242424242",
    "4111111111111111",
    "4012888888881881",
    "4000000000000002",
    "4000056655665556",
    "4000002500003155",
    "4000000000003220",
    "4000000000009995",
    "4000000000000069",
    "4000000000000127",
    "4000000000000119",
    "4000000000003063",
    "4222222222222",
    "5555555555554444",
    "5105105105105100",
    "5200828282828210",
    "2223003122003222",
    "378282246310005",
    "371449635398431",
    "378734493671000",
    "6011111111111117",
    "6011000990139424",
    "3056930009020004",
    "30569309025904",
    "3566002020360505",
    "6200000000000005",
];

/// Whether it is one of the numbers that stand in manuals, or has so many zeros as only those have.
pub(super) fn is_sample(text: &str) -> bool {
    let number: String = text.chars().filter(char::is_ascii_digit).collect();
    SAMPLES.contains(&&*number) || number.contains("0000000") || varied(&digits(text)) < 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_have_an_issuer_a_length_and_a_check_digit() {
        for good in ["4539 5787 6362 1486", "5425 2334 3010 9903", "375556917985515", "36227206271667"] {
            assert!(is_luhn(good) && is_of_issuer(good) && !is_sample(good), "{good}");
        }
        assert!(!is_luhn("4539 5787 6362 1487"));
        assert!(!is_of_issuer("9539 5787 6362 1486") && !is_of_issuer("4539 5787 6362 14"));
    }

    #[test]
    fn any_changed_digit_breaks_the_sum() {
        let good = "4539578763621486";
        for (at, was) in good.char_indices() {
            for other in ('0'..='9').filter(|d| *d != was) {
                let broken = format!("{}{other}{}", &good[..at], &good[at + 1..]);
                assert!(!is_luhn(&broken), "{broken}");
            }
        }
    }

    #[test]
    fn numbers_for_trying_out_are_known() {
        for sample in SAMPLES {
            assert!(luhn(&digits(sample)) && is_sample(sample), "{sample}");
        }
    }
}
