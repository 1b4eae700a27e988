//! Where the bucket is, and how patiently it is asked.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::QuarantineError;

/// Which bucket, with whose key, and how long to wait. [`S3Store::open`](crate::S3Store::open) refuses what makes no
/// sense; [`S3Config::new`] has a default for all that is not asked for there.
#[derive(Clone)]
#[non_exhaustive]
pub struct S3Config {
    /// `http://` or `https://`, a host and perhaps a port; nothing after it.
    pub endpoint: String,
    /// What requests are signed for: `us-east-1` unless set.
    pub region: String,
    /// Its name, 3 to 63 of `a-z 0-9 . -`. It is never made here.
    pub bucket: String,
    /// Whose requests these are.
    pub access_key: String,
    /// What they are signed with. Not in any debug text; wiped when dropped.
    pub secret_key: Zeroizing<String>,
    /// Of a key that is given for a while.
    pub session_token: Option<Zeroizing<String>>,
    /// Whether the bucket is in the path, as most servers of one's own want it, or before the host, as clouds do: in the
    /// path unless set.
    pub path_style: bool,
    /// What the names of all objects begin with: empty unless set, else up to 200 of `A-Z a-z 0-9 / _ . -`, with `/` at
    /// its end.
    pub prefix: String,
    /// The authorities that the server's certificate is trusted from, as PEM, in place of the public ones.
    pub authorities: Option<Vec<u8>>,
    /// How long a connection may take: 2 s unless set.
    pub connect_timeout: Duration,
    /// How long one attempt may take: 5 s unless set.
    pub attempt_timeout: Duration,
    /// How long an operation may take with all its attempts: 15 s unless set, at most 25 s, so that a store, which may
    /// have to look at what it stored, ends before a sweep settles it.
    pub deadline: Duration,
    /// Attempts of one operation: 4 unless set, 1 to 10.
    pub attempts_max: u32,
    /// Requests at once: 32 unless set, 1 to 1024.
    pub connections: u32,
    /// After so many failures of the server in a row nothing is asked of it for a while: 8 unless set.
    pub breaker_failures: u32,
    /// That while: 1 s unless set, twice as long each time, up to thirty times as long.
    pub breaker_pause: Duration,
    /// Connects here whatever the endpoint's name says, for tests.
    #[doc(hidden)]
    pub address: Option<std::net::SocketAddr>,
}

impl S3Config {
    /// A bucket of a server, and who asks.
    pub fn new(
        endpoint: impl Into<String>,
        bucket: impl Into<String>,
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
    ) -> Self {
        Self {
            endpoint: endpoint.into().trim_end_matches('/').to_owned(),
            region: "us-east-1".to_owned(),
            bucket: bucket.into(),
            access_key: access_key.into(),
            secret_key: Zeroizing::new(secret_key.into()),
            session_token: None,
            path_style: true,
            prefix: String::new(),
            authorities: None,
            connect_timeout: Duration::from_secs(2),
            attempt_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(15),
            attempts_max: 4,
            connections: 32,
            breaker_failures: 8,
            breaker_pause: Duration::from_secs(1),
            address: None,
        }
    }

    /// Whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        self.endpoint.starts_with("https://")
    }

    /// Refuses what is out of range.
    pub fn check(&self) -> Result<(), QuarantineError> {
        let second = Duration::from_secs(1);
        let within = |value: Duration, to: u32| (second / 10..=second * to).contains(&value);
        let is_key = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        for (good, setting, expected) in [
            (is_endpoint(&self.endpoint), "endpoint", "http:// or https://, a host and perhaps a port"),
            (is_bucket(&self.bucket), "bucket", "3 to 63 of a-z, 0-9, . and -"),
            (is_key(&self.access_key), "access_key", "a key as the server gave it"),
            (is_key(&self.secret_key), "secret_key", "a key as the server gave it"),
            (is_region(&self.region), "region", "1 to 64 of a-z, 0-9 and -"),
            (is_prefix(&self.prefix), "prefix", "up to 200 of A-Z a-z 0-9 / _ . -, with / at its end"),
            (within(self.connect_timeout, 25), "connect_timeout", "0.1 to 25 seconds"),
            (within(self.attempt_timeout, 25), "attempt_timeout", "0.1 to 25 seconds"),
            (within(self.deadline, 25), "deadline", "0.1 to 25 seconds"),
            ((1..=10).contains(&self.attempts_max), "attempts_max", "1 to 10"),
            ((1..=1024).contains(&self.connections), "connections", "1 to 1024"),
            (self.breaker_failures > 0, "breaker_failures", "at least 1"),
            (within(self.breaker_pause, 25), "breaker_pause", "0.1 to 25 seconds"),
        ] {
            if !good {
                return Err(QuarantineError::Config { setting, expected });
            }
        }
        Ok(())
    }
}

/// Who asks and what they sign with are not shown.
impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("path_style", &self.path_style)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

fn is_endpoint(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let (host, port) = rest.rsplit_once(':').filter(|_| !rest.ends_with(']')).unwrap_or((rest, "443"));
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
        !host.is_empty() && host.bytes().all(is_host) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn is_bucket(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (3..=63).contains(&text.len())
        && text.bytes().all(|b| is_inner(b) || b".-".contains(&b))
        && text.bytes().next().is_some_and(is_inner)
        && text.bytes().last().is_some_and(is_inner)
        && !text.contains("..")
}

fn is_region(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_prefix(text: &str) -> bool {
    let is_good = |b: u8| b.is_ascii_alphanumeric() || b"/_.-".contains(&b);
    text.is_empty()
        || (text.len() <= 200
            && text.ends_with('/')
            && text.bytes().all(is_good)
            && text.split('/').rev().skip(1).all(|part| !matches!(part, "" | "." | "..")))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut S3Config);

    fn good() -> S3Config {
        S3Config::new("https://s3.example.org:9000/", "held-content", "AKEXAMPLE", "a secret")
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        assert!(good().check().is_ok());
        let changes: [(&str, Change); 14] = [
            ("endpoint", |c| c.endpoint = "s3.example.org".into()),
            ("endpoint", |c| c.endpoint = "https://".into()),
            ("endpoint", |c| c.endpoint = "https://who:secret@host".into()),
            ("endpoint", |c| c.endpoint = "https://host/path".into()),
            ("endpoint", |c| c.endpoint = "https://host:0".into()),
            ("bucket", |c| c.bucket = "Held".into()),
            ("bucket", |c| c.bucket = "a..b".into()),
            ("access_key", |c| c.access_key = String::new()),
            ("secret_key", |c| c.secret_key = Zeroizing::new("two\nlines".into())),
            ("region", |c| c.region = "us east".into()),
            ("prefix", |c| c.prefix = "claw".into()),
            ("prefix", |c| c.prefix = "../".into()),
            ("deadline", |c| c.deadline = Duration::from_mins(1)),
            ("connections", |c| c.connections = 0),
        ];
        for (name, change) in changes {
            let mut config = good();
            change(&mut config);
            assert!(config.check().unwrap_err().to_string().starts_with(name), "{name}");
        }
        for host in ["http://[::1]:9000", "http://[::1]", "http://127.0.0.1:9000", "https://host"] {
            let mut config = good();
            config.endpoint = host.to_owned();
            assert!(config.check().is_ok(), "{host}");
        }
    }

    #[test]
    fn a_key_is_not_in_any_debug_text() {
        let mut config = good();
        config.session_token = Some(Zeroizing::new("a token".into()));
        let text = format!("{config:?} {config:#?}");
        assert!(!text.contains("secret") && !text.contains("AKEXAMPLE") && !text.contains("token"), "{text}");
    }
}
