//! Objects in a bucket of an S3 server.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clawexchange_ssg_core::{PortError, Timestamp};
use reqwest::Response;
use reqwest::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use s3::command::Command;
use s3::serde_types::{DeleteObjectsRequest, ObjectIdentifier};
use tokio::sync::{Semaphore, SemaphorePermit};
use zeroize::Zeroizing;

use crate::error::QuarantineError;
use crate::objects::{ObjectKey, ObjectStore, PutOutcome, ROOM};
use answer::{Part, first};
use config::S3Config;
use patience::{Attempts, Breaker};
use trouble::{Refusal, S3Trouble};
use wire::{Ask, Wire, document, read};

mod answer;
pub(crate) mod config;
pub(crate) mod examine;
mod patience;
pub(crate) mod trouble;
mod weeks;
mod wire;

/// Names in one request that deletes or lists, as S3 bounds them.
const NAMES_MAX: usize = 1000;

/// The longest that a link lasts.
const LINK_SECONDS_MAX: u64 = 900;

/// Keeps objects in a bucket of an S3 server. Cheap to clone.
///
/// The bucket is never made, and nothing but the objects' own names is touched in it. What fails for the server's sake
/// is tried again within one deadline; a refusal (403, 404, 412) never is. A server that fails and fails is left alone
/// for a while, and whoever asks meanwhile is told so at once.
///
/// A name is taken with `If-None-Match`. Servers that do not know it are asked without, and put over what is there:
/// that each name is used once is then what the names themselves and the database hold. Where the bucket keeps versions,
/// deleting takes all of them and the markers too.
#[derive(Clone)]
pub struct S3Store(Arc<Inner>);

struct Inner {
    config: S3Config,
    wire: Wire,
    breaker: Breaker,
    turns: Semaphore,
    /// The server refuses requests with a condition.
    is_unconditional: AtomicBool,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    repeated: AtomicU64,
    failed: AtomicU64,
}

/// What may be under a name that is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Nothing,
    Anything,
}

/// What a store has asked of its server since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Counts {
    /// Requests, each attempt by itself.
    pub requests: u64,
    /// Attempts that followed one that failed.
    pub repeated: u64,
    /// Operations that failed in the end.
    pub failed: u64,
    /// Whether the server is left alone just now.
    pub is_paused: bool,
}

impl S3Store {
    /// A store in this bucket. Nothing is asked of the server yet.
    ///
    /// # Errors
    ///
    /// If a setting is out of its range.
    pub fn open(config: S3Config) -> Result<Self, QuarantineError> {
        config.check()?;
        Ok(Self(Arc::new(Inner {
            wire: Wire::new(&config)?,
            breaker: Breaker::new(&config),
            turns: Semaphore::new(config.connections as usize),
            is_unconditional: AtomicBool::new(false),
            counts: Counts::default(),
            config,
        })))
    }

    /// Where it is.
    pub fn config(&self) -> &S3Config {
        &self.0.config
    }

    /// What was asked of the server so far.
    pub fn counts(&self) -> S3Counts {
        let Counts { requests, repeated, failed } = &self.0.counts;
        S3Counts {
            requests: requests.load(Ordering::Relaxed),
            repeated: repeated.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
            is_paused: self.0.breaker.left().is_some(),
        }
    }

