//! `Idempotency-Key`: asked again, a request is answered again and not done again
//! (draft-ietf-httpapi-idempotency-key-header-07).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use clawexchange_database::idempotency::{self, Begun, Named, Names};
use clawexchange_moderation::Principal;
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{Clock as _, Fault as _};

use crate::service::Service;

/// The requests with a key that this process is at.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<String>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
struct Ticket {
    all: InFlight,
    key: String,
}

impl InFlight {
    fn enter(&self, key: String) -> Option<Ticket> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        is_new.then(|| Ticket { all: self.clone(), key })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Longest key.
const KEY_BYTES_MAX: usize = 255;

/// A request that has a key, and what is to be done about it.
#[derive(Debug)]
pub(crate) struct Keyed {
    named: Named,
    /// The names that what it makes gets.
    pub(crate) names: Names,
    /// How far it may have come before.
    pub(crate) before: Before,
    _ticket: Ticket,
}

/// What became of the request before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Before {
    /// It was never made.
    Never,
    /// This process tried, failed, and gave the charge back.
    Failed,
    /// A process that is gone began it, and may have charged for it.
    CutShort,
}

/// How a request goes on.
#[derive(Debug)]
pub(crate) enum Start {
    /// It has no key.
    Plain,
    /// It has one, and is to be done.
    Keyed(Keyed),
    /// It was answered.
    Answered(u16, Vec<u8>),
}

/// Reads the key of a request, and finds out whether it was asked before.
pub(crate) async fn start(
    service: &Service,
    headers: &HeaderMap,
    who: &Principal,
    route: &'static str,
    body: &[u8],
) -> Result<Start, Problem> {
    let Some(key) = key(headers)? else { return Ok(Start::Plain) };
    // Of two principals of one name and other roles each has names of its own.
    let principal = format!("{}:{}", who.role, who.id);
    let Some(ticket) = service.in_flight().enter(format!("{principal} {route} {key}")) else {
        return Err(in_flight());
    };
    let named = Named::new(principal, route, key, body);
    let keyed = |names, before| Start::Keyed(Keyed { named: named.clone(), names, before, _ticket: ticket });
    let begun = idempotency::begin(service.db(), &named, service.instance(), service.clock().now()).await;
    match begun.map_err(|error| Problem::of(&error))? {
        Begun::New(names) => Ok(keyed(names, Before::Never)),
        Begun::Again { names, by_us: true } => Ok(keyed(names, Before::Failed)),
        Begun::Again { names, by_us: false } => Ok(keyed(names, Before::CutShort)),
        Begun::Answered { status, answer } => Ok(Start::Answered(status, answer)),
        Begun::InFlight => Err(in_flight()),
        Begun::Mismatch => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "gateway/key-reused",
            "this Idempotency-Key was used for another request",
        )),
    }
}

fn in_flight() -> Problem {
    let title = "the request with this Idempotency-Key is being answered";
    Problem::new(StatusCode::CONFLICT, "gateway/in-flight", title).retry_after(Duration::from_secs(1))
}

impl Keyed {
    /// Keeps the answer. Should that fail, a retry finds in the log what was done.
    pub(crate) async fn finish(self, service: &Service, status: StatusCode, answer: &[u8]) {
        if let Err(error) = idempotency::finish(service.db(), &self.named, status.as_u16(), answer).await {
            tracing::error!(code = error.code(), "an answer could not be kept for its retries");
        }
    }

    /// Nothing was done: it may be tried again.
    pub(crate) async fn forget(self, service: &Service) {
        if let Err(error) = idempotency::forget(service.db(), &self.named, service.instance()).await {
            tracing::error!(code = error.code(), "a request could not be forgotten");
        }
    }
}

/// A key is 1 to 255 visible ASCII characters, with or without the quotes of a structured field (RFC 9651, section
/// 3.3.3).
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bare = value.as_bytes();
    let bare = bare.strip_prefix(b"\"").and_then(|b| b.strip_suffix(b"\"")).unwrap_or(bare);
    let usable = (1..=KEY_BYTES_MAX).contains(&bare.len())
        && bare.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
        && values.next().is_none();
    match std::str::from_utf8(bare) {
        Ok(text) if usable => Ok(Some(text.to_owned())),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "gateway/bad-key",
            "an Idempotency-Key is one value of 1 to 255 visible ASCII characters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_key_is_one_short_visible_word() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", HeaderValue::from_str(value).unwrap());
            }
            key(&headers)
        };
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&["\"a-b\""]).unwrap().as_deref(), Some("a-b"));
        assert_eq!(of(&["8e03978e-40d5-43dd"]).unwrap().as_deref(), Some("8e03978e-40d5-43dd"));
        let long = "a".repeat(256);
        for bad in [&[""][..], &["a b"], &["\"\""], &["a\"b"], &["a", "b"], &[long.as_str()]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
