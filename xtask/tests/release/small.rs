//! A workspace of three crates, released again and again: a kit, a library on it, a program on both.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::sandbox::{Answer, REGISTRY, Sandbox, cargo};

#[test]
fn without_a_tag_everything_is_a_first_release_in_an_order_that_can_be_published() {
    let small = small();
    let plan = small.plan(&[]);
    let row = |member: &str| plan.iter().map(|step| step[member].clone()).collect::<Vec<_>>();
    assert_eq!(row("crate"), ["clawexchange-kit", "clawexchange-mid", "clawexchange-top"]);
    assert_eq!(row("next"), ["0.1.0"; 3]);
    assert_eq!(row("semver"), ["first release"; 3]);
    assert_eq!(plan[0]["dependents"], json!(["mid", "top"]));
    let table = small.release(&["plan", "top"]).expect("one crate can be asked for");
    assert!(table.stdout.starts_with("crate"), "{}", table.stdout);
    assert!(table.stderr.contains("top is built of mid, which was never released"), "{}", table.stderr);
    small.release(&["plan", "tip"]).expect_refusal("no crate that is published is called tip");
}

#[test]
fn a_preparation_is_shown_first_and_written_when_it_is_asked_for() {
    let small = small();
    let shown = small.release(&["prepare"]).expect("a dry run");
    assert!(shown.stdout.contains("-## 0.1.0 - unreleased\n+## 0.1.0 - 2"), "{}", shown.stdout);
    assert_eq!(small.git(&["status", "--porcelain"]), "", "nothing was written");
    small.write("kit/src/lib.rs", "pub fn other() {}\n");
    small.release(&["prepare", "--execute"]).expect_refusal("not committed: kit/src/lib.rs");
    small.git(&["restore", "."]);
    let written = small.release(&["prepare", "--execute"]).expect("a preparation");
    assert_eq!(written.stdout, shown.stdout, "what was shown is what is done");
    assert_eq!(small.git(&["diff", "--name-only"]).lines().count(), 3);
    let again = small.release(&["prepare"]).expect("a second one");
    assert_eq!(again.stdout, "", "it is prepared");
}

#[test]
fn nothing_is_uploaded_while_anything_speaks_against_it() {
    let small = small();
    small.publish(&[]).expect_refusal("kit: its changelog says unreleased");
    prepare(&small, &[]);
    small.write("kit/src/lib.rs", "pub fn other() {}\n");
    small.publish(&[]).expect_refusal("not committed: kit/src/lib.rs");
    small.git(&["restore", "."]);
    small
        .release(&["publish", "--registry", REGISTRY, "--execute"])
        .expect_refusal("no token: set CARGO_REGISTRIES_LOCAL_TOKEN");
    small.publish(&["top"]).expect_refusal("top: is built of kit 0.1.0, which is not published: name it too");
    small.write("kit/src/server.pem", "a key that a test left behind");
    small.commit("Leave a key behind");
    small.publish(&[]).expect_refusal("kit: its package has src/server.pem");
    assert!(small.registry.uploaded().is_empty() && small.tags().is_empty());
}

#[test]
fn a_rehearsal_uploads_nothing_and_needs_no_token() {
    let small = small();
    prepare(&small, &[]);
    let answer = small.release(&["publish", "--registry", REGISTRY, "--no-verify"]).expect("a rehearsal");
    assert_eq!(answer.stdout.matches("would upload").count(), 3, "{}", answer.stdout);
    assert!(small.registry.uploaded().is_empty() && small.tags().is_empty());
}

#[test]
fn crates_are_uploaded_after_what_they_need_tagged_and_never_twice() {
    let small = small();
    prepare(&small, &[]);
    let answer = small.publish(&["--output", "json"]).expect("a release");
    let report: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(
        report["items"][2],
        json!({ "crate": "clawexchange-top", "version": "0.1.0", "outcome": "uploaded" })
    );
    assert_eq!(small.registry.uploaded(), FIRST);
    assert_eq!(small.tags(), ["kit-v0.1.0", "mid-v0.1.0", "top-v0.1.0"]);
    assert_eq!(small.git(&["cat-file", "-t", "kit-v0.1.0"]), "tag", "with a date and a name");
    let remote = small.beside("remote").display().to_string();
    small.git(&["init", "--quiet", "--bare", &remote]);
    let again = small.publish(&["--push", &remote]).expect("a second run");
    assert_eq!(again.stdout.matches("there already").count(), 3, "{}", again.stdout);
    assert_eq!(small.registry.uploaded(), FIRST);
    let pushed = small.git(&["ls-remote", "--tags", "--refs", &remote]);
    assert_eq!(pushed.lines().count(), 3, "tags that an earlier run could not push: {pushed}");
}

