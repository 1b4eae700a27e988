//! Plugins that fail, panic, hang or lie. What a user would lose: content that nobody could judge would be passed on,
//! or one bad plugin would take the others with it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use clawexchange_ssg_core::testing::WordPlugin;
use clawexchange_ssg_core::{
    Assessment, Category, ContentEnvelope, Context, DetectionPlugin, Fault as _, Field, Finding, Findings,
    Inspector, InspectorConfig, Pattern, PluginError, PluginFailure, PluginRegistry, RegistryError, RiskTier,
    Verdict,
};

const ODD: Pattern = Pattern::new("odd", Category::Other, 100, &["ODD"]);

type Analyze = Box<dyn Fn(&ContentEnvelope, &Context) -> Result<Findings, PluginError> + Send + Sync>;

/// A plugin that does what a test says.
struct Scripted {
    id: &'static str,
    priority: i32,
    analyze: Analyze,
}

impl Scripted {
    fn new(
        id: &'static str,
        analyze: impl Fn(&ContentEnvelope, &Context) -> Result<Findings, PluginError> + Send + Sync + 'static,
    ) -> Self {
        Self { id, priority: 100, analyze: Box::new(analyze) }
    }

    fn at(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }
}

impl DetectionPlugin for Scripted {
    fn id(&self) -> &str {
        self.id
    }

    fn priority(&self) -> i32 {
        self.priority
    }

    fn analyze(&self, content: &ContentEnvelope, cx: &Context) -> Result<Findings, PluginError> {
        (self.analyze)(content, cx)
    }
}

/// Plugins wait at it until it is opened; it counts who has come.
#[derive(Clone, Default)]
struct Barrier(Arc<(Mutex<bool>, Condvar, AtomicU32)>);

impl Barrier {
    fn wait(&self) {
        let (open, opened, came) = &*self.0;
        came.fetch_add(1, Ordering::SeqCst);
        drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn came(&self) -> u32 {
        self.0.2.load(Ordering::SeqCst)
    }
}

fn waits_at(barrier: &Barrier) -> Scripted {
    let barrier = barrier.clone();
    Scripted::new("hangs", move |_, _| {
        barrier.wait();
        Ok(Findings::none())
    })
}

fn words() -> PluginRegistry {
    PluginRegistry::new().with_inline(WordPlugin::new()).unwrap()
}

/// As usual, with so much time that no machine is too slow for it.
fn patient() -> InspectorConfig {
    let mut config = InspectorConfig::default();
    (config.plugin_timeout, config.deadline) = (Duration::from_mins(1), Duration::from_mins(1));
    config
}

fn post(text: &str) -> ContentEnvelope {
    ContentEnvelope::post(text).unwrap()
}

async fn inspect(plugins: PluginRegistry, text: &str) -> Assessment {
    Inspector::new(plugins, patient()).inspect(&post(text)).await
}

/// Gives other threads their turn until `done`; a test that waits for a minute has failed.
fn until(what: &str, done: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::yield_now();
    }
}

#[track_caller]
fn is_held_for(assessment: &Assessment, id: &str, reason: &str) {
    let inspection = assessment.inspection();
    assert_eq!((inspection.tier, inspection.verdict), (RiskTier::High, Verdict::Quarantine));
    assert_eq!(inspection.labels, [format!("PLUGIN_ERROR:{id}")]);
    assert_eq!(assessment.score().get(), 0, "a failure adds nothing to the score");
    assert!(inspection.matches.is_empty());
    let faults: Vec<_> = assessment.failures().iter().map(|f| (&*f.plugin, &*f.reason, f.held)).collect();
    assert_eq!(faults, [(id, reason, true)]);
}

type Register = fn(PluginRegistry, Scripted) -> Result<PluginRegistry, RegistryError>;

/// Both places where a plugin may run.
const PLACES: [Register; 2] =
    [|registry, plugin| registry.with(plugin), |registry, plugin| registry.with_inline(plugin)];

#[tokio::test]
async fn content_that_a_plugin_could_not_judge_is_held() {
    for register in PLACES {
        let plugin = Scripted::new("fails", |_, _| Err(PluginError("its model is not loaded")));
        is_held_for(
            &inspect(register(words(), plugin).unwrap(), "a").await,
            "fails",
            "its model is not loaded",
        );
    }
}

