//! The tables, and what they allow.

use clawexchange_database::{Destroy, DownTo, Plan, Statements as _};
use clawexchange_quarantine::{BlobState, MIGRATIONS, Status};

use crate::rig::Rig;

#[tokio::test]
async fn the_table_allows_exactly_the_states_that_the_code_allows() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.sql("DROP TRIGGER quarantine_records_version").await;
    let guard = rig
        .row("SELECT sql FROM sqlite_schema WHERE name = 'quarantine_records_status' AND type = 'trigger'")
        .await
        .get::<String>("sql")
        .unwrap();
    for from in Status::ALL {
        for to in Status::ALL {
            rig.sql("DROP TRIGGER quarantine_records_status").await;
            rig.sql(&format!("UPDATE quarantine_records SET status = '{from}' WHERE id = '{id}'")).await;
            rig.sql(&guard).await;
            let allowed = rig.try_sql(&format!("UPDATE quarantine_records SET status = '{to}'")).await;
            assert_eq!(allowed, from == to || from.may_become(to), "{from} to {to}");
        }
    }
}

#[tokio::test]
async fn the_table_allows_exactly_the_states_of_content_that_the_code_allows() {
    let rig = Rig::new().await;
    rig.hold("one").await;
    for (from, set_from) in [
        (BlobState::Present, "blob_state = 'PRESENT'"),
        (
            BlobState::Shredded,
            "blob_state = 'SHREDDED', encryption_key_id = NULL, content_hmac = NULL, \
                               inline_ciphertext = NULL, version = version + 1",
        ),
    ] {
        rig.sql(&format!("UPDATE quarantine_records SET {set_from}")).await;
        for to in BlobState::ALL {
            // Whatever the other columns are, so that nothing but the rule can forbid it.
            let set_to = match to {
                BlobState::Pending => {
                    "pending_event = x'00', state_mac = NULL, encryption_key_id = 'k', \
                                       content_hmac = zeroblob(32), inline_ciphertext = x'00'"
                }
                BlobState::Present => {
                    "pending_event = NULL, encryption_key_id = 'k', \
                                       content_hmac = zeroblob(32), inline_ciphertext = x'00'"
                }
                _ => {
                    "pending_event = NULL, encryption_key_id = NULL, content_hmac = NULL, \
                      inline_ciphertext = NULL"
                }
            };
            let sql =
                format!("UPDATE quarantine_records SET blob_state = '{to}', version = version + 1, {set_to}");
            assert_eq!(rig.try_sql(&sql).await, from == to || from.may_become(to), "{from} to {to}");
        }
    }
}

#[tokio::test]
async fn the_table_refuses_what_no_store_would_write() {
    let rig = Rig::new().await;
    rig.hold("one").await;
    for edit in [
        "status = 'released'",
        "tier = 'WORST'",
        "labels = 'not json'",
        "content_hmac = x'00'",
        "content_hmac = NULL",
        "size_bytes = -1",
        "inline_ciphertext = NULL",
        "s3_key = 'quarantine/2027/01/15/x'",
        "version = 0",
        "status = 'RELEASED'",
        "blob_state = 'SHREDDED'",
        "expires_at = 'tomorrow'",
        "pending_event = x'00'",
        "state_mac = NULL",
    ] {
        assert!(!rig.try_sql(&format!("UPDATE quarantine_records SET {edit}")).await, "{edit}");
    }
    assert!(!rig.try_sql("DELETE FROM quarantine_records").await, "keys refer to it, and it is kept");
}

#[tokio::test]
async fn the_tables_go_only_when_told_so_by_name() {
    let rig = Rig::new().await;
    let plan = Plan::of([MIGRATIONS]);
    assert!(plan.drift(&rig.db).await.unwrap().is_none());
    rig.hold("one").await;
    assert!(plan.down(&rig.db, &DownTo::Steps(2), None).await.is_err(), "held content is evidence");
    let destroy = Destroy::named(Destroy::PHRASE);
    let gone = plan.down(&rig.db, &DownTo::Steps(2), destroy).await.unwrap();
    assert_eq!(gone, ["quarantine_0002_review", "quarantine_0001_records"]);
    let left = "SELECT name FROM sqlite_schema WHERE name LIKE 'quarantine%' OR name LIKE 'encryption%'";
    assert!(rig.db.read().rows(left, []).await.unwrap().is_empty());
    plan.up(&rig.db, None, clawexchange_ssg_core::Timestamp::UNIX_EPOCH).await.unwrap();
    rig.hold("one").await;
}

#[tokio::test]
async fn lists_and_sweeps_are_answered_by_indexes() {
    let rig = Rig::new().await;
    for (sql, index) in [
        ("SELECT id FROM quarantine_records ORDER BY created_at DESC, id DESC", "quarantine_records_newest"),
        (
            "SELECT COUNT(*), SUM(size_bytes) FROM quarantine_records WHERE agent_id = 'a' \
             AND status IN ('QUARANTINED', 'UNDER_REVIEW')",
            "quarantine_records_open_agent",
        ),
        (
            "SELECT COUNT(*), SUM(size_bytes) FROM quarantine_records \
             WHERE status IN ('QUARANTINED', 'UNDER_REVIEW')",
            "COVERING INDEX quarantine_records_status",
        ),
        (
            "SELECT id FROM quarantine_records WHERE blob_state = 'PENDING' AND created_at <= 1",
            "quarantine_records_pending",
        ),
        (
            "SELECT id FROM quarantine_records WHERE status IN ('QUARANTINED', 'UNDER_REVIEW') \
             AND blob_state = 'PRESENT' AND expires_at <= 1 ORDER BY expires_at",
            "quarantine_records_open_due",
        ),
        (
            "SELECT id FROM quarantine_records WHERE status NOT IN ('RELEASED', 'DELETED', 'EXPIRED') \
             AND blob_state <> 'PENDING' AND (claimed_by IS NULL OR lease_until <= 1) \
             ORDER BY CASE tier WHEN 'CRITICAL' THEN 0 WHEN 'HIGH' THEN 1 WHEN 'MODERATE' THEN 2 \
             WHEN 'LOW' THEN 3 ELSE 4 END, created_at, id LIMIT 1",
            "quarantine_records_review",
        ),
    ] {
        let rows = rig.db.read().rows(&format!("EXPLAIN QUERY PLAN {sql}"), []).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
        assert!(plan.iter().any(|step| step.contains(index)), "{sql}: {plan:?}");
    }
}
