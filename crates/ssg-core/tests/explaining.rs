//! What an explanation says of any plugin. What would be lost: an operator would look for a place in the wrong line, or
//! a plugin that only explains badly would take the judgement with it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use clawexchange_ssg_core::{
    Adjustment, Category, Confidence, ContentEnvelope, Context, DetectionPlugin, Explanation, Finding,
    Findings, Inspector, InspectorConfig, Pattern, PluginError, PluginRegistry, Severity, Suppressed,
    Suppression,
};
use serde_json::json;

const WORD: Pattern = Pattern::new("some-word", Category::Credentials, 70, &["WORD"]);
const NEAR: Pattern = Pattern::new("near-miss", Category::Credentials, 50, &[]);

/// Finds `word`, more or less sure of it, and passes over `wrod`.
struct Words;

impl DetectionPlugin for Words {
    fn id(&self) -> &'static str {
        "words"
    }

    fn analyze(&self, content: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
        let mut found = Findings::none();
        for field in content.fields() {
            for (at, _) in field.text.match_indices("word") {
                let finding = Finding::new(&WORD, &field, at..at + 4, "[word]");
                let is_quoted = field.text.get(..at).is_some_and(|before| before.ends_with('"'));
                let finding =
                    if is_quoted { finding.adjusted(Adjustment::new("quoted", -30)) } else { finding };
                found.push(finding.failing("sum"));
            }
        }
        Ok(found)
    }

    fn suppressed(&self, content: &ContentEnvelope, _: &Context) -> Vec<Suppressed> {
        let in_field = |field: &clawexchange_ssg_core::Field<'_>| {
            let misses = field.text.match_indices("wrod");
            let misses = misses.map(|(at, _)| {
                Suppressed::new(&NEAR, field, &(at..at + 4), "[wrod]", Suppression::FailedCheck)
                    .by("spelling")
            });
            misses.collect::<Vec<_>>()
        };
        let mut all: Vec<Suppressed> = content.fields().flat_map(|field| in_field(&field)).collect();
        let field = content.fields().next().unwrap();
        all.push(Suppressed::new(&NEAR, &field, &(4000..4001), "[]", Suppression::Placeholder));
        all
    }
}

/// Finds nothing, and cannot say why.
struct Panics;

impl DetectionPlugin for Panics {
    fn id(&self) -> &'static str {
        "panics"
    }

    fn analyze(&self, _: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
        Ok(Findings::none())
    }

    fn suppressed(&self, _: &ContentEnvelope, _: &Context) -> Vec<Suppressed> {
        panic!("it cannot explain itself")
    }
}

async fn explained(json: &str) -> Explanation {
    let registry = PluginRegistry::new().with_inline(Words).unwrap().with(Panics).unwrap();
    let inspector = Inspector::new(registry, InspectorConfig::default());
    let content = ContentEnvelope::from_json(json.as_bytes()).unwrap();
    let assessment = inspector.inspect(&content).await;
    inspector.explain(&content, &assessment).await
}

#[tokio::test]
async fn a_rule_is_worth_its_strongest_place_which_gives_all_that_it_gave() {
    let explanation = explained(r#"{"text":"a \"word\" and a word"}"#).await;
    let rule = &explanation.rules[0];
    assert_eq!((rule.points, rule.delta, explanation.score), (70, 70, 70));
    assert_eq!((rule.severity, rule.confidence), (Severity::Critical, Confidence::percent(70).unwrap()));
    let places: Vec<_> = rule.places.iter().map(|p| (p.confidence.get(), p.points, p.delta)).collect();
    assert_eq!(places, [(40, 40, 0), (70, 70, 70)]);
    assert_eq!(rule.places[0].discounts, [Adjustment::new("quoted", -30)]);
    assert_eq!(rule.places[0].failed, ["sum"]);
    let quoted = explained(r#"{"text":"only a \"word\""}"#).await;
    assert_eq!((quoted.score, quoted.rules[0].delta), (40, 40));
}

#[tokio::test]
async fn places_are_told_in_lines_in_every_field_and_in_names_of_members() {
    let explanation = explained(r#"{"text":"x\n🔑 word","title":"ä word","metadata":{"word":"wrod"}}"#).await;
    let shown = serde_json::to_value(&explanation).unwrap();
    let places = shown["rules"][0]["places"].as_array().unwrap();
    let told = |field: &str| {
        let place = places.iter().find(|p| p["field"] == field).unwrap();
        json!([place["line"], place["column"], place["startUtf16"], place["endUtf16"]])
    };
    assert_eq!(told("/text"), json!([2, 3, 5, 9]));
    assert_eq!(told("/title"), json!([1, 3, 2, 6]));
    assert_eq!(told("/metadata/word"), json!([1, 1, 0, 4]));
    assert!(places.iter().any(|p| p["inKey"] == true));
    let missed = &shown["suppressed"];
    assert_eq!(missed.as_array().unwrap().len(), 1, "what lies beyond its field is not shown");
    assert_eq!(
        (&missed[0]["plugin"], &missed[0]["reason"], &missed[0]["by"], &missed[0]["line"]),
        (&json!("words"), &json!("failed-check"), &json!("spelling"), &json!(1))
    );
}

#[tokio::test]
async fn a_plugin_that_cannot_explain_itself_takes_nothing_with_it() {
    let explanation = explained(r#"{"text":"a word, a wrod"}"#).await;
    assert_eq!((explanation.score, explanation.suppressed.len()), (70, 1));
    assert!(explanation.failures.is_empty());
}

#[tokio::test]
async fn a_severity_that_has_no_room_for_the_points_is_raised() {
    const MILD: Pattern = WORD.of_severity(Severity::Low);
    assert_eq!((MILD.severity(), MILD.score()), (Severity::High, 70));
    assert_eq!(MILD.severity().points(MILD.confidence()), 70);
}
