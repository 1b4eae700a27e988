//! Judges the detectors by labelled texts: how many attacks are noticed, how many ordinary posts are held.
//!
//! `cargo run --release --example evaluate -- --corpora DIR [--corpora DIR] [--sample N --seed S] [--gate] [--misses SET]`

#![expect(clippy::print_stdout, reason = "the report goes to standard output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clawexchange_detectors::Detectors;
use clawexchange_ssg_core::{
    ContentEnvelope, Inspector, InspectorConfig, PluginRegistry, RiskTier, TierThresholds, Verdict,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    text: String,
    /// In place of `text`: joined, so that no whole token stands in the file.
    #[serde(default)]
    parts: Vec<String>,
    label: u8,
    #[serde(default)]
    cat: Option<String>,
}

/// What must hold, by set: the least share of attacks noticed, the most of ordinary texts held.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Floor {
    noticed_min: Option<f64>,
    held_max: Option<f64>,
}

#[derive(Default)]
struct Tally {
    lines: u32,
    noticed: u32,
    held: u32,
    blocked: u32,
    rules: BTreeMap<String, (u32, u32)>,
}

#[derive(Default)]
struct Arguments {
    corpora: Vec<PathBuf>,
    sample: Option<usize>,
    seed: u64,
    gate: bool,
    misses: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../eval");
    let floors: BTreeMap<String, Floor> = toml::from_str(&fs::read_to_string(own.join("floors.toml"))?)?;
    let detectors = Detectors::default();
    let mut config = InspectorConfig::default();
    config.policy = detectors.policy();
    let inspector = Inspector::new(detectors.register(PluginRegistry::new())?, config);
    let mut sums: BTreeMap<u8, Tally> = BTreeMap::new();
    let mut breaches = Vec::new();
    println!(
        "{:<36} {:>5} {:>6} {:>8} {:>8} {:>8}  share, 95 % interval",
        "set", "label", "lines", "noticed", "held", "blocked"
    );
    for folder in std::iter::once(&own).chain(&arguments.corpora) {
        for path in sets(folder)? {
            let name = name_of(&path);
            let lines = sampled(read(&path)?, &arguments);
            for label in [1, 0] {
                let tally =
                    judge(&inspector, &name, lines.iter().filter(|l| l.label == label), label, &arguments)
                        .await?;
                if tally.lines == 0 {
                    continue;
                }
                print(&name, label, &tally);
                breaches.extend(breach(&name, label, &tally, &floors));
                sums.entry(label).or_default().add(&tally);
            }
        }
    }
    for (label, tally) in &sums {
        print("all", *label, tally);
    }
    for breach in &breaches {
        println!("{breach}");
    }
    if arguments.gate && !breaches.is_empty() {
        return Err("a floor of eval/floors.toml is not kept".into());
    }
    Ok(())
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut found = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--corpora" => found.corpora.push(value()?.into()),
            "--sample" => found.sample = Some(value()?.parse()?),
            "--seed" => found.seed = value()?.parse()?,
            "--misses" => found.misses = Some(value()?),
            "--gate" => found.gate = true,
            _ => return Err(format!("{word} is not known").into()),
        }
    }
    Ok(found)
}

fn sets(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.to_string_lossy();
        if name.ends_with(".jsonl") || name.ends_with(".jsonl.gz") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".gz").trim_end_matches(".jsonl").to_owned()
}

