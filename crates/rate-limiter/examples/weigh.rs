//! What an agent weighs in memory when it has used up its limits in all three tiers.
//!
//! `cargo run --release --example weigh -- 10000`: so many agents, each with an owner of its own if a second argument
//! is given. Prints resident bytes per agent, read from `/proc/self/statm`.
#![expect(clippy::print_stdout, reason = "it is a command")]

use std::time::Duration;

use clawexchange_rate_limiter::{Ask, EndpointTier, Limits, MemoryConfig, MemoryStore};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{AgentId, OwnerId, TrustLevel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let agents: u64 = args.next().as_deref().unwrap_or("10000").parse()?;
    let with_owners = args.next().is_some();
    let clock = ManualClock::default();
    let store = MemoryStore::new(MemoryConfig::default(), clock.clone());
    let limits = Limits::default();
    let mut asks = Vec::new();
    for i in 0..agents {
        let owner = with_owners.then(|| OwnerId::new(format!("owner-{i:06}"))).transpose()?;
        let agent = AgentId::new(format!("agent-{i:06}"))?;
        for tier in [EndpointTier::POSTS, EndpointTier::COMMENTS, EndpointTier::MESSAGES] {
            asks.push(Ask::new(agent.clone(), tier).of_owner(owner.clone()).trusted(TrustLevel::Established));
        }
    }
    let before = resident_bytes()?;
    let mut units = 0_u64;
    for _ in 0..12 {
        for ask in &asks {
            while store.take_now(ask, &limits)?.is_allowed() {
                units += 1;
            }
        }
        clock.advance(Duration::from_mins(1));
    }
    let after = resident_bytes()?;
    let each = after.saturating_sub(before) / agents;
    println!("{agents} agents, {} units each, {each} bytes an agent", units / agents);
    Ok(())
}

fn resident_bytes() -> Result<u64, Box<dyn std::error::Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split_whitespace().nth(1).ok_or("no resident pages")?.parse()?;
    Ok(pages * 4_096)
}
