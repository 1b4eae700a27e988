//! `/v1/limits/{agent}`: how an agent stands.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use clawexchange_moderation::Role;
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{AgentId, OwnerId, TrustLevel};
use serde::Deserialize;

use crate::identity::Asker;
use crate::routes::query::{Segment, query, word, word_if};
use crate::service::Service;
use crate::view;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    trust: Option<String>,
    owner: Option<String>,
}

pub(crate) async fn status(
    State(service): State<Service>,
    asker: Asker,
    Segment(agent): Segment,
    uri: Uri,
) -> Result<Response, Problem> {
    let agent: AgentId = word("agent", &agent)?;
    let asked: Asked = query(&uri)?;
    let (mut trust, mut owner) = (
        word_if::<TrustLevel>("trust", asked.trust.as_deref())?.unwrap_or_default(),
        word_if::<OwnerId>("owner", asked.owner.as_deref())?,
    );
    if asker.who.role == Role::Agent {
        // Its own alone, and as its token has it.
        if agent != asker.who.id {
            let title = "an agent may ask for itself alone";
            return Err(Problem::new(StatusCode::FORBIDDEN, "gateway/speaks-for-itself", title));
        }
        (trust, owner) = (asker.who.trust, asker.who.owner.clone());
    }
    let status = service.limiter().status(&agent, trust, owner.as_ref()).await;
    let status = status.map_err(|error| Problem::of(&error))?;
    Ok(Json(view::limits_json(&agent, trust, &status)).into_response())
}
