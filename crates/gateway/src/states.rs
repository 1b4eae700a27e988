//! Rows of other crates, as the log's check wants to see them.

use async_trait::async_trait;
use clawexchange_audit::StateSource;
use clawexchange_database::StateRow;
use clawexchange_database::rules::{ACTIVATION_TARGET, ALLOWANCE_TARGET};
use clawexchange_moderation::{TOKEN_TARGET, Tokens};
use clawexchange_quarantine::{STATE_TARGETS, Vault};
use clawexchange_rate_limiter::stored::StoredLimits;
use clawexchange_ssg_core::{PortError, Target};

use crate::rules::StoredRules;

/// Held content and legal holds.
#[derive(Debug)]
pub struct HeldStates(pub(crate) Vault);

/// Limits, trust multipliers and overrides.
#[derive(Debug)]
pub struct LimitStates(pub(crate) StoredLimits);

impl HeldStates {
    /// The rows of a vault.
    pub const fn of(vault: Vault) -> Self {
        Self(vault)
    }
}

impl LimitStates {
    /// The rows of stored limits.
    pub const fn of(limits: StoredLimits) -> Self {
        Self(limits)
    }
}

/// Tokens.
#[derive(Debug)]
pub struct TokenStates(pub(crate) Tokens);

impl TokenStates {
    /// The rows of tokens.
    pub const fn of(tokens: Tokens) -> Self {
        Self(tokens)
    }
}

/// Activations of rule packs, and what is allowed all the same.
#[derive(Debug)]
pub struct RuleStates(pub(crate) StoredRules);

impl RuleStates {
    /// The rows of stored rules.
    pub const fn of(rules: StoredRules) -> Self {
        Self(rules)
    }
}

#[async_trait]
impl StateSource for RuleStates {
    fn target_types(&self) -> &[&'static str] {
        &[ACTIVATION_TARGET, ALLOWANCE_TARGET]
    }

    async fn page(&self, after: Option<&Target>, _: u32) -> Result<Vec<StateRow>, PortError> {
        // People make them by hand: one page has them all.
        if after.is_some() { Ok(Vec::new()) } else { Ok(self.0.state_rows().await?) }
    }
}

#[async_trait]
impl StateSource for TokenStates {
    fn target_types(&self) -> &[&'static str] {
        &[TOKEN_TARGET]
    }

    async fn page(&self, after: Option<&Target>, at_most: u32) -> Result<Vec<StateRow>, PortError> {
        Ok(self.0.state_rows(after, at_most).await?)
    }
}

#[async_trait]
impl StateSource for HeldStates {
    fn target_types(&self) -> &[&'static str] {
        &STATE_TARGETS
    }

    async fn page(&self, after: Option<&Target>, at_most: u32) -> Result<Vec<StateRow>, PortError> {
        Ok(self.0.state_rows(after, at_most).await?)
    }
}

#[async_trait]
impl StateSource for LimitStates {
    fn target_types(&self) -> &[&'static str] {
        &["rate-limit", "trust", "limit-override"]
    }

    async fn page(&self, after: Option<&Target>, _: u32) -> Result<Vec<StateRow>, PortError> {
        // Bounded, and small: one page has them all.
        if after.is_some() { Ok(Vec::new()) } else { Ok(self.0.state_rows().await?) }
    }
}
