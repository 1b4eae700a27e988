//! What a single agent may do instead of the usual, for a while. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use clawexchange_ssg_core::{AgentId, Timestamp};

use crate::limits::{LimitsProblem, QUOTA_MAX, Quota, Rates};
use crate::tier::EndpointTier;
use crate::window::Tick;

/// Most overrides at once: they are exceptions, and all of them are in the memory of each process.
pub const OVERRIDES_MAX: usize = 10_000;

/// A quota for one agent in one tier, in the place of base × trust, until a moment. Penalties still lower it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Override {
    /// What the agent may do meanwhile. 0 blocks.
    pub quota: Quota,
    /// From when on the usual limits hold again, cut to whole milliseconds.
    pub until: Timestamp,
}

impl Override {
    /// This quota until then; [`Limits::with_overrides`](crate::Limits::with_overrides) checks the numbers.
    pub const fn new(quota: Quota, until: Timestamp) -> Self {
        Self { quota, until }
    }
}

/// All overrides, by agent and tier. `Debug` prints how many: agents are nobody's business there.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Overrides(BTreeMap<AgentId, BTreeMap<EndpointTier, Override>>);

impl Overrides {
    pub(crate) fn of(&self, agent: &AgentId, tier: &EndpointTier) -> Option<Override> {
        self.0.get(agent)?.get(tier).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AgentId, &EndpointTier, Override)> {
        self.0.iter().flat_map(|(agent, tiers)| tiers.iter().map(move |(tier, o)| (agent, tier, *o)))
    }

    /// What is wrong with them, each sort of mistake once a tier.
    pub(crate) fn problems(&self, has_quota: impl Fn(&EndpointTier) -> bool) -> Vec<LimitsProblem> {
        let mut problems = Vec::new();
        if self.iter().count() > OVERRIDES_MAX {
            problems.push(LimitsProblem::TooManyOverrides);
        }
        let is_too_much = |q: Quota| q.per_hour > QUOTA_MAX || q.per_minute > q.per_hour;
        let wrong = |is_wrong: &dyn Fn(&EndpointTier, Override) -> bool| -> BTreeSet<EndpointTier> {
            self.iter().filter(|(_, tier, o)| is_wrong(tier, *o)).map(|(_, tier, _)| tier.clone()).collect()
        };
        let without = wrong(&|tier, _| !has_quota(tier));
        problems.extend(without.into_iter().map(|tier| LimitsProblem::OverrideTier { tier }));
        let too_much = wrong(&|_, o| is_too_much(o.quota));
        problems.extend(too_much.into_iter().map(|tier| LimitsProblem::OverrideQuota { tier }));
        problems
    }
}

impl FromIterator<(AgentId, EndpointTier, Override)> for Overrides {
    fn from_iter<I: IntoIterator<Item = (AgentId, EndpointTier, Override)>>(overrides: I) -> Self {
        let mut all = Self::default();
        for (agent, tier, o) in overrides {
            all.0.entry(agent).or_default().insert(tier, o);
        }
        all
    }
}

impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overrides({})", self.iter().count())
    }
}

/// What one agent may do in one tier, now and later.
///
/// ```
/// use clawexchange_rate_limiter::{EndpointTier, Limits, Override, Penalised, Quota};
/// use clawexchange_ssg_core::{AgentId, Timestamp, TrustLevel};
///
/// let (agent, noon) = (AgentId::new("importer")?, "2027-01-15T12:00:00Z".parse::<Timestamp>()?);
/// let raised = Override::new(Quota::new(1_000, 100), noon);
/// let limits = Limits::default().with_overrides([(agent.clone(), EndpointTier::POSTS, raised)])?;
/// let rates = limits.rates_of(&agent, &EndpointTier::POSTS, TrustLevel::New).ok_or("POSTS has a quota")?;
/// let before_noon = Timestamp::from_micros(noon.as_micros() - 1_000);
/// assert_eq!(rates.at(before_noon.into()).agent(Penalised::default()), Quota::new(1_000, 100));
/// assert_eq!(rates.at(noon.into()).agent(Penalised::default()), Quota::new(5, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AgentRates {
    usual: Rates,
    instead: Option<(Rates, Tick)>,
}

impl AgentRates {
    pub(crate) const fn new(usual: Rates, instead: Option<(Rates, Tick)>) -> Self {
        Self { usual, instead }
    }

    /// What usually holds, and what holds instead until when.
    #[cfg(feature = "redis")]
    pub(crate) const fn parts(&self) -> (Rates, Option<(Rates, Tick)>) {
        (self.usual, self.instead)
    }

    /// The ceilings of the owner, as if they were the limits of one that has no penalties.
    #[cfg(feature = "redis")]
    pub(crate) fn as_owner(&self) -> Self {
        let instead = self.instead.map(|(rates, until)| (rates.as_owner(), until));
        Self { usual: self.usual.as_owner(), instead }
    }

    /// What holds at `now`.
    pub fn at(&self, now: Tick) -> Rates {
        match self.instead {
            Some((rates, until)) if now < until => rates,
            _ => self.usual,
        }
    }

    /// When something else begins to hold, if that is after `now`.
    pub fn next_end(&self, now: Tick) -> Option<Tick> {
        self.instead.map(|(_, until)| until).filter(|until| now < *until)
    }
}

impl From<Rates> for AgentRates {
    /// The same at any time.
    fn from(usual: Rates) -> Self {
        Self { usual, instead: None }
    }
}
