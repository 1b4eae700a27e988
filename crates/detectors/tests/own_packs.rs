//! Packs of one's own: what is well is found, what is wrong is said with its place, and nothing is taken that costs too
//! much.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use clawexchange_detectors::{Detectors, DetectorsConfig, DetectorsError, OwnPacks, PackProblem, PackText};
use clawexchange_ssg_core::{ContentEnvelope, Inspector, InspectorConfig, PluginRegistry, RuleMode, Verdict};

/// A rule that is well, with what a test adds to it.
fn rule(more: &str) -> String {
    format!(
        "[[rule]]\nid = \"acme-badge\"\ncategory = \"credentials\"\nscore = 85\ndescription = \"An Acme badge.\"\n\
         keywords = [\"acmebadge-\"]\npattern = '\\bacmebadge-[0-9a-f]{{16}}\\b'\n\
         positive = [[\"acmebadge-\", \"90f2c17ab35d4e68\"]]\nnegative = [[\"acmebadge-none\"]]\n{more}"
    )
}

const BADGE: &str = "my badge is acmebadge-90f2c17ab35d4e68, as ever";

fn read(text: &str) -> Result<OwnPacks, DetectorsError> {
    OwnPacks::read(vec![PackText::new("acme.toml", text)])
}

fn problems(text: &str) -> Vec<PackProblem> {
    match read(text) {
        Err(DetectorsError::OwnPacks { problems }) => problems,
        other => panic!("{text:?} is taken: {other:?}"),
    }
}

fn with(own: OwnPacks) -> Detectors {
    let mut config = DetectorsConfig::default();
    config.own = own;
    Detectors::configured(config).unwrap()
}

#[track_caller]
fn check(text: &str, line: usize, column: usize, says: &str) {
    let problems = problems(text);
    let first = &problems[0];
    assert_eq!((first.line, first.column), (line, column), "{problems:#?}");
    assert!(first.what.contains(says), "{says:?} is not said: {problems:#?}");
    assert!(!first.hint.is_empty() && first.file == "acme.toml", "{first:?}");
}

#[test]
fn a_rule_of_ones_own_is_found_beside_those_that_ship() {
    let own = read(&rule("")).unwrap();
    assert_eq!((own.rules(), own.hash().len()), (1, 64));
    assert_eq!(own.try_out().problems, []);
    let detectors = with(own);
    let found = detectors.scan(&format!("{BADGE} and AKIA{} too", "2E0A8F3B244C9986"));
    let ids: Vec<&str> = found.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(ids, ["acme-badge", "aws-access-key"]);
    assert!(!found[0].redacted.contains("90f2"), "no character of a value is shown");
    assert_eq!(detectors.rule_named("acme-badge").unwrap().pack, "acme.toml");
    assert!(Detectors::default().scan(BADGE).is_empty());
}

#[tokio::test]
async fn a_rule_in_shadow_is_seen_and_changes_no_verdict() {
    for (mode, verdict) in [("enforce", Verdict::Block), ("shadow", Verdict::Pass), ("off", Verdict::Pass)] {
        let detectors = with(read(&rule(&format!("mode = \"{mode}\"\n"))).unwrap());
        let plugins = detectors.register(PluginRegistry::new()).unwrap();
        let inspector = Inspector::new(plugins, InspectorConfig::default());
        let assessment = inspector.inspect(&ContentEnvelope::post(BADGE).unwrap()).await;
        assert_eq!(assessment.verdict(), verdict, "{mode}");
        assert_eq!(assessment.rules().len(), usize::from(mode != "off"), "{mode}");
    }
}

#[test]
fn a_pack_switches_rules_that_ship_and_settings_have_the_last_word() {
    let own = read("[modes]\nemail-address = \"off\"\n").unwrap();
    let text = "write to ann@north.example";
    assert!(with(own.clone()).scan(text).is_empty());
    let mut config = DetectorsConfig::default();
    config.own = own;
    config.modes = BTreeMap::from([("email-address".to_owned(), RuleMode::Enforce)]);
    assert_eq!(Detectors::configured(config).unwrap().scan(text).len(), 1);
}

