//! A request that names itself is done once, whatever becomes of the process that does it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use clawexchange_database::idempotency::{Begun, KEPT, Named, begin, finish, forget, sweep};
use clawexchange_database::keys::{self, Instance};
use clawexchange_database::{Database, Dialect, Plan};
use clawexchange_ssg_core::{KeyId, Timestamp};
use clawexchange_testkit::open_in;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

async fn open(folder: &tempfile::TempDir) -> Database {
    let db = open_in(folder.path()).await;
    Plan::of([]).up(&db, None, NOW).await.unwrap();
    db
}

fn named(principal: &str, key: &str, body: u8) -> Named {
    Named::new(principal, "/v1/submit", key, &[body])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_said_again_to_the_same_principal_for_the_same_body_and_to_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let first = named("ann", "k", 1);
    assert!(matches!(begin(&db, &first, "p1", NOW).await.unwrap(), Begun::New(_)));
    finish(&db, &first, 202, b"held").await.unwrap();
    finish(&db, &first, 503, b"late").await.unwrap();
    let answered = Begun::Answered { status: 202, answer: b"held".to_vec() };
    assert_eq!(begin(&db, &first, "p1", NOW).await.unwrap(), answered);
    assert_eq!(begin(&db, &first, "p2", NOW).await.unwrap(), answered, "whatever process is asked");
    assert_eq!(begin(&db, &named("ann", "k", 2), "p1", NOW).await.unwrap(), Begun::Mismatch);
    assert!(matches!(begin(&db, &named("bob", "k", 2), "p1", NOW).await.unwrap(), Begun::New(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_left_undone_is_done_by_the_next_under_the_same_names() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let request = named("ann", "k", 1);
    let Begun::New(names) = begin(&db, &request, "p1", NOW).await.unwrap() else { panic!("it is new") };
    assert_eq!(begin(&db, &request, "p1", NOW).await.unwrap(), Begun::Again { names, by_us: true });
    assert_eq!(begin(&db, &request, "p2", NOW).await.unwrap(), Begun::Again { names, by_us: false });
    assert_eq!(begin(&db, &request, "p2", NOW).await.unwrap(), Begun::Again { names, by_us: true });
    forget(&db, &request, "p1").await.unwrap();
    let taken_over = Begun::Again { names, by_us: true };
    assert_eq!(begin(&db, &request, "p2", NOW).await.unwrap(), taken_over, "it is not p1's any more");
    forget(&db, &request, "p2").await.unwrap();
    assert!(matches!(begin(&db, &request, "p2", NOW).await.unwrap(), Begun::New(n) if n != names));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_the_name_is_free_again() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    for key in ["a", "b", "c"] {
        begin(&db, &named("ann", key, 1), "p1", NOW).await.unwrap();
    }
    finish(&db, &named("ann", "a", 1), 200, b"").await.unwrap();
    let later = NOW.plus(KEPT);
    assert!(matches!(begin(&db, &named("ann", "a", 2), "p1", later).await.unwrap(), Begun::New(_)));
    assert_eq!(sweep(&db, later, 1).await.unwrap(), 1, "bounded");
    assert_eq!(sweep(&db, later, 9).await.unwrap(), 1, "and what is new stays");
    forget(&db, &named("ann", "a", 2), "p1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_that_serves_has_at_work_no_other_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let request = named("ann", "k", 1);
    let Begun::New(names) = begin(&db, &request, "p1", NOW).await.unwrap() else { panic!("it is new") };
    let key = KeyId::new("mk-1").unwrap();
    let tx = db.begin().await.unwrap();
    keys::beat(&tx, &Instance::new("p1", "here", vec![key.clone()], key)).await.unwrap();
    tx.commit().await.unwrap();
    let taken_over = Begun::Again { names, by_us: false };
    if db.dialect() == Dialect::Sqlite {
        // Who else was at a file is gone.
        assert_eq!(begin(&db, &request, "p2", NOW).await.unwrap(), taken_over);
        return;
    }
    assert_eq!(begin(&db, &request, "p2", NOW).await.unwrap(), Begun::InFlight);
    assert_eq!(begin(&db, &request, "p1", NOW).await.unwrap(), Begun::Again { names, by_us: true });
    keys::leave(&db, "p1").await.unwrap();
    assert_eq!(begin(&db, &request, "p2", NOW).await.unwrap(), taken_over);
}