    /// Asks for one name, to see that bucket and key are as they should be. Writes nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub async fn probe(&self) -> Result<(), S3Trouble> {
        self.page(None, 1).await.map(drop)
    }

    fn path(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.0.config.prefix)
    }

    /// Waits for its turn among the requests of this process.
    async fn turn(&self, time: Duration) -> Result<SemaphorePermit<'_>, S3Trouble> {
        match tokio::time::timeout(time, self.0.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(S3Trouble::TimedOut),
        }
    }

    fn begin(&self) -> Result<Attempts<'_>, S3Trouble> {
        Attempts::begin(&self.0.breaker, &self.0.config).inspect_err(|_| self.count_failed())
    }

    fn count_failed(&self) {
        self.0.counts.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until it may be tried again, or gives up.
    async fn again(&self, attempts: &mut Attempts<'_>, trouble: S3Trouble) -> Result<(), S3Trouble> {
        let (made, code) = (attempts.made(), clawexchange_ssg_core::Fault::code(&trouble));
        match attempts.again(trouble).await {
            Ok(()) => {
                self.0.counts.repeated.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(made, code, "S3 is asked again");
                Ok(())
            }
            Err(trouble) => {
                self.count_failed();
                Err(trouble)
            }
        }
    }

    /// Asks once. The turn is the caller's until the answer is read.
    async fn once(&self, ask: &Ask<'_>, time: Duration) -> Result<Response, Refusal> {
        self.0.counts.requests.fetch_add(1, Ordering::Relaxed);
        let answered = self.0.wire.send(ask, time).await;
        match &answered {
            Err(Refusal::Trouble(_)) => {}
            _ => self.0.breaker.answered(),
        }
        answered
    }

    /// Asks for a document, as often as it may.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Result<Vec<Part>, Refusal>, S3Trouble> {
        let mut attempts = self.begin()?;
        loop {
            let asked = async {
                let _turn = self.turn(attempts.time()).await.map_err(Refusal::Trouble)?;
                let response = self.once(ask, attempts.time()).await?;
                document(response).await.map_err(Refusal::Trouble)
            };
            match asked.await {
                Err(Refusal::Trouble(trouble)) => self.again(&mut attempts, trouble).await?,
                answered => return Ok(answered),
            }
        }
    }

    /// The same, where any other answer than the document is a refusal.
    async fn ask_for(&self, ask: &Ask<'_>) -> Result<Vec<Part>, S3Trouble> {
        self.ask(ask).await?.map_err(|refusal| plain(refusal, ask.act))
    }

    /// Stores an object: under a name that has none, or in the place of what is there.
    async fn put(&self, path: &str, bytes: Vec<u8>, over: Over) -> Result<PutOutcome, S3Trouble> {
        let bytes = Bytes::from(bytes);
        let mut attempts = self.begin()?;
        loop {
            let is_conditional = over == Over::Nothing && !self.0.is_unconditional.load(Ordering::Relaxed);
            let condition = (IF_NONE_MATCH, HeaderValue::from_static("*"));
            let command = Command::PutObject {
                content: &bytes,
                content_type: "application/octet-stream",
                custom_headers: is_conditional.then(|| HeaderMap::from_iter([condition])),
                multipart: None,
            };
            let ask = Ask { act: "store objects", command, path, query: &[], body: bytes.clone() };
            let asked = async {
                let _turn = self.turn(attempts.time()).await.map_err(Refusal::Trouble)?;
                let response = self.once(&ask, attempts.time()).await?;
                // Read to its end, so that the connection can be used again.
                read(response, 64 << 10).await.map_err(Refusal::Trouble)
            };
            match asked.await {
                Ok(_) => return Ok(PutOutcome::Created),
                // Ours, if it was done and the answer was lost: whether it is, its bytes say.
                Err(Refusal::Precondition) if attempts.is_ambiguous() => {
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    let is_ours = match self.fetch(path, length).await {
                        Ok(found) => found.is_some_and(|found| found == bytes),
                        Err(S3Trouble::TooLarge { .. }) => false,
                        Err(trouble) => return Err(trouble),
                    };
                    return Ok(if is_ours { PutOutcome::Created } else { PutOutcome::Taken });
                }
                Err(Refusal::Precondition) => return Ok(PutOutcome::Taken),
                Err(Refusal::Unknown) if is_conditional => {
                    self.0.is_unconditional.store(true, Ordering::Relaxed);
                }
                Err(Refusal::Trouble(trouble)) => self.again(&mut attempts, trouble).await?,
                Err(other) => return Err(plain(other, "store objects")),
            }
        }
    }

    /// The bytes of an object, as often as it takes to have all of them.
    async fn fetch(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, S3Trouble> {
        // To see whether there is more than a little, no more is asked for.
        let command = if bytes_max < SHORT {
            Command::GetObjectRange { start: 0, end: Some(bytes_max) }
        } else {
            Command::GetObject
        };
        let ask = Ask { act: "read objects", command, path, query: &[], body: Bytes::new() };
        let mut attempts = self.begin()?;
        loop {
            let asked = async {
                let _turn = self.turn(attempts.time()).await.map_err(Refusal::Trouble)?;
                let response = self.once(&ask, attempts.time()).await?;
                if bytes_max < SHORT {
                    let bytes = read(response, bytes_max + 1).await.map_err(Refusal::Trouble)?;
                    let is_more = u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max;
                    let more = Refusal::Trouble(S3Trouble::TooLarge { max: bytes_max });
                    return if is_more { Err(more) } else { Ok(bytes) };
                }
                read(response, bytes_max).await.map_err(Refusal::Trouble)
            };
            match asked.await {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(Refusal::NoObject) => return Ok(None),
                Err(Refusal::NoRange) => return Ok(Some(Vec::new())),
                Err(Refusal::Trouble(too_large @ S3Trouble::TooLarge { .. })) => return Err(too_large),
                Err(Refusal::Trouble(trouble)) => self.again(&mut attempts, trouble).await?,
                Err(other) => return Err(plain(other, "read objects")),
            }
        }
    }

    /// Names as the server lists them, at most [`NAMES_MAX`], and the last of them if there are more.
    async fn page(
        &self,
        after: Option<&str>,
        at_most: usize,
    ) -> Result<(Vec<String>, Option<String>), S3Trouble> {
        let command = Command::ListObjectsV2 {
            prefix: format!("{}{ROOM}/", self.0.config.prefix),
            delimiter: None,
            continuation_token: None,
            start_after: after.map(ToOwned::to_owned),
            max_keys: Some(at_most.clamp(1, NAMES_MAX)),
        };
        let ask = Ask { act: "list objects", command, path: "/", query: &[], body: Bytes::new() };
        let parts = self.ask_for(&ask).await?;
        let names = parts.iter().filter(|part| part.name == "Contents").map(|part| part.of("Key").to_owned());
        let names: Vec<String> = names.collect();
        let is_more = first(&parts, "IsTruncated") == "true";
        let last = names.last().filter(|_| is_more).cloned();
        Ok((names, last))
    }

    async fn names(&self, after: Option<&ObjectKey>, at_most: usize) -> Result<Vec<ObjectKey>, S3Trouble> {
        let (mut found, mut after) = (Vec::new(), after.map(|key| self.path(key)));
        while found.len() < at_most {
            let (names, last) = self.page(after.as_deref(), at_most - found.len()).await?;
            // What is not named as ours is not ours.
            let own = names.iter().filter_map(|name| name.strip_prefix(&self.0.config.prefix));
            found.extend(own.filter_map(|name| name.parse::<ObjectKey>().ok()));
            if last.is_none() || last <= after {
                break;
            }
            after = last;
        }
        Ok(found)
    }

    /// Whether the bucket keeps versions, or did once. Servers that do not know the question keep none.
    pub(super) async fn keeps_versions(&self) -> Result<bool, S3Trouble> {
        let ask = Ask::bucket("see whether the bucket keeps versions", &[("versioning", "")]);
        match self.ask(&ask).await? {
            Ok(parts) => Ok(!first(&parts, "Status").is_empty()),
            Err(Refusal::Unknown) => Ok(false),
            Err(other) => Err(plain(other, ask.act)),
        }
    }

    /// All versions of an object and what marks it deleted, a page of them.
    async fn versions(&self, path: &str) -> Result<Vec<ObjectIdentifier>, S3Trouble> {
        let query = [("versions", ""), ("prefix", path)];
        let parts = self.ask_for(&Ask::bucket("list versions of objects", &query)).await?;
        let of_path = parts.iter().filter(|part| {
            matches!(part.name.as_str(), "Version" | "DeleteMarker") && part.of("Key") == path
        });
        Ok(of_path.map(|part| ObjectIdentifier::with_version(path, part.of("VersionId"))).collect())
    }

    /// Deletes an object for good where the bucket keeps versions.
    async fn delete_versions(&self, path: &str) -> Result<(), S3Trouble> {
        // A page has a thousand of them, and nobody makes more of one name than a few.
        for _ in 0..100 {
            let versions = self.versions(path).await?;
            if versions.is_empty() {
                return Ok(());
            }
            for answer in self.delete_page(versions).await? {
                answer?;
            }
        }
        Err(S3Trouble::Refused { act: "delete versions of objects", status: 200, code: String::new() })
    }

    /// Deletes up to [`NAMES_MAX`] objects or versions; one answer for each.
    async fn delete_page(
        &self,
        objects: Vec<ObjectIdentifier>,
    ) -> Result<Vec<Result<(), S3Trouble>>, S3Trouble> {
        let data = DeleteObjectsRequest { objects: objects.clone(), quiet: false };
        let body = Bytes::from(data.to_string());
        let command = Command::DeleteObjects { data };
        let ask = Ask { act: "delete objects", command, path: "/", query: &[], body };
        let parts = self.ask_for(&ask).await?;
        let answer_of = |object: &ObjectIdentifier| {
            let is_it = |part: &&Part| {
                part.of("Key") == object.key
                    && object.version_id.as_deref().is_none_or(|id| part.of("VersionId") == id)
            };
            if let Some(error) = parts.iter().filter(|part| part.name == "Error").find(is_it) {
                let code: String = error.of("Code").chars().filter(char::is_ascii_alphanumeric).collect();
                return match code.as_str() {
                    "NoSuchKey" | "NoSuchVersion" => Ok(()),
                    "AccessDenied" => Err(S3Trouble::Rights { act: "delete objects", code }),
                    "InternalError" | "ServiceUnavailable" => Err(S3Trouble::Away { source: None }),
                    "SlowDown" => Err(S3Trouble::Busy { code }),
                    _ => Err(S3Trouble::Refused { act: "delete objects", status: 200, code }),
                };
            }
            // No answer is no yes.
            let is_said = parts.iter().filter(|part| part.name == "Deleted").any(|part| is_it(&part));
            if is_said { Ok(()) } else { Err(S3Trouble::Unreadable) }
        };
        Ok(objects.iter().map(answer_of).collect())
    }

    async fn delete_all(&self, paths: Vec<String>) -> Result<Vec<Result<(), PortError>>, S3Trouble> {
        let mut answers = Vec::with_capacity(paths.len());
        if self.keeps_versions().await? {
            for path in &paths {
                answers.push(self.delete_versions(path).await.map_err(PortError::from));
            }
            return Ok(answers);
        }
        for paths in paths.chunks(NAMES_MAX) {
            match self.delete_page(paths.iter().map(ObjectIdentifier::new).collect()).await {
                Ok(page) => answers.extend(page.into_iter().map(|answer| answer.map_err(PortError::from))),
                Err(trouble) => answers.extend(repeated(trouble, paths.len())),
            }
        }
        Ok(answers)
    }
}

