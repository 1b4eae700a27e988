//! How points add up. Pure.

use std::collections::BTreeMap;

use crate::finding::Category;
use crate::tier::RiskScore;

/// The pattern that contact data is many times over: it alone may lift contact data to HIGH.
pub const CONTACT_DUMP: &str = "contact-dump";

/// The highest total that contact data lifts anything to: the end of MODERATE with the usual thresholds.
const CONTACT_TOTAL_MAX: u32 = 59;

/// One pattern that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scored<'a> {
    pub(crate) id: &'a str,
    pub(crate) category: Category,
    pub(crate) points: u32,
}

/// A total and what each pattern gave to it, in the order asked; the deltas add up to the total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) total: RiskScore,
    pub(crate) deltas: Vec<u32>,
}

/// Adds up: in a category the strongest counts whole and each further one a quarter, up to the category's cap;
/// the strongest category counts whole and each further one a quarter. Contact data never lifts a total above 59,
/// unless it is a dump of them.
pub(crate) fn tally(patterns: &[Scored<'_>]) -> Tally {
    let (is_contact, dumped) = (
        |s: &Scored<'_>| s.category == Category::ContactData && s.id != CONTACT_DUMP,
        patterns.iter().any(|s| s.id == CONTACT_DUMP),
    );
    let with_all = sum(patterns, |_| true);
    if dumped || !patterns.iter().any(is_contact) || with_all.total.get() <= CONTACT_TOTAL_MAX {
        return with_all;
    }
    // Contact data may fill up to 59 what the others leave, and not more.
    let mut others = sum(patterns, |s| !is_contact(s));
    let room = CONTACT_TOTAL_MAX.saturating_sub(others.total.get());
    if let Some(at) = patterns.iter().position(is_contact)
        && let Some(delta) = others.deltas.get_mut(at)
    {
        *delta += room;
        others.total = RiskScore::new(others.total.get() + room);
    }
    others
}

fn sum(patterns: &[Scored<'_>], counts: impl Fn(&Scored<'_>) -> bool) -> Tally {
    let mut by_category: BTreeMap<Category, Vec<usize>> = BTreeMap::new();
    for (at, scored) in patterns.iter().enumerate() {
        if counts(scored) {
            by_category.entry(scored.category).or_default().push(at);
        }
    }
    let points = |at: usize| patterns.get(at).map_or(0, |s| s.points);
    let mut deltas = vec![0; patterns.len()];
    let mut subtotals: Vec<(u32, Vec<usize>)> = Vec::new();
    for (category, mut at) in by_category {
        at.sort_by_key(|&i| (std::cmp::Reverse(points(i)), patterns.get(i).map(|s| s.id)));
        let cap = if category == Category::ContactData && at.iter().any(|&i| is_dump(patterns, i)) {
            100
        } else {
            category.cap()
        };
        let mut subtotal = 0;
        for (rank, &i) in at.iter().enumerate() {
            let wanted = if rank == 0 { points(i) } else { points(i) / 4 };
            let given = wanted.min(cap - subtotal);
            subtotal += given;
            if let Some(delta) = deltas.get_mut(i) {
                *delta = given;
            }
        }
        subtotals.push((subtotal, at));
    }
    // The first of equals is the strongest, so that the same findings always add up alike.
    subtotals.sort_by_key(|(subtotal, _)| std::cmp::Reverse(*subtotal));
    let mut total = 0;
    for (rank, (subtotal, at)) in subtotals.into_iter().enumerate() {
        if rank == 0 {
            total += subtotal;
            continue;
        }
        let mut left = subtotal / 4;
        total += left;
        for i in at {
            if let Some(delta) = deltas.get_mut(i) {
                *delta = left;
                left = 0;
            }
        }
    }
    Tally { total: RiskScore::new(total), deltas }
}

fn is_dump(patterns: &[Scored<'_>], at: usize) -> bool {
    patterns.get(at).is_some_and(|s| s.id == CONTACT_DUMP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Category::{
        ContactData, Credentials, Injection, MaliciousCode, Obfuscation, PersonalData, SocialEngineering,
    };

    fn check(patterns: &[(&str, Category, u32)], total: u32) {
        let scored: Vec<_> =
            patterns.iter().map(|&(id, category, points)| Scored { id, category, points }).collect();
        let tally = tally(&scored);
        assert_eq!(tally.total.get(), total, "{patterns:?}");
        assert_eq!(tally.deltas.iter().sum::<u32>(), total, "deltas of {patterns:?}: {:?}", tally.deltas);
    }

    #[test]
    fn a_category_is_its_strongest_and_a_quarter_of_each_other() {
        check(&[], 0);
        check(&[("a", Credentials, 90)], 90);
        check(&[("a", Credentials, 50), ("b", Credentials, 43)], 60);
        check(&[("a", Credentials, 90), ("b", Credentials, 90)], 100);
        check(&[("a", Injection, 90), ("b", Injection, 90)], 90);
        check(
            &[("a", SocialEngineering, 70), ("b", SocialEngineering, 70), ("c", SocialEngineering, 70)],
            90,
        );
        check(&[("a", Obfuscation, 60)], 40);
    }

    #[test]
    fn the_total_is_the_strongest_category_and_a_quarter_of_each_other() {
        check(&[("a", Credentials, 60), ("b", Injection, 40)], 70);
        check(&[("a", MaliciousCode, 90), ("b", Injection, 90), ("c", Obfuscation, 40)], 122);
        check(&[("a", Injection, 50), ("b", Obfuscation, 40)], 60);
    }

    #[test]
    fn contact_data_alone_never_reaches_high() {
        check(&[("email-address", ContactData, 40)], 40);
        check(&[("email-address", ContactData, 40), ("us-phone-number", ContactData, 40)], 50);
        check(&[("email-address", ContactData, 40), ("a", Injection, 55)], 59);
        check(&[("email-address", ContactData, 40), ("a", Injection, 60)], 60);
        check(&[("email-address", ContactData, 40), ("a", Credentials, 90)], 90);
        check(&[("email-address", ContactData, 40), ("a", Injection, 50), ("b", Obfuscation, 40)], 60);
    }

    #[test]
    fn a_dump_of_contacts_is_high_and_identities_are_not_contacts() {
        check(&[("contact-dump", ContactData, 60), ("email-address", ContactData, 40)], 70);
        check(&[("iban", PersonalData, 60), ("email-address", ContactData, 40)], 60);
        check(&[("identity-dump", PersonalData, 90), ("iban", PersonalData, 60)], 100);
    }

    proptest::proptest! {
        #[test]
        fn deltas_add_up_and_a_further_finding_never_lowers_a_total(
            patterns in proptest::collection::vec((0usize..8, 0u32..=100), 0..12),
        ) {
            let names: Vec<String> = (0..patterns.len()).map(|i| format!("p{i:02}")).collect();
            let scored: Vec<_> = patterns.iter().zip(&names)
                .map(|(&(c, points), id)| Scored { id, category: Category::ALL[c], points }).collect();
            let all = tally(&scored);
            proptest::prop_assert_eq!(all.deltas.iter().sum::<u32>(), all.total.get());
            if let Some((_, fewer)) = scored.split_last() {
                proptest::prop_assert!(tally(fewer).total <= all.total);
            }
        }
    }
}
