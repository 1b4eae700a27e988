//! The gate before the handlers of an axum application. What a user would lose: a handler would publish what was blocked
//! or held, or read something else than what was inspected.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use axum::response::Response;
use axum::routing::any;
use axum::{Extension, Router};
use clawexchange_ssg_core::http::{GateLayer, Inspected, Judged};
use clawexchange_ssg_core::testing::{MemoryPorts, WordPlugin};
use clawexchange_ssg_core::{
    AgentId, AuditEvent, Caller, Category, CategoryAction, EnvelopeBounds, EventKind, Gate, Inspector,
    InspectorConfig, OwnerId, PluginRegistry, RequestId, Verdict,
};
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

#[derive(serde::Deserialize)]
struct Post {
    text: String,
}

/// An application, what its gate has held and recorded, and how often its handlers ran.
struct App {
    router: Router,
    ports: MemoryPorts,
    ran: Arc<AtomicUsize>,
}

impl App {
    /// The usual layer, and everybody is agent-1 of owner-1.
    fn new() -> Self {
        Self::judging(|config| config)
    }

    /// The usual layer, and a gate that judges so.
    fn judging(config: impl FnOnce(InspectorConfig) -> InspectorConfig) -> Self {
        let layer = |routes: Router, gate| routes.layer(located(gate)).layer(Extension(caller()));
        Self::with(config(InspectorConfig::default()), layer)
    }

    /// Handlers behind `layer`.
    fn behind(layer: impl FnOnce(Router, Gate) -> Router) -> Self {
        Self::with(InspectorConfig::default(), layer)
    }

    /// `/posts` takes what is passed on, `/all` takes everything, `/raw` what is left of the request.
    fn with(config: InspectorConfig, layer: impl FnOnce(Router, Gate) -> Router) -> Self {
        let (ports, ran) = (MemoryPorts::new(), Arc::new(AtomicUsize::new(0)));
        let plugins = PluginRegistry::new().with_inline(WordPlugin::new()).unwrap();
        let gate = Gate::new(Inspector::new(plugins, config), ports.clone(), ports.clone());
        let count = |ran: &Arc<AtomicUsize>| {
            let ran = Arc::clone(ran);
            move || ran.fetch_add(1, Ordering::SeqCst)
        };
        let (posts, judged, raw) = (count(&ran), count(&ran), count(&ran));
        let routes = Router::new()
            .route(
                "/posts",
                any(move |post: Inspected<Post>, rest: Bytes| async move {
                    posts();
                    assert_eq!(rest, "", "there is something left that nobody inspected");
                    let verdict = post.inspection().verdict;
                    format!("{verdict} {}", post.into_inner().text)
                }),
            )
            .route(
                "/all",
                any(move |post: Judged<Value>| async move {
                    judged();
                    format!("{} {} {}", post.verdict(), post.is_held(), post.content()["text"])
                }),
            )
            .route(
                "/raw",
                any(move |headers: HeaderMap, body: Bytes| async move {
                    raw();
                    format!("{} {}", headers.contains_key(CONTENT_LENGTH), body.len())
                }),
            );
        Self { router: layer(routes, gate), ports, ran }
    }

