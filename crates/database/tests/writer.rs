//! Many transactions: each whole or not at all, and acknowledged only when it is safe.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use clawexchange_database::{Database, DatabaseError, Statements as _};
use clawexchange_ssg_core::{Fault as _, FaultKind};
use clawexchange_testkit::open_in;

async fn open(folder: &tempfile::TempDir) -> Database {
    let db = open_in(folder.path()).await;
    let tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE IF NOT EXISTS notes (note BIGINT NOT NULL PRIMARY KEY)", []).await.unwrap();
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
async fn two_handles_on_one_database_lose_nothing_of_each_other() {
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
async fn an_error_prints_no_value_of_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE words (word TEXT NOT NULL PRIMARY KEY)", []).await.unwrap();
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
