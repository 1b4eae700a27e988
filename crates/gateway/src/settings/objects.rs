//! Where held content lies that is too long for its row: in a bucket, or in files.

use clawexchange_quarantine::{QuarantineError, S3Config};

use super::reader::Reader;
use super::setting::{Setting, Usual};
use super::table;
use super::value::{Kind, Value};

/// A bucket's server waits shorter than a sweep does before it settles a store.
const SECONDS_MAX: u64 = 25;
/// As long as a host's name gets, and a little longer.
const ENDPOINT_CHARS_MAX: usize = 300;
/// As long as the prefix of a bucket's names may be.
const NAME_CHARS_MAX: usize = 200;

const fn seconds() -> Kind {
    Kind::Number { min: 1, max: SECONDS_MAX, unit: "seconds" }
}

pub(super) static ENDPOINT: Setting = Setting::env(
    "S3_ENDPOINT",
    Kind::Text { chars_max: ENDPOINT_CHARS_MAX },
    Usual::Unset("files in the data folder"),
    "the S3 server of held content: https:// or http://, a host, and perhaps a port",
);
pub(super) static BUCKET: Setting = Setting::env(
    "S3_BUCKET",
    Kind::Text { chars_max: NAME_CHARS_MAX },
    Usual::Unset("none"),
    "its bucket, which must be there: it is never made",
);
pub(super) static ACCESS_KEY: Setting =
    Setting::env("S3_ACCESS_KEY", Kind::Password, Usual::Unset("none"), "whose requests these are");
pub(super) static SECRET_KEY: Setting =
    Setting::env("S3_SECRET_KEY", Kind::Password, Usual::Unset("none"), "what they are signed with");
pub(super) static REGION: Setting = Setting::env(
    "S3_REGION",
    Kind::Text { chars_max: NAME_CHARS_MAX },
    Usual::Same("us-east-1"),
    "the region of the bucket",
);
pub(super) static STYLE: Setting = Setting::env(
    "CLAW_S3_STYLE",
    Kind::Word(&["path", "host"]),
    Usual::Same("path"),
    "where the name of the bucket stands: in the path, as most servers of one's own want it, or before the host, as clouds do",
)
.key("objects.style");
pub(super) static PREFIX: Setting = Setting::env(
    "CLAW_S3_PREFIX",
    Kind::Text { chars_max: NAME_CHARS_MAX },
    Usual::Unset("none"),
    "what the names of all objects begin with, with `/` at its end",
)
.key("objects.prefix");
pub(super) static AUTHORITIES: Setting = Setting::env(
    "CLAW_S3_CA_FILE",
    Kind::Path,
    Usual::Unset("the public authorities"),
    "the authorities in PEM that its certificate is trusted from, in place of the public ones",
)
.key("objects.ca_file");
pub(super) static CONNECT_TIMEOUT: Setting = Setting::env(
    "CLAW_S3_CONNECT_TIMEOUT",
    seconds(),
    Usual::Same("2"),
    "how long a connection to it may take",
)
.key("objects.connect_timeout_seconds");
pub(super) static ATTEMPT_TIMEOUT: Setting = Setting::env(
    "CLAW_S3_ATTEMPT_TIMEOUT",
    seconds(),
    Usual::Same("5"),
    "how long one attempt at it may take",
)
.key("objects.attempt_timeout_seconds");
pub(super) static DEADLINE: Setting =
    Setting::env("CLAW_S3_DEADLINE", seconds(), Usual::Same("15"), "how long all attempts together may take")
        .key("objects.deadline_seconds");
pub(super) static CONNECTIONS: Setting = Setting::env(
    "CLAW_S3_CONNECTIONS",
    Kind::Number { min: 1, max: 1024, unit: "" },
    Usual::Same("32"),
    "how many requests it is asked at once",
)
.key("objects.connections");

/// What means nothing without a server.
const DEPENDENT: [&Setting; 5] = [&BUCKET, &ACCESS_KEY, &SECRET_KEY, &PREFIX, &AUTHORITIES];

