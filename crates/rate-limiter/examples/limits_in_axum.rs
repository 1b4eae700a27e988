//! A route that each agent may use ten times an hour and three times a minute.
//!
//! `cargo run -p clawexchange-rate-limiter --example axum_app --features http`, and then
//! `curl -i -X POST -H 'x-agent: agent-7' http://127.0.0.1:3000/posts`

use axum::{Router, extract::Request, middleware::Next, response::Response, routing::post};
use clawexchange_rate_limiter::http::RateLimitLayer;
use clawexchange_rate_limiter::{EndpointTier, Limiter, Limits};
use clawexchange_ssg_core::{AgentId, Caller, TrustLevel};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limiter = Limiter::in_process(Limits::default());
    let app = Router::new()
        .route("/posts", post(async || "posted\n"))
        .layer(RateLimitLayer::new(limiter, EndpointTier::POSTS))
        .layer(axum::middleware::from_fn(who));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}

/// Stands for the application's own authentication, which alone knows who speaks.
async fn who(mut request: Request, next: Next) -> Response {
    let named = request.headers().get("x-agent").and_then(|name| name.to_str().ok());
    if let Some(agent) = named.and_then(|name| AgentId::new(name).ok()) {
        let mut caller = Caller::new(agent);
        caller.trust = TrustLevel::Established;
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}
