//! Makes `packs/rarity.bin`: what each letter costs after the two before it, learned from the words of ordinary texts.
//!
//! `cargo run --release --example rarity -- OUT SET.jsonl.gz [SET.jsonl.gz …]`

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};

/// The letters and the border of a word.
const LETTERS: usize = 27;
const BORDER: usize = 26;
/// A word that stands less often may be no word.
const TIMES_MIN: u32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().ok_or("where should it go?")?;
    let mut words = BTreeMap::new();
    for path in arguments {
        for line in BufReader::new(flate2::read::GzDecoder::new(File::open(path)?)).lines() {
            let line: serde_json::Value = serde_json::from_str(&line?)?;
            count(line.get("text").and_then(|t| t.as_str()).unwrap_or(""), &mut words);
        }
    }
    words.retain(|_, times| *times >= TIMES_MIN);
    fs::write(out, costs(&words))?;
    Ok(())
}

/// Words of letters, split where small letters end and large ones begin.
fn count(text: &str, words: &mut BTreeMap<String, u32>) {
    for run in text.split(|c: char| !c.is_ascii_alphabetic()) {
        let mut word = String::new();
        let mut last_is_small = false;
        for c in run.chars().chain(std::iter::once('A')) {
            if c.is_ascii_uppercase() && last_is_small || word.len() > 20 {
                if (2..=20).contains(&word.len()) {
                    *words.entry(word.to_ascii_lowercase()).or_default() += 1;
                }
                word.clear();
            }
            last_is_small = c.is_ascii_lowercase();
            word.push(c);
        }
    }
}

/// Trigrams, smoothed by bigrams and these by letters. Each word counts by the logarithm of how often it stands there,
/// so that no text of one author outweighs the language.
fn costs(words: &BTreeMap<String, u32>) -> Vec<u8> {
    let mut three = vec![0.0f64; LETTERS * LETTERS * LETTERS];
    for (word, times) in words {
        let (mut first, mut second) = (BORDER, BORDER);
        let letters = word.bytes().map(|b| usize::from(b.to_ascii_lowercase() - b'a'));
        for third in letters.chain(std::iter::once(BORDER)) {
            if let Some(cell) = three.get_mut((first * LETTERS + second) * LETTERS + third) {
                *cell += f64::from(1 + times).ln();
            }
            (first, second) = (second, third);
        }
    }
    let at = |first: usize, second: usize, third: usize| {
        three.get((first * LETTERS + second) * LETTERS + third).copied().unwrap_or(0.0)
    };
    let two = |second: usize, third: usize| (0..LETTERS).map(|first| at(first, second, third)).sum::<f64>();
    let one: Vec<f64> =
        (0..LETTERS).map(|third| (0..LETTERS).map(|second| two(second, third)).sum()).collect();
    let all: f64 = one.iter().sum();
    let mut costs = Vec::with_capacity(three.len());
    for first in 0..LETTERS {
        for second in 0..LETTERS {
            let after_two: f64 = (0..LETTERS).map(|third| at(first, second, third)).sum();
            let after_one: f64 = (0..LETTERS).map(|third| two(second, third)).sum();
            for (third, often) in one.iter().enumerate() {
                let alone = (often + 1.0) / (all + 27.0);
                let behind_one = (two(second, third) + 5.0 * alone) / (after_one + 5.0);
                let behind_two = (at(first, second, third) + 3.0 * behind_one) / (after_two + 3.0);
                let bits = -behind_two.log2() * 16.0;
                costs.push((0..u8::MAX).find(|cost| f64::from(*cost) + 0.5 > bits).unwrap_or(u8::MAX));
            }
        }
    }
    costs
}
