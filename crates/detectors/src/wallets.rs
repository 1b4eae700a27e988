//! Private keys of wallets that stand alone: no literal marks them, their length and their check sum do.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::checks::is_wallet_key;
use crate::detectors::{Detectors, hash_of};
use crate::hit::{Hit, Marks};
use crate::view::Views;

/// A key in the import format has 51 or 52 characters.
const KEY_LEN: usize = 51;
/// As many numbers as a key pair of Ed25519 has bytes.
const PAIR_NUMBERS: usize = 64;
/// The shortest list of so many numbers.
const PAIR_LEN: usize = 2 * PAIR_NUMBERS;
/// The longest: three digits, a comma, and white space for a line each.
const PAIR_LEN_MAX: usize = 16 * PAIR_NUMBERS;
/// How far around such a list a word must stand that says what it is.
const REACH: usize = 160;

impl Detectors {
    /// Looks for keys that no literal marks.
    pub(crate) fn look_for_wallets(&self, views: &Views<'_>, view: usize, hits: &mut Vec<Hit>) {
        let mut places = BTreeMap::new();
        for (id, span) in look(views.text(view)) {
            let Some(&rule) = self.0.by_code.get(id) else { continue };
            let key = views.text(view).get(span.clone()).unwrap_or("");
            let (value, allowed) = (hash_of(key), self.0.allowed.value(id, key));
            let marks =
                allowed.map(|why| Box::new(Marks { allowed: Some(why.to_owned()), ..Marks::default() }));
            let counts = marks.is_none();
            let redacted = format!("[{id}]");
            let checks = if id == "wallet-import-key" { vec!["base58check"] } else { Vec::new() };
            hits.push(Hit {
                rule,
                span: views.place(view, span),
                redacted,
                views: views.chain(view),
                checks,
                marks,
                value,
            });
            if self.enough(rule, counts, &mut places).is_break() {
                break;
            }
        }
    }
}

/// What was found, and where.
fn look(text: &str) -> Vec<(&'static str, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    each_run(bytes, KEY_LEN, KEY_LEN + 1, u8::is_ascii_alphanumeric, |run| {
        let key = text.get(run.clone()).unwrap_or("");
        if run.len() >= KEY_LEN && key.starts_with(['5', 'K', 'L', '9', 'c']) && is_wallet_key(key) {
            found.push(("wallet-import-key", run));
        }
    });
    each_run(
        bytes,
        PAIR_LEN,
        PAIR_LEN_MAX,
        |b| b.is_ascii_digit() || matches!(b, b',' | b' ' | b'\n' | b'\r'),
        |run| {
            if is_in_brackets(bytes, &run) && is_key_pair(text, &run) {
                found.push(("solana-key-pair", run));
            }
        },
    );
    found
}

/// Every run of bytes of a class that is at least `least` long and at most `most`. Only each `least`th byte is read where
/// there is none.
fn each_run(
    bytes: &[u8],
    least: usize,
    most: usize,
    class: fn(&u8) -> bool,
    mut found: impl FnMut(Range<usize>),
) {
    let mut at = least - 1;
    while let Some(b) = bytes.get(at) {
        if !class(b) {
            at += least;
            continue;
        }
        // What lies further back has been looked at with the byte before.
        let before = bytes.get(at.saturating_sub(most)..at).unwrap_or(&[]);
        let start = at - before.iter().rev().take_while(|b| class(b)).count();
        let after = bytes.get(at..).unwrap_or(&[]);
        let end = at + after.iter().take(most + 1).take_while(|b| class(b)).count();
        if (least..=most).contains(&(end - start)) {
            found(start..end);
        }
        at = end + least;
    }
}

fn is_in_brackets(bytes: &[u8], run: &Range<usize>) -> bool {
    let before = run.start.checked_sub(1).and_then(|at| bytes.get(at));
    before == Some(&b'[') && bytes.get(run.end) == Some(&b']')
}

/// Sixty-four bytes as numbers, beside a word for what they are.
fn is_key_pair(text: &str, run: &Range<usize>) -> bool {
    let mut distinct = [false; 256];
    let mut numbers = 0;
    for number in text.get(run.clone()).unwrap_or("").split(',') {
        let Ok(number) = number.trim().parse::<u8>() else { return false };
        numbers += 1;
        if let Some(seen) = distinct.get_mut(usize::from(number)) {
            *seen = true;
        }
    }
    let around = crate::view::whole_characters(text, run.start.saturating_sub(REACH)..run.end + REACH);
    let near = text.get(around).unwrap_or("").to_ascii_lowercase();
    numbers == PAIR_NUMBERS
        && distinct.iter().filter(|seen| **seen).count() > PAIR_NUMBERS / 2
        && ["keypair", "key pair", "secret", "private", "solana", "wallet", "id.json"]
            .iter()
            .any(|w| near.contains(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_alone_is_found_by_its_sum_wherever_it_stands() {
        let known = ["KyAYXowPMMFJPQZPcXddi1k4GWm", "u23Lm4cioeSEBBg2nGUr3Ftpd"].concat();
        for lead in 0..130 {
            let text = format!("{} {known} end", "x".repeat(lead % 40) + &" ".repeat(lead / 40));
            let at = text.find(&known).expect("it is in there");
            assert_eq!(look(&text), [("wallet-import-key", at..at + known.len())], "{lead}");
            assert!(look(&text.replace("PMMF", "PMNF")).is_empty());
        }
        assert!(look(&format!("{known}{known}")).is_empty());
        // The key one, which everybody knows.
        assert!(look(&["KwDiBf89QgGbjEhKnhXJuH7L", "rciVrZi3qYjgd9M7rFU73sVHnoWn"].concat()).is_empty());
    }

    #[test]
    fn a_key_pair_is_a_list_of_bytes_beside_its_name() {
        let list: Vec<String> = (0..64u32).map(|i| (i * 37 % 251).to_string()).collect();
        let list = format!("[{}]", list.join(", "));
        assert_eq!(look(&format!("the keypair of my agent: {list}")).len(), 1);
        assert!(look(&format!("the pixels: {list}")).is_empty());
        assert!(look(&format!("secret: {}", list.replace("37", "370"))).is_empty());
        assert!(look(&format!("secret: {}", list.replace(", 37", ""))).is_empty());
    }
}
