//! What categories do besides making points. What a user would lose: a leaked key would be published with its post, or a
//! post be refused for a key that could have been cut out; and cutting something out would let the rest through unseen.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use clawexchange_ssg_core::testing::{ManualClock, MemoryPorts};
use clawexchange_ssg_core::{
    AgentId, Assessment, Category, CategoryAction, ContentEnvelope, Context, DetectionPlugin, EnvelopeBounds,
    EventKind, Finding, Findings, Gate, Inspector, InspectorConfig, Pattern, PluginError, PluginFailure,
    PluginRegistry, ReadAs, Received, RiskTier, RuleMode, Submission, Verdict,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const KEY: Pattern = Pattern::new("some-key", Category::Credentials, 90, &["API_KEY"]);
const HEADER: Pattern = Pattern::new("key-header", Category::Credentials, 90, &[]);
const MAIL: Pattern = Pattern::new("email-address", Category::ContactData, 40, &["EMAIL"]);
const HINT: Pattern = Pattern::new("hint", Category::Injection, 10, &[]);
const ORDER: Pattern = Pattern::new("order", Category::Injection, 59, &[]);
const NIT: Pattern = Pattern::new("nit", Category::Injection, 3, &[]);
const TWIST: Pattern = Pattern::new("twist", Category::Injection, 3, &[]);
const WATCHED: Pattern = Pattern::new("watched", Category::Injection, 90, &[]);

/// A key is `key-` and eight digits: so long, and what follows is not looked at.
const KEY_BYTES: usize = 12;

/// Finds keys and a few words.
struct Words;

impl DetectionPlugin for Words {
    fn id(&self) -> &'static str {
        "words"
    }

    fn analyze(&self, content: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
        let mut found = Findings::none();
        for field in content.fields() {
            for (at, _) in field.text.match_indices("key-") {
                let span = at..at + KEY_BYTES;
                let digits = field.text.get(span.clone()).and_then(|key| key.get(4..));
                if digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit())) {
                    found.add(&KEY, &field, span, "key-…");
                }
            }
            for (word, pattern) in [
                ("BEGIN", HEADER.open_ended()),
                ("@", MAIL),
                ("hint", HINT),
                ("nit", NIT),
                ("] twist", TWIST),
                ("order", ORDER),
                ("watched", WATCHED.in_mode(RuleMode::Shadow)),
                ("123456789012", KEY),
            ] {
                for (at, _) in field.text.match_indices(word) {
                    found.add(&pattern, &field, at..at + word.len(), "…");
                }
            }
            for (at, pin) in field.text.match_indices("pin=4711") {
                found.add(&KEY, &field, at + "pin=".len()..at + pin.len(), "…");
            }
            for (at, _) in field.text.match_indices("d3JhcA") {
                let wrapped = Finding::new(&KEY, &field, at..at + 6, "…");
                found.push(wrapped.seen_through(["base64".into()]));
            }
        }
        if let Some(joined) = content.joined()
            && let Some(at) = joined.text().find("ke\ny")
        {
            found.add_joined(&KEY, joined, at..at + 4, "…");
        }
        Ok(found)
    }
}

fn inspector(actions: impl IntoIterator<Item = (Category, CategoryAction)>) -> Inspector {
    let mut config = InspectorConfig::default();
    config.actions = actions.into_iter().collect();
    Inspector::with_clock(PluginRegistry::new().with_inline(Words).unwrap(), config, ManualClock::default())
}

async fn judge(actions: &[(Category, CategoryAction)], json: &str) -> Assessment {
    inspector(actions.iter().copied()).inspect(&ContentEnvelope::from_json(json.as_bytes()).unwrap()).await
}

const REDACT: [(Category, CategoryAction); 1] = [(Category::Credentials, CategoryAction::Redact)];

/// What is passed on in place of `json`.
async fn rest_of(json: &str) -> Option<String> {
    let assessment = judge(&REDACT, json).await;
    assert_eq!(assessment.inspection().sanitized.is_some(), assessment.verdict() == Verdict::Pass, "{json}");
    let sanitized = assessment.inspection().sanitized.as_ref()?;
    Some(serde_json::to_string(sanitized).unwrap())
}

