//! How the parts are: looked at, never written to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clawexchange_database::outbox;
use clawexchange_rate_limiter::{Ask, EndpointTier, LimitError, WhenAway};
use clawexchange_ssg_core::{AgentId, Clock as _, ContentEnvelope, Fault as _, RiskTier};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::service::{Phase, Service};

/// How one part is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PartState {
    /// It does what it should.
    Ok,
    /// It is switched off.
    Off,
    /// It does its work in another way than usual.
    Degraded,
    /// It does not do its work.
    Failing,
}

/// Whether the service answers, and how its parts are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Readiness {
    /// `ok`, `degraded`, `starting`, `draining` or `failing`.
    pub status: &'static str,
    /// The parts by name.
    pub parts: BTreeMap<&'static str, PartState>,
    /// The switches by name.
    pub flags: BTreeMap<&'static str, bool>,
    /// The rules that judge: `<pack>@<version>+<hash>`, as on every result.
    pub policy: String,
    /// The packs of the deployment's own among them, by their hash; none are active unless it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packs: Option<String>,
}

impl Readiness {
    /// Whether some submission can be answered.
    pub fn is_ready(&self) -> bool {
        matches!(self.status, "ok" | "degraded")
    }
}

/// How long what was found is told again: probes, however many, cost one look a second.
const FRESH: Duration = Duration::from_secs(1);

/// How long a part may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a bucket that answered is not asked again for the sake of probes: each question costs money in a cloud.
const BUCKET_FRESH: Duration = Duration::from_secs(15);

/// What was found last.
#[derive(Debug, Default)]
pub(crate) struct LastLook(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    found: Option<(Instant, Readiness)>,
    /// When the bucket last answered.
    bucket: Option<Instant>,
}

impl Service {
    /// How the parts are, at most a second ago.
    pub async fn readiness(&self) -> Readiness {
        let status = match self.phase() {
            Phase::Starting => Some("starting"),
            Phase::Draining => Some("draining"),
            Phase::Serving => None,
        };
        let mut found = self.look().await;
        if let Some(status) = status {
            found.status = status;
        }
        found
    }

    async fn look(&self) -> Readiness {
        // Held while one looks: those who come meanwhile are told what it finds.
        let mut last = self.last_look().0.lock().await;
        if let Some((at, found)) = &last.found
            && at.elapsed() < FRESH
        {
            return found.clone();
        }
        let settings = self.parts().settings();
        let database = self.check_database().await;
        let limiter = match self.check_limiter().await {
            Ok(false) => PartState::Ok,
            Ok(true) => PartState::Degraded,
            Err(_) => PartState::Failing,
        };
        self.metrics().set("claw_limiter_degraded", &[], u64::from(limiter == PartState::Degraded));
        let on = |is_on: bool| if is_on { database } else { PartState::Off };
        // Verdicts that pass or refuse are kept meanwhile; only holds cannot be made.
        let is_kept = database == PartState::Failing && self.log().can_keep();
        let audit = |is_on| if is_on && is_kept { PartState::Degraded } else { on(is_on) };
        let rules = self.pipeline().rules();
        let is_odd = rules.is_refused || rules.ends.is_some_and(|ends| ends <= self.clock().now());
        let parts = BTreeMap::from([
            ("database", database),
            ("limiter", limiter),
            ("quarantine", on(settings.quarantine_enabled)),
            ("audit", audit(settings.audit_enabled)),
            ("rules", if is_odd { PartState::Degraded } else { PartState::Ok }),
        ]);
        let objects = self.check_bucket(&mut last.bucket).await;
        let states = || parts.values().copied();
        let status = if states().any(|state| state == PartState::Failing)
            && !(is_kept && limiter != PartState::Failing)
        {
            "failing"
        } else if states().any(|state| state != PartState::Ok)
            // What is not held is answered without it.
            || objects == Some(PartState::Failing)
            || settings.gate_mode.shadowed().next().is_some()
        {
            "degraded"
        } else {
            "ok"
        };
        let parts = parts.into_iter().chain(objects.map(|state| ("objects", state))).collect();
        let flags = settings.flags().into_iter().collect();
        let policy = self.pipeline().inspector().config().policy.clone();
        let packs = (!rules.own.is_empty()).then(|| rules.own.hash().to_owned());
        let found = Readiness { status, parts, flags, policy, packs };
        last.found = Some((Instant::now(), found.clone()));
        found
    }