fn read(path: &Path) -> Result<Vec<Line>, Box<dyn Error>> {
    let file = File::open(path)?;
    let reader: Box<dyn Read> = match path.extension() {
        Some(e) if e == "gz" => Box::new(flate2::read::GzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut lines = Vec::new();
    for line in BufReader::new(reader).lines() {
        let mut line: Line = serde_json::from_str(&line?)?;
        line.text.extend(std::mem::take(&mut line.parts));
        lines.push(line);
    }
    Ok(lines)
}

/// The same lines for the same seed: those whose place, mixed with the seed, comes first.
fn sampled(lines: Vec<Line>, arguments: &Arguments) -> Vec<Line> {
    let Some(wanted) = arguments.sample else { return lines };
    let mix = |at: usize| {
        (at as u64 ^ arguments.seed)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    let mut numbered: Vec<_> = lines.into_iter().enumerate().collect();
    numbered.sort_by_key(|(at, _)| mix(*at));
    numbered.into_iter().take(wanted).map(|(_, line)| line).collect()
}

async fn judge(
    inspector: &Inspector,
    name: &str,
    lines: impl Iterator<Item = &Line>,
    label: u8,
    arguments: &Arguments,
) -> Result<Tally, Box<dyn Error>> {
    let thresholds = TierThresholds::default();
    let mut tally = Tally::default();
    for line in lines.filter(|l| !l.text.is_empty() && !l.text.contains('\0')) {
        let Ok(content) = ContentEnvelope::post(&line.text) else { continue };
        let found = inspector.inspect(&content).await;
        let tier = thresholds.tier(found.score());
        let held = found.verdict() >= Verdict::Quarantine;
        tally.lines += 1;
        tally.noticed += u32::from(tier >= RiskTier::Moderate);
        tally.held += u32::from(held);
        tally.blocked += u32::from(found.verdict() == Verdict::Block);
        for rule in found.rules() {
            let counts = tally.rules.entry(rule.pattern_id.clone()).or_default();
            counts.0 += 1;
            counts.1 += u32::from(held);
        }
        let wrong = if label == 1 { tier < RiskTier::Moderate } else { held };
        if wrong && arguments.misses.as_deref() == Some(name) {
            let start: String = line.text.chars().take(400).collect();
            let rules: Vec<_> = found
                .rules()
                .iter()
                .map(|r| {
                    (
                        &r.pattern_id,
                        r.delta,
                        r.places.first().map(|p| {
                            line.text.get(p.start..p.end).unwrap_or("").chars().take(160).collect::<String>()
                        }),
                    )
                })
                .collect();
            println!("  {label} {:?} {start:?} {rules:?}", line.cat);
        }
    }
    Ok(tally)
}

fn print(name: &str, label: u8, t: &Tally) {
    let hits = if label == 1 { t.noticed } else { t.held };
    let (low, high) = wilson(hits, t.lines);
    let what = if label == 1 { "recall" } else { "false alarms" };
    println!(
        "{name:<36} {label:>5} {:>6} {:>8} {:>8} {:>8}  {:5.1} % {what} ({:.1}–{:.1})",
        t.lines,
        t.noticed,
        t.held,
        t.blocked,
        percent(hits, t.lines),
        low * 100.0,
        high * 100.0
    );
    if label == 0 {
        let mut rules: Vec<_> = t.rules.iter().collect();
        rules.sort_by_key(|(_, (found, held))| std::cmp::Reverse((*held, *found)));
        let top: Vec<_> =
            rules.iter().take(12).map(|(id, (found, held))| format!("{id} {found}/{held}")).collect();
        println!("    {}", top.join(", "));
    }
}

fn breach(name: &str, label: u8, t: &Tally, floors: &BTreeMap<String, Floor>) -> Option<String> {
    let floor = floors.get(name)?;
    let (what, found, bound, broken) = if label == 1 {
        let (found, bound) = (percent(t.noticed, t.lines), floor.noticed_min?);
        ("noticed", found, bound, found < bound)
    } else {
        let (found, bound) = (percent(t.held, t.lines), floor.held_max?);
        ("held", found, bound, found > bound)
    };
    broken.then(|| format!("BREACH {name}: {what} {found:.1} %, floor {bound} %"))
}

fn percent(part: u32, whole: u32) -> f64 {
    100.0 * f64::from(part) / f64::from(whole.max(1))
}

/// Wilson's interval for a share.
fn wilson(part: u32, whole: u32) -> (f64, f64) {
    const Z: f64 = 1.96;
    let n = f64::from(whole.max(1));
    let p = f64::from(part) / n;
    let middle = p + Z * Z / (2.0 * n);
    let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((middle - reach) / scale).max(0.0), ((middle + reach) / scale).min(1.0))
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.noticed += other.noticed;
        self.held += other.held;
        self.blocked += other.blocked;
        for (id, (found, held)) in &other.rules {
            let counts = self.rules.entry(id.clone()).or_default();
            counts.0 += found;
            counts.1 += held;
        }
    }
}
