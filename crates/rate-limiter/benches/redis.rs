//! Counters in Redis beside what users have today, in one run, as ratios; and what they do when Redis dies or hangs.
//!
//! Starts servers of its own. CPU is that of the server, from `INFO cpu`; rounds are interleaved and the least of each
//! counts, since whatever else runs only adds. `cargo bench --workspace --bench redis -- ratios|bytes|away` for a part.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot run fails, and it prints")]

#[path = "redis/beside.rs"]
mod beside;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clawexchange_rate_limiter::{Ask, EndpointTier, Limits, Quota, RedisConfig, RedisStore, Store};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{AgentId, OwnerId, TrustLevel};
use clawexchange_testkit::redis::Server;
use tokio::task::JoinSet;

use self::beside::Beside;

const AGENTS: u64 = 2_000;
const CALLERS: u64 = 64;
const ONE_BY_ONE: u64 = 4_000;
const AT_ONCE: u64 = 20_000;

/// How often each thing is measured, and the part of the checks that are made: once and few where it only has to run.
fn rounds() -> (usize, u64) {
    if std::env::args().any(|arg| arg == "--bench") { (7, 1) } else { (1, 40) }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|w| w == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if is_wanted("ratios") {
            ratios().await;
        }
        if is_wanted("bytes") {
            bytes().await;
        }
        if is_wanted("away") {
            away("killed", Server::kill).await;
            away("stopped", |server| server.freeze()).await;
        }
    });
}

fn in_tier(agent: u64, tier: EndpointTier) -> Ask {
    let agent = AgentId::new(format!("agent-{agent:04}")).unwrap();
    Ask::new(agent, tier).trusted(TrustLevel::Established)
}

fn ask(agent: u64, is_owned: bool) -> Ask {
    let owner = is_owned.then(|| OwnerId::new(format!("owner-{agent:04}")).unwrap());
    in_tier(agent, EndpointTier::POSTS).of_owner(owner)
}

/// Limits that nobody reaches.
fn wide() -> Arc<Limits> {
    Arc::new(Limits::default().with_quota(EndpointTier::POSTS, Quota::new(1_000, 1_000)).unwrap())
}

fn config(server: &Server) -> RedisConfig {
    let mut config = RedisConfig::new(server.url().parse().unwrap());
    config.deadline = Duration::from_secs(5);
    config
}

#[derive(Clone)]
enum Way {
    Floor(Beside),
    Transactions(Beside),
    Store(RedisStore, Arc<Limits>, bool),
}

impl Way {
    async fn check(&self, agent: u64) {
        match self {
            Self::Floor(beside) => beside.floor(agent).await,
            Self::Transactions(beside) => beside.two_transactions(agent).await,
            Self::Store(store, limits, is_owned) => {
                assert!(store.take(&ask(agent, *is_owned), limits).await.unwrap().is_allowed());
            }
        }
    }
}

/// Microseconds of the server's CPU for each check, and checks a second.
async fn measured(server: &Server, way: &Way, checks: u64, callers: u64) -> (f64, f64) {
    let (before, begun) = (cpu(server), Instant::now());
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (way, next) = (way.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= checks {
                    break;
                }
                way.check(number * 7 % AGENTS).await;
            }
        });
    }
    tasks.join_all().await;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let checks = checks as f64;
    ((cpu(server) - before) / checks * 1e6, checks / begun.elapsed().as_secs_f64())
}

fn cpu(server: &Server) -> f64 {
    let seconds = |name| server.info(name).parse::<f64>().unwrap();
    seconds("used_cpu_user") + seconds("used_cpu_sys")
}

