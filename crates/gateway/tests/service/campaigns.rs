//! Many owners submit the same: it is labelled, held if it leads somewhere, and said where it is looked for.

use clawexchange_moderation::Role;
use clawexchange_testkit::redis;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::server::{Running, until};

/// Eighty characters and more, harmless in itself, with a link.
const LURE: &str = "A new market for agents has opened its doors: come and see what it pays for your spare hours, \
                    and bring a friend along, at https://bazaar.example/welcome today.";

/// The same without one.
const PLAIN: &str = "Daily status of the sorting agent: all jobs of the night are done, none has failed, and the next \
                     run begins when the clock strikes nine tonight.";

async fn submit(server: &Running, owner: &str, text: &str) -> Answer {
    post(server, owner, text, "POST").await
}

async fn post(server: &Running, owner: &str, text: &str, content_type: &str) -> Answer {
    let body = json!({
        "text": text, "agentId": format!("agent-of-{owner}"), "ownerId": owner, "trustLevel": "PLATFORM_BOT",
        "contentType": content_type,
    });
    server.public.post("/v1/submit", &body).token(server.token(Role::Platform)).send().await
}

fn labels(answer: &Value) -> Vec<&str> {
    answer["labels"].as_array().unwrap().iter().map(|label| label.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_twenty_owners_on_a_text_with_a_link_is_held_and_answer_log_and_record_say_why() {
    let server = Running::new().await;
    for owner in 1..=19 {
        // Each dresses it a little otherwise.
        let text = format!("{LURE}{} (agent {owner})", " 🚀".repeat(owner % 4));
        let said = submit(&server, &format!("o{owner}"), &text).await.of(200);
        assert_eq!(labels(&said).contains(&"CAMPAIGN"), owner >= 5, "owner {owner}: {said}");
        assert_eq!(said["campaign"]["owners"], if owner >= 5 { json!(owner) } else { Value::Null }, "{said}");
        assert!(!said.to_string().contains("sketch"));
    }
    let held = submit(&server, "o20", LURE).await.of(202);
    assert_eq!((&held["tier"], &held["verdict"]), (&json!("HIGH"), &json!("QUARANTINE")));
    let counts = json!({"owners": 20, "agents": 20, "times": 20, "ownTimes": 1, "windowSeconds": 3600});
    assert_eq!(held["campaign"], counts);
    let events = server.events(&["SSG_QUARANTINE"]).await;
    let [event] = &*events else { panic!("one hold: {events:?}") };
    let meta = &event.metadata;
    assert_eq!(meta["lifted"], "hold:campaign");
    assert_eq!((&meta["campaign"]["owners"], &meta["campaign"]["windowSeconds"]), (&json!(20), &json!(3600)));
    let record = format!("/v1/quarantine/{}", held["quarantineId"].as_str().unwrap());
    let record = server.get(Role::Moderator, &record).await.of(200);
    assert!(record.to_string().contains("CAMPAIGN"), "{record}");
    assert!(server.metric("claw_campaign_texts_total{outcome=\"hold\"}").await >= 1.0);
    assert!(server.metric("claw_campaign_texts_total{outcome=\"label\"}").await >= 15.0);
    let others = submit(
        &server,
        "o21",
        "A text of another sort altogether, about lamps and how their light falls on the \
        pages of an open book at night, posted for whoever likes to read: https://lamps.example",
    )
    .await
    .of(200);
    assert_eq!(others["campaign"], Value::Null, "others go on as before: {others}");
    // An agent is told that it is held, and nothing by which it could go around that.
    let token = server.agent_token("agent-of-o22").await;
    let agents = server.public.post("/v1/submit", &json!({"text": LURE})).token(&token).send().await.of(202);
    assert_eq!((&agents["campaign"], &agents["labels"]), (&Value::Null, &Value::Null), "{agents}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordinary_repetition_is_labelled_at_most() {
    let server = Running::new().await;
    for time in 1..=12 {
        let said = post(&server, "o1", &PLAIN.replace("nine", &time.to_string()), "MESSAGE").await.of(200);
        assert_eq!(labels(&said).contains(&"CAMPAIGN"), time >= 5, "time {time}: {said}");
        assert_eq!(said["verdict"], "PASS");
    }
    for owner in 2..=25 {
        let said = post(&server, &format!("o{owner}"), PLAIN, "MESSAGE").await.of(200);
        assert_eq!(said["verdict"], "PASS", "without a link it leads nowhere: {said}");
    }
    for owner in 1..=25 {
        let said =
            post(&server, &format!("o{owner}"), "Good morning to all! https://a.example", "MESSAGE").await;
        assert_eq!(said.of(200)["campaign"], Value::Null, "what is short many write by chance");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_submissions_count_and_each_once() {
    let server = Running::new().await;
    for _ in 0..30 {
        let said = server.post(Role::Platform, "/v1/inspect", &json!({"text": LURE})).await.of(200);
        assert_eq!(said["campaign"], Value::Null);
    }
    let body = json!({"text": LURE, "agentId": "a", "ownerId": "o1", "trustLevel": "PLATFORM_BOT"});
    for _ in 0..10 {
        let again = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
        let said = again.header("Idempotency-Key", "\"once\"").send().await.of(200);
        assert_eq!(said["campaign"], Value::Null, "{said}");
    }
    for owner in 2..=4 {
        assert_eq!(submit(&server, &format!("o{owner}"), LURE).await.of(200)["campaign"], Value::Null);
    }
    let said = submit(&server, "o5", LURE).await.of(200);
    assert_eq!((&said["campaign"]["owners"], &said["campaign"]["times"]), (&json!(5), &json!(5)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moderators_found_harmless_is_not_held_again_not_even_after_a_restart() {
    let server = Running::with(&[], "[campaigns]\nowners = 2\nhold_owners = 3").await;
    for owner in ["o1", "o2"] {
        submit(&server, owner, LURE).await.expect(200);
    }
    let held = submit(&server, "o3", LURE).await.of(202);
    submit(&server, "o4", LURE).await.expect(202);
    let path = format!("/v1/quarantine/{}/decisions", held["quarantineId"].as_str().unwrap());
    let release = json!({"action": "release", "reason": "FALSE_POSITIVE"});
    server.post(Role::Moderator, &path, &release).await.expect(200);
    let is_let_through = async |server: &Running, owner: &str| {
        let said = submit(server, owner, &format!("{LURE} Thanks!")).await;
        said.status == 200 && labels(&said.json()).contains(&"CAMPAIGN")
    };
    let tries = std::sync::atomic::AtomicU32::new(5);
    until(async || {
        let owner = format!("o{}", tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        is_let_through(&server, &owner).await
    })
    .await;
    let (home, parts) = server.stop().await;
    let server = Running::again(home, parts).await;
    for owner in 100..125 {
        let said = submit(&server, &format!("o{owner}"), LURE).await;
        assert_eq!(said.status, 200, "{owner}: {said:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_run_shows_what_would_be_held_and_holds_nothing() {
    let server =
        Running::with(&[("CLAW_GATE_MODE", "shadow")], "[campaigns]\nowners = 2\nhold_owners = 3").await;
    for owner in 1..=2 {
        submit(&server, &format!("o{owner}"), LURE).await.expect(200);
    }
    let said = submit(&server, "o3", LURE).await.of(200);
    assert_eq!((&said["verdict"], &said["wouldBe"]), (&json!("PASS"), &json!("QUARANTINE")));
    assert_eq!(server.number("SELECT count(*) AS n FROM quarantine_records").await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_counted_where_that_is_switched_off() {
    let server = Running::with(&[("CLAW_CAMPAIGNS", "off")], "").await;
    for owner in 1..=21 {
        assert_eq!(submit(&server, &format!("o{owner}"), LURE).await.of(200)["campaign"], Value::Null);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_the_operator_allows_is_no_lure() {
    let server = Running::with(&[], "[policy]\nallow_hosts = [\"bazaar.example\"]").await;
    for owner in 1..=21 {
        assert_eq!(submit(&server, &format!("o{owner}"), LURE).await.of(200)["verdict"], "PASS");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_submissions_are_answered_and_counted_here() {
    let mut redis = redis::Server::start();
    let url = redis.url();
    let env = [("REDIS_URL", url.as_str()), ("CLAW_REDIS_DEADLINE_MS", "1000")];
    let server = Running::with(&env, "[campaigns]\nowners = 2\nhold_owners = 4").await;
    submit(&server, "o1", LURE).await.expect(200);
    redis.kill();
    submit(&server, "o2", LURE).await.expect(200);
    let said = submit(&server, "o3", LURE).await.of(200);
    assert_eq!(said["campaign"]["owners"], 3, "{said}");
    submit(&server, "o4", LURE).await.expect(202);
    assert!(server.metric("claw_campaign_alone_total").await >= 3.0);
    server.stop().await;
}
