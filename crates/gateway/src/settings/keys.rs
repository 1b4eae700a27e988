//! Where the master keys come from: one given, a file of several, a command, or none of these.

use super::reader::Reader;
use super::table;
use super::value::Value;
use super::words::KeySource;
use super::{Settings, setting};

impl Reader<'_> {
    pub(super) fn key_source(&mut self) -> KeySource {
        let given = match self.value(&table::KEY) {
            Some(Value::MasterKey(key)) => Some(KeySource::Given(key)),
            _ => None,
        };
        let file = self.path(&table::KEYRING).map(KeySource::File);
        let deadline = self.seconds(&table::KEY_COMMAND_TIMEOUT);
        let command = self.text(&table::KEY_COMMAND).and_then(|text| match words(&text) {
            Some(argv) => Some(KeySource::Command { argv, deadline }),
            None => {
                self.problem(
                    table::KEY_COMMAND.name(),
                    "it is not the absolute path of a program and its arguments",
                );
                None
            }
        });
        let key = table::KEY.name();
        let set: Vec<&str> = [
            (key, self.is_set(key) || self.is_set(&format!("{key}_FILE"))),
            (table::KEYRING.name(), file.is_some()),
            (table::KEY_COMMAND.name(), self.is_set(table::KEY_COMMAND.name())),
        ]
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name))
        .collect();
        if let [one, .., other] = set.as_slice() {
            self.problem(other, format!("{one} is set too; master keys come from one of them"));
        }
        given.or(file).or(command).unwrap_or(KeySource::Generated)
    }
}

/// A program and its arguments: a JSON array, or words with spaces between them.
fn words(text: &str) -> Option<Vec<String>> {
    let argv: Vec<String> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).ok()?
    } else {
        text.split_ascii_whitespace().map(ToOwned::to_owned).collect()
    };
    argv.first().filter(|program| std::path::Path::new(program).is_absolute())?;
    Some(argv)
}

impl Settings {
    /// Names of variables with secrets: no program that is started needs them.
    pub(crate) fn secret_variables() -> Vec<String> {
        let secrets = table::all().filter(|setting| setting.is_secret());
        secrets.filter_map(|setting: &setting::Setting| setting.env).map(ToOwned::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_words_or_a_json_array_and_has_a_path() {
        let argv = |text: &str| words(text).unwrap().join("|");
        assert_eq!(argv("/bin/keys --mount transit"), "/bin/keys|--mount|transit");
        assert_eq!(argv(r#"["/bin/key program","--a b"]"#), "/bin/key program|--a b");
        for bad in ["", "keys", "./keys", "[]", "[1]", "[\"keys\"]", "[\"/bin/keys\"", " "] {
            assert!(words(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn no_secret_is_handed_to_the_command() {
        let names = Settings::secret_variables();
        for name in ["ENCRYPTION_MASTER_KEY", "DATABASE_URL", "DB_PASSWORD", "CLAW_MIGRATE_DATABASE_URL"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }
}
