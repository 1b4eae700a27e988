//! What can go wrong with rules as they are kept.

use clawexchange_database::DatabaseError;
use clawexchange_detectors::DetectorsError;
use clawexchange_ssg_core::{EventError, Fault, FaultKind, PortError, RegistryError, Timestamp};

/// Why rules could not be read, activated or excepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The packs, or the rules beside them.
    #[error(transparent)]
    Detectors(#[from] DetectorsError),
    /// The plugins.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// An event could not be made.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A code could not be made.
    #[error("the keys did not make a code")]
    Key(#[source] PortError),
    /// The work was cut short.
    #[error("reading the rules was cut short")]
    Stopped,
    /// The packs that are active are not those that were stored.
    #[error("the rule packs {hash} {what}")]
    Altered {
        /// Their hash.
        hash: String,
        /// What is wrong with them.
        what: &'static str,
    },
    /// No packs have such a hash.
    #[error("there are no rule packs {hash}")]
    NoBundle {
        /// What was asked for.
        hash: String,
    },
    /// More than one hash begins so.
    #[error("the hashes of several rule packs begin with {prefix}")]
    Ambiguous {
        /// What was asked for.
        prefix: String,
    },
    /// There is nothing to go back to.
    #[error("there is no activation to roll back")]
    NothingBefore,
    /// An owner or a reason is none.
    #[error("the {what} of an allowance is one line of 1 to {max} characters")]
    AllowanceText {
        /// Which.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// A value is none.
    #[error("a value that is allowed has 1 to {max} bytes")]
    AllowanceValue {
        /// The bound.
        max: usize,
    },
    /// The end is over or too far away.
    #[error("an allowance holds for a moment to come, at most {days} days away")]
    AllowanceTime {
        /// The bound.
        days: u64,
    },
    /// There are too many.
    #[error("there are {max} allowances, which are the most")]
    AllowancesFull {
        /// The bound.
        max: usize,
    },
    /// There is none that holds.
    #[error("there is no allowance {id} that holds")]
    NoAllowance {
        /// What was asked for.
        id: String,
    },
    /// A host pattern is no single host.
    #[error("{host} is no single host")]
    HostPattern {
        /// What was asked for.
        host: String,
    },
    /// A signature is asked for and not there, or not by a key that is trusted.
    #[error("the rule packs {what}")]
    Untrusted {
        /// What is wrong.
        what: &'static str,
    },
    /// Older packs, or others under the same number.
    #[error("the rule packs have serial number {given}, and {active} is active")]
    Serial {
        /// Of the packs.
        given: i64,
        /// Of those that are active.
        active: i64,
    },
    /// The signature is over.
    #[error("the signature of the rule packs ended at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
}

impl RulesError {
    fn inner(&self) -> Option<&dyn Fault> {
        Some(match self {
            Self::Database(e) => e,
            Self::Detectors(e) => e,
            Self::Registry(e) => e,
            Self::Event(e) => e,
            _ => return None,
        })
    }

    /// Whether what is kept cannot be used, whoever asks and whenever.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Detectors(_) | Self::Registry(_) | Self::Altered { .. } | Self::Untrusted { .. })
            || matches!(self, Self::Database(e) if e.kind() == FaultKind::Integrity)
    }
}

impl Fault for RulesError {
    fn code(&self) -> &'static str {
        match self {
            Self::Stopped => "gateway/rules-stopped",
            Self::Altered { .. } => "gateway/rules-altered",
            Self::NoBundle { .. } => "gateway/no-rules",
            Self::Ambiguous { .. } => "gateway/rules-ambiguous",
            Self::NothingBefore => "gateway/nothing-to-roll-back",
            Self::AllowanceText { .. } => "gateway/allowance-text",
            Self::AllowanceValue { .. } => "gateway/allowance-value",
            Self::AllowanceTime { .. } => "gateway/allowance-time",
            Self::AllowancesFull { .. } => "gateway/allowances-full",
            Self::NoAllowance { .. } => "gateway/no-allowance",
            Self::HostPattern { .. } => "gateway/host-pattern",
            Self::Untrusted { .. } => "gateway/rules-untrusted",
            Self::Serial { .. } => "gateway/rules-serial",
            Self::Expired { .. } => "gateway/rules-expired",
            Self::Key(e) => e.code(),
            other => other.inner().map_or("gateway/rules", Fault::code),
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Stopped => FaultKind::Unavailable,
            Self::Altered { .. } => FaultKind::Integrity,
            Self::NoBundle { .. } | Self::NothingBefore | Self::NoAllowance { .. } => FaultKind::NotFound,
            Self::Ambiguous { .. }
            | Self::AllowanceText { .. }
            | Self::AllowanceValue { .. }
            | Self::AllowanceTime { .. }
            | Self::HostPattern { .. } => FaultKind::Invalid,
            Self::AllowancesFull { .. } => FaultKind::Conflict,
            Self::Untrusted { .. } | Self::Serial { .. } | Self::Expired { .. } => FaultKind::NotAllowed,
            Self::Key(e) => e.kind(),
            other => other.inner().map_or(FaultKind::Internal, Fault::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Altered { .. } => {
                "`claw rules rollback` goes back to packs that can be used; `claw audit verify` says what else was changed"
            }
            Self::NoBundle { .. } => {
                "`claw rules history` lists what was active; a folder is given by its path"
            }
            Self::Ambiguous { .. } => "give more digits of the hash",
            Self::NothingBefore => "`claw rules history` lists what was active",
            Self::AllowanceTime { .. } => "say --ttl 30d",
            Self::AllowancesFull { .. } => {
                "`claw rules allow list` shows them; take back what is not needed, or write a rule's check"
            }
            Self::NoAllowance { .. } => "`claw rules allow list` shows those that hold",
            Self::HostPattern { .. } => {
                "all hosts below a name are allowed with policy.allow_hosts in the settings"
            }
            Self::Untrusted { .. } => {
                "sign them with `claw rules sign`, by a key that rules.trusted_keys names"
            }
            Self::Serial { .. } => {
                "sign them with a greater serial number, or go back with `claw rules rollback`"
            }
            Self::Expired { .. } => "sign them again with a later end",
            other => return other.inner().and_then(Fault::hint),
        };
        Some(text.to_owned())
    }
}
