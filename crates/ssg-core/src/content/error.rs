//! Why content is not taken.

use crate::fault::{Fault, FaultKind};

/// Why content is not taken. No variant carries a part of the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The bytes are not UTF-8.
    #[error("content is not UTF-8: byte {at} begins no character")]
    NotUtf8 {
        /// Offset of the first byte that belongs to no character.
        at: usize,
    },
    /// The text is not JSON (RFC 8259), or has a lone surrogate.
    #[error("content is not JSON: line {line}, column {column}")]
    NotJson {
        /// Line in the text, from 1; inside a string, within that string.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The JSON is not an object.
    #[error("content must be a JSON object")]
    NotObject,
    /// Two members of one object have one name.
    #[error("an object has two members of one name")]
    DuplicateName,
    /// A string or a name has a NUL character.
    #[error("content has a NUL character")]
    Nul,
    /// Objects and arrays lie too deep in each other.
    #[error("content is nested deeper than {max} levels")]
    TooDeep {
        /// The bound.
        max: usize,
    },
    /// There are too many values.
    #[error("content has more than {max} fields")]
    TooManyFields {
        /// The bound.
        max: usize,
    },
    /// The JSON text is too long.
    #[error("the body is larger than {max} bytes")]
    BodyTooLarge {
        /// The bound.
        max: usize,
    },
    /// The inspected texts are too long together.
    #[error("the texts are larger than {max} bytes together")]
    TextTooLarge {
        /// The bound.
        max: usize,
    },
    /// `text` is missing or null.
    #[error("`text` is missing")]
    TextMissing,
    /// `text` has no characters.
    #[error("`text` is empty")]
    TextEmpty,
    /// A member is of the wrong type.
    #[error("`{member}` must be {expected}")]
    WrongType {
        /// The member.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A member has a word that is none of those known.
    #[error("`{member}` must be one of {known}")]
    UnknownWord {
        /// The member.
        member: &'static str,
        /// The words that are known.
        known: &'static str,
    },
    /// Only posts have a category.
    #[error("`category` is for contentType POST only")]
    CategoryWithoutPost,
    /// A member is not an id.
    #[error("`{member}` must be 1 to 128 characters of A-Z a-z 0-9 . _ : @ -")]
    NotAnId {
        /// The member.
        member: &'static str,
    },
}

impl Fault for ContentError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotUtf8 { .. } => "ssg-core/not-utf8",
            Self::NotJson { .. } => "ssg-core/not-json",
            Self::NotObject => "ssg-core/not-an-object",
            Self::DuplicateName => "ssg-core/duplicate-name",
            Self::Nul => "ssg-core/nul",
            Self::TooDeep { .. } => "ssg-core/too-deep",
            Self::TooManyFields { .. } => "ssg-core/too-many-fields",
            Self::BodyTooLarge { .. } => "ssg-core/body-too-large",
            Self::TextTooLarge { .. } => "ssg-core/text-too-large",
            Self::TextMissing => "ssg-core/text-missing",
            Self::TextEmpty => "ssg-core/text-empty",
            Self::WrongType { .. } => "ssg-core/wrong-type",
            Self::UnknownWord { .. } => "ssg-core/unknown-word",
            Self::CategoryWithoutPost => "ssg-core/category-without-post",
            Self::NotAnId { .. } => "ssg-core/not-an-id",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::BodyTooLarge { .. } | Self::TextTooLarge { .. } => FaultKind::TooLarge,
            _ => FaultKind::Invalid,
        }
    }
}
