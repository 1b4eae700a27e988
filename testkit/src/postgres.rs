//! PostgreSQL servers that are thrown away: the programs of the distribution, on a free port, in a folder that goes with
//! the process that asked for them, however that ends.

use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use clawexchange_database::{Database, DatabaseConfig, Place, PostgresUrl};
use clawexchange_ssg_core::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::OnceCell;

use crate::process::{self, is_running};

/// The variable that has the suites of the workspace use PostgreSQL instead of SQLite: `postgres`.
pub const SWITCH: &str = "CLAW_TEST_DATABASE";

/// Whether the suites are to use PostgreSQL.
pub fn is_wanted() -> bool {
    std::env::var_os(SWITCH).is_some_and(|wanted| wanted == "postgres")
}

/// How careful a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "these are the two")]
pub enum Durability {
    /// It syncs nothing: for tests in which it does not crash.
    None,
    /// As in production: for tests in which it does, and for benches.
    Full,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: u16,
    durability: Durability,
    /// What is in front of the port for others than the administrator, such as a proxy.
    keeper: Option<Child>,
}

/// Waits for its standard input to end, which it does when whoever started it is gone, however that happened; then the
/// server goes, and the folder with it unless the server is to come back.
const KEEPER: &str = r#"
trap '' INT TERM HUP
folder=$1; shift
"$@" </dev/null >"$folder/log" 2>&1 &
server=$!
echo $server >"$folder/pid"
cat >/dev/null
kill -QUIT $server 2>/dev/null
wait $server
[ -e "$folder/stays" ] || rm -rf "$folder"
"#;

impl Server {
    /// Makes a cluster and starts its server.
    ///
    /// # Panics
    ///
    /// If that cannot be done: a test without its server has nothing to say.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn start(durability: Durability) -> Self {
        let folder = own_folder();
        let data = folder.join("data");
        let made = as_owner(&program("initdb"))
            .args(["-A", "trust", "-U", "postgres", "--locale=C.UTF-8", "-E", "UTF8", "-N", "-D"])
            .arg(&data)
            .current_dir("/")
            .stdout(Stdio::null())
            .output()
            .expect("initdb can be started");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { folder, port: free_port(), durability, keeper: None };
        server.run();
        server
    }

    /// Copies the server and starts the copy, which follows it and can only be read.
    ///
    /// # Panics
    ///
    /// If that cannot be done.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    #[must_use]
    pub fn standby(&self) -> Self {
        let folder = own_folder();
        let copied = as_owner(&program("pg_basebackup"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                "postgres",
                "-c",
                "fast",
                "-R",
                "-D",
            ])
            .arg(folder.join("data"))
            .current_dir("/")
            .stdout(Stdio::null())
            .output()
            .expect("pg_basebackup can be started");
        assert!(copied.status.success(), "pg_basebackup failed: {}", String::from_utf8_lossy(&copied.stderr));
        let mut server = Self { folder, port: free_port(), durability: self.durability, keeper: None };
        server.run();
        server
    }

    /// Starts the server, after [`kill`](Self::kill) again, and waits until it lets somebody in.
    ///
    /// # Panics
    ///
    /// If it does not within a minute.
    #[expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    pub fn run(&mut self) {
        let mut settings = vec![
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", self.folder.display()),
            "max_connections=300".to_owned(),
            "shared_buffers=128MB".to_owned(),
            "log_min_messages=warning".to_owned(),
        ];
        if self.durability == Durability::None {
            settings.extend(["fsync=off", "full_page_writes=off"].map(ToOwned::to_owned));
        }
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&self.folder).current_dir("/");
        if owner().is_some() {
            command.args(as_owner_words());
        }
        command.arg(program("postgres")).arg("-D").arg(self.folder.join("data"));
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        let keeper = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.keeper = Some(keeper.expect("sh can be started"));
        let started = Instant::now();
        while !self.answers() {
            if started.elapsed() > Duration::from_mins(1) {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                panic!("the PostgreSQL server does not let anybody in:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        let mut command = Command::new(program("pg_isready"));
        command.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        command.status().is_ok_and(|status| status.success())
    }

    /// The port on loopback.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Where a database of it is, for its administrator.
    pub fn url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    /// Where a database of it is, for a role.
    pub fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements as the administrator and gives what comes out, a line a row, columns parted by `|`.
    ///
    /// # Panics
    ///
    /// If one fails.
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.sql_as("postgres", database, sql).unwrap_or_else(|said| panic!("{sql}: {said}"))
    }

    /// Runs statements as a role; an error is what the server says of the first that fails.
    ///
    /// # Panics
    ///
    /// If psql cannot be started.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn sql_as(&self, role: &str, database: &str, sql: &str) -> Result<String, String> {
        let url = self.url_of(role, database);
        let ran = Command::new(program("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", sql])
            .output()
            .expect("psql can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(text(&ran.stderr)) }
    }

    /// Makes an empty database and gives its name.
    pub fn create(&self) -> String {
        self.create_from("template0")
    }

    fn create_from(&self, template: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("claw_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}"));
        name
    }

    /// Kills it and all of its processes, as a power cut would: nothing is written any more, and the next
    /// [`run`](Self::run) recovers.
    ///
    /// # Panics
    ///
    /// If a process of it is still there half a minute later: one that outlived the others would go on acknowledging
    /// what the next server does not know.
    pub fn kill(&mut self) {
        let _stays = std::fs::write(self.folder.join("stays"), "");
        let server = self.pid();
        // Frozen first, so that none begins another one meanwhile.
        self.each_process(process::freeze);
        let all = server.map_or_else(Vec::new, |pid| children(pid.as_raw_nonzero().get()));
        let all: Vec<Pid> = all.into_iter().filter_map(Pid::from_raw).chain(server).collect();
        for pid in &all {
            let _may_be_gone = kill_process(*pid, Signal::KILL);
        }
        self.end();
        let _comes_back = std::fs::remove_file(self.folder.join("stays"));
        let started = Instant::now();
        while all.iter().any(|pid| is_running(*pid)) {
            assert!(started.elapsed() < Duration::from_secs(30), "a process of the server does not go");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Freezes it and all of its processes: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.each_process(process::freeze);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.each_process(|pid| {
            let _may_be_gone = kill_process(pid, Signal::CONT);
        });
    }

    fn each_process(&self, act: impl Fn(Pid)) {
        let Some(server) = self.pid() else { return };
        let children = children(server.as_raw_nonzero().get()).into_iter().filter_map(Pid::from_raw);
        children.chain([server]).for_each(act);
    }

    fn pid(&self) -> Option<Pid> {
        // The server itself writes its own; the keeper's is that of a wrapper while there is one.
        let text = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
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
        self.thaw();
        self.end();
    }
}