    /// Whether rows can be read and the turn to write comes; nothing is written.
    async fn check_database(&self) -> PartState {
        let look = async {
            let deployment = self.db().deployment().await?;
            // A turn that is given back is rolled back: it shows that writers are not stuck.
            drop(self.db().begin().await?);
            Ok::<bool, clawexchange_database::DatabaseError>(deployment.is_some())
        };
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(true)) => PartState::Ok,
            Ok(Ok(false)) => {
                tracing::warn!("the tables of the database are gone");
                PartState::Failing
            }
            Ok(Err(error)) => {
                tracing::warn!(code = error.code(), "the database does not do its work");
                PartState::Failing
            }
            Err(_) => PartState::Failing,
        }
    }

    /// Whether the bucket lists a name, if there is one; nothing is put there.
    async fn check_bucket(&self, answered: &mut Option<Instant>) -> Option<PartState> {
        let bucket = self.parts().bucket().ok()??;
        if answered.is_some_and(|at| at.elapsed() < BUCKET_FRESH) && !bucket.counts().is_paused {
            return Some(PartState::Ok);
        }
        *answered = None;
        Some(match tokio::time::timeout(PATIENCE, bucket.probe()).await {
            Ok(Ok(())) => {
                *answered = Some(Instant::now());
                PartState::Ok
            }
            Ok(Err(trouble)) => {
                tracing::warn!(code = trouble.code(), "the bucket of held content does not do its work");
                PartState::Failing
            }
            Err(_) => PartState::Failing,
        })
    }

    /// Whether the limiter answers, and whether it does without the usual counters.
    async fn check_limiter(&self) -> Result<bool, String> {
        let probe = AgentId::new("health-check").map_err(|e| e.to_string())?;
        match self.limiter().peek(&Ask::new(probe, EndpointTier::POSTS).costing(0)).await {
            Ok(outlook) => Ok(outlook.status.is_degraded),
            // Whoever asks how an agent stands cannot be told, and every submission is let in.
            Err(LimitError::Away(_)) if self.lets_all_in() => Ok(true),
            Err(error) => Err(error.to_string()),
        }
    }

    fn lets_all_in(&self) -> bool {
        self.parts().settings().redis.as_ref().is_some_and(|redis| redis.when_away == WhenAway::Open)
    }
}

/// One check and what it came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct Checked {
    /// What was looked at.
    pub check: &'static str,
    /// Why it failed; nothing if it did not.
    pub failure: Option<String>,
}

/// The names of the checks.
pub const CHECKS: [&str; 4] = ["gate", "quarantine", "audit", "limiter"];

impl Service {
    /// Does what the original's four health checks did, without storing, logging or charging anything.
    pub async fn check(&self) -> Vec<Checked> {
        let gate = match ContentEnvelope::post("test") {
            Ok(content) => {
                let judged = self.pipeline().inspector().inspect(&content).await;
                let tier = judged.inspection().tier;
                (tier != RiskTier::Clear).then(|| format!("an ordinary word is judged {tier}"))
            }
            Err(error) => Some(error.to_string()),
        };
        let quarantine = self.vault().stats().await.err().map(|error| error.to_string());
        let audit = match outbox::depth(self.db()).await {
            Ok(depth) if depth.aside > 0 => Some(format!("{} rows of the outbox are no events", depth.aside)),
            Ok(_) => self.log().size(clawexchange_audit::Log::Verdicts).await.err().map(|e| e.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let limiter = self.check_limiter().await.err();
        CHECKS
            .into_iter()
            .zip([gate, quarantine, audit, limiter])
            .map(|(check, failure)| Checked { check, failure })
            .collect()
    }
}
