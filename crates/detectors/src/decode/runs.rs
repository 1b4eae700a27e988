//! Runs that stand for bytes: base64, base32, hexadecimal and binary digits.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::GeneralPurposeConfig;
use base64::engine::{DecodePaddingMode, GeneralPurpose};

use super::{Decoded, readable};
use crate::view::Map;

/// Shorter runs are words.
const RUN_MIN: usize = 16;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

pub(crate) fn unwrap(text: &str, out: &mut Vec<Decoded>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(first) = next_run(bytes, at) {
        let (run, whole) = with_folded_lines(bytes, first);
        at = whole.end;
        decode_run(&run, whole, out);
    }
    spaced_digits(bytes, out);
    morse(bytes, out);
    ascii85(text, out);
}

const fn in_class(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_')
}

/// The next run that is long enough. Where none is, only one byte in so many is looked at.
fn next_run(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = from;
    while let Some(last) = bytes.get(at + RUN_MIN - 1) {
        // Signs of equality are padding, which belongs to the run before it.
        if !in_class(*last) && *last != b'=' {
            at += RUN_MIN;
            continue;
        }
        let start = at + bytes.get(at..)?.iter().position(|b| in_class(*b))?;
        let end = class_end(bytes, start);
        if end - start >= RUN_MIN {
            return Some(start..end);
        }
        at = end;
    }
    None
}

fn class_end(bytes: &[u8], start: usize) -> usize {
    let mut end = start;
    while bytes.get(end).is_some_and(|b| in_class(*b)) {
        end += 1;
    }
    while bytes.get(end) == Some(&b'=') && end > start {
        end += 1;
    }
    end
}

/// A run that goes on behind a line end, as mail wraps it: lines of at least 40 and then a last one.
fn with_folded_lines(bytes: &[u8], first: Range<usize>) -> (Vec<u8>, Range<usize>) {
    let mut run = bytes.get(first.clone()).unwrap_or(&[]).to_vec();
    let mut whole = first.clone();
    let mut line = first.len();
    while line >= 40 && run.last() != Some(&b'=') {
        let ends = match bytes.get(whole.end..) {
            Some([b'\n', ..]) => 1,
            Some([b'\r', b'\n', ..]) => 2,
            _ => break,
        };
        let start = whole.end + ends;
        let end = class_end(bytes, start);
        line = end - start;
        let after = bytes.get(end);
        if line < 4 || !matches!(after, None | Some(b'\n' | b'\r' | b'"' | b'\'')) {
            break;
        }
        run.extend_from_slice(bytes.get(start..end).unwrap_or(&[]));
        whole.end = end;
    }
    (run, whole)
}

fn decode_run(run: &[u8], whole: Range<usize>, out: &mut Vec<Decoded>) {
    let mut push = |name, text| out.push(Decoded { name, text, map: Map::Whole(whole.clone()) });
    if let Some(text) = hex(run).and_then(readable) {
        return push("hex", text);
    }
    if let Some(text) = base64(run) {
        return push("base64", text);
    }
    if let Some(text) = base32(run).and_then(readable) {
        return push("base32", text);
    }
    // A path or a name before the run: the part behind the last separator.
    let mut at = whole.start;
    for part in run.split(|b| matches!(b, b'/' | b'-' | b'_' | b'+')) {
        if part.len() >= RUN_MIN
            && part.len() < run.len()
            && let Some((name, text)) =
                hex(part).and_then(readable).map(|t| ("hex", t)).or_else(|| Some(("base64", base64(part)?)))
            && whole.len() == run.len()
        {
            out.push(Decoded { name, text, map: Map::Whole(at..at + part.len()) });
        }
        at += part.len() + 1;
    }
}

fn base64(run: &[u8]) -> Option<String> {
    let body = run.strip_suffix(b"===").unwrap_or(run);
    // Lower case alone is a word; a run of base64 that is text has both cases.
    let mixed = body.iter().any(u8::is_ascii_uppercase) && body.iter().any(u8::is_ascii_lowercase);
    if !mixed {
        return None;
    }
    let unpadded = body.iter().rposition(|b| *b != b'=').map_or(0, |last| last + 1);
    let usable = unpadded - usize::from(unpadded % 4 == 1);
    let body = body.get(..usable)?;
    let engine = if body.iter().any(|b| matches!(b, b'-' | b'_')) { &BASE64_URL } else { &BASE64 };
    let bytes = engine.decode(body).ok()?;
    utf16(&bytes).or_else(|| readable(bytes))
}

/// As PowerShell's encoded commands are written.
fn utf16(bytes: &[u8]) -> Option<String> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let wide = pairs.iter().filter(|[low, high]| *high == 0 && *low != 0).count();
    if pairs.len() < 8 || wide * 10 < pairs.len() * 9 {
        return None;
    }
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    readable(String::from_utf16_lossy(&units).into_bytes())
}

