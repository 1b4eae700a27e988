//! Releases, from the plan to a program that is built of what was uploaded, against a registry on loopback.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod own;
mod sandbox;
mod small;
