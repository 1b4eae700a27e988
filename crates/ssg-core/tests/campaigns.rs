//! What the gate makes of a campaign. What a user would lose: a flood of one text is passed on piece by piece, or the
//! answer, the log and the hold disagree about why something is held.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use clawexchange_ssg_core::testing::{ManualClock, MemoryPorts, WordPlugin, word_inspector};
use clawexchange_ssg_core::{
    AgentId, Campaign, Campaigns, Category, CategoryAction, ContentEnvelope, Context, DetectionPlugin,
    Findings, Gate, InspectionId, Inspector, InspectorConfig, Outcome, OwnerId, PluginError, PluginFailure,
    PluginRegistry, Posted, Recorded, RiskTier, Submission, TierThresholds, Verdict,
};
use serde_json::json;

/// Says the same of everything, and remembers what it was asked.
#[derive(Clone, Debug)]
struct Says {
    answer: Option<Campaign>,
    asked: Arc<Mutex<Vec<(InspectionId, RiskTier)>>>,
}

fn says(owners: u32, is_to_hold: bool) -> Says {
    let mut campaign = Campaign::new(owners, owners + 1, owners + 2, 1);
    (campaign.is_to_hold, campaign.bits) = (is_to_hold, 0xab);
    Says { answer: Some(campaign), asked: Arc::default() }
}

#[async_trait]
impl Campaigns for Says {
    async fn count(&self, posted: Posted<'_>) -> Option<Campaign> {
        assert_eq!((posted.agent.as_str(), posted.owner.map(OwnerId::as_str)), ("agent-7", Some("owner-1")));
        let seen = posted.assessment.inspection();
        self.asked.lock().unwrap().push((posted.inspection, seen.tier));
        self.answer
    }
}

fn submission(text: &str) -> Submission {
    let mut submission =
        Submission::new(ContentEnvelope::post(text).unwrap(), AgentId::new("agent-7").unwrap());
    submission.owner = Some(OwnerId::new("owner-1").unwrap());
    submission
}

async fn submit(inspector: Inspector, says: Says, submission: Submission) -> (Outcome, MemoryPorts) {
    let ports = MemoryPorts::new();
    let gate = Gate::new(inspector, ports.clone(), ports.clone()).with_campaigns(says);
    (gate.submit(submission).await.unwrap(), ports)
}

#[tokio::test]
async fn the_answer_the_log_and_the_hold_agree_on_what_a_campaign_does() {
    for (text, holds, tier, verdict, lifted) in [
        ("an offer", false, RiskTier::Clear, Verdict::Pass, None),
        ("flag-warn", false, RiskTier::Moderate, Verdict::Warn, None),
        ("an offer", true, RiskTier::High, Verdict::Quarantine, Some("hold:campaign")),
        ("flag-warn", true, RiskTier::High, Verdict::Quarantine, Some("hold:campaign")),
        ("flag-hold", true, RiskTier::High, Verdict::Quarantine, None),
        ("flag-block", true, RiskTier::Critical, Verdict::Block, None),
    ] {
        let says = says(20, holds);
        let (outcome, ports) =
            submit(word_inspector(ManualClock::default()), says.clone(), submission(text)).await;
        let inspection = outcome.assessment.inspection();
        assert_eq!((inspection.tier, inspection.verdict), (tier, verdict), "{text} {holds}");
        assert!(inspection.labels.iter().any(|label| label == "CAMPAIGN") && inspection.labels.is_sorted());
        let shown = serde_json::to_value(inspection).unwrap();
        let counts = json!({"owners": 20, "agents": 21, "times": 22, "ownTimes": 1, "windowSeconds": 3600});
        assert_eq!(shown.get("campaign"), Some(&counts));
        assert_eq!(outcome.assessment.explain().lifted.as_deref(), lifted, "{text} {holds}");
        let [event] = &*ports.events() else { panic!("one event") };
        let meta = event.meta();
        assert_eq!(meta.get("tier"), Some(&json!(tier)));
        assert_eq!(meta.get("labels"), shown.get("labels"));
        assert_eq!(meta.get("lifted").and_then(|l| l.as_str()), lifted);
        let told = Campaign::of_event(meta).unwrap();
        assert_eq!((told.owners, told.agents, told.times, told.own_times, told.bits), (20, 21, 22, 1, 0xab));
        assert_eq!(meta.get("byFailure"), None);
        let held: Vec<_> =
            ports.holds().iter().map(|hold| hold.assessment.inspection().labels.clone()).collect();
        let is_held = verdict == Verdict::Quarantine;
        assert_eq!(held, if is_held { vec![inspection.labels.clone()] } else { vec![] });
        assert_eq!(says.asked.lock().unwrap().len(), 1, "each submission is counted once");
    }
}