#[test]
fn an_ill_registry_is_tried_again_and_not_for_ever() {
    let small = small();
    prepare(&small, &[]);
    small.registry.refuse_next(2, 503);
    small.publish(&["kit"]).expect("the third attempt");
    small.registry.refuse_next(3, 503);
    let answer = small.publish(&[]).expect_refusal("clawexchange-mid was not uploaded, attempt 3");
    assert!(answer.stderr.contains("run the same command again"), "{}", answer.stderr);
    let outcomes: Vec<_> =
        answer.stdout.lines().skip(1).filter_map(|line| line.split("0.1.0").nth(1)).collect();
    assert_eq!(
        outcomes.iter().map(|o| o.trim()).collect::<Vec<_>>(),
        ["there already", "failed", "not tried"]
    );
    small.publish(&[]).expect("the same command again");
    assert_eq!(small.registry.uploaded(), FIRST);
    assert_eq!(small.tags().len(), 3);
}

#[test]
fn a_refusal_that_will_not_pass_is_not_tried_again() {
    let small = small();
    prepare(&small, &[]);
    let mut wrong = small.publish_command(&[]);
    wrong.env("CARGO_REGISTRIES_LOCAL_TOKEN", "wrong");
    let answer = small.run(&mut wrong).expect_refusal("clawexchange-kit was not uploaded, attempt 1");
    assert!(answer.stderr.contains("the token is missing or is not the one"), "{}", answer.stderr);
    assert!(!answer.stderr.contains("wrong"), "the token is not repeated: {}", answer.stderr);
    small.registry.refuse_next(1, 429);
    small.publish(&[]).expect_refusal("the registry wants you to wait");
    assert!(small.registry.uploaded().is_empty() && small.tags().is_empty());
}

#[test]
fn a_run_that_is_killed_between_upload_and_tag_is_finished_by_the_next() {
    let small = small();
    prepare(&small, &[]);
    small.publish_and_kill_after(2);
    assert_eq!(small.registry.uploaded(), FIRST[..2], "the second is there and its uploader does not know");
    assert_eq!(small.tags(), ["kit-v0.1.0"]);
    let released = small.git(&["rev-parse", "HEAD"]);
    small.write("notes.md", "meanwhile\n");
    small.commit("Work on");
    let answer = small.publish(&[]).expect("the same command again");
    assert_eq!(answer.stdout.matches("there already").count(), 2, "{}", answer.stdout);
    assert_eq!(small.registry.uploaded(), FIRST);
    assert_eq!(
        small.git(&["rev-parse", "mid-v0.1.0^{commit}"]),
        released,
        "what it was made of, not what came after"
    );
    assert_eq!(small.tags().len(), 3);
}

#[test]
fn what_breaks_moves_its_dependents_and_what_does_not_moves_none() {
    let small = released();
    small.write("kit/src/lib.rs", "pub fn better() {}\n");
    entry(&small, "kit", "### Added\n\n- Something.\n");
    small.commit("Add something");
    let plan = small.plan(&["--no-semver-check"]);
    assert_eq!(next(&plan), [json!("0.1.1"), Value::Null, Value::Null]);
    assert_eq!(plan[0]["why"], "own changes: ### Added, so patch");
    assert_eq!(next(&small.plan(&["--no-semver-check", "--bump", "kit=minor"])), ["0.2.0", "0.2.0", "0.1.1"]);
    assert_eq!(next(&small.plan(&["--no-semver-check", "mid"])), [Value::Null, Value::Null, Value::Null]);

    entry(&small, "kit", "### Removed\n\n- Something.\n");
    small.commit("Remove something");
    let plan = small.plan(&["--no-semver-check", "kit"]);
    assert_eq!(
        next(&plan),
        ["0.2.0", "0.2.0", "0.1.1"],
        "a library shows types of the kit, a program shows none"
    );
    assert_eq!(
        (&plan[1]["why"], &plan[2]["why"]),
        (&json!("dependent of kit"), &json!("dependent of kit, mid"))
    );
    let modest = small.plan(&["--no-semver-check", "--bump", "mid=patch"]);
    assert_eq!(next(&modest), ["0.2.0", "0.1.1", "0.1.1"]);

    prepare(&small, &["--no-semver-check"]);
    let root = small.read("Cargo.toml");
    assert!(root.contains(
        "clawexchange-kit = { path = \"kit\", version = \"0.2.0\", registry = \"local\" } # the kit"
    ));
    assert!(small.read("Cargo.lock").contains("name = \"clawexchange-top\"\nversion = \"0.1.1\""));
    assert!(small.read("mid/CHANGELOG.md").contains("### Changed\n\n- Built of clawexchange-kit 0.2.0.\n"));
    assert!(small.read("kit/README.md").contains("clawexchange-kit = \"0.2\""));
    small.publish(&["--no-semver-check", "a rehearsal"]).expect("the second release");
    assert_eq!(
        small.registry.uploaded()[3..],
        ["clawexchange-kit@0.2.0", "clawexchange-mid@0.2.0", "clawexchange-top@0.1.1"]
    );
    assert!(
        small
            .git(&["tag", "--list", "--format=%(contents)", "kit-v0.2.0"])
            .contains("not checked: a rehearsal")
    );
}

