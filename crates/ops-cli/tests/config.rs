//! What `claw config` says: all problems at once, what holds and where it came from, the example and the schema.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/claw.rs"]
#[expect(dead_code, unreachable_pub, reason = "each test uses a part of it")]
mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::Claw;

const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

fn file(claw: &Claw, text: &str) -> PathBuf {
    let path = claw.home.path().join("claw.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Text that a terminal would obey or misread.
fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)))
}

#[test]
fn a_check_says_ok_and_what_should_be_known() {
    let answer = Claw::on_sqlite().run(&["config", "check"]);
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    assert!(answer.text().starts_with("ok: ") && answer.stderr.is_empty(), "{}", answer.all());
    let claw = Claw::on_sqlite()
        .with("QUARANTINE_ENABLED", "off")
        .with("CLAW_ENV", "staging")
        .with("CLAW_LISTN", "x");
    let answer = claw.run(&["config", "check"]);
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    for note in ["note: QUARANTINE_ENABLED: ", "note: DATABASE_URL: ", "note: CLAW_LISTN is no setting"] {
        assert!(answer.stderr.contains(note), "{note}: {}", answer.stderr);
    }
    let value = claw.json(&["config", "check"]);
    assert_eq!(value["ok"], true);
    assert!(value["notices"].as_array().unwrap().len() >= 5, "{value}");
    assert_eq!(value["unknown"].as_array().unwrap().len(), 1);
}

#[test]
fn a_check_for_programs_lists_each_problem_with_its_line() {
    let claw = Claw::on_sqlite().with("CLAW_LISTEN", "nowhere");
    let path = file(&claw, "[tiers]\nlow = 0\n");
    let answer = claw.run(&["config", "check", "--config", path.to_str().unwrap(), "--output", "json"]);
    assert_eq!(answer.code, Some(78), "{}", answer.all());
    let value = &answer.lines()[0];
    assert_eq!((&value["ok"], &value["error"]["code"]), (&false.into(), &"gateway/configuration".into()));
    let problems = value["problems"].as_array().unwrap();
    let names: Vec<&Value> = problems.iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["CLAW_LISTEN", "tiers.low"]);
    assert_eq!((&problems[0]["line"], &problems[1]["line"]), (&Value::Null, &2.into()));
}

#[test]
fn production_is_refused_with_all_that_mends_it_by_every_command() {
    let claw = Claw::on_sqlite().with("CLAW_ENV", "production").with("CLAW_ADMIN_LISTEN", "0.0.0.0:9090");
    for args in [&["config", "check"][..], &["config", "show"], &["quarantine", "list"], &["inspect", "-"]] {
        let answer = claw.run(args);
        assert_eq!(answer.code, Some(78), "{}", answer.all());
        for name in ["DATABASE_URL", "S3_ENDPOINT", "REDIS_URL", "ENCRYPTION_MASTER_KEY", "CLAW_ADMIN_LISTEN"]
        {
            assert!(answer.stderr.contains(&format!("\n  {name}: ")), "{name}: {}", answer.stderr);
        }
        assert!(answer.stderr.contains("claw keys generate"));
    }
    assert!(!claw.data().exists());
}

#[test]
fn what_holds_is_shown_with_where_it_came_from() {
    let mut claw = Claw::on_sqlite().with("QUARANTINE_EXPIRY_HOURS", "24");
    let path = file(
        &claw,
        "[server]\nlisten = \"127.0.0.1:1\"\nconnections_max = 7\n[rules.email-address]\nmode = \"off\"\n",
    );
    claw.set("CLAW_CONFIG", path.to_str().unwrap());
    let value = claw.json(&["config", "show", "--origin", "--data-dir", "/elsewhere"]);
    let of = |name: &str| {
        let item = value["items"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap();
        (item["value"].as_str().unwrap().to_owned(), item["origin"].as_str().unwrap().to_owned())
    };
    for (name, value, origin) in [
        ("CLAW_DATA_DIR", "/elsewhere", "flag"),
        ("QUARANTINE_EXPIRY_HOURS", "24", "environment"),
        ("CLAW_LISTEN", "127.0.0.1:1", "file"),
        ("CLAW_CONNECTIONS_MAX", "7", "file"),
        ("rules.email-address.mode", "off", "file"),
        ("CLAW_REQUESTS_MAX", "256", "default"),
    ] {
        assert_eq!(of(name), (value.to_owned(), origin.to_owned()), "{name}");
    }
    let plain = claw.run(&["config", "show"]).text();
    assert!(plain.contains("SETTING") && !plain.contains("WHAT IT IS"));
}

#[test]
fn the_example_is_a_file_that_is_taken() {
    let claw = Claw::on_sqlite();
    for args in [&["config", "example"][..], &["config", "example", "--production"]] {
        let example = claw.run(args);
        assert_eq!(example.code, Some(0), "{}", example.all());
        let path = file(&claw, &example.text());
        let check = claw.run(&["config", "check", "--config", path.to_str().unwrap()]);
        assert_eq!(check.code, Some(0), "{}", check.all());
    }
    assert!(claw.run(&["config", "example", "--production"]).text().contains("CLAW_ENV=production"));
    let schema = claw.json(&["config", "schema"]);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["tiers"]["properties"]["low"]["type"], "integer");
}

