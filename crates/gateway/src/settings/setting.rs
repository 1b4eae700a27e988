//! What one setting is: where it may be set, to what, and what holds otherwise.

use super::value::Kind;
use super::words::{Environment, PolicyProfile};

/// One setting: where it may be set, to what, and what holds otherwise.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its name in the environment.
    pub(crate) env: Option<&'static str>,
    /// Its key in the file, tables first. A part in angle brackets stands for a name.
    pub(crate) key: Option<&'static str>,
    /// Its flag on the command line.
    pub(crate) flag: Option<&'static str>,
    /// What it may be.
    pub(crate) kind: Kind,
    /// What holds where nothing is set.
    pub(crate) usual: Usual,
    /// What it is, in a sentence without its full stop.
    pub(crate) about: &'static str,
}

/// What holds where nothing is set. Texts are written as in the environment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Usual {
    /// No value; the words say what that means.
    Unset(&'static str),
    /// The same everywhere.
    Same(&'static str),
    /// As the environment is: development, staging, production.
    Preset([&'static str; 3]),
    /// As the profile of the policy is: strict, moderate, permissive.
    Profile([&'static str; 3]),
}

impl Usual {
    /// The value, or else the words.
    pub(crate) const fn of(
        self,
        environment: Environment,
        profile: PolicyProfile,
    ) -> Result<&'static str, &'static str> {
        Ok(match self {
            Self::Unset(words) => return Err(words),
            Self::Same(text) => text,
            Self::Preset([development, staging, production]) => match environment {
                Environment::Development => development,
                Environment::Staging => staging,
                Environment::Production => production,
            },
            Self::Profile([strict, moderate, permissive]) => match profile {
                PolicyProfile::Strict => strict,
                PolicyProfile::Moderate => moderate,
                PolicyProfile::Permissive => permissive,
            },
        })
    }
}

impl Setting {
    pub(super) const fn env(name: &'static str, kind: Kind, usual: Usual, about: &'static str) -> Self {
        Self { env: Some(name), key: None, flag: None, kind, usual, about }
    }

    pub(super) const fn file(key: &'static str, kind: Kind, usual: Usual, about: &'static str) -> Self {
        Self { env: None, key: Some(key), flag: None, kind, usual, about }
    }

    pub(super) const fn key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    pub(super) const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    /// What it is called in messages: by its variable, or else by its key.
    pub(crate) fn name(&self) -> &'static str {
        self.env.or(self.key).unwrap_or_default()
    }

    /// Whether what is secret of its value is never shown, and it may also come from a file that `<NAME>_FILE` names.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::MasterKey | Kind::Postgres | Kind::Redis | Kind::Password)
    }

    /// The parts of its key; none if it stands in no file.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.key.into_iter().flat_map(|key| key.split('.'))
    }

    /// Whether its key has a part that stands for a name.
    pub(crate) fn is_named(&self) -> bool {
        self.parts().any(|part| part.starts_with('<'))
    }
}

/// Settings that belong together.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) settings: &'static [&'static Setting],
}
