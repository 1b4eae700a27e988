//! Asks a server over plain HTTP, once, and believes nothing that it says without a bound.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use clawexchange_ssg_core::{Fault, FaultKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is read of an answer at most: what a server says of its parts is some hundred bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What is asked of whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Url {
    /// As it is connected to: a name or an address, and a port.
    authority: String,
    path: String,
}

impl Url {
    /// A path of an address. Who listens on every address is asked on this machine's own.
    pub(crate) fn of(mut address: SocketAddr, path: &str) -> Self {
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        Self { authority: address.to_string(), path: path.to_owned() }
    }

    /// Another path of the same server.
    pub(crate) fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

impl FromStr for Url {
    type Err = AskError;

    fn from_str(text: &str) -> Result<Self, AskError> {
        let (scheme, rest) = text.split_once("://").ok_or(AskError::Url)?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(AskError::Tls);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        let is_sound = scheme.eq_ignore_ascii_case("http")
            && !authority.is_empty()
            && authority.chars().all(is_plain)
            && path.chars().all(|c| c.is_ascii_graphic());
        if !is_sound {
            return Err(AskError::Url);
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self { authority, path: if path.is_empty() { "/" } else { path }.to_owned() })
    }
}

/// What a server said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    /// The body, if it is JSON.
    pub(crate) body: Option<serde_json::Value>,
}

/// Asks, and waits no longer than `patience` for all of the answer.
pub(crate) async fn ask(url: &Url, patience: Duration) -> Result<Said, AskError> {
    let talk = async {
        let mut stream = TcpStream::connect(&url.authority).await?;
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\nconnection: close\r\n\r\n",
            url.path, url.authority
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        Ok(answer)
    };
    let away = |source| AskError::Away { url: url.to_string(), source };
    match tokio::time::timeout(patience, talk).await {
        Ok(answer) => parse(&answer.map_err(away)?).ok_or_else(|| AskError::NotHttp { url: url.to_string() }),
        Err(_) => Err(away(std::io::ErrorKind::TimedOut.into())),
    }
}

fn parse(answer: &[u8]) -> Option<Said> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(answer.get(..end)?).ok()?, answer.get(end + 4..)?);
    let mut words = head.lines().next()?.split(' ');
    if !words.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let status = words.next()?.parse().ok().filter(|status| (100..=599).contains(status))?;
    Some(Said { status, body: serde_json::from_slice(body).ok() })
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("not a URL such as http://127.0.0.1:8080/readyz")]
    Url,
    #[error("this speaks plain HTTP alone, and https was asked for")]
    Tls,
    #[error("nobody answers at {url}")]
    Away { url: String, source: std::io::Error },
    #[error("what answers at {url} does not speak HTTP")]
    NotHttp { url: String },
}

impl Fault for AskError {
    fn code(&self) -> &'static str {
        match self {
            Self::Url => "ops-cli/url",
            Self::Tls => "ops-cli/no-tls",
            Self::Away { .. } => "ops-cli/nobody-answers",
            Self::NotHttp { .. } => "ops-cli/no-http",
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Url | Self::Tls => FaultKind::Usage,
            Self::Away { .. } | Self::NotHttp { .. } => FaultKind::Unavailable,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Tls => Some(
                "ask the admin address, which speaks plain HTTP: --url http://127.0.0.1:9090/readyz"
                    .to_owned(),
            ),
            Self::Away { .. } | Self::NotHttp { .. } => Some(
                "`claw serve` prints where it listens; CLAW_LISTEN and CLAW_ADMIN_LISTEN say it".to_owned(),
            ),
            Self::Url => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_nothing_is_smuggled_in_it() {
        let url: Url = "http://127.0.0.1:8080/readyz".parse().unwrap();
        assert_eq!(url.to_string(), "http://127.0.0.1:8080/readyz");
        assert_eq!("HTTP://h".parse::<Url>().unwrap().to_string(), "http://h:80/");
        assert_eq!("http://[::1]/x?y=1".parse::<Url>().unwrap().to_string(), "http://[::1]:80/x?y=1");
        assert!(matches!("https://h/".parse::<Url>(), Err(AskError::Tls)));
        for bad in [
            "",
            "h",
            "ftp://h",
            "http://",
            "http:///x",
            "http://u:p@h/",
            "http://h/a b",
            "http://h/\r\nx: y",
            "http://h\u{e9}/",
        ] {
            assert!(matches!(bad.parse::<Url>(), Err(AskError::Url)), "{bad:?}");
        }
    }

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        assert_eq!(Url::of("0.0.0.0:9".parse().unwrap(), "/x").to_string(), "http://127.0.0.1:9/x");
        assert_eq!(Url::of("[::]:9".parse().unwrap(), "/x").to_string(), "http://[::1]:9/x");
        assert_eq!(Url::of("192.0.2.1:9".parse().unwrap(), "/x").to_string(), "http://192.0.2.1:9/x");
    }

    #[test]
    fn an_answer_is_read_only_if_it_is_one() {
        let said =
            parse(b"HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{\"status\":\"draining\"}").unwrap();
        assert_eq!(said.status, 503);
        assert_eq!(said.body.unwrap()["status"], "draining");
        assert_eq!(parse(b"HTTP/1.0 200\r\n\r\nhello"), Some(Said { status: 200, body: None }));
        for bad in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 999 x\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(parse(bad), None);
        }
    }
}
