//! `/v1/audit`: the log, read, and what proves it.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use clawexchange_audit::{Log, Query, SignedCheckpoint, TilePath};
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{ActorType, EventKind, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::identity::Asker;
use crate::routes::query::{Paging, Segment, Segments, query as read, word, word_if};
use crate::service::Service;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Wanted {
    log: Option<String>,
    event_type: Option<String>,
    actor: Option<String>,
    actor_type: Option<String>,
    target: Option<String>,
    target_type: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<u64>,
    cursor: Option<String>,
}

pub(crate) async fn query(State(service): State<Service>, _: Asker, uri: Uri) -> Result<Response, Problem> {
    let asked: Wanted = read(&uri)?;
    let mut wanted = Query::default();
    wanted.may_be_behind = true;
    wanted.log = match asked.log.as_deref() {
        None | Some("all") => None,
        Some(text) => Some(word::<Log>("log", text)?),
    };
    for kind in asked.event_type.as_deref().unwrap_or("").split(',').filter(|kind| !kind.is_empty()) {
        wanted.kinds.push(word::<EventKind>("eventType", kind)?);
    }
    wanted.actor = asked.actor;
    wanted.actor_type = word_if::<ActorType>("actorType", asked.actor_type.as_deref())?;
    wanted.target = asked.target;
    wanted.target_type = asked.target_type;
    wanted.since = word_if::<Timestamp>("since", asked.since.as_deref())?;
    wanted.until = word_if::<Timestamp>("until", asked.until.as_deref())?;
    let paging = Paging::new(asked.limit, asked.cursor);
    service.log().drain_outbox().await.map_err(|error| Problem::of(&error))?;
    let page = service.log().query(&wanted, paging.cursor()?.as_ref(), paging.limit()?).await;
    Ok(Json(page.map_err(|error| Problem::of(&error))?).into_response())
}

pub(crate) async fn checkpoint(State(service): State<Service>, _: Asker) -> Result<Response, Problem> {
    let mut logs = Vec::new();
    for log in Log::ALL {
        logs.push(signed(&service, log).await?);
    }
    Ok(Json(json!({ "logs": logs })).into_response())
}

/// The checkpoint over all that happened before it was asked for.
async fn signed(service: &Service, log: Log) -> Result<SignedCheckpoint, Problem> {
    service.log().drain_outbox().await.map_err(|error| Problem::of(&error))?;
    service.log().checkpoint(log).await.map_err(|error| Problem::of(&error))
}

/// Bytes of a type.
fn of_type(kind: &'static str, bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, kind)], bytes).into_response()
}

const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) async fn note(
    State(service): State<Service>,
    _: Asker,
    Segment(log): Segment,
) -> Result<Response, Problem> {
    let signed = signed(&service, word("log", &log)?).await?;
    Ok(of_type(TEXT, signed.note.to_string().into_bytes()))
}

pub(crate) async fn tile(
    State(service): State<Service>,
    _: Asker,
    Segments(log, path): Segments,
) -> Result<Response, Problem> {
    let log = word("log", &log)?;
    let path: TilePath = word("path", &format!("tile/{path}"))?;
    let bytes = service.log().tile(log, path).await.map_err(|error| Problem::of(&error))?;
    let mut response = of_type("application/octet-stream", bytes);
    if path.is_full() {
        // It will never change. Whoever may read it may keep it; nobody on the way may.
        let kept = HeaderValue::from_static("private, max-age=31536000, immutable");
        response.headers_mut().insert(CACHE_CONTROL, kept);
    }
    Ok(response)
}

pub(crate) async fn proof(
    State(service): State<Service>,
    _: Asker,
    Segments(log, index): Segments,
) -> Result<Response, Problem> {
    let (log, index) = (word("log", &log)?, word("index", &index)?);
    let proof = service.log().prove(log, index).await.map_err(|error| Problem::of(&error))?;
    Ok(of_type(TEXT, proof.to_string().into_bytes()))
}

pub(crate) async fn consistency(
    State(service): State<Service>,
    _: Asker,
    Segments(log, from): Segments,
) -> Result<Response, Problem> {
    let (log, from) = (word("log", &log)?, word("from", &from)?);
    let proof = service.log().prove_extends(log, from).await.map_err(|error| Problem::of(&error))?;
    Ok(Json(proof).into_response())
}
