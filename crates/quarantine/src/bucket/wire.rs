//! One request: put together and signed by rust-s3, sent over connections of our own.
//!
//! rust-s3 builds its client without a way to name authorities, to bound connections or what is read, and without the
//! headers of a refusal; so it says what to send, and this says how.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{DATE, HeaderMap};
use reqwest::{Certificate, Client, Method, Response};
use s3::command::{Command, HttpMethod};
use s3::creds::Credentials;
use s3::request::Request as _;
use s3::request::tokio_backend::ReqwestRequest;
use s3::{Bucket, Region};
use zeroize::Zeroizing;

use super::config::S3Config;
use super::trouble::{Refusal, S3Trouble, Said, judge};
use crate::error::QuarantineError;

/// The longest answer that is not an object: a thousand names of objects, and versions.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// The longest answer that says what went wrong.
const REFUSAL_BYTES_MAX: u64 = 64 << 10;

/// Sends requests to one bucket.
pub(super) struct Wire {
    bucket: Bucket,
    client: Client,
}

/// What is asked, and of what.
pub(super) struct Ask<'a> {
    /// What for, in words: `store objects`.
    pub(super) act: &'static str,
    pub(super) command: Command<'a>,
    /// The object; empty for the bucket.
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Bytes,
}

impl<'a> Ask<'a> {
    /// A question about the bucket itself, for which rust-s3 has no command.
    pub(super) fn bucket(act: &'static str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { act, command: Command::GetObject, path: "/", query, body: Bytes::new() }
    }
}

impl Wire {
    pub(super) fn new(config: &S3Config) -> Result<Self, QuarantineError> {
        let wrong = |setting, expected| move || QuarantineError::Config { setting, expected };
        let region = Region::Custom { region: config.region.clone(), endpoint: config.endpoint.clone() };
        let token = config.session_token.as_deref().map(String::as_str);
        let credentials =
            Credentials::new(Some(&config.access_key), Some(&config.secret_key), None, token, None);
        let credentials = credentials.ok().ok_or_else(wrong("secret_key", "a key"))?;
        let bucket = Bucket::new(&config.bucket, region, credentials);
        let mut bucket = bucket.ok().ok_or_else(wrong("bucket", "the name of a bucket"))?;
        if config.path_style {
            bucket.set_path_style();
        }
        Ok(Self { bucket: *bucket, client: client(config)? })
    }

    /// The same without a key.
    pub(super) fn anonymous(&self, config: &S3Config) -> Result<Self, QuarantineError> {
        let wrong = || QuarantineError::Config { setting: "bucket", expected: "the name of a bucket" };
        let mut bucket = Bucket::new_public(&config.bucket, self.bucket.region.clone());
        if config.path_style
            && let Ok(bucket) = &mut bucket
        {
            bucket.set_path_style();
        }
        Ok(Self { bucket: bucket.ok().ok_or_else(wrong)?, client: self.client.clone() })
    }

    /// Asks once; `Err` is what an answer that is no success means, or why there is none.
    pub(super) async fn send(&self, ask: &Ask<'_>, time: Duration) -> Result<Response, Refusal> {
        if time.is_zero() {
            return Err(Refusal::Trouble(S3Trouble::TimedOut));
        }
        let mut asked;
        let bucket = if ask.query.is_empty() {
            &self.bucket
        } else {
            asked = self.bucket.clone();
            for (name, value) in ask.query {
                asked.add_query(name, value);
            }
            &asked
        };
        let unsigned = |_| Refusal::Trouble(S3Trouble::Unreadable);
        let request = ReqwestRequest::new(bucket, ask.path, ask.command.clone()).await.map_err(unsigned)?;
        let (url, headers) = (request.url().map_err(unsigned)?, request.headers().await.map_err(unsigned)?);
        let request = self.client.request(method(&ask.command), url).headers(headers);
        let sent = request.body(ask.body.clone()).timeout(time).send().await;
        let response = sent.map_err(|error| Refusal::Trouble(failure(error)))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read(response, REFUSAL_BYTES_MAX).await.map_err(Refusal::Trouble)?;
        let said = Said {
            status,
            body: &body,
            region: headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok()),
            ahead_seconds: ahead_seconds(&headers),
        };
        Err(judge(&said, ask.act, &self.bucket.name))
    }

    /// A link that gives the bytes of an object to whoever has it, for so many seconds.
    pub(super) async fn presigned(&self, key: &str, seconds: u32) -> Result<Zeroizing<String>, S3Trouble> {
        let link = self.bucket.presign_get(key, seconds, None).await;
        link.map(Zeroizing::new).ok().ok_or(S3Trouble::Unreadable)
    }
}

