//! Flips every bit of a sealed content of 40 KiB, and cuts it at every byte: none of it may open.
//!
//! ```text
//! cargo run --release -p clawexchange-quarantine --example flip
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example says what it found")]

use std::process::ExitCode;

use clawexchange_quarantine::{FreshKey, QuarantineError, SealContext, open, seal};
use clawexchange_ssg_core::{ContentType, KeyId, Mac, QuarantineId, RiskTier, Timestamp};

fn main() -> ExitCode {
    match flip(40 << 10) {
        Ok((tried, 0)) => {
            println!("{tried} altered contents, none of them opened");
            ExitCode::SUCCESS
        }
        Ok((tried, opened)) => {
            eprintln!("{opened} of {tried} altered contents opened");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many alterations were tried, and how many of them opened.
fn flip(size: usize) -> Result<(usize, usize), Box<dyn std::error::Error>> {
    let content: Vec<u8> = (0..=250).cycle().take(size).collect();
    let code = Mac::new(KeyId::new("flip")?, [7; 32]);
    let context = SealContext::new(
        QuarantineId::fresh(),
        Timestamp::from_micros(1_800_000_000_000_000),
        RiskTier::High,
        ContentType::Post,
        u64::try_from(size)?,
        code,
    );
    let key = FreshKey::generate()?;
    let reader = key.data_key().clone();
    let mut sealed = seal(key, &context, &content)?;
    if *open(&reader, &context, &sealed)? != content {
        return Err("what was sealed does not open".into());
    }
    let (mut tried, mut opened) = (0, 0);
    let mut count = |result: Result<_, QuarantineError>| {
        tried += 1;
        opened += usize::from(result.is_ok());
    };
    for at in 0..sealed.len() {
        for bit in 0..8 {
            if let Some(byte) = sealed.get_mut(at) {
                *byte ^= 1 << bit;
            }
            count(open(&reader, &context, &sealed));
            if let Some(byte) = sealed.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        count(open(&reader, &context, sealed.get(..at).unwrap_or_default()));
    }
    Ok((tried, opened))
}
