//! A suspended agent may do nothing, whoever counts, from the moment that the log says so until it says otherwise.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/claw.rs"]
#[expect(dead_code, unreachable_pub, reason = "each test uses a part of it")]
mod claw;
#[path = "support/served.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is shared between tests")]
mod served;

use std::thread::park_timeout;
use std::time::{Duration, Instant};

use claw::Claw;
use clawexchange_testkit::redis::{self, Server, Setup};
use serde_json::{Value, json};
use served::{Served, get, post, raw, token};

/// Counters of one process, and counters in Redis.
fn both() -> [Claw; 2] {
    [Claw::new(), Claw::new().with("REDIS_URL", &redis::empty()).with("CLAW_REDIS_DEADLINE_MS", "2000")]
}

fn line(agent: &str) -> Value {
    json!({"text": "A table for sale.", "agentId": agent, "trustLevel": "VERIFIED"})
}

fn until(what: &str, is: impl Fn() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_mins(1), "{what} takes longer than a minute");
        park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_suspended_agent_may_do_nothing_until_it_is_lifted_and_the_log_tells_both() {
    for claw in both() {
        assert_eq!(claw.submit(&[line("spammer")]).code, Some(0));
        let said = claw.json(&["limits", "suspend", "spammer", "--reason", "floods of offers"]);
        assert_eq!(said, json!({"agentId": "spammer", "until": null}));
        let status = claw.json(&["limits", "status", "spammer"]);
        assert_eq!(status["suspended"], json!({"until": null}), "{status}");
        let answer = claw.submit(&[line("spammer"), line("other")]);
        assert_eq!(answer.lines()[0]["code"], "rate-limiter/suspended", "{}", answer.all());
        assert_eq!(answer.lines()[1]["verdict"], "PASS");
        let listed = claw.json(&["limits", "suspended"]);
        let item = &listed["items"][0];
        assert_eq!((&item["agentId"], &item["reason"]), (&json!("spammer"), &json!("floods of offers")));
        assert!(item["by"].as_str().unwrap().starts_with("human:os:"), "{item}");

        claw.json(&["limits", "lift", "spammer"]);
        assert_eq!(claw.json(&["limits", "status", "spammer"])["suspended"], Value::Null);
        assert_eq!(claw.submit(&[line("spammer")]).lines()[0]["verdict"], "PASS");
        assert_eq!(claw.json(&["limits", "suspended"])["items"], json!([]));
        assert_eq!(claw.run(&["limits", "lift", "spammer"]).code, Some(5), "nothing is left to lift");

        let events = claw.json(&["audit", "query", "--target", "spammer"]);
        let kinds: Vec<&str> =
            events["items"].as_array().unwrap().iter().map(|e| e["eventType"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["RESTRICTION_LIFTED", "RESTRICTION_APPLIED"]);
        claw.assert_verified();
    }
}

#[test]
fn a_suspension_that_has_an_end_says_when_and_is_replaced_by_the_next() {
    for claw in both() {
        assert_eq!(claw.submit(&[line("b")]).code, Some(0));
        claw.json(&["limits", "suspend", "a", "--ttl", "2h", "--reason", "first"]);
        let first = claw.json(&["limits", "suspended"])["items"][0].clone();
        claw.json(&["limits", "suspend", "a", "--ttl", "1h", "--reason", "second"]);
        let second = claw.json(&["limits", "suspended"])["items"][0].clone();
        assert!(second["until"].as_str() < first["until"].as_str(), "{first} {second}");
        let held = claw.json(&["limits", "status", "a"])["suspended"]["until"].clone();
        // Counters know whole milliseconds.
        assert_eq!(held.as_str().unwrap()[..23], second["until"].as_str().unwrap()[..23]);
        let human = claw.run(&["limits", "status", "a"]).text();
        assert!(human.contains("suspended until 20"), "{human}");
        assert_eq!(claw.run(&["limits", "suspend", "a", "--reason", " "]).code, Some(2));
        assert_eq!(
            claw.run(&["limits", "suspend", "a"]).code,
            Some(2),
            "nobody is suspended without a reason"
        );
    }
}

#[test]
fn whoever_serves_follows_within_a_second() {
    for claw in both() {
        let served = Served::start(&claw, "127.0.0.1:0", "127.0.0.1:0");
        let token = token(&claw, "market", "platform");
        let submit = |agent: &str| {
            raw(served.public, &post("/v1/submit", &token, "", &line(agent).to_string())).unwrap()
        };
        let status = || raw(served.public, &get("/v1/limits/a", &token)).unwrap().json();
        assert_eq!(submit("a").status, 200);
        claw.json(&["limits", "suspend", "a", "--reason", "spam"]);
        until("the suspension", || status()["suspended"] == json!({"until": null}));
        let refused = submit("a");
        assert_eq!((refused.status, refused.header("retry-after")), (429, None), "{refused:?}");
        assert_eq!(refused.json()["code"], "rate-limiter/suspended");
        claw.json(&["limits", "lift", "a"]);
        until("the lifting", || status()["suspended"].is_null());
        // A server that refused a moment ago remembers it for less than a second.
        until("the next submission", || submit("a").status == 200);
        assert_eq!(served.stop(), Some(0));
        claw.assert_verified();
    }
}

#[test]
fn while_redis_is_away_the_log_is_told_and_counters_learn_it_later() {
    let mut server = Server::with(&Setup::new().kept());
    let claw = Claw::new().with("REDIS_URL", &server.url()).with("CLAW_REDIS_DEADLINE_MS", "2000");
    let served = Served::start(&claw, "127.0.0.1:0", "127.0.0.1:0");
    let token = token(&claw, "market", "platform");
    server.kill();
    assert_eq!(claw.run(&["limits", "status", "a"]).code, Some(69), "nobody is told what may be so");
    let answer = claw.run(&["limits", "suspend", "a", "--reason", "spam"]);
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    assert!(answer.stderr.contains("counters are told once they answer"), "{}", answer.all());
    server.restart();
    let status = || raw(served.public, &get("/v1/limits/a", &token)).unwrap();
    until("the suspension", || status().status == 200 && !status().json()["suspended"].is_null());
    assert_eq!(served.stop(), Some(0));
}
