//! A vault over a bucket whose server is killed, stopped, cut off, slow, or loses its answers, at each step.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clawexchange_quarantine::{BlobState, ObjectKey, Reason, S3Config, S3Store, Status, VaultConfig};
use clawexchange_ssg_core::{Fault as _, FaultKind, QuarantineId};
use clawexchange_testkit::proxy::{Proxy, Weather};
use clawexchange_testkit::s3::{self, Server};

use crate::rig::{Rig, ann, in_bucket, note};

/// What happens to the server while something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    Killed,
    Stopped,
    CutOff,
    Slow,
    LostPut,
    LostGet,
    LostPost,
}

const ALL: [Mishap; 7] = [
    Mishap::Killed,
    Mishap::Stopped,
    Mishap::CutOff,
    Mishap::Slow,
    Mishap::LostPut,
    Mishap::LostGet,
    Mishap::LostPost,
];

/// A vault over a bucket behind a proxy, and the same for who looks afterwards: without the proxy, and patient.
struct Place {
    rig: Rig,
    after: Rig,
    store: S3Store,
    proxy: Proxy,
    server: Server,
}

impl Place {
    async fn new() -> Self {
        let server = Server::start();
        let (proxy, bucket) = (Proxy::before(server.port()), server.bucket());
        let endpoint = server.endpoint_at(proxy.port());
        let mut config = S3Config::new(endpoint, &bucket, s3::ACCESS_KEY, s3::SECRET_KEY);
        s3::REGION.clone_into(&mut config.region);
        config.connect_timeout = Duration::from_millis(500);
        config.attempt_timeout = Duration::from_secs(2);
        config.deadline = Duration::from_secs(4);
        config.breaker_pause = Duration::from_millis(100);
        let store = S3Store::open(config).unwrap();
        let mut bounds = VaultConfig::default();
        bounds.inline_bytes_max = 0;
        bounds.agent_holds_max = 100_000;
        bounds.agent_bytes_max = 1 << 40;
        bounds.bytes_max = 1 << 40;
        let root: PathBuf = server.file(&bucket, "");
        let rig = Rig::with_objects(store.clone(), root.clone(), bounds).await;
        let after = rig.also_over(in_bucket(&server.endpoint(), &bucket), root);
        Self { rig, after, store, proxy, server }
    }

