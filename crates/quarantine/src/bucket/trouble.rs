//! What can go wrong with a bucket, each with its cause and what to do about it.

use std::time::Duration;

use clawexchange_ssg_core::{Fault, FaultKind};

use super::answer;

/// Why a bucket did not do what it was asked. No text of the server's and no key is in it, but for words that say what
/// sort of error it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum S3Trouble {
    /// It cannot be reached, or says that it cannot do it now.
    #[error("S3 is away")]
    Away {
        /// Why, where the connection says it.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It did not answer in time.
    #[error("S3 did not answer in time")]
    TimedOut,
    /// It wants to be asked less, or somebody changes the same object.
    #[error("S3 is busy ({code})")]
    Busy {
        /// Its word for it.
        code: String,
    },
    /// It failed so often that nothing is asked of it for a while.
    #[error("S3 failed too often and is left alone for {} ms", left.as_millis())]
    Paused {
        /// How much of that is left.
        left: Duration,
    },
    /// Its certificate is not trusted, or it speaks no TLS that we do.
    #[error("the connection to S3 cannot be encrypted")]
    Tls {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The key is unknown, or the secret is another.
    #[error("S3 does not know the key, or its secret is another ({code})")]
    Credentials {
        /// Its word for it.
        code: String,
    },
    /// The bucket is in another region.
    #[error("the S3 bucket is in another region{}", expected.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    Region {
        /// Which, if it says so.
        expected: Option<String>,
    },
    /// The clocks of both are too far apart.
    #[error("the clocks of this machine and of S3 are {} s apart", ahead_seconds.map_or_else(|| "too many".to_owned(), |s| s.abs().to_string()))]
    Clock {
        /// How many seconds ours is ahead, if it says the time.
        ahead_seconds: Option<i64>,
    },
    /// There is no such bucket.
    #[error("there is no S3 bucket {bucket}")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// The key may not do that.
    #[error("the S3 key may not {act} ({code})")]
    Rights {
        /// What.
        act: &'static str,
        /// Its word for it.
        code: String,
    },
    /// It refuses for another reason.
    #[error("S3 refuses to {act}: {status} {code}")]
    Refused {
        /// What.
        act: &'static str,
        /// The status of its answer.
        status: u16,
        /// Its word for it.
        code: String,
    },
    /// Its answer is not one that S3 gives.
    #[error("what S3 answers cannot be read")]
    Unreadable,
    /// An object has more bytes than were asked for.
    #[error("an object has more than {max} bytes")]
    TooLarge {
        /// The bound.
        max: u64,
    },
}

impl S3Trouble {
    /// Whether the same request may succeed a moment later: the server failed, not the request.
    pub(super) const fn is_worth_another(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::TimedOut | Self::Busy { .. })
    }

    /// Whether the server may have done what it was asked though it did not say so.
    pub(super) const fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::TimedOut)
    }
}

