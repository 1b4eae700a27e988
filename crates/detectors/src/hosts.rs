//! Hosts that an operator trusts, and those that nobody may name.

mod found;
mod named;

use std::collections::HashSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::error::DetectorsError;

pub(crate) use found::Excuse;
use named::are_all;
pub(crate) use named::{Named, each};

/// How many hosts a list may have: what an operator can still look after by hand.
pub(crate) const HOSTS_MAX: usize = 1000;

/// The longest name that has an address (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// A host by its name, or every host below a name.
///
/// `evil.example` is that host alone, `*.evil.example` are all below it and not itself. Names are ASCII, those of
/// other scripts in their `xn--` form, and an IPv4 address is one too, in any of its spellings.
///
/// ```
/// use clawexchange_detectors::Host;
/// assert_eq!("*.Evil.Example.".parse::<Host>()?.to_string(), "*.evil.example");
/// assert_eq!("0x7f.1".parse::<Host>()?.to_string(), "127.0.0.1");
/// assert!("https://evil.example/".parse::<Host>().is_err());
/// # Ok::<(), clawexchange_detectors::DetectorsError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host {
    name: String,
    below: bool,
}

impl FromStr for Host {
    type Err = DetectorsError;

    fn from_str(text: &str) -> Result<Self, DetectorsError> {
        let wrong = || DetectorsError::Host { host: text.chars().take(64).collect() };
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let name = canonical(name).ok_or_else(wrong)?;
        if below && name.parse::<Ipv4Addr>().is_ok() { Err(wrong()) } else { Ok(Self { name, below }) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.below { "*." } else { "" })?;
        f.write_str(&self.name)
    }
}

/// Which hosts may be named, beyond what the rules say.
///
/// Denied hosts are found by the rule `denied-host` wherever a text names them. Findings of malicious code are not
/// reported where they name hosts and all of these are allowed. A host on both lists is denied.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HostPolicy {
    /// Hosts from which things may be fetched and run: at most 1000.
    pub allow: Vec<Host>,
    /// Hosts that nobody may name: at most 1000.
    pub deny: Vec<Host>,
}

impl HostPolicy {
    /// Puts the lists together.
    pub const fn new(allow: Vec<Host>, deny: Vec<Host>) -> Self {
        Self { allow, deny }
    }

    /// The lists, ready to be asked, and a text that is the same for lists that say the same.
    pub(crate) fn compiled(self) -> Result<(Lists, String), DetectorsError> {
        let mut spelled = String::new();
        for (list, hosts) in [("allow", &self.allow), ("deny", &self.deny)] {
            if hosts.len() > HOSTS_MAX {
                return Err(DetectorsError::TooManyHosts { list, max: HOSTS_MAX });
            }
            let mut hosts: Vec<&Host> = hosts.iter().collect();
            hosts.sort_unstable();
            hosts.dedup();
            for host in hosts {
                spelled.extend([list, "=", &host.to_string(), ";"]);
            }
        }
        Ok((Lists { allow: List::of(self.allow), deny: List::of(self.deny) }, spelled))
    }
}

/// Both lists, ready to be asked.
pub(crate) struct Lists {
    pub(crate) allow: List,
    pub(crate) deny: List,
}

/// Hosts by name, and names above hosts.
pub(crate) struct List {
    names: HashSet<String>,
    above: HashSet<String>,
}

impl List {
    fn of(hosts: Vec<Host>) -> Self {
        let (above, names): (Vec<_>, Vec<_>) = hosts.into_iter().partition(|host| host.below);
        let set = |hosts: Vec<Host>| hosts.into_iter().map(|host| host.name).collect();
        Self { names: set(names), above: set(above) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.above.is_empty()
    }

    /// Whether a host in canonical spelling is on it.
    pub(crate) fn has(&self, host: &str) -> bool {
        self.names.contains(host)
            || host
                .match_indices('.')
                .any(|(at, _)| host.get(at + 1..).is_some_and(|rest| self.above.contains(rest)))
    }
}

/// A host in its one spelling: lower case, without a dot at its end, an IPv4 address in four decimal numbers.
/// `None` if the text is no host.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(is_label) {
        return None;
    }
    // As browsers do it: a name that ends in a number is an address, or nothing.
    let last = name.rsplit('.').next().unwrap_or("");
    if number(last).is_some() || last.bytes().all(|b| b.is_ascii_digit()) {
        return ipv4(&name).map(|address| address.to_string());
    }
    Some(name)
}

/// An IPv4 address in any of the spellings that browsers and shells take: one to four numbers, decimal, octal or
/// hexadecimal, the last of which fills what is left.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let numbers: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, firsts) = numbers.split_last()?;
    let bits_left = 32 - 8 * u32::try_from(firsts.len()).ok().filter(|n| *n <= 3)?;
    let fits = bits_left == 32 || *last >> bits_left == 0;
    if !fits || firsts.iter().any(|n| *n > 255) {
        return None;
    }
    let high = firsts.iter().zip([24, 16, 8]).fold(0, |all, (n, by)| all | n << by);
    Some(Ipv4Addr::from(high | last))
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some("") => Some(0),
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: Option<&str>) {
        assert_eq!(text.parse::<Host>().ok().map(|h| h.to_string()).as_deref(), host, "{text}");
    }

    #[test]
    fn a_host_has_one_spelling() {
        check("Evil.Example", Some("evil.example"));
        check("evil.example.", Some("evil.example"));
        check("*.evil.example", Some("*.evil.example"));
        check("xn--bcher-kva.example", Some("xn--bcher-kva.example"));
        check("localhost", Some("localhost"));
        for address in
            ["203.0.113.9", "3405803785", "0xcb007109", "0xCB.0.0x71.9", "0313.0.0161.011", "203.28937"]
        {
            check(address, Some("203.0.113.9"));
        }
        for bad in [
            "",
            ".",
            "*",
            "*.",
            "a..b",
            ".a",
            "a.*.b",
            "*a.b",
            "https://a.b",
            "a.b/c",
            "a.b:80",
            "u@a.b",
            "bücher.example",
            "a b",
            "-a.b",
            "a-.b",
            "[::1]",
            "1.2.3.256",
            "1.2.3.4.5",
            "4294967296",
            "08.1.1.1",
            "*.1.2.3.4",
            "a.b.7",
        ] {
            check(bad, None);
        }
        check(&"a".repeat(64), None);
        check(&["abcdefg"; 32].join("."), None);
    }

    #[test]
    fn a_star_stands_for_all_below_a_name_and_not_for_it() {
        let hosts = |texts: &[&str]| List::of(texts.iter().map(|t| t.parse().unwrap()).collect());
        let list = hosts(&["*.evil.example", "bad.example"]);
        for (host, is_in) in [
            ("a.evil.example", true),
            ("b.a.evil.example", true),
            ("evil.example", false),
            ("notevil.example", false),
            ("bad.example", true),
            ("a.bad.example", false),
        ] {
            assert_eq!(list.has(host), is_in, "{host}");
        }
    }
}
