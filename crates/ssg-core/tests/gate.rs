//! What follows from a verdict. What a user would lose: content would be passed on that nobody recorded, or held where
//! nobody finds it again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clawexchange_ssg_core::testing::{
    ManualClock, MemoryPorts, WordPlugin, audit_sink_conforms, quarantine_conforms, word_inspector,
};
use clawexchange_ssg_core::{
    ActorType, AgentId, AuditEvent, AuditSink, Category, Clock as _, ContentEnvelope, Context,
    DetectionPlugin, EnvelopeBounds, EventId, EventKind, Fault, FaultKind, Findings, Gate, GateError, Held,
    Hold, Inspector, InspectorConfig, Pattern, PluginError, PluginRegistry, PortError, Quarantine, ReadAs,
    Received, RequestId, SourceId, Submission, Verdict,
};
use tokio::sync::Semaphore;

fn agent() -> AgentId {
    AgentId::new("agent-7").unwrap()
}

fn submission(text: &str) -> Submission {
    Submission::new(ContentEnvelope::post(text).unwrap(), agent())
}

/// A gate, and what it has held and recorded, each apart.
fn gate() -> (Gate, MemoryPorts, MemoryPorts) {
    let (held, recorded) = (MemoryPorts::new(), MemoryPorts::new());
    (Gate::new(word_inspector(ManualClock::default()), held.clone(), recorded.clone()), held, recorded)
}

#[tokio::test]
async fn a_verdict_is_recorded_once_and_is_there_before_the_answer() {
    for (text, verdict, kind) in [
        ("an offer", Verdict::Pass, EventKind::SsgPass),
        ("flag-low", Verdict::Pass, EventKind::SsgPass),
        ("flag-warn", Verdict::Warn, EventKind::SsgWarn),
        ("flag-block", Verdict::Block, EventKind::SsgBlock),
    ] {
        let (gate, held, recorded) = gate();
        let outcome = gate.submit(submission(text)).await.unwrap();
        let inspection = outcome.assessment.inspection();
        assert_eq!(outcome.assessment.verdict(), verdict);
        assert_eq!((inspection.quarantine_id, outcome.is_repeat), (None, false));
        let events = recorded.events();
        assert_eq!(events.iter().map(AuditEvent::kind).collect::<Vec<_>>(), [kind], "{text}");
        assert!(events.iter().all(|e| e.id() == EventId::from(inspection.inspection_id)));
        assert!(held.holds().is_empty() && held.events().is_empty());
    }
}

#[tokio::test]
async fn suspicious_content_is_held_with_its_event_and_both_are_found_by_the_answer() {
    let (gate, held, recorded) = gate();
    let outcome = gate.submit(submission("flag-hold")).await.unwrap();
    let inspection = outcome.assessment.inspection();
    assert_eq!(outcome.assessment.verdict(), Verdict::Quarantine);
    let [hold] = &*held.holds() else { panic!("held once") };
    assert_eq!(inspection.quarantine_id, Some(hold.id));
    assert_eq!((hold.content.text(), &hold.agent), ("flag-hold", &agent()));
    assert_eq!(hold.assessment.inspection().inspection_id, inspection.inspection_id);
    let [event] = &*held.events() else { panic!("one event") };
    assert_eq!((event.kind(), event.id()), (EventKind::SsgQuarantine, inspection.inspection_id.into()));
    let target = event.target().unwrap();
    assert_eq!((&*target.kind, &*target.id), ("quarantine", &*hold.id.to_string()));
    assert!(recorded.events().is_empty(), "the hold commits its own event: nobody writes a verdict twice");
}

