//! What only stands for a secret: placeholders, words, sequences, code.

use sha2::{Digest as _, Sha256};

use super::rarity::rarity;

/// Pieces that say that the value is not the value.
const WORDS: [&str; 30] = [
    "example",
    "your",
    "xxxx",
    "placeholder",
    "changeme",
    "change_me",
    "change-me",
    "dummy",
    "sample",
    "redacted",
    "insert",
    "replace",
    "todo",
    "fake",
    "<",
    "${",
    "{{",
    "}}",
    "...",
    "…",
    "****",
    "####",
    "my_",
    "my-",
    "_here",
    "-here",
    "goes",
    "hidden",
    "not-a",
    "notreal",
];

/// Pieces that mark names, code and documentation where a random value would stand.
const CODE_WORDS: [&str; 38] = [
    "secret",
    "password",
    "passwd",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "process.env",
    "os.environ",
    "getenv",
    "config.",
    "settings.",
    "self.",
    "this.",
    "env.",
    "test",
    "demo",
    "null",
    "undefined",
    "true",
    "false",
    "string",
    "qwerty",
    "foobar",
    "lorem",
    "localhost",
    "function",
    "import",
    "require",
    "default",
    "http:",
    "https:",
    "www.",
    ".com",
    ".json",
    ".yaml",
    ".env",
    "key",
];

/// Whether the value says of itself that it stands for something else, or is one character over and over.
pub(crate) fn is_placeholder(value: &str) -> bool {
    is_placeholder_word(value)
        || has_long_run(value)
        || distinct(value) < 5.min(value.len() / 2)
        || sequence(value.to_ascii_lowercase().as_bytes()) * 2 > value.len()
        || longest_sequence(value.to_ascii_lowercase().as_bytes()) >= 13
        || value.ends_with("..")
        || is_published(value)
}

pub(crate) fn is_placeholder_word(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}

/// Whether it is a placeholder, a sequence, a name in code, or words.
pub(crate) fn is_dummy(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    is_placeholder(value)
        || CODE_WORDS.iter().any(|word| lower.contains(word))
        || value.len() < 24 && ["abcdef", "123456"].iter().any(|row| lower.contains(row))
        || are_words(value)
        || is_public_address(value)
        || lower == SAMPLE_UUID
}

/// The one that documentation shows.
const SAMPLE_UUID: &str = "550e8400-e29b-41d4-a716-446655440000";

