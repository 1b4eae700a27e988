//! How good the model is on texts that it was not trained on, and the thresholds that follow.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::thread;

use clawexchange_detectors::Detectors;
use clawexchange_detectors::model::learning::{Trained, is_told, scores};
use clawexchange_ssg_core::{ContentEnvelope, Inspector, InspectorConfig, PluginRegistry, RuleMode};

use crate::inputs::{FOLDS, Inputs, SOURCES, Source, Text};
use crate::learner::{Learned, Settings, learn};

/// A text, judged by a model that has not seen it or one that begins like it.
pub(crate) struct HeldOut {
    pub(crate) text: usize,
    /// Of the strongest window that is not told about; none where no sentence has a cue.
    pub(crate) score: Option<i32>,
    /// Where the strongest sentence of that window stands.
    pub(crate) span: std::ops::Range<usize>,
    /// What the rules alone make of it.
    pub(crate) by_rules: u32,
}

/// From so many points on a text is noticed, and from so many on it is held.
const NOTICED: u32 = 30;
const HELD: u32 = 60;
/// What the rule of the model gives, at either threshold.
const POINTS: [u32; 2] = [32, 62];
/// How many ordinary posts of a marketplace may be noticed by the model: one in a thousand.
const POSTS_PER_ALARM: usize = 1000;
/// And how many prompts for role play held: one in a hundred.
const PROMPTS_PER_HOLD: usize = 100;
/// At each look of the model at a text, so many windows are asked whether they are told about.
const WINDOWS_MAX: usize = 16;

/// Trains without each part of the texts in turn, and judges that part.
pub(crate) fn held_out(inputs: &Inputs, settings: &Settings) -> Result<Vec<HeldOut>, Box<dyn Error>> {
    let part = |fold: usize| -> Result<Vec<HeldOut>, String> {
        let seen: Vec<&Text> =
            inputs.texts.iter().filter(|text| text.fold != fold && text.is_learned).collect();
        let model = file(&learn(&seen, settings), inputs, [0, 0]);
        let rules = Rules::new().map_err(|e| e.to_string())?;
        let unseen = inputs.texts.iter().enumerate().filter(|(_, text)| text.fold == fold);
        let judged = unseen.map(|(at, text)| {
            let by_rules = rules.points(&text.content).map_err(|e| e.to_string())?;
            let (score, span) = score(&model, &text.content)?.unzip();
            Ok(HeldOut { text: at, score, span: span.unwrap_or_default(), by_rules })
        });
        judged.collect()
    };
    let part = &part;
    let parts = thread::scope(|scope| {
        let all: Vec<_> = (0..FOLDS).map(|fold| scope.spawn(move || part(fold))).collect();
        all.into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("a thread ended early".to_owned())))
            .collect::<Result<Vec<_>, String>>()
    })?;
    Ok(parts.into_iter().flatten().collect())
}

type Window = (i32, std::ops::Range<usize>);

fn score(model: &[u8], text: &str) -> Result<Option<Window>, String> {
    let mut windows = scores(model, text)?;
    windows.sort_by_key(|(score, span)| (-score, span.start));
    windows.truncate(WINDOWS_MAX);
    Ok(windows.into_iter().find(|(_, span)| !is_told(text, span)))
}

/// The rules without the model.
struct Rules {
    inspector: Inspector,
    runtime: tokio::runtime::Runtime,
}

impl Rules {
    fn new() -> Result<Self, Box<dyn Error>> {
        let modes = BTreeMap::from([("model-prompt-attack".to_owned(), RuleMode::Off)]);
        let plugins = Detectors::new(&modes)?.register(PluginRegistry::new())?;
        let mut config = InspectorConfig::default();
        config.deadline = std::time::Duration::from_mins(1);
        config.inline_bytes_max = usize::MAX;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        Ok(Self { inspector: Inspector::new(plugins, config), runtime })
    }

    fn points(&self, text: &str) -> Result<u32, Box<dyn Error>> {
        let content = ContentEnvelope::post(text)?;
        Ok(self.runtime.block_on(self.inspector.inspect(&content)).score().get())
    }
}

/// The least scores at which ordinary texts are noticed and held seldom enough.
pub(crate) fn thresholds(inputs: &Inputs, judged: &[HeldOut]) -> [i32; 2] {
    let scores = |set: &str| {
        let of_set = judged.iter().filter(|one| name(inputs, one).starts_with(set));
        let mut scores: Vec<i32> = of_set.map(|one| one.score.unwrap_or(i32::MIN)).collect();
        scores.sort_by_key(|score| std::cmp::Reverse(*score));
        scores
    };
    let above = |scores: &[i32], allowed: usize| scores.get(allowed).map_or(1, |score| score.max(&0) + 1);
    let (posts, prompts) = (scores("market"), scores("benign_promptschat"));
    let lower = above(&posts, posts.len() / POSTS_PER_ALARM);
    let upper = above(&posts, 0).max(above(&prompts, prompts.len() / PROMPTS_PER_HOLD)).max(lower);
    [lower, upper]
}

