//! A board whose posts are inspected before its handler sees them.
//!
//! `cargo run --example axum_app --features http,testing`, then
//! `curl -i localhost:3000/posts -H 'content-type: application/json' -d '{"text":"flag-block"}'`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use axum::{Extension, Router, routing::post};
use clawexchange_ssg_core::http::{GateLayer, Inspected};
use clawexchange_ssg_core::testing::{ManualClock, MemoryPorts, word_inspector};
use clawexchange_ssg_core::{AgentId, Caller, Gate};

#[derive(serde::Deserialize)]
struct Post {
    text: String,
}

/// Runs for content that is passed on, and for nothing else.
async fn publish(post: Inspected<Post>) -> String {
    let verdict = post.inspection().verdict;
    format!("{verdict}: {}\n", post.into_inner().text)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In memory, and with a plugin that knows four words: yours are quarantine, log and detectors.
    let ports = MemoryPorts::new();
    let gate = Gate::new(word_inspector(ManualClock::default()), ports.clone(), ports);
    let caller = Caller::new(AgentId::new("agent-1")?);
    let app = Router::new()
        .route("/posts", post(publish))
        .layer(GateLayer::new(gate).locating(|i| format!("/submissions/{}", i.inspection_id)))
        .layer(Extension(caller));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on {}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
