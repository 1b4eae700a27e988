//! Requests per second over HTTP, and what each layer costs beside a bare route of the same run.
//!
//! `cargo bench --bench http`. Ratios are what counts; absolute numbers are this machine's, and the client shares its
//! processors with the server. Routes take turns, and of each its median turn is told: with one request in flight, where
//! the system puts two threads matters as much as what they do.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a bench prints and panics"
)]

#[path = "support/client.rs"]
#[expect(unreachable_pub, reason = "it is shared between benches")]
mod client;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::routing::post;
use axum::{Extension, Router};
use clawexchange_gateway::{Intent, Parts, Server, Settings, Sources};
use clawexchange_moderation::{NewToken, Role};
use clawexchange_rate_limiter::http::RateLimitLayer;
use clawexchange_rate_limiter::{EndpointTier, Limiter, Limits, PenaltyFactors, Quota, Trust};
use clawexchange_ssg_core::http::{GateLayer, Inspected};
use clawexchange_ssg_core::{Actor, AgentId, Caller, Gate};
use client::answer;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

/// How often the routes take turns.
const TURNS: usize = 7;

/// Agents that take turns: few enough that their aliases are known, many enough that none is limited.
const AGENTS: usize = 1000;

#[derive(Deserialize)]
struct Post {
    text: String,
}

fn main() {
    // `cargo test --all-targets` runs benches too; a moment is enough to see that this one works.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { 8000 } else { 64 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(rounds));
}

async fn measure(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let env = [("CLAW_DATA_DIR", "data"), ("XDG_STATE_HOME", "state")]
        .map(|(name, path)| (OsString::from(name), folder.path().join(path).into_os_string()));
    // More than is asked for here, so that nothing is refused.
    let config = folder.path().join("claw.toml");
    let limits = "[limits]\ninspect_bytes_per_hour = 1600000000\ninspect_bytes_per_minute = 1600000000\n";
    std::fs::write(&config, limits).unwrap();
    let others = [
        ("CLAW_LISTEN", OsString::from("127.0.0.1:0")),
        ("CLAW_ADMIN_LISTEN", OsString::from("127.0.0.1:0")),
        ("CLAW_CONFIG", config.into_os_string()),
    ]
    .map(|(name, value)| (OsString::from(name), value));
    let parts =
        Parts::new(Settings::read(&Sources::of_env(env.into_iter().chain(others))).unwrap(), Intent::Create);
    let server = Server::bind(&parts).await.unwrap();
    let served = server.addresses().unwrap().public;
    let by = Actor::system("bench").unwrap();
    let new = NewToken::new(AgentId::new("market").unwrap(), Role::Platform);
    let token = parts.tokens().await.unwrap().create(&by, &new).await.unwrap().token.expose().to_owned();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async move { drop(stopped.await) }));

    let bare = alone(Router::new().route("/posts", post(async |post: axum::Json<Post>| post.0.text))).await;
    let limited = alone(
        Router::new()
            .route("/posts", post(async |post: axum::Json<Post>| post.0.text))
            .layer(RateLimitLayer::new(endless(), EndpointTier::POSTS))
            .layer(Extension(Caller::new(AgentId::new("agent-1").unwrap()))),
    )
    .await;
    let inspector = parts.inspector().await.unwrap();
    let log = parts.log().await.unwrap().clone();
    let gate = Gate::new(inspector, parts.vault().await.unwrap().clone(), log).without_verdict_log();
    let gated = alone(
        Router::new()
            .route("/posts", post(async |post: Inspected<Post>| post.into_inner().text))
            .layer(GateLayer::new(gate))
            .layer(Extension(Caller::new(AgentId::new("agent-1").unwrap()))),
    )
    .await;
    println!("{:<59} {:>7} {:>9} {:>9}  of the bare route", "", "per s", "p50", "p99");
    for in_flight in [1, 64] {
        let n = (if in_flight == 1 { rounds / 4 } else { rounds }) / TURNS;
        let alone = |name, to| Asked { name, to, path: "/posts", token: "" };
        let of_the_server = |path| Asked { name: path, to: served, path, token: &token };
        let routes = [
            alone("bare route", bare),
            alone("with the limiter's layer", limited),
            alone("with the gate's layer, verdicts not logged", gated),
            of_the_server("/livez"),
            of_the_server("/v1/inspect"),
            of_the_server("/v1/submit"),
        ];
        let mut turns: [Vec<Turn>; 6] = Default::default();
        for _ in 0..TURNS {
            for (asked, turns) in routes.iter().zip(&mut turns) {
                turns.push(run(asked, in_flight, n).await);
            }
        }
        let ceilings: Vec<f64> = turns[0].iter().map(|turn| turn.rate).collect();
        for (asked, turns) in routes.iter().zip(&turns) {
            tell(&format!("{}, {in_flight} in flight", asked.name), turns, &ceilings);
        }
    }
    println!("memory of this process, client included: {} MB", resident_kib() / 1024);
    drop(stop);
    serving.await.unwrap().unwrap();
}

