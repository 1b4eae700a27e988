//! Buckets that keep what is deleted, and what a bucket says of itself.

use clawexchange_quarantine::{BucketSays, ObjectStore as _};
use clawexchange_testkit::s3::{Server, User};

use crate::{config, key, open};

#[tokio::test]
async fn deleting_takes_all_versions_and_their_markers() {
    let server = Server::start();
    let bucket = server.bucket();
    server.set(|s| {
        s.versioned.insert(bucket.clone());
        // Puts over what is there, as a server that knows no condition does.
        s.ignores_conditions = true;
    });
    let store = open(config(&server, &bucket));
    let (key, other) = (key(), key());
    for n in 0..3 {
        store.put_new(&key, vec![n; 100]).await.unwrap();
    }
    store.put_new(&other, b"other".to_vec()).await.unwrap();
    assert_eq!(server.versions(&bucket), 4);
    // Somebody deleted it as if no versions were kept, and put it once more.
    server.delete_plainly(&bucket, key.as_str());
    store.put_new(&key, b"late".to_vec()).await.unwrap();
    assert_eq!(server.versions(&bucket), 6);
    for answer in store.delete(&[key.clone(), self::key()]).await {
        answer.unwrap();
    }
    assert_eq!(store.get(&key, 100).await.unwrap(), None);
    assert_eq!(server.versions(&bucket), 1, "only the other one is left");
    assert_eq!(store.list(None, 10).await.unwrap(), [other]);
}

#[tokio::test]
async fn more_versions_than_a_page_has_are_all_deleted() {
    let server = Server::start();
    let bucket = server.bucket();
    server.set(|s| s.versioned.insert(bucket.clone()));
    let store = open(config(&server, &bucket));
    let key = key();
    store.put_new(&key, b"x".to_vec()).await.unwrap();
    server.multiply(&bucket, key.as_str(), 1100);
    store.delete(std::slice::from_ref(&key)).await.remove(0).unwrap();
    assert_eq!(server.versions(&bucket), 0);
}

#[tokio::test]
async fn a_version_that_is_locked_is_not_said_to_be_gone() {
    let server = Server::start();
    let bucket = server.bucket();
    let store = open(config(&server, &bucket));
    let (free, locked) = (key(), key());
    server.set(|s| {
        s.versioned.insert(bucket.clone());
        s.undeletable.insert(locked.to_string());
    });
    for key in [&free, &locked] {
        store.put_new(key, b"x".to_vec()).await.unwrap();
    }
    let answers = store.delete(&[free, locked]).await;
    assert!(answers[0].is_ok());
    assert_eq!(answers[1].as_ref().unwrap_err().code(), "quarantine/s3-rights");
}

#[tokio::test]
async fn a_bucket_says_how_it_is_set_up() {
    let server = Server::start();
    let (plain, odd) = (server.bucket(), server.bucket());
    server.set(|s| {
        for set in [&mut s.versioned, &mut s.public, &mut s.expiring, &mut s.locking] {
            set.insert(odd.clone());
        }
        let user =
            User { secret: "s".into(), actions: ["s3:PutObject".to_owned()].into(), prefix: "claw/".into() };
        s.users.insert("LEAST".to_owned(), user);
    });
    let (plain_store, odd_store) = (open(config(&server, &plain)), open(config(&server, &odd)));
    for (store, said, is_open) in [(&plain_store, BucketSays::No, false), (&odd_store, BucketSays::Yes, true)]
    {
        assert_eq!(store.is_versioned().await.unwrap(), said);
        assert_eq!(store.policy_is_public().await.unwrap(), said);
        assert_eq!(store.deletes_by_itself().await.unwrap(), said);
        assert_eq!(store.locks_objects().await.unwrap(), said);
        assert_eq!(store.is_open_to_anybody().await.unwrap(), is_open);
        assert!(store.may_put_elsewhere().await.unwrap(), "an administrator may");
        assert!(store.list(None, 10).await.unwrap().is_empty());
    }
    assert_eq!(
        std::fs::read_dir(server.file(&plain, "")).unwrap().count(),
        0,
        "what was tried is taken away"
    );
    assert_eq!(server.versions(&odd), 0, "in all versions");
    let mut config = config(&server, &plain);
    "LEAST".clone_into(&mut config.access_key);
    "s".clone_into(&mut config.secret_key);
    let least = open(config);
    assert!(!least.may_put_elsewhere().await.unwrap());
    assert_eq!(least.is_versioned().await.unwrap(), BucketSays::NotForUs);
}
