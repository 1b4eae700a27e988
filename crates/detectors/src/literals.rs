//! Where any of many literals stands, without regard to ASCII case.
//!
//! Three letters of each literal, the rarest in a row, are a bit in a filter. A text is read once, eight places at a
//! time; only where a bit is set are literals compared. Unlike an automaton of all literals it stays in the cache
//! however many there are, and it takes no time to make.

use crate::checks::rarity;

/// Finds literals. `WORDS`, a power of two, is the size of its filter: 64 bits each.
pub(crate) struct Literals<const WORDS: usize> {
    filter: Box<[u64; WORDS]>,
    /// How many bits are set in the words before each.
    ranks: Vec<u32>,
    /// Where the literals of each bit that is set begin in `of_bits`; one more at the end.
    starts: Vec<u32>,
    /// Literals by the bits of their grams.
    of_bits: Vec<u16>,
    all: Vec<Literal>,
    /// Literals of one byte.
    single: Vec<(u8, u16)>,
}

/// A literal, and where its gram stands in it.
struct Literal {
    /// Up to eight of its bytes around the gram, without regard to case, and which bytes these are: most texts that have
    /// the gram do not have the literal.
    near: u64,
    mask: u64,
    /// Where in the literal these bytes begin, and the gram.
    from: usize,
    offset: usize,
    /// In lower case.
    lower: Box<[u8]>,
}

impl Literal {
    fn new(lower: Box<[u8]>) -> Self {
        let (offset, _) = rarest(&lower);
        let from = offset.min(lower.len().saturating_sub(8));
        let near = lower.get(from..).unwrap_or(&[]);
        let missing = 8_usize.saturating_sub(near.len());
        let mask = u64::MAX.checked_shr(u32::try_from(missing * 8).unwrap_or(0)).unwrap_or(0);
        Self { near: (eight(near, 0) | CASE) & mask, mask, from, offset, lower }
    }
}

/// Makes letters of both cases alike, and some other bytes too: a filter may.
const CASE: u64 = 0x2020_2020_2020_2020;
/// Odd, with bits all over. Of 64 bits, since the compiler multiplies those one by one: eight at once of 32 bits are
/// slower on processors of the oldest sort that it builds for.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

impl<const WORDS: usize> Literals<WORDS> {
    const BITS: u32 = (WORDS * 64).trailing_zeros();

