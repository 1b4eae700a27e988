//! Where Redis is: the address as configuration says it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use clawexchange_ssg_core::{Fault, FaultKind};

/// Most nodes that an address may name; a cluster tells of the others by itself.
pub const REDIS_NODES_MAX: usize = 64;

const PORT: u16 = 6_379;
const SENTINEL_PORT: u16 = 26_379;

/// Where Redis or Valkey is, and who we are there.
///
/// `redis://[user:password@]host[:port][/db]`, with TLS `rediss://…`; a cluster as
/// `redis(s)+cluster://[user:password@]host:port,host:port`, Sentinel as
/// `redis(s)+sentinel://[user:password@]host:port,host:port/master[/db]`. User and password are those of the servers that
/// hold the counters, percent-encoded where they have `%`, `@`, `:` or `/`; a password alone is `:password@`. Neither
/// `Debug` nor `Display` shows the password.
///
/// ```
/// use clawexchange_rate_limiter::{RedisKind, RedisUrl};
///
/// let url: RedisUrl = "rediss+sentinel://:hidden@10.0.0.1,10.0.0.2/counters/2".parse()?;
/// assert_eq!((url.kind(), url.is_tls(), url.db(), url.is_local()), (RedisKind::Sentinel, true, 2, false));
/// assert_eq!(url.to_string(), "rediss+sentinel://:***@10.0.0.1:26379,10.0.0.2:26379/counters/2");
/// # Ok::<(), clawexchange_rate_limiter::RedisUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    kind: RedisKind,
    is_tls: bool,
    nodes: Vec<(String, u16)>,
    user: Option<String>,
    password: Option<String>,
    db: u16,
    master: Option<String>,
}

/// How the servers are arranged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "who treats servers differently and forgets one must not compile"
)]
pub enum RedisKind {
    /// One server.
    Single,
    /// A master that Sentinel names.
    Sentinel,
    /// A cluster.
    Cluster,
}

impl RedisUrl {
    /// How the servers are arranged.
    pub const fn kind(&self) -> RedisKind {
        self.kind
    }

    /// Whether all that is said is encrypted and the servers prove who they are.
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether all nodes that are named are on this machine.
    pub fn is_local(&self) -> bool {
        self.nodes.iter().all(|(host, _)| {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }

    /// Whether there is a password.
    pub const fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Hosts and ports, as they were named: of the servers, or of the Sentinels.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (&str, u16)> {
        self.nodes.iter().map(|(host, port)| (host.as_str(), *port))
    }

    /// The number of the database; 0 unless named.
    pub const fn db(&self) -> u16 {
        self.db
    }

    /// What Sentinel calls the master.
    pub fn master(&self) -> Option<&str> {
        self.master.as_deref()
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.is_tls { "s" } else { "" };
        let kind = match self.kind {
            RedisKind::Single => "",
            RedisKind::Sentinel => "+sentinel",
            RedisKind::Cluster => "+cluster",
        };
        write!(f, "redis{tls}{kind}://")?;
        match (&self.user, &self.password) {
            (None, None) => {}
            (user, password) => {
                let hidden = if password.is_some() { ":***" } else { "" };
                write!(f, "{}{hidden}@", user.as_deref().unwrap_or_default())?;
            }
        }
        for (i, (host, port)) in self.nodes.iter().enumerate() {
            let between = if i == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{between}[{host}]:{port}")?;
            } else {
                write!(f, "{between}{host}:{port}")?;
            }
        }
        if let Some(master) = &self.master {
            write!(f, "/{master}")?;
        }
        if self.db > 0 { write!(f, "/{}", self.db) } else { Ok(()) }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// What is wrong with an address of Redis. No part of the address is repeated, since it may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address of Redis {0}")]
pub struct RedisUrlError(&'static str);

impl Fault for RedisUrlError {
    fn code(&self) -> &'static str {
        "rate-limiter/redis-url"
    }

    fn kind(&self) -> FaultKind {
        FaultKind::Configuration
    }

    fn hint(&self) -> Option<String> {
        Some(
            "write redis://host:6379, rediss://user:password@host:6379/0, redis+cluster://host:6379,host:6379 or \
             redis+sentinel://host:26379,host:26379/master"
                .to_owned(),
        )
    }
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(RedisUrlError("has a space or a control character in it"));
        }
        let (scheme, rest) = text.split_once("://").ok_or(RedisUrlError("does not begin with redis://"))?;
        let (is_tls, kind) = match scheme {
            "redis" => (false, RedisKind::Single),
            "rediss" => (true, RedisKind::Single),
            "redis+cluster" => (false, RedisKind::Cluster),
            "rediss+cluster" => (true, RedisKind::Cluster),
            "redis+sentinel" => (false, RedisKind::Sentinel),
            "rediss+sentinel" => (true, RedisKind::Sentinel),
            _ => {
                return Err(RedisUrlError(
                    "begins with none of redis, rediss, redis+cluster, rediss+cluster, redis+sentinel, rediss+sentinel",
                ));
            }
        };
        if rest.contains(['?', '#']) {
            return Err(RedisUrlError(
                "has a ? or # in it, which stand for nothing here (in a password: %3F, %23)",
            ));
        }
        // The last @, so that one in a password that was not encoded is still no host.
        let (login, place) =
            rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
        let (user, password) = login.map_or(Ok((None, None)), credentials)?;
        let mut parts = place.split('/');
        let hosts = parts.next().unwrap_or_default();
        let path: Vec<&str> = parts.collect();
        let (master, db) = match (kind, path.as_slice()) {
            (RedisKind::Sentinel, [master, db @ ..]) if !master.is_empty() => (Some(*master), db),
            (RedisKind::Sentinel, _) => {
                return Err(RedisUrlError("does not say after the hosts what Sentinel calls the master"));
            }
            (_, db) => (None, db),
        };
        let db = match db {
            [] | [""] => 0,
            [number] => {
                number.parse().map_err(|_not_one| RedisUrlError("has a database that is no number"))?
            }
            _ => return Err(RedisUrlError("has more than one path")),
        };
        if kind == RedisKind::Cluster && db > 0 {
            return Err(RedisUrlError("names a database, of which a cluster has only 0"));
        }
        let port = if kind == RedisKind::Sentinel { SENTINEL_PORT } else { PORT };
        let nodes = hosts.split(',').map(|node| host(node, port)).collect::<Result<Vec<_>, _>>()?;
        if kind == RedisKind::Single && nodes.len() > 1 {
            return Err(RedisUrlError("names several hosts: write redis+cluster:// or redis+sentinel://"));
        }
        if nodes.len() > REDIS_NODES_MAX {
            return Err(RedisUrlError("names more than 64 hosts"));
        }
        Ok(Self { kind, is_tls, nodes, user, password, db, master: master.map(str::to_owned) })
    }
}

fn credentials(login: &str) -> Result<(Option<String>, Option<String>), RedisUrlError> {
    let (user, password) = login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)));
    let some = |text: String| (!text.is_empty()).then_some(text);
    let user = some(decoded(user)?);
    let password = password.map(decoded).transpose()?.and_then(some);
    if user.is_some() && password.is_none() {
        return Err(RedisUrlError("has a user without a password (a password alone is written :password@)"));
    }
    Ok((user, password))
}

