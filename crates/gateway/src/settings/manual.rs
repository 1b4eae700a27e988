//! What is written about settings: an example file, its schema, the reference. All of it is made of the table.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use super::refused::NOT_YET;
use super::sections::SECTIONS;
use super::setting::{Setting, Usual};
use super::table;
use super::value::{HOSTS_MAX, Kind, SHARE_MIN, VERIFIER_KEYS_MAX};
use super::words::{Environment, PolicyProfile};

/// Writes a line; a string takes everything.
macro_rules! line {
    ($to:expr $(, $($text:tt)*)?) => {{
        let _written = writeln!($to $(, $($text)*)?);
    }};
}

/// Every setting as a comment at its default, under the tables of the file.
pub(super) fn example(environment: Environment) -> String {
    let mut text = String::new();
    line!(
        text,
        "# Settings of claw, as the environment \"{environment}\" has them. Name this file with --config or CLAW_CONFIG."
    );
    line!(
        text,
        "# A line that begins with `#` and a letter is a setting at its default: take the `#` away to change it."
    );
    line!(text, "# The environment wins over this file, and flags win over both. No secret may stand here.");
    line!(text, "#");
    line!(text, "# The environment:");
    for setting in table::all().filter(|setting| setting.env.is_some()) {
        line!(text, "#   {}={}", variable(setting), value_of(setting, environment));
    }
    let mut open = String::new();
    for setting in table::all() {
        let Some(key) = setting.key else { continue };
        let (path, last) = key.rsplit_once('.').unwrap_or(("", key));
        if path != open {
            path.clone_into(&mut open);
            // A table with a name in it is there once somebody needs it.
            let comment = if path.contains('<') { "# " } else { "" };
            line!(text);
            line!(text, "{comment}[{path}]");
        }
        line!(text, "# {}: {}.", capital(setting.about), setting.kind.expected_in_file());
        match usual(setting, environment) {
            Ok(usual) => line!(text, "#{last} = {}", toml(setting.kind, usual)),
            Err(words) => line!(text, "# {last} is not set: {words}.{}", names(setting)),
        }
    }
    text
}

/// What the part in angle brackets of a key stands for.
fn names(setting: &Setting) -> String {
    let part = setting.parts().find(|part| part.starts_with('<'));
    part.map(|part| format!(" {part} is {}.", names_in_words(part))).unwrap_or_default()
}

fn names_in_words(part: &str) -> String {
    match part {
        // Rules are many, and have a list of their own.
        "<rule>" => "the id of a rule, such as aws-access-key".to_owned(),
        part => format!("one of {}", table::names_of(part).join(", ")),
    }
}

/// The name under which the example sets a variable.
fn variable(setting: &Setting) -> String {
    let name = setting.env.unwrap_or_default();
    if setting.is_secret() { format!("{name}_FILE") } else { name.to_owned() }
}

fn value_of(setting: &Setting, environment: Environment) -> &'static str {
    if setting.env == table::ENV.env {
        environment.as_str()
    } else {
        usual(setting, environment).unwrap_or("")
    }
}

fn usual(setting: &Setting, environment: Environment) -> Result<&'static str, &'static str> {
    setting.usual.of(environment, PolicyProfile::default())
}

