//! `/v1/submit`, and what became of it.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use clawexchange_moderation::{Act, Principal, Role};
use clawexchange_rate_limiter::{TierStatus, http as limits};
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{
    AgentId, Attribution, Clock as _, Fault as _, FaultKind, InspectionId, ReadAs, Received, Submission,
    SystemClock, TrustLevel, Verdict,
};

use crate::error::PartsError;
use crate::idempotent::{self, Before, Keyed, Start};
use crate::identity::Asker;
use crate::pipeline::{Charge, Decided, Submitted};
use crate::refusals::Refused;
use crate::routes::query::{Segment, word};
use crate::service::Service;
use crate::view::{self, AgentView};

pub(crate) const PATH: &str = "/v1/submit";

pub(crate) async fn submit(
    State(service): State<Service>,
    asker: Asker,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let (submission, trust) = read(&service, &asker, &body, None)?;
    let keyed = match idempotent::start(&service, &headers, &asker.who, PATH, &body).await? {
        Start::Plain => None,
        Start::Keyed(keyed) => Some(keyed),
        Start::Answered(status, answer) => return said_before(status, answer),
    };
    // A task of its own: what was charged is judged, and the answer is kept, though the caller goes away.
    let work = service.begin_work(asker.place.clone());
    let task = tokio::spawn(async move {
        let answer = carry_out(&service, &asker.who, submission, trust, keyed).await;
        drop(work);
        answer
    });
    task.await.unwrap_or_else(|_| Err(stopped()))
}

/// Its task ended without an answer.
pub(crate) fn stopped() -> Problem {
    let title = "the service stopped before it was done";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "gateway/stopped", title)
}

async fn carry_out(
    service: &Service,
    who: &Principal,
    submission: Submission,
    trust: TrustLevel,
    keyed: Option<Keyed>,
) -> Result<Response, Problem> {
    match pass_through(service, submission, trust, keyed.as_ref()).await {
        Ok(Submitted::Decided(decided)) => {
            let (status, answer) = answer_of(who, &decided);
            if let Some(keyed) = keyed {
                keyed.finish(service, status, answer.to_string().as_bytes()).await;
            }
            Ok(response(status, answer.to_string().into_bytes(), decided.limits.as_ref()))
        }
        Ok(Submitted::Limited(limited)) => {
            if let Some(keyed) = keyed {
                keyed.forget(service).await;
            }
            Ok(limits::refusal(&limited.error, limited.limits.as_ref(), SystemClock::new().now()))
        }
        Err(error) => {
            // What may have been half done is found by its names when it is tried again.
            Err(not_passed_on(&error))
        }
    }
}

/// When to come back where undecided content has to be decided first: nobody knows, and people are slow.
const UNTIL_DECIDED: Duration = Duration::from_mins(1);

/// What is said of a submission that failed.
pub(crate) fn not_passed_on(error: &PartsError) -> Problem {
    let problem = Problem::of(error);
    if error.kind() == FaultKind::Limited { problem.retry_after(UNTIL_DECIDED) } else { problem }
}

/// Runs a submission, and notes what is counted.
pub(crate) async fn pass_through(
    service: &Service,
    mut submission: Submission,
    trust: TrustLevel,
    keyed: Option<&Keyed>,
) -> Result<Submitted, PartsError> {
    if let Some(keyed) = keyed {
        submission.inspection = Some(keyed.names.inspection);
        submission.hold = Some(keyed.names.hold);
    }
    let (agent, content_type) = (submission.agent.clone(), submission.content.content_type());
    let started = std::time::Instant::now();
    let done = match keyed.map_or(Before::Never, |keyed| keyed.before) {
        Before::Never => service.pipeline().submit(submission, trust).await,
        Before::Failed => service.pipeline().resume(submission, trust, Charge::Once).await,
        Before::CutShort => service.pipeline().resume(submission, trust, Charge::Made).await,
    };
    let metrics = service.metrics();
    match &done {
        Ok(Submitted::Decided(decided)) => {
            metrics.judged(&decided.outcome.assessment, content_type, started.elapsed());
            let is_degraded = decided.limits.as_ref().is_some_and(|limits| limits.is_degraded);
            let decision = if is_degraded { "degraded" } else { "allowed" };
            metrics.count("claw_limiter_decisions_total", &[("decision", decision)], 1);
            metrics.count("claw_tokens_exposed_total", &[], decided.tokens_revoked);
        }
        Ok(Submitted::Limited(limited)) => {
            metrics.count("claw_limiter_decisions_total", &[("decision", "denied")], 1);
            if let Some(limits) = &limited.limits {
                let tier = limits.tier.as_str().to_owned();
                service.refusals().add(Refused::Limited { agent, tier }, SystemClock::new().now());
            }
        }
        Err(error) => {
            metrics.gate_failed();
            service.refusals().add(Refused::Failed { agent, code: error.code() }, SystemClock::new().now());
            tracing::error!(code = error.code(), "a submission was not passed on");
        }
    }
    done
}

