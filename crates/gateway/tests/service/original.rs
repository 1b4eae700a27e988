//! A program written for the original finds its routes and its answers here.

use std::process::Command;

use clawexchange_moderation::Role;
use serde_json::json;

use crate::server::{HOLD, PASS, Running, WARN, block};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_written_for_the_original_needs_a_base_and_a_token() {
    let server = Running::new().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/original_client.mjs");
    let mut command = Command::new("node");
    command.arg(script).env("BASE", format!("http://{}", server.public.address));
    for (name, role) in [("PLATFORM", Role::Platform), ("BOT", Role::Bot), ("MODERATOR", Role::Moderator)] {
        command.env(format!("{name}_TOKEN"), server.token(role));
    }
    let texts = json!({"pass": PASS, "warn": WARN, "hold": HOLD, "block": block()});
    command.env("TEXTS", texts.to_string());
    server.widen_limits().await;
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = ran.expect("Node.js is needed for this test: install `node`, version 18 or later");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().last(), Some("all as before"), "{said}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_are_answered_as_the_original_did() {
    let server = Running::new().await;
    server.widen_limits().await;
    let post = async |text: &str| {
        let body = json!({"text": text, "title": "An offer", "category": "SUPPLY"});
        server.post(Role::Platform, "/api/v1/posts", &body).await
    };
    let passed = post(PASS).await.of(201);
    assert_eq!((&passed["message"], &passed["data"]["title"]), (&json!("Post created"), &json!("An offer")));
    assert!(passed.get("labels").is_none());
    let warned = post(WARN).await.of(201);
    assert_eq!(
        (&warned["message"], &warned["tier"]),
        (&json!("Post created with warnings"), &json!("MODERATE"))
    );
    let held = post(HOLD).await.of(202);
    assert_eq!((&held["message"], &held["tier"]), (&json!("Content held for review"), &json!("HIGH")));
    assert!(held["quarantineId"].is_string() && held["labels"].is_array());
    let blocked = post(&block()).await.of(403);
    assert_eq!(blocked["error"], "Content blocked by security policy");
    assert_eq!((&blocked["code"], &blocked["tier"]), (&json!("ssg-core/blocked"), &json!("CRITICAL")));
    for (body, status) in [(json!({"title": "no text"}), 400), (json!({"text": 7}), 400)] {
        let refused = server.post(Role::Platform, "/api/v1/posts", &body).await.of(status);
        assert!(refused["error"].is_string(), "{refused}");
    }
    let nobody = server.public.post("/api/v1/posts", &json!({"text": PASS})).send().await.of(401);
    assert!(nobody["error"].is_string(), "{nobody}");
    server.stop().await;
}
