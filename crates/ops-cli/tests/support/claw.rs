//! The binary, in a folder of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use clawexchange_database::{Database, DatabaseConfig, Place, PostgresUrl};
use clawexchange_testkit::{postgres, redis};
use serde_json::Value;

pub struct Claw {
    pub home: tempfile::TempDir,
    env: Vec<(String, String)>,
}

pub struct Answer {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Claw {
    /// A deployment of its own: nothing yet, or where the suite runs on PostgreSQL a database with the schema, seen with
    /// the rights of the application and no others; and where it counts in Redis, counters there.
    pub fn new() -> Self {
        let mut me = Self::on_sqlite();
        if redis::is_wanted() {
            me.set("REDIS_URL", &redis::empty());
            // Machines of tests are busy.
            me.set("CLAW_REDIS_DEADLINE_MS", "5000");
        }
        if postgres::is_wanted() {
            let url = postgres::migrated_blocking();
            me.set("DATABASE_URL", &postgres::for_application(&url));
            me.set("CLAW_MIGRATE_DATABASE_URL", &url);
        }
        me
    }

    /// The same on SQLite, whatever the suite runs on.
    pub fn on_sqlite() -> Self {
        Self { home: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub fn unset(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// What is set besides the folders.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Where the database is for its administrator; nothing on SQLite.
    pub fn server(&self) -> Option<&str> {
        self.env.iter().find(|(name, _)| name == "CLAW_MIGRATE_DATABASE_URL").map(|(_, url)| url.as_str())
    }

    /// The database as somebody sees it who has all of it: the file, or the server as its administrator.
    pub async fn database(&self) -> Database {
        let place = match self.server() {
            Some(url) => Place::Postgres(PostgresUrl::parse(url).unwrap()),
            None => Place::Sqlite(self.data().join("claw.db")),
        };
        Database::open(DatabaseConfig::new(place)).await.unwrap()
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn state(&self) -> PathBuf {
        self.home.path().join("state/claw")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claw"));
        command.args(args).env_clear().current_dir(self.home.path());
        command.env("HOME", self.home.path()).env("XDG_STATE_HOME", self.home.path().join("state"));
        command.env("CLAW_DATA_DIR", self.data()).envs(self.env.iter().map(|(n, v)| (n, v)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Answer {
        Answer::of(self.command(args).output().unwrap())
    }

    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Answer {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A process that refuses early closes its end; what it says is what counts.
        let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
        let output = child.wait_with_output().unwrap();
        let _all_was_read = writer.join().unwrap();
        Answer::of(output)
    }

    /// Runs a command that must succeed and gives its one JSON value.
    pub fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--output", "json"]).collect();
        let answer = self.run(&args);
        assert_eq!(answer.code, Some(0), "{args:?}: {}", answer.all());
        serde_json::from_slice(&answer.stdout).unwrap()
    }

    pub fn submit(&self, lines: &[Value]) -> Answer {
        let text = lines.iter().fold(String::new(), |text, line| text + &format!("{line}\n"));
        self.run_with_input(&["submit", "--jsonl", "-", "--output", "json"], text.as_bytes())
    }

    pub fn assert_verified(&self) {
        let answer = self.run(&["audit", "verify"]);
        assert_eq!(answer.code, Some(0), "{}", answer.all());
    }
}

impl Answer {
    fn of(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn all(&self) -> String {
        format!("exit {:?}\n{}\n{}", self.code, self.text(), self.stderr)
    }

    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/posts.jsonl")
}
