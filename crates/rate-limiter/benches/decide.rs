//! What one decision costs: a hot agent, many agents, a refusal; and what a full agent weighs.
#![expect(clippy::unwrap_used, reason = "a bench that cannot run fails")]

use std::hint::black_box;
use std::time::Duration;

use clawexchange_rate_limiter::{
    Ask, Case, EndpointTier, Limiter, Limits, MemoryConfig, MemorySightings, MemoryStore, PenalisedUntil,
    Quota, Ruling, Sighting, SlidingLog, Tick,
};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{AgentId, OwnerId, Sketch, SystemClock, TrustLevel};
use criterion::{Criterion, criterion_group, criterion_main};

fn ask(name: &str, tier: EndpointTier) -> Ask {
    Ask::new(AgentId::new(name).unwrap(), tier).trusted(TrustLevel::Established)
}

/// Limits that a benchmark does not reach.
fn wide() -> Limits {
    Limits::default().with_quota(EndpointTier::POSTS, Quota::new(100_000, 100_000)).unwrap()
}

/// A clock that moves on by itself, so that what is admitted also ages: an hour in 3,600 questions.
fn core(c: &mut Criterion) {
    let rates = Limits::default().rates(&EndpointTier::MESSAGES, TrustLevel::Established).unwrap();
    let mut log = SlidingLog::new();
    let mut now = 200_000_000_000;
    c.bench_function("core: decide and charge, 300 an hour", |b| {
        b.iter(|| {
            now += 12_000;
            let case = Case {
                now: Tick::from_ms(now),
                floor: Tick::ZERO,
                agent: &log,
                owner: None,
                rates: rates.into(),
                until: PenalisedUntil::default(),
                cost: 1,
            };
            let (at, ruling) = (case.at(), case.decide());
            if ruling == Ruling::Allow {
                log.charge(at, 1);
            }
            black_box(ruling)
        });
    });
}

fn take(c: &mut Criterion) {
    let limits = Limits::default();
    let clock = ManualClock::default();
    let store = MemoryStore::new(MemoryConfig::default(), clock.clone());
    let messages = ask("agent-7", EndpointTier::MESSAGES);
    c.bench_function("store: hot agent, allowed", |b| {
        b.iter(|| {
            clock.advance(Duration::from_secs(12));
            store.take_now(black_box(&messages), &limits)
        });
    });
    let owned = messages.clone().of_owner(Some(OwnerId::new("ann").unwrap()));
    c.bench_function("store: hot agent with owner, allowed", |b| {
        b.iter(|| {
            clock.advance(Duration::from_secs(12));
            store.take_now(black_box(&owned), &limits)
        });
    });
    let refused = ask("blocked", EndpointTier::POSTS);
    while store.take_now(&refused, &limits).unwrap().is_allowed() {}
    c.bench_function("store: hot agent, denied", |b| b.iter(|| store.take_now(black_box(&refused), &limits)));
    let real = MemoryStore::new(MemoryConfig::default(), SystemClock::new());
    while real.take_now(&refused, &limits).unwrap().is_allowed() {}
    c.bench_function("store: hot agent, denied, clock of the machine", |b| {
        b.iter(|| real.take_now(black_box(&refused), &limits));
    });
    let asks: Vec<Ask> = (0..100_000).map(|i| ask(&format!("agent-{i}"), EndpointTier::POSTS)).collect();
    let limits = wide();
    let mut next = asks.iter().cycle();
    c.bench_function("store: 100,000 agents, allowed", |b| {
        b.iter(|| {
            clock.advance(Duration::from_millis(50));
            next.next().map(|ask| store.take_now(black_box(ask), &limits))
        });
    });
}

fn limiter(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let limiter = Limiter::in_process(Limits::default());
    let refused = ask("blocked", EndpointTier::POSTS);
    c.bench_function("limiter: denied, through the port", |b| {
        b.to_async(&runtime).iter(|| async { limiter.take(black_box(&refused)).await });
    });
}

fn journal(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::default();
    let path = folder.path().join("limits.journal");
    let store = MemoryStore::open_journal(path, MemoryConfig::default(), clock.clone()).unwrap();
    let limits = Limits::default();
    let messages = ask("agent-7", EndpointTier::MESSAGES).of_owner(Some(OwnerId::new("ann").unwrap()));
    c.bench_function("journal: hot agent with owner, allowed", |b| {
        b.iter(|| {
            clock.advance(Duration::from_secs(12));
            store.take_now(black_box(&messages), &limits)
        });
    });
}

/// A text like no other among 100,000, and one of a campaign as large as is remembered.
fn campaigns(c: &mut Criterion) {
    let store = MemorySightings::with_clock(100_000, ManualClock::default());
    let mut submission = 0_u32;
    let mut see = |text: u32| {
        submission = submission.wrapping_add(1);
        let place = |nth: u32| u16::try_from(text.wrapping_mul(0x9e37_79b1).wrapping_add(nth) >> 16).unwrap();
        let bits = u128::from(text).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let sketch = Sketch::new(bits, [1, 2, 3, 4, 5, 6].map(|nth| place(nth << 16)));
        store.count(&Sighting { sketch, owner: submission % 200, agent: submission, submission })
    };
    for text in 0..100_000 {
        black_box(see(text));
    }
    let mut text = 100_000;
    c.bench_function("campaigns: another text", |b| {
        b.iter(|| {
            text += 1;
            see(black_box(text))
        });
    });
    c.bench_function("campaigns: the same text", |b| b.iter(|| see(black_box(7))));
}

criterion_group!(benches, core, take, limiter, journal, campaigns);
criterion_main!(benches);
