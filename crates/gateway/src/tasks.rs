//! What a serving process does by the clock: limits read anew, refusals summed up, the log pinned and signed, what is due
//! swept, health looked after.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use clawexchange_audit::{AuditError, Log};
use clawexchange_database::keys::{self, BEAT};
use clawexchange_database::{DatabaseError, Dialect, LEASE_TIME, Lease, idempotency, outbox};
use clawexchange_rate_limiter::stored::{Looked, Watch};
use clawexchange_ssg_core::{Clock as _, Fault, KeyProvider as _, SystemClock};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::PartsError;
use crate::health::CHECKS;
use crate::rules::{Looked as LookedAtRules, RulesWatch};
use crate::service::{Service, instance_name};

/// How late what other processes changed is heeded at most, and how much of the log's end is unpinned.
const EVERY: Duration = Duration::from_secs(1);

/// How often the clock is set by the database's, and how far apart they may be before that is said.
const SET_CLOCK_EVERY: Duration = Duration::from_secs(10);
const APART_US: u64 = 2_000_000;

/// How often Redis is asked how much memory it has left.
const EACH_MINUTE: Duration = Duration::from_mins(1);

/// How often it is seen to that the months ahead have their part of the log, and how many of them have. An event of a
/// month without one would have to make it, in the middle of a submission.
const EACH_HOUR: Duration = Duration::from_hours(1);
const MONTHS_AHEAD: u32 = 3;

/// What one sweep does at most of each sort, so that it does not hold up the others for long.
const SWEEP_MAX: NonZeroU32 = NonZeroU32::new(500).expect("500 is not zero");

/// From so many failures in a row on a check is warned of, and from so many on it is an error.
const FAILURES_WARN: u64 = 2;
const FAILURES_CRITICAL: u64 = 5;

/// Begins all of them; they end when `stopped` says so.
pub(crate) fn begin(service: &Service, stopped: &watch::Receiver<bool>) -> JoinSet<()> {
    let settings = service.parts().settings();
    let mut tasks = JoinSet::new();
    tasks.spawn(each_second(service.clone(), stopped.clone()));
    tasks.spawn(follow_rules(service.clone(), stopped.clone()));
    tasks.spawn(sign(service.clone(), stopped.clone()));
    tasks.spawn(sweep(service.clone(), settings.sweep_interval, stopped.clone()));
    tasks.spawn(follow(service.clone(), stopped.clone()));
    if settings.redis.is_some() {
        tasks.spawn(measure_redis(service.clone(), stopped.clone()));
    }
    tasks.spawn(follow_keys(service.clone(), stopped.clone()));
    if service.db().dialect() == Dialect::Postgres {
        tasks.spawn(set_clock(service.clone(), stopped.clone()));
        tasks.spawn(make_months(service.clone(), stopped.clone()));
    }
    if let Some(every) = settings.healthchecks {
        tasks.spawn(look_after_health(service.clone(), every, stopped.clone()));
    }
    tasks
}

/// Ticks until it is said to stop.
struct Ticks {
    interval: tokio::time::Interval,
    stopped: watch::Receiver<bool>,
}

impl Ticks {
    fn new(every: Duration, stopped: watch::Receiver<bool>) -> Self {
        let mut interval = interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, stopped }
    }

    async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.stopped.wait_for(|stopped| *stopped) => false,
            _ = self.interval.tick() => true,
        }
    }
}

async fn each_second(service: Service, stopped: watch::Receiver<bool>) {
    let mut watch = match service.parts().limits_watch().await {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::error!(code = error.code(), "limits in the database are not watched");
            None
        }
    };
    let mut ticks = Ticks::new(EVERY, stopped);
    while ticks.next().await {
        if let Some(watch) = &mut watch {
            heed_limits(&service, watch).await;
        }
        service.tell_refusals(false).await;
        // What waits can still be altered unseen.
        if let Err(error) = service.log().drain_outbox().await {
            tracing::error!(code = error.code(), "the outbox could not be drained");
        }
        if let Err(error) = service.log().pin().await {
            tracing::error!(code = error.code(), "the log could not be pinned");
        }
        service.metrics().tidy();
    }
}

