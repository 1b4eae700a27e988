//! What a text looks like as numbers, under a secret key: nearly the same for texts that are nearly the same.
//!
//! The words of the folded text are the features of a SimHash of 128 bits, each as heavy as it is long, so that common
//! short words say little. Numbers are all one word, and punctuation, emoji, case and what is invisible are none. Where
//! like texts may be found is said by the least of keyed hashes of the words, which two texts share as often as they share
//! words: in bands of a SimHash a word changed in twenty would hide a text nearly every other time.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hasher as _;
#[expect(deprecated, reason = "the standard library has no other hash that takes a key")]
use std::hash::SipHasher;

use clawexchange_ssg_core::{ContentEnvelope, Sketch};

use crate::fold::fold;

/// Makes sketches under one key. Cheap to clone; `Debug` prints nothing of the key.
///
/// ```
/// use clawexchange_detectors::Sketcher;
///
/// let sketcher = Sketcher::new(&[7; 32]);
/// let text = "Our agents have found a faster way to sort invoices, and you may try it for a week without paying anything";
/// let same = sketcher.sketch_text(&text.replace(' ', "  ").to_uppercase()).ok_or("long enough")?;
/// assert_eq!(sketcher.sketch_text(text), Some(same));
/// assert_eq!(sketcher.sketch_text("too short to be a campaign"), None);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone)]
pub struct Sketcher((u64, u64));

/// Shorter texts are greetings and answers that many write by chance.
const CHARS_MIN: usize = 80;

/// Further words of a text are not looked at: who repeats so many repeats the rest too.
const WORDS_MAX: usize = 1 << 13;

/// How often a word counts at most: a text that says one word often is not like all others that do.
const REPEATS_MAX: i32 = 2;

/// How heavy a word is at most.
const WEIGHT_MAX: usize = 8;

/// How heavy two letters are of a script that is written without spaces: as a short word.
const PAIR_WEIGHT: i32 = 4;

/// Lighter words do not say where a text is found, unless there are hardly others: nearly every text has them.
const SAYING_WEIGHT_MIN: i32 = 4;
const SAYING_WORDS_MIN: usize = 6;

/// Of how many hashes each place is made: more find fewer texts that are unlike, and fewer that are like.
const HASHES: usize = 3;

/// By the keyed hash of a word, how heavy it is and how often it stands there.
type Words = HashMap<u64, (i32, i32)>;

impl Sketcher {
    /// Makes one for a key of 32 bytes that nobody knows who posts.
    pub fn new(key: &[u8; 32]) -> Self {
        let mut parts = key.as_chunks().0.iter().map(|part| u64::from_be_bytes(*part));
        // The hash takes half of it.
        Self((parts.next().unwrap_or(0), parts.next().unwrap_or(0)))
    }

    /// What content looks like: its `text`, or where that is shorter than 80 characters, its longest other value. `None`
    /// if that is shorter too, or has no word.
    ///
    /// Takes time in proportion to these two texts: about as long as their inspection.
    pub fn sketch(&self, content: &ContentEnvelope) -> Option<Sketch> {
        self.sketch_text(content.text()).or_else(|| {
            let others = content.fields().filter(|field| !field.in_key && field.pointer != "/text");
            self.sketch_text(others.max_by_key(|field| field.text.len())?.text)
        })
    }

    /// What a text looks like; `None` if it has fewer than 80 characters, or no word. White space, marks and what is
    /// invisible do not make a text longer.
    pub fn sketch_text(&self, text: &str) -> Option<Sketch> {
        let (folded, _) = fold(text);
        if folded.chars().filter(|c| !c.is_control()).take(CHARS_MIN).count() < CHARS_MIN {
            return None;
        }
        let words = self.words(&folded);
        if words.is_empty() { None } else { Some(Sketch::new(bits(&words), places(&words))) }
    }

    fn words(&self, folded: &str) -> Words {
        let mut words = Words::new();
        let mut count = 0;
        for_each_word(folded, &mut |word, weight| {
            let (_, times) = words.entry(self.hash(word)).or_insert((weight, 0));
            *times = REPEATS_MAX.min(*times + 1);
            count += 1;
            count < WORDS_MAX
        });
        words
    }

    fn hash(&self, word: &str) -> u64 {
        #[expect(deprecated, reason = "the standard library has no other hash that takes a key")]
        let mut hasher = SipHasher::new_with_keys(self.0.0, self.0.1);
        hasher.write(word.as_bytes());
        hasher.finish()
    }
}

impl fmt::Debug for Sketcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sketcher([key])")
    }
}

