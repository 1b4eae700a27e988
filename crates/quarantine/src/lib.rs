//! Holds suspicious content sealed until somebody decides.
//!
//! A [`Vault`] keeps content that was flagged: sealed with a key of its own ([`seal()`]), in its row or as an object
//! ([`ObjectStore`]), with the key wrapped by a master key ([`KeyRing`]). People and programs release it or delete it,
//! time lets it expire, legal holds keep it, and whoever looks at it does so once, with a grant, after the log has it.
//! Content that is gone is gone because its key is: copies of its bytes say nothing any more.
//!
//! Each change of a record commits together with its event, which a log takes out of the outbox of
//! `clawexchange-database`, and with a code over the whole row, so that an edit by hand is found. This crate decides
//! nothing about content, knows no log and, without the feature `s3`, no network, and reads no environment. It does not
//! decide who may decide: whoever calls says who acts.
//!
//! ```
//! use clawexchange_database::{Database, DatabaseConfig, Drain, Place, Plan};
//! use clawexchange_quarantine::{FileStore, Filter, KeyRing, MIGRATIONS, Note, Reason, Status, Vault, VaultConfig};
//! use clawexchange_ssg_core::testing::hold_of;
//! use clawexchange_ssg_core::{Actor, AgentId, Clock, PageLimit, PortError, Quarantine, SystemClock};
//!
//! /// Stands for the log, which takes events out of the outbox.
//! #[derive(Debug)]
//! struct NoLog;
//!
//! #[async_trait::async_trait]
//! impl Drain for NoLog {
//!     async fn drain(&self) -> Result<(), PortError> {
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let db = Database::open(DatabaseConfig::new(Place::Sqlite(folder.join("claw.db"))).creating()).await?;
//! Plan::of([MIGRATIONS]).up(&db, None, SystemClock::new().now()).await?;
//! let objects = FileStore::new(folder.join("objects"));
//! let vault = Vault::new(db, objects, KeyRing::generate()?, NoLog, VaultConfig::default())?;
//!
//! // The gate does this with what it flagged.
//! let hold = hold_of("flag-hold this offer", &AgentId::new("agent-1")?, SystemClock::new()).await;
//! vault.hold(hold).await?;
//!
//! // A reviewer looks at it, and decides.
//! let ann = Actor::human("ann")?;
//! let waiting = vault.list(&Filter::default(), None, PageLimit::default()).await?;
//! let Some(record) = waiting.items.first() else { return Err("nothing waits".into()) };
//! let grant = vault.grant(record.id, &ann, &Note::new("weekly review")?).await?;
//! let opened = vault.open(&ann, &grant.token).await?;
//! assert!(std::str::from_utf8(&opened.content)?.contains("this offer"));
//! let decided = vault.release(record.id, &ann, Reason::FalsePositive, None).await?;
//! assert_eq!(decided.status, Status::Released);
//! # Ok(())
//! # }
//! ```
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `s3` | objects in a bucket of an S3 server: [`S3Store`] | no |

// Locks are taken in one order by all, so that no two wait for each other: first the names "quarantine/agent/…",
// "quarantine/owner/…", "quarantine/all", of which a store takes one each; then a grant; then the row of a record and what
// hangs on it; then the outbox. A transaction changes one record, but for a sweep, which waits for none that another
// holds.

#[cfg(feature = "s3")]
mod bucket;
mod config;
mod error;
mod key_command;
mod keychain;
mod keyring;
mod masters;
mod migrations;
mod objects;
mod record;
mod records;
mod seal;
mod status;
mod vault;
mod week_keys;

#[cfg(feature = "s3")]
pub use bucket::{S3Counts, S3Store, config::S3Config, examine::BucketSays, trouble::S3Trouble};
pub use config::VaultConfig;
pub use error::{Flaw, QuarantineError};
pub use key_command::KeyCommand;
pub use keychain::Keychain;
pub use keyring::{KEYS_MAX, KeyRing};
pub use masters::{KeyFile, MasterKeys};
pub use migrations::MIGRATIONS;
pub use objects::files::FileStore;
pub use objects::moved::MovedStore;
pub use objects::{ObjectKey, ObjectStore, PutOutcome, object_store_conforms};
pub use record::{
    CiphertextLink, Filter, Grant, GrantToken, NOTE_BYTES_MAX, Note, Opened, QuarantineRecord, Reason, Stats,
};
pub use seal::{CHUNK_BYTES, CONTENT_BYTES_MAX, FreshKey, Opener, SealContext, Sealer, open, seal};
pub use status::{BlobState, Status};
#[cfg(debug_assertions)]
#[doc(hidden)]
pub use vault::FAIL_POINTS;
pub use vault::{
    ADOPTED_POLICY, Adopted, Claim, DueReport, KeyUse, LEASE_DEFAULT, LEASE_MAX, LEASE_MIN, OFFSET_ITEMS_MAX,
    OFFSET_MAX, REWRAPPED_AT_ONCE, ReconcileReport, RewrapReport, Ruling, STATE_TARGETS, SweepReport, Vault,
    WeekKeyState,
};
pub use week_keys::{WEEK_KEY_BYTES_MAX, WeekKeyFiles, WeekKeyStore, week_key_store_conforms};
