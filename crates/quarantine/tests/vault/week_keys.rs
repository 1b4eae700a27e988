//! Keys of weeks: what is destroyed stays so, though somebody kept the whole database and has every master key.

use clawexchange_database::{Database, DatabaseConfig, Place, Plan};
use clawexchange_quarantine::{FileStore, Filter, MIGRATIONS, Reason, Vault, VaultConfig, WeekKeyFiles};
use clawexchange_ssg_core::{Clock as _, EventKind, Fault as _, FaultKind, PageLimit};

use crate::rig::{Rig, ann, code, note};

/// Everything that somebody has who kept the database: a vault over a copy of it, with all keys there are now.
async fn vault_over_a_copy(rig: &Rig, copy: &std::path::Path) -> Vault {
    let db = Database::open(DatabaseConfig::new(Place::Sqlite(copy.to_owned()))).await.unwrap();
    Plan::of([MIGRATIONS]).up(&db, None, rig.clock.now()).await.unwrap();
    Vault::new(
        db,
        FileStore::new(rig.folder.join("objects")),
        rig.keys.clone(),
        rig.log.clone(),
        VaultConfig::default(),
    )
    .unwrap()
    .with_clock(rig.clock.clone())
    .with_week_keys(WeekKeyFiles::new(rig.folder.join("weeks")))
}

/// One to which nobody says where keys of weeks lie.
fn vault_without_a_place(rig: &Rig) -> Vault {
    let (db, objects, keys, log) = (rig.db.clone(), rig.objects.clone(), rig.keys.clone(), rig.log.clone());
    Vault::new(db, objects, keys, log, VaultConfig::default()).unwrap().with_clock(rig.clock.clone())
}

async fn text_in(vault: &Vault, id: clawexchange_ssg_core::QuarantineId) -> Result<Vec<u8>, &'static str> {
    let grant = vault.grant(id, &ann(), &note("drill")).await.map_err(|e| e.code())?;
    vault.open(&ann(), &grant.token).await.map(|opened| opened.content.to_vec()).map_err(|e| e.code())
}

/// The rig on SQLite and files, whatever the suite runs on: a copy of the database is a copy of its file.
async fn rig_on_sqlite(folder: &std::path::Path) -> Rig {
    let place = Place::Sqlite(folder.join("original.db"));
    let db = Database::open(DatabaseConfig::new(place).creating()).await.unwrap();
    Rig::over_files(db, folder).await
}

#[tokio::test]
async fn a_copy_of_the_database_from_before_opens_nothing_that_was_destroyed_since() {
    let temporary = tempfile::tempdir().unwrap();
    let rig = rig_on_sqlite(temporary.path()).await;
    let (gone, kept) = (rig.hold("destroyed later").await, rig.hold("under a legal hold").await);
    let large = rig.hold(&format!("destroyed later, in a file {}", "x".repeat(100_000))).await;
    rig.vault.place_legal_hold(kept, &ann(), &note("a case")).await.unwrap();
    let copy = temporary.path().join("copy.db");
    // Nobody writes meanwhile.
    for ending in ["", "-wal"] {
        let name = |stem: &str| temporary.path().join(format!("{stem}.db{ending}"));
        std::fs::copy(name("original"), name("copy")).unwrap();
    }
    let objects = temporary.path().join("objects");
    copy_folder(&objects, &temporary.path().join("objects-kept"));
    for id in [gone, large] {
        rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, true).await.unwrap();
    }
    // Until the key of the week goes, the copy opens: that is what it protects from.
    assert!(
        text_in(&vault_over_a_copy(&rig, &copy).await, gone).await.is_ok(),
        "the key of the week is still there"
    );
    rig.vault.close_week_keys().await.unwrap();
    while rig.vault.move_some(&ann()).await.unwrap().more {}
    std::fs::remove_dir_all(&objects).unwrap();
    copy_folder(&temporary.path().join("objects-kept"), &objects);
    let kept_before = vault_over_a_copy(&rig, &copy).await;
    for id in [gone, large] {
        assert_eq!(text_in(&kept_before, id).await, Err("quarantine/week-key-gone"));
    }
    // And by hand: the wrapped key in the copy and all master keys open nothing without the file that is gone.
    assert_eq!(rig.week_files().len(), 1, "one key is left, and it is another");
    assert!(rig.text_of(kept).await.unwrap().contains("under a legal hold"), "what is held still opens");
    let found = kept_before.reconcile(false).await.unwrap();
    assert_eq!(found.keyless.len(), 3, "a restored copy says what does not open any more: {found:?}");
    // Whoever restores from before the keys were exchanged loses what was held as well: hence the drill's fresh backup.
    assert!(found.keyless.contains(&kept));
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

#[tokio::test]
async fn the_key_of_a_week_goes_when_the_last_content_that_needs_it_is_destroyed() {
    let rig = Rig::new().await;
    let id = rig.hold("this week").await;
    let first = rig.week_files();
    assert_eq!(first.len(), 1);
    rig.pass(24 * 7);
    rig.sweep().await;
    let grown = rig.week_files();
    assert!(grown.contains(&first[0]), "expired, and its grace is not over: {grown:?}");
    rig.pass(24);
    let swept = rig.sweep().await;
    assert_eq!((swept.shredded, swept.week_keys_destroyed), (1, 1), "{swept:?}");
    assert_eq!(rig.week_files(), Vec::<String>::new());
    assert_eq!(rig.count("quarantine_week_keys").await, 0);
    assert_eq!(rig.count("quarantine_spent_week_keys WHERE erased_at IS NOT NULL").await, 1);
    assert_eq!(code(rig.text_of(id).await), "quarantine/gone");
    let events = rig.log.events().await;
    let destroyed: Vec<_> = events.iter().filter(|e| e.kind() == EventKind::KeyDestroyed).collect();
    assert_eq!(destroyed.len(), 1);
    assert_eq!(destroyed[0].target().unwrap().id, first[0]);
}

