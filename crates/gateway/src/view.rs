//! What is shown of results, where less is shown than there is or under other names.

use clawexchange_rate_limiter::{AgentStatus, TierStatus, WindowStatus};
use clawexchange_ssg_core::{
    AgentId, Assessment, Category, InspectionId, Match, QuarantineId, Timestamp, TrustLevel, Verdict,
};
use serde::Serialize;
use serde_json::{Value, json};

/// A value as JSON. Nothing that is shown can fail to be written.
pub(crate) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// The categories that something was found of.
pub(crate) fn categories_of(assessment: &Assessment) -> Vec<Category> {
    let mut categories: Vec<Category> =
        assessment.rules().iter().filter(|rule| rule.delta > 0).map(|rule| rule.category).collect();
    categories.sort_unstable();
    categories.dedup();
    categories
}

/// What an agent is told of its own content: the verdict, and where it can mend what it leaked by mistake. Which rule
/// found it is not said, lest it be worked around.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(PartialEq))]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgentView {
    inspection_id: InspectionId,
    verdict: Verdict,
    categories: Vec<Category>,
    matches: Vec<AgentMatch>,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine_id: Option<QuarantineId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_be: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sanitized: Option<Value>,
}

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(PartialEq))]
#[serde(rename_all = "camelCase")]
struct AgentMatch {
    category: Category,
    field: String,
    start: usize,
    end: usize,
    redacted: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    in_key: bool,
}

impl AgentView {
    pub(crate) fn of(assessment: &Assessment) -> Self {
        let inspection = assessment.inspection();
        Self {
            inspection_id: inspection.inspection_id,
            verdict: inspection.verdict,
            categories: categories_of(assessment),
            matches: inspection.matches.iter().filter_map(AgentMatch::of).collect(),
            timestamp: inspection.timestamp,
            quarantine_id: inspection.quarantine_id,
            would_be: inspection.would_be,
            sanitized: inspection.sanitized.as_ref().map(json),
        }
    }
}

impl AgentMatch {
    fn of(found: &Match) -> Option<Self> {
        let is_a_leak =
            matches!(found.category, Category::Credentials | Category::PersonalData | Category::ContactData);
        is_a_leak.then(|| Self {
            category: found.category,
            field: found.field.clone(),
            start: found.start,
            end: found.end,
            redacted: found.redacted.clone(),
            in_key: found.in_key,
        })
    }
}

/// How an agent stands, as `claw limits status --output json` says it too.
pub fn limits_json(agent: &AgentId, trust: TrustLevel, status: &AgentStatus) -> Value {
    let window = |w: WindowStatus| {
        json!({
            "used": w.used, "limit": w.limit, "remaining": w.remaining(),
            "freesInSeconds": w.frees_in.map(|d| d.as_millis().div_ceil(1000)),
        })
    };
    let tier = |t: &TierStatus| {
        let owner = t.owner.map(|o| json!({"hour": window(o.hour), "minute": window(o.minute)}));
        json!({
            "tier": t.tier.as_str(), "hour": window(t.hour), "minute": window(t.minute), "owner": owner,
            "overriddenUntil": t.overridden_until,
        })
    };
    json!({
        "agentId": agent, "trust": trust, "tiers": status.tiers.iter().map(tier).collect::<Vec<_>>(),
        "penalties": {
            "moderateUntil": status.moderate_until, "highUntil": status.high_until,
            "repeatedUntil": status.repeated_until,
        },
        "suspended": status.suspended.map(|suspended| json!({"until": suspended.until})),
        "degraded": status.tiers.iter().any(|tier| tier.is_degraded),
    })
}
