//! The limiter in front of an axum application, as its clients see it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use clawexchange_rate_limiter::http::{RateLimitLayer, WithoutCaller, headers, refusal};
use clawexchange_rate_limiter::{
    Ask, EndpointTier, Fail, LimitError, Limiter, Limits, MemoryConfig, MemoryStore, Multiplier, Offence,
    Override, Quota,
};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{AgentId, Caller, Clock, InspectionId, OwnerId, RiskTier, TrustLevel};
use serde_json::{Value, json};
use tower::{Layer as _, Service as _, ServiceExt as _};

struct Setup {
    clock: ManualClock,
    limiter: Limiter,
    calls: Arc<AtomicU32>,
}

impl Setup {
    fn new() -> Self {
        Self::with(MemoryConfig::default())
    }

    fn with(config: MemoryConfig) -> Self {
        let clock = ManualClock::default();
        let limiter = Limiter::new(MemoryStore::new(config, clock.clone()), Limits::default());
        Self { clock, limiter, calls: Arc::default() }
    }

    fn layer(&self) -> RateLimitLayer {
        RateLimitLayer::new(self.limiter.clone(), EndpointTier::POSTS).with_clock(self.clock.clone())
    }

    fn app(&self, layer: RateLimitLayer) -> Router {
        Router::new().route("/posts", post(work)).layer(layer).layer(Extension(Arc::clone(&self.calls)))
    }

    async fn send(&self, caller: Option<&Caller>, query: &str) -> Response {
        self.app(self.layer()).oneshot(request(caller, query)).await.unwrap()
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn used(&self, agent: &str) -> u32 {
        let status = self.limiter.status(&AgentId::new(agent).unwrap(), TrustLevel::Established, None).await;
        status.unwrap().tiers[0].hour.used
    }
}

async fn work(Extension(calls): Extension<Arc<AtomicU32>>, request: Request) -> StatusCode {
    calls.fetch_add(1, Ordering::SeqCst);
    match request.uri().query() {
        Some("panic") => panic!("as it was told to"),
        Some("hang") => std::future::pending().await,
        Some(code) if !code.is_empty() => code.parse().unwrap(),
        _ => StatusCode::CREATED,
    }
}

fn request(caller: Option<&Caller>, query: &str) -> Request {
    let mut request = Request::post(format!("/posts?{query}")).body(Body::empty()).unwrap();
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller.clone());
    }
    request
}

