//! Storing in two phases: whatever fails in between, nothing acknowledged is lost and nothing is left lying.

use std::time::Duration;

use clawexchange_quarantine::{Filter, ObjectKey, ObjectStore as _, Status};
use clawexchange_ssg_core::{Clock as _, EventKind, FaultKind, PageLimit, Quarantine as _};

use crate::rig::{Rig, Trouble, code};

#[tokio::test]
async fn a_store_that_fails_holds_nothing_and_leaves_nothing() {
    for trouble in [Trouble::NoPut, Trouble::LostReply] {
        let rig = Rig::of_objects().await;
        rig.objects.set(Some(trouble));
        let error = rig.hold_by("one", "agent-1").await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (FaultKind::Unavailable, true), "{trouble:?}");
        rig.objects.set(None);
        assert_eq!(rig.count("quarantine_records").await, 0);
        assert_eq!(rig.count("encryption_keys").await, 0);
        assert!(rig.log.events().await.is_empty(), "what is not held has no event");
        rig.sweep().await;
        assert!(rig.object_names().await.is_empty(), "{trouble:?}");
        assert_eq!(rig.count("quarantine_tombstones").await, 1, "it is looked for once more");
        rig.pass(24);
        rig.sweep().await;
        assert_eq!(rig.count("quarantine_tombstones").await, 0);
        rig.hold("one").await;
        rig.assert_sound().await;
    }
}

#[tokio::test]
async fn a_store_that_is_given_up_and_arrives_late_is_cleared_away_all_the_same() {
    let rig = Rig::of_objects().await;
    rig.objects.set(Some(Trouble::NoPut));
    rig.hold_by("one", "agent-1").await.unwrap_err();
    rig.objects.set(None);
    rig.sweep().await;
    let key: String =
        rig.row("SELECT object_key FROM quarantine_tombstones").await.get("object_key").unwrap();
    rig.objects.put_new(&key.parse().unwrap(), b"late".to_vec()).await.unwrap();
    rig.pass(24);
    assert_eq!(rig.sweep().await.objects_deleted, 1);
    assert!(rig.object_names().await.is_empty());
}

/// What a process that is killed leaves: the store never comes back.
async fn cut_short(rig: &Rig, trouble: Trouble) {
    rig.objects.set(Some(trouble));
    let (vault, hold) = (rig.vault.clone(), rig.a_hold("one", "agent-1").await);
    let mut store = tokio::spawn(async move { vault.hold(hold).await });
    let staged = async {
        while rig.count("quarantine_records").await == 0
            || trouble == Trouble::StoresAndHangs && rig.object_names().await.is_empty()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = staged => {}
        held = &mut store => panic!("{held:?}"),
    }
    store.abort();
    assert!(store.await.unwrap_err().is_cancelled());
    rig.objects.set(None);
}

#[tokio::test]
async fn a_store_cut_short_before_its_object_is_given_up() {
    let rig = Rig::of_objects().await;
    cut_short(&rig, Trouble::Hangs).await;
    let page = rig.vault.list(&Filter::default(), None, PageLimit::default()).await.unwrap();
    assert!(page.items.is_empty(), "what is under way is not shown");
    assert!(rig.vault.state_rows(None, 10).await.unwrap().is_empty(), "and the log does not know of it");
    let swept = rig.sweep().await;
    assert_eq!((swept.aborted, swept.finished), (0, 0), "it may still come");
    rig.clock.advance(Duration::from_mins(1));
    let swept = rig.sweep().await;
    assert_eq!((swept.aborted, swept.finished), (1, 0));
    assert_eq!(rig.count("quarantine_records").await + rig.count("encryption_keys").await, 0);
    assert!(rig.log.events().await.is_empty());
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_store_cut_short_after_its_object_is_finished_with_its_event() {
    let rig = Rig::of_objects().await;
    cut_short(&rig, Trouble::StoresAndHangs).await;
    let rows = rig.vault.list(&Filter::default(), None, PageLimit::default()).await.unwrap();
    assert!(rows.items.is_empty());
    rig.clock.advance(Duration::from_mins(1));
    let swept = rig.sweep().await;
    assert_eq!((swept.aborted, swept.finished), (0, 1));
    let page = rig.vault.list(&Filter::default(), None, PageLimit::default()).await.unwrap();
    let record = &page.items[0];
    assert_eq!(record.status, Status::Quarantined);
    assert_eq!(rig.text_of(record.id).await.unwrap(), "flag-hold one");
    assert_eq!(rig.kinds(record.id).await[0], EventKind::SsgQuarantine);
    assert_eq!(rig.sweep().await.finished, 0, "once");
    rig.assert_sound().await;
}

#[tokio::test]
async fn an_object_that_came_in_part_is_not_taken_for_content() {
    let rig = Rig::of_objects().await;
    cut_short(&rig, Trouble::StoresAndHangs).await;
    let path = rig.objects.path(&rig.object_names().await[0]);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    rig.clock.advance(Duration::from_mins(1));
    assert_eq!(rig.sweep().await.aborted, 1);
    assert!(rig.object_names().await.is_empty());
}

#[tokio::test]
async fn while_the_objects_are_away_a_cut_store_is_left_for_the_next_sweep() {
    let rig = Rig::of_objects().await;
    cut_short(&rig, Trouble::StoresAndHangs).await;
    rig.clock.advance(Duration::from_mins(1));
    rig.objects.set(Some(Trouble::NoGet));
    let swept = rig.sweep().await;
    assert_eq!((swept.failed, swept.aborted, swept.finished), (1, 0, 0));
    rig.objects.set(None);
    assert_eq!(rig.sweep().await.finished, 1);
    rig.assert_sound().await;
}

#[tokio::test]
async fn asking_twice_under_one_id_holds_once() {
    for rig in [Rig::new().await, Rig::of_objects().await] {
        let hold = rig.a_hold("one", "agent-1").await;
        let first = rig.vault.hold(hold.clone()).await.unwrap();
        assert_eq!(rig.vault.hold(hold).await.unwrap(), first);
        assert_eq!(rig.count("quarantine_records").await, 1);
        assert_eq!(rig.log.events().await.len(), 1);
    }
}

#[tokio::test]
async fn what_no_row_knows_is_found_and_deleted_only_when_told() {
    let rig = Rig::of_objects().await;
    let (kept, stray) = (rig.hold("one").await, ObjectKey::fresh(rig.clock.now()));
    rig.objects.put_new(&stray, b"stray".to_vec()).await.unwrap();
    let found = rig.vault.reconcile(false).await.unwrap();
    assert_eq!(
        (found.orphans, found.condemned, found.objects, found.rows),
        (vec![stray.to_string()], 0, 2, 1)
    );
    rig.sweep().await;
    assert_eq!(rig.object_names().await.len(), 2);
    assert_eq!(rig.vault.reconcile(true).await.unwrap().condemned, 1);
    rig.sweep().await;
    assert_eq!(rig.object_names().await.len(), 1);
    rig.assert_sound().await;
    let path = rig.objects.path(&rig.object_names().await[0]);
    std::fs::remove_file(path).unwrap();
    assert_eq!(rig.vault.reconcile(false).await.unwrap().missing, [kept]);
    assert_eq!(code(rig.text_of(kept).await), "quarantine/object-missing");
}
