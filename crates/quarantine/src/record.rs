//! A held content as it is shown, and the words that decisions are made in.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use clawexchange_ssg_core::{
    AgentId, ContentType, Escaped, InspectionId, KeyId, OwnerId, QuarantineId, RiskTier, SourceId, Timestamp,
};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::QuarantineError;
use crate::seal::random;
use crate::status::{BlobState, Status};

/// A held content: everything about it, and nothing of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct QuarantineRecord {
    /// Its name.
    pub id: QuarantineId,
    /// The object that has its sealed bytes; `None` while they lie in the row.
    pub s3_key: Option<String>,
    /// What has been decided.
    pub status: Status,
    /// What has become of its sealed bytes.
    pub blob_state: BlobState,
    /// How dangerous it was judged.
    pub tier: RiskTier,
    /// Why.
    pub labels: Vec<String>,
    /// Where, redacted: the matches of the inspection.
    pub matches: serde_json::Value,
    /// The rules that judged.
    pub policy: String,
    /// What sort of content it is.
    pub content_type: ContentType,
    /// Bytes of the envelope as it came in.
    pub size_bytes: u64,
    /// Who posted it.
    pub agent_id: AgentId,
    /// Who the agent belongs to.
    pub owner_id: Option<OwnerId>,
    /// The platform's own name for it.
    pub source_id: Option<SourceId>,
    /// The inspection that held it.
    pub inspection_id: InspectionId,
    /// The wrapped key; `None` once it is destroyed.
    pub encryption_key_id: Option<String>,
    /// Until when somebody may decide.
    pub expires_at: Timestamp,
    /// When its key is destroyed, once it is decided.
    pub shred_at: Option<Timestamp>,
    /// Who decided last.
    pub reviewed_by: Option<String>,
    /// When.
    pub reviewed_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<Reason>,
    /// What they wrote.
    pub review_notes: Option<String>,
    /// Grows by one with every change.
    pub version: u64,
    /// When it was held.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Why a person or a program decided as it did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Reason {
    /// There is nothing wrong with it.
    #[default]
    FalsePositive,
    /// It is what it was taken for, and does little harm.
    TruePositiveLowRisk,
    /// It is what it was taken for, and is dangerous.
    TruePositiveHighRisk,
    /// A person has to look.
    NeedsHumanReview,
    /// The platform's rules forbid it.
    PolicyViolation,
    /// It is there already.
    DuplicateContent,
}

impl Reason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::FalsePositive,
        Self::TruePositiveLowRisk,
        Self::TruePositiveHighRisk,
        Self::NeedsHumanReview,
        Self::PolicyViolation,
        Self::DuplicateContent,
    ];

    /// The word that stands in the table and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FalsePositive => "FALSE_POSITIVE",
            Self::TruePositiveLowRisk => "TRUE_POSITIVE_LOW_RISK",
            Self::TruePositiveHighRisk => "TRUE_POSITIVE_HIGH_RISK",
            Self::NeedsHumanReview => "NEEDS_HUMAN_REVIEW",
            Self::PolicyViolation => "POLICY_VIOLATION",
            Self::DuplicateContent => "DUPLICATE_CONTENT",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = QuarantineError;

    fn from_str(text: &str) -> Result<Self, QuarantineError> {
        let known = "FALSE_POSITIVE|TRUE_POSITIVE_LOW_RISK|TRUE_POSITIVE_HIGH_RISK|NEEDS_HUMAN_REVIEW|\
                     POLICY_VIOLATION|DUPLICATE_CONTENT";
        let found = Self::ALL.into_iter().find(|reason| reason.as_str() == text);
        found.ok_or(QuarantineError::UnknownWord { known })
    }
}

/// What somebody writes of why they do a thing: 1 to 1000 bytes in one line, no character that hides or forges.
///
/// It may name people, so `Debug` does not print it; in the log it is sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct Note(String);

/// Bytes of a [`Note`]: a paragraph.
pub const NOTE_BYTES_MAX: usize = 1000;

impl Note {
    /// Takes a text; white space around it is cut off.
    pub fn new(text: &str) -> Result<Self, QuarantineError> {
        let text = text.trim();
        // A backslash is printed doubled; all else that is not printed as it is would act on a terminal.
        let is_plain = |c: char| c == '\\' || Escaped(c.encode_utf8(&mut [0; 4])).to_string().starts_with(c);
        if (1..=NOTE_BYTES_MAX).contains(&text.len()) && text.chars().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(QuarantineError::Text { what: "reason or purpose", max: NOTE_BYTES_MAX })
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Note({} bytes)", self.0.len())
    }
}

