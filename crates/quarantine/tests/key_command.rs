//! Master keys behind a command: a program that a test writes, well-behaved or hostile.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clawexchange_quarantine::{KeyCommand, MasterKeys, QuarantineError};
use clawexchange_ssg_core::{DataKey, Fault as _, FaultKind, KeyId};

/// Longer than any of these programs takes on a machine with much to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// A key service of a few lines: it wraps by writing down what it was given. No protection, but the same questions and
/// answers.
const SERVICE: &str = r#"#!/usr/bin/env python3
import json, os, sys, hashlib
ask = json.load(sys.stdin)
assert ask["v"] == 1
home = os.path.dirname(os.path.abspath(__file__))
names = open(os.path.join(home, "names")).read().split()
def say(**answer):
    json.dump(answer, sys.stdout)
    sys.exit(0)
if ask["op"] == "list":
    with open(os.path.join(home, "lists"), "a") as f:
        f.write(".")
    say(keys=names)
if ask["key"] not in names:
    say(error="unknown-key")
bound = hashlib.sha256((ask["key"] + "|" + ask["context"]).encode()).hexdigest()[:32]
if ask["op"] == "wrap":
    import base64
    say(wrapped=base64.b64encode((bound + ask["dataKey"]).encode()).decode())
if ask["op"] == "unwrap":
    import base64
    text = base64.b64decode(ask["wrapped"]).decode("latin1")
    if text[:32] != bound:
        say(error="altered")
    say(dataKey=text[32:])
"#;

struct Program {
    folder: tempfile::TempDir,
}

