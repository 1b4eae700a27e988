//! `claw limits`: how often agents may act.

use clawexchange_database::outbox;
use clawexchange_gateway::Intent;
use clawexchange_rate_limiter::{AgentStatus, EndpointTier, WindowStatus};
use clawexchange_ssg_core::{
    AgentId, AuditEvent, Clock as _, EventKind, OwnerId, SystemClock, Target, TrustLevel,
};
use serde_json::{Value, json};

use crate::args::{Global, LimitsCommand};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(command: &LimitsCommand, global: &Global) -> Result<Exit, CliError> {
    match command {
        LimitsCommand::Show => show(global).await,
        LimitsCommand::Status { agent, trust, owner } => status(agent, *trust, owner.as_ref(), global).await,
        LimitsCommand::Reset { agent, tier } => reset(agent, tier.as_deref(), global).await,
    }
}

async fn show(global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let limits = parts.stored_limits().await?.load().await?;
    let mut rows = output::Rows::new(&["tier", "trust", "per hour", "per minute"]).right(2).right(3);
    let mut items = Vec::new();
    for (tier, _) in limits.quotas() {
        for trust in TrustLevel::ALL {
            let Some(rates) = limits.rates(tier, trust) else { continue };
            let quota = rates.agent(clawexchange_rate_limiter::Penalised::default());
            items.push(json!({"tier": tier.as_str(), "trust": trust, "perHour": quota.per_hour, "perMinute": quota.per_minute}));
            rows.row(&[
                tier.as_str(),
                trust.as_str(),
                &quota.per_hour.to_string(),
                &quota.per_minute.to_string(),
            ]);
        }
    }
    if global.is_json() {
        output::json(&json!({ "items": items }))?;
    } else {
        rows.print()?;
    }
    Ok(Exit::Ok)
}

async fn status(
    agent: &AgentId,
    trust: TrustLevel,
    owner: Option<&OwnerId>,
    global: &Global,
) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let status = parts.limiter_read_only().await?.status(agent, trust, owner).await?;
    if global.is_json() {
        output::json(&as_json(agent, trust, &status))?;
        return Ok(Exit::Ok);
    }
    let mut rows = output::Rows::new(&["tier", "window", "used", "limit", "next frees in"]).right(2).right(3);
    for tier in &status.tiers {
        let mut windows = vec![("hour", tier.hour), ("minute", tier.minute)];
        if let Some(owner) = tier.owner {
            windows.extend([("owner's hour", owner.hour), ("owner's minute", owner.minute)]);
        }
        for (name, w) in windows {
            let frees = w.frees_in.map_or_else(String::new, |d| format!("{} s", d.as_secs_f64().ceil()));
            rows.row(&[tier.tier.as_str(), name, &w.used.to_string(), &w.limit.to_string(), &frees]);
        }
    }
    rows.print()?;
    for (what, until) in [
        ("lowered for something moderate", status.moderate_until),
        ("lowered for something held or blocked", status.high_until),
        ("lowered for repetition", status.repeated_until),
    ] {
        if let Some(until) = until {
            output::line(&format!("{what} until {until}"))?;
        }
    }
    Ok(Exit::Ok)
}

fn as_json(agent: &AgentId, trust: TrustLevel, status: &AgentStatus) -> Value {
    let window = |w: WindowStatus| {
        json!({
            "used": w.used, "limit": w.limit, "remaining": w.remaining(),
            "freesInSeconds": w.frees_in.map(|d| d.as_millis().div_ceil(1000)),
        })
    };
    let tiers: Vec<Value> = status
        .tiers
        .iter()
        .map(|t| {
            let owner = t.owner.map(|o| json!({"hour": window(o.hour), "minute": window(o.minute)}));
            json!({"tier": t.tier.as_str(), "hour": window(t.hour), "minute": window(t.minute), "owner": owner})
        })
        .collect();
    json!({
        "agentId": agent, "trust": trust, "tiers": tiers,
        "penalties": {
            "moderateUntil": status.moderate_until, "highUntil": status.high_until, "repeatedUntil": status.repeated_until,
        },
    })
}

async fn reset(agent: &AgentId, tier: Option<&str>, global: &Global) -> Result<Exit, CliError> {
    let tier = match tier {
        None => None,
        Some(name) => Some(EndpointTier::new(name).map_err(|e| CliError::usage(e.to_string()))?),
    };
    let by = command::actor(global)?;
    let parts = command::parts(global, Intent::Use)?;
    // The lock and the counters are there before the log says that they are reset.
    let limiter = parts.limiter().await?;
    let event = AuditEvent::new(EventKind::LimitReset, by, SystemClock::new().now())
        .on(Target::new("agent", parts.log().await?.alias(agent).await?))
        .with_some("tier", tier.as_ref().map(EndpointTier::as_str))?;
    let db = parts.database().await?;
    let tx = db.begin().await?;
    outbox::put(&tx, &event).await?;
    tx.commit().await?;
    limiter.reset(agent, tier.as_ref()).await?;
    limiter.sync().await?;
    command::finish(&parts).await?;
    if global.is_json() {
        output::json(&json!({"agentId": agent, "tier": tier.as_ref().map(EndpointTier::as_str)}))?;
    } else {
        output::line(&format!("{agent} begins anew"))?;
    }
    Ok(Exit::Ok)
}
