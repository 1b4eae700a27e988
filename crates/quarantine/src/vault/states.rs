//! What the log fixes, row by row, for whoever compares the two.

use clawexchange_database::StateRow;
use clawexchange_ssg_core::Target;

use super::legal::LEGAL_HOLD;
use super::{RECORD, Vault};
use crate::error::QuarantineError;
use crate::records::{self, legal};

/// What the events of this crate that fix a row have as the type of their target.
pub const STATE_TARGETS: [&str; 2] = [RECORD, LEGAL_HOLD];

/// Rows read at once: each may have its content with it.
const ROWS_AT_ONCE: u32 = 50;

impl Vault {
    /// Rows that their last event with a code fixes, and what it fixes: records in the order of their ids, then legal
    /// holds in the order of their records. Begins after `after`; none at the end.
    ///
    /// Stores that are under way are not among them: the log does not know of them yet.
    pub async fn state_rows(
        &self,
        after: Option<&Target>,
        at_most: u32,
    ) -> Result<Vec<StateRow>, QuarantineError> {
        let (mut in_records, mut last) = match after {
            Some(target) => (target.kind == RECORD, target.id.clone()),
            None => (true, String::new()),
        };
        let read = self.0.db.read();
        let mut rows = Vec::new();
        loop {
            let left =
                at_most.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX)).min(ROWS_AT_ONCE);
            if left == 0 {
                return Ok(rows);
            }
            let before = rows.len();
            if in_records {
                for row in records::after(&read, &last, left).await? {
                    rows.push(StateRow::new("quarantine_records", Target::new(RECORD, &row.id), row.state()));
                    last = row.id;
                }
            } else {
                for row in legal::after(&read, &last, left).await? {
                    let target = Target::new(LEGAL_HOLD, &row.record_id);
                    rows.push(StateRow::new("quarantine_holds", target, row.state()));
                    last = row.record_id;
                }
            }
            if rows.len() == before {
                if !in_records {
                    return Ok(rows);
                }
                (in_records, last) = (false, String::new());
            }
        }
    }
}