    /// Literals by their place in the list, which are fewer than 65,536 and none empty.
    pub(crate) fn new<'a>(list: impl Iterator<Item = &'a str>) -> Self {
        let all: Vec<_> = list.map(|l| Literal::new(l.to_ascii_lowercase().into_bytes().into())).collect();
        let mut filter: Box<[u64; WORDS]> = Box::new([0; WORDS]);
        let (mut grams, mut single) = (Vec::new(), Vec::new());
        for (literal, at) in all.iter().zip(0_u16..) {
            match *literal.lower {
                [] => {}
                [one] => single.push((one, at)),
                // Whatever stands behind it.
                [a, b] => {
                    let third = (0..=u8::MAX).filter(|c| c & 0x20 != 0);
                    grams.extend(third.map(|c| (Self::hash(folded([a, b, c])), at)));
                }
                _ => grams.push((Self::hash(folded(rarest(&literal.lower).1)), at)),
            }
        }
        grams.sort_unstable();
        grams.dedup();
        for (hash, _) in &grams {
            if let Some(word) = filter.get_mut(Self::word(*hash)) {
                *word |= 1 << (hash & 63);
            }
        }
        let set_before = |sum: &mut u32, word: &u64| Some(std::mem::replace(sum, *sum + word.count_ones()));
        let ranks = filter.iter().scan(0, set_before).collect();
        let groups = grams.chunk_by(|one, next| one.0 == next.0).map(<[_]>::len);
        let ends = groups.scan(0, |end, len| {
            *end += u32::try_from(len).unwrap_or(u32::MAX);
            Some(*end)
        });
        let starts = std::iter::once(0).chain(ends).collect();
        let of_bits = grams.iter().map(|(_, at)| *at).collect();
        Self { filter, ranks, starts, of_bits, all, single }
    }

    const fn hash(gram: u64) -> u64 {
        (gram & 0xff_ffff).wrapping_mul(MIX) >> (64 - Self::BITS)
    }

    /// The word of the filter that has a hash, and its bucket.
    fn word(hash: u64) -> usize {
        usize::try_from(hash >> 6).unwrap_or(0) & (WORDS - 1)
    }

    /// Tells the literal and the place of each that stands in `text`, overlapping ones too, in no order, until
    /// `found` says that it has enough.
    pub(crate) fn each(&self, text: &[u8], found: &mut impl FnMut(usize, usize) -> bool) {
        let mut at = 0;
        while let Some(here) = text.get(at..).and_then(<[u8]>::first_chunk::<10>) {
            let [low @ .., _, _] = here;
            let [_, _, high @ ..] = here;
            let (low, high) = (u64::from_le_bytes(*low) | CASE, u64::from_le_bytes(*high) | CASE);
            let grams = [low, low >> 8, low >> 16, low >> 24, low >> 32, low >> 40, high >> 32, high >> 40];
            let set = grams.iter().fold(0, |set, gram| set | self.bit(Self::hash(*gram)));
            if set & 1 != 0 {
                for (gram, place) in grams.into_iter().zip(at..) {
                    let hash = Self::hash(gram);
                    if self.bit(hash) & 1 != 0 && !self.compare(text, place, hash, found) {
                        return;
                    }
                }
            }
            at += 8;
        }
        // The last bytes, as if something stood behind them.
        for place in at..text.len() {
            let byte = |next: usize| text.get(place + next).copied().unwrap_or(0xff);
            let hash = Self::hash(folded([byte(0), byte(1), byte(2)]));
            if self.bit(hash) & 1 != 0 && !self.compare(text, place, hash, found) {
                return;
            }
        }
        for &(byte, literal) in &self.single {
            for place in memchr::memchr2_iter(byte, byte.to_ascii_uppercase(), text) {
                if !found(usize::from(literal), place) {
                    return;
                }
            }
        }
    }

    /// How long a literal is.
    pub(crate) fn len_of(&self, literal: usize) -> usize {
        self.all.get(literal).map_or(0, |literal| literal.lower.len())
    }

    /// Whether any of them stands in `text`.
    pub(crate) fn any(&self, text: &[u8]) -> bool {
        let mut none = true;
        self.each(text, &mut |_, _| {
            none = false;
            false
        });
        !none
    }

    /// In the lowest bit, whether a literal has this hash.
    fn bit(&self, hash: u64) -> u64 {
        self.filter.get(Self::word(hash)).map_or(0, |word| word >> (hash & 63))
    }

    /// Compares the literals that have this gram; false when it has been enough.
    #[inline(never)]
    fn compare(
        &self,
        text: &[u8],
        place: usize,
        hash: u64,
        found: &mut impl FnMut(usize, usize) -> bool,
    ) -> bool {
        let (word, bit) = (Self::word(hash), hash & 63);
        let before = self.filter.get(word).map_or(0, |word| word & ((1 << bit) - 1));
        let group = self.ranks.get(word).map_or(0, |rank| rank + before.count_ones()) as usize;
        let bounds = self.starts.get(group).zip(self.starts.get(group + 1));
        let of_bit = bounds.and_then(|(start, end)| self.of_bits.get(*start as usize..*end as usize));
        for &at in of_bit.into_iter().flatten() {
            let Some(literal) = self.all.get(usize::from(at)) else { continue };
            if let Some(start) = place.checked_sub(literal.offset)
                && (eight(text, start + literal.from) | CASE) & literal.mask == literal.near
                && let Some(here) = text.get(start..start + literal.lower.len())
                && here.eq_ignore_ascii_case(&literal.lower)
                && !found(usize::from(at), start)
            {
                return false;
            }
        }
        true
    }
}

/// Eight bytes, or as many as there are.
fn eight(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or(&[]);
    let whole = rest.first_chunk::<8>().copied();
    u64::from_le_bytes(whole.unwrap_or_else(|| {
        let mut some = [0; 8];
        some.iter_mut().zip(rest).for_each(|(to, b)| *to = *b);
        some
    }))
}

