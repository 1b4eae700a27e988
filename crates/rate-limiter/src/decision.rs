//! What is asked of a limiter, and what it answers.

use std::time::Duration;

use clawexchange_ssg_core::{AgentId, OwnerId, Timestamp, TrustLevel};

use crate::error::LimitError;
use crate::limits::Quota;
use crate::overrides::AgentRates;
use crate::penalties::{Penalised, PenalisedUntil, Suspension};
use crate::tier::EndpointTier;
use crate::window::{Case, HOUR_MS, MINUTE_MS, Ruling, SlidingLog, Tick};

/// One act that an agent wants to do.
///
/// ```
/// use clawexchange_rate_limiter::{Ask, EndpointTier};
/// use clawexchange_ssg_core::{AgentId, OwnerId, TrustLevel};
///
/// let ask = Ask::new(AgentId::new("agent-7")?, EndpointTier::POSTS)
///     .of_owner(Some(OwnerId::new("ann")?))
///     .trusted(TrustLevel::Verified)
///     .costing(2);
/// assert_eq!((ask.trust, ask.cost), (TrustLevel::Verified, 2));
/// # Ok::<(), clawexchange_ssg_core::IdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ask {
    /// Who wants to act.
    pub agent: AgentId,
    /// Who the agent belongs to; without one there is no ceiling.
    pub owner: Option<OwnerId>,
    /// How far the agent is trusted. NEW unless set.
    pub trust: TrustLevel,
    /// What sort of act.
    pub tier: EndpointTier,
    /// Units. 1 unless set; 0 charges nothing and asks whether the account is within its limits.
    pub cost: u32,
}

impl Ask {
    /// One unit for an agent that is NEW and belongs to nobody.
    pub const fn new(agent: AgentId, tier: EndpointTier) -> Self {
        Self { agent, owner: None, trust: TrustLevel::New, tier, cost: 1 }
    }

    /// The same for an agent that belongs to `owner`.
    #[must_use]
    pub fn of_owner(mut self, owner: Option<OwnerId>) -> Self {
        self.owner = owner;
        self
    }

    /// The same for an agent that is trusted so far.
    #[must_use]
    pub const fn trusted(mut self, trust: TrustLevel) -> Self {
        self.trust = trust;
        self
    }

    /// The same for so many units.
    #[must_use]
    pub const fn costing(mut self, cost: u32) -> Self {
        self.cost = cost;
        self
    }
}

/// What may give its units back, once: it is handed over by value and cannot be copied.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what fails by our own fault is refunded with it"]
pub struct Permit {
    pub(crate) agent: AgentId,
    pub(crate) owner: Option<OwnerId>,
    pub(crate) tier: EndpointTier,
    pub(crate) at: Tick,
    /// When the owner was charged: later than the agent where the two lie on two servers.
    pub(crate) owner_at: Tick,
    pub(crate) cost: u32,
}

impl Permit {
    /// The permit for what was asked and charged at `at`; for implementers of stores.
    pub fn new(ask: &Ask, at: Tick) -> Self {
        let Ask { agent, owner, tier, cost, .. } = ask;
        Self { agent: agent.clone(), owner: owner.clone(), tier: tier.clone(), at, owner_at: at, cost: *cost }
    }

    /// Who was charged.
    pub const fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// Whose ceiling was charged with it.
    pub const fn owner(&self) -> Option<&OwnerId> {
        self.owner.as_ref()
    }

    /// In which tier.
    pub const fn tier(&self) -> &EndpointTier {
        &self.tier
    }

    /// When, in whole milliseconds.
    pub const fn at(&self) -> Tick {
        self.at
    }

    /// How many units.
    pub const fn cost(&self) -> u32 {
        self.cost
    }
}

/// Whether an agent may act now. What does not fit is not charged, in no window and to nobody.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who handles decisions and forgets one must not compile")]
pub enum Decision {
    /// It may, and was charged.
    Allow {
        /// Gives the units back.
        permit: Permit,
        /// How things stand after the charge.
        status: TierStatus,
    },
    /// It may not yet.
    Deny {
        /// After exactly so long the same act fits, if nothing else is charged meanwhile.
        wait: Duration,
        /// How things stand.
        status: TierStatus,
    },
    /// It may not, however long it waits: the act costs more than the whole limit, the limit is 0, or the agent is
    /// suspended until somebody lifts that.
    Never {
        /// How things stand.
        status: TierStatus,
    },
}

impl Decision {
    /// How things stand in the tier.
    pub const fn status(&self) -> &TierStatus {
        match self {
            Self::Allow { status, .. } | Self::Deny { status, .. } | Self::Never { status } => status,
        }
    }

    /// Whether it may.
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// The permit, or the refusal as an error that says when to come back.
    pub fn into_permit(self) -> Result<Permit, LimitError> {
        match self {
            Self::Allow { permit, .. } => Ok(permit),
            Self::Deny { wait, status } if status.suspended.is_some() => {
                Err(LimitError::Suspended { wait: Some(wait) })
            }
            Self::Never { status } if status.suspended.is_some() => Err(LimitError::Suspended { wait: None }),
            Self::Deny { wait, status } => Err(LimitError::Limited { tier: status.tier, wait }),
            Self::Never { status } => Err(LimitError::Never { tier: status.tier }),
        }
    }
}