async fn ratios() {
    let server = Server::start();
    let store = RedisStore::open(config(&server)).unwrap();
    let beside = Beside::open(&server.url(), 2).await;
    let store = |is_owned| Way::Store(store.clone(), wide(), is_owned);
    let ways = [
        ("floor: EVALSHA TIME, GET, SET PX", Way::Floor(beside.clone())),
        ("two MULTI on sorted sets", Way::Transactions(beside)),
        ("store, agent alone", store(false)),
        ("store, agent and owner", store(true)),
    ];
    let mut single = vec![Vec::new(); ways.len()];
    let mut many = vec![Vec::new(); ways.len()];
    let (rounds, part) = rounds();
    for _ in 0..rounds {
        server.cli(&["FLUSHALL"]);
        for ((_, way), (single, many)) in ways.iter().zip(single.iter_mut().zip(&mut many)) {
            single.push(measured(&server, way, ONE_BY_ONE / part, 1).await);
            many.push(measured(&server, way, AT_ONCE / part, CALLERS).await);
        }
    }
    println!("server's CPU a check in us, least (median) of {rounds} interleaved rounds; checks/s, median");
    for ((name, _), (single, many)) in ways.iter().zip(single.iter().zip(&many)) {
        let (least, middle) = (least(single), median(single.iter().map(|m| m.0)));
        let (least_many, middle_many) = (self::least(many), median(many.iter().map(|m| m.0)));
        let rate = median(many.iter().map(|m| m.1));
        println!(
            "{name:34} one by one {least:6.2} ({middle:6.2})  {CALLERS} callers {least_many:6.2} ({middle_many:6.2})  {rate:8.0}/s"
        );
    }
    let [floor, sets, alone, owned] =
        [0, 1, 2, 3].map(|i: usize| (single.get(i).unwrap(), many.get(i).unwrap()));
    let per_round = |a: &[(f64, f64)], b: &[(f64, f64)]| median(a.iter().zip(b).map(|(a, b)| a.1 / b.1));
    println!(
        "one by one: {:.2} x floor (with owner {:.2})",
        least(alone.0) / least(floor.0),
        least(owned.0) / least(floor.0)
    );
    println!(
        "one by one: {:.2} x two MULTI (with owner {:.2})",
        least(alone.0) / least(sets.0),
        least(owned.0) / least(sets.0)
    );
    println!(
        "coalesced: {:.2} x floor one by one, {:.2} x floor with {CALLERS} callers",
        least(alone.1) / least(floor.0),
        least(alone.1) / least(floor.1)
    );
    println!(
        "checks/s with {CALLERS} callers: {:.2} x two MULTI (with owner {:.2})",
        per_round(alone.1, sets.1),
        per_round(owned.1, sets.1)
    );
}