#[tokio::test]
async fn an_action_lifts_the_tier_and_leaves_the_score() {
    use Category::{ContactData, Injection};
    use CategoryAction::{Block, Hold};
    for (actions, text, tier, score, lifted) in [
        (&[][..], "hint", RiskTier::Low, 10, None),
        (&[(Injection, Hold)], "hint", RiskTier::High, 10, Some("hold:injection")),
        (&[(Injection, Block)], "hint", RiskTier::Critical, 10, Some("block:injection")),
        (&[(Injection, Block)], "a@b.example", RiskTier::Moderate, 40, None),
        (&[(Injection, Block)], "fine", RiskTier::Clear, 0, None),
        (&[(Injection, Block)], "watched", RiskTier::Clear, 0, None),
        (&[(Category::Credentials, Hold)], "key-12345678", RiskTier::Critical, 90, None),
        (
            &[(Injection, Hold), (ContactData, Block)],
            "hint a@b.example",
            RiskTier::Critical,
            42,
            Some("block:contact-data"),
        ),
        // The cap leaves contact data no points beside an order.
        (&[(ContactData, Block)], "order a@b.example", RiskTier::Critical, 59, Some("block:contact-data")),
    ] {
        let assessment = judge(actions, &json!({ "text": text }).to_string()).await;
        let explanation = assessment.explain();
        assert_eq!(assessment.inspection().tier, tier, "{text} {actions:?}");
        assert_eq!(assessment.verdict(), tier.verdict());
        assert_eq!((explanation.score, explanation.lifted.as_deref()), (score, lifted), "{text} {actions:?}");
        let sum: u32 = explanation.rules.iter().map(|rule| rule.delta).sum();
        assert_eq!(sum, score, "what each rule gave still adds up");
    }
}

#[tokio::test]
async fn what_an_action_lifted_is_the_agents_doing_though_a_plugin_failed_too() {
    let failing = || {
        let plugins = PluginRegistry::new().with_inline(Words).and_then(|p| p.with_inline(Failing));
        let mut config = InspectorConfig::default();
        config.actions = [(Category::Injection, CategoryAction::Hold)].into();
        Inspector::new(plugins.unwrap(), config)
    };
    for (text, by_failure) in [("hint", false), ("fine", true)] {
        let assessment = failing().inspect(&ContentEnvelope::post(text).unwrap()).await;
        assert_eq!(assessment.inspection().tier, RiskTier::High);
        assert_eq!(assessment.is_by_failure(&InspectorConfig::default().thresholds), by_failure, "{text}");
    }
}

/// Never answers but with an error.
struct Failing;

impl DetectionPlugin for Failing {
    fn id(&self) -> &'static str {
        "failing"
    }

    fn analyze(&self, _: &ContentEnvelope, _: &Context) -> Result<Findings, PluginError> {
        Err(PluginError("on purpose"))
    }
}

