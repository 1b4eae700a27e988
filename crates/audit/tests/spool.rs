//! While the database is away nothing that was acknowledged is lost, and when it is back nothing is there twice.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/log.rs"]
#[expect(dead_code, unreachable_pub, reason = "each test uses a part of it")]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use clawexchange_audit::{
    AuditConfig, AuditLog, Log, MIGRATIONS, Query, SpoolConfig, dead_letters, spool_status,
};
use clawexchange_database::{Database, DatabaseConfig, Place, Plan, PostgresUrl, outbox};
use clawexchange_ssg_core::{
    Actor, AgentId, AuditEvent, Clock as _, EventKind, Fault as _, FaultKind, PageLimit, SystemClock, Target,
};
use clawexchange_testkit::postgres::{self, Durability, Server};
use clawexchange_testkit::proxy::{Proxy, Weather};
use support::TestKeys;

/// A server that is killed at another moment each time, and one that is asked again: both are other processes, whose
/// clock no test can turn.
async fn moment(millis: u64) {
    let mut ticks = tokio::time::interval(Duration::from_millis(millis.max(1)));
    ticks.tick().await;
    ticks.tick().await;
}

fn event(n: usize) -> AuditEvent {
    let kind = if n.is_multiple_of(2) { EventKind::SsgBlock } else { EventKind::SsgPass };
    let agent = Actor::agent(AgentId::new(format!("agent-{}", n % 5)).unwrap());
    AuditEvent::new(kind, agent, SystemClock::new().now()).on(Target::new("content", format!("post-{n}")))
}

/// A database that gives up quickly, so that tests need not wait. Its first connection may take longer than that on a
/// busy machine, and is asked for again.
async fn open(url: &str) -> Database {
    let mut config = DatabaseConfig::new(Place::Postgres(PostgresUrl::parse(url).unwrap()));
    config.acquire_timeout = Duration::from_millis(700);
    config.statement_timeout = Duration::from_secs(1);
    for _ in 0..40 {
        if let Ok(db) = Database::open(config.clone()).await {
            return db;
        }
    }
    Database::open(config).await.unwrap()
}

async fn log_on(db: &Database, folder: &Path) -> AuditLog {
    let mut config = AuditConfig::default();
    config.spool = Some(SpoolConfig::new(folder));
    AuditLog::open(db.clone(), TestKeys::default(), config).await.unwrap()
}

async fn migrated(url: &str) {
    let db = open(url).await;
    Plan::of([MIGRATIONS]).up(&db, None, SystemClock::new().now()).await.unwrap();
}

/// A log behind a proxy that can be cut.
struct Rig {
    folder: tempfile::TempDir,
    proxy: Proxy,
    direct: String,
    db: Database,
    log: AuditLog,
}

async fn rig() -> Rig {
    let (server, name) = (postgres::shared(), postgres::shared().create());
    let direct = server.url(&name);
    migrated(&direct).await;
    let proxy = Proxy::before(server.port());
    let db = open(&format!("postgres://postgres@127.0.0.1:{}/{name}", proxy.port())).await;
    let folder = tempfile::tempdir().unwrap();
    let log = log_on(&db, folder.path()).await;
    Rig { folder, proxy, direct, db, log }
}

impl Rig {
    fn waiting(&self) -> u64 {
        spool_status(&SpoolConfig::new(self.folder.path())).unwrap().events
    }