/// By itself: a log that was never signed and has millions of events keeps it busy for minutes.
async fn sign(service: Service, mut stopped: watch::Receiver<bool>) {
    let mut ticks = Ticks::new(EVERY, stopped.clone());
    while ticks.next().await {
        // What was not signed when the service stops is signed when it starts again.
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = service.sign_once() => {}
        }
    }
}

/// Sets the clock by the database's. It is set already, so that a while without an answer does no harm.
async fn set_clock(service: Service, stopped: watch::Receiver<bool>) {
    let (mut ticks, mut were_apart) = (Ticks::new(SET_CLOCK_EVERY, stopped), false);
    while ticks.next().await {
        match service.clock().set_by(service.db()).await {
            Ok(ahead_us) => {
                let are_apart = ahead_us.unsigned_abs() > APART_US;
                if are_apart && !were_apart {
                    tracing::warn!(
                        ahead_us,
                        "this machine's clock and the database's are apart; the database's holds"
                    );
                }
                were_apart = are_apart;
            }
            Err(error) => tracing::warn!(code = error.code(), "the clock could not be set by the database's"),
        }
    }
}

/// By itself: counters that were lost are taught a week, which takes its time.
async fn follow(service: Service, mut stopped: watch::Receiver<bool>) {
    let mut ticks = Ticks::new(EVERY, stopped.clone());
    while ticks.next().await {
        // What was not taught when the service stops is taught by another one, or when it starts again.
        let followed = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            followed = service.pipeline().follow() => followed,
        };
        match followed {
            Ok(()) => {}
            Err(error) if error.is_transient() => {
                tracing::debug!(code = error.code(), "counters could not be taught what the log says");
            }
            Err(error) => {
                tracing::error!(code = error.code(), %error, "counters cannot be taught what the log says");
            }
        }
    }
}

/// Looks which master keys are here and which is active, and says so to whoever activates another.
async fn follow_keys(service: Service, stopped: watch::Receiver<bool>) {
    let keys = match service.parts().keys().await {
        Ok(keys) => keys.clone(),
        Err(error) => {
            tracing::error!(code = error.code(), "master keys are not followed");
            return;
        }
    };
    let name = instance_name();
    let (mut told, mut said, mut failed) = (Instant::now(), None, None);
    let mut ticks = Ticks::new(EVERY, stopped);
    while ticks.next().await {
        let followed = keys.follow().await.err();
        let code = followed.as_ref().map(Fault::code);
        service.metrics().set("claw_keys_unknown", &[], u64::from(code == Some("quarantine/master-missing")));
        match &followed {
            // Once, and not each second.
            Some(error) if failed != code => {
                tracing::error!(code, %error, "master keys could not be looked for; those that were here are used");
            }
            None if failed.is_some() => tracing::info!("master keys are here again"),
            _ => {}
        }
        failed = code;
        let known = (keys.masters(), keys.master());
        if told.elapsed() < BEAT && said.as_ref() == Some(&known) {
            continue;
        }
        match beat(&service, &keys.instance(service.instance(), &name)).await {
            Ok(()) => (told, said) = (Instant::now(), Some(known)),
            Err(error) => {
                tracing::warn!(code = error.code(), "it could not be said that this process serves");
            }
        }
    }
    if let Err(error) = keys::leave(service.db(), service.instance()).await {
        tracing::warn!(code = error.code(), "it could not be said that this process serves no more");
    }
}

/// Says that this process serves, before it does: what it then has at work is not taken for that of one that is gone.
pub(crate) async fn announce(service: &Service) -> Result<(), PartsError> {
    let keys = service.parts().keys().await?;
    Ok(beat(service, &keys.instance(service.instance(), &instance_name())).await?)
}

