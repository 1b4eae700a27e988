//! Other spellings: turned around, rotated by thirteen, digits for letters, letters apart, invisible letters.
//!
//! Only phrases are looked for in them.

use super::Decoded;
use crate::view::Map;

pub(crate) fn unwrap(text: &str, out: &mut Vec<Decoded>) {
    if contains_any(text, &ROTATED) {
        let turned = text.bytes().map(|b| char::from(rot13(b))).collect::<String>();
        if text.is_ascii() {
            out.push(Decoded { name: "rot13", text: turned, map: Map::Shifted(0) });
        }
    }
    if text.is_ascii() && contains_any(text, &REVERSED) {
        let turned: String = text.chars().rev().collect();
        out.push(Decoded { name: "reversed", text: turned, map: Map::Reversed(text.len()) });
    }
    leet(text, out);
    spaced(text, out);
}

/// Words of attacks as they look rotated.
const ROTATED: [&str; 7] =
    ["vtaber", "vafgehpgvba", "qvfertneq", "cerivbhf", "flfgrz cebzcg", "birecebzcg", "cnffjbeq"];
/// And turned around.
const REVERSED: [&str; 6] = ["erongi", "snoitcurtsni", "drageris", "suoiverp", "tpmorp metsys", "drowssap"];

fn contains_any(text: &str, words: &[&str]) -> bool {
    let bytes = text.as_bytes();
    words.iter().any(|word| {
        // The first letter in either case, then the rest without regard to it.
        let Some(&first) = word.as_bytes().first() else { return false };
        memchr::memchr2_iter(first, first.to_ascii_uppercase(), bytes).any(|at| {
            bytes.get(at..at + word.len()).is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
        })
    })
}

const fn rot13(b: u8) -> u8 {
    match b {
        b'a'..=b'm' | b'A'..=b'M' => b + 13,
        b'n'..=b'z' | b'N'..=b'Z' => b - 13,
        _ => b,
    }
}

/// Digits for letters: only words that have both, and only where there are several such words.
fn leet(text: &str, out: &mut Vec<Decoded>) {
    const WORDS_MIN: usize = 3;
    if !text.is_ascii() {
        return;
    }
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'$');
    let mut plain = text.as_bytes().to_vec();
    let mut words = 0;
    for word in plain.split_mut(|b| !is_part(b)) {
        let letters = word.iter().filter(|b| b.is_ascii_alphabetic()).count();
        let signs = word
            .iter()
            .filter(|b| matches!(b, b'0' | b'1' | b'3' | b'4' | b'5' | b'7' | b'@' | b'$'))
            .count();
        if letters == 0 || signs == 0 || letters + signs < word.len() || word.len() > 20 {
            continue;
        }
        words += usize::from(word.len() > 2);
        for b in word {
            *b = match *b {
                b'0' => b'o',
                b'1' => b'i',
                b'3' => b'e',
                b'4' | b'@' => b'a',
                b'5' | b'$' => b's',
                b'7' => b't',
                other => other,
            };
        }
    }
    if words >= WORDS_MIN
        && let Ok(text) = String::from_utf8(plain)
    {
        out.push(Decoded { name: "leet", text, map: Map::Shifted(0) });
    }
}

