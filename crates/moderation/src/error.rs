//! What can go wrong here.

use clawexchange_database::DatabaseError;
use clawexchange_quarantine::QuarantineError;
use clawexchange_ssg_core::{EventError, Fault, FaultKind, PortError, RiskTier};

use crate::access::Act;
use crate::confidence::Confidence;
use crate::tokens::TokenId;

/// Why somebody was not let in, or something was not decided. No variant carries content or a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModerationError {
    /// The role of who asks does not permit it.
    #[error("{}", refusal(*act))]
    NotAllowed {
        /// What was asked for.
        act: Act,
    },
    /// A program is less sure than it has to be.
    #[error("a program has to be sure to {needed} for that")]
    BelowFloor {
        /// How sure it has to be.
        needed: Confidence,
    },
    /// No program decides about content of this tier.
    #[error("only a person decides that about content that is {tier}")]
    PeopleOnly {
        /// The tier.
        tier: RiskTier,
    },
    /// The number is no confidence.
    #[error("a confidence is a number from 0 to 1")]
    Confidence,
    /// The text does not have the form of a token. Nothing of it stands here.
    #[error("not a token")]
    TokenForm,
    /// There is no such token.
    #[error("no token {id}")]
    TokenUnknown {
        /// Its name.
        id: TokenId,
    },
    /// Trust and owner are things of agents.
    #[error("only the token of an agent has {what}")]
    AgentsOnly {
        /// What was given.
        what: &'static str,
    },
    /// Nobody needs a token for so short or so long.
    #[error("a token lives 1 minute to 10 years")]
    TokenTime,
    /// More tokens would only be tokens that nobody looks after.
    #[error("{max} tokens live already")]
    TooManyTokens {
        /// The bound.
        max: u64,
    },
    /// A row is not as its last change left it: somebody edited the table.
    #[error("the row of token {id} was altered behind the log's back")]
    Altered {
        /// The token.
        id: String,
    },
    /// The cursor was not made by this list.
    #[error("the cursor was not made by this list")]
    Cursor,
    /// The machine gave no random bytes.
    #[error("the machine gave no random bytes")]
    NoRandomness,
    /// A name that is fixed here is no name.
    #[error("stopped before it was done")]
    Stopped,
    /// The code of a row cannot be made.
    #[error("could not make the code of a row")]
    Key(#[source] PortError),
    /// The event of a change cannot be made.
    #[error("could not put the change into words")]
    Event(#[from] EventError),
    /// The database did not do it.
    #[error("the database did not do it")]
    Database(#[from] DatabaseError),
    /// The vault did not do it.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
}

/// Says who may, so that who was refused knows whom to ask.
fn refusal(act: Act) -> String {
    let roles: Vec<&str> = act.roles().map(crate::access::Role::as_str).collect();
    format!("that is for {} only", roles.join(", "))
}

impl Fault for ModerationError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "moderation/not-allowed",
            Self::BelowFloor { .. } => "moderation/confidence-below-floor",
            Self::PeopleOnly { .. } => "moderation/people-only",
            Self::Confidence => "moderation/confidence",
            Self::TokenForm => "moderation/token-form",
            Self::TokenUnknown { .. } => "moderation/token-unknown",
            Self::AgentsOnly { .. } => "moderation/agents-only",
            Self::TokenTime => "moderation/token-time",
            Self::TooManyTokens { .. } => "moderation/too-many-tokens",
            Self::Altered { .. } => "moderation/altered",
            Self::Cursor => "moderation/cursor",
            Self::NoRandomness => "moderation/no-randomness",
            Self::Stopped => "moderation/stopped",
            Self::Key(source) => source.code(),
            Self::Event(error) => error.code(),
            Self::Database(error) => error.code(),
            Self::Quarantine(error) => error.code(),
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::NotAllowed { .. } | Self::BelowFloor { .. } | Self::PeopleOnly { .. } => {
                FaultKind::NotAllowed
            }
            Self::Confidence | Self::TokenForm | Self::AgentsOnly { .. } | Self::TokenTime | Self::Cursor => {
                FaultKind::Invalid
            }
            Self::TokenUnknown { .. } => FaultKind::NotFound,
            Self::TooManyTokens { .. } => FaultKind::Conflict,
            Self::Altered { .. } => FaultKind::Integrity,
            Self::NoRandomness => FaultKind::Unavailable,
            Self::Stopped => FaultKind::Internal,
            Self::Key(source) => source.kind(),
            Self::Event(error) => error.kind(),
            Self::Database(error) => error.kind(),
            Self::Quarantine(error) => error.kind(),
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Key(source) => source.is_transient(),
            Self::Database(error) => error.is_transient(),
            Self::Quarantine(error) => error.is_transient(),
            _ => matches!(self.kind(), FaultKind::Unavailable),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::BelowFloor { .. } | Self::PeopleOnly { .. } => "escalate it, and a person decides",
            Self::TooManyTokens { .. } => "revoke those that nobody uses: `claw token list`",
            Self::Altered { .. } => "run `claw audit verify`, and compare with the last backup",
            Self::Key(source) => return source.hint(),
            Self::Database(error) => return error.hint(),
            Self::Quarantine(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
