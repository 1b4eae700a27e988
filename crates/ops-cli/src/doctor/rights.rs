//! What the role of DATABASE_URL may do with the log: tried, in transactions that are never committed.

use std::error::Error;

use clawexchange_database::{Database, DatabaseError, Statements as _};
use clawexchange_ssg_core::{Fault as _, FaultKind};

use super::{Deployment, Found, Looked};

/// What came of a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tried {
    /// The role has no right to.
    NoRight,
    /// A trigger of the log refused.
    Guarded,
    /// It was done, and undone.
    Done,
    /// Somebody held the table for too long.
    Waited,
}

/// A moment: whoever uses the log goes first.
const PATIENCE: &str = "SET LOCAL lock_timeout = '500ms'";

async fn attempt(db: &Database, sql: &str) -> Result<Tried, DatabaseError> {
    let tx = db.begin().await?;
    tx.execute(PATIENCE, []).await?;
    match tx.execute(sql, []).await {
        // Dropped, it never was.
        Ok(_) => Ok(Tried::Done),
        Err(error) if error.kind() == FaultKind::NotAllowed => Ok(Tried::NoRight),
        Err(error) if says_append_only(&error) => Ok(Tried::Guarded),
        Err(error) if error.kind() == FaultKind::Unavailable => Ok(Tried::Waited),
        Err(error) => Err(error),
    }
}

pub(super) fn says_append_only(error: &DatabaseError) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("append-only") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Any row will do, of a month that is there; without one a trigger has nothing to stand before.
const ANY: &str = "ctid = (SELECT min(ctid) FROM ONLY";

/// What must be refused, by a right that is missing or by a trigger.
fn changes() -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for table in ["audit_logs", "audit_batches", "audit_head"] {
        let (column, what) = match table {
            "audit_logs" => {
                ("event_type = 'CHANGED'", ["change an event", "delete an event", "empty the log"])
            }
            "audit_batches" => ("n = n", ["change a batch", "delete a batch", "empty the batches"]),
            _ => {
                ("size = size - 1", ["shorten a log", "take the end of a log", "empty the ends of the logs"])
            }
        };
        // The parts of the log are told apart by the system's own name of a row, which is not one across parts.
        let one = if table == "audit_logs" {
            "(tableoid, ctid) = (SELECT tableoid, ctid FROM audit_logs LIMIT 1)".to_owned()
        } else {
            format!("{ANY} {table})")
        };
        let [change, delete, empty] = what;
        all.push((change, format!("UPDATE {table} SET {column} WHERE {one}")));
        all.push((delete, format!("DELETE FROM {table} WHERE {one}")));
        all.push((empty, format!("TRUNCATE {table}")));
    }
    all
}

/// The guards of the log that are not there, or that a session can switch off.
const GUARDS: &str = "
WITH RECURSIVE parts AS (
    SELECT CAST(to_regclass('audit_logs') AS oid) AS oid
    UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN parts p ON i.inhparent = p.oid
), wanted AS (
    SELECT oid, guard FROM parts, (VALUES ('audit_no_change'), ('audit_no_truncate')) AS g (guard)
    UNION ALL SELECT CAST(to_regclass(t) AS oid), guard
    FROM (VALUES ('audit_batches', 'audit_no_change'), ('audit_batches', 'audit_no_truncate'),
                 ('audit_head', 'audit_only_grows'), ('audit_head', 'audit_no_delete'),
                 ('audit_head', 'audit_no_truncate'), ('audit_subjects', 'audit_alias_stays')) AS v (t, guard)
)
SELECT CAST(c.relname AS TEXT) AS name, CAST(w.guard AS TEXT) AS guard
FROM wanted w JOIN pg_catalog.pg_class c ON c.oid = w.oid
WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t
                  WHERE t.tgrelid = w.oid AND t.tgname = w.guard AND t.tgenabled = 'A')
ORDER BY 1, 2 LIMIT 10";

/// Whether events can be changed, whoever tries; `append-only` on PostgreSQL.
pub(super) async fn append_only(db: &Database) -> Looked {
    let (mut allowed, mut waited) = (Vec::new(), false);
    for (what, sql) in changes() {
        match attempt(db, &sql).await? {
            Tried::Done => allowed.push(what),
            Tried::Waited => waited = true,
            Tried::NoRight | Tried::Guarded => {}
        }
    }
    let mut missing = Vec::new();
    for row in db.read().rows(GUARDS, []).await? {
        missing.push(format!("{} on {}", row.get::<String>("guard")?, row.get::<String>("name")?));
    }
    let fix = "run `claw audit verify`; `claw migrate verify` names the trigger; restore a backup of before";
    if !allowed.is_empty() {
        return Ok(Found::fail(format!("who writes the database may {}", allowed.join(", ")), fix));
    }
    if !missing.is_empty() {
        let text = format!("these guards are not there, or can be switched off: {}", missing.join(", "));
        return Ok(Found::fail(text, fix));
    }
    if waited {
        return Ok(Found::unknown("the tables of the log were held by somebody for long", None));
    }
    Ok(Found::ok("changing, deleting and emptying the log is refused, and every part of it has its guards"))
}

