//! Hosts in a text: those that are denied are found, and commands whose hosts are all allowed are excused.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::{Lists, are_all, each};
use crate::detectors::{Detectors, hash_of};
use crate::hit::Hit;
use crate::view::Views;

/// Why a host does not count, and a command is not reported; what an explanation says of it, where an allowance did that.
pub(crate) struct Excuse(pub(crate) Option<String>);

impl Detectors {
    /// Looks for hosts that are denied.
    pub(crate) fn look_for_hosts(&self, views: &Views<'_>, view: usize, hits: &mut Vec<Hit>) {
        let Some(&rule) = self.0.by_code.get("denied-host") else { return };
        if self.0.hosts.deny.is_empty() {
            return;
        }
        let mut places = BTreeMap::new();
        let denied = |host: &str| self.0.hosts.deny.has(host);
        let _enough = each(views.text(view), denied, &mut |named| {
            hits.push(Hit {
                rule,
                span: views.place(view, named.span),
                redacted: "[denied-host]".to_owned(),
                views: views.chain(view),
                checks: Vec::new(),
                marks: None,
                value: hash_of(&named.host),
            });
            self.enough(rule, true, &mut places)
        });
    }

    /// Why a command is excused: all hosts that it names are allowed. What was wrapped or disguised is not excused: there
    /// one host may look like another.
    pub(crate) fn excuse(&self, sent: &str, place: &Range<usize>) -> Option<Excuse> {
        if self.0.hosts.allow.is_empty() && !self.0.allowed.has_hosts() {
            return None;
        }
        let by = RefCell::new(None);
        let are_all = are_all(sent, place, |host| {
            let Some(Excuse(why)) = self.allows_host(host) else { return false };
            if why.is_some() {
                by.replace(why);
            }
            true
        });
        are_all.then(|| Excuse(by.into_inner()))
    }

    /// Why whoever posts may name a host, if they may. What is denied is never allowed.
    pub(crate) fn allows_host(&self, host: &str) -> Option<Excuse> {
        let Lists { allow, deny } = &self.0.hosts;
        if deny.has(host) {
            None
        } else if allow.has(host) {
            Some(Excuse(None))
        } else {
            self.0.allowed.host(host).map(|why| Excuse(Some(why.to_owned())))
        }
    }
}