/// A limiter that counts and never refuses.
fn endless() -> Limiter {
    let quota = Quota::new(90_000, 90_000);
    let tiers = [EndpointTier::POSTS, EndpointTier::COMMENTS, EndpointTier::MESSAGES];
    let limits = Limits::new(tiers.map(|tier| (tier, quota)), Trust::default(), PenaltyFactors::default());
    Limiter::in_process(limits.unwrap())
}

async fn alone(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service),
            );
        }
    });
    address
}

fn request(path: &str, token: &str, n: usize) -> Vec<u8> {
    if path == "/livez" {
        return b"GET /livez HTTP/1.1\r\nHost: claw\r\n\r\n".to_vec();
    }
    let agent = n % AGENTS;
    let who = if token.is_empty() {
        String::new()
    } else {
        format!("\"agentId\":\"agent-{agent}\",\"trustLevel\":\"PLATFORM_BOT\",\"contentType\":\"MESSAGE\",")
    };
    let body = format!(
        "{{{who}\"text\":\"Proofreading of technical manuals, 1.2 cents a word, two revisions included. Lot {n}.\"}}"
    );
    format!(
        "POST {path} HTTP/1.1\r\nHost: claw\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What is asked, and of whom.
struct Asked<'a> {
    name: &'a str,
    to: SocketAddr,
    path: &'static str,
    token: &'a str,
}

/// What one turn of a route came to.
struct Turn {
    rate: f64,
    /// Ascending.
    times: Vec<Duration>,
}

/// Prints the median turn, and the median of its shares of the ceiling of the same turn.
fn tell(name: &str, turns: &[Turn], ceilings: &[f64]) {
    let median = |mut all: Vec<f64>| {
        all.sort_unstable_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let rate = median(turns.iter().map(|turn| turn.rate).collect());
    let share = median(turns.iter().zip(ceilings).map(|(turn, ceiling)| turn.rate / ceiling).collect());
    let at = |percent: usize| {
        let of_turn = |turn: &Turn| turn.times[(turn.times.len() - 1) * percent / 100].as_secs_f64();
        median(turns.iter().map(of_turn).collect()) * 1e6
    };
    println!("{name:<59} {rate:>7.0} {:>6.0} us {:>6.0} us  {share:.2}", at(50), at(99));
}

async fn run(asked: &Asked<'_>, in_flight: usize, n: usize) -> Turn {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let Asked { to, path, token, .. } = *asked;
    let left = Arc::new(AtomicUsize::new(n));
    let started = Instant::now();
    let clients: Vec<_> = (0..in_flight)
        .map(|_| {
            let (left, token) = (Arc::clone(&left), token.to_owned());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(to).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (mut buffer, mut times) = (vec![0; 16 << 10], Vec::new());
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    let request = request(path, &token, NEXT.fetch_add(1, Ordering::Relaxed));
                    let sent = Instant::now();
                    stream.write_all(&request).await.unwrap();
                    assert!(answer(&mut stream, &mut buffer).await, "{path} refuses");
                    times.push(sent.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times: Vec<Duration> = Vec::with_capacity(n);
    for client in clients {
        times.extend(client.await.unwrap());
    }
    let rate = n as f64 / started.elapsed().as_secs_f64();
    times.sort_unstable();
    Turn { rate, times }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}
