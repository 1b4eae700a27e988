//! Throwaway deployments for the tests of the workspace.

pub mod registry;

use clawexchange_database::{Database, DatabaseConfig, Place};
use clawexchange_ssg_core::Timestamp;

/// A database with the whole schema, in a folder that goes when it is dropped.
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
        let place = Place::Sqlite(folder.path().join("claw.db"));
        let db = Database::open(DatabaseConfig::new(place).creating()).await.expect("a database can be made");
        let ran = clawexchange_migrations::all().up(&db, None, Timestamp::UNIX_EPOCH).await;
        ran.expect("every step runs on an empty database");
        Self { folder, db }
    }
}
