//! The registry refuses what a real one refuses: whatever a release gets past it would fail only when it is too late.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use clawexchange_testkit::registry::Registry;
use serde_json::{Value, json};

const TOKEN: &str = "right";

#[test]
fn without_the_right_token_nothing_is_uploaded_and_nothing_is_yanked() {
    let registry = Registry::start(TOKEN);
    for token in [None, Some(""), Some("wrong"), Some("right2"), Some("righ")] {
        let answer = ask(&registry, "PUT", "/api/v1/crates/new", token, &upload("kit", "0.1.0"));
        assert_eq!(answer.status, 403, "{token:?}");
        assert!(answer.why().contains("token"), "cargo shows why: {}", answer.why());
    }
    assert!(registry.uploaded().is_empty());
    publish(&registry, "kit", "0.1.0");
    assert_eq!(ask(&registry, "DELETE", "/api/v1/crates/kit/0.1.0/yank", Some("wrong"), b"").status, 403);
    assert_eq!(entries(&registry, "/index/3/k/kit")[0]["yanked"], false);
}

#[test]
fn a_version_is_uploaded_once_and_never_replaced() {
    let registry = Registry::start(TOKEN);
    publish(&registry, "kit", "0.1.0");
    let before = ask(&registry, "GET", "/dl/kit/0.1.0/download", None, b"").body;
    for repeat in ["0.1.0", "0.1.0+other"] {
        let answer = ask(&registry, "PUT", "/api/v1/crates/new", Some(TOKEN), &upload("kit", repeat));
        assert_eq!(answer.status, 409, "{repeat}");
        assert!(answer.why().contains("already uploaded"), "{}", answer.why());
    }
    let other_case = ask(&registry, "PUT", "/api/v1/crates/new", Some(TOKEN), &upload("Kit", "0.2.0"));
    assert_eq!(other_case.status, 400, "{}", other_case.why());
    publish(&registry, "kit", "0.2.0");
    assert_eq!(registry.uploaded(), ["kit@0.1.0", "kit@0.2.0"]);
    assert_eq!(ask(&registry, "GET", "/dl/kit/0.1.0/download", None, b"").body, before);
    assert_eq!(entries(&registry, "/index/3/k/kit").len(), 2);
}

#[test]
fn the_index_names_the_checksum_of_what_is_downloaded() {
    use sha2::Digest as _;
    let registry = Registry::start(TOKEN);
    publish(&registry, "kit", "0.1.0");
    let archive = ask(&registry, "GET", "/dl/kit/0.1.0/download", None, b"").body;
    let digest = format!("{:x}", sha2::Sha256::digest(&archive));
    assert_eq!(entries(&registry, "/index/3/k/kit")[0]["cksum"], json!(digest));
    for missing in
        ["/dl/kit/0.2.0/download", "/dl/..%2f..%2fkit/0.1.0/download", "/index/3/k/kat", "/index/kit"]
    {
        assert_eq!(ask(&registry, "GET", missing, None, b"").status, 404, "{missing}");
    }
}

#[test]
fn a_yanked_version_says_so_and_can_be_had_back() {
    let registry = Registry::start(TOKEN);
    publish(&registry, "kit", "0.1.0");
    for (method, act, yanked) in [("DELETE", "yank", true), ("PUT", "unyank", false)] {
        let path = format!("/api/v1/crates/kit/0.1.0/{act}");
        assert_eq!(ask(&registry, method, &path, Some(TOKEN), b"").status, 200);
        assert_eq!(entries(&registry, "/index/3/k/kit")[0]["yanked"], json!(yanked));
        assert_eq!(
            ask(&registry, "GET", "/dl/kit/0.1.0/download", None, b"").status,
            200,
            "locks keep working"
        );
    }
    assert_eq!(ask(&registry, "DELETE", "/api/v1/crates/kit/9.9.9/yank", Some(TOKEN), b"").status, 404);
}

