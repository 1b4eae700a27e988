//! Notices that other packs are active or something else is allowed, and has them judge.

use std::sync::Arc;

use clawexchange_database::rules::Revision;
use clawexchange_detectors::OwnPacks;
use clawexchange_ssg_core::{Clock as _, Timestamp};

use super::error::RulesError;
use super::{ActiveRules, StoredRules};
use crate::error::PartsError;
use crate::parts::Parts;
use crate::pipeline::Pipeline;

/// What a look found.
pub(crate) enum Looked {
    /// What judges is what is kept.
    Same,
    /// Something else is kept, and judges from now on.
    Changed,
    /// Packs are active that cannot be used, for this reason; the last good ones go on to judge. Said once a revision.
    Refused(RulesError),
}

/// Keeps the rules of a pipeline those of the database: look once a second.
pub(crate) struct RulesWatch {
    parts: Arc<Parts>,
    pipeline: Pipeline,
    stored: StoredRules,
    own: OwnPacks,
    seen: Option<Revision>,
    until: Option<Timestamp>,
    ends: Option<Timestamp>,
}

impl RulesWatch {
    /// Follows the database for this pipeline, which judges with what was kept when it was opened.
    pub(crate) async fn new(parts: &Arc<Parts>, pipeline: &Pipeline) -> Result<Self, PartsError> {
        let (stored, active) = (parts.stored_rules().await?, pipeline.rules());
        let (parts, pipeline) = (Arc::clone(parts), pipeline.clone());
        let (own, seen, until, ends) = (active.own.clone(), active.revision, active.until, active.ends);
        Ok(Self { parts, pipeline, stored, own, seen, until, ends })
    }

    /// Reads what is kept if it was changed since the last look or an allowance has ended, checks it as a whole, and has it
    /// judge. What is being inspected meanwhile is judged by the rules it began with, all of it.
    ///
    /// # Errors
    ///
    /// The database does not answer: nothing is changed, and the next look asks again.
    pub(crate) async fn look(&mut self) -> Result<Looked, PartsError> {
        let revision = self.stored.revision().await?;
        let now = self.parts.clock().await?.now();
        let is_same = self.seen == Some(revision);
        if is_same && self.until.is_none_or(|until| now < until) {
            return Ok(Looked::Same);
        }
        let kept = self.stored.load().await?;
        let ends = kept.activation.and_then(|a| a.signed).map(|signed| signed.not_after);
        let (own, refused) = match kept.own {
            Ok(own) => (own, None),
            // What is allowed is heeded all the same: it may have ended.
            Err(error) => (self.own.clone(), Some(error)),
        };
        let before = self.pipeline.inspector().config().policy.clone();
        let inspector = self.parts.inspector_with(own.clone(), kept.allowed).await?;
        let policy = inspector.config().policy.clone();
        let active = ActiveRules {
            own: own.clone(),
            revision: Some(kept.revision),
            until: kept.until,
            ends: if refused.is_some() { self.ends } else { ends },
            is_refused: refused.is_some(),
        };
        self.pipeline.judge_with(inspector, active);
        let metrics = self.parts.metrics();
        if before != policy {
            metrics.set("claw_policy_info", &[("policy", &before)], 0);
            metrics.set("claw_policy_info", &[("policy", &policy)], 1);
        }
        if refused.is_none() {
            self.ends = ends;
        }
        (self.own, self.seen, self.until) = (own, Some(kept.revision), kept.until);
        Ok(match refused {
            Some(error) if !is_same => Looked::Refused(error),
            Some(_) => Looked::Same,
            None if before == policy => Looked::Same,
            None => Looked::Changed,
        })
    }
}
