//! How much is allowed to whom: base × trust × penalties, in whole numbers. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use clawexchange_ssg_core::{AgentId, Fault, FaultKind, TrustLevel};
use serde::{Deserialize, Serialize};

use crate::overrides::{AgentRates, OVERRIDES_MAX, Override, Overrides};
use crate::penalties::Penalised;
use crate::tier::EndpointTier;

/// Highest base of a window: the log that counts it exactly holds five bytes a unit.
pub const QUOTA_MAX: u32 = 1_000_000;

/// Highest base × trust of a window in units, for the same reason. With every penalty multiplied in, the
/// intermediate product stays below 2^53, which scripts of other stores compute without loss.
pub const UNITS_MAX: u32 = 1_000_000;

/// Highest multiplier in hundredths: a thousandfold.
pub const MULTIPLIER_MAX: u32 = 100_000;

/// Most tiers at once: each agent may have a log for every one of them.
pub const TIERS_MAX: usize = 64;

/// An owner's ceiling is this many times what one agent of the same trust may do.
pub const OWNER_SHARE: u32 = 10;

const _: () = assert!((UNITS_MAX as u64 + 1) * 100 * 1_000_000 < 1 << 53, "products are exact in a double");
const _: () = assert!(UNITS_MAX as u64 * OWNER_SHARE as u64 <= u32::MAX as u64, "a ceiling is a u32");

/// Units in any hour and in any minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Quota {
    /// Units in any 3,600 seconds. 0 blocks.
    pub per_hour: u32,
    /// Units in any 60 seconds. 0 blocks.
    pub per_minute: u32,
}

impl Quota {
    /// So many in any hour and in any minute; [`Limits::new`] checks the numbers.
    pub const fn new(per_hour: u32, per_minute: u32) -> Self {
        Self { per_hour, per_minute }
    }
}

/// A factor in hundredths: 0.5 is 50. No float decides a limit.
///
/// ```
/// use clawexchange_rate_limiter::Multiplier;
///
/// assert_eq!("0.5".parse::<Multiplier>()?.as_hundredths(), 50);
/// assert_eq!(Multiplier::hundredths(820).to_string(), "8.20");
/// for refused in ["NaN", "inf", "-1", "1e3", "0.005", ""] {
///     assert!(refused.parse::<Multiplier>().is_err());
/// }
/// # Ok::<(), clawexchange_rate_limiter::MultiplierError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Multiplier(u32);

impl Multiplier {
    /// Changes nothing.
    pub const ONE: Self = Self(100);

    /// So many hundredths; [`Limits::new`] checks the number.
    pub const fn hundredths(hundredths: u32) -> Self {
        Self(hundredths)
    }

    /// The factor in hundredths.
    pub const fn as_hundredths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Multiplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// The text is not a factor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a multiplier is a decimal number from 0 to 1000 with at most two decimals, such as 0.5")]
#[non_exhaustive]
pub struct MultiplierError;

impl FromStr for Multiplier {
    type Err = MultiplierError;

    fn from_str(text: &str) -> Result<Self, MultiplierError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |s: &str, most: usize| (1..=most).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole, 4) || !is_number(part, 2) {
            return Err(MultiplierError);
        }
        let digits = |s: &str| s.parse::<u32>().ok().ok_or(MultiplierError);
        let tenths = if part.len() == 1 { 10 } else { 1 };
        let hundredths = digits(whole)? * 100 + digits(part)? * tenths;
        if hundredths <= MULTIPLIER_MAX { Ok(Self(hundredths)) } else { Err(MultiplierError) }
    }
}

impl TryFrom<String> for Multiplier {
    type Error = MultiplierError;

    fn try_from(text: String) -> Result<Self, MultiplierError> {
        text.parse()
    }
}

impl From<Multiplier> for String {
    fn from(factor: Multiplier) -> Self {
        factor.to_string()
    }
}

/// What each level of trust multiplies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trust([Multiplier; 4]);

impl Trust {
    /// The factor of a level.
    pub const fn of(&self, level: TrustLevel) -> Multiplier {
        let [new, established, verified, platform_bot] = self.0;
        match level {
            TrustLevel::New => new,
            TrustLevel::Established => established,
            TrustLevel::Verified => verified,
            TrustLevel::PlatformBot => platform_bot,
        }
    }

    /// The same factors but for one level.
    #[must_use]
    pub fn with(mut self, level: TrustLevel, factor: Multiplier) -> Self {
        for (known, slot) in TrustLevel::ALL.into_iter().zip(&mut self.0) {
            if known == level {
                *slot = factor;
            }
        }
        self
    }
}

