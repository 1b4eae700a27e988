//! What limits allow, what asking about them costs, and how soon a change holds.

use clawexchange_moderation::Role;
use serde_json::{Value, json};

use crate::server::{HOLD, PASS, Running, events, until};

fn posts(limits: &Value) -> Value {
    limits["tiers"].as_array().unwrap().iter().find(|tier| tier["tier"] == "POSTS").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_too_soon_is_told_when_to_come_back() {
    let server = Running::new().await;
    let body = json!({"text": PASS, "agentId": "new"});
    server.post(Role::Platform, "/v1/submit", &body).await.expect(200);
    for path in ["/v1/submit", "/api/v1/posts", "/v1/submit"] {
        let denied = server.post(Role::Platform, path, &body).await.expect(429);
        for name in [
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        ] {
            assert!(denied.header(name).is_some(), "{name}: {denied:?}");
        }
        assert_eq!(denied.header("x-ratelimit-remaining"), Some("0"));
        let problem = denied.json();
        assert_eq!(problem["code"], "rate-limiter/limited");
        assert!(problem["error"].is_string(), "{problem}");
    }
    let (_home, parts) = server.stop().await;
    let log = parts.log().await.unwrap();
    let limited = events(log, &["RATE_LIMITED"]).await;
    assert_eq!(limited.len(), 1, "a flood is one event: {limited:?}");
    assert_eq!((limited[0].actor_id.as_str(), &limited[0].metadata["count"]), ("new", &json!(3)));
    assert_eq!(events(log, &["SSG_PASS"]).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_how_one_stands_counts_nothing() {
    let server = Running::new().await;
    server.submit("a", PASS).await.expect(200);
    let ask = || server.get(Role::Platform, "/v1/limits/a?trust=PLATFORM_BOT&owner=o");
    let first = ask().await.of(200);
    for _ in 0..20 {
        assert_eq!(ask().await.of(200)["tiers"][0]["hour"]["used"], first["tiers"][0]["hour"]["used"]);
    }
    assert_eq!((&posts(&first)["hour"]["used"], &posts(&first)["hour"]["limit"]), (&json!(1), &json!(100)));
    for bad in ["/v1/limits/a?trust=GOD", "/v1/limits/a?owner=a%20b", "/v1/limits/a%20b", "/v1/limits/a?x=1"]
    {
        server.get(Role::Platform, bad).await.expect(400);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_that_are_changed_in_the_database_hold_in_a_running_server() {
    let server = Running::new().await;
    let passed = server.submit("a", PASS).await.expect(200);
    assert!(passed.header("ratelimit-policy").unwrap().contains("\"hour\";q=100;"), "{passed:?}");
    server.set_quota("POSTS", 7, 7).await;
    let started = std::time::Instant::now();
    until(async || {
        let limits = server.get(Role::Platform, "/v1/limits/a?trust=PLATFORM_BOT").await.of(200);
        posts(&limits)["hour"]["limit"] == 70
    })
    .await;
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    let passed = server.submit("a", PASS).await.expect(200);
    assert!(passed.header("ratelimit-policy").unwrap().contains("\"hour\";q=70;"), "{passed:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_was_a_mistake_costs_its_agent_nothing_from_the_next_request_on() {
    let server = Running::new().await;
    let policy = |answer: &crate::client::Answer| answer.header("ratelimit-policy").unwrap().to_owned();
    for (agent, decided_by) in [("a", "human"), ("b", "bot"), ("c", "desk")] {
        let held = server.submit(agent, HOLD).await.of(202);
        let id = held["quarantineId"].as_str().unwrap();
        let penalised = server.submit(agent, PASS).await.expect(200);
        assert!(policy(&penalised).contains("\"hour\";q=50;"), "{agent}: {}", policy(&penalised));
        match decided_by {
            "human" => {
                let act = json!({"quarantineId": id, "action": "release"});
                server.post(Role::Moderator, "/api/v1/moderation/human/action", &act).await.expect(200);
            }
            "bot" => {
                let act = json!({"quarantineId": id, "action": "release", "confidence": 0.99, "reason": "FALSE_POSITIVE"});
                server.post(Role::Bot, "/api/v1/moderation/bot/action", &act).await.expect(200);
            }
            _ => {
                let path = format!("/v1/quarantine/{id}/decisions");
                server.post(Role::Admin, &path, &json!({"action": "release"})).await.expect(200);
            }
        }
        let next = server.submit(agent, PASS).await.expect(200);
        assert!(policy(&next).contains("\"hour\";q=100;"), "{agent}: {}", policy(&next));
    }
    server.stop().await;
}
