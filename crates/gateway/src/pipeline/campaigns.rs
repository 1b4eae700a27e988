//! Campaigns: sketches of the detectors, counted by the limiter's stores, judged for the gate.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use clawexchange_audit::AuditLog;
use clawexchange_detectors::{Detectors, Sketcher};
use clawexchange_quarantine::QuarantineRecord;
use clawexchange_rate_limiter::{CampaignCounter, CampaignRules, MemorySightings, RedisStore};
use clawexchange_ssg_core::{
    Campaign, Campaigns, ContentEnvelope, Fault as _, FaultKind, KeyProvider, PageLimit, PortError, Posted,
    Sketch,
};

use super::Pipeline;
use super::history::{RELEASES, forgiven, past};
use crate::error::PartsError;
use crate::metrics::Metrics;

/// What sketches and what hashes of names hang on, so that nobody who posts can tell or choose them.
const SKETCHES: &[u8] = b"claw/campaign-sketches/v1";
const NAMES: &[u8] = b"claw/campaign-names/v1";

/// What is larger is looked at on a thread for blocking work, as inspections are.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// The label by which a held record is known to have been part of a campaign.
const LABEL: &str = "CAMPAIGN";

/// Counts who posts the same, and says what it means.
#[derive(Clone, Debug)]
pub(crate) struct Lookout {
    sketcher: Sketcher,
    /// Those that judge, since hosts may be allowed for a while.
    detectors: Arc<RwLock<Detectors>>,
    counter: CampaignCounter,
    metrics: Metrics,
}

impl Lookout {
    /// One that counts in this process, and in Redis if there is one. All that share it have the same keys.
    pub(crate) async fn open(
        rules: CampaignRules,
        keys: &impl KeyProvider,
        detectors: Detectors,
        redis: Option<RedisStore>,
        metrics: Metrics,
    ) -> Result<Self, PortError> {
        let active = keys.active();
        let sketcher = Sketcher::new(&keys.mac(&active, SKETCHES, b"").await?.tag);
        let names = keys.mac(&active, NAMES, b"").await?.tag;
        let own = MemorySightings::new();
        let counter = match redis {
            Some(store) => CampaignCounter::shared(rules, &names, own, store),
            None => CampaignCounter::in_process(rules, &names, own),
        };
        let detectors = Arc::new(RwLock::new(detectors));
        Ok(Self { sketcher, detectors, counter, metrics })
    }

    /// Goes by other rules from the next content on.
    pub(super) fn judge_with(&self, detectors: Detectors) {
        *self.detectors.write().unwrap_or_else(PoisonError::into_inner) = detectors;
    }

    async fn sketch(&self, content: &ContentEnvelope) -> Option<Sketch> {
        let (sketcher, its_content) = (self.sketcher.clone(), content.clone());
        beside(content, move || sketcher.sketch(&its_content)).await
    }

    async fn carries_lure(&self, posted: Posted<'_>) -> bool {
        let detectors = self.detectors.read().unwrap_or_else(PoisonError::into_inner).clone();
        let content = posted.content.clone();
        let seen = posted.assessment.clone();
        beside(posted.content, move || detectors.carries_lure(&content, &seen)).await
    }
}

/// Does work here, or beside the others if the content is large.
async fn beside<T: Send + 'static>(
    content: &ContentEnvelope,
    work: impl Fn() -> T + Clone + Send + 'static,
) -> T {
    if content.size_bytes() <= INLINE_BYTES_MAX {
        return work();
    }
    // If the runtime is shutting down and takes no more work, it is done here.
    let again = work.clone();
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| again())
}

#[async_trait]
impl Campaigns for Lookout {
    async fn count(&self, posted: Posted<'_>) -> Option<Campaign> {
        let sketch = self.sketch(posted.content).await?;
        let seen = self.counter.see(&sketch, posted.agent, posted.owner, posted.inspection).await;
        self.metrics.total("claw_campaign_alone_total", &[], self.counter.counted_alone());
        if !self.counter.rules().is_campaign(&seen) {
            return None;
        }
        let mut campaign = Campaign::new(seen.owners, seen.agents, seen.times, seen.own_times);
        (campaign.or_more, campaign.bits) = (seen.or_more, sketch.bits());
        campaign.is_to_hold = self.counter.rules().may_hold(&seen)
            && self.carries_lure(posted).await
            && !self.counter.is_released(&sketch).await;
        let outcome = if campaign.is_to_hold { "hold" } else { "label" };
        self.metrics.count("claw_campaign_texts_total", &[("outcome", outcome)], 1);
        Some(campaign)
    }
}

impl Pipeline {
    /// Heeds that held content was found harmless: nearly the same text is not held as a campaign.
    pub(super) async fn heed_release(&self, record: &QuarantineRecord) -> Result<(), PartsError> {
        let Some(lookout) = &self.0.campaigns else { return Ok(()) };
        if !record.labels.iter().any(|label| label == LABEL) {
            return Ok(());
        }
        match campaign_of(&self.0.log, record).await? {
            Some(campaign) => Ok(lookout.counter.release(campaign.bits).await?),
            None => Ok(()),
        }
    }

    /// Heeds the newest releases of the last week again, where what was known of them may be lost.
    pub(super) async fn heed_releases_again(&self) -> Result<(), PartsError> {
        if self.0.campaigns.is_none() {
            return Ok(());
        }
        let most = PageLimit::new(u64::from(PageLimit::MAX)).unwrap_or_default();
        let page = self.0.log.query(&past(&RELEASES), None, most).await?;
        // The oldest first, as they came: where there are too many, the newest are remembered.
        for id in page.items.iter().rev().filter_map(forgiven) {
            match self.0.vault.show(id).await {
                Ok(record) => self.heed_release(&record).await?,
                Err(error) if error.kind() == FaultKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Of which campaign held content was a part, as its verdict says.
async fn campaign_of(log: &AuditLog, record: &QuarantineRecord) -> Result<Option<Campaign>, PartsError> {
    let verdict = log.find(record.inspection_id.into()).await?;
    Ok(verdict.and_then(|entry| Campaign::of_event(&entry.metadata)))
}
