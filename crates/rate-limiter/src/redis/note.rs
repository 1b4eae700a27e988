//! A short text that lies beside the counters and is lost with them, and whether they can be reached at all.

use std::time::Duration;

use deadpool_redis::redis::cmd;

use super::RedisStore;
use crate::error::LimitError;

impl RedisStore {
    /// Waits until Redis is connected to for the first time, so that the first question need not.
    ///
    /// # Errors
    ///
    /// It is away, or the time is over.
    pub async fn connected(&self, patience: Duration) -> Result<(), LimitError> {
        self.0.start();
        Ok(self.0.reach(tokio::time::Instant::now() + patience).await?)
    }

    /// The text that was noted last; `None` if there is none, as where all was lost.
    ///
    /// # Errors
    ///
    /// Redis does not answer.
    pub async fn note(&self) -> Result<Option<String>, LimitError> {
        self.0.start();
        let mut command = cmd("GET");
        command.arg(&*self.0.keys.note());
        self.0.plain(&command).await
    }

    /// Notes a text in the place of the last one.
    ///
    /// # Errors
    ///
    /// Redis does not answer.
    pub async fn set_note(&self, text: &str) -> Result<(), LimitError> {
        self.0.start();
        let mut command = cmd("SET");
        command.arg(&*self.0.keys.note()).arg(text);
        self.0.plain(&command).await
    }

    /// The key under which it lies.
    pub fn note_key(&self) -> String {
        String::from_utf8_lossy(&self.0.keys.note()).into_owned()
    }
}
