//! What a bucket does when nothing is wrong.

use clawexchange_quarantine::{ObjectKey, ObjectStore as _, PutOutcome, object_store_conforms};
use clawexchange_ssg_core::{FaultKind, PortError, Timestamp};
use clawexchange_testkit::s3::{self, Server, User};

use crate::{config, key, open};

#[tokio::test]
async fn a_bucket_is_an_object_store() {
    let server = s3::shared();
    object_store_conforms(|| async { open(config(server, &server.bucket())) }).await;
}

#[tokio::test]
async fn a_bucket_over_tls_of_a_private_authority_and_before_the_host_is_one_too() {
    let server = Server::start_tls();
    let authority = std::fs::read(server.authority()).unwrap();
    object_store_conforms(|| async {
        let mut config = config(&server, &server.bucket());
        config.authorities = Some(authority.clone());
        config.path_style = false;
        config.endpoint = format!("https://s3.localhost:{}", server.port());
        config.address = Some(([127, 0, 0, 1], server.port()).into());
        open(config)
    })
    .await;
}

#[tokio::test]
async fn a_server_whose_authority_is_not_trusted_is_not_spoken_to() {
    let server = Server::start_tls();
    let mut config = config(&server, &server.bucket());
    config.address = Some(([127, 0, 0, 1], server.port()).into());
    let store = open(config);
    let error = store.put_new(&key(), b"sealed".to_vec()).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("quarantine/s3-tls", false));
    assert_eq!(store.counts().requests, 1, "it is not tried again");
}

#[tokio::test]
async fn the_rights_of_the_documentation_are_enough_and_each_is_needed() {
    let page = include_str!("../../../../docs/deployment.md");
    let rights: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `s3:"))
        .filter(|line| !line.contains("| doctor"))
        .map(|line| format!("s3:{}", line.split('`').next().unwrap()))
        .collect();
    assert!(rights.len() >= 6, "{rights:?}");
    for missing in std::iter::once(None).chain(rights.iter().map(Some)) {
        let server = Server::start();
        let bucket = server.bucket();
        let actions = rights.iter().filter(|right| Some(*right) != missing).cloned().collect();
        server.set(|s| {
            s.users.insert(
                "LEAST".to_owned(),
                User { secret: "least".to_owned(), actions, prefix: "claw/".to_owned() },
            );
        });
        let work = async |versioned: bool| {
            server.set(|s| {
                s.versioned.clear();
                if versioned {
                    s.versioned.insert(bucket.clone());
                }
            });
            let mut config = config(&server, &bucket);
            "LEAST".clone_into(&mut config.access_key);
            "least".clone_into(&mut config.secret_key);
            "claw/".clone_into(&mut config.prefix);
            let store = open(config);
            let key = key();
            store.put_new(&key, b"sealed".to_vec()).await?;
            store.get(&key, 10).await?;
            store.list(None, 10).await?;
            store.delete(&[key]).await.remove(0)
        };
        let mut done = work(false).await;
        if done.is_ok() {
            done = work(true).await;
        }
        match missing {
            None => assert!(done.is_ok(), "{done:?}"),
            Some(right) => {
                let code = done.map_err(|error| error.code());
                assert_eq!(code, Err("quarantine/s3-rights"), "without {right}");
            }
        }
    }
}

#[tokio::test]
async fn no_more_is_read_than_was_asked_for() {
    let server = s3::shared();
    let store = open(config(server, &server.bucket()));
    let (large, empty) = (key(), key());
    store.put_new(&large, vec![7; 3 << 20]).await.unwrap();
    store.put_new(&empty, Vec::new()).await.unwrap();
    for bytes_max in [0, 1, 4095, 4096, (3 << 20) - 1] {
        let error = store.get(&large, bytes_max).await.unwrap_err();
        assert_eq!(error.kind(), FaultKind::TooLarge, "{bytes_max}");
    }
    assert_eq!(store.get(&large, 3 << 20).await.unwrap().unwrap().len(), 3 << 20);
    for bytes_max in [0, 1, 4095, 4096] {
        assert_eq!(store.get(&empty, bytes_max).await.unwrap(), Some(Vec::new()), "{bytes_max}");
    }
}

