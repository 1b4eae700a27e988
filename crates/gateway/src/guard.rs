//! What stands before every handler: a name for the request, a place to work at, a right to be there; and after it,
//! what every answer carries.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{self, CONNECTION, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use clawexchange_moderation::{Act, Principal};
use clawexchange_ssg_core::http::{Problem, read_body};
use clawexchange_ssg_core::{Clock as _, Fault as _, RequestId, SystemClock};

use crate::identity::{self, ClientIp, IsHttps, Named, Peer, Place, Unknown};
use crate::refusals::Refused;
use crate::routes::{Access, Route};
use crate::service::{Phase, Service};

/// The name under which a request is known to caller, log and answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Which route answered, for what is measured.
#[derive(Clone, Copy, Debug)]
struct AnsweredBy(&'static str);

/// What is counted when no route answered: no path of the caller's stands in a label.
const NO_ROUTE: &str = "(none)";

/// The outermost layer of a listener.
pub(crate) async fn outer(State(service): State<Service>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let at_work = service.metrics().at_work();
    let id = request_id(request.headers());
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let settings = service.parts().settings();
    let ip = identity::client_ip(peer, request.headers(), &settings.trusted_proxies);
    let is_https = identity::is_https(peer, request.headers(), settings);
    let method = request.method().clone();
    request.extensions_mut().insert(Named(id.clone()));
    request.extensions_mut().insert(ClientIp(ip));
    request.extensions_mut().insert(IsHttps(is_https));
    let mut response = match unwound(next.run(request)).await {
        Some(response) => response,
        None => {
            service.metrics().panicked();
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "gateway/internal",
                "the request could not be answered",
            )
            .into_response()
        }
    };
    let route = response.extensions().get::<AnsweredBy>().map_or(NO_ROUTE, |by| by.0);
    if is_problem(&response) {
        response = completed(response, &id, route.starts_with(ORIGINAL)).await;
    }
    let status = response.status();
    every_answer(response.headers_mut(), &id);
    let took = started.elapsed();
    service.metrics().answered(route, known_method(method.as_str()), status.as_u16(), took);
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // No path, query, header or body: whoever wrote them could write into the log.
    if status.is_server_error() {
        tracing::warn!(
            request = id.as_str(),
            method = known_method(method.as_str()),
            route,
            status = status.as_u16(),
            ms,
            "answered"
        );
    } else {
        tracing::info!(
            request = id.as_str(),
            method = known_method(method.as_str()),
            route,
            status = status.as_u16(),
            ms,
            "answered"
        );
    }
    drop(at_work);
    response
}

/// The layer of one route.
pub(crate) async fn of_route(
    State((service, route)): State<(Service, &'static Route)>,
    mut request: Request,
    next: Next,
) -> Response {
    let answered = match route.access {
        Access::Open => Ok(next.run(request).await),
        Access::Granted => match is_serving(&service) {
            Ok(()) => at_a_place(&service, route, request, next).await,
            Err(problem) => Err(problem),
        },
        Access::Only(act) => match admit(&service, route, act, &mut request).await {
            Ok(()) => at_a_place(&service, route, request, next).await,
            Err(problem) => Err(problem),
        },
    };
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    response.extensions_mut().insert(AnsweredBy(route.path));
    response
}

/// Has the whole body before it takes up a place: whoever sends slowly holds up nobody but themselves.
async fn at_a_place(
    service: &Service,
    route: &'static Route,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let mut request = with_whole_body(service, route, request).await?;
    let Ok(place) = Arc::clone(service.places()).try_acquire_owned() else {
        service.metrics().shed();
        let title = "too many requests are at work";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "gateway/overloaded", title));
    };
    // Work that goes on though its caller goes away keeps the place: who hangs up early gets no more done.
    let place = Place(Arc::new(place));
    request.extensions_mut().insert(place.clone());
    let response = within(service, route, request, next).await;
    drop(place);
    Ok(response)
}

async fn with_whole_body(
    service: &Service,
    route: &'static Route,
    request: Request,
) -> Result<Request, Problem> {
    let Some(most) = route.body_bytes_max else {
        let (head, _) = request.into_parts();
        return Ok(Request::from_parts(head, Body::empty()));
    };
    let settings = service.parts().settings();
    let mut bounds = settings.bounds.clone();
    bounds.body_bytes_max = most.unwrap_or(bounds.body_bytes_max);
    let (head, body) = request.into_parts();
    match tokio::time::timeout(settings.body_timeout, read_body(&head.headers, body, &bounds)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(head, Body::from(bytes))),
        Ok(Err(error)) => Err(Problem::of(&error)),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "gateway/body-too-slow",
            "the body did not come in time",
        )
        .with_header(CONNECTION, HeaderValue::from_static("close"))),
    }
}

