//! Who may do what on PostgreSQL: the owner changes the schema, the application appends to the log and reads it.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use clawexchange_database::{DatabaseError, Dialect, SchemaObject, expected_schema};

use crate::all;

/// What the application does with each table. One of the log that is not here is read and nothing else: the functions
/// that append to it run with the owner's rights. A test sees to it that every other table is here.
const TABLES: [(&str, &str); 29] = [
    ("clawexchange_migrations", "SELECT"),
    ("database_deployment", "SELECT, UPDATE (key_id)"),
    ("database_outbox", "SELECT, INSERT, DELETE"),
    ("database_leases", "SELECT, INSERT, UPDATE"),
    ("database_idempotency", "SELECT, INSERT, UPDATE, DELETE"),
    ("database_root_keys", "SELECT, INSERT, UPDATE (wrapped, master_key_id, wrapped_us)"),
    ("database_master_keys", "SELECT, INSERT, UPDATE"),
    ("database_instances", "SELECT, INSERT, UPDATE, DELETE"),
    ("database_adoptions", "SELECT"),
    ("database_rule_bundles", "SELECT, INSERT"),
    ("database_rule_activations", "SELECT, INSERT"),
    ("database_rule_allowances", "SELECT, INSERT, UPDATE (ended_us, version)"),
    ("database_rule_revision", "SELECT, UPDATE"),
    ("audit_subjects", "SELECT, INSERT, UPDATE (key_id, wrapped_key)"),
    ("quarantine_records", "SELECT, INSERT, UPDATE, DELETE"),
    (
        "encryption_keys",
        "SELECT, INSERT, DELETE, UPDATE (encrypted_data_key, master_key_id, week_key_id, wrapped_at)",
    ),
    ("quarantine_week_keys", "SELECT, INSERT, UPDATE, DELETE"),
    ("quarantine_spent_week_keys", "SELECT, INSERT, UPDATE"),
    ("quarantine_repeats", "SELECT, INSERT"),
    ("quarantine_holds", "SELECT, INSERT, UPDATE"),
    ("quarantine_grants", "SELECT, INSERT, UPDATE, DELETE"),
    ("quarantine_publications", "SELECT, INSERT"),
    ("quarantine_tombstones", "SELECT, INSERT, UPDATE, DELETE"),
    ("rate_limit_configs", "SELECT, INSERT, UPDATE"),
    ("tier_threshold_configs", "SELECT, INSERT, UPDATE"),
    ("rate_limit_overrides", "SELECT, INSERT, UPDATE"),
    ("rate_limit_revision", "SELECT, UPDATE"),
    ("moderation_tokens", "SELECT, INSERT, UPDATE"),
    ("audit_logs", "SELECT"),
];

/// Tables and functions of the log begin so.
const LOG: &str = "audit_";

/// The name of a role that needs no quotes: a small letter or `_`, then up to 62 small letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleName(String);

/// The text is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is called by small letters, digits and _, at most 63, and no digit first")]
#[non_exhaustive]
pub struct RoleNameError;

impl FromStr for RoleName {
    type Err = RoleNameError;

    fn from_str(text: &str) -> Result<Self, RoleNameError> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let fits = (1..=63).contains(&text.len())
            && text.chars().all(is_plain)
            && !text.starts_with(|c: char| c.is_ascii_digit())
            // Names that mean something else where a role stands.
            && !["public", "none", "session_user", "current_user", "current_role"].contains(&text)
            && !text.starts_with("pg_");
        if fits { Ok(Self(text.to_owned())) } else { Err(RoleNameError) }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The statements that make the application's role and give it what it needs, and nothing else: on every function of
/// the log that runs with the owner's rights, and on every table what is done with it. They may be run again, and must
/// be after each change of the schema.
pub async fn grants(app: &RoleName) -> Result<String, DatabaseError> {
    let plan = all();
    let objects = expected_schema(Dialect::Postgres, plan.steps().map(|(_, step)| step)).await?;
    let mut text = ROLE.replace("{app}", &app.0);
    let tables: Vec<&str> = TABLES
        .iter()
        .map(|(name, _)| *name)
        .chain(of_the_log(&objects, "table").filter(|name| !TABLES.iter().any(|(known, _)| known == name)))
        .collect();
    // A string takes everything.
    let _written = writeln!(text, "REVOKE ALL ON\n    {}\nFROM {app};\n", tables.join(",\n    "));
    for table in &tables {
        let rights = TABLES.iter().find(|(name, _)| name == table).map_or("SELECT", |(_, rights)| rights);
        let _written = writeln!(text, "GRANT {rights} ON {table} TO {app};");
    }
    text.push('\n');
    for function in functions(&objects) {
        let _written = writeln!(text, "GRANT EXECUTE ON FUNCTION {function} TO {app};");
    }
    text.push_str("\nCOMMIT;\n");
    Ok(text)
}

fn of_the_log<'a>(
    objects: impl IntoIterator<Item = &'a SchemaObject>,
    kind: &'a str,
) -> impl Iterator<Item = &'a str> {
    let objects = objects.into_iter().filter(move |o| o.kind == kind && o.name.starts_with(LOG));
    objects.map(|o| o.name.as_str())
}