/// Reads a submission as whoever asks may say it; a platform that does not say for which agent, posts for `unsaid`.
pub(crate) fn read(
    service: &Service,
    asker: &Asker,
    body: &[u8],
    unsaid: Option<&AgentId>,
) -> Result<(Submission, TrustLevel), Problem> {
    let settings = service.parts().settings();
    let received =
        Received::read(body, ReadAs::Submission, &settings.bounds).map_err(|error| Problem::of(&error))?;
    settings.accepts(received.content.content_type()).map_err(|error| Problem::of(&error))?;
    let Received { content, attribution: said, .. } = received;
    let who = &asker.who;
    if who.may(Act::SpeakForOthers) {
        let agent = said.agent.as_ref().or(unsaid).cloned();
        let agent = agent.ok_or_else(|| Problem::of(&PartsError::NoAgent))?;
        let mut submission = Submission::attributed(content, agent, &said);
        submission.request.clone_from(&asker.request);
        return Ok((submission, said.trust.unwrap_or_default()));
    }
    if says_who(&said) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "gateway/speaks-for-itself",
            "an agent speaks for itself alone",
        )
        .detailed("agentId, ownerId, trustLevel, sourceId and ip are said by the token, or by a platform"));
    }
    let mut submission = Submission::new(content, who.id.clone());
    submission.owner.clone_from(&who.owner);
    submission.revision_of = said.revision_of;
    submission.ip = asker.ip;
    submission.request.clone_from(&asker.request);
    Ok((submission, who.trust))
}

const fn says_who(said: &Attribution) -> bool {
    said.agent.is_some()
        || said.owner.is_some()
        || said.trust.is_some()
        || said.source.is_some()
        || said.ip.is_some()
}

/// The codes of verdicts that refuse.
pub(crate) const BLOCKED: &str = "ssg-core/blocked";
pub(crate) const NOT_HELD: &str = "ssg-core/not-held";

/// Status and body of a verdict.
fn answer_of(who: &Principal, decided: &Decided) -> (StatusCode, serde_json::Value) {
    let assessment = &decided.outcome.assessment;
    let inspection = assessment.inspection();
    let seen =
        if who.role == Role::Agent { view::json(&AgentView::of(assessment)) } else { view::json(inspection) };
    match inspection.verdict {
        Verdict::Pass | Verdict::Warn => (StatusCode::OK, seen),
        Verdict::Quarantine if inspection.quarantine_id.is_some() => (StatusCode::ACCEPTED, seen),
        Verdict::Quarantine => {
            let problem = Problem::new(
                StatusCode::FORBIDDEN,
                NOT_HELD,
                "the content is not passed on, and nothing is held here",
            );
            (StatusCode::FORBIDDEN, view::json(&with_members(problem, seen)))
        }
        Verdict::Block => {
            let problem = Problem::new(StatusCode::FORBIDDEN, BLOCKED, "the content is refused");
            (StatusCode::FORBIDDEN, view::json(&with_members(problem, seen)))
        }
    }
}

pub(crate) fn with_members(problem: Problem, members: serde_json::Value) -> Problem {
    let serde_json::Value::Object(members) = members else { return problem };
    members.into_iter().fold(problem, |problem, (name, value)| problem.with(&name, value))
}

fn response(status: StatusCode, body: Vec<u8>, limits: Option<&TierStatus>) -> Response {
    let kind = if status == StatusCode::FORBIDDEN { "application/problem+json" } else { "application/json" };
    let location = (status == StatusCode::ACCEPTED).then(|| location(&body)).flatten();
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if let Some(limits) = limits {
        response.headers_mut().extend(limits::headers(limits, SystemClock::new().now()));
    }
    response
}

fn location(body: &[u8]) -> Option<HeaderValue> {
    let said: serde_json::Value = serde_json::from_slice(body).ok()?;
    let id: InspectionId = said.get("inspectionId")?.as_str()?.parse().ok()?;
    HeaderValue::from_str(&format!("/v1/submissions/{id}")).ok()
}

/// The first answer again. It has no limits with it: nothing was charged.
fn said_before(status: u16, answer: Vec<u8>) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(status).ok().ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "gateway/internal",
            "the request could not be answered",
        )
    })?;
    let mut response = response(status, answer, None);
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

pub(crate) async fn status(
    State(service): State<Service>,
    asker: Asker,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let id: InspectionId = word("inspectionId", &id)?;
    let found = service.desk().submission(&asker.who, id).await.map_err(|error| Problem::of(&error))?;
    match found {
        Some(status) => Ok(Json(status).into_response()),
        None => Err(no_submission()),
    }
}

pub(crate) async fn published(
    State(service): State<Service>,
    asker: Asker,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let id: InspectionId = word("inspectionId", &id)?;
    let record = find(&service, &asker, id).await?;
    service.desk().confirm(&asker.who, record).await.map_err(|error| Problem::of(&error))?;
    status(State(service), asker, Segment(id.to_string())).await
}

/// The record of a submission that whoever asks may know of.
pub(crate) async fn find(
    service: &Service,
    asker: &Asker,
    id: InspectionId,
) -> Result<clawexchange_ssg_core::QuarantineId, Problem> {
    let found = service.desk().submission(&asker.who, id).await.map_err(|error| Problem::of(&error))?;
    found.map(|status| status.quarantine_id).ok_or_else(no_submission)
}

fn no_submission() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "gateway/no-submission", "nothing of this id is or was held for you")
}
