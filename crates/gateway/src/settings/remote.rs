//! The classifier that is asked, if there is one.

use std::net::IpAddr;
use std::time::Duration;

use clawexchange_ssg_core::PluginFailure;
use reqwest::Url;

use super::reader::Reader;
use super::setting::{Setting, Usual};
use super::table::number;
use super::value::{Kind, Value};
use super::words::Password;

/// As long as a URL gets that people write.
const URL_CHARS_MAX: usize = 500;
/// All plugins together have 400 ms.
const DEADLINE_MS_MAX: u64 = 300;

pub(super) static REMOTE_URL: Setting = Setting::env(
    "CLAW_REMOTE_URL",
    Kind::Text { chars_max: URL_CHARS_MAX },
    Usual::Unset("nobody is asked"),
    "a classifier that is asked about each submission, by POST",
)
.key("remote.url");
pub(super) static REMOTE_TOKEN: Setting = Setting::env(
    "CLAW_REMOTE_TOKEN",
    Kind::Password,
    Usual::Unset("none"),
    "what it is shown as a bearer token",
);
pub(super) static REMOTE_MODE: Setting = Setting::env(
    "CLAW_REMOTE_MODE",
    Kind::Word(&["shadow", "enforce"]),
    Usual::Same("shadow"),
    "whether what it says counts, or is only recorded",
)
.key("remote.mode");
pub(super) static REMOTE_DEADLINE: Setting = Setting::env(
    "CLAW_REMOTE_DEADLINE_MS",
    number(1, DEADLINE_MS_MAX, "milliseconds"),
    Usual::Same("80"),
    "how long it may take",
)
.key("remote.deadline_ms");
pub(super) static REMOTE_FAILURE: Setting = Setting::env(
    "CLAW_REMOTE_ON_FAILURE",
    Kind::Word(&["hold", "ignore"]),
    Usual::Same("hold"),
    "what is done where it counts and gives no answer: content is held, or judged without it",
)
.key("remote.on_failure");
pub(super) static REMOTE_PLAINTEXT: Setting = Setting::env(
    "CLAW_REMOTE_PLAINTEXT",
    Kind::Boolean,
    Usual::Same("false"),
    "whether texts may go to another machine in clear",
)
.key("remote.plaintext");

/// Whether what a classifier says counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RemoteMode {
    /// It is recorded and changes nothing.
    Shadow,
    /// It counts.
    Enforce,
}

/// A classifier that is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemoteSettings {
    /// Where it is.
    pub url: String,
    /// What it is shown as a bearer token.
    pub token: Option<Password>,
    /// Whether what it says counts.
    pub mode: RemoteMode,
    /// How long it may take.
    pub deadline: Duration,
    /// What is done where it counts and gives no answer.
    pub on_failure: PluginFailure,
}

impl Reader<'_> {
    pub(super) fn remote(&mut self) -> Option<RemoteSettings> {
        let url = self.text(&REMOTE_URL);
        let token = match self.value(&REMOTE_TOKEN) {
            Some(Value::Password(token)) => Some(Password(token)),
            _ => None,
        };
        let mode = self.word(&REMOTE_MODE, |text| match text {
            "enforce" => Some(RemoteMode::Enforce),
            _ => Some(RemoteMode::Shadow),
        });
        let on_failure = self.word(&REMOTE_FAILURE, |text| match text {
            "ignore" => Some(PluginFailure::Ignore),
            _ => Some(PluginFailure::Hold),
        });
        let deadline = Duration::from_millis(self.number(&REMOTE_DEADLINE));
        let plaintext = self.boolean(&REMOTE_PLAINTEXT);
        let url = url?;
        if let Err(what) = check(&url, plaintext) {
            self.problem(REMOTE_URL.name(), what);
        }
        let (mode, on_failure) = (mode.unwrap_or(RemoteMode::Shadow), on_failure.unwrap_or_default());
        Some(RemoteSettings { url, token, mode, deadline, on_failure })
    }
}

fn check(text: &str, plaintext: bool) -> Result<(), &'static str> {
    const WRONG: &str = "it must be a URL such as https://classifier.example/v1/judge";
    let url: Url = text.parse().ok().ok_or(WRONG)?;
    let host = url.host_str().ok_or(WRONG)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("no secret stands in it: CLAW_REMOTE_TOKEN has one");
    }
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here || plaintext => Ok(()),
        "http" => Err("texts would go to another machine in clear; say https, or CLAW_REMOTE_PLAINTEXT"),
        _ => Err(WRONG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::Given;

    #[test]
    fn nobody_is_asked_unless_a_url_is_set_and_then_in_shadow() {
        assert!(Given::env(&[]).good().remote.is_none());
        let remote = Given::env(&[("CLAW_REMOTE_URL", "http://127.0.0.1:9/judge")]).good().remote.unwrap();
        assert_eq!((remote.mode, remote.deadline), (RemoteMode::Shadow, Duration::from_millis(80)));
        let text = "[remote]\nurl = \"https://c.example/\"\nmode = \"enforce\"\ndeadline_ms = 200\non_failure = \"ignore\"";
        let given = Given::file(text).with("CLAW_REMOTE_TOKEN", "s3cr3t");
        let remote = given.good().remote.unwrap();
        assert_eq!((remote.mode, remote.on_failure), (RemoteMode::Enforce, PluginFailure::Ignore));
        assert!(!format!("{remote:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_url_that_cannot_be_meant_is_refused() {
        for (url, says) in [
            ("classifier", "must be a URL"),
            ("ftp://c.example/", "must be a URL"),
            ("http://c.example/", "in clear"),
            ("https://u:p@c.example/", "no secret"),
        ] {
            Given::env(&[("CLAW_REMOTE_URL", url)]).refused("CLAW_REMOTE_URL", says);
        }
        Given::env(&[("CLAW_REMOTE_URL", "http://c.example/"), ("CLAW_REMOTE_PLAINTEXT", "true")]).good();
        Given::env(&[("CLAW_REMOTE_DEADLINE_MS", "301")]).refused("CLAW_REMOTE_DEADLINE_MS", "1 to 300");
    }
}
