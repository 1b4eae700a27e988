//! Words and sentences of a folded text, and the n-grams that stand for them in a model.
//!
//! A piece is a sentence, or a part of a long one. It is read further only if one of its words is a cue, so that most
//! of an ordinary text costs a hash a word. No n-gram is ever made as a string: each is a number out of the bytes.

use std::ops::Range;

/// A longer sentence is several pieces.
pub(crate) const PIECE_TOKENS_MAX: usize = 32;
/// Of a longer word this much is read as letters.
const GRAM_BYTES_MAX: usize = 32;
/// Words are cues by so many of their first bytes, so that most endings do not matter.
const STEM_BYTES: usize = 6;
/// The bits of a set of cues.
pub(crate) const CUE_BITS: usize = 1 << 16;

/// Which words make a piece worth reading: a bit for each hash of a stem.
#[derive(Clone, Copy)]
pub(crate) struct Cues<'c>(pub(crate) &'c [u8]);

impl Cues<'_> {
    fn has(self, key: u16) -> bool {
        let key = usize::from(key);
        self.0.get(key >> 3).is_some_and(|byte| byte >> (key & 7) & 1 == 1)
    }
}

/// One word, or one character of a script that has no blanks.
#[derive(Clone, Copy, Default)]
pub(crate) struct Token {
    pub(crate) start: usize,
    pub(crate) end: usize,
    hash: u64,
    pub(crate) cue: u16,
    /// Letters of other scripts than Latin, which are read as characters and not as bytes.
    is_beyond_ascii: bool,
    /// It has no letters to be read one by one.
    is_whole: bool,
}

/// What stands between two ends of sentences.
pub(crate) struct Piece<'p> {
    pub(crate) tokens: &'p [Token],
    /// The byte that ended it: `?`, `!`, `.`, a line feed, or zero.
    ended_by: u8,
}

impl Piece<'_> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.tokens.first().map_or(0, |t| t.start)..self.tokens.last().map_or(0, |t| t.end)
    }
}

/// Reads a folded text piece by piece; those without a cue are left out.
pub(crate) fn each_piece(text: &str, cues: Option<Cues<'_>>, found: &mut impl FnMut(&Piece<'_>)) {
    let bytes = text.as_bytes();
    let mut buffer = [Token::default(); PIECE_TOKENS_MAX];
    let (mut count, mut is_hot, mut at) = (0, cues.is_none(), 0);
    while let Some(&b) = bytes.get(at) {
        let ended_by = match class(b) {
            Class::Word => {
                let token = if b < 0x80 { ascii_word(text, at) } else { word_beyond_ascii(text, at) };
                if let Some(token) = token {
                    at = token.end;
                    is_hot |= cues.is_some_and(|cues| cues.has(token.cue));
                    if let Some(slot) = buffer.get_mut(count) {
                        *slot = token;
                    }
                    count += 1;
                    if count < PIECE_TOKENS_MAX {
                        continue;
                    }
                    0
                } else {
                    let sign = text.get(at..).and_then(|t| t.chars().next()).unwrap_or(' ');
                    at += sign.len_utf8();
                    match sign {
                        '。' | '｡' | '।' | '॥' | '۔' => b'.',
                        '؟' | '⸮' | '՞' => b'?',
                        _ => continue,
                    }
                }
            }
            Class::End(len, by) => {
                at += len;
                // A full stop in a name or a number ends no sentence.
                if b == b'.' && bytes.get(at).is_some_and(|next| !matches!(next, b' ' | b'\n')) {
                    continue;
                }
                by
            }
            Class::Other => {
                at += 1;
                continue;
            }
        };
        if is_hot && count > 0 {
            found(&Piece { tokens: buffer.get(..count).unwrap_or(&[]), ended_by });
        }
        (count, is_hot) = (0, cues.is_none());
    }
    if is_hot && count > 0 {
        found(&Piece { tokens: buffer.get(..count).unwrap_or(&[]), ended_by: 0 });
    }
}

enum Class {
    Word,
    /// The end of a sentence: its bytes, and what it counts as.
    End(usize, u8),
    Other,
}

const fn class(b: u8) -> Class {
    match b {
        b'a'..=b'z' | b'0'..=b'9' | 0x80.. => Class::Word,
        b'.' | b'!' | b'?' | b'\n' | b';' => Class::End(1, b),
        _ => Class::Other,
    }
}

