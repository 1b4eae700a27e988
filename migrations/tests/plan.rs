//! The schema of all crates: frozen names, a golden text, there and back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use clawexchange_database::{Database, DatabaseConfig, Dialect, Place, expected_schema, schema};
use clawexchange_migrations::{Destroy, DownTo, SchemaState, all};
use clawexchange_ssg_core::Timestamp;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// What has been released or will be: it only ever grows, at the end of each crate's part.
const NAMES: [&str; 14] = [
    "database_0001_base",
    "database_0002_idempotency",
    "database_0003_keys",
    "database_0004_adoptions",
    "database_0005_rules",
    "audit_0001_log",
    "audit_0002_tree",
    "quarantine_0001_records",
    "quarantine_0002_review",
    "quarantine_0003_week_keys",
    "quarantine_0004_adopted",
    "rate_limiter_0001_limits",
    "rate_limiter_0002_overrides",
    "moderation_0001_tokens",
];

async fn open(folder: &tempfile::TempDir) -> Database {
    let place = Place::Sqlite(folder.path().join("claw.db"));
    Database::open(DatabaseConfig::new(place).creating()).await.unwrap()
}

#[test]
fn names_and_history_tables_are_fixed_and_unlike_each_other() {
    let plan = all();
    assert_eq!(plan.steps().map(|(_, step)| step.name).collect::<Vec<_>>(), NAMES);
    let tables: BTreeSet<_> = plan.steps().map(|(set, _)| (set.owner, set.table)).collect();
    for (owner, table) in &tables {
        assert_eq!(*table, format!("clawexchange_{}_migrations", owner.replace('-', "_")));
    }
    assert_eq!(tables.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_the_golden_one() {
    let plan = all();
    let objects = expected_schema(Dialect::Sqlite, plan.steps().map(|(_, step)| step)).await.unwrap();
    let mut text = String::from(
        "-- The schema after all steps. A change of it is meant or a mistake; see tests/plan.rs.\n",
    );
    for object in &objects {
        writeln!(text, "-- {} {}\n{}", object.kind, object.name, object.sql).unwrap();
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/sqlite.sql");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        text == wanted,
        "the steps make another schema than golden/sqlite.sql; if meant, run with UPDATE_GOLDEN=1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn up_down_up_leaves_the_same_schema() {
    let folder = tempfile::tempdir().unwrap();
    let (db, plan) = (open(&folder).await, all());
    assert_eq!(plan.up(&db, None, NOW).await.unwrap(), NAMES);
    assert!(plan.drift(&db).await.unwrap().is_none());
    let first = schema(&db).await.unwrap();
    let mut backwards = NAMES.to_vec();
    backwards.reverse();
    let undone = plan.down(&db, &DownTo::Steps(99), Destroy::named(Destroy::PHRASE)).await.unwrap();
    assert_eq!(undone, backwards);
    assert_eq!(plan.up(&db, None, NOW).await.unwrap(), NAMES);
    assert_eq!(schema(&db).await.unwrap(), first);
    assert_eq!(plan.state(&db).await.unwrap(), SchemaState::Current);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_can_be_undone_and_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let (db, plan) = (open(&folder).await, all());
    plan.up(&db, None, NOW).await.unwrap();
    for n in 1..=u32::try_from(NAMES.len()).unwrap() {
        plan.down(&db, &DownTo::Steps(n), Destroy::named(Destroy::PHRASE)).await.unwrap();
        plan.up(&db, None, NOW).await.unwrap();
        assert!(plan.drift(&db).await.unwrap().is_none(), "after undoing {n}");
    }
}
