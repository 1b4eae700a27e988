//! Which rules judge: those that ship, as they are set, packs of one's own, and what is allowed all the same.

mod error;
mod signed;
mod stored;
mod watch;

use std::time::Duration;

use clawexchange_database::rules::{Activation, Revision};
use clawexchange_detectors::{AllowList, Detectors, DetectorsConfig, OwnPacks};
use clawexchange_ssg_core::{Inspector, InspectorConfig, PluginFailure, PluginRegistry, Timestamp};

pub use self::error::RulesError;
pub use self::signed::{Trust, sign_packs};
pub use self::stored::{
    ALLOWANCE_DAYS_MAX, ALLOWANCES_MAX, ALLOWED_BYTES_MAX, AllowWhat, Kept, OWNER_CHARS_MAX,
    REASON_CHARS_MAX, StoredRules,
};
pub(crate) use self::watch::{Looked, RulesWatch};
use crate::error::PartsError;
use crate::parts::Parts;
use crate::remote::{REMOTE, SharedRemote};
use crate::settings::Settings;

/// The rules of one's own with which a pipeline judges.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActiveRules {
    /// The packs.
    pub(crate) own: OwnPacks,
    /// Which change of the database was the last that is heeded.
    pub(crate) revision: Option<Revision>,
    /// When the next allowance ends.
    pub(crate) until: Option<Timestamp>,
    /// When the signature of the packs ends.
    pub(crate) ends: Option<Timestamp>,
    /// Other packs are active that cannot be used.
    pub(crate) is_refused: bool,
}

/// What judges: the rules, and the inspector that has them.
#[derive(Clone, Debug)]
pub(crate) struct Judging {
    pub(crate) detectors: Detectors,
    pub(crate) inspector: Inspector,
}

/// When the signature of what is active ends.
fn end_of(activation: Option<Activation>) -> Option<Timestamp> {
    activation?.signed.map(|signed| signed.not_after)
}

/// How much longer than its own deadline the classifier's plugin may take, on a machine that has much to do.
const REMOTE_SLACK: Duration = Duration::from_millis(50);

/// The rules as they are set, `own` packs beside them, less what is allowed.
fn detectors(settings: &Settings, own: OwnPacks, allowed: AllowList) -> Result<Detectors, PartsError> {
    let mut config = DetectorsConfig::default();
    config.modes.clone_from(&settings.rules);
    config.hosts = settings.host_policy()?;
    config.levels = settings.levels;
    config.own = own;
    config.allowed = allowed;
    Ok(Detectors::configured(config)?)
}

fn inspector(
    settings: &Settings,
    detectors: &Detectors,
    remote: Option<SharedRemote>,
) -> Result<Inspector, PartsError> {
    let mut plugins = detectors.register(PluginRegistry::new())?;
    for (id, setting) in &settings.plugins {
        if !setting.enabled {
            plugins = plugins.without(id);
        } else if setting.on_failure != PluginFailure::Hold {
            plugins = plugins.on_failure(id, setting.on_failure)?;
        }
    }
    let mut config = InspectorConfig::default();
    config.thresholds = settings.thresholds;
    config.actions = settings.category_actions();
    config.policy = detectors.policy();
    if let Some(remote) = remote {
        // It keeps its own time; the limit of plugins is for one that hangs all the same.
        config.plugin_timeout = config.plugin_timeout.max(remote.deadline() + REMOTE_SLACK);
        let on_failure = match &settings.remote {
            Some(settings) if remote.counts() => settings.on_failure,
            // What is only watched holds nothing.
            _ => PluginFailure::Ignore,
        };
        plugins = plugins.with(remote)?.on_failure(REMOTE, on_failure)?;
    }
    Ok(Inspector::new(plugins, config))
}

impl Parts {
    /// The rules as they are set, and `own` packs beside them. Opens no data.
    pub fn detectors_with(&self, own: OwnPacks) -> Result<Detectors, PartsError> {
        detectors(self.settings(), own, AllowList::default())
    }

    /// The same, less what is allowed all the same.
    pub fn detectors_of(&self, own: OwnPacks, allowed: AllowList) -> Result<Detectors, PartsError> {
        detectors(self.settings(), own, allowed)
    }

    /// The rules that ship, as they are set. Opens no data.
    pub async fn detectors(&self) -> Result<&Detectors, PartsError> {
        self.shipped().get_or_try_init(|| async { self.detectors_with(OwnPacks::default()) }).await
    }

    /// Judges with these rules, as it is set. Opens no data.
    pub fn inspector_of(&self, detectors: &Detectors) -> Result<Inspector, PartsError> {
        inspector(self.settings(), detectors, None)
    }

    /// Judges with the rules that ship. Opens no data.
    pub async fn inspector(&self) -> Result<Inspector, PartsError> {
        self.inspector_of(self.detectors().await?)
    }

    /// Judges with packs of one's own, less what is allowed, and asks the classifier if there is one. The rules are read on
    /// a thread for blocking work, so that nobody who submits waits for it.
    pub(crate) async fn judging_with(
        &self,
        own: OwnPacks,
        allowed: AllowList,
    ) -> Result<Judging, PartsError> {
        let (settings, remote) = (self.settings().clone(), self.remote().await?);
        let make = move || {
            let detectors = detectors(&settings, own, allowed)?;
            let inspector = inspector(&settings, &detectors, remote)?;
            Ok(Judging { detectors, inspector })
        };
        tokio::task::spawn_blocking(make).await.unwrap_or(Err(RulesError::Stopped.into()))
    }

    /// Rules as they are kept in the database. Each change has its event in the log.
    pub async fn stored_rules(&self) -> Result<StoredRules, PartsError> {
        let (keys, clock) = (self.keys().await?.clone(), self.clock().await?.clone());
        let trust = self.settings().rule_trust.clone();
        Ok(StoredRules::new(self.database().await?.clone(), keys, clock).trusting(trust))
    }

    /// What is active in the database, ready to judge.
    ///
    /// # Errors
    ///
    /// Also if the packs that are active cannot be used: who begins without them would judge more mildly than it is said.
    pub(crate) async fn active_rules(&self) -> Result<(Judging, ActiveRules), PartsError> {
        let Kept { revision, activation, own, allowed, until } = self.stored_rules().await?.load().await?;
        let own = own?;
        let judging = self.judging_with(own.clone(), allowed).await?;
        self.metrics().set("claw_policy_info", &[("policy", &judging.inspector.config().policy)], 1);
        let ends = end_of(activation);
        Ok((judging, ActiveRules { own, revision: Some(revision), until, ends, is_refused: false }))
    }
}