    async fn emptied(&self) {
        let started = Instant::now();
        while self.waiting() > 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "the spool is not emptied");
            moment(50).await;
        }
    }

    async fn run(&self, sql: &str) {
        let db = open(&self.direct).await;
        let tx = db.begin().await.unwrap();
        tx.execute(sql, []).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// The ids of all events of the log, each once, and nothing wrong with it.
async fn ids(log: &AuditLog) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for kind in Log::ALL {
        let mut from = 0;
        loop {
            let entries = log.read_from(kind, from, 1000).await.unwrap();
            let Some(last) = entries.last() else { break };
            from = last.index + 1;
            for entry in entries {
                assert!(ids.insert(entry.id.clone()), "{} is there twice", entry.id);
            }
        }
    }
    let report = log.verify(&[], &|_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    ids
}

async fn append_all(log: &AuditLog, events: Vec<AuditEvent>) -> Vec<Result<(), FaultKind>> {
    let tasks: Vec<_> = events
        .into_iter()
        .map(|event| {
            let log = log.clone();
            tokio::spawn(async move { log.append(event).await.map_err(|error| error.kind()) })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.push(task.await.unwrap());
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_the_server_is_cut_off_is_kept_and_replayed_once() {
    for weather in [Weather::Cut, Weather::Stalled] {
        let r = rig().await;
        let events: Vec<_> = (0..300).map(event).collect();
        let wanted: BTreeSet<String> = events.iter().map(|e| e.id().to_string()).collect();
        let mut events = events.into_iter();
        assert!(append_all(&r.log, events.by_ref().take(50).collect()).await.iter().all(Result::is_ok));
        r.proxy.set(weather);
        let started = Instant::now();
        assert!(append_all(&r.log, events.by_ref().take(100).collect()).await.iter().all(Result::is_ok));
        assert!(started.elapsed() < Duration::from_secs(10), "{weather:?}: callers wait no longer than that");
        let started = Instant::now();
        assert!(append_all(&r.log, events.by_ref().take(100).collect()).await.iter().all(Result::is_ok));
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{weather:?}: and nobody after them waits at all"
        );
        assert!(r.waiting() > 0);
        assert!(r.db.is_away() || weather == Weather::Cut, "who refuses at once need not be spared");
        r.proxy.set(Weather::Clear);
        r.emptied().await;
        assert!(append_all(&r.log, events.collect()).await.iter().all(Result::is_ok));
        assert_eq!(ids(&r.log).await, wanted, "{weather:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_not_repeated() {
    for round in 0..5 {
        let r = rig().await;
        r.proxy.lose_answer_to(*b"COMMIT");
        let events: Vec<_> = (0..20).map(event).collect();
        let wanted: BTreeSet<String> = events.iter().map(|e| e.id().to_string()).collect();
        assert!(append_all(&r.log, events).await.iter().all(Result::is_ok));
        assert!(!r.proxy.is_set(), "round {round}: an answer was lost");
        r.emptied().await;
        assert_eq!(ids(&r.log).await, wanted, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_in_the_outage_itself_is_found_by_its_name() {
    let r = rig().await;
    // The commit arrives, its answer does not, and the server is gone before anybody can ask.
    r.proxy.lose_answer_to(*b"COMMIT");
    let append = {
        let log = r.log.clone();
        tokio::spawn(async move { log.append(event(1)).await })
    };
    while r.proxy.is_set() {
        moment(1).await;
    }
    r.proxy.set(Weather::Cut);
    append.await.unwrap().unwrap();
    assert_eq!(r.waiting(), 1, "it was kept, since nobody could tell");
    r.proxy.set(Weather::Clear);
    r.emptied().await;
    assert_eq!(ids(&r.log).await.len(), 1, "it is there once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_or_frozen_costs_nothing_that_was_acknowledged() {
    let mut server = Server::start(Durability::Full);
    let name = server.create();
    migrated(&server.url(&name)).await;
    let folder = tempfile::tempdir().unwrap();
    let db = open(&server.url(&name)).await;
    let log = log_on(&db, folder.path()).await;
    let mut wanted = BTreeSet::new();
    for round in 0..4 {
        let events: Vec<_> = (0..200).map(event).collect();
        wanted.extend(events.iter().map(|e| e.id().to_string()));
        let appended = {
            let log = log.clone();
            tokio::spawn(async move { append_all(&log, events).await })
        };
        moment(3 * round).await;
        if round % 2 == 0 {
            server.kill();
            assert!(appended.await.unwrap().iter().all(Result::is_ok), "round {round}");
            server.run();
        } else {
            server.freeze();
            assert!(appended.await.unwrap().iter().all(Result::is_ok), "round {round}");
            server.thaw();
        }
        let started = Instant::now();
        while log.spool_bytes() > 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "round {round}: the spool is not emptied");
            moment(50).await;
        }
    }
    let found = ids(&log).await;
    assert!(found == wanted, "{} of {} are there", found.intersection(&wanted).count(), wanted.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_kept_the_next_one_replays() {
    let r = rig().await;
    r.proxy.set(Weather::Cut);
    assert!(append_all(&r.log, (0..40).map(event).collect()).await.iter().all(Result::is_ok));
    let Rig { folder, proxy, direct, db, log } = r;
    drop((proxy, db));
    // It goes while the database is still away; the folder stays.
    drop(log);
    let db = open(&direct).await;
    let started = Instant::now();
    let log = loop {
        let mut config = AuditConfig::default();
        config.spool = Some(SpoolConfig::new(folder.path()));
        match AuditLog::open(db.clone(), TestKeys::default(), config).await {
            Ok(log) => break log,
            // The task of the old one lets go of the folder at its next turn.
            Err(error) => {
                assert!(error.kind() == FaultKind::Locked && started.elapsed() < Duration::from_secs(5));
            }
        }
        moment(50).await;
    };
    assert_eq!(log.replay_spool().await.unwrap(), 40);
    assert_eq!(ids(&log).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_spool_or_beyond_its_bound_events_are_refused() {
    let r = rig().await;
    let mut config = AuditConfig::default();
    let without = AuditLog::open(r.db.clone(), TestKeys::default(), config.clone()).await.unwrap();
    let small = tempfile::tempdir().unwrap();
    let mut spool = SpoolConfig::new(small.path());
    spool.bytes_max = 2000;
    config.spool = Some(spool.clone());
    let full = AuditLog::open(r.db.clone(), TestKeys::default(), config).await.unwrap();
    r.proxy.set(Weather::Cut);
    assert_eq!(without.append(event(0)).await.unwrap_err().kind(), FaultKind::Unavailable);
    let mut kept = 0;
    let refused = loop {
        match full.append(event(1)).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused.code(), refused.kind()), ("audit/spool-full", FaultKind::Unavailable));
    let status = spool_status(&spool).unwrap();
    assert_eq!(status.events, kept, "what was acknowledged is there");
    assert!(kept > 0 && status.bytes <= 2000);
    r.proxy.set(Weather::Clear);
    while full.spool_bytes() > 0 {
        moment(50).await;
    }
    assert_eq!(ids(&full).await.len() as u64, kept);
}

/// Refuses an event, as the database would one that breaks a rule of the table.
const POISON: &str = "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN IF NEW.target_id = 'post-poison' THEN RAISE EXCEPTION 'refused'; END IF; RETURN NEW; END$$";
const POISONED: &str =
    "CREATE TRIGGER poison BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION poison()";

fn poisoned() -> AuditEvent {
    event(1).on(Target::new("content", "post-poison"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_among_many_that_is_refused_does_not_stop_the_rest() {
    let count = if std::env::var_os("CLAW_TEST_FULL").is_some() { 10_000 } else { 1000 };
    let r = rig().await;
    r.run(POISON).await;
    r.run(POISONED).await;
    // Directly, only its own caller is told.
    let events = (0..50).map(event).chain([poisoned()]).chain((50..100).map(event)).collect();
    let told = append_all(&r.log, events).await;
    assert_eq!(told.iter().filter(|told| told.is_err()).count(), 1);
    // From the spool nobody can be told any more: it is set aside and the log says so.
    r.proxy.set(Weather::Cut);
    let poison = poisoned();
    let events =
        (0..count / 2).map(event).chain([poison.clone()]).chain((count / 2..count).map(event)).collect();
    assert!(append_all(&r.log, events).await.iter().all(Result::is_ok));
    r.proxy.set(Weather::Clear);
    r.emptied().await;
    let kept = dead_letters(&SpoolConfig::new(r.folder.path())).unwrap();
    assert_eq!(kept, std::slice::from_ref(&poison));
    let mut query = Query::default();
    query.kinds = vec![EventKind::AuditGap];
    let gaps = r.log.query(&query, None, PageLimit::default()).await.unwrap().items;
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps.first().unwrap().target_id.as_deref(), Some(poison.id().to_string().as_str()));
    r.run("DROP TRIGGER poison ON audit_logs").await;
    assert_eq!(ids(&r.log).await.len(), 100 + count + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_of_the_outbox_stays_there_and_does_not_stop_the_rest() {
    let r = rig().await;
    r.run(POISON).await;
    r.run(POISONED).await;
    let tx = r.db.begin().await.unwrap();
    for event in (0..10).map(event).chain([poisoned()]).chain((10..20).map(event)) {
        outbox::put(&tx, &event).await.unwrap();
    }
    tx.commit().await.unwrap();
    r.log.drain_outbox().await.unwrap();
    let depth = outbox::depth(&r.db).await.unwrap();
    assert_eq!((depth.waiting, depth.aside), (0, 1));
    r.run("DROP TRIGGER poison ON audit_logs").await;
    let size = async |log| r.log.size(log).await.unwrap();
    assert_eq!(size(Log::Decisions).await + size(Log::Verdicts).await, 21, "20 and the event that says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_server_is_an_outage_and_no_refusal() {
    let r = rig().await;
    r.run(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
         $$BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END$$",
    )
    .await;
    r.run("CREATE TRIGGER full_disk BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION full_disk()")
        .await;
    assert!(append_all(&r.log, (0..30).map(event).collect()).await.iter().all(Result::is_ok));
    assert_eq!(r.waiting(), 30);
    r.run("DROP TRIGGER full_disk ON audit_logs").await;
    r.emptied().await;
    assert_eq!(ids(&r.log).await.len(), 30);
}
