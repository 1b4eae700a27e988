//! How a fault is answered: RFC 9457.

use std::borrow::Cow;
use std::time::Duration;

use ::http::header::{CONTENT_TYPE, RETRY_AFTER};
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::fault::{Fault, FaultKind};
use crate::id::RequestId;

/// An answer of type `application/problem+json`: a status, a code for programs, a sentence for people.
///
/// Made from a [`Fault`] it says the fault's own sentence only where the caller can do something about it; of what
/// went wrong inside it says which sort of thing, and no more.
///
/// ```
/// use clawexchange_ssg_core::{ContentEnvelope, http::Problem};
/// let error = ContentEnvelope::from_json(br#"{"text":""}"#).unwrap_err();
/// let problem = Problem::of(&error).with("docs", "https://example.com/content");
/// assert_eq!(problem.status().as_u16(), 400);
/// assert_eq!(
///     serde_json::to_string(&problem).unwrap(),
///     r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"ssg-core/text-empty","#.to_owned()
///         + r#""detail":"`text` is empty","docs":"https://example.com/content"}"#
/// );
/// ```
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Parts {
    #[serde(rename = "type")]
    kind: Cow<'static, str>,
    title: Cow<'static, str>,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    code: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    #[serde(flatten)]
    members: Map<String, Value>,
    #[serde(skip)]
    headers: HeaderMap,
}

/// The members that a problem has anyway, and `instance`, which RFC 9457 gives a meaning.
const OWN_MEMBERS: [&str; 7] = ["type", "title", "status", "code", "detail", "instance", "requestId"];

impl Problem {
    /// A problem with a code `<crate>/<what-went-wrong>` and a title for people.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Parts {
            kind: Cow::Borrowed("about:blank"),
            title: title.into(),
            status,
            code: code.into(),
            detail: None,
            request_id: None,
            members: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// What a caller is told of a fault.
    pub fn of(fault: &dyn Fault) -> Self {
        let status = status_of(fault.kind());
        let problem = Self::new(status, fault.code(), status.canonical_reason().unwrap_or("Error"));
        match inside(fault.kind()) {
            Some(sentence) => problem.detailed(sentence),
            None => problem.detailed(fault.to_string()),
        }
    }

    /// The same problem of a documented type, a URI.
    #[must_use]
    pub fn of_type(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.0.kind = uri.into();
        self
    }

    /// The same problem with a sentence about this one time.
    #[must_use]
    pub fn detailed(mut self, sentence: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(sentence.into());
        self
    }

    /// The same problem with the caller's name for the request, if it is known.
    #[must_use]
    pub fn asked_as(mut self, request: Option<RequestId>) -> Self {
        self.0.request_id = request;
        self
    }

    /// The same problem with one more member. One that a problem has anyway stays as it is.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if !OWN_MEMBERS.contains(&name) {
            self.0.members.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The same problem with one more header, in place of others of that name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The same problem, which may be over after `wait`: whole seconds, rounded up, at least 1. A 503 says 1 unless
    /// it was told otherwise.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The sentence for people: about this one time if there is one, else about what sort of problem it is.
    pub fn sentence(&self) -> &str {
        self.0.detail.as_deref().unwrap_or(&self.0.title)
    }

    /// The code for programs.
    pub fn code(&self) -> &str {
        &self.0.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Nothing in it can fail to be written: names and values are strings, numbers and JSON already.
        let json = serde_json::to_vec(&self).unwrap_or_default();
        let parts = *self.0;
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = parts.status;
        let headers = response.headers_mut();
        if parts.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        headers.extend(parts.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// The one table from what sort of failure it is to a status.
pub const fn status_of(kind: FaultKind) -> StatusCode {
    match kind {
        FaultKind::Invalid | FaultKind::Usage => StatusCode::BAD_REQUEST,
        FaultKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FaultKind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        FaultKind::NotAllowed => StatusCode::FORBIDDEN,
        FaultKind::Conflict => StatusCode::CONFLICT,
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::Limited => StatusCode::TOO_MANY_REQUESTS,
        FaultKind::Pending | FaultKind::Locked | FaultKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        FaultKind::Integrity | FaultKind::Configuration | FaultKind::Internal => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// What is said of a failure inside, instead of its own sentence: that one is for the log.
const fn inside(kind: FaultKind) -> Option<&'static str> {
    match kind {
        FaultKind::Internal => Some("something went wrong on our side"),
        FaultKind::Integrity => Some("stored data did not pass its check"),
        FaultKind::Unavailable => Some("a part of the service is away; the same request may succeed later"),
        FaultKind::Configuration => Some("the service is not set up for this"),
        FaultKind::Locked => Some("another process is at work on it; the same request may succeed later"),
        FaultKind::Pending => Some("the service is being prepared; the same request may succeed later"),
        FaultKind::Invalid
        | FaultKind::TooLarge
        | FaultKind::Unsupported
        | FaultKind::Usage
        | FaultKind::NotAllowed
        | FaultKind::Conflict
        | FaultKind::NotFound
        | FaultKind::Limited => None,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn as_number<S: Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("row 7 of table t says x")]
    struct Told(FaultKind);

    impl Fault for Told {
        fn code(&self) -> &'static str {
            "testing/told"
        }

        fn kind(&self) -> FaultKind {
            self.0
        }
    }

    fn check(kind: FaultKind, status: u16, is_told: bool) {
        let problem = Problem::of(&Told(kind));
        assert_eq!(problem.status().as_u16(), status, "{kind:?}");
        assert_eq!(problem.code(), "testing/told");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["status"], status);
        assert_eq!(json["detail"] == "row 7 of table t says x", is_told, "{kind:?}: {json}");
        assert_eq!(problem.into_response().headers().contains_key(RETRY_AFTER), status == 503, "{kind:?}");
    }

    #[test]
    fn each_kind_has_its_status_and_no_internal_text_leaves() {
        check(FaultKind::Invalid, 400, true);
        check(FaultKind::TooLarge, 413, true);
        check(FaultKind::Unsupported, 415, true);
        check(FaultKind::Usage, 400, true);
        check(FaultKind::Pending, 503, false);
        check(FaultKind::NotAllowed, 403, true);
        check(FaultKind::Conflict, 409, true);
        check(FaultKind::NotFound, 404, true);
        check(FaultKind::Integrity, 500, false);
        check(FaultKind::Locked, 503, false);
        check(FaultKind::Unavailable, 503, false);
        check(FaultKind::Limited, 429, true);
        check(FaultKind::Configuration, 500, false);
        check(FaultKind::Internal, 500, false);
    }

    #[test]
    fn a_member_cannot_pass_for_one_that_a_problem_has_anyway() {
        let problem = Problem::new(StatusCode::CONFLICT, "a/b", "Conflict")
            .with("status", 200)
            .with("code", "c/d")
            .with("state", "DELETED")
            .of_type("https://example.com/conflict")
            .asked_as(RequestId::new("req-5").ok());
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"type":"https://example.com/conflict","title":"Conflict","status":409,"code":"a/b","requestId":"req-5","state":"DELETED"}"#
        );
    }

    #[test]
    fn a_wait_is_whole_seconds_and_never_none() {
        let asked = |wait| {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "a/b", "Away").retry_after(wait);
            problem.into_response().headers()[RETRY_AFTER].to_str().unwrap().to_owned()
        };
        assert_eq!(asked(Duration::ZERO), "1");
        assert_eq!(asked(Duration::from_millis(1001)), "2");
        assert_eq!(asked(Duration::from_secs(30)), "30");
    }
}
