//! Objects in a bucket, on a server that checks signatures and rights, and dies when it is told to.
#![cfg(feature = "s3")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod causes;
mod server;
mod trouble;
mod versions;
mod weeks;

use std::time::Duration;

use clawexchange_quarantine::{ObjectKey, S3Config, S3Store};
use clawexchange_ssg_core::Timestamp;
use clawexchange_testkit::s3::{self, Server};

clawexchange_testkit::s3_server!();

/// A bucket of a server, as its administrator has it.
fn config(server: &Server, bucket: &str) -> S3Config {
    let mut config = S3Config::new(server.endpoint(), bucket, s3::ACCESS_KEY, s3::SECRET_KEY);
    s3::REGION.clone_into(&mut config.region);
    config
}

fn open(config: S3Config) -> S3Store {
    S3Store::open(config).unwrap()
}

/// A store that does not wait for long.
fn hasty(mut config: S3Config) -> S3Config {
    config.connect_timeout = Duration::from_millis(500);
    config.attempt_timeout = Duration::from_millis(700);
    config.deadline = Duration::from_secs(2);
    config
}

fn key() -> ObjectKey {
    ObjectKey::fresh(Timestamp::from_micros(1_800_000_000_000_000))
}