async fn beat(service: &Service, instance: &keys::Instance) -> Result<(), DatabaseError> {
    let tx = service.db().begin().await?;
    keys::beat(&tx, instance).await?;
    tx.commit().await
}

async fn make_months(service: Service, stopped: watch::Receiver<bool>) {
    let mut ticks = Ticks::new(EACH_HOUR, stopped);
    while ticks.next().await {
        match service.log().make_months(MONTHS_AHEAD).await {
            Ok(0) => {}
            Ok(made) => tracing::info!(made, "the log has room for further months"),
            Err(error) => {
                let hint = "run `claw migrate roles` and what it prints, or see the server's log";
                tracing::warn!(code = error.code(), %error, hint, "the log has no room for further months");
            }
        }
    }
}

/// By itself: making expressions takes a while.
async fn follow_rules(service: Service, mut stopped: watch::Receiver<bool>) {
    let watch = match RulesWatch::new(service.parts(), service.pipeline()).await {
        Ok(watch) => watch,
        Err(error) => {
            tracing::error!(code = error.code(), "rules in the database are not watched");
            return;
        }
    };
    let (mut ticks, mut had_ended) = (Ticks::new(EVERY, stopped.clone()), false);
    while ticks.next().await {
        let looked = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            looked = watch.look() => looked,
        };
        let policy = || service.pipeline().inspector().config().policy.clone();
        match looked {
            Ok(LookedAtRules::Same) => {}
            Ok(LookedAtRules::Changed) => tracing::info!(policy = policy(), "other rules judge"),
            Ok(LookedAtRules::Refused(error)) => {
                tracing::error!(code = error.code(), %error, policy = policy(), "active rule packs are refused; the last good ones go on to judge");
            }
            Err(error) => tracing::warn!(code = error.code(), "rules in the database could not be read"),
        }
        let rules = service.pipeline().rules();
        service.metrics().set("claw_rules_refused", &[], u64::from(rules.is_refused));
        let ends = rules.ends.map_or(0, |ends| ends.as_micros().unsigned_abs() / 1_000_000);
        service.metrics().set("claw_rules_signature_end_seconds", &[], ends);
        let has_ended = rules.ends.is_some_and(|ends| ends <= service.clock().now());
        if has_ended && !had_ended {
            tracing::warn!(
                "the signature of the active rule packs has ended; they go on to judge: sign them anew"
            );
        }
        had_ended = has_ended;
    }
}

async fn heed_limits(service: &Service, watch: &mut Watch) {
    match watch.look().await {
        Ok(Looked::Same) => {}
        Ok(Looked::Changed) => {
            service.metrics().set("claw_limiter_config_refused", &[], 0);
            tracing::info!("limits were read anew");
        }
        Ok(Looked::Refused(error)) => {
            service.metrics().set("claw_limiter_config_refused", &[], 1);
            tracing::error!(code = error.code(), %error, "limits in the database are refused; the last good ones hold");
        }
        Err(error) => tracing::warn!(code = error.code(), "limits in the database could not be read"),
    }
}

async fn sweep(service: Service, every: Duration, stopped: watch::Receiver<bool>) {
    let mut ticks = Ticks::new(every, stopped);
    while ticks.next().await {
        match Lease::take(service.db(), "sweep", service.instance(), LEASE_TIME.max(every)).await {
            Ok(Some(_)) => service.sweep_once().await,
            Ok(None) => {}
            Err(error) => tracing::warn!(code = error.code(), "who sweeps could not be found out"),
        }
    }
}