/// Up to so many bytes no more than one of them too many is asked for.
const SHORT: u64 = 4096;

/// What an answer that nobody expects here is.
fn plain(refusal: Refusal, act: &'static str) -> S3Trouble {
    let (status, code) = match refusal {
        Refusal::Trouble(trouble) => return trouble,
        Refusal::NoObject => (404, "NoSuchKey"),
        Refusal::Precondition => (412, "PreconditionFailed"),
        Refusal::NoRange => (416, "InvalidRange"),
        Refusal::Unknown => (501, "NotImplemented"),
    };
    S3Trouble::Refused { act, status, code: code.to_owned() }
}

/// One failure as the answer for each of several names.
fn repeated(trouble: S3Trouble, times: usize) -> Vec<Result<(), PortError>> {
    let shared = Arc::new(QuarantineError::S3(trouble));
    (0..times).map(|_| Err(QuarantineError::Shared(Arc::clone(&shared)).into())).collect()
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Store").field(&self.0.config).finish()
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put_new(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<PutOutcome, PortError> {
        Ok(self.put(&self.path(key), bytes, Over::Nothing).await?)
    }

    async fn get(&self, key: &ObjectKey, bytes_max: u64) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.fetch(&self.path(key), bytes_max).await?)
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<(), PortError>> {
        if keys.is_empty() {
            return Vec::new();
        }
        match self.delete_all(keys.iter().map(|key| self.path(key)).collect()).await {
            Ok(answers) => answers,
            Err(trouble) => repeated(trouble, keys.len()),
        }
    }

    async fn list(&self, after: Option<&ObjectKey>, at_most: usize) -> Result<Vec<ObjectKey>, PortError> {
        Ok(self.names(after, at_most).await?)
    }

    /// Nothing is ever half-written: an object is there whole, or is not.
    async fn tidy(&self, _: Timestamp) -> Result<u64, PortError> {
        Ok(0)
    }

    async fn ciphertext_link(
        &self,
        key: &ObjectKey,
        lasting: Duration,
    ) -> Result<Option<Zeroizing<String>>, PortError> {
        let seconds = u32::try_from(lasting.as_secs().clamp(1, LINK_SECONDS_MAX)).unwrap_or(1);
        Ok(Some(self.0.wire.presigned(&self.path(key), seconds).await?))
    }
}
