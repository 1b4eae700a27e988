//! The commands of the README's first day, run as they stand there.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// The text of the section, and its blocks of shell.
fn section() -> (String, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let begin = readme.find("\n## A first day\n").expect("the README has a first day");
    let rest = &readme[begin + 1..];
    let text = &rest[..rest[3..].find("\n## ").map_or(rest.len(), |end| end + 3)];
    let mut blocks = Vec::new();
    for part in text.split("```sh\n").skip(1) {
        blocks.push(part.split("\n```").next().unwrap().to_owned());
    }
    (text.to_owned(), blocks)
}

/// Two ports that were free a moment ago, and not the same.
fn two_addresses() -> [String; 2] {
    let held = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    held.each_ref().map(|listener| listener.local_addr().unwrap().to_string())
}

/// What each block printed.
fn run(blocks: &[String]) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let [public, admin] = two_addresses();
    let mut script = "set -eu\ntrap 'kill -9 \"$SERVER\" 2>/dev/null || :' EXIT\n".to_owned();
    for block in blocks {
        script += block;
        script += "\nprintf '\\n@@\\n'\n";
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_claw")).parent().unwrap().display().to_string();
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(home.path())
        .env_clear()
        .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap_or_default()))
        .env("HOME", home.path())
        .env("CLAW_LISTEN", public)
        .env("CLAW_ADMIN_LISTEN", admin)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{talk}", output.status);
    said.split("\n@@\n").map(ToOwned::to_owned).collect()
}

#[test]
fn the_first_day_goes_as_the_readme_says() {
    assert!(
        Command::new("curl")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success()),
        "the README's first day speaks to the server with curl: install it to run this test"
    );
    let (text, blocks) = section();
    let said = run(&blocks);
    // What a block must have said, in the order of the blocks.
    let promised: [&[&str]; 10] = [
        &["public  http://127.0.0.1:", "admin   http://127.0.0.1:", "ready: 200 ok"],
        &["market", "platform", "ann", "moderator"],
        &["\"verdict\":\"PASS\""],
        &["202"],
        &["agent-8", "\"status\":\"pending\""],
        &["Ignore all previous instructions", "released", "\"status\":\"released\"", "FALSE_POSITIVE"],
        &["SSG_QUARANTINE", "HUMAN_VIEW_CONTENT", "HUMAN_RELEASE"],
        &[
            "TOKEN_CREATED",
            "SSG_PASS",
            "HUMAN_RELEASE",
            "the logs extend what was pinned",
            "everything is as it was written",
        ],
        &["\"status\":\"ok\"", "claw_gate_verdicts_total{", "append-only"],
        &[],
    ];
    assert_eq!(blocks.len(), promised.len(), "each block has its promise here");
    for (nth, (said, parts)) in said.iter().zip(promised).enumerate() {
        for part in parts {
            assert!(said.to_lowercase().contains(&part.to_lowercase()), "block {nth}: no {part} in\n{said}");
        }
    }
    assert!(!said[8].lines().any(|line| line.starts_with("fail")), "doctor found a failure:\n{}", said[8]);
    for word in ["200, verdict PASS", "202, verdict QUARANTINE", "the platform is told", "finished first"] {
        assert!(text.contains(word), "the text promises {word:?}");
    }
}
