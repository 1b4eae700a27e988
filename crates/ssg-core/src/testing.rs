//! For tests: a clock that stands still, ports in memory, and what every implementer of a port must pass.
#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a suite fails by panicking, as every test does"
)]

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::actor::Actor;
use crate::clock::{Clock, Timestamp};
use crate::content::ContentEnvelope;
use crate::event::{AuditEvent, EventKind, Target};
use crate::fault::{Fault, FaultKind};
use crate::finding::{Category, Findings, Pattern};
use crate::gate::{Gate, Submission};
use crate::id::{AgentId, QuarantineId};
use crate::inspector::{Inspector, InspectorConfig};
use crate::key::{DataKey, KeyProvider};
use crate::plugin::{Context, DetectionPlugin, PluginError};
use crate::port::{AuditSink, Held, Hold, PortError, Quarantine};
use crate::registry::PluginRegistry;

/// A clock that moves only when told.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn at(at: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(at.as_micros())))
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Sets it, backwards too.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.as_micros(), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// 2027-01-15T08:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp::from_micros(1_800_000_000_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A plugin that finds a word: `flag-low`, `flag-warn`, `flag-hold` and `flag-block` make 10, 40, 70 and 90 points.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct WordPlugin;

impl WordPlugin {
    /// Makes it.
    pub const fn new() -> Self {
        Self
    }
}

const WORDS: [Pattern; 4] = [
    Pattern::new("flag-low", Category::Other, 10, &["FLAG_LOW"]),
    Pattern::new("flag-warn", Category::Other, 40, &["FLAG_WARN"]),
    Pattern::new("flag-hold", Category::Other, 70, &["FLAG_HOLD"]),
    Pattern::new("flag-block", Category::Other, 90, &["FLAG_BLOCK"]),
];

impl DetectionPlugin for WordPlugin {
    fn id(&self) -> &'static str {
        "words"
    }

    fn analyze(&self, content: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
        let mut findings = Findings::none();
        for field in content.fields() {
            for pattern in &WORDS {
                for (at, word) in field.text.match_indices(pattern.id()) {
                    findings.add(pattern, &field, at..at + word.len(), "flag-…");
                }
            }
        }
        Ok(findings)
    }
}

/// An inspector with nothing but [`WordPlugin`].
pub fn word_inspector(clock: impl Clock) -> Inspector {
    let plugins = PluginRegistry::new().with_inline(WordPlugin::new()).unwrap_or_default();
    Inspector::with_clock(plugins, InspectorConfig::default(), clock)
}

/// A failure that a test asked for.
#[derive(Debug, thiserror::Error)]
#[error("the test asked for a failure")]
#[non_exhaustive]
pub struct AskedFor;

impl Fault for AskedFor {
    fn code(&self) -> &'static str {
        "testing/asked-for"
    }

    fn kind(&self) -> FaultKind {
        FaultKind::Unavailable
    }
}

/// Keeps events and holds in memory, and fails when told to.
#[derive(Clone, Debug, Default)]
pub struct MemoryPorts(Arc<Memory>);

#[derive(Debug, Default)]
struct Memory {
    events: Mutex<Vec<AuditEvent>>,
    holds: Mutex<Vec<Hold>>,
    failing: AtomicBool,
}

impl MemoryPorts {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every call fail from now on, or none.
    pub fn set_failing(&self, failing: bool) {
        self.0.failing.store(failing, Ordering::SeqCst);
    }

