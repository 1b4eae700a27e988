//! What describes the service, and what it counts.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use crate::openapi;
use crate::routes::On;
use crate::service::Service;

/// What this listener answers, for programs: whoever tries all of it meets no route that is not here.
pub(crate) async fn openapi(Extension(on): Extension<On>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::served(on)).into_response()
}

/// The description for people: one page of ours, without a script and without anything from elsewhere.
pub(crate) async fn page(Extension(on): Extension<On>) -> Response {
    let mut response =
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], openapi::page(on)).into_response();
    let policy =
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

pub(crate) async fn metrics(State(service): State<Service>) -> Response {
    service.gauge().await;
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, service.metrics().render()).into_response()
}