#[tokio::test]
async fn a_key_is_cut_out_and_the_rest_is_passed_on_as_it_was() {
    for (json, rest) in [
        (r#"{"text":"use key-12345678 now"}"#, r#"{"text":"use [REDACTED:CREDENTIAL] now"}"#),
        (
            r#"{ "text":"key-12345678key-87654321", "n":1.50e1, "metadata":{"b":[ 1, "key-12345678\n\"x\"" ],"a":null} }"#,
            r#"{"text":"[REDACTED:CREDENTIAL]","n":1.50e1,"metadata":{"b":[1,"[REDACTED:CREDENTIAL]\n\"x\""],"a":null}}"#,
        ),
        (
            r#"{"title":"ä key-12345678 ö","text":"fine","a/b~c":{"":"key-12345678"},"z":{ "kept" : [ 1 ] }}"#,
            r#"{"title":"ä [REDACTED:CREDENTIAL] ö","text":"fine","a/b~c":{"":"[REDACTED:CREDENTIAL]"},"z":{ "kept" : [ 1 ] }}"#,
        ),
        // The rule's longest match ends before the secret does.
        (r#"{"text":"key-1234567890abc+/=, then"}"#, r#"{"text":"[REDACTED:CREDENTIAL], then"}"#),
    ] {
        assert_eq!(rest_of(json).await.as_deref(), Some(rest));
        assert!(ContentEnvelope::from_json(rest.as_bytes()).is_ok());
    }
    let assessment = judge(&REDACT, r#"{"text":"use key-12345678 now"}"#).await;
    let inspection = assessment.inspection();
    assert_eq!((inspection.tier, inspection.verdict), (RiskTier::Clear, Verdict::Pass));
    assert_eq!(inspection.labels, ["API_KEY", "CREDENTIAL", "REDACTED"]);
    assert_eq!((inspection.matches[0].start, inspection.matches[0].end), (4, 16));
    assert_eq!(
        serde_json::to_value(inspection).unwrap()["sanitized"]["text"],
        "use [REDACTED:CREDENTIAL] now"
    );
    let explained = serde_json::to_value(assessment.explain()).unwrap();
    assert_eq!(
        (&explained["score"], &explained["sanitized"]["text"]),
        (&json!(90), &json!("use [REDACTED:CREDENTIAL] now"))
    );
    assert!(!format!("{inspection:?}").contains("use"), "debug output carries no content");
}

#[tokio::test]
async fn a_key_is_cut_out_of_a_long_text_too() {
    let long = "fine weather ".repeat(10_000);
    let assessment =
        judge(&REDACT, &json!({ "text": format!("{long} key-12345678 {long}") }).to_string()).await;
    let rest = assessment.into_inspection().sanitized.unwrap().into_content();
    assert_eq!(rest.text(), format!("{long} [REDACTED:CREDENTIAL] {long}"));
}

#[tokio::test]
async fn what_cannot_be_cut_out_cleanly_is_judged_as_if_nothing_could() {
    let many = json!({ "text": "key-12345678 ".repeat(101) }).to_string();
    for (why, json) in [
        ("something else was found", r#"{"text":"key-12345678 order"}"#),
        ("something else was found elsewhere", r#"{"text":"key-12345678","note":"a@b.example"}"#),
        ("however little it is", r#"{"text":"key-12345678 hint"}"#),
        ("it is a name", r#"{"text":"fine","key-12345678":1}"#),
        ("it is a number", r#"{"text":"fine","n":123456789012}"#),
        ("it is wrapped", r#"{"text":"d3JhcA"}"#),
        ("it lies in two fields", r#"{"title":"a ke","text":"y b"}"#),
        ("it is the beginning of something", r#"{"text":"BEGIN abcdef"}"#),
        ("it stands elsewhere, where no rule knows it", r#"{"text":"pin=4711","note":"4711!"}"#),
        ("it stands elsewhere in a name", r#"{"text":"pin=4711","4711":"x"}"#),
        ("it stands elsewhere as a number", r#"{"text":"pin=4711","n":[4711]}"#),
        ("what is left says something new", r#"{"text":"key-12345678 twist"}"#),
        ("there are more than are listed", &many),
    ] {
        let content = ContentEnvelope::from_json(json.as_bytes()).unwrap();
        let with = inspector(REDACT).inspect(&content).await;
        let without = inspector([]).inspect(&content).await;
        assert!(with.verdict() >= Verdict::Quarantine, "{why}");
        assert_eq!(with.inspection().sanitized, None, "{why}");
        assert_eq!(with.inspection().tier, without.inspection().tier, "{why}");
        assert_eq!(with.inspection().labels, without.inspection().labels, "{why}");
    }
    let assessment = judge(&REDACT, r#"{"text":"key-12345678 nit"}"#).await;
    assert_eq!(assessment.inspection().tier, RiskTier::Low, "what passes by itself passes beside it");
    assert_eq!(assessment.verdict(), Verdict::Pass);
}

#[tokio::test]
async fn nothing_is_cut_out_of_content_that_a_plugin_could_not_judge() {
    let plugins = PluginRegistry::new()
        .with_inline(Words)
        .and_then(|p| p.with_inline(Failing))
        .and_then(|p| p.on_failure("failing", PluginFailure::Ignore));
    let mut config = InspectorConfig::default();
    config.actions = REDACT.into();
    let inspector = Inspector::new(plugins.unwrap(), config);
    let assessment = inspector.inspect(&ContentEnvelope::post("key-12345678").unwrap()).await;
    assert_eq!((assessment.verdict(), &assessment.inspection().sanitized), (Verdict::Block, &None));
}

#[tokio::test]
async fn the_event_says_that_something_was_cut_out_and_members_about_the_request_are_not_passed_on() {
    let json = r#"{"agentId":"agent-9","text":"key-12345678","sourceId":"post-9"}"#;
    let received = Received::read(json.as_bytes(), ReadAs::Submission, &EnvelopeBounds::default()).unwrap();
    for shadow in [false, true] {
        let ports = MemoryPorts::new();
        let gate = Gate::new(inspector(REDACT), ports.clone(), ports.clone());
        let mut submission = Submission::new(received.content.clone(), AgentId::new("agent-7").unwrap());
        submission.shadow = shadow;
        let outcome = gate.submit(submission).await.unwrap();
        let inspection = outcome.assessment.inspection();
        assert_eq!(inspection.would_be, shadow.then_some(Verdict::Pass));
        let rest = inspection.sanitized.as_ref().map(|s| s.content().received().to_owned());
        // Nothing follows from a trial run, so the content is passed on as it is.
        let wanted = r#"{"text":"[REDACTED:CREDENTIAL]"}"#.to_owned();
        assert_eq!(rest, (!shadow).then_some(wanted));
        let [event] = &*ports.events() else { panic!("one event") };
        assert_eq!(event.kind(), EventKind::SsgPass);
        assert_eq!(event.meta().get("sanitized"), (!shadow).then_some(&json!(true)));
        assert_eq!(event.meta()["labels"], json!(["API_KEY", "CREDENTIAL", "REDACTED"]));
        assert_eq!(event.meta()["findings"][0]["rule"], "some-key");
    }
    let ports = MemoryPorts::new();
    let actions = [(Category::Injection, CategoryAction::Block)];
    let gate = Gate::new(inspector(actions), ports.clone(), ports.clone());
    let hint = ContentEnvelope::post("hint").unwrap();
    gate.submit(Submission::new(hint, AgentId::new("agent-7").unwrap())).await.unwrap();
    assert_eq!(ports.events()[0].meta()["lifted"], "block:injection");
}

/// Texts in which keys, orders and ordinary words stand beside each other.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-zä\\n\"\\\\ ./🦀-]{1,6}",
        3 => "key-[0-9]{8}",
        1 => Just("key-12345678".to_owned()),
        1 => Just("order".to_owned()),
        1 => Just("nit".to_owned()),
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn member() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-c~/\"]{0,2}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What `value` is when every key in it is cut out.
fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let mut rest = text.clone();
            while let Some(at) = rest.match_indices("key-").map(|(at, _)| at).find(|at| is_key(&rest, *at)) {
                let end = at + KEY_BYTES;
                let more =
                    rest[end..].bytes().take_while(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(b));
                let more = more.count();
                rest.replace_range(at..end + more, "[REDACTED:CREDENTIAL]");
            }
            Value::from(rest)
        }
        Value::Array(elements) => elements.iter().map(cut).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), cut(member))).collect(),
        _ => value.clone(),
    }
}

fn is_key(text: &str, at: usize) -> bool {
    text.get(at + 4..at + KEY_BYTES).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

proptest! {
    #[test]
    fn what_was_found_is_not_passed_on_and_everything_else_is(text in text(), note in member(), meta in member()) {
        let envelope = json!({ "text": text, "note": note, "metadata": { "m": meta } });
        let json = envelope.to_string();
        let content = ContentEnvelope::from_json(json.as_bytes()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (with, without, again) = runtime.block_on(async {
            let with = inspector(REDACT).inspect(&content).await;
            let without = inspector([]).inspect(&content).await;
            let again = match &with.inspection().sanitized {
                Some(sanitized) => Some(inspector([]).inspect(sanitized.content()).await),
                None => None,
            };
            (with, without, again)
        });
        let Some(sanitized) = &with.inspection().sanitized else {
            prop_assert_eq!(with.inspection().tier, without.inspection().tier);
            return Ok(());
        };
        prop_assert!(!json.contains("order"), "the verdict was lowered though something else was found");
        prop_assert_eq!(with.verdict(), Verdict::Pass);
        prop_assert_eq!(again.map(|a| a.inspection().tier), Some(with.inspection().tier));
        let written = serde_json::to_vec(sanitized).unwrap();
        let read = ContentEnvelope::from_json(&written).unwrap();
        for found in &with.inspection().matches {
            let field = content.fields().find(|f| f.pointer == found.field && !f.in_key).unwrap();
            let key = &field.text[found.start..found.end];
            prop_assert!(key == "nit" || read.fields().all(|f| !f.text.contains(key)), "{key} is still there");
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), cut(&envelope));
    }
}
