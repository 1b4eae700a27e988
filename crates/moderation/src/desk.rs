//! The desk: where principals meet held content, each for what its role permits.

use clawexchange_quarantine::{OFFSET_ITEMS_MAX, Status, Vault};
use clawexchange_ssg_core::RiskTier;
use serde::Serialize;

use crate::access::Act;
use crate::confidence::Confidence;
use crate::error::ModerationError;
use crate::principal::Principal;

pub(crate) mod bots;
pub(crate) mod people;
pub(crate) mod platform;

/// Items of a page unless it is said.
const ITEMS_DEFAULT: u64 = 20;

/// How sure a program must be to decide by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "who holds programs to it and forgets a case must not compile")]
pub enum Floor {
    /// At least so sure.
    At(Confidence),
    /// It may not, however sure it is: a person decides.
    Never,
}

/// The floors of one act, by tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Floors {
    /// Content that is MODERATE or less, which is held only where somebody set other tiers.
    pub below_high: Floor,
    /// Content that is HIGH.
    pub high: Floor,
    /// Content that is CRITICAL.
    pub critical: Floor,
}

impl Floors {
    pub(crate) const fn of(&self, tier: RiskTier) -> Floor {
        match tier {
            RiskTier::Clear | RiskTier::Low | RiskTier::Moderate => self.below_high,
            RiskTier::High => self.high,
            RiskTier::Critical => self.critical,
        }
    }
}

/// What programs may decide by themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DeskConfig {
    /// How sure a program must be to release: 0.9 unless set, and CRITICAL never.
    pub release: Floors,
    /// How sure a program must be to delete: 0.8 unless set, and CRITICAL never. Escalating has no floor.
    pub delete: Floors,
}

impl Default for DeskConfig {
    fn default() -> Self {
        let floors = |permille| {
            let floor = Floor::At(Confidence::fixed(permille));
            Floors { below_high: floor, high: floor, critical: Floor::Never }
        };
        Self { release: floors(900), delete: floors(800) }
    }
}

/// Where principals look at held content and decide about it. Cheap to clone.
///
/// Each method refuses whoever may not before it looks at anything, so that a refusal says nothing about what is there.
/// The log names the principal itself as the actor; there is none that is unknown.
#[derive(Clone, Debug)]
pub struct Desk {
    vault: Vault,
    config: DeskConfig,
}

impl Desk {
    /// A desk before a vault.
    pub const fn new(vault: Vault, config: DeskConfig) -> Self {
        Self { vault, config }
    }

    /// What programs may decide by themselves here.
    pub const fn config(&self) -> &DeskConfig {
        &self.config
    }
}

/// What an act came to, in the words that the first system of this kind had.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ActionResult {
    /// Always true: what failed is an error.
    pub success: bool,
    /// What the record is now.
    pub new_status: Status,
    /// The same in a sentence.
    pub message: &'static str,
}

impl ActionResult {
    /// Says what a record has become.
    fn of(new_status: Status) -> Self {
        let message = match new_status {
            Status::Released => "Content released from quarantine",
            Status::Deleted => "Quarantined content deleted",
            _ => "Content escalated for human review",
        };
        Self { success: true, new_status, message }
    }
}

/// Refuses whoever may not.
fn allow(by: &Principal, act: Act) -> Result<(), ModerationError> {
    if by.may(act) { Ok(()) } else { Err(ModerationError::NotAllowed { act }) }
}

/// As the first system of this kind had it: 20 unless said, and what is out of range is moved into it.
fn items(limit: Option<u64>) -> u64 {
    limit.unwrap_or(ITEMS_DEFAULT).clamp(1, OFFSET_ITEMS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tier_has_its_floor_and_nobody_but_a_person_decides_about_critical() {
        let DeskConfig { release, delete } = DeskConfig::default();
        for tier in RiskTier::ALL {
            let [to_release, to_delete] = [release, delete].map(|floors| floors.of(tier));
            if tier == RiskTier::Critical {
                assert_eq!([to_release, to_delete], [Floor::Never; 2]);
            } else {
                let at = |permille| Floor::At(Confidence::fixed(permille));
                assert_eq!([to_release, to_delete], [at(900), at(800)], "{tier}");
            }
        }
    }

    #[test]
    fn a_page_has_twenty_items_unless_said_and_never_none_nor_more_than_a_hundred() {
        for (asked, given) in
            [(None, 20), (Some(0), 1), (Some(1), 1), (Some(100), 100), (Some(u64::MAX), 100)]
        {
            assert_eq!(items(asked), given, "{asked:?}");
        }
    }
}
