//! What somebody does who has the database, behind everybody's back, in the language of either.

use clawexchange_database::{Database, Dialect, Place, Statements as _};

/// Bytes as a statement has them.
pub fn blob(db: &Database, hex: &str) -> String {
    match db.dialect() {
        Dialect::Sqlite => format!("x'{hex}'"),
        Dialect::Postgres => format!("CAST('\\x{hex}' AS BYTEA)"),
    }
}

/// A statement for each of the two.
pub fn either<'a>(db: &Database, sqlite: &'a str, postgres: &'a str) -> &'a str {
    match db.dialect() {
        Dialect::Sqlite => sqlite,
        Dialect::Postgres => postgres,
    }
}

/// Runs one statement.
///
/// # Panics
///
/// If it fails.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub async fn run(db: &Database, sql: &str) {
    let tx = db.begin().await.expect("a transaction begins");
    tx.execute(sql, []).await.expect("the statement runs");
    tx.commit().await.expect("it commits");
}

/// Takes the rule called `<table>_<name>`, on PostgreSQL `<name>`, away from a table, and gives the statement that puts
/// it back.
///
/// # Panics
///
/// If there is none.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub async fn trigger_off(db: &Database, table: &str, name: &str) -> String {
    match db.dialect() {
        Dialect::Sqlite => {
            let sql = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = $1";
            let row = db.read().row(sql, [format!("{table}_{name}").into()]).await;
            let row = row.expect("the schema can be read").expect("there is such a rule");
            run(db, &format!("DROP TRIGGER {table}_{name}")).await;
            row.get("sql").expect("a trigger has a text")
        }
        Dialect::Postgres => {
            run(db, &format!("ALTER TABLE {table} DISABLE TRIGGER {name}")).await;
            format!("ALTER TABLE {table} ENABLE TRIGGER {name}")
        }
    }
}

/// Runs a statement although the table that it changes has a rule against it.
///
/// # Panics
///
/// If it fails all the same.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub async fn unchecked(db: &Database, table: &str, sql: &str) {
    let tx = db.begin().await.expect("a transaction begins");
    let before = match db.dialect() {
        Dialect::Sqlite => "PRAGMA ignore_check_constraints = ON".to_owned(),
        Dialect::Postgres => format!(
            "DO $$DECLARE rule TEXT; BEGIN FOR rule IN SELECT conname FROM pg_constraint \
             WHERE contype = 'c' AND conrelid = CAST('{table}' AS regclass) LOOP \
             EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %I', rule); END LOOP; END$$"
        ),
    };
    tx.execute(&before, []).await.expect("rules can be taken away");
    tx.execute(sql, []).await.expect("the statement runs");
    if db.dialect() == Dialect::Sqlite {
        tx.execute("PRAGMA ignore_check_constraints = OFF", []).await.expect("rules can be put back");
    }
    tx.commit().await.expect("it commits");
}

/// Everything that lies in the database, as somebody would look through it who has it.
///
/// # Panics
///
/// If it cannot be read.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub async fn everything(db: &Database) -> Vec<u8> {
    match db.place() {
        Place::Sqlite(file) => {
            let mut all = std::fs::read(file).expect("the file can be read");
            let beside = file.with_extension("db-wal");
            all.extend(std::fs::read(beside).expect("what was written last can be read"));
            all
        }
        _ => {
            let sql = "SELECT CAST(database_to_xml(true, false, '') AS TEXT) AS everything";
            let row = db.read().row(sql, []).await.expect("it can be read").expect("it is one row");
            row.get::<String>("everything").expect("it is text").into_bytes()
        }
    }
}