impl Program {
    fn new(text: &str) -> Self {
        let me = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(me.path(), text).unwrap();
        std::fs::set_permissions(me.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        me
    }

    fn service(names: &str) -> Self {
        let me = Self::new(SERVICE);
        me.write("names", names);
        me
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    async fn open_within(&self, deadline: Duration) -> Result<KeyCommand, QuarantineError> {
        KeyCommand::open(vec![self.path().display().to_string()], Vec::new(), deadline).await
    }

    async fn open(&self) -> Result<KeyCommand, QuarantineError> {
        self.open_within(PATIENCE).await
    }
}

fn id(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

#[tokio::test]
async fn a_command_wraps_and_unwraps_and_says_which_keys_there_are() {
    let program = Program::service("k-2 k-1");
    let command = program.open().await.unwrap();
    assert_eq!(command.ids(), [id("k-2"), id("k-1")]);
    let wrapped = command.wrap(&id("k-2"), b"week 7", &DataKey::new([7; 32])).await.unwrap();
    let again = command.unwrap(&id("k-2"), b"week 7", &wrapped).await.unwrap();
    assert_eq!(again.expose(), &[7; 32]);
    let error = command.unwrap(&id("k-2"), b"week 8", &wrapped).await.unwrap_err();
    assert_eq!(error.kind(), FaultKind::Integrity);
    let error = command.wrap(&id("k-9"), b"", &DataKey::new([7; 32])).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (FaultKind::Configuration, "quarantine/key-unknown"));
}

#[tokio::test]
async fn a_command_is_not_asked_for_names_each_time() {
    let program = Program::service("k-1");
    let command = program.open().await.unwrap();
    for _ in 0..5 {
        command.refresh().await.unwrap();
        command.look_for(&id("k-1")).await.unwrap();
        command.look_for(&id("k-2")).await.unwrap();
    }
    assert_eq!(std::fs::read(program.file("lists")).unwrap(), b".");
    program.write("names", "k-1 k-2");
    // A name that is wanted is asked for, though not more than once a second.
    let looked = tokio::time::timeout(PATIENCE, async {
        while !command.ids().contains(&id("k-2")) {
            command.look_for(&id("k-2")).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    looked.await.unwrap();
}

#[tokio::test]
async fn a_command_that_answers_nonsense_is_not_believed() {
    for (says, why) in [
        ("echo nonsense", "quarantine/key-command-answer"),
        ("echo '{}'", "quarantine/key-command-answer"),
        ("echo '[]'", "quarantine/key-command-answer"),
        ("echo '{\"keys\":[]}'", "quarantine/key-command-answer"),
        ("echo '{\"keys\":[\"a b\"]}'", "quarantine/key-command-answer"),
        ("echo '{\"keys\":[\"a\",\"a\"]}'", "quarantine/key-command-answer"),
        ("echo '{\"keys\":[\"a\"],\"more\":1}'", "quarantine/key-command-answer"),
        ("echo '{\"keys\":[\"a\"]}{}'", "quarantine/key-command-answer"),
        ("printf ''", "quarantine/key-command-answer"),
        ("cat /dev/zero", "quarantine/key-command-answer"),
        ("echo '{\"keys\":[\"a\"]}'; exit 1", "quarantine/key-command-away"),
        ("kill -9 $$", "quarantine/key-command-away"),
        ("echo '{\"error\":\"denied\"}'", "quarantine/key-command-denied"),
        ("echo '{\"error\":\"unavailable\"}'", "quarantine/key-command-away"),
    ] {
        let program = Program::new(&format!("#!/bin/sh\n{says}\n"));
        let error = program.open().await.unwrap_err();
        assert_eq!(error.code(), why, "{says}: {error}");
    }
}

#[tokio::test]
async fn a_key_of_another_length_is_no_key() {
    let answer = |key: &str| {
        let list = r#"case "$(cat)" in *list*) echo '{"keys":["a"]}';; *wrapped*)"#;
        format!(
            "#!/bin/sh\n{list} echo '{{\"dataKey\":\"{key}\"}}';; *) echo '{{\"wrapped\":\"\"}}';; esac\n"
        )
    };
    for key in ["", "BwcH", "no base64", &"Bw".repeat(40)] {
        let command = Program::new(&answer(key)).open_kept().await;
        let error = command.0.unwrap(&id("a"), b"", b"x").await.unwrap_err();
        assert_eq!(error.code(), "quarantine/key-command-answer", "{key}");
        assert!(key.is_empty() || !format!("{error} {error:?}").contains(key), "a key is not repeated");
        let error = command.0.wrap(&id("a"), b"", &DataKey::new([7; 32])).await.unwrap_err();
        assert_eq!(error.code(), "quarantine/key-command-answer", "an empty wrap");
    }
}

impl Program {
    /// The program stays while the command is used.
    async fn open_kept(self) -> (KeyCommand, Self) {
        (self.open().await.unwrap(), self)
    }
}

/// Whether a process that wrote down its number is there.
fn is_running(pid_file: &Path) -> bool {
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // A zombie runs no more.
    !state.is_empty() && !state.rsplit(')').next().unwrap().trim_start().starts_with('Z')
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let program = Program::new(
        "#!/bin/sh\nsleep 1000 &\necho $! > \"$(dirname \"$0\")/child\"\necho $$ > \"$(dirname \"$0\")/pid\"\nsleep 1000\n",
    );
    let error = program.open_within(Duration::from_secs(2)).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("quarantine/key-command-away", true));
    for name in ["child", "pid"] {
        let gone = tokio::time::timeout(PATIENCE, async {
            while is_running(&program.file(name)) {
                tokio::task::yield_now().await;
            }
        });
        gone.await.unwrap_or_else(|_| panic!("{name} still runs"));
    }
}

#[tokio::test]
async fn a_command_whose_child_lives_on_is_not_waited_for() {
    let program = Program::new("#!/bin/sh\ncat > /dev/null\nsleep 1000 &\necho '{\"keys\":[\"a\"]}'\n");
    assert_eq!(program.open().await.unwrap().ids(), [id("a")]);
}

#[tokio::test]
async fn a_command_that_reads_no_question_may_still_answer() {
    let program = Program::new("#!/bin/sh\nexec 0<&-\necho '{\"keys\":[\"a\"]}'\n");
    assert_eq!(program.open().await.unwrap().ids(), [id("a")]);
}

#[tokio::test]
async fn what_a_command_complains_of_is_short_and_has_no_key_in_it() {
    let secret = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
    let program = Program::new(&format!(
        "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x >&2\necho >&2\necho 'permission denied for {secret}' >&2\nexit 2\n"
    ));
    let error = program.open().await.unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(said.contains("permission denied for […]") && !said.contains("AQID"), "{said}");
    assert!(said.len() < 1000);
}

#[tokio::test]
async fn secrets_of_the_deployment_are_not_handed_to_the_command() {
    // Whoever runs the tests has set this one.
    let variable = "CARGO_MANIFEST_DIR";
    assert!(std::env::var_os(variable).is_some());
    let program = Program::new(&format!(
        "#!/bin/sh\nif test -n \"${variable}\"; then name=seen; else name=hidden; fi\necho \"{{\\\"keys\\\":[\\\"$name\\\"]}}\"\n"
    ));
    let argv = vec![program.path().display().to_string()];
    let command = KeyCommand::open(argv, vec![variable.to_owned()], PATIENCE).await.unwrap();
    assert_eq!(command.ids(), [id("hidden")]);
    assert_eq!(program.open().await.unwrap().ids(), [id("seen")], "what is no secret it gets");
}

#[tokio::test]
async fn a_command_without_a_path_is_refused() {
    for argv in [vec![], vec!["keys".to_owned()], vec!["./keys".to_owned()]] {
        let error = KeyCommand::open(argv, Vec::new(), PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), FaultKind::Configuration);
    }
    let error = KeyCommand::open(vec!["/nowhere/keys".to_owned()], Vec::new(), PATIENCE).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("quarantine/key-command", FaultKind::Configuration));
}
