//! Where the counters are, if several instances share them.

use std::time::Duration;

use clawexchange_rate_limiter::{RedisKind, RedisUrl, WhenAway};

use super::reader::Reader;
use super::setting::Setting;
use super::table;
use super::value::Value;
use super::words::{Password, RedisSettings};

/// What whoever sets it takes for granted that there is a Redis. Bounds alone may stand in a file of many deployments.
const OF_REDIS: [&Setting; 4] =
    [&table::REDIS_CA, &table::REDIS_PLAINTEXT, &table::REDIS_PREFIX, &table::WHEN_AWAY];

impl Reader<'_> {
    pub(super) fn redis(&mut self) -> Option<RedisSettings> {
        let url = match self.value(&table::REDIS) {
            Some(Value::Redis(url)) => Some(url),
            _ => None,
        };
        let prefix = self.redis_prefix();
        let when_away = self.word(&table::WHEN_AWAY, |text| match text {
            "open" => Some(WhenAway::Open),
            "closed" => Some(WhenAway::Closed),
            _ => Some(WhenAway::Local),
        });
        let (deadline, connect_deadline) =
            (self.milliseconds(&table::REDIS_DEADLINE), self.milliseconds(&table::REDIS_CONNECT));
        let (connections, plaintext) =
            (self.count(&table::REDIS_CONNECTIONS), self.boolean(&table::REDIS_PLAINTEXT));
        let instances = self.small(&table::INSTANCES);
        let sentinel_password = match self.value(&table::SENTINEL_PASSWORD) {
            Some(Value::Password(password)) => Some(Password(password)),
            _ => None,
        };
        let ca_pem = self.redis_authorities(url.as_ref());
        let Some(url) = url else {
            self.refuse_without_redis();
            return None;
        };
        if sentinel_password.is_some() && url.kind() != RedisKind::Sentinel {
            self.problem(table::SENTINEL_PASSWORD.name(), "REDIS_URL names no Sentinel; unset it");
        }
        Some(RedisSettings {
            url,
            ca_pem,
            sentinel_password,
            plaintext,
            prefix,
            deadline,
            connect_deadline,
            connections,
            when_away: when_away.unwrap_or_default(),
            instances,
        })
    }

    fn milliseconds(&mut self, setting: &'static Setting) -> Duration {
        Duration::from_millis(self.number(setting))
    }

    /// A brace in it would choose the slot of a cluster for every key.
    fn redis_prefix(&mut self) -> String {
        let prefix = self.text(&table::REDIS_PREFIX).unwrap_or_default();
        if !prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b)) {
            self.problem(table::REDIS_PREFIX.name(), "it must be of `A-Za-z0-9_.:-` alone");
        }
        prefix
    }

    fn redis_authorities(&mut self, url: Option<&RedisUrl>) -> Option<Vec<u8>> {
        let path = self.path(&table::REDIS_CA)?;
        if url.is_some_and(|url| !url.is_tls()) {
            self.problem(
                table::REDIS_CA.name(),
                "REDIS_URL does not say rediss, so no certificate is asked for",
            );
            return None;
        }
        self.authorities(&table::REDIS_CA, &path)
    }

    fn refuse_without_redis(&mut self) {
        if self.has_problem(table::REDIS.name()) {
            return;
        }
        for setting in OF_REDIS {
            if setting.env.is_some_and(|name| self.is_set(name)) {
                self.problem(setting.name(), "REDIS_URL is not set, so it says nothing; set both or none");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{Given, KEY, origin};
    use crate::settings::{Origin, Settings};

    #[test]
    fn counters_are_here_unless_redis_is_named_and_then_as_is_said() {
        assert_eq!(Given::env(&[]).good().redis, None);
        let usual = Given::env(&[("REDIS_URL", "redis://127.0.0.1:7000")]).good().redis.unwrap();
        assert_eq!(usual.config().deadline, Duration::from_millis(25));
        assert_eq!((usual.prefix.as_str(), usual.when_away, usual.connections), ("claw", WhenAway::Local, 2));
        let set = Given::env(&[
            ("REDIS_URL", "rediss+cluster://a,b"),
            ("CLAW_REDIS_DEADLINE_MS", "100"),
            ("CLAW_LIMITER_WHEN_AWAY", "closed"),
        ])
        .and_file("[redis]\nprefix = \"market:a\"\nconnections = 4\nconnect_deadline_ms = 500")
        .good()
        .redis
        .unwrap();
        let config = set.config();
        assert_eq!(
            (config.deadline, config.connect_deadline),
            (Duration::from_millis(100), Duration::from_millis(500))
        );
        assert_eq!(
            (config.prefix.as_str(), config.connections, config.when_away),
            ("market:a", 4, WhenAway::Closed)
        );
        for (word, when) in [("open", WhenAway::Open), ("local", WhenAway::Local)] {
            let given = Given::env(&[("REDIS_URL", "redis://h"), ("CLAW_LIMITER_WHEN_AWAY", word)]);
            assert_eq!(given.good().redis.unwrap().when_away, when);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (name, value, says) in [
            ("REDIS_URL", "http://h", "begins with none of"),
            ("REDIS_URL", "redis://a,b", "several hosts"),
            ("CLAW_LIMITER_WHEN_AWAY", "shut", "local, open or closed"),
            ("CLAW_REDIS_DEADLINE_MS", "0", "from 1 to 10000 milliseconds"),
            ("CLAW_REDIS_PREFIX", "a{b}", "alone"),
            ("CLAW_REDIS_CA_FILE", "/nowhere", "does not say rediss"),
        ] {
            let mut given = Given::env(&[("REDIS_URL", "redis://h")]);
            given.sources.env.insert(name.to_owned(), value.into());
            given.refused(name, says);
        }
        let given = Given::env(&[]);
        let file = given.write("some.pem", "-----BEGIN CERTIFICATE-----").display().to_string();
        for (name, value) in OF_REDIS.map(Setting::name).into_iter().zip([file.as_str(), "1", "x", "open"]) {
            Given::env(&[(name, value)]).refused(name, "REDIS_URL is not set");
        }
        for (text, says) in [("no certificate", "no certificate in PEM"), ("", "no certificate in PEM")] {
            let path = given.write("ca.pem", text).display().to_string();
            let mut given = Given::env(&[("REDIS_URL", "rediss://h"), ("CLAW_REDIS_CA_FILE", &path)]);
            given.refused("CLAW_REDIS_CA_FILE", says);
            given.sources.env.insert("CLAW_REDIS_CA_FILE".to_owned(), "/nowhere".into());
            assert_eq!(given.bad().0, ["CLAW_REDIS_CA_FILE"]);
        }
    }

    #[test]
    fn the_password_is_in_no_text_that_is_made_of_settings() {
        let given = Given::env(&[]);
        let file = given.write("redis", "rediss://ann:hunter2@h/1\n").display().to_string();
        for name in ["REDIS_URL", "REDIS_URL_FILE"] {
            let value = if name == "REDIS_URL" { "rediss://ann:hunter2@h/1" } else { &file };
            let settings = Given::env(&[(name, value)]).good();
            let shown = serde_json::to_string(settings.shown()).unwrap();
            assert!(!format!("{settings:?}{shown}").contains("hunter2"), "{name}");
            assert_eq!(
                origin(&settings, "REDIS_URL"),
                (Origin::Environment, "rediss://ann:***@h:6379/1".to_owned())
            );
        }
        let (_, said) = Given::env(&[("REDIS_URL", "redis://ann:hunter2@h:x")]).bad();
        assert!(!said.contains("hunter2"), "{said}");
        Given::env(&[("REDIS_URL", "redis://h"), ("REDIS_URL_FILE", &file)])
            .refused("REDIS_URL", "set one of them");
        assert!(Settings::reference().contains("REDIS_URL_FILE"));
    }

    #[test]
    fn production_asks_a_redis_elsewhere_through_tls_unless_it_is_told_otherwise_by_name() {
        let base = [("CLAW_ENV", "production"), ("ENCRYPTION_MASTER_KEY", KEY)];
        for (url, plaintext, good) in [
            ("redis://counters.example", "false", false),
            ("redis+cluster://10.0.0.1,10.0.0.2", "false", false),
            ("redis+sentinel://127.0.0.1,10.0.0.2/main", "false", false),
            ("redis://counters.example", "true", true),
            ("rediss://counters.example", "false", true),
            ("redis://127.0.0.1", "false", true),
        ] {
            let mut given = Given::env(&base);
            given.sources.env.insert("REDIS_URL".to_owned(), url.into());
            given.sources.env.insert("CLAW_REDIS_PLAINTEXT".to_owned(), plaintext.into());
            let (names, said) = given.bad();
            assert_eq!(names.iter().any(|name| name == "REDIS_URL"), !good, "{url}: {said}");
        }
    }
}