#[tokio::test]
async fn a_panic_ends_the_plugin_and_nothing_else() {
    for register in PLACES {
        let plugins = register(words(), Scripted::new("panics", |_, _| panic!("on purpose"))).unwrap();
        let inspector = Inspector::new(plugins, patient());
        for _ in 0..3 {
            is_held_for(&inspector.inspect(&post("a")).await, "panics", "it panicked");
        }
        let found = inspector.inspect(&post("flag-block")).await;
        assert_eq!(found.inspection().tier, RiskTier::Critical, "the others are heard all the same");
        assert_eq!(inspector.abandoned_threads(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_hangs_is_left_behind_and_its_content_held() {
    let barrier = Barrier::default();
    let inspector = Inspector::new(words().with(waits_at(&barrier)).unwrap(), InspectorConfig::default());
    is_held_for(&inspector.inspect(&post("a")).await, "hangs", "it did not answer in time");
    assert_eq!(inspector.abandoned_threads(), 1);
    barrier.open();
    until("the thread came back and is still counted as lost", || inspector.abandoned_threads() == 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_plugin_is_given_what_is_left_of_the_whole_time() {
    let barrier = Barrier::default();
    let mut config = patient();
    config.deadline = Duration::from_millis(1);
    let inspector = Inspector::new(words().with(waits_at(&barrier)).unwrap(), config);
    let started = tokio::time::Instant::now();
    is_held_for(&inspector.inspect(&post("a")).await, "hangs", "it did not answer in time");
    assert!(started.elapsed() < Duration::from_secs(1), "the plugin's own minute was waited for");
    barrier.open();
}

#[tokio::test]
async fn a_plugin_that_answers_in_time_is_heard_however_often_it_is_asked() {
    let plugins = PluginRegistry::new().with(WordPlugin::new()).unwrap();
    let inspector = Inspector::new(plugins, patient());
    for _ in 0..50 {
        assert_eq!(inspector.inspect(&post("flag-warn")).await.inspection().tier, RiskTier::Moderate);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_has_lost_eight_threads_is_not_asked_again() {
    let barrier = Barrier::default();
    let inspector = Inspector::new(words().with(waits_at(&barrier)).unwrap(), InspectorConfig::default());
    for lost in 1..=8 {
        is_held_for(&inspector.inspect(&post("a")).await, "hangs", "it did not answer in time");
        assert_eq!(inspector.abandoned_threads(), lost);
    }
    until("eight threads have begun", || barrier.came() == 8);
    let off = "it is off: too many of its threads did not come back";
    is_held_for(&inspector.inspect(&post("a")).await, "hangs", off);
    assert_eq!(barrier.came(), 8, "it was asked once more");
    assert_eq!(inspector.inspect(&post("flag-block")).await.verdict(), Verdict::Block, "the others go on");
    barrier.open();
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_is_off_stays_in_its_stated_direction() {
    let barrier = Barrier::default();
    let plugins = words().with(waits_at(&barrier)).unwrap();
    let plugins = plugins.on_failure("hangs", PluginFailure::Ignore).unwrap();
    let inspector = Inspector::new(plugins, InspectorConfig::default());
    for _ in 0..9 {
        assert_eq!(inspector.inspect(&post("a")).await.inspection().tier, RiskTier::Clear);
    }
    barrier.open();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_65th_caller_of_a_plugin_at_work_does_not_wait() {
    let barrier = Barrier::default();
    let inspector = Inspector::new(words().with(waits_at(&barrier)).unwrap(), patient());
    let at_work: Vec<_> = (0..64)
        .map(|_| {
            let inspector = inspector.clone();
            tokio::spawn(async move { inspector.inspect(&post("a")).await })
        })
        .collect();
    tokio::task::block_in_place(|| until("64 threads are at work", || barrier.came() == 64));
    is_held_for(&inspector.inspect(&post("a")).await, "hangs", "all its threads are at work");
    barrier.open();
    for inspection in at_work {
        assert_eq!(inspection.await.unwrap().verdict(), Verdict::Pass, "who was first is answered");
    }
}

#[tokio::test]
async fn a_plugin_that_names_a_place_outside_the_content_has_failed() {
    let not_there = |field: &'static str, start: usize, end: usize| {
        Scripted::new("lies", move |content, _| {
            let mut found = Findings::none();
            let mut finding = Finding::new(&ODD, &content.fields().next().unwrap(), 0..1, "x");
            field.clone_into(&mut finding.field);
            finding.span = start..end;
            found.push(finding);
            Ok(found)
        })
    };
    // "aé" has the bytes a, c3, a9.
    for (field, start, end) in [
        ("/text", 0, 4),
        ("/text", 3, 4),
        ("/text", 0, usize::MAX),
        ("/text", 2, 1),
        ("/text", 1, 2),
        ("/text", 2, 3),
        ("/title", 0, 1),
        ("", 0, 1),
        ("text", 0, 1),
    ] {
        let plugins = words().with_inline(not_there(field, start, end)).unwrap();
        let assessment = inspect(plugins, "aé").await;
        is_held_for(&assessment, "lies", "it reported a place that is not in the content");
    }
    let honest = words().with_inline(not_there("/text", 1, 3)).unwrap();
    assert_eq!(inspect(honest, "aé").await.inspection().labels, ["ODD"]);
}

#[tokio::test]
async fn one_lie_among_many_truths_makes_all_of_them_worthless() {
    let plugin = Scripted::new("lies", |content, _| {
        let field = content.fields().next().unwrap();
        let mut found = Findings::none();
        found.add(&ODD, &field, 0..1, "x");
        found.add(&ODD, &field, 0..99, "x");
        Ok(found)
    });
    let assessment = inspect(words().with_inline(plugin).unwrap(), "abc").await;
    is_held_for(&assessment, "lies", "it reported a place that is not in the content");
}

#[tokio::test]
async fn a_name_and_its_value_are_two_places() {
    let plugin = Scripted::new("lies", |content, _| {
        let mut found = Findings::none();
        let name = content.fields().find(|f: &Field<'_>| f.in_key).unwrap();
        found.add(&ODD, &name, 0..name.text.len(), "x");
        Ok(found)
    });
    let plugins = words().with_inline(plugin).unwrap();
    let content = ContentEnvelope::from_json(br#"{"text":"a","long-name":"b"}"#).unwrap();
    let assessment = Inspector::new(plugins, patient()).inspect(&content).await;
    let found: Vec<_> =
        assessment.inspection().matches.iter().map(|m| (&*m.field, m.end, m.in_key)).collect();
    assert_eq!(found, [("/long-name", 9, true)]);
}

#[tokio::test]
async fn a_failure_lifts_to_high_and_never_lowers() {
    let failing = || Scripted::new("fails", |_, _| Err(PluginError("away")));
    for (text, tier, score) in [
        ("a", RiskTier::High, 0),
        ("flag-low", RiskTier::High, 10),
        ("flag-warn", RiskTier::High, 40),
        ("flag-hold", RiskTier::High, 70),
        ("flag-block", RiskTier::Critical, 90),
    ] {
        let assessment = inspect(words().with_inline(failing()).unwrap(), text).await;
        assert_eq!((assessment.inspection().tier, assessment.score().get()), (tier, score), "{text}");
        assert!(assessment.inspection().labels.contains(&"PLUGIN_ERROR:fails".to_owned()));
        let by_failure = assessment.is_by_failure(&patient().thresholds);
        assert_eq!(by_failure, score < 60, "{text}: what was found is held for itself");
    }
}

#[tokio::test]
async fn a_failure_that_may_be_ignored_changes_nothing_but_the_labels() {
    let plugins = words().with_inline(Scripted::new("fails", |_, _| Err(PluginError("away")))).unwrap();
    let plugins = plugins.on_failure("fails", PluginFailure::Ignore).unwrap();
    for (text, tier) in [("a", RiskTier::Clear), ("flag-warn", RiskTier::Moderate)] {
        let assessment = inspect(plugins.clone(), text).await;
        assert_eq!(assessment.inspection().tier, tier);
        assert!(assessment.inspection().labels.contains(&"PLUGIN_ERROR:fails".to_owned()));
        assert!(assessment.failures().iter().all(|f| !f.held));
    }
}

#[tokio::test]
async fn why_a_plugin_failed_is_told_to_operators_and_not_to_callers() {
    let plugins = words().with_inline(Scripted::new("fails", |_, _| Err(PluginError("the reason")))).unwrap();
    let assessment = inspect(plugins, "a").await;
    let told = serde_json::to_string(assessment.inspection()).unwrap();
    assert!(!told.contains("the reason"), "{told}");
    assert!(serde_json::to_string(&assessment.explain()).unwrap().contains("the reason"));
}

#[tokio::test]
async fn all_plugins_run_in_the_order_of_their_priority_whatever_the_first_of_them_find() {
    let ran: Arc<Mutex<Vec<&str>>> = Arc::default();
    let noting =
        |id: &'static str, priority, result: fn(&ContentEnvelope) -> Result<Findings, PluginError>| {
            let ran = Arc::clone(&ran);
            let plugin = Scripted::new(id, move |content, _| {
                ran.lock().unwrap().push(id);
                result(content)
            });
            plugin.at(priority)
        };
    let finds = |content: &ContentEnvelope| {
        let mut found = Findings::none();
        found.add(&ODD, &content.fields().next().unwrap(), 0..1, "x");
        Ok(found)
    };
    let plugins = PluginRegistry::new()
        .with_inline(noting("last", 300, |_| Ok(Findings::none())))
        .and_then(|p| p.with_inline(noting("b-third", 20, |_| panic!("on purpose"))))
        .and_then(|p| p.with_inline(noting("first", -5, finds)))
        .and_then(|p| p.with_inline(noting("a-second", 20, |_| Err(PluginError("away")))))
        .unwrap();
    let order = ["first", "a-second", "b-third", "last"];
    assert_eq!(plugins.ids().collect::<Vec<_>>(), order);
    let assessment = inspect(plugins, "a").await;
    assert_eq!(*ran.lock().unwrap(), order, "a BLOCK at first sight spares nobody the rest");
    assert_eq!(assessment.inspection().labels, ["ODD", "PLUGIN_ERROR:a-second", "PLUGIN_ERROR:b-third"]);
}

#[tokio::test]
async fn large_content_is_inspected_like_small_content() {
    let mut config = patient();
    config.inline_bytes_max = 64;
    let plugins = words().with_inline(Scripted::new("panics", |_, _| panic!("on purpose"))).unwrap();
    let text = format!("{} flag-warn", "x".repeat(1000));
    let assessment = Inspector::new(plugins, config).inspect(&post(&text)).await;
    assert_eq!(assessment.score().get(), 40);
    assert_eq!(assessment.inspection().labels, ["FLAG_WARN", "PLUGIN_ERROR:panics"]);
}

#[tokio::test]
async fn plugins_of_one_inspection_share_what_the_first_of_them_worked_out() {
    struct Views(usize);
    let made = Arc::new(AtomicU32::new(0));
    let asks = |id: &'static str| {
        let made = Arc::clone(&made);
        Scripted::new(id, move |content, cx| {
            let views = cx.shared(|| {
                made.fetch_add(1, Ordering::SeqCst);
                Views(content.size_bytes())
            });
            assert_eq!(views.0, content.size_bytes());
            Ok(Findings::none())
        })
    };
    let plugins = PluginRegistry::new()
        .with_inline(asks("a"))
        .and_then(|p| p.with_inline(asks("b")))
        .and_then(|p| p.with(asks("c")))
        .unwrap();
    let inspector = Inspector::new(plugins, patient());
    for (text, times) in [("one", 1), ("another", 2)] {
        assert_eq!(inspector.inspect(&post(text)).await.verdict(), Verdict::Pass);
        assert_eq!(made.load(Ordering::SeqCst), times, "once per inspection, and not kept for the next");
    }
}

#[test]
fn a_registry_refuses_ids_that_cannot_be_told_apart_or_printed() {
    let named = |id: &'static str| PluginRegistry::new().with(Scripted::new(id, |_, _| Ok(Findings::none())));
    for id in ["", "Upper", "with space", "a_b", "a:b", "ä", "a\n"] {
        let error = named(id).err().unwrap_or_else(|| panic!("{id:?} was taken"));
        assert_eq!((error.clone(), error.code()), (RegistryError::Id, "ssg-core/plugin-id"));
    }
    let twice = words().with(WordPlugin::new()).unwrap_err();
    assert_eq!(twice, RegistryError::Twice { id: "words".to_owned() });
    let unknown = words().on_failure("word", PluginFailure::Ignore).unwrap_err();
    assert_eq!(unknown.code(), "ssg-core/plugin-unknown");
    assert_eq!(words().without("words").ids().count(), 0);
}
