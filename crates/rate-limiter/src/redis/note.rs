//! A short text that lies beside the counters and is lost with them.

use super::{RedisStore, away};
use crate::error::LimitError;

impl RedisStore {
    /// The text that was noted last; `None` if there is none, as where all was lost.
    ///
    /// # Errors
    ///
    /// Redis does not answer.
    pub async fn note(&self) -> Result<Option<String>, LimitError> {
        Err(away())
    }

    /// Notes a text in the place of the last one.
    ///
    /// # Errors
    ///
    /// Redis does not answer.
    pub async fn set_note(&self, _: &str) -> Result<(), LimitError> {
        Err(away())
    }

    /// The key under which it lies.
    pub fn note_key(&self) -> String {
        format!("{}:note", self.0.config.prefix)
    }
}