#[tokio::test]
async fn content_that_is_held_already_is_not_held_twice() {
    let (gate, held, _) = gate();
    let first = gate.submit(submission("flag-hold")).await.unwrap();
    let second = gate.submit(submission("flag-hold")).await.unwrap();
    assert_eq!((first.is_repeat, second.is_repeat), (false, true));
    let ids = [&first, &second].map(|o| o.assessment.inspection().quarantine_id.unwrap());
    assert_eq!(ids.first(), ids.last(), "one place to ask at");
    let inspections = [&first, &second].map(|o| o.assessment.inspection().inspection_id);
    assert_ne!(inspections.first(), inspections.last(), "and two inspections");
    assert_eq!(held.holds().len(), 1);
    let events = held.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events.first().unwrap().target(), events.last().unwrap().target());
    let other =
        Submission::new(ContentEnvelope::post("flag-hold").unwrap(), AgentId::new("agent-8").unwrap());
    assert!(!gate.submit(other).await.unwrap().is_repeat, "another agent's is another's");
}

#[tokio::test]
async fn nothing_is_passed_on_that_could_not_be_recorded_or_held() {
    let (gate, held, recorded) = gate();
    held.set_failing(true);
    recorded.set_failing(true);
    for (text, code) in [
        ("an offer", "ssg-core/not-recorded"),
        ("flag-warn", "ssg-core/not-recorded"),
        ("flag-hold", "ssg-core/not-held"),
        ("flag-block", "ssg-core/not-recorded"),
    ] {
        let error = gate.submit(submission(text)).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (code, FaultKind::Unavailable), "{text}");
        assert!(error.is_transient(), "the same request may succeed when the part is back");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "the test asked for a failure");
    }
    assert!(held.holds().is_empty() && held.events().is_empty() && recorded.events().is_empty());
    held.set_failing(false);
    recorded.set_failing(false);
    assert!(gate.submit(submission("an offer")).await.is_ok(), "a failure leaves nothing behind");
}

/// Answers every call with one failure.
#[derive(Clone, Copy, Debug)]
struct Refusing(FaultKind);

#[derive(Debug, thiserror::Error)]
#[error("refused")]
struct Refusal(FaultKind);

impl Fault for Refusal {
    fn code(&self) -> &'static str {
        "testing/refused"
    }

    fn kind(&self) -> FaultKind {
        self.0
    }

    fn hint(&self) -> Option<String> {
        Some("ask again".to_owned())
    }
}

#[async_trait]
impl Quarantine for Refusing {
    async fn hold(&self, _: Hold) -> Result<Held, PortError> {
        Err(Refusal(self.0).into())
    }
}

#[async_trait]
impl AuditSink for Refusing {
    async fn record(&self, _: AuditEvent) -> Result<(), PortError> {
        Err(Refusal(self.0).into())
    }
}

#[tokio::test]
async fn a_refusal_that_the_caller_can_act_on_keeps_its_name_and_others_become_unavailable() {
    for (kind, code, told) in [
        (FaultKind::Limited, "testing/refused", FaultKind::Limited),
        (FaultKind::Integrity, "testing/refused", FaultKind::Integrity),
        (FaultKind::Configuration, "testing/refused", FaultKind::Configuration),
        (FaultKind::Locked, "testing/refused", FaultKind::Locked),
        (FaultKind::Pending, "testing/refused", FaultKind::Pending),
        (FaultKind::Unavailable, "ssg-core/not-held", FaultKind::Unavailable),
        (FaultKind::Internal, "ssg-core/not-held", FaultKind::Unavailable),
        (FaultKind::Conflict, "ssg-core/not-held", FaultKind::Unavailable),
        (FaultKind::Invalid, "ssg-core/not-held", FaultKind::Unavailable),
    ] {
        let gate = Gate::new(word_inspector(ManualClock::default()), Refusing(kind), Refusing(kind));
        let error = gate.submit(submission("flag-hold")).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (code, told), "{kind:?}");
        assert_eq!(error.hint().as_deref(), Some("ask again"));
    }
}

/// Panics at every call.
#[derive(Clone, Copy, Debug)]
struct Broken;

#[async_trait]
impl Quarantine for Broken {
    async fn hold(&self, _: Hold) -> Result<Held, PortError> {
        panic!("on purpose")
    }
}

