//! Notices that other packs are active or something else is allowed, and has them judge.

use std::sync::Arc;

use clawexchange_ssg_core::Clock as _;

use super::error::RulesError;
use super::{ActiveRules, Kept, StoredRules, end_of};
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
}

impl RulesWatch {
    /// Follows the database for this pipeline, which judges with what was kept when it was opened.
    pub(crate) async fn new(parts: &Arc<Parts>, pipeline: &Pipeline) -> Result<Self, PartsError> {
        let stored = parts.stored_rules().await?;
        Ok(Self { parts: Arc::clone(parts), pipeline: pipeline.clone(), stored })
    }

    /// Reads what is kept if it was changed since the last look or an allowance has ended, checks it as a whole, and has it
    /// judge. What is being inspected meanwhile is judged by the rules it began with, all of it.
    ///
    /// # Errors
    ///
    /// The database does not answer: nothing is changed, and the next look asks again.
    pub(crate) async fn look(&self) -> Result<Looked, PartsError> {
        let revision = self.stored.revision().await?;
        let now = self.parts.clock().await?.now();
        let before = self.pipeline.rules();
        let is_same = before.revision == Some(revision);
        if is_same && before.until.is_none_or(|until| now < until) {
            return Ok(Looked::Same);
        }
        let Kept { revision, activation, own, allowed, until } = self.stored.load().await?;
        let ready = match own {
            Ok(own) => match self.parts.judging_with(own.clone(), allowed.clone()).await {
                // They can be read, and not beside the rules of this release.
                Err(PartsError::Detectors(error)) => Err(error.into()),
                made => Ok((own, made?)),
            },
            Err(error) => Err(error),
        };
        let (own, judging, ends, refused) = match ready {
            Ok((own, judging)) => (own, judging, end_of(activation), None),
            Err(error) => {
                // What is allowed is heeded all the same: it may have ended.
                let own = before.own.clone();
                let judging = self.parts.judging_with(own.clone(), allowed).await?;
                (own, judging, before.ends, Some(error))
            }
        };
        let policies =
            [self.pipeline.inspector(), judging.inspector.clone()].map(|i| i.config().policy.clone());
        let is_refused = refused.is_some();
        let active = ActiveRules { own, revision: Some(revision), until, ends, is_refused };
        self.pipeline.judge_with(judging, active);
        let is_other = policies[0] != policies[1];
        if is_other {
            let metrics = self.parts.metrics();
            metrics.set("claw_policy_info", &[("policy", &policies[0])], 0);
            metrics.set("claw_policy_info", &[("policy", &policies[1])], 1);
        }
        Ok(match refused {
            Some(error) if !is_same => Looked::Refused(error),
            None if is_other => Looked::Changed,
            _ => Looked::Same,
        })
    }
}