fn least(measured: &[(f64, f64)]) -> f64 {
    measured.iter().map(|m| m.0).fold(f64::INFINITY, f64::min)
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = numbers.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What agents weigh that have used up their limits in all tiers, and what a flood of refusals adds.
async fn bytes() {
    let server = Server::start();
    let clock = ManualClock::default();
    let mut config = config(&server);
    config.deny_cache_max = Duration::ZERO;
    let store = RedisStore::open_by(config, clock.clone(), 2_048).unwrap();
    let limits = Limits::default();
    let agents = 1_000 / rounds().1;
    let used = || server.info("used_memory").parse::<i64>().unwrap();
    store.take(&ask(9_999, false), &limits).await.unwrap();
    server.cli(&["MEMORY", "PURGE"]);
    let before = used();
    let tiers = [EndpointTier::POSTS, EndpointTier::COMMENTS, EndpointTier::MESSAGES];
    let asks = |minute: u32| {
        let mut asks = Vec::new();
        for agent in 0..agents {
            for (tier, per_hour, per_minute) in
                tiers.iter().zip([(10, 3), (60, 10), (300, 30)]).map(|(t, (h, m))| (t, h, m))
            {
                let left: u32 = (per_hour - per_minute * minute.min(per_hour / per_minute)).min(per_minute);
                for _ in 0..left {
                    asks.push(in_tier(agent, tier.clone()));
                }
            }
        }
        asks
    };
    let mut units = 0;
    for minute in 0..11 {
        for decision in store.batch(&asks(minute), &limits).await.unwrap() {
            units += u64::from(decision.is_allowed());
        }
        clock.advance(Duration::from_mins(1));
    }
    let full = used();
    let mut refused = 0;
    for agent in 0..agents.min(100) {
        let flood = vec![in_tier(agent, EndpointTier::MESSAGES); 500];
        for decision in store.batch(&flood, &limits).await.unwrap() {
            refused += u64::from(!decision.is_allowed());
        }
    }
    let keys = server.cli(&["DBSIZE"]);
    let each = (full - before) / i64::try_from(agents).unwrap();
    println!("{agents} agents, {} units each, {} keys: {each} bytes an agent", units / agents, keys.trim());
    println!("{refused} refusals: {} bytes more", used() - full);
}

/// Lets the callers go on for so long.
async fn load_for(duration: Duration) {
    let mut ends = tokio::time::interval(duration);
    ends.tick().await;
    ends.tick().await;
}

/// How long answers take when Redis goes under load, as many times as rounds are run, but five at most.
async fn away(how: &str, goes: impl Fn(&mut Server)) {
    let mut worst = Vec::new();
    let turns = rounds().0.min(5);
    for _ in 0..turns {
        let mut server = Server::start();
        let mut config = RedisConfig::new(server.url().parse().unwrap());
        config.deny_cache_max = Duration::ZERO;
        let store = RedisStore::open(config).unwrap();
        let (limits, stop, gone) =
            (wide(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for caller in 0..CALLERS {
            let (store, limits, stop, gone) =
                (store.clone(), Arc::clone(&limits), Arc::clone(&stop), Arc::clone(&gone));
            tasks.spawn(async move {
                let (mut after, mut opened) = (Vec::new(), Vec::new());
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (is_gone, is_open) = (gone.load(Ordering::Relaxed), store.health().is_away);
                    let begun = Instant::now();
                    store.take(&ask((caller * 31 + number) % AGENTS, true), &limits).await.unwrap();
                    let took = begun.elapsed();
                    if is_gone {
                        after.push(took);
                        if is_open {
                            opened.push(took);
                        }
                    }
                    tokio::task::yield_now().await;
                }
                (after, opened)
            });
        }
        load_for(Duration::from_millis(700)).await;
        gone.store(true, Ordering::Relaxed);
        goes(&mut server);
        load_for(Duration::from_millis(1_500)).await;
        stop.store(true, Ordering::Relaxed);
        let (mut after, mut opened) = (Vec::new(), Vec::new());
        for (some, more) in tasks.join_all().await {
            after.extend(some);
            opened.extend(more);
        }
        server.thaw();
        let counters = store.health().counters;
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let (p999, p99) = (ms(percentile(&mut after, 0.999)), ms(percentile(&mut opened, 0.99)));
        let slowest = after.last().copied().unwrap_or_default();
        worst.push((p999, p99, ms(slowest)));
        println!(
            "{how}: {} answers after it, p99.9 {p999:.2} ms, slowest {:.2} ms; once open p99 {p99:.3} ms; {} paid the deadline, {} failed",
            after.len(),
            ms(slowest),
            counters.timeouts,
            counters.errors
        );
    }
    let of = |pick: fn(&(f64, f64, f64)) -> f64| median(worst.iter().map(pick));
    println!(
        "{how}: median of {turns}: p99.9 {:.2} ms, p99 once open {:.3} ms, slowest {:.2} ms",
        of(|w| w.0),
        of(|w| w.1),
        of(|w| w.2)
    );
}

fn percentile(all: &mut [Duration], part: f64) -> Duration {
    all.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "a place in a list"
    )]
    let place = (all.len() as f64 * part) as usize;
    all.get(place.min(all.len().saturating_sub(1))).copied().unwrap_or_default()
}
