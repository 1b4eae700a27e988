//! `claw serve` as a process of its own, and a client that says exactly what it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::claw::Claw;

/// How long an answer is waited for before a test fails: far longer than any bound of the server's.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct Served {
    child: Child,
    pub public: SocketAddr,
    pub admin: SocketAddr,
}

impl Served {
    /// Starts a server; with port 0 it takes free ports, and says which.
    pub fn start(claw: &Claw, listen: &str, admin: &str) -> Self {
        let args = ["serve", "--listen", listen, "--admin-listen", admin, "--output", "json"];
        let mut command = claw.command(&args);
        // A pipe that nobody reads would stop the server when it is full.
        let talk = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(claw.home.path().join("serve.log"))
            .unwrap();
        let mut child = command.stderr(Stdio::from(talk)).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let said: Value = serde_json::from_str(&first).unwrap_or_else(|_| {
            let log = std::fs::read_to_string(claw.home.path().join("serve.log")).unwrap_or_default();
            panic!("the server did not start: {log}")
        });
        let address = |name: &str| said[name].as_str().unwrap().parse().unwrap();
        Self { public: address("public"), admin: address("admin"), child }
    }

    /// Ends it as a lost power supply would end the process.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to stop, and gives its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Whoever asked for it to end has seen it end; otherwise the test has failed already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Said {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Connects, with patience.
pub fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads one answer.
pub fn answer(stream: &mut TcpStream) -> std::io::Result<Said> {
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(cut());
        }
        head.extend(byte);
    }
    let head = String::from_utf8(head).ok().ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(cut)?;
    let mut said = Said { status, head, body: Vec::new() };
    let length: usize = said.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    said.body.resize(length, 0);
    stream.read_exact(&mut said.body)?;
    Ok(said)
}

/// Sends bytes as they are on a connection of their own, and reads one answer.
pub fn raw(to: SocketAddr, bytes: &[u8]) -> std::io::Result<Said> {
    let mut stream = connect(to)?;
    stream.write_all(bytes)?;
    answer(&mut stream)
}

/// The bytes of a POST of JSON.
pub fn post(path: &str, token: &str, more: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: claw\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n{more}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The bytes of a GET.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: claw\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// A token of a role, made as an operator makes it.
pub fn token(claw: &Claw, id: &str, role: &str) -> String {
    let made = claw.json(&["token", "create", "--id", id, "--role", role]);
    made["token"].as_str().unwrap().to_owned()
}
