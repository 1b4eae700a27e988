//! What a setting may be, and how it is read from text and from TOML.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clawexchange_audit::NoteVerifier;
use clawexchange_database::PostgresUrl;
use clawexchange_rate_limiter::{RedisUrl, RedisUrlError};
use clawexchange_ssg_core::{AgentId, Fault, MasterKey};
use ipnet::IpNet;

use crate::file::FileValue;

/// What a setting may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Boolean,
    /// A whole number, both ends included.
    Number {
        min: u64,
        max: u64,
        unit: &'static str,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// At least one of these words, each once.
    Words(&'static [&'static str]),
    /// Text of one line.
    Text {
        chars_max: usize,
    },
    Path,
    /// Standard base64 of 32 bytes.
    MasterKey,
    /// Where a PostgreSQL database is, with a password in it.
    Postgres,
    /// Where Redis is, with a password in it.
    Redis,
    /// Any line, which is never shown.
    Password,
    /// An id as agents have it.
    Id,
    /// An IP address and a port.
    Address,
    /// IP addresses and networks.
    Networks,
    /// Names of hosts.
    Hosts,
    /// Public keys with their names.
    VerifierKeys,
    /// A share of at least a half, or never.
    Share,
}

/// The value of a setting.
#[derive(Clone)]
pub(super) enum Value {
    Boolean(bool),
    Number(u64),
    Text(String),
    List(Vec<String>),
    Path(PathBuf),
    MasterKey(MasterKey),
    Postgres(PostgresUrl),
    Redis(RedisUrl),
    Password(String),
    Address(SocketAddr),
    Networks(Vec<IpNet>),
    /// In thousandths; nothing stands for never.
    Share(Option<u16>),
}

/// Longer than any that a database takes from a secrets manager.
const PASSWORD_CHARS_MAX: usize = 1000;
/// As long as a proxy list gets; it is walked for each request.
const NETWORKS_MAX: usize = 256;
/// As long as a list of hosts gets that people keep by hand.
pub(super) const HOSTS_MAX: usize = 1000;
/// Whoever writes rules is few, and a key is exchanged by having two for a while.
pub(super) const VERIFIER_KEYS_MAX: usize = 16;
/// RFC 1035, section 2.3.4.
const HOST_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;
/// Less than a half would be a guess. Thus a number is never both a share and thousandths.
pub(super) const SHARE_MIN: u16 = 500;
const SHARE_MAX: u16 = 1000;

impl Kind {
    /// What it must be, as it stands after "it must be".
    pub(crate) fn expected(self) -> String {
        match self {
            Self::Boolean => "true, false, 1, 0, yes, no, on or off".to_owned(),
            Self::Number { min, max, unit } => {
                let space = if unit.is_empty() { "" } else { " " };
                format!("a whole number from {min} to {max}{space}{unit}")
            }
            Self::Word(words) => one_of(words),
            Self::Words(words) => format!("a list of {}, each once", words.join(", ")),
            Self::Text { chars_max } => {
                format!("a line of at most {chars_max} characters that is not blank")
            }
            Self::Path => "a path".to_owned(),
            Self::MasterKey => "standard base64 of 32 bytes".to_owned(),
            Self::Postgres => "a URL such as postgres://user:password@host:5432/database".to_owned(),
            Self::Redis => {
                "a URL such as rediss://user:password@host:6379, redis+cluster://host:6379,host:6379 or \
                 redis+sentinel://host:26379/master"
                    .to_owned()
            }
            Self::Password => format!("a line of at most {PASSWORD_CHARS_MAX} characters"),
            Self::Id => "an id: 1 to 128 of `A-Za-z0-9._:@-`".to_owned(),
            Self::Address => "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned(),
            Self::Networks => {
                format!("a list of at most {NETWORKS_MAX} IP addresses or networks, such as 10.0.0.0/8")
            }
            Self::Hosts => format!(
                "a list of at most {HOSTS_MAX} host names in ASCII, such as example.org or *.example.org"
            ),
            Self::VerifierKeys => format!(
                "a list of at most {VERIFIER_KEYS_MAX} public keys as `claw rules key` prints them, <name>+<8 hex digits>+<base64>"
            ),
            Self::Share => {
                "a share from 0.5 to 1, such as 0.95, or thousandths from 500 to 1000, or never".to_owned()
            }
        }
    }

