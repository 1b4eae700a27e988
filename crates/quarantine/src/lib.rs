//! Holds suspicious content sealed until somebody decides.

mod error;
mod keyring;
mod objects;
mod seal;
mod status;

pub use error::{Flaw, QuarantineError};
pub use keyring::{KEYS_MAX, KeyRing};
pub use objects::files::FileStore;
pub use objects::{ObjectKey, ObjectStore, PutOutcome, object_store_conforms};
pub use seal::{CHUNK_BYTES, CONTENT_BYTES_MAX, FreshKey, Opener, SealContext, Sealer, open, seal};
pub use status::{BlobState, Status};