#[async_trait]
impl AuditSink for Broken {
    async fn record(&self, _: AuditEvent) -> Result<(), PortError> {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn a_port_that_panics_passes_nothing_on() {
    let gate = Gate::new(word_inspector(ManualClock::default()), Broken, Broken);
    for text in ["an offer", "flag-hold"] {
        let error = gate.submit(submission(text)).await.unwrap_err();
        assert!(matches!(error, GateError::Stopped), "{error}");
        assert_eq!((error.code(), error.kind()), ("ssg-core/stopped", FaultKind::Internal));
    }
}

/// Records only when let, and says when it was asked and when it is done.
#[derive(Clone, Debug)]
struct Slow {
    ports: MemoryPorts,
    asked: Arc<Semaphore>,
    let_go: Arc<Semaphore>,
    done: Arc<Semaphore>,
}

impl Slow {
    fn new() -> Self {
        let closed = || Arc::new(Semaphore::new(0));
        Self { ports: MemoryPorts::new(), asked: closed(), let_go: closed(), done: closed() }
    }

    async fn wait(&self) {
        self.asked.add_permits(1);
        self.let_go.acquire().await.unwrap().forget();
    }
}

#[async_trait]
impl AuditSink for Slow {
    async fn record(&self, event: AuditEvent) -> Result<(), PortError> {
        self.wait().await;
        let result = self.ports.record(event).await;
        self.done.add_permits(1);
        result
    }
}

#[async_trait]
impl Quarantine for Slow {
    async fn hold(&self, hold: Hold) -> Result<Held, PortError> {
        self.wait().await;
        let result = self.ports.hold(hold).await;
        self.done.add_permits(1);
        result
    }
}

#[tokio::test]
async fn a_verdict_once_begun_is_finished_though_its_caller_hangs_up() {
    for (text, kind) in [("flag-block", EventKind::SsgBlock), ("flag-hold", EventKind::SsgQuarantine)] {
        let slow = Slow::new();
        let gate = Gate::new(word_inspector(ManualClock::default()), slow.clone(), slow.clone());
        let caller = tokio::spawn(async move { gate.submit(submission(text)).await.map(drop) });
        slow.asked.acquire().await.unwrap().forget();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        slow.let_go.add_permits(1);
        let finished = tokio::time::timeout(Duration::from_mins(1), slow.done.acquire()).await;
        finished.expect("the verdict went away with its caller").unwrap().forget();
        let kinds: Vec<_> = slow.ports.events().iter().map(AuditEvent::kind).collect();
        assert_eq!(kinds, [kind], "who hangs up in time would leave no trace");
    }
}

#[tokio::test]
async fn an_event_says_what_was_found_and_nothing_of_what_was_written() {
    let json = r#"{"text":"hunter2 flag-block flag-block","title":"hunter3","metadata":{"hunter4":"hunter5"},
        "agentId":"agent-7","ownerId":"owner-1","sourceId":"post-9","revisionOf":"post-8","ip":"203.0.113.77"}"#;
    let received = Received::read(json.as_bytes(), ReadAs::Submission, &EnvelopeBounds::default()).unwrap();
    let mut submission = Submission::attributed(received.content, agent(), &received.attribution);
    submission.request = Some(RequestId::new("req-5").unwrap());
    let (gate, _, recorded) = gate();
    let outcome = gate.submit(submission).await.unwrap();
    let inspection = outcome.assessment.inspection();
    let [event] = &*recorded.events() else { panic!("one event") };
    assert_eq!((event.actor().kind, &event.actor().id), (ActorType::Agent, &agent()));
    assert_eq!(event.owner().unwrap().as_str(), "owner-1");
    assert_eq!(event.ip(), Some("203.0.113.0"), "the network and not the address");
    assert_eq!(event.at(), ManualClock::default().now());
    let target = event.target().unwrap();
    assert_eq!((&*target.kind, &*target.id), ("content", "post-9"));
    assert_eq!(
        serde_json::Value::from(event.meta().clone()),
        serde_json::json!({
            "inspectionId": inspection.inspection_id.to_string(),
            "requestId": "req-5",
            "tier": "CRITICAL",
            "labels": ["FLAG_BLOCK"],
            "contentType": "POST",
            "sourceId": "post-9",
            "revisionOf": "post-8",
            "policy": "none@0+00000000",
            "findings": [{"rule": "flag-block", "category": "other", "count": 2}],
        })
    );
    let written = String::from_utf8(event.to_json()).unwrap();
    for text in ["hunter", "flag-…", "203.0.113.77"] {
        assert!(!written.contains(text), "{text} stands in the log: {written}");
    }
    assert!(event.personal().is_empty());
}

/// A plugin that never answers but with an error.
struct Away;

impl DetectionPlugin for Away {
    fn id(&self) -> &'static str {
        "away"
    }

