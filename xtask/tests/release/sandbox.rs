//! A workspace that may be released as often as a test likes: with a repository, a registry and a cargo home of its own.

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use clawexchange_testkit::registry::Registry;
use serde_json::Value;

/// The registry as cargo knows it.
pub(crate) const REGISTRY: &str = "local";

const TOKEN: &str = "sandbox";

/// Where everything is.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
    home: PathBuf,
    pub(crate) registry: Registry,
}

/// What a command has said.
pub(crate) struct Answer {
    pub(crate) succeeded: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// An empty one, which the test fills.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("cargo-home");
        Self::at(folder, home)
    }

    /// An empty one whose cargo home is always in the same place: where sources lie is part of what cargo compares
    /// before it builds a crate anew.
    pub(crate) fn with_home(home: PathBuf) -> Self {
        Self::at(tempfile::tempdir().unwrap(), home)
    }

    fn at(folder: tempfile::TempDir, home: PathBuf) -> Self {
        let sandbox = Self { folder, home, registry: Registry::start(TOKEN) };
        std::fs::create_dir(sandbox.root()).unwrap();
        share_crates_io(&sandbox.home);
        sandbox.git(&["init", "--quiet", "--initial-branch", "main"]);
        sandbox
    }

    /// The root of the workspace.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// A folder beside the workspace.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.root().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).unwrap()
    }

    pub(crate) fn commit(&self, subject: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", subject]);
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let answer = self.run(Command::new("git").args(args).current_dir(self.root()));
        assert!(answer.succeeded, "git {args:?}: {}", answer.stderr);
        answer.stdout.trim().to_owned()
    }

    pub(crate) fn tags(&self) -> Vec<String> {
        self.git(&["tag", "--list"]).lines().map(ToOwned::to_owned).collect()
    }

    /// Runs `cargo xtask release` with these arguments.
    pub(crate) fn release(&self, args: &[&str]) -> Answer {
        self.run(&mut self.release_command(args))
    }

    /// The plan, by names of crates.
    pub(crate) fn plan(&self, args: &[&str]) -> Vec<Value> {
        let answer = self.release(&[&["plan", "--output", "json"], args].concat());
        assert!(answer.succeeded, "{}", answer.stderr);
        let plan: Value = serde_json::from_str(&answer.stdout).unwrap();
        plan["items"].as_array().unwrap().clone()
    }

    /// Publishes with the token of the registry, without building each package.
    pub(crate) fn publish(&self, args: &[&str]) -> Answer {
        self.run(&mut self.publish_command(args))
    }

    /// Publishes, and kills the run and all that it has started when the registry has kept `uploads` and has not
    /// answered the last.
    pub(crate) fn publish_and_kill_after(&self, uploads: usize) {
        let withheld = self.registry.withhold_answer_after(uploads - 1);
        let log = self.beside("killed.log");
        let mut command = self.publish_command(&[]);
        self.environment(&mut command);
        let said = std::fs::File::create(&log).unwrap();
        let mut run = command.process_group(0).stdout(Stdio::null()).stderr(said).spawn().unwrap();
        while !withheld.is_kept_within(Duration::from_millis(100)) {
            let ended = run.try_wait().unwrap();
            assert_eq!(ended, None, "it ended by itself: {}", std::fs::read_to_string(&log).unwrap());
        }
        let group = format!("-{}", run.id());
        assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
        run.wait().unwrap();
        assert_eq!(self.registry.uploaded().len(), uploads);
    }

    pub(crate) fn publish_command(&self, args: &[&str]) -> Command {
        let publish = ["publish", "--registry", REGISTRY, "--no-verify", "--pause", "0", "--execute"];
        let mut command = self.release_command(&[&publish, args].concat());
        command.envs(self.registry.environment(REGISTRY));
        command
    }

    pub(crate) fn release_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("release").args(args).current_dir(self.root());
        command
    }

    pub(crate) fn run(&self, command: &mut Command) -> Answer {
        self.environment(command);
        let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Answer { succeeded: status.success(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Nothing of this machine's settings, and no token for a registry that others see.
    fn environment(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("CARGO_REGIST") || name.starts_with("CARGO_PKG_") || name.starts_with("GIT_")
            {
                command.env_remove(name);
            }
        }
        let [(index, address), _] = self.registry.environment(REGISTRY);
        command
            .env("CARGO_HOME", &self.home)
            .env(index, address)
            .env("CARGO_MANIFEST_DIR", self.root())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "A test")
                .env(format!("GIT_{who}_EMAIL"), "test@example.invalid");
        }
        let has_target = command.get_envs().any(|(name, _)| name == "CARGO_TARGET_DIR");
        if !has_target {
            command.env("CARGO_TARGET_DIR", self.beside("target"));
        }
    }
}

impl Answer {
    pub(crate) fn expect(self, what: &str) -> Self {
        assert!(self.succeeded, "{what}\n{}\n{}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn expect_refusal(self, because: &str) -> Self {
        assert!(!self.succeeded, "it went through: {}", self.stdout);
        assert!(self.stderr.contains(because), "the refusal does not say `{because}`: {}", self.stderr);
        self
    }
}

/// A cargo command in a folder.
pub(crate) fn cargo(args: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(folder);
    command
}

/// Makes a cargo home that has what this machine has fetched of crates.io, and nothing else.
fn share_crates_io(home: &Path) {
    let real = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let real = real.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap();
    if home.exists() {
        std::fs::remove_dir_all(home).unwrap();
    }
    for part in ["index", "cache", "src"] {
        let (from, to) = (real.join("registry").join(part), home.join("registry").join(part));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().contains("crates.io") {
                symlink(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
}
