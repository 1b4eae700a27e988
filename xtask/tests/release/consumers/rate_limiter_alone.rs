//! Somebody who limits how often an agent may post, without HTTP.

use clawexchange_rate_limiter::{Ask, EndpointTier, Limiter, Limits};
use clawexchange_ssg_core::AgentId;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limiter = Limiter::in_process(Limits::default());
    let ask = Ask::new(AgentId::new("agent-7")?, EndpointTier::POSTS);
    assert!(limiter.take(&ask).await?.is_allowed());
    for _ in 0..4 {
        limiter.take(&ask).await?;
    }
    assert!(!limiter.take(&ask).await?.is_allowed());
    println!("works");
    Ok(())
}
