//! The routes of the original's example application, with its answers: a program written for it needs a base URL and
//! an `Authorization` header.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use clawexchange_moderation::Role;
use clawexchange_rate_limiter::http as limits;
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{Assessment, Clock as _, ContentEnvelope, Match, SystemClock, Verdict};
use serde_json::{Map, Value, json};

use crate::identity::Asker;
use crate::pipeline::{Decided, Submitted};
use crate::routes::{inspect as judged, submit};
use crate::service::Service;
use crate::view::{self, categories_of};

pub(crate) async fn health() -> Response {
    Json(json!({"status": "healthy"})).into_response()
}

pub(crate) async fn posts(
    State(service): State<Service>,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Problem> {
    // A platform that does not say for whom it posts, posts for itself: the original knew no agents here.
    let (submission, trust) = submit::read(&service, &asker, &body, Some(&asker.who.id))?;
    let title = title_of(&submission.content);
    let (work, is_agent) = (service.begin_work(asker.place.clone()), asker.who.role == Role::Agent);
    // A task of its own, as everywhere: what was charged is judged though the caller goes away.
    let task = tokio::spawn(async move {
        let done = submit::pass_through(&service, submission, trust, None).await;
        drop(work);
        done
    });
    match task.await.ok().ok_or_else(submit::stopped)? {
        Ok(Submitted::Decided(decided)) => Ok(answer(&decided, title, is_agent)),
        Ok(Submitted::Limited(limited)) => {
            Ok(limits::refusal(&limited.error, limited.limits.as_ref(), SystemClock::new().now()))
        }
        Err(error) => Err(submit::not_passed_on(&error)),
    }
}

fn title_of(content: &ContentEnvelope) -> Option<String> {
    content
        .fields()
        .find(|field| field.pointer == "/title" && !field.in_key)
        .map(|field| field.text.to_owned())
}

/// The original's answers. An agent is told no more than it is elsewhere: neither tier nor labels.
fn answer(decided: &Decided, title: Option<String>, is_agent: bool) -> Response {
    let assessment = &decided.outcome.assessment;
    let inspection = assessment.inspection();
    let mut said = Map::new();
    let mut say = |name: &str, value: Value| said.insert(name.to_owned(), value);
    say("inspectionId", json!(inspection.inspection_id));
    if is_agent {
        say("categories", json!(categories_of(assessment)));
    } else {
        say("tier", json!(inspection.tier));
        if inspection.verdict != Verdict::Pass {
            say("labels", json!(inspection.labels));
        }
    }
    if let Some(would_be) = inspection.would_be {
        say("wouldBe", json!(would_be));
    }
    if let Some(id) = inspection.quarantine_id {
        say("quarantineId", json!(id));
    }
    let mut response = match inspection.verdict {
        Verdict::Pass | Verdict::Warn => {
            let is_warned = inspection.verdict == Verdict::Warn;
            say("message", if is_warned { "Post created with warnings" } else { "Post created" }.into());
            say("data", json!({ "title": title }));
            // What is to be published is what was left, and not what was sent.
            if let Some(sanitized) = &inspection.sanitized {
                say("data", json!({ "title": title_of(sanitized.content()) }));
                say("sanitized", json!(sanitized));
            }
            (StatusCode::CREATED, Json(said)).into_response()
        }
        Verdict::Quarantine if decided.outcome.is_held => {
            say("message", "Content held for review".into());
            (StatusCode::ACCEPTED, Json(said)).into_response()
        }
        verdict => {
            let code = if verdict == Verdict::Block { submit::BLOCKED } else { submit::NOT_HELD };
            let problem = Problem::new(StatusCode::FORBIDDEN, code, "Content blocked by security policy");
            submit::with_members(problem, said.into()).into_response()
        }
    };
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
    let mut value = view::json(inspection);
    if let Value::Object(members) = &mut value {
        members.insert("pluginResults".to_owned(), results.into());
    }
    value
}
