//! Where a value comes from: each setting is looked for everywhere, and the last source wins.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::setting::Setting;
use super::table;
use super::value::Value;
use super::words::{Environment, PolicyProfile};
use super::{Origin, Problem, Shown, Sources, nearest, printable, printable_path, refused};
use crate::file::{self, ConfigFile};

/// A bundle of all public authorities has some 200 KiB.
const CA_BYTES_MAX: u64 = 1 << 20;
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

pub(super) struct Reader<'a> {
    sources: &'a Sources,
    pub(super) file: ConfigFile,
    pub(super) environment: Environment,
    pub(super) profile: PolicyProfile,
    pub(super) problems: Vec<Problem>,
    shown: Vec<(Option<usize>, Shown)>,
    pub(super) unknown: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        let mut reader = Self {
            sources,
            file: ConfigFile::default(),
            environment: Environment::default(),
            profile: PolicyProfile::default(),
            problems: Vec::new(),
            shown: Vec::new(),
            unknown: Vec::new(),
        };
        reader.environment = reader.word(&table::ENV, Environment::parse).unwrap_or_default();
        if let Some(path) = reader.path(&table::CONFIG) {
            let (file, problems) = file::read(&path);
            reader.file = file;
            reader.problems.extend(problems);
        }
        reader
    }

    pub(super) fn problem(&mut self, name: &str, what: impl Into<String>) {
        self.problems.push(Problem::new(name, what));
    }

    /// Whether something is wrong with a setting.
    pub(super) fn has_problem(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| problem.name.trim_end_matches("_FILE") == name)
    }

    /// What holds, in the order of the table.
    pub(super) fn take_shown(&mut self) -> Vec<Shown> {
        let mut shown = std::mem::take(&mut self.shown);
        shown.sort_by_key(|(place, _)| *place);
        shown.into_iter().map(|(_, shown)| shown).collect()
    }

    fn show(&mut self, name: &str, value: &dyn std::fmt::Display, origin: Origin, setting: &'static Setting) {
        let place = table::all().position(|s| std::ptr::eq(s, setting));
        let shown = Shown { name: name.to_owned(), value: value.to_string(), origin, about: setting.about };
        self.shown.push((place, shown));
    }

    /// Whether nothing was set, so that what is usual holds.
    pub(super) fn is_usual(&self, setting: &'static Setting) -> bool {
        let name = setting.name();
        self.shown.iter().any(|(_, shown)| shown.name == name && shown.origin == Origin::Default)
    }

    /// Shows another value in the place of what is usual.
    pub(super) fn show_usual(&mut self, setting: &'static Setting, value: &str) {
        let name = setting.name();
        for (_, shown) in &mut self.shown {
            if shown.name == name {
                value.clone_into(&mut shown.value);
            }
        }
    }

    /// Whether a variable is set, or the file of a secret.
    pub(super) fn is_given(&self, setting: &Setting) -> bool {
        let name = setting.name();
        self.is_set(name) || (setting.is_secret() && self.is_set(&format!("{name}_FILE")))
    }

    /// A variable that is set to something; an empty one counts as not set.
    pub(super) fn variable(&mut self, name: &str) -> Option<String> {
        let value = self.sources.env.get(name)?.clone();
        match value.into_string() {
            Ok(text) if text.is_empty() => None,
            Ok(text) => Some(text),
            Err(_) => {
                self.problem(name, "it is not UTF-8");
                None
            }
        }
    }

    /// Whether a variable is set to something, whatever that is.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.sources.env.get(name).is_some_and(|value| !value.is_empty())
    }

    /// The value that holds, and what is wrong with any that does not.
    pub(super) fn value(&mut self, setting: &'static Setting) -> Option<Value> {
        let flag = self.of_flag(setting).map(|value| (value, Origin::Flag));
        let variable = self.of_env(setting).map(|value| (value, Origin::Environment));
        let file = self.of_file(setting).map(|value| (value, Origin::File));
        if let Some((value, origin)) = flag.or(variable).or(file) {
            self.show(setting.name(), &value, origin, setting);
            return Some(value);
        }
        match setting.usual.of(self.environment, self.profile) {
            Ok(text) => {
                self.show(setting.name(), &text, Origin::Default, setting);
                setting.kind.read_text(text).ok()
            }
            Err(words) => {
                // In brackets, so that nobody takes the words for a value.
                self.show(setting.name(), &format_args!("({words})"), Origin::Default, setting);
                None
            }
        }
    }

    fn of_flag(&self, setting: &Setting) -> Option<Value> {
        match setting.flag? {
            "--data-dir" => self.sources.data_dir.clone().map(Value::Path),
            "--config" => self.sources.config.clone().map(Value::Path),
            "--listen" => self.sources.listen.map(Value::Address),
            "--admin-listen" => self.sources.admin_listen.map(Value::Address),
            _ => None,
        }
    }

    fn of_env(&mut self, setting: &Setting) -> Option<Value> {
        let name = setting.env?;
        let text = if setting.is_secret() { self.secret(name) } else { self.variable(name) }?;
        match setting.kind.read_text(&text) {
            Ok(value) => Some(value),
            Err(what) => {
                self.problem(name, what);
                None
            }
        }
    }

    /// A secret, or what lies in the file that names it.
    fn secret(&mut self, name: &str) -> Option<String> {
        let file = format!("{name}_FILE");
        match (self.variable(name), self.variable(&file)) {
            (Some(_), Some(_)) => {
                self.problem(name, format!("{file} is set too; set one of them"));
                None
            }
            (Some(text), None) => Some(text),
            (None, Some(path)) => match read_secret(Path::new(&path)) {
                Ok(text) => Some(text),
                Err(what) => {
                    self.problem(&file, what);
                    None
                }
            },
            (None, None) => None,
        }
    }

    fn of_file(&mut self, setting: &'static Setting) -> Option<Value> {
        self.named(setting).pop().map(|(_, value)| value)
    }

    /// What the file says of a setting, by the name in its key.
    pub(super) fn named(&mut self, setting: &'static Setting) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        for entry in self.file.entries.iter().filter(|entry| entry.setting.key == setting.key) {
            match setting.kind.read_toml(&entry.value) {
                Ok(value) => found.push((entry.name.clone(), entry.key.clone(), value)),
                Err(what) => {
                    let (name, line) = (entry.key.clone(), Some(entry.line));
                    self.problems.push(Problem { name, what, line });
                }
            }
        }
        if setting.is_named() {
            for (_, key, value) in &found {
                self.show(key, value, Origin::File, setting);
            }
        }
        found.into_iter().map(|(name, _, value)| (name, value)).collect()
    }

    pub(super) fn word<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        match self.value(setting)? {
            Value::Text(text) => parse(&text),
            _ => None,
        }
    }

    pub(super) fn text(&mut self, setting: &'static Setting) -> Option<String> {
        self.word(setting, |text| Some(text.to_owned()))
    }

    pub(super) fn path(&mut self, setting: &'static Setting) -> Option<PathBuf> {
        match self.value(setting)? {
            Value::Path(path) => Some(path),
            _ => None,
        }
    }

    pub(super) fn boolean(&mut self, setting: &'static Setting) -> bool {
        matches!(self.value(setting), Some(Value::Boolean(true)))
    }

    /// A number within the bounds of its setting; after a problem, of which there is a sentence, none.
    pub(super) fn number(&mut self, setting: &'static Setting) -> u64 {
        match self.value(setting) {
            Some(Value::Number(number)) => number,
            _ => 0,
        }
    }

    pub(super) fn seconds(&mut self, setting: &'static Setting) -> Duration {
        Duration::from_secs(self.number(setting))
    }

    /// A number for what is counted in memory.
    pub(super) fn count(&mut self, setting: &'static Setting) -> usize {
        usize::try_from(self.number(setting)).unwrap_or(usize::MAX)
    }

    /// A number for what is counted in 32 bits.
    pub(super) fn small(&mut self, setting: &'static Setting) -> u32 {
        u32::try_from(self.number(setting)).unwrap_or(u32::MAX)
    }

    pub(super) fn list(&mut self, setting: &'static Setting) -> Vec<String> {
        match self.value(setting) {
            Some(Value::List(items)) => items,
            _ => Vec::new(),
        }
    }

    pub(super) fn address(&mut self, setting: &'static Setting) -> SocketAddr {
        match self.value(setting) {
            Some(Value::Address(address)) => address,
            // After a problem: nothing listens there, since nothing starts.
            _ => (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }

    /// The folder of keys and pins.
    pub(super) fn state_dir(&mut self) -> PathBuf {
        let setting = &table::STATE_DIR;
        let set = self.variable(setting.name()).map(PathBuf::from).filter(|path| path.is_absolute());
        let (base, origin) = match (set, self.variable("HOME")) {
            (Some(base), _) => (base, Origin::Environment),
            (None, Some(home)) => (Path::new(&home).join(".local/state"), Origin::Default),
            (None, None) => {
                self.problem(
                    setting.name(),
                    "neither it nor HOME is set, so there is no place for keys and pins",
                );
                (PathBuf::new(), Origin::Default)
            }
        };
        let path = base.join("claw");
        self.show(setting.name(), &path.display(), origin, setting);
        path
    }

    /// A file that must be readable when the server starts is tried now.
    pub(super) fn try_file(&mut self, setting: &'static Setting, path: &Path) {
        let is_file = std::fs::metadata(path).map(|about| about.is_file());
        let tried = is_file
            .and_then(|is_file| if is_file { std::fs::File::open(path).map(|_| true) } else { Ok(false) });
        let shown = printable_path(path);
        match tried {
            Ok(true) => {}
            Ok(false) => self.problem(setting.name(), format!("{shown} is no file")),
            Err(error) => self.problem(setting.name(), format!("could not read {shown}: {error}")),
        }
    }

    /// The authorities of a server's certificate, out of a file in PEM. What cannot be read is a problem, and never
    /// nothing: without them the public ones would be trusted.
    pub(super) fn authorities(&mut self, setting: &'static Setting, path: &Path) -> Option<Vec<u8>> {
        let before = self.problems.len();
        self.try_file(setting, path);
        if self.problems.len() > before {
            return None;
        }
        let mut pem = Vec::new();
        let read =
            std::fs::File::open(path).and_then(|file| file.take(CA_BYTES_MAX + 1).read_to_end(&mut pem));
        let what = match read {
            Err(error) => format!("could not read {}: {error}", printable_path(path)),
            Ok(_) if pem.len() as u64 > CA_BYTES_MAX => {
                format!("the file has more than {CA_BYTES_MAX} bytes")
            }
            Ok(_) if !pem.windows(BEGIN.len()).any(|bytes| bytes == BEGIN) => {
                "the file has no certificate in PEM".to_owned()
            }
            Ok(_) => return Some(pem),
        };
        self.problem(setting.name(), what);
        None
    }

    /// Says which variables look like ours and are not: perhaps a name is misspelt.
    pub(super) fn look_for_misspelt(&mut self) {
        let settings: Vec<&str> = table::all().filter_map(|setting| setting.env).collect();
        let known: BTreeSet<String> = table::all()
            .filter_map(|setting| setting.env.map(|name| (name, setting.is_secret())))
            .flat_map(|(name, secret)| [Some(name.to_owned()), secret.then(|| format!("{name}_FILE"))])
            .flatten()
            .chain(refused::names())
            .collect();
        for name in self.sources.env.keys() {
            if known.contains(name) || name.starts_with("CLAW_TEST_") {
                continue;
            }
            let nearest = nearest(name, settings.iter().copied());
            let may_be_ours = (LIKE_CHARS_MIN..=LIKE_CHARS_MAX).contains(&name.len());
            let is_like = may_be_ours && strsim::damerau_levenshtein(nearest, name) <= MISSPELT_MAX;
            if name.starts_with("CLAW_") || name.starts_with("SECOPS_") || is_like {
                // Other programs may have variables that begin so: it is said, and nothing is refused.
                let name = printable(name);
                self.unknown.push(format!("{name} is no setting of claw; the nearest is {nearest}"));
            }
        }
    }
}

/// So many slips of the finger make a name of ours.
const MISSPELT_MAX: usize = 2;
/// In shorter names, two letters make another word.
const LIKE_CHARS_MIN: usize = 10;
/// Longer than any of ours.
const LIKE_CHARS_MAX: usize = 40;

/// A secret is a line; what is longer is another file.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// A secret in a file: one line feed at its end does not belong to it.
fn read_secret(path: &Path) -> Result<String, String> {
    let unread = |e: std::io::Error| format!("could not read {}: {e}", printable_path(path));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unread)?;
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("{} is larger than 64 KiB", printable_path(path)));
    }
    Ok(text.strip_suffix('\n').map(ToOwned::to_owned).unwrap_or(text))
}
