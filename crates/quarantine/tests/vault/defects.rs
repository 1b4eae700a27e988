//! What the original did wrong, each by its number: a test that fails if it ever comes back.

use std::path::Path;

use clawexchange_quarantine::{Filter, KeyRing, Reason, Status, VaultConfig};
use clawexchange_ssg_core::{EventKind, MasterKey, PageLimit, Quarantine as _};

use crate::rig::{Rig, Trouble, ann, code, note};

#[tokio::test]
async fn defect_18_held_content_can_be_decrypted() {
    for rig in [Rig::new().await, Rig::of_objects().await] {
        let id = rig.hold("offer").await;
        assert_eq!(rig.text_of(id).await.unwrap(), "flag-hold offer");
    }
}

#[tokio::test]
async fn defect_19_a_reviewer_is_shown_content_and_not_ciphertext() {
    let rig = Rig::of_objects().await;
    let hold = rig.a_hold("offer", "agent-1").await;
    let received = hold.content.received().to_owned();
    let id = rig.vault.hold(hold).await.unwrap().id;
    let grant = rig.vault.grant(id, &ann(), &note("review")).await.unwrap();
    assert_eq!(*rig.vault.open(&ann(), &grant.token).await.unwrap().content, received.into_bytes());
    let object = std::fs::read(rig.objects.path(&rig.object_names().await[0])).unwrap();
    assert!(!object.windows(5).any(|w| w == b"offer"), "and the object is not content");
}

#[tokio::test]
async fn defect_20_a_store_that_fails_leaves_no_key_no_object_and_no_record() {
    let rig = Rig::of_objects().await;
    for trouble in [Trouble::NoPut, Trouble::LostReply] {
        rig.objects.set(Some(trouble));
        rig.hold_by("offer", "agent-1").await.unwrap_err();
    }
    rig.objects.set(None);
    rig.sweep().await;
    assert_eq!(rig.count("encryption_keys").await + rig.count("quarantine_records").await, 0);
    assert!(rig.object_names().await.is_empty());
}

#[tokio::test]
async fn defect_21_deleting_decides_first_and_destroys_the_key() {
    let rig = Rig::of_objects().await;
    let id = rig.hold("offer").await;
    rig.objects.set(Some(Trouble::NoDelete));
    rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, true).await.unwrap();
    rig.sweep().await;
    assert_eq!(rig.vault.show(id).await.unwrap().status, Status::Deleted);
    assert_eq!(rig.object_names().await.len(), 1, "the object is still there, as an old version would be");
    assert_eq!(rig.count("encryption_keys").await, 0, "and says nothing any more");
    assert_eq!(code(rig.text_of(id).await), "quarantine/gone");
}

#[tokio::test]
async fn defect_22_decided_stays_decided_and_decided_content_is_not_handed_out() {
    let rig = Rig::new().await;
    let (deleted, released) = (rig.hold("one").await, rig.hold("two").await);
    rig.vault.delete(deleted, &ann(), Reason::PolicyViolation, None, false).await.unwrap();
    rig.vault.release(released, &ann(), Reason::default(), None).await.unwrap();
    let again = rig.vault.release(deleted, &ann(), Reason::default(), None).await;
    assert_eq!(code(again), "quarantine/conflict");
    let again = rig.vault.delete(released, &ann(), Reason::PolicyViolation, None, false).await;
    assert_eq!(code(again), "quarantine/conflict");
    assert_eq!(code(rig.vault.restore(released, &ann(), &note("no")).await), "quarantine/conflict");
    assert_eq!(code(rig.text_of(deleted).await), "quarantine/not-shown");
    let mut config = VaultConfig::default();
    config.grant_time = std::time::Duration::from_secs(604_801);
    assert!(config.check().is_err(), "no grant lasts for weeks");
    assert_eq!(rig.kinds(deleted).await.len(), 2, "a refused decision leaves no event");
}

