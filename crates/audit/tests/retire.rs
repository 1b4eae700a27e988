//! Old events leave the database; what stays verifies, and what left can still be proved.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/log.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is shared between tests")]
mod support;

use clawexchange_audit::{AuditError, ExportCheck, ExportedTo, LeafAt, Log, verify_consistency};
use clawexchange_database::{Dialect, STATE, STATE_CONTEXT, StateRow};
use clawexchange_ssg_core::{
    Actor, AuditEvent, Clock as _, EventKind, Fault as _, FaultKind, KeyProvider as _, Target, Timestamp,
};
use support::{Fixture, Rows, TestKeys, fixture};

/// 2020-01-15: what is appended then is old.
const OLD: Timestamp = Timestamp::from_micros(1_579_046_400_000_000);
/// 2020-03-01: what was appended before leaves.
const BEFORE: Timestamp = Timestamp::from_micros(1_583_020_800_000_000);

/// Sets the clock that commits go by: that of the process, or on PostgreSQL that of the server, which a function asks.
async fn set_clock(f: &Fixture, at: Option<Timestamp>) {
    if f.db.dialect() == Dialect::Sqlite {
        f.clock.set(at.unwrap_or(Timestamp::from_micros(1_700_000_000_000_000)));
        return;
    }
    let now = at.map_or("floor(extract(epoch FROM clock_timestamp()) * 1000000)".to_owned(), |at| {
        at.as_micros().to_string()
    });
    let tx = f.db.begin().await.unwrap();
    let sql = format!(
        "CREATE OR REPLACE FUNCTION audit_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS $$SELECT CAST({now} AS BIGINT)$$"
    );
    tx.execute(&sql, []).await.unwrap();
    tx.commit().await.unwrap();
}

/// So many old events of both logs in batches of some, and as many new ones behind them.
async fn filled(old: usize, new: usize) -> Fixture {
    let f = fixture().await;
    set_clock(&f, Some(OLD)).await;
    append(&f, "old", old).await;
    set_clock(&f, None).await;
    append(&f, "new", new).await;
    for log in Log::ALL {
        f.log.checkpoint(log).await.unwrap();
    }
    f.log.pin().await.unwrap();
    f
}

async fn append(f: &Fixture, name: &str, n: usize) {
    let mut events = Vec::new();
    for i in 0..n {
        let kind = [EventKind::SsgBlock, EventKind::SsgPass];
        for kind in kind {
            let agent = format!("agent-{}", i % 5);
            let actor = Actor::agent(clawexchange_ssg_core::AgentId::new(agent).unwrap());
            events.push(
                AuditEvent::new(kind, actor, f.clock.now()).on(Target::new("content", format!("{name}-{i}"))),
            );
        }
    }
    for some in events.chunks(70) {
        f.log.append_all(some.to_vec()).await.unwrap();
    }
}

fn line(leaf: &LeafAt) -> Vec<u8> {
    let hash = leaf.hash.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let text = String::from_utf8(leaf.leaf.clone()).unwrap();
    let mut line =
        serde_json::to_vec(&serde_json::json!({"index": leaf.index, "leafHash": hash, "leaf": text}))
            .unwrap();
    line.push(b'\n');
    line
}

async fn leaves(f: &Fixture, log: Log, from: u64, to: u64) -> Vec<LeafAt> {
    let mut leaves: Vec<LeafAt> = Vec::new();
    while from + (leaves.len() as u64) < to {
        leaves.extend(f.log.leaves(log, from + leaves.len() as u64, 100).await.unwrap());
    }
    leaves.truncate(usize::try_from(to - from).unwrap());
    leaves
}

async fn exported(f: &Fixture, log: Log, leaves: &[LeafAt]) -> Result<ExportedTo, AuditError> {
    let mut check = ExportCheck::new(&f.log, Some(log));
    for leaf in leaves {
        check.line(&line(leaf)).await?;
    }
    check.finish("export.jsonl")
}

