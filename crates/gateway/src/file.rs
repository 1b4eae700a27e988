//! The TOML file: no interpolation, no secrets, unknown keys are errors.

use std::io::Read as _;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::settings::setting::Setting;
use crate::settings::table;
use crate::settings::{Problem, nearest, printable, printable_path};

/// What the file says, key by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) setting: &'static Setting,
    /// The name in the place of the part in angle brackets; empty if the setting has none.
    pub(crate) name: String,
    /// The whole key.
    pub(crate) key: String,
    pub(crate) value: FileValue,
    pub(crate) line: usize,
}

/// A value with its type.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum FileValue {
    Boolean(bool),
    Integer(i128),
    /// As it is written, so that a decimal stays what it was.
    Float(String),
    Text(String),
    List(Vec<Self>),
    /// What no setting is, in words.
    Other(&'static str),
}

/// A settings file is a page or two.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Nobody reads on after so many problems of one file.
const PROBLEMS_MAX: usize = 50;

/// Reads the file and says everything that is wrong with its form and its keys. What is well is given all the same, so
/// that values can be judged too.
pub(crate) fn read(path: &Path) -> (ConfigFile, Vec<Problem>) {
    let name = printable_path(path);
    match text(path) {
        Ok(text) => parse(&name, &text),
        Err(what) => (ConfigFile::default(), vec![Problem::new(name, what)]),
    }
}

fn text(path: &Path) -> Result<String, String> {
    let unread = |e: std::io::Error| format!("could not be read: {e}");
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unread)?;
    // One byte more than is taken: what a device or a growing file gives is bounded, whatever size it claims.
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it is larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|e| format!("it is not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
}

fn parse(name: &str, text: &str) -> (ConfigFile, Vec<Problem>) {
    let lines = Lines::of(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What was made of a broken file would be judged wrongly.
        let problems = errors.iter().take(PROBLEMS_MAX).map(|error| {
            let line = error.span().map(|span| lines.line(span.start));
            Problem { name: name.to_owned(), what: printable(error.message()), line }
        });
        return (ConfigFile::default(), problems.collect());
    }
    let mut walk = Walk { lines, path: Vec::new(), file: ConfigFile::default(), problems: Vec::new() };
    walk.table(root.get_ref());
    let more = walk.problems.len().saturating_sub(PROBLEMS_MAX);
    walk.problems.truncate(PROBLEMS_MAX);
    if more > 0 {
        walk.problems.push(Problem::new(name, format!("{more} more keys mean nothing")));
    }
    (walk.file, walk.problems)
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at + 1).collect())
    }

    /// The line of a byte, from 1.
    fn line(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at) + 1
    }
}

/// A walk through the file beside the table of settings.
struct Walk {
    lines: Lines,
    path: Vec<String>,
    file: ConfigFile,
    problems: Vec<Problem>,
}

impl Walk {
    fn table(&mut self, table: &DeTable<'_>) {
        let known = known_below(&self.path);
        let mut entries: Vec<_> = table.iter().collect();
        // By place, so that problems come in the order of the file.
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let line = self.lines.line(key.span().start);
            self.path.push(key.get_ref().to_string());
            self.entry(&known, value.get_ref(), line);
            self.path.pop();
        }
    }

    fn entry(&mut self, known: &[String], value: &DeValue<'_>, line: usize) {
        let Some(last) = self.path.last() else { return };
        let key = printable(&self.path.join("."));
        if !known.contains(last) {
            let nearest = nearest(last, known.iter().map(String::as_str));
            let what = format!("there is no such key; the nearest is {nearest}");
            self.problems.push(Problem { name: key, what, line: Some(line) });
            return;
        }
        if let Some((setting, name)) = setting_at(&self.path) {
            self.file.entries.push(Entry { setting, name, key, value: file_value(value), line });
            return;
        }
        match value {
            DeValue::Table(below) => self.table(below),
            other => {
                let what = format!("it must be a table, not {}", file_value(other).what());
                self.problems.push(Problem { name: key, what, line: Some(line) });
            }
        }
    }
}

/// Whether a path runs along the key of a setting, as far as both go.
fn runs_along(setting: &Setting, path: &[String]) -> bool {
    setting.parts().zip(path).all(|(part, name)| part.starts_with('<') || part == name)
}

/// The keys that a table may have.
fn known_below(path: &[String]) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for setting in table::all().filter(|setting| runs_along(setting, path)) {
        let Some(part) = setting.parts().nth(path.len()) else { continue };
        if seen.contains(&part) {
            continue;
        }
        seen.push(part);
        if part.starts_with('<') {
            known.extend(table::names_of(part));
        } else {
            known.push(part.to_owned());
        }
    }
    known
}

/// The setting whose key a path is, and the name in it.
fn setting_at(path: &[String]) -> Option<(&'static Setting, String)> {
    let setting = table::all().find(|s| s.parts().count() == path.len() && runs_along(s, path))?;
    let name = setting.parts().zip(path).find(|(part, _)| part.starts_with('<'));
    Some((setting, name.map(|(_, name)| name.clone()).unwrap_or_default()))
}

