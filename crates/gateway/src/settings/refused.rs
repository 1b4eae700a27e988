//! What this version does not do, and what a deployment that others depend on may not be.

use clawexchange_database::Tls;

use super::Settings;
use super::reader::Reader;
use super::words::{Environment, KeySource, RedisSettings};
use super::{objects, table};

/// What this version does not do. It is refused and not ignored: who sets a server wants no other.
pub(crate) const NOT_YET: [(&str, &str); 1] = [("BACKUP_BUCKET_NAME", "backups into a bucket")];

/// Names beginning `CLAW_` or `SECOPS_` that are for tests and tools, or say how what is refused is done.
const FOR_OTHERS: &[&str] = &[
    // A release build has no such places, and does not know the name either.
    #[cfg(debug_assertions)]
    "CLAW_FAIL_POINT",
    "CLAW_CORPORA",
    "SECOPS_BACKUP_CRON",
];

/// Every name that is known though it is no setting.
pub(super) fn names() -> impl Iterator<Item = String> {
    let refused = NOT_YET.iter().flat_map(|(name, _)| [(*name).to_owned(), format!("{name}_FILE")]);
    refused.chain(FOR_OTHERS.iter().map(|name| (*name).to_owned()))
}

impl Reader<'_> {
    pub(super) fn refuse_what_is_not_there(&mut self) {
        for (name, what) in NOT_YET {
            for name in [name.to_owned(), format!("{name}_FILE")] {
                if self.is_set(&name) {
                    self.problem(&name, format!("this version has no support for {what}; unset it"));
                }
            }
        }
        for (setting, what) in [
            (&table::ENFORCE_MODERATION, "strikes that restrict agents"),
            (&table::AUTOBACKUP, "backups by the clock"),
        ] {
            if self.boolean(setting) {
                self.problem(
                    setting.name(),
                    format!("this version has no {what}; unset it or set it to false"),
                );
            }
        }
    }
}

/// Something that production may not be, with what mends it.
struct Unfit {
    name: &'static str,
    what: &'static str,
    mend: &'static str,
}

/// What production refuses. In staging it is said.
fn unfit(settings: &Settings, reader: &Reader<'_>) -> Vec<Unfit> {
    let mut found = Vec::new();
    let mut add = |is: bool, name, what, mend| {
        if is {
            found.push(Unfit { name, what, mend });
        }
    };
    let database = &settings.database;
    add(
        database.server.is_none() && !reader.has_problem(table::DATABASE.name()),
        table::DATABASE.name(),
        "rows lie in SQLite, on one machine",
        "name a PostgreSQL server",
    );
    for (setting, url) in [
        (&table::DATABASE, &database.server),
        (&table::OWNER_DATABASE, &database.owner),
        (&table::READ_DATABASE, &database.replica),
    ] {
        add(
            url.as_ref().is_some_and(|url| !url.is_local() && url.tls() != Tls::Full),
            setting.name(),
            "the server lies beyond this machine, and whoever answers in its place is believed",
            "set sslmode=verify-full in it, and sslrootcert to the authority unless it is a public one",
        );
    }
    add(
        settings.objects.is_none(),
        objects::ENDPOINT.name(),
        "held content lies in files, on one machine",
        "name an S3 server, a bucket and its keys",
    );
    add(
        settings.objects.as_ref().is_some_and(|objects| !objects.is_tls() && !is_loopback(&objects.endpoint)),
        objects::ENDPOINT.name(),
        "the server lies beyond this machine, and whoever stands between sees and answers",
        "begin it with https://, and name a private authority in CLAW_S3_CA_FILE",
    );
    add(
        settings.redis.is_none() && !reader.has_problem(table::REDIS.name()),
        table::REDIS.name(),
        "limits are counted in one process",
        "name a Redis or Valkey server",
    );
    add(
        settings.redis.as_ref().is_some_and(RedisSettings::is_exposed),
        table::REDIS.name(),
        "Redis lies beyond this machine and is asked without TLS, so whoever is between reads its password",
        "write rediss:// instead of redis://, or say CLAW_REDIS_PLAINTEXT=true if the network between is nobody else's",
    );
    add(
        matches!(settings.key, KeySource::Generated),
        table::KEY.name(),
        "the master key is a generated file on this machine",
        "make one with `claw keys generate` and give it in ENCRYPTION_MASTER_KEY_FILE or CLAW_KEYRING_FILE",
    );
    for (setting, open) in [(&table::LISTEN, settings.listen), (&table::ADMIN_LISTEN, settings.admin_listen)]
    {
        add(
            !open.ip().is_loopback() && settings.tls.is_none() && !names_a_proxy(settings),
            setting.name(),
            OPEN,
            "set CLAW_TLS_CERT_FILE and CLAW_TLS_KEY_FILE, or name the proxy before it in CLAW_TRUSTED_PROXIES, or listen on 127.0.0.1",
        );
    }
    add(
        !settings.audit_enabled && settings.audit_off_reason.is_none(),
        table::AUDIT.name(),
        "verdicts are not logged, and nobody said why",
        "set it to true, or say why in CLAW_AUDIT_OFF_REASON",
    );
    found
}