/// A default as the file has it.
fn toml(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Boolean | Kind::Number { .. } => text.to_owned(),
        Kind::Share if text != "never" => text.to_owned(),
        Kind::Words(_) | Kind::Networks | Kind::Hosts | Kind::VerifierKeys => {
            let items: Vec<String> = text.split(',').map(|item| format!("\"{item}\"")).collect();
            format!("[{}]", items.join(", "))
        }
        _ => format!("\"{text}\""),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The schema of the file.
pub(super) fn schema() -> Json {
    let mut root = object();
    for setting in table::all() {
        let parts: Vec<&str> = setting.parts().collect();
        if !parts.is_empty() {
            insert(&mut root, &parts, setting);
        }
    }
    root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".to_owned(), "Settings of claw".into());
    Json::Object(root)
}

fn object() -> Map<String, Json> {
    let mut object = Map::new();
    object.insert("type".to_owned(), "object".into());
    object.insert("additionalProperties".to_owned(), false.into());
    object
}

/// Puts a setting where its key leads, and the tables on the way there.
fn insert(table: &mut Map<String, Json>, parts: &[&str], setting: &Setting) {
    let [part, rest @ ..] = parts else { return };
    let place = if part.starts_with('<') {
        // A table may have members of its own beside those that are called by a name.
        let own = table.get("properties").and_then(Json::as_object).into_iter().flat_map(Map::keys).cloned();
        let names: Vec<String> = table::names_of(part).into_iter().chain(own).collect();
        table.insert("propertyNames".to_owned(), json!({ "enum": names }));
        table.entry("additionalProperties")
    } else {
        if let Some(Json::Array(names)) =
            table.get_mut("propertyNames").and_then(|names| names.get_mut("enum"))
            && !names.iter().any(|name| name == part)
        {
            names.push((*part).into());
        }
        let properties = table.entry("properties").or_insert_with(|| json!({}));
        let Json::Object(properties) = properties else { return };
        properties.entry(*part)
    };
    let below = place.or_insert(Json::Null);
    if rest.is_empty() {
        *below = leaf(setting);
        return;
    }
    if !below.is_object() {
        *below = Json::Object(object());
    }
    if let Json::Object(below) = below {
        insert(below, rest, setting);
    }
}

fn leaf(setting: &Setting) -> Json {
    let mut schema = match setting.kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Number { min, max, .. } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Words(words) => json!({
            "type": "array", "items": { "type": "string", "enum": words }, "minItems": 1, "uniqueItems": true
        }),
        Kind::Text { chars_max } => json!({ "type": "string", "minLength": 1, "maxLength": chars_max }),
        Kind::Hosts => json!({ "type": "array", "items": { "type": "string" }, "maxItems": HOSTS_MAX }),
        Kind::VerifierKeys => {
            json!({ "type": "array", "items": { "type": "string" }, "maxItems": VERIFIER_KEYS_MAX })
        }
        Kind::Networks => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Share => json!({ "anyOf": [
            { "type": "integer", "minimum": SHARE_MIN, "maximum": 1000 },
            { "type": "number", "minimum": 0.5, "maximum": 1 },
            { "type": "string" }
        ] }),
        Kind::Path
        | Kind::MasterKey
        | Kind::Postgres
        | Kind::Redis
        | Kind::Password
        | Kind::Id
        | Kind::Address => {
            json!({ "type": "string", "minLength": 1 })
        }
    };
    if let Json::Object(members) = &mut schema {
        let expected = setting.kind.expected_in_file();
        members.insert("description".to_owned(), format!("{}: {expected}.", capital(setting.about)).into());
        if let Ok(usual) = usual(setting, Environment::default()) {
            members.insert("default".to_owned(), default(setting.kind, usual));
        }
    }
    schema
}

fn default(kind: Kind, text: &str) -> Json {
    match kind {
        Kind::Boolean => Json::Bool(text == "true"),
        Kind::Number { .. } => text.parse::<u64>().map_or(Json::Null, Json::from),
        Kind::Words(_) | Kind::Networks | Kind::Hosts | Kind::VerifierKeys => text.split(',').collect(),
        _ => text.into(),
    }
}

