//! Follows both logs as they grow, until told to stop or until nobody reads.

use std::time::Duration;

use clawexchange_audit::{AuditLog, Entry, Log};
use clawexchange_ssg_core::PageLimit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::output;
use crate::report::CliError;

/// How often it is looked for what is new.
const LOOK: Duration = Duration::from_millis(500);

/// The place in each log at which what is new begins.
pub(crate) struct Follow {
    next: Vec<(Log, u64)>,
}

impl Follow {
    /// Begins behind the present end of both logs.
    pub(crate) async fn from_now(log: &AuditLog) -> Result<Self, CliError> {
        let mut next = Vec::new();
        for which in [Log::Decisions, Log::Verdicts] {
            next.push((which, log.size(which).await?));
        }
        Ok(Self { next })
    }

    /// Whether an event stood in its log when this began.
    pub(crate) fn is_past(&self, entry: &Entry) -> bool {
        self.next.iter().any(|(log, size)| log.as_str() == entry.log && entry.index < *size)
    }

    /// Hands what comes in to `each`, in the order of time as far as it came together, until Ctrl-C or until whoever
    /// reads our output is gone.
    pub(crate) async fn run(
        mut self,
        log: &AuditLog,
        mut each: impl FnMut(&Entry) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        // Listened for from the beginning, so that none is missed between two looks.
        let mut stopped = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            for entry in self.new_ones(log).await? {
                each(&entry)?;
            }
            output::flush()?;
            if nobody_reads() {
                return Err(CliError::NobodyReads);
            }
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn new_ones(&mut self, log: &AuditLog) -> Result<Vec<Entry>, CliError> {
        let mut found = Vec::new();
        for (which, index) in &mut self.next {
            let entries = log.read_from(*which, *index, PageLimit::MAX).await?;
            *index = entries.last().map_or(*index, |last| last.index + 1);
            found.extend(entries);
        }
        found.sort_by_key(|entry| entry.created_at);
        Ok(found)
    }
}

/// Whether the other end of stdout is closed: where nothing happens for hours, no write would find it out.
fn nobody_reads() -> bool {
    let stdout = std::io::stdout();
    let mut ends = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut ends, Some(&now)).is_ok_and(|_| ends.iter().any(|end| end.revents().contains(PollFlags::ERR)))
}
