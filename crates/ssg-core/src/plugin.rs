//! What a detection plugin is, and what it is given.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::content::ContentEnvelope;
use crate::explain::Suppressed;
use crate::finding::Findings;

/// Looks for one kind of trouble.
///
/// Synchronous on purpose: detection is work of the processor. A plugin that must ask another service wraps the
/// asking and respects [`Context::deadline`].
pub trait DetectionPlugin: Send + Sync + 'static {
    /// Its name: 1 to 64 characters of `a-z 0-9 -`, unlike that of any other plugin.
    fn id(&self) -> &str;

    /// Lower runs first and is listed first.
    fn priority(&self) -> i32 {
        100
    }

    /// Looks at content and says what it found.
    ///
    /// An error, a panic or silence beyond the time limit lifts the tier to HIGH, unless the registry was told to
    /// ignore failures of this plugin.
    fn analyze(&self, content: &ContentEnvelope, cx: &Context) -> Result<Findings, PluginError>;

    /// Says what it came upon and did not report, and why. Asked only when an operator wants an explanation, so that
    /// [`Self::analyze`] need not keep any of it. Nothing, unless a plugin says otherwise.
    fn suppressed(&self, _content: &ContentEnvelope, _cx: &Context) -> Vec<Suppressed> {
        Vec::new()
    }
}

impl<T: DetectionPlugin + ?Sized> DetectionPlugin for Arc<T> {
    fn id(&self) -> &str {
        (**self).id()
    }

    fn priority(&self) -> i32 {
        (**self).priority()
    }

    fn analyze(&self, content: &ContentEnvelope, cx: &Context) -> Result<Findings, PluginError> {
        (**self).analyze(content, cx)
    }

    fn suppressed(&self, content: &ContentEnvelope, cx: &Context) -> Vec<Suppressed> {
        (**self).suppressed(content, cx)
    }
}

/// Why a plugin could not say anything. A reason for the operator, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
#[expect(clippy::exhaustive_structs, reason = "plugin authors make it")]
pub struct PluginError(pub &'static str);

type Slot = Arc<OnceLock<Arc<dyn Any + Send + Sync>>>;

/// One inspection, as a plugin sees it: how long it has, and what plugins before it have worked out already.
pub struct Context {
    deadline: Instant,
    shared: Mutex<HashMap<TypeId, Slot>>,
}

impl Context {
    /// A context whose time is up at `deadline`.
    pub fn new(deadline: Instant) -> Self {
        Self { deadline, shared: Mutex::default() }
    }

    /// When the inspection goes on without this plugin.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The `T` of this inspection, made by whoever asks first, such as normalised views of the text.
    pub fn shared<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let slot = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(shared.entry(TypeId::of::<T>()).or_default())
        };
        let mut made = None;
        let any = Arc::clone(slot.get_or_init(|| {
            let new = Arc::new(make());
            made = Some(Arc::clone(&new));
            new
        }));
        match (made, any.downcast()) {
            (Some(new), _) => new,
            (None, Ok(known)) => known,
            #[expect(clippy::unreachable, reason = "slots are keyed by the type that lies in them")]
            (None, Err(_)) => unreachable!("a slot holds the type that it is keyed by"),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