/// Everything about every setting, for people.
pub(super) fn reference() -> String {
    let mut text = String::from(HEAD);
    for section in &SECTIONS {
        line!(text, "\n## {}\n", section.title);
        line!(text, "| variable | key of the file | flag | what it is | what it may be | default |");
        line!(text, "| --- | --- | --- | --- | --- | --- |");
        for setting in section.settings {
            let in_file_only = setting.env.is_none();
            let expected =
                if in_file_only { setting.kind.expected_in_file() } else { setting.kind.expected() };
            let secret = if setting.is_secret() {
                format!(", or {}", code(&variable(setting)))
            } else {
                String::new()
            };
            line!(
                text,
                "| {}{secret} | {} | {} | {} | {} | {} |",
                setting.env.map(code).unwrap_or_default(),
                setting.key.map(code).unwrap_or_default(),
                setting.flag.map(code).unwrap_or_default(),
                cell(setting.about),
                cell(&expected),
                cell(&said(setting.usual)),
            );
        }
    }
    line!(text, "\n## Names in keys\n");
    for part in ["<type>", "<category>", "<plugin>", "<rule>"] {
        line!(text, "- {} is {}.", code(part), names_in_words(part));
    }
    line!(text, "\n## What this version refuses\n");
    line!(
        text,
        "Each of these, and the same with `_FILE`, ends with exit code 78: who sets a server wants no other.\n"
    );
    line!(text, "| variable | would be |\n| --- | --- |");
    for (name, what) in NOT_YET {
        line!(text, "| `{name}` | {what} |");
    }
    text.push_str(TAIL);
    text
}

