//! Sums of money in a sentence.

/// Whether the last sum of `offer` is more than the first, and of the same currency. The text is folded.
pub(super) fn pays_more(offer: &str) -> bool {
    let words: Vec<&str> = offer.split_whitespace().collect();
    let sums: Vec<(f64, &str)> = (0..words.len()).filter_map(|at| sum(words.get(at..)?)).collect();
    match (sums.first(), sums.last()) {
        (Some((first, of)), Some((last, of_last))) => last > first && of == of_last,
        _ => false,
    }
}

/// The sum that `words` begin with: `0.1 eth`, `$50`, `2btc`, `one bitcoin`.
fn sum<'w>(words: &[&'w str]) -> Option<(f64, &'w str)> {
    let word = words.first()?.trim_matches(|c: char| !c.is_alphanumeric() && c != '$');
    let dollars = word.strip_prefix('$');
    let figures = dollars.filter(|rest| !rest.is_empty()).unwrap_or(word);
    let end = figures.find(|c: char| !matches!(c, '0'..='9' | '.' | ',')).unwrap_or(figures.len());
    let (figures, unit) = figures.split_at_checked(end)?;
    let next = words.get(1).copied().unwrap_or("");
    let value = if figures.is_empty() { in_words(word)? } else { number(figures)? };
    let unit = match (dollars, unit) {
        (Some(_), _) => "dollar",
        (None, "") => next,
        (None, _) if figures.is_empty() => next,
        (None, unit) => unit,
    };
    Some((value, currency(unit)?))
}

/// A comma before three last figures parts thousands, any other is a point.
fn number(figures: &str) -> Option<f64> {
    let figures = figures.trim_end_matches(['.', ',']);
    let thousands = figures.rsplit_once(',').is_some_and(|(_, tail)| tail.len() == 3 || tail.contains('.'));
    figures.replace(',', if thousands { "" } else { "." }).parse().ok()
}

fn in_words(word: &str) -> Option<f64> {
    Some(match word {
        "half" => 0.5,
        "a" | "an" | "one" => 1.0,
        "two" => 2.0,
        "three" => 3.0,
        "four" => 4.0,
        "five" => 5.0,
        "ten" => 10.0,
        "twenty" => 20.0,
        "fifty" => 50.0,
        "hundred" => 100.0,
        _ => return None,
    })
}

fn currency(word: &str) -> Option<&str> {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
    let one = word.strip_suffix('s').unwrap_or(word);
    Some(match one {
        "" => return None,
        "bitcoin" => "btc",
        "ether" | "ethereum" => "eth",
        "solana" => "sol",
        "monero" => "xmr",
        "litecoin" => "ltc",
        "dogecoin" => "doge",
        "usd" | "usdt" | "usdc" | "buck" => "dollar",
        "eur" => "euro",
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_of_the_same_money_is_told_from_change_and_from_exchange() {
        for (offer, more) in [
            ("send 0.1 eth to me and receive 0.2 eth", true),
            ("send one btc and get two bitcoins", true),
            ("deposit $100. get back $250", true),
            ("send 500usdt, get 1,000 usdt", true),
            ("pay 50 euros and get 5 euros", false),
            ("send 1 eth and receive 2500 usdc", false),
            ("send 0.1 eth and receive 0.1 eth", false),
            ("send a letter and get two eth", false),
            ("", false),
        ] {
            assert_eq!(pays_more(offer), more, "{offer}");
        }
    }
}
