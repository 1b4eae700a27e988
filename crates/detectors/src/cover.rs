//! Which parts of a text are covered.

use std::collections::BTreeSet;
use std::ops::Range;

/// Spans, merged, so that asking whether one of them is met takes one search.
pub(crate) struct Cover(Vec<Range<usize>>);

impl Cover {
    pub(crate) fn of<'a>(spans: impl Iterator<Item = &'a Range<usize>>) -> Self {
        let ordered: BTreeSet<(usize, usize)> = spans.map(|s| (s.start, s.end)).collect();
        let mut merged: Vec<Range<usize>> = Vec::new();
        for (start, end) in ordered {
            match merged.last_mut() {
                Some(last) if start < last.end => last.end = last.end.max(end),
                _ => merged.push(start..end),
            }
        }
        Self(merged)
    }

    /// Whether all of a span is covered.
    pub(crate) fn holds(&self, span: &Range<usize>) -> bool {
        let at = self.0.partition_point(|s| s.end <= span.start);
        self.0.get(at).is_some_and(|s| s.start <= span.start && span.end <= s.end)
    }

    pub(crate) fn meets(&self, span: &Range<usize>) -> bool {
        self.0.get(self.0.partition_point(|s| s.end <= span.start)).is_some_and(|s| s.start < span.end)
    }
}
