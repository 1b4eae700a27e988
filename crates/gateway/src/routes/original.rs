//! The routes of the original's example application, with its answers: a program written for it needs a base URL and
//! an `Authorization` header.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use clawexchange_moderation::Act;
use clawexchange_rate_limiter::http as limits;
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{
    Assessment, Clock as _, ContentEnvelope, Match, ReadAs, Received, Submission, SystemClock, TrustLevel,
    Verdict,
};
use serde_json::{Map, Value, json};

use crate::identity::Asker;
use crate::pipeline::{Decided, Submitted};
use crate::routes::{inspect as judged, submit};
use crate::service::Service;

pub(crate) async fn health() -> Response {
    Json(json!({"status": "healthy"})).into_response()
}

/// The sentence of a problem stands in `error` too, where the original's callers look for it.
fn with_error(problem: Problem) -> Problem {
    let sentence = problem.sentence().to_owned();
    problem.with("error", sentence)
}

pub(crate) async fn posts(
    State(service): State<Service>,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    let (submission, trust) = read(&service, &asker, &body).map_err(with_error)?;
    let title = title_of(&submission.content);
    let work = service.begin_work();
    // A task of its own, as everywhere: what was charged is judged though the caller goes away.
    let task = tokio::spawn(async move {
        let done = submit::pass_through(&service, submission, trust, None).await;
        drop(work);
        done
    });
    let Ok(done) = task.await else {
        let stopped = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "gateway/stopped",
            "the service stopped before it was done",
        );
        return Err(with_error(stopped));
    };
    match done {
        Ok(Submitted::Decided(decided)) => Ok(answer(&decided, title)),
        Ok(Submitted::Limited(limited)) => {
            Ok(limits::refusal(&limited.error, limited.limits.as_ref(), SystemClock::new().now()))
        }
        Err(error) => Err(with_error(Problem::of(&error))),
    }
}

/// A platform that does not say for whom it posts, posts for itself: the original knew no agents here.
fn read(service: &Service, asker: &Asker, body: &[u8]) -> Result<(Submission, TrustLevel), Problem> {
    let settings = service.parts().settings();
    if asker.who.may(Act::SpeakForOthers) {
        let received = Received::read(body, ReadAs::Submission, &settings.bounds)
            .map_err(|error| Problem::of(&error))?;
        if received.attribution.agent.is_none() {
            let mut submission =
                Submission::attributed(received.content, asker.who.id.clone(), &received.attribution);
            submission.request.clone_from(&asker.request);
            return Ok((submission, received.attribution.trust.unwrap_or_default()));
        }
    }
    submit::read(service, asker, body)
}

fn title_of(content: &ContentEnvelope) -> Option<String> {
    content
        .fields()
        .find(|field| field.pointer == "/title" && !field.in_key)
        .map(|field| field.text.to_owned())
}

fn answer(decided: &Decided, title: Option<String>) -> Response {
    let inspection = decided.outcome.assessment.inspection();
    let mut said = Map::new();
    let mut say = |name: &str, value: Value| said.insert(name.to_owned(), value);
    say("tier", json!(inspection.tier));
    say("inspectionId", json!(inspection.inspection_id));
    let (status, message) = match inspection.verdict {
        Verdict::Pass => (StatusCode::CREATED, "Post created"),
        Verdict::Warn => (StatusCode::CREATED, "Post created with warnings"),
        Verdict::Quarantine if decided.outcome.is_held => (StatusCode::ACCEPTED, "Content held for review"),
        Verdict::Quarantine | Verdict::Block => (StatusCode::FORBIDDEN, "Content blocked by security policy"),
    };
    say(if status == StatusCode::FORBIDDEN { "error" } else { "message" }, message.into());
    if inspection.verdict != Verdict::Pass {
        say("labels", json!(inspection.labels));
    }
    if status == StatusCode::CREATED {
        say("data", json!({ "title": title }));
    }
    if let Some(id) = inspection.quarantine_id {
        say("quarantineId", json!(id));
    }
    let mut response = (status, Json(said)).into_response();
    if let Some(limits) = &decided.limits {
        response.headers_mut().extend(limits::headers(limits, SystemClock::new().now()));
    }
    response
}

pub(crate) async fn inspect(
    State(service): State<Service>,
    asker: Asker,
    body: Bytes,
) -> Result<Response, judged::Refusal> {
    let (assessment, headers) = judged::judge(&service, &asker, &body).await?;
    Ok((headers, Json(as_the_original(&assessment))).into_response())
}

/// The result with what the original had: `pluginResults`, though never with a score.
fn as_the_original(assessment: &Assessment) -> Value {
    let inspection = assessment.inspection();
    let mut plugins: Vec<(&str, Vec<&Match>)> = Vec::new();
    for found in &inspection.matches {
        match plugins.iter_mut().find(|(id, _)| *id == found.plugin) {
            Some((_, matches)) => matches.push(found),
            None => plugins.push((&found.plugin, vec![found])),
        }
    }
    let results: Vec<Value> = plugins
        .into_iter()
        .map(|(id, matches)| json!({"pluginId": id, "result": {"labels": [], "matches": matches, "summary": {}}}))
        .collect();
    let mut value = crate::view::json(inspection);
    if let Value::Object(members) = &mut value {
        members.insert("pluginResults".to_owned(), results.into());
    }
    value
}
