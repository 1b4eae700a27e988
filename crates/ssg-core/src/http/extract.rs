//! What a handler behind the gate takes: content that was judged, and the verdict.

use std::fmt;
use std::sync::Arc;

use ::http::header::{CONTENT_TYPE, LOCATION};
use ::http::request::Parts;
use ::http::{HeaderValue, StatusCode};
use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;
use crate::content::ContentEnvelope;
use crate::gate::Outcome;
use crate::id::RequestId;
use crate::inspection::Inspection;
use crate::redact::Sanitized;
use crate::tier::Verdict;

/// Content that was passed on, as a `T` read from the very text that was judged.
///
/// Content that was held or refused never comes here, even behind a layer that lets handlers run for every verdict;
/// what did not go through a [`GateLayer`](super::GateLayer) is answered with 500. What `T` does not know of is its
/// own matter: all of it was inspected.
pub struct Inspected<T>(Content<T>);

/// Content and its verdict, whatever the verdict.
///
/// It comes to handlers behind [`GateLayer::every_verdict`](super::GateLayer::every_verdict), which must look at
/// [`verdict`](Self::verdict) before they publish anything.
pub struct Judged<T>(Content<T>);

struct Content<T> {
    value: T,
    judgement: Judgement,
}

impl<T> Inspected<T> {
    /// What was found. The verdict is PASS or WARN.
    pub fn inspection(&self) -> &Inspection {
        self.0.judgement.inspection()
    }

    /// The content.
    pub const fn content(&self) -> &T {
        &self.0.value
    }

    /// The content alone.
    pub fn into_inner(self) -> T {
        self.0.value
    }
}

impl<T> Judged<T> {
    /// What is done with the content.
    pub fn verdict(&self) -> Verdict {
        self.inspection().verdict
    }

    /// What was found.
    pub fn inspection(&self) -> &Inspection {
        self.0.judgement.inspection()
    }

    /// It lies in quarantine. A verdict QUARANTINE without that means that holding is switched off.
    pub fn is_held(&self) -> bool {
        self.0.judgement.0.outcome.is_held
    }

    /// The same content of the same agent was held already.
    pub fn is_repeat(&self) -> bool {
        self.0.judgement.0.outcome.is_repeat
    }

    /// The content.
    pub const fn content(&self) -> &T {
        &self.0.value
    }

    /// The content alone.
    pub fn into_inner(self) -> T {
        self.0.value
    }
}

impl<T> fmt::Debug for Inspected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspected").field("inspection", self.inspection()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Judged<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judged").field("inspection", self.inspection()).finish_non_exhaustive()
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Inspected<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let judgement = Judgement::in_request(parts)?;
        match judgement.refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(Self(judgement.read()?)),
        }
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Judged<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(Judgement::in_request(parts)?.read()?))
    }
}

/// Where a verdict of held content can be asked for.
pub(super) type Locating = fn(&Inspection) -> String;

/// What the layer leaves in a request for its handler.
#[derive(Clone)]
pub(super) struct Judgement(Arc<Inner>);

struct Inner {
    outcome: Outcome,
    content: ContentEnvelope,
    request: Option<RequestId>,
    locating: Option<Locating>,
}

impl Judgement {
    pub(super) fn new(
        outcome: Outcome,
        content: ContentEnvelope,
        request: Option<RequestId>,
        locating: Option<Locating>,
    ) -> Self {
        let sanitized = outcome.assessment.inspection().sanitized.clone();
        // What was cut out must not come to a handler by another way.
        let content = sanitized.map_or(content, Sanitized::into_content);
        Self(Arc::new(Inner { outcome, content, request, locating }))
    }

    fn in_request(parts: &Parts) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a handler takes content that no gate has inspected: put a GateLayer before it");
            Refusal::Problem(
                Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "ssg-core/not-inspected",
                    "Internal Server Error",
                )
                .detailed("the content was not inspected")
                .asked_as(parts.extensions.get::<RequestId>().cloned()),
            )
        })
    }

    fn inspection(&self) -> &Inspection {
        self.0.outcome.assessment.inspection()
    }

    /// The answer for content that is not passed on.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let refused = |code, detail| {
            let problem = Problem::new(StatusCode::FORBIDDEN, code, "Forbidden")
                .detailed(detail)
                .asked_as(self.0.request.clone());
            Some(Refusal::Problem(with_inspection(problem, self.inspection())))
        };
        match self.inspection().verdict {
            Verdict::Pass | Verdict::Warn => None,
            Verdict::Quarantine if self.0.outcome.is_held => Some(Refusal::Held {
                inspection: Box::new(self.inspection().clone()),
                location: self.0.locating.map(|locate| locate(self.inspection())),
            }),
            Verdict::Quarantine => {
                refused("ssg-core/not-held", "the content is refused: nothing is held here")
            }
            Verdict::Block => refused("ssg-core/blocked", "the content is refused"),
        }
    }

    fn read<T: DeserializeOwned>(self) -> Result<Content<T>, Refusal> {
        match serde_json::from_str(self.0.content.received()) {
            Ok(value) => Ok(Content { value, judgement: self }),
            // The error's own text quotes the content.
            Err(error) => Err(Refusal::Problem(
                Problem::new(StatusCode::BAD_REQUEST, "ssg-core/not-as-wanted", "Bad Request")
                    .detailed(format!(
                        "the content is not what is taken here: line {}, column {}",
                        error.line(),
                        error.column()
                    ))
                    .asked_as(self.0.request.clone()),
            )),
        }
    }
}

fn with_inspection(problem: Problem, inspection: &Inspection) -> Problem {
    match serde_json::to_value(inspection) {
        Ok(Value::Object(members)) => {
            members.into_iter().fold(problem, |problem, (name, value)| problem.with(&name, value))
        }
        // It has nothing that cannot be written, and it is an object.
        _ => problem,
    }
}

/// The answer when a handler does not run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The content is held: 202 with the inspection.
    Held {
        /// What was found, and where the content is held.
        inspection: Box<Inspection>,
        /// Where the outcome can be asked for.
        location: Option<String>,
    },
    /// Anything else.
    Problem(Problem),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Held { inspection, location } => held(&inspection, location.as_deref()),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

fn held(inspection: &Inspection, location: Option<&str>) -> Response {
    // It has nothing that cannot be written.
    let json = serde_json::to_vec(inspection).unwrap_or_default();
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(location) = location {
        match HeaderValue::from_str(location) {
            Ok(location) => drop(headers.insert(LOCATION, location)),
            Err(_) => tracing::error!("a location is no header value, so none is given"),
        }
    }
    response
}
