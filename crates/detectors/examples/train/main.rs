//! Trains the linear model beside the rules; `--help` says how.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures go to standard output, talk beside it"
)]

mod figures;
mod inputs;
mod learner;
mod manifest;
mod phrases;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use crate::inputs::{Inputs, Text};
use crate::learner::{Settings, learn};

const HELP: &str = "\
Trains the linear model of the detectors and writes packs/model.bin and packs/model.txt.

The texts are cut into four parts. Each part is judged by a model that was trained on the other three: this gives
the figures, and the thresholds. Then the model that ships is trained on all. The same inputs make the same bytes.

Usage: train --corpora DIR [OPTIONS]

Options:
  --corpora DIR   other people's texts, by the names of ../shared/corpora
  --check         writes nothing: says whether the files are what the inputs make, and fails if not
  --misses SET    lists the texts of a set that are judged worst, by a model that has not seen them
";

#[derive(Default)]
struct Arguments {
    corpora: PathBuf,
    check: bool,
    misses: Vec<String>,
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, Box<dyn Error>> {
    let mut found = Arguments::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--corpora" => found.corpora = value()?.into(),
            "--check" => found.check = true,
            "--misses" => found.misses.push(value()?),
            _ => return Err(format!("{word} is not known; --help lists what is").into()),
        }
    }
    if found.corpora.as_os_str().is_empty() { Err("--corpora DIR is missing".into()) } else { Ok(Some(found)) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(arguments) = arguments(std::env::args().skip(1))? else {
        print!("{HELP}");
        return Ok(());
    };
    let settings = Settings::default();
    let inputs = Inputs::read(&arguments.corpora, settings.buckets)?;
    eprintln!("{} texts read", inputs.texts.len());
    let judged = figures::held_out(&inputs, &settings)?;
    let thresholds = figures::thresholds(&inputs, &judged);
    let table = figures::table(&inputs, &judged, thresholds);
    print!("{table}");
    for set in &arguments.misses {
        print!("{}", figures::worst(&inputs, &judged, set));
    }
    if std::env::var("DRY").is_ok() {
        let of = |set: &str, attack: bool| { let mut v: Vec<i32> = judged.iter().filter(|j| { let t = &inputs.texts[j.text]; t.is_attack == attack && inputs::SOURCES[t.source].name.contains(set) }).map(|j| j.score.unwrap_or(i32::MIN)).collect(); v.sort_by(|a, b| b.cmp(a)); v };
        let market = of("market", false);
        print!("METRIC thr {thresholds:?} ");
        for (set, attack) in [("attacks-en", true), ("attacks-lang", true), ("pack:", true), ("own.jsonl", true), ("own.jsonl", false), ("wild", true), ("bastion", true), ("promptsch", false), ("ordinary-en", false), ("ordinary-l", false)] {
            let v = of(set, attack);
            print!(" {set}:");
            for cut in [2, 6, 12, 25] { print!("{:.0}/", 100.0 * v.iter().filter(|s| **s > market[cut].max(-100000)).count() as f64 / v.len() as f64); }
        }
        println!();
        return Ok(());
    }
    let all: Vec<&Text> = inputs.texts.iter().filter(|text| text.is_learned).collect();
    let learned = learn(&all, &settings);
    let model = figures::file(&learned, &inputs, thresholds);
    let manifest = manifest::of(&inputs, &learned, &settings, thresholds, &table, &model);
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs");
    for (name, made) in [("model.bin", model), ("model.txt", manifest.into_bytes())] {
        let path = packs.join(name);
        if arguments.check {
            if fs::read(&path)? != made {
                return Err(format!("{} is not what its inputs make", path.display()).into());
            }
        } else {
            fs::write(&path, made)?;
        }
        eprintln!("{} {}", path.display(), if arguments.check { "is what its inputs make" } else { "written" });
    }
    Ok(())
}
