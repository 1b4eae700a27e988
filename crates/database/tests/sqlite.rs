//! What is SQLite's own: the file, its lock, its one writer.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use clawexchange_database::{Database, DatabaseConfig, DatabaseError, Place, Statements as _};
use clawexchange_ssg_core::{Fault as _, FaultKind};

async fn open(folder: &tempfile::TempDir) -> Database {
    let place = Place::Sqlite(folder.path().join("rows.db"));
    let db = Database::open(DatabaseConfig::new(place).creating()).await.unwrap();
    let tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE IF NOT EXISTS notes (note INTEGER NOT NULL PRIMARY KEY) STRICT", [])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    db
}

async fn notes(db: &Database) -> Vec<i64> {
    let rows = db.read().rows("SELECT note FROM notes ORDER BY note", []).await.unwrap();
    rows.iter().map(|row| row.get("note").unwrap()).collect()
}

async fn write(db: &Database, note: i64) -> Result<(), DatabaseError> {
    let tx = db.begin().await?;
    tx.execute("INSERT INTO notes (note) VALUES ($1)", [note.into()]).await?;
    tx.commit().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_gives_up_waiting_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let first = db.begin().await.unwrap();
    let waiting = tokio::spawn({
        let db = db.clone();
        async move { db.begin().await.map(drop) }
    });
    let impatient = tokio::time::timeout(Duration::from_millis(1), db.begin()).await;
    assert!(impatient.is_err());
    first.commit().await.unwrap();
    waiting.await.unwrap().unwrap();
    write(&db, 7).await.unwrap();
    assert_eq!(notes(&db).await, [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_held_elsewhere_is_said_after_the_stated_time() {
    let folder = tempfile::tempdir().unwrap();
    let holder = open(&folder).await;
    let mut config = DatabaseConfig::new(Place::Sqlite(folder.path().join("rows.db")));
    config.acquire_timeout = Duration::from_millis(500);
    let other = Database::open(config).await.unwrap();
    let held = holder.begin().await.unwrap();
    let error = write(&other, 1).await.unwrap_err();
    assert_eq!(error.kind(), FaultKind::Locked, "{error:?}");
    held.commit().await.unwrap();
    write(&other, 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE blobs (b BLOB NOT NULL) STRICT", []).await.unwrap();
    tx.commit().await.unwrap();
    db.close().await.unwrap();
    let mut config = DatabaseConfig::new(Place::Sqlite(folder.path().join("rows.db")));
    config.pages_max = Some(20);
    let db = Database::open(config).await.unwrap();
    let tx = db.begin().await.unwrap();
    let error = tx.execute("INSERT INTO blobs (b) VALUES (zeroblob(1000000))", []).await.unwrap_err();
    assert_eq!(error.kind(), FaultKind::Unavailable, "{error:?}");
    drop(tx);
    write(&db, 1).await.unwrap();
    assert_eq!(notes(&db).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_database_or_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.db");
    let missing = Database::open(DatabaseConfig::new(Place::Sqlite(path.clone()))).await.unwrap_err();
    assert_eq!(missing.kind(), FaultKind::NotFound);
    assert!(!path.exists(), "looking does not make one");
    std::fs::write(
        &path,
        "this is no database, and it is longer than a header of one hundred bytes would be".repeat(9),
    )
    .unwrap();
    let error = Database::open(DatabaseConfig::new(Place::Sqlite(path))).await.unwrap_err();
    assert_eq!(error.kind(), FaultKind::Integrity, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    write(&db, 1).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}