#[test]
fn a_change_that_its_changelog_does_not_tell_is_not_released() {
    let small = released();
    small.write("kit/src/lib.rs", "pub fn better() {}\n");
    small.commit("Say nothing of it");
    let plan = small.plan(&["--no-semver-check"]);
    assert_eq!(next(&plan), [Value::Null, Value::Null, Value::Null]);
    assert_eq!(plan[0]["why"], "its changelog has nothing waiting");
    small
        .release(&["prepare", "--no-semver-check", "--bump", "kit=patch"])
        .expect_refusal("nothing is said of what changed in kit/CHANGELOG.md");
}

#[test]
fn a_break_that_only_the_program_sees_still_counts() {
    let small = released();
    small.write("kit/src/lib.rs", "pub fn renamed() {}\n");
    entry(&small, "kit", "### Fixed\n\n- Something.\n");
    small.commit("Rename something");
    let breaking = checker(&small, "echo 'Summary semver requires new major version'; exit 1");
    let plan = with_path(&small, &["plan", "--output", "json"], &breaking).expect("a plan");
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(
        (&plan["items"][0]["semver"], &plan["items"][0]["next"]),
        (&json!("breaking"), &json!("0.2.0"))
    );
    let asked = small.read("asked");
    assert!(
        asked.contains("semver-checks check-release --package clawexchange-kit --baseline-rev kit-v0.1.0"),
        "{asked}"
    );
    let broken = checker(&small, "echo 'error: does not build'; exit 1");
    let plan = with_path(&small, &["plan"], &broken).expect("a plan");
    assert!(plan.stdout.contains("failed: cargo-semver-checks gave no verdict"), "{}", plan.stdout);
}

#[test]
fn a_version_that_says_less_than_its_public_items_is_not_uploaded() {
    let small = released();
    small.write("kit/src/lib.rs", "pub fn renamed() {}\n");
    entry(&small, "kit", "### Fixed\n\n- Something.\n");
    small.commit("Rename something");
    prepare(&small, &["--no-semver-check"]);
    let absent = without_checker();
    let mut publish = small.publish_command(&[]);
    publish.env("PATH", &absent).env("RUSTC", rustc());
    small
        .run(&mut publish)
        .expect_refusal("public items are not checked: cargo install cargo-semver-checks --locked");
    for (script, because) in [
        (
            "echo 'Summary semver requires new major version'; exit 1",
            "kit: breaks more since kit-v0.1.0 than version 0.1.1 says",
        ),
        ("exit 1", "gave no verdict"),
    ] {
        let mut publish = small.publish_command(&[]);
        publish.env("PATH", checker(&small, script));
        small.run(&mut publish).expect_refusal(because);
    }
    assert_eq!(small.registry.uploaded(), FIRST);
    let mut publish = small.publish_command(&[]);
    publish.env("PATH", checker(&small, "exit 0"));
    small.run(&mut publish).expect("a version that says what is so");
    assert_eq!(small.registry.uploaded()[3..], ["clawexchange-kit@0.1.1"]);
}