#[tokio::test]
async fn what_is_part_of_no_campaign_is_as_it_was() {
    let says = Says { answer: None, asked: Arc::default() };
    let mut submission = submission("flag-warn");
    let id = InspectionId::fresh();
    submission.inspection = Some(id);
    let (outcome, ports) = submit(word_inspector(ManualClock::default()), says.clone(), submission).await;
    let inspection = outcome.assessment.inspection();
    assert_eq!((inspection.campaign, inspection.labels.as_slice()), (None, &["FLAG_WARN".to_owned()][..]));
    assert!(ports.events().iter().all(|event| event.meta().get("campaign").is_none()));
    assert_eq!(
        *says.asked.lock().unwrap(),
        [(id, RiskTier::Moderate)],
        "counted under its own name, as it was judged"
    );
}

#[tokio::test]
async fn a_trial_run_counts_and_says_what_would_be_done() {
    let mut submission = submission("an offer");
    submission.shadow = true;
    let (outcome, ports) = submit(word_inspector(ManualClock::default()), says(20, true), submission).await;
    let inspection = outcome.assessment.inspection();
    assert_eq!((inspection.verdict, inspection.would_be), (Verdict::Pass, Some(Verdict::Quarantine)));
    assert!(ports.holds().is_empty() && inspection.campaign.is_some());
}

#[tokio::test]
async fn a_campaign_that_is_held_is_not_passed_on_with_something_cut_out() {
    struct Mail;
    impl DetectionPlugin for Mail {
        fn id(&self) -> &'static str {
            "mail"
        }

        fn analyze(&self, content: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
            let mut found = Findings::none();
            let pattern = clawexchange_ssg_core::Pattern::new("mail", Category::ContactData, 40, &["EMAIL"]);
            for field in content.fields() {
                for (at, word) in field.text.match_indices("ann@north.example") {
                    found.add(&pattern, &field, at..at + word.len(), "…");
                }
            }
            Ok(found)
        }
    }
    let mut config = InspectorConfig::default();
    config.actions.insert(Category::ContactData, CategoryAction::Redact);
    let inspector = || Inspector::new(PluginRegistry::new().with_inline(Mail).unwrap(), config.clone());
    let text = "write to ann@north.example";
    let (labelled, _) = submit(inspector(), says(5, false), submission(text)).await;
    assert!(labelled.assessment.inspection().sanitized.is_some());
    let (held, ports) = submit(inspector(), says(20, true), submission(text)).await;
    let inspection = held.assessment.inspection();
    assert_eq!((inspection.verdict, &inspection.sanitized), (Verdict::Quarantine, &None));
    assert!(!inspection.labels.iter().any(|label| label == "REDACTED"));
    assert_eq!(ports.holds().first().unwrap().content.text(), text, "held as it came");
}

#[tokio::test]
async fn who_is_held_for_a_campaign_is_not_held_for_a_failed_plugin() {
    struct Away;
    impl DetectionPlugin for Away {
        fn id(&self) -> &'static str {
            "away"
        }

        fn analyze(&self, _: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
            Err(PluginError("away"))
        }
    }
    for on_failure in [PluginFailure::Hold, PluginFailure::Ignore] {
        for (holds, by_failure) in [(true, false), (false, on_failure == PluginFailure::Hold)] {
            let plugins =
                PluginRegistry::new().with_inline(WordPlugin::new()).and_then(|p| p.with_inline(Away));
            let plugins = plugins.unwrap().on_failure("away", on_failure).unwrap();
            let inspector = Inspector::new(plugins, InspectorConfig::default());
            let (outcome, _) = submit(inspector, says(20, holds), submission("an offer")).await;
            let is_by_failure = outcome.assessment.is_by_failure(&TierThresholds::default());
            assert_eq!(is_by_failure, by_failure, "{on_failure:?} {holds}");
        }
    }
}

#[tokio::test]
async fn whoever_lost_the_answer_is_told_of_the_campaign_again() {
    let (first, ports) =
        submit(word_inspector(ManualClock::default()), says(20, true), submission("an offer")).await;
    let [event] = &*ports.events() else { panic!("one event") };
    let again =
        word_inspector(ManualClock::default()).inspect(&ContentEnvelope::post("an offer").unwrap()).await;
    let mut said = Recorded::new(Verdict::Quarantine, RiskTier::High, event.at());
    said.campaign = Campaign::of_event(event.meta());
    let outcome = Outcome::recorded(again, said).unwrap();
    let (told, first) = (outcome.assessment.into_inspection(), first.assessment.into_inspection());
    assert_eq!(serde_json::to_value(told.campaign).unwrap(), serde_json::to_value(first.campaign).unwrap());
}

#[tokio::test]
async fn whoever_counts_may_be_shared_and_boxed() {
    let ports = MemoryPorts::new();
    for campaigns in [Box::new(Arc::new(says(5, false))) as Box<dyn Campaigns>, Box::new(says(5, false))] {
        let gate = Gate::new(word_inspector(ManualClock::default()), ports.clone(), ports.clone());
        let outcome = gate.with_campaigns(campaigns).submit(submission("an offer")).await.unwrap();
        assert!(outcome.assessment.inspection().campaign.is_some());
    }
}