    /// The same for the file, where words for true and false are no text.
    pub(super) fn expected_in_file(self) -> String {
        match self {
            Self::Boolean => "true or false".to_owned(),
            _ => self.expected(),
        }
    }

    fn refusal(self) -> String {
        format!("it must be {}", self.expected())
    }

    fn refusal_of(self, value: &FileValue) -> String {
        format!("it must be {}, not {}", self.expected_in_file(), value.what())
    }

    /// Reads it from the environment, where a list is separated by commas.
    pub(super) fn read_text(self, text: &str) -> Result<Value, String> {
        let refusal = || self.refusal();
        match self {
            Self::Boolean => boolean(text).map(Value::Boolean).ok_or_else(refusal),
            Self::Number { min, max, .. } => {
                // A sign is no digit, though a Rust number may have one.
                let digits = text.bytes().all(|b| b.is_ascii_digit());
                let number = text.parse().ok().filter(|n| digits && (min..=max).contains(n));
                number.map(Value::Number).ok_or_else(refusal)
            }
            Self::Word(words) => {
                let known = words.contains(&text).then(|| Value::Text(text.to_owned()));
                known.ok_or_else(refusal)
            }
            Self::Text { chars_max } => {
                let fits = text.chars().count() <= chars_max && !text.chars().any(char::is_control);
                let fits = fits && !text.trim().is_empty();
                fits.then(|| Value::Text(text.to_owned())).ok_or_else(refusal)
            }
            Self::Path => Ok(Value::Path(text.into())),
            Self::MasterKey => MasterKey::from_base64(text).map(Value::MasterKey).map_err(|e| says(&e)),
            Self::Postgres => PostgresUrl::parse(text).map(Value::Postgres).map_err(|e| says(&e)),
            Self::Redis => text.parse().map(Value::Redis).map_err(|e: RedisUrlError| says(&e)),
            Self::Password => {
                let fits = text.chars().count() <= PASSWORD_CHARS_MAX && !text.chars().any(char::is_control);
                fits.then(|| Value::Password(text.to_owned())).ok_or_else(refusal)
            }
            Self::Id => AgentId::new(text).map(|id| Value::Text(id.to_string())).map_err(|_unlike| refusal()),
            Self::Address => text.parse().map(Value::Address).map_err(|_unlike| refusal()),
            Self::Share => share(text).map(Value::Share).ok_or_else(refusal),
            Self::Words(_) | Self::Networks | Self::Hosts | Self::VerifierKeys => {
                let items = text.split(',').map(|item| item.trim().to_owned()).filter(|i| !i.is_empty());
                self.read_list(items.collect())
            }
        }
    }

    /// Reads it from the file, where it has a type of its own.
    pub(super) fn read_toml(self, value: &FileValue) -> Result<Value, String> {
        match (self, value) {
            (Self::Boolean, FileValue::Boolean(set)) => Ok(Value::Boolean(*set)),
            (Self::Number { .. } | Self::Share, FileValue::Integer(number)) => {
                self.read_text(&number.to_string())
            }
            (Self::Words(_) | Self::Networks | Self::Hosts | Self::VerifierKeys, FileValue::List(items)) => {
                let texts: Option<Vec<String>> = items.iter().map(FileValue::text).collect();
                self.read_list(texts.ok_or_else(|| "each item must be text in quotes".to_owned())?)
            }
            (
                Self::Boolean
                | Self::Number { .. }
                | Self::Words(_)
                | Self::Networks
                | Self::Hosts
                | Self::VerifierKeys,
                other,
            ) => Err(self.refusal_of(other)),
            // An empty text is no value here: whoever wants none leaves the key out.
            (_, FileValue::Text(text)) if text.is_empty() => Err(self.refusal()),
            (_, FileValue::Text(text)) if text.contains('\0') => Err("it holds a NUL".to_owned()),
            (Self::Share, FileValue::Float(text)) | (_, FileValue::Text(text)) => self.read_text(text),
            (_, other) => Err(self.refusal_of(other)),
        }
    }

    fn read_list(self, items: Vec<String>) -> Result<Value, String> {
        match self {
            Self::Words(words) => {
                // By count first: a list that is too long is not compared with itself.
                let fits = (1..=words.len()).contains(&items.len())
                    && items.iter().all(|item| words.contains(&item.as_str()))
                    && words.iter().all(|word| items.iter().filter(|item| item == word).count() <= 1);
                fits.then_some(Value::List(items)).ok_or_else(|| self.refusal())
            }
            Self::Networks => self.each(&items, NETWORKS_MAX, network).map(Value::Networks),
            Self::VerifierKeys => self.each(&items, VERIFIER_KEYS_MAX, verifier_key).map(Value::List),
            _ => self.each(&items, HOSTS_MAX, host).map(Value::List),
        }
    }