#[test]
fn packs_are_known_by_what_they_say_and_not_by_their_order() {
    let (a, b) = (PackText::new("a.toml", rule("")), PackText::new("b.toml", "[modes]\njwt = \"shadow\"\n"));
    let hash = |texts: Vec<PackText>| OwnPacks::read(texts).unwrap().hash().to_owned();
    let both = hash(vec![a.clone(), b.clone()]);
    assert_eq!(both, hash(vec![b, a.clone()]));
    assert_ne!(both, hash(vec![a]));
    let policy = |own| with(own).policy();
    let (plain, own) = (policy(OwnPacks::default()), policy(read(&rule("")).unwrap()));
    assert_eq!(plain, Detectors::default().policy());
    assert_ne!(plain, own);
    assert_ne!(own, policy(read(&rule("# another text\n")).unwrap()));
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_column() {
    check("[[rule]\n", 1, 8, "");
    check("\n\nnonsense = 1\n", 3, 1, "there is no `nonsense` in a pack");
    check(&rule("lables = [\"A\"]\n"), 10, 1, "lables");
    check(&rule("reach = \"far\"\n"), 10, 9, "invalid type");
    check(&rule("mode = \"watch\"\n"), 10, 8, "watch");
    check(&rule("level = 5\n"), 10, 1, "a level is 1 to 4");
    check(&rule("checks = [\"not-dummy\", \"no-such\"]\n"), 10, 24, "there is no check no-such");
    check(&rule("labels = [\"acme badge\"]\n"), 10, 1, "label");
    check(&rule("source = \"a page\"\n"), 10, 1, "a source is a page or a standard");
    check(&rule("context = [\"Badge\"]\n"), 10, 12, "in lower case");
    check(&rule("").replace("acme-badge", "Acme Badge"), 2, 1, "id");
    check(&rule("").replace("acme-badge", "aws-access-key"), 2, 1, "a rule that ships has this id");
    check(&format!("{}{}", rule(""), rule("")), 11, 1, "this id is there already, in acme.toml line 1");
    check(&rule("").replace("score = 85", "score = 101"), 4, 1, "101");
    check(&rule("").replace("score = 85", "severity = \"high\""), 2, 1, "it says no score");
    check(&rule("severity = \"low\"\n"), 4, 1, "too many for its severity");
    check(&rule("").replace("keywords = [\"acmebadge-\"]\n", ""), 6, 1, "it does not say where to look");
    check(&rule("").replace("[\"acmebadge-\"]", "[\"ac\"]"), 6, 13, "3 to 100 are right");
    check(&rule("").replace("negative = [[\"acmebadge-none\"]]\n", ""), 2, 1, "no negative example");
    check("[modes]\njwtt = \"off\"\n", 2, 1, "there is no rule jwtt");
    check(&format!("{}\n[modes]\nacme-badge = \"off\"\n", rule("")), 12, 1, "is one of these packs");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = format!("{}\n{}", rule("level = 9\n"), rule("reach = 5000\n").replace("acme-badge", "acme-b"));
    let problems = problems(&text);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].line < problems[1].line);
    let said = DetectorsError::OwnPacks { problems }.to_string();
    assert!(said.contains("2 problems") && said.contains("acme.toml:10:1"), "{said}");
}

#[test]
fn expressions_have_a_shortest_and_a_longest_match_and_a_size() {
    let pattern = |p: &str| {
        let line = format!("pattern = '{p}'");
        rule("").replace("pattern = '\\bacmebadge-[0-9a-f]{16}\\b'", &line)
    };
    check(&pattern("(acme"), 7, 1, "no expression");
    check(&pattern("acme(?=x)"), 7, 1, "no expression");
    check(&pattern("(?:acmebadge-)?"), 7, 1, "may match nothing");
    check(&pattern("acmebadge-[a-z]+"), 7, 1, "no longest match");
    check(&pattern("acmebadge-.{9999}"), 7, 1, "matches of");
    check(&pattern("acmebadge-{{words}}"), 7, 1, "no term");
    check(&pattern("acmebadge-(?:[a-z]{1,90}[0-9]{1,90}){1,90}"), 7, 1, "has matches of 16210 bytes");
}

