//! What leaves the machine can be checked elsewhere, with the key that verifies the log and nothing else of ours.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/claw.rs"]
#[expect(dead_code, unreachable_pub, reason = "each test uses a part of it")]
mod support;

use serde_json::{Value, json};
use support::Claw;

fn filled(posts: usize) -> Claw {
    let claw = Claw::new();
    let lines: Vec<Value> = (0..posts)
        .map(|n| json!({"text": format!("A chair for sale, number {n}."), "agentId": format!("agent-{n}")}))
        .collect();
    assert_eq!(claw.submit(&lines).code, Some(0));
    claw
}

fn checkpoint(claw: &Claw, log: &str) -> Value {
    claw.json(&["audit", "checkpoint", "--log", log])["logs"][0].clone()
}

/// Runs a command that must end with a code, and gives what it said.
fn ends(claw: &Claw, args: &[&str], code: i32) -> String {
    let answer = claw.run(args);
    assert_eq!(answer.code, Some(code), "{args:?}: {}", answer.all());
    answer.text() + &answer.stderr
}

#[test]
fn an_event_is_proved_to_who_has_the_key_and_nothing_else() {
    let claw = filled(9);
    let vkey = checkpoint(&claw, "verdicts")["vkey"].as_str().unwrap().to_owned();
    let events = claw.json(&["audit", "query", "--log", "verdicts"]);
    let event = &events["items"][2];
    let (id, index) = (event["id"].as_str().unwrap(), event["index"].to_string());
    let by_id = claw.run(&["audit", "prove", id]);
    let by_index = claw.run(&["audit", "prove", &index, "--log", "verdicts"]);
    assert_eq!((by_id.code, by_index.code), (Some(0), Some(0)), "{}{}", by_id.all(), by_index.all());
    assert_eq!(by_id.stdout, by_index.stdout);
    assert!(
        by_id.text().starts_with(&format!("c2sp.org/tlog-proof@v1\nindex {index}\n")),
        "{}",
        by_id.text()
    );

    // Elsewhere, where there is no data and no key.
    let elsewhere = Claw::new();
    let at = |name: &str| elsewhere.home.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("proof"), &by_id.stdout).unwrap();
    ends(&claw, &["audit", "export", "--log", "verdicts", "--from", &index, "--to", &index, &at("line")], 0);
    let line: Value = serde_json::from_slice(&std::fs::read(at("line")).unwrap()).unwrap();
    assert_eq!(line["index"].to_string(), index);
    std::fs::write(at("leaf"), line["leaf"].as_str().unwrap()).unwrap();
    std::fs::write(at("other"), line["leaf"].as_str().unwrap().replace("PASS", "WARN")).unwrap();
    let check = |leaf: &[&str], code: i32| {
        ends(&elsewhere, &[&["audit", "check-proof", "proof", "--vkey", &vkey], leaf].concat(), code)
    };
    for leaf in ["line", "leaf"] {
        assert!(check(&["--leaf", leaf], 0).contains(&format!("event {index} of the 9 of local/")));
    }
    let said = elsewhere.json(&["audit", "check-proof", "proof", "--vkey", &vkey, "--leaf", "leaf"]);
    assert_eq!((&said["included"], said["index"].to_string()), (&json!(true), index.clone()));
    assert!(check(&["--leaf", "other"], 6).contains("does not hold"));
    assert!(check(&["--leaf", "proof"], 6).contains("does not hold"));
    let signed_alone = check(&[], 0);
    assert!(signed_alone.contains("not checked"), "{signed_alone}");
    let said = elsewhere.json(&["audit", "check-proof", "proof", "--vkey", &vkey]);
    assert_eq!(said["included"], Value::Null);
    // The key of the other log has another name, and that of another deployment is another key.
    for other in [checkpoint(&claw, "decisions"), checkpoint(&filled(1), "verdicts")] {
        let vkey = other["vkey"].as_str().unwrap();
        ends(&elsewhere, &["audit", "check-proof", "proof", "--vkey", vkey, "--leaf", "leaf"], 6);
    }
    std::fs::write(at("proof"), by_id.text().replace("\n9\n", "\n8\n")).unwrap();
    check(&[], 6);
    std::fs::write(at("proof"), [0xff]).unwrap();
    check(&[], 1);
    assert!(!elsewhere.data().exists(), "checking makes no folder");
}

#[test]
fn a_checkpoint_covers_what_was_done_before_it_and_is_signed_with_one_key() {
    let claw = filled(3);
    let human = claw.run(&["audit", "checkpoint", "--log", "verdicts"]);
    let first = checkpoint(&claw, "verdicts");
    assert_eq!(human.text(), first["note"].as_str().unwrap(), "the note and nothing else on stdout");
    assert!(human.stderr.contains(first["vkey"].as_str().unwrap()), "{}", human.stderr);
    assert_eq!(first["size"], 3);
    assert_eq!(claw.submit(&[json!({"text": "A lamp for sale.", "agentId": "a"})]).code, Some(0));
    let second = checkpoint(&claw, "verdicts");
    assert_eq!((&second["size"], &second["vkey"]), (&json!(4), &first["vkey"]));
    assert_eq!(claw.json(&["audit", "checkpoint"])["logs"].as_array().unwrap().len(), 2);
    let report = claw.json(&["audit", "verify"]);
    assert!(report["checkpoints"].as_u64().unwrap() >= 2, "{report}");
}

#[test]
fn an_export_is_every_leaf_as_it_was_hashed() {
    let claw = filled(40);
    let all = claw.run(&["audit", "export", "--log", "verdicts"]).lines();
    assert_eq!(all.len(), 40);
    for (index, line) in all.iter().enumerate() {
        assert_eq!(line["index"], index);
        assert_eq!(line["leafHash"].as_str().unwrap().len(), 64);
        assert!(line["leaf"].as_str().unwrap().contains("\"v\":1"));
    }
    let some = claw.run(&["audit", "export", "--log", "verdicts", "--from", "3", "--to", "5"]).lines();
    assert_eq!(some, all[3..=5]);
    ends(&claw, &["audit", "export", "--log", "verdicts", "--to", "40"], 5);
    ends(&claw, &["audit", "export", "--log", "verdicts", "--from", "40"], 5);
    ends(&claw, &["audit", "export", "--from", "5", "--to", "3"], 2);
    ends(&claw, &["audit", "prove", "40", "--log", "verdicts"], 5);
    ends(&claw, &["audit", "prove", "01900000-0000-7000-8000-000000000000"], 5);
    ends(&claw, &["audit", "prove", "soon"], 2);
}