fn client(config: &S3Config) -> Result<Client, QuarantineError> {
    let mut builder = Client::builder()
        .use_rustls_tls()
        .min_tls_version(reqwest::tls::Version::TLS_1_2)
        .https_only(config.is_tls())
        // What the environment says is for the operator to pass on, and nobody sends us elsewhere.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(config.connect_timeout)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(config.connections as usize)
        .pool_idle_timeout(Duration::from_secs(20))
        .user_agent("clawexchange-quarantine");
    let wrong = |setting, expected| QuarantineError::Config { setting, expected };
    if let Some(pem) = &config.authorities {
        let expected = "certificates as PEM";
        let all = Certificate::from_pem_bundle(pem).ok().filter(|all| !all.is_empty());
        builder = builder.tls_built_in_root_certs(false);
        for certificate in all.ok_or_else(|| wrong("authorities", expected))? {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if let Some(address) = config.address {
        let host = config.endpoint.rsplit_once("://").map_or("", |(_, host)| host);
        let host = host.split(':').next().unwrap_or_default();
        builder = builder.resolve(&format!("{}.{host}", config.bucket), address).resolve(host, address);
    }
    builder.build().ok().ok_or_else(|| wrong("endpoint", "one that a client can be built for"))
}

fn method(command: &Command<'_>) -> Method {
    match command.http_verb() {
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Get => Method::GET,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Post => Method::POST,
        HttpMethod::Head => Method::HEAD,
    }
}

/// How many seconds our clock is ahead of the one that the answer was made by.
fn ahead_seconds(headers: &HeaderMap) -> Option<i64> {
    let theirs = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let seconds = |at: SystemTime| {
        at.duration_since(SystemTime::UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok())
    };
    Some(seconds(SystemTime::now())? - seconds(theirs)?)
}

/// What it means that there is no answer, or no whole one.
pub(super) fn failure(error: reqwest::Error) -> S3Trouble {
    if error.is_timeout() {
        return S3Trouble::TimedOut;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut is_tls = false;
    while let Some(current) = cause {
        is_tls |= current.is::<rustls::Error>();
        // What an I/O error wraps is not its source, and it may wrap another.
        let wrapped = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = wrapped.map(|inner| inner as _).or_else(|| current.source());
    }
    // The address is not for logs: it may be signed.
    let source = error.without_url().into();
    if is_tls { S3Trouble::Tls { source } } else { S3Trouble::Away { source: Some(source) } }
}

/// The bytes of an answer, but never more than these: what is longer is refused, and is not read.
pub(super) async fn read(mut response: Response, bytes_max: u64) -> Result<Vec<u8>, S3Trouble> {
    let too_large = S3Trouble::TooLarge { max: bytes_max };
    let announced = response.content_length().unwrap_or(0);
    if announced > bytes_max {
        return Err(too_large);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(piece) = response.chunk().await.map_err(failure)? {
        bytes.extend_from_slice(&piece);
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
            return Err(too_large);
        }
    }
    Ok(bytes)
}

/// The document of an answer.
pub(super) async fn document(response: Response) -> Result<Vec<super::answer::Part>, S3Trouble> {
    let bytes = read(response, DOCUMENT_BYTES_MAX).await.map_err(|trouble| match trouble {
        S3Trouble::TooLarge { .. } => S3Trouble::Unreadable,
        other => other,
    })?;
    super::answer::parts(&bytes).ok_or(S3Trouble::Unreadable)
}