#[test]
fn terms_in_terms_do_not_grow_without_end() {
    let mut text = "[terms]\n".to_owned();
    for n in 10..60 {
        let next = format!("{{{{t{}}}}}", n + 1);
        text.extend([format!("t{n} = '"), next.clone(), next, "'\n".to_owned()]);
    }
    let text = text + &rule("").replace("acmebadge-[0-9a-f]{16}", "acmebadge-{{t10}}");
    check(&text, 58, 1, "longer than 65536 bytes");
}

#[test]
fn what_is_too_large_is_refused_with_the_figure() {
    let long = format!("# {}\n", "x".repeat(OwnPacks::FILE_BYTES_MAX));
    check(&long, 1, 1, "and 1048576 are the most");
    let many: String =
        (0..=OwnPacks::RULES_MAX).map(|n| rule("").replace("acme-badge", &format!("acme-{n}"))).collect();
    let said = problems(&many);
    assert!(said.iter().any(|p| p.what.contains("more than 500 rules")), "{said:?}");
    let files = (0..=OwnPacks::FILES_MAX).map(|n| PackText::new(format!("{n}.toml"), "")).collect();
    let Err(error) = OwnPacks::read(files) else { panic!("65 files are taken") };
    assert!(error.to_string().contains("there are 65 files, and 64 are the most"), "{error}");
    // Each is small by itself; together they take more than a deployment is to bear.
    let wide = |n: usize| {
        rule("").replace("acme-badge", &format!("acme-{n}")).replace(
            "\\bacmebadge-[0-9a-f]{16}\\b",
            &format!("acmebadge-{n}(?:[a-z]{{1,60}}[0-9]{{1,60}}[^a-z]{{1,60}}){{1,{}}}", 20 + n % 3),
        )
    };
    let heavy: String = (0..100).map(wide).collect();
    let said = problems(&heavy);
    assert!(said[0].what.contains("bytes of memory, and 33554432 are the most"), "{said:#?}");
}

#[test]
fn an_example_that_is_not_as_it_says_is_found_with_its_place() {
    let own =
        read(&rule("").replace("90f2c17ab35d4e68\"]", "90f2c17ab35d4e68\"], [\"acmebadge-zz\"]")).unwrap();
    let report = own.try_out();
    assert_eq!((report.rules, report.examples), (1, 3));
    let problem = &report.problems[0];
    assert_eq!((problem.line, problem.column), (8, 49), "{problem:?}");
    assert!(problem.what.contains("positive example 2 is not found by it"), "{problem:?}");

    let own =
        read(&rule("").replace("[\"acmebadge-none\"]", "[\"acmebadge-\", \"0123456789abcdef\"]")).unwrap();
    assert!(own.try_out().problems[0].what.contains("negative example 1 is found by it"));
}

#[test]
fn a_literal_that_its_pattern_does_not_ask_for_is_found_by_an_example() {
    let own = read(&rule("").replace("[\"acmebadge-\"]", "[\"unrelated\"]")).unwrap();
    let report = own.try_out();
    assert!(report.problems[0].what.contains("none of its prefixes and keywords"), "{report:?}");
}

#[test]
fn the_packs_that_ship_pass_the_same_checks() {
    let report = clawexchange_detectors::PackReport::of_shipped();
    assert_eq!(report.problems, []);
    assert_eq!(report.rules, Detectors::default().rules().count());
    assert!(report.examples > 1000 && report.compiled_bytes < 2 * OwnPacks::COMPILED_BYTES_MAX, "{report:?}");
}

#[test]
fn texts_from_elsewhere_do_no_harm() {
    for text in [
        "",
        "rule = 1",
        "[[rule]]",
        "[modes]\nx = 1",
        "terms = 3",
        "[terms]\na = 1\n[rule]",
        "\u{0}",
        "[modes.a]",
    ] {
        assert!(read(text).is_ok() == text.is_empty(), "{text:?}");
    }
    let hostile = problems("\"a\\u001b[2J\" = 1\n");
    assert!(!hostile[0].to_string().contains('\u{1b}'), "{hostile:?}");
}
