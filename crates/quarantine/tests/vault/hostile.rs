//! Texts from people who mean harm, and ids of things that are not there.

use clawexchange_quarantine::{Filter, Note, Reason, Status};
use clawexchange_ssg_core::{AgentId, ContentEnvelope, PageLimit, Quarantine as _, QuarantineId, SourceId};

use crate::rig::{Rig, ann, code, note};

#[tokio::test]
async fn hostile_reasons_and_purposes_are_refused_before_anything_happens() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let long = "x".repeat(10 << 10);
    for bad in ["", "a\0b", "\u{1b}]0;owned\u{7}", "line\nforged: line", "\u{202e}txt.exe", long.as_str()] {
        assert_eq!(code(Note::new(bad)), "quarantine/text", "{bad:?}");
    }
    let longest = Note::new(&"ü".repeat(500)).unwrap();
    rig.vault.delete(id, &ann(), Reason::PolicyViolation, Some(&longest), false).await.unwrap();
    rig.vault.restore(id, &ann(), &note("'); DROP TABLE quarantine_records; --")).await.unwrap();
    let record = rig.vault.show(id).await.unwrap();
    assert_eq!(record.review_notes.as_deref(), Some("'); DROP TABLE quarantine_records; --"));
    rig.assert_sound().await;
}

#[tokio::test]
async fn content_full_of_what_databases_and_terminals_fear_comes_back_as_it_was() {
    let rig = Rig::new().await;
    let texts = [
        "'; DROP TABLE quarantine_records; --".to_owned(),
        "\u{1b}[2J\u{7}\u{8}".to_owned(),
        "\u{202e}\u{200b}\u{feff}\u{e0041}".to_owned(),
        "{\"text\":\"nested\"}".to_owned(),
        "\u{10ffff}".repeat(30_000),
    ];
    for (n, text) in texts.iter().enumerate() {
        let id = rig.hold_by(text, &format!("agent-{n}")).await.unwrap().id;
        assert!(rig.text_of(id).await.unwrap() == format!("flag-hold {text}"), "text {n}");
    }
    rig.assert_sound().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_any_door() {
    let rig = Rig::new().await;
    let (id, why) = (QuarantineId::fresh(), note("why"));
    assert_eq!(code(rig.vault.show(id).await), "quarantine/not-found");
    assert_eq!(code(rig.vault.release(id, &ann(), Reason::default(), None).await), "quarantine/not-found");
    assert_eq!(
        code(rig.vault.delete(id, &ann(), Reason::default(), None, true).await),
        "quarantine/not-found"
    );
    assert_eq!(code(rig.vault.restore(id, &ann(), &why).await), "quarantine/not-found");
    assert_eq!(code(rig.vault.grant(id, &ann(), &why).await), "quarantine/not-found");
    assert_eq!(code(rig.vault.place_legal_hold(id, &ann(), &why).await), "quarantine/not-found");
    assert_eq!(code(rig.vault.lift_legal_hold(id, &ann(), &why).await), "quarantine/not-found");
    let mut filter = Filter::default();
    filter.agent = Some(AgentId::new("nobody").unwrap());
    filter.source = Some(SourceId::new("nothing").unwrap());
    filter.status = Some(Status::Expired);
    assert!(rig.vault.list(&filter, None, PageLimit::default()).await.unwrap().items.is_empty());
    assert!(rig.log.events().await.is_empty());
}

#[tokio::test]
async fn nothing_of_held_content_stands_in_any_debug_text_or_event() {
    let rig = Rig::new().await;
    let hold = rig.a_hold("the secret text", "agent-1").await;
    let id = rig.vault.hold(hold.clone()).await.unwrap().id;
    let grant = rig.vault.grant(id, &ann(), &note("check")).await.unwrap();
    let opened = rig.vault.open(&ann(), &grant.token).await.unwrap();
    assert_eq!(ContentEnvelope::from_json(&opened.content).unwrap().text(), "flag-hold the secret text");
    let mut all = format!("{hold:?} {opened:?} {:?} {grant:?}", rig.vault);
    for event in rig.log.events().await {
        all.push_str(&String::from_utf8(event.to_json()).unwrap());
    }
    assert!(!all.contains("secret text"), "{all}");
}