#[test]
fn what_is_no_upload_leaves_no_trace() {
    let registry = Registry::start(TOKEN);
    let whole = upload("kit", "0.1.0");
    let cut = whole[..whole.len() - 1].to_vec();
    for (body, status) in [
        (Vec::new(), 400),
        (cut, 400),
        (b"\xff\xff\xff\xffshort".to_vec(), 400),
        (upload("../kit", "0.1.0"), 400),
    ] {
        let answer = ask(&registry, "PUT", "/api/v1/crates/new", Some(TOKEN), &body);
        assert_eq!(answer.status, status, "{} bytes: {}", body.len(), answer.why());
    }
    let too_long = claim(&registry, "PUT", "/api/v1/crates/new", Some(TOKEN), b"", 13 << 20);
    assert_eq!(too_long.status, 413, "before a byte of it was read");
    assert!(registry.uploaded().is_empty());
    assert_eq!(ask(&registry, "GET", "/index/3/k/kit", None, b"").status, 404);
}

#[test]
fn a_private_registry_shows_nothing_without_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path(), TOKEN, true);
    publish(&registry, "kit", "0.1.0");
    for path in ["/index/config.json", "/index/3/k/kit", "/dl/kit/0.1.0/download"] {
        assert_eq!(ask(&registry, "GET", path, None, b"").status, 401, "{path}");
        assert_eq!(ask(&registry, "GET", path, Some(TOKEN), b"").status, 200, "{path}");
    }
    let config = ask(&registry, "GET", "/index/config.json", Some(TOKEN), b"");
    let config: Value = serde_json::from_slice(&config.body).unwrap();
    assert_eq!(config["auth-required"], true);
}

#[test]
fn what_was_uploaded_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    publish(&Registry::open(folder.path(), TOKEN, false), "kit", "0.1.0");
    let registry = Registry::open(folder.path(), TOKEN, false);
    assert_eq!(entries(&registry, "/index/3/k/kit").len(), 1);
    assert_eq!(
        ask(&registry, "PUT", "/api/v1/crates/new", Some(TOKEN), &upload("kit", "0.1.0")).status,
        409,
        "a restart forgets nothing"
    );
}

#[test]
fn uploads_at_the_same_time_are_all_kept() {
    let registry = Registry::start(TOKEN);
    std::thread::scope(|scope| {
        for minor in 0..16 {
            let registry = &registry;
            scope.spawn(move || publish(registry, "kit", &format!("0.{minor}.0")));
        }
    });
    assert_eq!(entries(&registry, "/index/3/k/kit").len(), 16);
}

#[test]
fn a_refusal_that_a_test_asked_for_is_given_as_often_as_asked() {
    let registry = Registry::start(TOKEN);
    registry.refuse_next(2, 503);
    for status in [503, 503, 200, 409] {
        let answer = ask(&registry, "PUT", "/api/v1/crates/new", Some(TOKEN), &upload("kit", "0.1.0"));
        assert_eq!(answer.status, status);
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    fn why(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["errors"][0]["detail"].as_str().unwrap_or("").to_owned()
    }
}

fn publish(registry: &Registry, name: &str, version: &str) {
    let answer = ask(registry, "PUT", "/api/v1/crates/new", Some(TOKEN), &upload(name, version));
    assert_eq!(answer.status, 200, "{}", answer.why());
}

fn entries(registry: &Registry, path: &str) -> Vec<Value> {
    let answer = ask(registry, "GET", path, None, b"");
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The framing of cargo: two parts, each behind its length.
fn upload(name: &str, version: &str) -> Vec<u8> {
    let metadata = json!({ "name": name, "vers": version, "deps": [], "features": {} }).to_string();
    let archive = format!("archive of {name} {version}");
    let length = |text: &str| u32::try_from(text.len()).unwrap().to_le_bytes();
    [&length(&metadata), metadata.as_bytes(), &length(&archive), archive.as_bytes()].concat()
}

fn ask(registry: &Registry, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Answer {
    claim(registry, method, path, token, body, body.len())
}

/// Asks with a body that is as long as its header says, or is not.
fn claim(
    registry: &Registry,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &[u8],
    length: usize,
) -> Answer {
    let index = registry.index();
    let address = index.trim_start_matches("sparse+http://").trim_end_matches("/index/");
    let mut stream = TcpStream::connect(address).unwrap();
    let shown = token.map(|token| format!("authorization: {token}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{shown}\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let head_ends = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let head_ends = head_ends.unwrap_or_else(|| panic!("no answer to {method} {path}: {read:?}"));
    let head = String::from_utf8(answer[..head_ends].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, body: answer[head_ends + 4..].to_vec() }
}
