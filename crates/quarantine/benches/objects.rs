//! Objects in a bucket, and held content in it, against the same requests bare, in alternating rounds of one run.
//!
//! `cargo bench -p clawexchange-quarantine --features s3 --bench objects`; the server is one of the tests, on loopback.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench that cannot run fails, and says what it sees"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::s3::{Bucket, Region, creds::Credentials};
use clawexchange_quarantine::{
    FreshKey, KeyRing, Note, ObjectKey, ObjectStore as _, S3Config, S3Store, SealContext, Vault, VaultConfig,
    open, seal,
};
use clawexchange_ssg_core::testing::hold_of;
use clawexchange_ssg_core::{
    Actor, AgentId, Clock as _, ContentType, KeyId, Mac, PortError, Quarantine as _, QuarantineId, RiskTier,
    SystemClock, Timestamp,
};
use clawexchange_testkit::s3::{self, Server};
use tokio::task::JoinSet;

const SIZE: usize = 1 << 20;
const AT_ONCE: usize = 4;
const EACH: usize = 16;

fn key() -> ObjectKey {
    ObjectKey::fresh(Timestamp::from_micros(1_800_000_000_000_000))
}

fn bare(server: &Server, bucket: &str) -> Bucket {
    let region = Region::Custom { region: s3::REGION.to_owned(), endpoint: server.endpoint() };
    let credentials = Credentials::new(Some(s3::ACCESS_KEY), Some(s3::SECRET_KEY), None, None, None).unwrap();
    *Bucket::new(bucket, region, credentials).unwrap().with_path_style()
}

/// How long it takes to do something so often, so many at once.
async fn took<F: Future<Output = ()> + Send + 'static>(work: impl Fn(usize) -> F) -> Duration {
    let began = Instant::now();
    let mut all = JoinSet::new();
    for n in 0..EACH {
        if all.len() == AT_ONCE {
            all.join_next().await.unwrap().unwrap();
        }
        all.spawn(work(n));
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    began.elapsed()
}

