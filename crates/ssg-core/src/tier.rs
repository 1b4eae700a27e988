//! From a score to a tier, from a tier to a verdict. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::actor::UnknownWord;

/// The sum of what was found: an integer, never negative, never shown to callers.
///
/// ```compile_fail
/// fn leak<T: serde::Serialize>() {}
/// leak::<clawexchange_ssg_core::RiskScore>();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RiskScore(u32);

impl RiskScore {
    /// Makes a score.
    pub const fn new(points: u32) -> Self {
        Self(points)
    }

    /// The points.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// How dangerous content is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(clippy::exhaustive_enums, reason = "who handles tiers and forgets one must not compile")]
pub enum RiskTier {
    /// Nothing was found.
    Clear,
    /// Something that is common in harmless posts.
    Low,
    /// Something a reader should be warned of.
    Moderate,
    /// Somebody must look before it is shown.
    High,
    /// It must not be shown.
    Critical,
}

impl RiskTier {
    /// All of them, from harmless to worst.
    pub const ALL: [Self; 5] = [Self::Clear, Self::Low, Self::Moderate, Self::High, Self::Critical];

    /// What is done with content of this tier.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Clear | Self::Low => Verdict::Pass,
            Self::Moderate => Verdict::Warn,
            Self::High => Verdict::Quarantine,
            Self::Critical => Verdict::Block,
        }
    }

    /// The word that stands in results and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "CLEAR",
            Self::Low => "LOW",
            Self::Moderate => "MODERATE",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

impl fmt::Display for RiskTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RiskTier {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.as_str() == text)
            .ok_or(UnknownWord { known: "CLEAR|LOW|MODERATE|HIGH|CRITICAL" })
    }
}

/// What is done with content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(clippy::exhaustive_enums, reason = "who handles verdicts and forgets one must not compile")]
pub enum Verdict {
    /// It is passed on.
    Pass,
    /// It is passed on with a warning.
    Warn,
    /// It is held, sealed, until somebody decides.
    Quarantine,
    /// It is refused.
    Block,
}

impl Verdict {
    /// All of them, from harmless to worst.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Warn, Self::Quarantine, Self::Block];

    /// The word that stands in results and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Quarantine => "QUARANTINE",
            Self::Block => "BLOCK",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verdict {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = "PASS|WARN|QUARANTINE|BLOCK";
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text).ok_or(UnknownWord { known })
    }
}

/// Where each tier begins. CLEAR begins at 0 and each tier ends where the next begins, so that every score has
/// exactly one tier: a gap, an overlap or a missing CLEAR cannot be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(try_from = "Bounds", into = "Bounds")]
pub struct TierThresholds(Bounds);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct Bounds {
    low: u32,
    moderate: u32,
    high: u32,
    critical: u32,
}

/// The bounds are not in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "tiers must begin in order: 1 <= low < moderate < high < critical, not {low}, {moderate}, {high}, {critical}"
)]
#[non_exhaustive]
pub struct ThresholdError {
    /// What was asked for.
    pub low: u32,
    /// What was asked for.
    pub moderate: u32,
    /// What was asked for.
    pub high: u32,
    /// What was asked for.
    pub critical: u32,
}

impl TierThresholds {
    /// Takes the first score of each tier above CLEAR.
    pub const fn new(low: u32, moderate: u32, high: u32, critical: u32) -> Result<Self, ThresholdError> {
        if low >= 1 && low < moderate && moderate < high && high < critical {
            Ok(Self(Bounds { low, moderate, high, critical }))
        } else {
            Err(ThresholdError { low, moderate, high, critical })
        }
    }

    /// The tier of a score.
    pub const fn tier(&self, score: RiskScore) -> RiskTier {
        let s = score.get();
        if s >= self.0.critical {
            RiskTier::Critical
        } else if s >= self.0.high {
            RiskTier::High
        } else if s >= self.0.moderate {
            RiskTier::Moderate
        } else if s >= self.0.low {
            RiskTier::Low
        } else {
            RiskTier::Clear
        }
    }
}

impl Default for TierThresholds {
    fn default() -> Self {
        Self(Bounds { low: 1, moderate: 30, high: 60, critical: 85 })
    }
}

impl TryFrom<Bounds> for TierThresholds {
    type Error = ThresholdError;

    fn try_from(b: Bounds) -> Result<Self, ThresholdError> {
        Self::new(b.low, b.moderate, b.high, b.critical)
    }
}

impl From<TierThresholds> for Bounds {
    fn from(t: TierThresholds) -> Self {
        t.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_has_a_tier_and_the_bounds_are_the_documented_ones() {
        let t = TierThresholds::default();
        for (score, tier) in [
            (0, RiskTier::Clear),
            (1, RiskTier::Low),
            (29, RiskTier::Low),
            (30, RiskTier::Moderate),
            (59, RiskTier::Moderate),
            (60, RiskTier::High),
            (84, RiskTier::High),
            (85, RiskTier::Critical),
            (10_000, RiskTier::Critical),
            (u32::MAX, RiskTier::Critical),
        ] {
            assert_eq!(t.tier(RiskScore::new(score)), tier, "{score}");
        }
    }

    #[test]
    fn verdicts_follow_the_tiers() {
        let verdicts = RiskTier::ALL.map(RiskTier::verdict);
        assert_eq!(
            verdicts,
            [Verdict::Pass, Verdict::Pass, Verdict::Warn, Verdict::Quarantine, Verdict::Block]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_four_bounds_are_either_refused_or_map_every_score_in_order(
            low in 0u32..200, moderate in 0u32..200, high in 0u32..200, critical in 0u32..200, score in 0u32..300,
        ) {
            match TierThresholds::new(low, moderate, high, critical) {
                Ok(t) => {
                    let (here, next) = (t.tier(RiskScore::new(score)), t.tier(RiskScore::new(score + 1)));
                    proptest::prop_assert!(here <= next);
                    proptest::prop_assert_eq!(t.tier(RiskScore::new(0)), RiskTier::Clear);
                }
                Err(_) => proptest::prop_assert!(!(low >= 1 && low < moderate && moderate < high && high < critical)),
            }
        }
    }
}
