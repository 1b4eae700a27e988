//! Every command that the documents quote is one that the program has, with the flags that it has.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/claw.rs"]
#[expect(dead_code, unreachable_pub, reason = "each test uses a part of it")]
mod support;

use std::collections::HashMap;
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

/// What a line quotes: it is a command itself, or has commands between backquotes.
fn commands(line: &str) -> impl Iterator<Item = &str> {
    let whole = line.split(" #").next().unwrap_or(line).trim();
    std::iter::once(whole).chain(line.split('`').skip(1).step_by(2)).filter_map(|text| {
        text.strip_prefix("claw ").or_else(|| text.strip_prefix("cargo run --bin claw -- "))
    })
}

#[test]
fn quoted_commands_exist_with_their_flags() {
    let claw = Claw::new();
    let (mut checked, mut helps) = (0, HashMap::new());
    let whole = claw.run(&["--help"]).text();
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for command in text.lines().flat_map(commands) {
            let mut words = command.split_whitespace().peekable();
            let (mut asked, mut shown) = (Vec::new(), whole.clone());
            // Where there are subcommands, the next word is one of them.
            while shown.contains("Commands:") {
                let is_command = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
                let Some(word) = words.next_if(is_command) else { break };
                asked.push(word);
                shown = helps
                    .entry(asked.clone().join(" "))
                    .or_insert_with(|| {
                        let run = claw.run(&[&asked[..], &["--help"]].concat());
                        assert_eq!(run.code, Some(0), "{}: no such command: {command:?}", document.display());
                        run.text()
                    })
                    .clone();
            }
            for flag in words.filter(|w| w.starts_with("--") && w.len() > 2) {
                let flag = flag.split('=').next().unwrap_or(flag);
                assert!(shown.contains(flag), "{}: {flag} of {command:?} does not exist", document.display());
            }
            checked += 1;
        }
    }
    assert!(checked >= 50, "only {checked} commands were found");
}

#[test]
fn the_first_command_of_the_readme_names_a_file_that_is_there() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    assert!(readme.contains("cargo run --bin claw -- submit --jsonl examples/posts.jsonl"));
    assert!(support::examples().exists());
}
