//! How far the harm of a finding reaches and how sure it is. Its points follow from both.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::finding::Category;

/// How far the harm of a finding reaches, if it is what it looks like.
///
/// It bounds the points: by itself, a finding of severity low never leaves tier LOW, medium never MODERATE, high never
/// HIGH, with the usual bounds of tiers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "there is one for each tier that a finding may lift content to")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// It concerns somebody, and can be undone.
    Medium,
    /// It harms a person or an agent.
    High,
    /// It opens an account, a machine or an agent to others.
    Critical,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word that stands in explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The points of a finding that is certain.
    pub const fn points_max(self) -> u32 {
        match self {
            Self::Low => 29,
            Self::Medium => 59,
            Self::High => 84,
            Self::Critical => 100,
        }
    }

    /// The points of a finding: `floor(points_max × confidence / 100)`. More of either never makes fewer points.
    pub const fn points(self, confidence: Confidence) -> u32 {
        self.points_max() * confidence.0 as u32 / 100
    }

    /// What findings of a category usually are.
    pub(crate) const fn usual(category: Category) -> Self {
        match category {
            Category::Credentials | Category::Injection | Category::MaliciousCode | Category::Other => {
                Self::Critical
            }
            Category::PersonalData | Category::SocialEngineering => Self::High,
            Category::ContactData | Category::Obfuscation => Self::Medium,
        }
    }

    /// The same, or the least above it that has room for so many points.
    pub(crate) const fn with_room_for(self, points: u32) -> Self {
        let mut severity = self;
        while severity.points_max() < points {
            severity = match severity {
                Self::Low => Self::Medium,
                Self::Medium => Self::High,
                Self::High | Self::Critical => return Self::Critical,
            };
        }
        severity
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How sure a finding is to be what it looks like: 0 to 100 percent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Confidence(u8);

impl Confidence {
    /// There is no doubt.
    pub const CERTAIN: Self = Self(100);

    /// So many percent, at most 100.
    pub const fn percent(percent: u8) -> Option<Self> {
        if percent <= 100 { Some(Self(percent)) } else { None }
    }

    /// The percentage.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The least with which a finding of `severity` makes `points`, so that
    /// `severity.points(Confidence::of(points, severity))` is `points` again, for as many as the severity has room.
    pub const fn of(points: u32, severity: Severity) -> Self {
        let percent = (points * 100).div_ceil(severity.points_max());
        #[expect(clippy::cast_possible_truncation, reason = "it is at most 100")]
        Self(if percent > 100 { 100 } else { percent as u8 })
    }

    /// The same, moved by so many percentage points. What was found stays found: one percent is left.
    #[must_use]
    pub fn moved(self, by: i8) -> Self {
        let moved = i16::from(self.0) + i16::from(by);
        Self(u8::try_from(moved.clamp(1, 100)).unwrap_or(100))
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// What made a finding less or more sure than its pattern is: a discount or a lift, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Adjustment {
    /// What it is called, kebab-case, such as `told-about`.
    pub name: Cow<'static, str>,
    /// By how many percentage points: below zero it is a discount.
    pub by: i8,
}

impl Adjustment {
    /// An adjustment.
    pub fn new(name: impl Into<Cow<'static, str>>, by: i8) -> Self {
        Self { name: name.into(), by }
    }
}

/// A part of what a score was made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Evidence {
    /// The words that spoke for it, in lower case; empty for all that is not named.
    pub words: String,
    /// How much, in hundredths of a logit; below zero if they spoke against it.
    pub by: i32,
}

impl Evidence {
    /// Words, and how much they speak for a finding.
    pub fn new(words: impl Into<String>, by: i32) -> Self {
        Self { words: words.into(), by }
    }
}

/// The least points of what is proven: CRITICAL with the usual bounds of tiers.
pub(crate) const PROVEN_POINTS_MIN: u32 = 85;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_points_comes_back_from_its_two_axes() {
        for category in Category::ALL {
            for points in 0..=100 {
                let severity = Severity::usual(category).with_room_for(points);
                assert_eq!(severity.points(Confidence::of(points, severity)), points, "{category} {points}");
            }
        }
    }

    #[test]
    fn more_confidence_or_more_severity_never_makes_fewer_points() {
        let percents = || (0..=100).filter_map(Confidence::percent);
        for severity in Severity::ALL {
            assert_eq!(severity.points(Confidence::CERTAIN), severity.points_max());
            let points: Vec<u32> = percents().map(|confidence| severity.points(confidence)).collect();
            assert!(points.is_sorted(), "{severity}");
        }
        for confidence in percents() {
            assert!(Severity::ALL.map(|severity| severity.points(confidence)).is_sorted(), "{confidence}");
        }
    }

    #[test]
    fn a_severity_alone_never_leaves_its_tier() {
        use crate::tier::{RiskScore, RiskTier, TierThresholds};
        let tiers = [RiskTier::Low, RiskTier::Moderate, RiskTier::High, RiskTier::Critical];
        for (severity, tier) in Severity::ALL.into_iter().zip(tiers) {
            assert_eq!(TierThresholds::default().tier(RiskScore::new(severity.points_max())), tier);
        }
        assert_eq!(TierThresholds::default().tier(RiskScore::new(PROVEN_POINTS_MIN)), RiskTier::Critical);
    }

    #[test]
    fn a_discount_leaves_something_of_what_was_found() {
        assert_eq!(Confidence(30).moved(-100).get(), 1);
        assert_eq!(Confidence(95).moved(10).get(), 100);
        assert_eq!(Confidence(60).moved(-25).get(), 35);
    }
}
