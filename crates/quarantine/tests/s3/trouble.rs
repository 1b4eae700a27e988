//! A server that is killed, stopped, cut off and slow, and answers that are lost.

use std::time::Duration;

use clawexchange_quarantine::{ObjectStore as _, PutOutcome, S3Store};
use clawexchange_testkit::proxy::{Proxy, Weather};
use clawexchange_testkit::s3::{self, Server};

use crate::{config, hasty, key, open};

/// A store whose server is behind a proxy.
fn behind_a_proxy() -> (Proxy, S3Store) {
    let server = s3::shared();
    let proxy = Proxy::before(server.port());
    let mut config = hasty(config(server, &server.bucket()));
    config.endpoint = server.endpoint_at(proxy.port());
    (proxy, open(config))
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_done_once_and_said_to_be() {
    let (proxy, store) = behind_a_proxy();
    let key = key();
    proxy.lose_answer_to("PUT /");
    let outcome = store.put_new(&key, b"sealed".to_vec()).await.unwrap();
    assert!(!proxy.is_set());
    assert_eq!(outcome, PutOutcome::Created, "it is ours that is there");
    assert_eq!(store.get(&key, 10).await.unwrap().as_deref(), Some(&b"sealed"[..]));
    assert!(store.counts().repeated >= 1);
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_not_taken_for_what_another_put_there() {
    let (proxy, store) = behind_a_proxy();
    let key = key();
    store.put_new(&key, b"first".to_vec()).await.unwrap();
    proxy.lose_answer_to("PUT /");
    let outcome = store.put_new(&key, b"other".to_vec()).await.unwrap();
    assert_eq!(outcome, PutOutcome::Taken);
    proxy.lose_answer_to("PUT /");
    let outcome = store.put_new(&key, b"other, and longer".to_vec()).await.unwrap();
    assert_eq!(outcome, PutOutcome::Taken);
    assert_eq!(store.get(&key, 10).await.unwrap().as_deref(), Some(&b"first"[..]));
}

#[tokio::test]
async fn reading_listing_and_deleting_go_on_when_an_answer_is_lost() {
    let (proxy, store) = behind_a_proxy();
    let key = key();
    store.put_new(&key, b"sealed".to_vec()).await.unwrap();
    proxy.lose_answer_to("GET /");
    assert_eq!(store.get(&key, 10_000).await.unwrap().as_deref(), Some(&b"sealed"[..]));
    proxy.lose_answer_to("list-type=2");
    assert_eq!(store.list(None, 10).await.unwrap(), std::slice::from_ref(&key));
    proxy.lose_answer_to("POST /");
    store.delete(std::slice::from_ref(&key)).await.remove(0).unwrap();
    assert!(!proxy.is_set());
    assert_eq!(store.get(&key, 10).await.unwrap(), None);
}

#[tokio::test]
async fn a_slow_server_is_waited_for_and_a_stopped_one_is_not_waited_for_long() {
    let (proxy, store) = behind_a_proxy();
    let key = key();
    proxy.set(Weather::Slow(Duration::from_millis(100)));
    store.put_new(&key, vec![1; 200_000]).await.unwrap();
    proxy.set(Weather::Stalled);
    let error = store.put_new(&self::key(), vec![1; 200_000]).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("quarantine/s3-timed-out", true));
    proxy.set(Weather::Clear);
    assert_eq!(store.get(&key, 200_000).await.unwrap().unwrap().len(), 200_000);
}

#[tokio::test]
async fn a_server_that_is_cut_off_is_left_alone_and_asked_again_by_itself() {
    let (proxy, store) = behind_a_proxy();
    store.probe().await.unwrap();
    proxy.set(Weather::Cut);
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(store.put_new(&key(), Vec::new()).await.unwrap_err().code());
    }
    assert_eq!(codes[0], "quarantine/s3-away");
    assert_eq!(codes[3], "quarantine/s3-paused", "{codes:?}");
    let before = store.counts().requests;
    assert!(store.counts().is_paused);
    assert!(store.list(None, 1).await.is_err());
    assert_eq!(store.counts().requests, before, "nothing is asked meanwhile");
    proxy.set(Weather::Clear);
    until_it_answers(&store).await;
    store.put_new(&key(), Vec::new()).await.unwrap();
    assert!(!store.counts().is_paused);
}

async fn until_it_answers(store: &S3Store) {
    let asked = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while store.probe().await.is_err() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), asked).await.unwrap();
}

#[tokio::test]
async fn what_was_stored_survives_a_server_that_is_killed() {
    let mut server = Server::start();
    let store = open(hasty(config(&server, &server.bucket())));
    let key = key();
    store.put_new(&key, b"sealed".to_vec()).await.unwrap();
    server.kill();
    assert_eq!(store.get(&key, 10_000).await.unwrap_err().code(), "quarantine/s3-away");
    server.run();
    until_it_answers(&store).await;
    assert_eq!(store.get(&key, 10_000).await.unwrap().as_deref(), Some(&b"sealed"[..]));
    server.freeze();
    let error = store.get(&key, 10_000).await.unwrap_err();
    assert_eq!(error.code(), "quarantine/s3-timed-out");
    server.thaw();
    until_it_answers(&store).await;
    assert_eq!(store.get(&key, 10_000).await.unwrap().as_deref(), Some(&b"sealed"[..]));
}

#[tokio::test]
async fn requests_wait_for_their_turn_and_not_for_ever() {
    let server = Server::start();
    let mut config = hasty(config(&server, &server.bucket()));
    config.connections = 2;
    let store = open(config);
    let all: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.put_new(&key(), vec![3; 10_000]).await })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    assert_eq!(store.list(None, 100).await.unwrap().len(), 20);
}
