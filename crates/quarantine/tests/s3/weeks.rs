//! Keys of weeks in the bucket of what they open.

use clawexchange_quarantine::{ObjectStore, WeekKeyStore, week_key_store_conforms};
use clawexchange_ssg_core::KeyId;
use clawexchange_testkit::s3::{self, Server};

use crate::{config, open};

#[tokio::test]
async fn a_bucket_keeps_keys_of_weeks_beside_objects_and_apart_from_them() {
    let server = s3::shared();
    let bucket = server.bucket();
    let store = open(config(server, &bucket));
    week_key_store_conforms(store.clone()).await;
    let week = KeyId::new("wk-2026-11-23-0123456789abcdef").unwrap();
    store.put(&week, vec![7; 100]).await.unwrap();
    assert!(server.file(&bucket, "quarantine/weeks/wk-2026-11-23-0123456789abcdef").exists());
    assert_eq!(ObjectStore::list(&store, None, 10).await.unwrap(), [], "it is no object that nobody knows");
    for hostile in ["other", "wk-A", "wk-..", "wk-2026/x"] {
        if let Ok(id) = KeyId::new(hostile) {
            assert!(WeekKeyStore::get(&store, &id).await.is_err(), "{hostile} is no name of a key");
        }
    }
}

#[tokio::test]
async fn a_key_of_a_week_is_deleted_with_every_version_of_it() {
    let server = Server::start();
    let bucket = server.bucket();
    server.set(|s| s.versioned.insert(bucket.clone()));
    week_key_store_conforms(open(config(&server, &bucket))).await;
    assert_eq!(server.versions(&bucket), 0);
}