/// The functions of the log that run with the owner's rights. What a trigger runs nobody calls.
fn functions<'a>(objects: impl IntoIterator<Item = &'a SchemaObject>) -> impl Iterator<Item = &'a str> {
    // Its language, then the words; what it does comes later.
    let is_the_owners = |o: &&SchemaObject| {
        !o.sql.starts_with("trigger ")
            && o.sql
                .split(' ')
                .take(8)
                .collect::<Vec<_>>()
                .windows(2)
                .any(|two| two == ["SECURITY", "DEFINER"])
    };
    of_the_log(objects.into_iter().filter(is_the_owners), "function")
}

const ROLE: &str = "\
-- What the role {app} of the application may do. Run it on the deployment's database after each `claw migrate up`;
-- it may be run again at any time. Nothing in it has a password: \\password {app} of psql sets one.
--
-- Whoever owns the tables may change the log's triggers. So let the tables belong to a role that nobody logs in as:
--   CREATE ROLE claw_owner NOLOGIN;
--   CREATE ROLE claw_migrate LOGIN IN ROLE claw_owner;
--   ALTER ROLE claw_migrate SET role = 'claw_owner';
--   CREATE DATABASE claw OWNER claw_owner;
-- CLAW_MIGRATE_DATABASE_URL is for claw_migrate, and DATABASE_URL for {app}.

-- As whoever may make roles.
BEGIN;

DO $$BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{app}') THEN
        CREATE ROLE {app} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    END IF;
END$$;

ALTER ROLE {app} SET statement_timeout = '5s';
ALTER ROLE {app} SET idle_in_transaction_session_timeout = '60s';

COMMIT;

-- As the owner of the database.
BEGIN;

DO $$BEGIN
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM {app}', current_database());
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM {app}', current_schema());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO {app}', current_database());
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {app}', current_schema());
END$$;

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_called_by_what_needs_no_quotes() {
        for good in ["claw_app", "_a", "a1", &"a".repeat(63)] {
            assert!(good.parse::<RoleName>().is_ok(), "{good}");
        }
        for bad in
            ["", "Claw", "1a", "a-b", "a b", "a\"", "a';", "public", "pg_monitor", "é", &"a".repeat(64)]
        {
            assert_eq!(bad.parse::<RoleName>(), Err(RoleNameError), "{bad}");
        }
    }

    #[tokio::test]
    async fn every_table_has_its_rights_and_no_right_is_for_a_table_that_is_not_there() {
        let plan = all();
        let steps = plan.steps().map(|(_, step)| step);
        let objects = expected_schema(Dialect::Postgres, steps).await.unwrap();
        let tables: Vec<&str> =
            objects.iter().filter(|o| o.kind == "table").map(|o| o.name.as_str()).collect();
        for table in &tables {
            let is_listed = TABLES.iter().any(|(name, _)| name == table);
            assert!(is_listed || table.starts_with(LOG), "{table} has no line in TABLES");
        }
        for (name, rights) in TABLES {
            assert!(name == "clawexchange_migrations" || tables.contains(&name), "{name} is no table");
            let only_reads = !name.starts_with(LOG) || name == "audit_subjects" || rights == "SELECT";
            assert!(only_reads, "the log is read and nothing else: {name}");
        }
        let functions: Vec<&str> = functions(&objects).map(|f| f.split('(').next().unwrap_or(f)).collect();
        for needed in ["audit_append", "audit_begin", "audit_partitions_ahead"] {
            assert!(functions.contains(&needed), "{needed}: {functions:?}");
        }
        assert!(!functions.contains(&"audit_partition"), "what makes tables is for the owner alone");
    }
}