    fn analyze(&self, _: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
        Err(PluginError("away"))
    }
}

#[tokio::test]
async fn an_event_tells_a_hold_for_a_failed_plugin_from_one_for_what_was_written() {
    for (text, by_failure) in [("an offer", Some(true)), ("flag-hold", None)] {
        let plugins = PluginRegistry::new().with_inline(WordPlugin::new()).and_then(|p| p.with_inline(Away));
        let inspector = Inspector::new(plugins.unwrap(), InspectorConfig::default());
        let ports = MemoryPorts::new();
        let gate = Gate::new(inspector, ports.clone(), ports.clone());
        assert_eq!(gate.submit(submission(text)).await.unwrap().assessment.verdict(), Verdict::Quarantine);
        let [event] = &*ports.events() else { panic!("one event") };
        assert_eq!(event.meta().get("failedPlugins"), Some(&serde_json::json!(["away"])));
        let said = event.meta().get("byFailure").and_then(serde_json::Value::as_bool);
        assert_eq!(said, by_failure, "{text}: an agent would pay for a plugin of ours");
    }
}

#[tokio::test]
async fn an_event_of_content_with_hundreds_of_rules_still_fits() {
    struct Many;
    impl DetectionPlugin for Many {
        fn id(&self) -> &'static str {
            "many"
        }

        fn analyze(&self, content: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
            let mut found = Findings::none();
            let field = content.fields().next().ok_or(PluginError("no field"))?;
            for i in 0..500 {
                let id = format!("{}-{i}", "r".repeat(60));
                let label = format!("{}_{i}", "L".repeat(60));
                let pattern = Pattern::named(&id, Category::Injection, 90, &[label]);
                let pattern = pattern.ok().ok_or(PluginError("not a pattern"))?;
                found.add(&pattern, &field, 0..1, "x");
            }
            Ok(found)
        }
    }
    let inspector =
        Inspector::new(PluginRegistry::new().with_inline(Many).unwrap(), InspectorConfig::default());
    let ports = MemoryPorts::new();
    let gate = Gate::new(inspector, ports.clone(), ports.clone());
    assert_eq!(gate.submit(submission("a")).await.unwrap().assessment.verdict(), Verdict::Block);
    assert_eq!(ports.events().len(), 1, "hostile content must not buy itself a missing event");
}

#[tokio::test]
async fn the_ports_in_memory_do_what_every_port_must() {
    let ports = MemoryPorts::new();
    audit_sink_conforms(ports.clone(), || {
        let kinds = ports.events().iter().map(AuditEvent::kind).collect();
        async { kinds }
    })
    .await;
    let ports = MemoryPorts::new();
    quarantine_conforms(ports.clone(), ManualClock::default(), || {
        let held = ports.holds().iter().map(|h| (h.id, h.content.text().to_owned())).collect();
        async { held }
    })
    .await;
}

#[tokio::test]
async fn a_port_may_be_shared_and_boxed() {
    let ports = MemoryPorts::new();
    let quarantine: Arc<dyn Quarantine> = Arc::new(ports.clone());
    let audit: Box<dyn AuditSink> = Box::new(ports.clone());
    let gate = Gate::new(word_inspector(ManualClock::default()), quarantine, audit);
    gate.submit(submission("flag-hold")).await.unwrap();
    gate.clone().submit(submission("an offer")).await.unwrap();
    assert_eq!(ports.events().len(), 2);
}