/// Retires what is old of a log, without taking the rows away.
async fn announced(f: &Fixture, log: Log) -> Vec<LeafAt> {
    let leaving = f.log.leaving(log, BEFORE).await.unwrap();
    let leaves = leaves(f, log, leaving.from, leaving.to).await;
    let export = exported(f, log, &leaves).await.unwrap();
    f.log.announce(&leaving, &export, &Actor::human("ann").unwrap()).await.unwrap();
    leaves
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_is_proved_by_its_hash_and_what_stays_verifies() {
    let f = filled(300, 90).await;
    let was: Vec<_> = [f.log.checkpoint(Log::Decisions).await.unwrap()].into();
    for log in Log::ALL {
        let left = announced(&f, log).await;
        assert_eq!(left.len(), 300, "whole months and nothing else");
        let report = f.verify().await;
        assert!(report.is_clean(), "{:?}", report.discrepancies);
        assert_eq!(report.not_removed, 300, "said, and not yet done");
        assert_eq!(f.log.remove_retired(log).await.unwrap(), 300);
        assert_eq!(f.log.remove_retired(log).await.unwrap(), 0, "once");
        f.log.checkpoint(log).await.unwrap();
        let report = f.verify().await;
        assert!(report.is_clean(), "{:?}", report.discrepancies);
        assert_eq!(report.not_removed, 0);
        for leaf in left.iter().step_by(37) {
            let proof = f.log.prove(log, leaf.index).await.unwrap();
            let verifier = f.log.checkpoint(log).await.unwrap().verifier;
            proof.verify(&leaf.leaf, &verifier).unwrap();
            let mut other = leaf.leaf.clone();
            *other.last_mut().unwrap() ^= 1;
            assert!(proof.verify(&other, &verifier).is_err(), "an altered leaf is not proved");
            let gone = f.log.leaves(log, leaf.index, 10).await.unwrap_err();
            assert_eq!((gone.kind(), gone.code()), (FaultKind::NotFound, "audit/retired"));
        }
        // The export is still what the log hashed, and an altered one is not.
        exported(&f, log, &left).await.unwrap();
        let mut altered = left.clone();
        altered[7].leaf = altered[8].leaf.clone();
        assert_eq!(exported(&f, log, &altered).await.unwrap_err().kind(), FaultKind::Integrity);
        let mut swapped = left.clone();
        swapped.remove(7);
        assert_eq!(exported(&f, log, &swapped).await.unwrap_err().kind(), FaultKind::Integrity);
    }
    assert_eq!(f.verify().await.retired, 600);
    // The log goes on from there, in a tile of which a part is gone.
    append(&f, "later", 40).await;
    for log in Log::ALL {
        f.log.checkpoint(log).await.unwrap();
    }
    let extension = f.log.prove_extends(Log::Decisions, was[0].size()).await.unwrap();
    let (from, root) = (extension.from, was[0].root());
    verify_consistency(from, root, extension.to.size(), extension.to.root(), &extension.hashes).unwrap();
    let report = f.verify().await;
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    assert_eq!(report.extends_pin, Some(true));
    // And there is nothing more that is old.
    let leaving = f.log.leaving(Log::Verdicts, BEFORE).await.unwrap();
    assert_eq!((leaving.from, leaving.to, leaving.until), (300, 300, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_shorter_than_a_tile_can_leave_whole() {
    let f = filled(9, 0).await;
    announced(&f, Log::Verdicts).await;
    assert_eq!(f.log.remove_retired(Log::Verdicts).await.unwrap(), 9);
    append(&f, "later", 3).await;
    f.log.checkpoint(Log::Verdicts).await.unwrap();
    let report = f.verify().await;
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    assert_eq!((report.verdicts, report.retired), (12, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_last_event_left_stay_fixed() {
    let f = fixture().await;
    set_clock(&f, Some(OLD)).await;
    let row = |id: &str, state: &str| StateRow::new("things", Target::new("thing", id), state.into());
    let rows = Rows(vec![row("a", "1"), row("b", "2")]);
    for (id, state) in [("a", "0"), ("a", "1"), ("b", "2")] {
        let keys = TestKeys::default();
        let code = keys.mac(&keys.active(), STATE_CONTEXT, state.as_bytes()).await.unwrap();
        let event = AuditEvent::new(EventKind::ConfigChanged, Actor::human("ann").unwrap(), f.clock.now())
            .on(Target::new("thing", id))
            .with(STATE, code.to_string())
            .unwrap();
        f.log.append(event).await.unwrap();
    }
    set_clock(&f, None).await;
    append(&f, "new", 2).await;
    f.log.checkpoint(Log::Decisions).await.unwrap();
    announced(&f, Log::Decisions).await;
    assert_eq!(f.log.remove_retired(Log::Decisions).await.unwrap(), 3);
    let report = f.log.verify(&[&rows], &|_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    assert_eq!(report.state_rows, 2);
    let edited = Rows(vec![row("a", "0"), row("b", "2")]);
    let report = f.log.verify(&[&edited], &|_, _| {}).await.unwrap();
    assert!(report.discrepancies.iter().any(|d| d.place.contains("things a")), "{:?}", report.discrepancies);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_checkpoint_covers_is_not_retired() {
    let f = fixture().await;
    set_clock(&f, Some(OLD)).await;
    append(&f, "old", 5).await;
    let leaving = f.log.leaving(Log::Verdicts, BEFORE).await.unwrap();
    let export = ExportedTo {
        name: "e".to_owned(),
        log: Log::Verdicts,
        from: 0,
        to: 5,
        bytes: 1,
        sha256: "00".to_owned(),
    };
    let refused = f.log.announce(&leaving, &export, &Actor::human("ann").unwrap()).await.unwrap_err();
    assert_eq!(refused.code(), "audit/not-reached");
    assert_eq!(f.log.remove_retired(Log::Verdicts).await.unwrap(), 0, "nothing said so");
    set_clock(&f, None).await;
    assert!(f.verify().await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_went_without_being_retired_are_missed() {
    // Without a word, and with a word by who has not the key.
    for is_said in [false, true] {
        let f = filled(20, 5).await;
        if is_said {
            let event = AuditEvent::new(EventKind::LogRetired, Actor::human("eve").unwrap(), f.clock.now())
                .on(Target::new("log", "verdicts"))
                .with("endDecisions", 0)
                .unwrap()
                .with("endVerdicts", 20)
                .unwrap()
                .with("code", format!("test:{}", "00".repeat(32)))
                .unwrap();
            f.log.append(event).await.unwrap();
        }
        f.tamper(&["DELETE FROM audit_logs WHERE log = 'verdicts' AND created_us < 1600000000000000 OR log = 'verdicts' \
                    AND batch_id IN (SELECT batch_id FROM audit_batches WHERE log = 'verdicts' AND start_index < 20)"])
            .await;
        let report = f.verify().await;
        let found: Vec<&str> = report.discrepancies.iter().map(|d| d.what.as_str()).collect();
        assert!(found.iter().any(|what| what.starts_with("0 events are there")), "{found:?}");
        assert_eq!(found.iter().any(|what| what.contains("no code of the key")), is_said, "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_stays_of_retired_events_is_found() {
    for edit in [
        "UPDATE audit_tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) \
         WHERE log = 'verdicts' AND level = 0 AND tile_index = 0",
        "DELETE FROM audit_tiles WHERE log = 'verdicts' AND level = 0",
        "DELETE FROM audit_batches WHERE log = 'verdicts' AND start_index = 0",
        "UPDATE audit_batches SET n = n + 1 WHERE log = 'verdicts' AND start_index = 0",
        // One more than was said.
        "DELETE FROM audit_logs WHERE log = 'verdicts' AND batch_id = \
         (SELECT MIN(batch_id) FROM audit_logs WHERE log = 'verdicts')",
    ] {
        let f = filled(80, 80).await;
        announced(&f, Log::Verdicts).await;
        f.log.remove_retired(Log::Verdicts).await.unwrap();
        assert!(f.verify().await.is_clean());
        f.tamper(&[edit]).await;
        assert!(!f.verify().await.is_clean(), "{edit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_deletes_by_hand_while_or_after_events_leave() {
    let f = filled(40, 10).await;
    announced(&f, Log::Verdicts).await;
    f.log.remove_retired(Log::Verdicts).await.unwrap();
    for sql in ["DELETE FROM audit_logs", "UPDATE audit_logs SET event_type = 'X'"] {
        let tx = f.db.begin().await.unwrap();
        let refused = tx.execute(sql, []).await.unwrap_err();
        assert_eq!(refused.kind(), FaultKind::Conflict, "{sql}");
    }
    // On PostgreSQL the month of which the other log has a part has its guards, too; verify looks at them.
    assert!(f.verify().await.is_clean());
}
