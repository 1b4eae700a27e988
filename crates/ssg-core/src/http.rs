//! The gate in front of an application's handlers: a layer, what handlers take from it, and how faults are answered.
//!
//! [`GateLayer`] reads the body of a request strictly, submits it, and lets the handler run for content that is
//! passed on. The handler takes [`Inspected`], which is read from the very text that was judged: behind the layer a
//! request has no body any more, so there is nothing else to read. Without the layer the extractor refuses.
//!
//! Only bodies are inspected: paths, queries and headers are the application's own business.
//!
//! ```
//! use axum::{Extension, Router, routing::post};
//! use clawexchange_ssg_core::http::{GateLayer, Inspected};
//! use clawexchange_ssg_core::testing::{ManualClock, MemoryPorts, word_inspector};
//! use clawexchange_ssg_core::{AgentId, Caller, Gate};
//!
//! #[derive(serde::Deserialize)]
//! struct Post {
//!     text: String,
//! }
//!
//! async fn publish(post: Inspected<Post>) -> String {
//!     post.into_inner().text
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ports = MemoryPorts::new();
//! let gate = Gate::new(word_inspector(ManualClock::default()), ports.clone(), ports);
//! let app: Router = Router::new()
//!     .route("/posts", post(publish))
//!     .layer(GateLayer::new(gate))
//!     // An application's own authentication says who is calling; here everybody is agent-1.
//!     .layer(Extension(Caller::new(AgentId::new("agent-1")?)));
//! # let _: Router = app;
//! # Ok(())
//! # }
//! ```

mod body;
mod extract;
mod layer;
mod problem;

pub use body::{ReadError, read_body};
pub use extract::{Inspected, Judged, Refusal};
pub use layer::{EveryVerdict, GateLayer, GateService, PassedOn};
pub use problem::{Problem, status_of};
