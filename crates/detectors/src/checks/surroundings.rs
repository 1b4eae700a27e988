//! What stands around a number: whether it is a number of its own, and what it counts.

use super::Site;
use crate::view::whole_characters;

/// Whether the value stands by itself: neither a part of a longer number, of a path, of an address or of a name, nor a
/// sum of money or a share.
pub(super) fn is_apart(site: &Site<'_>) -> bool {
    begins_apart(site) && ends_apart(site, false) && !continues(site) && !has_country_code(site)
}

/// The same for telephone numbers: `-Work` may stand behind one, and no further group of digits on either side.
pub(super) fn is_phone_apart(site: &Site<'_>) -> bool {
    let value = site.value();
    let bare = value.bytes().all(|b| b.is_ascii_digit());
    let follows_group = bare && before(site).trim_end_matches([' ', '-', '.', ')']).ends_with(is_figure);
    let mut ahead = site.text.get(site.value.end..).unwrap_or("").chars();
    let (next, after) = (ahead.next(), ahead.next());
    let goes_on = matches!(next, Some(' ' | '-' | '.'))
        && is_digit(after)
        && !value.starts_with(['+', '('])
        && next.is_some_and(|c| value.contains(c));
    begins_apart(site)
        && ends_apart(site, true)
        && !follows_group
        && !goes_on
        && !continues(site)
        && !has_country_code(site)
}

/// As much of what stands before the value as is ever looked at.
fn before<'a>(site: &Site<'a>) -> &'a str {
    let near = whole_characters(site.text, site.value.start.saturating_sub(NEAR)..site.value.start);
    site.text.get(near).unwrap_or("")
}

const NEAR: usize = 32;

/// Whether a group of digits stands before the value, parted from it as its own groups are from each other.
fn continues(site: &Site<'_>) -> bool {
    let mut back = before(site).chars().rev();
    let (last, earlier) = (back.next(), back.next());
    matches!(last, Some(' ' | '-' | '.'))
        && is_digit(earlier)
        && last.is_some_and(|c| site.value().contains(c))
}

/// Whether the value is the rest of a telephone number whose country code stands before it.
fn has_country_code(site: &Site<'_>) -> bool {
    let is_part = |c: char| is_figure(c) || matches!(c, ' ' | '-' | '.' | '(' | ')');
    let before = before(site);
    let head = before.trim_end_matches(is_part);
    before.len() - head.len() < 12 && head.len() < before.len() && head.ends_with('+')
}

const fn is_figure(c: char) -> bool {
    c.is_ascii_digit()
}

const fn is_joined(c: Option<char>) -> bool {
    matches!(c, Some('a'..='z' | 'A'..='Z' | '0'..='9' | '_'))
}

const fn is_digit(c: Option<char>) -> bool {
    matches!(c, Some('0'..='9'))
}

fn begins_apart(site: &Site<'_>) -> bool {
    let before = before(site);
    let mut back = before.chars().rev();
    let (last, earlier) = (back.next(), back.next());
    match last {
        // Lists have commas between their values, numbers before their thousands and decimals.
        Some(',') => {
            let head = before.strip_suffix(',').unwrap_or("");
            let figures = head.len() - head.trim_end_matches(is_figure).len();
            !(1..=3).contains(&figures) || !site.value().bytes().all(|b| b.is_ascii_digit())
        }
        Some('.' | ':') => !is_digit(earlier),
        Some('/' | '\\' | '~') => !is_joined(earlier),
        Some('-' | '+' | '$' | '€' | '£' | '¥' | '₹' | '@' | '%' | '&') => false,
        other => !is_joined(other),
    }
}

fn ends_apart(site: &Site<'_>, word_may_follow: bool) -> bool {
    let after = site.text.get(site.value.end..).unwrap_or("");
    let mut ahead = after.chars();
    let (first, second) = (ahead.next(), ahead.next());
    match first {
        Some(',') => {
            let tail = after.get(1..).unwrap_or("");
            let figures = tail.bytes().take(4).take_while(u8::is_ascii_digit).count();
            let goes_on = tail.get(figures..).is_some_and(|rest| rest.starts_with(['-', '.', ' ', '(']));
            !(1..=3).contains(&figures) || goes_on
        }
        Some('.' | ':' | '/' | '\\') => !is_digit(second),
        Some('-') if word_may_follow => !is_digit(second),
        Some('-') => !is_joined(second),
        Some('@' | '%' | '€' | '$' | '£') => false,
        other => !is_joined(other),
    }
}

/// Words that say that a number counts or names a thing.
const THINGS: [&str; 44] = [
    "order",
    "invoice",
    "ticket",
    "issue",
    "build",
    "version",
    "commit",
    "release",
    "timestamp",
    "tracking",
    "shipment",
    "parcel",
    "block",
    "height",
    "port",
    "pid",
    "isbn",
    "sku",
    "item",
    "product",
    "serial",
    "revision",
    "session",
    "request",
    "message id",
    "chat id",
    "user id",
    "channel",
    "price",
    "total",
    "amount",
    "balance",
    "bytes",
    "size",
    "offset",
    "epoch",
    "seed",
    "row",
    "line",
    "page",
    "views",
    "followers",
    "uuid",
    "hash",
];

/// Whether the last word that says what the number is calls it something that no person has.
pub(super) fn is_counted(site: &Site<'_>) -> bool {
    let before = before(site).to_ascii_lowercase().replace("no.", "no").replace("nr.", "nr");
    let line = before.rsplit(['\n', '.', ';', ',']).next().unwrap_or("");
    // At most four words before: "order number is", "build no".
    let mut words: Vec<&str> =
        line.rsplit(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).take(4).collect();
    words.reverse();
    let near = words.join(" ");
    THINGS.iter().any(|thing| words.contains(thing) || thing.contains(' ') && near.contains(thing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site<'a>(text: &'a str, value: &str) -> Site<'a> {
        let start = text.find(value).expect(value);
        Site { text, whole: start..start + value.len(), value: start..start + value.len() }
    }

    #[test]
    fn a_part_of_something_longer_does_not_stand_apart() {
        for text in [
            "1.123456789",
            "x-123456789",
            "-123456789",
            "12 123 456 789",
            "/a/123456789",
            "$123456789",
            "123456789.5",
            "123456789-ab",
            "3,123456789",
            "123456789,50",
            "+34 123456789",
            "123456789@c",
            "a123456789",
        ] {
            let value = if text.contains("123 456 789") { "123 456 789" } else { "123456789" };
            assert!(!is_apart(&site(text, value)), "{text}");
        }
        for text in [
            "123456789",
            "id:123456789.",
            "(123456789)",
            "No. 123456789, and",
            "Lee,2024,123456789,536-22,x",
            "\"123456789\"",
            "é123456789 - ok",
        ] {
            assert!(is_apart(&site(text, "123456789")), "{text}");
        }
    }

    #[test]
    fn what_is_called_an_order_is_an_order() {
        assert!(is_counted(&site("my order number is 123456789", "123456789")));
        assert!(is_counted(&site("chat id: 123456789", "123456789")));
        assert!(is_counted(&site("fax 203, order no. 123456789", "123456789")));
        assert!(!is_counted(&site("border crossing 123456789", "123456789")));
        assert!(!is_counted(&site("Order placed. My SIN is 123456789", "123456789")));
    }
}
