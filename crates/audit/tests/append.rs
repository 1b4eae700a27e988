//! What is acknowledged is in the log once, in order, and nobody who must not be named is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/log.rs"]
#[expect(dead_code, unreachable_pub, reason = "each test uses a part of it")]
mod support;

use std::time::Duration;

use clawexchange_audit::{Log, Query};
use clawexchange_database::outbox;
use clawexchange_ssg_core::{
    Actor, ActorType, AuditEvent, Clock as _, EventKind, PageLimit, Target, testing,
};
use support::fixture;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_an_audit_sink() {
    let f = fixture().await;
    let read = || async {
        let page = f.log.query(&Query::default(), None, PageLimit::default()).await.unwrap();
        page.items.iter().map(|e| e.event_type.parse().unwrap()).collect()
    };
    testing::audit_sink_conforms(f.log.clone(), read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_make_one_chain_without_gap_or_double() {
    let f = fixture().await;
    let events: Vec<_> = (0..400)
        .map(|n| {
            let kind = if n % 4 == 0 { EventKind::SsgBlock } else { EventKind::SsgPass };
            f.event(kind, &format!("agent-{}", n % 7), &format!("post-{n}"))
        })
        .collect();
    let ids: std::collections::BTreeSet<String> = events.iter().map(|e| e.id().to_string()).collect();
    let tasks: Vec<_> = events
        .into_iter()
        .map(|event| {
            let log = f.log.clone();
            tokio::spawn(async move { log.append(event).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let mut found = std::collections::BTreeSet::new();
    for (log, size) in [(Log::Decisions, 100), (Log::Verdicts, 300)] {
        let entries = f.log.read_from(log, 0, 1000).await.unwrap();
        assert_eq!(entries.iter().map(|e| e.index).collect::<Vec<_>>(), (0..size).collect::<Vec<_>>());
        found.extend(entries.into_iter().map(|e| e.id));
    }
    assert_eq!(found, ids);
    let report = f.verify().await;
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    assert_eq!((report.decisions, report.verdicts), (100, 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_moves_into_the_log_exactly_once() {
    let f = fixture().await;
    for n in 0..30 {
        let tx = f.db.begin().await.unwrap();
        outbox::put(&tx, &f.event(EventKind::SsgQuarantine, "agent-1", &format!("post-{n}"))).await.unwrap();
        tx.commit().await.unwrap();
    }
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let log = f.log.clone();
            tokio::spawn(async move { log.drain_outbox().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(f.log.size(Log::Decisions).await.unwrap(), 30);
    assert_eq!(outbox::depth(&f.db).await.unwrap().waiting, 0);
    assert!(f.verify().await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_owners_and_reasons_stand_nowhere_in_clear_but_in_the_table_of_subjects() {
    use clawexchange_database::Statements as _;
    let f = fixture().await;
    f.log.append(f.event(EventKind::SsgBlock, "agent-secret-name", "post-1")).await.unwrap();
    let reason = AuditEvent::new(EventKind::HumanDelete, Actor::human("os:ann").unwrap(), f.clock.now())
        .with_personal("notes", "Bob Miller asked for it")
        .unwrap();
    f.log.append(reason).await.unwrap();
    let rows = f.db.read().rows("SELECT * FROM audit_logs", []).await.unwrap();
    for row in rows {
        let leaf = String::from_utf8(row.get::<Vec<u8>>("leaf").unwrap()).unwrap();
        let seen = format!("{leaf} {}", row.get::<String>("actor_id").unwrap());
        for name in ["agent-secret-name", "owner-of-all", "Bob Miller"] {
            assert!(!seen.contains(name), "{seen}");
        }
        assert!(!seen.contains("203.0.113.77"));
    }
    let page = f.log.query(&Query::default(), None, PageLimit::default()).await.unwrap();
    assert_eq!(page.items[1].actor_id, "agent-secret-name", "who may read the log sees the name");
    assert_eq!(page.items[1].metadata["owner"], "owner-of-all");
    assert_eq!(page.items[1].ip_address.as_deref(), Some("203.0.113.0"));
    assert_eq!(page.items[0].metadata["notes"], "Bob Miller asked for it");
    assert_eq!(page.items[0].actor_id, "os:ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_subject_stays_an_alias_and_the_chain_stays_whole() {
    let f = fixture().await;
    f.fill().await;
    let mut query = Query::default();
    query.actor = Some("agent-0".to_owned());
    let before = f.log.query(&query, None, PageLimit::default()).await.unwrap().items;
    assert_eq!(before.len(), 2);
    let alias = alias_of(&f, "agent:agent-0").await;
    let tx = f.db.begin().await.unwrap();
    tx.execute("DELETE FROM audit_subjects WHERE subject_id = 'agent:agent-0'", []).await.unwrap();
    let erased = AuditEvent::new(EventKind::SubjectErased, Actor::human("os:ann").unwrap(), f.clock.now());
    outbox::put(&tx, &erased.on(Target::new("subject", &alias))).await.unwrap();
    tx.commit().await.unwrap();
    f.log.drain_outbox().await.unwrap();
    assert!(f.log.query(&query, None, PageLimit::default()).await.unwrap().items.is_empty());
    query.actor = Some(format!("erased:{alias}"));
    assert_eq!(f.log.query(&query, None, PageLimit::default()).await.unwrap().items.len(), 2);
    // Whoever remembered the alias does not use it any more.
    f.log.append(f.event(EventKind::SsgPass, "agent-0", "after")).await.unwrap();
    assert_ne!(alias_of(&f, "agent:agent-0").await, alias);
    query.actor = Some("agent-0".to_owned());
    assert_eq!(f.log.query(&query, None, PageLimit::default()).await.unwrap().items.len(), 1);
    let report = f.verify().await;
    assert!(report.is_clean(), "{:?}", report.discrepancies);
}

async fn alias_of(f: &support::Fixture, subject: &str) -> String {
    use clawexchange_database::Statements as _;
    let row =
        f.db.read()
            .row("SELECT ref FROM audit_subjects WHERE subject_id = $1", [subject.into()])
            .await
            .unwrap();
    row.unwrap().get("ref").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_narrows_and_pages_neither_skip_nor_repeat() {
    let f = fixture().await;
    f.fill().await;
    let all = f.log.query(&Query::default(), None, PageLimit::default()).await.unwrap().items;
    assert!(all.windows(2).all(|w| w[0].created_at > w[1].created_at), "newest first");
    let count = |query: Query| {
        let log = f.log.clone();
        async move { log.query(&query, None, PageLimit::default()).await.unwrap().items.len() }
    };
    let with = |set: &dyn Fn(&mut Query)| {
        let mut query = Query::default();
        set(&mut query);
        query
    };
    for (wanted, query) in [
        (6, Query::default()),
        (3, with(&|q| q.log = Some(Log::Verdicts))),
        (3, with(&|q| q.kinds = vec![EventKind::SsgBlock])),
        (6, with(&|q| q.kinds = vec![EventKind::SsgBlock, EventKind::SsgPass])),
        (0, with(&|q| q.kinds = vec![EventKind::HumanDelete])),
        (2, with(&|q| q.actor = Some("agent-1".to_owned()))),
        (0, with(&|q| q.actor = Some("nobody".to_owned()))),
        (6, with(&|q| q.actor_type = Some(ActorType::Agent))),
        (0, with(&|q| q.actor_type = Some(ActorType::Human))),
        (1, with(&|q| q.target = Some("post-4".to_owned()))),
        (6, with(&|q| q.target_type = Some("content".to_owned()))),
        (2, with(&|q| q.since = Some(all[1].created_at))),
        (5, with(&|q| q.until = Some(all[1].created_at))),
        (1, with(&|q| (q.since, q.until) = (Some(all[1].created_at), Some(all[1].created_at)))),
    ] {
        assert_eq!(count(query.clone()).await, wanted, "{query:?}");
    }
    let (mut paged, mut cursor) = (Vec::new(), None);
    loop {
        let limit = PageLimit::new(4).unwrap();
        let page = f.log.query(&Query::default(), cursor.as_ref(), limit).await.unwrap();
        // What comes in between moves no page.
        f.log.append(f.event(EventKind::SsgPass, "late", "late")).await.unwrap();
        paged.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_one_who_acts_under_two_names_are_in_order_and_whole() {
    let f = fixture().await;
    for n in 0..9 {
        f.log.append(f.event(EventKind::SsgPass, "somebody-else", &format!("post-{n}"))).await.unwrap();
        let mut event = f.event(EventKind::SsgPass, "ann", &format!("post-{n}"));
        if n % 3 == 0 {
            event = AuditEvent::new(EventKind::HumanDelete, Actor::human("ann").unwrap(), f.clock.now());
        }
        f.log.append(event).await.unwrap();
    }
    let mut query = Query::default();
    query.actor = Some("ann".to_owned());
    let all = f.log.query(&query, None, PageLimit::default()).await.unwrap().items;
    assert_eq!(all.iter().filter(|entry| entry.event_type == EventKind::HumanDelete.as_str()).count(), 3);
    assert!(all.len() == 9 && all.windows(2).all(|w| w[0].created_at >= w[1].created_at), "{all:?}");
    let (mut paged, mut cursor) = (Vec::new(), None);
    loop {
        let page = f.log.query(&query, cursor.as_ref(), PageLimit::new(2).unwrap()).await.unwrap();
        paged.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_loses_nothing_of_the_others() {
    let f = fixture().await;
    let mut impatient = Vec::new();
    for n in 0..20 {
        let append = f.log.append(f.event(EventKind::SsgBlock, "agent-1", &format!("post-{n}")));
        impatient.push(tokio::time::timeout(Duration::ZERO, append).await.is_err());
    }
    f.log.append(f.event(EventKind::SsgBlock, "agent-1", "last")).await.unwrap();
    f.log.drain_outbox().await.unwrap();
    assert!(f.log.size(Log::Decisions).await.unwrap() >= 1);
    assert!(f.verify().await.is_clean());
}
