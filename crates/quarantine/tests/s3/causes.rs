//! Each cause is told from the others, is said with what to do about it, and is not tried again in vain.

use clawexchange_quarantine::{ObjectStore as _, S3Config, S3Store};
use clawexchange_testkit::s3::{self, Server, User};

use crate::{config, key, open};

/// All that can be asked of the store fails with this code, and nothing is asked twice.
async fn all_fail_with(store: &S3Store, code: &str) {
    let before = store.counts();
    let codes = [
        store.put_new(&key(), b"sealed".to_vec()).await.unwrap_err(),
        store.get(&key(), 10_000).await.unwrap_err(),
        store.list(None, 10).await.unwrap_err(),
        store.delete(&[key()]).await.remove(0).unwrap_err(),
    ];
    for error in &codes {
        assert_eq!(error.code(), code, "{error}");
        assert!(!error.is_transient(), "{error}");
        assert!(error.hint().is_some(), "{error}");
        let said = format!("{error} {error:?} {:?}", error.hint());
        assert!(!said.contains(s3::SECRET_KEY) && !said.contains("wrong secret"), "{said}");
    }
    let after = store.counts();
    assert_eq!((after.requests - before.requests, after.repeated), (4, 0), "{code}");
    assert!(!after.is_paused, "a refusal does not make the server away");
    store.probe().await.unwrap_err();
}

fn with(change: impl FnOnce(&mut S3Config)) -> S3Store {
    let server = s3::shared();
    let mut config = config(server, &server.bucket());
    change(&mut config);
    open(config)
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_key_are_said_to_be() {
    let store = with(|c| "wrong secret".clone_into(&mut c.secret_key));
    all_fail_with(&store, "quarantine/s3-credentials").await;
    let store = with(|c| "NOBODY".clone_into(&mut c.access_key));
    all_fail_with(&store, "quarantine/s3-credentials").await;
}

#[tokio::test]
async fn a_wrong_region_is_said_with_the_right_one() {
    let store = with(|c| "elsewhere-2".clone_into(&mut c.region));
    all_fail_with(&store, "quarantine/s3-region").await;
    let error = store.list(None, 1).await.unwrap_err();
    assert_eq!(error.hint().unwrap(), format!("set S3_REGION={}", s3::REGION));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_said_to_be_and_is_not_made() {
    let store = with(|c| "nowhere".clone_into(&mut c.bucket));
    all_fail_with(&store, "quarantine/s3-no-bucket").await;
    assert!(!s3::shared().file("nowhere", "").exists());
}

#[tokio::test]
async fn missing_rights_are_said_with_what_for() {
    let server = Server::start();
    let nothing = User { secret: "none".to_owned(), ..User::default() };
    server.set(|s| s.users.insert("NONE".to_owned(), nothing));
    let mut config = config(&server, &server.bucket());
    "NONE".clone_into(&mut config.access_key);
    "none".clone_into(&mut config.secret_key);
    let store = open(config);
    all_fail_with(&store, "quarantine/s3-rights").await;
    let error = store.put_new(&key(), Vec::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "the S3 key may not store objects (AccessDenied)");
}

/// Something at a port that gives everybody the same answer; its endpoint.
async fn answering(head: &'static str, body: &'static str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _read = stream.read(&mut [0; 4096]).await;
                let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _sent = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://127.0.0.1:{port}")
}

#[tokio::test]
async fn an_endpoint_that_is_no_s3_server_is_said_not_to_be_one() {
    let endpoint = answering("200 OK", "<html><p>hello</html>").await;
    let store = with(|c| c.endpoint = endpoint);
    for error in
        [store.list(None, 10).await.unwrap_err(), store.delete(&[key()]).await.remove(0).unwrap_err()]
    {
        assert_eq!(error.code(), "quarantine/s3-unreadable");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_said_with_how_much() {
    // A server whose clock shows a time long ago, and who therefore refuses.
    let head = "403 Forbidden\r\nDate: Mon, 05 Jan 2026 00:00:00 GMT\r\nConnection: close";
    let endpoint = answering(head, "<Error><Code>RequestTimeTooSkewed</Code></Error>").await;
    let store = with(|c| c.endpoint = endpoint);
    all_fail_with(&store, "quarantine/s3-clock").await;
    let error = store.list(None, 1).await.unwrap_err().to_string();
    let seconds: u64 = error.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(seconds > 86_400, "{error}");
}
