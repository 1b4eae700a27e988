//! Three results of one inspection: for callers, for the pipeline, for operators.

use std::fmt;

use serde::Serialize;

use crate::action::Lift;
use crate::campaign::{CAMPAIGN, Campaign};
use crate::clock::Timestamp;
use crate::explain::{Position, Suppressed};
use crate::finding::{Category, RuleMode};
use crate::id::{InspectionId, QuarantineId};
use crate::rating::{Adjustment, Confidence, Severity};
use crate::redact::{REDACTED, Sanitized};
use crate::tier::{RiskScore, RiskTier, TierThresholds, Verdict};

/// What a caller may see. It has no score, and no text of the content but what is left of it in `sanitized`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Inspection {
    /// This inspection; the id of its event in the log.
    pub inspection_id: InspectionId,
    /// How dangerous the content is.
    pub tier: RiskTier,
    /// What is done with it.
    pub verdict: Verdict,
    /// Why, in words for programs: unique and sorted.
    pub labels: Vec<String>,
    /// Where, sorted by field, start and pattern: at most 100.
    pub matches: Vec<Match>,
    /// There were more matches than are listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The rules that judged: `<pack>@<version>+<hash>`.
    pub policy: String,
    /// When it was judged.
    pub timestamp: Timestamp,
    /// What to ask for when it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine_id: Option<QuarantineId>,
    /// What would be done with it if this were not a trial run, in which everything is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_be: Option<Verdict>,
    /// What is passed on in place of the content, from which something was cut out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sanitized: Option<Sanitized>,
    /// How often the same was submitted within an hour, if that was often enough to be a campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<Campaign>,
}

/// One place at which a pattern was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Match {
    /// The plugin that found it.
    pub plugin: String,
    /// What it found.
    pub pattern_id: String,
    /// What sort of trouble it is.
    pub category: Category,
    /// RFC 6901 pointer of the member.
    pub field: String,
    /// First byte, in the value's UTF-8 after JSON decoding.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// What may be shown of it: the public prefix of its format at most.
    pub redacted: String,
    /// It stands in the name of the member.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_key: bool,
    /// It runs over the end of its field into the next.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
}

/// What the pipeline knows: the inspection, and how it came about. It has no `Serialize`, so no handler can send it.
///
/// ```compile_fail
/// fn leak<T: serde::Serialize>() {}
/// leak::<clawexchange_ssg_core::Assessment>();
/// ```
#[derive(Clone)]
pub struct Assessment {
    pub(crate) inspection: Inspection,
    pub(crate) score: RiskScore,
    pub(crate) rules: Vec<RuleResult>,
    pub(crate) failures: Vec<PluginFault>,
    pub(crate) lifted: Option<Lift>,
}

impl Assessment {
    /// What a caller may see.
    pub const fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// What a caller may see, alone.
    pub fn into_inspection(self) -> Inspection {
        self.inspection
    }

    /// What is done with the content.
    pub const fn verdict(&self) -> Verdict {
        self.inspection.verdict
    }

    /// The sum of all points.
    pub const fn score(&self) -> RiskScore {
        self.score
    }

    /// What was found, a rule each, strongest first; rules that only watch are among them.
    pub fn rules(&self) -> &[RuleResult] {
        &self.rules
    }

    /// Plugins that gave no result.
    pub fn failures(&self) -> &[PluginFault] {
        &self.failures
    }

    /// Whether a failed plugin, and not what was found, made the tier what it is.
    pub fn is_by_failure(&self, thresholds: &TierThresholds) -> bool {
        !self.failures.is_empty() && self.tier_of_finds(thresholds) < self.inspection.tier
    }

    /// The tier as it is without failed plugins.
    fn tier_of_finds(&self, thresholds: &TierThresholds) -> RiskTier {
        let by_score = thresholds.tier(self.score);
        self.lifted.map_or(by_score, |lift| by_score.max(lift.tier()))
    }

    /// Many post the same.
    pub(crate) fn in_campaign(&mut self, campaign: Campaign, thresholds: &TierThresholds) {
        if campaign.is_to_hold {
            let lift = Lift::by_campaign();
            if self.tier_of_finds(thresholds) < lift.tier() {
                self.lifted = Some(lift);
            }
            let inspection = &mut self.inspection;
            inspection.tier = inspection.tier.max(lift.tier());
            inspection.verdict = inspection.tier.verdict();
            // It is held as it came, and not passed on without what was cut out.
            inspection.sanitized = None;
            inspection.labels.retain(|label| label != REDACTED);
        }
        self.inspection.labels.push(CAMPAIGN.to_owned());
        self.inspection.labels.sort_unstable();
        self.inspection.labels.dedup();
        self.inspection.campaign = Some(campaign);
    }