fn said(usual: Usual) -> String {
    match usual {
        Usual::Unset(words) => words.to_owned(),
        Usual::Same(text) => code(text),
        Usual::Preset([development, staging, production]) => {
            format!(
                "development {}, staging {}, production {}",
                code(development),
                code(staging),
                code(production)
            )
        }
        Usual::Profile([strict, moderate, permissive]) => {
            format!("strict {}, moderate {}, permissive {}", code(strict), code(moderate), code(permissive))
        }
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Text in a table of Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

const HEAD: &str = "\
# Configuration

This page is made of the table of settings in `crates/gateway/src/settings/table.rs`; change it there.

A setting comes from its default, from the file, from the environment or from a flag; later ones win.
The file is TOML and is named by `CLAW_CONFIG` or `--config`; no secret may stand in it, nothing in it is interpolated, and a key that means nothing is an error that names the nearest one.
An empty variable counts as not set.
A list is separated by commas in the environment and is an array in the file.
Everything that is wrong is said at once, with variable, or key and line; the exit code is then 78.

```sh
claw config check                    # all problems, or all notices
claw config show --origin            # what holds, and where it came from
claw config example --production     # a file with every setting at its default
claw config schema                   # JSON Schema of the file, for editors
```
";

const TAIL: &str = "
## Environments

Production is for deployments that others depend on.
It refuses, all at once and each with what mends it: rows in SQLite, a database beyond this machine that need not prove its name by a certificate, held content in files, a bucket beyond this machine without TLS, limits counted in one process, a Redis beyond this machine that is asked without TLS unless CLAW_REDIS_PLAINTEXT says so, a generated master key, listening beyond this machine without TLS or a named proxy, and verdicts that are not logged without a stated reason.
Staging says the same as notices and runs.
Development says no more than that an address is open.
A switch that is off and a gate that only watches are said at every start, wherever they are.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{Given, origin};
    use crate::settings::{Origin, Settings};

    /// As much of JSON Schema as the schema uses.
    fn check(schema: &Json, value: &Json, at: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{at}: {what}: {value}"));
        if let Some(any) = schema["anyOf"].as_array() {
            return if any.iter().any(|s| check(s, value, at).is_ok()) { Ok(()) } else { wrong("none fits") };
        }
        let is_type = match schema["type"].as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            other => panic!("{at}: unknown type {other}"),
        };
        if !is_type {
            return wrong("another type");
        }
        let number = value.as_f64();
        if schema["minimum"].as_f64().is_some_and(|min| number < Some(min)) {
            return wrong("too small");
        }
        if schema["maximum"].as_f64().is_some_and(|max| number > Some(max)) {
            return wrong("too large");
        }
        if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            return wrong("no such word");
        }
        for item in value.as_array().into_iter().flatten() {
            check(&schema["items"], item, at)?;
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            if let Some(known) = schema["properties"].get(name) {
                check(known, member, &at)?;
            } else if schema["additionalProperties"].is_object() {
                let names = schema["propertyNames"]["enum"].as_array().unwrap();
                if !names.iter().any(|known| known == name) {
                    return Err(format!("{at}: no such name"));
                }
                check(&schema["additionalProperties"], member, &at)?;
            } else {
                return Err(format!("{at}: no such key"));
            }
        }
        Ok(())
    }

    fn json_of(toml: &str) -> Json {
        serde_json::to_value(toml::from_str::<toml::Table>(toml).unwrap()).unwrap()
    }

    /// The example with every default standing.
    fn uncommented(environment: Environment) -> String {
        let stands = |line: &str| {
            let setting = line.strip_prefix('#').filter(|rest| rest.starts_with(char::is_alphabetic));
            setting.unwrap_or(line).to_owned() + "\n"
        };
        example(environment).lines().map(stands).collect()
    }

    #[test]
    fn the_example_is_valid_by_the_schema() {
        for environment in Environment::ALL {
            for text in [example(environment), uncommented(environment)] {
                assert_eq!(check(&schema(), &json_of(&text), ""), Ok(()), "{environment}");
            }
            assert!(uncommented(environment).contains("\nlisten = \"127.0.0.1:8080\"\n"));
        }
    }

    #[test]
    fn the_schema_refuses_what_reading_refuses() {
        for wrong in [
            "nonsense = 1",
            "[tiers]\nlow = \"1\"",
            "[tiers]\nlow = 0",
            "[server]\nconnections_max = 65537",
            "[rules.nonsense]\nmode = \"off\"",
            "[rules.aws-access-key]\nmode = \"of\"",
            "[policy]\ncontent_types = [\"LETTER\"]",
            "[policy.categories]\ncredentials = \"pass\"",
            "[moderation.bot_release_confidence]\nHIGH = 2",
        ] {
            assert!(check(&schema(), &json_of(wrong), "").is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_key_is_in_the_schema_and_in_the_example() {
        let (schema, example) = (schema(), example(Environment::Development));
        for setting in table::all().filter(|setting| setting.key.is_some()) {
            let mut place = &schema;
            for part in setting.parts() {
                place = if part.starts_with('<') {
                    &place["additionalProperties"]
                } else {
                    &place["properties"][part]
                };
            }
            assert!(place["description"].is_string(), "{:?} is not in the schema", setting.key);
            let last = setting.parts().last().unwrap();
            assert!(
                example.contains(&format!("#{last} = ")) || example.contains(&format!("# {last} is not set")),
                "{:?} is not in the example",
                setting.key
            );
        }
    }

    #[test]
    fn the_reference_names_every_setting_and_every_refusal() {
        let reference = reference();
        for setting in table::all() {
            for name in [setting.env, setting.key, setting.flag].into_iter().flatten() {
                assert!(reference.contains(&code(name)), "{name}");
            }
        }
        for (name, _) in NOT_YET {
            assert!(reference.contains(&code(name)), "{name}");
        }
    }

    #[test]
    fn the_example_reads_back_as_the_default() {
        let values = |settings: &Settings| -> Vec<_> {
            settings
                .shown()
                .iter()
                .filter(|s| s.name != "CLAW_CONFIG")
                .map(|s| (s.name.clone(), s.value.clone()))
                .collect()
        };
        let usual = values(&Given::env(&[]).good());
        assert_eq!(values(&Given::file(&example(Environment::Development)).good()), usual);
        let standing = uncommented(Environment::Development);
        let settings = Given::file(&standing).good();
        assert_eq!(values(&settings), usual);
        assert_eq!(origin(&settings, "CLAW_LISTEN").0, Origin::File, "the settings do stand");
        for text in [example(Environment::Production), uncommented(Environment::Production)] {
            let staging = Given::env(&[("CLAW_ENV", "staging")]).and_file(&text).good();
            assert_eq!(staging.healthchecks, Some(std::time::Duration::from_mins(5)));
        }
    }
}
