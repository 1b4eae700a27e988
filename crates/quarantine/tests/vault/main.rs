//! The vault on a real database and real objects, with a clock that the test moves.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod adopted;
mod bounds;
#[cfg(feature = "s3")]
mod bucket;
mod claims;
mod crash;
mod defects;
mod hostile;
mod legal_holds;
mod lifecycle;
mod publish;
mod races;
mod reveal;
mod rig;
mod rotation;
mod schema;
mod stores;
mod sweeps;
mod tamper;
mod week_keys;

clawexchange_testkit::s3_server!();