/// An account or contract of a block chain: public, and often called a token.
fn is_public_address(value: &str) -> bool {
    let ethereum = value
        .strip_prefix("0x")
        .is_some_and(|hex| hex.len() == 40 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let base58 = |b: u8| b.is_ascii_alphanumeric() && !matches!(b, b'0' | b'O' | b'I' | b'l');
    ethereum || matches!(value.len(), 43 | 44) && value.bytes().all(base58)
}

/// Words for what is no secret although it looks like one.
const PUBLIC_NAMES: [&str; 36] = [
    "sha",
    "sha1",
    "sha256",
    "hash",
    "commit",
    "digest",
    "md5",
    "checksum",
    "uuid",
    "guid",
    "trace",
    "span",
    "project",
    "version",
    "revision",
    "fingerprint",
    "account",
    "tenant",
    "workspace",
    "subscription",
    "user",
    "group",
    "team",
    "image",
    "public",
    "endpoint",
    "region",
    "etag",
    "bucket",
    "index",
    "address",
    "id",
    "ids",
    "name",
    "url",
    "uri",
];

/// What keys and tokens are called that anybody may see.
const PUBLIC_KINDS: [&str; 20] = [
    "public",
    "pub",
    "publishable",
    "site",
    "primary",
    "foreign",
    "cache",
    "idempotency",
    "partition",
    "sort",
    "websocket",
    "page",
    "next",
    "continuation",
    "cursor",
    "host",
    "translation",
    "object",
    "storage",
    "row",
];

/// Whether a value may be a secret, by what its name ends in: of `client_id`, `public_key` and `key_hash` none is.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let bare = name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    let lower = bare.to_ascii_lowercase();
    let mut words = lower.rsplit(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    let (last, before) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let is_key = |word: &str| matches!(word, "key" | "token");
    let is_kind =
        |kind: &&str| before == *kind && is_key(last) || last.strip_prefix(*kind).is_some_and(is_key);
    // In camel case the last word begins with a large letter.
    let is_id = bare.ends_with("Id") || bare.ends_with("Hash") || bare.ends_with("Name");
    !PUBLIC_NAMES.contains(&last) && !is_id && !PUBLIC_KINDS.iter().any(is_kind)
}

/// What stands in place of a value in code, types and manuals.
const NO_VALUES: [&str; 30] = [
    "string",
    "str",
    "none",
    "null",
    "nil",
    "true",
    "false",
    "undefined",
    "required",
    "optional",
    "text",
    "varchar",
    "char",
    "bytes",
    "bool",
    "boolean",
    "number",
    "integer",
    "object",
    "empty",
    "value",
    "default",
    "unset",
    "blank",
    "hidden",
    "masked",
    "prompt",
    "input",
    "type",
    "unknown",
];

/// Pieces of names.
const FILLED_IN: [&str; 9] =
    ["password", "passwd", "pwd", "passphrase", "secret", "token", "apikey", "api_key", "private"];

/// Pieces of what a program fills in.
pub(super) const BY_PROGRAM: [&str; 17] = [
    "config",
    "getenv",
    "environ",
    "env.",
    "request",
    "param",
    "self.",
    "this.",
    "args",
    "input",
    "form.",
    "field",
    "user.",
    "opts",
    "option",
    "settings",
    "credential",
];

/// Whether the value was written down for good: neither filled in later, nor code, nor a word that says nothing.
pub(crate) fn is_assigned(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let is_path = value.contains('.') && !value.bytes().any(|b| b.is_ascii_digit());
    !is_variable(value)
        && !is_placeholder(value)
        && !is_path
        && !is_public_address(value)
        && !SAMPLE_PASSWORDS.contains(&&lower[..])
        && !NO_VALUES.contains(&&lower[..])
        && !value.contains(['(', ')', '[', ']', '{', '}', '<', '>', '\\', '|'])
        && !value.contains("::")
        && !value.starts_with(['$', '%', '@', '&', '#', '/', '-', '.', ',', ';', ':'])
        && !FILLED_IN.iter().chain(&BY_PROGRAM).any(|piece| lower.contains(piece))
        && distinct(value) >= 4
}

/// Whether it has no sense: unlike words, or digits in base 16 of which there are enough.
pub(crate) fn is_random(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let is_hex = value.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if is_hex {
        return value.len() >= 16 && digits >= 4 && digits < value.len() && distinct(value) >= 7;
    }
    let bits = rarity(value);
    bits >= 5.8 || bits >= 4.8 && digits >= 3 && digits < value.len()
}

/// Whether it counts up or down for the most part, as values in manuals do, and says nothing else of itself.
pub(crate) fn is_counting(value: &str) -> bool {
    let has = |class: fn(&u8) -> bool| value.bytes().any(|b| class(&b));
    sequence(value.to_ascii_lowercase().as_bytes()) * 2 > value.len()
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && !is_placeholder_word(value)
        && !has_long_run(value)
}

/// Keys, tokens and passwords that standards, manuals and the tests of public libraries show to everybody, by
/// the first eight bytes of their SHA-256, so that none of them stands here.
const PUBLISHED: [[u8; 8]; 41] = [
    [0x27, 0xa9, 0xa4, 0x29, 0x31, 0xdf, 0xf7, 0xeb],
    [0x49, 0xf7, 0x77, 0xdb, 0x99, 0x5e, 0x82, 0x60],
    [0x87, 0x31, 0x26, 0x1c, 0xb7, 0x2d, 0x86, 0x26],
    [0x37, 0xf8, 0xf0, 0x9b, 0xdf, 0x12, 0xc2, 0xf2],
    [0xeb, 0x54, 0x0d, 0x2b, 0x6e, 0xe2, 0xa0, 0xa4],
    [0x20, 0x37, 0xab, 0xca, 0xff, 0xb2, 0xb7, 0x77],
    [0xe4, 0xa5, 0x54, 0x2b, 0xb7, 0xfd, 0x7b, 0x67],
    [0x4c, 0x98, 0x24, 0x2d, 0xca, 0xdc, 0x8b, 0x29],
    [0xa1, 0x9f, 0x89, 0xab, 0x35, 0x55, 0xea, 0xc1],
    [0x3f, 0x37, 0x0c, 0x9d, 0xd8, 0x22, 0x5c, 0x63],
    [0xdc, 0x0f, 0xcf, 0x04, 0x6c, 0x61, 0x64, 0x0c],
    [0xea, 0x9b, 0xb1, 0x08, 0x2c, 0xf9, 0x56, 0x63],
    [0xa6, 0xc8, 0x14, 0xbc, 0x55, 0x5a, 0xe6, 0x2c],
    [0x31, 0x04, 0x3a, 0xae, 0x8b, 0xe2, 0x2d, 0xf7],
    [0x8b, 0xe5, 0xd1, 0x13, 0xc0, 0x87, 0x1c, 0xe1],
    [0xf7, 0x01, 0x0e, 0xd4, 0x65, 0x87, 0x92, 0x92],
    [0x31, 0x04, 0x3a, 0xae, 0x8b, 0xe2, 0x2d, 0xf7],
    [0x01, 0xb6, 0x94, 0x0c, 0xa3, 0x81, 0x5a, 0x06],
    [0x96, 0x19, 0x91, 0xda, 0x3a, 0xb8, 0xc4, 0xdb],
    [0xfc, 0x5f, 0xe3, 0xf4, 0x96, 0x74, 0xc8, 0x0d],
    [0x41, 0x8a, 0xf0, 0x6c, 0xd1, 0xd9, 0xd5, 0xf1],
    [0x2c, 0xaf, 0xc0, 0x97, 0x01, 0x49, 0xa8, 0x4f],
    [0xf2, 0xd6, 0xca, 0x16, 0x51, 0x50, 0x33, 0xe5],
    [0x00, 0xcf, 0x4c, 0x78, 0x1d, 0xc3, 0x70, 0x03],
    [0x6c, 0x96, 0x13, 0x0f, 0x13, 0x0a, 0xb0, 0xd6],
    [0x13, 0xd3, 0x1e, 0x96, 0x1a, 0x1a, 0xd8, 0xec],
    [0x05, 0x1d, 0x09, 0x3c, 0x4b, 0xde, 0xdb, 0xf2],
    [0x08, 0x83, 0x1f, 0x80, 0xb5, 0x64, 0x14, 0xa9],
    [0x15, 0xce, 0xf4, 0xb6, 0x29, 0xcc, 0x2d, 0x07],
    [0x24, 0xb6, 0xd8, 0x40, 0xb1, 0xdf, 0xfb, 0xed],
    [0xeb, 0x54, 0x3d, 0xc4, 0x90, 0xdf, 0x6d, 0x05],
    [0xbc, 0x1a, 0x50, 0x96, 0x6c, 0x9e, 0x64, 0x86],
    [0x83, 0x35, 0xc5, 0x53, 0x34, 0x82, 0x1e, 0xef],
    [0xb2, 0x6a, 0xb6, 0x52, 0x9d, 0x20, 0xeb, 0xeb],
    [0x64, 0x03, 0x4b, 0x44, 0xc5, 0x79, 0xb3, 0x35],
    [0x28, 0x98, 0x1d, 0x08, 0xec, 0xff, 0x66, 0xaa],
    [0x56, 0xe0, 0x76, 0xc4, 0x82, 0x7c, 0x2a, 0x0f],
    [0x00, 0x11, 0xcc, 0x25, 0xeb, 0x43, 0x20, 0x71],
    [0xaa, 0x65, 0x47, 0x43, 0x95, 0x83, 0xc3, 0xa2],
    [0xf5, 0xe9, 0x5c, 0x99, 0x54, 0x63, 0x5b, 0x65],
    [0x03, 0xb9, 0x70, 0xed, 0x81, 0x71, 0xd7, 0x3b],
];

/// Whether manuals show the value, or what stands behind its last dot or its `0x`.
pub(crate) fn is_published(value: &str) -> bool {
    let last = value.rsplit('.').next().unwrap_or("");
    let bare = value.strip_prefix("0x").unwrap_or(value);
    [value, last, bare].iter().any(|part| {
        part.len() >= 12
            && Sha256::digest(part.as_bytes()).first_chunk::<8>().is_some_and(|h| PUBLISHED.contains(h))
    })
}

/// Whether it looks chosen: letters with digits or signs, and neither code nor a placeholder.
pub(crate) fn is_password_like(value: &str) -> bool {
    let has = |class: fn(&u8) -> bool| value.bytes().any(|b| class(&b));
    let letters = has(u8::is_ascii_alphabetic);
    let digits = has(u8::is_ascii_digit);
    let signs = value
        .bytes()
        .any(|b| matches!(b, b'!' | b'@' | b'#' | b'$' | b'%' | b'^' | b'&' | b'*' | b'?' | b'~'));
    let code = value.starts_with(['$', '<', '{', '%', '[', '(', '&', '*', '#', '@', '/'])
        || value.contains(['(', ')', '{', '}', '<', '>', ';', '\\'])
        || value.contains("::")
        || value.contains('[');
    let lower = value.to_ascii_lowercase();
    // Words of made-up passwords too, which another rule notes.
    let named = MADE_UP.iter().any(|w| lower.contains(w));
    let chosen = digits || signs || value.len() >= 7 && rarity(value) >= 6.2;
    letters && chosen && !code && !named && !is_placeholder(value) && distinct(value) >= 5
}

/// What passwords in examples, and names in code, have in them.
const MADE_UP: [&str; 23] = [
    "admin", "pa$$", "p@ss", "env", "config", "process", "example", "required", "string", "optional",
    "default", "input", "pass", "secret", "welcome", "qwerty", "letmein", "change", "test", "demo", "user",
    "your", ",",
];

/// Passwords that examples have, and that nobody should.
const SAMPLE_PASSWORDS: [&str; 26] = [
    "password",
    "pass",
    "passwd",
    "pwd",
    "secret",
    "hunter2",
    "changeme",
    "admin",
    "root",
    "user",
    "test",
    "guest",
    "postgres",
    "mysql",
    "redis",
    "mongo",
    "token",
    "key",
    "example",
    "1234",
    "12345",
    "123456",
    "letmein",
    "foo",
    "bar",
    "mypassword",
];

/// Whether it is filled in when it is used.
pub(crate) fn is_variable(value: &str) -> bool {
    let name = value.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    name || value.starts_with(['$', '<', '{', '%', '[', '*', '.'])
        || value.contains(['{', '}', '<', '>'])
        || value.contains("...")
}

/// Whether it is neither a variable nor one of the passwords that examples have.
pub(crate) fn is_real_password(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let sample = SAMPLE_PASSWORDS.iter().any(|p| lower == *p)
        || ["password", "passwd", "token", "secret", "apikey", "api_key", "api-key"]
            .iter()
            .any(|p| lower.contains(p));
    !is_variable(value)
        && !sample
        && !is_placeholder_word(value)
        && value.len() >= 4
        && (value.bytes().any(|b| !b.is_ascii_alphabetic()) || distinct(value) >= 8)
}

/// Whether it might be a password: letters with digits, or one of those that nobody should have.
pub(crate) fn is_weak_password(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let mixed = value.bytes().any(|b| b.is_ascii_digit()) && value.bytes().any(|b| b.is_ascii_alphabetic());
    !is_variable(value)
        && !is_placeholder_word(value)
        && mixed
        && !lower.contains("process")
        && !lower.contains("config.")
}

/// Whether the match or what is around it starts a shell or redirects one.
pub(crate) fn has_shell(site: &super::Site<'_>) -> bool {
    let around =
        crate::view::whole_characters(site.text, site.whole.start.saturating_sub(120)..site.whole.end + 120);
    let near = site.text.get(around).unwrap_or("");
    [">&", "<&", "0>&1", "sh -i", "/bin/", "exec ", "|&", "cat <", "<>"]
        .iter()
        .any(|sign| near.contains(sign))
}

/// Whether it is the command line of an archiver, which has options where a lure has words.
pub(crate) fn is_zip_tool(command: &str) -> bool {
    ["unzip -", "unzip ./", "zipfile.", "extractall", "7z x", "tar -", "tar x"]
        .iter()
        .any(|tool| command.contains(tool))
}

pub(super) fn distinct(value: &str) -> usize {
    let mut seen = [false; 256];
    for b in value.bytes() {
        if let Some(s) = seen.get_mut(usize::from(b)) {
            *s = true;
        }
    }
    seen.iter().filter(|s| **s).count()
}

fn has_long_run(value: &str) -> bool {
    let mut run = 0;
    let mut last = None;
    value.bytes().any(|b| {
        run = if last == Some(b) { run + 1 } else { 1 };
        last = Some(b);
        run >= 6
    })
}

/// How many bytes stand in runs of at least four that count up or down.
pub(super) fn sequence(value: &[u8]) -> usize {
    let mut total = 0;
    each_sequence(value, |run| total += run);
    total
}

/// The longest of these runs.
pub(super) fn longest_sequence(value: &[u8]) -> usize {
    let mut longest = 0;
    each_sequence(value, |run| longest = longest.max(run));
    longest
}

fn each_sequence(value: &[u8], mut found: impl FnMut(usize)) {
    let mut run = 1;
    let mut step = 0i16;
    for pair in value.windows(2) {
        let &[a, b] = pair else { continue };
        let here = i16::from(b) - i16::from(a);
        if here.abs() == 1 && (run == 1 || here == step) {
            run += 1;
        } else {
            if run >= 4 {
                found(run);
            }
            run = 1;
        }
        step = here;
    }
    if run >= 4 {
        found(run);
    }
}

/// Lower-case or Title words with separators and hardly a digit: a name, not a secret.
fn are_words(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let parts: Vec<&str> = value.split(['-', '_', '.', '/', ' ']).filter(|p| !p.is_empty()).collect();
    let are_few = digits < 2 && value.len() < 40 && rarity(value) < 5.8;
    are_few && parts.iter().filter(|p| is_wordlike(p)).count() * 4 >= parts.len() * 3
        || parts.len() >= 3 && parts.iter().all(|p| is_wordlike(p))
}

fn is_wordlike(part: &str) -> bool {
    part.bytes().skip(1).all(|b| b.is_ascii_lowercase())
        || part.bytes().all(|b| b.is_ascii_uppercase())
        || part.bytes().all(|b| b.is_ascii_digit()) && part.len() <= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_secrets() {
        for dummy in [
            "YOUR_API_KEY_HERE",
            "xxxxxxxxxxxxxxxx",
            "${API_TOKEN}",
            "<paste-it-here>",
            "sk-example-1234567890",
            "abcdefgh12345678",
            "my-service-token-name",
            "process.env.OPENAI",
            "AAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(is_dummy(dummy), "{dummy}");
        }
        for secret in ["9fK2mQ7xT4vB8nLw", "c55dbac4-e0e8-4a06-b892-75cac2387ce5", "hR8+2kd/Qm3vZ1pW=="] {
            assert!(!is_dummy(secret), "{secret}");
        }
    }
}
