//! Figures of a run: by set, family, rule and verdict.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use clawexchange_ssg_core::Verdict;
use serde::{Deserialize, Serialize};

use crate::arguments::Arguments;
use crate::corpus::{Family, Text};
use crate::excerpt;
use crate::judge::{Judge, Outcome};
use crate::share::Share;

/// A run, as `--json` writes it: figures for people and programs, outcomes for comparing.
#[derive(Serialize)]
pub(crate) struct Report {
    policy: String,
    level: u8,
    sample: Option<usize>,
    seed: u64,
    sets: Vec<OfSet>,
    families: Vec<OfFamily>,
    rules: BTreeMap<String, OfRule>,
    verdicts: BTreeMap<String, Share>,
    texts: Vec<Judged>,
    #[serde(skip)]
    judge: Judge,
}

/// Only what comparing needs.
#[derive(Deserialize)]
pub(crate) struct Read {
    pub(crate) policy: String,
    pub(crate) level: u8,
    pub(crate) texts: Vec<Judged>,
}

/// One text in a report.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) id: String,
    pub(crate) set: String,
    pub(crate) hash: String,
    pub(crate) label: u8,
    pub(crate) cat: String,
    pub(crate) family: Family,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

impl Judged {
    /// Whether it was missed, or held for nothing.
    pub(crate) fn is_wrong(&self) -> bool {
        if self.label == 1 { !self.outcome.is_noticed() } else { self.outcome.is_held() }
    }
}

#[derive(Serialize)]
struct OfSet {
    set: String,
    label: u8,
    noticed: Share,
    recognised: Share,
    held: Share,
    blocked: Share,
    /// Attacks among what was held, where the set has both.
    precision: Share,
}

#[derive(Serialize)]
struct OfFamily {
    family: Family,
    noticed: Share,
    recognised: Share,
    held: Share,
    /// Ordinary texts that were held with its label.
    false_alarms: Share,
    /// Attacks of the family among texts that were held with its label.
    precision: Share,
}

#[derive(Default, Serialize)]
struct OfRule {
    level: u8,
    attacks: u32,
    ordinary: u32,
    ordinary_held: u32,
    precision: Share,
}

/// What must hold, by set, in percent: the least share of attacks noticed, the most of ordinary texts held.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Floor {
    noticed_min: Option<f64>,
    held_max: Option<f64>,
}

impl Report {
    pub(crate) fn read(path: &Path) -> Result<Read, Box<dyn Error>> {
        let text = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))?)
    }

    pub(crate) fn of(texts: &[Text], outcomes: Vec<Outcome>, judge: Judge, arguments: &Arguments) -> Self {
        let judged = |(text, outcome): (&Text, Outcome)| Judged {
            id: text.id(),
            set: text.set.clone(),
            hash: text.hash(),
            label: text.label,
            cat: text.cat.clone(),
            family: text.family,
            outcome,
        };
        let texts: Vec<_> = texts.iter().zip(outcomes).map(judged).collect();
        let levels: BTreeMap<_, _> =
            judge.detectors.rules().map(|rule| (rule.id.to_owned(), rule.level)).collect();
        Self {
            policy: judge.detectors.policy(),
            level: arguments.level,
            sample: arguments.sample,
            seed: arguments.seed,
            sets: of_sets(&texts),
            families: Family::ALL.into_iter().map(|family| of_family(&texts, family)).collect(),
            rules: of_rules(&texts, &levels),
            verdicts: of_verdicts(&texts),
            texts,
            judge,
        }
    }

    pub(crate) fn print(&self) {
        println!(
            "{}, level {}, {} texts; shares in percent with intervals of 95 %\n",
            self.policy,
            self.level,
            self.texts.len()
        );
        println!(
            "{:<30} {:>6} {:>18} {:>18} {:>18} {:>18}",
            "attacks", "texts", "noticed", "recognised", "held", "precision"
        );
        for set in self.sets.iter().filter(|set| set.label == 1) {
            println!(
                "{:<30} {:>6} {:>18} {:>18} {:>18} {:>18}",
                set.set, set.noticed.whole, set.noticed, set.recognised, set.held, set.precision
            );
        }
        println!(
            "\n{:<30} {:>6} {:>18} {:>18} {:>18}",
            "ordinary texts", "texts", "warned or worse", "held", "blocked"
        );
        for set in self.sets.iter().filter(|set| set.label == 0) {
            println!(
                "{:<30} {:>6} {:>18} {:>18} {:>18}",
                set.set, set.noticed.whole, set.noticed, set.held, set.blocked
            );
        }
        println!(
            "\n{:<30} {:>6} {:>18} {:>18} {:>18} {:>18}",
            "family", "texts", "recognised", "held", "false alarms", "precision"
        );
        for family in &self.families {
            println!(
                "{:<30} {:>6} {:>18} {:>18} {:>18} {:>18}",
                family.family.label(),
                family.noticed.whole,
                family.recognised,
                family.held,
                family.false_alarms,
                family.precision
            );
        }
        println!("\n{:<30} {:>6} {:>18}", "verdict", "texts", "attacks among them");
        for (verdict, share) in &self.verdicts {
            println!("{verdict:<30} {:>6} {share:>18}", share.whole);
        }
        self.print_rules();
    }

    /// Those that are found in ordinary texts, the ones that hold most first.
    fn print_rules(&self) {
        println!(
            "\n{:<34} {:>5} {:>8} {:>9} {:>7} {:>18}",
            "rules found in ordinary texts", "level", "attacks", "ordinary", "held", "precision"
        );
        let mut rules: Vec<_> = self.rules.iter().filter(|(_, of)| of.ordinary > 0).collect();
        rules.sort_by_key(|(_, of)| std::cmp::Reverse((of.ordinary_held, of.ordinary)));
        for (id, of) in rules {
            println!(
                "{id:<34} {:>5} {:>8} {:>9} {:>7} {:>18}",
                of.level, of.attacks, of.ordinary, of.ordinary_held, of.precision
            );
        }
    }

    /// Misses and false alarms of one set, or of all.
    pub(crate) fn print_wrong(&self, set: &str, texts: &[Text], show: bool) {
        println!("\nmissed (1) and held for nothing (0)");
        for (judged, text) in self.texts.iter().zip(texts).filter(|(judged, _)| judged.is_wrong()) {
            if set != "all" && judged.set != set {
                continue;
            }
            let rules: Vec<_> =
                judged.outcome.rules.iter().map(|(id, delta)| format!("{id} {delta}")).collect();
            println!(
                "{} {} {} {} {:?} {}",
                judged.label,
                judged.id,
                judged.hash,
                judged.cat,
                judged.outcome.verdict,
                rules.join(", ")
            );
            if show {
                for part in excerpt::of(&self.judge.detectors, &text.text, &judged.outcome.all_places()) {
                    println!("    {part}");
                }
            }
        }
    }

    /// Sets below their floor. Those that are not there are not asked about.
    pub(crate) fn below_floors(&self, path: &Path) -> Result<Vec<String>, Box<dyn Error>> {
        let floors: BTreeMap<String, Floor> = toml::from_str(&fs::read_to_string(path)?)?;
        let mut breaches = Vec::new();
        for set in &self.sets {
            let Some(floor) = floors.get(&set.set) else { continue };
            let (what, share, bound, broken) = match (set.label, floor.noticed_min, floor.held_max) {
                (1, Some(min), _) => ("noticed", set.noticed, min, set.noticed.percent() < min),
                (0, _, Some(max)) => ("held", set.held, max, set.held.percent() > max),
                _ => continue,
            };
            if broken {
                let sort = if set.label == 1 { "floor" } else { "at most" };
                breaches.push(format!(
                    "{}: {what} {share} %, {sort} {bound} %{}",
                    set.set,
                    self.wrong_ones(set)
                ));
            }
        }
        Ok(breaches)
    }

    fn wrong_ones(&self, set: &OfSet) -> String {
        let of_set =
            |judged: &&Judged| judged.set == set.set && judged.label == set.label && judged.is_wrong();
        let lines = self.texts.iter().filter(of_set).map(|judged| {
            let rules: Vec<_> = judged.outcome.rules.keys().map(String::as_str).collect();
            format!("\n    {} {} {}", judged.id, judged.hash, rules.join(", "))
        });
        lines.collect()
    }
}

