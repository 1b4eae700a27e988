//! The service: the parts that answer requests, opened once, and the phase that it is in.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::extract::FromRef;
use clawexchange_audit::AuditLog;
use clawexchange_database::{Database, DatabaseClock};
use clawexchange_moderation::{Desk, Tokens};
use clawexchange_quarantine::Vault;
use clawexchange_rate_limiter::Limiter;
use clawexchange_ssg_core::{Clock as _, EventId, SystemClock};
use tokio::sync::{Semaphore, watch};

use crate::error::PartsError;
use crate::fingerprint;
use crate::health::LastLook;
use crate::idempotent::InFlight;
use crate::identity::Place;
use crate::metrics::Metrics;
use crate::parts::Parts;
use crate::pipeline::Pipeline;
use crate::refusals::Refusals;

/// What the process is about to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Phase {
    /// It is not ready yet.
    Starting,
    /// It answers.
    Serving,
    /// It finishes what it has begun and takes in nothing new.
    Draining,
}

/// Everything that handlers need. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    parts: Arc<Parts>,
    db: Database,
    clock: DatabaseClock,
    pipeline: Pipeline,
    limiter: Limiter,
    inspect_limiter: Limiter,
    log: AuditLog,
    vault: Vault,
    tokens: Tokens,
    desk: Desk,
    metrics: Metrics,
    refusals: Refusals,
    in_flight: InFlight,
    places: Arc<Semaphore>,
    works: watch::Sender<usize>,
    phase: AtomicU8,
    instance: String,
    last_look: LastLook,
}

/// Where this process runs, for people: host and number.
pub(crate) fn instance_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String =
        host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).take(64).collect();
    format!("{}:{}", if host.is_empty() { "host" } else { &host }, std::process::id())
}

impl Service {
    /// Opens everything that is needed to answer. Nothing is served before this has returned.
    pub async fn open(parts: &Arc<Parts>) -> Result<Self, PartsError> {
        let settings = parts.settings();
        let inner = Inner {
            pipeline: parts.pipeline().await?.clone(),
            db: parts.database().await?.clone(),
            clock: parts.clock().await?.clone(),
            inspect_limiter: settings.inspect_limiter()?,
            limiter: parts.limiter().await?.clone(),
            log: parts.log().await?.clone(),
            vault: parts.vault().await?.clone(),
            tokens: parts.tokens().await?.clone(),
            desk: parts.desk().await?.clone(),
            metrics: parts.metrics().clone(),
            refusals: Refusals::default(),
            in_flight: InFlight::default(),
            places: Arc::new(Semaphore::new(settings.requests_max)),
            works: watch::Sender::new(0),
            phase: AtomicU8::new(Phase::Starting as u8),
            instance: EventId::fresh().to_string(),
            last_look: LastLook::default(),
            parts: Arc::clone(parts),
        };
        fingerprint::note(&inner.db, &inner.log).await?;
        parts.keys().await?.join(&inner.instance, &instance_name()).await?;
        let began = SystemClock::new().now().as_micros() / 1_000_000;
        inner.metrics.set("claw_start_time_seconds", &[], began.unsigned_abs());
        Ok(Self(Arc::new(inner)))
    }

    /// The phase that it is in.
    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    /// Goes on to a phase; there is no way back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.0.parts
    }

    /// The time on which all instances agree.
    pub(crate) fn clock(&self) -> &DatabaseClock {
        &self.0.clock
    }

    pub(crate) fn db(&self) -> &Database {
        &self.0.db
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// Counts bytes that are only inspected.
    pub(crate) fn inspect_limiter(&self) -> &Limiter {
        &self.0.inspect_limiter
    }

    pub(crate) fn log(&self) -> &AuditLog {
        &self.0.log
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.0.desk
    }

    /// What is counted and timed.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    /// The requests with a key that are being answered.
    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }

    /// Places for requests at work.
    pub(crate) fn places(&self) -> &Arc<Semaphore> {
        &self.0.places
    }

    /// Notes work that goes on though its caller goes away, at the place of its request, until what is returned is
    /// dropped.
    pub(crate) fn begin_work(&self, place: Option<Place>) -> Work {
        self.0.works.send_modify(|n| *n += 1);
        Work { service: self.clone(), _place: place }
    }

    /// Waits until no such work is left.
    pub(crate) async fn works_done(&self) {
        // The sender is here, so it cannot be gone.
        drop(self.0.works.subscribe().wait_for(|n| *n == 0).await);
    }

    pub(crate) fn last_look(&self) -> &LastLook {
        &self.0.last_look
    }

    /// Which run of the process this is: work that another one left undone is known by it.
    pub(crate) fn instance(&self) -> &str {
        &self.0.instance
    }
}

/// Work that goes on though its caller goes away.
#[derive(Debug)]
pub(crate) struct Work {
    service: Service,
    _place: Option<Place>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.service.0.works.send_modify(|n| *n = n.saturating_sub(1));
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

impl FromRef<Service> for Metrics {
    fn from_ref(service: &Service) -> Self {
        service.metrics().clone()
    }
}
