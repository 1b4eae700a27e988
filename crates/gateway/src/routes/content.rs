//! Content itself: shown once to whom a grant was given, handed back to the platform once it is released.

use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use clawexchange_quarantine::{GrantToken, Opened};
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{ContentEnvelope, InspectionId};

use crate::identity::Asker;
use crate::router::no_method;
use crate::routes::query::{Segment, word};
use crate::routes::submit;
use crate::service::Service;

/// The grant in the path is the permission, as the original's signed URL was: 256 random bits, for one look within
/// minutes, by whom it was made for. The look is in the log before the first byte.
pub(crate) async fn granted(
    State(service): State<Service>,
    method: Method,
    Segment(token): Segment,
) -> Result<Response, Problem> {
    only_get(&method)?;
    let token: GrantToken =
        token.parse().map_err(|_: clawexchange_quarantine::QuarantineError| no_grant())?;
    let opened = service.vault().redeem(&token).await.map_err(|error| Problem::of(&error))?;
    Ok(as_text(&opened))
}

/// A look is an act with an event, and a grant is for one: HEAD would spend it and show nothing.
fn only_get(method: &Method) -> Result<(), Problem> {
    if method == Method::GET { Ok(()) } else { Err(no_method()) }
}

fn no_grant() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "gateway/no-grant", "the grant does not open anything, or no longer")
}

/// The text as text: nothing that a browser would run.
fn as_text(opened: &Opened) -> Response {
    let text = ContentEnvelope::from_json(&opened.content).map(|content| content.text().as_bytes().to_vec());
    // What was held was read before by the same rules; should they have become stricter, it is shown as it came.
    let body = text.unwrap_or_else(|_| opened.content.to_vec());
    let mut response = (StatusCode::OK, body).into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"content.txt\""),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

pub(crate) async fn released(
    State(service): State<Service>,
    method: Method,
    asker: Asker,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    only_get(&method)?;
    let id: InspectionId = word("inspectionId", &id)?;
    let record = submit::find(&service, &asker, id).await?;
    let opened = service.desk().fetch(&asker.who, record).await.map_err(|error| Problem::of(&error))?;
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((StatusCode::OK, kind, opened.content.to_vec()).into_response())
}
