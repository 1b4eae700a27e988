//! Every command that the documents quote is one that the program has, with the flags that it has.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/claw.rs"]
#[expect(dead_code, unreachable_pub, reason = "each test uses a part of it")]
mod support;

use std::path::{Path, PathBuf};

use support::Claw;

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = vec![root.join("README.md"), root.join("crates/ops-cli/README.md")];
    for folder in ["docs", "docs/design"] {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        found.extend(entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    found
}

#[test]
fn quoted_commands_exist_with_their_flags() {
    let claw = Claw::new();
    let mut checked = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for line in text.lines() {
            let line = line.split(" #").next().unwrap_or(line).trim();
            let Some(command) =
                line.strip_prefix("claw ").or_else(|| line.strip_prefix("cargo run --bin claw -- "))
            else {
                continue;
            };
            let words: Vec<&str> = command.split_whitespace().collect();
            let mut help: Vec<&str> = Vec::new();
            for word in words.iter().take(2) {
                if word.starts_with('-') {
                    break;
                }
                let tried: Vec<&str> = help.iter().copied().chain([*word, "--help"]).collect();
                if claw.run(&tried).code != Some(0) {
                    break;
                }
                help.push(word);
            }
            assert!(!help.is_empty(), "{}: no command in {line:?}", document.display());
            help.push("--help");
            let shown = claw.run(&help).text();
            for flag in words.iter().filter(|w| w.starts_with("--") && w.len() > 2) {
                let flag = flag.split('=').next().unwrap_or(flag);
                assert!(shown.contains(flag), "{}: {flag} of {line:?} does not exist", document.display());
            }
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} commands were found");
}

#[test]
fn the_first_command_of_the_readme_names_a_file_that_is_there() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    assert!(readme.contains("cargo run --bin claw -- submit --jsonl examples/posts.jsonl"));
    assert!(support::examples().exists());
}
