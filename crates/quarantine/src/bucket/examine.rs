//! What a bucket permits, for who looks after it.

use bytes::Bytes;
use clawexchange_ssg_core::Timestamp;
use s3::command::Command;

use super::answer::{Part, first};
use super::trouble::{Refusal, S3Trouble};
use super::wire::Ask;
use super::{ObjectKey, S3Store, plain};
use crate::error::QuarantineError;

/// What a bucket says when it is asked how it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BucketSays {
    /// Yes.
    Yes,
    /// No.
    No,
    /// The key may not ask.
    NotForUs,
    /// The server does not know the question.
    Unknown,
}

impl S3Store {
    /// Whether anybody may list the bucket or read an object of a name that is not there.
    pub async fn is_open_to_anybody(&self) -> Result<bool, QuarantineError> {
        let anonymous = self.0.wire.anonymous(&self.0.config)?;
        let time = self.0.config.attempt_timeout;
        let path = self.path(&ObjectKey::fresh(Timestamp::from_micros(0)));
        for ask in [
            Ask::bucket("list objects", &[("list-type", "2"), ("max-keys", "1")]),
            Ask { path: &path, ..Ask::bucket("read objects", &[]) },
        ] {
            match anonymous.send(&ask, time).await {
                // Who may read is told that there is nothing.
                Ok(_) | Err(Refusal::NoObject) => return Ok(true),
                Err(Refusal::Trouble(
                    S3Trouble::Rights { .. } | S3Trouble::Credentials { .. } | S3Trouble::Refused { .. },
                )) => {}
                Err(other) => return Err(QuarantineError::S3(plain(other, ask.act))),
            }
        }
        Ok(false)
    }

    /// Whether the bucket's policy opens it to the public.
    pub async fn policy_is_public(&self) -> Result<BucketSays, QuarantineError> {
        let ask = Ask::bucket("see the state of the policy", &[("policyStatus", "")]);
        self.says(&ask, |parts| first(parts, "IsPublic").eq_ignore_ascii_case("true")).await
    }

    /// Whether the bucket keeps versions of what is deleted.
    pub async fn is_versioned(&self) -> Result<BucketSays, QuarantineError> {
        let ask = Ask::bucket("see whether the bucket keeps versions", &[("versioning", "")]);
        self.says(&ask, |parts| !first(parts, "Status").is_empty()).await
    }

    /// Whether a rule of the bucket deletes or moves objects by itself.
    pub async fn deletes_by_itself(&self) -> Result<BucketSays, QuarantineError> {
        let ask = Ask::bucket("see the lifecycle rules", &[("lifecycle", "")]);
        let is_rule = |part: &Part| {
            part.name == "Rule"
                && part.of("Status") == "Enabled"
                && ["Expiration", "Transition"].iter().any(|what| part.has(what))
        };
        self.says(&ask, |parts| parts.iter().any(is_rule)).await
    }

    /// Whether the bucket locks what is put, so that it cannot be deleted.
    pub async fn locks_objects(&self) -> Result<BucketSays, QuarantineError> {
        let ask = Ask::bucket("see the object lock", &[("object-lock", "")]);
        self.says(&ask, |parts| first(parts, "ObjectLockEnabled") == "Enabled").await
    }

    /// Whether the key may put an object outside of the names that are ours. Tries it with an empty one, and takes it
    /// away again.
    pub async fn may_put_elsewhere(&self) -> Result<bool, QuarantineError> {
        let time = self.0.config.attempt_timeout;
        let name = format!("claw-doctor-{}", ObjectKey::fresh(Timestamp::from_micros(0)).as_str());
        let path = name.replace('/', "-");
        let command = Command::PutObject {
            content: b"",
            content_type: "application/octet-stream",
            custom_headers: None,
            multipart: None,
        };
        let ask = Ask { act: "put objects elsewhere", command, path: &path, query: &[], body: Bytes::new() };
        match self.0.wire.send(&ask, time).await {
            Ok(put) => {
                // Where versions are kept, this one goes and leaves no marker.
                let version = put.headers().get("x-amz-version-id").and_then(|id| id.to_str().ok());
                let query: Vec<_> = version.map(|id| ("versionId", id)).into_iter().collect();
                let away = Ask { command: Command::DeleteObject, ..Ask::bucket("delete objects", &query) };
                let deleted = self.0.wire.send(&Ask { path: &path, ..away }, time).await;
                if deleted.is_err() {
                    tracing::warn!(path, "an empty object that was put to try it out could not be deleted");
                }
                Ok(true)
            }
            Err(Refusal::Trouble(S3Trouble::Rights { .. })) => Ok(false),
            Err(other) => Err(QuarantineError::S3(plain(other, ask.act))),
        }
    }

    async fn says(
        &self,
        ask: &Ask<'_>,
        is_yes: impl Fn(&[Part]) -> bool + Send + Sync,
    ) -> Result<BucketSays, QuarantineError> {
        match self.ask(ask).await {
            Ok(Ok(parts)) if is_yes(&parts) => Ok(BucketSays::Yes),
            Ok(Ok(_) | Err(Refusal::NoObject)) | Err(S3Trouble::Refused { status: 404, .. }) => {
                Ok(BucketSays::No)
            }
            Ok(Err(Refusal::Unknown)) => Ok(BucketSays::Unknown),
            Err(S3Trouble::Rights { .. }) => Ok(BucketSays::NotForUs),
            Ok(Err(other)) => Err(QuarantineError::S3(plain(other, ask.act))),
            Err(trouble) => Err(QuarantineError::S3(trouble)),
        }
    }
}