fn name(inputs: &Inputs, judged: &HeldOut) -> &'static str {
    let source = inputs.texts.get(judged.text).and_then(|text| SOURCES.get(text.source));
    source.map_or("", |source| source.name)
}

/// A line for each set: how much is noticed and held by the rules, by the model, and by both.
pub(crate) fn table(inputs: &Inputs, judged: &[HeldOut], thresholds: [i32; 2]) -> String {
    let mut out = format!(
        "{:<26} {:<8} {:>5}   noticed: {:>6} {:>6} {:>6}   held: {:>6} {:>6} {:>6}\n",
        "set", "sort", "texts", "rules", "model", "both", "rules", "model", "both"
    );
    each_set(inputs, judged, |source, sort, of_set| {
        let points: Vec<_> = of_set.iter().map(|one| points(one, thresholds)).collect();
        _ = write!(out, "{:<26} {sort:<8} {:>5}            ", source.name, points.len());
        let shares = [NOTICED, HELD].map(|least| {
            let by = |by: usize| share(points.iter().filter_map(|one| one.get(by)), least);
            format!("{:>6} {:>6} {:>6}", by(0), by(1), by(2))
        });
        _ = writeln!(out, "{}", shares.join("         "));
    });
    out
}

/// The same of the model alone, for the sets that it is learned from: nothing else moves it.
pub(crate) fn table_of_model(inputs: &Inputs, judged: &[HeldOut], thresholds: [i32; 2]) -> String {
    let mut out = format!("{:<26} {:<8} {:>5} {:>8} {:>6}\n", "set", "sort", "texts", "noticed", "held");
    each_set(inputs, judged, |source, sort, of_set| {
        if source.is_learned() {
            let points: Vec<_> = of_set.iter().map(|one| points(one, thresholds)[1]).collect();
            let [noticed, held] = [NOTICED, HELD].map(|least| share(points.iter(), least));
            _ = writeln!(out, "{:<26} {sort:<8} {:>5} {noticed:>8} {held:>6}", source.name, points.len());
        }
    });
    out
}

/// Attacks and ordinary texts of each set, but of those that have no unseen texts.
fn each_set(inputs: &Inputs, judged: &[HeldOut], mut found: impl FnMut(&Source, &str, &[&HeldOut])) {
    for (at, source) in SOURCES.iter().enumerate().filter(|(_, source)| !source.is_put_together()) {
        for (sort, is_attack) in [("attacks", true), ("ordinary", false)] {
            let of_set: Vec<&HeldOut> = judged
                .iter()
                .filter(|one| {
                    inputs.texts.get(one.text).is_some_and(|t| t.source == at && t.is_attack == is_attack)
                })
                .collect();
            if !of_set.is_empty() {
                found(source, sort, &of_set);
            }
        }
    }
}

/// How many of these have so many points, in percent.
fn share<'p>(points: impl Iterator<Item = &'p u32>, least: u32) -> String {
    let (mut all, mut part) = (0_u32, 0_u32);
    for points in points {
        all += 1;
        part += u32::from(*points >= least);
    }
    format!("{:.1}", 100.0 * f64::from(part) / f64::from(all.max(1)))
}

/// The points of the rules, of the model, and of both, as they add up in one category.
fn points(judged: &HeldOut, [lower, upper]: [i32; 2]) -> [u32; 3] {
    let model = match judged.score {
        Some(score) if score >= upper => POINTS[1],
        Some(score) if score >= lower => POINTS[0],
        _ => 0,
    };
    let rules = judged.by_rules;
    [rules, model, rules.max(model) + rules.min(model) / 4]
}

/// The file of a model with these thresholds.
pub(crate) fn file(learned: &Learned, inputs: &Inputs, [lower, upper]: [i32; 2]) -> Vec<u8> {
    let Learned { weights, cues, bias } = learned;
    let (weights, cues, bias) = (weights.clone(), cues.clone(), *bias);
    Trained { weights, cues, bias, lower, upper, inputs: inputs.sha256 }.to_bytes()
}

/// The texts of a set that are judged worst, with what they scored.
pub(crate) fn worst(inputs: &Inputs, judged: &[HeldOut], set: &str) -> String {
    const SHOWN: usize = 40;
    const CHARS: usize = 160;
    let mut out = String::new();
    for is_attack in [true, false] {
        let mut of_set: Vec<_> = judged
            .iter()
            .filter_map(|one| Some((one, inputs.texts.get(one.text)?)))
            .filter(|(one, text)| name(inputs, one).contains(set) && text.is_attack == is_attack)
            .collect();
        of_set.sort_by_key(|(one, _)| {
            let score = i64::from(one.score.unwrap_or(i32::MIN));
            if is_attack { score } else { -score }
        });
        for (one, text) in of_set.into_iter().take(SHOWN) {
            let sentence = text.content.get(one.span.clone()).unwrap_or("");
            let shown: String = sentence.chars().take(CHARS).collect();
            _ = writeln!(out, "{is_attack} {:?} {} {:?}", one.score, one.by_rules, shown);
        }
    }
    out
}
