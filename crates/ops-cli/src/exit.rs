//! Exit codes: the one table.

use clawexchange_ssg_core::{FaultKind, Verdict};

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Exit {
    Ok,
    Failed,
    Usage,
    Pending,
    Refused,
    NotFound,
    Integrity,
    Locked,
    Quarantine,
    Block,
    Unavailable,
    Limited,
    Configuration,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Pending => 3,
            Self::Refused => 4,
            Self::NotFound => 5,
            Self::Integrity => 6,
            Self::Locked => 7,
            Self::Quarantine => 10,
            Self::Block => 11,
            Self::Unavailable => 69,
            Self::Limited => 75,
            Self::Configuration => 78,
        }
    }

    pub(crate) const fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass | Verdict::Warn => Self::Ok,
            Verdict::Quarantine => Self::Quarantine,
            Verdict::Block => Self::Block,
        }
    }
}

impl From<FaultKind> for Exit {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Invalid | FaultKind::TooLarge | FaultKind::Unsupported | FaultKind::Internal => {
                Self::Failed
            }
            FaultKind::Usage => Self::Usage,
            FaultKind::Pending => Self::Pending,
            FaultKind::NotAllowed | FaultKind::Conflict => Self::Refused,
            FaultKind::NotFound => Self::NotFound,
            FaultKind::Integrity => Self::Integrity,
            FaultKind::Locked => Self::Locked,
            FaultKind::Unavailable => Self::Unavailable,
            FaultKind::Limited => Self::Limited,
            FaultKind::Configuration => Self::Configuration,
        }
    }
}

/// Shown below `claw --help`.
pub(crate) const HELP: &str = "\
Exit codes: 0 ok, 1 failed or unreadable input, 2 usage, 3 work pending, 4 refused, 5 not found, \
6 integrity violated, 7 lock held, 10 QUARANTINE, 11 BLOCK, 69 unavailable, 75 limited, 78 configuration";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones() {
        let all = [
            (Exit::Ok, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::Pending, 3),
            (Exit::Refused, 4),
            (Exit::NotFound, 5),
            (Exit::Integrity, 6),
            (Exit::Locked, 7),
            (Exit::Quarantine, 10),
            (Exit::Block, 11),
            (Exit::Unavailable, 69),
            (Exit::Limited, 75),
            (Exit::Configuration, 78),
        ];
        for (exit, code) in all {
            assert_eq!(exit.code(), code);
            assert!(HELP.contains(&code.to_string()));
        }
    }
}