impl Reader<'_> {
    pub(super) fn objects(&mut self) -> Option<S3Config> {
        let endpoint = self.text(&ENDPOINT);
        let bucket = self.text(&BUCKET);
        let [access, secret] = [&ACCESS_KEY, &SECRET_KEY].map(|setting| match self.value(setting) {
            Some(Value::Password(text)) => Some(text),
            _ => None,
        });
        let mut config = S3Config::new(
            endpoint.clone().unwrap_or_default(),
            bucket.clone().unwrap_or_default(),
            access.clone().unwrap_or_default(),
            secret.clone().unwrap_or_default(),
        );
        config.region = self.text(&REGION).unwrap_or_default();
        config.path_style = self.text(&STYLE).is_none_or(|style| style == "path");
        config.prefix = self.text(&PREFIX).unwrap_or_default();
        config.connect_timeout = self.seconds(&CONNECT_TIMEOUT);
        config.attempt_timeout = self.seconds(&ATTEMPT_TIMEOUT);
        config.deadline = self.seconds(&DEADLINE);
        config.connections = self.small(&CONNECTIONS);
        let authorities = self.path(&AUTHORITIES);
        if let Some(path) = &authorities {
            config.authorities = self.authorities(&AUTHORITIES, path);
        }
        if !self.is_given(&ENDPOINT) {
            for setting in DEPENDENT {
                if self.is_given(setting) {
                    let what = "S3_ENDPOINT is not set, so held content lies in files; set both or none";
                    self.problem(setting.name(), what);
                }
            }
            return None;
        }
        for setting in [&BUCKET, &ACCESS_KEY, &SECRET_KEY] {
            if !self.is_given(setting) {
                self.problem(
                    setting.name(),
                    "S3_ENDPOINT is set without it; set S3_BUCKET, S3_ACCESS_KEY and S3_SECRET_KEY",
                );
            }
        }
        let is_read = |reader: &Self| {
            let own = super::sections::OBJECTS;
            !own.iter().any(|setting| reader.has_problem(setting.name()))
        };
        if is_read(self)
            && let Err(QuarantineError::Config { setting, expected }) = config.check()
        {
            let name = match setting {
                "endpoint" => ENDPOINT.name(),
                "bucket" => BUCKET.name(),
                "access_key" => ACCESS_KEY.name(),
                "secret_key" => SECRET_KEY.name(),
                "region" => REGION.name(),
                "prefix" => PREFIX.name(),
                other => other,
            };
            self.problem(name, format!("it must be {expected}"));
        }
        Some(config)
    }

    /// Up to how many bytes content lies in its row: none once there is a bucket, unless that is said.
    pub(super) fn inline_bytes_max(&mut self, is_in_bucket: bool) -> usize {
        let said = self.count(&table::INLINE);
        if is_in_bucket && self.is_usual(&table::INLINE) {
            self.show_usual(&table::INLINE, "0");
            return 0;
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::settings::tests::{Given, origin};
    use crate::settings::{Origin, Settings};

    const GOOD: [(&str, &str); 4] = [
        ("S3_ENDPOINT", "https://s3.example.org"),
        ("S3_BUCKET", "held"),
        ("S3_ACCESS_KEY", "AKEXAMPLE"),
        ("S3_SECRET_KEY", "hunter2"),
    ];

    fn with(more: &[(&'static str, &'static str)]) -> Given {
        Given::env(&[&GOOD[..], more].concat())
    }

    #[test]
    fn a_bucket_is_named_whole_or_not_at_all() {
        assert!(Given::env(&[]).good().objects.is_none());
        let objects = with(&[]).good().objects.unwrap();
        assert_eq!((objects.endpoint.as_str(), objects.bucket.as_str()), ("https://s3.example.org", "held"));
        assert_eq!(
            (objects.region.as_str(), objects.path_style, objects.prefix.as_str()),
            ("us-east-1", true, "")
        );
        let (names, said) = Given::env(&GOOD[..1]).bad();
        assert_eq!(names, ["S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"], "{said}");
        for (name, value) in &GOOD[1..] {
            let said = Given::env(&[(name, value)]).bad().1;
            assert!(said.contains("set both or none") && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn authorities_that_cannot_be_used_are_never_replaced_by_the_public_ones() {
        let given = Given::env(&GOOD);
        let pem = given.write("ca.pem", "-----BEGIN CERTIFICATE-----").display().to_string();
        let none = given.write("none.pem", "no certificate").display().to_string();
        let long = given.write("long.pem", &"x".repeat((1 << 20) + 1)).display().to_string();
        let of = |path: &str| Given::env(&[&GOOD[..], &[("CLAW_S3_CA_FILE", path)]].concat());
        assert!(of(&pem).good().objects.unwrap().authorities.is_some());
        for (path, says) in
            [(none.as_str(), "no certificate in PEM"), (&long, "more than"), ("/", "is no file")]
        {
            of(path).refused("CLAW_S3_CA_FILE", says);
        }
    }

    #[test]
    fn how_it_is_asked_can_be_set() {
        let set = with(&[
            ("S3_REGION", "eu-west-3"),
            ("CLAW_S3_STYLE", "host"),
            ("CLAW_S3_PREFIX", "claw/"),
            ("CLAW_S3_DEADLINE", "25"),
        ])
        .and_file("[objects]\nconnect_timeout_seconds = 3\nattempt_timeout_seconds = 9\nconnections = 7");
        let objects = set.good().objects.unwrap();
        assert_eq!((objects.region.as_str(), objects.path_style), ("eu-west-3", false));
        assert_eq!((objects.prefix.as_str(), objects.connections), ("claw/", 7));
        let seconds = Duration::from_secs;
        assert_eq!(
            [objects.connect_timeout, objects.attempt_timeout, objects.deadline],
            [seconds(3), seconds(9), seconds(25)]
        );
        for (name, value, said) in [
            ("S3_ENDPOINT", "s3.example.org", "https://"),
            ("S3_BUCKET", "Held", "3 to 63"),
            ("S3_REGION", "eu west", "1 to 64"),
            ("CLAW_S3_PREFIX", "claw", "with / at its end"),
            ("CLAW_S3_STYLE", "subdomain", "path or host"),
            ("CLAW_S3_DEADLINE", "26", "1 to 25"),
            ("CLAW_S3_CA_FILE", "/nowhere/ca.pem", "could not read"),
        ] {
            with(&[]).with(name, value).refused(name, said);
        }
    }

    #[test]
    fn with_a_bucket_every_record_lies_there_unless_that_is_said() {
        let inline = |given: Given| {
            let settings = given.good();
            (settings.inline_bytes_max, origin(&settings, "CLAW_QUARANTINE_INLINE_MAX"))
        };
        assert_eq!(inline(Given::env(&[])), (65_536, (Origin::Default, "65536".to_owned())));
        assert_eq!(inline(with(&[])), (0, (Origin::Default, "0".to_owned())));
        let said = with(&[("CLAW_QUARANTINE_INLINE_MAX", "1000")]);
        assert_eq!(inline(said), (1000, (Origin::Environment, "1000".to_owned())));
        let filed = with(&[]).and_file("[quarantine]\ninline_bytes_max = 65536");
        assert_eq!(inline(filed).0, 65_536);
    }

    #[test]
    fn the_keys_of_the_bucket_are_in_no_text_that_is_made_of_settings() {
        let given = with(&[]);
        let path = given.write("secret", "hunter2\n").display().to_string();
        let of_file = Given::env(&[&GOOD[..3], &[("S3_SECRET_KEY_FILE", path.as_str())]].concat());
        for given in [&given, &of_file] {
            let settings = given.good();
            assert_eq!(settings.objects.as_ref().unwrap().secret_key.as_str(), "hunter2");
            let shown = serde_json::to_string(settings.shown()).unwrap();
            let said = format!("{settings:?}{shown}");
            assert!(!said.contains("hunter2") && !said.contains("AKEXAMPLE"), "{said}");
        }
        assert!(Settings::reference().contains("S3_SECRET_KEY_FILE"));
    }
}
