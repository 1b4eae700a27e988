//! Every setting, where it came from, and all that is wrong with them at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clawexchange_ssg_core::{
    Fault, FaultKind, MasterKey, PluginFailure, RuleMode, ThresholdError, TierThresholds,
};
use serde::Serialize;

use crate::file::{self, ConfigFile};

/// Where a value came from. Later ones win.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Origin {
    /// Nothing was set.
    Default,
    /// The file that `CLAW_CONFIG` names.
    File,
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

/// A setting as it holds; a secret shows no more than that it is set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct Shown {
    /// Its name in the environment or the file.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where that came from.
    pub origin: Origin,
    /// What it is.
    pub about: &'static str,
}

/// Where the settings are read from. A library reads no environment, so whoever runs hands it in.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Sources {
    /// The environment.
    pub env: BTreeMap<String, OsString>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
}

impl Sources {
    /// The environment and nothing from a command line.
    pub fn of_env(env: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let env =
            env.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
        Self { env, data_dir: None, config: None }
    }
}

/// How one plugin is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PluginSetting {
    /// Whether it runs.
    pub enabled: bool,
    /// What its failure does.
    pub on_failure: PluginFailure,
}

impl Default for PluginSetting {
    fn default() -> Self {
        Self { enabled: true, on_failure: PluginFailure::Hold }
    }
}

/// Where the master key comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeySource {
    /// It was given.
    Given(MasterKey),
    /// It lies in a file of the state folder, named after the deployment, and was made when the data folder was.
    Generated,
}

/// The settings of one deployment, parsed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Rows, held content and counters.
    pub data_dir: PathBuf,
    /// Generated keys and pins, outside the data folder.
    pub state_dir: PathBuf,
    /// The master key.
    pub key: KeySource,
    /// How long content is held before it expires.
    pub expiry: Duration,
    /// Up to so many bytes sealed content lies in its row; above that it is a file.
    pub inline_bytes_max: usize,
    /// Where tiers begin.
    pub thresholds: TierThresholds,
    /// Rules that are not in their usual mode.
    pub rules: BTreeMap<String, RuleMode>,
    /// Plugins that are not set as usual.
    pub plugins: BTreeMap<String, PluginSetting>,
    shown: Vec<Shown>,
    unknown: Vec<String>,
}

const DATA_DIR: (&str, &str) = ("CLAW_DATA_DIR", "the folder of rows, held content and counters");
const STATE_DIR: (&str, &str) = ("XDG_STATE_HOME", "where generated keys and pins lie, in a folder `claw`");
const KEY: (&str, &str) = ("ENCRYPTION_MASTER_KEY", "the master key: standard base64 of 32 bytes");
const EXPIRY: (&str, &str) = ("QUARANTINE_EXPIRY_HOURS", "how many hours content is held before it expires");
const INLINE: (&str, &str) = (
    "CLAW_QUARANTINE_INLINE_MAX",
    "up to so many bytes sealed content lies in its row, above that in a file",
);
const CONFIG: (&str, &str) = ("CLAW_CONFIG", "a TOML file of settings");

/// What this version does not do. It is refused and not ignored: who sets a database wants no other.
const NOT_YET: [(&str, &str); 11] = [
    ("DATABASE_URL", "rows in PostgreSQL"),
    ("CLAW_MIGRATE_DATABASE_URL", "rows in PostgreSQL"),
    ("DB_HOST", "rows in PostgreSQL"),
    ("DB_NAME", "rows in PostgreSQL"),
    ("REDIS_URL", "counters in Redis"),
    ("S3_ENDPOINT", "held content in S3"),
    ("S3_BUCKET", "held content in S3"),
    ("CLAW_KEYRING_FILE", "several master keys"),
    ("CLAW_SPOOL_DIR", "a spool for the log"),
    ("CLAW_GATE_MODE", "a gate that only watches"),
    ("CLAW_TRUSTED_PROXIES", "a server behind proxies"),
];

/// Switches, and how this version has them: nothing else is taken.
const FIXED: [(&str, bool); 4] = [
    ("QUARANTINE_ENABLED", true),
    ("AUDIT_ENABLED", true),
    ("SECOPS_ENFORCE_MODERATION", false),
    ("SECOPS_ENABLE_HEALTHCHECKS", false),
];

/// Names beginning `CLAW_` that are for tests and tools.
const FOR_TOOLS: &[&str] = &[
    // A release build has no such places, and does not know the name either.
    #[cfg(debug_assertions)]
    "CLAW_FAIL_POINT",
    "CLAW_CORPORA",
    "CLAW_LOG",
];

/// Ten years: beyond that it is a mistake.
const EXPIRY_HOURS_MAX: u64 = 87_600;

/// More would make rows of megabytes.
const INLINE_BYTES_MAX: usize = 1 << 20;

