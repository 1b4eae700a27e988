//! Rule packs of one's own: read at run time, beside the packs that ship and held to the same checks.
//!
//! What cannot be used is refused as a whole, with all that is wrong by file, line and column. Reading asks nothing of
//! a clock, so that every process takes or refuses the same packs; how long expressions take to make is measured, and
//! held against a bound where somebody waits for the answer.

mod lint;
mod place;
mod trial;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clawexchange_ssg_core::RuleMode;
use serde::{Deserialize, Serialize};

use crate::error::DetectorsError;
use crate::hash::ContentHash;
use crate::pack::{PACKS, RuleSpec};

/// One file of rules, by name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PackText {
    /// The name of the file, such as `acme.toml`.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

impl PackText {
    /// Puts both together; nothing is looked at yet.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// Something that is wrong with a pack, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PackProblem {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The character of the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for PackProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}; {}", self.file, self.line, self.column, self.what, self.hint)
    }
}

/// Packs of one's own that were read and found usable. Cheap to clone; none unless read.
///
/// ```
/// use clawexchange_detectors::{Detectors, DetectorsConfig, OwnPacks, PackText};
///
/// let text = r#"
/// [[rule]]
/// id = "acme-badge"
/// category = "credentials"
/// score = 85
/// mode = "enforce"
/// description = "The number of an Acme badge."
/// prefixes = ["acmebadge-"]
/// pattern = '\bacmebadge-[0-9a-f]{16}\b'
/// positive = [["acmebadge-", "90f2c17ab35d4e68"]]
/// negative = [["acmebadge-none"]]
/// "#;
/// let own = OwnPacks::read(vec![PackText::new("acme.toml", text)])?;
/// assert!(own.try_out().problems.is_empty());
/// let mut config = DetectorsConfig::default();
/// config.own = own;
/// let detectors = Detectors::configured(config)?;
/// assert_eq!(detectors.scan("badge acmebadge-90f2c17ab35d4e68")[0].id, "acme-badge");
/// # Ok::<(), clawexchange_detectors::DetectorsError>(())
/// ```
#[derive(Clone, Default)]
pub struct OwnPacks(Option<Arc<Inner>>);

struct Inner {
    texts: Vec<PackText>,
    rules: Vec<OwnRule>,
    modes: BTreeMap<String, RuleMode>,
    hash: String,
    compiled_bytes: usize,
    compile_time: Duration,
}

/// A rule, and where its parts stand.
struct OwnRule {
    spec: RuleSpec,
    /// The file, by its place in the list.
    file: usize,
    /// Where it begins, and where each example does, as line and column.
    head: (usize, usize),
    examples: [Vec<(usize, usize)>; 2],
}

/// What trying packs out came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PackReport {
    /// How many rules there are.
    pub rules: usize,
    /// How many examples were tried.
    pub examples: usize,
    /// How much memory the expressions take.
    pub compiled_bytes: usize,
    /// How long they took to make, in microseconds.
    pub compile_micros: u64,
    /// What is wrong.
    pub problems: Vec<PackProblem>,
}

impl OwnPacks {
    /// How many files there may be.
    pub const FILES_MAX: usize = 64;
    /// How many bytes a file may have.
    pub const FILE_BYTES_MAX: usize = 1 << 20;
    /// How many bytes all files may have together: what a database row and a reload bear.
    pub const BYTES_MAX: usize = 4 << 20;
    /// How many rules there may be: half as many as ship.
    pub const RULES_MAX: usize = 500;
    /// How much memory the expressions of all rules may take; those that ship take less than twice as much.
    pub const COMPILED_BYTES_MAX: usize = 32 << 20;
    /// How long they may take to make, where somebody waits: each process makes them again at each switch.
    pub const COMPILE_TIME_MAX: Duration = Duration::from_secs(2);