/// What [`take`](crate::Limiter::take) would answer; nothing was charged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlook {
    /// The answer.
    pub ruling: Ruling,
    /// How things stand.
    pub status: TierStatus,
}

impl Outlook {
    /// Puts the parts together; for implementers of stores.
    pub const fn new(ruling: Ruling, status: TierStatus) -> Self {
        Self { ruling, status }
    }
}

/// How an agent stands in one tier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierStatus {
    /// The tier.
    pub tier: EndpointTier,
    /// The agent's last hour.
    pub hour: WindowStatus,
    /// The agent's last minute.
    pub minute: WindowStatus,
    /// All agents of its owner, if it has one.
    pub owner: Option<OwnerStatus>,
    /// Which penalties lower the agent's limits.
    pub penalised: Penalised,
    /// Until when an override stands in the place of base × trust, if one does.
    pub overridden_until: Option<Timestamp>,
    /// The suspension that forbids everything, if there is one.
    pub suspended: Option<Suspension>,
    /// The answer was given without the usual counters.
    pub is_degraded: bool,
}

/// How an owner stands in one tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerStatus {
    /// The owner's last hour.
    pub hour: WindowStatus,
    /// The owner's last minute.
    pub minute: WindowStatus,
}

/// How an account stands in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowStatus {
    /// Units that may be used.
    pub limit: u32,
    /// Units that are used; more than the limit after the limit was lowered.
    pub used: u32,
    /// How long until the oldest of them counts no more; `None` if none is used.
    pub frees_in: Option<Duration>,
    /// How long until one more is left than now, if the limit stays; `None` if no more than now will ever be. Later
    /// than `frees_in` when more is used than the limit.
    pub more_in: Option<Duration>,
}

impl WindowStatus {
    /// Units that are left.
    pub const fn remaining(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}

impl TierStatus {
    /// How the accounts of a case stand; for implementers of stores that keep [`SlidingLog`]s.
    pub fn of(tier: EndpointTier, case: &Case<'_>) -> Self {
        let at = case.at();
        let penalised = case.until.at(at);
        let rates = case.rates.at(at);
        let windows = |log: &SlidingLog, limit: Quota| {
            (window(log, limit.per_hour, HOUR_MS, case), window(log, limit.per_minute, MINUTE_MS, case))
        };
        let (hour, minute) = windows(case.agent, rates.agent(penalised));
        let owner = case.owner.map(|log| {
            let (hour, minute) = windows(log, rates.owner());
            OwnerStatus { hour, minute }
        });
        let overridden_until = case.rates.next_end(at).map(Timestamp::from);
        let suspended = case.until.suspension(at);
        Self { tier, hour, minute, owner, penalised, overridden_until, suspended, is_degraded: false }
    }

    /// How an account would stand that nobody counts.
    pub(crate) fn uncounted(tier: EndpointTier, rates: AgentRates, now: Tick) -> Self {
        let log = SlidingLog::new();
        let case = Case {
            now,
            floor: Tick::ZERO,
            agent: &log,
            owner: None,
            rates,
            until: PenalisedUntil::default(),
            cost: 0,
        };
        Self { is_degraded: true, ..Self::of(tier, &case) }
    }
}

fn window(log: &SlidingLog, limit: u32, span_ms: u64, case: &Case<'_>) -> WindowStatus {
    let at = case.at();
    // The clock may be behind the log; whoever waits, waits by the clock.
    let behind = at.as_ms() - case.now.as_ms();
    let frees_in = log.frees_in_ms(at, span_ms).map(|ms| Duration::from_millis(ms + behind));
    let mut status = WindowStatus { limit, used: log.used(at, span_ms), frees_in, more_in: None };
    let more_from = log.fits_from(status.remaining().saturating_add(1), limit, span_ms);
    status.more_in = more_from.map(|moment| Duration::from_millis(moment.saturating_sub(case.now.as_ms())));
    status
}

/// How an agent stands in every tier. Asking counts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentStatus {
    /// The tiers, those of the original first.
    pub tiers: Vec<TierStatus>,
    /// Until when something MODERATE lowers the limits.
    pub moderate_until: Option<Timestamp>,
    /// Until when something HIGH or CRITICAL lowers them.
    pub high_until: Option<Timestamp>,
    /// Until when two or more of these lower them.
    pub repeated_until: Option<Timestamp>,
    /// The suspension that forbids everything, if there is one.
    pub suspended: Option<Suspension>,
}

impl AgentStatus {
    /// Puts the parts together; for implementers of stores. Penalties that are over at `now` are left out.
    pub fn new(tiers: Vec<TierStatus>, until: PenalisedUntil, now: Tick) -> Self {
        let end = |end: Tick| (now < end).then(|| end.into());
        Self {
            tiers,
            moderate_until: end(until.moderate),
            high_until: end(until.high),
            repeated_until: end(until.repeated),
            suspended: until.suspension(now),
        }
    }
}