impl Default for Trust {
    /// NEW 0.50, ESTABLISHED 1.00, VERIFIED 2.00, PLATFORM_BOT 10.00.
    fn default() -> Self {
        Self([50, 100, 200, 1_000].map(Multiplier))
    }
}

/// What each penalty multiplies; those that hold at once are multiplied with each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PenaltyFactors {
    /// Something MODERATE within the last hour. 0.80 unless set.
    pub moderate: Multiplier,
    /// Something HIGH or CRITICAL within the last 24 hours. 0.50 unless set.
    pub high: Multiplier,
    /// Two or more of these within the last 7 days. 0.10 unless set.
    pub repeated: Multiplier,
}

impl Default for PenaltyFactors {
    fn default() -> Self {
        Self { moderate: Multiplier(80), high: Multiplier(50), repeated: Multiplier(10) }
    }
}

/// All limits: a value that is valid as a whole and is replaced as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    quotas: BTreeMap<EndpointTier, Quota>,
    trust: Trust,
    penalties: PenaltyFactors,
    overrides: Overrides,
}

impl Limits {
    /// Checks and takes all of them, or says everything that is wrong. No agent has an override.
    pub fn new(
        quotas: impl IntoIterator<Item = (EndpointTier, Quota)>,
        trust: Trust,
        penalties: PenaltyFactors,
    ) -> Result<Self, LimitsError> {
        let quotas = quotas.into_iter().collect();
        Self { quotas, trust, penalties, overrides: Overrides::default() }.checked()
    }

    /// The same limits with another quota for a tier, or with one tier more.
    pub fn with_quota(mut self, tier: EndpointTier, quota: Quota) -> Result<Self, LimitsError> {
        self.quotas.insert(tier, quota);
        self.checked()
    }

    /// The same limits with another factor for a level of trust.
    pub fn with_trust(self, level: TrustLevel, factor: Multiplier) -> Result<Self, LimitsError> {
        Self { trust: self.trust.with(level, factor), ..self }.checked()
    }

    /// The same limits with other factors for penalties.
    pub fn with_penalties(self, penalties: PenaltyFactors) -> Result<Self, LimitsError> {
        Self { penalties, ..self }.checked()
    }

    /// The same limits with these overrides and no others. Of two for one agent and tier the later one holds.
    pub fn with_overrides(
        self,
        overrides: impl IntoIterator<Item = (AgentId, EndpointTier, Override)>,
    ) -> Result<Self, LimitsError> {
        Self { overrides: overrides.into_iter().collect(), ..self }.checked()
    }

    /// The tiers and their quotas, the three of the original first.
    pub fn quotas(&self) -> impl ExactSizeIterator<Item = (&EndpointTier, Quota)> {
        self.quotas.iter().map(|(tier, quota)| (tier, *quota))
    }

    /// The base of a tier, if it has one.
    pub fn quota(&self, tier: &EndpointTier) -> Option<Quota> {
        self.quotas.get(tier).copied()
    }

    /// What levels of trust multiply.
    pub const fn trust(&self) -> Trust {
        self.trust
    }

    /// What penalties multiply.
    pub const fn penalties(&self) -> PenaltyFactors {
        self.penalties
    }

    /// The overrides, those that are over included.
    pub fn overrides(&self) -> impl Iterator<Item = (&AgentId, &EndpointTier, Override)> {
        self.overrides.iter()
    }

    /// The override of an agent in a tier, also one that is over.
    pub fn override_of(&self, agent: &AgentId, tier: &EndpointTier) -> Option<Override> {
        self.overrides.of(agent, tier)
    }

    /// What this agent may do in a tier, its override included; `None` if the tier has no quota.
    pub fn rates_of(&self, agent: &AgentId, tier: &EndpointTier, trust: TrustLevel) -> Option<AgentRates> {
        let usual = self.rates(tier, trust)?;
        let instead = self.override_of(agent, tier).map(|Override { quota, until }| {
            let hundredths = |units: u32| u64::from(units) * u64::from(Multiplier::ONE.0);
            let (hour, minute) = (hundredths(quota.per_hour), hundredths(quota.per_minute));
            (Rates { hour, minute, penalties: self.penalties }, until.into())
        });
        Some(AgentRates::new(usual, instead))
    }