    /// Reads packs; their order does not matter.
    ///
    /// # Errors
    ///
    /// All that is wrong with them, at most fifty problems, by file, line and column: text that is no TOML, members that
    /// mean nothing or have a wrong type, ids that are taken, numbers out of their range, expressions that cannot be
    /// made, may match nothing or have no longest match, missing literals and examples, and what is over a bound.
    pub fn read(mut texts: Vec<PackText>) -> Result<Self, DetectorsError> {
        texts.sort_by(|a, b| a.name.cmp(&b.name));
        if texts.is_empty() {
            return Ok(Self::default());
        }
        let read = lint::read(&texts, lint::Whose::Own);
        if !read.problems.is_empty() {
            return Err(DetectorsError::OwnPacks { problems: read.problems });
        }
        let mut hash = ContentHash::default();
        hash.part(b"own packs 1");
        for PackText { name, text } in &texts {
            hash.part(name.as_bytes());
            hash.part(text.as_bytes());
        }
        let lint::Read { rules, modes, compiled_bytes, compile_time, .. } = read;
        let hash = hash.hex(64);
        Ok(Self(Some(Arc::new(Inner { texts, rules, modes, hash, compiled_bytes, compile_time }))))
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// SHA-256 over the names and texts of all files, as 64 hexadecimal digits; empty if there are none.
    pub fn hash(&self) -> &str {
        self.0.as_ref().map_or("", |inner| &inner.hash)
    }

    /// The files, by name.
    pub fn texts(&self) -> &[PackText] {
        self.0.as_ref().map_or(&[], |inner| &inner.texts)
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.rules.len())
    }

    /// The modes that they set for rules of any pack, by id.
    pub fn modes(&self) -> impl Iterator<Item = (&str, RuleMode)> {
        self.0.iter().flat_map(|inner| inner.modes.iter().map(|(id, mode)| (id.as_str(), *mode)))
    }

    /// Tries every example of every rule, on its own rule and beside those that ship, and holds the time that
    /// expressions took against [`COMPILE_TIME_MAX`](Self::COMPILE_TIME_MAX).
    pub fn try_out(&self) -> PackReport {
        let Some(inner) = &self.0 else {
            return PackReport {
                rules: 0,
                examples: 0,
                compiled_bytes: 0,
                compile_micros: 0,
                problems: Vec::new(),
            };
        };
        let mut report = trial::run(&inner.texts, &inner.rules, self);
        report.compiled_bytes = inner.compiled_bytes;
        report.compile_micros = micros(inner.compile_time);
        if inner.compile_time > Self::COMPILE_TIME_MAX {
            report.problems.push(too_slow(&inner.texts, inner.compile_time));
        }
        report
    }

    pub(crate) fn specs(&self) -> impl Iterator<Item = &RuleSpec> {
        self.0.iter().flat_map(|inner| inner.rules.iter().map(|rule| &rule.spec))
    }

    pub(crate) fn mode_of(&self, id: &str) -> Option<&RuleMode> {
        self.0.as_ref()?.modes.get(id)
    }
}

impl PackReport {
    /// The same checks over the packs that ship.
    pub fn of_shipped() -> Self {
        let texts: Vec<PackText> =
            PACKS.iter().map(|(name, text)| PackText::new(format!("{name}.toml"), *text)).collect();
        let read = lint::read(&texts, lint::Whose::Shipped);
        let mut report = trial::run(&texts, &read.rules, &OwnPacks::default());
        report.compiled_bytes = read.compiled_bytes;
        report.compile_micros = micros(read.compile_time);
        report.problems.splice(0..0, read.problems);
        report
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn too_slow(texts: &[PackText], time: Duration) -> PackProblem {
    let most = OwnPacks::COMPILE_TIME_MAX.as_millis();
    PackProblem {
        file: texts.first().map(|t| t.name.clone()).unwrap_or_default(),
        line: 1,
        column: 1,
        what: format!(
            "the expressions of all packs took {} ms to make, and {most} ms are the most",
            time.as_millis()
        ),
        hint: "shorten long alternations and large repetitions, or try again on a machine with less to do"
            .to_owned(),
    }
}

impl fmt::Debug for OwnPacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnPacks").field("hash", &self.hash()).field("rules", &self.rules()).finish()
    }
}

impl fmt::Debug for PackText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackText").field("name", &self.name).field("bytes", &self.text.len()).finish()
    }
}