/// Odd, with bits all over.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
const PAIR: u64 = 0xc2b2_ae3d_27d4_eb4f;
const TRIPLE: u64 = 0x1656_67b1_9e37_79f9;

const fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(MIX);
    hash ^ (hash >> 29)
}

/// Eight bytes from here on, in the order of the text from the lowest on; zeros behind its end.
fn eight(bytes: &[u8], at: usize) -> u64 {
    if let Some(here) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        return u64::from_le_bytes(*here);
    }
    let rest = bytes.get(at..).unwrap_or(&[]);
    rest.iter().rev().fold(0, |all, b| all << 8 | u64::from(*b))
}

const HIGH: u64 = 0x8080_8080_8080_8080;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The high bit of each byte that is a small letter or a digit.
const fn word_bytes(eight: u64) -> u64 {
    let low = eight & !HIGH;
    let letters = (low + (0x80 - 0x61) * ONES) & !(low + (0x80 - 0x7b) * ONES);
    let digits = (low + (0x80 - 0x30) * ONES) & !(low + (0x80 - 0x3a) * ONES);
    (letters | digits) & !eight & HIGH
}

/// The lowest `len` bytes of eight.
const fn lowest(eight: u64, len: usize) -> u64 {
    if len >= 8 { eight } else { eight & ((1 << (len * 8)) - 1) }
}

const fn cue_of(stem: u64) -> u16 {
    (stem.wrapping_mul(MIX) >> 48) as u16
}

fn ascii_word(text: &str, start: usize) -> Option<Token> {
    let bytes = text.as_bytes();
    let (mut at, mut hash, mut digits) = (start, 0_u64, true);
    let first = eight(bytes, start);
    let mut here = first;
    loop {
        let len = (!word_bytes(here) & HIGH).trailing_zeros() as usize / 8;
        let part = lowest(here, len);
        hash = mixed(hash.rotate_left(23) ^ part ^ len as u64);
        // Letters have the bit that digits have not.
        digits &= part & 0x4040_4040_4040_4040 == 0;
        at += len;
        if len < 8 {
            break;
        }
        here = eight(bytes, at);
    }
    // A letter with an accent that was kept, or another script behind it: one word.
    if bytes.get(at).is_some_and(|b| *b >= 0x80) {
        return word_beyond_ascii(text, start);
    }
    let len = at - start;
    let cue = cue_of(lowest(first, len.min(STEM_BYTES)));
    // Numbers are all alike.
    let hash = if digits { MIX } else { hash };
    Some(Token { start, end: at, hash, cue, is_beyond_ascii: false, is_whole: digits || len < 5 })
}

/// None where no letter stands.
fn word_beyond_ascii(text: &str, start: usize) -> Option<Token> {
    let mut end = start;
    let mut hash = 0_u64;
    let mut is_single = false;
    let mut stem = 0_u64;
    for c in text.get(start..).unwrap_or("").chars() {
        let is_part =
            if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() || is_mark(c) };
        if !is_part {
            break;
        }
        if stands_alone(c) {
            if end == start {
                (hash, end, is_single) = (mixed(u64::from(c)), start + c.len_utf8(), true);
                stem = u64::from(c);
            }
            break;
        }
        hash = mixed(hash.rotate_left(23) ^ u64::from(c));
        end += c.len_utf8();
        if end - start <= 2 * STEM_BYTES {
            stem = stem.wrapping_mul(PAIR) ^ u64::from(c);
        }
    }
    let cue = cue_of(mixed(stem));
    (end > start).then_some(Token { start, end, hash, cue, is_beyond_ascii: true, is_whole: is_single })
}

/// Vowel signs and the like, which are parts of words.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{487}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{900}'..='\u{dff}')
        && !matches!(c, '\u{964}' | '\u{965}')
}

