//! Throwaway deployments for the tests of the workspace.

pub mod postgres;
mod process;
pub mod proxy;
pub mod redis;
pub mod registry;
pub mod s3;
pub mod tamper;

use std::path::Path;

use clawexchange_database::{Database, DatabaseConfig, Place};
use clawexchange_ssg_core::Timestamp;

/// Opens the database that belongs to a folder, and makes it if there is none: a SQLite file there, or where
/// [`postgres::SWITCH`] says so a database of the shared PostgreSQL server, whose address is kept in the folder.
///
/// # Panics
///
/// If it cannot be opened: a test without its database has nothing to say.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub async fn open_in(folder: &Path) -> Database {
    if !postgres::is_wanted() {
        let config = DatabaseConfig::new(Place::Sqlite(folder.join("claw.db"))).creating();
        return Database::open(config).await.expect("a database can be made");
    }
    postgres::open(&url_in(folder, postgres::empty)).await
}

/// The address of the migrated database that belongs to a folder, for its administrator; `None` unless the suites use
/// PostgreSQL.
pub async fn migrated_in(folder: &Path) -> Option<String> {
    if !postgres::is_wanted() {
        return None;
    }
    let made = if folder.join(KEPT).exists() { String::new() } else { postgres::migrated().await };
    Some(url_in(folder, || made))
}

/// The file of a folder that has the address of its database.
const KEPT: &str = "postgres-url";

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
fn url_in(folder: &Path, make: impl FnOnce() -> String) -> String {
    let kept = folder.join(KEPT);
    std::fs::read_to_string(&kept).unwrap_or_else(|_| {
        let url = make();
        std::fs::write(&kept, &url).expect("the folder can be written");
        url
    })
}

/// A database with the whole schema, and a folder that goes when it is dropped. On SQLite, which lies in that folder,
/// unless [`postgres::SWITCH`] says PostgreSQL.
#[derive(Debug)]
pub struct Deployment {
    /// The folder.
    pub folder: tempfile::TempDir,
    /// The database.
    pub db: Database,
}

impl Deployment {
    /// Makes one.
    ///
    /// # Panics
    ///
    /// If it cannot be made: a test without its database has nothing to say.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub async fn fresh() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        if postgres::is_wanted() {
            let url = postgres::migrated().await;
            url_in(folder.path(), || url);
            return Self { db: open_in(folder.path()).await, folder };
        }
        let db = open_in(folder.path()).await;
        let ran = clawexchange_migrations::all().up(&db, None, Timestamp::UNIX_EPOCH).await;
        ran.expect("every step runs on an empty database");
        Self { folder, db }
    }

    /// Opens the same database once more, as another process would.
    pub async fn again(&self) -> Database {
        open_in(self.folder.path()).await
    }
}
