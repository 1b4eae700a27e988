//! `claw limits`: how often agents may act.

use std::sync::Arc;
use std::time::Duration;

use clawexchange_database::{Tx, outbox};
use clawexchange_gateway::{
    FolderError, Intent, Parts, PartsError, Suspended, SuspensionChange, limits_json,
};
use clawexchange_rate_limiter::stored::StoredLimits;
use clawexchange_rate_limiter::{EndpointTier, LimitError, Limits, Override, Quota};
use clawexchange_ssg_core::{
    AgentId, AuditEvent, Clock as _, EventKind, Fault as _, OwnerId, SystemClock, Target, TrustLevel,
};
use serde_json::json;

use crate::args::{Change, Global, LimitsCommand, OverrideArgs};
use crate::command::{simulate, violations};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(command: &LimitsCommand, global: &Global) -> Result<Exit, CliError> {
    match command {
        LimitsCommand::Show => show(global).await,
        LimitsCommand::Status { agent, trust, owner } => status(agent, *trust, owner.as_ref(), global).await,
        LimitsCommand::Reset { agent, tier } => reset(agent, tier.as_deref(), global).await,
        LimitsCommand::Suspend { agent, ttl, reason } => suspend(agent, *ttl, reason, global).await,
        LimitsCommand::Lift { agent } => lift(agent, global).await,
        LimitsCommand::Suspended => suspended(global).await,
        LimitsCommand::Set(args) => set(args.change().ok_or_else(nothing_to_set)?, global).await,
        LimitsCommand::Override(args) => set_override(args, global).await,
        LimitsCommand::Overrides => overrides(global).await,
        LimitsCommand::Simulate(args) => {
            let change = args.set.change().ok_or_else(nothing_to_set)?;
            simulate::run(args, change, global).await
        }
        LimitsCommand::Violations { since } => violations::run(*since, global).await,
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
        output::json(&limits_json(agent, trust, &status))?;
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
    if let Some(suspended) = status.suspended {
        let end = suspended.until.map_or_else(|| "it is lifted".to_owned(), |until| until.to_string());
        output::line(&format!("suspended until {end}"))?;
    }
    for tier in &status.tiers {
        if let Some(until) = tier.overridden_until {
            output::line(&format!("{} by an override until {until}", tier.tier))?;
        }
    }
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

async fn suspend(
    agent: &AgentId,
    ttl: Option<Duration>,
    reason: &str,
    global: &Global,
) -> Result<Exit, CliError> {
    let until = ttl.map(|ttl| SystemClock::new().now().plus(ttl));
    restrict(agent, SuspensionChange::Suspend { until, reason: reason.to_owned() }, global).await?;
    if global.is_json() {
        output::json(&json!({"agentId": agent, "until": until}))?;
    } else {
        let end = until.map_or_else(|| "it is lifted".to_owned(), |until| until.to_string());
        output::line(&format!("{agent} may do nothing until {end}"))?;
    }
    Ok(Exit::Ok)
}

async fn lift(agent: &AgentId, global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let all = Suspended::all(parts.log().await?).await?;
    if !all.iter().any(|suspended| suspended.agent_id == *agent) {
        return Err(PartsError::NotSuspended { agent: agent.clone() }.into());
    }
    restrict(agent, SuspensionChange::Lift, global).await?;
    if global.is_json() {
        output::json(&json!({"agentId": agent}))?;
    } else {
        output::line(&format!("{agent} may act again"))?;
    }
    Ok(Exit::Ok)
}

/// The log is told, from which every server learns; counters that can be reached are told at once.
async fn restrict(agent: &AgentId, change: SuspensionChange, global: &Global) -> Result<(), CliError> {
    let by = command::actor(global)?;
    let parts = command::parts(global, Intent::Use)?;
    let event = change.event(parts.log().await?, by, agent).await?;
    let tx = parts.database().await?.begin().await?;
    outbox::put(&tx, &event).await?;
    tx.commit().await?;
    command::finish(&parts).await?;
    let limiter = match parts.limiter().await {
        Ok(limiter) => limiter,
        // Whoever serves the folder reads the log within a second.
        Err(PartsError::Folder(FolderError::Served { .. })) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let told = match change {
        SuspensionChange::Suspend { until, .. } => limiter.suspend(agent, until).await,
        SuspensionChange::Lift => limiter.lift(agent).await.map(drop),
    };
    match told {
        Ok(()) => Ok(limiter.sync().await?),
        Err(error) if error.is_transient() => {
            output::say(&format!("the log has it; counters are told once they answer: {error}"));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

async fn suspended(global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let items = Suspended::all(parts.log().await?).await?;
    if global.is_json() {
        output::json(&json!({ "items": items }))?;
        return Ok(Exit::Ok);
    }
    let mut rows = output::Rows::new(&["agent", "until", "since", "by", "reason"]);
    for one in &items {
        let until = one.until.map_or_else(|| "lifted".to_owned(), |until| until.to_string());
        let reason = one.reason.as_deref().unwrap_or_default();
        rows.row(&[one.agent_id.as_str(), &until, &one.since.to_string(), &one.by, reason]);
    }
    rows.print()?;
    Ok(Exit::Ok)
}

fn nothing_to_set() -> CliError {
    CliError::usage("say a tier with --per-hour and --per-minute, or --trust with --multiplier")
}

/// Numbers that cannot hold together were given on the command line: no setting is at fault.
pub(super) fn as_usage(error: LimitError) -> CliError {
    match error {
        LimitError::Limits(wrong) => CliError::usage(wrong.to_string()),
        other => other.into(),
    }
}

async fn set(change: Change, global: &Global) -> Result<Exit, CliError> {
    let by = command::actor(global)?;
    let parts = command::parts(global, Intent::Use)?;
    let limits = ready(&parts).await?;
    let set = change.clone();
    let work = async |tx: &Tx| match set {
        Change::Quota(tier, quota) => limits.set_quota(tx, &by, &tier, quota).await,
        Change::Trust(level, factor) => limits.set_trust(tx, &by, level, factor).await,
    };
    commit(&parts, work).await?;
    let (json, text) = match change {
        Change::Quota(tier, Quota { per_hour, per_minute, .. }) => (
            json!({"tier": tier.as_str(), "perHour": per_hour, "perMinute": per_minute}),
            format!("{tier}: {per_hour} an hour, {per_minute} a minute, times trust and penalties"),
        ),
        Change::Trust(level, factor) => {
            (json!({"trust": level, "multiplier": factor}), format!("{level}: what is usual times {factor}"))
        }
    };
    if global.is_json() {
        output::json(&json)?;
    } else {
        output::line(&text)?;
    }
    Ok(Exit::Ok)
}

async fn set_override(args: &OverrideArgs, global: &Global) -> Result<Exit, CliError> {
    let (agent, tier) = (&args.agent, &args.tier);
    let by = command::actor(global)?;
    let parts = command::parts(global, Intent::Use)?;
    let limits = ready(&parts).await?;
    let now = SystemClock::new().now();
    let set = match (args.per_hour, args.per_minute, args.ttl, &args.reason) {
        (Some(hour), Some(minute), Some(ttl), Some(reason)) => {
            Some((Quota::new(hour, minute), now.plus(ttl), reason))
        }
        _ => None,
    };
    let work = async |tx: &Tx| match set {
        Some((quota, until, reason)) => limits.set_override(tx, &by, agent, tier, quota, until, reason).await,
        None => limits.lift_override(tx, &by, agent, tier).await,
    };
    let set = commit(&parts, work).await?.override_of(agent, tier);
    let json = json!({
        "agentId": agent, "tier": tier.as_str(), "perHour": args.per_hour, "perMinute": args.per_minute,
        "until": set.map(|set| set.until),
    });
    let text = match set {
        Some(Override { quota: Quota { per_hour, per_minute, .. }, until, .. }) => {
            format!("{agent} in {tier}: {per_hour} an hour, {per_minute} a minute, until {until}")
        }
        None => format!("{agent} in {tier}: what is usual"),
    };
    if global.is_json() {
        output::json(&json)?;
    } else {
        output::line(&text)?;
    }
    Ok(Exit::Ok)
}

async fn overrides(global: &Global) -> Result<Exit, CliError> {
    let parts = command::parts(global, Intent::Use)?;
    let items = parts.stored_limits().await?.overrides().await?;
    if global.is_json() {
        output::json(&json!({ "items": items }))?;
        return Ok(Exit::Ok);
    }
    let head = ["agent", "tier", "per hour", "per minute", "until", "set by", "reason"];
    let mut rows = output::Rows::new(&head).right(2).right(3);
    for o in &items {
        rows.row(&[
            o.agent_id.as_str(),
            o.tier.as_str(),
            &o.per_hour.to_string(),
            &o.per_minute.to_string(),
            &o.until.to_string(),
            &o.set_by,
            &o.reason,
        ]);
    }
    rows.print()?;
    Ok(Exit::Ok)
}

/// The limits, each with its event; what is kept must be usable before anything is added to it.
async fn ready(parts: &Arc<Parts>) -> Result<StoredLimits, CliError> {
    // The log is there before anything changes that it has to tell of.
    parts.log().await?;
    let limits = parts.stored_limits().await?;
    limits.ensure_events().await?;
    limits.load().await?;
    Ok(limits)
}

/// Commits a change of the limits, sweeps what is over, and has the log take the events. Gives the limits as changed.
async fn commit(
    parts: &Arc<Parts>,
    work: impl AsyncFnOnce(&Tx) -> Result<Limits, LimitError>,
) -> Result<Limits, CliError> {
    let tx = parts.database().await?.begin().await?;
    let limits = work(&tx).await.map_err(as_usage)?;
    tx.commit().await?;
    parts.stored_limits().await?.sweep(SystemClock::new().now()).await?;
    command::finish(parts).await?;
    Ok(limits)
}
