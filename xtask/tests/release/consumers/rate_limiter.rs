//! Somebody who limits how often an agent may post, in an application on axum.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use clawexchange_rate_limiter::http::RateLimitLayer;
use clawexchange_rate_limiter::{EndpointTier, Limiter, Limits};
use clawexchange_ssg_core::{AgentId, Caller};
use tower::ServiceExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limiter = Limiter::in_process(Limits::default());
    let layer = RateLimitLayer::new(limiter, EndpointTier::POSTS);
    let app = Router::new().route("/posts", post(async || "posted")).layer(layer);
    let caller = Caller::new(AgentId::new("agent-7")?);
    let mut answers = Vec::new();
    for _ in 0..5 {
        let request = Request::post("/posts").extension(caller.clone()).body(Body::empty())?;
        answers.push(app.clone().oneshot(request).await?.status());
    }
    assert_eq!(answers.first(), Some(&StatusCode::OK));
    assert_eq!(answers.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
    println!("works");
    Ok(())
}
