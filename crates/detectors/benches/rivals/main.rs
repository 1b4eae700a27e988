//! How fast texts are scanned, beside three other ways to run the same rules: a loop over all expressions, one set of
//! all expressions, and keywords first, then expressions over the whole text.
//!
//! One core, CPU time of the thread. Only ratios of one run mean something: machines differ, and so do their days.
//!
//! `cargo xtask bench rivals`, with `-- credentials` or `-- pipeline` for one stage and `-- --alone` without the others; `CLAW_CORPORA=DIR` takes ordinary texts from the `market_*.jsonl.gz` of a folder.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measurement prints, and ends where it cannot"
)]

mod rivals;
mod texts;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use clawexchange_detectors::Detectors;
use clawexchange_ssg_core::{Category, RuleMode};
use rustix::time::{ClockId, clock_gettime};

use crate::rivals::{Rivals, Rule};

/// Bytes of a text, and how many texts of this size are taken.
const SIZES: [(usize, usize); 4] = [(280, 4000), (4 << 10, 1000), (64 << 10, 60), (1 << 20, 4)];

/// A way to look at a text: how many findings there are.
type Way<'w> = (&'static str, Box<dyn Fn(&str) -> usize + 'w>);

fn main() {
    // As a test, it only has to run.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let whole = words.iter().any(|word| word == "--bench");
    let asked = |name: &str| words.iter().all(|word| word.starts_with("--") || name.contains(word.as_str()));
    let sizes = if whole { &SIZES[..] } else { &SIZES[..1] };
    let share = if whole { 1 } else { 100 };
    ready();
    let all = rivals::read();
    let credentials: Vec<Rule> =
        all.iter().filter(|rule| rule.category == "credentials" && !rule.is_folded).cloned().collect();
    let shipped = Detectors::default();
    let modes = shipped.rules().map(|rule| {
        let of_stage = rule.category == Category::Credentials;
        (rule.id.to_owned(), if of_stage { RuleMode::Enforce } else { RuleMode::Off })
    });
    let stage = Detectors::new(&modes.collect::<BTreeMap<_, _>>()).expect("rules can be switched off");
    let pipeline = Detectors::new(&BTreeMap::new()).expect("the rules can be read");
    let of_stage = Rivals::new(&credentials);
    let of_all = Rivals::new(&all);
    println!("\n{} rules, {} of credentials", all.len(), credentials.len());
    for (name, ours, rivals) in [
        (
            "credentials",
            Box::new(|text: &str| stage.matches_as_sent(text)) as Box<dyn Fn(&str) -> usize>,
            &of_stage,
        ),
        ("whole pipeline", Box::new(|text: &str| pipeline.scan(text).len()), &of_all),
    ] {
        if !asked(name) {
            continue;
        }
        let mut ways: Vec<Way<'_>> = vec![
            ("ours", ours),
            ("keywords, then expressions", Box::new(|text| rivals.by_keywords(text))),
            ("loop over expressions", Box::new(|text| rivals.by_loop(text))),
        ];
        if rivals.has_set() {
            ways.push(("set of expressions", Box::new(|text| rivals.by_set(text))));
        } else {
            println!("a set of all expressions takes more than 64 MiB, so there is none");
        }
        // For a profile: nobody else in it.
        let ways = if words.iter().any(|word| word == "--alone") { &ways[..1] } else { &ways[..] };
        table(name, ways, sizes, share);
    }
}

/// Prints how long it takes until the first text can be scanned, and what it takes to have scanned some.
fn ready() {
    let texts = texts::ordinary(4 << 10, 400);
    let before = resident();
    let kept = Detectors::new(&BTreeMap::new()).expect("the rules can be read");
    let loaded = resident();
    for text in &texts {
        black_box(kept.scan(text));
    }
    let used = resident();
    let again = || {
        let start = cpu();
        black_box(Detectors::new(&BTreeMap::new()).expect("the rules can be read"));
        cpu() - start
    };
    let mut took: Vec<u64> = (0..11).map(|_| again()).collect();
    took.sort_unstable();
    println!("ready in {:.1} ms (median of 11)", millis(took[took.len() / 2]));
    println!(
        "memory: {:.1} MiB for the rules, {:.1} MiB more after {} texts of 4 KiB",
        f64::from(loaded.saturating_sub(before)) / 1024.0,
        f64::from(used.saturating_sub(loaded)) / 1024.0,
        texts.len()
    );
}

