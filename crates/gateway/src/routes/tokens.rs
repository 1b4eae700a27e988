//! `/v1/tokens`: made, listed, revoked.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use clawexchange_moderation::{NewToken, Role, TokenFilter, TokenId};
use clawexchange_quarantine::Note;
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{AgentId, OwnerId, TrustLevel};
use serde::Deserialize;

use crate::identity::Asker;
use crate::routes::query::{Paging, Segment, body, query, word, word_if};
use crate::service::Service;
use crate::view;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    id: Option<String>,
    role: Option<String>,
    live: Option<bool>,
    limit: Option<u64>,
    cursor: Option<String>,
}

pub(crate) async fn list(State(service): State<Service>, _: Asker, uri: Uri) -> Result<Response, Problem> {
    let asked: Wanted = query(&uri)?;
    let mut filter = TokenFilter::default();
    filter.id = word_if::<AgentId>("id", asked.id.as_deref())?;
    filter.role = word_if::<Role>("role", asked.role.as_deref())?;
    filter.live_only = asked.live.unwrap_or(false);
    let paging = Paging::new(asked.limit, asked.cursor);
    let page = service.tokens().list(&filter, paging.cursor()?.as_ref(), paging.limit()?).await;
    Ok(Json(page.map_err(|error| Problem::of(&error))?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wish {
    id: String,
    role: String,
    #[serde(default)]
    trust: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    ttl_seconds: Option<u64>,
}

pub(crate) async fn create(
    State(service): State<Service>,
    asker: Asker,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let asked: Wish = body(&bytes)?;
    let mut new = NewToken::new(word::<AgentId>("id", &asked.id)?, word::<Role>("role", &asked.role)?);
    new.trust = word_if::<TrustLevel>("trust", asked.trust.as_deref())?.unwrap_or_default();
    new.owner = word_if::<OwnerId>("owner", asked.owner.as_deref())?;
    new.ttl = asked.ttl_seconds.map(Duration::from_secs);
    let made =
        service.tokens().create(&asker.who.actor(), &new).await.map_err(|error| Problem::of(&error))?;
    let mut shown = view::json(&made.info);
    if let serde_json::Value::Object(members) = &mut shown {
        members.insert("token".to_owned(), made.token.expose().into());
    }
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Why {
    reason: Option<String>,
}

pub(crate) async fn revoke(
    State(service): State<Service>,
    asker: Asker,
    Segment(id): Segment,
    uri: Uri,
) -> Result<Response, Problem> {
    let id: TokenId = word("id", &id)?;
    let asked: Why = query(&uri)?;
    let why = Note::new(asked.reason.as_deref().unwrap_or("revoked")).map_err(|error| Problem::of(&error))?;
    let info =
        service.tokens().revoke(&asker.who.actor(), id, &why).await.map_err(|error| Problem::of(&error))?;
    Ok(Json(info).into_response())
}
