//! What can be wrong with rules.

use clawexchange_ssg_core::{Fault, FaultKind};

use crate::own::PackProblem;

/// Why no detectors were made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DetectorsError {
    /// A mode was set for a rule that does not exist.
    #[error("there is no rule {id}")]
    UnknownRule {
        /// The id that was asked for, cut to 64 characters.
        id: String,
        /// The rule whose id is nearest to it.
        nearest: String,
    },
    /// Levels of paranoia are out of bounds or out of order.
    #[error("level {level} with detection up to {detection}")]
    Levels {
        /// Up to which level rules should count.
        level: u8,
        /// Up to which they should be looked for.
        detection: u8,
    },
    /// A host in a list is none.
    #[error("{host:?} is not the name of a host")]
    Host {
        /// What was written, cut to 64 characters.
        host: String,
    },
    /// A list has too many hosts.
    #[error("the list {list} has more than {max} hosts")]
    TooManyHosts {
        /// The list.
        list: &'static str,
        /// The bound.
        max: usize,
    },
    /// A rule pack is not usable. The packs that ship are tested, so that this is a mistake in a new one.
    #[error("rule pack {pack}: {reason}")]
    Pack {
        /// The pack.
        pack: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Rule packs of one's own are not usable.
    #[error("{}", list(problems))]
    OwnPacks {
        /// All that is wrong with them, one or more.
        problems: Vec<PackProblem>,
    },
}

fn list(problems: &[PackProblem]) -> String {
    let n = problems.len();
    let head = format!("{n} problem{} in rule packs", if n == 1 { "" } else { "s" });
    problems.iter().fold(head, |text, problem| format!("{text}\n  {problem}"))
}

impl Fault for DetectorsError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownRule { .. } => "detectors/unknown-rule",
            Self::Levels { .. } => "detectors/levels",
            Self::Host { .. } => "detectors/host",
            Self::TooManyHosts { .. } => "detectors/too-many-hosts",
            Self::Pack { .. } => "detectors/pack",
            Self::OwnPacks { .. } => "detectors/own-packs",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::UnknownRule { .. }
            | Self::Levels { .. }
            | Self::Host { .. }
            | Self::TooManyHosts { .. } => FaultKind::Configuration,
            Self::Pack { .. } => FaultKind::Internal,
            Self::OwnPacks { .. } => FaultKind::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownRule { nearest, .. } => Some(format!("Did you mean {nearest}?")),
            Self::Levels { .. } => {
                Some("Levels are 1 to 4, and detection is no lower than the level.".to_owned())
            }
            Self::Host { .. } => {
                Some("A host is a name such as example.com, or *.example.com for all below it.".to_owned())
            }
            Self::TooManyHosts { .. } => {
                Some("Write *.example.com in place of many hosts below one name.".to_owned())
            }
            Self::Pack { .. } => None,
            Self::OwnPacks { .. } => {
                Some("Mend the lines that are named; docs/rules.md describes the format.".to_owned())
            }
        }
    }
}
