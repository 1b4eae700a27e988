//! What is wrapped in a text: base64, hex, escapes and other spellings that programs undo and people do not read.

mod escapes;
mod runs;
mod spellings;
mod words;

use std::ops::Range;

use crate::fold::undisguise;
use crate::view::{Map, Rewrite};

/// A text that came out of another.
pub(crate) struct Decoded {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) map: Map,
}

/// Everything that comes out of `text` in one step, each in proportion to what it came out of.
pub(crate) fn unwrap(text: &str) -> Vec<Decoded> {
    let mut out = Vec::new();
    runs::unwrap(text, &mut out);
    escapes::unwrap(text, &mut out);
    if !text.is_ascii() {
        rewritten(text, "unicode", &undisguise(text), &mut out);
        spellings::hidden(text, &mut out);
    }
    spellings::unwrap(text, &mut out);
    out
}

/// What comes out of a text that was itself spelled otherwise: another spelling below the first.
pub(crate) fn respell(text: &str) -> Vec<Decoded> {
    let mut out = Vec::new();
    spellings::unwrap(text, &mut out);
    out
}

/// How near to each other two replaced pieces stand in one view.
const CLUSTER_GAP: usize = 200;
/// How much of the text around replaced pieces belongs to the view.
const CLUSTER_MARGIN: usize = 160;

/// Views of the text around each cluster of pieces, with these pieces replaced.
fn rewritten(text: &str, name: &'static str, pieces: &[(Range<usize>, String)], out: &mut Vec<Decoded>) {
    let mut rest = pieces;
    while let Some((first, _)) = rest.first() {
        let near = rest.windows(2).take_while(|w| match w {
            [(a, _), (b, _)] => b.start - a.end < CLUSTER_GAP,
            _ => false,
        });
        let (cluster, later) = rest.split_at(near.count() + 1);
        rest = later;
        let last = cluster.last().map_or(first.end, |(r, _)| r.end);
        let around = crate::view::whole_characters(
            text,
            first.start.saturating_sub(CLUSTER_MARGIN)..last + CLUSTER_MARGIN,
        );
        let mut view = Rewrite::with_capacity(around.len());
        let mut at = around.start;
        for (range, plain) in cluster {
            view.same(at, text.get(at..range.start).unwrap_or(""));
            view.replaced(range.clone(), plain);
            at = range.end;
        }
        view.same(at, text.get(at..around.end).unwrap_or(""));
        let (text, map) = view.finish();
        out.push(Decoded { name, text, map });
    }
}

/// Whether decoded bytes are a text: UTF-8 that people could read.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let odd = text
        .chars()
        .filter(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r') || *c == '\u{fffd}')
        .count();
    let letters = text.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).count();
    (odd * 50 <= text.len() && letters * 3 >= text.chars().count() && text.len() >= 8).then_some(text)
}
