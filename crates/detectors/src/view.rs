//! Readings of a text, and where each byte of them came from.

use std::borrow::Cow;
use std::ops::Range;

/// A text and every text that was found wrapped in it.
pub(crate) struct Views<'t> {
    all: Vec<View<'t>>,
}

/// One text: that which was sent, or one that came out of another.
pub(crate) struct View<'t> {
    pub(crate) text: Cow<'t, str>,
    /// The text that it came out of, and how; none for the one that was sent.
    origin: Option<Origin>,
}

struct Origin {
    parent: usize,
    name: &'static str,
    map: Map,
}

/// Where the bytes of a view stand in its parent.
#[derive(Debug, Clone)]
pub(crate) enum Map {
    /// All of it stands for one encoded run.
    Whole(Range<usize>),
    /// Byte for byte, from this offset on.
    Shifted(usize),
    /// Backwards, ending at this offset.
    Reversed(usize),
    /// Piece by piece, in order.
    Pieces(Vec<Piece>),
}

/// A part of a view that is its source unchanged, or stands for all of its source.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    at: usize,
    source: Range<usize>,
    same: bool,
}

impl<'t> Views<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        Self { all: vec![View { text: Cow::Borrowed(text), origin: None }] }
    }

    pub(crate) fn push(&mut self, parent: usize, name: &'static str, text: String, map: Map) {
        self.all.push(View { text: Cow::Owned(text), origin: Some(Origin { parent, name, map }) });
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn text(&self, view: usize) -> &str {
        self.all.get(view).map_or("", |v| &v.text)
    }

    /// Where `span` of a view stands in the text as sent, in whole characters. None when nothing of it was
    /// decoded: then it stands in the parent as it is, and is found there.
    pub(crate) fn source(&self, view: usize, span: Range<usize>) -> Option<Range<usize>> {
        let (mut view, mut span) = (view, span);
        while let Some(origin) = self.all.get(view).and_then(|v| v.origin.as_ref()) {
            if origin.map.keeps(&span) {
                return None;
            }
            (view, span) = (origin.parent, origin.map.source(&span));
        }
        Some(whole_characters(self.text(0), span))
    }

    /// Where `span` of a view stands in the text as sent, though nothing of it was decoded: around it something was,
    /// so that it may not have been seen there for what it is.
    pub(crate) fn place(&self, view: usize, span: Range<usize>) -> Range<usize> {
        let (mut view, mut span) = (view, span);
        while let Some(origin) = self.all.get(view).and_then(|v| v.origin.as_ref()) {
            (view, span) = (origin.parent, origin.map.source(&span));
        }
        whole_characters(self.text(0), span)
    }

    /// Whether nothing in `span` of a view was decoded on the way from the text that it came out of, so that
    /// [`Self::source`] has no place for any part of it.
    pub(crate) fn is_unchanged(&self, view: usize, span: &Range<usize>) -> bool {
        let (mut view, mut span) = (view, span.clone());
        while let Some(origin) = self.all.get(view).and_then(|v| v.origin.as_ref()) {
            if origin.map.keeps(&span) {
                return true;
            }
            (view, span) = (origin.parent, origin.map.source(&span));
        }
        false
    }

    /// Through which decodings a view is seen, outermost first.
    pub(crate) fn chain(&self, view: usize) -> Vec<&'static str> {
        let mut chain = Vec::new();
        let mut view = view;
        while let Some(origin) = self.all.get(view).and_then(|v| v.origin.as_ref()) {
            chain.push(origin.name);
            view = origin.parent;
        }
        chain.reverse();
        chain
    }

    pub(crate) fn depth(&self, view: usize) -> usize {
        self.chain(view).len()
    }
}

impl Map {
    /// Whether `span` stands in the source as it is, so that it is found there.
    fn keeps(&self, span: &Range<usize>) -> bool {
        let Self::Pieces(pieces) = self else { return false };
        piece(pieces, span.start).is_some_and(|p| p.same && span.end <= p.at + p.source.len())
    }

    pub(crate) fn source(&self, span: &Range<usize>) -> Range<usize> {
        match self {
            Self::Whole(run) => run.clone(),
            Self::Shifted(by) => span.start + by..span.end + by,
            Self::Reversed(end) => end.saturating_sub(span.end)..end.saturating_sub(span.start),
            Self::Pieces(pieces) => {
                let start = piece(pieces, span.start).map_or(0, |p| {
                    if p.same { p.source.start + (span.start - p.at) } else { p.source.start }
                });
                let last = span.end.saturating_sub(1).max(span.start);
                let end = piece(pieces, last).map_or(start, |p| {
                    if p.same { (p.source.start + (last - p.at) + 1).min(p.source.end) } else { p.source.end }
                });
                start..end.max(start)
            }
        }
    }
}

fn piece(pieces: &[Piece], at: usize) -> Option<&Piece> {
    pieces.get(pieces.partition_point(|p| p.at <= at).checked_sub(1)?)
}

/// `span` widened so that it begins and ends between characters of `text`.
pub(crate) fn whole_characters(text: &str, span: Range<usize>) -> Range<usize> {
    let (mut start, mut end) = (span.start.min(text.len()), span.end.min(text.len()));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end.max(start)
}

/// Makes a view piece by piece.
#[derive(Default)]
pub(crate) struct Rewrite {
    text: String,
    pieces: Vec<Piece>,
}

impl Rewrite {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), pieces: Vec::new() }
    }

    /// Takes a piece of the source in lower case.
    pub(crate) fn same_in_lower_case(&mut self, from: usize, text: &str) {
        let start = self.text.len();
        self.same(from, text);
        if let Some(new) = self.text.get_mut(start..) {
            new.make_ascii_lowercase();
        }
    }

    /// Takes a piece of the source as it is, or byte for byte in another spelling.
    pub(crate) fn same(&mut self, from: usize, text: &str) {
        if text.is_empty() {
            return;
        }
        let extends = self.pieces.last().is_some_and(|p| p.same && p.source.end == from);
        if extends {
            if let Some(last) = self.pieces.last_mut() {
                last.source.end += text.len();
            }
        } else {
            self.pieces.push(Piece { at: self.text.len(), source: from..from + text.len(), same: true });
        }
        self.text.push_str(text);
    }

    /// Puts `text`, which may be empty, in place of a piece of the source.
    pub(crate) fn replaced(&mut self, source: Range<usize>, text: &str) {
        if text.is_empty() {
            // The next piece begins behind it; nothing needs to be noted.
            return;
        }
        self.pieces.push(Piece { at: self.text.len(), source, same: false });
        self.text.push_str(text);
    }

    pub(crate) fn ends_with(&self, c: char) -> bool {
        self.text.ends_with(c)
    }

    pub(crate) fn finish(self) -> (String, Map) {
        (self.text, Map::Pieces(self.pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_a_rewritten_text_is_found_in_its_source() {
        let mut rewrite = Rewrite::default();
        rewrite.same(0, "ab");
        rewrite.replaced(2..5, "c");
        rewrite.replaced(5..6, "");
        rewrite.same(6, "de");
        let (text, map) = rewrite.finish();
        assert_eq!(text, "abcde");
        assert_eq!(map.source(&(0..5)), 0..8);
        assert_eq!(map.source(&(2..3)), 2..5);
        assert_eq!(map.source(&(3..5)), 6..8);
        assert_eq!(map.source(&(0..2)), 0..2);
    }
}