impl Settings {
    /// Reads everything and says everything that is wrong.
    pub fn read(sources: &Sources) -> Result<Self, SettingsError> {
        let mut reader = Reader { sources, problems: Vec::new(), shown: Vec::new(), unknown: Vec::new() };
        let file = reader.file();
        reader.refuse_what_is_not_there();
        let data_dir = reader.data_dir();
        let state_dir = reader.state_dir();
        let key = reader.key();
        let hours = reader.number(EXPIRY, 72, 1, EXPIRY_HOURS_MAX);
        let inline = reader.number(INLINE, 64 << 10, 0, INLINE_BYTES_MAX as u64);
        let thresholds = reader.thresholds(&file);
        let (rules, plugins) = reader.rules_and_plugins(&file);
        if !reader.problems.is_empty() {
            return Err(SettingsError { problems: reader.problems });
        }
        Ok(Self {
            data_dir,
            state_dir,
            key,
            expiry: Duration::from_secs(hours * 3600),
            inline_bytes_max: usize::try_from(inline).unwrap_or(INLINE_BYTES_MAX),
            thresholds,
            rules,
            plugins,
            shown: reader.shown,
            unknown: reader.unknown,
        })
    }

    /// Variables that begin like ours and mean nothing, a sentence each: perhaps a name is misspelt.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Every setting as it holds.
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }
}

struct Reader<'a> {
    sources: &'a Sources,
    problems: Vec<Problem>,
    shown: Vec<Shown>,
    unknown: Vec<String>,
}

