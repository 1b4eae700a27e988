//! Says how often different texts look the same, and texts that were changed a little do not.
//!
//! `cargo run --release --example sketches -- SET.jsonl.gz [SET.jsonl.gz …]`
//!
//! Two texts are like each other if they share three in ten of their sequences of three words, and unlike if not. What a
//! campaign takes for the same is what a store would find: near, and with a place in common.
#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::collections::HashSet;
use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::time::Instant;

use clawexchange_detectors::Sketcher;
use clawexchange_ssg_core::Sketch;

/// How often a text is sketched to be timed.
const RUNS: u32 = 200;

/// Texts are compared whole, and so many characters of each, as a short post has them.
const CUTS: [usize; 3] = [usize::MAX, 280, 120];

fn main() -> Result<(), Box<dyn Error>> {
    let mut texts = Vec::new();
    for path in std::env::args().skip(1) {
        for line in BufReader::new(flate2::read::GzDecoder::new(File::open(path)?)).lines() {
            let line: serde_json::Value = serde_json::from_str(&line?)?;
            texts.extend(line.get("text").and_then(|t| t.as_str()).map(ToOwned::to_owned));
        }
    }
    println!(
        "| characters | texts | pairs | unlike, share a place | of these taken for the same | like, taken for the same | one word in twenty changed: found | both changed: found | signed by each agent: found |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for cut in CUTS {
        let some: Vec<String> = texts.iter().filter_map(|text| cut_to(text, cut)).collect();
        measure(cut, &some);
    }
    println!("\n| bytes | a sketch takes |\n| --- | --- |");
    for bytes in [280, 4 << 10, 64 << 10] {
        println!("| {bytes} | {:.1} µs |", cost_us(&texts, bytes));
    }
    Ok(())
}

/// What a sketch of so many bytes of text takes, of several runs the fastest.
fn cost_us(texts: &[String], bytes: usize) -> f64 {
    let (sketcher, all) = (Sketcher::new(&[7; 32]), texts.concat());
    let text: String = all.chars().filter(char::is_ascii).cycle().take(bytes).collect();
    let run = |_| {
        let started = Instant::now();
        let found = (0..RUNS).filter(|_| sketcher.sketch_text(black_box(&text)).is_some()).count();
        black_box(found);
        started.elapsed().as_secs_f64() * 1e6 / f64::from(RUNS)
    };
    (0..10).map(run).fold(f64::INFINITY, f64::min)
}

/// So many characters out of the middle; the beginnings of many posts are alike.
fn cut_to(text: &str, cut: usize) -> Option<String> {
    let count = text.chars().count();
    let from = if cut < count / 3 { count / 3 } else { 0 };
    let some: String = text.chars().skip(from).take(cut).collect();
    (words(&some).len() >= 10).then_some(some)
}

fn measure(cut: usize, texts: &[String]) {
    let sketcher = Sketcher::new(&[7; 32]);
    let known: Vec<(Sketch, HashSet<String>)> =
        texts.iter().filter_map(|text| Some((sketcher.sketch_text(text)?, shingles(&words(text))))).collect();
    let (mut pairs, mut beside, mut unlike, mut like) = (0_u64, 0_u64, 0_u64, 0_u64);
    for (i, (one, ones)) in known.iter().enumerate() {
        for (other, others) in known.iter().take(i) {
            pairs += 1;
            if !share_a_place(one, other) {
                continue;
            }
            let shared = ones.intersection(others).count();
            let is_like = 10 * shared >= 3 * (ones.len() + others.len() - shared).max(1);
            let is_near = one.is_near(other.bits());
            beside += u64::from(!is_like);
            unlike += u64::from(!is_like && is_near);
            like += u64::from(is_like && is_near);
        }
    }
    let mut chance = Chance(7);
    let vocabulary: Vec<&str> = texts.iter().flat_map(|text| words(text)).collect();
    let (mut tried, mut found) = (0_u32, [0_u32; 3]);
    for text in texts {
        let words = words(text);
        let (one, other) = (chance.changed(&words, &vocabulary), chance.changed(&words, &vocabulary));
        let signed = |n: u64| format!("{text} -- posted by agent x{n}q");
        let (here, there) = (signed(chance.below(9)), signed(chance.below(9)));
        let sketches = [&words.join(" "), &one, &other, &here, &there].map(|text| sketcher.sketch_text(text));
        let [Some(plain), Some(one), Some(other), Some(here), Some(there)] = sketches else { continue };
        tried += 1;
        found[0] += u32::from(is_found(&plain, &one));
        found[1] += u32::from(is_found(&one, &other));
        found[2] += u32::from(is_found(&here, &there) && is_found(&plain, &here));
    }
    let percent = |n: u32| format!("{:.1} %", 100.0 * f64::from(n) / f64::from(tried.max(1)));
    let cut = if cut == usize::MAX { "all".to_owned() } else { cut.to_string() };
    let [changed, both, signed] = found.map(percent);
    println!(
        "| {cut} | {} | {pairs} | {beside} | {unlike} | {like} | {changed} | {both} | {signed} |",
        known.len()
    );
}

fn is_found(one: &Sketch, other: &Sketch) -> bool {
    one.is_near(other.bits()) && share_a_place(one, other)
}

fn share_a_place(one: &Sketch, other: &Sketch) -> bool {
    one.places().iter().zip(other.places()).any(|(a, b)| a == b)
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

fn shingles(words: &[&str]) -> HashSet<String> {
    words.windows(3).map(|three| three.join(" ").to_lowercase()).collect()
}

/// The same numbers each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most.max(1)
    }

    /// The text with one word of each twenty replaced by any other.
    fn changed(&mut self, words: &[&str], vocabulary: &[&str]) -> String {
        let mut changed = words.to_vec();
        for twenty in changed.chunks_mut(20) {
            let (at, by) = (self.below(twenty.len() as u64), self.below(vocabulary.len() as u64));
            let by = usize::try_from(by).ok().and_then(|by| vocabulary.get(by));
            let at = usize::try_from(at).ok().and_then(|at| twenty.get_mut(at));
            if let (Some(word), Some(by)) = (at, by) {
                *word = by;
            }
        }
        changed.join(" ")
    }
}
