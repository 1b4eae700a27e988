//! What is not reported though a rule finds it: single values and single hosts, known by codes alone.
//!
//! A code is HMAC-SHA-256 under a key of the deployment, so that whoever reads the list learns no value, and whoever can
//! write to it without the key allows nothing.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::hash::ContentHash;
use crate::hosts::Host;

/// What codes are made with: 32 bytes that nobody outside the deployment knows.
#[derive(Clone)]
pub struct AllowKey([u8; 32]);

impl AllowKey {
    /// Takes 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The code of a value, byte by byte as a rule finds it.
    pub fn value(&self, value: &str) -> [u8; 32] {
        self.code(b"value", value)
    }

    /// The code of a host. `None` for a pattern such as `*.example.com`, which is no single host.
    pub fn host(&self, host: &Host) -> Option<[u8; 32]> {
        let host = host.to_string();
        (!host.starts_with("*.")).then(|| self.code(b"host", &host))
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn code(&self, sort: &[u8], text: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(sort);
        mac.update(&[0]);
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for AllowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AllowKey([redacted])")
    }
}

/// One value that may be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllowedValue {
    /// Its code.
    pub code: [u8; 32],
    /// Only as a finding of this rule; `None`: of any.
    pub rule: Option<String>,
    /// What explanations say of it, such as its id and the reason.
    pub why: String,
}

impl AllowedValue {
    /// Puts the parts together.
    pub fn new(code: [u8; 32], rule: Option<String>, why: impl Into<String>) -> Self {
        Self { code, rule, why: why.into() }
    }
}

/// One host that commands may name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllowedHost {
    /// Its code.
    pub code: [u8; 32],
    /// What explanations say of it.
    pub why: String,
}

impl AllowedHost {
    /// Puts both together.
    pub fn new(code: [u8; 32], why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// Values and hosts that may be posted. Cheap to clone; empty unless filled.
///
/// An allowed value takes away the finding of it and nothing else: what overlaps it and is more than it is found as ever.
/// An allowed host is one more on the list of [`HostPolicy`](crate::HostPolicy): a command is not reported if all hosts
/// that it names are allowed and none is denied.
#[derive(Clone, Default)]
pub struct AllowList(Arc<Vec<Keyed>>);

#[derive(Clone)]
struct Keyed {
    key: AllowKey,
    values: HashMap<[u8; 32], Vec<AllowedValue>>,
    hosts: HashMap<[u8; 32], String>,
}

impl AllowList {
    /// The same list with more entries, whose codes were made with `key`.
    #[must_use]
    pub fn with(
        mut self,
        key: AllowKey,
        values: impl IntoIterator<Item = AllowedValue>,
        hosts: impl IntoIterator<Item = AllowedHost>,
    ) -> Self {
        let mut keyed = Keyed { key, values: HashMap::new(), hosts: HashMap::new() };
        for value in values {
            keyed.values.entry(value.code).or_default().push(value);
        }
        keyed.hosts.extend(hosts.into_iter().map(|host| (host.code, host.why)));
        Arc::make_mut(&mut self.0).push(keyed);
        self
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|keyed| keyed.values.is_empty() && keyed.hosts.is_empty())
    }

    /// Why a value that a rule found is allowed, if it is.
    pub(crate) fn value(&self, rule: &str, value: &str) -> Option<&str> {
        let entries = self.0.iter().filter(|keyed| !keyed.values.is_empty() && !value.is_empty());
        let mut entries = entries.filter_map(|keyed| keyed.values.get(&keyed.key.value(value))).flatten();
        entries.find(|entry| entry.rule.as_deref().is_none_or(|only| only == rule)).map(|entry| &*entry.why)
    }

    /// Why a host is allowed, if it is.
    pub(crate) fn host(&self, host: &str) -> Option<&str> {
        let mut entries = self.0.iter().filter(|keyed| !keyed.hosts.is_empty());
        entries.find_map(|keyed| keyed.hosts.get(&keyed.key.code(b"host", host))).map(String::as_str)
    }

    pub(crate) fn has_hosts(&self) -> bool {
        self.0.iter().any(|keyed| !keyed.hosts.is_empty())
    }

    /// What is allowed, for the name of the policy.
    pub(crate) fn add_to(&self, hash: &mut ContentHash) {
        for keyed in self.0.iter() {
            let values = keyed.values.values().flatten();
            let values = values.map(|v| (0_u8, v.code, v.rule.clone().unwrap_or_default()));
            let hosts = keyed.hosts.keys().map(|code| (1_u8, *code, String::new()));
            for (sort, code, rule) in values.chain(hosts).collect::<BTreeSet<_>>() {
                hash.part(&[sort]);
                hash.part(&code);
                hash.part(rule.as_bytes());
            }
        }
    }
}

impl fmt::Debug for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |of: fn(&Keyed) -> usize| self.0.iter().map(of).sum::<usize>();
        f.debug_struct("AllowList")
            .field("values", &count(|keyed| keyed.values.len()))
            .field("hosts", &count(|keyed| keyed.hosts.len()))
            .finish()
    }
}
