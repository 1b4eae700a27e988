//! Reads a text from standard input and says what is where.

#![expect(clippy::print_stdout, reason = "it prints what it found")]

use std::io::{Read, stdin};

fn main() -> Result<(), std::io::Error> {
    let mut text = String::new();
    stdin().read_to_string(&mut text)?;
    for found in clawexchange_detectors::scan(&text) {
        let (start, end) = (found.span.start, found.span.end);
        println!(
            "{start:>6}..{end:<6} {:<28} {:>3}  {}  {}",
            found.id, found.score, found.redacted, found.description
        );
    }
    Ok(())
}
