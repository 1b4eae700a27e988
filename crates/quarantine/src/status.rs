//! Which state of a record may follow which. Pure: the same table stands as a trigger in the database.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::QuarantineError;

/// What has been decided about held content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Status {
    /// Nobody has looked yet.
    Quarantined,
    /// A person has to decide.
    UnderReview,
    /// It may be published.
    Released,
    /// It must not be published.
    Deleted,
    /// Nobody decided in time.
    Expired,
}

impl Status {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 5] =
        [Self::Quarantined, Self::UnderReview, Self::Released, Self::Deleted, Self::Expired];

    /// Whether a record of this state may come into the state `next`.
    ///
    /// `Deleted` and `Expired` go back to review only while their grace lasts; whether it does is not said here.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Quarantined => !matches!(next, Self::Quarantined),
            Self::UnderReview => matches!(next, Self::Released | Self::Deleted | Self::Expired),
            Self::Deleted | Self::Expired => matches!(next, Self::UnderReview),
            Self::Released => false,
        }
    }

    /// Whether somebody still has to decide.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Quarantined | Self::UnderReview)
    }

    /// Whether its content may be shown to who reviews it.
    pub const fn is_shown(self) -> bool {
        !matches!(self, Self::Deleted | Self::Expired)
    }

    /// The word that stands in the table and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quarantined => "QUARANTINED",
            Self::UnderReview => "UNDER_REVIEW",
            Self::Released => "RELEASED",
            Self::Deleted => "DELETED",
            Self::Expired => "EXPIRED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = QuarantineError;

    fn from_str(text: &str) -> Result<Self, QuarantineError> {
        let known = "QUARANTINED|UNDER_REVIEW|RELEASED|DELETED|EXPIRED";
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(QuarantineError::UnknownWord { known })
    }
}

/// What has become of the sealed bytes of a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum BlobState {
    /// They are being stored; nobody was told that they are held.
    Pending,
    /// They are there, and their key.
    Present,
    /// Their key is destroyed: they say nothing any more, wherever copies of them lie.
    Shredded,
}

impl BlobState {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Present, Self::Shredded];

    /// Whether bytes of this state may come into the state `next`.
    pub const fn may_become(self, next: Self) -> bool {
        matches!((self, next), (Self::Pending, Self::Present) | (Self::Present, Self::Shredded))
    }

    /// The word that stands in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Present => "PRESENT",
            Self::Shredded => "SHREDDED",
        }
    }
}

impl fmt::Display for BlobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_these_states_follow_each_other() {
        use Status::{Deleted, Expired, Quarantined, Released, UnderReview};
        let allowed = [
            (Quarantined, UnderReview),
            (Quarantined, Released),
            (Quarantined, Deleted),
            (Quarantined, Expired),
            (UnderReview, Released),
            (UnderReview, Deleted),
            (UnderReview, Expired),
            (Deleted, UnderReview),
            (Expired, UnderReview),
        ];
        for from in Status::ALL {
            for to in Status::ALL {
                assert_eq!(from.may_become(to), allowed.contains(&(from, to)), "{from} to {to}");
            }
        }
    }

    #[test]
    fn words_are_read_back() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().unwrap(), status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("quarantined".parse::<Status>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_was_released_never_changes_and_shredded_bytes_never_return(
            steps in proptest::collection::vec((0_usize..5, 0_usize..3), 0..40),
        ) {
            let (mut status, mut blob) = (Status::Quarantined, BlobState::Pending);
            for (to_status, to_blob) in steps {
                let (next, next_blob) = (Status::ALL[to_status], BlobState::ALL[to_blob]);
                proptest::prop_assert!(!(status == Status::Released && status.may_become(next)));
                proptest::prop_assert!(!(blob == BlobState::Shredded && blob.may_become(next_blob)));
                proptest::prop_assert!(!(status.may_become(next) && status == next), "no state follows itself");
                if status.may_become(next) { status = next; }
                if blob.may_become(next_blob) { blob = next_blob; }
            }
        }
    }
}