impl Service {
    /// Does what is due once.
    pub(crate) async fn sweep_once(&self) {
        let now = self.clock().now();
        match self.vault().sweep(SWEEP_MAX, None).await {
            Ok(report) => {
                self.metrics().count("claw_quarantine_expired_total", &[], report.expired);
                self.metrics().count("claw_quarantine_sweep_failures_total", &[], report.failed);
                if report.failed > 0 {
                    tracing::warn!(failed = report.failed, "a sweep could not do everything and tries again");
                }
            }
            Err(error) => {
                self.metrics().count("claw_quarantine_sweep_failures_total", &[], 1);
                tracing::error!(code = error.code(), "held content could not be swept");
            }
        }
        if let Err(error) = idempotency::sweep(self.db(), now, SWEEP_MAX.get()).await {
            tracing::error!(code = error.code(), "old answers could not be swept");
        }
        match self.parts().stored_limits().await {
            Ok(limits) => {
                if let Err(error) = limits.sweep(now).await {
                    tracing::error!(code = error.code(), "old overrides could not be swept");
                }
            }
            Err(error) => tracing::error!(code = error.code(), "old overrides could not be swept"),
        }
    }

    /// Signs both logs, if they grew. Of instances that share a database one does that, so that there is a checkpoint a
    /// second and not one for each of them.
    async fn sign_once(&self) {
        for log in Log::ALL {
            if let Err(error) = self.sign(log).await {
                tracing::error!(code = error.code(), log = log.as_str(), "the log could not be signed");
            }
        }
    }

    async fn sign(&self, log: Log) -> Result<(), AuditError> {
        if !self.log().has_grown(log).await? {
            return Ok(());
        }
        let is_shared = self.db().dialect() == Dialect::Postgres;
        if is_shared && Lease::take(self.db(), "checkpoint", self.instance(), LEASE_TIME).await?.is_none() {
            return Ok(());
        }
        self.log().checkpoint(log).await.map(drop)
    }

    /// Writes the sums of refusals of a minute that is over, or of whatever there is.
    pub(crate) async fn tell_refusals(&self, all: bool) {
        for event in self.refusals().take(SystemClock::new().now(), all) {
            if let Err(error) = self.log().append(event.clone()).await {
                tracing::error!(code = error.code(), "a sum of refusals could not be logged");
                self.refusals().put_back(event);
            }
        }
    }

    /// Sets the gauges that a scrape looks up.
    pub(crate) async fn gauge(&self) {
        let (metrics, now) = (self.metrics(), self.clock().now());
        match self.vault().stats().await {
            Ok(stats) => {
                metrics.set("claw_quarantine_open_records", &[], stats.open);
                metrics.set("claw_quarantine_open_bytes", &[], stats.open_bytes);
                metrics.set("claw_quarantine_kept_bytes", &[], stats.kept_bytes);
                let waits = stats.oldest_open.map_or(0, |since| now.since(since).as_secs());
                metrics.set("claw_quarantine_oldest_open_seconds", &[], waits);
            }
            Err(error) => tracing::warn!(code = error.code(), "held content could not be summed up"),
        }
        metrics.set("claw_quarantine_quota_bytes", &[], self.vault().config().bytes_max);
        match self.vault().due().await {
            Ok(due) => metrics.set("claw_quarantine_due_records", &[], due.to_expire),
            Err(error) => tracing::warn!(code = error.code(), "what is due could not be counted"),
        }
        for (log, name) in [(Log::Decisions, "decisions"), (Log::Verdicts, "verdicts")] {
            match self.log().size(log).await {
                Ok(size) => metrics.set("claw_audit_events", &[("log", name)], size),
                Err(error) => tracing::warn!(code = error.code(), "a log could not be measured"),
            }
            match self.log().signed_size(log).await {
                Ok(size) => metrics.set("claw_audit_signed_events", &[("log", name)], size),
                Err(error) => tracing::warn!(code = error.code(), "what is signed could not be measured"),
            }
        }
        metrics.set("claw_audit_spool_bytes", &[], self.log().spool_bytes());
        match outbox::depth(self.db()).await {
            Ok(depth) => {
                metrics.set("claw_audit_outbox_events", &[], depth.waiting);
                metrics.set("claw_audit_outbox_aside", &[], depth.aside);
            }
            Err(error) => tracing::warn!(code = error.code(), "the outbox could not be counted"),
        }
        if let Some(connections) = self.db().connections() {
            metrics.set("claw_database_connections", &[("state", "used")], connections.used.into());
            metrics.set("claw_database_connections", &[("state", "idle")], connections.idle.into());
            metrics.set("claw_database_connections_max", &[], connections.max.into());
        }
        self.gauge_redis().await;
        if let Ok(Some(bucket)) = self.parts().bucket() {
            let counts = bucket.counts();
            metrics.total("claw_objects_requests_total", &[], counts.requests);
            metrics.total("claw_objects_repeated_total", &[], counts.repeated);
            metrics.total("claw_objects_failures_total", &[], counts.failed);
            metrics.set("claw_objects_paused", &[], u64::from(counts.is_paused));
        }
        metrics.set("claw_ready", &[], u64::from(self.readiness().await.is_ready()));
        for (flag, is_on) in self.parts().settings().flags() {
            metrics.set("claw_flag", &[("flag", flag)], u64::from(is_on));
        }
    }
}

