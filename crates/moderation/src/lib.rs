//! Who may decide what: tokens, roles, and the desk at which held content is decided.
//!
//! Whoever speaks is a [`Principal`] in one of six roles, and one table says what each role may do: what is not in it is
//! refused. [`Tokens`] are how principals are known: shown once, kept as a hash, revoked for good. At the [`Desk`] each
//! does what its role permits: programs see envelopes in which there is no text that an agent chose, and decide only if
//! they are sure enough; people claim a record, look at it and decide; submitters ask what became of theirs; the platform
//! fetches what was released and says when it is published.
//!
//! This crate holds no content and no log: content is held by `clawexchange-quarantine`, and events wait in the outbox of
//! `clawexchange-database`, committed together with what they tell of. It knows no network and reads no environment.
//!
//! ```
//! use clawexchange_database::{Database, DatabaseConfig, Drain, Place, Plan};
//! use clawexchange_moderation::{
//!     BotAction, BotVerb, Confidence, Desk, DeskConfig, HumanAction, HumanVerb, ModerationError, NewToken, Principal,
//!     QueueQuery, Role, Tokens,
//! };
//! use clawexchange_quarantine::{FileStore, KeyRing, Reason, Status, Vault, VaultConfig};
//! use clawexchange_ssg_core::testing::hold_of;
//! use clawexchange_ssg_core::{AgentId, Clock, PortError, Quarantine, SystemClock};
//!
//! /// Stands for the log, which takes events out of the outbox.
//! #[derive(Debug)]
//! struct NoLog;
//!
//! #[async_trait::async_trait]
//! impl Drain for NoLog {
//!     async fn drain(&self) -> Result<(), PortError> {
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let db = Database::open(DatabaseConfig::new(Place::Sqlite(folder.join("claw.db"))).creating()).await?;
//! let plan = Plan::of([clawexchange_quarantine::MIGRATIONS, clawexchange_moderation::MIGRATIONS]);
//! plan.up(&db, None, SystemClock::new().now()).await?;
//! let keys = KeyRing::generate()?;
//! let objects = FileStore::new(folder.join("objects"));
//! let vault = Vault::new(db.clone(), objects, keys.clone(), NoLog, VaultConfig::default())?;
//! let (tokens, desk) = (Tokens::new(db, keys), Desk::new(vault.clone(), DeskConfig::default()));
//!
//! // The first admin, made once, makes all others.
//! let Some(root) = tokens.ensure_admin(&AgentId::new("root")?).await? else { return Err("made already".into()) };
//! let root = tokens.authenticate(root.token.expose()).await?.ok_or("it opens")?;
//! let made = tokens.create(&root.actor(), &NewToken::new(AgentId::new("triage")?, Role::Bot)).await?;
//! let triage = tokens.authenticate(made.token.expose()).await?.ok_or("it opens")?;
//!
//! // The gate does this with what it flagged.
//! let hold = hold_of("flag-hold this offer", &AgentId::new("agent-1")?, SystemClock::new()).await;
//! vault.hold(hold).await?;
//!
//! // A program sees an envelope, and is not sure enough.
//! let queue = desk.bot_queue(&triage, &QueueQuery::default()).await?;
//! let Some(envelope) = queue.items.first() else { return Err("nothing waits".into()) };
//! let action = BotAction::new(envelope.id, BotVerb::Release, Confidence::new(0.7)?, Reason::FalsePositive);
//! let refused = desk.bot_act(&triage, &action).await;
//! assert!(matches!(refused, Err(ModerationError::BelowFloor { .. })));
//!
//! // A person decides.
//! let ann = Principal::new("ann", Role::Moderator)?;
//! let decided = desk.human_act(&ann, &HumanAction::new(envelope.id, HumanVerb::Release)).await?;
//! assert_eq!(decided.new_status, Status::Released);
//! # Ok(())
//! # }
//! ```
//!
//! This crate has no features yet.
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |

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

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
