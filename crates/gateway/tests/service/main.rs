//! The whole service over sockets: what every route answers to whom, and what is left behind.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod answers;
mod campaigns;
mod client;
mod contract;
mod described;
mod drain;
mod health;
mod inspect;
mod limits;
mod moderation;
mod original;
mod review;
mod rights;
mod server;
mod submit;
mod tls;
