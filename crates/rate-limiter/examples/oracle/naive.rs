//! The limiter as one would write it on a napkin: lists that are walked. Slow, and obviously right.

use std::collections::HashMap;

use clawexchange_rate_limiter::{
    EndpointTier, HOUR_MS, Limits, MINUTE_MS, OWNER_SHARE, Override, Ruling, Tick,
};
use clawexchange_ssg_core::{RiskTier, TrustLevel};

/// Agents and owners have numbers here; `Agent(1)` and `Owner(1)` are different accounts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Account {
    Agent(u8),
    Owner(u8),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Naive {
    logs: HashMap<(Account, EndpointTier), Log>,
    offences: HashMap<u8, Vec<(u128, RiskTier, u64)>>,
    /// Until when; `u64::MAX`: until it is lifted.
    suspended: HashMap<u8, u64>,
}

#[derive(Clone, Debug, Default)]
struct Log {
    units: Vec<u64>,
    last: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) agent: u8,
    pub(crate) owner: Option<u8>,
    pub(crate) trust: TrustLevel,
    pub(crate) tier: &'a EndpointTier,
    pub(crate) cost: u32,
    pub(crate) now: u64,
    pub(crate) limits: &'a Limits,
    /// The agent's override in the tier.
    pub(crate) instead: Option<Override>,
}

impl Question<'_> {
    /// When its override ends, if it has one.
    fn end(&self) -> Option<u64> {
        self.instead.map(|instead| Tick::from(instead.until).as_ms())
    }

    /// Hundredths of units before penalties, in the hour and in the minute; `None` for a tier without a quota.
    fn hundredths(&self, at: u64) -> Option<[(u128, u64); 2]> {
        let usual = self.limits.quota(self.tier)?;
        let (quota, factor) = match self.instead {
            Some(instead) if Some(at) < self.end() => (instead.quota, 100),
            _ => (usual, self.limits.trust().of(self.trust).as_hundredths()),
        };
        let of = |base: u32| u128::from(base) * u128::from(factor);
        Some([(of(quota.per_hour), HOUR_MS), (of(quota.per_minute), MINUTE_MS)])
    }
}

/// Limit, used, and when the oldest goes, of one window.
pub(crate) type Seen = (u32, u32, Option<u64>);

impl Naive {
    fn units(&self, account: Account, tier: &EndpointTier) -> &[u64] {
        self.logs.get(&(account, tier.clone())).map_or(&[], |log| &log.units)
    }

    fn last(&self, account: Account, tier: &EndpointTier) -> u64 {
        self.logs.get(&(account, tier.clone())).map_or(0, |log| log.last)
    }

    /// The units of an agent that count at `now`.
    pub(crate) fn live(&self, agent: u8, tier: &EndpointTier, now: u64) -> Vec<u64> {
        self.units(Account::Agent(agent), tier).iter().copied().filter(|u| u + HOUR_MS > now).collect()
    }

    pub(crate) fn at(&self, q: &Question<'_>) -> u64 {
        let owner = q.owner.map_or(0, |o| self.last(Account::Owner(o), q.tier));
        q.now.max(self.last(Account::Agent(q.agent), q.tier)).max(owner)
    }

    /// Which penalties hold: MODERATE, HIGH, repeated.
    pub(crate) fn penalised(&self, agent: u8, at: u64) -> [bool; 3] {
        let young = |is_high: bool, hours: u64| {
            let offences = self.offences.get(&agent).into_iter().flatten();
            offences
                .filter(|(_, tier, when)| (*tier >= RiskTier::High) == is_high && at < when + hours * HOUR_MS)
                .count()
        };
        [young(false, 1) >= 1, young(true, 24) >= 1, young(true, 7 * 24) >= 2]
    }

    fn agent_limit(&self, q: &Question<'_>, numerator: u128, at: u64) -> u32 {
        let factors = q.limits.penalties();
        let factors = [factors.moderate, factors.high, factors.repeated];
        let (mut product, mut divisor) = (numerator, 100);
        for (held, factor) in self.penalised(q.agent, at).into_iter().zip(factors) {
            if held {
                product *= u128::from(factor.as_hundredths());
                divisor *= 100;
            }
        }
        let limit = u32::try_from(product / divisor).unwrap_or(u32::MAX);
        if numerator > 0 { limit.max(1) } else { limit }
    }

    fn owner_limit(numerator: u128) -> u32 {
        let one = u32::try_from(numerator / 100).unwrap_or(u32::MAX);
        OWNER_SHARE * if numerator > 0 { one.max(1) } else { 0 }
    }

    fn fits(&self, q: &Question<'_>, at: u64) -> bool {
        if self.suspended.get(&q.agent).is_some_and(|until| at < *until) {
            return false;
        }
        let Some(windows) = q.hundredths(at) else { return false };
        let used = |account, span| count(self.units(account, q.tier), at, span);
        windows.into_iter().all(|(base, span)| {
            let agent = used(Account::Agent(q.agent), span) + q.cost <= self.agent_limit(q, base, at);
            let owner =
                q.owner.is_none_or(|o| used(Account::Owner(o), span) + q.cost <= Self::owner_limit(base));
            agent && owner
        })
    }

