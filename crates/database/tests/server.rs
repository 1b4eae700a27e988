//! What only a server has: a copy that follows, whose silence is its own affair, and a clock for all.
//!
//! It starts its own servers, whichever database the other suites use.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use clawexchange_database::{Database, DatabaseConfig, DatabaseError, Place, PostgresUrl, Statements as _};
use clawexchange_ssg_core::{Clock, Fault as _, SystemClock, Timestamp};
use clawexchange_testkit::postgres::{Durability, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_silent_leaves_the_database_itself_alone() {
    let server = Server::start(Durability::None);
    let copy = server.standby();
    let place = Place::Postgres(PostgresUrl::parse(&server.url("postgres")).unwrap());
    let mut config = DatabaseConfig::new(place);
    config.replica = Some(PostgresUrl::parse(&copy.url("postgres")).unwrap());
    config.acquire_timeout = Duration::from_secs(1);
    config.statement_timeout = Duration::from_secs(1);
    let db = Database::open(config).await.unwrap();
    let follows = "SELECT pg_is_in_recovery() AS follows";
    let is_copy = async || -> Result<bool, DatabaseError> {
        db.replica().row(follows, []).await?.unwrap().get::<bool>("follows")
    };
    assert!(is_copy().await.unwrap());
    assert!(!db.read().row(follows, []).await.unwrap().unwrap().get::<bool>("follows").unwrap());

    copy.freeze();
    for _ in 0..2 {
        let error = is_copy().await.unwrap_err();
        assert_eq!(error.code(), "database/copy-away", "{error}");
        assert!(!db.is_away(), "the database answers");
        let tx = db.begin().await.unwrap();
        tx.row("SELECT 1 AS one", []).await.unwrap();
        tx.commit().await.unwrap();
    }
    copy.thaw();
    let again = async {
        while is_copy().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), again).await.expect("the copy is asked again by itself");
    db.close().await.unwrap();
}

/// A clock that is ahead by so many microseconds.
#[derive(Clone, Debug, Default)]
struct Wrong(Arc<AtomicI64>);

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(SystemClock::new().now().as_micros() + self.0.load(Ordering::Relaxed))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_whose_clocks_are_hours_apart_agree_on_the_time() {
    const HOUR: i64 = 3_600_000_000;
    let server = Server::start(Durability::None);
    let place = Place::Postgres(PostgresUrl::parse(&server.url("postgres")).unwrap());
    let db = Database::open(DatabaseConfig::new(place)).await.unwrap();
    let wrong = Wrong::default();
    // The server has this machine's clock. An answer may take seconds on a busy one.
    let is_right = |clock: &dyn Clock| {
        clock.now().as_micros().abs_diff(SystemClock::new().now().as_micros()) < 60_000_000
    };
    for ahead in [0, 2 * HOUR, -30 * HOUR] {
        wrong.0.store(ahead, Ordering::Relaxed);
        let clock = db.clock_over(wrong.clone()).await.unwrap();
        assert!(is_right(&clock), "{ahead}: {clock:?}");
    }
    let clock = db.clock_over(wrong.clone()).await.unwrap();
    let shared = clock.clone();
    wrong.0.store(5 * HOUR, Ordering::Relaxed);
    assert!(!is_right(&clock), "nobody knows of it yet");
    assert!(clock.set_by(&db).await.unwrap() > 4 * HOUR);
    assert!(is_right(&shared), "clones are set together");
    db.close().await.unwrap();
}

#[tokio::test]
async fn the_clock_of_a_file_is_that_of_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Sqlite(folder.path().join("rows.db"));
    let db = Database::open(DatabaseConfig::new(place).creating()).await.unwrap();
    let wrong = Wrong(Arc::new(AtomicI64::new(1_000_000_000_000)));
    let clock = db.clock_over(wrong).await.unwrap();
    assert!(clock.now().as_micros() > SystemClock::new().now().as_micros() + 900_000_000_000);
}