    /// What was recorded, in order; the events of holds are among them.
    pub fn events(&self) -> Vec<AuditEvent> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is held, in order.
    pub fn holds(&self) -> Vec<Hold> {
        self.0.holds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn may_work(&self) -> Result<(), PortError> {
        if self.0.failing.load(Ordering::SeqCst) { Err(AskedFor.into()) } else { Ok(()) }
    }

    fn note(&self, event: AuditEvent) {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

#[async_trait]
impl AuditSink for MemoryPorts {
    async fn record(&self, event: AuditEvent) -> Result<(), PortError> {
        self.may_work()?;
        self.note(event);
        Ok(())
    }
}

#[async_trait]
impl Quarantine for MemoryPorts {
    async fn hold(&self, hold: Hold) -> Result<Held, PortError> {
        self.may_work()?;
        let known = {
            let mut holds = self.0.holds.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |h: &&Hold| h.agent == hold.agent && h.content.canonical() == hold.content.canonical();
            let known = holds.iter().find(same).map(|h| h.id);
            if known.is_none() {
                holds.push(hold.clone());
            }
            known
        };
        if known != Some(hold.id) {
            self.note(hold.event.clone().on(Target::new("quarantine", known.unwrap_or(hold.id))));
        }
        Ok(Held::new(known.unwrap_or(hold.id), known.is_some_and(|id| id != hold.id)))
    }
}

/// Makes something to hold out of `text`, which should make the word inspector hold it.
pub async fn hold_of(text: &str, agent: &AgentId, clock: impl Clock) -> Hold {
    let Ok(content) = ContentEnvelope::post(text) else { panic!("{text:?} is not content") };
    let ports = MemoryPorts::new();
    let gate = Gate::new(word_inspector(clock), ports.clone(), ports.clone());
    let submitted = gate.submit(Submission::new(content, agent.clone())).await;
    if let Err(error) = submitted {
        panic!("could not submit {text:?}: {error}");
    }
    match ports.holds().pop() {
        Some(hold) => hold,
        None => panic!("{text:?} was not held"),
    }
}

/// What every [`AuditSink`] must do. `read` gives the kinds of the events that survived, in order.
pub async fn audit_sink_conforms<F: Future<Output = Vec<EventKind>>>(
    sink: impl AuditSink,
    read: impl Fn() -> F,
) {
    let clock = ManualClock::default();
    let Ok(actor) = Actor::system("conformance") else { panic!("an actor has a name") };
    for kind in [EventKind::SsgPass, EventKind::SsgBlock] {
        let event = AuditEvent::new(kind, actor.clone(), clock.now());
        if let Err(error) = sink.record(event).await {
            panic!("an event was not recorded: {error}");
        }
        let kinds = read().await;
        assert!(kinds.contains(&kind), "an event that was acknowledged is there at once: {kinds:?}");
    }
    // Each once, whatever the order between logs.
    let mut kinds = read().await;
    kinds.sort_unstable();
    assert_eq!(kinds, [EventKind::SsgPass, EventKind::SsgBlock]);
}

/// What every [`Quarantine`] must do. `read` gives ids and texts of what is held.
pub async fn quarantine_conforms<F: Future<Output = Vec<(QuarantineId, String)>>>(
    quarantine: impl Quarantine,
    clock: impl Clock + Clone,
    read: impl Fn() -> F,
) {
    let Ok(agent) = AgentId::new("conformance-agent") else { panic!("an agent has a name") };
    let hold = hold_of("flag-hold one", &agent, clock.clone()).await;
    let held = match quarantine.hold(hold.clone()).await {
        Ok(held) => held,
        Err(error) => panic!("content was not held: {error}"),
    };
    assert_eq!(held, Held::new(hold.id, false), "the id that the gate chose is kept");
    let again = quarantine.hold(hold.clone()).await.ok();
    assert_eq!(again.map(|h| h.id), Some(hold.id), "asking twice holds once");
    let same = hold_of("flag-hold one", &agent, clock.clone()).await;
    let repeat = quarantine.hold(same).await.ok();
    assert_eq!(repeat, Some(Held::new(hold.id, true)), "the same content of the same agent is kept once");
    let other = hold_of("flag-hold two", &agent, clock).await;
    assert!(quarantine.hold(other.clone()).await.is_ok());
    let mut held = read().await;
    held.sort();
    let mut wanted = vec![(hold.id, "flag-hold one".to_owned()), (other.id, "flag-hold two".to_owned())];
    wanted.sort();
    assert_eq!(held, wanted, "what is held is what was posted");
}

/// What every [`KeyProvider`] must do.
pub async fn key_provider_conforms(keys: impl KeyProvider) {
    let key = keys.active();
    let data_key = DataKey::new([7; 32]);
    let Ok(wrapped) = keys.wrap(&key, b"a", &data_key).await else { panic!("the active key wraps") };
    let Ok(again) = keys.wrap(&key, b"a", &data_key).await else { panic!("the active key wraps twice") };
    assert_ne!(wrapped, again, "two wraps of one key do not show that they are of one key");
    let opened = keys.unwrap(&key, b"a", &wrapped).await.ok();
    assert_eq!(opened.map(|k| *k.expose()), Some([7; 32]));
    let kind = |r: Result<DataKey, PortError>| r.err().map(|e| e.kind());
    assert_eq!(kind(keys.unwrap(&key, b"b", &wrapped).await), Some(FaultKind::Integrity), "another context");
    for at in 0..wrapped.len() {
        let mut bent = wrapped.clone();
        if let Some(byte) = bent.get_mut(at) {
            *byte ^= 1;
        }
        assert_eq!(
            kind(keys.unwrap(&key, b"a", &bent).await),
            Some(FaultKind::Integrity),
            "byte {at} was bent"
        );
        let cut = wrapped.get(..at).unwrap_or_default();
        assert_eq!(kind(keys.unwrap(&key, b"a", cut).await), Some(FaultKind::Integrity), "cut to {at} bytes");
    }
    let Ok(unknown) = "no-such-key".parse() else { panic!("a key has a name") };
    assert_eq!(kind(keys.unwrap(&unknown, b"a", &wrapped).await), Some(FaultKind::Configuration));
    let (Ok(a), Ok(b), Ok(c)) = (
        keys.mac(&key, b"a", b"m").await,
        keys.mac(&key, b"a", b"m").await,
        keys.mac(&key, b"b", b"m").await,
    ) else {
        panic!("the active key makes codes")
    };
    assert_eq!(a, b, "the same message has the same code");
    assert_ne!(a.tag, c.tag, "another context has another code");
}
