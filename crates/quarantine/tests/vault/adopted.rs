//! Records of another system, whose content nobody can open.

use clawexchange_quarantine::{ADOPTED_POLICY, Adopted, BlobState, Filter, Reason, Status};
use clawexchange_ssg_core::{
    Actor, AuditEvent, Clock as _, ContentType, EventKind, PageLimit, QuarantineId, RiskTier, Timestamp,
};

use crate::rig::{Rig, ann, code, note, platform};

fn record(status: Status) -> Adopted {
    Adopted {
        id: QuarantineId::fresh(),
        status,
        tier: RiskTier::High,
        labels: vec!["AWS_KEY".to_owned()],
        content_type: ContentType::Comment,
        size_bytes: 77,
        source_id: Some("post-1".parse().unwrap()),
        s3_key: None,
        expires_at: Timestamp::UNIX_EPOCH,
        reviewed_by: Some("ann".parse().unwrap()),
        reviewed_at: Some(Timestamp::UNIX_EPOCH),
        review_notes: Some(note("as it was there")),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

async fn adopt(rig: &Rig, record: Adopted) -> &'static str {
    let event = AuditEvent::new(EventKind::Imported, Actor::system("adopt").unwrap(), rig.clock.now());
    let tx = rig.db.begin().await.unwrap();
    match rig.vault.adopt(&tx, record, event).await {
        Ok(()) => {
            tx.commit().await.unwrap();
            "adopted"
        }
        error => code(error),
    }
}

#[tokio::test]
async fn an_adopted_record_is_decided_without_content_and_stays_so() {
    let rig = Rig::new().await;
    for status in [Status::Released, Status::Deleted, Status::Expired] {
        let record = record(status);
        let id = record.id;
        assert_eq!(adopt(&rig, record.clone()).await, "adopted");
        assert_eq!(adopt(&rig, record).await, "quarantine/conflict", "once");
        let shown = rig.vault.show(id).await.unwrap();
        assert_eq!((shown.status, shown.blob_state), (status, BlobState::Shredded));
        assert_eq!((shown.policy.as_str(), shown.version), (ADOPTED_POLICY, 1));
        assert_eq!(code(rig.vault.grant(id, &ann(), &note("to see")).await), "quarantine/never-kept");
        assert_eq!(
            code(rig.vault.release(id, &ann(), Reason::FalsePositive, None).await),
            "quarantine/conflict"
        );
        let fetched = code(rig.vault.fetch_released(id, &platform()).await);
        let is_released = status == Status::Released;
        assert_eq!(fetched, if is_released { "quarantine/never-kept" } else { "quarantine/conflict" });
        let restored = code(rig.vault.restore(id, &ann(), &note("a mistake")).await);
        assert_eq!(restored, if is_released { "quarantine/conflict" } else { "quarantine/never-kept" });
    }
    let stats = rig.vault.stats().await.unwrap();
    assert_eq!((stats.open, stats.kept_bytes), (0, 0));
    assert_eq!(
        rig.vault.list(&Filter::default(), None, PageLimit::new(100).unwrap()).await.unwrap().items.len(),
        3
    );
    rig.pass(1000);
    assert_eq!(rig.sweep().await.shredded, 0);
    rig.assert_sound().await;
}

#[tokio::test]
async fn nothing_undecided_is_adopted_and_no_other_record_begins_without_content() {
    let rig = Rig::new().await;
    for status in [Status::Quarantined, Status::UnderReview] {
        assert_eq!(adopt(&rig, record(status)).await, "quarantine/conflict");
    }
    // By hand, too.
    assert_eq!(adopt(&rig, record(Status::Deleted)).await, "adopted");
    let copied = |status: &str, policy: &str, version: u8| {
        format!(
            "INSERT INTO quarantine_records (id, status, blob_state, tier, labels, matches, policy, content_type, \
             size_bytes, agent_id, inspection_id, hmac_key_id, expires_at, version, state_mac, created_at, updated_at) \
             SELECT '{0}', '{status}', blob_state, tier, labels, matches, '{policy}', content_type, size_bytes, agent_id, \
             '{0}', hmac_key_id, expires_at, {version}, state_mac, created_at, updated_at FROM quarantine_records LIMIT 1",
            QuarantineId::fresh()
        )
    };
    for (status, policy, version) in [
        ("QUARANTINED", "adopted", 1),
        ("UNDER_REVIEW", "adopted", 1),
        ("DELETED", "pack@1", 1),
        ("DELETED", "adopted", 2),
    ] {
        assert!(!rig.try_sql(&copied(status, policy, version)).await, "{status} {policy} {version}");
    }
    assert!(rig.try_sql(&copied("DELETED", "adopted", 1)).await, "and that is what was refused");
}