impl Fault for S3Trouble {
    fn code(&self) -> &'static str {
        match self {
            Self::Away { .. } => "quarantine/s3-away",
            Self::TimedOut => "quarantine/s3-timed-out",
            Self::Busy { .. } => "quarantine/s3-busy",
            Self::Paused { .. } => "quarantine/s3-paused",
            Self::Tls { .. } => "quarantine/s3-tls",
            Self::Credentials { .. } => "quarantine/s3-credentials",
            Self::Region { .. } => "quarantine/s3-region",
            Self::Clock { .. } => "quarantine/s3-clock",
            Self::NoBucket { .. } => "quarantine/s3-no-bucket",
            Self::Rights { .. } => "quarantine/s3-rights",
            Self::Refused { .. } => "quarantine/s3-refused",
            Self::Unreadable => "quarantine/s3-unreadable",
            Self::TooLarge { .. } => "quarantine/too-large",
        }
    }

    fn kind(&self) -> FaultKind {
        // Content that cannot be kept is answered 503 whatever the reason is: it is for the operator to mend.
        if matches!(self, Self::TooLarge { .. }) { FaultKind::TooLarge } else { FaultKind::Unavailable }
    }

    fn is_transient(&self) -> bool {
        self.is_worth_another() || matches!(self, Self::Paused { .. })
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Away { .. } | Self::TimedOut => {
                "see that the server of S3_ENDPOINT runs and can be reached from here"
            }
            Self::Busy { .. } => "try again; if it lasts, ask for less at once: CLAW_S3_CONNECTIONS",
            Self::Paused { .. } => "see why it failed; it is asked again by itself",
            Self::Tls { .. } => "give the authority of its certificate: CLAW_S3_CA_FILE",
            Self::Credentials { .. } => "correct S3_ACCESS_KEY and S3_SECRET_KEY",
            Self::Region { expected } => {
                return Some(expected.as_ref().map_or_else(
                    || "set S3_REGION to the bucket's region".to_owned(),
                    |region| format!("set S3_REGION={region}"),
                ));
            }
            Self::Clock { .. } => "set this machine's clock; requests may be 15 minutes off",
            Self::NoBucket { .. } => "make the bucket, or correct S3_BUCKET: it is never made by itself",
            Self::Rights { .. } => "give the key the rights that docs/deployment.md lists",
            Self::Refused { .. } | Self::Unreadable => {
                "see that S3_ENDPOINT is an S3 server, and CLAW_S3_STYLE is as it wants it"
            }
            Self::TooLarge { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// What an answer that is no success is.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no object of that name.
    NoObject,
    /// The condition did not hold: the name is taken.
    Precondition,
    /// The range begins after the end: there are no bytes.
    NoRange,
    /// It does not do that at all.
    Unknown,
    /// Anything else.
    Trouble(S3Trouble),
}

/// What is known of an answer that is no success.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
    /// The header that tells the bucket's region.
    pub(super) region: Option<&'a str>,
    /// How many seconds our clock is ahead of the server's.
    pub(super) ahead_seconds: Option<i64>,
}

/// How far clocks may be apart, as S3 has it.
const SKEW_SECONDS_MAX: u64 = 15 * 60;