#[test]
fn a_yanked_version_counts_as_published() {
    let small = released();
    let mut yank = cargo(&["yank", "--registry", REGISTRY, "clawexchange-kit@0.1.0"], &small.root());
    yank.envs(small.registry.environment(REGISTRY));
    small.run(&mut yank).expect("a yank");
    for elsewhere in [false, true] {
        if elsewhere {
            small.write("notes.md", "meanwhile\n");
            small.commit("Work on");
        }
        let answer = small.publish(&[]).expect("a run after it");
        assert!(answer.stdout.contains("there and not shown: yanked?"), "{}", answer.stdout);
        assert_eq!(answer.stdout.matches("there already").count(), 2, "{}", answer.stdout);
    }
    assert_eq!(small.registry.uploaded(), FIRST);
}

const FIRST: [&str; 3] = ["clawexchange-kit@0.1.0", "clawexchange-mid@0.1.0", "clawexchange-top@0.1.0"];

/// The three crates, committed.
fn small() -> Sandbox {
    let small = Sandbox::new();
    small.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"kit\", \"mid\", \"top\"]\n\n[workspace.dependencies]\n\
         clawexchange-kit = { path = \"kit\", version = \"0.1.0\", registry = \"local\" } # the kit\n\
         clawexchange-mid = { path = \"mid\", version = \"0.1.0\", registry = \"local\" }\n",
    );
    small.write(".gitignore", "target\n/asked\n");
    for (name, needs, source) in [
        ("kit", "", "lib"),
        ("mid", "clawexchange-kit.workspace = true\n", "lib"),
        ("top", "clawexchange-kit.workspace = true\nclawexchange-mid.workspace = true\n", "main"),
    ] {
        small.write(
            &format!("{name}/Cargo.toml"),
            &format!(
                "[package]\nname = \"clawexchange-{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                 description = \"One of three\"\nlicense = \"MIT\"\npublish = [\"local\"]\n\n[dependencies]\n{needs}"
            ),
        );
        small.write(
            &format!("{name}/src/{source}.rs"),
            if source == "lib" { "pub fn f() {}\n" } else { "fn main() {}\n" },
        );
        small.write(
            &format!("{name}/CHANGELOG.md"),
            "# Changelog\n\n## 0.1.0 - unreleased\n\n### Added\n\n- All.\n",
        );
        small.write(&format!("{name}/README.md"), &format!("    clawexchange-{name} = \"0.1\"\n"));
        small.write(&format!("{name}/LICENSE-MIT"), "MIT\n");
        small.write(&format!("{name}/LICENSE-APACHE"), "Apache\n");
    }
    small.run(&mut cargo(&["generate-lockfile"], &small.root())).expect("a lock file");
    small.commit("Begin");
    small
}

/// The three crates after their first release.
fn released() -> Sandbox {
    let small = small();
    prepare(&small, &[]);
    small.publish(&[]).expect("the first release");
    small
}

fn prepare(small: &Sandbox, args: &[&str]) {
    small.release(&[&["prepare", "--execute"], args].concat()).expect("a preparation");
    small.commit("Release");
}

/// Puts an unreleased section on top of a changelog, or another in its place.
fn entry(small: &Sandbox, name: &str, section: &str) {
    let path = format!("{name}/CHANGELOG.md");
    let text = small.read(&path);
    let older = text.split_once("## 0.1.0").unwrap().1;
    small.write(&path, &format!("# Changelog\n\n## Unreleased\n\n{section}\n## 0.1.0{older}"));
}

fn next(plan: &[Value]) -> Vec<Value> {
    plan.iter().map(|step| step["next"].clone()).collect()
}

/// A path on which cargo-semver-checks is a script that keeps what it was asked.
fn checker(small: &Sandbox, script: &str) -> OsString {
    let folder = small.beside("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join("cargo-semver-checks");
    let asked = small.root().join("asked");
    std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> '{}'\n{script}\n", asked.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::env::join_paths([folder].into_iter().chain(folders_of_path())).unwrap()
}

/// The path without folders that have cargo-semver-checks.
fn without_checker() -> OsString {
    std::env::join_paths(folders_of_path().filter(|f| !f.join("cargo-semver-checks").is_file())).unwrap()
}

fn folders_of_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

/// The compiler itself: the path may have lost the folder that it was found in.
fn rustc() -> PathBuf {
    let sysroot = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
    PathBuf::from(String::from_utf8(sysroot).unwrap().trim()).join("bin/rustc")
}

fn with_path(small: &Sandbox, args: &[&str], path: &OsString) -> Answer {
    let mut command = small.release_command(args);
    command.env("PATH", path);
    small.run(&mut command)
}
