//! The original's five moderation routes, with its JSON.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use clawexchange_moderation::{
    BotAction, BotVerb, Confidence, HumanAction, HumanVerb, ListQuery, QueueQuery,
};
use clawexchange_quarantine::{Note, Reason, Status};
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{QuarantineId, RiskTier};
use serde::Deserialize;
use serde_json::json;

use crate::identity::{Asker, IsHttps};
use crate::routes::query::{body, query, word, word_if};
use crate::service::Service;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Paging {
    status: Option<String>,
    tier: Option<String>,
    offset: Option<u64>,
    limit: Option<u64>,
}

pub(crate) async fn bot_queue(
    State(service): State<Service>,
    asker: Asker,
    uri: Uri,
) -> Result<Response, Problem> {
    let asked: Paging = query(&uri)?;
    let mut wanted = QueueQuery::default();
    wanted.tier = word_if::<RiskTier>("tier", asked.tier.as_deref())?;
    wanted.offset = asked.offset.unwrap_or(0);
    wanted.limit = asked.limit;
    let page = service.desk().bot_queue(&asker.who, &wanted).await.map_err(|error| Problem::of(&error))?;
    Ok(Json(page).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BotRequest {
    quarantine_id: String,
    action: String,
    confidence: f64,
    reason: String,
}

pub(crate) async fn bot_action(
    State(service): State<Service>,
    asker: Asker,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let asked: BotRequest = body(&bytes)?;
    let action = BotAction::new(
        word::<QuarantineId>("quarantineId", &asked.quarantine_id)?,
        word::<BotVerb>("action", &asked.action)?,
        Confidence::new(asked.confidence).map_err(|error| Problem::of(&error))?,
        word::<Reason>("reason", &asked.reason)?,
    );
    let done = service.desk().bot_act(&asker.who, &action).await.map_err(|error| Problem::of(&error))?;
    service.pipeline().heed_decision().await;
    Ok(Json(done).into_response())
}

pub(crate) async fn human_list(
    State(service): State<Service>,
    asker: Asker,
    uri: Uri,
) -> Result<Response, Problem> {
    let asked: Paging = query(&uri)?;
    let mut wanted = ListQuery::default();
    wanted.status = word_if::<Status>("status", asked.status.as_deref())?;
    wanted.tier = word_if::<RiskTier>("tier", asked.tier.as_deref())?;
    wanted.offset = asked.offset.unwrap_or(0);
    wanted.limit = asked.limit;
    let page = service.desk().human_list(&asker.who, &wanted).await.map_err(|error| Problem::of(&error))?;
    Ok(Json(page).into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessRequest {
    quarantine_id: String,
    #[serde(default)]
    purpose: Option<String>,
}

/// What the log says where the caller, written for the original, says nothing.
const USUAL_PURPOSE: &str = "review";

pub(crate) async fn content_access(
    State(service): State<Service>,
    asker: Asker,
    Extension(is_https): Extension<IsHttps>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let asked: AccessRequest = body(&bytes)?;
    let id: QuarantineId = word("quarantineId", &asked.quarantine_id)?;
    let purpose =
        Note::new(asked.purpose.as_deref().unwrap_or(USUAL_PURPOSE)).map_err(|error| Problem::of(&error))?;
    let grant =
        service.desk().content_access(&asker.who, id, &purpose).await.map_err(|error| Problem::of(&error))?;
    let url = format!("{}/v1/content/{}", base(&service, is_https, &headers), grant.token.expose());
    Ok(Json(json!({"signedUrl": url, "expiresAt": grant.expires_at})).into_response())
}

/// Where this listener is, as the caller wrote it; only host and port, of harmless characters.
fn base(service: &Service, is_https: IsHttps, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).filter(|host| {
        (1..=255).contains(&host.len())
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'[' | b']'))
    });
    let scheme = if is_https.0 { "https" } else { "http" };
    match host {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", service.parts().settings().listen),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HumanRequest {
    quarantine_id: String,
    action: String,
    #[serde(default)]
    notes: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

pub(crate) async fn human_action(
    State(service): State<Service>,
    asker: Asker,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let asked: HumanRequest = body(&bytes)?;
    let mut action = HumanAction::new(
        word::<QuarantineId>("quarantineId", &asked.quarantine_id)?,
        word::<HumanVerb>("action", &asked.action)?,
    );
    action.notes = asked.notes.as_deref().map(Note::new).transpose().map_err(|error| Problem::of(&error))?;
    action.reason = word_if::<Reason>("reason", asked.reason.as_deref())?;
    let done = service.desk().human_act(&asker.who, &action).await.map_err(|error| Problem::of(&error))?;
    service.pipeline().heed_decision().await;
    Ok((StatusCode::OK, Json(done)).into_response())
}
