//! A set of plugins: distinct ids, in the order of their priority.

use std::fmt;
use std::sync::Arc;

use crate::fault::{Fault, FaultKind};
use crate::plugin::DetectionPlugin;

/// What a plugin that fails does to the inspection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum PluginFailure {
    /// The tier is at least HIGH: the content is held.
    #[default]
    Hold,
    /// As if the plugin had found nothing; the label still says that it failed.
    Ignore,
}

/// Where a plugin runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RunsAt {
    /// On the caller's thread: it is bounded by construction.
    Inline,
    /// On threads of its own, within a time limit.
    Pool,
}

#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) id: Arc<str>,
    pub(crate) plugin: Arc<dyn DetectionPlugin>,
    pub(crate) runs_at: RunsAt,
    pub(crate) on_failure: PluginFailure,
}

/// Plugins with distinct ids, in the order of their priority; of equal priority, in that of their ids.
#[derive(Clone, Default)]
pub struct PluginRegistry {
    plugins: Vec<Registered>,
}

impl PluginRegistry {
    /// No plugins.
    pub const fn new() -> Self {
        Self { plugins: Vec::new() }
    }

    /// Adds a plugin that runs on threads of its own, within the time limit of the inspector.
    pub fn with(self, plugin: impl DetectionPlugin) -> Result<Self, RegistryError> {
        self.add(plugin, RunsAt::Pool)
    }

    /// Adds a plugin that promises to need time in proportion to the text and nothing else. It runs on the
    /// caller's thread, is given no time limit and costs no change of threads.
    pub fn with_inline(self, plugin: impl DetectionPlugin) -> Result<Self, RegistryError> {
        self.add(plugin, RunsAt::Inline)
    }

    /// Says what a failure of the plugin `id` does.
    pub fn on_failure(mut self, id: &str, failure: PluginFailure) -> Result<Self, RegistryError> {
        match self.plugins.iter_mut().find(|p| &*p.id == id) {
            Some(registered) => {
                registered.on_failure = failure;
                Ok(self)
            }
            None => Err(RegistryError::Unknown { id: id.chars().take(64).collect() }),
        }
    }

    /// The same plugins without `id`, if it is among them.
    #[must_use]
    pub fn without(mut self, id: &str) -> Self {
        self.plugins.retain(|p| &*p.id != id);
        self
    }

    /// The ids in the order in which they run.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().map(|p| &*p.id)
    }

    pub(crate) fn into_plugins(self) -> Vec<Registered> {
        self.plugins
    }

    fn add(mut self, plugin: impl DetectionPlugin, runs_at: RunsAt) -> Result<Self, RegistryError> {
        let id: Arc<str> = plugin.id().into();
        let usable = (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !usable {
            return Err(RegistryError::Id);
        }
        if self.ids().any(|known| known == &*id) {
            return Err(RegistryError::Twice { id: id.as_ref().to_owned() });
        }
        let priority = plugin.priority();
        let at = self.plugins.partition_point(|p| (p.plugin.priority(), &*p.id) < (priority, &*id));
        let registered =
            Registered { id, plugin: Arc::new(plugin), runs_at, on_failure: PluginFailure::Hold };
        self.plugins.insert(at, registered);
        Ok(self)
    }
}

impl fmt::Debug for PluginRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// The plugins do not make a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A plugin's id is not usable.
    #[error("a plugin's id is 1 to 64 characters of a-z 0-9 -")]
    Id,
    /// Two plugins have one id.
    #[error("two plugins call themselves {id}")]
    Twice {
        /// The id.
        id: String,
    },
    /// No plugin has the id.
    #[error("no plugin is called {id}")]
    Unknown {
        /// The id.
        id: String,
    },
}

impl Fault for RegistryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Id => "ssg-core/plugin-id",
            Self::Twice { .. } => "ssg-core/plugin-twice",
            Self::Unknown { .. } => "ssg-core/plugin-unknown",
        }
    }

    fn kind(&self) -> FaultKind {
        FaultKind::Configuration
    }
}
