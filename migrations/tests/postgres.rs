//! The schema on PostgreSQL: what each step says it leaves, there and back, many at once, other people's tables.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clawexchange_database::{
    Database, MigrateError, MigrationSet, Plan, SchemaObject, Script, Step, schema, shape,
};
use clawexchange_migrations::{Destroy, DownTo, SchemaState, all};
use clawexchange_ssg_core::Timestamp;
use clawexchange_testkit::postgres;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

async fn fresh() -> Database {
    postgres::open(&postgres::empty()).await
}

async fn run(db: &Database, sql: &str) {
    let tx = db.begin().await.unwrap();
    tx.execute(sql, []).await.unwrap();
    tx.commit().await.unwrap();
}

/// Where the shape of a step stands: beside its text, in the crate that owns it.
fn file(owner: &str, step: &Step) -> PathBuf {
    let number = step.name.strip_prefix(&owner.replace('-', "_")).unwrap().get(1..5).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(owner).join("migrations");
    let ends = ".up.pg.sql";
    let mut names =
        std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    let name = names.find(|n| n.starts_with(number) && n.ends_with(ends)).unwrap();
    folder.join(name.replace(ends, ".pg.shape"))
}

/// `UPDATE_GOLDEN=1` writes the files anew; then whoever changed the text looks at what that changed.
#[tokio::test(flavor = "multi_thread")]
async fn each_step_leaves_what_it_says() {
    let (db, plan) = (fresh().await, all());
    let mut before: BTreeSet<SchemaObject> = schema(&db).await.unwrap();
    for (set, step) in plan.steps() {
        plan.up(&db, Some(step.name), NOW).await.unwrap();
        let after = schema(&db).await.unwrap();
        let (wanted, path) = (shape(&before, &after), file(set.owner, step));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        }
        let said = std::fs::read_to_string(&path).unwrap();
        assert!(
            said == wanted,
            "{} does not say what {} leaves; UPDATE_GOLDEN=1 if meant",
            path.display(),
            step.name
        );
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn up_down_up_leaves_the_same_schema_on_empty_tables_and_filled_ones() {
    let (db, plan) = (fresh().await, all());
    assert_eq!(plan.state(&db).await.unwrap(), SchemaState::Empty);
    let names = plan.up(&db, None, NOW).await.unwrap();
    assert_eq!(plan.state(&db).await.unwrap(), SchemaState::Current);
    assert!(plan.drift(&db).await.unwrap().is_none());
    let first = schema(&db).await.unwrap();
    for filled in [false, true] {
        if filled {
            run(&db, "INSERT INTO audit_subjects VALUES ('agent:a', repeat('0', 32), 'k', '\\x00', 'm')")
                .await;
            let refused = plan.down(&db, &DownTo::Steps(99), None).await.unwrap_err();
            assert!(matches!(refused, MigrateError::WouldDestroy { .. }), "{refused}");
            assert_eq!(schema(&db).await.unwrap(), first, "nothing was undone");
        }
        let undone = plan.down(&db, &DownTo::Steps(99), Destroy::named(Destroy::PHRASE)).await.unwrap();
        assert_eq!(undone.len(), names.len());
        let left: Vec<_> = schema(&db).await.unwrap().into_iter().map(|o| o.name).collect();
        assert!(
            !left.iter().any(|name| name.starts_with("audit") || name.starts_with("quarantine")),
            "{left:?}"
        );
        assert_eq!(plan.up(&db, None, NOW).await.unwrap(), names);
        assert_eq!(schema(&db).await.unwrap(), first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_can_be_undone_and_done_again() {
    let (db, plan) = (fresh().await, all());
    let names = plan.up(&db, None, NOW).await.unwrap();
    for n in 1..=u32::try_from(names.len()).unwrap() {
        plan.down(&db, &DownTo::Steps(n), Destroy::named(Destroy::PHRASE)).await.unwrap();
        plan.up(&db, None, NOW).await.unwrap();
        assert!(plan.drift(&db).await.unwrap().is_none(), "after undoing {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_altered_is_found_and_what_is_not_ours_is_left_alone() {
    let (db, plan) = (fresh().await, all());
    run(&db, "CREATE TABLE posts (id BIGINT PRIMARY KEY, body TEXT)").await;
    assert_eq!(plan.state(&db).await.unwrap(), SchemaState::Empty, "others' tables do not matter");
    plan.up(&db, None, NOW).await.unwrap();
    for (alter, kind, name) in [
        ("ALTER TABLE audit_logs DISABLE TRIGGER audit_no_change", "trigger", "audit_logs.audit_no_change"),
        ("DROP INDEX audit_logs_by_time", "index", "audit_logs.audit_logs_by_time"),
        ("ALTER TABLE audit_head ADD COLUMN sly TEXT", "table", "audit_head"),
        (
            "CREATE OR REPLACE FUNCTION audit_now() RETURNS BIGINT LANGUAGE sql AS 'SELECT 1::bigint'",
            "function",
            "audit_now()",
        ),
        (
            "ALTER TABLE moderation_tokens DROP CONSTRAINT moderation_tokens_role_check",
            "constraint",
            "moderation_tokens.moderation_tokens_role_check",
        ),
    ] {
        run(&db, alter).await;
        let drift = plan.drift(&db).await.unwrap();
        assert!(
            drift.missing.iter().any(|o| (o.kind.as_str(), o.name.as_str()) == (kind, name)),
            "{alter}: {drift:?}"
        );
    }
    run(&db, "CREATE FUNCTION sly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'").await;
    run(&db, "CREATE TRIGGER sly BEFORE INSERT ON quarantine_records FOR EACH ROW EXECUTE FUNCTION sly()")
        .await;
    let drift = plan.drift(&db).await.unwrap();
    assert_eq!(drift.unexpected.iter().filter(|o| o.name == "quarantine_records.sly").count(), 1);
    assert!(!drift.unexpected.iter().any(|o| o.name.starts_with("posts")));
}

#[tokio::test(flavor = "multi_thread")]
async fn four_at_once_run_each_step_once() {
    let rounds = if std::env::var_os("CLAW_TEST_FULL").is_some() { 50 } else { 3 };
    for round in 0..rounds {
        let url = postgres::empty();
        let four: Vec<_> = (0..4)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { all().up(&postgres::open(&url).await, None, NOW).await })
            })
            .collect();
        let mut ran = 0;
        for one in four {
            ran += one.await.unwrap().unwrap().len();
        }
        assert_eq!(ran, all().steps().count(), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_others_under_our_names_are_refused() {
    let db = fresh().await;
    run(&db, "CREATE TABLE audit_logs (id TEXT)").await;
    assert_eq!(all().state(&db).await.unwrap(), SchemaState::Foreign);
    assert!(matches!(all().up(&db, None, NOW).await.unwrap_err(), MigrateError::Foreign));
}

const TABLE: Step = Step {
    name: "notes_0001_notes",
    sqlite: Script { up: "", down: "" },
    postgres: Script { up: "CREATE TABLE notes (note TEXT NOT NULL)", down: "DROP TABLE notes" },
    shape: "",
    is_alone: false,
    evidence: &[],
};
const INDEX: Step = Step {
    name: "notes_0002_index",
    postgres: Script {
        up: "CREATE INDEX CONCURRENTLY IF NOT EXISTS notes_by_note ON notes (note)",
        down: "DROP INDEX notes_by_note",
    },
    is_alone: true,
    ..TABLE
};
const COLUMN: Step = Step {
    name: "notes_0003_column",
    postgres: Script {
        up: "ALTER TABLE notes ADD COLUMN at BIGINT",
        down: "ALTER TABLE notes DROP COLUMN at",
    },
    ..TABLE
};
const BROKEN: Step =
    Step { name: "notes_0003_broken", postgres: Script { up: "CREATE NONSENSE", down: "" }, ..TABLE };

const fn notes(steps: &'static [Step]) -> MigrationSet {
    MigrationSet { owner: "notes", table: "clawexchange_notes_migrations", steps }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_no_transaction_may_hold_parts_what_is_all_or_nothing() {
    let db = fresh().await;
    let broken = Plan::of([notes(&[TABLE, INDEX, BROKEN])]);
    let error = broken.up(&db, None, NOW).await.unwrap_err();
    assert!(matches!(error, MigrateError::Step { name: "notes_0003_broken", .. }), "{error}");
    let plan = Plan::of([notes(&[TABLE, INDEX, COLUMN])]);
    assert_eq!(plan.state(&db).await.unwrap(), SchemaState::Behind(vec![COLUMN.name]), "what was done stays");
    assert_eq!(plan.up(&db, None, NOW).await.unwrap(), [COLUMN.name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_cut_short_is_run_again() {
    let db = fresh().await;
    let plan = Plan::of([notes(&[TABLE, INDEX])]);
    plan.up(&db, Some(TABLE.name), NOW).await.unwrap();
    // It was made, and whoever made it died before noting it.
    run(&db, "CREATE INDEX notes_by_note ON notes (note)").await;
    assert_eq!(plan.up(&db, None, NOW).await.unwrap(), [INDEX.name]);
    assert_eq!(plan.state(&db).await.unwrap(), SchemaState::Current);
}
