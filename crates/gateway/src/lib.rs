//! Where the parts of the pipeline meet.
//!
//! [`Settings`] says how a deployment is set, with every problem at once; [`Parts`] opens each part when it is first
//! asked for and remembers it; [`Pipeline`] is the way of a submission; [`Server`] answers HTTP, by the table
//! [`ROUTES`]. No part ever sees `Parts`.
//!
//! ```no_run
//! use clawexchange_gateway::{Intent, Parts, Settings, Sources, Submitted};
//! use clawexchange_ssg_core::{AgentId, ContentEnvelope, Submission, TrustLevel};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::read(&Sources::of_env(std::env::vars_os()))?;
//! let parts = Parts::new(settings, Intent::Create);
//! let submission = Submission::new(ContentEnvelope::post("Translations, two cents a word.")?, AgentId::new("agent-7")?);
//! if let Submitted::Decided(decided) = parts.pipeline().await?.submit(submission, TrustLevel::New).await? {
//!     println!("{}", decided.outcome.assessment.verdict());
//! }
//! parts.finish().await?;
//! # Ok(())
//! # }
//! ```
//!
//! There are no features.

mod connections;
mod doctor;
mod error;
mod file;
mod fingerprint;
mod folder;
mod guard;
mod health;
mod idempotent;
mod identity;
mod metrics;
pub mod openapi;
mod parts;
mod pipeline;
mod policy;
mod refusals;
mod remote;
mod router;
mod routes;
mod rules;
mod serve;
mod service;
mod settings;
mod states;
mod tasks;
mod tls;
mod view;

pub use doctor::Serving;
pub use error::PartsError;
pub use folder::{DataFolder, FolderError, FolderLock};
pub use health::{CHECKS, Checked, PartState, Readiness};
pub use metrics::{BUCKETS, METRICS, Metric, MetricKind, Metrics};
pub use parts::{Intent, Parts, WeekKeyPlace};
pub use pipeline::{Charge, Decided, HistoryMark, Limited, Pipeline, Submitted, Suspended, SuspensionChange};
pub use policy::NotAccepted;
pub use router::router;
pub use routes::{Access, On, ROUTES, RequestBody, Route};
pub use rules::{
    ALLOWANCE_DAYS_MAX, ALLOWANCES_MAX, ALLOWED_BYTES_MAX, AllowWhat, Kept, OWNER_CHARS_MAX,
    REASON_CHARS_MAX, RulesError, StoredRules, Trust, sign_packs,
};
pub use serve::{Addresses, Server};
pub use service::{Phase, Service};
pub use settings::{
    ByteQuota, CategoryActionSetting, DatabaseSettings, Environment, GateMode, GateModes, KeySource,
    LogFormat, ModerationSettings, Origin, Password, PluginSetting, PolicyProfile, Problem, RedisSettings,
    RemoteMode, RemoteSettings, Settings, SettingsError, Shown, Sources, TlsFiles,
};
pub use states::{HeldStates, LimitStates, RuleStates, TokenStates};
pub use view::limits_json;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
