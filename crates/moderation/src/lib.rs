//! Who may decide what: principals with tokens and roles, and the desk at which held content is decided.

mod access;
mod principal;

pub use access::{Act, Role};
pub use principal::Principal;