impl Reader<'_> {
    fn problem(&mut self, name: &str, what: impl Into<String>) {
        self.problems.push(Problem { name: name.to_owned(), what: what.into() });
    }

    fn show(&mut self, (name, about): (&str, &'static str), value: impl fmt::Display, origin: Origin) {
        self.shown.push(Shown { name: name.to_owned(), value: value.to_string(), origin, about });
    }

    /// A variable that is set to something; an empty one counts as not set.
    fn variable(&mut self, name: &str) -> Option<String> {
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

    fn file(&mut self) -> ConfigFile {
        let from_flag = self.sources.config.clone().map(|path| (path, Origin::Flag));
        let from_env = self.variable(CONFIG.0).map(|path| (PathBuf::from(path), Origin::Environment));
        let Some((path, origin)) = from_flag.or(from_env) else {
            self.show(CONFIG, "", Origin::Default);
            return ConfigFile::default();
        };
        self.show(CONFIG, path.display(), origin);
        match file::read(&path) {
            Ok(file) => file,
            Err(problems) => {
                self.problems.extend(problems);
                ConfigFile::default()
            }
        }
    }

    fn refuse_what_is_not_there(&mut self) {
        for (name, what) in NOT_YET {
            if self.variable(name).is_some() {
                self.problem(name, format!("this version has no support for {what}; unset it"));
            }
        }
        for (name, fixed) in FIXED {
            if let Some(text) = self.variable(name) {
                match boolean(&text) {
                    Some(set) if set == fixed => {}
                    Some(_) => self.problem(name, format!("this version has it always {fixed}; unset it")),
                    None => self.problem(name, "it must be true, false, 1, 0, yes, no, on or off"),
                }
            }
        }
        if self.variable("CLAW_ENV").is_some_and(|env| env != "development") {
            self.problem("CLAW_ENV", "this version runs as development only; unset it");
        }
        let known = || [DATA_DIR, KEY, EXPIRY, INLINE, CONFIG].map(|(name, _)| name);
        let names: Vec<String> =
            self.sources.env.keys().filter(|name| name.starts_with("CLAW_")).cloned().collect();
        for name in names {
            let is_known = known().contains(&name.as_str())
                || NOT_YET.iter().any(|(n, _)| *n == name)
                || name == "CLAW_ENV"
                || name.starts_with("CLAW_TEST_")
                || FOR_TOOLS.contains(&name.as_str());
            if !is_known {
                // Other programs may have variables that begin so: it is said, and nothing is refused.
                let nearest = nearest(&name, known());
                self.unknown.push(format!("{name} is no setting of claw; the nearest is {nearest}"));
            }
        }
    }

    fn data_dir(&mut self) -> PathBuf {
        let (path, origin) = match (self.sources.data_dir.clone(), self.variable(DATA_DIR.0)) {
            (Some(path), _) => (path, Origin::Flag),
            (None, Some(path)) => (PathBuf::from(path), Origin::Environment),
            (None, None) => (PathBuf::from("./claw-data"), Origin::Default),
        };
        self.show(DATA_DIR, path.display(), origin);
        path
    }

    fn state_dir(&mut self) -> PathBuf {
        let set = self.variable(STATE_DIR.0).map(PathBuf::from).filter(|path| path.is_absolute());
        let (base, origin) = match (set, self.variable("HOME")) {
            (Some(base), _) => (base, Origin::Environment),
            (None, Some(home)) => (Path::new(&home).join(".local/state"), Origin::Default),
            (None, None) => {
                self.problem(
                    STATE_DIR.0,
                    "neither it nor HOME is set, so there is no place for keys and pins",
                );
                (PathBuf::new(), Origin::Default)
            }
        };
        let path = base.join("claw");
        self.show(STATE_DIR, path.display(), origin);
        path
    }

    fn key(&mut self) -> KeySource {
        let file = format!("{}_FILE", KEY.0);
        let text = match (self.variable(KEY.0), self.variable(&file)) {
            (Some(_), Some(_)) => {
                self.problem(KEY.0, format!("{file} is set too; set one of them"));
                return KeySource::Generated;
            }
            (Some(text), None) => text,
            (None, Some(path)) => match read_secret(Path::new(&path)) {
                Ok(text) => text,
                Err(what) => {
                    self.problem(&file, what);
                    return KeySource::Generated;
                }
            },
            (None, None) => {
                self.show(KEY, "a generated file in the state folder", Origin::Default);
                return KeySource::Generated;
            }
        };
        match MasterKey::from_base64(&text) {
            Ok(key) => {
                self.show(KEY, "(set)", Origin::Environment);
                KeySource::Given(key)
            }
            Err(error) => {
                self.problem(KEY.0, says(&error));
                KeySource::Generated
            }
        }
    }

    fn number(&mut self, setting: (&'static str, &'static str), usual: u64, min: u64, max: u64) -> u64 {
        let Some(text) = self.variable(setting.0) else {
            self.show(setting, usual, Origin::Default);
            return usual;
        };
        match text.parse::<u64>() {
            Ok(n) if (min..=max).contains(&n) => {
                self.show(setting, n, Origin::Environment);
                n
            }
            _ => {
                self.problem(setting.0, format!("it must be a whole number from {min} to {max}"));
                usual
            }
        }
    }

    fn thresholds(&mut self, file: &ConfigFile) -> TierThresholds {
        const ABOUT: &str = "the first score of a tier";
        let (tiers, usual) = (&file.tiers, [1, 30, 60, 85]);
        let set = [tiers.low, tiers.moderate, tiers.high, tiers.critical];
        let names = ["tiers.low", "tiers.moderate", "tiers.high", "tiers.critical"];
        let [low, moderate, high, critical] =
            std::array::from_fn(|i| set.get(i).copied().flatten().or(usual.get(i).copied()).unwrap_or(0));
        for ((name, set), usual) in names.into_iter().zip(set).zip(usual) {
            let origin = if set.is_some() { Origin::File } else { Origin::Default };
            self.show((name, ABOUT), set.unwrap_or(usual), origin);
        }
        TierThresholds::new(low, moderate, high, critical).unwrap_or_else(|error: ThresholdError| {
            self.problem("tiers", error.to_string());
            TierThresholds::default()
        })
    }

    fn rules_and_plugins(
        &mut self,
        file: &ConfigFile,
    ) -> (BTreeMap<String, RuleMode>, BTreeMap<String, PluginSetting>) {
        let mut rules = BTreeMap::new();
        for (id, rule) in &file.rules {
            let name = format!("rules.{id}.mode");
            let mode = match rule.mode {
                RuleMode::Enforce => "enforce",
                RuleMode::Shadow => "shadow",
                RuleMode::Off => "off",
            };
            self.show((&name, "whether the rule counts"), mode, Origin::File);
            rules.insert(id.clone(), rule.mode);
        }
        if let Err(error) = clawexchange_detectors::Detectors::new(&rules) {
            self.problem("rules", says(&error));
        }
        let mut plugins = BTreeMap::new();
        for (id, plugin) in &file.plugins {
            if !PLUGINS.contains(&id.as_str()) {
                let nearest = nearest(id, PLUGINS);
                self.problem(
                    &format!("plugins.{id}"),
                    format!("there is no such plugin; the nearest is {nearest}"),
                );
            }
            let on_failure = if plugin.on_failure == file::OnFailure::Ignore {
                PluginFailure::Ignore
            } else {
                PluginFailure::Hold
            };
            let shown = format!("enabled = {}, on_failure = {on_failure:?}", plugin.enabled).to_lowercase();
            self.show(
                (&format!("plugins.{id}"), "whether the plugin runs and what its failure does"),
                shown,
                Origin::File,
            );
            plugins.insert(id.clone(), PluginSetting { enabled: plugin.enabled, on_failure });
        }
        (rules, plugins)
    }
}

/// The plugins that ship.
pub(crate) const PLUGINS: [&str; 5] =
    ["secrets", "personal-data", "attacks", "malicious-code", "obfuscation"];

/// A secret in a file: at most 64 KiB, one line feed at its end does not belong to it.
fn read_secret(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| format!("could not read {}: {e}", path.display()))?;
    file.take(64 << 10)
        .read_to_string(&mut text)
        .map_err(|e| format!("could not read {}: {e}", path.display()))?;
    Ok(text.strip_suffix('\n').map(ToOwned::to_owned).unwrap_or(text))
}

fn says(error: &impl Fault) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The known name that is most like `name`.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> &'a str {
    known.into_iter().min_by_key(|k| strsim::damerau_levenshtein(k, name)).unwrap_or("")
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// The setting.
    pub name: String,
    /// What is wrong with it; never its value if it is a secret.
    pub what: String,
}

impl Problem {
    /// Names a setting and what is wrong with it.
    pub fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into() }
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
        self.problems.iter().try_for_each(|p| write!(f, "\n  {}: {}", p.name, p.what))
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
