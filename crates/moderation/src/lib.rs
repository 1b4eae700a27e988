//! Who may decide what: tokens, roles, and the desk at which held content is decided.

mod access;
mod confidence;
mod desk;
mod envelope;
mod error;
mod migrations;
mod principal;
mod token;
mod tokens;

pub use access::{Act, Role};
pub use confidence::Confidence;
pub use desk::bots::{BotAction, BotVerb, QueuePage, QueueQuery};
pub use desk::people::{Decision, HumanAction, HumanVerb, ListItem, ListPage, ListQuery};
pub use desk::platform::{SubmissionState, SubmissionStatus};
pub use desk::{ActionResult, Desk, DeskConfig, Floor, Floors};
pub use envelope::{BotEnvelope, BotMatch};
pub use error::ModerationError;
pub use migrations::MIGRATIONS;
pub use principal::Principal;
pub use token::{TOKEN_PREFIX, Token};
pub use tokens::{Created, NewToken, TOKEN_TARGET, TOKENS_MAX, TokenFilter, TokenId, TokenInfo, Tokens};