const ROLE: &str = "
SELECT CAST(current_user AS TEXT) AS name, r.rolsuper AS super,
       r.rolreplication OR r.rolbypassrls OR r.rolcreaterole AS special,
       EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid IN (CAST(to_regclass('audit_logs') AS oid),
                   CAST(to_regclass('audit_batches') AS oid), CAST(to_regclass('audit_head') AS oid))
               AND pg_catalog.pg_has_role(c.relowner, 'MEMBER')) AS owns
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";

struct Role {
    name: String,
    is_super: bool,
    is_special: bool,
    owns: bool,
}

async fn role(db: &Database) -> Result<Role, Found> {
    let row = db.read().row(ROLE, []).await?;
    let row = row.ok_or_else(|| Found::unknown("the role is not in the catalog", None))?;
    Ok(Role {
        name: row.get("name")?,
        is_super: row.get("super")?,
        is_special: row.get("special")?,
        owns: row.get("owns")?,
    })
}

const ROLE_FIX: &str = "run `claw migrate roles` and what it prints, and name that role in DATABASE_URL; the owner stands in \
     CLAW_MIGRATE_DATABASE_URL alone";

pub(super) async fn superuser(deployment: &Deployment) -> Looked {
    let role = role(deployment.server()?).await?;
    if role.is_super {
        return Ok(Found::fail(
            format!("{} is a SUPERUSER: nothing in the database holds against it", role.name),
            ROLE_FIX,
        ));
    }
    Ok(if role.is_special {
        Found::warn(format!("{} may make roles, replicate or pass over row security", role.name), ROLE_FIX)
    } else {
        Found::ok(format!("{} has no attribute beyond LOGIN", role.name))
    })
}

/// What the application never does, and an owner may.
const NEVER: [(&str, &str); 7] = [
    ("add to the log past its function", "INSERT INTO audit_batches SELECT * FROM audit_batches WHERE false"),
    ("give the log another end", "INSERT INTO audit_head SELECT * FROM audit_head WHERE false"),
    ("switch triggers off for its session", "SET LOCAL session_replication_role = replica"),
    ("make functions", "CREATE FUNCTION claw_doctor_probe() RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
    ("make tables", "CREATE TABLE claw_doctor_probe (x integer)"),
    ("make temporary tables", "CREATE TEMPORARY TABLE claw_doctor_probe (x integer)"),
    ("make a month of the log", "SELECT audit_partition(200001)"),
];

/// Whether the application's role may do more than append and read.
pub(super) async fn log_rights(deployment: &Deployment) -> Looked {
    let db = deployment.server()?;
    deployment.rows()?;
    let role = role(db).await?;
    if role.is_super || role.owns {
        let is = if role.is_super { "is a SUPERUSER" } else { "owns the log" };
        return Ok(Found::fail(
            format!(
                "{} {is}: it can take the triggers away and change what happened, and so can whoever breaks into the \
                 application",
                role.name
            ),
            ROLE_FIX,
        ));
    }
    let mut allowed = Vec::new();
    for (what, sql) in NEVER.into_iter().map(|(what, sql)| (what, sql.to_owned())).chain(changes()) {
        // What a trigger refuses the role should not even have the right to.
        if matches!(attempt(db, &sql).await?, Tried::Done | Tried::Guarded) {
            allowed.push(what);
        }
    }
    if !allowed.is_empty() {
        return Ok(Found::fail(format!("{} has the right to {}", role.name, allowed.join(", ")), ROLE_FIX));
    }
    // The other way round: a right that is missing shows at the worst moment.
    for sql in ["SELECT audit_partitions_ahead(0)", "SELECT 1 FROM audit_logs LIMIT 1"] {
        if attempt(db, sql).await? == Tried::NoRight {
            return Ok(Found::fail(format!("{} lacks a right that it needs: {sql}", role.name), ROLE_FIX));
        }
    }
    Ok(Found::ok(format!("{} appends to the log and reads it, and nothing else", role.name)))
}