fn hex(run: &[u8]) -> Option<Vec<u8>> {
    if run.len() < RUN_MIN || !run.len().is_multiple_of(2) {
        return None;
    }
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    run.as_chunks::<2>().0.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn base32(run: &[u8]) -> Option<Vec<u8>> {
    let body = run.iter().rposition(|b| *b != b'=').map_or(run, |last| run.get(..=last).unwrap_or(run));
    if body.len() < 24 {
        return None;
    }
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::with_capacity(body.len()));
    for b in body {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'2'..=b'7' => b - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 & 0xffff | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// `49 67 6e …` and `01001001 01100111 …`: groups of two hexadecimal or eight binary digits, a space between.
fn spaced_digits(bytes: &[u8], out: &mut Vec<Decoded>) {
    for (width, radix, name) in [(2, 16, "hex"), (8, 2, "binary")] {
        let mut at = 0;
        while at < bytes.len() {
            let mut decoded = Vec::new();
            let start = at;
            let fresh = start == 0 || !bytes.get(start - 1).is_some_and(u8::is_ascii_alphanumeric);
            while let Some(value) = group(bytes, at, width, radix).filter(|_| fresh) {
                decoded.push(value);
                at += width;
                if bytes.get(at).is_some_and(|b| matches!(b, b' ' | b',' | b':'))
                    && group(bytes, at + 1, width, radix).is_some()
                {
                    at += 1;
                } else {
                    break;
                }
            }
            if decoded.len() >= 8
                && let Some(text) = readable(decoded)
            {
                out.push(Decoded { name, text, map: Map::Whole(start..at) });
            }
            // To the end of this word, where the next may begin.
            while bytes.get(at).is_some_and(u8::is_ascii_alphanumeric) {
                at += 1;
            }
            while bytes.get(at).is_some_and(|b| !b.is_ascii_hexdigit()) {
                at += 1;
            }
        }
    }
}

fn group(bytes: &[u8], at: usize, width: usize, radix: u32) -> Option<u8> {
    let digits = bytes.get(at..at + width)?;
    let ends = !bytes.get(at + width).is_some_and(u8::is_ascii_alphanumeric);
    digits
        .iter()
        .try_fold(0, |n, b| Some(n * radix + char::from(*b).to_digit(radix)?))
        .filter(|_| ends)
        .and_then(|n| u8::try_from(n).ok())
}

/// Dots and dashes of the letters and digits, as ITU-R M.1677-1 has them.
const MORSE: [(&[u8], char); 36] = [
    (b".-", 'a'),
    (b"-...", 'b'),
    (b"-.-.", 'c'),
    (b"-..", 'd'),
    (b".", 'e'),
    (b"..-.", 'f'),
    (b"--.", 'g'),
    (b"....", 'h'),
    (b"..", 'i'),
    (b".---", 'j'),
    (b"-.-", 'k'),
    (b".-..", 'l'),
    (b"--", 'm'),
    (b"-.", 'n'),
    (b"---", 'o'),
    (b".--.", 'p'),
    (b"--.-", 'q'),
    (b".-.", 'r'),
    (b"...", 's'),
    (b"-", 't'),
    (b"..-", 'u'),
    (b"...-", 'v'),
    (b".--", 'w'),
    (b"-..-", 'x'),
    (b"-.--", 'y'),
    (b"--..", 'z'),
    (b"-----", '0'),
    (b".----", '1'),
    (b"..---", '2'),
    (b"...--", '3'),
    (b"....-", '4'),
    (b".....", '5'),
    (b"-....", '6'),
    (b"--...", '7'),
    (b"---..", '8'),
    (b"----.", '9'),
];

/// `.. --. -. --- .-. .`: at least twelve letters, a space between, words by a slash or a wider gap.
fn morse(bytes: &[u8], out: &mut Vec<Decoded>) {
    const LETTERS_MIN: usize = 12;
    let is_part = |b: &u8| matches!(b, b'.' | b'-' | b'/' | b'|' | b' ' | b'\n' | b'\r');
    let mut at = 0;
    while let Some(start) = bytes.get(at..).and_then(|b| b.iter().position(is_part)).map(|p| at + p) {
        let len = bytes.get(start..).unwrap_or(&[]).iter().take_while(|b| is_part(b)).count();
        at = start + len;
        if len < 2 * LETTERS_MIN {
            continue;
        }
        let run = bytes.get(start..at).unwrap_or(&[]);
        let (mut text, mut letters) = (String::new(), 0);
        for token in run.split(|b| matches!(b, b' ' | b'\n' | b'\r')) {
            match MORSE.iter().find(|(code, _)| *code == token) {
                Some((_, letter)) => {
                    text.push(*letter);
                    letters += 1;
                }
                // A gap, a slash, or a sign that is not read.
                None if !text.ends_with(' ') => text.push(' '),
                None => {}
            }
        }
        if letters >= LETTERS_MIN {
            out.push(Decoded { name: "morse", text, map: Map::Whole(start..at) });
        }
    }
}

/// `<~…~>`: base 85 as Adobe writes it.
fn ascii85(text: &str, out: &mut Vec<Decoded>) {
    const RUN_MAX: usize = 16 << 10;
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|t| t.find("<~")).map(|p| at + p) {
        at = start + 2;
        let body = text.as_bytes().get(at..(at + RUN_MAX).min(text.len())).unwrap_or(&[]);
        let Some(len) = body.windows(2).position(|w| w == b"~>") else { continue };
        if let Some(text) = body.get(..len).and_then(base85).and_then(readable) {
            out.push(Decoded { name: "ascii85", text, map: Map::Whole(start..at + len + 2) });
        }
        at += len;
    }
}

fn base85(body: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(body.len());
    let mut group: Vec<u32> = Vec::with_capacity(5);
    let mut flush = |group: &mut Vec<u32>| {
        let kept = group.len().checked_sub(1)?;
        group.resize(5, 84);
        let value = group.iter().try_fold(0u32, |n, digit| n.checked_mul(85)?.checked_add(*digit))?;
        bytes.extend(value.to_be_bytes().iter().take(kept));
        group.clear();
        Some(())
    };
    for b in body.iter().filter(|b| !b.is_ascii_whitespace()) {
        match b {
            b'z' if group.is_empty() => {
                group.extend([0; 5]);
                flush(&mut group)?;
            }
            b'!'..=b'u' => {
                group.push(u32::from(b - b'!'));
                if group.len() == 5 {
                    flush(&mut group)?;
                }
            }
            _ => return None,
        }
    }
    if !group.is_empty() {
        flush(&mut group)?;
    }
    Some(bytes)
}
