//! What settings come to in the words of the parts.

use std::collections::BTreeMap;

use clawexchange_detectors::{DetectorsError, Host, HostPolicy};
use clawexchange_moderation::{Confidence, DeskConfig, Floor, Floors};
use clawexchange_quarantine::VaultConfig;
use clawexchange_rate_limiter::{EndpointTier, Limiter, Limits, PenaltyFactors, Quota, Trust};
use clawexchange_ssg_core::{Category, CategoryAction, ContentType, Fault, FaultKind, RiskTier};

use crate::error::PartsError;
use crate::settings::{CategoryActionSetting, Settings};

/// The tier in which bytes are charged that are only inspected.
const INSPECT: &str = "INSPECT_BYTES";

/// One unit of it is so many bytes that were begun: the exact log has five bytes a unit.
pub(crate) const INSPECT_UNIT_BYTES: usize = 16 << 10;

/// Most units of a window, so that one caller's log stays small.
const INSPECT_UNITS_MAX: u32 = 100_000;

/// Content of a sort that is not accepted here.
#[derive(Debug, thiserror::Error)]
#[error("content of type {content_type} is not accepted here")]
pub struct NotAccepted {
    content_type: ContentType,
}

impl Fault for NotAccepted {
    fn code(&self) -> &'static str {
        "gateway/content-type-not-accepted"
    }

    fn kind(&self) -> FaultKind {
        FaultKind::NotAllowed
    }
}

impl Settings {
    /// Refuses content of a sort that `[policy] content_types` does not name.
    pub fn accepts(&self, content_type: ContentType) -> Result<(), NotAccepted> {
        if self.content_types.contains(&content_type) { Ok(()) } else { Err(NotAccepted { content_type }) }
    }

    /// What is done where something of a category is found.
    pub(crate) fn category_actions(&self) -> BTreeMap<Category, CategoryAction> {
        let action = |set: &CategoryActionSetting| match set {
            CategoryActionSetting::Block => CategoryAction::Block,
            CategoryActionSetting::Hold => CategoryAction::Hold,
            CategoryActionSetting::Redact => CategoryAction::Redact,
        };
        self.categories.iter().map(|(category, set)| (*category, action(set))).collect()
    }

    /// Hosts that are allowed and denied.
    pub(crate) fn host_policy(&self) -> Result<HostPolicy, DetectorsError> {
        let read =
            |hosts: &[String]| hosts.iter().map(|host| host.parse::<Host>()).collect::<Result<Vec<_>, _>>();
        Ok(HostPolicy::new(read(&self.allow_hosts)?, read(&self.deny_hosts)?))
    }

    /// Held content.
    pub(crate) fn vault_config(&self, mut config: VaultConfig) -> VaultConfig {
        config.expiry = self.expiry;
        config.grant_time = self.moderation.grant;
        config.inline_bytes_max = self.inline_bytes_max as u64;
        // Whatever may come in may have to be held.
        config.content_bytes_max = config.content_bytes_max.max(self.bounds.body_bytes_max as u64);
        config.agent_bytes_max = config.agent_bytes_max.max(config.content_bytes_max);
        config
    }

    /// What programs may decide.
    pub(crate) fn desk_config(&self) -> DeskConfig {
        let mut config = DeskConfig::default();
        let set = |floors: &mut Floors, said: &BTreeMap<RiskTier, u16>| {
            // What is not in it, a program may never do: it was set to that.
            let floor = |tier| {
                said.get(&tier)
                    .and_then(|n| Confidence::from_permille(*n).ok())
                    .map_or(Floor::Never, Floor::At)
            };
            floors.below_high = floor(RiskTier::Moderate);
            floors.high = floor(RiskTier::High);
            floors.critical = floor(RiskTier::Critical);
        };
        set(&mut config.release, &self.moderation.bot_release_permille);
        set(&mut config.delete, &self.moderation.bot_delete_permille);
        config
    }

    /// The tier in which bytes are charged that are only inspected.
    #[expect(clippy::expect_used, reason = "a word of capitals is a tier")]
    pub(crate) fn inspect_tier() -> EndpointTier {
        EndpointTier::new(INSPECT).expect("a word of capitals is a tier")
    }

    /// Counts bytes that are only inspected. They are nobody's acts, so no journal keeps them.
    pub(crate) fn inspect_limiter(&self) -> Result<Limiter, PartsError> {
        let units = |bytes: u32| {
            let units = bytes / u32::try_from(INSPECT_UNIT_BYTES).unwrap_or(u32::MAX);
            units.clamp(1, INSPECT_UNITS_MAX)
        };
        let quota = Quota::new(units(self.inspect_bytes.per_hour), units(self.inspect_bytes.per_minute));
        let limits =
            Limits::new([(Self::inspect_tier(), quota)], Trust::default(), PenaltyFactors::default());
        Ok(Limiter::in_process(limits.map_err(clawexchange_rate_limiter::LimitError::from)?))
    }
}
