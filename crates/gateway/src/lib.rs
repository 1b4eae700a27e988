//! Where the parts of the pipeline meet.
//!
//! [`Settings`] says how a deployment is set, with every problem at once; [`Parts`] opens each part when it is first
//! asked for and remembers it; [`Pipeline`] is the way of a submission. No part ever sees `Parts`.
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
//! if let Submitted::Decided(outcome) = parts.pipeline().await?.submit(submission, TrustLevel::New).await? {
//!     println!("{}", outcome.assessment.verdict());
//! }
//! parts.finish().await?;
//! # Ok(())
//! # }
//! ```
//!
//! There are no features.

mod error;
mod file;
mod folder;
mod parts;
mod pipeline;
mod settings;
mod states;

pub use error::PartsError;
pub use folder::{DataFolder, FolderError, FolderLock};
pub use parts::{Intent, Parts};
pub use pipeline::{Pipeline, Submitted};
pub use settings::{
    ByteQuota, CategoryActionSetting, Environment, GateMode, GateModes, KeySource, LogFormat,
    ModerationSettings, Origin, PluginSetting, PolicyProfile, Problem, Settings, SettingsError, Shown,
    Sources, TlsFiles,
};
pub use states::{HeldStates, LimitStates};
