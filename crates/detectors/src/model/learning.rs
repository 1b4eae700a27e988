//! What `examples/train` needs to make a model: texts read as the model reads them, and a file written as it is read.
//! No part of the interface of this crate.

use std::ops::Range;

use clawexchange_ssg_core::Category;

use super::file::Parts;
use super::words::{CUE_BITS, each_gram, each_piece};
use super::{Model, bucket};
use crate::context::Telling;
use crate::fold::fold;
use crate::pack::{PACKS, Pack};

/// How many pieces are judged together at most.
pub const WINDOW_PIECES: usize = super::WINDOW_PIECES;
/// Pieces further apart than this are not judged together.
pub const WINDOW_BYTES_MAX: usize = super::WINDOW_BYTES_MAX;
/// Fewer words are not judged.
pub const WINDOW_TOKENS_MIN: usize = super::WINDOW_TOKENS_MIN;
/// How many cues there can be.
pub const CUES: usize = CUE_BITS;

/// One sentence, or a part of a long one.
#[derive(Clone, Debug)]
pub struct Read {
    /// The buckets of its n-grams.
    pub buckets: Vec<u32>,
    /// The hashes of the stems of its words.
    pub cues: Vec<u16>,
    /// Bytes of the folded text.
    pub folded: Range<usize>,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// What the sum of the weights of so many words counts.
pub fn scale(words: usize) -> f64 {
    f64::from(super::scale(words)) / f64::from(super::SCALE_ONE)
}

/// The pieces of a text, with buckets out of so many, a power of two.
pub fn read(text: &str, buckets: usize) -> Vec<Read> {
    let (folded, map) = fold(text);
    let mut all = Vec::new();
    each_piece(&folded, None, &mut |piece| {
        let mut read = Read {
            buckets: Vec::new(),
            cues: piece.tokens.iter().map(|token| token.cue).collect(),
            folded: piece.span(),
            span: map.source(&piece.span()),
        };
        each_gram(&folded, piece, &mut |gram, _| {
            read.buckets.push(u32::try_from(bucket(gram, buckets)).unwrap_or(0));
        });
        all.push(read);
    });
    all
}

/// Whether what stands there is quoted or told about, as the rules see it.
pub fn is_told(text: &str, span: &Range<usize>) -> bool {
    Telling::of(text).is_about(span, Category::Injection)
}

/// The examples of the rules of a pack: what they must find, and what they must not.
pub fn examples(pack: &str) -> (Vec<String>, Vec<String>) {
    let text = PACKS.iter().find(|(name, _)| *name == pack).map_or("", |(_, text)| text);
    let (mut found, mut not) = (Vec::new(), Vec::new());
    for rule in Pack::read(pack, text).map(|pack| pack.rule).unwrap_or_default() {
        found.extend(rule.positive.iter().map(|parts| parts.concat()));
        not.extend(rule.negative.iter().map(|parts| parts.concat()));
    }
    (found, not)
}

/// A model, trained.
#[derive(Clone, Debug)]
pub struct Trained {
    /// One for each bucket.
    pub weights: Vec<i8>,
    /// A bit for each cue.
    pub cues: Vec<u8>,
    /// What a window of one piece, of two and so on begins with.
    pub bias: [i32; WINDOW_PIECES],
    /// From so much on a window is noticed.
    pub lower: i32,
    /// From so much on it is held.
    pub upper: i32,
    /// The SHA-256 over all inputs.
    pub inputs: [u8; 32],
}

impl Trained {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { weights, cues, bias, lower, upper, inputs } = self;
        Parts { weights, cues, bias: *bias, lower: *lower, upper: *upper, inputs: *inputs }.to_bytes()
    }
}

/// The score of the strongest window that ends with each piece of a text, by a model, and where the strongest piece of
/// it stands in the text. For the bytes of no model, an error in words.
pub fn scores(model: &[u8], text: &str) -> Result<Vec<(i32, Range<usize>)>, String> {
    let model = Model::read(model).map_err(|e| e.to_string())?;
    let (folded, map) = fold(text);
    let mut all = Vec::new();
    model.each_window(&folded, &mut |window| all.push((window.score, map.source(&window.span))));
    Ok(all)
}