#[tokio::test]
async fn what_is_held_for_long_moves_on_so_that_no_key_of_a_week_lasts_for_long() {
    let rig = Rig::new().await;
    let (long, short) = (rig.hold("a legal hold").await, rig.hold("nothing special").await);
    rig.vault.place_legal_hold(long, &ann(), &note("a case")).await.unwrap();
    let first = rig.week_files();
    for _ in 0..14 {
        rig.pass(24);
        rig.sweep().await;
    }
    assert!(!rig.week_files().contains(&first[0]), "two weeks after it was made it is gone");
    assert!(rig.text_of(long).await.unwrap().contains("a legal hold"));
    assert_eq!(code(rig.text_of(short).await), "quarantine/gone");
    assert_eq!(rig.discrepancies().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_store_that_meets_a_closed_key_takes_the_next_one() {
    let rig = Rig::new().await;
    let [other] = rig.others().await;
    rig.hold("first").await;
    // The other process remembers which key is open.
    let held = rig.a_hold("second", "agent-2").await;
    clawexchange_ssg_core::Quarantine::hold(&other, held).await.unwrap();
    rig.vault.close_week_keys().await.unwrap();
    let third = rig.a_hold("third", "agent-3").await;
    let third = clawexchange_ssg_core::Quarantine::hold(&other, third).await.unwrap();
    assert_eq!(rig.count("quarantine_week_keys").await, 2);
    while rig.vault.move_some(&ann()).await.unwrap().more {}
    assert_eq!(rig.count("quarantine_week_keys").await, 1);
    assert!(rig.text_of(third.id).await.unwrap().contains("third"));
    let page = rig.vault.list(&Filter::default(), None, PageLimit::default()).await.unwrap();
    for record in page.items {
        assert!(rig.text_of(record.id).await.is_ok(), "{}", record.id);
    }
}

#[tokio::test]
async fn where_keys_of_weeks_lie_is_not_guessed() {
    let rig = Rig::new().await;
    let id = rig.hold("needs its key").await;
    let elsewhere = vault_without_a_place(&rig);
    assert_eq!(text_in(&elsewhere, id).await, Err("quarantine/week-key-elsewhere"));
    // It would go on in the database, where each backup has it.
    let more = rig.a_hold("another", "agent-2").await;
    let refused = clawexchange_ssg_core::Quarantine::hold(&elsewhere, more).await.unwrap_err();
    assert_eq!(refused.kind(), FaultKind::Configuration);
}

#[tokio::test]
async fn keys_of_weeks_move_out_of_the_database_once_a_place_is_named() {
    let rig = Rig::new().await;
    let inside = vault_without_a_place(&rig);
    let held = rig.a_hold("held before", "agent-1").await;
    let id = clawexchange_ssg_core::Quarantine::hold(&inside, held).await.unwrap().id;
    assert!(rig.week_files().is_empty());
    assert_eq!(rig.vault.to_rewrap().await.unwrap(), (1, 0));
    assert!(rig.text_of(id).await.is_ok(), "wherever it lies");
    assert_eq!(rig.vault.rewrap_some(&ann()).await.unwrap().week_keys, 1);
    assert_eq!((rig.week_files().len(), rig.vault.to_rewrap().await.unwrap()), (1, (0, 0)));
    assert_eq!(rig.count("quarantine_week_keys WHERE wrapped IS NOT NULL").await, 0);
    assert!(rig.text_of(id).await.is_ok());
}

#[tokio::test]
async fn a_key_that_cannot_be_erased_yet_is_erased_later() {
    let rig = Rig::new().await;
    let id = rig.hold("soon gone").await;
    rig.vault.delete(id, &ann(), Reason::PolicyViolation, None, true).await.unwrap();
    rig.vault.close_week_keys().await.unwrap();
    let (folder, away) = (rig.folder.join("weeks"), rig.folder.join("away"));
    std::fs::rename(&folder, &away).unwrap();
    // A file in the place of the folder: nothing below it can be opened.
    std::fs::write(&folder, b"").unwrap();
    let report = rig.vault.move_some(&ann()).await.unwrap();
    assert_eq!((report.destroyed, report.failed), (1, 1));
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    assert_eq!(rig.week_files().len(), 1);
    rig.sweep().await;
    assert_eq!(rig.week_files().len(), 0);
}

#[tokio::test]
async fn no_key_of_a_week_goes_while_content_needs_it() {
    let rig = Rig::new().await;
    rig.hold("needs it").await;
    assert!(!rig.try_sql("DELETE FROM quarantine_week_keys").await, "the database itself refuses");
    rig.vault.close_week_keys().await.unwrap();
    let swept = rig.sweep().await;
    assert_eq!(swept.week_keys_destroyed, 0, "a closed key that is needed stays");
}
