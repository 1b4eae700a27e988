//! From findings to a verdict. What a user would lose: two e-mail addresses would be worse than a leaked key, a watched
//! rule would hold somebody's post, a caller would learn how to stay below a threshold.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use clawexchange_ssg_core::testing::{ManualClock, WordPlugin, word_inspector};
use clawexchange_ssg_core::{
    Assessment, Category, Clock as _, ContentEnvelope, Context, DetectionPlugin, Findings, Inspector,
    InspectorConfig, Pattern, PluginError, PluginRegistry, RiskScore, RiskTier, RuleMode, TierThresholds,
    Verdict,
};
use serde_json::json;

const EMAIL: Pattern = Pattern::new("email-address", Category::ContactData, 40, &["EMAIL"]);
const KEY: Pattern = Pattern::new("some-key", Category::Credentials, 90, &["API_KEY", "CREDENTIAL"]);

/// Finds each pattern wherever its word stands.
struct Words {
    id: &'static str,
    words: Vec<(&'static str, Pattern)>,
}

impl DetectionPlugin for Words {
    fn id(&self) -> &str {
        self.id
    }

    fn analyze(&self, content: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
        let mut found = Findings::none();
        for (word, pattern) in &self.words {
            for field in content.fields() {
                for (at, _) in field.text.match_indices(word) {
                    found.add(pattern, &field, at..at + word.len(), "…");
                }
            }
        }
        Ok(found)
    }
}

fn words(id: &'static str, words: impl IntoIterator<Item = (&'static str, Pattern)>) -> Words {
    Words { id, words: words.into_iter().collect() }
}

async fn judge(plugins: impl IntoIterator<Item = Words>, text: &str) -> Assessment {
    let mut registry = PluginRegistry::new();
    for plugin in plugins {
        registry = registry.with_inline(plugin).unwrap();
    }
    let inspector = Inspector::new(registry, InspectorConfig::default());
    inspector.inspect(&ContentEnvelope::post(text).unwrap()).await
}

#[tokio::test]
async fn three_addresses_score_like_one() {
    for text in
        ["one a@b.example", "two a@b.example c@b.example", "a@b.example c@b.example d@b.example, three"]
    {
        let assessment = judge([words("w", [("@b.example", EMAIL)])], text).await;
        assert_eq!(assessment.score().get(), 40, "{text}");
        assert_eq!(assessment.verdict(), Verdict::Warn);
        assert_eq!(assessment.inspection().matches.len(), text.matches('@').count());
    }
}

#[tokio::test]
async fn one_pattern_that_two_plugins_look_for_scores_once() {
    let half = || Pattern::new("same", Category::Other, 40, &["SAME"]);
    let plugins = [words("a", [("x", half())]), words("b", [("x", half()), ("y", half())])];
    let assessment = judge(plugins, "x y").await;
    assert_eq!(assessment.score().get(), 40);
    assert_eq!(assessment.inspection().labels, ["SAME"]);
    let deltas: u32 = assessment.rules().iter().map(|r| r.delta).sum();
    assert_eq!(deltas, 40, "operators are not shown the points twice");
}

#[tokio::test]
async fn labels_are_those_of_the_family_and_its_own_each_once_and_sorted() {
    let plugins = [
        words("a", [("@b.example", EMAIL), ("k-1", KEY)]),
        words("b", [("k-1", Pattern::new("other-key", Category::Credentials, 10, &["API_KEY"]))]),
    ];
    let assessment = judge(plugins, "k-1 k-1 a@b.example").await;
    assert_eq!(assessment.inspection().labels, ["API_KEY", "CREDENTIAL", "EMAIL", "PII"]);
}

