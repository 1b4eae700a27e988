//! Where the rows are: in one variable, or in its parts.

use std::path::Path;

use clawexchange_audit::SpoolConfig;
use clawexchange_database::PostgresUrl;

use super::reader::Reader;
use super::setting::Setting;
use super::table;
use super::value::{Value, says};
use super::words::DatabaseSettings;

/// The parts of `DATABASE_URL`. The port has a default, so it is asked for by itself.
const PARTS: [&Setting; 3] = [&table::DB_HOST, &table::DB_NAME, &table::DB_USER];

impl Reader<'_> {
    pub(super) fn database(&mut self, data_dir: &Path) -> DatabaseSettings {
        let whole = self.postgres(&table::DATABASE);
        let apart = self.database_of_parts();
        if self.is_given(&table::DATABASE)
            && let Some(part) = self.first_part()
        {
            self.problem(part, "DATABASE_URL is set too; set it, or its parts");
        }
        let server = whole.or(apart);
        let owner = self.postgres(&table::OWNER_DATABASE);
        let replica = self.postgres(&table::READ_DATABASE);
        let is_alone = !self.is_given(&table::DATABASE) && self.first_part().is_none();
        for setting in [&table::OWNER_DATABASE, &table::READ_DATABASE, &table::SPOOL_DIR] {
            if is_alone && self.is_given(setting) {
                self.problem(
                    setting.name(),
                    "DATABASE_URL is not set, so rows lie in SQLite; set both or none",
                );
            }
        }
        let spool = self.spool(data_dir).filter(|_| server.is_some());
        let (pool_min, pool_max) = (self.small(&table::POOL_MIN), self.small(&table::POOL));
        let is_read = ![&table::POOL_MIN, &table::POOL].iter().any(|s| self.has_problem(s.name()));
        if is_read && pool_min > pool_max {
            self.problem(table::POOL_MIN.name(), "it is more than CLAW_DB_POOL_MAX");
        }
        DatabaseSettings {
            server,
            owner,
            replica,
            pool_min,
            pool_max,
            acquire_timeout: self.seconds(&table::ACQUIRE_TIMEOUT),
            statement_timeout: self.seconds(&table::STATEMENT_TIMEOUT),
            spool,
        }
    }

    fn spool(&mut self, data_dir: &Path) -> Option<SpoolConfig> {
        let is_on = self.boolean(&table::SPOOL);
        let (folder, bytes_max) = (self.path(&table::SPOOL_DIR), self.number(&table::SPOOL_BYTES));
        if !is_on && folder.is_some() {
            self.problem(
                table::SPOOL_DIR.name(),
                "CLAW_SPOOL is false, so nothing is kept there; unset one of them",
            );
        }
        let mut spool = SpoolConfig::new(folder.unwrap_or_else(|| data_dir.join("spool")));
        spool.bytes_max = bytes_max;
        is_on.then_some(spool)
    }

    fn postgres(&mut self, setting: &'static Setting) -> Option<PostgresUrl> {
        match self.value(setting)? {
            Value::Postgres(url) => Some(url),
            _ => None,
        }
    }

    /// Puts `DB_HOST` and the others together, if one of them is there.
    fn database_of_parts(&mut self) -> Option<PostgresUrl> {
        let [host, name, user] = PARTS.map(|part| self.text(part));
        let port = u16::try_from(self.number(&table::DB_PORT)).unwrap_or_default();
        let password = match self.value(&table::DB_PASSWORD) {
            Some(Value::Password(password)) => Some(password),
            _ => None,
        };
        let first = self.first_part().filter(|_| !self.is_given(&table::DATABASE))?;
        for part in PARTS {
            if !self.is_given(part) {
                self.problem(
                    part.name(),
                    format!("{first} is set without it; set DB_HOST, DB_NAME and DB_USER"),
                );
            }
        }
        let (host, name, user) = (host?, name?, user?);
        match PostgresUrl::of_parts(&host, port, &user, password.as_deref(), &name) {
            Ok(url) => Some(url),
            Err(error) => {
                self.problem(table::DB_HOST.name(), says(&error));
                None
            }
        }
    }

    /// The first part that is set, by which they are all meant.
    fn first_part(&self) -> Option<&'static str> {
        let all = PARTS.into_iter().chain([&table::DB_PORT, &table::DB_PASSWORD]);
        all.filter(|part| self.is_given(part)).map(Setting::name).next()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clawexchange_database::Tls;

    use crate::settings::tests::{Given, origin};
    use crate::settings::{Origin, Settings};

    #[test]
    fn a_database_is_named_whole_or_in_parts_and_not_in_both() {
        assert_eq!(Given::env(&[]).good().database.server, None);
        let whole = Given::env(&[("DATABASE_URL", "postgres://u:hunter2@db.example:6432/d")]).good();
        let parts = Given::env(&[
            ("DB_HOST", "db.example"),
            ("DB_PORT", "6432"),
            ("DB_NAME", "d"),
            ("DB_USER", "u"),
            ("DB_PASSWORD", "hunter2"),
        ])
        .good();
        for settings in [&whole, &parts] {
            let url = settings.database.server.as_ref().unwrap();
            assert_eq!((url.to_string().as_str(), url.tls()), ("postgres://u@db.example:6432/d", Tls::Full));
        }
        assert_eq!(whole.database, parts.database);
        for name in ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"] {
            let value = if name == "DB_PORT" { "1" } else { "x" };
            let both = Given::env(&[("DATABASE_URL", "postgres://u@h/d"), (name, value)]);
            both.refused(name, "DATABASE_URL is set too");
        }
    }

    #[test]
    fn every_part_that_is_missing_is_named() {
        let (names, said) = Given::env(&[("DB_PASSWORD", "hunter2")]).bad();
        assert_eq!(names, ["DB_HOST", "DB_NAME", "DB_USER"], "{said}");
        assert!(said.contains("DB_PASSWORD is set without it") && !said.contains("hunter2"), "{said}");
        assert!(Given::env(&[("DB_PORT", "5432")]).bad().1.contains("DB_PORT is set without it"));
        Given::env(&[("DB_HOST", "h"), ("DB_NAME", "d")]).refused("DB_USER", "DB_HOST is set without it");
    }

    #[test]
    fn a_password_is_in_no_text_that_is_made_of_settings() {
        let given = Given::env(&[]);
        let url = given.write("url", "postgres://u:hunter2@h/d\n").display().to_string();
        let password = given.write("password", "hunter2\n").display().to_string();
        let parts = [("DB_HOST", "h"), ("DB_NAME", "d"), ("DB_USER", "u")];
        for more in [
            vec![("DATABASE_URL", "postgres://u:hunter2@h/d")],
            vec![("DATABASE_URL_FILE", url.as_str())],
            [&parts[..], &[("DB_PASSWORD", "hunter2")]].concat(),
            [&parts[..], &[("DB_PASSWORD_FILE", password.as_str())]].concat(),
            vec![
                ("DATABASE_URL_FILE", url.as_str()),
                ("CLAW_MIGRATE_DATABASE_URL", "postgres://o:hunter2@h/d"),
                ("CLAW_READ_DATABASE_URL_FILE", url.as_str()),
            ],
        ] {
            let settings = Given::env(&more).good();
            assert_eq!(settings.database.server.as_ref().unwrap().to_string(), "postgres://u@h:5432/d");
            let shown = serde_json::to_string(settings.shown()).unwrap();
            assert!(!format!("{settings:?}{shown}").contains("hunter2"), "{more:?}");
        }
        let settings = Given::env(&[("DATABASE_URL_FILE", &url)]).good();
        let shown = origin(&settings, "DATABASE_URL");
        assert_eq!(shown, (Origin::Environment, "postgres://u@h:5432/d".to_owned()));
        for wrong in ["postgres://h/d?password=hunter2", "hunter2", "postgres://u:hunter2@h:99999/d"] {
            let (_, said) = Given::env(&[("DATABASE_URL", wrong)]).bad();
            assert!(!said.contains("hunter2"), "{said}");
        }
        let both = Given::env(&[("DATABASE_URL", "postgres://u@h/d"), ("DATABASE_URL_FILE", &url)]);
        both.refused("DATABASE_URL", "set one of them");
    }

    #[test]
    fn owner_and_replica_belong_to_a_database() {
        for name in ["CLAW_MIGRATE_DATABASE_URL", "CLAW_READ_DATABASE_URL"] {
            Given::env(&[(name, "postgres://u@h/d")]).refused(name, "set both or none");
        }
        let parts = [("DB_HOST", "h"), ("DB_NAME", "d"), ("DB_USER", "u")];
        let owner = [("CLAW_MIGRATE_DATABASE_URL", "postgres://owner@h/d")];
        let settings = Given::env(&[&parts[..], &owner].concat()).good();
        assert_eq!(settings.database.owner.unwrap().to_string(), "postgres://owner@h:5432/d");
    }

    #[test]
    fn bounds_of_connections_and_time_are_read() {
        let usual = Given::env(&[]).good().database;
        assert_eq!((usual.pool_min, usual.pool_max), (2, 20));
        let five = Duration::from_secs(5);
        assert_eq!((usual.acquire_timeout, usual.statement_timeout), (five, five));
        let set = Given::env(&[("CLAW_DB_POOL_MAX", "50"), ("CLAW_DB_STATEMENT_TIMEOUT", "30")])
            .and_file("[database]\npool_min = 10\nacquire_timeout_seconds = 2")
            .good()
            .database;
        assert_eq!((set.pool_min, set.pool_max), (10, 50));
        assert_eq!((set.acquire_timeout.as_secs(), set.statement_timeout.as_secs()), (2, 30));
        Given::env(&[("CLAW_DB_POOL_MIN", "21")]).refused("CLAW_DB_POOL_MIN", "more than CLAW_DB_POOL_MAX");
    }

    #[test]
    fn the_owner_sees_the_same_database_without_a_bound_on_statements() {
        let owner = [
            ("DATABASE_URL", "postgres://app@h/d"),
            ("CLAW_MIGRATE_DATABASE_URL", "postgres://owner@h/d"),
            ("CLAW_READ_DATABASE_URL", "postgres://app@copy/d"),
        ];
        let as_owner = |env: &[(&str, &str)]| Given::env(env).good().as_owner().database;
        let owned = as_owner(&owner);
        assert_eq!(owned.server.unwrap().to_string(), "postgres://owner@h:5432/d");
        assert_eq!((owned.replica, owned.statement_timeout), (None, Duration::ZERO));
        let one = as_owner(&owner[..1]);
        assert_eq!(one.server.unwrap().to_string(), "postgres://app@h:5432/d");
        assert!(Settings::reference().contains("CLAW_MIGRATE_DATABASE_URL_FILE"));
    }
}
