//! The schema of the whole pipeline as one plan.
//!
//! Each crate owns its ordered set of steps and its history table; this crate fixes their order. No table refers to
//! another crate's, so the order is for repeatability. `golden/sqlite.sql` is the schema after all of them, and a
//! test compares.

pub mod adopt;
mod roles;

pub use clawexchange_database::{Destroy, DownTo, Drift, MigrateError, Plan, SchemaState, StepState};

pub use roles::{RoleName, RoleNameError, grants};

/// Every crate's steps, in order.
pub fn all() -> Plan {
    Plan::of([
        clawexchange_audit::MIGRATIONS,
        clawexchange_quarantine::MIGRATIONS,
        clawexchange_rate_limiter::stored::MIGRATIONS,
        clawexchange_moderation::MIGRATIONS,
    ])
}
