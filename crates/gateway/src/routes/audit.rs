//! `/v1/audit`: the log, read.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use clawexchange_audit::{Log, Query};
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{ActorType, EventKind, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::identity::Asker;
use crate::routes::query::{Paging, query as read, word, word_if};
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
    service.log().drain_outbox().await.map_err(|error| Problem::of(&error))?;
    let mut logs = Vec::new();
    for log in Log::ALL {
        logs.push(service.log().head(log).await.map_err(|error| Problem::of(&error))?);
    }
    Ok(Json(json!({ "logs": logs })).into_response())
}
