//! How often a rule may be found in ordinary posts of a marketplace.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::corpus::Text;
use crate::excerpt;
use crate::judge::{Judge, Outcome};

/// `eval/budgets.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    sets: Vec<String>,
    /// Posts in which a rule of a level may be found; there is none for levels that are not named.
    levels: BTreeMap<String, usize>,
    /// Rules that may be found more often.
    exceptions: BTreeMap<String, Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    posts: usize,
    reason: String,
}

impl Budgets {
    pub(crate) fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let budgets: Self = toml::from_str(&fs::read_to_string(path)?)?;
        match budgets.exceptions.iter().find(|(_, exception)| exception.reason.len() < 20) {
            Some((rule, _)) => Err(format!("{}: {rule} is excepted without a reason", path.display()).into()),
            None => Ok(budgets),
        }
    }

    pub(crate) fn is_about(&self, text: &Text) -> bool {
        text.label == 0 && self.sets.contains(&text.set)
    }

    /// Rules over their budget, with the posts; and says which exceptions are no longer needed.
    pub(crate) fn breaches(
        &self,
        posts: &[Text],
        outcomes: &[Outcome],
        judge: &Judge,
        show: bool,
    ) -> Vec<String> {
        let mut breaches = Vec::new();
        let rules: BTreeMap<_, _> =
            judge.detectors.rules().map(|rule| (rule.id.to_owned(), rule.level)).collect();
        for (id, level) in &rules {
            let Some(&usual) = self.levels.get(&level.to_string()) else { continue };
            let found: Vec<_> =
                posts.iter().zip(outcomes).filter(|(_, outcome)| outcome.rules.contains_key(id)).collect();
            let exception = self.exceptions.get(id);
            let most = exception.map_or(usual, |exception| exception.posts);
            if found.len() > most {
                breaches.push(told(id, *level, most, &found, show.then_some(judge)));
            } else if exception.is_some() && found.len() <= usual {
                eprintln!("{id} is found in {} posts: its exception is no longer needed", found.len());
            }
        }
        for id in self.exceptions.keys().filter(|id| !rules.contains_key(*id)) {
            eprintln!("no rule is called {id}: its exception is not needed");
        }
        breaches
    }
}

fn told(id: &str, level: u8, most: usize, found: &[(&Text, &Outcome)], judge: Option<&Judge>) -> String {
    let mut out =
        format!("{id}, of level {level}, is found in {} ordinary posts; it may be in {most}", found.len());
    for (text, outcome) in found.iter().take(40) {
        _ = write!(out, "\n    {} {} {:?}", text.id(), text.hash(), outcome.verdict);
        let places = outcome.places.get(id).map_or(&[][..], Vec::as_slice);
        for part in judge.into_iter().flat_map(|judge| excerpt::of(&judge.detectors, &text.text, places)) {
            _ = write!(out, "\n        {part}");
        }
    }
    if found.len() > 40 {
        _ = write!(out, "\n    and {} more", found.len() - 40);
    }
    out
}