/// The processes that a process began.
fn children(of: i32) -> Vec<i32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let parent = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may have anything in it; what follows the last one has not.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent(*pid) == Some(of)).collect()
}

/// The user that servers run as when root starts them, which they refuse to run as.
fn owner() -> Option<(String, u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut words = line.split(':');
    let name = words.next()?.to_owned();
    let (uid, gid) = (words.nth(1)?.parse().ok()?, words.next()?.parse().ok()?);
    Some((name, uid, gid))
}

fn as_owner_words() -> [&'static str; 4] {
    ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
}

fn as_owner(program: &Path) -> Command {
    if owner().is_none() {
        return Command::new(program);
    }
    let [first, rest @ ..] = as_owner_words();
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

/// A program of PostgreSQL: of the newest version that Debian's layout has, else from the path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let version =
        |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<u32>().ok();
    let newest = versions.filter_map(version).max();
    newest
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/{name}")))
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(name))
}

/// A new folder that only the user of the servers enters.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
fn own_folder() -> PathBuf {
    let folder = tempfile::Builder::new().prefix("claw-postgres-").tempdir();
    let folder = folder.expect("a temporary folder can be made").keep();
    if let Some((_, uid, gid)) = owner() {
        chown(&folder, Some(uid), Some(gid)).expect("root may give a folder away");
    }
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&folder, mode).expect("the owner may close a folder");
    folder
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// The server that all tests of this process share.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(Durability::None))
}

/// An empty database on the shared server.
pub fn empty() -> String {
    let server = shared();
    server.url(&server.create())
}

/// Roles belong to the server: two that make one at once are in each other's way.
static ROLES: Mutex<()> = Mutex::new(());

/// A database with the whole schema on the shared server: a copy of one that was migrated once.
///
/// # Panics
///
/// If it cannot be made.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub async fn migrated() -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(|| async {
        let name = shared().create();
        let db = open(&shared().url(&name)).await;
        let ran = clawexchange_migrations::all().up(&db, None, Timestamp::UNIX_EPOCH).await;
        ran.expect("every step runs on an empty database");
        // Each copy is a deployment of its own.
        let tx = db.begin().await.expect("a transaction begins");
        tx.execute("DELETE FROM database_deployment", []).await.expect("the row goes");
        tx.commit().await.expect("it commits");
        db.close().await.expect("it closes");
        name
    });
    let template = template.await;
    let server = shared();
    let name = server.create_from(template);
    // Rights on the database itself are not part of a copy.
    let app = APPLICATION.parse().expect("a plain name is one");
    let grants = clawexchange_migrations::grants(&app).await.expect("every step says what it leaves");
    {
        let _turn = ROLES.lock().unwrap_or_else(PoisonError::into_inner);
        server.sql(&name, &grants);
    }
    let url = server.url(&name);
    let db = open(&url).await;
    let tx = db.begin().await.expect("a transaction begins");
    let sql = "INSERT INTO database_deployment (one, id, created_us) VALUES (1, decode(replace(CAST(gen_random_uuid() AS TEXT), '-', ''), 'hex'), 0)";
    tx.execute(sql, []).await.expect("the row comes");
    tx.commit().await.expect("it commits");
    db.close().await.expect("it closes");
    url
}

/// The role that has the rights of the application in every database that [`migrated`] makes.
pub const APPLICATION: &str = "claw_app";

/// The same database for the application: of what [`migrated`] gives, which is for the administrator.
pub fn for_application(url: &str) -> String {
    url.replacen("postgres://postgres@", &format!("postgres://{APPLICATION}@"), 1)
}

/// As [`migrated`], for a test that has no runtime of its own.
///
/// # Panics
///
/// If it cannot be made.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub fn migrated_blocking() -> String {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made")
    });
    runtime.block_on(migrated())
}

/// Opens a database.
///
/// # Panics
///
/// If it cannot be opened.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub async fn open(url: &str) -> Database {
    let url = PostgresUrl::parse(url).expect("the address can be read");
    Database::open(DatabaseConfig::new(Place::Postgres(url))).await.expect("the database can be opened")
}