    /// Each item of a list; what is wrong is named by its place, since a value is never quoted.
    fn each<T>(self, items: &[String], max: usize, read: fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
        if items.len() > max {
            return Err(self.refusal());
        }
        let read = |(at, item): (usize, &String)| {
            read(item).ok_or_else(|| format!("item {} is wrong; {}", at + 1, self.refusal()))
        };
        items.iter().enumerate().map(read).collect()
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => words.concat(),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// An address stands for the network of it alone.
fn network(text: &str) -> Option<IpNet> {
    let alone = text.parse::<IpAddr>().ok().map(IpNet::from);
    alone.or_else(|| text.parse::<IpNet>().ok().map(|network| network.trunc()))
}

/// A public key, as it is written.
fn verifier_key(text: &str) -> Option<String> {
    text.parse::<NoteVerifier>().ok().map(|key| key.to_string())
}

/// A host in lower case: letters, digits and hyphens, as RFC 1123 section 2.1 has them.
fn host(text: &str) -> Option<String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LABEL_CHARS_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (name.len() <= HOST_CHARS_MAX && name.split('.').all(is_label)).then(|| text.to_ascii_lowercase())
}

/// Nothing if it is neither; an inner nothing for never.
#[expect(clippy::option_option, reason = "not a share, and the share that is never reached, are two answers")]
fn share(text: &str) -> Option<Option<u16>> {
    if text == "never" {
        return Some(None);
    }
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) || decimals.len() > 3 {
        return None;
    }
    let permille = if text.contains('.') || whole == "1" {
        let whole = whole.parse::<u16>().ok().filter(|whole| *whole <= 1)?;
        whole * SHARE_MAX + format!("{decimals:0<3}").parse::<u16>().ok()?
    } else {
        whole.parse().ok()?
    };
    (SHARE_MIN..=SHARE_MAX).contains(&permille).then_some(Some(permille))
}

pub(super) fn says(error: &impl Fault) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

