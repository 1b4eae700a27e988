//! `/v1/submit` answers each verdict and each failure with its own status, and does what was asked once.

use std::num::NonZeroU32;
use std::time::Duration;

use clawexchange_moderation::{NewToken, Role};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{Clock as _, OwnerId, SystemClock};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::server::{HOLD, PASS, Running, WARN, agent, block, events, until};

fn place_of(held: &Value) -> String {
    format!("/v1/submissions/{}", held["inspectionId"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_verdict_has_its_status() {
    let server = Running::new().await;
    let passed = server.submit("a", PASS).await;
    for name in
        ["ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
    {
        assert!(passed.header(name).is_some(), "{name}: {passed:?}");
    }
    assert_eq!(passed.of(200)["verdict"], "PASS");
    assert_eq!(server.submit("a", WARN).await.of(200)["verdict"], "WARN");
    let held = server.submit("a", HOLD).await.expect(202);
    let result = held.json();
    assert_eq!(held.header("location"), Some(place_of(&result).as_str()));
    assert!(result["quarantineId"].is_string());
    let blocked = server.submit("b", &block()).await.of(403);
    assert_eq!(blocked["code"], "ssg-core/blocked", "{blocked}");
    assert_eq!((&blocked["verdict"], &blocked["tier"]), (&json!("BLOCK"), &json!("CRITICAL")));
    let kinds = ["SSG_PASS", "SSG_WARN", "SSG_QUARANTINE", "SSG_BLOCK"];
    let events = server.events(&kinds).await;
    assert_eq!(events.len(), 4, "one event each: {events:?}");
    for kind in kinds {
        assert!(events.iter().any(|event| event.event_type == kind), "{kind}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_refused_before_anything_is_charged() {
    let server = Running::with(&[("CLAW_BODY_TIMEOUT_SECONDS", "1")], "").await;
    let platform = server.token(Role::Platform);
    let post = |body: &[u8]| {
        let request = server.public.request("POST", "/v1/submit").token(platform).body(body);
        request.header("Content-Type", "application/json")
    };
    for (body, code) in [
        (&b"{"[..], "ssg-core/bad-json"),
        (br#"{"text":"a","text":"b","agentId":"a"}"#, "ssg-core/duplicate-key"),
        (br#"{"text":"a"}"#, "gateway/no-agent"),
        (br#"{"text":"","agentId":"a"}"#, "ssg-core/text-empty"),
        (br#"{"text":"a","agentId":"not an id"}"#, ""),
        (br#"{"text":"a","agentId":"a","contentType":"LETTER"}"#, ""),
        (b"\xff\xfe", "ssg-core/not-utf8"),
    ] {
        let problem = post(body).send().await.of(400);
        let said = problem["code"].as_str().unwrap();
        assert!(said == code || code.is_empty() || said.starts_with("ssg-core/"), "{code}: {problem}");
    }
    let long = json!({"text": "a".repeat((1 << 20) + 1), "agentId": "a"});
    post(long.to_string().as_bytes()).send().await.expect(413);
    post(&vec![b' '; (2 << 20) + 1]).send().await.expect(413);
    let body = json!({"text": PASS, "agentId": "a"}).to_string();
    let typed = |name: &str, value: &str| {
        server.public.request("POST", "/v1/submit").token(platform).body(body.as_bytes()).header(name, value)
    };
    typed("Content-Type", "text/plain").send().await.expect(415);
    typed("Content-Type", "application/json; charset=latin1").send().await.expect(415);
    typed("Content-Type", "application/json").header("Content-Encoding", "gzip").send().await.expect(415);
    typed("X-Nothing", "1").send().await.expect(415);
    // A body that does not come holds nobody up for long.
    let head = post(body.as_bytes()).bytes("close");
    let mut stream = server.public.connect().await;
    let mut said = Vec::new();
    {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        stream.write_all(&head[..head.len() - 5]).await.unwrap();
        stream.read_to_end(&mut said).await.unwrap();
    }
    assert_eq!(Answer::parse(&said).code(408), "gateway/body-too-slow");
    let limits = server.get(Role::Platform, "/v1/limits/a").await.of(200);
    for tier in limits["tiers"].as_array().unwrap() {
        assert_eq!(tier["hour"]["used"], 0, "{tier}");
    }
    assert_eq!(server.number("SELECT count(*) AS n FROM quarantine_records").await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_of_a_sort_that_is_not_accepted_is_refused_on_every_way_in() {
    let server = Running::with(&[], "[policy]\ncontent_types = [\"POST\"]\n").await;
    for path in ["/v1/submit", "/api/v1/posts"] {
        for agent in [json!("a"), Value::Null] {
            let body = json!({"text": PASS, "contentType": "COMMENT", "agentId": agent});
            let answer = server.post(Role::Platform, path, &body).await;
            if agent.is_null() && path == "/v1/submit" {
                answer.expect(403);
            } else {
                assert_eq!(answer.code(403), "gateway/content-type-not-accepted", "{path} {agent}");
            }
        }
    }
    server.submit("a", PASS).await.expect(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_again_under_its_name_a_request_is_answered_again_and_not_done_again() {
    let server = Running::new().await;
    let body = json!({"text": HOLD, "agentId": "a", "trustLevel": "PLATFORM_BOT"});
    let ask = |role: Role, key: &str, body: &Value| {
        server.public.post("/v1/submit", body).token(server.token(role)).header("Idempotency-Key", key).send()
    };
    let first = ask(Role::Platform, "\"k-1\"", &body).await.expect(202);
    let again = ask(Role::Platform, "k-1", &body).await.expect(202);
    assert_eq!((first.json(), first.header("location")), (again.json(), again.header("location")));
    assert_eq!(
        (first.header("idempotent-replayed"), again.header("idempotent-replayed")),
        (None, Some("true"))
    );
    let other = json!({"text": PASS, "agentId": "a", "trustLevel": "PLATFORM_BOT"});
    assert_eq!(ask(Role::Platform, "k-1", &other).await.code(422), "gateway/key-reused");
    assert_eq!(server.events(&["SSG_QUARANTINE"]).await.len(), 1);
    assert_eq!(server.number("SELECT count(*) AS n FROM quarantine_records").await, 1);
    let used = || async {
        let limits = server.get(Role::Platform, "/v1/limits/a?trust=PLATFORM_BOT").await.of(200);
        limits["tiers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tier| tier["hour"]["used"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(used().await, 1);
    // The names of one principal mean nothing to another.
    let others = ask(Role::Admin, "k-1", &body).await.of(202);
    assert_ne!(others["inspectionId"], first.json()["inspectionId"]);
    assert_eq!(others["quarantineId"], first.json()["quarantineId"], "the same content is held once");
    for bad in ["", "a b", "\"\""] {
        assert_eq!(ask(Role::Platform, bad, &body).await.code(400), "gateway/bad-key", "{bad:?}");
    }
    let blocked = json!({"text": block(), "agentId": "b", "trustLevel": "PLATFORM_BOT"});
    let (first, again) = (
        ask(Role::Platform, "k-2", &blocked).await.of(403),
        ask(Role::Platform, "k-2", &blocked).await.of(403),
    );
    assert_eq!(first["inspectionId"], again["inspectionId"]);
    assert_ne!(first["requestId"], again["requestId"], "each request has a name of its own");
    let (home, parts) = server.stop().await;
    let server = Running::again(home, parts).await;
    let body = json!({"text": HOLD, "agentId": "a", "trustLevel": "PLATFORM_BOT"});
    let request = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
    let after = request.header("Idempotency-Key", "k-1").send().await.expect(202);
    assert_eq!(after.header("idempotent-replayed"), Some("true"), "an answer outlives the process");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_come_at_once_under_one_name_one_is_done() {
    let server = Running::new().await;
    let body = json!({"text": HOLD, "agentId": "a", "trustLevel": "PLATFORM_BOT"});
    let ask = || {
        let request = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
        request.header("Idempotency-Key", "one").send()
    };
    let (a, b, c, d, e, f) = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask());
    let mut held = Vec::new();
    for answer in [a, b, c, d, e, f] {
        if answer.status == 409 {
            assert!(answer.header("retry-after").is_some());
            assert_eq!(answer.code(409), "gateway/in-flight");
        } else {
            held.push(answer.of(202)["inspectionId"].clone());
        }
    }
    held.dedup();
    assert_eq!(held.len(), 1);
    assert_eq!(server.events(&["SSG_QUARANTINE"]).await.len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_lost_is_found_in_the_log_and_what_was_left_undone_is_done() {
    let server = Running::new().await;
    let leaked = server.agent_token("careless").await;
    let body = json!({"text": format!("my key is {leaked}"), "agentId": "a", "trustLevel": "PLATFORM_BOT"});
    let ask = || {
        let request = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
        request.header("Idempotency-Key", "lost").send()
    };
    for table in ["database_idempotency", "moderation_tokens"] {
        server.break_table(table, "UPDATE").await;
    }
    let first = ask().await.of(403);
    server.public.get("/v1/limits/careless").token(&leaked).send().await.expect(200);
    for table in ["database_idempotency", "moderation_tokens"] {
        server.mend_table(table).await;
    }
    let again = ask().await.expect(403);
    assert_eq!(again.header("idempotent-replayed"), None, "the answer itself was not kept");
    assert_eq!(again.json()["inspectionId"], first["inspectionId"]);
    assert_eq!(server.events(&["SSG_BLOCK"]).await.len(), 1);
    let limits = server.get(Role::Platform, "/v1/limits/a?trust=PLATFORM_BOT").await.of(200);
    let used: u64 =
        limits["tiers"].as_array().unwrap().iter().map(|t| t["hour"]["used"].as_u64().unwrap()).sum();
    assert_eq!(used, 1, "charged once");
    server.public.get("/v1/limits/careless").token(&leaked).send().await.expect(401);
    assert_eq!(ask().await.header("idempotent-replayed"), Some("true"), "now it is kept");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_held_or_logged_is_not_passed_on_and_costs_nothing() {
    let server = Running::new().await;
    for (table, text, code, status) in [
        ("quarantine_records", HOLD, "ssg-core/not-held", 202),
        ("audit_logs", PASS, "ssg-core/not-recorded", 200),
    ] {
        let body = json!({"text": text, "agentId": table, "trustLevel": "PLATFORM_BOT"});
        let ask = || {
            let request = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
            request.header("Idempotency-Key", table).send()
        };
        server.break_table(table, "INSERT").await;
        let failed = ask().await.expect(503);
        assert!(failed.header("retry-after").is_some());
        assert_eq!(failed.code(503), code);
        let path = format!("/v1/limits/{table}?trust=PLATFORM_BOT");
        let limits = server.get(Role::Platform, &path).await.of(200);
        let posts = limits["tiers"].as_array().unwrap().iter().find(|tier| tier["tier"] == "POSTS").unwrap();
        assert_eq!(posts["hour"]["used"], 0, "the charge is given back: {posts}");
        server.mend_table(table).await;
        // The same name tries again what was not done.
        let done = ask().await.expect(status);
        assert_eq!(done.header("idempotent-replayed"), None);
        let limits = server.get(Role::Platform, &path).await.of(200);
        let posts = limits["tiers"].as_array().unwrap().iter().find(|tier| tier["tier"] == "POSTS").unwrap();
        assert_eq!(posts["hour"]["used"], 1, "{posts}");
    }
    assert_eq!(server.events(&["SSG_QUARANTINE"]).await.len(), 1);
    assert_eq!(server.events(&["SSG_PASS"]).await.len(), 1);
    assert!(server.metric("claw_gate_errors_total").await > 1.5);
    let (_home, parts) = server.stop().await;
    let told = events(parts.log().await.unwrap(), &["SSG_ERROR"]).await;
    let mut told: Vec<_> = told
        .iter()
        .map(|e| (e.actor_id.as_str(), e.metadata["code"].as_str(), &e.metadata["count"]))
        .collect();
    told.sort_unstable_by_key(|(agent, ..)| *agent);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((told[0].0, told[0].1), ("audit_logs", Some("ssg-core/not-recorded")));
    assert_eq!((told[1].0, told[1].1), ("quarantine_records", Some("ssg-core/not-held")));
    assert!(told.iter().all(|(.., count)| **count == 1), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_submits_can_ask_what_became_of_it_to_the_end() {
    let server = Running::new().await;
    let held = server.hold("a").await;
    let place = place_of(&held);
    let status = || async { server.get(Role::Platform, &place).await.of(200) };
    assert_eq!(status().await["status"], "pending");
    let content = format!("{place}/content");
    let early = server.get(Role::Platform, &content).await;
    assert!(matches!(early.status, 403 | 409), "{early:?}");
    assert!(!early.text().contains(HOLD));
    let decide = format!("/v1/quarantine/{}/decisions", held["quarantineId"].as_str().unwrap());
    let release = json!({"action": "release", "reason": "FALSE_POSITIVE"});
    server.post(Role::Moderator, &decide, &release).await.expect(200);
    let released = status().await;
    assert_eq!((&released["status"], &released["reason"]), (&json!("released"), &json!("FALSE_POSITIVE")));
    let head = server.public.request("HEAD", &content).token(server.token(Role::Platform)).send().await;
    assert_eq!(head.status, 405, "a look is an act");
    let back = server.get(Role::Platform, &content).await.of(200);
    assert_eq!(back["text"], format!("{HOLD} From a."), "as it came in");
    let confirm = format!("{place}/published");
    assert_eq!(server.act(Role::Platform, &confirm).await.of(200)["status"], "published");
    assert_eq!(
        server.act(Role::Platform, &confirm).await.of(200)["status"],
        "published",
        "said again, it is so"
    );
    assert_eq!(status().await["status"], "published");

    let deleted = server.hold("b").await;
    let decide = format!("/v1/quarantine/{}/decisions", deleted["quarantineId"].as_str().unwrap());
    server.post(Role::Moderator, &decide, &json!({"action": "delete"})).await.expect(200);
    let said = server.get(Role::Platform, &place_of(&deleted)).await.of(200);
    assert_eq!((&said["status"], &said["reason"]), (&json!("deleted"), &json!("POLICY_VIOLATION")));
    let gone = server.get(Role::Platform, &format!("{}/content", place_of(&deleted))).await;
    assert!(matches!(gone.status, 403 | 404 | 409), "{gone:?}");

    let expired = server.hold("d").await;
    let later = SystemClock::new().now().plus(Duration::from_hours(73));
    let vault = server.vault_at(ManualClock::at(later)).await;
    vault.sweep(NonZeroU32::new(10).unwrap(), None).await.unwrap();
    assert_eq!(server.get(Role::Platform, &place_of(&expired)).await.of(200)["status"], "expired");

    let unknown = format!("/v1/submissions/{}", clawexchange_ssg_core::EventId::fresh());
    assert_eq!(server.get(Role::Platform, &unknown).await.code(404), "gateway/no-submission");
    let passed = server.submit("c", PASS).await.of(200);
    assert_eq!(server.get(Role::Platform, &place_of(&passed)).await.code(404), "gateway/no-submission");
    assert_eq!(server.get(Role::Platform, "/v1/submissions/1").await.code(400), "gateway/bad-value");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_content_again_is_one_hold_and_each_submission_is_known() {
    let server = Running::new().await;
    let (first, again) = (server.hold("a").await, server.hold("a").await);
    assert_eq!(first["quarantineId"], again["quarantineId"]);
    assert_ne!(first["inspectionId"], again["inspectionId"]);
    for held in [first, again] {
        let said = server.get(Role::Platform, &place_of(&held)).await.of(200);
        assert_eq!(said["quarantineId"], held["quarantineId"]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_too_much_undecided_is_told_when_to_come_back() {
    let server = Running::new().await;
    server.widen_limits().await;
    for n in 0..20 {
        let body = json!({
            "text": format!("{HOLD} Number {n}."), "agentId": "a", "trustLevel": "PLATFORM_BOT",
            "contentType": "MESSAGE",
        });
        server.post(Role::Platform, "/v1/submit", &body).await.expect(202);
    }
    let one_more = json!({
        "text": format!("{HOLD} One more."), "agentId": "a", "trustLevel": "PLATFORM_BOT", "contentType": "MESSAGE",
    });
    let answer = server.post(Role::Platform, "/v1/submit", &one_more).await;
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(answer.code(429), "quarantine/too-many-holds");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_watches_and_does_nothing() {
    let server = Running::with(&[("CLAW_GATE_MODE", "shadow")], "").await;
    for _ in 0..4 {
        let body = json!({"text": HOLD, "agentId": "a"});
        let seen = server.post(Role::Platform, "/v1/submit", &body).await.of(200);
        assert_eq!((&seen["verdict"], &seen["wouldBe"]), (&json!("PASS"), &json!("QUARANTINE")));
        let seen = server.post(Role::Platform, "/api/v1/posts", &body).await.of(201);
        assert_eq!(seen["wouldBe"], "QUARANTINE");
    }
    assert_eq!(server.number("SELECT count(*) AS n FROM quarantine_records").await, 0);
    let ready = server.public.get("/readyz").send().await.of(200);
    assert_eq!(
        (&ready["status"], &ready["flags"]["gate_shadow"]),
        (&json!("degraded"), &json!(true)),
        "{ready}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_held_what_would_be_is_refused() {
    let server = Running::with(&[("QUARANTINE_ENABLED", "false")], "").await;
    let body = json!({"text": HOLD, "agentId": "a"});
    let refused = server.post(Role::Platform, "/v1/submit", &body).await.of(403);
    assert_eq!((&refused["code"], &refused["verdict"]), (&json!("ssg-core/not-held"), &json!("QUARANTINE")));
    let refused = server.post(Role::Platform, "/api/v1/posts", &json!({"text": HOLD})).await.of(403);
    assert_eq!(refused["error"], "Content blocked by security policy");
    assert_eq!(server.number("SELECT count(*) AS n FROM quarantine_records").await, 0);
    let events = server.events(&["SSG_QUARANTINE"]).await;
    assert!(events.len() == 2 && events.iter().all(|event| event.metadata["held"] == false), "{events:?}");
    let ready = server.public.get("/readyz").send().await.of(200);
    assert_eq!(ready["parts"]["quarantine"], "off");
    assert!(server.metric("claw_flag{flag=\"quarantine_enabled\"}").await < 0.5);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_log_of_verdicts_decisions_are_logged_all_the_same() {
    let server = Running::with(&[("AUDIT_ENABLED", "false")], "").await;
    server.submit("a", PASS).await.expect(200);
    server.submit("a", &block()).await.expect(403);
    let held = server.hold("b").await;
    let decide = format!("/v1/quarantine/{}/decisions", held["quarantineId"].as_str().unwrap());
    server.post(Role::Moderator, &decide, &json!({"action": "release"})).await.expect(200);
    assert!(server.events(&["SSG_PASS", "SSG_BLOCK"]).await.is_empty());
    assert_eq!(server.events(&["HUMAN_RELEASE"]).await.len(), 1);
    let ready = server.public.get("/readyz").send().await.of(200);
    assert_eq!((&ready["status"], &ready["parts"]["audit"]), (&json!("degraded"), &json!("off")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_out_is_passed_on_without_it() {
    let server = Running::with(&[], "[policy.categories]\ncontact-data = \"redact\"\n").await;
    let text = "Write to maria.keller@northwind-traders.org for a price.";
    let passed = server.submit("a", text).await.of(200);
    assert_eq!(passed["verdict"], "PASS");
    let left = passed["sanitized"]["text"].as_str().unwrap();
    assert!(!left.contains("maria") && left.ends_with("for a price."), "{left}");
    let post = json!({"text": text, "title": "Ask maria.keller@northwind-traders.org"});
    let passed = server.post(Role::Platform, "/api/v1/posts", &post).await.of(201);
    assert!(!passed.to_string().contains("maria"), "{passed}");
    assert!(passed["sanitized"]["text"].is_string());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_knows_whose_it_was_and_from_where() {
    let server = Running::with(&[("CLAW_TRUSTED_PROXIES", "127.0.0.0/8")], "").await;
    let mut new = NewToken::new(agent("poster"), Role::Agent);
    new.owner = Some(OwnerId::new("the-owner").unwrap());
    let token = server.new_token(&new).await;
    let request = server.public.post("/v1/submit", &json!({"text": PASS})).token(&token);
    let request = request.header("X-Forwarded-For", "6.6.6.6, 203.0.113.77").header("X-Request-Id", "call-7");
    assert_eq!(request.send().await.expect(200).header("x-request-id"), Some("call-7"));
    let events = server.events(&["SSG_PASS"]).await;
    assert_eq!(events[0].actor_id, "poster");
    assert_eq!(events[0].ip_address.as_deref(), Some("203.0.113.0"));
    assert_eq!(events[0].metadata["requestId"], "call-7");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_keeps_their_place_until_their_work_is_done() {
    use tokio::io::AsyncWriteExt as _;
    let server = Running::with(&[("CLAW_REQUESTS_MAX", "1")], "").await;
    server.submit("warm", PASS).await.expect(200);
    let at_work = || server.parts.metrics().render().contains("claw_http_requests_at_work 1\n");
    // Nobody else can write, so that a hold has to wait.
    let tx = server.parts.database().await.unwrap().begin().await.unwrap();
    let body = json!({"text": HOLD, "agentId": "a", "trustLevel": "PLATFORM_BOT"});
    let request = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
    let mut stream = server.public.connect().await;
    stream.write_all(&request.bytes("close")).await.unwrap();
    until(async || at_work()).await;
    // What only looks is not held up by who writes, so it says whether there is a place.
    let look = async || server.get(Role::Platform, "/v1/limits/a").await;
    until(async || look().await.status == 503).await;
    drop(stream);
    until(async || !at_work()).await;
    assert_eq!(look().await.code(503), "gateway/overloaded");
    server.public.get("/livez").send().await.expect(200);
    drop(tx);
    until(async || !server.events(&["SSG_QUARANTINE"]).await.is_empty()).await;
    until(async || look().await.status == 200).await;
    server.stop().await;
}