fn caller(agent: &str) -> Caller {
    let mut caller = Caller::new(AgentId::new(agent).unwrap());
    caller.trust = TrustLevel::Established;
    caller
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

async fn problem(answer: Response) -> Value {
    assert_eq!(header(&answer, "content-type"), Some("application/problem+json"));
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 16).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The items of a list of the draft: name, and the parameters as numbers.
fn parse(list: &str) -> Vec<(String, Vec<(String, u64)>)> {
    let item = |item: &str| {
        let mut parts = item.split(';');
        let name = parts.next().unwrap().strip_prefix('"').unwrap().strip_suffix('"').unwrap().to_owned();
        let parameters = parts.map(|part| {
            let (key, value) = part.split_once('=').unwrap();
            (key.to_owned(), value.parse().unwrap())
        });
        (name, parameters.collect())
    };
    list.split(", ").map(item).collect()
}

#[tokio::test]
async fn every_answer_says_how_things_stand_in_both_dialects() {
    let s = Setup::new();
    let answer = s.send(Some(&caller("a")), "").await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(header(&answer, "ratelimit-policy"), Some("\"hour\";q=10;w=3600, \"minute\";q=3;w=60"));
    assert_eq!(header(&answer, "ratelimit"), Some("\"hour\";r=9;t=3600, \"minute\";r=2;t=60"));
    s.clock.advance(Duration::from_millis(47_500));
    let answer = s.send(Some(&caller("a")), "").await;
    assert_eq!(header(&answer, "ratelimit"), Some("\"hour\";r=8;t=3553, \"minute\";r=1;t=13"), "rounded up");
    assert_eq!(header(&answer, "x-ratelimit-limit"), Some("3"), "the minute binds");
    assert_eq!(header(&answer, "x-ratelimit-remaining"), Some("1"));
    let reset = s.clock.now().as_micros() / 1_000_000 + 13;
    assert_eq!(header(&answer, "x-ratelimit-reset"), Some(reset.to_string().as_str()));
    assert_eq!(header(&answer, "x-ratelimit-degraded"), None);
    for name in ["ratelimit-policy", "ratelimit"] {
        let parsed = parse(header(&answer, name).unwrap());
        assert_eq!(parsed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["hour", "minute"]);
    }
}

// Defects 41 and 42: Retry-After was made up, and the body and the headers told of the hour alone.
#[tokio::test]
async fn a_refusal_names_the_window_and_the_exact_second_and_never_reaches_the_handler() {
    let s = Setup::new();
    for _ in 0..3 {
        assert_eq!(s.send(Some(&caller("a")), "").await.status(), StatusCode::CREATED);
    }
    s.clock.advance(Duration::from_millis(30_001));
    let answer = s.send(Some(&caller("a")), "").await;
    assert_eq!((answer.status(), s.calls()), (StatusCode::TOO_MANY_REQUESTS, 3));
    assert_eq!(header(&answer, "retry-after"), Some("30"), "29.999 s, rounded up");
    assert_eq!(header(&answer, "ratelimit"), Some("\"hour\";r=7;t=3570, \"minute\";r=0;t=30"));
    let body = problem(answer).await;
    assert_eq!(
        body,
        json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Request cannot be satisfied as assigned quota has been exceeded",
            "status": 429,
            "code": "rate-limiter/limited",
            "violated-policies": ["minute"],
            "retryAfterSeconds": 30,
            "error": "Rate limit exceeded",
            "retryAfter": 30,
            "limit": 3,
            "current": 3,
        })
    );
    s.clock.advance(Duration::from_secs(30));
    assert_eq!(s.send(Some(&caller("a")), "").await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_client_that_waits_as_it_is_told_is_never_refused_twice_in_a_row() {
    let s = Setup::new();
    let (mut refused_before, mut refusals, mut admitted) = (false, 0, 0);
    for step in 0..2_000_u64 {
        let answer = s.send(Some(&caller("a")), "").await;
        let is_refused = answer.status() == StatusCode::TOO_MANY_REQUESTS;
        assert!(!(is_refused && refused_before), "step {step}");
        if is_refused {
            let wait: u64 = header(&answer, "retry-after").unwrap().parse().unwrap();
            assert!((1..=3_600).contains(&wait), "{wait}");
            s.clock.advance(Duration::from_secs(wait));
            refusals += 1;
        } else {
            s.clock.advance(Duration::from_millis(step * 31 % 700));
            admitted += 1;
            // Now and then something lowers its limits, and ends while it waits.
            if admitted % 97 == 0 {
                let offence = Offence::new(InspectionId::fresh(), RiskTier::Moderate, s.clock.now());
                s.limiter.learn(&AgentId::new("a").unwrap(), &offence).await.unwrap();
            }
        }
        refused_before = is_refused;
    }
    assert!(refusals > 100 && admitted > 500, "{refusals} {admitted}");
}

#[tokio::test]
async fn what_fails_by_our_own_fault_is_given_back_and_what_the_client_did_wrong_is_not() {
    let s = Setup::new();
    let a = caller("a");
    let answer = s.send(Some(&a), "503").await;
    assert_eq!((answer.status(), s.used("a").await), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!(header(&answer, "ratelimit"), None, "what it said would no longer be so");
    let app = s.app(s.layer());
    let panicked = tokio::spawn(app.oneshot(request(Some(&a), "panic"))).await;
    assert!(panicked.unwrap_err().is_panic(), "the panic goes on to whoever watches for panics");
    assert_eq!(s.used("a").await, 0);
    let answer = s.send(Some(&a), "404").await;
    assert_eq!((answer.status(), s.used("a").await), (StatusCode::NOT_FOUND, 1));
    assert!(header(&answer, "ratelimit").is_some());
}

#[tokio::test]
async fn who_hangs_up_keeps_the_charge() {
    let s = Setup::new();
    let hanging = s.app(s.layer()).oneshot(request(Some(&caller("a")), "hang"));
    tokio::select! {
        biased;
        _ = hanging => panic!("the handler never answers"),
        () = async { while s.calls() == 0 { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(s.used("a").await, 1);
}

// Defect 45: what could not say who it was passed unlimited.
#[tokio::test]
async fn a_request_of_nobody_is_refused_unless_said_otherwise() {
    let s = Setup::new();
    let answer = s.send(None, "").await;
    assert_eq!((answer.status(), s.calls()), (StatusCode::UNAUTHORIZED, 0));
    assert_eq!(problem(answer).await["code"], "rate-limiter/no-caller");
    let pass = s.app(s.layer().without_caller(WithoutCaller::Pass));
    for _ in 0..10 {
        let answer = pass.clone().oneshot(request(None, "")).await.unwrap();
        assert_eq!((answer.status(), header(&answer, "ratelimit")), (StatusCode::CREATED, None));
    }
    let shared =
        s.app(s.layer().without_caller(WithoutCaller::Share(Caller::new(AgentId::new("all").unwrap()))));
    let first = shared.clone().oneshot(request(None, "")).await.unwrap();
    let second = shared.oneshot(request(None, "")).await.unwrap();
    assert_eq!((first.status(), second.status()), (StatusCode::CREATED, StatusCode::TOO_MANY_REQUESTS));
}

#[tokio::test]
async fn an_owner_has_policies_of_its_own_and_they_may_bind() {
    let s = Setup::new();
    let of = |agent: &str| {
        let mut caller = caller(agent);
        caller.owner = Some(OwnerId::new("ann").unwrap());
        caller
    };
    for agent in 0..10 {
        for _ in 0..3 {
            assert_eq!(s.send(Some(&of(&agent.to_string())), "").await.status(), StatusCode::CREATED);
        }
    }
    let answer = s.send(Some(&of("fresh")), "").await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let wanted = "\"hour\";r=10, \"minute\";r=3, \"owner-hour\";r=70;t=3600, \"owner-minute\";r=0;t=60";
    assert_eq!(header(&answer, "ratelimit"), Some(wanted));
    let policy = parse(header(&answer, "ratelimit-policy").unwrap());
    assert_eq!(policy[3], ("owner-minute".to_owned(), vec![("q".to_owned(), 30), ("w".to_owned(), 60)]));
    assert_eq!(header(&answer, "x-ratelimit-limit"), Some("30"));
    assert_eq!(problem(answer).await["violated-policies"], json!(["owner-minute"]));
}

#[tokio::test]
async fn who_may_never_is_not_told_to_come_back() {
    let s = Setup::new();
    let blocked = Limits::default().with_trust(TrustLevel::Established, Multiplier::hundredths(0)).unwrap();
    s.limiter.set_limits(blocked);
    let answer = s.send(Some(&caller("a")), "").await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&answer, "retry-after"), None);
    assert_eq!(header(&answer, "ratelimit"), Some("\"hour\";r=0, \"minute\";r=0"));
    let hour = s.clock.now().as_micros() / 1_000_000 + 3_600;
    assert_eq!(header(&answer, "x-ratelimit-reset"), Some(hour.to_string().as_str()));
    let body = problem(answer).await;
    assert_eq!((&body["code"], body.get("retryAfter")), (&json!("rate-limiter/never"), None));
    s.limiter.set_limits(Limits::default());
    let costly = s.app(s.layer().costing(4));
    let answer = costly.oneshot(request(Some(&caller("a")), "")).await.unwrap();
    assert_eq!(problem(answer).await["code"], "rate-limiter/never", "four of three");
}

#[tokio::test]
async fn after_a_limit_was_lowered_more_is_promised_only_when_there_is_more() {
    let s = Setup::new();
    for _ in 0..3 {
        s.send(Some(&caller("a")), "").await;
        s.clock.advance(Duration::from_secs(10));
    }
    let until = s.clock.now().plus(Duration::from_hours(2));
    let lowered = Override::new(Quota::new(1, 1), until);
    let agent = AgentId::new("a").unwrap();
    s.limiter.set_limits(Limits::default().with_overrides([(agent, EndpointTier::POSTS, lowered)]).unwrap());
    let answer = s.send(Some(&caller("a")), "").await;
    // The first two leave in 30 s and 40 s; only the third makes room.
    let wanted = "\"hour\";r=0;t=3590, \"minute\";r=0;t=50";
    assert_eq!(header(&answer, "ratelimit"), Some(wanted));
    assert_eq!(header(&answer, "retry-after"), Some("3590"));
    assert_eq!(problem(answer).await["violated-policies"], json!(["hour", "minute"]));
}

#[tokio::test]
async fn a_limiter_that_cannot_answer_is_said_and_lets_nothing_through_unless_opened() {
    let mut config = MemoryConfig::default();
    config.keys_max = 0;
    let s = Setup::with(config.clone());
    let answer = s.send(Some(&caller("a")), "").await;
    assert_eq!((answer.status(), s.calls()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    let body = problem(answer).await;
    assert_eq!((&body["code"], &body["status"]), (&json!("rate-limiter/full"), &json!(503)));
    config.when_full = Fail::Open;
    let s = Setup::with(config);
    let answer = s.send(Some(&caller("a")), "").await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(header(&answer, "x-ratelimit-degraded"), Some("true"));
}

#[tokio::test]
async fn whoever_charges_alone_says_the_same_in_the_same_words() {
    let s = Setup::new();
    let ask = Ask::new(AgentId::new("a").unwrap(), EndpointTier::POSTS);
    let allowed = s.limiter.take(&ask).await.unwrap();
    assert_eq!(
        headers(allowed.status(), s.clock.now())["ratelimit"],
        "\"hour\";r=4;t=3600, \"minute\";r=0;t=60"
    );
    let denied = s.limiter.take(&ask).await.unwrap();
    let status = denied.status().clone();
    let error = denied.into_permit().unwrap_err();
    let answer = refusal(&error, Some(&status), s.clock.now());
    assert_eq!(header(&answer, "retry-after"), Some("60"));
    let bare = refusal(&error, None, s.clock.now());
    assert_eq!((header(&bare, "retry-after"), header(&bare, "ratelimit")), (Some("60"), None));
    let away = LimitError::Away("10.0.0.7 refused".into());
    let answer = refusal(&away, None, s.clock.now());
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = problem(answer).await;
    assert!(!body.to_string().contains("10.0.0.7"), "{body}");
}

/// A service of its own making: no axum, a body that is a number, and work only for who asked whether it is ready.
#[derive(Default)]
struct Picky {
    is_ready: bool,
    fails: bool,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self { is_ready: false, fails: self.fails }
    }
}

impl tower::Service<Request<u8>> for Picky {
    type Response = StatusCode;
    type Error = &'static str;
    type Future = std::future::Ready<Result<StatusCode, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<u8>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "whoever calls must have asked");
        std::future::ready(if self.fails { Err("away") } else { Ok(StatusCode::OK) })
    }
}

#[tokio::test]
async fn any_service_may_stand_behind_and_its_errors_are_given_back() {
    let s = Setup::new();
    let numbered = || {
        let mut request = Request::new(7_u8);
        request.extensions_mut().insert(caller("a"));
        request
    };
    let mut service = s.layer().layer(Picky::default());
    for _ in 0..2 {
        let answer = service.ready().await.unwrap().call(numbered()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(s.used("a").await, 2);
    let failing = s.layer().layer(Picky { fails: true, ..Picky::default() });
    assert_eq!(failing.oneshot(numbered()).await.unwrap_err(), "away");
    assert_eq!(s.used("a").await, 2);
}