#[tokio::test]
async fn without_a_quarantine_nothing_is_held_and_the_event_says_so() {
    let (gate, held, recorded) = gate();
    let gate = gate.without_quarantine();
    let mut submission = submission("flag-hold");
    submission.source = Some(SourceId::new("post-9").unwrap());
    let outcome = gate.submit(submission).await.unwrap();
    assert_eq!((outcome.assessment.verdict(), outcome.is_held), (Verdict::Quarantine, false));
    assert_eq!(outcome.assessment.inspection().quarantine_id, None, "there is nowhere to ask");
    assert!(held.holds().is_empty() && held.events().is_empty());
    let [event] = &*recorded.events() else { panic!("one event") };
    assert_eq!(event.kind(), EventKind::SsgQuarantine);
    assert_eq!(event.meta().get("held"), Some(&serde_json::json!(false)));
    assert_eq!(event.target().map(|t| &*t.kind), Some("content"));
    recorded.set_failing(true);
    let error = gate.submit(self::submission("flag-hold")).await.unwrap_err();
    assert_eq!(error.code(), "ssg-core/not-recorded", "a verdict that nobody recorded");
}

#[tokio::test]
async fn without_a_log_of_verdicts_holds_are_still_committed_with_their_event() {
    let (gate, held, recorded) = gate();
    let gate = gate.without_verdict_log();
    recorded.set_failing(true);
    for (text, verdict) in
        [("an offer", Verdict::Pass), ("flag-warn", Verdict::Warn), ("flag-block", Verdict::Block)]
    {
        assert_eq!(gate.submit(submission(text)).await.unwrap().assessment.verdict(), verdict);
    }
    let outcome = gate.submit(submission("flag-hold")).await.unwrap();
    assert!(outcome.is_held && outcome.assessment.inspection().quarantine_id.is_some());
    assert_eq!(held.events().iter().map(AuditEvent::kind).collect::<Vec<_>>(), [EventKind::SsgQuarantine]);
    assert_eq!(held.events()[0].meta().get("held"), None);
    let outcome = gate.without_quarantine().submit(submission("flag-hold twice")).await.unwrap();
    assert_eq!((outcome.assessment.verdict(), outcome.is_held), (Verdict::Quarantine, false));
    assert_eq!((held.holds().len(), recorded.events().len()), (1, 0));
}

#[tokio::test]
async fn a_trial_run_judges_everything_and_nothing_follows() {
    for (text, would_be, tier, label) in [
        ("an offer", Verdict::Pass, "CLEAR", None),
        ("flag-warn", Verdict::Warn, "MODERATE", Some("FLAG_WARN")),
        ("flag-hold", Verdict::Quarantine, "HIGH", Some("FLAG_HOLD")),
        ("flag-block", Verdict::Block, "CRITICAL", Some("FLAG_BLOCK")),
    ] {
        let (gate, held, recorded) = gate();
        let mut submission = submission(text);
        submission.shadow = true;
        let outcome = gate.submit(submission).await.unwrap();
        let inspection = outcome.assessment.inspection();
        assert_eq!((inspection.verdict, inspection.would_be), (Verdict::Pass, Some(would_be)));
        assert_eq!((outcome.is_held, inspection.quarantine_id), (false, None));
        assert_eq!(serde_json::to_value(inspection).unwrap()["wouldBe"], would_be.as_str());
        assert!(held.holds().is_empty() && held.events().is_empty());
        let [event] = &*recorded.events() else { panic!("one event") };
        assert_eq!(event.kind(), EventKind::SsgPass);
        assert_eq!(event.meta().get("wouldBe"), Some(&serde_json::json!(would_be.as_str())));
        assert_eq!(event.meta().get("tier"), Some(&serde_json::json!(tier)));
        let labels: Vec<&str> = label.into_iter().collect();
        assert_eq!(event.meta().get("labels"), Some(&serde_json::json!(labels)));
    }
    let usual = gate().0.submit(submission("flag-warn")).await.unwrap();
    assert_eq!(serde_json::to_value(usual.assessment.inspection()).unwrap().get("wouldBe"), None);
}
