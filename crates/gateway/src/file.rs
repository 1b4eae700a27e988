//! The TOML file: no interpolation, no secrets, unknown keys are errors.

use std::collections::BTreeMap;
use std::path::Path;

use clawexchange_ssg_core::RuleMode;
use serde::Deserialize;

use crate::settings::{Problem, nearest};

/// What the file may say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConfigFile {
    pub(crate) tiers: Tiers,
    pub(crate) rules: BTreeMap<String, Rule>,
    pub(crate) plugins: BTreeMap<String, Plugin>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tiers {
    pub(crate) low: Option<u32>,
    pub(crate) moderate: Option<u32>,
    pub(crate) high: Option<u32>,
    pub(crate) critical: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) mode: RuleMode,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Plugin {
    pub(crate) enabled: bool,
    pub(crate) on_failure: OnFailure,
}

impl Default for Plugin {
    fn default() -> Self {
        Self { enabled: true, on_failure: OnFailure::Hold }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    #[default]
    Hold,
    Ignore,
}

/// A settings file is a page or two.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The keys of each table, for messages.
const KEYS: [(&str, &[&str]); 4] = [
    ("", &["tiers", "rules", "plugins"]),
    ("tiers", &["low", "moderate", "high", "critical"]),
    ("rules", &["mode"]),
    ("plugins", &["enabled", "on_failure"]),
];

pub(crate) fn read(path: &Path) -> Result<ConfigFile, Vec<Problem>> {
    let shown = path.display().to_string();
    let problem = |what: String| vec![Problem::new(shown.clone(), what)];
    let about = std::fs::metadata(path).map_err(|e| problem(format!("could not be read: {e}")))?;
    if about.len() > FILE_BYTES_MAX {
        return Err(problem("it is larger than 1 MiB".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|e| problem(format!("could not be read: {e}")))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| problem(e.message().to_owned()))?;
    let unknown = unknown_keys(&table);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    toml::from_str(&text).map_err(|e| {
        let line = e.span().map(|span| text.get(..span.start).unwrap_or("").lines().count().max(1));
        problem(match line {
            Some(line) => format!("line {line}: {}", e.message()),
            None => e.message().to_owned(),
        })
    })
}

/// All keys that mean nothing, with the nearest that does: serde would stop at the first.
fn unknown_keys(table: &toml::Table) -> Vec<Problem> {
    let keys = |of: &str| KEYS.iter().find(|(name, _)| *name == of).map_or(&[][..], |(_, keys)| *keys);
    let mut problems = Vec::new();
    let mut check = |prefix: &str, of: &str, table: &toml::Table| {
        for key in table.keys().filter(|key| !keys(of).contains(&key.as_str())) {
            let nearest = nearest(key, keys(of).iter().copied());
            problems.push(Problem::new(
                format!("{prefix}{key}"),
                format!("there is no such key; the nearest is {nearest}"),
            ));
        }
    };
    check("", "", table);
    if let Some(toml::Value::Table(tiers)) = table.get("tiers") {
        check("tiers.", "tiers", tiers);
    }
    for of in ["rules", "plugins"] {
        if let Some(toml::Value::Table(entries)) = table.get(of) {
            for (id, entry) in entries {
                if let toml::Value::Table(entry) = entry {
                    check(&format!("{of}.{id}."), of, entry);
                }
            }
        }
    }
    problems
}
