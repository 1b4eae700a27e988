//! `/v1/inspect`: judged, and nothing else.

use std::fmt;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use clawexchange_rate_limiter::{Ask, http as limits};
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{
    Assessment, Clock as _, ContentEnvelope, ContentError, Fault, ReadAs, Received, SystemClock, TrustLevel,
};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::identity::Asker;
use crate::policy::INSPECT_UNIT_BYTES;
use crate::service::Service;
use crate::settings::Settings;
use crate::view;

/// Items of a batch at most.
const ITEMS_MAX: usize = 100;

/// An answer that says no.
#[derive(Debug)]
pub(crate) struct Refusal(Response);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem.into_response())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0
    }
}

pub(crate) async fn inspect(
    State(service): State<Service>,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (assessment, headers) = judge(&service, &asker, &body).await?;
    Ok((headers, Json(view::json(assessment.inspection()))).into_response())
}

/// Charges the bytes, reads the content and judges it.
pub(crate) async fn judge(
    service: &Service,
    asker: &Asker,
    body: &[u8],
) -> Result<(Assessment, HeaderMap), Refusal> {
    let content = read(service.parts().settings(), body).map_err(|error| Problem::of(&error))?;
    let headers = charge(service, asker, body.len()).await?;
    Ok((service.pipeline().inspector().inspect(&content).await, headers))
}

pub(crate) async fn batch(
    State(service): State<Service>,
    asker: Asker,
    body: Bytes,
) -> Result<Response, Refusal> {
    let items = items(&body)?;
    let headers = charge(&service, &asker, body.len()).await?;
    let mut judged = Vec::with_capacity(items.len());
    for item in items {
        judged.push(match read(service.parts().settings(), item.get().as_bytes()) {
            Ok(content) => view::json(service.pipeline().inspector().inspect(&content).await.inspection()),
            Err(error) => failed(&error),
        });
    }
    Ok((headers, Json(json!({ "items": judged }))).into_response())
}

fn read(settings: &Settings, json: &[u8]) -> Result<ContentEnvelope, ContentError> {
    Ok(Received::read(json, ReadAs::Submission, &settings.bounds)?.content)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow, deserialize_with = "at_most_items")]
    items: Vec<&'a RawValue>,
}

/// Reads one more than there may be and no further: the smallest items are so small that a list of all of them would
/// take several times the memory of the body.
fn at_most_items<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<&'de RawValue>, D::Error> {
    struct Items;

    impl<'de> Visitor<'de> for Items {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of contents")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = list.next_element::<&RawValue>()? {
                if items.len() == ITEMS_MAX {
                    return Err(A::Error::custom("too many items"));
                }
                items.push(item);
            }
            Ok(items)
        }
    }

    from.deserialize_seq(Items)
}

fn items(body: &[u8]) -> Result<Vec<&RawValue>, Problem> {
    let bad = |why: String| {
        Problem::new(StatusCode::BAD_REQUEST, "gateway/bad-batch", "the batch cannot be read").detailed(why)
    };
    let text =
        std::str::from_utf8(body).map_err(|e| Problem::of(&ContentError::NotUtf8 { at: e.valid_up_to() }))?;
    let batch: Batch<'_> = serde_json::from_str(text).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        bad(format!(
            "line {line}, column {column}: it must be {{\"items\":[…]}}, with 1 to {ITEMS_MAX} of them"
        ))
    })?;
    if batch.items.is_empty() {
        Err(bad("a batch has at least one item".to_owned()))
    } else {
        Ok(batch.items)
    }
}

fn failed(error: &ContentError) -> Value {
    json!({"error": {"code": error.code(), "message": error.to_string(), "hint": error.hint()}})
}

/// Charges bytes to whoever asks, and gives the headers that say so; the refusal is an answer.
async fn charge(service: &Service, asker: &Asker, bytes: usize) -> Result<HeaderMap, Refusal> {
    let problem = |fault: &dyn Fault| Refusal(Problem::of(fault).into_response());
    let units = u32::try_from(bytes.div_ceil(INSPECT_UNIT_BYTES).max(1)).unwrap_or(u32::MAX);
    let tier = Settings::inspect_tier().map_err(|error| problem(&error))?;
    let ask = Ask::new(asker.who.id.clone(), tier).trusted(TrustLevel::Established).costing(units);
    let decision = service.inspect_limiter().take(&ask).await.map_err(|error| problem(&error))?;
    let (now, status) = (SystemClock::new().now(), decision.status().clone());
    match decision.into_permit() {
        Ok(_permit) => Ok(limits::headers(&status, now)),
        Err(error) => Err(Refusal(limits::refusal(&error, Some(&status), now))),
    }
}
