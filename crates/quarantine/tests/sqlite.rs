//! What SQLite makes of the questions that are asked often.

use clawexchange_database::{Database, DatabaseConfig, Place, Plan, Statements as _};
use clawexchange_quarantine::MIGRATIONS;

#[tokio::test]
async fn lists_and_sweeps_are_answered_by_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Sqlite(folder.path().join("claw.db"));
    let db = Database::open(DatabaseConfig::new(place).creating()).await.unwrap();
    Plan::of([MIGRATIONS]).up(&db, None, clawexchange_ssg_core::Timestamp::UNIX_EPOCH).await.unwrap();
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
        let rows = db.read().rows(&format!("EXPLAIN QUERY PLAN {sql}"), []).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
        assert!(plan.iter().any(|step| step.contains(index)), "{sql}: {plan:?}");
    }
}