fn folded([a, b, c]: [u8; 3]) -> u64 {
    u64::from_le_bytes([a | 0x20, b | 0x20, c | 0x20, 0, 0, 0, 0, 0])
}

/// The three bytes in a row that ordinary texts have least of, and where they begin.
fn rarest(literal: &[u8]) -> (usize, [u8; 3]) {
    let grams = literal.windows(3).enumerate().filter_map(|(at, gram)| Some((at, *gram.first_chunk::<3>()?)));
    grams.max_by_key(|(_, gram)| rarity_of(gram)).unwrap_or((0, [0; 3]))
}

/// How rare some bytes in a row are, in sixteenths of a bit: letters after those before them, signs by themselves.
fn rarity_of(gram: &[u8]) -> u32 {
    let (mut first, mut second) = (b' ', b' ');
    let mut sum = 0;
    for &b in gram {
        sum += if b.is_ascii_alphabetic() {
            rarity::letter_cost(first, second, b)
        } else {
            16 * (1000 / usualness(b).max(1)).ilog2()
        };
        (first, second) = (second, b);
    }
    sum
}

/// How rare a literal is: as its rarest three bytes are.
pub(crate) fn rarity_of_literal(literal: &[u8]) -> u32 {
    if literal.len() < 3 { rarity_of(literal) } else { rarity_of(&rarest(literal).1) }
}

/// How usual a byte is in posts with code, roughly, in thousandths.
pub(crate) const fn usualness(b: u8) -> u32 {
    match b {
        // Counted double: what has spaces in it may be any sentence.
        b' ' => 300,
        b'e' => 80,
        b'a' | b'i' | b'n' | b'o' | b'r' | b's' | b't' => 52,
        b'c' | b'd' | b'l' | b'm' | b'p' | b'u' => 26,
        b'b' | b'f' | b'g' | b'h' | b'w' | b'y' => 13,
        b'-' | b'\n' | b'.' | b'/' => 16,
        b'k' | b'v' | b'0'..=b'9' | b'"' | b'`' | b'*' | b':' | b',' | b'_' => 6,
        b'A'..=b'Z' | b'!'..=b'~' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found<const WORDS: usize>(list: &[&str], text: &str) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        Literals::<WORDS>::new(list.iter().copied()).each(text.as_bytes(), &mut |literal, place| {
            all.push((literal, place));
            true
        });
        all.sort_unstable();
        all
    }

    fn by_hand(list: &[&str], text: &str) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        for (at, literal) in list.iter().enumerate() {
            for place in 0..text.len() {
                let here = text.as_bytes().get(place..place + literal.len());
                if here.is_some_and(|here| here.eq_ignore_ascii_case(literal.as_bytes())) {
                    all.push((at, place));
                }
            }
        }
        all
    }

    const LIST: [&str; 12] =
        ["key", "monkey", "@", "x-", "AKIA", "-----BEGIN ", "пароль", "e", "eyJ", "_k", "aaaa", "ss key"];

    #[test]
    fn literals_are_found_wherever_they_stand_and_however_they_lie_over_each_other() {
        for text in
            ["", "k", "x-", "monkeY", "aaaaaaa@", "my Пароль пароль", "-----begin key", "a@b x-key=eyj AKI"]
        {
            assert_eq!(found::<64>(&LIST, text), by_hand(&LIST, text), "{text}");
        }
        assert!(Literals::<16>::new(LIST.into_iter()).any(b"a MONKEY"));
        assert!(!Literals::<16>::new(["monkey"].into_iter()).any(b"a monke y"));
    }

    proptest! {
        #[test]
        fn a_filter_of_any_size_finds_what_comparing_at_every_place_finds(
            text in prop::collection::vec(prop::sample::select(
                &["key", "MON", "-", "@", "x", "ey", "J", "AKI", "A", "a", " ", "пар", "оль", "_", "s", "é", "0"][..]), 0..40),
        ) {
            let text = text.concat();
            prop_assert_eq!(found::<16>(&LIST, &text), by_hand(&LIST, &text));
            prop_assert_eq!(found::<2048>(&LIST, &text), by_hand(&LIST, &text));
        }
    }
}