/// Which records a list shows; everything unless set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Only those of this status.
    pub status: Option<Status>,
    /// Only those of this tier.
    pub tier: Option<RiskTier>,
    /// Only those of this agent.
    pub agent: Option<AgentId>,
    /// Only those of this owner's agents.
    pub owner: Option<OwnerId>,
    /// Only those of this name on the platform.
    pub source: Option<SourceId>,
}

/// What is held, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Stats {
    /// Records of each status.
    pub by_status: BTreeMap<Status, u64>,
    /// Records that somebody has to decide about.
    pub open: u64,
    /// Bytes of content that somebody has to decide about.
    pub open_bytes: u64,
    /// Bytes of content whose key is still there.
    pub kept_bytes: u64,
    /// Since when the oldest undecided one waits.
    pub oldest_open: Option<Timestamp>,
    /// Stores that are under way, or were cut short.
    pub pending: u64,
    /// Objects that are to go.
    pub tombstones: u64,
    /// Legal holds in force.
    pub legal_holds: u64,
    /// Wrapped data keys by the master key that they hang on.
    pub keys: BTreeMap<String, u64>,
}

/// Permission to look at one content, once.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Grant {
    /// The record that it opens.
    pub id: QuarantineId,
    /// What to show when opening it.
    #[serde(serialize_with = "shown")]
    pub token: GrantToken,
    /// Until when it opens.
    pub expires_at: Timestamp,
}

/// A link to sealed bytes. Whoever has it gets them until it ends: ciphertext, which opens nothing by itself.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CiphertextLink {
    /// The record whose bytes they are.
    pub id: QuarantineId,
    /// The link; wiped when dropped, and in no debug text.
    #[serde(serialize_with = "text_of", rename = "ciphertextUrl")]
    pub url: Zeroizing<String>,
    /// Until when it gives them.
    pub expires_at: Timestamp,
}

fn text_of<S: Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl fmt::Debug for CiphertextLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CiphertextLink")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

fn shown<S: Serializer>(token: &GrantToken, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose())
}

/// 32 random bytes in base64url that open one content once. Whoever has them and is the one they were given to may
/// look; `Debug` does not print them, and they are wiped when dropped.
#[derive(Clone)]
pub struct GrantToken(Zeroizing<String>);

impl GrantToken {
    pub(crate) fn fresh() -> Result<Self, QuarantineError> {
        use base64::Engine as _;
        let bytes = Zeroizing::new(random::<32>()?);
        Ok(Self(Zeroizing::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    /// The text, for whoever it was made for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for GrantToken {
    type Err = QuarantineError;

    fn from_str(text: &str) -> Result<Self, QuarantineError> {
        let is_token =
            text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if is_token { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(QuarantineError::GrantRefused) }
    }
}

impl fmt::Debug for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantToken([redacted])")
    }
}

/// Content that was opened. It is wiped when dropped, and `Debug` does not print it.
#[non_exhaustive]
pub struct Opened {
    /// What it is.
    pub record: QuarantineRecord,
    /// The envelope as it came in: JSON, byte for byte.
    pub content: Zeroizing<Vec<u8>>,
    /// How many chunks were proven: all that there are.
    pub chunks: u64,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("id", &self.record.id)
            .field("size_bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// The master key that content's code hangs on, as the row names it.
pub(crate) fn key_id(text: &str) -> Option<KeyId> {
    KeyId::new(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_short_and_has_nothing_that_hides_or_forges() {
        for good in ["ok", "Grüße, 你好 \\o/", " cut ", &"x".repeat(NOTE_BYTES_MAX)] {
            assert_eq!(Note::new(good).unwrap().as_str(), good.trim());
        }
        let long = "x".repeat(10 << 10);
        for bad in [
            "",
            "  ",
            "a\0b",
            "a\u{1b}[2Jb",
            "a\nb",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{e0041}b",
            long.as_str(),
        ] {
            assert!(Note::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", Note::new("Ann").unwrap()), "Note(3 bytes)");
    }

    #[test]
    fn a_token_is_not_printed_and_nothing_else_is_taken_for_one() {
        let token = GrantToken::fresh().unwrap();
        assert_eq!(format!("{token:?}"), "GrantToken([redacted])");
        assert_eq!(token.expose().parse::<GrantToken>().unwrap().expose(), token.expose());
        assert_ne!(GrantToken::fresh().unwrap().expose(), token.expose());
        for bad in ["", "x", &format!("{}=", token.expose()), &"é".repeat(43), &"a".repeat(44)] {
            assert!(bad.parse::<GrantToken>().is_err(), "{bad}");
        }
    }

    #[test]
    fn reasons_are_read_back() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse::<Reason>().unwrap(), reason);
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert_eq!(Reason::default(), Reason::FalsePositive);
        assert!("because".parse::<Reason>().is_err());
    }
}
