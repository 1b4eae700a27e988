//! Whatever is edited behind the log's back is found, with its place.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/log.rs"]
#[expect(unreachable_pub, reason = "it is shared between tests")]
mod support;

use std::time::Duration;

use clawexchange_audit::{AuditError, Log, Report};
use clawexchange_database::{STATE, STATE_CONTEXT, StateRow, Statements as _};
use clawexchange_ssg_core::{
    Actor, AuditEvent, Clock as _, EventKind, Fault as _, FaultKind, KeyProvider as _, Target,
};
use clawexchange_testkit::postgres;
use ring::digest::{SHA256, digest};
use support::{Fixture, Rows, TestKeys, fixture};

async fn assert_found(edits: &[&str], place: &str) {
    let f = fixture().await;
    f.fill().await;
    assert!(f.verify().await.is_clean(), "an honest log is clean");
    f.tamper(edits).await;
    let report = f.verify().await;
    assert!(!report.is_clean(), "{edits:?} was not found");
    assert!(
        report.discrepancies.iter().any(|d| d.place.contains(place)),
        "{edits:?}: {:?}",
        report.discrepancies
    );
}

/// The condition that a row is of the batch that begins at this index.
fn batch(start: u32) -> String {
    format!(
        "batch_id = (SELECT batch_id FROM audit_batches WHERE log = 'decisions' AND start_index = {start})"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_any_column_is_found() {
    let decision = format!("log = 'decisions' AND {}", batch(1));
    for (table, column, value) in [
        ("audit_logs", "leaf", "CAST(replace(CAST(leaf AS TEXT), 'CRITICAL', 'HARMLESS') AS BLOB)"),
        ("audit_logs", "leaf_hash", "zeroblob(32)"),
        ("audit_logs", "id", "'00000000-0000-0000-0000-000000000000'"),
        ("audit_logs", "event_type", "'SSG_QUARANTINE'"),
        ("audit_logs", "actor_type", "'human'"),
        ("audit_logs", "actor_id", "'somebody'"),
        ("audit_logs", "target_type", "'message'"),
        ("audit_logs", "target_id", "'post-99'"),
        ("audit_logs", "target_id", "NULL"),
        ("audit_logs", "ip_address", "'198.51.100.0'"),
        ("audit_logs", "created_us", "created_us + 1"),
        ("audit_logs", "month", "190001"),
        ("audit_logs", "ord", "5"),
        ("audit_logs", "batch_id", "77"),
        ("audit_logs", "log", "'verdicts'"),
        ("audit_batches", "start_index", "start_index + 50"),
        ("audit_batches", "batch_id", "77"),
        ("audit_batches", "month", "month + 1"),
        ("audit_batches", "n", "n + 1"),
        ("audit_batches", "batch_uuid", "randomblob(16)"),
        ("audit_batches", "committed_us", "committed_us - 1"),
        ("audit_batches", "prev_hash", "zeroblob(32)"),
        ("audit_batches", "batch_hash", "zeroblob(32)"),
    ] {
        // A batch moved into the other log would collide with one there; its number says where it came from.
        let moved = if column == "log" { ", batch_id = 50" } else { "" };
        let edit = format!("UPDATE {table} SET {column} = {value}{moved} WHERE {decision}");
        assert_found(&[&edit], table).await;
    }
    for (column, value) in [
        ("size", "size + 1"),
        ("batches", "batches - 1"),
        ("head_hash", "zeroblob(32)"),
        ("origin", "'local/x/decisions'"),
        ("committed_us", "committed_us + 1"),
    ] {
        let edit = format!("UPDATE audit_head SET {column} = {value} WHERE log = 'decisions'");
        assert_found(&[&edit], "audit_head").await;
    }
    for (column, value) in [
        ("subject_id", "'agent:somebody'"),
        ("ref", "'ffffffffffffffffffffffffffffffff'"),
        ("key_id", "'other'"),
        ("wrapped_key", "zeroblob(48)"),
        ("mac", "'test:' || hex(zeroblob(32))"),
        ("mac", "'nonsense'"),
    ] {
        let edit = format!("UPDATE audit_subjects SET {column} = {value} WHERE subject_id = 'agent:agent-0'");
        assert_found(&[&edit], "audit_subjects").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_any_column_of_the_tree_is_found() {
    for (column, value) in [
        ("log", "'verdicts', tile_index = 7"),
        ("level", "1"),
        ("tile_index", "1"),
        ("width", "width - 1, hashes = substr(hashes, 33)"),
        ("width", "width + 1, hashes = CAST(hashes || zeroblob(32) AS BLOB)"),
        ("hashes", "CAST(zeroblob(32) || substr(hashes, 33) AS BLOB)"),
        ("hashes", "CAST(substr(hashes, 1, length(hashes) - 32) || zeroblob(32) AS BLOB)"),
    ] {
        let edit = format!("UPDATE audit_tiles SET {column} = {value} WHERE log = 'decisions'");
        assert_found(&[&edit], "audit_tiles").await;
    }
    // Of the two of one log, the older and the newer.
    for size in [2, 3] {
        for (column, value) in [
            ("log", "'verdicts', size = 1"),
            ("size", "size + 40"),
            ("size", "1"),
            ("root", "zeroblob(32)"),
            ("note", "replace(note, 'local/', 'Local/')"),
            // A second signature, by nobody who is known, would not make it another checkpoint.
            ("note", "note || substr(note, length(note) - 170, 171)"),
            ("note", "''"),
            ("key_id", "'other'"),
            ("key_id", "'no key'"),
            ("committed_us", "committed_us + 1"),
            ("committed_us", "committed_us - 1"),
        ] {
            let edit = format!(
                "UPDATE audit_checkpoints SET {column} = {value} WHERE log = 'decisions' AND size = {size}"
            );
            assert_found(&[&edit], "audit_checkpoints").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_rewritten_with_all_hashes_up_to_the_tiles_is_not_what_was_signed() {
    let f = fixture().await;
    f.fill().await;
    // Whoever owns the database can make the tree of another history, and cannot sign it.
    f.tamper(&[
        "UPDATE audit_logs SET leaf = CAST(replace(CAST(leaf AS TEXT), 'CRITICAL', 'HARMLESS') AS BLOB) \
         WHERE log = 'verdicts'",
    ])
    .await;
    let sql = "SELECT batch_id, leaf FROM audit_logs WHERE log = 'verdicts'";
    let rewritten = f.db.read().rows(sql, []).await.unwrap();
    let mut edits = Vec::new();
    for row in rewritten {
        let (batch, leaf): (i64, Vec<u8>) = (row.get("batch_id").unwrap(), row.get("leaf").unwrap());
        let hash = digest(&SHA256, &[&[0][..], &leaf].concat());
        let hex: String = hash.as_ref().iter().fold(String::new(), |text, b| text + &format!("{b:02x}"));
        edits.push((batch, hex));
    }
    edits.sort();
    let literal = |hex: &str| if postgres::is_wanted() { format!("'\\x{hex}'") } else { format!("x'{hex}'") };
    let mut all: Vec<String> = edits
        .iter()
        .map(|(batch, hex)| {
            format!(
                "UPDATE audit_logs SET leaf_hash = {} WHERE log = 'verdicts' AND batch_id = {batch}",
                literal(hex)
            )
        })
        .collect();
    let hashes: String = edits.iter().map(|(_, hex)| hex.as_str()).collect();
    all.push(format!("UPDATE audit_tiles SET hashes = {} WHERE log = 'verdicts'", literal(&hashes)));
    f.tamper(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let report = f.verify().await;
    let places: Vec<&str> = report.discrepancies.iter().map(|d| d.place.as_str()).collect();
    assert!(places.iter().any(|place| place.starts_with("audit_checkpoints verdicts")), "{places:?}");
    assert!(!places.iter().any(|place| place.starts_with("audit_tiles")), "{places:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_altered_leaf_does_not_drown_what_else_is_found() {
    let f = fixture().await;
    for n in 0..40 {
        f.log.append(f.event(EventKind::SsgPass, "agent", &format!("post-{n}"))).await.unwrap();
        f.log.checkpoint(Log::Verdicts).await.unwrap();
    }
    f.tamper(&[
        "UPDATE audit_logs SET leaf = CAST(replace(CAST(leaf AS TEXT), 'CRITICAL', 'HARMLESS') AS BLOB) \
         WHERE target_id = 'post-0'",
    ])
    .await;
    let report = f.verify().await;
    let of = |table: &str| report.discrepancies.iter().filter(|d| d.place.starts_with(table)).count();
    assert_eq!((of("audit_checkpoints"), of("audit_tiles"), report.checkpoints), (16, 1, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_far_into_a_long_log_is_found_at_its_place() {
    let f = fixture().await;
    // More than is read at once, of leaves as of tiles.
    for from in (0..5000).step_by(1000) {
        let events = (from..from + 1000).map(|n| f.event(EventKind::SsgPass, "agent", &format!("post-{n}")));
        f.log.append_all(events.collect()).await.unwrap();
    }
    f.log.checkpoint(Log::Verdicts).await.unwrap();
    let report = f.verify().await;
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    assert_eq!((report.verdicts, report.checkpoints), (5000, 1));
    f.tamper(&[
        "UPDATE audit_logs SET actor_id = 'somebody' WHERE target_id = 'post-4321'",
        "DELETE FROM audit_logs WHERE target_id = 'post-4700'",
    ])
    .await;
    let places = |report: Report| -> Vec<String> {
        report.discrepancies.into_iter().map(|d| format!("{}: {}", d.place, d.what)).collect()
    };
    let found = places(f.verify().await);
    let is_there = |text: &str| found.iter().any(|one| one.contains(text));
    assert!(is_there("audit_logs verdicts index 4321: column actor_id"), "{found:?}");
    assert!(is_there("audit_logs verdicts from index 4000: 999 events are there of the 1000"), "{found:?}");
    assert!(is_there("index 4701: an event before it is missing"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tile_of_a_long_log_is_compared() {
    let f = fixture().await;
    for from in (0..3000).step_by(1000) {
        let events = (from..from + 1000).map(|n| f.event(EventKind::SsgPass, "agent", &format!("post-{n}")));
        f.log.append_all(events.collect()).await.unwrap();
    }
    f.log.checkpoint(Log::Verdicts).await.unwrap();
    f.tamper(&[
        "UPDATE audit_tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) \
         WHERE level = 0 AND tile_index IN (0, 7, 8, 10)",
        "DELETE FROM audit_tiles WHERE level = 0 AND tile_index IN (3, 9)",
    ])
    .await;
    let report = f.verify().await;
    let mut found: Vec<_> = report.discrepancies.iter().map(|d| d.place.as_str()).collect();
    found.sort_unstable();
    let tiles = [0, 3, 7, 8, 9, 10]
        .map(|tile| format!("audit_tiles verdicts tile/0/{tile:03} (from index {})", tile * 256));
    assert_eq!(found, tiles.each_ref().map(String::as_str));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_that_is_written_with_escapes_is_checked_like_any_other() {
    let f = fixture().await;
    let said =
        f.event(EventKind::SsgPass, "agent", "post-1").with("said", "a \"quote\", a \\, a\nline").unwrap();
    let large = f.event(EventKind::SsgPass, "agent", "post-2").with("n", 9_007_199_254_740_991_i64).unwrap();
    for event in [said, large] {
        f.log.append(event).await.unwrap();
    }
    let report = f.verify().await;
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    f.tamper(&["UPDATE audit_logs SET actor_id = 'somebody', event_type = 'SSG_WARN'"]).await;
    let report = f.verify().await;
    for index in 0..2 {
        for column in ["actor_id", "event_type"] {
            let what = format!("column {column} does not say what the leaf says");
            let is_it = |d: &clawexchange_audit::Discrepancy| {
                d.place == format!("audit_logs verdicts index {index}") && d.what == what
            };
            assert!(report.discrepancies.iter().any(is_it), "{index} {column}: {:?}", report.discrepancies);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_deleted_are_missed() {
    for (edit, place) in [
        (format!("DELETE FROM audit_logs WHERE log = 'decisions' AND {}", batch(1)), "decisions"),
        (format!("DELETE FROM audit_logs WHERE log = 'decisions' AND {}", batch(2)), "decisions"),
        ("DELETE FROM audit_batches WHERE log = 'decisions' AND start_index = 1".to_owned(), "decisions"),
        ("DELETE FROM audit_batches WHERE log = 'decisions' AND start_index = 2".to_owned(), "decisions"),
        ("DELETE FROM audit_head WHERE log = 'decisions'".to_owned(), "audit_head"),
        ("DELETE FROM audit_tiles WHERE log = 'decisions'".to_owned(), "audit_tiles"),
        ("DELETE FROM audit_subjects WHERE subject_id = 'agent:agent-2'".to_owned(), "audit_subjects"),
        ("DELETE FROM audit_subjects WHERE subject_id = 'owner:owner-of-all'".to_owned(), "audit_subjects"),
    ] {
        assert_found(&[&edit], place).await;
    }
    assert_found(
        &["DELETE FROM audit_logs", "DELETE FROM audit_batches", "DELETE FROM audit_head"],
        "audit_head",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_cut_off_at_its_end_and_made_whole_again_does_not_extend_its_pin() {
    let cut = [
        "DELETE FROM audit_logs WHERE log = 'decisions' AND batch_id = \
         (SELECT batch_id FROM audit_batches WHERE log = 'decisions' AND start_index = 2)",
        "DELETE FROM audit_batches WHERE log = 'decisions' AND start_index = 2",
        "UPDATE audit_head SET size = 2, batches = 2, \
         head_hash = (SELECT batch_hash FROM audit_batches WHERE log = 'decisions' AND start_index = 1), \
         committed_us = (SELECT committed_us FROM audit_batches WHERE log = 'decisions' AND start_index = 1) \
         WHERE log = 'decisions'",
    ];
    assert_found(&cut, "decisions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_rewritten_and_rehashed_by_the_log_itself_does_not_extend_its_pin() {
    let f = fixture().await;
    f.fill().await;
    f.tamper(&[
        "DELETE FROM audit_logs WHERE log = 'decisions' AND batch_id = \
         (SELECT batch_id FROM audit_batches WHERE log = 'decisions' AND start_index = 2)",
        "DELETE FROM audit_batches WHERE log = 'decisions' AND start_index = 2",
        "UPDATE audit_head SET size = 2, batches = 2, \
         head_hash = (SELECT batch_hash FROM audit_batches WHERE log = 'decisions' AND start_index = 1), \
         committed_us = (SELECT committed_us FROM audit_batches WHERE log = 'decisions' AND start_index = 1) \
         WHERE log = 'decisions'",
    ])
    .await;
    // Our own code makes the forged event: every hash of the new history is right.
    f.log.append(f.event(EventKind::SsgBlock, "agent-0", "forged")).await.unwrap();
    let report = f.verify().await;
    assert_eq!(report.extends_pin, Some(false));
    assert!(!report.is_clean());
    let refused = f.log.pin().await.unwrap_err();
    assert!(matches!(refused, AuditError::NotExtended { .. }), "the old pin is the evidence and stays");
    assert_eq!(refused.kind(), FaultKind::Integrity);
}

/// On one thread: who waits for its turn leaves it to the one that has the turn.
#[tokio::test]
async fn many_who_pin_at_once_take_turns_and_hold_nobody_up() {
    let f = fixture().await;
    f.fill().await;
    let pins = futures_util::future::join_all((0..8).map(|_| f.log.pin()));
    let all = tokio::time::timeout(Duration::from_mins(1), pins).await.unwrap();
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(f.verify().await.extends_pin, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_was_altered_is_said_and_not_written_over() {
    let f = fixture().await;
    f.fill().await;
    let path = f.folder.path().join("pins/log.pin");
    let forged = std::fs::read_to_string(&path).unwrap().replace("\"size\":3", "\"size\":2");
    std::fs::write(&path, forged).unwrap();
    assert_eq!(f.verify().await.extends_pin, Some(false));
    assert!(matches!(f.log.pin().await.unwrap_err(), AuditError::PinAltered { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_that_were_dropped_or_weakened_are_missed() {
    let sqlite = [
        ["DROP TRIGGER audit_logs_no_update", "SELECT 1"],
        ["DROP TRIGGER audit_head_only_grows", "SELECT 1"],
        [
            "DROP TRIGGER audit_logs_no_delete",
            "CREATE TRIGGER audit_logs_no_delete BEFORE DELETE ON audit_logs WHEN 0 BEGIN SELECT RAISE(ABORT, ''); END",
        ],
        ["SELECT 1", "CREATE TRIGGER sly AFTER INSERT ON audit_logs BEGIN DELETE FROM audit_subjects; END"],
        ["DROP INDEX audit_logs_by_id", "SELECT 1"],
    ];
    // One of these empties a partition past the row triggers, others take a guard away or past its partition.
    let postgres = [
        ["DROP TRIGGER audit_no_change ON audit_logs", "SELECT 1"],
        ["ALTER TABLE audit_logs DISABLE TRIGGER audit_no_change", "SELECT 1"],
        ["ALTER TABLE audit_logs ENABLE TRIGGER audit_no_change", "SELECT 1"],
        ["SELECT audit_partition(190001)", "ALTER TABLE audit_logs_190001 DISABLE TRIGGER audit_no_change"],
        ["SELECT audit_partition(190001)", "DROP TRIGGER audit_no_truncate ON audit_logs_190001"],
        ["SELECT audit_partition(190001)", "ALTER TABLE audit_logs DETACH PARTITION audit_logs_190001"],
        [
            "CREATE FUNCTION sly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "CREATE TRIGGER sly BEFORE INSERT ON audit_batches FOR EACH ROW EXECUTE FUNCTION sly()",
        ],
        [
            "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "SELECT 1",
        ],
        ["ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_actor_type_check", "SELECT 1"],
        ["DROP INDEX audit_logs_by_id", "SELECT 1"],
    ];
    let edits: &[[&str; 2]] = if postgres::is_wanted() { &postgres } else { &sqlite };
    for edits in edits {
        let f = fixture().await;
        f.fill().await;
        let tx = f.db.begin().await.unwrap();
        for edit in edits {
            tx.execute(edit, []).await.unwrap();
        }
        tx.commit().await.unwrap();
        let report = f.verify().await;
        assert!(report.discrepancies.iter().any(|d| d.place.starts_with("schema")), "{edits:?}: {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guards_refuse_update_delete_and_replace() {
    let f = fixture().await;
    f.fill().await;
    let both = [
        "UPDATE audit_logs SET actor_id = 'x'",
        "DELETE FROM audit_logs",
        "UPDATE audit_batches SET n = n",
        "DELETE FROM audit_batches",
        "UPDATE audit_head SET size = size - 1",
        "UPDATE audit_head SET origin = 'x'",
        "DELETE FROM audit_head",
        "UPDATE audit_subjects SET ref = 'ffffffffffffffffffffffffffffffff'",
        "UPDATE audit_tiles SET hashes = hashes",
        "UPDATE audit_tiles SET level = 2",
        "DELETE FROM audit_tiles",
        "UPDATE audit_checkpoints SET note = note",
        "DELETE FROM audit_checkpoints",
    ];
    let sqlite = [
        "UPDATE audit_tiles SET width = width + 1, hashes = zeroblob(32 * (width + 1))",
        "INSERT OR REPLACE INTO audit_tiles SELECT * FROM audit_tiles",
        "INSERT OR REPLACE INTO audit_tiles (rowid, log, level, tile_index, width, hashes) VALUES (1, 'decisions', 5, 5, 1, zeroblob(32))",
        "INSERT OR REPLACE INTO audit_checkpoints SELECT * FROM audit_checkpoints",
        "INSERT INTO audit_checkpoints SELECT log, 1, root, note, key_id, committed_us FROM audit_checkpoints WHERE size = 2",
        "INSERT OR REPLACE INTO audit_logs SELECT * FROM audit_logs WHERE batch_id = 0",
        "REPLACE INTO audit_logs SELECT * FROM audit_logs",
        "INSERT OR REPLACE INTO audit_batches SELECT * FROM audit_batches",
        "INSERT OR REPLACE INTO audit_head SELECT * FROM audit_head",
        "INSERT OR REPLACE INTO audit_subjects SELECT * FROM audit_subjects",
    ];
    let postgres = [
        "UPDATE audit_tiles SET width = width + 1, hashes = decode(repeat('00', CAST(32 * (width + 1) AS INTEGER)), 'hex')",
        "TRUNCATE audit_tiles",
        "TRUNCATE audit_checkpoints",
        "SELECT audit_put_tiles('decisions', ARRAY[CAST(0 AS BIGINT)], ARRAY[CAST(0 AS BIGINT)], ARRAY[sha256('')])",
        "SELECT audit_put_tiles('decisions', ARRAY[CAST(0 AS BIGINT)], ARRAY[CAST(9 AS BIGINT)], ARRAY[]::BYTEA[])",
        "SELECT audit_put_checkpoint(log, size, sha256(''), note, key_id, committed_us) FROM audit_checkpoints",
        "SELECT audit_put_checkpoint('decisions', 1, root, note, key_id, committed_us) FROM audit_checkpoints",
        "SELECT audit_put_checkpoint('decisions', 4, root, note, key_id, committed_us) FROM audit_checkpoints",
        "TRUNCATE audit_logs",
        "TRUNCATE audit_batches",
        "TRUNCATE audit_head",
        "TRUNCATE audit_subjects",
        "DO $$BEGIN EXECUTE 'TRUNCATE ' || (SELECT tableoid::regclass FROM audit_logs LIMIT 1); END$$",
        "DO $$BEGIN EXECUTE 'UPDATE ' || (SELECT tableoid::regclass FROM audit_logs LIMIT 1) || ' SET id = 1'; END$$",
        "INSERT INTO audit_batches SELECT * FROM audit_batches ON CONFLICT (batch_uuid) DO UPDATE SET n = 7",
        "INSERT INTO audit_logs SELECT * FROM audit_logs ON CONFLICT (month, log, batch_id, ord) DO UPDATE SET id = '7'",
        "MERGE INTO audit_batches b USING audit_head h ON b.log = h.log WHEN MATCHED THEN DELETE",
        "DO $$BEGIN SET LOCAL session_replication_role = replica; DELETE FROM audit_logs; END$$",
    ];
    let own: &[&str] = if postgres::is_wanted() { &postgres } else { &sqlite };
    for edit in both.iter().chain(own) {
        let tx = f.db.begin().await.unwrap();
        assert_eq!(tx.execute(edit, []).await.unwrap_err().kind(), FaultKind::Conflict, "{edit}");
    }
    assert!(f.verify().await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_there_twice_or_belongs_to_no_batch_is_found() {
    let copy = format!(
        "INSERT INTO audit_logs SELECT log, 99, 0, month, leaf, leaf_hash, id, event_type, actor_type, actor_id, \
         target_type, target_id, ip_address, created_us FROM audit_logs WHERE log = 'decisions' AND {}",
        batch(1)
    );
    assert_found(&[&copy], "audit_logs").await;
}

async fn state_event(f: &Fixture, id: &str, state: &[u8]) -> AuditEvent {
    let keys = TestKeys::default();
    let mac = keys.mac(&keys.active(), STATE_CONTEXT, state).await.unwrap();
    AuditEvent::new(EventKind::ConfigChanged, Actor::human("os:ann").unwrap(), f.clock.now())
        .on(Target::new("thing", id))
        .with(STATE, mac.to_string())
        .unwrap()
}

async fn with_states(f: &Fixture, rows: Vec<(&str, &[u8])>) -> Report {
    let rows =
        rows.into_iter().map(|(id, state)| StateRow::new("things", Target::new("thing", id), state.to_vec()));
    f.log.verify(&[&Rows(rows.collect())], &|_, _| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_must_be_as_its_last_event_left_it() {
    let f = fixture().await;
    for state in [&b"old"[..], b"new"] {
        f.log.append(state_event(&f, "one", state).await).await.unwrap();
    }
    let tx = f.db.begin().await.unwrap();
    let waiting = state_event(&f, "two", b"waits").await;
    clawexchange_database::outbox::put(&tx, &waiting).await.unwrap();
    tx.commit().await.unwrap();

    let report = with_states(&f, vec![("one", b"new"), ("two", b"waits")]).await;
    assert!(report.is_clean(), "{:?}", report.discrepancies);
    assert_eq!((report.state_rows, report.waiting), (2, 1));
    for (rows, place) in [
        (vec![("one", &b"old"[..]), ("two", b"waits")], "one"),
        (vec![("one", b"edited"), ("two", b"waits")], "one"),
        (vec![("one", b"new"), ("two", b"edited")], "two"),
        (vec![("one", b"new")], "two"),
        (vec![("two", b"waits")], "one"),
        (vec![("one", b"new"), ("two", b"waits"), ("three", b"smuggled in")], "three"),
    ] {
        let report = with_states(&f, rows).await;
        assert!(
            report.discrepancies.iter().any(|d| d.place.contains(place)),
            "{place}: {:?}",
            report.discrepancies
        );
    }
}
