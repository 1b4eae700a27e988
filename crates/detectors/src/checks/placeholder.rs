//! What only stands for a secret: placeholders, words, sequences, code.

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
const CODE_WORDS: [&str; 40] = [
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
    "abcdef",
    "123456",
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
    is_placeholder_word(value) || has_long_run(value) || distinct(value) < 5.min(value.len() / 2)
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
        || sequence(lower.as_bytes()) * 2 > value.len()
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
    // Also words of made-up passwords, which another rule notes.
    // Words of made-up passwords too, which another rule notes.
    let named = MADE_UP.iter().any(|w| lower.contains(w));
    letters && (digits || signs) && !code && !named && !is_placeholder(value) && distinct(value) >= 5
}

/// What passwords in examples, and names in code, have in them.
const MADE_UP: [&str; 20] = [
    "env", "config", "process", "example", "required", "string", "optional", "default", "input", "pass",
    "secret", "welcome", "qwerty", "letmein", "change", "test", "demo", "user", "your", ",",
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

fn distinct(value: &str) -> usize {
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
fn sequence(value: &[u8]) -> usize {
    let mut total = 0;
    let mut run = 1;
    let mut step = 0i16;
    let flush = |run: usize| if run >= 4 { run } else { 0 };
    for pair in value.windows(2) {
        let &[a, b] = pair else { continue };
        let here = i16::from(b) - i16::from(a);
        if here.abs() == 1 && (run == 1 || here == step) {
            run += 1;
        } else {
            total += flush(run);
            run = 1;
        }
        step = here;
    }
    total + flush(run)
}

/// Lower-case or Title words with separators and hardly a digit: a name, not a secret.
fn are_words(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let parts: Vec<&str> = value.split(['-', '_', '.', '/', ' ']).filter(|p| !p.is_empty()).collect();
    digits < 2 && value.len() < 40 && parts.iter().filter(|p| is_wordlike(p)).count() * 4 >= parts.len() * 3
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
