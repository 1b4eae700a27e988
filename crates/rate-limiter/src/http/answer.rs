//! What is said of limits in HTTP: headers and refusals.

use std::cmp::Reverse;
use std::time::Duration;

use axum_core::body::Body;
use axum_core::response::Response;
use clawexchange_ssg_core::{Fault as _, Timestamp};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::decision::{TierStatus, WindowStatus};
use crate::error::{LimitError, seconds};
use crate::window::{HOUR_MS, MINUTE_MS};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMITS: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const LEGACY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const LEGACY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const DEGRADED: HeaderName = HeaderName::from_static("x-ratelimit-degraded");

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// One window as a policy of the draft.
#[derive(Clone, Copy)]
struct Policy {
    name: &'static str,
    seconds: u64,
    window: WindowStatus,
}

impl Policy {
    /// How long until more is left. Where none will ever be, as long as the window is: nobody need ask before.
    fn wait(&self) -> Duration {
        self.window.more_in.unwrap_or_else(|| match self.window.limit {
            0 => Duration::from_secs(self.seconds),
            _ => Duration::ZERO,
        })
    }
}

fn policies(status: &TierStatus) -> Vec<Policy> {
    let (hour, minute) = (HOUR_MS / 1_000, MINUTE_MS / 1_000);
    let mut policies = vec![
        Policy { name: "hour", seconds: hour, window: status.hour },
        Policy { name: "minute", seconds: minute, window: status.minute },
    ];
    if let Some(owner) = status.owner {
        policies.push(Policy { name: "owner-hour", seconds: hour, window: owner.hour });
        policies.push(Policy { name: "owner-minute", seconds: minute, window: owner.minute });
    }
    policies
}

/// The window that binds: the one with the fewest left, and of several the one that frees later.
fn binding(policies: &[Policy]) -> Option<Policy> {
    policies.iter().copied().min_by_key(|p| (p.window.remaining(), Reverse(p.wait())))
}

/// The headers that say how things stand: `RateLimit-Policy` and `RateLimit` for every window, `X-RateLimit-*` for
/// the one that binds, and `X-RateLimit-Degraded` if nobody counted.
///
/// `t` is the seconds, rounded up, until one more is left than now, and is not there while everything is left.
/// `now` is what `X-RateLimit-Reset`, in seconds since 1970, is counted from.
pub fn headers(status: &TierStatus, now: Timestamp) -> HeaderMap {
    let policies = policies(status);
    let list = |item: &dyn Fn(&Policy) -> String| policies.iter().map(item).collect::<Vec<_>>().join(", ");
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, text: String| {
        // Names of ours and numbers are always a value.
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    };
    put(POLICY, list(&|p| format!("\"{}\";q={};w={}", p.name, p.window.limit, p.seconds)));
    put(
        LIMITS,
        list(&|p| {
            let t = p.window.more_in.map_or_else(String::new, |wait| format!(";t={}", seconds(wait)));
            format!("\"{}\";r={}{t}", p.name, p.window.remaining())
        }),
    );
    if let Some(binding) = binding(&policies) {
        let reset = now.plus(binding.wait()).as_micros();
        put(LEGACY_LIMIT, binding.window.limit.to_string());
        put(LEGACY_REMAINING, binding.window.remaining().to_string());
        put(LEGACY_RESET, (reset.div_euclid(1_000_000) + i64::from(reset % 1_000_000 != 0)).to_string());
    }
    if status.is_degraded {
        put(DEGRADED, "true".to_owned());
    }
    headers
}

/// A problem as RFC 9457 has it. The second half is what clients of the original read.
#[derive(Serialize, Default)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated: Option<Vec<&'a str>>,
    #[serde(rename = "retryAfterSeconds", skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(rename = "retryAfter", skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u32>,
}

impl Problem<'_> {
    fn answer(self, status: StatusCode, headers: HeaderMap) -> Response {
        let problem = Self { status: status.as_u16(), ..self };
        // Words of ours and numbers are always JSON.
        let json = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        let value = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, value);
        response
    }
}

/// The answer to what was not let through: 429 with [`headers`], and with `Retry-After` unless waiting does not help.
///
/// Anything but a refusal is a limiter that could not answer: 503 with its code, and nothing of what is wrong inside.
pub fn refusal(error: &LimitError, status: Option<&TierStatus>, now: Timestamp) -> Response {
    let is_suspended = matches!(error, LimitError::Suspended { .. });
    if !is_suspended && !matches!(error, LimitError::Limited { .. } | LimitError::Never { .. }) {
        let title = "The rate limiter is unavailable";
        let problem = Problem { kind: "about:blank", title, code: error.code(), ..Problem::default() };
        return problem.answer(StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new());
    }
    let policies = status.map(policies).unwrap_or_default();
    let binding = binding(&policies);
    let least = binding.map(|p| p.window.remaining());
    let violated = policies.iter().filter(|p| Some(p.window.remaining()) == least).map(|p| p.name);
    let wait = error.retry_after_seconds();
    let mut headers = status.map(|status| headers(status, now)).unwrap_or_default();
    if let Some(wait) = wait {
        headers.insert(RETRY_AFTER, wait.into());
    }
    let problem = Problem {
        kind: if is_suspended { "about:blank" } else { QUOTA_EXCEEDED },
        title: if is_suspended {
            "The agent is suspended"
        } else {
            "Request cannot be satisfied as assigned quota has been exceeded"
        },
        code: error.code(),
        // No window is at fault.
        violated: (!is_suspended).then(|| violated.collect()),
        retry_after_seconds: wait,
        error: Some("Rate limit exceeded"),
        retry_after: wait,
        limit: binding.map(|p| p.window.limit),
        current: binding.map(|p| p.window.used),
        ..Problem::default()
    };
    problem.answer(StatusCode::TOO_MANY_REQUESTS, headers)
}

/// The answer to a request of nobody.
pub(super) fn no_caller() -> Response {
    let title = "Nobody is known to have sent this request";
    let code = "rate-limiter/no-caller";
    let problem = Problem { kind: "about:blank", title, code, ..Problem::default() };
    problem.answer(StatusCode::UNAUTHORIZED, HeaderMap::new())
}
