//! Several processes at once: each thing is done once, and nothing is lost between them.
#![cfg(feature = "migrate")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawexchange_database::idempotency::{self, Begun, KEPT, Named};
use clawexchange_database::{Database, Lease, Plan, outbox};
use clawexchange_ssg_core::{Actor, AuditEvent, EventKind, Timestamp};
use clawexchange_testkit::open_in;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// The same database, as four processes have it.
async fn four() -> (tempfile::TempDir, Vec<Database>) {
    let folder = tempfile::tempdir().unwrap();
    let mut handles = Vec::new();
    for _ in 0..4 {
        handles.push(open_in(folder.path()).await);
    }
    Plan::of([]).up(handles.first().unwrap(), None, NOW).await.unwrap();
    (folder, handles)
}

/// Has each handle do the same at the same moment, `times` each.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    handles: &[Database],
    times: usize,
    work: impl Fn(Database, usize) -> F,
) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(handles.len() * times));
    let mut tasks = JoinSet::new();
    for n in 0..handles.len() * times {
        let (barrier, work) =
            (Arc::clone(&barrier), work(handles.get(n % handles.len()).unwrap().clone(), n));
        tasks.spawn(async move {
            barrier.wait().await;
            work.await
        });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_many_put_and_many_take_are_each_taken_once() {
    let (_folder, handles) = four().await;
    let takers = handles.clone();
    let taking = tokio::spawn(async move {
        let (mut taken, mut round) = (Vec::new(), 0);
        while taken.len() < 400 {
            round += 1;
            let rounds = at_once(&takers, 1, move |db, n| async move {
                let tx = db.begin().await.unwrap();
                let events = outbox::take(&tx, 7).await.unwrap();
                // What a taker gives up is taken by the next.
                if n == round % 8 {
                    return Vec::new();
                }
                tx.commit().await.unwrap();
                events
            });
            taken.extend(rounds.await.into_iter().flatten());
        }
        taken
    });
    at_once(&handles, 10, |db, n| async move {
        for k in 0..10_u64 {
            let event = AuditEvent::new(EventKind::SsgPass, Actor::system("test").unwrap(), NOW);
            let tx = db.begin().await.unwrap();
            outbox::put(&tx, &event.with("n", n as u64 * 10 + k).unwrap()).await.unwrap();
            tx.commit().await.unwrap();
        }
    })
    .await;
    let taken = taking.await.unwrap();
    let names: BTreeSet<u64> = taken.iter().map(|event| event.meta()["n"].as_u64().unwrap()).collect();
    assert_eq!((taken.len(), names.len()), (400, 400));
    assert_eq!(outbox::depth(&handles[0]).await.unwrap().waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_many_begin_at_once_is_new_to_one() {
    let (_folder, handles) = four().await;
    for round in 0..20 {
        let named = Named::new("ann", "/v1/submit", format!("k-{round}"), b"body");
        for now in [NOW, NOW.plus(KEPT)] {
            let begun = at_once(&handles, 3, |db, n| {
                let (named, holder) = (named.clone(), format!("p{}", n % 4));
                async move { idempotency::begin(&db, &named, &holder, now).await.unwrap() }
            });
            let begun = begun.await;
            let new: Vec<_> = begun
                .iter()
                .filter_map(|begun| if let Begun::New(names) = begun { Some(*names) } else { None })
                .collect();
            assert_eq!(new.len(), 1, "{begun:?}");
            for begun in begun {
                let (Begun::New(names) | Begun::Again { names, .. }) = begun else { panic!("{begun:?}") };
                assert_eq!(names, new[0], "whoever takes it up does it under the same names");
            }
        }
        let answers = at_once(&handles, 1, |db, n| {
            let named = named.clone();
            async move { idempotency::finish(&db, &named, 200, &[u8::try_from(n).unwrap()]).await.unwrap() }
        });
        answers.await;
        let later = NOW.plus(KEPT);
        let said = at_once(&handles, 1, |db, _| {
            let named = named.clone();
            async move { idempotency::begin(&db, &named, "p", later).await.unwrap() }
        });
        let said = said.await;
        assert!(matches!(&said[0], Begun::Answered { .. }) && said.iter().all(|s| *s == said[0]), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_whose_time_is_over_are_swept_once_by_however_many() {
    let (_folder, handles) = four().await;
    for n in 0..200 {
        let named = Named::new("ann", "/v1/submit", format!("k-{n}"), b"body");
        idempotency::begin(&handles[0], &named, "p", NOW).await.unwrap();
    }
    let mut swept = 0;
    for _ in 0..8 {
        let counts =
            at_once(
                &handles,
                2,
                |db, _| async move { idempotency::sweep(&db, NOW.plus(KEPT), 9).await.unwrap() },
            );
        swept += counts.await.iter().sum::<u64>();
    }
    assert_eq!(swept, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_to_lead_one_does_and_the_fence_grows_with_each() {
    let (_folder, handles) = four().await;
    let mut fences = Vec::new();
    for round in 0..30 {
        let leases = at_once(&handles, 1, |db, n| async move {
            Lease::take(&db, "sweep", &format!("holder-{round}-{n}"), Duration::from_mins(1)).await.unwrap()
        });
        let mut leases: Vec<Lease> = leases.await.into_iter().flatten().collect();
        assert_eq!(leases.len(), 1, "{leases:?}");
        let lease = leases.remove(0);
        fences.push(lease.fence);
        lease.release(&handles[round % 4]).await.unwrap();
    }
    assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_not_renewed_ends_by_the_clock_of_the_database() {
    let (_folder, handles) = four().await;
    let time = Duration::from_millis(300);
    let (begun, first) =
        (Instant::now(), Lease::take(&handles[0], "sweep", "a", time).await.unwrap().unwrap());
    let next = loop {
        if let Some(lease) = Lease::take(&handles[1], "sweep", "b", time).await.unwrap() {
            break lease;
        }
    };
    assert!(begun.elapsed() >= time && next.fence > first.fence, "{:?}", begun.elapsed());
    assert_eq!(Lease::take(&handles[0], "sweep", "a", time).await.unwrap(), None, "who is late has lost it");
}