/// The median of ratios, one a round.
fn say(what: &str, mut ratios: Vec<f64>, target: f64) {
    ratios.sort_by(f64::total_cmp);
    let (low, median, high) = (ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    println!("{what}: {median:.2} of the bare request (from {low:.2} to {high:.2}; wanted {target:.2})");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[derive(Debug)]
struct NoLog;

#[async_trait::async_trait]
impl clawexchange_database::Drain for NoLog {
    async fn drain(&self) -> Result<(), PortError> {
        Ok(())
    }
}

async fn vault(folder: &Path, store: S3Store) -> Vault {
    let db = clawexchange_testkit::open_in(folder).await;
    let plan = clawexchange_database::Plan::of([clawexchange_quarantine::MIGRATIONS]);
    plan.up(&db, None, SystemClock::new().now()).await.unwrap();
    let mut config = VaultConfig::default();
    (config.inline_bytes_max, config.agent_holds_max, config.agent_bytes_max) = (0, 100_000, 1 << 40);
    (config.bytes_max, config.content_bytes_max) = (1 << 40, 4 << 20);
    Vault::new(db, store, KeyRing::generate().unwrap(), NoLog, config).unwrap()
}

fn sealed() -> (FreshKey, SealContext, Vec<u8>) {
    let content = vec![b'x'; SIZE];
    let code = Mac::new(KeyId::new("bench").unwrap(), [7; 32]);
    let at = Timestamp::from_micros(1_800_000_000_000_000);
    let size = u64::try_from(SIZE).unwrap();
    (
        FreshKey::generate().unwrap(),
        SealContext::new(QuarantineId::fresh(), at, RiskTier::High, ContentType::Post, size, code),
        content,
    )
}

async fn stores(server: &Server, rounds: usize) {
    let name = server.bucket();
    let (bare, store) = (Arc::new(bare(server, &name)), S3Store::open(config(server, &name)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path(), store.clone()).await;
    let bytes: Arc<[u8]> = vec![7; SIZE].into();
    let (mut puts, mut holds) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let plain = took(|_| {
            let (bare, bytes) = (Arc::clone(&bare), Arc::clone(&bytes));
            async move { drop(bare.put_object(key().as_str(), &bytes).await.unwrap()) }
        });
        let plain = plain.await;
        let put = took(|_| {
            let (store, bytes) = (store.clone(), bytes.to_vec());
            async move {
                let _created = store.put_new(&key(), bytes).await.unwrap();
            }
        });
        puts.push(plain.as_secs_f64() / put.await.as_secs_f64());
        let mut ready = Vec::new();
        for n in 0..EACH {
            let agent = AgentId::new(format!("agent-{round}-{n}")).unwrap();
            let text = format!("flag-hold {round} {n} {}", "x".repeat(SIZE - 200));
            ready.push(hold_of(&text, &agent, SystemClock::new()).await);
        }
        let held = took(|n| {
            let (vault, hold) = (vault.clone(), ready[n].clone());
            async move {
                let _held = vault.hold(hold).await.unwrap();
            }
        });
        holds.push(plain.as_secs_f64() / held.await.as_secs_f64());
    }
    say("an object of 1 MiB is put", puts, 0.85);
    say("content of 1 MiB is held, with its rows in SQLite", holds, 0.85);
}

async fn looks(server: &Server, rounds: usize) {
    let name = server.bucket();
    let (bare, store) = (Arc::new(bare(server, &name)), S3Store::open(config(server, &name)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path(), store.clone()).await;
    let (fresh, context, content) = sealed();
    let data_key = Arc::new(fresh.data_key().clone());
    let bytes = seal(fresh, &context, &content).unwrap();
    let (place, context) = (key(), Arc::new(context));
    store.put_new(&place, bytes.clone()).await.unwrap();
    let ann = Actor::human("ann").unwrap();
    let text = format!("flag-hold {}", "x".repeat(SIZE - 200));
    let hold = hold_of(&text, &AgentId::new("agent-1").unwrap(), SystemClock::new()).await;
    let id = vault.hold(hold).await.unwrap().id;
    let (mut gets, mut shows) = (Vec::new(), Vec::new());
    let mut resident = 0;
    for round in 0..rounds {
        let plain = took(|_| {
            let (bare, key, context, place) =
                (Arc::clone(&bare), Arc::clone(&data_key), Arc::clone(&context), place.clone());
            async move {
                let found = bare.get_object(place.as_str()).await.unwrap();
                drop(open(&key, &context, found.as_slice()).unwrap());
            }
        });
        let plain = plain.await;
        let got = took(|_| {
            let (store, key, context, place) =
                (store.clone(), Arc::clone(&data_key), Arc::clone(&context), place.clone());
            async move {
                let found = store.get(&place, 2 << 20).await.unwrap().unwrap();
                drop(open(&key, &context, &found).unwrap());
            }
        });
        gets.push(plain.as_secs_f64() / got.await.as_secs_f64());
        let mut grants = Vec::new();
        for _ in 0..EACH {
            grants.push(vault.grant(id, &ann, &Note::new("bench").unwrap()).await.unwrap().token);
        }
        let shown = took(|n| {
            let (vault, ann, token) = (vault.clone(), ann.clone(), grants[n].clone());
            async move { drop(vault.open(&ann, &token).await.unwrap()) }
        });
        shows.push(plain.as_secs_f64() / shown.await.as_secs_f64());
        if round == 1 {
            resident = resident_kib();
        }
    }
    say("an object of 1 MiB is got and opened", gets, 0.80);
    say("content of 1 MiB is shown to who has a grant, with its rows in SQLite", shows, 0.80);
    let looked = (rounds - 2) * EACH;
    println!(
        "memory after {looked} more looks at 1 MiB: {:+} KiB",
        i64::try_from(resident_kib()).unwrap() - i64::try_from(resident).unwrap()
    );
}

fn config(server: &Server, bucket: &str) -> S3Config {
    let mut config = S3Config::new(server.endpoint(), bucket, s3::ACCESS_KEY, s3::SECRET_KEY);
    s3::REGION.clone_into(&mut config.region);
    config
}

fn main() {
    s3::serve_if_asked();
    // Tried once with the tests, measured when it is asked for.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { 9 } else { 3 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::start();
        stores(&server, rounds).await;
        looks(&server, rounds).await;
    });
}
