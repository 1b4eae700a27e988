//! Holds suspicious content sealed until somebody decides.

mod config;
mod error;
mod keyring;
mod migrations;
mod objects;
mod record;
mod records;
mod seal;
mod status;
mod vault;

pub use config::VaultConfig;
pub use error::{Flaw, QuarantineError};
pub use keyring::{KEYS_MAX, KeyRing};
pub use migrations::MIGRATIONS;
pub use objects::files::FileStore;
pub use objects::{ObjectKey, ObjectStore, PutOutcome, object_store_conforms};
pub use record::{Filter, Grant, GrantToken, NOTE_BYTES_MAX, Note, Opened, QuarantineRecord, Reason, Stats};
pub use seal::{CHUNK_BYTES, CONTENT_BYTES_MAX, FreshKey, Opener, SealContext, Sealer, open, seal};
pub use status::{BlobState, Status};
#[cfg(debug_assertions)]
#[doc(hidden)]
pub use vault::FAIL_POINTS;
pub use vault::{DueReport, ReconcileReport, STATE_TARGETS, SweepReport, Vault};
