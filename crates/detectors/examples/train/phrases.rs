//! Sentences put together out of `training/phrases.toml`.

use std::collections::BTreeMap;
use std::error::Error;

use serde::Deserialize;

use crate::learner::mixed;

/// The parts of one language.
#[derive(Deserialize)]
struct Parts {
    /// How they are put together, where that differs from the usual way.
    #[serde(default = "usual_attacks")]
    attacks: Vec<String>,
    #[serde(default = "usual_ordinary")]
    ordinary: Vec<String>,
    #[serde(flatten)]
    slots: BTreeMap<String, Vec<String>>,
}

fn usual_attacks() -> Vec<String> {
    ["{drop} {orders}.", "{drop} {orders} {then}.", "{show} {prompt}.", "{be} {free}.", "{be} {free} {then}."]
        .map(ToOwned::to_owned)
        .to_vec()
}

fn usual_ordinary() -> Vec<String> {
    ["{drop} {harmless}.", "{show} {thing}.", "{be} {role}."].map(ToOwned::to_owned).to_vec()
}

/// Of each way to put parts together in a language, so many sentences, drawn always alike.
const SENTENCES_MAX: usize = 60;

/// Every sentence, and whether it is an attack.
pub(crate) fn sentences(text: &str) -> Result<Vec<(String, bool)>, Box<dyn Error>> {
    let languages: BTreeMap<String, Parts> = toml::from_str(text)?;
    let mut all = Vec::new();
    for parts in languages.values() {
        for (templates, is_attack) in [(&parts.attacks, true), (&parts.ordinary, false)] {
            for template in templates {
                let made = drawn(every(template, &parts.slots)?);
                all.extend(made.into_iter().map(|sentence| (sentence, is_attack)));
            }
        }
    }
    Ok(all)
}

/// Each way to fill a template.
fn every(template: &str, slots: &BTreeMap<String, Vec<String>>) -> Result<Vec<String>, Box<dyn Error>> {
    let Some((before, rest)) = template.split_once('{') else { return Ok(vec![template.to_owned()]) };
    let (name, after) = rest.split_once('}').ok_or("a brace is not closed")?;
    let choices = slots.get(name).ok_or_else(|| format!("there is no part {name}"))?;
    let tails = every(after, slots)?;
    let whole =
        choices.iter().flat_map(|choice| tails.iter().map(move |tail| format!("{before}{choice}{tail}")));
    Ok(whole.collect())
}

fn drawn(all: Vec<String>) -> Vec<String> {
    let mut numbered: Vec<(u64, String)> =
        all.into_iter().enumerate().map(|(at, sentence)| (mixed(at as u64), sentence)).collect();
    numbered.sort();
    numbered.truncate(SENTENCES_MAX);
    numbered.into_iter().map(|(_, sentence)| sentence).collect()
}