    pub(crate) fn rule(&self, q: &Question<'_>) -> Ruling {
        let at = self.at(q);
        if self.fits(q, at) {
            return Ruling::Allow;
        }
        // Nothing changes but at these moments.
        let agent = self.units(Account::Agent(q.agent), q.tier).iter();
        let owner = q.owner.map_or(&[][..], |o| self.units(Account::Owner(o), q.tier)).iter();
        let leave = agent.chain(owner).flat_map(|u| [u + HOUR_MS, u + MINUTE_MS]);
        let offences = self.offences.get(&q.agent).into_iter().flatten();
        let ends = offences.flat_map(|(_, _, when)| [1, 24, 7 * 24].map(|h| when + h * HOUR_MS));
        let suspended = self.suspended.get(&q.agent).copied();
        let ends = ends.chain(q.end()).chain(suspended.filter(|until| *until < u64::MAX));
        let mut moments: Vec<u64> = leave.chain(ends).filter(|moment| *moment > at).collect();
        moments.sort_unstable();
        moments.dedup();
        match moments.into_iter().find(|moment| self.fits(q, *moment)) {
            Some(moment) => Ruling::Deny { wait_ms: moment - q.now },
            None => Ruling::Never,
        }
    }

    /// The windows as they are now: the agent's hour and minute, then the owner's.
    pub(crate) fn seen(&self, q: &Question<'_>) -> Vec<Seen> {
        let at = self.at(q);
        let Some(windows) = q.hundredths(at) else { return Vec::new() };
        let mut seen = Vec::new();
        let accounts = std::iter::once(Account::Agent(q.agent)).chain(q.owner.map(Account::Owner));
        for account in accounts {
            for (base, span) in windows {
                let limit = match account {
                    Account::Agent(_) => self.agent_limit(q, base, at),
                    Account::Owner(_) => Self::owner_limit(base),
                };
                let units = self.units(account, q.tier);
                let oldest = units.iter().copied().find(|u| u + span > at);
                seen.push((limit, count(units, at, span), oldest.map(|u| u + span - q.now)));
            }
        }
        seen
    }

    pub(crate) fn take(&mut self, q: &Question<'_>) -> Ruling {
        let ruling = self.rule(q);
        if ruling == Ruling::Allow && q.cost > 0 {
            let at = self.at(q);
            for account in std::iter::once(Account::Agent(q.agent)).chain(q.owner.map(Account::Owner)) {
                let log = self.logs.entry((account, q.tier.clone())).or_default();
                log.units.retain(|u| u + HOUR_MS > at);
                log.units.extend(std::iter::repeat_n(at, q.cost as usize));
                log.last = at;
            }
        }
        ruling
    }

    pub(crate) fn refund(
        &mut self,
        agent: u8,
        owner: Option<u8>,
        tier: &EndpointTier,
        at: u64,
        cost: u32,
    ) -> u32 {
        let accounts: Vec<Account> =
            std::iter::once(Account::Agent(agent)).chain(owner.map(Account::Owner)).collect();
        let there = accounts.iter().map(|a| self.units(*a, tier).iter().filter(|u| **u == at).count());
        let back = there.min().unwrap_or(0).min(cost as usize);
        for account in accounts {
            for _ in 0..back {
                if let Some(log) = self.logs.get_mut(&(account, tier.clone()))
                    && let Some(i) = log.units.iter().position(|u| *u == at)
                {
                    log.units.remove(i);
                }
            }
        }
        u32::try_from(back).unwrap_or(u32::MAX)
    }

    pub(crate) fn reset(&mut self, agent: u8, tier: Option<&EndpointTier>) {
        self.logs.retain(|(account, t), _| {
            *account != Account::Agent(agent) || tier.is_some_and(|tier| tier != t)
        });
    }

    pub(crate) fn learn(&mut self, agent: u8, id: u128, tier: RiskTier, at: u64) {
        self.offences.entry(agent).or_default().push((id, tier, at));
    }

    /// Suspends an agent, or lifts that with 0; says whether it was.
    pub(crate) fn suspend(&mut self, agent: u8, until: u64) -> bool {
        let before = self.suspended.remove(&agent);
        if until > 0 {
            self.suspended.insert(agent, until);
        }
        before.is_some()
    }

    /// Until when an agent is suspended, as stores keep it.
    pub(crate) fn suspended(&self, agent: u8) -> Tick {
        self.suspended.get(&agent).map_or(Tick::ZERO, |until| Tick::from_ms(*until))
    }

    /// The ids of an agent's HIGH and CRITICAL offences.
    pub(crate) fn high(&self, agent: u8) -> Vec<u128> {
        let offences = self.offences.get(&agent).into_iter().flatten();
        offences.filter(|(_, tier, _)| *tier >= RiskTier::High).map(|(id, _, _)| *id).collect()
    }

    pub(crate) fn unlearn(&mut self, agent: u8, id: u128) {
        if let Some(offences) = self.offences.get_mut(&agent) {
            offences.retain(|(known, _, _)| *known != id);
        }
    }
}

fn count(units: &[u64], at: u64, span: u64) -> u32 {
    u32::try_from(units.iter().filter(|u| **u + span > at).count()).unwrap_or(u32::MAX)
}