/// Scripts that put no blanks between words, and syllables that are words with endings.
const fn stands_alone(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Gives every n-gram of a piece as a number of 64 bits, with its place.
///
/// Of each word: itself, itself with each of the two before it and with both, and its letters by fours. Of each piece:
/// its first word with its end, which tells questions from orders.
pub(crate) fn each_gram(text: &str, piece: &Piece<'_>, found: &mut impl FnMut(u64, Range<usize>)) {
    let (mut last, mut before) = (Token::default(), Token::default());
    for (at, token) in piece.tokens.iter().enumerate() {
        let place = token.start..token.end;
        found(mixed(token.hash ^ 0x11), place);
        if at > 0 {
            let pair = last.hash.wrapping_mul(PAIR).wrapping_add(token.hash);
            found(mixed(pair), last.start..token.end);
            if at > 1 {
                let apart = before.hash.wrapping_mul(TRIPLE).wrapping_add(token.hash);
                found(mixed(apart ^ 0x33), before.start..token.end);
                found(mixed(before.hash.wrapping_mul(TRIPLE) ^ pair), before.start..token.end);
            }
        }
        if !token.is_whole {
            letters(text, token, found);
        }
        (before, last) = (last, *token);
    }
    if let Some(first) = piece.tokens.first() {
        let end = first.hash.wrapping_mul(PAIR) ^ u64::from(piece.ended_by).wrapping_mul(TRIPLE);
        found(mixed(end), first.start..first.end);
    }
}

fn letters(text: &str, token: &Token, found: &mut impl FnMut(u64, Range<usize>)) {
    let end = token.end.min(token.start + GRAM_BYTES_MAX);
    let bytes = text.as_bytes();
    if !token.is_beyond_ascii {
        for at in token.start..end.saturating_sub(3) {
            let gram = lowest(eight(bytes, at), 4);
            // Where a word begins and ends makes a difference.
            let border = u64::from(at == token.start) | u64::from(at + 4 == token.end) << 1;
            found(mixed(gram | (border + 4) << 40), at..at + 4);
        }
        return;
    }
    let word = text.get(token.start..token.end).unwrap_or("");
    let mut three = [(0, '\0'); 3];
    for (count, (at, c)) in word.char_indices().take_while(|(at, _)| *at < GRAM_BYTES_MAX).enumerate() {
        three = [three[1], three[2], (at, c)];
        if count >= 2 {
            let gram = three.iter().fold(0x55_u64, |gram, (_, c)| gram << 19 ^ u64::from(*c));
            let border = u64::from(count == 2) | u64::from(at + c.len_utf8() == word.len()) << 1;
            found(
                mixed(gram.wrapping_mul(PAIR) ^ border << 60),
                token.start + three[0].0..token.start + at + c.len_utf8(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<Vec<&str>> {
        let mut all = Vec::new();
        each_piece(text, None, &mut |piece| {
            all.push(piece.tokens.iter().map(|t| &text[t.start..t.end]).collect());
        });
        all
    }

    #[test]
    fn sentences_are_pieces_and_words_tokens() {
        assert_eq!(
            pieces("ignore it. it's v1.2 of file.rs! ok"),
            [vec!["ignore", "it"], vec!["it", "s", "v1", "2", "of", "file", "rs"], vec!["ok"],]
        );
        assert_eq!(pieces("забудь всё? — да"), [vec!["забудь", "всё"], vec!["да"]]);
        assert_eq!(pieces("忘记。规则"), [vec!["忘", "记"], vec!["规", "则"]]);
        assert_eq!(pieces("नियम क्या हैं"), [vec!["नियम", "क्या", "हैं"]]);
        assert_eq!(pieces(&"word ".repeat(70)).iter().map(Vec::len).collect::<Vec<_>>(), [32, 32, 6]);
        assert_eq!(pieces(""), Vec::<Vec<&str>>::new());
        assert_eq!(pieces("\u{1f600} … —"), Vec::<Vec<&str>>::new());
    }

    #[test]
    fn a_word_is_the_same_wherever_it_stands() {
        for word in ["a", "ignore", "instructions", "internationalisation", "привет", "naïve"] {
            let hash = |text: &str| {
                let mut hash = 0;
                each_piece(text, None, &mut |piece| {
                    hash = piece.tokens.iter().find(|t| &text[t.start..t.end] == word).map_or(0, |t| t.hash);
                });
                hash
            };
            let alone = hash(word);
            assert_ne!(alone, 0, "{word}");
            for other in [format!("{word} more"), format!("some {word}, and more words"), format!("x-{word}")]
            {
                assert_eq!(hash(&other), alone, "{other}");
            }
        }
    }
}