/// Answers within the time that a request may take; what it began is finished all the same.
async fn within(service: &Service, route: &'static Route, request: Request, next: Next) -> Response {
    let settings = service.parts().settings();
    let most = settings.body_timeout;
    match tokio::time::timeout(most, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(route = route.path, "a request took too long");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "gateway/too-slow", "the request took too long")
                .into_response()
        }
    }
}

/// Refuses what comes before the service is ready, and while it stops.
fn is_serving(service: &Service) -> Result<(), Problem> {
    if service.phase() == Phase::Serving {
        return Ok(());
    }
    let title = "the service is starting or stopping";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "gateway/draining", title)
        .with_header(CONNECTION, HeaderValue::from_static("close")))
}

/// Finds out who asks, and whether they may.
async fn admit(
    service: &Service,
    route: &'static Route,
    act: Act,
    request: &mut Request,
) -> Result<(), Problem> {
    is_serving(service)?;
    let ip = request.extensions().get::<ClientIp>().and_then(|ip| ip.0);
    let refuse = |why: Unknown| {
        let reason = if why == Unknown::NoToken { "no-token" } else { "bad-token" };
        service.metrics().count("claw_auth_refusals_total", &[("reason", reason)], 1);
        let refused = Refused::Unknown { network: identity::network(ip), reason };
        service.refusals().add(refused, SystemClock::new().now());
        identity::unknown(why)
    };
    let token = identity::bearer(request.headers()).map_err(refuse)?;
    let found = service.tokens().authenticate(token).await.map_err(|error| {
        tracing::error!(code = error.code(), "tokens could not be looked up");
        Problem::of(&error)
    })?;
    let who: Principal = found.ok_or_else(|| refuse(Unknown::BadToken))?;
    if !who.may(act) {
        service.metrics().count("claw_auth_refusals_total", &[("reason", "no-right")], 1);
        let refused = Refused::NoRight { who: who.actor(), route: route.path };
        service.refusals().add(refused, SystemClock::new().now());
        return Err(identity::no_right(&who, act));
    }
    request.extensions_mut().insert(who);
    // A handler has no use for it, and what it has not it cannot print.
    request.headers_mut().remove(header::AUTHORIZATION);
    Ok(())
}

fn request_id(headers: &HeaderMap) -> RequestId {
    let said = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    said.and_then(|text| RequestId::new(text).ok()).unwrap_or_else(RequestId::fresh)
}

/// Methods that are told apart where they are counted.
fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("OTHER")
}

fn is_problem(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes() == b"application/problem+json")
}

/// Bytes of a problem at most: ours are short.
const PROBLEM_BYTES_MAX: usize = 1 << 20;

/// How the paths of the original's routes begin.
const ORIGINAL: &str = "/api/v1/";

/// Gives a problem the name of its request, and on the original's routes the sentence in `error` too, where callers
/// that were written for it look.
async fn completed(response: Response, id: &RequestId, is_original: bool) -> Response {
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, PROBLEM_BYTES_MAX).await else {
        return Response::from_parts(head, Body::empty());
    };
    let named = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).ok().map(
        |mut members| {
            members.insert("requestId".to_owned(), id.as_str().into());
            let sentence = members.get("detail").or_else(|| members.get("title")).cloned();
            if let Some(sentence) = sentence.filter(|_| is_original && !members.contains_key("error")) {
                members.insert("error".to_owned(), sentence);
            }
            serde_json::Value::Object(members).to_string().into_bytes()
        },
    );
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(named.unwrap_or_else(|| bytes.to_vec())))
}

/// What every answer carries: nothing of it is a document that loads or is kept by anybody.
pub(crate) fn every_answer(headers: &mut HeaderMap, id: &RequestId) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, value);
    }
}

/// Runs a handler to its end; `None` if it panicked. What it panicked with is neither said nor logged.
async fn unwound(handler: impl Future<Output = Response>) -> Option<Response> {
    let mut handler = pin!(handler);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(response)) => Poll::Ready(Some(response)),
        Err(_) => Poll::Ready(None),
    })
    .await
}
