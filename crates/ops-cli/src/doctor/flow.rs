//! The way of a submission: judged, sealed, held, limited.

use std::time::Duration;

use clawexchange_gateway::{PartsError, Serving};
use clawexchange_quarantine::{FreshKey, Keychain, SealContext, open, seal};
use clawexchange_ssg_core::{
    Clock as _, ContentEnvelope, ContentType, KeyProvider as _, QuarantineId, RiskTier, SystemClock,
};

use clawexchange_audit::spool_status;

use super::{Deployment, Found, Looked};

pub(super) async fn gate(deployment: &Deployment) -> Looked {
    let content = ContentEnvelope::post("test")?;
    let judged = deployment.parts().inspector().await?.inspect(&content).await;
    let inspection = judged.inspection();
    Ok(if inspection.tier == RiskTier::Clear {
        Found::ok(format!("an ordinary word is judged CLEAR by {}", inspection.policy))
    } else {
        Found::fail(
            format!("an ordinary word is judged {}: {}", inspection.tier, inspection.labels.join(", ")),
            "`claw inspect --explain` says why; `claw config show --origin` shows rules and plugins that are set",
        )
    })
}

/// What is sealed and opened again, in memory alone.
const PROBE: &[u8] = b"probe";

/// What the codes and wraps of the probe are made for, and nothing else.
const CONTEXT: &[u8] = b"claw/doctor/v1";

pub(super) async fn quarantine(deployment: &Deployment) -> Looked {
    let keys = deployment.opening_keys()?;
    keys.prove(&keys.master()).await?;
    Ok(if opens_again(keys).await? {
        Found::ok(format!("what {} seals opens again", keys.master()))
    } else {
        Found::fail(
            "what is sealed opens as something else",
            "this is a defect: do not serve with this build",
        )
    })
}

async fn opens_again(keys: &Keychain) -> Result<bool, PartsError> {
    let active = keys.active();
    let mac = keys.mac(&active, CONTEXT, PROBE).await.map_err(PartsError::Port)?;
    let (record, now, bytes) = (QuarantineId::fresh(), SystemClock::new().now(), PROBE.len() as u64);
    let context = SealContext::new(record, now, RiskTier::Clear, ContentType::Post, bytes, mac);
    let fresh = FreshKey::generate()?;
    let wrapped = keys.wrap(&active, CONTEXT, fresh.data_key()).await.map_err(PartsError::Port)?;
    let sealed = seal(fresh, &context, PROBE)?;
    let key = keys.unwrap(&active, CONTEXT, &wrapped).await.map_err(PartsError::Port)?;
    Ok(open(&key, &context, &sealed)?.as_slice() == PROBE)
}

/// How long objects and rows are compared.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn held_content(deployment: &Deployment) -> Looked {
    let vault = deployment.vault().await?;
    let Ok(report) = tokio::time::timeout(PATIENCE, vault.reconcile(false)).await else {
        return Ok(Found::unknown(
            "there are too many objects to be compared in 10 s",
            Some("claw quarantine reconcile"),
        ));
    };
    let report = report?;
    let lost = report.missing.len() + report.keyless.len();
    if lost > 0 {
        return Ok(Found::fail(
            format!("{lost} held contents have lost their object or their key"),
            "`claw quarantine reconcile` names them; restore the folder objects from a backup",
        ));
    }
    Ok(if report.orphans.is_empty() {
        Found::ok(format!("{} objects, {} rows with one", report.objects, report.rows))
    } else {
        Found::warn(
            format!("{} objects belong to no row", report.orphans.len()),
            "claw quarantine reconcile --condemn, unless the database was restored from a backup",
        )
    })
}

/// Of the quota, in per cent: from here on somebody should decide, and from here on soon nothing can be held.
const FULL_WARN: u64 = 80;
const FULL_FAIL: u64 = 95;

pub(super) async fn room_for_holds(deployment: &Deployment) -> Looked {
    let vault = deployment.vault().await?;
    let stats = vault.stats().await?;
    Ok(room_left(stats.open, stats.open_bytes, vault.config().bytes_max))
}

fn room_left(open: u64, bytes: u64, quota: u64) -> Found {
    let full = bytes.saturating_mul(100) / quota.max(1);
    let text = format!("{open} open holds, {full} % of {} MiB", quota >> 20);
    let fix = "decide: `claw quarantine list`; what nobody decides ends after QUARANTINE_EXPIRY_HOURS";
    match full {
        FULL_FAIL.. => Found::fail(text, fix),
        FULL_WARN..FULL_FAIL => Found::warn(text, fix),
        0..FULL_WARN => Found::ok(text),
    }
}

/// What one sweep of a server does; more than that is a backlog.
const BACKLOG: u64 = 500;