/// Hands over each word and its weight, until told to stop. All numbers are one word.
fn for_each_word(folded: &str, found: &mut dyn FnMut(&str, i32) -> bool) {
    let (mut word, mut letters, mut before) = (String::new(), 0, None);
    for c in folded.chars().chain([' ']) {
        let is_unspaced = is_unspaced(c);
        if c.is_alphanumeric() && !is_unspaced {
            if !c.is_numeric() {
                word.push(c);
                letters += 1;
            } else if !word.ends_with('0') {
                word.push('0');
                letters += 1;
            }
            before = None;
            continue;
        }
        if letters > 0 {
            if !found(&word, weight(letters)) {
                return;
            }
            word.clear();
            letters = 0;
        }
        if let (Some(before), true) = (before, is_unspaced)
            && !found(&String::from_iter([before, c]), PAIR_WEIGHT)
        {
            return;
        }
        before = is_unspaced.then_some(c);
    }
}

/// As heavy as a word is long; shorter than four letters are articles and the like.
fn weight(letters: usize) -> i32 {
    let weight = match letters {
        0..=2 => 1,
        3 => 2,
        letters => letters.min(WEIGHT_MAX),
    };
    i32::try_from(weight).unwrap_or(1)
}

/// Whether a letter is of a script that is written without spaces between words.
const fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3041}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The SimHash: of each bit, whether more than half of the weight has words in whose hash it is set.
fn bits(words: &Words) -> u128 {
    let (mut sums, mut all) = ([[0_i32; 8]; 16], 0);
    for (hash, (weight, times)) in words {
        let weight = weight * times;
        all += weight;
        // The hash is secret, so that how the other half is made of it need not be.
        let halves = [hash.to_le_bytes(), mixed(!hash).to_le_bytes()];
        for (byte, sums) in halves.as_flattened().iter().zip(&mut sums) {
            for (sum, mask) in sums.iter_mut().zip(MASKS.get(usize::from(*byte)).unwrap_or(&[0; 8])) {
                *sum += weight & mask;
            }
        }
    }
    sums.as_flattened().iter().rev().fold(0, |bits, sum| bits << 1 | u128::from(2 * *sum > all))
}

/// Of each byte, all ones for each bit that is set: eight sums are added to at once.
#[expect(clippy::indexing_slicing, reason = "it is made when this is compiled, and checked then")]
static MASKS: [[i32; 8]; 256] = {
    let mut masks = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            masks[byte][bit] = if byte >> bit & 1 == 1 { -1 } else { 0 };
            bit += 1;
        }
        byte += 1;
    }
    masks
};

/// Where texts that are like it may be found.
fn places(words: &Words) -> [u16; Sketch::PLACES] {
    let heavy = |(_, (weight, _)): &(&u64, &(i32, i32))| *weight >= SAYING_WEIGHT_MIN;
    let is_said_by_heavy = words.iter().filter(heavy).take(SAYING_WORDS_MIN).count() == SAYING_WORDS_MIN;
    let mut least = [[u32::MAX; HASHES]; Sketch::PLACES];
    for (hash, _) in words.iter().filter(|word| !is_said_by_heavy || heavy(word)) {
        let mut next = *hash;
        for two in least.as_flattened_mut().chunks_mut(2) {
            next = next.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let hash = mixed(next).to_le_bytes();
            for (least, half) in two.iter_mut().zip(hash.as_chunks().0) {
                *least = u32::from_le_bytes(*half).min(*least);
            }
        }
    }
    least.map(|hashes| {
        let place = hashes.into_iter().fold(0, |place, hash| mixed(place ^ u64::from(hash)));
        let [.., high, low] = place.to_be_bytes();
        u16::from_be_bytes([high, low])
    })
}

