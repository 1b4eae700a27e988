//! Events as a gate writes them.

use clawexchange_ssg_core::{
    Actor, AgentId, AuditEvent, Clock as _, EventId, EventKind, SystemClock, Target,
};

/// One of a post that was passed on, of one of 500 agents.
pub fn event(n: usize) -> AuditEvent {
    let agent = Actor::agent(AgentId::new(format!("agent-{}", n % 500)).unwrap());
    AuditEvent::new(EventKind::SsgPass, agent, SystemClock::new().now())
        .on(Target::new("content", format!("post-{n}")))
        .with("inspectionId", EventId::fresh().to_string())
        .and_then(|e| e.with("requestId", EventId::fresh().to_string()))
        .and_then(|e| e.with("tier", "LOW"))
        .and_then(|e| e.with("labels", vec!["EMAIL", "PII"]))
        .and_then(|e| e.with("contentType", "POST"))
        .and_then(|e| e.with("policy", "claw@0.1.0+0123abcd"))
        .unwrap()
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
