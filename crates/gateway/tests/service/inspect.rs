//! `/v1/inspect` judges and does nothing else.

use clawexchange_moderation::Role;
use serde_json::{Value, json};

use crate::server::{HOLD, PASS, Running, WARN, block};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verdict_is_answered_200_and_leaves_nothing_behind() {
    let server = Running::new().await;
    let before = server.row_counts().await;
    for (text, verdict) in [(PASS, "PASS"), (WARN, "WARN"), (HOLD, "QUARANTINE"), (&block(), "BLOCK")] {
        let result = server.post(Role::Moderator, "/v1/inspect", &json!({"text": text})).await.of(200);
        assert_eq!(result["verdict"], verdict);
        assert!(result.get("quarantineId").is_none() && !result.to_string().contains("score"));
        let result = server.post(Role::Platform, "/api/v1/inspect", &json!({"text": text})).await.of(200);
        assert_eq!(result["verdict"], verdict);
        assert_eq!(result["pluginResults"].as_array().unwrap().is_empty(), verdict == "PASS", "{result}");
        assert!(!result.to_string().contains("score"), "a score never leaves");
    }
    assert_eq!(server.row_counts().await, before);
    server.post(Role::Moderator, "/v1/inspect", &json!({"text": ""})).await.expect(400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_judged_item_by_item_and_a_bad_one_spoils_no_other() {
    let server = Running::new().await;
    let mut items = vec![json!({"text": PASS}); 100];
    (items[3], items[7]) = (json!({"text": ""}), json!(17));
    items[50] = json!({"text": block()});
    let judged = server.post(Role::Platform, "/v1/inspect/batch", &json!({"items": items})).await.of(200);
    let judged = judged["items"].as_array().unwrap();
    assert_eq!(judged.len(), 100);
    for (n, item) in judged.iter().enumerate() {
        match n {
            3 => assert_eq!(item["error"]["code"], "ssg-core/text-empty"),
            7 => assert!(item["error"]["code"].as_str().unwrap().starts_with("ssg-core/"), "{item}"),
            50 => assert_eq!(item["verdict"], "BLOCK"),
            _ => assert_eq!(item["verdict"], "PASS", "{n}: {item}"),
        }
    }
    for bad in [
        json!({"items": vec![json!({"text": PASS}); 101]}),
        json!({"items": []}),
        json!({"items": {}}),
        json!({"items": [], "more": 1}),
        json!([]),
        Value::Null,
    ] {
        let answer = server.post(Role::Platform, "/v1/inspect/batch", &bad).await;
        assert_eq!(answer.code(400), "gateway/bad-batch");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_8_mib_and_not_a_byte_more() {
    let server = Running::new().await;
    let batch = |length: usize| {
        let (head, tail) = (r#"{"items":[{"text":"x"}"#, "]}");
        let body = [head, &" ".repeat(length - head.len() - tail.len()), tail].concat();
        let request = server.public.request("POST", "/v1/inspect/batch").token(server.token(Role::Platform));
        request.header("Content-Type", "application/json").body(body).send()
    };
    assert_eq!(batch(8 << 20).await.of(200)["items"].as_array().unwrap().len(), 1);
    assert_eq!(batch((8 << 20) + 1).await.code(413), "ssg-core/body-too-large");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_inspected_are_counted_by_caller() {
    let file = "[limits]\ninspect_bytes_per_minute = 65536\ninspect_bytes_per_hour = 65536\n";
    let server = Running::with(&[], file).await;
    let ask = |role| {
        let body = json!({"text": "a ".repeat(10_000)});
        async move { (role, body) }
    };
    for (role, body) in [ask(Role::Platform).await, ask(Role::Platform).await] {
        let answer = server.post(role, "/v1/inspect", &body).await.expect(200);
        assert!(answer.header("ratelimit").is_some());
    }
    let (role, body) = ask(Role::Platform).await;
    assert_eq!(server.post(role, "/v1/inspect", &body).await.code(429), "rate-limiter/limited");
    server.post(Role::Moderator, "/v1/inspect", &body).await.expect(200);
    server.stop().await;
}
