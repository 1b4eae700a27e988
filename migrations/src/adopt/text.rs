//! Texts of another system: nothing is believed of them.

use clawexchange_database::{DatabaseError, Row};

/// The bytes of the first `chars` characters of a column. As bytes, since a database that knows no encoding holds any.
pub(super) fn bytes_of(column: &str, chars: u32) -> String {
    format!(
        "convert_to(left(CAST({column} AS TEXT), {chars}), CASE WHEN getdatabaseencoding() = 'SQL_ASCII' \
         THEN 'SQL_ASCII' ELSE 'UTF8' END) AS {column}"
    )
}

/// A moment in microseconds since 1970; NULL for one that no calendar of ours has, such as `infinity`.
pub(super) fn micros_of(column: &str) -> String {
    format!(
        "CASE WHEN {column} BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59+00' \
         THEN CAST(floor(extract(epoch FROM {column}) * 1000000) AS BIGINT) END AS {column}"
    )
}

/// A text out of a row, and whether it could be read as it is.
pub(super) fn text(row: &Row, column: &'static str) -> Result<Option<(String, bool)>, DatabaseError> {
    let bytes: Option<Vec<u8>> = row.get(column)?;
    Ok(bytes.map(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let is_whole = matches!(text, std::borrow::Cow::Borrowed(_)) && !text.contains('\0');
        (text.replace('\0', "\u{fffd}"), is_whole)
    }))
}

/// The beginning of a text, at most so many bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Whether a text is a word in capitals, such as types and labels are.
pub(super) fn is_word(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("añb", 2), "a");
        assert_eq!(cut("añb", 3), "añ");
        assert_eq!(cut("añb", 9), "añb");
        assert_eq!(cut("🦀", 3), "");
    }

    #[test]
    fn a_word_has_capitals_digits_and_underscores() {
        assert!(is_word("AWS_KEY2", 30));
        for bad in ["", "Word", "A B", "A\n", "TOO_LONG"] {
            assert!(!is_word(bad, 7), "{bad}");
        }
    }
}