    /// Where the content is held.
    pub(crate) fn held_as(&mut self, id: QuarantineId) {
        self.inspection.quarantine_id = Some(id);
    }

    /// Nothing follows from the verdict.
    pub(crate) fn only_watched(&mut self) {
        self.inspection.would_be = Some(self.inspection.verdict);
        self.inspection.verdict = Verdict::Pass;
        self.inspection.sanitized = None;
    }

    /// What is known of it in a form that can be printed, for operators only. [`crate::Inspector::explain`] knows
    /// more: where places stand in lines, and what was not reported.
    pub fn explain(&self) -> Explanation {
        Explanation {
            inspection: self.inspection.clone(),
            score: self.score.get(),
            rules: self.rules.clone(),
            failures: self.failures.clone(),
            lifted: self.lifted.map(|lift| lift.to_string()),
            suppressed: Vec::new(),
            suppressed_truncated: false,
        }
    }
}

impl fmt::Debug for Assessment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assessment")
            .field("inspection_id", &self.inspection.inspection_id)
            .field("tier", &self.inspection.tier)
            .finish_non_exhaustive()
    }
}

/// An inspection with its points and proofs, for operators.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explanation {
    /// What callers see.
    #[serde(flatten)]
    pub inspection: Inspection,
    /// The sum of all points.
    pub score: u32,
    /// What was found, strongest first; the deltas add up to the score.
    pub rules: Vec<RuleResult>,
    /// Plugins that gave no result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<PluginFault>,
    /// What lifted the tier above that of the score, such as `block:credentials` or `hold:campaign`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifted: Option<String>,
    /// What was come upon and not reported, by field and place: at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<Suppressed>,
    /// There was more of that than is listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suppressed_truncated: bool,
}

/// What one rule did to the score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RuleResult {
    /// The plugin that has the rule.
    pub plugin: String,
    /// The rule.
    pub pattern_id: String,
    /// What sort of trouble it is.
    pub category: Category,
    /// The version of its text, for rules that come in packs: 8 hexadecimal digits of a hash over what it looks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// From which level of paranoia on it is looked for, for rules that come in packs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// How far the harm of its strongest place reaches.
    pub severity: Severity,
    /// How sure its strongest place is, in percent.
    pub confidence: Confidence,
    /// Those of its strongest place.
    pub points: u32,
    /// What it gave to the score, after caps.
    pub delta: u32,
    /// How often it was found.
    pub count: u64,
    /// Whether it counts.
    pub mode: RuleMode,
    /// The places that were kept.
    pub places: Vec<Place>,
    /// What was found goes on behind its places.
    #[serde(skip)]
    pub(crate) is_open_ended: bool,
    /// What each of its matches has passed.
    #[serde(skip)]
    pub(crate) validators: Vec<&'static str>,
}

/// One place, and how it was seen there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Place {
    /// RFC 6901 pointer of the member.
    pub field: String,
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// What may be shown of it.
    pub redacted: String,
    /// Through which decodings it was seen, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
    /// Which proofs it passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// Which other checks of its rule it passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<String>,
    /// Which proofs it did not pass.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// How far its harm reaches.
    pub severity: Severity,
    /// How sure it is, in percent.
    pub confidence: Confidence,
    /// What lowered that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Adjustment>,
    /// What raised it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lifts: Vec<Adjustment>,
    /// The rule whose finding it would be but for a discount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    /// It is beyond doubt.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proven: bool,
    /// Its points; a rule makes those of its strongest place.
    pub points: u32,
    /// What it gave to the score: the strongest place of a rule gives all that the rule gave.
    pub delta: u32,
    /// Where it stands in lines, once somebody asked.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// It stands in the name of the member.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_key: bool,
    /// It runs over the end of its field into the next.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
}

/// A plugin that gave no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PluginFault {
    /// The plugin.
    pub plugin: String,
    /// Why, without content.
    pub reason: String,
    /// Whether it lifted the tier.
    pub held: bool,
}
