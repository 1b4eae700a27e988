//! Edits behind the vault's back.

use clawexchange_quarantine::{Flaw, KeyRing, QuarantineError, Reason, Vault, VaultConfig};
use clawexchange_ssg_core::{FaultKind, QuarantineId};

use clawexchange_testkit::tamper;

use crate::rig::{Rig, ann, code, note};

fn hex(id: QuarantineId) -> String {
    id.to_string()
}

#[tokio::test]
async fn an_edit_of_any_column_that_the_log_fixes_is_found_and_not_built_upon() {
    let rig = Rig::new().await;
    let edits = [
        "status = 'UNDER_REVIEW', version = version + 1",
        "tier = 'LOW'",
        "labels = '[]'",
        "matches = '[]'",
        "policy = 'other@1+00000000'",
        "content_type = 'PROFILE'",
        "size_bytes = 1",
        "agent_id = 'agent-9'",
        "owner_id = 'owner-9'",
        "source_id = 'post-9'",
        "inspection_id = '00000000-0000-7000-8000-000000000000'",
        &format!("content_hmac = {}", rig.blob(&"00".repeat(32))),
        "hmac_key_id = 'other'",
        "encryption_key_id = 'other'",
        &format!("inline_ciphertext = {}", rig.blob(&"00".repeat(10))),
        "s3_key = 'quarantine/2027/01/15/x', inline_ciphertext = NULL",
        "expires_at = expires_at + 1",
        "shred_at = 1",
        "reviewed_by = 'ann'",
        "reviewed_at = 1",
        "reason = 'FALSE_POSITIVE'",
        "review_notes = 'fine'",
        "version = 2",
        "created_at = created_at - 1",
        "updated_at = 1",
    ];
    for (n, edit) in edits.into_iter().enumerate() {
        let id = rig.hold_by(&format!("number {n}"), &format!("agent-{n}")).await.unwrap().id;
        rig.sql(&format!("UPDATE quarantine_records SET {edit} WHERE id = '{}'", hex(id))).await;
        assert_eq!(code(rig.vault.show(id).await), "quarantine/altered", "{edit}");
        assert_eq!(code(rig.vault.release(id, &ann(), Reason::default(), None).await), "quarantine/altered");
        assert_eq!(code(rig.text_of(id).await), "quarantine/altered", "{edit}");
        let place = format!("quarantine_records {id}: altered");
        assert!(rig.discrepancies().await.contains(&place), "{edit}");
    }
    assert_eq!(rig.discrepancies().await.len(), edits.len(), "each is named, and nothing else");
}

#[tokio::test]
async fn a_row_that_is_forged_or_taken_away_is_found() {
    let rig = Rig::new().await;
    let (one, two) = (rig.hold("one").await, rig.hold("two").await);
    assert!(!rig.try_sql("DELETE FROM quarantine_records").await, "the table keeps what was acknowledged");
    tamper::trigger_off(&rig.db, "quarantine_records", "kept").await;
    rig.sql(&format!("DELETE FROM encryption_keys WHERE record_id = '{one}'")).await;
    rig.sql(&format!("DELETE FROM quarantine_records WHERE id = '{one}'")).await;
    assert_eq!(rig.discrepancies().await, [format!("quarantine {one}: no row")]);
    let forged = QuarantineId::fresh();
    let columns = tamper::either(
        &rig.db,
        "SELECT group_concat(name, ', ') AS names FROM pragma_table_info('quarantine_records') \
         WHERE name NOT IN ('id', 'inspection_id', 'encryption_key_id')",
        "SELECT string_agg(CAST(attname AS TEXT), ', ') AS names FROM pg_attribute \
         WHERE attrelid = CAST('quarantine_records' AS regclass) AND attnum > 0 \
         AND attname NOT IN ('id', 'inspection_id', 'encryption_key_id')",
    );
    let columns: String = rig.row(columns).await.get("names").unwrap();
    rig.sql(&format!(
        "INSERT INTO quarantine_records (id, inspection_id, encryption_key_id, {columns}) \
         SELECT '{forged}', '{forged}', '{forged}', {columns} FROM quarantine_records WHERE id = '{two}'"
    ))
    .await;
    assert!(rig.discrepancies().await.contains(&format!("quarantine_records {forged}: no event")));
    assert_eq!(code(rig.vault.show(forged).await), "quarantine/altered");
}

