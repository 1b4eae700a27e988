//! What the log fixes, row by row, for whoever compares the two.

use clawexchange_database::StateRow;
use clawexchange_ssg_core::Target;

use super::legal::LEGAL_HOLD;
use super::publish::PUBLICATION;
use super::{RECORD, Vault};
use crate::error::QuarantineError;
use crate::records::{self, legal, publications};

/// What the events of this crate that fix a row have as the type of their target.
pub const STATE_TARGETS: [&str; 3] = [RECORD, LEGAL_HOLD, PUBLICATION];

/// Rows read at once: each may have its content with it.
const ROWS_AT_ONCE: u32 = 50;

impl Vault {
    /// Rows that their last event with a code fixes, and what it fixes: records in the order of their ids, then legal
    /// holds and publications in the order of their records. Begins after `after`; none at the end.
    ///
    /// Stores that are under way are not among them: the log does not know of them yet.
    pub async fn state_rows(
        &self,
        after: Option<&Target>,
        at_most: u32,
    ) -> Result<Vec<StateRow>, QuarantineError> {
        let mut kinds = STATE_TARGETS.into_iter().peekable();
        let mut last = String::new();
        if let Some(target) = after {
            while kinds.next_if(|kind| *kind != target.kind).is_some() {}
            last.clone_from(&target.id);
        }
        let mut rows = Vec::new();
        while let Some(kind) = kinds.peek().copied() {
            let left =
                at_most.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX)).min(ROWS_AT_ONCE);
            if left == 0 {
                break;
            }
            let page = self.state_page(kind, &last, left).await?;
            match page.last() {
                Some(row) => last.clone_from(&row.target.id),
                None => {
                    kinds.next();
                    last.clear();
                }
            }
            rows.extend(page);
        }
        Ok(rows)
    }

    /// Rows of one table, after one.
    async fn state_page(
        &self,
        kind: &'static str,
        after: &str,
        at_most: u32,
    ) -> Result<Vec<StateRow>, QuarantineError> {
        let read = self.0.db.read();
        let row = |table, id: &str, state| StateRow::new(table, Target::new(kind, id), state);
        Ok(match kind {
            RECORD => {
                let rows = records::after(&read, after, at_most).await?;
                rows.iter().map(|r| row("quarantine_records", &r.id, r.state())).collect()
            }
            LEGAL_HOLD => {
                let rows = legal::after(&read, after, at_most).await?;
                rows.iter().map(|r| row("quarantine_holds", &r.record_id, r.state())).collect()
            }
            _ => {
                let rows = publications::after(&read, after, at_most).await?;
                rows.iter().map(|r| row("quarantine_publications", &r.record_id, r.state())).collect()
            }
        })
    }
}
