//! Who asks, and from where.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, StatusCode};
use clawexchange_moderation::{Act, Principal};
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{RequestId, mask_ip, parse_ip};
use ipnet::IpNet;
use tokio::sync::OwnedSemaphorePermit;

use crate::settings::Settings;

/// The other end of a connection, as the listener saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The address that a request came from: the socket's, or what proxies that are named say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientIp(pub(crate) Option<IpAddr>);

/// Whether the caller spoke TLS: with this process, or with a proxy that is named and says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsHttps(pub(crate) bool);

/// A place among the requests at work, until the last clone is dropped.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "it is held, not looked at")]
pub(crate) struct Place(pub(crate) Arc<OwnedSemaphorePermit>);

/// The name of a request: the caller's own if it is one, else ours.
#[derive(Clone, Debug)]
pub(crate) struct Named(pub(crate) RequestId);

/// Who asks. A handler that takes it is run for nobody who is not known.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// Who, and in what capacity.
    pub(crate) who: Principal,
    /// From where.
    pub(crate) ip: Option<IpAddr>,
    /// In which request.
    pub(crate) request: Option<RequestId>,
    /// The place that it takes up.
    pub(crate) place: Option<Place>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Head, _: &S) -> Result<Self, Problem> {
        // The guard puts it there. Where it did not, nobody is known.
        let who = head.extensions.get::<Principal>().cloned().ok_or_else(|| unknown(Unknown::NoToken))?;
        Ok(Self {
            who,
            ip: head.extensions.get::<ClientIp>().and_then(|ip| ip.0),
            request: head.extensions.get::<Named>().map(|named| named.0.clone()),
            place: head.extensions.get::<Place>().cloned(),
        })
    }
}

/// Longest credential that is looked at: ours are 51 bytes.
const CREDENTIAL_BYTES_MAX: usize = 256;

/// Why nobody is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unknown {
    /// There is no token.
    NoToken,
    /// It is none of ours, or no longer.
    BadToken,
}

/// The token of a request (RFC 6750, section 2.1). `None` if there is none; more than one is one that is wrong.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Unknown> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(Unknown::NoToken) };
    if values.next().is_some() || value.len() > CREDENTIAL_BYTES_MAX {
        return Err(Unknown::BadToken);
    }
    let text = value.to_str().ok().ok_or(Unknown::BadToken)?;
    let (scheme, token) = text.split_once(' ').ok_or(Unknown::BadToken)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Unknown::BadToken) }
}

/// 401, and how to be known.
pub(crate) fn unknown(why: Unknown) -> Problem {
    let (code, title, challenge) = match why {
        Unknown::NoToken => ("gateway/no-token", "a token is needed", "Bearer realm=\"claw\""),
        Unknown::BadToken => (
            "gateway/bad-token",
            "the token is not valid, or no longer",
            "Bearer realm=\"claw\", error=\"invalid_token\"",
        ),
    };
    Problem::new(StatusCode::UNAUTHORIZED, code, title)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

/// 403 for want of a right.
pub(crate) fn no_right(who: &Principal, act: Act) -> Problem {
    let roles: Vec<&str> = act.roles().map(clawexchange_moderation::Role::as_str).collect();
    Problem::new(StatusCode::FORBIDDEN, "gateway/no-right", "the token has no right to do this")
        .detailed(format!("a token of role {} may not; one of {} may", who.role, roles.join(", ")))
}

/// Addresses that a chain of proxies names at most; more are not looked at.
const HOPS_MAX: usize = 32;

/// The address of the client: that of the socket, unless it is a proxy that is named. Of what such a proxy says
/// (`X-Forwarded-For`, the last hop last), the last address that is no named proxy itself is taken: what stands before
/// it anybody may have written.
pub(crate) fn client_ip(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let peer = peer.map(canonical)?;
    if !is_trusted(&peer) {
        return Some(peer);
    }
    let said: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .collect();
    let mut last = peer;
    for hop in said.iter().rev().take(HOPS_MAX) {
        let Some(ip) = parse_ip(hop).map(canonical) else { return Some(last) };
        if !is_trusted(&ip) {
            return Some(ip);
        }
        last = ip;
    }
    Some(last)
}

/// Whether the caller spoke TLS. What a header says of it counts from a named proxy only.
pub(crate) fn is_https(peer: Option<IpAddr>, headers: &HeaderMap, settings: &Settings) -> bool {
    let is_proxy = peer
        .map(canonical)
        .is_some_and(|peer| settings.trusted_proxies.iter().any(|net| net.contains(&peer)));
    let said = headers.get("x-forwarded-proto").filter(|_| is_proxy);
    match said {
        Some(said) => said.as_bytes().eq_ignore_ascii_case(b"https"),
        None => settings.tls.is_some(),
    }
}

/// IPv4 inside IPv6 is IPv4.
fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The network of an address, as sums of refusals name it.
pub(crate) fn network(ip: Option<IpAddr>) -> Option<String> {
    ip.map(mask_ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_is_taken_and_nothing_else() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(of(&[]), Err(Unknown::NoToken));
        assert_eq!(of(&["Bearer abc"]), Ok("abc".to_owned()));
        assert_eq!(of(&["bEARER abc"]), Ok("abc".to_owned()));
        for bad in [&["abc"][..], &["Basic abc"], &["Bearer a", "Bearer a"], &["Bearer\tabc"]] {
            assert_eq!(of(bad), Err(Unknown::BadToken), "{bad:?}");
        }
        assert_eq!(of(&[&format!("Bearer {}", "a".repeat(300))]), Err(Unknown::BadToken));
    }

    #[test]
    fn an_address_is_believed_of_named_proxies_only_and_from_the_right() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let of = |peer: &str, said: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append("x-forwarded-for", HeaderValue::from_static(value));
            }
            client_ip(Some(peer.parse().unwrap()), &headers, &trusted).unwrap().to_string()
        };
        assert_eq!(of("203.0.113.5", &["198.51.100.1"]), "203.0.113.5", "the peer is no proxy");
        assert_eq!(of("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.9"]), "198.51.100.1");
        assert_eq!(of("10.0.0.1", &["6.6.6.6", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("10.0.0.1", &["6.6.6.6, nonsense"]), "10.0.0.1", "what is no address ends the chain");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client_ip(None, &HeaderMap::new(), &trusted), None);
    }
}
