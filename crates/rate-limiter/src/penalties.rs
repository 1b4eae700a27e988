//! What an agent's own history takes from its limits. Pure.

use clawexchange_ssg_core::{EventId, InspectionId, QuarantineId, RiskTier, Timestamp};

use crate::window::Tick;

/// How long something MODERATE counts: one hour, in milliseconds.
pub const MODERATE_MS: u64 = 3_600_000;

/// How long something HIGH or CRITICAL counts: 24 hours, in milliseconds.
pub const HIGH_MS: u64 = 24 * 3_600_000;

/// How long two of these count: 7 days, in milliseconds.
pub const REPEATED_MS: u64 = 7 * 24 * 3_600_000;

/// How many of an agent's HIGH and CRITICAL offences are kept: more than the holds that may be open at once, so that
/// what remains when all of these are released is still known.
pub const HIGH_KEPT: usize = 32;

/// How many of an agent's MODERATE offences are kept: they are rarely taken back.
pub const MODERATE_KEPT: usize = 4;

/// What an offence is known by: the hold that it led to, or else the inspection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OffenceId([u8; 16]);

impl OffenceId {
    /// The id with these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<QuarantineId> for OffenceId {
    fn from(id: QuarantineId) -> Self {
        Self(*id.as_bytes())
    }
}

impl From<InspectionId> for OffenceId {
    fn from(id: InspectionId) -> Self {
        Self(*id.as_bytes())
    }
}

impl From<EventId> for OffenceId {
    fn from(id: EventId) -> Self {
        Self(*id.as_bytes())
    }
}

/// Something in an agent's history that counts against it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Offence {
    /// What it is known by.
    pub id: OffenceId,
    /// How bad it was. Below MODERATE nothing counts.
    pub tier: RiskTier,
    /// When.
    pub at: Timestamp,
}

impl Offence {
    /// Names an offence.
    pub fn new(id: impl Into<OffenceId>, tier: RiskTier, at: Timestamp) -> Self {
        Self { id: id.into(), tier, at }
    }
}

/// Which penalties hold at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "who multiplies penalties and forgets one must not compile")]
pub struct Penalised {
    /// Something MODERATE within the last hour.
    pub moderate: bool,
    /// Something HIGH or CRITICAL within the last 24 hours.
    pub high: bool,
    /// Two or more of these within the last 7 days.
    pub repeated: bool,
}

/// Until when each penalty holds, and until when the agent is suspended; [`Tick::ZERO`] where it does not, or is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "every store keeps exactly these four moments")]
pub struct PenalisedUntil {
    /// The last MODERATE offence and one hour.
    pub moderate: Tick,
    /// The last HIGH or CRITICAL offence and 24 hours.
    pub high: Tick,
    /// The last but one of these and 7 days.
    pub repeated: Tick,
    /// Until when nothing at all is allowed, in no tier; [`Tick::MAX`]: until it is lifted.
    pub suspended: Tick,
}

impl PenalisedUntil {
    /// Which hold at `now`: those that end later.
    pub fn at(&self, now: Tick) -> Penalised {
        Penalised { moderate: now < self.moderate, high: now < self.high, repeated: now < self.repeated }
    }

    /// When the next of them ends after `now`. A suspension that nothing but lifting ends does not end.
    pub fn next_end(&self, now: Tick) -> Option<Tick> {
        let suspended = if self.suspended == Tick::MAX { Tick::ZERO } else { self.suspended };
        [self.moderate, self.high, self.repeated, suspended].into_iter().filter(|end| now < *end).min()
    }

    /// Whether nothing is allowed at `now`.
    pub fn is_suspended(&self, now: Tick) -> bool {
        now < self.suspended || self.suspended == Tick::MAX
    }

    /// The suspension that holds at `now`, if one does.
    pub fn suspension(&self, now: Tick) -> Option<Suspension> {
        let until = || (self.suspended != Tick::MAX).then(|| self.suspended.into());
        self.is_suspended(now).then(|| Suspension { until: until() })
    }
}

/// An agent may do nothing, whatever its limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Suspension {
    /// When it ends by itself, cut to whole milliseconds; `None`: only when it is lifted.
    pub until: Option<Timestamp>,
}

impl Suspension {
    /// The moment that stores keep.
    pub(crate) fn tick(until: Option<Timestamp>) -> Tick {
        until.map_or(Tick::MAX, Tick::from)
    }
}

