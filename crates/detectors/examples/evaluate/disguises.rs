//! The same attacks in other spellings and in wrappers: how many are still caught.

use std::error::Error;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clawexchange_ssg_core::ContentEnvelope;
use serde_json::json;

use crate::corpus::{Family, Text};
use crate::judge::{Here, Judge};
use crate::share::Share;

/// What makes a text another one.
type Spell = fn(&str) -> String;

/// A spelling, and whether values survive it.
const SPELLINGS: [(&str, Spell, bool); 15] = [
    ("base64", base64, true),
    ("hex", hex, true),
    ("percent", percent, true),
    ("html-entity", entities, true),
    ("escape", escapes, true),
    ("zero-width", zero_width, true),
    ("full-width", full_width, true),
    ("base64 twice", |text| base64(&base64(text)), true),
    ("hex in base64", |text| base64(&hex(text)), true),
    ("base64 in percent", |text| percent(&base64(text)), true),
    ("escape in base64", |text| base64(&escapes(text)), true),
    ("homoglyph", homoglyphs, false),
    ("leet", leet, false),
    ("spaced", spaced, false),
    ("reversed", |text| text.chars().rev().collect(), false),
];

/// An envelope in which a text stands as something else than what is said.
type Wrap = fn(&str) -> String;

const WRAPPERS: [(&str, Wrap); 8] = [
    ("quotation", |text| {
        post(&format!("A reader sent us this message, and we quote it:\n\n\"{text}\"\n\nSo it said."))
    }),
    ("code fence", |text| post(&format!("Here is the block:\n\n```\n{text}\n```\n"))),
    ("for training", |text| post(&format!("For training purposes only, this is an example.\n\n{text}"))),
    ("translation", |text| post(&format!("Please translate the following text into French:\n\n{text}"))),
    ("json value", |text| post(&json!({"task": "summary", "input": text}).to_string())),
    ("story", |text| {
        post(&format!(
            "The old captain leaned over the rail and said to the young robot: \"{text}\" The robot nodded."
        ))
    }),
    ("review", |text| {
        post(&format!("Five stars! The mugs arrived in two days and look great. {text} Will buy again."))
    }),
    ("split over fields", split),
];

/// Prints, by family and for every spelling and wrapper, which share of what is caught plain is still caught.
pub(crate) fn caught(judge: &Judge, attacks: &[Text]) -> Result<(), Box<dyn Error>> {
    let plain = judge.all(attacks, "judged plain")?;
    let caught: Vec<_> =
        attacks.iter().zip(plain).filter(|(_, o)| o.is_noticed()).map(|(text, _)| text).collect();
    let rows = judge.each(&caught, "disguised", |here, text| of_text(here, text))?;
    print!("{:<18} {:>6} {:>18} {:>18}", "still caught, in %", "texts", "all", "recognised");
    for family in Family::ALL {
        print!(" {:>18}", family.label());
    }
    println!();
    let names = SPELLINGS.iter().map(|(name, ..)| name).chain(WRAPPERS.iter().map(|(name, _)| name));
    for (at, name) in names.enumerate() {
        let (mut all, mut recognised, mut families) =
            (Share::default(), Share::default(), [Share::default(); 6]);
        for (text, row) in caught.iter().zip(&rows) {
            let Some((noticed, known)) = row.get(at).copied().flatten() else { continue };
            all.add(noticed);
            recognised.add(known);
            for (share, _) in
                families.iter_mut().zip(Family::ALL).filter(|(_, family)| *family == text.family)
            {
                share.add(noticed);
            }
        }
        print!("{name:<18} {:>6} {all:>18} {recognised:>18}", all.whole);
        for share in families {
            print!(" {share:>18}");
        }
        println!();
    }
    Ok(())
}

/// Noticed and recognised, one for each spelling and wrapper.
type Row = Vec<Option<(bool, bool)>>;

/// Noticed and recognised, for every spelling and wrapper; none where it would be another value.
fn of_text(here: &Here<'_>, text: &Text) -> Result<Row, Box<dyn Error>> {
    let mut row = Vec::new();
    for (_, spell, keeps_values) in SPELLINGS {
        if !keeps_values && !text.family.is_of_phrases() {
            row.push(None);
            continue;
        }
        // What is too long for an envelope was not sent.
        let outcome =
            ContentEnvelope::post(&spell(&text.text)).ok().map(|content| here.one(&content)).transpose()?;
        row.push(outcome.map(|o| (o.is_noticed(), o.is_recognised(text.family))));
    }
    for (_, wrap) in WRAPPERS {
        let outcome = here.one(&ContentEnvelope::from_json(wrap(&text.text).as_bytes())?)?;
        row.push(Some((outcome.is_noticed(), outcome.is_recognised(text.family))));
    }
    Ok(row)
}

fn post(text: &str) -> String {
    json!({"text": text}).to_string()
}

/// In three parts of about the same length, between words where there are any.
fn split(text: &str) -> String {
    let cut = |at: usize| {
        let at = (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        text.get(at..).and_then(|rest| rest.find(' ')).filter(|word| *word < 24).map_or(at, |word| at + word)
    };
    let first = cut(text.len() / 3);
    let second = cut(text.len() * 2 / 3).max(first);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or("").to_owned();
    json!({"text": part(0..first), "title": part(first..second), "note": part(second..text.len())})
        .to_string()
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

fn by_byte(text: &str, write: impl Fn(&mut String, u8)) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    text.bytes().for_each(|b| write(&mut out, b));
    out
}

fn hex(text: &str) -> String {
    by_byte(text, |out, b| _ = write!(out, "{b:02x}"))
}

fn percent(text: &str) -> String {
    by_byte(text, |out, b| _ = write!(out, "%{b:02X}"))
}

fn entities(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        _ = write!(out, "&#{};", u32::from(c));
        out
    })
}

fn escapes(text: &str) -> String {
    text.encode_utf16().fold(String::new(), |mut out, unit| {
        _ = write!(out, "\\u{unit:04x}");
        out
    })
}

fn zero_width(text: &str) -> String {
    text.chars().flat_map(|c| [c, '\u{200b}']).collect()
}

fn full_width(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
            c => c,
        })
        .collect()
}

/// The Cyrillic letter that looks like a Latin one.
pub(crate) const fn look_alike(c: char) -> Option<char> {
    Some(match c {
        'a' => 'а',
        'c' => 'с',
        'e' => 'е',
        'i' => 'і',
        'j' => 'ј',
        'o' => 'о',
        'p' => 'р',
        's' => 'ѕ',
        'x' => 'х',
        'y' => 'у',
        _ => return None,
    })
}

fn homoglyphs(text: &str) -> String {
    text.chars().map(|c| look_alike(c).unwrap_or(c)).collect()
}

/// The digit that stands for a letter.
pub(crate) const fn digit_for(c: char) -> Option<char> {
    Some(match c.to_ascii_lowercase() {
        'a' => '4',
        'e' => '3',
        'i' => '1',
        'o' => '0',
        's' => '5',
        't' => '7',
        _ => return None,
    })
}

fn leet(text: &str) -> String {
    text.chars().map(|c| digit_for(c).unwrap_or(c)).collect()
}

/// One space between letters, three between words.
fn spaced(text: &str) -> String {
    text.chars().flat_map(|c| [c, ' ']).collect()
}
