//! A small HTTP/1.1 client. Every answer that it gets is held against the description of the interface.

use std::net::SocketAddr;

use clawexchange_gateway::On;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::contract;

/// One listener of a server.
#[derive(Clone, Debug)]
pub struct Client {
    pub address: SocketAddr,
    pub on: On,
}

/// A request that is being put together.
#[derive(Clone, Debug)]
pub struct Request<'c> {
    client: &'c Client,
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        let (method, path) = (method.to_owned(), path.to_owned());
        Request { client: self, method, path, headers: Vec::new(), body: None }
    }

    pub fn get(&self, path: &str) -> Request<'_> {
        self.request("GET", path)
    }

    pub fn post(&self, path: &str, body: &Value) -> Request<'_> {
        self.request("POST", path).json(body)
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

impl Request<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The bytes as they go over the wire.
    pub fn bytes(&self, connection: &str) -> Vec<u8> {
        let Self { method, path, .. } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: {connection}\r\n");
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head += &format!("Host: {}\r\n", self.client.address);
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend(self.body.iter().flatten());
        bytes
    }

    pub async fn send(self) -> Answer {
        let (mut from, mut to) = self.client.connect().await.into_split();
        let (bytes, mut said) = (self.bytes("close"), Vec::new());
        // A server that has heard enough closes its end: what it said is what counts.
        let (_sent, _read) = tokio::join!(to.write_all(&bytes), from.read_to_end(&mut said));
        let answer = Answer::parse(&said);
        contract::check(self.client.on, &self.method, &self.path, &answer);
        answer
    }
}

impl Answer {
    pub fn parse(said: &[u8]) -> Self {
        let end = said.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(said)));
        let head = std::str::from_utf8(&said[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pairs = lines.map(|line| line.split_once(": ").unwrap());
        let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: said[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The answer, if it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, String::from_utf8_lossy(&self.body));
        self
    }

    /// The JSON of an answer of this status.
    #[track_caller]
    pub fn of(self, status: u16) -> Value {
        self.expect(status).json()
    }

    /// The code of a problem of this status.
    #[track_caller]
    pub fn code(self, status: u16) -> String {
        self.of(status)["code"].as_str().unwrap().to_owned()
    }
}
