//! Redis servers that are thrown away: the programs of the distribution, on free ports, in folders that go with the
//! process that asked for them, however that ends. One alone, a cluster, or a master that sentinels watch.

mod certified;
mod cluster;
mod sentinels;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{self, is_running};

pub use self::cluster::Cluster;
pub use self::sentinels::Sentinels;

/// The variable that has the suites of the service count in Redis instead of their own process: `redis`.
pub const SWITCH: &str = "CLAW_TEST_COUNTERS";

/// Whether the suites are to count in Redis.
pub fn is_wanted() -> bool {
    std::env::var_os(SWITCH).is_some_and(|wanted| wanted == "redis")
}

/// Where the counters are that belong to a folder: a logical database of the shared server, whose address is kept there;
/// `None` unless the suites count in Redis.
///
/// # Panics
///
/// If the folder cannot be written.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub fn kept_in(folder: &Path) -> Option<String> {
    let kept = folder.join("redis-url");
    is_wanted().then(|| {
        std::fs::read_to_string(&kept).unwrap_or_else(|_| {
            let url = empty();
            std::fs::write(&kept, &url).expect("the folder can be written");
            url
        })
    })
}

/// How a server is to be.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    password: Option<String>,
    is_tls: bool,
    is_kept: bool,
    lines: Vec<String>,
    /// Where the certificates lie that several servers have in common.
    certificates: Option<PathBuf>,
}

impl Setup {
    /// One that lets everybody in, speaks plain text and forgets all when it ends.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets in who knows this, as the default user.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Speaks TLS and nothing else, with a certificate of an authority that nobody knows; see [`Server::authority`].
    #[must_use]
    pub const fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    /// Has on disk what it acknowledged, so that it is there again after [`Server::restart`].
    #[must_use]
    pub const fn kept(mut self) -> Self {
        self.is_kept = true;
        self
    }

    /// A further line of its configuration, such as `maxmemory 4mb`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: u16,
    setup: Setup,
    role: Role,
    keeper: Option<Child>,
}

/// What the one program of Redis is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Sentinel,
}

/// Waits for its standard input to end, which it does when whoever started it is gone, however that happened; then the
/// server goes, and the folder with it unless the server is to come back. A frozen one goes too.
const KEEPER: &str = r#"
trap '' INT TERM HUP
folder=$1; shift
"$@" </dev/null >>"$folder/log" 2>&1 &
server=$!
echo $server >"$folder/pid.new" && mv "$folder/pid.new" "$folder/pid"
cat >/dev/null
kill -KILL $server 2>/dev/null
wait $server
[ -e "$folder/stays" ] || rm -rf "$folder"
"#;

/// How many logical databases a server has: one for each test that asks for one of its own.
const DATABASES: u32 = 4096;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

impl Server {
    /// Starts one that lets everybody in.
    pub fn start() -> Self {
        Self::with(&Setup::new())
    }

    /// Starts one.
    ///
    /// # Panics
    ///
    /// If that cannot be done: a test without its server has nothing to say.
    pub fn with(setup: &Setup) -> Self {
        Self::began(Role::Server, setup)
    }

    fn began(role: Role, setup: &Setup) -> Self {
        for _ in 0..20 {
            let mut server = Self::prepared(role, setup);
            server.write("redis.conf", &server.config());
            // Somebody else may have taken the port meanwhile.
            if server.run() {
                return server;
            }
        }
        failed("no Redis server could be started", "")
    }

    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    fn prepared(role: Role, setup: &Setup) -> Self {
        let folder = tempfile::Builder::new().prefix("claw-redis-").tempdir();
        let folder = folder.expect("a temporary folder can be made").keep();
        if setup.is_tls {
            match &setup.certificates {
                Some(from) => copied(from, &folder),
                None => certified::write_into(&folder),
            }
        }
        Self { folder, port: free_port(), setup: setup.clone(), role, keeper: None }
    }

