//! Names of things: newtypes, so that no id is taken for another.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest id in bytes: fits every index and header it must stand in.
pub const ID_BYTES_MAX: usize = 128;

/// The text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// It is empty, longer than 128 bytes, or has characters that ids do not have.
    #[error("an id is 1 to 128 characters of A-Z a-z 0-9 . _ : @ -")]
    Text,
    /// It is not a UUID.
    #[error("not a UUID")]
    Uuid,
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes an id that no other has: a UUID of version 7 (RFC 9562, section 5.7).
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }

            /// The 16 bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id with these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text).map(Self).ok().ok_or(IdError::Uuid)
            }
        }
    )* };
}

uuid_ids! {
    /// One inspection; the id of its event in the log, too.
    InspectionId
    /// One held content.
    QuarantineId
    /// One event in the log.
    EventId
}

impl From<InspectionId> for EventId {
    fn from(id: InspectionId) -> Self {
        Self(id.0)
    }
}

macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes 1 to 128 characters of `A-Z a-z 0-9 . _ : @ -`.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                if is_id(text) { Ok(Self(text.into())) } else { Err(IdError::Text) }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )* };
}

text_ids! {
    /// An agent that posts.
    AgentId
    /// Who an agent belongs to.
    OwnerId
    /// The platform's own name for a piece of content.
    SourceId
    /// The caller's own name for a request.
    RequestId
    /// A detection plugin.
    PluginId
    /// A master key.
    KeyId
}

impl RequestId {
    /// A name that no other request has.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().as_hyphenated().to_string().into())
    }
}

fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'@' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_only_characters_that_are_safe_everywhere() {
        let longest = "a".repeat(ID_BYTES_MAX);
        for good in ["a", "agent-7", "did:web:x@y.z_1", longest.as_str()] {
            assert!(AgentId::new(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(ID_BYTES_MAX + 1);
        for bad in ["", "a b", "a/b", "ä", "a\u{0}", "a\n", "{a}", too_long.as_str()] {
            assert!(AgentId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn uuids_are_printed_in_lower_case_and_read_back() {
        let id = QuarantineId::fresh();
        assert_eq!(id.to_string().parse::<QuarantineId>().unwrap(), id);
        assert_eq!(id.to_string(), id.to_string().to_lowercase());
    }
}