/// KiB of this process in memory; none where the system does not say.
fn resident() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|kib| kib.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn millis(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3
}

fn cpu() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Nanoseconds of each text.
#[derive(Default)]
struct Times {
    each: Vec<u64>,
    bytes: usize,
}

impl Times {
    fn of(way: &dyn Fn(&str) -> usize, texts: &[String], most: u64) -> Self {
        let mut times = Self::default();
        let started = cpu();
        for text in texts {
            let start = cpu();
            black_box(way(black_box(text)));
            let end = cpu();
            times.each.push(end - start);
            times.bytes += text.len();
            if end - started > most {
                break;
            }
        }
        times.each.sort_unstable();
        times
    }

    /// MB/s.
    fn speed(&self) -> f64 {
        let bytes = f64::from(u32::try_from(self.bytes).unwrap_or(u32::MAX));
        bytes / (millis(self.each.iter().sum::<u64>().max(1)) * 1e3)
    }

    /// Microseconds of the text that so many in a thousand do not take longer than.
    fn permille(&self, share: usize) -> f64 {
        let at = self.each.len() * share / 1000;
        millis(self.each.get(at.min(self.each.len() - 1)).copied().unwrap_or(0)) * 1e3
    }
}

fn table(stage: &str, ways: &[Way<'_>], sizes: &[(usize, usize)], share: usize) {
    println!("\n{stage}");
    println!(
        "{:<24} {:>8}  {:<27} {:>9} {:>7} {:>10} {:>10} {:>10}",
        "texts", "bytes", "way", "MB/s", "ratio", "p50 µs", "p99 µs", "p99.9 µs"
    );
    for &(bytes, count) in sizes {
        let count = (count / share).max(2);
        let ordinary = texts::ordinary(bytes, count);
        let usual = rows("ordinary", bytes, ways, &ordinary);
        rows("dense", bytes, ways, &texts::dense(bytes, count.div_ceil(4)));
        let mut worst = (f64::INFINITY, String::new());
        for (name, text) in texts::hostile(bytes) {
            let way = &ways[0].1;
            Times::of(way, std::slice::from_ref(&text), u64::MAX);
            let speed = Times::of(way, &vec![text; (count / 100).max(2)], 500_000_000).speed();
            if speed < worst.0 {
                worst = (speed, name);
            }
        }
        let hostile: Vec<String> = texts::hostile(bytes).into_iter().map(|(_, text)| text).collect();
        rows("hostile, all kinds", bytes, ways, &hostile);
        println!(
            "{:<24} {bytes:>8}  {:<27} {:>9.1}         1/{:.1} of ordinary: {}",
            "hostile, the worst",
            "ours",
            worst.0,
            usual / worst.0,
            worst.1
        );
    }
}

/// One line a way, the slow ones on as many texts as a second allows. Returns our MB/s.
fn rows(kind: &str, bytes: usize, ways: &[Way<'_>], texts: &[String]) -> f64 {
    const SECOND: u64 = 1_000_000_000;
    let mut usual = 0.0;
    for (at, (name, way)) in ways.iter().enumerate() {
        // Once before, so that expressions are made and states are known.
        Times::of(way, texts, if at < 2 { 3 * SECOND } else { SECOND / 4 });
        let times = Times::of(way, texts, if at < 2 { 8 * SECOND } else { SECOND });
        if at == 0 {
            usual = times.speed();
        }
        println!(
            "{kind:<24} {bytes:>8}  {name:<27} {:>9.1} {:>7.2} {:>10.1} {:>10.1} {:>10.1}",
            times.speed(),
            usual / times.speed(),
            times.permille(500),
            times.permille(990),
            times.permille(999)
        );
    }
    usual
}
