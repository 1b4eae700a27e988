//! Schema changes: all or nothing, one at a time, noticed when altered, guarded when they would destroy.
#![cfg(feature = "migrate")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use clawexchange_database::{
    Database, DatabaseConfig, Destroy, DownTo, MigrateError, MigrationSet, Place, Plan, SchemaState, Script,
    Statements as _, Step,
};
use clawexchange_ssg_core::{Fault as _, FaultKind, Timestamp};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

const ONE: Step = Step {
    name: "notes_0001_notes",
    sqlite: Script { up: "CREATE TABLE notes (note TEXT NOT NULL) STRICT", down: "DROP TABLE notes" },
    postgres: Script { up: "", down: "" },
    shape: "",
    is_alone: false,
    evidence: &["notes"],
};
const TWO: Step = Step {
    name: "notes_0002_index",
    sqlite: Script { up: "CREATE INDEX notes_by_note ON notes (note)", down: "DROP INDEX notes_by_note" },
    evidence: &[],
    ..ONE
};

const fn notes(steps: &'static [Step]) -> MigrationSet {
    MigrationSet { owner: "notes", table: "clawexchange_notes_migrations", steps }
}

async fn open(folder: &tempfile::TempDir) -> Database {
    let place = Place::Sqlite(folder.path().join("rows.db"));
    Database::open(DatabaseConfig::new(place).creating()).await.unwrap()
}

async fn tables(db: &Database) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE name LIKE 'notes%' ORDER BY name";
    db.read().rows(sql, []).await.unwrap().iter().map(|row| row.get("name").unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn up_down_up_on_empty_and_filled_tables() {
    let folder = tempfile::tempdir().unwrap();
    let (db, plan) = (open(&folder).await, Plan::of([notes(&[ONE, TWO])]));
    assert_eq!(plan.state(&db).await.unwrap(), SchemaState::Empty);
    assert_eq!(
        plan.up(&db, Some(ONE.name), NOW).await.unwrap(),
        [
            "database_0001_base",
            "database_0002_idempotency",
            "database_0003_keys",
            "database_0004_adoptions",
            "database_0005_rules",
            ONE.name
        ]
    );
    assert_eq!(plan.state(&db).await.unwrap(), SchemaState::Behind(vec![TWO.name]));
    assert_eq!(plan.up(&db, None, NOW).await.unwrap(), [TWO.name]);
    assert_eq!(plan.up(&db, None, NOW).await.unwrap(), [""; 0]);
    assert_eq!(plan.state(&db).await.unwrap(), SchemaState::Current);
    assert!(plan.drift(&db).await.unwrap().is_none());
    assert!(db.deployment().await.unwrap().is_some());

    assert_eq!(plan.down(&db, &DownTo::Steps(1), None).await.unwrap(), [TWO.name]);
    assert_eq!(tables(&db).await, ["notes"]);
    let tx = db.begin().await.unwrap();
    tx.execute("INSERT INTO notes VALUES ('evidence')", []).await.unwrap();
    tx.commit().await.unwrap();
    let refused = plan.down(&db, &DownTo::Steps(1), None).await.unwrap_err();
    assert!(matches!(refused, MigrateError::WouldDestroy { table: "notes", .. }));
    assert_eq!(refused.kind(), FaultKind::NotAllowed);
    assert!(Destroy::named("yes").is_none());
    plan.up(&db, None, NOW).await.unwrap();
    let all = plan.down(&db, &DownTo::Steps(9), Destroy::named(Destroy::PHRASE)).await.unwrap();
    assert_eq!(
        all,
        [
            TWO.name,
            ONE.name,
            "database_0005_rules",
            "database_0004_adoptions",
            "database_0003_keys",
            "database_0002_idempotency",
            "database_0001_base"
        ],
        "backwards through the plan"
    );
    plan.up(&db, None, NOW).await.unwrap();
    assert!(plan.drift(&db).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_run_each_step_once() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(&folder).await, open(&folder).await);
    let plan = Plan::of([notes(&[ONE, TWO])]);
    let (a, b) = tokio::join!(plan.up(&one, None, NOW), plan.up(&two, None, NOW));
    assert_eq!(a.unwrap().len() + b.unwrap().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_step_leaves_nothing_of_the_plan() {
    const BROKEN: Step =
        Step { name: "notes_0002_broken", sqlite: Script { up: "CREATE NONSENSE", down: "" }, ..ONE };
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let error = Plan::of([notes(&[ONE, BROKEN])]).up(&db, None, NOW).await.unwrap_err();
    assert!(matches!(error, MigrateError::Step { .. }), "{error:?}");
    assert_eq!(Plan::of([]).state(&db).await.unwrap(), SchemaState::Empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_text_changed_is_noticed_before_anything_is_done() {
    const CHANGED: Step =
        Step { sqlite: Script { up: "CREATE TABLE notes (note TEXT)", down: "DROP TABLE notes" }, ..ONE };
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    Plan::of([notes(&[ONE])]).up(&db, None, NOW).await.unwrap();
    let changed = Plan::of([notes(&[CHANGED, TWO])]);
    assert!(
        matches!(changed.up(&db, None, NOW).await.unwrap_err(), MigrateError::Changed { name } if name == ONE.name)
    );
    assert!(matches!(changed.state(&db).await.unwrap_err(), MigrateError::Changed { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_and_foreign_schemas_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    Plan::of([notes(&[ONE, TWO])]).up(&db, None, NOW).await.unwrap();
    let older = Plan::of([notes(&[ONE])]);
    assert_eq!(older.state(&db).await.unwrap(), SchemaState::Ahead(vec![TWO.name.to_owned()]));
    assert!(matches!(older.up(&db, None, NOW).await.unwrap_err(), MigrateError::Newer { .. }));

    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE audit_logs (id TEXT)", []).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(older.state(&db).await.unwrap(), SchemaState::Foreign);
    assert!(matches!(older.up(&db, None, NOW).await.unwrap_err(), MigrateError::Foreign));
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_found_whatever_was_altered() {
    let folder = tempfile::tempdir().unwrap();
    let (db, plan) = (open(&folder).await, Plan::of([notes(&[ONE, TWO])]));
    plan.up(&db, None, NOW).await.unwrap();
    let tx = db.begin().await.unwrap();
    tx.execute("DROP INDEX notes_by_note", []).await.unwrap();
    tx.execute("CREATE TRIGGER sly AFTER INSERT ON notes BEGIN DELETE FROM notes; END", []).await.unwrap();
    tx.commit().await.unwrap();
    let drift = plan.drift(&db).await.unwrap();
    assert_eq!(drift.missing.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["notes_by_note"]);
    assert_eq!(drift.unexpected.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["sly"]);
}
