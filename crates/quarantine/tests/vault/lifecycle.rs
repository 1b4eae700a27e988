//! Held, listed, released, deleted, brought back.

use clawexchange_quarantine::{BlobState, Filter, KeyRing, Reason, Status, VaultConfig};
use clawexchange_ssg_core::testing::quarantine_conforms;
use clawexchange_ssg_core::{
    Actor, AgentId, ContentEnvelope, EventKind, OwnerId, PageLimit, Quarantine as _, RiskTier, SourceId,
};

use clawexchange_testkit::tamper;

use crate::rig::{Rig, ann, code, note};

async fn conforms(rig: Rig) {
    quarantine_conforms(rig.vault.clone(), rig.clock.clone(), || async {
        let page = rig.vault.list(&Filter::default(), None, PageLimit::default()).await.unwrap();
        let mut held = Vec::new();
        for record in page.items {
            held.push((record.id, rig.text_of(record.id).await.unwrap()));
        }
        held
    })
    .await;
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_vault_is_a_quarantine_with_content_in_rows_and_with_content_as_objects() {
    conforms(Rig::new().await).await;
    conforms(Rig::of_objects().await).await;
}

#[tokio::test]
async fn content_comes_back_byte_for_byte_after_a_restart_whatever_its_size() {
    let temporary = tempfile::tempdir().unwrap();
    let (config, clock) = (VaultConfig::default(), clawexchange_ssg_core::testing::ManualClock::default());
    let rig = Rig::at(temporary.path(), config.clone(), clock.clone()).await;
    let mut held = Vec::new();
    for size in [1, 16_000, 16_384, 65_600, 300_000] {
        let hold = rig.a_hold(&"ä".repeat(size / 2 + 1), &format!("agent-{size}")).await;
        let received = hold.content.received().to_owned();
        held.push((rig.vault.hold(hold).await.unwrap().id, received));
    }
    assert_eq!(rig.object_names().await.len(), 2, "long content lies as objects, short in its row");
    let Rig { db, vault, .. } = rig;
    drop(vault);
    db.close().await.unwrap();
    let rig = Rig::at(temporary.path(), config, clock).await;
    for (id, received) in held {
        let grant = rig.vault.grant(id, &ann(), &note("check")).await.unwrap();
        let opened = rig.vault.open(&ann(), &grant.token).await.unwrap();
        assert!(*opened.content == received.as_bytes());
        assert_eq!(opened.chunks, received.len() as u64 / 16_384 + 1);
        assert_eq!(opened.record.size_bytes, received.len() as u64);
    }
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_record_tells_everything_about_content_and_nothing_of_it() {
    let rig = Rig::new().await;
    let mut hold = rig.a_hold("the secret text", "agent-1").await;
    hold.owner = Some(OwnerId::new("owner-1").unwrap());
    hold.source = Some(SourceId::new("post-1").unwrap());
    let id = rig.vault.hold(hold.clone()).await.unwrap().id;
    let record = rig.vault.show(id).await.unwrap();
    assert_eq!((record.status, record.tier, record.version), (Status::Quarantined, RiskTier::High, 1));
    assert_eq!(record.labels, ["FLAG_HOLD"]);
    assert_eq!(record.inspection_id, hold.assessment.inspection().inspection_id);
    assert_eq!(record.expires_at.since(record.created_at), std::time::Duration::from_hours(72));
    assert_eq!(record.owner_id.as_ref().map(OwnerId::as_str), Some("owner-1"));
    let json = serde_json::to_string(&record).unwrap();
    assert!(
        json.contains("\"patternId\":\"flag-hold\"") && json.contains("\"sourceId\":\"post-1\""),
        "{json}"
    );
    assert!(!json.contains("secret"), "{json}");
    let everything = tamper::everything(&rig.db).await;
    assert!(everything.windows(6).any(|w| w == b"post-1"));
    assert!(!everything.windows(15).any(|w| w == b"the secret text"), "not even in a write-ahead log");
}

#[tokio::test]
async fn released_content_is_readable_for_its_grace_and_then_gone_for_good() {
    for rig in [Rig::new().await, Rig::of_objects().await] {
        let id = rig.hold("one").await;
        let record = rig.vault.release(id, &ann(), Reason::default(), Some(&note("fine"))).await.unwrap();
        assert_eq!((record.status, record.version), (Status::Released, 2));
        assert_eq!(
            (record.reason, record.reviewed_by.as_deref()),
            (Some(Reason::FalsePositive), Some("ann"))
        );
        rig.pass(23);
        rig.sweep().await;
        assert_eq!(rig.text_of(id).await.unwrap(), "flag-hold one");
        rig.pass(1);
        let swept = rig.sweep().await;
        assert_eq!((swept.shredded, swept.failed), (1, 0));
        let record = rig.vault.show(id).await.unwrap();
        assert_eq!((record.status, record.blob_state), (Status::Released, BlobState::Shredded));
        assert_eq!(code(rig.vault.grant(id, &ann(), &note("late")).await), "quarantine/gone");
        assert_eq!(rig.count("encryption_keys").await, 0, "its key is destroyed");
        assert_eq!(rig.count("quarantine_records WHERE content_hmac IS NOT NULL").await, 0);
        assert!(rig.object_names().await.is_empty());
        let (first, rest) = (rig.kinds(id).await[..2].to_vec(), rig.kinds(id).await.pop());
        assert_eq!(first, [EventKind::SsgQuarantine, EventKind::HumanRelease]);
        assert_eq!(rest, Some(EventKind::RecordPurged));
        rig.assert_sound().await;
    }
}

#[tokio::test]
async fn deleted_content_is_refused_at_once_and_can_be_brought_back_while_its_grace_lasts() {
    let rig = Rig::of_objects().await;
    let id = rig.hold("one").await;
    let record = rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, false).await.unwrap();
    assert_eq!(record.status, Status::Deleted);
    assert_eq!(code(rig.text_of(id).await), "quarantine/not-shown");
    assert_eq!(code(rig.vault.release(id, &ann(), Reason::default(), None).await), "quarantine/conflict");
    rig.pass(23);
    rig.sweep().await;
    let record = rig.vault.restore(id, &ann(), &note("by mistake")).await.unwrap();
    assert_eq!((record.status, record.shred_at), (Status::UnderReview, None));
    assert_eq!(record.expires_at.since(record.updated_at), std::time::Duration::from_hours(72));
    assert_eq!(rig.text_of(id).await.unwrap(), "flag-hold one");
    assert_eq!(code(rig.vault.restore(id, &ann(), &note("again")).await), "quarantine/conflict");
    rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, false).await.unwrap();
    rig.pass(24);
    assert_eq!(
        code(rig.vault.restore(id, &ann(), &note("late")).await),
        "quarantine/gone",
        "no sweep needed"
    );
    rig.sweep().await;
    assert_eq!(code(rig.vault.restore(id, &ann(), &note("late")).await), "quarantine/gone");
    assert!(rig.object_names().await.is_empty());
    rig.assert_sound().await;
}

