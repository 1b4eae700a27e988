//! Released content on its way out, and lists as the first system had them.

use clawexchange_quarantine::{Filter, OFFSET_MAX, QuarantineError, Reason, Status};
use clawexchange_ssg_core::{Actor, AgentId, Clock as _, EventKind, InspectionId, Quarantine as _};

use clawexchange_testkit::tamper;

use crate::rig::{Rig, ann, code, platform, triage};

#[tokio::test]
async fn released_content_is_fetched_and_confirmed_and_each_step_is_in_the_log() {
    let rig = Rig::of_objects().await;
    let id = rig.hold("one").await;
    for early in [
        rig.vault.fetch_released(id, &platform()).await.map(|_| ()),
        rig.vault.confirm_release(id, &platform()).await.map(|_| ()),
    ] {
        assert_eq!(code(early), "quarantine/conflict", "nobody has released it");
    }
    rig.vault.release(id, &ann(), Reason::default(), None).await.unwrap();
    let opened = rig.vault.fetch_released(id, &platform()).await.unwrap();
    assert!(String::from_utf8(opened.content.to_vec()).unwrap().contains("flag-hold one"));
    assert_eq!(rig.vault.published_at(id).await.unwrap(), None, "fetched is not published");
    rig.clock.advance(std::time::Duration::from_secs(5));
    for _ in 0..3 {
        let record = rig.vault.confirm_release(id, &platform()).await.unwrap();
        assert_eq!(record.status, Status::Released);
    }
    assert_eq!(rig.vault.published_at(id).await.unwrap(), Some(rig.clock.now()));
    assert_eq!(
        rig.kinds(id).await,
        [
            EventKind::SsgQuarantine,
            EventKind::HumanRelease,
            EventKind::ReleaseFetched,
            EventKind::ReleaseConfirmed
        ]
    );
    rig.assert_sound().await;
    rig.pass(24);
    rig.sweep().await;
    assert_eq!(code(rig.vault.fetch_released(id, &platform()).await), "quarantine/gone");
    assert!(rig.vault.confirm_release(id, &platform()).await.is_ok(), "what was said stays said");
    rig.assert_sound().await;
}

#[tokio::test]
async fn nothing_is_handed_out_before_the_log_has_it() {
    let rig = Rig::of_objects().await;
    let id = rig.hold("one").await;
    rig.vault.release(id, &ann(), Reason::default(), None).await.unwrap();
    rig.log.set_failing(true);
    let error = rig.vault.fetch_released(id, &platform()).await.unwrap_err();
    assert!(matches!(error, QuarantineError::Port { act: "record who fetches", .. }), "{error:?}");
    assert_eq!(rig.objects.gets(), 0, "the content was not even read");
    rig.log.set_failing(false);
    rig.vault.fetch_released(id, &platform()).await.unwrap();
    let logged = rig.log.logged();
    let fetches = logged.iter().filter(|e| e.kind() == EventKind::ReleaseFetched);
    assert_eq!(fetches.count(), 2, "the attempt and the fetch, logged by the time the content is there");
}

#[tokio::test]
async fn who_posts_or_reviews_by_rules_is_handed_nothing() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.vault.release(id, &ann(), Reason::default(), None).await.unwrap();
    for by in [triage(), Actor::agent(AgentId::new("agent-1").unwrap())] {
        assert_eq!(code(rig.vault.fetch_released(id, &by).await), "quarantine/platform-only");
        assert_eq!(code(rig.vault.confirm_release(id, &by).await), "quarantine/platform-only");
    }
    assert_eq!(rig.kinds(id).await.len(), 2, "no trace of what did not happen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmed_by_many_at_once_it_is_confirmed_once() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.vault.release(id, &ann(), Reason::default(), None).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let vault = rig.vault.clone();
        tasks.spawn(async move { vault.confirm_release(id, &platform()).await.unwrap() });
    }
    assert_eq!(tasks.join_all().await.len(), 20);
    let confirmed = rig.kinds(id).await.into_iter().filter(|kind| *kind == EventKind::ReleaseConfirmed);
    assert_eq!(confirmed.count(), 1);
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_publication_that_was_altered_is_found_and_not_believed() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.vault.release(id, &ann(), Reason::default(), None).await.unwrap();
    rig.vault.confirm_release(id, &platform()).await.unwrap();
    for guarded in
        ["UPDATE quarantine_publications SET confirmed_by = 'x'", "DELETE FROM quarantine_publications"]
    {
        assert!(!rig.try_sql(guarded).await, "{guarded}");
    }
    tamper::trigger_off(&rig.db, "quarantine_publications", "fixed").await;
    rig.sql("UPDATE quarantine_publications SET confirmed_at = 1").await;
    assert_eq!(rig.discrepancies().await, [format!("quarantine_publications {id}: altered")]);
    assert_eq!(code(rig.vault.published_at(id).await), "quarantine/altered");
    assert_eq!(code(rig.vault.confirm_release(id, &platform()).await), "quarantine/altered");
}

#[tokio::test]
async fn a_list_by_offset_is_counted_newest_first_and_bounded() {
    let rig = Rig::new().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(rig.hold_by(&format!("number {n}"), &format!("agent-{}", n % 2)).await.unwrap().id);
        rig.clock.advance(std::time::Duration::from_secs(1));
    }
    ids.reverse();
    let mut shown = Vec::new();
    for offset in [0, 2, 4, 6, OFFSET_MAX] {
        let (page, total) = rig.vault.list_by_offset(&Filter::default(), offset, 2).await.unwrap();
        assert_eq!(total, 5);
        shown.extend(page.into_iter().map(|record| record.id));
    }
    assert_eq!(shown, ids);
    let mut filter = Filter::default();
    filter.agent = Some("agent-1".parse().unwrap());
    let (page, total) = rig.vault.list_by_offset(&filter, 0, 100).await.unwrap();
    assert_eq!((page.len(), total), (2, 2));
    for (offset, limit) in [(OFFSET_MAX + 1, 1), (u64::MAX, 1), (0, 0), (0, 101)] {
        let refused = rig.vault.list_by_offset(&Filter::default(), offset, limit).await;
        assert_eq!(code(refused), "quarantine/offset", "{offset} {limit}");
    }
}

#[tokio::test]
async fn a_record_is_found_by_the_inspection_that_held_it_and_by_each_that_repeated_it() {
    let rig = Rig::new().await;
    let (first, again) = (rig.a_hold("one", "agent-1").await, rig.a_hold("one", "agent-1").await);
    let names = [&first, &again].map(|hold| hold.assessment.inspection().inspection_id);
    let id = rig.vault.hold(first).await.unwrap().id;
    assert!(rig.vault.hold(again).await.unwrap().is_repeat);
    for name in names {
        assert_eq!(rig.vault.find_by_inspection(name).await.unwrap().unwrap().id, id);
    }
    assert!(rig.vault.find_by_inspection(InspectionId::fresh()).await.unwrap().is_none());
}
