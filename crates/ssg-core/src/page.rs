//! Lists that are read a page at a time, by key and never by offset.

use serde::{Deserialize, Serialize};

/// Some items, and where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// What to ask for the page after this one; absent on the last.
    pub next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page.
    pub const fn new(items: Vec<T>, next_cursor: Option<Cursor>) -> Self {
        Self { items, next_cursor }
    }
}

/// A place in a list. Opaque to all but the crate that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// Wraps a text that its maker can read again.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How many items a page has: 1 to 1000, 100 unless said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit(u16);

impl PageLimit {
    /// The most that one page holds: bounds the memory of one answer.
    pub const MAX: u16 = 1000;

    /// `None` outside 1 to 1000.
    pub const fn new(items: u64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "at most 1000 here")]
        if items >= 1 && items <= Self::MAX as u64 { Some(Self(items as u16)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(100)
    }
}