/// The last offences of one agent, and the penalties that follow from them.
///
/// Learning the same offence twice is learning it once; the order of learning does not matter.
///
/// ```
/// use clawexchange_rate_limiter::{Offence, Penalties};
/// use clawexchange_ssg_core::{QuarantineId, RiskTier, Timestamp};
///
/// let (hold, at) = (QuarantineId::fresh(), Timestamp::from_micros(1_800_000_000_000_000));
/// let mut history = Penalties::default();
/// assert!(history.learn(&Offence::new(hold, RiskTier::High, at)));
/// assert!(history.until().at(at.into()).high);
/// assert!(history.unlearn(hold.into()), "a person released it as a false positive");
/// assert!(!history.until().at(at.into()).high);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Penalties {
    moderate: Vec<Kept>,
    high: Vec<Kept>,
    until: PenalisedUntil,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Kept {
    at: Tick,
    id: OffenceId,
    tier: RiskTier,
}

impl Penalties {
    /// Makes the penalties anew from a history, in any order.
    pub fn from_offences<'a>(offences: impl IntoIterator<Item = &'a Offence>) -> Self {
        let mut penalties = Self::default();
        for offence in offences {
            penalties.learn(offence);
        }
        penalties
    }

    /// Counts an offence; says whether anything changed. Nothing changes by one that is below MODERATE, known
    /// already, or older than all of those that are kept.
    pub fn learn(&mut self, offence: &Offence) -> bool {
        let (kept, most) = match offence.tier {
            RiskTier::Clear | RiskTier::Low => return false,
            RiskTier::Moderate => (&mut self.moderate, MODERATE_KEPT),
            RiskTier::High | RiskTier::Critical => (&mut self.high, HIGH_KEPT),
        };
        let new = Kept { at: offence.at.into(), id: offence.id, tier: offence.tier };
        if kept.iter().any(|known| known.id == new.id) {
            return false;
        }
        let place = kept.partition_point(|known| *known < new);
        if kept.len() == most {
            if place == 0 {
                return false;
            }
            kept.remove(0);
            kept.insert(place - 1, new);
        } else {
            kept.reserve_exact(1);
            kept.insert(place, new);
        }
        self.recount();
        true
    }

    /// Forgets an offence that was none; says whether it was known.
    pub fn unlearn(&mut self, id: OffenceId) -> bool {
        let before = self.moderate.len() + self.high.len();
        self.moderate.retain(|known| known.id != id);
        self.high.retain(|known| known.id != id);
        self.recount();
        before != self.moderate.len() + self.high.len()
    }

    /// Until when each penalty holds.
    pub const fn until(&self) -> PenalisedUntil {
        self.until
    }

    /// Whether no offence is known.
    pub const fn is_empty(&self) -> bool {
        self.moderate.is_empty() && self.high.is_empty()
    }

    /// Whether nothing in it can matter at `now` or later.
    pub fn is_spent(&self, now: Tick) -> bool {
        let over = |kept: &[Kept], span| kept.last().is_none_or(|last| last.at.plus_ms(span) <= now);
        over(&self.moderate, MODERATE_MS) && over(&self.high, REPEATED_MS)
    }

    /// What is kept, oldest first within MODERATE and within the rest.
    pub fn offences(&self) -> impl Iterator<Item = Offence> {
        let kept = self.moderate.iter().chain(&self.high);
        kept.map(|known| Offence { id: known.id, tier: known.tier, at: known.at.into() })
    }

    fn recount(&mut self) {
        let end = |kept: Option<&Kept>, span| kept.map_or(Tick::ZERO, |known| known.at.plus_ms(span));
        self.until = PenalisedUntil {
            moderate: end(self.moderate.last(), MODERATE_MS),
            high: end(self.high.last(), HIGH_MS),
            repeated: end(self.high.iter().rev().nth(1), REPEATED_MS),
            suspended: Tick::ZERO,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offence(id: u8, tier: RiskTier, second: i64) -> Offence {
        let at = Timestamp::from_micros(1_800_000_000_000_000 + second * 1_000_000);
        Offence::new(OffenceId([id; 16]), tier, at)
    }

    fn at(second: i64) -> Tick {
        offence(0, RiskTier::Low, second).at.into()
    }

    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn each_penalty_lasts_exactly_as_long_as_it_says() {
        let mut p = Penalties::default();
        assert!(p.learn(&offence(1, RiskTier::Moderate, 0)));
        assert!(p.learn(&offence(2, RiskTier::High, 0)));
        assert!(p.learn(&offence(3, RiskTier::Critical, DAY)));
        let held = |second: i64, back: u64| {
            let now: Tick = Tick::from_ms(at(second).as_ms() - back);
            let p = p.until().at(now);
            (p.moderate, p.high, p.repeated)
        };
        assert_eq!(held(HOUR, 1), (true, true, true));
        assert_eq!(held(HOUR, 0), (false, true, true));
        assert_eq!(held(2 * DAY, 1), (false, true, true));
        assert_eq!(held(2 * DAY, 0), (false, false, true));
        assert_eq!(held(7 * DAY, 1), (false, false, true), "two in seven days");
        assert_eq!(held(7 * DAY, 0), (false, false, false), "the first is seven days old");
    }

    // Defect 43: the same penalty, given twice, halved twice.
    #[test]
    fn an_offence_counts_once_however_often_it_is_learned() {
        let mut p = Penalties::default();
        assert!(p.learn(&offence(1, RiskTier::High, 0)));
        assert!(!p.learn(&offence(1, RiskTier::High, 0)));
        assert!(!p.until().at(at(1)).repeated, "one hold is not two");
    }

    #[test]
    fn what_a_person_released_as_harmless_counts_no_more() {
        let mut p = Penalties::default();
        for (id, second) in [(1, 0), (2, 10), (3, 20)] {
            p.learn(&offence(id, RiskTier::High, second));
        }
        assert!(p.unlearn(OffenceId([3; 16])));
        assert_eq!((p.until().high, p.until().repeated), (at(10 + DAY), at(7 * DAY)));
        assert!(p.unlearn(OffenceId([1; 16])));
        assert_eq!((p.until().high, p.until().repeated), (at(10 + DAY), Tick::ZERO));
        assert!(!p.unlearn(OffenceId([1; 16])), "it is gone already");
        assert!(!p.learn(&offence(9, RiskTier::Low, 0)), "LOW never counts");
    }

    #[test]
    fn when_every_open_hold_is_released_older_offences_still_count() {
        let mut p = Penalties::default();
        for id in 0..100_u8 {
            p.learn(&offence(id, RiskTier::High, i64::from(id)));
        }
        assert_eq!(p.offences().count(), HIGH_KEPT, "memory is bounded");
        for id in 80..100 {
            assert!(p.unlearn(OffenceId([id; 16])));
        }
        assert_eq!((p.until().high, p.until().repeated), (at(79 + DAY), at(78 + 7 * DAY)));
    }

    proptest! {
        #[test]
        fn penalties_follow_the_history_whatever_the_order_of_learning(
            history in prop::collection::vec((any::<bool>(), 0..20 * DAY), 0..20),
            taken_back in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
            now in 0..30 * DAY,
            by in any::<u64>(),
        ) {
            let mut all: Vec<Offence> = history.iter().zip(1..).map(|((high, second), id)| {
                let tier = if *high { RiskTier::Critical } else { RiskTier::Moderate };
                offence(id, tier, *second)
            }).collect();
            // Only the last few MODERATE ones are kept; taking these back is not exact beyond that.
            let back: Vec<Offence> = taken_back.iter().filter(|_| !all.is_empty())
                .map(|i| *i.get(&all)).filter(|o| o.tier == RiskTier::Critical).collect();
            let mut p = Penalties::default();
            all.sort_by_key(|o| u64::from(o.id.0[0]).wrapping_mul(by | 1));
            for o in &all { p.learn(o); }
            for o in &back { p.unlearn(o.id); }
            all.retain(|o| !back.contains(o));
            let now = at(now);
            let within = |tier, span| all.iter().filter(|o| o.tier == tier
                && Tick::from(o.at).as_ms() + span > now.as_ms()).count();
            // An offence that lies ahead of the clock counts, too.
            prop_assert_eq!(p.until().at(now), Penalised {
                moderate: within(RiskTier::Moderate, MODERATE_MS) >= 1,
                high: within(RiskTier::Critical, HIGH_MS) >= 1,
                repeated: within(RiskTier::Critical, REPEATED_MS) >= 2,
            });
            prop_assert_eq!(Penalties::from_offences(&p.offences().collect::<Vec<_>>()), p);
        }
    }
}
