//! One writer, many transactions: each whole or not at all, and acknowledged only when it is safe.
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
async fn what_is_committed_is_read_and_what_is_dropped_never_was() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    write(&db, 1).await.unwrap();
    let tx = db.begin().await.unwrap();
    tx.execute("INSERT INTO notes (note) VALUES (2)", []).await.unwrap();
    assert_eq!(notes(&db).await, [1], "readers see only what is committed");
    drop(tx);
    write(&db, 3).await.unwrap();
    assert_eq!(notes(&db).await, [1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_lose_nothing_and_a_failing_one_harms_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    write(&db, 1_000_000).await.unwrap();
    let writers: Vec<_> = (0..300_i64)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                match n % 3 {
                    // Breaks the rule of the table.
                    0 => write(&db, 1_000_000).await.map_err(|e| e.kind()),
                    // Goes away in the middle.
                    1 => {
                        let tx = db.begin().await.unwrap();
                        tx.execute("INSERT INTO notes (note) VALUES ($1)", [(-n).into()]).await.unwrap();
                        drop(tx);
                        Ok(())
                    }
                    _ => write(&db, n).await.map_err(|e| e.kind()),
                }
            })
        })
        .collect();
    for (n, writer) in writers.into_iter().enumerate() {
        let wanted = if n % 3 == 0 { Err(FaultKind::Conflict) } else { Ok(()) };
        assert_eq!(writer.await.unwrap(), wanted, "writer {n}");
    }
    let kept: Vec<i64> = (0..300).filter(|n| n % 3 == 2).chain([1_000_000]).collect();
    assert_eq!(notes(&db).await, kept);
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
async fn two_handles_on_one_file_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(&folder).await, open(&folder).await);
    let tasks: Vec<_> = (0..40_i64)
        .map(|n| {
            let db = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move { write(&db, n).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(notes(&one).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_held_elsewhere_is_said_after_the_stated_time() {
    let folder = tempfile::tempdir().unwrap();
    let holder = open(&folder).await;
    let mut config = DatabaseConfig::new(Place::Sqlite(folder.path().join("rows.db")));
    config.acquire_timeout = Duration::from_millis(50);
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

#[tokio::test(flavor = "multi_thread")]
async fn an_error_prints_no_value_of_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE words (word TEXT NOT NULL PRIMARY KEY) STRICT", []).await.unwrap();
    tx.execute("INSERT INTO words (word) VALUES ($1)", ["hunter2".into()]).await.unwrap();
    let error = tx.execute("INSERT INTO words (word) VALUES ($1)", ["hunter2".into()]).await.unwrap_err();
    let mut shown = format!("{error:?} {error}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        shown = format!("{shown} {cause}");
        source = cause.source();
    }
    assert!(!shown.contains("hunter2"), "{shown}");
}
