//! The tables, and what they allow.

use clawexchange_database::{Destroy, DownTo, Plan, Statements as _};
use clawexchange_quarantine::{BlobState, MIGRATIONS, Status};

use clawexchange_testkit::tamper;

use crate::rig::Rig;

#[tokio::test]
async fn the_table_allows_exactly_the_states_that_the_code_allows() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    tamper::trigger_off(&rig.db, "quarantine_records", "version").await;
    for from in Status::ALL {
        for to in Status::ALL {
            let guard = tamper::trigger_off(&rig.db, "quarantine_records", "status").await;
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
    let (byte, bytes) = (rig.blob("00"), rig.blob(&"00".repeat(32)));
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
                BlobState::Pending => format!(
                    "pending_event = {byte}, state_mac = NULL, encryption_key_id = 'k', \
                     content_hmac = {bytes}, inline_ciphertext = {byte}"
                ),
                BlobState::Present => format!(
                    "pending_event = NULL, encryption_key_id = 'k', content_hmac = {bytes}, \
                     inline_ciphertext = {byte}"
                ),
                _ => "pending_event = NULL, encryption_key_id = NULL, content_hmac = NULL, \
                      inline_ciphertext = NULL"
                    .to_owned(),
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
    let byte = rig.blob("00");
    for edit in [
        "status = 'released'",
        "tier = 'WORST'",
        "labels = 'not json'",
        &format!("content_hmac = {byte}"),
        "content_hmac = NULL",
        "size_bytes = -1",
        "inline_ciphertext = NULL",
        "s3_key = 'quarantine/2027/01/15/x'",
        "version = 0",
        "status = 'RELEASED'",
        "blob_state = 'SHREDDED'",
        "expires_at = 'tomorrow'",
        &format!("pending_event = {byte}"),
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
    assert!(plan.down(&rig.db, &DownTo::Steps(4), None).await.is_err(), "held content is evidence");
    let destroy = Destroy::named(Destroy::PHRASE);
    let gone = plan.down(&rig.db, &DownTo::Steps(4), destroy).await.unwrap();
    let names = [
        "quarantine_0004_adopted",
        "quarantine_0003_week_keys",
        "quarantine_0002_review",
        "quarantine_0001_records",
    ];
    assert_eq!(gone, names);
    for table in ["quarantine_records", "quarantine_publications", "encryption_keys"] {
        assert!(!rig.db.read().has_table(table).await.unwrap(), "{table}");
    }
    plan.up(&rig.db, None, clawexchange_ssg_core::Timestamp::UNIX_EPOCH).await.unwrap();
    rig.hold("one").await;
}