pub(super) async fn sweep(deployment: &Deployment) -> Looked {
    let due = deployment.vault().await?.due().await?;
    let all = due.to_expire + due.to_settle + due.to_shred + due.to_delete;
    let is_served = deployment.serving()? != Serving::Nobody;
    Ok(if all == 0 {
        Found::ok("nothing is due")
    } else if is_served && all <= BACKLOG {
        Found::ok(format!("{all} things are due, and the server sees to them"))
    } else {
        Found::warn(format!("{all} things are due and not done"), "claw quarantine sweep")
    })
}

pub(super) async fn limits(deployment: &Deployment) -> Looked {
    deployment.rows()?;
    deployment.opening_keys()?;
    let limits = deployment.parts().stored_limits().await?.load().await?;
    Ok(Found::ok(format!("{} tiers have valid limits", limits.quotas().len())))
}

pub(super) async fn journal(deployment: &Deployment) -> Looked {
    if deployment.settings().redis.is_some() {
        return Ok(Found::skip("counters are in Redis"));
    }
    let is_there = deployment.inside()?.journal().exists();
    deployment.rows()?;
    deployment.opening_keys()?;
    deployment.parts().limiter_read_only().await?;
    Ok(Found::ok(if is_there { "the journal can be read" } else { "nothing was counted yet" }))
}

pub(super) async fn quarantine_enabled(deployment: &Deployment) -> Looked {
    Ok(if deployment.settings().quarantine_enabled {
        Found::ok("suspicious content is held")
    } else {
        Found::warn(
            "nothing is held: suspicious content is refused and not stored",
            "set QUARANTINE_ENABLED=true",
        )
    })
}

pub(super) async fn audit_enabled(deployment: &Deployment) -> Looked {
    let settings = deployment.settings();
    let reason = settings.audit_off_reason.as_deref().unwrap_or("nobody said why");
    Ok(if settings.audit_enabled {
        Found::ok("verdicts are logged")
    } else {
        Found::warn(format!("verdicts are not logged: {reason}"), "set AUDIT_ENABLED=true")
    })
}

pub(super) async fn gate_mode(deployment: &Deployment) -> Looked {
    let shadowed: Vec<String> = deployment.settings().gate_mode.shadowed().map(|of| of.to_string()).collect();
    Ok(if shadowed.is_empty() {
        Found::ok("verdicts hold")
    } else {
        Found::warn(
            format!(
                "the gate only watches {}: nothing of it is held, penalised or limited",
                shadowed.join(", ")
            ),
            "set CLAW_GATE_MODE=enforce, and take [gate.content_types] out of the file",
        )
    })
}

pub(super) async fn health_checks(deployment: &Deployment) -> Looked {
    Ok(match deployment.settings().healthchecks {
        Some(every) => {
            Found::ok(format!("the server checks its parts every {} minutes", every.as_secs() / 60))
        }
        None => Found::warn("the server does not check its own parts", "set SECOPS_ENABLE_HEALTHCHECKS=true"),
    })
}

/// File systems that forget when the machine stops.
const VOLATILE: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];

pub(super) async fn spool(deployment: &Deployment) -> Looked {
    let settings = deployment.settings();
    let Some(spool) = &settings.database.spool else {
        deployment.server()?;
        return Ok(Found::skip(
            "CLAW_SPOOL is false: while the database is away submissions are answered 503",
        ));
    };
    let status = spool_status(spool)?;
    let folder = spool.folder.ancestors().find(|folder| folder.exists()).unwrap_or(&spool.folder);
    if let Some(kind) = file_system(folder).filter(|kind| VOLATILE.contains(&kind.as_str())) {
        let text =
            format!("{} is a {kind}: what is kept there goes with the machine", spool.folder.display());
        return Ok(Found::warn(text, "set CLAW_SPOOL_DIR to a disk that stays, or CLAW_SPOOL=false"));
    }
    if status.dead_letters + status.damaged > 0 {
        let text = format!("{} events and {} files lie aside", status.dead_letters, status.damaged);
        return Ok(Found::warn(
            text,
            "`claw spool dead-letters` shows the events; keep the files for whoever looks",
        ));
    }
    Ok(match status.oldest {
        None => Found::ok("no event waits"),
        Some(oldest) => Found::warn(
            format!("{} events wait, the oldest since {oldest}", status.events),
            "see whether the database answers; then a server moves them by itself, or `claw spool replay` does",
        ),
    })
}

/// The sort of the file system that a folder is on, as the kernel lists them.
fn file_system(folder: &std::path::Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (place, kind) = (words.nth(1)?, words.next()?);
        folder.starts_with(place).then(|| (place.len(), kind.to_owned()))
    });
    mounts.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn room_for_holds_runs_low_before_it_runs_out() {
        for (bytes, state) in [
            (0, State::Ok),
            (799, State::Ok),
            (800, State::Warn),
            (949, State::Warn),
            (950, State::Fail),
            (2000, State::Fail),
        ] {
            assert_eq!(room_left(1, bytes, 1000).state, state, "{bytes}");
        }
        assert_eq!(room_left(0, 0, 0).state, State::Ok);
    }
}