#[test]
fn descriptions_need_no_settings_that_are_well() {
    let claw = Claw::on_sqlite().with("CLAW_ENV", "nonsense");
    assert_eq!(
        claw.run(&["config", "example"]).code,
        Some(0),
        "whoever has broken settings needs the example most"
    );
    assert_eq!(claw.run(&["config", "schema"]).code, Some(0));
}

#[test]
fn the_key_is_never_printed() {
    let claw = Claw::on_sqlite().with("ENCRYPTION_MASTER_KEY", KEY);
    let path = file(&claw, &format!("[server]\nlisten = \"{KEY}\"\n"));
    let broken = path.to_str().unwrap();
    for args in [
        &["config", "check"][..],
        &["config", "check", "--output", "json"],
        &["config", "show", "--origin"],
        &["config", "show", "--output", "json"],
        &["config", "example", "--production"],
        &["config", "schema"],
        &["config", "check", "--config", broken],
        &["config", "show", "--config", broken, "--output", "json"],
        &["config", "show", "-vv"],
    ] {
        let answer = claw.run(args);
        assert!(!answer.all().contains(&KEY[..20]), "{args:?}: {}", answer.all());
    }
    let cut = Claw::on_sqlite().with("ENCRYPTION_MASTER_KEY", &KEY[..40]);
    for args in [&["config", "check"][..], &["config", "check", "--output", "json"], &["quarantine", "list"]]
    {
        let answer = cut.run(args);
        assert_eq!(answer.code, Some(78));
        assert!(!answer.all().contains(&KEY[..20]), "{args:?}: {}", answer.all());
    }
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    let hostile = "a\u{1b}[2J\u{7}\r\u{202e}b\nerror: forged";
    for name in [
        "CLAW_DATA_DIR",
        "CLAW_LISTEN",
        "ADMIN_USER_ID",
        "CLAW_CONFIG",
        "CLAW_TLS_CERT_FILE",
        "XDG_STATE_HOME",
    ] {
        let value = if name == "XDG_STATE_HOME" { format!("/{hostile}") } else { hostile.to_owned() };
        let claw = Claw::on_sqlite().with(name, &value);
        for args in [&["config", "check"][..], &["config", "show", "--origin"]] {
            let answer = claw.run(args);
            assert!(is_harmless(&answer.text()) && is_harmless(&answer.stderr), "{name}: {:?}", answer.all());
            assert!(!answer.all().contains("\nerror: forged"), "{name}: {:?}", answer.all());
        }
    }
    let claw = Claw::on_sqlite().with(&format!("CLAW_{hostile}"), "x");
    let path = file(&claw, "\"a\\u001b[2J\\u202eb\" = 1\n[tiers]\n\"\\u0007\" = 1\n");
    for args in [&["config", "check"][..], &["config", "check", "--config", path.to_str().unwrap()]] {
        let answer = claw.run(args);
        assert!(is_harmless(&answer.text()) && is_harmless(&answer.stderr), "{:?}", answer.all());
    }
}

#[test]
fn the_reference_is_made_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let made = clawexchange_gateway::Settings::reference();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|set| set == "1") {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/configuration.md is not what the settings say; renew it with UPDATE_DOCS=1 cargo test --test config"
    );
}
