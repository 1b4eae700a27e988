//! Characters that make a text read differently to people and to programs.

use std::ops::Range;

use crate::fold::{Word, is_invisible, look_alike};

/// What was noticed, by the id of its rule, and where.
pub(crate) type Noticed = (&'static str, Range<usize>);

/// Looks at each character once.
pub(crate) fn look(text: &str) -> Vec<Noticed> {
    let mut found = Vec::new();
    if text.is_ascii() {
        return found;
    }
    let rtl = text
        .chars()
        .any(|c| matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'));
    let mut chars = text.char_indices().peekable();
    let mut before = ' ';
    let mut flag = false;
    let mut selectors = 0..0;
    let mut words = MixedWords::default();
    while let Some((at, c)) = chars.next() {
        let end = at + c.len_utf8();
        let after = chars.peek().map_or(' ', |(_, next)| *next);
        match c {
            '\u{200b}'
            | '\u{200c}'
            | '\u{200d}'
            | '\u{2060}'..='\u{2064}'
            | '\u{feff}'
            | '\u{180e}'
            | '\u{3164}'
                if (before.is_ascii_alphanumeric() || is_invisible(before))
                    && (after.is_ascii_alphanumeric() || is_invisible(after))
                    && at > 0 =>
            {
                extend(&mut found, "zero-width-characters", at..end);
            }
            '\u{202d}' | '\u{202e}' => found.push(("bidi-override", at..end)),
            '\u{202a}' | '\u{202b}' | '\u{2066}'..='\u{2068}' if !rtl => {
                found.push(("bidi-control", at..end));
            }
            '\u{1f3f4}' => flag = true,
            '\u{e0020}'..='\u{e007e}' if !flag => extend(&mut found, "tag-characters", at..end),
            '\u{e007f}' => flag = false,
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
                if selectors.end == at && !selectors.is_empty() {
                    selectors.end = end;
                    // The second in a row stands for nothing that is shown.
                    if text.get(selectors.clone()).is_some_and(|s| s.chars().count() == 4) {
                        found.push(("variation-selectors", selectors.clone()));
                    }
                } else {
                    selectors = at..end;
                }
            }
            c if look_alike(c).is_some() => words.see(text, at, &mut found),
            _ => {}
        }
        if !is_invisible(c) && !matches!(c, '\u{1f3f4}') {
            flag = false;
        }
        before = c;
    }
    found
}

fn extend(found: &mut Vec<Noticed>, id: &'static str, span: Range<usize>) {
    match found.iter_mut().rev().find(|(known, _)| *known == id) {
        Some((_, last)) if last.end == span.start => last.end = span.end,
        _ => found.push((id, span)),
    }
}

/// Words of Latin letters some of which are not.
#[derive(Default)]
struct MixedWords {
    end: usize,
}

impl MixedWords {
    fn see(&mut self, text: &str, at: usize, found: &mut Vec<Noticed>) {
        if at < self.end {
            return;
        }
        let is_part = |c: &char| c.is_alphabetic();
        let (before, after) = (text.get(..at).unwrap_or(""), text.get(at..).unwrap_or(""));
        let start: usize = before.chars().rev().take(64).take_while(is_part).map(char::len_utf8).sum();
        let len: usize = after.chars().take(64).take_while(is_part).map(char::len_utf8).sum();
        self.end = at + len;
        let whole = at - start..at + len;
        let word = text.get(whole.clone()).unwrap_or("");
        let latin = word.chars().filter(char::is_ascii_alphabetic).count();
        let disguised = word.chars().filter(|c| look_alike(*c).is_some()).count();
        // All of it reads as Latin: a word of another script with a Latin stem does not.
        if latin >= 2 && latin + disguised == word.chars().count() && Word::default().has_latin(text, at) {
            found.push(("mixed-script-word", whole));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, ids: &[&str]) {
        let found: Vec<_> = look(text).into_iter().map(|(id, _)| id).collect();
        assert_eq!(found, ids, "{text:?}");
    }

    #[test]
    fn hidden_characters_are_noticed() {
        check("pass\u{200b}word", &["zero-width-characters"]);
        check("a\u{200b}\u{200b}b", &["zero-width-characters"]);
        check("invoice\u{202e}gpj.exe", &["bidi-override"]);
        check("if (a\u{2066}) b", &["bidi-control"]);
        check("hi\u{e0069}\u{e0067}\u{e006e}", &["tag-characters"]);
        check("x\u{fe01}\u{fe02}\u{fe03}\u{fe04}\u{fe05}", &["variation-selectors"]);
        check("раypal and pаypal", &["mixed-script-word", "mixed-script-word"]);
    }

    #[test]
    fn ordinary_text_of_any_script_is_not() {
        for text in [
            "👩‍👩‍👧‍👦 🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} 🏳️‍🌈 ❤️",
            "می‌خواهم کتاب‌ها",
            "क्‍ष",
            "Привет, это USB-кабель и iPhoneы",
            "Δx, μs, αβγ and 3σ",
            "\u{feff}# Title",
            "你好\u{200b}世界",
            "שלום \u{2067}abc\u{2069}",
        ] {
            check(text, &[]);
        }
    }
}
