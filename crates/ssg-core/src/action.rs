//! What a category does besides its points.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::actor::UnknownWord;
use crate::finding::{Category, RuleMode};
use crate::inspection::RuleResult;
use crate::tier::RiskTier;

/// What a finding of a category does, besides making points.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CategoryAction {
    /// The tier is CRITICAL: the content is refused.
    Block,
    /// The tier is at least HIGH: the content is held.
    Hold,
    /// What was found is cut out and the rest passed on, if what was found is all that there is against it.
    ///
    /// Meant for credentials, personal data and contact data: of an order to other agents only its first words
    /// would be cut out.
    Redact,
}

impl CategoryAction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Block, Self::Hold, Self::Redact];

    /// The word that stands in settings and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Hold => "hold",
            Self::Redact => "redact",
        }
    }

    /// The tier that content has at least.
    const fn tier(self) -> RiskTier {
        match self {
            Self::Block => RiskTier::Critical,
            Self::Hold => RiskTier::High,
            Self::Redact => RiskTier::Clear,
        }
    }
}

impl fmt::Display for CategoryAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CategoryAction {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or(UnknownWord { known: "block|hold|redact" })
    }
}

/// What each category does.
pub(crate) type Actions = BTreeMap<Category, CategoryAction>;

/// What lifted a tier above that of the score.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lift {
    action: CategoryAction,
    cause: Cause,
}

/// For what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Cause {
    /// Something of it was found.
    Category(Category),
    /// Many post the same.
    Campaign,
}

impl Lift {
    /// What lifts `tier` the most, if anything does.
    ///
    /// Rules with points lift, even those to which caps left none: else further findings would undo an action.
    pub(crate) fn of(rules: &[RuleResult], actions: &Actions, tier: RiskTier) -> Option<Self> {
        rules
            .iter()
            .filter(|rule| rule.mode == RuleMode::Enforce && rule.points > 0)
            .filter_map(|rule| {
                Some(Self { action: *actions.get(&rule.category)?, cause: Cause::Category(rule.category) })
            })
            .filter(|lift| lift.tier() > tier)
            .max_by_key(|lift| (lift.tier(), std::cmp::Reverse(lift.cause)))
    }

    /// That of content which many post.
    pub(crate) const fn by_campaign() -> Self {
        Self { action: CategoryAction::Hold, cause: Cause::Campaign }
    }

    pub(crate) const fn tier(self) -> RiskTier {
        self.action.tier()
    }
}

impl fmt::Display for Lift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Category(category) => write!(f, "{}:{category}", self.action),
            Cause::Campaign => write!(f, "{}:campaign", self.action),
        }
    }
}
