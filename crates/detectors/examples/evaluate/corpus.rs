//! Labelled texts, read from files.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::arguments::Arguments;

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

/// One text, and what is known of it.
#[derive(Clone)]
#[expect(clippy::struct_field_names, reason = "a text with its label is more than the text")]
pub(crate) struct Text {
    pub(crate) set: String,
    /// Its line in the file, from 1 on.
    pub(crate) line: usize,
    pub(crate) text: String,
    /// 1: should be noticed. 0: ordinary.
    pub(crate) label: u8,
    pub(crate) cat: String,
    pub(crate) family: Family,
}

/// What sort of trouble a text is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Family {
    Credential,
    Pii,
    Injection,
    SocialEngineering,
    MaliciousCode,
    Obfuscation,
}

impl Family {
    pub(crate) const ALL: [Self; 6] = [
        Self::Credential,
        Self::Pii,
        Self::Injection,
        Self::SocialEngineering,
        Self::MaliciousCode,
        Self::Obfuscation,
    ];

    /// Its label on results.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Credential => "CREDENTIAL",
            Self::Pii => "PII",
            Self::Injection => "INJECTION",
            Self::SocialEngineering => "SOCIAL_ENGINEERING",
            Self::MaliciousCode => "MALICIOUS_CODE",
            Self::Obfuscation => "OBFUSCATION",
        }
    }

    /// Whether it is words that are found, not values that any other spelling would change.
    pub(crate) const fn is_of_phrases(self) -> bool {
        !matches!(self, Self::Credential | Self::Pii)
    }

    /// By category where a set has several, else by the name of the set.
    fn of(set: &str, cat: &str) -> Self {
        match cat {
            "credential" => Self::Credential,
            "personal-data" => Self::Pii,
            "social-engineering" => Self::SocialEngineering,
            "malicious-code" => Self::MaliciousCode,
            "obfuscated" => Self::Obfuscation,
            _ if set.starts_with("secret") => Self::Credential,
            _ if set.starts_with("pii") => Self::Pii,
            _ if set.starts_with("cmd") || set.contains("malicious") => Self::MaliciousCode,
            _ => Self::Injection,
        }
    }
}

impl Text {
    /// Where it stands: what it is called in lists.
    pub(crate) fn id(&self) -> String {
        format!("{}:{}", self.set, self.line)
    }

    /// FNV-1a, to tell whether two runs mean the same text by a place.
    pub(crate) fn hash(&self) -> String {
        let fnv = |hash: u64, b: u8| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
        format!("{:016x}", self.text.bytes().fold(0xcbf2_9ce4_8422_2325, fnv))
    }
}

/// The folder of what is our own.
pub(crate) fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../eval")
}

/// Every text that is asked for, set by set.
pub(crate) fn all(arguments: &Arguments) -> Result<Vec<Text>, Box<dyn Error>> {
    let mut texts = Vec::new();
    for folder in std::iter::once(&own()).chain(&arguments.corpora) {
        for path in sets(folder)? {
            let set = name_of(&path);
            if arguments.sets.is_empty() || arguments.sets.iter().any(|asked| set.contains(asked)) {
                texts.extend(sampled(read(&path, &set)?, arguments));
            }
        }
    }
    if texts.is_empty() { Err("no text is there to be judged".into()) } else { Ok(texts) }
}

fn sets(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
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

fn read(path: &Path, set: &str) -> Result<Vec<Text>, Box<dyn Error>> {
    let file = File::open(path)?;
    let reader: Box<dyn Read> = match path.extension() {
        Some(e) if e == "gz" => Box::new(flate2::read::GzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut texts = Vec::new();
    for (at, line) in BufReader::new(reader).lines().enumerate() {
        let wrong = |e| format!("{}, line {}: {e}", path.display(), at + 1);
        let Line { mut text, parts, label, cat } = serde_json::from_str(&line?).map_err(wrong)?;
        text.extend(parts);
        // An envelope refuses both.
        if text.is_empty() || text.contains('\0') {
            continue;
        }
        let cat = cat.unwrap_or_default();
        let family = Family::of(set, &cat);
        texts.push(Text { set: set.to_owned(), line: at + 1, text, label, cat, family });
    }
    Ok(texts)
}

/// The same texts for the same seed: those whose place, mixed with the seed, comes first.
fn sampled(mut texts: Vec<Text>, arguments: &Arguments) -> Vec<Text> {
    if let Some(wanted) = arguments.sample.filter(|wanted| *wanted < texts.len()) {
        texts.sort_by_key(|text| mixed(text.line as u64 ^ arguments.seed));
        texts.truncate(wanted);
        texts.sort_by_key(|text| text.line);
    }
    texts
}

/// One step of SplitMix64.
pub(crate) const fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