/// Says what an answer that is no success means.
pub(super) fn judge(said: &Said<'_>, act: &'static str, bucket: &str) -> Refusal {
    let parts = answer::parts(said.body).unwrap_or_default();
    let word = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).take(64).collect::<String>();
    let code = word(answer::first(&parts, "Code"));
    let message = answer::first(&parts, "Message");
    let is_skewed = said.ahead_seconds.is_some_and(|s| s.unsigned_abs() > SKEW_SECONDS_MAX);
    let trouble = match (said.status, code.as_str()) {
        (_, "RequestTimeTooSkewed") => S3Trouble::Clock { ahead_seconds: said.ahead_seconds },
        (400 | 403, _) if is_skewed => S3Trouble::Clock { ahead_seconds: said.ahead_seconds },
        (301 | 307 | 308, _)
        | (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            let named = answer::first(&parts, "Region");
            let expected = Some(named).filter(|name| !name.is_empty()).or(said.region);
            S3Trouble::Region { expected: expected.map(|name| name.chars().take(64).collect()) }
        }
        (_, "NoSuchBucket") => S3Trouble::NoBucket { bucket: bucket.to_owned() },
        (
            _,
            "InvalidAccessKeyId"
            | "NotSignedUp"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "ExpiredToken"
            | "InvalidSecurity"
            | "InvalidClientTokenId",
        ) => S3Trouble::Credentials { code },
        // Garage has one word for all of these.
        (403, "AccessDenied") if message.contains("signature") || message.contains("No such key") => {
            S3Trouble::Credentials { code }
        }
        (404, "NoSuchKey" | "NoSuchVersion" | "" | "NotFound") => return Refusal::NoObject,
        (412, _) => return Refusal::Precondition,
        (416, _) => return Refusal::NoRange,
        (501 | 405, _) | (_, "NotImplemented") => return Refusal::Unknown,
        (_, "SlowDown" | "RequestLimitExceeded" | "Throttling" | "ThrottlingException")
        | (429, _)
        | (409, "ConditionalRequestConflict" | "OperationAborted") => S3Trouble::Busy { code },
        (408 | 500 | 502 | 503 | 504, _) | (400, "RequestTimeout") => S3Trouble::Away { source: None },
        (401 | 403, _) => S3Trouble::Rights { act, code },
        (status, _) => S3Trouble::Refused { act, status, code },
    };
    Refusal::Trouble(trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(status: u16, code: &str, message: &str) -> String {
        let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let body = if code.is_empty() { String::new() } else { body };
        let said = Said { status, body: body.as_bytes(), ..Said::default() };
        match judge(&said, "store objects", "held") {
            Refusal::Trouble(trouble) => {
                assert!(trouble.hint().is_some(), "{trouble}");
                trouble.code().trim_start_matches("quarantine/s3-").to_owned()
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_answer_has_its_class() {
        for (status, code, class) in [
            (403, "InvalidAccessKeyId", "credentials"),
            (403, "SignatureDoesNotMatch", "credentials"),
            (403, "NotSignedUp", "credentials"),
            (400, "ExpiredToken", "credentials"),
            (403, "AccessDenied", "rights"),
            (403, "", "rights"),
            (401, "", "rights"),
            (403, "RequestTimeTooSkewed", "clock"),
            (404, "NoSuchBucket", "no-bucket"),
            (404, "NoSuchKey", "NoObject"),
            (404, "", "NoObject"),
            (412, "PreconditionFailed", "Precondition"),
            (416, "InvalidRange", "NoRange"),
            (501, "NotImplemented", "Unknown"),
            (301, "PermanentRedirect", "region"),
            (307, "TemporaryRedirect", "region"),
            (400, "AuthorizationHeaderMalformed", "region"),
            (400, "RequestTimeout", "away"),
            (400, "InvalidRequest", "refused"),
            (409, "ConditionalRequestConflict", "busy"),
            (409, "BucketNotEmpty", "refused"),
            (429, "", "busy"),
            (503, "SlowDown", "busy"),
            (503, "ServiceUnavailable", "away"),
            (500, "InternalError", "away"),
            (502, "", "away"),
            (507, "InsufficientStorage", "refused"),
        ] {
            assert_eq!(code_of(status, code, "said"), class, "{status} {code}");
        }
        assert_eq!(code_of(403, "AccessDenied", "Forbidden: Invalid signature"), "credentials");
    }

    #[test]
    fn never_is_a_refusal_tried_again() {
        for (trouble, again) in [
            (S3Trouble::Away { source: None }, true),
            (S3Trouble::TimedOut, true),
            (S3Trouble::Busy { code: String::new() }, true),
            (S3Trouble::Paused { left: Duration::ZERO }, false),
            (S3Trouble::Credentials { code: String::new() }, false),
            (S3Trouble::Rights { act: "list objects", code: String::new() }, false),
            (S3Trouble::NoBucket { bucket: String::new() }, false),
            (S3Trouble::Region { expected: None }, false),
            (S3Trouble::Clock { ahead_seconds: None }, false),
            (S3Trouble::Unreadable, false),
        ] {
            assert_eq!(trouble.is_worth_another(), again, "{trouble}");
        }
    }

    #[test]
    fn a_clock_that_is_far_off_is_said_to_be_whatever_the_server_calls_it() {
        let body = b"<Error><Code>AccessDenied</Code></Error>";
        let said = Said { status: 403, body, region: None, ahead_seconds: Some(-3_600) };
        let Refusal::Trouble(trouble) = judge(&said, "store objects", "held") else { panic!("refused") };
        assert_eq!(trouble.to_string(), "the clocks of this machine and of S3 are 3600 s apart");
    }

    #[test]
    fn the_region_that_a_server_names_is_in_the_hint() {
        let body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>";
        let said = Said { status: 400, body, ..Said::default() };
        let Refusal::Trouble(trouble) = judge(&said, "store objects", "held") else { panic!("refused") };
        assert_eq!(trouble.hint().unwrap(), "set S3_REGION=eu-west-3");
        let said = Said { status: 301, region: Some("eu-west-1"), ..Said::default() };
        let Refusal::Trouble(trouble) = judge(&said, "store objects", "held") else { panic!("refused") };
        assert_eq!(trouble.to_string(), "the S3 bucket is in another region: eu-west-1");
    }

    #[test]
    fn what_a_server_says_cannot_forge_a_line() {
        assert_eq!(code_of(400, "a\nb&#27;[31m", "x"), "refused");
        let body = b"<Error><Code>bad&#10;line</Code></Error>";
        let said = Said { status: 400, body, ..Said::default() };
        let Refusal::Trouble(trouble) = judge(&said, "store objects", "held") else { panic!("refused") };
        assert_eq!(trouble.to_string(), "S3 refuses to store objects: 400 badline");
    }
}
