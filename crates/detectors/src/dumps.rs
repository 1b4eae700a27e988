//! What only many findings together say.

use std::collections::HashSet;

use clawexchange_ssg_core::{CONTACT_DUMP, Category};

use crate::detectors::{Detectors, is_contact};
use crate::hit::Hit;
use crate::rule::Rule;

/// Whether a hit counts towards a sum.
type Counts = fn(&Rule, &Hit) -> bool;

impl Detectors {
    /// Adds what only many findings together say, at the place that makes it many. Each text has its hits.
    pub(crate) fn add_sums(&self, texts: &mut [&mut Vec<Hit>]) {
        const CONTACTS: usize = 50;
        const IDENTITIES: usize = 3;
        const CREDENTIALS: usize = 50;
        let of_contact: Counts = |r, _| is_contact(r);
        let of_identity: Counts = |r, h| r.spec.category == Category::PersonalData && !h.checks.is_empty();
        let of_credential: Counts = |r, _| r.spec.category == Category::Credentials && r.spec.score >= 60;
        let sums = [
            (CONTACT_DUMP, CONTACTS, of_contact),
            ("identity-dump", IDENTITIES, of_identity),
            ("credential-dump", CREDENTIALS, of_credential),
        ];
        for (id, least, counts) in sums {
            let mut seen = HashSet::new();
            let mut place = None;
            for (at, hits) in texts.iter().enumerate() {
                let counts = |h: &&Hit| self.rule(h.rule).is_some_and(|r| r.is_enforced() && counts(r, h));
                for hit in hits.iter().filter(counts) {
                    if seen.insert(hit.value) && seen.len() == least {
                        place = Some((at, hit.span.clone()));
                    }
                }
            }
            if let Some((at, span)) = place
                && let Some(hits) = texts.get_mut(at)
            {
                self.add_by_code(id, span, hits);
            }
        }
    }
}