/// No more than is shown: there are secrets among them.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(set) => set.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::List(items) => f.write_str(&items.join(",")),
            Self::Path(path) => path.display().fmt(f),
            Self::MasterKey(_) | Self::Password(_) => f.write_str("(set)"),
            // Neither prints its password.
            Self::Postgres(url) => url.fmt(f),
            Self::Redis(url) => url.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Networks(networks) => {
                let texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(","))
            }
            Self::Share(None) => f.write_str("never"),
            Self::Share(Some(SHARE_MAX)) => f.write_str("1"),
            Self::Share(Some(permille)) => f.write_str(format!("0.{permille:03}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, good: &[(&str, &str)], bad: &[&str]) {
        for (text, shown) in good {
            assert_eq!(kind.read_text(text).map(|v| v.to_string()), Ok((*shown).to_owned()), "{text}");
        }
        for text in bad {
            let refusal = kind.read_text(text).expect_err(text);
            let place = refusal.strip_suffix(&kind.refusal());
            let place = place.map(|place| place.trim_start_matches("item 1").trim_start_matches("item 2"));
            assert!(matches!(place, Some("" | " is wrong; ")), "a refusal quotes no value: {refusal}");
        }
    }

    #[test]
    fn booleans_are_the_eight_words_and_no_other() {
        let yes = ["true", "1", "yes", "on", "TRUE", "On"].map(|text| (text, "true"));
        let no = ["false", "0", "no", "off", "False", "OFF"].map(|text| (text, "false"));
        check(Kind::Boolean, &yes, &["2", "y", "t", "enabled", " true", "tru", "nope"]);
        check(Kind::Boolean, &no, &[]);
    }

    #[test]
    fn numbers_are_digits_within_their_bounds() {
        let kind = Kind::Number { min: 5, max: 60, unit: "seconds" };
        let bad = ["4", "61", "-5", "+5", "5.0", "", "0x10", " 5", "99999999999999999999999", "five"];
        check(kind, &[("5", "5"), ("60", "60"), ("007", "7")], &bad);
        assert_eq!(kind.read_text("4").expect_err("4"), "it must be a whole number from 5 to 60 seconds");
    }

    #[test]
    fn a_share_is_never_taken_for_thousandths() {
        let good = [
            ("0.9", "0.9"),
            ("0.950", "0.95"),
            ("0.905", "0.905"),
            ("950", "0.95"),
            ("500", "0.5"),
            ("0.5", "0.5"),
            ("1", "1"),
            ("1.0", "1"),
            ("1000", "1"),
            ("never", "never"),
        ];
        let bad = [
            "0", "2", "499", "1001", "0.499", "1.001", "0.9999", "9e-1", "-0.9", "nan", "", "95%", "65537.0",
        ];
        check(Kind::Share, &good, &bad);
        for number in [0, 2, 499, 1001, -1, i128::MAX] {
            assert!(Kind::Share.read_toml(&FileValue::Integer(number)).is_err(), "{number}");
        }
    }

    #[test]
    fn hosts_are_names_in_ascii() {
        let long = format!("{}.org", "a".repeat(64));
        let longer = vec!["abcdefgh"; 32].join(".");
        let bad = [
            "a b",
            "https://example.org",
            "*",
            "*.",
            "a.*.org",
            "-a.org",
            "a-.org",
            "a..b",
            "münchen.de",
            &long,
            &longer,
        ];
        check(
            Kind::Hosts,
            &[("Example.ORG, *.example.net", "example.org,*.example.net"), ("localhost", "localhost")],
            &bad,
        );
        let thousand: Vec<String> = (0..HOSTS_MAX).map(|n| format!("h{n}.example")).collect();
        assert!(Kind::Hosts.read_text(&thousand.join(",")).is_ok());
        assert!(Kind::Hosts.read_text(&format!("{},more.example", thousand.join(","))).is_err());
    }

    #[test]
    fn what_is_wrong_in_a_list_is_named_by_its_place() {
        let refusal = Kind::Hosts.read_text("a.org,b.org,c d,e f").expect_err("spaces");
        assert!(refusal.starts_with("item 3 is wrong; it must be a list of"), "{refusal}");
    }

    #[test]
    fn networks_are_addresses_or_networks() {
        check(
            Kind::Networks,
            &[
                ("10.1.2.3", "10.1.2.3/32"),
                ("10.1.2.3/8,::1", "10.0.0.0/8,::1/128"),
                ("fd00::/8,", "fd00::/8"),
            ],
            &["10.0.0.0/33", "10.0.0", "proxy.example", "10.0.0.1;10.0.0.2", "fe80::1%eth0"],
        );
    }

    #[test]
    fn other_kinds_take_what_they_say() {
        check(
            Kind::Address,
            &[("[::1]:80", "[::1]:80"), ("0.0.0.0:0", "0.0.0.0:0")],
            &["8080", ":8080", "localhost:80", "1.2.3.4:65536"],
        );
        check(Kind::Word(&["human", "json"]), &[("json", "json")], &["JSON", "xml", ""]);
        check(Kind::Words(&["A", "B"]), &[("B, A", "B,A")], &["", ",", "A,A", "A,C"]);
        check(
            Kind::Text { chars_max: 6 },
            &[("münze ", "münze ")],
            &["1234567", "a\u{1b}[2J", "a\nb", " \u{a0}"],
        );
        check(Kind::Id, &[("ann@example.org", "ann@example.org")], &["a b", "", "{a}"]);
    }

    #[test]
    fn the_file_has_types() {
        for (kind, value) in [
            (Kind::Boolean, FileValue::Text("true".to_owned())),
            (Kind::Boolean, FileValue::Integer(1)),
            (Kind::Number { min: 0, max: 9, unit: "" }, FileValue::Text("5".to_owned())),
            (Kind::Number { min: 0, max: 9, unit: "" }, FileValue::Integer(-1)),
            (Kind::Number { min: 0, max: 9, unit: "" }, FileValue::Float("5.0".to_owned())),
            (Kind::Path, FileValue::Text(String::new())),
            (Kind::Path, FileValue::Text("a\0b".to_owned())),
            (Kind::Path, FileValue::Integer(5)),
            (Kind::Hosts, FileValue::Text("example.org".to_owned())),
            (Kind::Hosts, FileValue::List(vec![FileValue::Integer(1)])),
            (Kind::Word(&["a"]), FileValue::Other("a table")),
        ] {
            assert!(kind.read_toml(&value).is_err(), "{kind:?} took {value:?}");
        }
    }
}