#[tokio::test]
async fn content_deleted_now_has_no_grace() {
    let rig = Rig::new().await;
    let (id, other) = (rig.hold("one").await, rig.hold("two").await);
    let record = rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, true).await.unwrap();
    assert_eq!((record.status, record.blob_state), (Status::Deleted, BlobState::Shredded));
    rig.vault.delete(other, &ann(), Reason::PolicyViolation, None, false).await.unwrap();
    let record = rig.vault.delete(other, &ann(), Reason::PolicyViolation, None, true).await.unwrap();
    assert_eq!(record.blob_state, BlobState::Shredded, "the grace of what is deleted can be ended");
    assert_eq!(rig.count("encryption_keys").await, 0);
    assert_eq!(
        rig.kinds(id).await,
        [EventKind::SsgQuarantine, EventKind::HumanDelete, EventKind::RecordPurged]
    );
    assert_eq!(
        code(rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, true).await),
        "quarantine/conflict"
    );
    rig.assert_sound().await;
}

#[tokio::test]
async fn decisions_are_logged_with_their_reason_and_notes_apart_from_each_other() {
    let rig = Rig::new().await;
    let (one, two) = (rig.hold("one").await, rig.hold("two").await);
    let bot = Actor::new(clawexchange_ssg_core::ActorType::Bot, "triage").unwrap();
    rig.vault.release(one, &bot, Reason::TruePositiveLowRisk, Some(&note("Ann agreed"))).await.unwrap();
    rig.vault.delete(two, &bot, Reason::PolicyViolation, None, false).await.unwrap();
    let events = rig.log.events().await;
    let release = events.iter().find(|e| e.kind() == EventKind::BotRelease).unwrap();
    assert_eq!(release.actor(), &bot);
    assert_eq!(release.meta()["reason"], "TRUE_POSITIVE_LOW_RISK");
    assert_eq!((&release.meta()["status"], &release.meta()["version"]), (&"RELEASED".into(), &2.into()));
    assert_eq!(release.personal()["note"], "Ann agreed");
    assert!(!serde_json::to_string(release.meta()).unwrap().contains("Ann"), "notes are sealed by the log");
    assert!(events.iter().any(|e| e.kind() == EventKind::BotDelete));
    rig.assert_sound().await;
}

