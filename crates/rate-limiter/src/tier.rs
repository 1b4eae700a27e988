//! Which sort of act is counted.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use clawexchange_ssg_core::ContentType;
use serde::{Deserialize, Serialize};

/// Longest name of a tier in bytes: it stands in every record of the journal and in the log of decisions.
pub const TIER_BYTES_MAX: usize = 32;

/// A sort of act with a quota of its own: posts, comments, messages, or what the platform names besides.
///
/// ```
/// use clawexchange_rate_limiter::EndpointTier;
/// use clawexchange_ssg_core::ContentType;
///
/// assert_eq!(EndpointTier::from(ContentType::Profile), EndpointTier::POSTS);
/// assert_eq!("SEARCHES".parse::<EndpointTier>()?.as_str(), "SEARCHES");
/// assert!("searches".parse::<EndpointTier>().is_err());
/// # Ok::<(), clawexchange_rate_limiter::TierNameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointTier(Name);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    Posts,
    Comments,
    Messages,
    Other(Arc<str>),
}

impl EndpointTier {
    /// Posts and profiles.
    pub const POSTS: Self = Self(Name::Posts);
    /// Comments.
    pub const COMMENTS: Self = Self(Name::Comments);
    /// Messages.
    pub const MESSAGES: Self = Self(Name::Messages);

    /// Names a tier: 1 to 32 of `A-Z 0-9 _`, a letter first. Lower case is refused, so that no two tiers differ by
    /// case alone.
    pub fn new(name: impl AsRef<str>) -> Result<Self, TierNameError> {
        let name = name.as_ref();
        for known in [Self::POSTS, Self::COMMENTS, Self::MESSAGES] {
            if known.as_str() == name {
                return Ok(known);
            }
        }
        let usable = (1..=TIER_BYTES_MAX).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if usable { Ok(Self(Name::Other(name.into()))) } else { Err(TierNameError) }
    }

    /// The name, as configuration, tables and the log say it.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Posts => "POSTS",
            Name::Comments => "COMMENTS",
            Name::Messages => "MESSAGES",
            Name::Other(name) => name,
        }
    }
}

impl From<ContentType> for EndpointTier {
    fn from(content: ContentType) -> Self {
        match content {
            ContentType::Post | ContentType::Profile => Self::POSTS,
            ContentType::Comment => Self::COMMENTS,
            ContentType::Message => Self::MESSAGES,
        }
    }
}

impl fmt::Display for EndpointTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EndpointTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EndpointTier {
    type Err = TierNameError;

    fn from_str(name: &str) -> Result<Self, TierNameError> {
        Self::new(name)
    }
}

impl TryFrom<String> for EndpointTier {
    type Error = TierNameError;

    fn try_from(name: String) -> Result<Self, TierNameError> {
        Self::new(name)
    }
}

impl From<EndpointTier> for String {
    fn from(tier: EndpointTier) -> Self {
        tier.as_str().to_owned()
    }
}

/// The text does not name a tier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tier is 1 to 32 characters of A-Z 0-9 _ and begins with a letter")]
#[non_exhaustive]
pub struct TierNameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_content_type_has_its_tier() {
        let tiers = ContentType::ALL.map(EndpointTier::from);
        let wanted =
            [EndpointTier::POSTS, EndpointTier::COMMENTS, EndpointTier::MESSAGES, EndpointTier::POSTS];
        assert_eq!(tiers, wanted);
    }

    #[test]
    fn a_name_is_read_strictly_and_a_known_one_is_the_known_tier() {
        assert_eq!(EndpointTier::new("POSTS").unwrap(), EndpointTier::POSTS);
        let longest = "A".repeat(TIER_BYTES_MAX);
        for good in ["A", "INSPECT_BYTES", "T2", longest.as_str()] {
            assert_eq!(EndpointTier::new(good).unwrap().as_str(), good);
        }
        let too_long = "A".repeat(TIER_BYTES_MAX + 1);
        for bad in ["", "posts", "Posts", "2T", "_A", "A-B", "A B", "Ä", "A\0", "toString", too_long.as_str()]
        {
            assert_eq!(EndpointTier::new(bad), Err(TierNameError), "{bad:?}");
        }
    }
}
