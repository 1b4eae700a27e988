//! How far long work is, on a terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on stderr, if a person looks at it and more than a moment passes; nothing otherwise.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Work of a known size; `unit` is what is counted, `bytes` or `events`.
    pub(crate) fn of(total: u64, unit: &'static str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let template = if unit == "bytes" {
            "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}"
        } else {
            "{bar:30} {pos}/{len} {msg} {per_sec} {eta}"
        };
        let bar = ProgressBar::new(total).with_message(unit);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub(crate) fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.inc(more);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