    fn config(&self) -> String {
        let Self { folder, port, setup, .. } = self;
        let folder = folder.display();
        let mut lines: Vec<String> = ["bind 127.0.0.1", "logfile \"\"", "daemonize no", "set-proc-title no"]
            .map(ToOwned::to_owned)
            .into();
        lines.push(format!("dir {folder}"));
        if setup.is_tls {
            lines.extend(["port 0", "tls-auth-clients no", "tls-replication yes"].map(ToOwned::to_owned));
            lines.push(format!("tls-port {port}"));
            lines.push(format!("tls-ca-cert-file {folder}/ca.crt"));
            lines.push(format!("tls-cert-file {folder}/server.crt"));
            lines.push(format!("tls-key-file {folder}/server.key"));
        } else {
            lines.push(format!("port {port}"));
        }
        if self.role == Role::Server {
            let kept: &[&str] =
                if setup.is_kept { &["appendonly yes", "appendfsync always"] } else { &["appendonly no"] };
            let more = ["save \"\"", "repl-diskless-sync-delay 0", "enable-debug-command local"];
            lines.extend(kept.iter().chain(&more).map(|line| (*line).to_owned()));
        }
        if let Some(password) = &setup.password {
            lines.push(format!("requirepass {password}"));
            lines.push(format!("masterauth {password}"));
        }
        lines.extend(setup.lines.iter().cloned());
        lines.push(String::new());
        lines.join("\n")
    }

    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("the folder can be written");
    }

    /// Starts the program and waits until it answers; `false` if it ended instead.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    fn run(&mut self) -> bool {
        let _of_the_last = std::fs::remove_file(self.folder.join("pid"));
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&self.folder).current_dir("/");
        command.arg("redis-server").arg(self.folder.join("redis.conf"));
        if self.role == Role::Sentinel {
            command.arg("--sentinel");
        }
        let keeper = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.keeper = Some(keeper.expect("sh can be started"));
        let started = Instant::now();
        loop {
            if self.try_cli(&["PING"]).is_ok_and(|said| said == "PONG") {
                return true;
            }
            if self.pid().is_some_and(|pid| !is_running(pid)) {
                return false;
            }
            if started.elapsed() > PATIENCE {
                failed("the Redis server does not answer", &self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The port on loopback.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, with the password.
    pub fn url(&self) -> String {
        let scheme = if self.setup.is_tls { "rediss" } else { "redis" };
        format!("{scheme}://{}127.0.0.1:{}", self.credentials(), self.port)
    }

    fn credentials(&self) -> String {
        self.setup.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default()
    }

    /// The certificate of the authority that signed the server's own; there with [`Setup::tls`]. The server's is for
    /// `localhost` and 127.0.0.1.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// What it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Runs a command as the default user and gives what comes out as redis-cli writes it where no terminal is.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn cli(&self, words: &[&str]) -> String {
        self.try_cli(words).unwrap_or_else(|said| failed(&words.join(" "), &said))
    }

    /// Runs a command as the default user; an error is what the server says.
    ///
    /// # Panics
    ///
    /// If redis-cli cannot be started.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn try_cli(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("redis-cli");
        command.args(["-e", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        self.as_client(&mut command);
        let ran = command.args(words).stdin(Stdio::null()).output().expect("redis-cli can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let (out, err) = (text(&ran.stdout), text(&ran.stderr));
        if ran.status.success() { Ok(out) } else { Err(if err.is_empty() { out } else { err }) }
    }

    /// What redis-cli needs to be let in. The password does not stand where everybody could read it.
    fn as_client(&self, command: &mut Command) {
        if let Some(password) = &self.setup.password {
            command.env("REDISCLI_AUTH", password);
        }
        if self.setup.is_tls {
            command.arg("--tls").arg("--cacert").arg(self.authority());
        }
    }

    /// The value of a line of `INFO`; empty if there is none of this name.
    pub fn info(&self, name: &str) -> String {
        value_of(&self.cli(&["INFO", "everything"]), name)
    }

    /// Kills it, as a power cut would. [`restart`](Self::restart) brings it back.
    ///
    /// # Panics
    ///
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        self.write("stays", "");
        if let Some(pid) = self.pid() {
            let _may_be_gone = kill_process(pid, Signal::KILL);
        }
        self.end();
        let _comes_back = std::fs::remove_file(self.folder.join("stays"));
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and in the same folder, and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not within a minute.
    pub fn restart(&mut self) {
        let started = Instant::now();
        while !self.run() {
            self.kill();
            if started.elapsed() > PATIENCE {
                failed("the Redis server does not come back", &self.log());
            }
        }
    }

    /// Freezes it: connections stay open, new ones are made, and nothing answers.
    pub fn freeze(&self) {
        if let Some(pid) = self.pid() {
            process::freeze(pid);
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        if let Some(pid) = self.pid() {
            let _may_be_gone = kill_process(pid, Signal::CONT);
        }
    }

    fn pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.folder.join("pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    fn end(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ended = keeper.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        // The keeper of one that was killed is gone already and left the folder.
        let _may_be_gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// The value after `name:` in what Redis writes as lines.
fn value_of(lines: &str, name: &str) -> String {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned());
    lines.lines().find_map(value).unwrap_or_default()
}

/// Asks until the answer is yes.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        if started.elapsed() > PATIENCE {
            failed(&format!("Redis does not get this far: {what}"), "");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[expect(clippy::panic, reason = "a test fails by panicking")]
fn failed(what: &str, said: &str) -> ! {
    panic!("{what}\n{said}")
}

/// A port that nobody listens on. It is below those that the system gives away by itself, so that no connection of
/// another test has it while the server is away.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 21_000;
        let port = 11_000 + u16::try_from(number).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The server that all tests of this process share. It asks for a password, as one that is looked over should.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    let setup = || Setup::new().password("shared-by-tests").line(&format!("databases {DATABASES}"));
    SHARED.get_or_init(|| Server::with(&setup()))
}

/// Where an empty logical database of the shared server is, for one test alone.
///
/// # Panics
///
/// If a process asks for more than there are.
pub fn empty() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < DATABASES, "every database of the server is given away");
    format!("{}/{number}", shared().url())
}

/// Empties a logical database of the shared server, of the address that [`empty`] gave.
///
/// # Panics
///
/// If that cannot be done.
pub fn flush(url: &str) {
    let number = url.rsplit('/').next().unwrap_or_default();
    shared().cli(&["-n", number, "FLUSHDB"]);
}

/// The addresses of some servers as the addresses of clusters and sentinels list them.
fn addresses<'a>(servers: impl Iterator<Item = &'a Server>) -> String {
    servers.fold(String::new(), |mut text, server| {
        let comma = if text.is_empty() { "" } else { "," };
        let _never_fails = write!(text, "{comma}127.0.0.1:{}", server.port);
        text
    })
}

/// Copies a certificate, its key and the authority's.
fn copied(from: &Path, to: &Path) {
    for name in ["ca.crt", "server.crt", "server.key"] {
        if let Err(error) = std::fs::copy(from.join(name), to.join(name)) {
            failed("a certificate cannot be copied", &error.to_string());
        }
    }
}