fn decoded(text: &str) -> Result<String, RedisUrlError> {
    const WRONG: RedisUrlError =
        RedisUrlError("has a % in user or password that is not followed by two digits (%25)");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|d| char::from(d).to_digit(16));
        let (high, low) = (digit().ok_or(WRONG)?, digit().ok_or(WRONG)?);
        bytes.push(u8::try_from(high * 16 + low).map_err(|_not_one| WRONG)?);
    }
    String::from_utf8(bytes).map_err(|_not_one| RedisUrlError("has a user or password that is no UTF-8"))
}

fn host(node: &str, port: u16) -> Result<(String, u16), RedisUrlError> {
    const NO_PORT: RedisUrlError = RedisUrlError("has a port that is no number from 1 to 65535");
    let (host, said) = match node.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(RedisUrlError("has a [ without its ]"))?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(NO_PORT)?) })
        }
        None => node.split_once(':').map_or((node, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(RedisUrlError("names no host"));
    }
    let port = match said {
        None => port,
        Some(number) => number.parse().ok().filter(|port| *port > 0).ok_or(NO_PORT)?,
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_address_is_read_and_shown_again_without_its_password() {
        for (text, shown) in [
            ("redis://h", "redis://h:6379"),
            ("redis://h/", "redis://h:6379"),
            ("redis://127.0.0.1:7000/3", "redis://127.0.0.1:7000/3"),
            ("rediss://ann:s%40c%3Aret@h:1/0", "rediss://ann:***@h:1"),
            ("redis://:a@b@h", "redis://:***@h:6379"),
            ("redis://[::1]:7000", "redis://[::1]:7000"),
            ("redis+cluster://a:1,b,[::1]", "redis+cluster://a:1,b:6379,[::1]:6379"),
            ("rediss+cluster://u:p@a", "rediss+cluster://u:***@a:6379"),
            ("redis+sentinel://a,b:2/main", "redis+sentinel://a:26379,b:2/main"),
            ("rediss+sentinel://:p@a/main/4", "rediss+sentinel://:***@a:26379/main/4"),
        ] {
            let url: RedisUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("s@c:ret"));
        }
        let url: RedisUrl = "rediss://ann:s%40c%3Aret@h:1/0".parse().unwrap();
        assert_eq!((url.user(), url.password()), (Some("ann"), Some("s@c:ret")));
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for text in [
            "",
            "h:6379",
            "http://h",
            "redis://",
            "redis://h:0",
            "redis://h:x",
            "redis://h:99999",
            "redis://h/x",
            "redis://a,b",
            "redis://h/1/2",
            "redis+cluster://h/1",
            "redis+sentinel://h",
            "redis+sentinel://h/",
            "redis://user@h",
            "redis://u:%zz@h",
            "redis://h?x=1",
            "redis://h h",
            "redis://[::1",
            "redis://[::1]7",
            "redis+cluster://a,,b",
        ] {
            let error = text.parse::<RedisUrl>().unwrap_err();
            assert_eq!((error.code(), error.kind()), ("rate-limiter/redis-url", FaultKind::Configuration));
        }
        let error = "redis://user:hunter2@h:port".parse::<RedisUrl>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn an_address_on_this_machine_is_told_from_one_elsewhere() {
        for (text, is_local) in [
            ("redis://localhost", true),
            ("redis://127.0.0.5:1", true),
            ("redis://[::1]", true),
            ("redis://localhost.example", false),
            ("redis+cluster://127.0.0.1:1,10.0.0.1:1", false),
        ] {
            assert_eq!(text.parse::<RedisUrl>().unwrap().is_local(), is_local, "{text}");
        }
    }
}