#[tokio::test]
async fn the_same_content_of_the_same_agent_is_kept_once_and_each_inspection_is_logged() {
    let rig = Rig::new().await;
    let first = rig.hold("same").await;
    let again = rig.a_hold("same", "agent-1").await;
    let held = rig.vault.hold(again.clone()).await.unwrap();
    assert!(held.is_repeat && held.id == first);
    assert_eq!(rig.vault.hold(again.clone()).await.unwrap(), held, "a lost answer is asked for again");
    assert_ne!(rig.hold_by("same", "agent-2").await.unwrap().id, first, "another agent's is its own");
    let events = rig.log.events().await;
    let repeat = events.iter().find(|e| e.meta().contains_key("repeatOf")).unwrap();
    assert_eq!(repeat.meta()["repeatOf"], first.to_string());
    assert_eq!(repeat.target().unwrap().id, first.to_string());
    assert_eq!(repeat.id(), again.assessment.inspection().inspection_id.into());
    assert_eq!((events.len(), rig.count("quarantine_repeats").await), (3, 1));
    rig.vault.release(first, &ann(), Reason::default(), None).await.unwrap();
    assert_ne!(rig.hold("same").await, first, "once it is decided, it is held anew");
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_repeat_is_recognised_after_the_master_key_was_changed() {
    let rig = Rig::new().await;
    let first = rig.hold("same").await;
    let old = clawexchange_ssg_core::MasterKey::new([7; 32]).unwrap();
    let new = clawexchange_ssg_core::MasterKey::new([8; 32]).unwrap();
    let name = clawexchange_ssg_core::KeyId::new("test").unwrap();
    let keys = KeyRing::from_master(None, new).with(Some(name), old).unwrap();
    let vault = rig.with_keys(keys);
    let held = vault.hold(rig.a_hold("same", "agent-1").await).await.unwrap();
    assert!(held.is_repeat && held.id == first);
    let grant = vault.grant(first, &ann(), &note("check")).await.unwrap();
    let opened = vault.open(&ann(), &grant.token).await.unwrap();
    assert_eq!(ContentEnvelope::from_json(&opened.content).unwrap().text(), "flag-hold same");
}

#[tokio::test]
async fn a_list_shows_the_newest_first_and_pages_by_key() {
    let rig = Rig::new().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(rig.hold(&format!("number {n}")).await);
        if n % 2 == 0 {
            rig.pass(1);
        }
    }
    ids.push(rig.hold_by("other", "agent-2").await.unwrap().id);
    rig.vault.release(ids[3], &ann(), Reason::default(), None).await.unwrap();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page =
            rig.vault.list(&Filter::default(), cursor.as_ref(), PageLimit::new(3).unwrap()).await.unwrap();
        seen.extend(page.items.iter().map(|r| (r.created_at, r.id)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
        // What comes in between moves nothing.
        rig.hold_by(&format!("between {}", seen.len()), "agent-3").await.unwrap();
    }
    assert_eq!(seen.len(), 8);
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    let listed = async |filter: Filter| {
        let page = rig.vault.list(&filter, None, PageLimit::default()).await.unwrap();
        page.items.into_iter().map(|r| r.id).collect::<Vec<_>>()
    };
    let mut filter = Filter::default();
    filter.status = Some(Status::Released);
    assert_eq!(listed(filter.clone()).await, [ids[3]]);
    filter.tier = Some(RiskTier::Critical);
    assert!(listed(filter).await.is_empty());
    let mut filter = Filter::default();
    filter.agent = Some(AgentId::new("agent-2").unwrap());
    assert_eq!(listed(filter).await, [ids[7]]);
    for bad in ["", "1", "x:y", "1:x", "9999999999999999999999:x"] {
        let cursor = clawexchange_ssg_core::Cursor::new(bad);
        let page = rig.vault.list(&Filter::default(), Some(&cursor), PageLimit::default()).await;
        assert_eq!(code(page), "quarantine/cursor", "{bad}");
    }
}

#[tokio::test]
async fn sums_tell_what_waits_and_what_is_kept() {
    let rig = Rig::of_objects().await;
    let (one, two) = (rig.hold("one").await, rig.hold("two").await);
    rig.vault.delete(one, &ann(), Reason::PolicyViolation, None, false).await.unwrap();
    rig.vault.place_legal_hold(two, &ann(), &note("case 7")).await.unwrap();
    let (stats, record) = (rig.vault.stats().await.unwrap(), rig.vault.show(two).await.unwrap());
    assert_eq!((stats.open, stats.open_bytes), (1, record.size_bytes));
    assert_eq!(stats.kept_bytes, 2 * record.size_bytes, "both texts have three letters");
    assert_eq!((stats.by_status[&Status::Deleted], stats.by_status[&Status::Quarantined]), (1, 1));
    assert_eq!((stats.legal_holds, stats.pending, stats.tombstones), (1, 0, 0));
    assert_eq!(stats.oldest_open, Some(record.created_at));
    assert_eq!(stats.keys["test"], 2);
}
