//! What every error of the pipeline can answer.

use std::error::Error;

/// What sort of failure it is. HTTP status and exit code are chosen by it and by nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "who maps kinds to answers and forgets one must not compile")]
pub enum FaultKind {
    /// What came in is not acceptable.
    Invalid,
    /// What came in is larger than its bound.
    TooLarge,
    /// What came in is of a sort that is not taken.
    Unsupported,
    /// The command line is wrong.
    Usage,
    /// Work stands out that must be done first, such as a migration.
    Pending,
    /// It was understood and refused.
    NotAllowed,
    /// The state has changed meanwhile, or does not permit it.
    Conflict,
    /// There is no such thing.
    NotFound,
    /// Something was altered behind the system's back.
    Integrity,
    /// Another process holds it.
    Locked,
    /// A part is away; later it may work.
    Unavailable,
    /// Too much was asked for in too short a time.
    Limited,
    /// A setting, or a key, is unusable.
    Configuration,
    /// A mistake of ours.
    Internal,
}

/// An error that says what it is to machines: a stable code, a kind, and whether to try again.
///
/// `Display` is a sentence fragment without the text of `source()`; it names ids and settings, never content.
pub trait Fault: Error + Send + Sync + 'static {
    /// Stable text, `<crate>/<what-went-wrong>`.
    fn code(&self) -> &'static str;

    /// What sort of failure it is.
    fn kind(&self) -> FaultKind;

    /// Whether the same request may succeed later without anybody mending anything.
    fn is_transient(&self) -> bool {
        matches!(self.kind(), FaultKind::Unavailable | FaultKind::Locked | FaultKind::Limited)
    }

    /// What the reader can do about it, as a sentence.
    fn hint(&self) -> Option<String> {
        None
    }
}
