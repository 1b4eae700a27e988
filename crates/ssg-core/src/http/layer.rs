//! The gate as a tower layer.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use ::http::request::Parts;
use ::http::{HeaderValue, Method, Request, StatusCode};
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::body::{ReadError, read_body};
use super::extract::{Judgement, Locating, Refusal};
use super::problem::Problem;
use crate::actor::Caller;
use crate::content::{ContentEnvelope, EnvelopeBounds, ReadAs, Received};
use crate::fault::Fault;
use crate::gate::{Gate, Submission};
use crate::id::RequestId;
use crate::inspection::Inspection;

/// Marks a layer whose handlers run for content that is passed on.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a mark has no values")]
pub enum PassedOn {}

/// Marks a layer whose handlers run whatever the verdict.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a mark has no values")]
pub enum EveryVerdict {}

/// Puts a [`Gate`] before handlers.
///
/// Of requests with content (POST, PUT and PATCH) it reads the body strictly and submits it in the name of the
/// [`Caller`] in the request's extensions, whatever the body says of its sender. Others go on without their body.
///
/// | what happens | answer |
/// | --- | --- |
/// | PASS, WARN | the handler's; it takes [`Inspected`](super::Inspected) |
/// | QUARANTINE | 202 with the inspection, and `Location` if [`locating`](Self::locating) says where |
/// | QUARANTINE, and holding is switched off | 403 `ssg-core/not-held` |
/// | BLOCK | 403 `ssg-core/blocked` with the inspection |
/// | no [`Caller`] | 401 `ssg-core/no-caller` |
/// | a body that is refused | 400, 413 or 415 |
/// | content that could not be held or recorded | 503 and others, by its [`Fault`] |
///
/// A [`RequestId`] in the extensions is given to the gate and to problems.
pub struct GateLayer<V = PassedOn> {
    gate: Gate,
    bounds: EnvelopeBounds,
    locating: Option<Locating>,
    runs_for: PhantomData<fn() -> V>,
}

impl GateLayer {
    /// A layer with the usual bounds.
    pub fn new(gate: Gate) -> Self {
        Self { gate, bounds: EnvelopeBounds::default(), locating: None, runs_for: PhantomData }
    }

    /// The same layer with handlers that run for every verdict, and take [`Judged`](super::Judged).
    #[must_use]
    pub fn every_verdict(self) -> GateLayer<EveryVerdict> {
        GateLayer { gate: self.gate, bounds: self.bounds, locating: self.locating, runs_for: PhantomData }
    }
}

impl<V> GateLayer<V> {
    /// The same layer with other bounds.
    #[must_use]
    pub fn bounds(mut self, bounds: EnvelopeBounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The same layer, which says of held content where its outcome can be asked for.
    #[must_use]
    pub fn locating(mut self, locating: fn(&Inspection) -> String) -> Self {
        self.locating = Some(locating);
        self
    }

    /// Reads and submits a body.
    async fn judge(&self, head: &Parts, body: Body) -> Result<Judgement, Problem> {
        let request = head.extensions.get::<RequestId>().cloned();
        let caller = head.extensions.get::<Caller>().ok_or_else(no_caller)?;
        let content = self.read(head, body).await.map_err(|error| Problem::of(&error))?;
        let mut submission = Submission::new(content.clone(), caller.agent.clone());
        submission.owner.clone_from(&caller.owner);
        submission.ip = caller.ip;
        submission.request.clone_from(&request);
        let outcome = self.gate.submit(submission).await.map_err(|error| {
            tracing::error!(code = error.code(), error = chain(&error), "content has no verdict");
            Problem::of(&error)
        })?;
        Ok(Judgement::new(outcome, content, request, self.locating))
    }

    async fn read(&self, head: &Parts, body: Body) -> Result<ContentEnvelope, ReadError> {
        let body = read_body(&head.headers, body, &self.bounds).await?;
        // What the body says of agent and owner is content like any other: who calls is known from elsewhere.
        Ok(Received::read(&body, ReadAs::Envelope, &self.bounds)?.content)
    }
}

impl<V> Clone for GateLayer<V> {
    fn clone(&self) -> Self {
        Self {
            gate: self.gate.clone(),
            bounds: self.bounds.clone(),
            locating: self.locating,
            runs_for: PhantomData,
        }
    }
}

impl<V> fmt::Debug for GateLayer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateLayer").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// For which verdicts handlers run.
trait RunsFor {
    const EVERY_VERDICT: bool;
}

impl RunsFor for PassedOn {
    const EVERY_VERDICT: bool = false;
}

impl RunsFor for EveryVerdict {
    const EVERY_VERDICT: bool = true;
}

impl<S, V> Layer<S> for GateLayer<V> {
    type Service = GateService<S, V>;

    fn layer(&self, inner: S) -> GateService<S, V> {
        GateService { inner, layer: self.clone() }
    }
}

/// An application behind a [`GateLayer`].
pub struct GateService<S, V = PassedOn> {
    inner: S,
    layer: GateLayer<V>,
}

impl<S: Clone, V> Clone for GateService<S, V> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S, V> fmt::Debug for GateService<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateService").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl<S, V> Service<Request<Body>> for GateService<S, V>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
    V: RunsFor + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that was asked whether it is ready is the one that is called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let layer = self.layer.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            if has_content(&head.method) {
                match admit(&layer, &head, body).await {
                    Ok(judgement) => drop(head.extensions.insert(judgement)),
                    Err(refusal) => return Ok(refusal.into_response()),
                }
            }
            // The length of a body that is not there any more would be a lie.
            head.headers.remove(CONTENT_LENGTH);
            head.headers.remove(TRANSFER_ENCODING);
            inner.call(Request::from_parts(head, Body::empty())).await.map(IntoResponse::into_response)
        })
    }
}

const fn has_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// Judges content, and says whether its handler runs.
async fn admit<V: RunsFor>(layer: &GateLayer<V>, head: &Parts, body: Body) -> Result<Judgement, Refusal> {
    let judgement = layer
        .judge(head, body)
        .await
        .map_err(|problem| Refusal::Problem(problem.asked_as(head.extensions.get::<RequestId>().cloned())))?;
    match judgement.refusal() {
        Some(refusal) if !V::EVERY_VERDICT => Err(refusal),
        _ => Ok(judgement),
    }
}

fn no_caller() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "ssg-core/no-caller", "Unauthorized")
        .detailed("nobody is known to be calling")
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// An error and its causes in one line, for the log.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(this) = cause {
        line.push_str(": ");
        line.push_str(&this.to_string());
        cause = this.source();
    }
    line
}
