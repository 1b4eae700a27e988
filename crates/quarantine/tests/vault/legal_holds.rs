//! Legal holds keep content, whatever else is decided or due.

use clawexchange_quarantine::{Reason, Status};
use clawexchange_ssg_core::EventKind;

use crate::rig::{Rig, ann, code, note};

#[tokio::test]
async fn a_legal_hold_keeps_content_from_deletion_expiry_and_shredding() {
    let rig = Rig::of_objects().await;
    let (id, released) = (rig.hold("one").await, rig.hold("two").await);
    rig.vault.place_legal_hold(id, &ann(), &note("case 7")).await.unwrap();
    rig.vault.place_legal_hold(released, &ann(), &note("case 8")).await.unwrap();
    assert!(rig.vault.is_under_legal_hold(id).await.unwrap());
    assert_eq!(code(rig.vault.place_legal_hold(id, &ann(), &note("again")).await), "quarantine/legal-hold");
    for now in [false, true] {
        let deleted = rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, now).await;
        assert_eq!(code(deleted), "quarantine/legal-hold");
    }
    rig.vault.release(released, &ann(), Reason::default(), None).await.unwrap();
    rig.pass(1000);
    let swept = rig.sweep().await;
    assert_eq!((swept.expired, swept.shredded, swept.failed), (0, 0, 0));
    assert_eq!(rig.text_of(id).await.unwrap(), "flag-hold one");
    assert_eq!(rig.text_of(released).await.unwrap(), "flag-hold two");
    rig.assert_sound().await;
    rig.vault.lift_legal_hold(id, &ann(), &note("case closed")).await.unwrap();
    rig.vault.lift_legal_hold(released, &ann(), &note("case closed")).await.unwrap();
    assert_eq!(code(rig.vault.lift_legal_hold(id, &ann(), &note("again")).await), "quarantine/no-legal-hold");
    let swept = rig.sweep().await;
    assert_eq!((swept.expired, swept.shredded), (1, 1), "what was due is due again");
    rig.vault.place_legal_hold(id, &ann(), &note("case 7 again")).await.unwrap();
    assert_eq!(code(rig.vault.place_legal_hold(released, &ann(), &note("late")).await), "quarantine/gone");
    let kinds = rig.kinds(id).await;
    assert_eq!(kinds.iter().filter(|k| **k == EventKind::HoldPlaced).count(), 2);
    assert_eq!(kinds.iter().filter(|k| **k == EventKind::HoldLifted).count(), 1);
    rig.assert_sound().await;
}

#[tokio::test]
async fn content_that_was_deleted_and_is_then_held_can_still_be_brought_back() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, false).await.unwrap();
    rig.vault.place_legal_hold(id, &ann(), &note("case 7")).await.unwrap();
    rig.pass(500);
    rig.sweep().await;
    assert_eq!(
        code(rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, true).await),
        "quarantine/legal-hold"
    );
    let record = rig.vault.restore(id, &ann(), &note("for the court")).await.unwrap();
    assert_eq!(record.status, Status::UnderReview);
    rig.assert_sound().await;
}

#[tokio::test]
async fn the_database_itself_keeps_the_key_of_held_content() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.vault.place_legal_hold(id, &ann(), &note("case 7")).await.unwrap();
    assert!(!rig.try_sql("DELETE FROM encryption_keys").await);
}
