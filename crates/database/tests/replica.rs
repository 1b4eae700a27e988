//! Lists and searches go to a copy that follows; whether it answers is its own affair.
//!
//! It starts its own servers, whichever database the other suites use.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use clawexchange_database::{Database, DatabaseConfig, DatabaseError, Place, PostgresUrl, Statements as _};
use clawexchange_ssg_core::Fault as _;
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
