//! Escapes: `%41`, `&#65;`, `\u0041` and `\x41`.

use std::ops::Range;

use super::{Decoded, rewritten};

pub(crate) fn unwrap(text: &str, out: &mut Vec<Decoded>) {
    type Read = fn(&str) -> Option<(usize, String)>;
    let kinds: [(u8, &'static str, Read); 3] =
        [(b'%', "percent", percent), (b'&', "html-entity", entity), (b'\\', "escape", backslash)];
    for (mark, name, read) in kinds {
        let mut pieces: Vec<(Range<usize>, String)> = Vec::new();
        let mut end = 0;
        for at in memchr::memchr_iter(mark, text.as_bytes()) {
            if at < end {
                continue;
            }
            if let Some((len, plain)) = text.get(at..).and_then(read) {
                end = at + len;
                pieces.push((at..end, plain));
            }
        }
        rewritten(text, name, &pieces, out);
    }
}

fn hex(text: &str, at: Range<usize>) -> Option<u32> {
    let digits = text.get(at)?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// One character: as many escaped bytes as it has.
fn percent(text: &str) -> Option<(usize, String)> {
    let byte = |i: usize| {
        let at = i * 3;
        (text.as_bytes().get(at) == Some(&b'%')).then(|| hex(text, at + 1..at + 3)).flatten()
    };
    let first = u8::try_from(byte(0)?).ok()?;
    let count = match first {
        0x00..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return None,
    };
    let bytes: Option<Vec<u8>> = (0..count).map(|i| u8::try_from(byte(i)?).ok()).collect();
    Some((count * 3, String::from_utf8(bytes?).ok()?))
}

fn entity(text: &str) -> Option<(usize, String)> {
    const NAMED: [(&str, &str); 14] = [
        ("amp", "&"),
        ("lt", "<"),
        ("gt", ">"),
        ("quot", "\""),
        ("apos", "'"),
        ("nbsp", " "),
        ("colon", ":"),
        ("lowbar", "_"),
        ("hyphen", "-"),
        ("sol", "/"),
        ("equals", "="),
        ("num", "#"),
        ("period", "."),
        ("shy", ""),
    ];
    let end = text.bytes().take(12).position(|b| b == b';')?;
    let name = text.get(1..end)?;
    let plain = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => hex(digits, 0..digits.len())?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|c| *c != '\0')?.to_string()
        }
        None => NAMED.iter().find(|(n, _)| *n == name)?.1.to_owned(),
    };
    Some((end + 1, plain))
}

fn backslash(text: &str) -> Option<(usize, String)> {
    let one = |len: usize, code: u32| Some((len, char::from_u32(code).filter(|c| *c != '\0')?.to_string()));
    match text.as_bytes().get(1)? {
        b'x' => one(4, hex(text, 2..4)?),
        b'U' => one(10, hex(text, 2..10)?),
        b'u' if text.as_bytes().get(2) == Some(&b'{') => {
            let end = text.bytes().take(11).position(|b| b == b'}')?;
            one(end + 1, hex(text, 3..end)?)
        }
        b'u' => {
            let code = hex(text, 2..6)?;
            let low = || (text.get(6..8) == Some("\\u")).then(|| hex(text, 8..12)).flatten();
            match code {
                0xd800..=0xdbff => {
                    let low = low().filter(|l| (0xdc00..0xe000).contains(l))?;
                    one(12, 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00))
                }
                code => one(6, code),
            }
        }
        b'0'..=b'3' => {
            let digits = text.get(1..4)?;
            let octal = digits.bytes().all(|b| (b'0'..b'8').contains(&b));
            octal.then(|| one(4, u32::from_str_radix(digits, 8).ok()?)).flatten()
        }
        _ => None,
    }
}
