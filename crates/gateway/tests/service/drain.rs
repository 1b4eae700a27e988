//! Told to stop, the server finishes what it has begun and takes in nothing new.

use clawexchange_gateway::{HeldStates, LimitStates, TokenStates};
use clawexchange_moderation::Role;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Answer, Request};
use crate::server::{HOLD, PASS, Running, until};

/// Sends all of a request but its end.
async fn begin(request: &Request<'_>, stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = request.bytes("keep-alive");
    let end = bytes.split_off(bytes.len() - 3);
    stream.write_all(&bytes).await.unwrap();
    end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_at_work_is_answered_and_what_is_new_is_not_begun() {
    let mut server = Running::new().await;
    let body = json!({"text": HOLD, "agentId": "a"});
    let request = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
    let (mut at_work, mut idle) = (server.public.connect().await, server.public.connect().await);
    idle.write_all(&server.public.get("/livez").bytes("keep-alive")).await.unwrap();
    let mut livez = [0; 12];
    idle.read_exact(&mut livez).await.unwrap();
    assert_eq!(&livez, b"HTTP/1.1 200");
    let end = begin(&request, &mut at_work).await;
    until(async || server.parts.metrics().render().contains("claw_http_requests_at_work 1\n")).await;

    server.tell_to_stop();
    until(async || server.public.get("/readyz").send().await.status == 503).await;
    assert_eq!(server.public.get("/readyz").send().await.of(503)["status"], "draining");
    let other = server.post(Role::Platform, "/v1/submit", &json!({"text": PASS, "agentId": "b"})).await;
    assert_eq!(other.header("connection"), Some("close"));
    assert_eq!(other.code(503), "gateway/draining");
    server.public.get("/livez").send().await.expect(200);
    server.public.get("/v1/content/x").send().await.expect(503);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();

    at_work.write_all(&end).await.unwrap();
    let mut said = Vec::new();
    at_work.read_to_end(&mut said).await.unwrap();
    let answer = Answer::parse(&said);
    assert_eq!(answer.header("connection"), Some("close"));
    answer.expect(202);
    let (_home, parts) = server.stop().await;
    let log = parts.log().await.unwrap();
    let states: [&dyn clawexchange_audit::StateSource; 3] = [
        &HeldStates::of(parts.vault().await.unwrap().clone()),
        &LimitStates::of(parts.stored_limits().await.unwrap()),
        &TokenStates::of(parts.tokens().await.unwrap().clone()),
    ];
    let report = log.verify(&states, &|_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.extends_pin, Some(true), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_does_not_keep_the_server_from_stopping() {
    let server = Running::with(&[("CLAW_DRAIN_SECONDS", "1")], "").await;
    let body = json!({"text": PASS, "agentId": "a"});
    let request = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
    let (mut half, silent) = (server.public.connect().await, server.public.connect().await);
    let _end = begin(&request, &mut half).await;
    until(async || server.parts.metrics().render().contains("claw_http_requests_at_work 1\n")).await;
    let (home, parts) = server.stop().await;
    let mut said = Vec::new();
    // Cut off: an end or a reset, but no answer.
    let _ended = half.read_to_end(&mut said).await;
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
    drop(silent);
    Running::again(home, parts).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_in_the_midst_of_a_decision_breaks_nothing() {
    let server = Running::new().await;
    for n in 0..5 {
        let held = server.hold(&format!("a{n}")).await;
        let path = format!("/v1/quarantine/{}/decisions", held["quarantineId"].as_str().unwrap());
        let tx = server.parts.database().await.unwrap().begin().await.unwrap();
        let request =
            server.admin.post(&path, &json!({"action": "release"})).token(server.token(Role::Admin));
        let mut stream = server.admin.connect().await;
        stream.write_all(&request.bytes("close")).await.unwrap();
        until(async || server.parts.metrics().render().contains("claw_http_requests_at_work 1\n")).await;
        drop(stream);
        drop(tx);
        until(async || server.parts.metrics().render().contains("claw_http_requests_at_work 0\n")).await;
        let record = server.get(Role::Admin, path.strip_suffix("/decisions").unwrap()).await.of(200);
        let events = server.events(&["HUMAN_RELEASE"]).await;
        let is_released =
            events.iter().any(|event| event.target_id.as_deref() == held["quarantineId"].as_str());
        assert_eq!(record["status"] == "RELEASED", is_released, "a change and its event commit together");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_its_connections_a_listener_answers_503_and_goes_on() {
    let server = Running::with(&[("CLAW_CONNECTIONS_MAX", "1")], "").await;
    let body = json!({"text": PASS, "agentId": "a"});
    let request = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
    let mut at_work = server.public.connect().await;
    let end = begin(&request, &mut at_work).await;
    until(async || server.parts.metrics().render().contains("claw_http_requests_at_work 1\n")).await;
    let turned_away = server.get(Role::Platform, "/v1/limits/a").await;
    assert_eq!(turned_away.code(503), "gateway/too-many-connections");
    at_work.write_all(&end).await.unwrap();
    let mut first = [0; 12];
    at_work.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    // The one that asks for nothing any more makes room.
    until(async || server.public.get("/livez").send().await.status == 200).await;
    server.stop().await;
}