    /// What an agent of this trust that has no override may do in a tier; `None` if the tier has no quota.
    pub fn rates(&self, tier: &EndpointTier, trust: TrustLevel) -> Option<Rates> {
        let quota = self.quota(tier)?;
        let factor = u64::from(self.trust.of(trust).0);
        Some(Rates {
            hour: u64::from(quota.per_hour) * factor,
            minute: u64::from(quota.per_minute) * factor,
            penalties: self.penalties,
        })
    }

    fn checked(self) -> Result<Self, LimitsError> {
        let problems = self.problems();
        if problems.is_empty() { Ok(self) } else { Err(LimitsError(problems)) }
    }

    fn problems(&self) -> Vec<LimitsProblem> {
        let mut problems = Vec::new();
        if self.quotas.len() > TIERS_MAX {
            problems.push(LimitsProblem::TooManyTiers);
        }
        for level in TrustLevel::ALL {
            let factor = self.trust.of(level);
            if factor.0 > MULTIPLIER_MAX {
                problems.push(LimitsProblem::Multiplier { level });
            }
        }
        let factors = self.penalties;
        for (penalty, factor) in
            [("moderate", factors.moderate), ("high", factors.high), ("repeated", factors.repeated)]
        {
            if factor > Multiplier::ONE {
                problems.push(LimitsProblem::Penalty { penalty });
            }
        }
        for (tier, quota) in &self.quotas {
            let tier = || tier.clone();
            if quota.per_hour > QUOTA_MAX || quota.per_minute > QUOTA_MAX {
                problems.push(LimitsProblem::Quota { tier: tier() });
            } else if quota.per_minute > quota.per_hour {
                problems.push(LimitsProblem::MinuteAboveHour { tier: tier() });
            } else {
                let too_much = |level: &TrustLevel| {
                    let hundredths = u64::from(quota.per_hour) * u64::from(self.trust.of(*level).0);
                    hundredths > u64::from(UNITS_MAX) * 100
                };
                let levels = TrustLevel::ALL.into_iter().filter(too_much);
                problems.extend(levels.map(|level| LimitsProblem::Product { tier: tier(), level }));
            }
        }
        problems.extend(self.overrides.problems(|tier| self.quotas.contains_key(tier)));
        problems
    }
}

impl Default for Limits {
    /// POSTS 10 an hour and 3 a minute, COMMENTS 60 and 10, MESSAGES 300 and 30.
    fn default() -> Self {
        let quotas = [
            (EndpointTier::POSTS, Quota::new(10, 3)),
            (EndpointTier::COMMENTS, Quota::new(60, 10)),
            (EndpointTier::MESSAGES, Quota::new(300, 30)),
        ];
        Self {
            quotas: quotas.into(),
            trust: Trust::default(),
            penalties: PenaltyFactors::default(),
            overrides: Overrides::default(),
        }
    }
}

/// Base × trust of one tier for one level of trust, or what stands in its place, and what penalties make of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    hour: u64,
    minute: u64,
    penalties: PenaltyFactors,
}

impl Rates {
    /// The agent's limit in both windows while these penalties hold: floor(base × trust × penalties), at least 1
    /// when base × trust is more than 0.
    pub fn agent(&self, held: Penalised) -> Quota {
        Quota::new(self.limit(self.hour, held), self.limit(self.minute, held))
    }

    /// The ceiling in both windows for all agents of the owner: ten times the limit of this agent without penalties.
    pub fn owner(&self) -> Quota {
        let Quota { per_hour, per_minute } = self.agent(Penalised::default());
        Quota::new(per_hour * OWNER_SHARE, per_minute * OWNER_SHARE)
    }

    /// Hundredths of units before penalties, in an hour and in a minute.
    #[cfg(feature = "redis")]
    pub(crate) const fn hundredths(&self) -> (u64, u64) {
        (self.hour, self.minute)
    }

    /// What the three penalties multiply, in hundredths.
    #[cfg(feature = "redis")]
    pub(crate) const fn factors(&self) -> [u32; 3] {
        let PenaltyFactors { moderate, high, repeated } = self.penalties;
        [moderate.0, high.0, repeated.0]
    }

    /// The ceiling of the owner, as if it were the limit of one that has no penalties.
    #[cfg(feature = "redis")]
    pub(crate) fn as_owner(&self) -> Self {
        let Quota { per_hour, per_minute } = self.owner();
        let hundredths = |units: u32| u64::from(units) * u64::from(Multiplier::ONE.0);
        Self { hour: hundredths(per_hour), minute: hundredths(per_minute), ..*self }
    }

