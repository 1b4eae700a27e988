//! Finds what must not be posted: leaked secrets, personal data, text that gives orders to agents, lures, malicious
//! commands, and disguises of all these.
//!
//! Rules are data: packs of expressions with literals, checks and examples. Literals say where to look, expressions
//! run in small windows around them, and each has a longest match, so that time grows with the text and with nothing
//! else. Texts wrapped in base64, hex, escapes and the like are unwrapped twice, and every span is one of the text as
//! it was sent. An operator may deny and allow hosts. Nothing here asks a network, keeps a text, or shows a character
//! of a secret.
//!
//! What is found is judged by `clawexchange-ssg-core`; alone, this crate says what is where:
//!
//! ```
//! let text = concat!("deploy with AKIA", "2E0A8F3B244C9986 please");
//! let found = clawexchange_detectors::scan(text);
//! assert_eq!(found[0].id, "aws-access-key");
//! assert_eq!(found[0].span, 12..32);
//! assert_eq!(found[0].redacted, "AKIA…");
//! ```
//!
//! Packs of one's own are read beside those that ship: [`OwnPacks`].
//!
//! There are no features.

mod allowed;
mod checks;
mod context;
mod cover;
mod decode;
mod detectors;
mod dumps;
mod engine;
mod error;
mod explain;
mod fold;
mod hash;
mod hit;
mod hosts;
mod levels;
mod literals;
mod lure;
#[doc(hidden)]
pub mod model;
mod national;
mod obfuscation;
mod own;
mod pack;
mod plugins;
mod rule;
mod settle;
mod shape;
mod sketch;
mod steps;
mod view;
mod wallets;
mod ways;

pub use allowed::{AllowKey, AllowList, AllowedHost, AllowedValue};
pub use detectors::{Detection, Detectors, DetectorsConfig};
pub use error::DetectorsError;
pub use hosts::{Host, HostPolicy};
pub use levels::Levels;
pub use own::{OwnPacks, PackProblem, PackReport, PackText};
pub use rule::RuleInfo;
pub use sketch::Sketcher;

/// Everything that all rules find in a text, by place.
///
/// The rules are read when this is first called, which takes some milliseconds.
pub fn scan(text: &str) -> Vec<Detection> {
    Detectors::default().scan(text)
}
