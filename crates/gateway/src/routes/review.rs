//! `/v1/queue` and `/v1/quarantine`: claims, decisions, reveals, timelines.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use clawexchange_audit::Query;
use clawexchange_moderation::{Decision, HumanVerb};
use clawexchange_quarantine::{Claim, Filter, Note, Reason, Status};
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{AgentId, OwnerId, QuarantineId, RiskTier, SourceId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::identity::Asker;
use crate::routes::query::{Paging, Segment, body, query, word, word_if};
use crate::service::Service;
use crate::view;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    status: Option<String>,
    tier: Option<String>,
    agent: Option<String>,
    owner: Option<String>,
    source: Option<String>,
    limit: Option<u64>,
    cursor: Option<String>,
}

impl Wanted {
    fn filter(&self) -> Result<Filter, Problem> {
        let mut filter = Filter::default();
        filter.status = word_if::<Status>("status", self.status.as_deref())?;
        filter.tier = word_if::<RiskTier>("tier", self.tier.as_deref())?;
        filter.agent = word_if::<AgentId>("agent", self.agent.as_deref())?;
        filter.owner = word_if::<OwnerId>("owner", self.owner.as_deref())?;
        filter.source = word_if::<SourceId>("source", self.source.as_deref())?;
        Ok(filter)
    }
}

pub(crate) async fn queue(State(service): State<Service>, _: Asker, uri: Uri) -> Result<Response, Problem> {
    let wanted: Wanted = query(&uri)?;
    let filter = wanted.filter()?;
    let paging = Paging::new(wanted.limit, wanted.cursor);
    let page = service.vault().list(&filter, paging.cursor()?.as_ref(), paging.limit()?).await;
    Ok(Json(page.map_err(|error| Problem::of(&error))?).into_response())
}

pub(crate) async fn next(
    State(service): State<Service>,
    asker: Asker,
    uri: Uri,
) -> Result<Response, Problem> {
    let wanted: Wanted = query(&uri)?;
    let claim = service.desk().claim_next(&asker.who, &wanted.filter()?, lease(&service)).await;
    match claim.map_err(|error| Problem::of(&error))? {
        Some(claim) => Ok(Json(claimed(&claim)).into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

fn lease(service: &Service) -> Duration {
    service.parts().settings().moderation.claim
}

fn claimed(claim: &Claim) -> Value {
    json!({"record": claim.record, "fence": claim.fence, "leaseUntil": claim.until})
}

pub(crate) async fn show(
    State(service): State<Service>,
    _: Asker,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let id: QuarantineId = word("id", &id)?;
    let record = service.vault().show(id).await.map_err(|error| Problem::of(&error))?;
    let is_held = service.vault().is_under_legal_hold(id).await.map_err(|error| Problem::of(&error))?;
    let mut shown = view::json(&record);
    if let Value::Object(members) = &mut shown {
        members.insert("legalHold".to_owned(), is_held.into());
    }
    Ok(Json(shown).into_response())
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Pages {
    limit: Option<u64>,
    cursor: Option<String>,
}

pub(crate) async fn timeline(
    State(service): State<Service>,
    _: Asker,
    Segment(id): Segment,
    uri: Uri,
) -> Result<Response, Problem> {
    let id: QuarantineId = word("id", &id)?;
    let asked: Pages = query(&uri)?;
    let paging = Paging::new(asked.limit, asked.cursor);
    service.vault().show(id).await.map_err(|error| Problem::of(&error))?;
    service.log().drain_outbox().await.map_err(|error| Problem::of(&error))?;
    let mut wanted = Query::default();
    wanted.target = Some(id.to_string());
    let page = service.log().query(&wanted, paging.cursor()?.as_ref(), paging.limit()?).await;
    Ok(Json(page.map_err(|error| Problem::of(&error))?).into_response())
}

pub(crate) async fn claim(
    State(service): State<Service>,
    asker: Asker,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let id: QuarantineId = word("id", &id)?;
    let claim =
        service.desk().claim(&asker.who, id, lease(&service)).await.map_err(|error| Problem::of(&error))?;
    Ok(Json(claimed(&claim)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fenced {
    fence: u64,
}

pub(crate) async fn unclaim(
    State(service): State<Service>,
    asker: Asker,
    Segment(id): Segment,
    uri: Uri,
) -> Result<Response, Problem> {
    let id: QuarantineId = word("id", &id)?;
    let asked: Fenced = query(&uri)?;
    service.desk().unclaim(&asker.who, id, asked.fence).await.map_err(|error| Problem::of(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    action: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    notes: Option<String>,
    #[serde(default)]
    fence: Option<u64>,
}

pub(crate) async fn decide(
    State(service): State<Service>,
    asker: Asker,
    Segment(id): Segment,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let id: QuarantineId = word("id", &id)?;
    let asked: Decided = body(&bytes)?;
    let notes = note(asked.notes.as_deref())?;
    let record = if asked.action == "restore" {
        let why = notes.ok_or_else(|| missing("notes"))?;
        service.desk().restore(&asker.who, id, &why).await
    } else {
        let mut decision = Decision::new(word::<HumanVerb>("action", &asked.action)?);
        decision.reason = word_if::<Reason>("reason", asked.reason.as_deref())?;
        decision.notes = notes;
        service.desk().decide(&asker.who, id, asked.fence, &decision).await
    };
    let record = record.map_err(|error| Problem::of(&error))?;
    service.pipeline().heed_decision().await;
    Ok(Json(record).into_response())
}

fn missing(member: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "gateway/bad-body", "the body cannot be read")
        .detailed(format!("`{member}` is missing"))
}

fn note(text: Option<&str>) -> Result<Option<Note>, Problem> {
    text.map(Note::new).transpose().map_err(|error| Problem::of(&error))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Purpose {
    purpose: String,
}

pub(crate) async fn reveal(
    State(service): State<Service>,
    asker: Asker,
    Segment(id): Segment,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let id: QuarantineId = word("id", &id)?;
    let asked: Purpose = body(&bytes)?;
    let purpose = Note::new(&asked.purpose).map_err(|error| Problem::of(&error))?;
    let grant = service.desk().content_access(&asker.who, id, &purpose).await;
    let grant = grant.map_err(|error| Problem::of(&error))?;
    let shown = json!({
        "id": grant.id, "token": grant.token.expose(), "expiresAt": grant.expires_at,
        "path": format!("/v1/content/{}", grant.token.expose()),
    });
    Ok(Json(shown).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holding {
    reason: String,
    #[serde(default)]
    lift: bool,
}

pub(crate) async fn hold(
    State(service): State<Service>,
    asker: Asker,
    Segment(id): Segment,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let id: QuarantineId = word("id", &id)?;
    let asked: Holding = body(&bytes)?;
    let why = Note::new(&asked.reason).map_err(|error| Problem::of(&error))?;
    let done = if asked.lift {
        service.desk().lift_legal_hold(&asker.who, id, &why).await
    } else {
        service.desk().hold_legally(&asker.who, id, &why).await
    };
    done.map_err(|error| Problem::of(&error))?;
    show(State(service), asker, Segment(id.to_string())).await
}