/// Mixes bits, as SplitMix64 does.
const fn mixed(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Our team of agents found a faster way to sort invoices and letters. Send us 12 examples of \
        yours before the end of this week, and we will show you what it makes of them, without asking for a payment.";

    fn sketch(text: &str) -> Sketch {
        Sketcher::new(&[7; 32]).sketch_text(text).unwrap()
    }

    /// As it is submitted together with the first: at one place at least, and near.
    fn is_found(one: &Sketch, other: &Sketch) -> bool {
        one.is_near(other.bits()) && one.places().iter().zip(other.places()).any(|(a, b)| a == b)
    }

    #[test]
    fn a_text_looks_the_same_however_it_is_dressed() {
        let same = sketch(TEXT);
        let dressed = [
            TEXT.to_uppercase(),
            TEXT.replace(' ', "   \n"),
            TEXT.replace("in", "i\u{200b}n\u{2060}"),
            TEXT.replace(['.', ','], " !!! "),
            TEXT.replace(' ', " 🚀🔥 "),
            TEXT.replace('a', "а").replace('o', "о"),
            TEXT.replace("12", "9500"),
            format!("**{}**", TEXT.replace("faster", "`faster`").replace('e', "é")),
            TEXT.chars().map(|c| if c.is_ascii_lowercase() { wide(c) } else { c }).collect(),
        ];
        for text in dressed {
            assert_eq!(sketch(&text), same, "{text}");
        }
    }

    fn wide(c: char) -> char {
        char::from_u32(u32::from(c) - u32::from('a') + 0xff41).unwrap()
    }

    #[test]
    fn what_is_added_for_each_agent_or_changed_here_and_there_is_found() {
        let first = sketch(TEXT);
        for text in [
            format!("{TEXT} (agent-4711, ref 9f3a)"),
            format!("Hello ann! {TEXT}"),
            TEXT.replace("invoices", "contracts"),
            TEXT.replace("letters", "postcards").replace("payment", "deposit"),
            TEXT.split(' ').rev().collect::<Vec<_>>().join(" "),
        ] {
            let changed = sketch(&text);
            let (bits, places) = ((first.bits() ^ changed.bits()).count_ones(), changed.places());
            assert!(is_found(&first, &changed), "{bits} bits, {:?} and {places:?}: {text}", first.places());
        }
        let other = sketch(
            "I translate manuals for garden machines into five languages and check every measure twice, so that nobody \
             mows his own foot; ask me for a sample page whenever you like.",
        );
        assert!(!first.is_near(other.bits()));
    }

    #[test]
    fn texts_without_spaces_are_compared_by_pairs_of_letters() {
        let text = "我们的团队找到了一种更快的整理发票和信件的方法请在本周结束之前把十二个例子发给我们我们会免费给您看结果".repeat(2);
        let changed = text.replacen('法', "式", 1);
        assert!(is_found(&sketch(&text), &sketch(&changed)));
        let other = "这台花园机器的说明书被翻译成五种语言并且每个尺寸都检查了两次这样就没有人会割到自己的脚欢迎随时索取样页".repeat(2);
        assert!(!sketch(&text).is_near(sketch(&other).bits()));
    }

    #[test]
    fn a_text_counts_from_eighty_characters_on_and_padding_does_not_make_it_longer() {
        let sketcher = Sketcher::new(&[7; 32]);
        for (text, counts) in [
            ("ab ".repeat(27), true),
            ("ab ".repeat(26), false),
            (format!("short{}", " ".repeat(500)), false),
            (format!("short{}", "\u{200b}".repeat(500)), false),
            (format!("short{}", "*".repeat(500)), false),
            ("🚀 ".repeat(100), false),
            (String::new(), false),
        ] {
            assert_eq!(sketcher.sketch_text(&text).is_some(), counts, "{text}");
        }
    }

    #[test]
    fn of_content_whose_text_is_short_the_longest_other_value_counts() {
        let of = |json: String| {
            Sketcher::new(&[7; 32]).sketch(&ContentEnvelope::from_json(json.as_bytes()).unwrap())
        };
        assert_eq!(
            of(format!(r#"{{"text":"see title","title":"{TEXT}","tags":["a"]}}"#)),
            Some(sketch(TEXT))
        );
        assert_eq!(
            of(format!(r#"{{"text":"{TEXT}","title":"{TEXT} and more of that sort"}}"#)),
            Some(sketch(TEXT))
        );
        assert_eq!(of(r#"{"text":"hello"}"#.to_owned()), None);
        assert_eq!(
            of(format!(r#"{{"text":"hello","metadata":{{"{}":1}}}}"#, "k".repeat(90))),
            None,
            "a name"
        );
    }

    #[test]
    fn under_another_key_a_text_looks_unlike_itself() {
        let other = Sketcher::new(&[8; 32]).sketch_text(TEXT).unwrap();
        let same_places = other.places().iter().zip(sketch(TEXT).places()).filter(|(a, b)| a == b).count();
        assert!(
            !sketch(TEXT).is_near(other.bits()) && same_places < 2,
            "a text could be made to meet another"
        );
        assert_eq!(format!("{:?}", Sketcher::new(&[8; 32])), "Sketcher([key])");
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_a_sketch_or_none_and_the_same_twice(text in "\\PC{0,400}") {
            let sketcher = Sketcher::new(&[7; 32]);
            proptest::prop_assert_eq!(sketcher.sketch_text(&text), sketcher.sketch_text(&text));
        }
    }
}
