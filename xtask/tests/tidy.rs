//! House rules that no lint holds, read off the files of the tree.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// Lines of a file without its tests: what one can read standing, and half as much again.
const LINES_MAX: usize = 600;

/// Files that may be longer, how long, and why. A file that has become shorter leaves the list.
const LONG_FILES: [(&str, usize, &str); 0] = [];

#[test]
fn no_file_is_called_after_nothing() {
    for file in sources() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            !["utils", "util", "helpers", "helper", "common", "types", "misc"].contains(&name.as_str()),
            "{} says nothing by its name: call it by what it holds",
            file.display()
        );
        assert_ne!(name, "mod", "{}: put the folder `x/` beside its `x.rs`", file.display());
    }
}

#[test]
fn a_file_is_short_enough_to_be_read_standing() {
    for file in sources().into_iter().filter(|file| is_product(file)) {
        let lines = lines_without_tests(&read(&file));
        let exception = LONG_FILES.iter().find(|(path, ..)| Path::new(path) == file);
        let max = exception.map_or(LINES_MAX, |(_, max, _)| *max);
        assert!(
            lines <= max,
            "{} has {lines} lines without its tests and may have {max}: it tells more than one story, so give the \
             second a file of its own",
            file.display()
        );
        assert!(
            exception.is_none() || lines > LINES_MAX,
            "{} is short enough now: take it out of LONG_FILES in xtask/tests/tidy.rs",
            file.display()
        );
    }
    for (path, _, reason) in LONG_FILES {
        assert!(root().join(path).is_file(), "{path} is in LONG_FILES and not in the tree: take it out");
        assert!(!reason.is_empty(), "{path} is in LONG_FILES without a reason");
    }
}

#[test]
fn modules_are_two_deep_at_most() {
    for file in sources().into_iter().filter(|file| is_product(file)) {
        let below_src = file.iter().skip_while(|part| *part != "src").count().saturating_sub(2);
        assert!(below_src <= 1, "{}: modules are two deep at most, so move it up", file.display());
    }
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_switched_off() {
    // Joined here, so that this file does not name what it looks for.
    let banned = [
        (["TO", "DO"].concat(), "do it, or leave it out"),
        (["FIX", "ME"].concat(), "mend it"),
        (["XX", "X:"].concat(), "mend it"),
        (["#[ign", "ore"].concat(), "a test that does not run proves nothing: mend it or take it out"),
        (["thread::", "sleep"].concat(), "waiting hides races: use a manual clock, a channel or paused time"),
        (["time::", "sleep("].concat(), "waiting hides races: use a manual clock, a channel or paused time"),
    ];
    for file in sources() {
        for (at, line) in read(&file).lines().enumerate() {
            for (word, instead) in &banned {
                let sleeps_in_product = word.contains("sleep") && is_product(&file);
                assert!(
                    sleeps_in_product || !holds_word(line, word),
                    "{}:{} has {word}: {instead}",
                    file.display(),
                    at + 1
                );
            }
        }
    }
}

#[test]
fn what_a_build_leaves_behind_is_not_kept() {
    let listed =
        std::process::Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("Cargo.toml"), "git lists the tree");
    let left: Vec<&str> =
        listed.split('\0').filter(|file| file.split('/').any(|part| part == "target")).collect();
    assert_eq!(left, [""; 0], "take it out, and keep it out with .gitignore");
}

#[test]
fn an_exception_from_a_lint_says_why() {
    let bare = ["#[al", "low("].concat();
    for file in sources() {
        for (at, line) in read(&file).lines().enumerate() {
            assert!(
                !line.trim_start().starts_with(&bare),
                "{}:{}: write #[expect(lint, reason = \"…\")]; it goes away when the lint is satisfied",
                file.display(),
                at + 1
            );
        }
    }
}

/// A token: how it begins, how many characters follow at least, and which.
struct Token(&'static str, usize, fn(char) -> bool);

/// What forges refuse to take.
const TOKENS: [Token; 14] = [
    Token("claw_", 46, is_word),
    Token("ghp_", 36, is_word),
    Token("gho_", 36, is_word),
    Token("ghs_", 36, is_word),
    Token("github_pat_", 60, is_word_or_low_line),
    Token("glpat-", 20, is_token),
    Token("npm_", 36, is_word),
    Token("sk_live_", 24, is_word),
    Token("rk_live_", 24, is_word),
    Token("xoxb-", 24, is_token),
    Token("xoxp-", 24, is_token),
    Token("hooks.slack.com/services/T", 30, is_path),
    Token("AIza", 35, is_token),
    Token("SG.", 60, is_token_or_dot),
];

#[test]
fn no_file_holds_a_token_that_a_forge_would_stop() {
    for file in files() {
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else { continue };
        for Token(start, length, belongs) in TOKENS {
            for (at, _) in text.match_indices(start) {
                let rest = text.get(at + start.len()..).unwrap_or("");
                assert!(
                    rest.chars().take_while(|c| belongs(*c)).count() < length,
                    "{}:{} holds a whole token beginning {start}: join it at run time of two parts, or a push of \
                     the repository will be refused",
                    file.display(),
                    text.get(..at).unwrap_or("").lines().count()
                );
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

fn is_word_or_low_line(c: char) -> bool {
    is_word(c) || c == '_'
}

fn is_token(c: char) -> bool {
    is_word_or_low_line(c) || c == '-'
}

fn is_token_or_dot(c: char) -> bool {
    is_token(c) || c == '.'
}

fn is_path(c: char) -> bool {
    is_word(c) || c == '/'
}

#[test]
fn the_rules_themselves_see_what_they_forbid() {
    assert!(holds_word(
        "// TOD0: TO".replace("TOD0", &["TO", "DO"].concat()).as_str(),
        &["TO", "DO"].concat()
    ));
    assert!(!holds_word("MASTODON", &["TO", "DO"].concat()), "a part of another word is not the word");
    let code = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {}\n}\n";
    assert_eq!(lines_without_tests(code), 2);
    assert!(is_product(Path::new("crates/x/src/a.rs")));
    assert!(!is_product(Path::new("crates/x/tests/a.rs")));
    assert!(sources().len() > 20, "the walk over the tree has lost its way");
}

/// A word that ends in a letter must stand alone; other marks may stand anywhere.
fn holds_word(line: &str, word: &str) -> bool {
    let is_bounded = word.ends_with(char::is_alphabetic);
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|after| after.chars().next());
        !(is_bounded && before.into_iter().chain(after).any(char::is_alphanumeric))
    })
}

/// Lines above the first `#[cfg(test)]` that stands at the margin: tests come last in a file.
fn lines_without_tests(code: &str) -> usize {
    code.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

/// Neither a test nor an example nor a bench.
fn is_product(file: &Path) -> bool {
    file.iter().any(|part| part == "src")
}

fn sources() -> Vec<PathBuf> {
    files().into_iter().filter(|file| file.extension().is_some_and(|e| e == "rs")).collect()
}

/// Every file of the tree that is ours to keep, as a path from the root, in order.
fn files() -> Vec<PathBuf> {
    let (root, mut folders, mut files) = (root(), vec![root()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().unwrap();
            if kind.is_dir()
                && !["target", ".git", "claw-data", "corpus", "artifacts"].contains(&name.as_str())
            {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path().strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}
