//! Inspects what agents post, before it is stored.
//!
//! Content comes in as a [`ContentEnvelope`], read strictly and bounded. An [`Inspector`] runs plugins over every
//! text in it, adds up what they found and maps the score to a tier and a verdict. A [`Gate`] also sees to what
//! follows: suspicious content is held through the port [`Quarantine`], every verdict is recorded through the port
//! [`AuditSink`], and nothing is passed on that could not be held or recorded.
//!
//! This crate knows no database, no network and no cipher. It owns the words of the pipeline (ids, events, tiers,
//! errors) and the ports that other crates implement; detectors that ship are in `clawexchange-detectors`.
//!
//! ```
//! use clawexchange_ssg_core::{
//!     Category, ContentEnvelope, Context, DetectionPlugin, Findings, Inspector, InspectorConfig, Pattern, PluginError,
//!     PluginRegistry, RiskTier,
//! };
//!
//! const RIVAL: Pattern = Pattern::new("rival-name", Category::Other, 60, &["ADVERTISING"]);
//!
//! struct NoRivals;
//!
//! impl DetectionPlugin for NoRivals {
//!     fn id(&self) -> &str {
//!         "no-rivals"
//!     }
//!
//!     fn analyze(&self, content: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
//!         let mut found = Findings::none();
//!         for field in content.fields() {
//!             for (at, name) in field.text.match_indices("BuyElsewhere") {
//!                 found.add(&RIVAL, &field, at..at + name.len(), "[rival]");
//!             }
//!         }
//!         Ok(found)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let inspector = Inspector::new(PluginRegistry::new().with_inline(NoRivals)?, InspectorConfig::default());
//! let assessment = inspector.inspect(&ContentEnvelope::post("Try BuyElsewhere!")?).await;
//! assert_eq!(assessment.inspection().tier, RiskTier::High);
//! # Ok(())
//! # }
//! ```
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `http` | a tower layer that puts a gate before handlers, extractors for axum, faults as problem answers | no |
//! | `testing` | a manual clock, ports in memory, conformance suites for implementers of ports | no |

mod action;
mod actor;
mod campaign;
mod clock;
mod content;
mod escape;
mod event;
mod explain;
mod fail_point;
mod fault;
mod finding;
mod gate;
#[cfg(feature = "http")]
pub mod http;
mod id;
mod inspection;
mod inspector;
mod json;
mod key;
mod page;
mod plugin;
mod port;
mod rating;
mod recorded;
mod redact;
mod registry;
mod runner;
mod score;
#[cfg(feature = "testing")]
pub mod testing;
mod tier;

pub use action::CategoryAction;
pub use actor::{Actor, ActorType, Caller, TrustLevel, UnknownWord};
pub use campaign::{CAMPAIGN_WINDOW_SECONDS, Campaign, Campaigns, Posted, Sketch};
pub use clock::{Clock, SystemClock, Timestamp, TimestampError};
pub use content::{
    Attribution, ContentEnvelope, ContentError, ContentType, EnvelopeBounds, EnvelopeParts, Field, Joined,
    LineId, LineMembers, PostCategory, ReadAs, Received,
};
pub use escape::Escaped;
pub use event::{
    AuditEvent, EventError, EventKind, META_BYTES_MAX, PERSONAL_BYTES_MAX, Target, mask_ip, parse_ip,
};
pub use explain::{Position, Suppressed, Suppression};
#[cfg(debug_assertions)]
#[doc(hidden)]
pub use fail_point::pass_fail_point;
pub use fault::{Fault, FaultKind};
pub use finding::{Category, Finding, Findings, Pattern, PatternError, RuleMode};
pub use gate::{Gate, GateError, Outcome, Submission};
pub use id::{
    AgentId, EventId, ID_BYTES_MAX, IdError, InspectionId, KeyId, OwnerId, PluginId, QuarantineId, RequestId,
    SourceId,
};
pub use inspection::{Assessment, Explanation, Inspection, Match, Place, PluginFault, RuleResult};
pub use inspector::{Inspector, InspectorConfig};
pub use key::{DataKey, KEY_BYTES, KeyProvider, Mac, MacError, MasterKey, MasterKeyError};
pub use page::{Cursor, Page, PageLimit};
pub use plugin::{Context, DetectionPlugin, PluginError};
pub use port::{AuditSink, Held, Hold, PortError, Quarantine};
pub use rating::{Adjustment, Confidence, Severity};
pub use recorded::Recorded;
pub use redact::Sanitized;
pub use registry::{PluginFailure, PluginRegistry, RegistryError};
pub use score::CONTACT_DUMP;
pub use tier::{RiskScore, RiskTier, ThresholdError, TierThresholds, Verdict};
