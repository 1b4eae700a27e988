//! One database handle for the whole pipeline.
//!
//! A process opens one [`Database`]. Readers read what is committed; a [`Tx`] writes, and transactions that wait
//! together share one commit. Beside it lie what every crate with tables needs: the outbox, in which an event
//! commits with the change that it tells of; leases with fences; schema changes as SQL text ([`MigrationSet`]) and,
//! with the feature `migrate`, the plan that runs them.
//!
//! This is the only crate of the pipeline whose public names show types of sea-orm. It knows no table but its own.
//!
//! ```
//! use clawexchange_database::{Database, DatabaseConfig, Place, Statements as _};
//!
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let place = Place::Sqlite(folder.path().join("rows.db"));
//! let db = Database::open(DatabaseConfig::new(place).creating()).await?;
//! let tx = db.begin().await?;
//! tx.execute("CREATE TABLE notes (note TEXT NOT NULL) STRICT", []).await?;
//! tx.execute("INSERT INTO notes (note) VALUES ($1)", ["kept".into()]).await?;
//! tx.commit().await?; // it survives a crash from here on
//! let row = db.read().row("SELECT note FROM notes", []).await?;
//! assert_eq!(row.map(|row| row.get::<String>("note")).transpose()?.as_deref(), Some("kept"));
//! # Ok(())
//! # }
//! ```
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `migrate` | `Plan`: runs, undoes, lists and checks schema changes | no |

mod breaker;
mod clock;
mod dialect;
mod error;
mod handle;
pub mod idempotency;
pub mod keys;
mod lease;
pub mod outbox;
#[cfg(feature = "migrate")]
mod plan;
mod postgres;
mod rows;
pub mod rules;
mod schema;
mod sqlite;
mod steps;

pub use clock::DatabaseClock;
pub use dialect::Dialect;
pub use error::DatabaseError;
pub use handle::{Connections, Database, DatabaseConfig, Place, Read, Tx};
pub use lease::{LEASE_TIME, Lease};
pub use outbox::{Drain, STATE, STATE_CONTEXT, StateRow};
#[cfg(feature = "migrate")]
pub use plan::{Destroy, DownTo, Drift, MigrateError, Plan, SchemaState, StepState};
pub use postgres::{PostgresUrl, Tls};
pub use rows::{Answer, Row, Statements};
pub use schema::{SchemaObject, expected_schema, fingerprint, schema, shape};
pub use sea_orm::{TryGetable, Value};
pub use steps::{MIGRATIONS, MigrationSet, Script, Step};
