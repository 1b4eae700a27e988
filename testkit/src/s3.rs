//! S3 servers that are thrown away: signatures are checked, rights are kept, buckets may be versioned.
//!
//! A server is this very test program once more, in a process of its own, so that it can be killed and frozen. A test
//! program that uses one says [`s3_server!`](crate::s3_server) at its root, which makes the test that is that process.

mod backend;
mod serve;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::process;

pub use serve::serve_if_asked;

/// The variable that has the suites of the workspace keep objects in S3 instead of in files: `s3`.
pub const SWITCH: &str = "CLAW_TEST_OBJECTS";

/// Whether the suites are to keep objects in S3.
pub fn is_wanted() -> bool {
    std::env::var_os(SWITCH).is_some_and(|wanted| wanted == "s3")
}

/// The only region there is.
pub const REGION: &str = "test-region-1";
/// Who may do everything.
pub const ACCESS_KEY: &str = "TESTADMIN";
/// What they sign with.
pub const SECRET_KEY: &str = "a secret of the tests";
/// What tells the process that it is a server, and where its folder is.
const FOLDER: &str = "CLAW_TEST_S3_FOLDER";

/// Makes the test that is the server's process. Stands once, at the root of a test program.
#[macro_export]
macro_rules! s3_server {
    () => {
        #[test]
        fn s3_server() {
            $crate::s3::serve_if_asked();
        }
    };
}

/// Somebody who may ask the server for something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "tests write it out")]
pub struct User {
    /// What they sign with.
    pub secret: String,
    /// What they may do, as the names of AWS have it, such as `s3:PutObject`; `*` is everything.
    pub actions: BTreeSet<String>,
    /// What the names of objects begin with that they may touch.
    pub prefix: String,
}

/// What a server is told, in a file that it reads for each request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "tests write it out")]
pub struct Settings {
    /// By access key.
    pub users: BTreeMap<String, User>,
    /// Buckets that keep what was replaced and deleted.
    pub versioned: BTreeSet<String>,
    /// Names of objects that cannot be deleted, as under a lock.
    pub undeletable: BTreeSet<String>,
    /// Buckets that anybody may read.
    pub public: BTreeSet<String>,
    /// Buckets that delete by themselves.
    pub expiring: BTreeSet<String>,
    /// Buckets that lock what is put.
    pub locking: BTreeSet<String>,
    /// What is set in a request is done, as by servers that do not know the condition.
    pub ignores_conditions: bool,
    /// Requests with a condition are refused with `NotImplemented`, as by other servers.
    pub refuses_conditions: bool,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
    is_tls: bool,
    settings: Mutex<Settings>,
}

impl Server {
    /// Starts one on a free port.
    ///
    /// # Panics
    ///
    /// If that cannot be done: a test without its server has nothing to say.
    pub fn start() -> Self {
        Self::new(false)
    }

    /// Starts one that speaks TLS, with a certificate of an authority of its own for `localhost`, `s3.localhost` and what is below that.
    ///
    /// # Panics
    ///
    /// If that cannot be done.
    pub fn start_tls() -> Self {
        Self::new(true)
    }

    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    fn new(is_tls: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("claw-s3-").tempdir();
        let folder = folder.expect("a temporary folder can be made").keep();
        std::fs::create_dir(folder.join("root")).expect("the folder can be written");
        if is_tls {
            serve::make_certificates(&folder);
        }
        let admin =
            User { secret: SECRET_KEY.to_owned(), actions: ["*".to_owned()].into(), prefix: String::new() };
        let settings = Settings { users: [(ACCESS_KEY.to_owned(), admin)].into(), ..Settings::default() };
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = port.expect("loopback has a free port").port();
        let mut server = Self { folder, port, child: None, is_tls, settings: Mutex::new(settings) };
        server.set(|_| {});
        server.run();
        server
    }