#[tokio::test]
async fn matches_are_sorted_by_field_start_and_pattern_whoever_found_them_first() {
    let p = |id, points| Pattern::new(id, Category::Other, points, &[]);
    let plugins =
        [words("b", [("z", p("z-one", 90)), ("x", p("b-two", 1))]), words("a", [("x", p("a-three", 5))])];
    let mut registry = PluginRegistry::new();
    for plugin in plugins {
        registry = registry.with_inline(plugin).unwrap();
    }
    let content = ContentEnvelope::from_json(br#"{"text":"x z x","metadata":{"k":"z x"}}"#).unwrap();
    let inspection =
        Inspector::new(registry, InspectorConfig::default()).inspect(&content).await.into_inspection();
    let order: Vec<_> = inspection.matches.iter().map(|m| (&*m.field, m.start, &*m.pattern_id)).collect();
    assert_eq!(
        order,
        [
            ("/metadata/k", 0, "z-one"),
            ("/metadata/k", 2, "a-three"),
            ("/metadata/k", 2, "b-two"),
            ("/text", 0, "a-three"),
            ("/text", 0, "b-two"),
            ("/text", 2, "z-one"),
            ("/text", 4, "a-three"),
            ("/text", 4, "b-two"),
        ]
    );
}

#[tokio::test]
async fn a_hundred_matches_are_listed_and_it_is_said_that_there_were_more() {
    let x = || words("w", [("x", EMAIL)]);
    let y = || words("v", [("y", KEY)]);
    for (text, listed, truncated) in [
        ("x".repeat(100), 100, false),
        ("x".repeat(101), 100, true),
        ("x".repeat(60) + &"y".repeat(40), 100, false),
        ("x".repeat(60) + &"y".repeat(60), 100, true),
        ("x".repeat(500_000), 100, true),
    ] {
        let assessment = judge([x(), y()], &text).await;
        let inspection = assessment.inspection();
        assert_eq!(
            (inspection.matches.len(), inspection.truncated),
            (listed, truncated),
            "{} bytes",
            text.len()
        );
        let counted: u64 = assessment.rules().iter().map(|r| r.count).sum();
        assert_eq!(counted, text.len() as u64, "all are counted");
        let shown = serde_json::to_value(inspection).unwrap();
        assert_eq!(shown.get("truncated").is_some(), truncated);
    }
}

#[tokio::test]
async fn offsets_are_bytes_of_the_value_in_utf_8() {
    let assessment = judge([words("w", [("key", KEY)])], "é🙂 key").await;
    let at: Vec<_> = assessment.inspection().matches.iter().map(|m| (m.start, m.end)).collect();
    assert_eq!(at, [(7, 10)], "two bytes, four, a space");
    let escaped = ContentEnvelope::from_json(br#"{"text":"\u00e9\ud83d\ude42 k\u0065y"}"#).unwrap();
    let registry = PluginRegistry::new().with_inline(words("w", [("key", KEY)])).unwrap();
    let inspection =
        Inspector::new(registry, InspectorConfig::default()).inspect(&escaped).await.into_inspection();
    let at: Vec<_> = inspection.matches.iter().map(|m| (m.start, m.end)).collect();
    assert_eq!(at, [(7, 10)], "after JSON decoding, however it was written");
}

#[tokio::test]
async fn a_find_across_two_fields_is_reported_where_it_begins_and_clipped() {
    struct Across;
    impl DetectionPlugin for Across {
        fn id(&self) -> &'static str {
            "across"
        }

        fn analyze(&self, content: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
            let mut found = Findings::none();
            if let Some(joined) = content.joined() {
                for (at, part) in joined.text().match_indices("key\npart") {
                    found.add_joined(&KEY, joined, at..at + part.len(), "…");
                }
            }
            Ok(found)
        }
    }
    let content = ContentEnvelope::from_json(br#"{"title":"my key","text":"part two"}"#).unwrap();
    let registry = PluginRegistry::new().with_inline(Across).unwrap();
    let assessment = Inspector::new(registry, InspectorConfig::default()).inspect(&content).await;
    assert_eq!(assessment.verdict(), Verdict::Block);
    let found: Vec<_> =
        assessment.inspection().matches.iter().map(|m| (&*m.field, m.start, m.end, m.joined)).collect();
    assert_eq!(found, [("/title", 3, 6, true)]);
}

#[tokio::test]
async fn a_rule_that_only_watches_changes_nothing_that_a_caller_sees() {
    let plain = judge([words("w", [("@b.example", EMAIL)])], "a@b.example k-1").await;
    for mode in [RuleMode::Shadow, RuleMode::Off] {
        let watching = words("w", [("@b.example", EMAIL), ("k-1", KEY.in_mode(mode))]);
        let watched = judge([watching], "a@b.example k-1").await;
        let (mut seen, unwatched) = (watched.inspection().clone(), plain.inspection());
        (seen.inspection_id, seen.timestamp) = (unwatched.inspection_id, unwatched.timestamp);
        assert_eq!(&seen, unwatched, "{mode:?}");
        assert_eq!(watched.score(), plain.score());
        let told = watched.rules().iter().find(|r| r.pattern_id == "some-key").unwrap();
        assert_eq!(
            (told.delta, told.count, told.mode),
            (0, 1, mode),
            "operators see what it would have found"
        );
    }
}

#[tokio::test]
async fn a_caller_sees_no_points_and_no_text_of_the_content() {
    let assessment = judge([words("w", [("k-1", KEY), ("@b.example", EMAIL)])], "k-1 a@b.example").await;
    let shown = serde_json::to_value(assessment.inspection()).unwrap();
    let members: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["inspectionId", "labels", "matches", "policy", "tier", "timestamp", "verdict"]);
    let shown = shown.to_string();
    for absent in ["score", "points", "delta", "count", "k-1 ", "b.example"] {
        assert!(!shown.contains(absent), "{absent} in {shown}");
    }
    assert!(!format!("{assessment:?}").contains("score"), "nor does debug output");
}

#[tokio::test]
async fn what_each_rule_gave_adds_up_to_the_score() {
    let plugins = || {
        [
            words("a", [("@b.example", EMAIL), ("k-1", KEY)]),
            words("b", [("pay first", Pattern::new("pay-first", Category::SocialEngineering, 55, &[]))]),
        ]
    };
    for text in ["", "a@b.example", "pay first a@b.example", "k-1 pay first a@b.example", "k-1 k-1"] {
        let assessment = judge(plugins(), &format!("{text}.")).await;
        let explained = assessment.explain();
        assert_eq!(explained.rules.iter().map(|r| r.delta).sum::<u32>(), explained.score, "{text}");
        assert!(explained.rules.is_sorted_by_key(|r| std::cmp::Reverse(r.delta)), "strongest first: {text}");
    }
}

#[tokio::test]
async fn each_tier_has_its_verdict() {
    let inspector = word_inspector(ManualClock::default());
    for (text, tier, verdict) in [
        ("an offer", RiskTier::Clear, Verdict::Pass),
        ("flag-low", RiskTier::Low, Verdict::Pass),
        ("flag-warn", RiskTier::Moderate, Verdict::Warn),
        ("flag-hold", RiskTier::High, Verdict::Quarantine),
        ("flag-block", RiskTier::Critical, Verdict::Block),
    ] {
        let inspection = inspector.inspect(&ContentEnvelope::post(text).unwrap()).await.into_inspection();
        assert_eq!((inspection.tier, inspection.verdict), (tier, verdict), "{text}");
        assert_eq!(inspection.quarantine_id, None, "an inspection alone holds nothing");
    }
}

#[tokio::test]
async fn a_judgement_says_when_it_was_made_and_by_which_rules() {
    let clock = ManualClock::default();
    let mut config = InspectorConfig::default();
    "test@1+00000000".clone_into(&mut config.policy);
    let registry = PluginRegistry::new().with_inline(WordPlugin::new()).unwrap();
    let inspector = Inspector::with_clock(registry, config, clock.clone());
    let content = ContentEnvelope::post("flag-low").unwrap();
    let first = inspector.inspect(&content).await.into_inspection();
    clock.advance(Duration::from_secs(1));
    let second = inspector.inspect(&content).await.into_inspection();
    assert_eq!((first.timestamp, &*first.policy), (ManualClock::default().now(), "test@1+00000000"));
    assert_eq!(second.timestamp.since(first.timestamp), Duration::from_secs(1));
    assert_ne!(first.inspection_id, second.inspection_id);
}

#[test]
fn thresholds_with_a_gap_an_overlap_or_no_beginning_cannot_be_said() {
    let usual = json!({"low": 1, "moderate": 30, "high": 60, "critical": 85});
    assert_eq!(serde_json::from_value::<TierThresholds>(usual.clone()).unwrap(), TierThresholds::default());
    assert_eq!(serde_json::to_value(TierThresholds::default()).unwrap(), usual);
    for bad in [
        json!({"low": 0, "moderate": 30, "high": 60, "critical": 85}),
        json!({"low": 30, "moderate": 30, "high": 60, "critical": 85}),
        json!({"low": 1, "moderate": 60, "high": 30, "critical": 85}),
        json!({"low": 1, "moderate": 30, "high": 60}),
        json!({"low": 1, "moderate": 30, "high": 60, "critical": 85, "clear": 0}),
        json!({"low": -1, "moderate": 30, "high": 60, "critical": 85}),
        json!({"low": 0.5, "moderate": 29.5, "high": 59.5, "critical": 84.5}),
        json!({"low": 1, "moderate": null, "high": 60, "critical": 85}),
    ] {
        assert!(serde_json::from_value::<TierThresholds>(bad.clone()).is_err(), "{bad}");
    }
    let widest = TierThresholds::new(1, 2, 3, u32::MAX).unwrap();
    assert_eq!(widest.tier(RiskScore::new(u32::MAX)), RiskTier::Critical);
}