fn file_value(value: &DeValue<'_>) -> FileValue {
    match value {
        DeValue::Boolean(set) => FileValue::Boolean(*set),
        // What is beyond even these is beyond every bound.
        DeValue::Integer(number) => {
            FileValue::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
        }
        DeValue::Float(number) => FileValue::Float(number.as_str().to_owned()),
        DeValue::String(text) => FileValue::Text(text.to_string()),
        DeValue::Array(items) => {
            FileValue::List(items.iter().map(|item| file_value(item.get_ref())).collect())
        }
        DeValue::Datetime(_) => FileValue::Other("a time"),
        DeValue::Table(_) => FileValue::Other("a table"),
    }
}

impl FileValue {
    /// What it is, in words.
    pub(crate) const fn what(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with decimals",
            Self::Text(_) => "text in quotes",
            Self::List(_) => "a list",
            Self::Other(what) => what,
        }
    }

    /// It, if it is text.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, Option<usize>, &str)]) {
        let (_, problems) = parse("claw.toml", text);
        let found: Vec<_> = problems.iter().map(|p| (p.name.as_str(), p.line)).collect();
        let names: Vec<_> = expected.iter().map(|(name, line, _)| (*name, *line)).collect();
        assert_eq!(found, names, "{text}: {problems:?}");
        for (problem, (_, _, says)) in problems.iter().zip(expected) {
            assert!(problem.what.contains(says), "{says:?} is not said: {}", problem.what);
        }
    }

    #[test]
    fn a_misspelt_key_is_found_in_every_table_with_its_line_and_its_nearest() {
        let mut tables = std::collections::BTreeSet::from([String::new()]);
        for setting in table::all() {
            let parts: Vec<String> =
                setting
                    .parts()
                    .map(|part| {
                        if part.starts_with('<') { table::names_of(part)[0].clone() } else { part.to_owned() }
                    })
                    .collect();
            for depth in 1..parts.len() {
                tables.insert(parts[..depth].join("."));
            }
        }
        assert!(tables.len() > 15, "{tables:?}");
        for table in tables {
            let path: Vec<String> =
                table.split('.').filter(|p| !p.is_empty()).map(ToOwned::to_owned).collect();
            let known = known_below(&path)[0].clone();
            let misspelt = format!("{known}x");
            let head = if table.is_empty() { "\n".to_owned() } else { format!("[{table}]\n") };
            let key = if table.is_empty() { misspelt.clone() } else { format!("{table}.{misspelt}") };
            check(&format!("{head}{misspelt} = 1\n"), &[(&key, Some(2), &format!("the nearest is {known}"))]);
        }
    }

    #[test]
    fn all_problems_are_said_in_the_order_of_the_file() {
        check(
            "tiers = 5\n[servr]\nx = 1\n[policy.categories]\ncredential = \"block\"\n[rules]\naws-access-key = \"off\"\n",
            &[
                ("tiers", Some(1), "it must be a table, not a whole number"),
                ("servr", Some(2), "server"),
                ("policy.categories.credential", Some(5), "credentials"),
                ("rules.aws-access-key", Some(7), "it must be a table"),
            ],
        );
    }

    #[test]
    fn text_that_is_no_toml_is_refused_with_its_line() {
        for (text, line) in
            [("not toml", 1), ("[tiers]\nlow = = 3", 2), ("[tiers]\nlow = 1\nlow = 2", 3), ("[a", 1)]
        {
            let (file, problems) = parse("claw.toml", text);
            assert!(file.entries.is_empty());
            assert_eq!(
                (problems[0].name.as_str(), problems[0].line),
                ("claw.toml", Some(line)),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn long_and_many_keys_are_bounded() {
        let long = "k".repeat(100_000);
        let (_, problems) = parse("claw.toml", &format!("{long} = 1\n"));
        assert!(problems[0].name.len() < 200 && problems[0].what.len() < 200);
        let many: Vec<String> = (0..5000).map(|n| format!("k{n} = 1\n")).collect();
        let (_, problems) = parse("claw.toml", &many.concat());
        assert_eq!(problems.len(), PROBLEMS_MAX + 1);
        assert!(problems[PROBLEMS_MAX].what.contains("4950 more"));
    }

    #[test]
    fn names_with_control_characters_are_made_harmless() {
        let (_, problems) = parse("claw.toml", "\"a\\u001b[2J\" = 1\n");
        assert!(!problems[0].name.contains('\u{1b}'), "{:?}", problems[0]);
    }

    #[test]
    fn numbers_keep_their_value_however_they_are_written() {
        for (text, value) in [
            ("0x10", FileValue::Integer(16)),
            ("1_000", FileValue::Integer(1000)),
            ("-4", FileValue::Integer(-4)),
            ("0.95", FileValue::Float("0.95".to_owned())),
            ("2020-01-01", FileValue::Other("a time")),
        ] {
            let (file, problems) = parse("claw.toml", &format!("tiers.low = {text}"));
            assert!(problems.is_empty(), "{problems:?}");
            assert_eq!(file.entries[0].value, value);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}|([\\[\\]=\"'.,{}#\\n a-z0-9<>_-]{0,200})") {
            let _both = parse("claw.toml", &text);
        }
    }
}