#[tokio::test]
async fn a_list_goes_on_over_pages_and_past_what_is_not_ours() {
    let server = s3::shared();
    let bucket = server.bucket();
    let mut config = config(server, &bucket);
    "here/".clone_into(&mut config.prefix);
    let store = open(config);
    let mut keys: Vec<ObjectKey> = (0..25).map(|_| key()).collect();
    keys.sort();
    for key in &keys {
        store.put_new(key, b"x".to_vec()).await.unwrap();
    }
    let admin = open(crate::config(server, &bucket));
    admin.put_new(&key(), b"another's".to_vec()).await.unwrap();
    for n in 0..7 {
        let name = format!("here/quarantine/2027/01/15/foreign-{n}");
        std::fs::write(server.file(&bucket, &name), "x").unwrap();
    }
    let (mut found, mut pages) = (Vec::<ObjectKey>::new(), 0);
    loop {
        let page = store.list(found.last(), 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page);
        pages += 1;
    }
    assert_eq!(found, keys);
    assert!(pages >= 7, "{pages}");
}

#[tokio::test]
async fn each_name_has_its_own_answer_when_many_are_deleted() {
    let server = s3::shared();
    let bucket = server.bucket();
    let store = open(config(server, &bucket));
    let keys: Vec<ObjectKey> = (0..5).map(|_| key()).collect();
    for key in &keys {
        store.put_new(key, b"x".to_vec()).await.unwrap();
    }
    server.set(|s| {
        s.undeletable.insert(keys[2].to_string());
    });
    let answers = store.delete(&keys).await;
    let codes: Vec<Option<&str>> = answers.iter().map(|a| a.as_ref().err().map(PortError::code)).collect();
    assert_eq!(codes, [None, None, Some("quarantine/s3-rights"), None, None]);
    assert_eq!(store.list(None, 10).await.unwrap(), std::slice::from_ref(&keys[2]));
}

#[tokio::test]
async fn a_server_that_does_not_know_conditions_is_written_to_without() {
    let server = Server::start();
    server.set(|s| s.refuses_conditions = true);
    let store = open(config(&server, &server.bucket()));
    let key = key();
    assert_eq!(store.put_new(&key, b"one".to_vec()).await.unwrap(), PutOutcome::Created);
    assert_eq!(store.counts().requests, 2, "one with a condition, which it refused");
    assert_eq!(store.put_new(&self::key(), b"two".to_vec()).await.unwrap(), PutOutcome::Created);
    assert_eq!(store.counts().requests, 3, "that is remembered");
    assert_eq!(store.get(&key, 10).await.unwrap().as_deref(), Some(&b"one"[..]));
}

#[tokio::test]
async fn a_link_gives_the_sealed_bytes_for_a_while_and_nothing_else() {
    let server = s3::shared();
    let store = open(config(server, &server.bucket()));
    let (key, other) = (key(), key());
    store.put_new(&key, b"sealed".to_vec()).await.unwrap();
    store.put_new(&other, b"another".to_vec()).await.unwrap();
    let lasting = std::time::Duration::from_mins(5);
    let link = store.ciphertext_link(&key, lasting).await.unwrap().unwrap();
    assert!(link.contains("X-Amz-Expires=300"), "{}", *link);
    assert!(!link.contains(s3::SECRET_KEY));
    let get = |link: String| async move {
        let address = link.strip_prefix("http://").unwrap().to_owned();
        let (host, path) = address.split_once('/').unwrap();
        http_get(host, &format!("/{path}")).await
    };
    assert!(get(link.to_string()).await.ends_with("sealed"));
    let turned = link.replace(key.as_str(), other.as_str());
    assert!(get(turned).await.starts_with("HTTP/1.1 403"));
    let long = store.ciphertext_link(&key, std::time::Duration::from_hours(9)).await.unwrap().unwrap();
    assert!(long.contains("X-Amz-Expires=900"), "a link never lasts longer than 15 minutes");
}

async fn http_get(host: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn nothing_is_asked_when_a_store_is_opened_and_a_probe_writes_nothing() {
    let server = s3::shared();
    let bucket = server.bucket();
    let store = open(config(server, &bucket));
    assert_eq!(store.counts().requests, 0);
    store.probe().await.unwrap();
    assert_eq!(store.counts().requests, 1);
    assert!(store.list(None, 10).await.unwrap().is_empty());
    assert_eq!(store.tidy(Timestamp::from_micros(i64::MAX)).await.unwrap(), 0);
}
