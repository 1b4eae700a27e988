//! Any text is a token, a host, a confidence or an address, or is none; what is one is read again from what it says.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use clawexchange_detectors::Host;
use clawexchange_moderation::{Confidence, Role, Token, TokenId};
use clawexchange_rate_limiter::{EndpointTier, Multiplier};
use clawexchange_ssg_core::{AgentId, Category, CategoryAction};
use libfuzzer_sys::fuzz_target;

fn reads_again<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
    let Ok(read) = text.parse::<T>() else { return };
    assert_eq!(read.to_string().parse::<T>().expect("what it says is one"), read);
}

fuzz_target!(|text: &str| {
    if let Ok(token) = Token::parse(text) {
        assert_eq!(token.expose(), text);
    }
    reads_again::<Host>(text);
    reads_again::<Confidence>(text);
    reads_again::<TokenId>(text);
    reads_again::<Role>(text);
    reads_again::<EndpointTier>(text);
    reads_again::<Multiplier>(text);
    reads_again::<AgentId>(text);
    reads_again::<Category>(text);
    reads_again::<CategoryAction>(text);
});
