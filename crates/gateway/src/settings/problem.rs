//! What is wrong with settings, all of it at once.

use std::fmt;
use std::path::Path;

use clawexchange_ssg_core::{Fault, FaultKind};
use serde::Serialize;

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// The variable, the key of the file, or the file.
    pub name: String,
    /// What is wrong with it; never its value.
    pub what: String,
    /// In which line of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl Problem {
    /// Names a setting and what is wrong with it.
    pub fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into(), line: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} (line {line}): {}", self.name, self.what),
            None => write!(f, "{}: {}", self.name, self.what),
        }
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingsError {
    /// One or more.
    pub problems: Vec<Problem>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.problems.len();
        write!(f, "{n} problem{} in the configuration", if n == 1 { "" } else { "s" })?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for SettingsError {}

impl Fault for SettingsError {
    fn code(&self) -> &'static str {
        "gateway/configuration"
    }

    fn kind(&self) -> FaultKind {
        FaultKind::Configuration
    }

    fn hint(&self) -> Option<String> {
        Some("`claw config check` says the same again; `claw config show --origin` says where each value came from".to_owned())
    }
}

/// As much of a name as is said or compared: a longer one is none of ours.
const NAME_CHARS_MAX: usize = 100;
/// As much of a path as is said: what systems take.
const PATH_CHARS_MAX: usize = 4096;

/// The known name that is most like `name`.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> &'a str {
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    known.into_iter().min_by_key(|known| strsim::damerau_levenshtein(known, &name)).unwrap_or("")
}

/// A name from outside for a sentence: of one line, and not longer than anybody reads.
pub(crate) fn printable(name: &str) -> String {
    one_line(name, NAME_CHARS_MAX)
}

/// A path from outside for a sentence.
pub(crate) fn printable_path(path: &Path) -> String {
    one_line(&path.display().to_string(), PATH_CHARS_MAX)
}

fn one_line(text: &str, chars_max: usize) -> String {
    let harmless = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut line: String = text.chars().take(chars_max).map(harmless).collect();
    if text.chars().nth(chars_max).is_some() {
        line.push('…');
    }
    line
}
