//! How unlike words a value is: names in code and passwords out of dictionaries are made of them, tokens are not.

/// What each letter costs after the two before it, in sixteenths of a bit: 27 × 27 × 27, the letters and the border of
/// a word. `examples/rarity.rs` makes it from texts.
static COSTS: &[u8; LETTERS * LETTERS * LETTERS] = include_bytes!("../../packs/rarity.bin");

const LETTERS: usize = 27;
/// The border of a word.
const BORDER: usize = 26;

/// In sixteenths of a bit, what begins a run of letters or digits costs, a digit, and any other character.
const RUN: u32 = 16;
const DIGITS: u32 = 32;
const DIGIT: u32 = 35;
const SIGN: u32 = 24;

/// Bits a character. Words and names in code have about 3.6, one in two hundred has more than 5.8; of random letters
/// and digits one in fifty has less.
pub(crate) fn rarity(value: &str) -> f32 {
    let mut cost = 0;
    each_run(value.as_bytes(), |run| {
        cost += match run.first() {
            Some(b) if b.is_ascii_digit() => DIGITS + DIGIT * u32::try_from(run.len()).unwrap_or(0),
            Some(b) if b.is_ascii_alphabetic() => RUN + word_cost(run),
            _ => SIGN,
        };
    });
    #[expect(clippy::cast_precision_loss, reason = "values are at most a few thousand bytes long")]
    let bits = cost as f32 / 16.0 / value.len().max(1) as f32;
    bits
}

fn word_cost(word: &[u8]) -> u32 {
    let (mut first, mut second, mut cost) = (BORDER, BORDER, 0);
    let letters = word.iter().map(|b| usize::from(b.to_ascii_lowercase().wrapping_sub(b'a')).min(BORDER));
    for third in letters.chain(std::iter::once(BORDER)) {
        let at = (first * LETTERS + second) * LETTERS + third;
        cost += COSTS.get(at).copied().map_or(255, u32::from);
        (first, second) = (second, third);
    }
    cost
}

/// What a letter costs after the two bytes before it, in sixteenths of a bit.
pub(crate) fn letter_cost(first: u8, second: u8, letter: u8) -> u32 {
    let [a, b, c] =
        [first, second, letter].map(|b| usize::from(b.to_ascii_lowercase().wrapping_sub(b'a')).min(BORDER));
    COSTS.get((a * LETTERS + b) * LETTERS + c).copied().map_or(255, u32::from)
}

/// Runs of digits, words with at most their first letter large, words in capitals, and all other bytes one by one.
fn each_run(bytes: &[u8], mut found: impl FnMut(&[u8])) {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let count =
            |class: fn(&u8) -> bool, from: usize| rest.iter().skip(from).take_while(|b| class(b)).count();
        let capitals = count(u8::is_ascii_uppercase, 0);
        let len = match rest.first() {
            Some(b) if b.is_ascii_digit() => count(u8::is_ascii_digit, 0),
            Some(b) if b.is_ascii_lowercase() => count(u8::is_ascii_lowercase, 0),
            // The last capital before a small letter begins the next word.
            Some(_) if capitals > 0 => match count(u8::is_ascii_lowercase, capitals) {
                0 => capitals,
                small if capitals == 1 => 1 + small,
                _ => capitals - 1,
            },
            _ => 1,
        };
        let Some(run) = rest.get(..len) else { return };
        found(run);
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names_in_code_are_not_rare_and_random_values_are() {
        for word in [
            "welcome1",
            "getAccessToken",
            "my-super-secret-value",
            "correcthorsebatterystaple",
            "SecurePass1",
        ] {
            assert!(rarity(word) < 5.0, "{word}: {}", rarity(word));
        }
        for value in ["hT7zq9wLr", "kyfbxrsq", "Vk39xQpL2m", "xXtRkPqWz"] {
            assert!(rarity(value) > 7.0, "{value}: {}", rarity(value));
        }
    }

    #[test]
    fn runs_are_words_of_camel_case_digits_and_signs() {
        let mut runs = Vec::new();
        each_run(b"getHTTPUrl42_x", |run| {
            runs.push(String::from_utf8_lossy(run).into_owned());
        });
        assert_eq!(runs, ["get", "HTTP", "Url", "42", "_", "x"]);
    }
}