    /// A layer whose bodies have at most 64 bytes.
    fn narrow() -> Self {
        let mut bounds = EnvelopeBounds::default();
        bounds.body_bytes_max = 64;
        Self::behind(|routes, gate| {
            routes.layer(GateLayer::new(gate).bounds(bounds)).layer(Extension(caller()))
        })
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Response {
        self.send(request(path, body)).await
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }

    /// Refused before anything was judged: no handler ran and nothing was recorded.
    async fn refuses(&self, request: Request<Body>, status: u16, code: &str) {
        let problem = problem(self.send(request).await, status, code).await;
        assert_eq!(self.ran(), 0, "{problem}");
        assert!(self.ports.events().is_empty(), "{problem}");
    }
}

fn located(gate: Gate) -> GateLayer {
    GateLayer::new(gate).locating(|i| format!("/v1/submissions/{}", i.inspection_id))
}

fn caller() -> Caller {
    let mut caller = Caller::new(AgentId::new("agent-1").unwrap());
    caller.owner = Some(OwnerId::new("owner-1").unwrap());
    caller.ip = Some("203.0.113.77".parse().unwrap());
    caller
}

fn request(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header(CONTENT_TYPE, "application/json").body(body.into()).unwrap()
}

fn with(name: HeaderName, value: &str) -> Request<Body> {
    Request::post("/posts").header(name, value).body(Body::from(r#"{"text":"an offer"}"#)).unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

/// The problem that a response is, which must be of this status and code.
async fn problem(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status().as_u16(), status, "{code}");
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    let problem: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    problem
}

#[tokio::test]
async fn a_handler_runs_for_what_is_passed_on_and_reads_what_was_inspected() {
    let app = App::new();
    for (n, (content, verdict)) in
        [("an offer", "PASS"), ("flag-low", "PASS"), ("flag-warn", "WARN")].into_iter().enumerate()
    {
        let response = app.post("/posts", json!({ "text": content }).to_string()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response).await, format!("{verdict} {content}"));
        assert_eq!(app.ran(), n + 1);
    }
    assert_eq!(app.ports.events().len(), 3);
}

#[tokio::test]
async fn blocked_content_is_answered_403_and_its_handler_never_runs() {
    let app = App::new();
    let problem =
        problem(app.post("/posts", r#"{"text":"flag-block"}"#).await, 403, "ssg-core/blocked").await;
    let [event] = &*app.ports.events() else { panic!("one event") };
    assert_eq!(event.kind(), EventKind::SsgBlock);
    assert_eq!(problem["inspectionId"], event.id().to_string());
    assert_eq!(problem["tier"], "CRITICAL");
    assert_eq!(problem["labels"], json!(["FLAG_BLOCK"]));
    assert_eq!(problem["matches"][0]["field"], "/text");
    assert_eq!(problem.get("score"), None, "a caller sees no points");
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn held_content_is_answered_202_and_its_handler_never_runs() {
    let app = App::new();
    let response = app.post("/posts", r#"{"text":"flag-hold"}"#).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let location = response.headers()[LOCATION].to_str().unwrap().to_owned();
    let inspection: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(inspection["verdict"], "QUARANTINE");
    let [hold] = &*app.ports.holds() else { panic!("held once") };
    assert_eq!(inspection["quarantineId"], hold.id.to_string());
    assert_eq!(location, format!("/v1/submissions/{}", inspection["inspectionId"].as_str().unwrap()));
    assert_eq!(hold.agent.as_str(), "agent-1");
    assert_eq!(app.ran(), 0);

    let app = App::behind(|routes, gate| routes.layer(GateLayer::new(gate)).layer(Extension(caller())));
    let response = app.post("/posts", r#"{"text":"flag-hold"}"#).await;
    assert_eq!((response.status(), response.headers().get(LOCATION)), (StatusCode::ACCEPTED, None));
}

#[tokio::test]
async fn what_would_be_held_is_refused_where_nothing_is_held() {
    let app = App::behind(|routes, gate| {
        routes.layer(GateLayer::new(gate.without_quarantine())).layer(Extension(caller()))
    });
    let answer = app.post("/posts", r#"{"text":"flag-hold"}"#).await;
    let problem = problem(answer, 403, "ssg-core/not-held").await;
    assert_eq!((&problem["verdict"], problem.get("quarantineId")), (&json!("QUARANTINE"), None));
    assert_eq!(app.ran(), 0);
    assert!(app.ports.holds().is_empty());
}

#[tokio::test]
async fn no_place_in_a_body_is_a_way_round_the_gate() {
    for body in [
        r#"{"text":"fine","title":"flag-block"}"#,
        r#"{"text":"fine","metadata":{"a":{"b":["x",{"c":"flag-block"}]}}}"#,
        r#"{"text":"fine","tags":["x","flag-block"]}"#,
        r#"{"text":"fine","body":"flag-block"}"#,
        r#"{"text":"fine","nested":{"text":"flag-block"}}"#,
        r#"{"text":"fine","flag-block":true}"#,
        r#"{"text":"fine","agentId":"flag-block"}"#,
        r#"{"text":"fine","sourceId":"flag-block","trustLevel":"PLATFORM_BOT"}"#,
        r#"{"text":"fine","id":"flag-block"}"#,
        r#"{"text":"flag\u002dblock"}"#,
    ] {
        let app = App::new();
        problem(app.post("/posts", body).await, 403, "ssg-core/blocked").await;
        assert_eq!(app.ran(), 0, "{body}");
    }
}

#[tokio::test]
async fn what_two_readers_could_read_differently_is_refused() {
    for (body, code) in [
        (r#"{"text":"fine","text":"flag-block"}"#, "ssg-core/duplicate-name"),
        (r#"{"text":"fine","metadata":{"a":1,"a":"flag-block"}}"#, "ssg-core/duplicate-name"),
        (r#"{"text":["flag-block"]}"#, "ssg-core/wrong-type"),
        (r#"{"text":{"text":"flag-block"}}"#, "ssg-core/wrong-type"),
        (r#"{"text":7}"#, "ssg-core/wrong-type"),
        (r#"[{"text":"flag-block"}]"#, "ssg-core/not-an-object"),
        (r#""flag-block""#, "ssg-core/not-an-object"),
        (r#"{"text":"a"}{"text":"flag-block"}"#, "ssg-core/not-json"),
        (r#"{"text":"a\u0000"}"#, "ssg-core/nul"),
        (r#"{"text":"a\ud800"}"#, "ssg-core/not-json"),
        (r#"{"text":""}"#, "ssg-core/text-empty"),
        ("{}", "ssg-core/text-missing"),
        ("", "ssg-core/not-json"),
        ("text=flag-block", "ssg-core/not-json"),
    ] {
        App::new().refuses(request("/posts", body), 400, code).await;
    }
    let not_utf8 = request("/posts", &b"{\"text\":\"\xff\"}"[..]);
    App::new().refuses(not_utf8, 400, "ssg-core/not-utf8").await;
}

#[tokio::test]
async fn a_body_that_says_it_is_something_else_is_not_read() {
    for (value, code) in [
        ("text/plain", "ssg-core/content-type"),
        ("application/x-www-form-urlencoded", "ssg-core/content-type"),
        ("application/json; profile=x", "ssg-core/content-type"),
        ("application/json; charset=utf-16", "ssg-core/charset"),
        ("application/json; charset=iso-8859-1", "ssg-core/charset"),
    ] {
        App::new().refuses(with(CONTENT_TYPE, value), 415, code).await;
    }
    let mut gzipped = with(CONTENT_TYPE, "application/json; charset=\"UTF-8\"");
    gzipped.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
    App::new().refuses(gzipped, 415, "ssg-core/content-encoding").await;
    let mut untyped = with(CONTENT_TYPE, "x");
    untyped.headers_mut().remove(CONTENT_TYPE);
    App::new().refuses(untyped, 415, "ssg-core/content-type").await;
    let mut twice = with(CONTENT_TYPE, "application/json");
    twice.headers_mut().append(CONTENT_TYPE, "application/json".parse().unwrap());
    App::new().refuses(twice, 400, "ssg-core/content-type-twice").await;
    let usual = App::new().send(with(CONTENT_TYPE, "application/json; charset=\"UTF-8\"")).await;
    assert_eq!(usual.status(), StatusCode::OK);
}

/// A body of which nothing may be read.
struct Untouched;

impl From<Untouched> for Body {
    fn from(_: Untouched) -> Self {
        let body = Full::new(Bytes::from_static(b"{")).map_frame(|_| panic!("the body was read"));
        Self::new(body)
    }
}

#[tokio::test]
async fn a_length_above_the_bound_is_refused_before_anything_is_read() {
    for length in ["65", "2097153", "99999999999999999999999999"] {
        let mut huge = request("/posts", Untouched);
        huge.headers_mut().insert(CONTENT_LENGTH, length.parse().unwrap());
        App::narrow().refuses(huge, 413, "ssg-core/body-too-large").await;
    }
}

#[tokio::test]
async fn a_body_is_not_longer_or_shorter_than_it_said() {
    let body = r#"{"text":"an offer"}"#;
    for length in ["18", "20", "0", "-19", "19, 19", "0x13"] {
        let mut lying = request("/posts", body);
        lying.headers_mut().insert(CONTENT_LENGTH, length.parse().unwrap());
        App::narrow().refuses(lying, 400, "ssg-core/content-length").await;
    }
    let mut two = request("/posts", body);
    for length in ["19", "20"] {
        two.headers_mut().append(CONTENT_LENGTH, length.parse().unwrap());
    }
    App::narrow().refuses(two, 400, "ssg-core/content-length").await;
    let mut honest = request("/posts", body);
    honest.headers_mut().insert(CONTENT_LENGTH, "19".parse().unwrap());
    assert_eq!(App::narrow().send(honest).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_without_a_length_is_read_up_to_the_bound_and_no_further() {
    let of = |bytes: usize| format!("{{\"text\":\"{}\"}}", "a".repeat(bytes - 11));
    assert_eq!(App::narrow().post("/posts", of(64)).await.status(), StatusCode::OK);
    App::narrow().refuses(request("/posts", of(65)), 413, "ssg-core/body-too-large").await;
    let narrower = Body::new(Limited::new(Full::new(Bytes::from(of(60))), 30));
    App::narrow().refuses(request("/posts", narrower), 413, "ssg-core/body-too-large").await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_body() {
    let whole = Full::new(Bytes::from_static(br#"{"text":"an offer"}"#)).map_err(|never| match never {});
    let broken = whole.with_trailers(async { Some(Err(io::Error::other("peer 10.0.0.7 reset"))) });
    let app = App::new();
    let answer = app.post("/posts", Body::new(broken)).await;
    let problem = problem(answer, 400, "ssg-core/body-broken").await;
    assert!(!problem.to_string().contains("10.0.0.7"), "{problem}");
    assert_eq!((app.ran(), app.ports.events().len()), (0, 0));
}

#[tokio::test]
async fn behind_the_gate_a_request_has_no_body_and_no_length() {
    let app = App::new();
    let mut with_length = request("/raw", r#"{"text":"an offer"}"#);
    with_length.headers_mut().insert(CONTENT_LENGTH, "19".parse().unwrap());
    assert_eq!(text(app.send(with_length).await).await, "false 0", "a handler read it past the gate");
    for method in [Method::GET, Method::DELETE, Method::OPTIONS, Method::from_bytes(b"QUERY").unwrap()] {
        let mut other = request("/raw", r#"{"text":"flag-block"}"#);
        *other.method_mut() = method.clone();
        assert_eq!(text(app.send(other).await).await, "false 0", "{method}");
        let mut posts = request("/posts", r#"{"text":"an offer"}"#);
        *posts.method_mut() = method;
        problem(app.send(posts).await, 500, "ssg-core/not-inspected").await;
    }
    assert_eq!(app.ports.events().len(), 1, "only methods that carry content are judged");
    for method in [Method::PUT, Method::PATCH] {
        let mut blocked = request("/raw", r#"{"text":"flag-block"}"#);
        *blocked.method_mut() = method;
        problem(app.send(blocked).await, 403, "ssg-core/blocked").await;
    }
}

#[tokio::test]
async fn a_handler_that_somebody_forgot_to_put_behind_the_gate_reads_nothing() {
    let app = App::behind(|routes, _| routes.layer(Extension(caller())));
    for path in ["/posts", "/all"] {
        let answer = app.post(path, r#"{"text":"an offer"}"#).await;
        problem(answer, 500, "ssg-core/not-inspected").await;
    }
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn content_that_is_not_what_the_handler_takes_is_not_quoted() {
    let app = App::behind(|routes, gate| {
        let tagged = any(|_: Inspected<Tagged>| async { "it ran" });
        routes.route("/tagged", tagged).layer(GateLayer::new(gate)).layer(Extension(caller()))
    });
    let answer = app.post("/tagged", r#"{"text":"an offer","tags":"hunter2"}"#).await;
    let problem = problem(answer, 400, "ssg-core/not-as-wanted").await;
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("line 1, column "), "{problem}");
}

#[derive(serde::Deserialize)]
struct Tagged {
    #[expect(dead_code, reason = "it never comes to be")]
    tags: Vec<String>,
}

#[tokio::test]
async fn handlers_that_want_every_verdict_get_it_and_others_beside_them_do_not() {
    let app =
        App::behind(|routes, gate| routes.layer(located(gate).every_verdict()).layer(Extension(caller())));
    for (content, verdict, is_held) in [
        ("an offer", Verdict::Pass, false),
        ("flag-warn", Verdict::Warn, false),
        ("flag-hold", Verdict::Quarantine, true),
        ("flag-block", Verdict::Block, false),
    ] {
        let ran = app.ran();
        let body = json!({ "text": content }).to_string();
        let judged = app.post("/all", body.clone()).await;
        assert_eq!(text(judged).await, format!("{verdict} {is_held} {content:?}"));
        assert_eq!(app.ran(), ran + 1);
        let posted = app.post("/posts", body).await;
        let (status, runs) = match verdict {
            Verdict::Pass | Verdict::Warn => (200, ran + 2),
            Verdict::Quarantine => (202, ran + 1),
            Verdict::Block => (403, ran + 1),
        };
        assert_eq!((posted.status().as_u16(), app.ran()), (status, runs), "{content}");
    }
    let [hold] = &*app.ports.holds() else { panic!("held once") };
    assert_eq!(hold.content.text(), "flag-hold");
}

#[tokio::test]
async fn nobody_posts_without_a_caller() {
    let app = App::behind(|routes, gate| routes.layer(GateLayer::new(gate)));
    let answer = app.post("/posts", r#"{"text":"an offer","agentId":"agent-9"}"#).await;
    assert_eq!(answer.headers()[WWW_AUTHENTICATE], "Bearer");
    problem(answer, 401, "ssg-core/no-caller").await;
    assert_eq!((app.ran(), app.ports.events().len()), (0, 0));
    let answer = app.post("/posts", Untouched).await;
    problem(answer, 401, "ssg-core/no-caller").await;
}

#[tokio::test]
async fn who_posts_is_who_calls_whatever_the_body_says() {
    let app = App::new();
    let mut request = request(
        "/posts",
        r#"{"text":"fine","agentId":"agent-9","ownerId":"owner-9","sourceId":"post-9","ip":"192.0.2.1"}"#,
    );
    request.extensions_mut().insert(RequestId::new("req-5").unwrap());
    assert_eq!(app.send(request).await.status(), StatusCode::OK);
    let [event] = &*app.ports.events() else { panic!("one event") };
    assert_eq!(event.actor().id.as_str(), "agent-1");
    assert_eq!(event.owner().map(OwnerId::as_str), Some("owner-1"));
    assert_eq!((event.ip(), event.target()), (Some("203.0.113.0"), None));
    assert_eq!(event.meta().get("requestId"), Some(&json!("req-5")));
}

#[tokio::test]
async fn what_cannot_be_recorded_or_held_is_answered_503_and_not_passed_on() {
    let app = App::new();
    app.ports.set_failing(true);
    for (content, code) in [
        ("an offer", "ssg-core/not-recorded"),
        ("flag-hold", "ssg-core/not-held"),
        ("flag-block", "ssg-core/not-recorded"),
    ] {
        let mut request = request("/posts", json!({ "text": content }).to_string());
        request.extensions_mut().insert(RequestId::new("req-6").unwrap());
        let answer = app.send(request).await;
        assert_eq!(answer.headers()[RETRY_AFTER], "1");
        let problem = problem(answer, 503, code).await;
        assert_eq!(problem["requestId"], "req-6");
        assert!(!problem.to_string().contains("could not"), "no internal text leaves: {problem}");
    }
    assert_eq!(app.ran(), 0);
}

/// Sends bytes to a real server until it answers or hangs up, and gives what it said.
async fn over_a_socket(app: &App, head: &str, endless: &[u8]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, app.router.clone()).into_future());
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    to.write_all(head.as_bytes()).await.unwrap();
    let endless = endless.to_vec();
    let writer = tokio::spawn(async move {
        while !endless.is_empty() && to.write_all(&endless).await.is_ok() {}
        to
    });
    let mut answer = [0; 12];
    let read = tokio::time::timeout(Duration::from_mins(1), from.read_exact(&mut answer)).await;
    writer.abort();
    server.abort();
    match read.expect("the server neither answers nor hangs up") {
        Ok(_) => String::from_utf8_lossy(&answer).into_owned(),
        Err(error) => error.kind().to_string(),
    }
}

const HEAD: &str = "POST /posts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn a_stream_without_end_is_cut_off_at_the_bound() {
    let app = App::narrow();
    let head = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
    assert_eq!(over_a_socket(&app, &head, b"10\r\n0123456789abcdef\r\n").await, "HTTP/1.1 413");
    let lying = format!("{HEAD}content-length: 4294967296\r\n\r\n");
    assert_eq!(over_a_socket(&app, &lying, b"").await, "HTTP/1.1 413", "before a byte of it came");
    assert_eq!((app.ran(), app.ports.events().len()), (0, 0));
}

#[tokio::test]
async fn bytes_after_the_length_that_was_said_are_not_part_of_the_content() {
    let app = App::new();
    let head = format!("{HEAD}content-length: 19\r\n\r\n{{\"text\":\"an offer\"}}flag-block");
    assert_eq!(over_a_socket(&app, &head, b"").await, "HTTP/1.1 200");
    let kinds: Vec<_> = app.ports.events().iter().map(AuditEvent::kind).collect();
    assert_eq!((app.ran(), kinds), (1, vec![EventKind::SsgPass]));
}

#[tokio::test]
async fn of_content_from_which_something_was_cut_out_a_handler_reads_the_rest() {
    let app = App::judging(|mut config| {
        config.actions = [(Category::Other, CategoryAction::Redact)].into();
        config
    });
    let answer = app.post("/posts", r#"{"text":"a flag-block here"}"#).await;
    assert_eq!(text(answer).await, "PASS a [REDACTED:OTHER] here");
}
