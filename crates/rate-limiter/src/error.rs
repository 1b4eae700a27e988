//! Why a limiter does not answer, and a refusal as an error.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clawexchange_ssg_core::{Fault, FaultKind};

use crate::limits::LimitsError;
#[cfg(feature = "stored")]
use crate::overrides::OVERRIDES_MAX;
#[cfg(feature = "stored")]
use crate::stored::{OVERRIDE_DAYS_MAX, REASON_CHARS_MAX};
use crate::tier::EndpointTier;

/// Why an act is refused, or a limiter does not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// The agent, or its owner, has used up what it may.
    #[error("the limit for {tier} is used up for another {} s", seconds(*wait))]
    Limited {
        /// In which tier.
        tier: EndpointTier,
        /// After exactly so long it fits, if nothing else is charged meanwhile.
        wait: Duration,
    },
    /// It costs more than the whole limit, or the limit is 0.
    #[error("the limit for {tier} does not allow it at any time")]
    Never {
        /// In which tier.
        tier: EndpointTier,
    },
    /// The agent may do nothing at all, whatever its limits.
    #[error("the agent is suspended{}", wait.map_or_else(String::new, |wait| format!(" for another {} s", seconds(wait))))]
    Suspended {
        /// After exactly so long it fits, if nothing else is charged meanwhile; `None`: only when that is lifted.
        wait: Option<Duration>,
    },
    /// No quota is set for the tier.
    #[error("no quota is set for the tier {tier}")]
    UnknownTier {
        /// Which.
        tier: EndpointTier,
    },
    /// The limits cannot be used.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// More agents and owners act at once than may be counted.
    #[error("more than {keys_max} agents and owners are counted already")]
    Full {
        /// How many may be counted.
        keys_max: usize,
    },
    /// A store of another process or machine did not answer.
    #[error("the store of the counters did not answer")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Redis cannot be reached so.
    #[cfg(feature = "redis")]
    #[error("Redis cannot be used: {what}")]
    RedisConfig {
        /// What is wrong.
        what: &'static str,
    },
    /// What lies in Redis under one of our keys was not put there by us.
    #[cfg(feature = "redis")]
    #[error("what lies in Redis under a key of ours {what}")]
    RedisDamaged {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The journal could not be read or written.
    #[error("could not {doing} the journal {path}")]
    Journal {
        /// What was tried.
        doing: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// The journal is as large as it may be.
    #[error("the journal {path} may not grow beyond {bytes_max} bytes")]
    JournalFull {
        /// Where it is.
        path: PathBuf,
        /// How large it may be.
        bytes_max: u64,
    },
    /// The journal was damaged, and not at its end.
    #[error("the journal {path} is damaged at byte {offset}: {what}")]
    JournalDamaged {
        /// Where it is.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The journal was written by another version.
    #[error("the journal {path} has version {found}, which this version does not read")]
    JournalVersion {
        /// Where it is.
        path: PathBuf,
        /// Its version.
        found: u16,
    },
    /// What lies at the journal's path may be read or replaced by others, or is no plain file.
    #[error("the journal {path} is {what}")]
    JournalExposed {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Another process has the journal open.
    #[error("the journal {path} is held by another process")]
    JournalHeld {
        /// Where it is.
        path: PathBuf,
    },
    /// There is no journal.
    #[error("there is no journal at {path}")]
    NoJournal {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The counters were opened for reading.
    #[error("the counters were opened for reading only")]
    ReadOnly,
    /// The database that keeps the limits did not answer.
    #[cfg(feature = "stored")]
    #[error("the limits that are kept in the database could not be read or written")]
    Database(#[from] clawexchange_database::DatabaseError),
    /// A limit that is kept in the database is none.
    #[cfg(feature = "stored")]
    #[error("row {name:?} of {table} {what}")]
    StoredRow {
        /// The table.
        table: &'static str,
        /// The row's tier or level.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An override would begin or end at no sensible time.
    #[cfg(feature = "stored")]
    #[error("an override ends after the present moment, and at most {OVERRIDE_DAYS_MAX} days after it")]
    OverrideTime,
    /// An override has no reason, or one that is no sentence.
    #[cfg(feature = "stored")]
    #[error("the reason of an override is 1 to {REASON_CHARS_MAX} characters on one line")]
    OverrideReason,
    /// There is nothing to lift.
    #[cfg(feature = "stored")]
    #[error("the agent has no override for {tier}")]
    NoOverride {
        /// In which tier.
        tier: EndpointTier,
    },
    /// There are as many overrides as there may be, and none of them is over.
    #[cfg(feature = "stored")]
    #[error("{OVERRIDES_MAX} overrides hold already")]
    OverridesFull,
    /// The code that fixes a limit could not be made.
    #[cfg(feature = "stored")]
    #[error("the code that fixes a limit could not be made")]
    Key(#[source] clawexchange_ssg_core::PortError),
    /// The event that tells of a change could not be made.
    #[cfg(feature = "stored")]
    #[error("the event that tells of a change of limits could not be made")]
    Event(#[from] clawexchange_ssg_core::EventError),
    /// A task of ours was stopped in the middle.
    #[error("the work was stopped before it was done")]
    Stopped,
}

impl LimitError {
    /// After how many whole seconds to come back, for `Retry-After`: rounded up, at least 1. `None` if waiting does
    /// not help.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Limited { wait, .. } | Self::Suspended { wait: Some(wait) } => Some(seconds(*wait)),
            _ => None,
        }
    }
}

/// Whole seconds that are not too few, at least 1.
pub(crate) fn seconds(wait: Duration) -> u64 {
    let whole = wait.as_secs();
    (if wait.subsec_nanos() > 0 { whole + 1 } else { whole }).max(1)
}

impl Fault for LimitError {
    fn code(&self) -> &'static str {
        match self {
            Self::Limited { .. } => "rate-limiter/limited",
            Self::Never { .. } => "rate-limiter/never",
            Self::Suspended { .. } => "rate-limiter/suspended",
            Self::UnknownTier { .. } => "rate-limiter/unknown-tier",
            Self::Limits(e) => e.code(),
            Self::Full { .. } => "rate-limiter/full",
            Self::Away(_) => "rate-limiter/away",
            #[cfg(feature = "redis")]
            Self::RedisConfig { .. } => "rate-limiter/redis-config",
            #[cfg(feature = "redis")]
            Self::RedisDamaged { .. } => "rate-limiter/redis-damaged",
            Self::Journal { .. } => "rate-limiter/journal",
            Self::JournalFull { .. } => "rate-limiter/journal-full",
            Self::JournalDamaged { .. } => "rate-limiter/journal-damaged",
            Self::JournalVersion { .. } => "rate-limiter/journal-version",
            Self::JournalExposed { .. } => "rate-limiter/journal-exposed",
            Self::JournalHeld { .. } => "rate-limiter/journal-held",
            Self::NoJournal { .. } => "rate-limiter/no-journal",
            Self::ReadOnly => "rate-limiter/read-only",
            #[cfg(feature = "stored")]
            Self::Database(e) => e.code(),
            #[cfg(feature = "stored")]
            Self::StoredRow { .. } => "rate-limiter/stored-row",
            #[cfg(feature = "stored")]
            Self::OverrideTime => "rate-limiter/override-time",
            #[cfg(feature = "stored")]
            Self::OverrideReason => "rate-limiter/override-reason",
            #[cfg(feature = "stored")]
            Self::NoOverride { .. } => "rate-limiter/no-override",
            #[cfg(feature = "stored")]
            Self::OverridesFull => "rate-limiter/overrides-full",
            #[cfg(feature = "stored")]
            Self::Key(e) => e.code(),
            #[cfg(feature = "stored")]
            Self::Event(e) => e.code(),
            Self::Stopped => "rate-limiter/stopped",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Limited { .. } | Self::Suspended { wait: Some(_) } => FaultKind::Limited,
            Self::Suspended { wait: None }
            | Self::Never { .. }
            | Self::JournalVersion { .. }
            | Self::JournalExposed { .. } => FaultKind::NotAllowed,
            Self::UnknownTier { .. } => FaultKind::Invalid,
            Self::Limits(e) => e.kind(),
            Self::Full { .. } | Self::Away(_) | Self::Journal { .. } | Self::JournalFull { .. } => {
                FaultKind::Unavailable
            }
            Self::JournalDamaged { .. } => FaultKind::Integrity,
            #[cfg(feature = "redis")]
            Self::RedisConfig { .. } => FaultKind::Configuration,
            #[cfg(feature = "redis")]
            Self::RedisDamaged { .. } => FaultKind::Integrity,
            Self::JournalHeld { .. } => FaultKind::Locked,
            Self::NoJournal { .. } => FaultKind::NotFound,
            Self::ReadOnly => FaultKind::Conflict,
            #[cfg(feature = "stored")]
            Self::Database(e) => e.kind(),
            #[cfg(feature = "stored")]
            Self::StoredRow { .. } => FaultKind::Integrity,
            #[cfg(feature = "stored")]
            Self::OverrideTime | Self::OverrideReason => FaultKind::Invalid,
            #[cfg(feature = "stored")]
            Self::NoOverride { .. } => FaultKind::NotFound,
            #[cfg(feature = "stored")]
            Self::OverridesFull => FaultKind::Conflict,
            #[cfg(feature = "stored")]
            Self::Key(e) => e.kind(),
            #[cfg(feature = "stored")]
            Self::Event(e) => e.kind(),
            Self::Stopped => FaultKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Limited { wait, .. } | Self::Suspended { wait: Some(wait) } => {
                Some(format!("try again in {} s", seconds(*wait)))
            }
            Self::UnknownTier { tier } => {
                Some(format!("set a quota for {tier}, or name a tier that has one"))
            }
            Self::JournalDamaged { path, .. } => Some(format!(
                "restore {path} from a backup, or move it away: all counters then begin at nothing",
                path = path.display()
            )),
            Self::JournalExposed { path, .. } => {
                Some(format!("make it a plain file that only you may read: chmod 600 {}", path.display()))
            }
            #[cfg(feature = "redis")]
            Self::RedisDamaged { .. } => {
                Some("see who else writes to this Redis, or give the keys another prefix".to_owned())
            }
            Self::Full { .. } => {
                Some("let more agents be counted, or count them outside this process".to_owned())
            }
            #[cfg(feature = "stored")]
            Self::Database(e) => e.hint(),
            #[cfg(feature = "stored")]
            Self::StoredRow { .. } => Some("see what `audit verify` says, and set the limit anew".to_owned()),
            #[cfg(feature = "stored")]
            Self::OverridesFull => Some("lift those that are no longer needed".to_owned()),
            #[cfg(feature = "stored")]
            Self::Key(e) => e.hint(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Defect 41: Retry-After was a constant; others round down and call clients back too early.
    #[test]
    fn a_refusal_says_in_how_many_seconds_it_ends_rounded_up_and_at_least_one() {
        for (ms, seconds) in [(0, 1), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (3_350_000, 3_350)] {
            let error = LimitError::Limited { tier: EndpointTier::POSTS, wait: Duration::from_millis(ms) };
            assert_eq!(error.retry_after_seconds(), Some(seconds), "{ms} ms");
            assert_eq!((error.code(), error.kind()), ("rate-limiter/limited", FaultKind::Limited));
            assert!(error.is_transient());
        }
        let never = LimitError::Never { tier: EndpointTier::POSTS };
        assert_eq!((never.retry_after_seconds(), never.is_transient()), (None, false));
        for (wait, said, kind) in [
            (None, None, FaultKind::NotAllowed),
            (Some(Duration::from_millis(1_001)), Some(2), FaultKind::Limited),
        ] {
            let error = LimitError::Suspended { wait };
            assert_eq!((error.code(), error.kind()), ("rate-limiter/suspended", kind));
            assert_eq!(error.retry_after_seconds(), said);
        }
    }
}