    fn begin(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::Killed => self.server.kill(),
            Mishap::Stopped => self.server.freeze(),
            Mishap::CutOff => self.proxy.set(Weather::Cut),
            Mishap::Slow => self.proxy.set(Weather::Slow(Duration::from_millis(50))),
            Mishap::LostPut => self.proxy.lose_answer_to("PUT /"),
            Mishap::LostGet => self.proxy.lose_answer_to("GET /"),
            Mishap::LostPost => self.proxy.lose_answer_to("POST /"),
        }
    }

    async fn end(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::Killed => self.server.run(),
            Mishap::Stopped => self.server.thaw(),
            _ => {
                // Whatever has no answer to lose springs no trap.
                self.proxy.lose_answer_to("no request has this in it");
                self.proxy.set(Weather::Clear);
            }
        }
        let answers = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while self.store.probe().await.is_err() {
                tick.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), answers).await.unwrap();
    }

    /// Waits until the server has done what it still had of what it was asked before: the same look, many times over.
    async fn is_quiet(&self) {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let (mut last, mut same) = (usize::MAX, 0);
        while same < 50 {
            tick.tick().await;
            let now = self.after.object_names().await.len();
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
    }

    async fn sweep(&self) -> clawexchange_quarantine::SweepReport {
        self.rig.vault.sweep(NonZeroU32::new(1000).unwrap(), None).await.unwrap()
    }

    /// Nothing acknowledged is lost, and after one sweep nothing is left lying.
    async fn check(&self, held: &[QuarantineId], what: &str) {
        self.is_quiet().await;
        self.rig.clock.advance(Duration::from_mins(2));
        let report = self.after.vault.sweep(NonZeroU32::new(1000).unwrap(), None).await.unwrap();
        assert_eq!(report.failed, 0, "{what}: {report:?}");
        for id in held {
            let record =
                self.rig.vault.show(*id).await.unwrap_or_else(|e| panic!("{what}: {id} is lost: {e}"));
            if record.blob_state == BlobState::Present && record.status.is_shown() {
                self.after
                    .text_of(*id)
                    .await
                    .unwrap_or_else(|e| panic!("{what}: {id} does not open: {e} ({})", e.code()));
            }
        }
        let present = self.rig.count("quarantine_records WHERE blob_state = 'PRESENT'").await;
        let objects = i64::try_from(self.after.object_names().await.len()).unwrap();
        assert_eq!(objects, present, "{what}: objects and records");
        assert_eq!(self.rig.count("encryption_keys").await, present, "{what}: keys and records");
        assert_eq!(self.rig.count("quarantine_records WHERE blob_state = 'PENDING'").await, 0, "{what}");
        self.after.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_trouble_at_a_store_loses_nothing_and_leaves_nothing() {
    let mut place = Place::new().await;
    let mut held = vec![place.rig.hold("before").await];
    for (round, mishap) in (0..rounds()).flat_map(|round| ALL.map(|mishap| (round, mishap))) {
        place.begin(mishap);
        for n in 0..2 {
            let text = format!("{round} {mishap:?} {n} {}", "x".repeat(30_000));
            match place.rig.hold_by(&text, "agent-1").await {
                Ok(made) => held.push(made.id),
                Err(error) => {
                    assert_eq!(error.kind(), FaultKind::Unavailable, "{mishap:?}: {error}");
                    assert!(error.hint().is_some(), "{mishap:?}");
                }
            }
        }
        place.end(mishap).await;
        place.check(&held, &format!("store, {mishap:?}")).await;
    }
    assert!(held.len() > 2 * 4, "what was slow or lost an answer was held: {}", held.len());
}

/// How often each is done: once in a sample.
fn rounds() -> u32 {
    if std::env::var_os("CLAW_TEST_FULL").is_some() { 20 } else { 1 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_trouble_in_the_middle_of_many_stores_loses_none_that_was_acknowledged() {
    let mut place = Place::new().await;
    let mut acknowledged = 0;
    for round in 0..rounds() {
        for (nth, mishap) in
            [Mishap::Killed, Mishap::Stopped, Mishap::CutOff].into_iter().cycle().take(9).enumerate()
        {
            // Begun anew each time, and in trouble when so many of them are done.
            let (before, mut held) = (place.after.object_names().await.len(), Vec::new());
            let mut stores = tokio::task::JoinSet::new();
            for n in 0..12 {
                let text = format!("{round} {nth} {n} {}", "x".repeat(60_000));
                let hold = place.rig.a_hold(&text, &format!("agent-{n}")).await;
                let vault = place.rig.vault.clone();
                stores.spawn(async move { clawexchange_ssg_core::Quarantine::hold(&vault, hold).await });
            }
            while std::fs::read_dir(place.rig.objects.days()).map_or(0, Iterator::count) < before + nth
                && !stores.is_empty()
            {
                tokio::select! {
                    Some(made) = stores.join_next() => held.extend(made.unwrap().map(|made| made.id)),
                    () = tokio::task::yield_now() => {}
                }
            }
            place.begin(mishap);
            while let Some(made) = stores.join_next().await {
                held.extend(made.unwrap().map(|made| made.id));
            }
            place.end(mishap).await;
            place.check(&held, &format!("stores, {mishap:?}")).await;
            acknowledged += held.len();
        }
    }
    assert!(acknowledged > 0, "some came through");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_trouble_at_a_look_or_a_decision_loses_neither() {
    let mut place = Place::new().await;
    let mut held = Vec::new();
    for (round, mishap) in (0..rounds()).flat_map(|round| ALL.map(|mishap| (round, mishap))) {
        let (look, delete, release) = (
            place.rig.hold(&format!("look {round} {mishap:?}")).await,
            place.rig.hold(&format!("delete {round} {mishap:?}")).await,
            place.rig.hold(&format!("release {round} {mishap:?}")).await,
        );
        held.extend([look, delete, release]);
        place.begin(mishap);
        let grant = place.rig.vault.grant(look, &ann(), &note("to see")).await.unwrap();
        let looked = place.rig.vault.open(&ann(), &grant.token).await.map(drop);
        let is_away = matches!(mishap, Mishap::Killed | Mishap::Stopped | Mishap::CutOff);
        assert_eq!(looked.is_err(), is_away, "{mishap:?}: {looked:?}");
        place.rig.vault.delete(delete, &ann(), Reason::PolicyViolation, None, true).await.unwrap();
        place.rig.vault.release(release, &ann(), Reason::FalsePositive, None).await.unwrap();
        // The key is gone with the decision, whatever becomes of the object.
        let error = place.rig.text_of(delete).await.unwrap_err();
        assert!(!matches!(error, clawexchange_quarantine::QuarantineError::Port { .. }), "{error}");
        place.end(mishap).await;
        place.check(&held, &format!("decide, {mishap:?}")).await;
        assert_eq!(place.rig.vault.show(delete).await.unwrap().status, Status::Deleted);
        assert_eq!(place.rig.vault.show(release).await.unwrap().status, Status::Released);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_trouble_at_a_sweep_has_it_done_by_the_next() {
    let mut place = Place::new().await;
    for (round, mishap) in (0..rounds()).flat_map(|round| ALL.map(|mishap| (round, mishap))) {
        let mut held = Vec::new();
        for n in 0..3 {
            held.push(place.rig.hold(&format!("{round} {mishap:?} {n}")).await);
        }
        for id in &held[1..] {
            place.rig.vault.delete(*id, &ann(), Reason::PolicyViolation, None, true).await.unwrap();
        }
        place.begin(mishap);
        let report = place.sweep().await;
        let is_away = matches!(mishap, Mishap::Killed | Mishap::Stopped | Mishap::CutOff);
        assert_eq!(report.objects_deleted == 0, is_away, "{mishap:?}: {report:?}");
        place.end(mishap).await;
        place.check(&held, &format!("sweep, {mishap:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_arrives_after_all_was_given_up_is_found_by_reconcile() {
    let place = Place::new().await;
    let kept = place.rig.hold("kept").await;
    place.server.freeze();
    place.rig.hold_by("late", "agent-1").await.unwrap_err();
    assert_eq!(place.rig.count("quarantine_records").await, 1, "it was given up");
    place.server.thaw();
    let arrived = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while place.rig.objects_or_none().await != Some(2) {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), arrived).await.unwrap();
    // A tombstone waits for it. Even one that is lost, as with a database that was restored, does not leave it lying.
    place.rig.sql("DELETE FROM quarantine_tombstones").await;
    let found = place.rig.vault.reconcile(true).await.unwrap();
    assert_eq!((found.orphans.len(), found.condemned, found.missing.len()), (1, 1, 0));
    place.sweep().await;
    assert_eq!(place.rig.object_names().await.len(), 1);
    place.check(&[kept], "late").await;
}

#[tokio::test]
async fn destroyed_content_is_destroyed_in_all_versions() {
    let place = Place::new().await;
    let bucket = place.store.config().bucket.clone();
    place.server.set(|settings| settings.versioned.insert(bucket.clone()));
    let (kept, gone) = (place.rig.hold("kept").await, place.rig.hold("gone").await);
    let name: String = place
        .rig
        .row(&format!("SELECT s3_key FROM quarantine_records WHERE id = '{gone}'"))
        .await
        .get("s3_key")
        .unwrap();
    name.parse::<ObjectKey>().unwrap();
    place.server.multiply(&bucket, &name, 3);
    assert_eq!(place.server.versions(&bucket), 5);
    place.rig.vault.delete(gone, &ann(), Reason::PolicyViolation, None, true).await.unwrap();
    place.sweep().await;
    assert_eq!(place.server.versions(&bucket), 1);
    place.check(&[kept, gone], "versions").await;
}
