//! An event and the change it tells of survive together; leases have one holder.
#![cfg(feature = "migrate")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use clawexchange_database::{Database, Lease, Plan, outbox};
use clawexchange_ssg_core::{Actor, AuditEvent, EventKind, Timestamp};
use clawexchange_testkit::open_in;
use clawexchange_testkit::tamper::blob;

async fn open(folder: &tempfile::TempDir) -> Database {
    let db = open_in(folder.path()).await;
    Plan::of([]).up(&db, None, Timestamp::UNIX_EPOCH).await.unwrap();
    db
}

fn event(n: u64) -> AuditEvent {
    AuditEvent::new(EventKind::SsgPass, Actor::system("test").unwrap(), Timestamp::UNIX_EPOCH)
        .with("n", n)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_change_that_was_undone_never_was() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let tx = db.begin().await.unwrap();
    outbox::put(&tx, &event(1)).await.unwrap();
    drop(tx);
    assert_eq!(outbox::depth(&db).await.unwrap().waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_taken_in_order_and_once_and_only_if_the_taker_commits() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let events: Vec<_> = (0..5).map(event).collect();
    let tx = db.begin().await.unwrap();
    for event in &events {
        outbox::put(&tx, event).await.unwrap();
    }
    tx.commit().await.unwrap();
    let tx = db.begin().await.unwrap();
    assert_eq!(outbox::take(&tx, 3).await.unwrap(), events[..3]);
    drop(tx);
    let tx = db.begin().await.unwrap();
    assert_eq!(outbox::take(&tx, 4).await.unwrap(), events[..4], "not taken, since nobody committed");
    tx.commit().await.unwrap();
    let tx = db.begin().await.unwrap();
    assert_eq!(outbox::take(&tx, 9).await.unwrap(), events[4..]);
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_no_event_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let tx = db.begin().await.unwrap();
    let sql = format!("INSERT INTO database_outbox (event, created_us) VALUES ({}, 0)", blob(&db, "7b7d"));
    tx.execute(&sql, []).await.unwrap();
    outbox::put(&tx, &event(1)).await.unwrap();
    tx.commit().await.unwrap();
    let tx = db.begin().await.unwrap();
    assert_eq!(outbox::take(&tx, 9).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
    let depth = outbox::depth(&db).await.unwrap();
    assert_eq!((depth.waiting, depth.aside), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_one_holder_and_a_fence_that_grows() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let long = Duration::from_mins(1);
    let first = Lease::take(&db, "sweep", "a", long).await.unwrap().unwrap();
    assert_eq!(Lease::take(&db, "sweep", "b", long).await.unwrap(), None);
    assert_eq!(
        Lease::take(&db, "sweep", "a", Duration::ZERO).await.unwrap().unwrap().fence,
        first.fence,
        "renewed"
    );
    let second = Lease::take(&db, "sweep", "b", long).await.unwrap().expect("the first has run out");
    assert!(second.fence > first.fence);
    first.release(&db).await.unwrap();
    assert_eq!(Lease::take(&db, "sweep", "c", long).await.unwrap(), None, "a lost lease gives nothing back");
    second.release(&db).await.unwrap();
    assert!(Lease::take(&db, "sweep", "c", long).await.unwrap().is_some());
}
