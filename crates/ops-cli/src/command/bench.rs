//! `claw rules bench`: what packs of one's own cost on ordinary texts.

use std::path::Path;
use std::time::Duration;

use clawexchange_detectors::{Detectors, OwnPacks};
use clawexchange_gateway::{Intent, Parts};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::args::Global;
use crate::command::packs;
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

/// Posts and comments without anything in them that a rule that ships looks for.
const ORDINARY: &str = include_str!("ordinary.txt");

/// Most texts that are read of a file, and most bytes.
const TEXTS_MAX: usize = 10_000;
const BYTES_MAX: usize = 8 << 20;

/// Rounds of each, by turns; the quickest of each counts, since whatever else the machine does only makes it slower.
const ROUNDS: usize = 9;
/// So many bytes are looked at a round, the texts over and over.
const ROUND_BYTES_MIN: usize = 512 << 10;

pub(crate) fn run(path: &Path, texts: Option<&Path>, global: &Global) -> Result<Exit, CliError> {
    let own = packs::read(path)?;
    let read = texts.map(read).transpose()?;
    let mut texts: Vec<&str> = read.as_deref().unwrap_or(ORDINARY).lines().collect();
    texts.retain(|text| !text.trim().is_empty());
    texts.truncate(TEXTS_MAX);
    if texts.is_empty() {
        return Err(CliError::usage("there is no text to measure with"));
    }
    let parts = Parts::new(command::settings(global)?, Intent::Use);
    let (plain, with) = (parts.detectors_with(OwnPacks::default())?, parts.detectors_with(own.clone())?);
    let ids: Vec<&str> = plain.rules().map(|rule| rule.id).collect();
    let is_own = |found: &clawexchange_detectors::Detection| !ids.contains(&found.id.as_str());
    // Also makes the expressions that these texts lead to.
    let found = texts.iter().filter(|text| with.scan(text).iter().any(is_own)).count();
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let times = ROUND_BYTES_MIN.div_ceil(bytes.max(1));
    let (mut without_best, mut with_best) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        without_best = without_best.min(round(&plain, &texts, times));
        with_best = with_best.min(round(&with, &texts, times));
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let speed = |took: Duration| bytes as f64 * times as f64 / took.as_secs_f64().max(1e-9) / 1e6;
    let ratio = with_best.as_secs_f64() / without_best.as_secs_f64().max(1e-9);
    if global.is_json() {
        output::json(&json!({
            "rules": own.rules(), "texts": texts.len(), "bytes": bytes, "foundIn": found,
            "megabytesPerSecondWithout": rounded(speed(without_best)),
            "megabytesPerSecondWith": rounded(speed(with_best)), "ratio": rounded(ratio),
        }))?;
    } else {
        output::line(&format!(
            "{} rules over {} texts of {bytes} bytes: {:.2} MB/s without, {:.2} MB/s with, ratio {ratio:.2}",
            own.rules(),
            texts.len(),
            speed(without_best),
            speed(with_best)
        ))?;
        output::line(&format!("one of the rules is found in {found} of {} texts", texts.len()))?;
    }
    Ok(Exit::Ok)
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// The time of this thread alone: others may be at work.
fn round(detectors: &Detectors, texts: &[&str], times: usize) -> Duration {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
    };
    let began = now();
    for _ in 0..times {
        for text in texts {
            std::hint::black_box(detectors.scan(text));
        }
    }
    now().saturating_sub(began)
}

fn read(path: &Path) -> Result<String, CliError> {
    let text = command::read_text(path, BYTES_MAX)?;
    if text.len() > BYTES_MAX {
        return Err(CliError::usage(format!("{} has more than {BYTES_MAX} bytes", path.display())));
    }
    Ok(text)
}
