//! Who may name whom. The table is that of docs/ARCHITECTURE.md; cargo says what is so.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const PREFIX: &str = "clawexchange-";

/// A crate, the crates of ours that it may name, and of these the ones that it may name behind a feature only.
struct Room {
    name: &'static str,
    may_name: &'static [&'static str],
    only_optional: &'static [&'static str],
}

const fn room(name: &'static str, may_name: &'static [&'static str]) -> Room {
    Room { name, may_name, only_optional: &[] }
}

const ROOMS: [Room; 12] = [
    room("ssg-core", &[]),
    room("detectors", &["ssg-core"]),
    room("database", &["ssg-core"]),
    room("audit", &["ssg-core", "database"]),
    room("quarantine", &["ssg-core", "database"]),
    Room { name: "rate-limiter", may_name: &["ssg-core", "database"], only_optional: &["database"] },
    room("moderation", &["ssg-core", "database", "quarantine"]),
    room("migrations", &["ssg-core", "database", "audit", "quarantine", "rate-limiter", "moderation"]),
    room(
        "gateway",
        &[
            "ssg-core",
            "detectors",
            "database",
            "audit",
            "quarantine",
            "rate-limiter",
            "moderation",
            "migrations",
        ],
    ),
    room(
        "ops-cli",
        &[
            "ssg-core",
            "detectors",
            "database",
            "audit",
            "quarantine",
            "rate-limiter",
            "moderation",
            "migrations",
            "gateway",
        ],
    ),
    room(
        "testkit",
        &[
            "ssg-core",
            "detectors",
            "database",
            "audit",
            "quarantine",
            "rate-limiter",
            "moderation",
            "migrations",
            "gateway",
        ],
    ),
    room("xtask", &[]),
];

/// Libraries that only some crates may name, whatever the feature.
const FOREIGN: [(&str, &[&str]); 7] = [
    // What speaks SQL; its types stand in nobody's public signatures but those of database.
    ("sea-orm", &["database", "audit", "quarantine", "rate-limiter", "moderation"]),
    ("sea-orm-migration", &["database"]),
    ("ring", &["database", "audit", "quarantine", "moderation"]),
    ("rust-s3", &["quarantine"]),
    // Objects in a bucket, and the classifier that may be asked.
    ("reqwest", &["quarantine", "gateway"]),
    ("deadpool-redis", &["rate-limiter"]),
    ("redis", &[]),
];

/// Libraries that reach outside the process. A detector is a function of its text.
const INPUT_OUTPUT: [&str; 14] = [
    "tokio",
    "mio",
    "socket2",
    "async-std",
    "smol",
    "hyper",
    "reqwest",
    "ureq",
    "axum",
    "tower",
    "rustix",
    "sqlx",
    "rusqlite",
    "libsqlite3-sys",
];

#[test]
fn each_crate_names_only_the_crates_that_the_table_allows_it() {
    for package in packages() {
        let room = room_of(&package);
        for dependency in ours(&package).filter(|d| kind(d) != "dev") {
            let named = short(text(dependency, "name"));
            assert!(
                room.may_name.contains(&named),
                "{} may not name {named}: move what it needs to a crate that both may name, or behind a port of \
                 ssg-core; the table is ROOMS in xtask/tests/layers.rs",
                room.name,
            );
            assert!(
                !room.only_optional.contains(&named) || dependency["optional"] == true,
                "{} may name {named} behind a feature only: make the dependency optional",
                room.name,
            );
        }
    }
}

#[test]
fn the_table_has_a_row_for_each_crate() {
    for package in packages() {
        let name = short(text(&package, "name")).to_owned();
        assert!(
            ROOMS.iter().any(|room| room.name == name),
            "{name} has no row in ROOMS in xtask/tests/layers.rs: say there whom it may name"
        );
    }
}

#[test]
fn the_core_names_no_database_no_network_and_no_cipher() {
    let package = package("ssg-core");
    for dependency in dependencies(&package).filter(|d| kind(d) != "dev") {
        let name = text(dependency, "name");
        for banned in ["sea-orm", "sea-orm-migration", "sqlx", "redis", "deadpool-redis", "rust-s3", "ring"] {
            assert_ne!(
                name, banned,
                "ssg-core may not name {name}: give it a port and name {name} behind that"
            );
        }
        assert!(
            !["axum", "axum-core", "tower", "http"].contains(&name) || dependency["optional"] == true,
            "ssg-core may name {name} behind feature `http` only: make it optional"
        );
    }
}

#[test]
fn detectors_reach_nothing_outside_the_process() {
    for dependency in dependencies(&package("detectors")).filter(|d| kind(d) != "dev") {
        let name = text(dependency, "name");
        assert!(
            !INPUT_OUTPUT.contains(&name),
            "detectors may not name {name}: a detector is a function of its text and can be used alone"
        );
    }
    // tokio comes with the core for its timers; what would let it touch a file or a socket must not.
    for (name, version) in tree("detectors") {
        assert!(
            name == "tokio" || !INPUT_OUTPUT.contains(&name.as_str()),
            "detectors pull in {name} {version}: find out through whom with `cargo tree -p \
             clawexchange-detectors -i {name}` and turn that feature off"
        );
    }
}

#[test]
fn only_the_rooms_that_must_name_a_heavy_library() {
    for package in packages() {
        let name = short(text(&package, "name")).to_owned();
        for dependency in dependencies(&package).filter(|d| kind(d) != "dev") {
            let library = text(dependency, "name");
            if let Some((_, rooms)) = FOREIGN.iter().find(|(foreign, _)| *foreign == library) {
                assert!(
                    rooms.contains(&name.as_str()),
                    "{name} may not name {library}: ask the crate that does, one of {rooms:?}"
                );
            }
        }
    }
}

#[test]
fn the_test_kit_is_a_dependency_of_tests_alone() {
    for package in packages() {
        for dependency in ours(&package).filter(|d| text(d, "name") == "clawexchange-testkit") {
            let name = text(&package, "name");
            assert_eq!(
                kind(dependency),
                "dev",
                "{name} ships the test kit: name it under [dev-dependencies]"
            );
        }
    }
}

#[test]
fn test_dependencies_on_the_workspace_carry_no_version_so_that_publishing_has_no_cycles() {
    for package in packages() {
        for dependency in ours(&package) {
            let (name, on) = (text(&package, "name"), text(dependency, "name"));
            let is_published = package["publish"].is_null();
            if kind(dependency) == "dev" {
                assert_eq!(
                    text(dependency, "req"),
                    "*",
                    "{name} names {on} for its tests with a version: write `{on} = {{ path = \"…\" }}` instead of \
                     `workspace = true`, or neither can be published before the other"
                );
            } else if is_published {
                assert_ne!(
                    text(dependency, "req"),
                    "*",
                    "{name} names {on} without a version and cannot be published: write `workspace = true`"
                );
            }
        }
    }
}

#[test]
fn the_core_alone_pulls_in_fewer_than_40_crates() {
    let crates = tree("ssg-core");
    assert!(
        crates.len() < 40,
        "ssg-core pulls in {} crates and may pull in 39: take the newest out again, or put it behind a feature\n{crates:#?}",
        crates.len(),
    );
}

#[test]
fn no_profile_turns_a_panicking_plugin_into_the_end_of_the_process() {
    let root = root();
    let mut files: Vec<PathBuf> =
        packages().iter().map(|package| PathBuf::from(text(package, "manifest_path"))).collect();
    files.extend([root.join("Cargo.toml"), root.join(".cargo/config.toml")]);
    for file in files {
        let settings = std::fs::read_to_string(&file).unwrap();
        for line in settings.lines() {
            let setting: String =
                line.split('#').next().unwrap_or("").chars().filter(|c| !c.is_whitespace()).collect();
            assert!(
                !setting.contains("panic=\"abort\"") && !setting.contains("panic=abort"),
                "{} sets panic to abort: leave it at unwind, or one plugin that panics ends the process",
                file.display(),
            );
        }
    }
}

#[test]
fn every_crate_can_be_published_as_it_is() {
    for package in packages() {
        let (name, folder) = (text(&package, "name"), folder_of(&package));
        for member in ["description", "license"] {
            assert!(
                !text(&package, member).is_empty(),
                "{name} has no {member}: write it into {}/Cargo.toml",
                folder.display()
            );
        }
        assert_eq!(
            text(&package, "license"),
            "MIT OR Apache-2.0",
            "{name} has another licence: `license.workspace = true`"
        );
        assert_eq!(
            text(&package, "edition"),
            "2024",
            "{name} has another edition: `edition.workspace = true`"
        );
        assert_eq!(
            text(&package, "rust_version"),
            "1.95",
            "{name} promises another Rust: `rust-version.workspace = true`"
        );
        if package["publish"].is_null() {
            for paper in ["README.md", "CHANGELOG.md"] {
                assert!(
                    folder.join(paper).is_file(),
                    "{name} has no {paper}: write {}/{paper} for its users",
                    folder.display()
                );
            }
        }
    }
}

#[test]
fn every_crate_is_under_the_one_lint_table() {
    for package in packages() {
        let manifest = std::fs::read_to_string(text(&package, "manifest_path")).unwrap();
        let lints = manifest.lines().skip_while(|line| line.trim() != "[lints]").nth(1);
        assert_eq!(
            lints.map(str::trim),
            Some("workspace = true"),
            "{} is outside the lint table: end its Cargo.toml with `[lints]` and `workspace = true`",
            text(&package, "name")
        );
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn packages() -> Vec<Value> {
    let mut metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).unwrap();
    let packages: Vec<Value> = serde_json::from_value(metadata["packages"].take()).unwrap();
    assert!(packages.len() >= 2, "cargo names no packages");
    packages
}

fn package(name: &str) -> Value {
    packages().into_iter().find(|p| short(text(p, "name")) == name).unwrap()
}

/// All crates that a package is built of, itself not counted: name and version.
fn tree(name: &str) -> BTreeSet<(String, String)> {
    let package = format!("{PREFIX}{name}");
    let listed = cargo(&["tree", "-p", &package, "-e", "normal,build", "--prefix", "none"]);
    let crates = listed.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    crates.filter(|(name, _)| *name != package).collect()
}

fn room_of(package: &Value) -> &'static Room {
    let name = short(text(package, "name"));
    ROOMS.iter().find(|room| room.name == name).unwrap_or_else(|| panic!("{name} has no row in ROOMS"))
}

fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"].as_array().unwrap().iter()
}

fn ours(package: &Value) -> impl Iterator<Item = &Value> {
    dependencies(package).filter(|d| text(d, "name").starts_with(PREFIX))
}

/// `normal`, `build` or `dev`.
fn kind(dependency: &Value) -> &str {
    dependency["kind"].as_str().unwrap_or("normal")
}

fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or("")
}

fn folder_of(package: &Value) -> PathBuf {
    Path::new(text(package, "manifest_path")).parent().unwrap().to_owned()
}