impl Service {
    async fn gauge_redis(&self) {
        let Ok(Some(store)) = self.parts().redis().await else { return };
        let (metrics, health) = (self.metrics(), store.health());
        metrics.set("claw_limiter_redis_away", &[], u64::from(health.is_away));
        metrics.set("claw_limiter_instances", &[], health.instances.into());
        metrics.set("claw_limiter_unreplayed", &[], health.unreplayed);
        let counters = health.counters;
        for (name, labels, value) in [
            ("claw_limiter_redis_commands_total", &[][..], counters.commands),
            ("claw_limiter_redis_failures_total", &[("why", "timeout")], counters.timeouts),
            ("claw_limiter_redis_failures_total", &[("why", "error")], counters.errors),
            ("claw_limiter_redis_openings_total", &[], counters.breaker_openings),
            ("claw_limiter_redis_script_losses_total", &[], counters.script_losses),
            ("claw_limiter_denied_from_memory_total", &[], counters.denied_from_memory),
            ("claw_limiter_replayed_units_total", &[], counters.replayed_units),
        ] {
            metrics.total(name, labels, value);
        }
    }

    /// Asks Redis how much memory it has left: not at each scrape, since it takes a connection of its own.
    async fn measure_redis(&self) {
        let Ok(Some(store)) = self.parts().redis().await else { return };
        let Ok(facts) = store.server().await else { return };
        let metrics = self.metrics();
        metrics.set("claw_limiter_redis_used_bytes", &[], facts.memory_used_bytes.unwrap_or_default());
        metrics.set("claw_limiter_redis_max_bytes", &[], facts.memory_max_bytes.unwrap_or_default());
        metrics.set("claw_limiter_redis_evicted_keys", &[], facts.evicted_keys.unwrap_or_default());
    }
}

async fn measure_redis(service: Service, mut stopped: watch::Receiver<bool>) {
    let mut ticks = Ticks::new(EACH_MINUTE, stopped.clone());
    while ticks.next().await {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = service.measure_redis() => {}
        }
    }
}

async fn look_after_health(service: Service, every: Duration, stopped: watch::Receiver<bool>) {
    let mut failures: HashMap<&'static str, u64> = CHECKS.into_iter().map(|check| (check, 0)).collect();
    let mut ticks = Ticks::new(every, stopped);
    while ticks.next().await {
        for checked in service.check().await {
            let count = failures.entry(checked.check).or_default();
            *count = if checked.failure.is_some() { *count + 1 } else { 0 };
            service.metrics().set("claw_health_consecutive_failures", &[("check", checked.check)], *count);
            let Some(failure) = checked.failure else { continue };
            let (check, in_a_row) = (checked.check, *count);
            if in_a_row >= FAILURES_CRITICAL {
                tracing::error!(check, in_a_row, failure, "a health check keeps failing: investigate now");
            } else if in_a_row >= FAILURES_WARN {
                tracing::warn!(check, in_a_row, failure, "a health check failed again");
            } else {
                tracing::info!(check, in_a_row, failure, "a health check failed");
            }
        }
    }
}
