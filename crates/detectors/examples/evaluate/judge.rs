//! Texts, judged on all cores.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clawexchange_detectors::{Detectors, RuleInfo};
use clawexchange_ssg_core::{
    ContentEnvelope, Inspector, InspectorConfig, PluginRegistry, RuleMode, RuleResult, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::corpus::{Family, Text};

/// The rules up to one level.
pub(crate) struct Judge {
    pub(crate) detectors: Detectors,
    inspector: Inspector,
}

/// What became of one text.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) score: u32,
    pub(crate) labels: Vec<String>,
    /// What was found, with what it gave to the score.
    pub(crate) rules: BTreeMap<String, u32>,
    /// Where each was found first: bytes of the text.
    pub(crate) places: BTreeMap<String, Vec<(usize, usize)>>,
}

impl Outcome {
    pub(crate) fn is_noticed(&self) -> bool {
        self.verdict >= Verdict::Warn
    }

    pub(crate) fn is_held(&self) -> bool {
        self.verdict >= Verdict::Quarantine
    }

    /// Where something was found, in order.
    pub(crate) fn all_places(&self) -> Vec<(usize, usize)> {
        let mut places: Vec<_> = self.places.values().flatten().copied().collect();
        places.sort_unstable();
        places
    }

    pub(crate) fn is_recognised(&self, family: Family) -> bool {
        self.is_noticed() && self.labels.iter().any(|label| label == family.label())
    }
}

impl Judge {
    /// Each rule is named, so that it does not matter which ones run by themselves.
    pub(crate) fn of_level(level: u8) -> Result<Self, Box<dyn Error>> {
        let mode = |rule: RuleInfo<'_>| {
            let mode = if rule.level <= level { RuleMode::Enforce } else { RuleMode::Off };
            (rule.id.to_owned(), mode)
        };
        let modes = Detectors::default().rules().map(mode).collect();
        let detectors = Detectors::new(&modes)?;
        let mut config = InspectorConfig::default();
        config.policy = detectors.policy();
        // Figures must not depend on what else the machine does, nor on where a text is inspected.
        config.deadline = Duration::from_mins(1);
        config.inline_bytes_max = usize::MAX;
        let inspector = Inspector::new(detectors.register(PluginRegistry::new())?, config);
        Ok(Self { detectors, inspector })
    }

    /// Every text in order.
    pub(crate) fn all(&self, texts: &[Text], done: &str) -> Result<Vec<Outcome>, Box<dyn Error>> {
        self.each(texts, done, |here, text| here.one(&ContentEnvelope::post(&text.text)?))
    }

    /// `work` on every item in order, spread over the cores.
    pub(crate) fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        done: &str,
        work: impl Fn(&Here<'_>, &T) -> Result<R, Box<dyn Error>> + Sync,
    ) -> Result<Vec<R>, Box<dyn Error>> {
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<(usize, Result<R, String>)>> = Mutex::new(Vec::new());
        let progress = Progress { started: Instant::now(), of: items.len(), done };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let one_core = || -> Result<(), String> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .map_err(|e| e.to_string())?;
            let here = Here { judge: self, runtime };
            let mut mine = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(at) else { break };
                mine.push((at, work(&here, item).map_err(|e| e.to_string())));
                progress.say(at + 1);
            }
            results.lock().map_err(|e| e.to_string())?.extend(mine);
            Ok(())
        };
        thread::scope(|scope| {
            let all: Vec<_> = (0..cores).map(|_| scope.spawn(one_core)).collect();
            all.into_iter()
                .try_for_each(|one| one.join().map_err(|_cause| "a thread ended early".to_owned())?)
        })?;
        let mut results = results.into_inner().map_err(|e| e.to_string())?;
        results.sort_by_key(|(at, _)| *at);
        Ok(results.into_iter().map(|(_, result)| result).collect::<Result<_, _>>()?)
    }
}

/// A judge on one core.
pub(crate) struct Here<'j> {
    judge: &'j Judge,
    runtime: tokio::runtime::Runtime,
}

impl Here<'_> {
    pub(crate) fn one(&self, content: &ContentEnvelope) -> Result<Outcome, Box<dyn Error>> {
        let found = self.runtime.block_on(self.judge.inspector.inspect(content));
        if let Some(failure) = found.failures().first() {
            return Err(format!("plugin {} gave no result", failure.plugin).into());
        }
        let rules = found.rules().iter().map(|rule| (rule.pattern_id.clone(), rule.delta)).collect();
        let first =
            |rule: &RuleResult| rule.places.iter().take(3).map(|place| (place.start, place.end)).collect();
        let places = found.rules().iter().map(|rule| (rule.pattern_id.clone(), first(rule))).collect();
        Ok(Outcome {
            verdict: found.verdict(),
            score: found.score().get(),
            labels: found.inspection().labels.clone(),
            rules,
            places,
        })
    }

    pub(crate) fn text(&self, text: &str) -> Result<Outcome, Box<dyn Error>> {
        self.one(&ContentEnvelope::post(text)?)
    }
}

struct Progress<'p> {
    started: Instant,
    of: usize,
    done: &'p str,
}

impl Progress<'_> {
    /// A line that is written over on a terminal, elsewhere one at each tenth.
    fn say(&self, now: usize) {
        let (of, done, seconds) = (self.of, self.done, self.started.elapsed().as_secs_f64());
        if stderr().is_terminal() {
            if now.is_multiple_of(97) || now == of {
                eprint!("\r{done} {now} of {of}, {seconds:.0} s{}", if now == of { "\n" } else { "" });
            }
        } else if now * 10 / of != (now - 1) * 10 / of {
            eprintln!("{done} {now} of {of}, {seconds:.0} s");
        }
    }
}