/// Whether an endpoint is on this machine, as far as its name says.
fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.rsplit_once("://").map_or("", |(_, host)| host);
    let host = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or(host, |(host, _)| host);
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

const OPEN: &str = "it listens beyond this machine without TLS or a named proxy";

/// A network of everybody names nobody.
fn names_a_proxy(settings: &Settings) -> bool {
    settings.trusted_proxies.iter().any(|network| network.prefix_len() > 0)
}

/// Refuses or says what production may not be, and says what else whoever runs should know.
pub(super) fn judge(settings: &mut Settings, reader: &mut Reader<'_>) {
    let mut notices = Vec::new();
    for Unfit { name, what, mend } in unfit(settings, reader) {
        match settings.environment {
            Environment::Production => {
                reader.problem(name, format!("{what}, which production refuses: {mend}"));
            }
            Environment::Staging => notices.push(format!("{name}: {what}, which production refuses: {mend}")),
            // At home a database in a file is as it should be; an open door is not.
            Environment::Development if what == OPEN => notices.push(format!("{name}: {what}: {mend}")),
            Environment::Development => {}
        }
    }
    let mut say = |is: bool, what: &str| {
        if is {
            notices.push(what.to_owned());
        }
    };
    say(
        settings.trusted_proxies.iter().any(|network| network.prefix_len() == 0),
        "CLAW_TRUSTED_PROXIES: everybody is believed about whose request they pass on",
    );
    say(
        !settings.quarantine_enabled,
        "QUARANTINE_ENABLED: nothing is held; suspicious content is refused and not stored",
    );
    let reason = settings.audit_off_reason.as_deref().unwrap_or("nobody said why");
    say(!settings.audit_enabled, &format!("AUDIT_ENABLED: verdicts are not logged: {reason}"));
    say(
        settings.environment == Environment::Production,
        "SECOPS_ENFORCE_MODERATION: strikes restrict nobody; this version has no such strikes",
    );
    say(settings.safe_mode, "policy.safe_mode: what would be passed on with a warning is held");
    let shadowed: Vec<String> = settings.gate_mode.shadowed().map(|of| of.to_string()).collect();
    if !shadowed.is_empty() {
        notices.push(format!(
            "CLAW_GATE_MODE: the gate only watches {}: nothing of it is held, penalised or limited",
            shadowed.join(", ")
        ));
    }
    settings.notices = notices;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::tests::{Given, KEY};

    #[test]
    fn production_says_all_that_it_refuses_at_once_and_what_mends_it() {
        let (names, said) = Given::env(&[
            ("CLAW_ENV", "production"),
            ("CLAW_LISTEN", "0.0.0.0:8080"),
            ("CLAW_ADMIN_LISTEN", "[::]:9090"),
            ("AUDIT_ENABLED", "false"),
        ])
        .bad();
        let all = [
            "DATABASE_URL",
            "S3_ENDPOINT",
            "REDIS_URL",
            "ENCRYPTION_MASTER_KEY",
            "CLAW_LISTEN",
            "CLAW_ADMIN_LISTEN",
            "AUDIT_ENABLED",
        ];
        assert_eq!(names, all, "{said}");
        for mend in [
            "PostgreSQL server",
            "S3 server",
            "Redis",
            "claw keys generate",
            "CLAW_TLS_CERT_FILE",
            "CLAW_AUDIT_OFF_REASON",
        ] {
            assert!(said.contains(mend), "{mend}: {said}");
        }
        let mended = [
            ("CLAW_ENV", "production"),
            ("ENCRYPTION_MASTER_KEY", KEY),
            ("CLAW_LISTEN", "0.0.0.0:8080"),
            ("CLAW_TRUSTED_PROXIES", "10.0.0.0/8"),
            ("AUDIT_ENABLED", "false"),
            ("CLAW_AUDIT_OFF_REASON", "the platform keeps its own"),
        ];
        assert_eq!(Given::env(&mended).bad().0, ["DATABASE_URL", "S3_ENDPOINT", "REDIS_URL"]);
        let unread = [
            ("CLAW_ENV", "production"),
            ("ENCRYPTION_MASTER_KEY", KEY),
            ("DATABASE_URL", "mysql://u:hunter2@h/d"),
        ];
        let (names, said) = Given::env(&unread).bad();
        assert_eq!(names, ["DATABASE_URL", "S3_ENDPOINT", "REDIS_URL"], "a database is said once");
        assert!(said.contains("postgres://") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn production_wants_a_server_elsewhere_to_prove_its_name() {
        let base = [("CLAW_ENV", "production"), ("ENCRYPTION_MASTER_KEY", KEY)];
        for (url, good) in [
            ("postgres://u:p@db.example/d", true),
            ("postgres://u:p@db.example/d?sslmode=verify-full", true),
            ("postgres://u:p@db.example/d?sslmode=verify-ca", false),
            ("postgres://u:p@db.example/d?sslmode=require", false),
            ("postgres://u:p@db.example/d?sslmode=disable", false),
            ("postgres://u:p@127.0.0.1/d", true),
            ("postgres://u@%2Frun%2Fpostgresql/d", true),
        ] {
            for name in ["DATABASE_URL", "CLAW_MIGRATE_DATABASE_URL", "CLAW_READ_DATABASE_URL"] {
                let mut given = Given::env(&base);
                given.sources.env.insert("DATABASE_URL".to_owned(), "postgres://u@localhost/d".into());
                given.sources.env.insert(name.to_owned(), url.into());
                let names = given.bad().0;
                assert_eq!(names.iter().any(|n| n == name), !good, "{name}={url}: {names:?}");
            }
        }
    }

    #[test]
    fn production_wants_a_bucket_and_that_over_tls() {
        let rest = [
            ("CLAW_ENV", "production"),
            ("ENCRYPTION_MASTER_KEY", KEY),
            ("DATABASE_URL", "postgres://u@localhost/d"),
            ("S3_BUCKET", "held"),
            ("S3_ACCESS_KEY", "AKEXAMPLE"),
            ("S3_SECRET_KEY", "hunter2"),
        ];
        for (endpoint, good) in [
            ("https://s3.example.org", true),
            ("https://s3.example.org:9000", true),
            ("http://127.0.0.1:9000", true),
            ("http://localhost:9000", true),
            ("http://[::1]:9000", true),
            ("http://s3.example.org", false),
            ("http://10.0.0.7:9000", false),
            ("http://127.0.0.1.example.org", false),
        ] {
            let given = Given::env(&[&rest[..], &[("S3_ENDPOINT", endpoint)]].concat());
            let (names, said) = given.bad();
            assert_eq!(names.iter().any(|name| name == "S3_ENDPOINT"), !good, "{endpoint}: {said}");
        }
    }

    #[test]
    fn tls_or_a_named_proxy_makes_an_open_address_well() {
        let open = [("CLAW_ENV", "staging"), ("ENCRYPTION_MASTER_KEY", KEY), ("CLAW_LISTEN", "0.0.0.0:8080")];
        let says_open = |given: &Given| given.good().notices().iter().any(|n| n.starts_with("CLAW_LISTEN: "));
        let mut given = Given::env(&open);
        assert!(says_open(&given));
        given.sources.env.insert("CLAW_TRUSTED_PROXIES".to_owned(), "0.0.0.0/0".into());
        assert!(says_open(&given), "everybody is no named proxy");
        given.sources.env.insert("CLAW_TRUSTED_PROXIES".to_owned(), "192.0.2.7".into());
        assert!(!says_open(&given));
        given.sources.env.remove("CLAW_TRUSTED_PROXIES");
        for name in ["CLAW_TLS_CERT_FILE", "CLAW_TLS_KEY_FILE"] {
            let path = given.write(name, "PEM");
            given.sources.env.insert(name.to_owned(), path.into());
        }
        assert!(!says_open(&given));
        assert!(given.good().tls.is_some());
    }

    #[test]
    fn notices_say_what_is_off_open_or_only_watches() {
        let given = Given::env(&[
            ("QUARANTINE_ENABLED", "no"),
            ("AUDIT_ENABLED", "0"),
            ("CLAW_LISTEN", "0.0.0.0:8080"),
            ("CLAW_TRUSTED_PROXIES", "::/0"),
        ])
        .and_file("[gate.content_types]\nCOMMENT = \"shadow\"\n[policy]\nsafe_mode = true");
        let settings = given.good();
        let names: Vec<&str> = settings.notices().iter().filter_map(|n| n.split(':').next()).collect();
        let expected = [
            "CLAW_LISTEN",
            "CLAW_TRUSTED_PROXIES",
            "QUARANTINE_ENABLED",
            "AUDIT_ENABLED",
            "policy.safe_mode",
            "CLAW_GATE_MODE",
        ];
        assert_eq!(names, expected);
        assert!(settings.notices().iter().any(|n| n.contains("only watches COMMENT:")));
        let staging = Given::env(&[("CLAW_ENV", "staging")]).good();
        let names: Vec<&str> = staging.notices().iter().filter_map(|n| n.split(':').next()).collect();
        assert_eq!(names, ["DATABASE_URL", "S3_ENDPOINT", "REDIS_URL", "ENCRYPTION_MASTER_KEY"]);
        let flags: BTreeMap<_, _> = settings.flags().into_iter().collect();
        for (name, set) in [
            ("quarantine_enabled", false),
            ("audit_enabled", false),
            ("gate_shadow", true),
            ("safe_mode", true),
            ("healthchecks_enabled", false),
            ("moderation_enforced", false),
            ("tls", false),
        ] {
            assert_eq!(flags.get(name), Some(&set), "{name}");
        }
    }

    #[test]
    fn what_this_version_does_not_do_is_refused_and_not_ignored() {
        for (name, _) in NOT_YET {
            Given::env(&[(name, "x")]).refused(name, "no support for");
            let file = format!("{name}_FILE");
            Given::env(&[(&file, "x")]).refused(&file, "no support for");
            assert!(Given::env(&[(name, "")]).read().is_ok(), "an empty variable counts as not set");
        }
        for name in ["SECOPS_ENFORCE_MODERATION", "SECOPS_ENABLE_AUTOBACKUP"] {
            Given::env(&[(name, "true")]).refused(name, "this version has no");
            Given::env(&[(name, "perhaps")]).refused(name, "it must be true");
            assert!(Given::env(&[(name, "false")]).read().is_ok());
        }
    }
}
