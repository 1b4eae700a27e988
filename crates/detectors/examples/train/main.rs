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
    if found.corpora.as_os_str().is_empty() {
        Err("--corpora DIR is missing".into())
    } else {
        Ok(Some(found))
    }
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
    print!("{}", figures::table(&inputs, &judged, thresholds));
    let table = figures::table_of_model(&inputs, &judged, thresholds);
    for set in &arguments.misses {
        print!("{}", figures::worst(&inputs, &judged, set));
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
        eprintln!(
            "{} {}",
            path.display(),
            if arguments.check { "is what its inputs make" } else { "written" }
        );
    }
    Ok(())
}