fn of_sets(texts: &[Judged]) -> Vec<OfSet> {
    let mut names: Vec<&str> = Vec::new();
    for text in texts {
        if !names.contains(&text.set.as_str()) {
            names.push(&text.set);
        }
    }
    let mut sets = Vec::new();
    for name in names {
        let both: Vec<&Judged> = texts.iter().filter(|text| text.set == name).collect();
        let mixed = both.iter().any(|text| text.label == 0);
        for label in [1, 0] {
            let of: Vec<&Judged> = both.iter().copied().filter(|text| text.label == label).collect();
            if of.is_empty() {
                continue;
            }
            let held: Vec<_> = both.iter().filter(|text| mixed && text.outcome.is_held()).collect();
            sets.push(OfSet {
                set: name.to_owned(),
                label,
                noticed: Share::of(&of, |text| text.outcome.is_noticed()),
                recognised: Share::of(&of, |text| text.outcome.is_recognised(text.family)),
                held: Share::of(&of, |text| text.outcome.is_held()),
                blocked: Share::of(&of, |text| text.outcome.verdict == Verdict::Block),
                precision: Share::of(&held, |text| text.label == 1),
            });
        }
    }
    sets
}

fn of_family(texts: &[Judged], family: Family) -> OfFamily {
    let attacks: Vec<_> = texts.iter().filter(|text| text.label == 1 && text.family == family).collect();
    let ordinary: Vec<_> = texts.iter().filter(|text| text.label == 0).collect();
    let is_held = |text: &&Judged| text.outcome.is_held() && text.outcome.is_recognised(family);
    // Attacks of other families say nothing of this one.
    let held: Vec<_> = attacks.iter().chain(&ordinary).copied().filter(is_held).collect();
    OfFamily {
        family,
        noticed: Share::of(&attacks, |text| text.outcome.is_noticed()),
        recognised: Share::of(&attacks, |text| text.outcome.is_recognised(family)),
        held: Share::of(&attacks, |text| text.outcome.is_held()),
        false_alarms: Share::of(&ordinary, is_held),
        precision: Share::of(&held, |text| text.label == 1),
    }
}

fn of_rules(texts: &[Judged], levels: &BTreeMap<String, u8>) -> BTreeMap<String, OfRule> {
    let mut rules: BTreeMap<String, OfRule> = BTreeMap::new();
    for text in texts {
        for id in text.outcome.rules.keys() {
            let of = rules.entry(id.clone()).or_default();
            of.level = levels.get(id).copied().unwrap_or_default();
            of.attacks += u32::from(text.label == 1);
            of.ordinary += u32::from(text.label == 0);
            of.ordinary_held += u32::from(text.label == 0 && text.outcome.is_held());
            of.precision.add(text.label == 1);
        }
    }
    rules
}

fn of_verdicts(texts: &[Judged]) -> BTreeMap<String, Share> {
    let mut verdicts: BTreeMap<String, Share> = BTreeMap::new();
    for text in texts {
        verdicts.entry(format!("{:?}", text.outcome.verdict)).or_default().add(text.label == 1);
    }
    verdicts
}
