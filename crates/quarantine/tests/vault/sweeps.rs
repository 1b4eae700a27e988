//! What time does.

use clawexchange_quarantine::{Reason, Status, SweepReport};
use clawexchange_ssg_core::EventKind;

use crate::rig::{Rig, Trouble, ann, code, note};

#[tokio::test]
async fn what_nobody_decides_expires_after_seventy_two_hours_and_is_gone_a_day_later() {
    let rig = Rig::of_objects().await;
    let id = rig.hold("one").await;
    rig.pass(71);
    assert_eq!(rig.sweep().await.expired, 0);
    rig.pass(1);
    assert_eq!(rig.sweep().await.expired, 1);
    assert_eq!(rig.vault.show(id).await.unwrap().status, Status::Expired);
    assert_eq!(code(rig.text_of(id).await), "quarantine/not-shown");
    assert_eq!(rig.object_names().await.len(), 1, "for a day it can be brought back");
    rig.pass(24);
    let swept = rig.sweep().await;
    assert_eq!((swept.shredded, swept.objects_deleted), (1, 1));
    assert!(rig.object_names().await.is_empty());
    let events = rig.log.events().await;
    assert!(
        events[1..].iter().all(|e| e.actor().id.as_str() == "sweep" && e.actor().kind.as_str() == "system")
    );
    assert_eq!(
        rig.kinds(id).await,
        [EventKind::SsgQuarantine, EventKind::RecordExpired, EventKind::RecordPurged]
    );
    assert_eq!(rig.sweep().await, SweepReport::default(), "a sweep with nothing to do does nothing");
    rig.assert_sound().await;
}

#[tokio::test]
async fn what_expired_can_be_brought_back_and_has_its_time_again() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.pass(72);
    rig.sweep().await;
    rig.vault.restore(id, &ann(), &note("still needed")).await.unwrap();
    rig.pass(71);
    rig.sweep().await;
    assert_eq!(rig.vault.show(id).await.unwrap().status, Status::UnderReview);
    rig.pass(1);
    assert_eq!(rig.sweep().await.expired, 1, "review, too, has an end");
    rig.assert_sound().await;
}

#[tokio::test]
async fn what_somebody_is_looking_at_does_not_expire_under_them() {
    use clawexchange_ssg_core::Clock as _;
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.pass(72);
    let lease = rig.clock.now().plus(std::time::Duration::from_mins(10)).as_micros();
    rig.sql(&format!("UPDATE quarantine_records SET claimed_by = 'ann', lease_until = {lease}, fence = 1"))
        .await;
    assert_eq!(rig.discrepancies().await, Vec::<String>::new(), "a claim is not part of what the log fixes");
    assert_eq!(rig.sweep().await.expired, 0);
    rig.clock.advance(std::time::Duration::from_mins(10));
    assert_eq!(rig.sweep().await.expired, 1, "a lease that ran out holds nothing up");
    assert_eq!(rig.vault.show(id).await.unwrap().status, Status::Expired);
}

#[tokio::test]
async fn a_sweep_is_bounded_and_says_that_there_is_more() {
    use clawexchange_ssg_core::Clock as _;
    let rig = Rig::new().await;
    for n in 0..5 {
        rig.hold(&format!("number {n}")).await;
    }
    rig.pass(72);
    let two = 2.try_into().unwrap();
    let mut expired = Vec::new();
    for _ in 0..4 {
        let swept = rig.vault.sweep(two, None).await.unwrap();
        expired.push((swept.expired, swept.more));
    }
    assert_eq!(expired, [(2, true), (2, true), (1, false), (0, false)]);
    rig.pass(24);
    let late = rig.clock.now().minus(std::time::Duration::from_secs(1));
    let swept = rig.vault.sweep(two, Some(late)).await.unwrap();
    assert_eq!((swept.shredded, swept.more), (0, true), "nothing is begun after its time");
    rig.assert_sound().await;
}

#[tokio::test]
async fn an_object_that_cannot_be_deleted_is_tried_again_and_its_content_is_gone_all_the_same() {
    let rig = Rig::of_objects().await;
    let id = rig.hold("one").await;
    rig.objects.set(Some(Trouble::NoDelete));
    rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, true).await.unwrap();
    assert_eq!(rig.count("encryption_keys").await, 0);
    let swept = rig.sweep().await;
    assert_eq!((swept.objects_deleted, swept.failed), (0, 1));
    rig.objects.set(None);
    assert_eq!(rig.sweep().await.objects_deleted, 0, "not at once");
    rig.clock.advance(std::time::Duration::from_secs(2));
    assert_eq!(rig.sweep().await.objects_deleted, 1);
    assert_eq!(rig.count("quarantine_tombstones").await, 0);
    rig.assert_sound().await;
}

#[tokio::test]
async fn grants_are_forgotten_a_day_after_they_stopped_opening() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.vault.grant(id, &ann(), &note("check")).await.unwrap();
    rig.pass(24);
    assert_eq!(rig.sweep().await.grants_forgotten, 0);
    rig.pass(1);
    assert_eq!(rig.sweep().await.grants_forgotten, 1);
    assert_eq!(rig.count("quarantine_grants").await, 0);
}

#[tokio::test]
async fn what_is_due_can_be_counted_without_doing_it() {
    let rig = Rig::of_objects().await;
    let (released, _) = (rig.hold("one").await, rig.hold("two").await);
    rig.vault.release(released, &ann(), Reason::default(), None).await.unwrap();
    rig.pass(72);
    let due = rig.vault.due().await.unwrap();
    assert_eq!((due.to_expire, due.to_settle, due.to_shred, due.to_delete), (1, 0, 1, 0));
    assert_eq!(rig.vault.due().await.unwrap(), due, "counting changes nothing");
    let swept = rig.sweep().await;
    assert_eq!((swept.expired, swept.shredded), (1, 1));
    assert_eq!(rig.vault.due().await.unwrap().to_expire, 0);
}
