//! What a sweep would do, without doing it.

use serde::Serialize;

use super::Vault;
use crate::error::QuarantineError;
use crate::records::{self, Due};

/// How much is due. Each number stops at [`DueReport::COUNTED_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DueReport {
    /// Records that nobody decided in time.
    pub to_expire: u64,
    /// Stores that were cut short.
    pub to_settle: u64,
    /// Keys whose grace is over.
    pub to_shred: u64,
    /// Objects whose key is destroyed.
    pub to_delete: u64,
}

impl DueReport {
    /// Counting stops here: a dry run must not become long work.
    pub const COUNTED_MAX: u32 = 100_000;
}

impl Vault {
    /// Counts what [`sweep`](Self::sweep) would do now.
    pub async fn due(&self) -> Result<DueReport, QuarantineError> {
        let (read, now) = (self.0.db.read(), self.now());
        let settled = now.minus(self.0.config.upload_budget);
        let mut counts = [0; 3];
        for (count, (what, at)) in
            counts.iter_mut().zip([(Due::Expiry, now), (Due::Settlement, settled), (Due::Shredding, now)])
        {
            *count = records::due(&read, what, at, DueReport::COUNTED_MAX).await?.len() as u64;
        }
        let [to_expire, to_settle, to_shred] = counts;
        Ok(DueReport { to_expire, to_settle, to_shred, to_delete: self.stats().await?.tombstones })
    }
}