/// `i g n o r e`, `i-g-n-o-r-e`: at least eight letters, each by itself.
fn spaced(text: &str, out: &mut Vec<Decoded>) {
    const LETTERS_MIN: usize = 8;
    let bytes = text.as_bytes();
    let letter = |at: usize| bytes.get(at).filter(|b| b.is_ascii_alphanumeric());
    let gap = |at: usize| {
        bytes.get(at).is_some_and(|b| matches!(b, b' ' | b'-' | b'.' | b'_' | b'|' | b'/' | b'\n'))
    };
    let mut at = 0;
    while at < bytes.len() {
        let fresh = at == 0 || letter(at - 1).is_none();
        let (start, mut letters, mut end) = (at, String::new(), at);
        while fresh && let Some(b) = letter(at) {
            if letter(at + 1).is_some() {
                break;
            }
            letters.push(char::from(b.to_ascii_lowercase()));
            end = at + 1;
            let mut next = at + 1;
            while next < at + 5 && gap(next) {
                next += 1;
            }
            if next == at + 1 || letter(next).is_none() {
                at = next;
                break;
            }
            if next > at + 2 {
                letters.push(' ');
            }
            at = next;
        }
        if letters.len() >= LETTERS_MIN {
            out.push(Decoded { name: "spaced", text: parted(&letters), map: Map::Whole(start..end) });
        }
        while letter(at).is_some() {
            at += 1;
        }
        while at < bytes.len() && letter(at).is_none() {
            at += 1;
        }
    }
}

/// Words of attacks, longest first where one begins another.
const VOCABULARY: [&str; 64] = [
    "instructions",
    "instruction",
    "restrictions",
    "credentials",
    "everything",
    "developer",
    "disregard",
    "guidelines",
    "guideline",
    "passwords",
    "password",
    "previous",
    "override",
    "anything",
    "verbatim",
    "private",
    "prompts",
    "command",
    "message",
    "secrets",
    "bypass",
    "secret",
    "system",
    "prompt",
    "ignore",
    "reveal",
    "forget",
    "before",
    "wallet",
    "tokens",
    "without",
    "output",
    "repeat",
    "delete",
    "phrase",
    "rules",
    "rule",
    "prior",
    "token",
    "above",
    "print",
    "other",
    "enable",
    "these",
    "those",
    "send",
    "show",
    "mode",
    "keys",
    "your",
    "this",
    "that",
    "with",
    "from",
    "seed",
    "all",
    "any",
    "key",
    "and",
    "now",
    "the",
    "you",
    "are",
    "me",
];

/// Letters without spaces, parted at known words.
fn parted(letters: &str) -> String {
    let mut out = String::with_capacity(letters.len() * 2);
    let mut rest = letters;
    while let Some(c) = rest.chars().next() {
        match VOCABULARY.iter().find(|word| rest.starts_with(**word)) {
            Some(word) => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
                out.push_str(word);
                out.push(' ');
                rest = rest.get(word.len()..).unwrap_or("");
            }
            None => {
                if !(c == ' ' && out.ends_with(' ')) {
                    out.push(c);
                }
                rest = rest.get(c.len_utf8()..).unwrap_or("");
            }
        }
    }
    out
}

/// Letters that are not shown: tags, and bytes written as variation selectors.
pub(crate) fn hidden(text: &str, out: &mut Vec<Decoded>) {
    type Read = fn(char) -> Option<u8>;
    let kinds: [(&'static str, Read); 2] = [("tags", tag), ("variation-selectors", selector)];
    for (name, read) in kinds {
        let mut run: Vec<u8> = Vec::new();
        let mut start = 0;
        for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
            match read(c) {
                Some(b) => {
                    if run.is_empty() {
                        start = at;
                    }
                    run.push(b);
                }
                None if run.is_empty() => {}
                None => {
                    let bytes = std::mem::take(&mut run);
                    if let Some(text) = super::readable(bytes) {
                        out.push(Decoded { name, text, map: Map::Whole(start..at) });
                    }
                }
            }
        }
    }
}

fn tag(c: char) -> Option<u8> {
    u32::from(c).checked_sub(0xe_0000).filter(|b| (0x20..0x7f).contains(b)).and_then(|b| u8::try_from(b).ok())
}

fn selector(c: char) -> Option<u8> {
    let byte = match c {
        '\u{fe00}'..='\u{fe0f}' => u32::from(c) - 0xfe00,
        '\u{e0100}'..='\u{e01ef}' => u32::from(c) - 0xe_0100 + 16,
        _ => return None,
    };
    u8::try_from(byte).ok()
}