#[tokio::test]
async fn defect_23_a_sweep_is_bounded_logged_and_never_takes_what_was_decided() {
    let rig = Rig::of_objects().await;
    let (released, expired) = (rig.hold("one").await, rig.hold("two").await);
    rig.vault.release(released, &ann(), Reason::default(), None).await.unwrap();
    rig.pass(72);
    rig.objects.set(Some(Trouble::NoDelete));
    let one = 1.try_into().unwrap();
    let first = rig.vault.sweep(one, None).await.unwrap();
    assert_eq!((first.expired, first.more), (1, true));
    assert_eq!(rig.vault.show(released).await.unwrap().status, Status::Released);
    assert_eq!(rig.kinds(expired).await, [EventKind::SsgQuarantine, EventKind::RecordExpired]);
    assert_eq!(first.failed, 1, "an answer of the objects that is no yes is counted");
    assert_eq!(rig.count("quarantine_tombstones").await, 1, "and tried again");
    rig.objects.set(None);
    rig.clock.advance(std::time::Duration::from_hours(1));
    assert_eq!(rig.sweep().await.objects_deleted, 1, "released content goes as well, a day later");
    rig.assert_sound().await;
}

#[tokio::test]
async fn defect_24_each_wrapped_key_names_its_master_key() {
    let rig = Rig::new().await;
    rig.hold("offer").await;
    let row = rig.row("SELECT master_key_id, week_key_id, algorithm FROM encryption_keys").await;
    let week: String = row.get("week_key_id").unwrap();
    assert_eq!(row.get::<String>("master_key_id").unwrap(), week, "what wraps it is the key of its week");
    let row_of_week = rig.row("SELECT id, master_key_id FROM quarantine_week_keys").await;
    assert_eq!(row_of_week.get::<String>("id").unwrap(), week);
    assert_eq!(
        row_of_week.get::<String>("master_key_id").unwrap(),
        "test",
        "and that is wrapped by the master key"
    );
    assert_eq!(row.get::<String>("algorithm").unwrap(), "hkdf-sha512+aes-256-gcm/v1");
    assert_eq!(rig.vault.stats().await.unwrap().keys["test"], 1);
}

#[tokio::test]
async fn defect_25_rows_are_bound_to_content_and_no_plain_hash_of_it_is_kept() {
    let rig = Rig::new().await;
    let (one, two) = (rig.hold("one").await, rig.hold("two").await);
    rig.sql(&format!(
        "UPDATE quarantine_records SET inline_ciphertext = (SELECT inline_ciphertext FROM quarantine_records \
         WHERE id = '{two}') WHERE id = '{one}'"
    ))
    .await;
    assert_eq!(code(rig.text_of(one).await), "quarantine/altered");
    // The same content under another master key has another code: without the key, guesses cannot be tried.
    let code_of = async |rig: &Rig| {
        rig.hold("guess").await;
        let sql = "SELECT content_hmac FROM quarantine_records ORDER BY created_at DESC, id DESC LIMIT 1";
        rig.row(sql).await.get::<Vec<u8>>("content_hmac").unwrap()
    };
    let mut other = Rig::new().await;
    other.vault = clawexchange_quarantine::Vault::new(
        other.db.clone(),
        other.objects.clone(),
        KeyRing::generate().unwrap(),
        other.log.clone(),
        VaultConfig::default(),
    )
    .unwrap()
    .with_clock(other.clock.clone());
    assert_ne!(code_of(&rig).await, code_of(&other).await);
    assert!(rig.hold_by("guess", "agent-1").await.unwrap().is_repeat, "and repeats are recognised by it");
}

#[test]
fn defect_26_only_one_spelling_of_a_key_is_taken_and_zeros_are_none() {
    let good = MasterKey::new([0xfb; 32]).unwrap().to_base64();
    assert!(MasterKey::from_base64(&good).is_ok());
    let zeros = format!("{}=", "A".repeat(43));
    for bad in [format!("!!{}###", *good), good.replace('+', "-").replace('/', "_"), zeros] {
        assert!(MasterKey::from_base64(&bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn defect_27_content_is_bounded_listed_and_its_time_is_checked() {
    let mut config = VaultConfig::default();
    config.content_bytes_max = 100;
    let rig = Rig::with(config.clone()).await;
    assert!(rig.hold_by(&"x".repeat(200), "agent-1").await.is_err());
    rig.hold("offer").await;
    let page = rig.vault.list(&Filter::default(), None, PageLimit::default()).await.unwrap();
    assert_eq!(page.items.len(), 1);
    config.expiry = std::time::Duration::ZERO;
    assert!(config.check().is_err());
}

/// The original documented variables that nothing read. Here whoever puts the vault together reads them, and the
/// library reads none.
#[test]
fn defect_28_the_library_reads_no_environment() {
    fn look(folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(!text.contains("env::var") && !text.contains("env!("), "{}", path.display());
            }
        }
    }
    look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
}
