//! What every answer carries, whatever was asked and however.

use clawexchange_moderation::Role;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{PASS, Running};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_keeps_the_name_that_its_caller_gave_it_if_it_is_one() {
    let server = Running::new().await;
    let ask = async |name: &str| {
        let answer = server.public.get("/livez").header("X-Request-Id", name).send().await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    for name in ["call-7", "01a213b2-a1e6-712f-8352-237c136a465e", &"a".repeat(128)] {
        assert_eq!(ask(name).await, name);
    }
    let long = "a".repeat(129);
    for hostile in ["", "a b", "x\"y", "<script>", "a,b", "\u{fc}", "../x", long.as_str()] {
        let name = ask(hostile).await;
        assert!(name.parse::<clawexchange_ssg_core::EventId>().is_ok(), "{hostile:?} became {name}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_is_answered_in_one_form() {
    let server = Running::new().await;
    let admin = server.token(Role::Admin);
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/submit/", 404),
        ("GET", "//v1/submit", 404),
        ("GET", "/V1/SUBMIT", 404),
        ("GET", "/v1/submit", 405),
        ("POST", "/readyz", 405),
        ("GET", "/v1/submissions/%ff", 400),
        ("GET", "/v1/submissions/%00", 400),
        ("GET", "/v1/submissions/..%2f..%2fetc", 400),
        ("GET", "/v1/limits/a%2fb", 400),
        ("GET", "/v1/content/%ff", 400),
        ("HEAD", "/livez", 200),
    ] {
        server.public.request(method, path).token(admin).send().await.expect(status);
    }
    let origin = server.public.request("OPTIONS", "/v1/submit").header("Origin", "https://elsewhere.example");
    origin.header("Access-Control-Request-Method", "POST").send().await.expect(405);
    let bodiless = server.public.get("/v1/limits/a").token(admin).body("surprise").send().await;
    bodiless.expect(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_http_and_what_has_too_many_headers_gets_no_further() {
    let server = Running::new().await;
    let many = "X-A: b\r\n".repeat(100);
    let long = format!("X-A: {}\r\n", "b".repeat(64 << 10));
    for request in [
        "NONSENSE\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /livez HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!("GET /livez HTTP/1.1\r\nHost: x\r\n{long}\r\n"),
        "POST /v1/submit HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"
            .to_owned(),
    ] {
        let mut stream = server.public.connect().await;
        let mut said = Vec::new();
        // The server may close before all of it is written.
        let _sent = stream.write_all(request.as_bytes()).await;
        let _read = stream.read_to_end(&mut said).await;
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.0 4") || said.is_empty(),
            "{said}"
        );
    }
    server.submit("a", PASS).await.expect(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_is_good_for_many_requests() {
    let server = Running::new().await;
    let body = json!({"text": PASS, "agentId": "a", "trustLevel": "PLATFORM_BOT"});
    let request = server.public.post("/v1/submit", &body).token(server.token(Role::Platform));
    let mut stream = server.public.connect().await;
    for n in 0..5 {
        stream.write_all(&request.bytes(if n == 4 { "close" } else { "keep-alive" })).await.unwrap();
    }
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    let answers = String::from_utf8(said).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 5, "{answers}");
    server.stop().await;
}
