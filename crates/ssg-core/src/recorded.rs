//! A verdict that was reached before, told again.

use crate::campaign::Campaign;
use crate::clock::Timestamp;
use crate::gate::Outcome;
use crate::id::QuarantineId;
use crate::inspection::Assessment;
use crate::tier::{RiskTier, Verdict};

/// What a log says of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// What was done with the content.
    pub verdict: Verdict,
    /// How dangerous it was judged.
    pub tier: RiskTier,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub labels: Vec<String>,
    /// Where it is held.
    pub hold: Option<QuarantineId>,
    /// The same content was held already.
    pub is_repeat: bool,
    /// What would have been done, had it not only been watched.
    pub would_be: Option<Verdict>,
    /// It was passed on with what was found cut out.
    pub is_sanitized: bool,
    /// Of which campaign it was a part.
    pub campaign: Option<Campaign>,
    /// The rules that judged.
    pub policy: Option<String>,
}

impl Recorded {
    /// A verdict of which nothing else is known.
    pub const fn new(verdict: Verdict, tier: RiskTier, at: Timestamp) -> Self {
        Self {
            verdict,
            tier,
            at,
            labels: Vec::new(),
            hold: None,
            is_repeat: false,
            would_be: None,
            is_sanitized: false,
            campaign: None,
            policy: None,
        }
    }
}

impl Outcome {
    /// The outcome that was recorded, with the places that judging the same content `again` finds: whoever lost the
    /// first answer is told the same once more, whatever the rules say by now. `None` if it was passed on with what was
    /// found cut out, and cannot be cut out in the same way by now: without that it must not be passed on.
    pub fn recorded(mut again: Assessment, said: Recorded) -> Option<Self> {
        let inspection = &mut again.inspection;
        if said.is_sanitized && inspection.sanitized.is_none() {
            return None;
        }
        inspection.sanitized = inspection.sanitized.take().filter(|_| said.is_sanitized);
        inspection.verdict = said.verdict;
        inspection.tier = said.tier;
        inspection.timestamp = said.at;
        inspection.labels = said.labels;
        inspection.quarantine_id = said.hold;
        inspection.would_be = said.would_be;
        inspection.campaign = said.campaign;
        if let Some(policy) = said.policy {
            inspection.policy = policy;
        }
        Some(Self { assessment: again, is_repeat: said.is_repeat, is_held: said.hold.is_some() })
    }
}
