//! Two runs beside each other.

use std::collections::BTreeMap;

use clawexchange_detectors::Detectors;

use crate::corpus::Text;
use crate::excerpt;
use crate::report::{Judged, Read};

/// What changed in a set or of a rule.
#[derive(Default)]
struct Change {
    texts: u32,
    noticed: (u32, u32),
    held: (u32, u32),
    better: u32,
    worse: u32,
}

/// Prints what got better and worse: by set, by rule, and the texts. `texts` are there to be shown.
pub(crate) fn runs(before: &Read, after: &Read, texts: &[Text]) {
    println!("{}, level {}  →  {}, level {}", before.policy, before.level, after.policy, after.level);
    let known: BTreeMap<_, _> = before.texts.iter().map(|text| ((&text.id, &text.hash), text)).collect();
    let pairs: Vec<(&Judged, &Judged)> =
        after.texts.iter().filter_map(|now| Some((*known.get(&(&now.id, &now.hash))?, now))).collect();
    println!(
        "{} texts in both, {} in the first alone, {} in the second alone\n",
        pairs.len(),
        before.texts.len() - pairs.len(),
        after.texts.len() - pairs.len()
    );
    by_set(&pairs);
    by_rule(&pairs);
    println!("\ntexts (1: attack, 0: ordinary)");
    for (old, new) in pairs.iter().filter(|(old, new)| direction(old, new) != 0) {
        let word = if direction(old, new) > 0 { "better" } else { "worse" };
        let (gone, come) = (missing(old, new), missing(new, old));
        println!(
            "{word:<6} {} {} {} {:?} → {:?}, {} → {}{}{}",
            new.label,
            new.id,
            new.hash,
            old.outcome.verdict,
            new.outcome.verdict,
            old.outcome.score,
            new.outcome.score,
            listed(" -", &gone),
            listed(" +", &come),
        );
        if let Some(text) = texts.iter().find(|text| text.id() == new.id) {
            let changed = |from: &Judged, ids: &[&str]| -> Vec<(usize, usize)> {
                ids.iter().filter_map(|id| from.outcome.places.get(*id)).flatten().copied().collect()
            };
            let mut places = changed(old, &gone);
            places.extend(changed(new, &come));
            places.sort_unstable();
            for part in excerpt::of(&Detectors::default(), &text.text, &places) {
                println!("    {part}");
            }
        }
    }
}

/// Above zero where the verdict on an attack rose or on an ordinary text sank; a verdict alike is better recognised
/// or not.
fn direction(old: &Judged, new: &Judged) -> i32 {
    let rose = match new.outcome.verdict.cmp(&old.outcome.verdict) {
        std::cmp::Ordering::Equal if new.label == 1 => {
            i32::from(new.outcome.is_recognised(new.family))
                - i32::from(old.outcome.is_recognised(old.family))
        }
        order => order as i32,
    };
    if new.label == 1 { rose } else { -rose }
}

fn listed(sign: &str, ids: &[&str]) -> String {
    ids.iter().fold(String::new(), |all, id| all + sign + id)
}

fn missing<'r>(from: &'r Judged, other: &Judged) -> Vec<&'r str> {
    let gone = |id: &&String| !other.outcome.rules.contains_key(*id);
    from.outcome.rules.keys().filter(gone).map(String::as_str).collect()
}

fn by_set(pairs: &[(&Judged, &Judged)]) {
    let mut sets: BTreeMap<(&str, u8), Change> = BTreeMap::new();
    for (old, new) in pairs {
        let change = sets.entry((&new.set, new.label)).or_default();
        change.texts += 1;
        change.noticed.0 += u32::from(old.outcome.is_noticed());
        change.noticed.1 += u32::from(new.outcome.is_noticed());
        change.held.0 += u32::from(old.outcome.is_held());
        change.held.1 += u32::from(new.outcome.is_held());
        change.better += u32::from(direction(old, new) > 0);
        change.worse += u32::from(direction(old, new) < 0);
    }
    println!(
        "{:<34} {:>5} {:>6} {:>15} {:>15} {:>7} {:>7}",
        "set", "label", "texts", "noticed", "held", "better", "worse"
    );
    for ((set, label), of) in &sets {
        println!(
            "{set:<34} {label:>5} {:>6} {:>15} {:>15} {:>7} {:>7}",
            of.texts,
            format!("{} → {}", of.noticed.0, of.noticed.1),
            format!("{} → {}", of.held.0, of.held.1),
            of.better,
            of.worse
        );
    }
}

/// Rules that are found in more or fewer texts than before.
fn by_rule(pairs: &[(&Judged, &Judged)]) {
    let mut rules: BTreeMap<&str, [(u32, u32); 2]> = BTreeMap::new();
    for (old, new) in pairs {
        for (id, is_new) in old
            .outcome
            .rules
            .keys()
            .map(|id| (id, false))
            .chain(new.outcome.rules.keys().map(|id| (id, true)))
        {
            let [ordinary, attacks] = rules.entry(id).or_default();
            let counts = if new.label == 1 { attacks } else { ordinary };
            if is_new { counts.1 += 1 } else { counts.0 += 1 }
        }
    }
    println!("\n{:<38} {:>15} {:>15}", "rule", "attacks", "ordinary");
    for (id, [ordinary, attacks]) in rules.iter().filter(|(_, of)| of.iter().any(|(old, new)| old != new)) {
        println!(
            "{id:<38} {:>15} {:>15}",
            format!("{} → {}", attacks.0, attacks.1),
            format!("{} → {}", ordinary.0, ordinary.1)
        );
    }
}
