//! What the registry and docs.rs read of each crate that is published.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// How many keywords the registry takes, and how long one may be.
const KEYWORDS_MAX: usize = 5;
const KEYWORD_LENGTH_MAX: usize = 20;

/// Categories of the registry that fit any of our crates; another one is looked up there before it is added here.
const CATEGORIES: [&str; 10] = [
    "algorithms",
    "asynchronous",
    "authentication",
    "command-line-utilities",
    "cryptography",
    "database",
    "parsing",
    "text-processing",
    "web-programming",
    "web-programming::http-server",
];

#[test]
fn the_registry_takes_the_metadata_of_every_crate() {
    for package in published() {
        let name = package["name"].as_str().unwrap();
        let words = |member: &str| {
            package[member].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect::<Vec<_>>()
        };
        let keywords = words("keywords");
        assert!(
            (1..=KEYWORDS_MAX).contains(&keywords.len()),
            "{name} has {} keywords and may have {KEYWORDS_MAX}",
            keywords.len()
        );
        for keyword in keywords {
            let is_taken = keyword.len() <= KEYWORD_LENGTH_MAX
                && keyword.starts_with(|c: char| c.is_ascii_alphabetic())
                && keyword.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            assert!(is_taken, "{name}: the registry does not take the keyword {keyword}");
        }
        let categories = words("categories");
        assert!(!categories.is_empty(), "{name} has no categories: say where its users look for it");
        for category in categories {
            assert!(
                CATEGORIES.contains(&category),
                "{name}: {category} is not in CATEGORIES in xtask/tests/packages.rs"
            );
        }
        let description = package["description"].as_str().unwrap_or("");
        assert!(
            !description.is_empty() && !description.contains('\n'),
            "{name} needs a description of one line"
        );
        for (member, value) in [("readme", "README.md"), ("license", "MIT OR Apache-2.0")] {
            assert_eq!(package[member], value, "{name}: {member}");
        }
        assert!(package["repository"].is_string(), "{name} needs `repository.workspace = true`");
    }
}

#[test]
fn the_documentation_of_every_crate_is_built_with_all_features() {
    for package in published() {
        assert_eq!(
            package["metadata"]["docs"]["rs"],
            json!({ "all-features": true, "rustdoc-args": ["--cfg", "docsrs"] }),
            "{}: [package.metadata.docs.rs]",
            package["name"]
        );
    }
}

#[test]
fn every_package_holds_what_the_workspace_lists_and_nothing_else() {
    for package in published() {
        let manifest = std::fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        assert!(
            manifest.contains("\ninclude.workspace = true\n"),
            "{} needs `include.workspace = true`: without it tests and their data go out too",
            package["name"]
        );
    }
}

/// The crates that are published, as cargo describes them.
fn published() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = ["metadata", "--format-version", "1", "--no-deps"];
    let output = Command::new(cargo).args(metadata).current_dir(root()).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let published: Vec<_> = packages.iter().filter(|p| p["publish"].is_null()).cloned().collect();
    assert!(published.len() > 2, "cargo names no packages");
    published
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