    fn limit(&self, hundredths: u64, held: Penalised) -> u32 {
        let (mut product, mut unit) = (hundredths, 100);
        let factors = self.penalties;
        for (holds, factor) in
            [(held.moderate, factors.moderate), (held.high, factors.high), (held.repeated, factors.repeated)]
        {
            if holds {
                product *= u64::from(factor.0);
                unit *= 100;
            }
        }
        let floor = u32::try_from(product / unit).unwrap_or(u32::MAX);
        floor.max(u32::from(hundredths > 0))
    }
}

/// Limits that cannot be used, with everything that is wrong about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsError(Vec<LimitsProblem>);

impl LimitsError {
    /// All that is wrong, at least one.
    pub fn problems(&self) -> &[LimitsProblem] {
        &self.0
    }
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let between = if i == 0 { "" } else { "; " };
            write!(f, "{between}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LimitsError {}

impl Fault for LimitsError {
    fn code(&self) -> &'static str {
        "rate-limiter/limits"
    }

    fn kind(&self) -> FaultKind {
        FaultKind::Configuration
    }
}

/// One thing that is wrong with limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsProblem {
    /// There are more than [`TIERS_MAX`].
    #[error("there are more than {TIERS_MAX} tiers")]
    TooManyTiers,
    /// A base is more than [`QUOTA_MAX`].
    #[error("the quota of {tier} is more than {QUOTA_MAX} units")]
    Quota {
        /// Whose.
        tier: EndpointTier,
    },
    /// More is allowed in a minute than in the hour that it is part of.
    #[error("the quota of {tier} allows more in a minute than in an hour")]
    MinuteAboveHour {
        /// Whose.
        tier: EndpointTier,
    },
    /// A level's factor is more than [`MULTIPLIER_MAX`] hundredths.
    #[error("the multiplier of {level} is more than 1000")]
    Multiplier {
        /// Whose.
        level: TrustLevel,
    },
    /// A penalty would raise the limit.
    #[error("the factor of the penalty `{penalty}` is more than 1")]
    Penalty {
        /// Which: `moderate`, `high` or `repeated`.
        penalty: &'static str,
    },
    /// Base × trust is more than [`UNITS_MAX`].
    #[error("the quota of {tier} times the multiplier of {level} is more than {UNITS_MAX} units an hour")]
    Product {
        /// Whose quota.
        tier: EndpointTier,
        /// Whose multiplier.
        level: TrustLevel,
    },
    /// There are more than [`OVERRIDES_MAX`].
    #[error("there are more than {OVERRIDES_MAX} overrides")]
    TooManyOverrides,
    /// An override is for a tier that has no quota.
    #[error("an override is for the tier {tier}, which has no quota")]
    OverrideTier {
        /// Which.
        tier: EndpointTier,
    },
    /// An override is more than [`QUOTA_MAX`], or allows more in a minute than in the hour that it is part of.
    #[error("an override for {tier} is more than {QUOTA_MAX} units, or more in a minute than in an hour")]
    OverrideQuota {
        /// For which tier.
        tier: EndpointTier,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Penalised = Penalised { moderate: false, high: false, repeated: false };
    const ALL: Penalised = Penalised { moderate: true, high: true, repeated: true };

    #[test]
    fn the_default_limits_are_the_documented_ones() {
        let limits = Limits::default();
        for (tier, wanted) in [
            (EndpointTier::POSTS, [(5, 1), (10, 3), (20, 6), (100, 30)]),
            (EndpointTier::COMMENTS, [(30, 5), (60, 10), (120, 20), (600, 100)]),
            (EndpointTier::MESSAGES, [(150, 15), (300, 30), (600, 60), (3000, 300)]),
        ] {
            for (level, (hour, minute)) in TrustLevel::ALL.into_iter().zip(wanted) {
                let rates = limits.rates(&tier, level).unwrap();
                assert_eq!(rates.agent(NONE), Quota::new(hour, minute), "{tier} {level}");
                assert_eq!(rates.owner(), Quota::new(10 * hour, 10 * minute), "{tier} {level}");
            }
        }
        let messages = limits.rates(&EndpointTier::MESSAGES, TrustLevel::Established).unwrap();
        let held = |moderate, high, repeated| messages.agent(Penalised { moderate, high, repeated }).per_hour;
        let all = [
            held(true, false, false),
            held(false, true, false),
            held(false, true, true),
            held(true, true, true),
        ];
        assert_eq!(all, [240, 150, 15, 12], "0.8, 0.5, 0.05 and 0.04 of 300");
    }

    // Defect 43: an agent could never be stopped, since every limit was at least 1.
    #[test]
    fn zero_blocks_and_a_limit_above_zero_is_at_least_one() {
        let limits = Limits::default().with_quota(EndpointTier::POSTS, Quota::new(0, 0)).unwrap();
        let rates = limits.rates(&EndpointTier::POSTS, TrustLevel::PlatformBot).unwrap();
        assert_eq!((rates.agent(NONE), rates.owner()), (Quota::new(0, 0), Quota::new(0, 0)));
        let blocked = Limits::default().with_trust(TrustLevel::New, Multiplier::hundredths(0)).unwrap();
        let rates = blocked.rates(&EndpointTier::MESSAGES, TrustLevel::New).unwrap();
        assert_eq!(rates.agent(NONE), Quota::new(0, 0));
        let one = Limits::default().with_quota(EndpointTier::POSTS, Quota::new(1, 1)).unwrap();
        let rates = one.rates(&EndpointTier::POSTS, TrustLevel::New).unwrap();
        assert_eq!(rates.agent(ALL), Quota::new(1, 1), "half a unit, and four hundredths of that");
        assert_eq!(rates.owner(), Quota::new(10, 10), "an owner may do no less than its agent");
    }

    // Defect 43 and the float that floored 15 × 8.20 to 122.
    #[test]
    fn no_float_decides_a_limit() {
        let limits = Limits::default()
            .with_quota(EndpointTier::POSTS, Quota::new(15, 15))
            .and_then(|l| l.with_trust(TrustLevel::New, "8.20".parse().unwrap()))
            .unwrap();
        let rates = limits.rates(&EndpointTier::POSTS, TrustLevel::New).unwrap();
        assert_eq!(rates.agent(NONE).per_hour, 123);
        for base in 1..=300_u32 {
            for hundredths in 1..=1_000_u32 {
                let limits = Rates {
                    hour: u64::from(base * hundredths),
                    minute: 0,
                    penalties: PenaltyFactors::default(),
                };
                assert_eq!(limits.agent(NONE).per_hour, (base * hundredths / 100).max(1));
            }
        }
    }

    #[test]
    fn a_multiplier_that_is_not_a_plain_decimal_number_is_refused() {
        for bad in [
            "NaN", "nan", "inf", "-0.5", "+1", "1e2", "0.005", "1.", ".5", "", " 1", "1 ", "1000.01",
            "99999", "0,5", "1.2.3", "٣",
        ] {
            assert_eq!(bad.parse::<Multiplier>(), Err(MultiplierError), "{bad:?}");
        }
        for (good, hundredths) in
            [("0", 0), ("0.5", 50), ("0.05", 5), ("10.00", 1_000), ("1000", 100_000), ("0010", 1_000)]
        {
            assert_eq!(good.parse(), Ok(Multiplier::hundredths(hundredths)), "{good}");
        }
    }

    #[test]
    fn limits_that_cannot_be_are_refused_and_every_reason_is_named() {
        let penalties = PenaltyFactors { moderate: Multiplier::hundredths(101), ..PenaltyFactors::default() };
        let trust = Trust::default().with(TrustLevel::Verified, Multiplier::hundredths(MULTIPLIER_MAX + 1));
        let quotas = [
            (EndpointTier::POSTS, Quota::new(3, 4)),
            (EndpointTier::COMMENTS, Quota::new(u32::MAX, 1)),
            (EndpointTier::MESSAGES, Quota::new(200_000, 1)),
        ];
        let error = Limits::new(quotas, trust, penalties).unwrap_err();
        let said: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "the multiplier of VERIFIED is more than 1000",
                "the factor of the penalty `moderate` is more than 1",
                "the quota of POSTS allows more in a minute than in an hour",
                "the quota of COMMENTS is more than 1000000 units",
                "the quota of MESSAGES times the multiplier of VERIFIED is more than 1000000 units an hour",
                "the quota of MESSAGES times the multiplier of PLATFORM_BOT is more than 1000000 units an hour",
            ]
        );
        assert_eq!((error.code(), error.kind()), ("rate-limiter/limits", FaultKind::Configuration));
        let many = (0..=TIERS_MAX).map(|i| (EndpointTier::new(format!("T{i}")).unwrap(), Quota::new(1, 1)));
        let error = Limits::new(many, Trust::default(), PenaltyFactors::default()).unwrap_err();
        assert_eq!(error.problems(), [LimitsProblem::TooManyTiers]);
    }

    #[test]
    fn a_tier_without_a_quota_has_no_rates() {
        let tier = EndpointTier::new("SEARCHES").unwrap();
        assert_eq!(Limits::default().rates(&tier, TrustLevel::New), None);
    }
}