    /// Starts the server, after [`kill`](Self::kill) again, on the same port and folder, and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not within a minute.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn run(&mut self) {
        let program = std::env::current_exe().expect("a program knows where it lies");
        let child = Command::new(program)
            .args(["s3_server", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, &self.folder)
            .env("CLAW_TEST_S3_PORT", self.port.to_string())
            .env_remove("CLAW_FAIL_POINT")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("a program can be started again"));
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                started.elapsed() < Duration::from_mins(1),
                "the S3 server does not listen: does this program say s3_server!() at its root?"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The port on loopback.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        self.endpoint_at(self.port)
    }

    /// Its address through something that stands before it at another port.
    pub fn endpoint_at(&self, port: u16) -> String {
        let (scheme, host) = if self.is_tls { ("https", "localhost") } else { ("http", "127.0.0.1") };
        format!("{scheme}://{host}:{port}")
    }

    /// The file with the certificate of its authority, if it speaks TLS.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Makes an empty bucket and gives its name.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn bucket(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bucket-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir(self.folder.join("root").join(&name)).expect("the folder can be written");
        name
    }

    /// Changes what it was told.
    ///
    /// # Panics
    ///
    /// If that cannot be written.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn set<T>(&self, change: impl FnOnce(&mut Settings) -> T) {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let _changed = change(&mut settings);
        let (draft, file) = (self.folder.join("settings.part"), self.folder.join("settings.json"));
        let text = serde_json::to_string(&*settings).expect("settings can be written");
        std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, file)).expect("a file is written");
    }

    /// The file in which an object's bytes lie.
    pub fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.folder.join("root").join(bucket).join(key)
    }

    /// How many versions, markers among them, a bucket has.
    pub fn versions(&self, bucket: &str) -> usize {
        backend::all_versions(&self.folder, bucket).len()
    }

    /// Deletes an object as who knows nothing of versions does: a marker says that it is gone.
    ///
    /// # Panics
    ///
    /// If it cannot.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn delete_plainly(&self, bucket: &str, key: &str) {
        std::fs::remove_file(self.file(bucket, key)).expect("there is such an object");
        backend::keep(&self.folder, bucket, key, true).expect("the folder can be written");
    }

    /// Gives an object so many more versions.
    ///
    /// # Panics
    ///
    /// If it cannot.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn multiply(&self, bucket: &str, key: &str, times: u32) {
        for _ in 0..times {
            backend::keep(&self.folder, bucket, key, false).expect("the folder can be written");
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _may_be_gone = child.kill();
            let _ended = child.wait();
        }
    }

    /// Freezes it: connections stay open and nothing answers.
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
        Pid::from_raw(i32::try_from(self.child.as_ref()?.id()).ok()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _stays = std::fs::remove_dir_all(&self.folder);
    }
}

/// The server that all tests of this process share.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::start)
}

/// The file of a folder that tells of its bucket.
const KEPT: &str = "s3-bucket";

/// A bucket that belongs to a folder.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bucket {
    /// Its server.
    pub endpoint: String,
    /// Its name.
    pub name: String,
    /// The folder in which the bytes of its objects lie.
    pub root: PathBuf,
}

/// The bucket that belongs to a folder, on the shared server; makes it if there is none. Other processes find the same.
///
/// # Panics
///
/// If it cannot be made.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub fn bucket_in(folder: &Path) -> Bucket {
    let kept = folder.join(KEPT);
    let text = std::fs::read_to_string(&kept).unwrap_or_else(|_| {
        let (server, name) = (shared(), shared().bucket());
        let text = format!("{} {name} {}", server.endpoint(), server.file(&name, "").display());
        std::fs::write(&kept, &text).expect("the folder can be written");
        text
    });
    let mut words = text.splitn(3, ' ').map(ToOwned::to_owned);
    let mut next = || words.next().expect("an address, a name and a folder");
    Bucket { endpoint: next(), name: next(), root: PathBuf::from(next()) }
}