#[tokio::test]
async fn an_edited_legal_hold_is_found_and_not_built_upon() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.vault.place_legal_hold(id, &ann(), &note("case 7")).await.unwrap();
    rig.sql("UPDATE quarantine_holds SET lifted_at = 1, lifted_by = 'nobody'").await;
    assert_eq!(rig.discrepancies().await, [format!("quarantine_holds {id}: altered")]);
    assert_eq!(code(rig.vault.place_legal_hold(id, &ann(), &note("again")).await), "quarantine/altered");
}

/// Defect 25 of the original, here with every row edited as a forger who has no key would.
#[tokio::test]
async fn content_and_keys_swapped_between_records_do_not_open() {
    let rig = Rig::of_objects().await;
    let (one, two) = (rig.hold("one").await, rig.hold("two").await);
    let names = rig.object_names().await;
    let path = |n: usize| rig.objects.path(&names[n]);
    let (a, b) = (std::fs::read(path(0)).unwrap(), std::fs::read(path(1)).unwrap());
    std::fs::write(path(0), &b).unwrap();
    std::fs::write(path(1), &a).unwrap();
    for id in [one, two] {
        let error = rig.text_of(id).await.unwrap_err();
        assert!(matches!(error, QuarantineError::Damaged { flaw: Flaw::Context }), "{error:?}");
    }
    std::fs::write(path(0), &a).unwrap();
    std::fs::write(path(1), &b).unwrap();
    assert_eq!(rig.text_of(one).await.unwrap(), "flag-hold one");
    rig.sql(&format!(
        "UPDATE encryption_keys SET encrypted_data_key = (SELECT encrypted_data_key FROM encryption_keys \
         WHERE record_id = '{two}') WHERE record_id = '{one}'"
    ))
    .await;
    assert_eq!(code(rig.text_of(one).await), "quarantine/wrapped-key");
    assert_eq!(rig.text_of(two).await.unwrap(), "flag-hold two");
}

#[tokio::test]
async fn a_bit_of_an_object_that_flips_shows_nothing() {
    let rig = Rig::of_objects().await;
    let id = rig.hold(&"x".repeat(40_000)).await;
    let path = rig.objects.path(&rig.object_names().await[0]);
    let good = std::fs::read(&path).unwrap();
    for at in [0, 5, 100, good.len() / 2, good.len() - 1] {
        let mut bent = good.clone();
        bent[at] ^= 1;
        std::fs::write(&path, &bent).unwrap();
        let error = rig.text_of(id).await.unwrap_err();
        assert!(matches!(error, QuarantineError::Damaged { .. }), "byte {at}: {error:?}");
    }
    std::fs::write(&path, [&good[..], &good[..]].concat()).unwrap();
    assert_eq!(code(rig.text_of(id).await), "quarantine/too-large", "more than it can be is not even read");
    std::fs::write(&path, &good).unwrap();
    assert!(rig.text_of(id).await.is_ok());
}

#[tokio::test]
async fn a_wrapped_key_that_is_taken_away_is_found() {
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    rig.sql("DELETE FROM encryption_keys").await;
    assert_eq!(code(rig.text_of(id).await), "quarantine/wrapped-key");
    assert_eq!(rig.vault.reconcile(false).await.unwrap().keyless, [id]);
}

#[tokio::test]
async fn without_the_key_nothing_opens_and_the_key_is_named() {
    use clawexchange_ssg_core::Fault as _;
    let rig = Rig::new().await;
    let id = rig.hold("one").await;
    let keys = KeyRing::generate().unwrap();
    let vault =
        Vault::new(rig.db.clone(), rig.objects.clone(), keys, rig.log.clone(), VaultConfig::default())
            .unwrap();
    let error = vault.show(id).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("quarantine/key-unknown", FaultKind::Configuration));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("test"), "{error}");
}
