//! The exact sliding log of what was admitted, and the decision over it. Pure: no clock, no store.

use std::collections::VecDeque;
use std::fmt;

use clawexchange_ssg_core::Timestamp;

use crate::limits::Quota;
use crate::overrides::AgentRates;
use crate::penalties::PenalisedUntil;

/// The longer window in milliseconds.
pub const HOUR_MS: u64 = 3_600_000;

/// The shorter window in milliseconds.
pub const MINUTE_MS: u64 = 60_000;

/// 2020-01-01T00:00:00Z in milliseconds since 1970.
const EPOCH_MS: i64 = 1_577_836_800_000;

/// A moment in whole milliseconds since 2020-01-01T00:00:00Z: what five bytes hold.
///
/// Moments before 2020 and after 3 November 2054 are moved to the nearest that can be said. From that last moment on
/// no unit ages, so that limits deny rather than admit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tick(u64);

impl Tick {
    /// 2020-01-01T00:00:00Z.
    pub const ZERO: Self = Self(0);
    /// The last moment that five bytes hold.
    pub const MAX: Self = Self((1 << 40) - 1);

    /// The moment so many milliseconds after 2020 began.
    pub const fn from_ms(ms: u64) -> Self {
        if ms > Self::MAX.0 { Self::MAX } else { Self(ms) }
    }

    /// Milliseconds since 2020 began.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// This moment and `ms` milliseconds more.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self::from_ms(self.0.saturating_add(ms))
    }

    /// The moment as five bytes, the highest first.
    pub const fn to_bytes(self) -> [u8; 5] {
        let [_, _, _, a, b, c, d, e] = self.0.to_be_bytes();
        [a, b, c, d, e]
    }

    /// The moment of five bytes.
    pub const fn from_bytes([a, b, c, d, e]: [u8; 5]) -> Self {
        Self(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }
}

impl From<Timestamp> for Tick {
    fn from(at: Timestamp) -> Self {
        Self::from_ms(u64::try_from(at.as_micros().div_euclid(1_000) - EPOCH_MS).unwrap_or(0))
    }
}

impl From<Tick> for Timestamp {
    fn from(tick: Tick) -> Self {
        Self::from_micros((tick.0.cast_signed() + EPOCH_MS) * 1_000)
    }
}

/// The units that one account was charged in one tier: five bytes each, in the order of admission.
///
/// It holds what was admitted and nothing else, so no flood of refused requests makes it grow, and it serves both
/// windows, since the minute is the end of the hour. Units leave by age alone, never by number: a limit that is
/// lowered and raised again finds them all. Time never runs backwards in it: see [`floor`](Self::floor).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SlidingLog {
    floor: Tick,
    units: VecDeque<[u8; 5]>,
}

impl SlidingLog {
    /// Empty.
    pub const fn new() -> Self {
        Self { floor: Tick::ZERO, units: VecDeque::new() }
    }

    /// The last moment at which anything was charged. Whatever a clock says, nothing is decided or charged for an
    /// earlier one; a refund does not lower it.
    pub const fn floor(&self) -> Tick {
        self.floor
    }

    /// How many units it holds, those that have aged out but not yet left included.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Whether nothing in it can matter at `now` or later, so that it may be dropped.
    pub fn is_spent(&self, now: Tick) -> bool {
        self.floor.0 + HOUR_MS <= now.0
    }

    /// Its units, oldest first.
    pub fn units(&self) -> impl ExactSizeIterator<Item = Tick> {
        self.units.iter().copied().map(Tick::from_bytes)
    }

    /// How many units count at `now` in the window of `span_ms`: those younger than it.
    pub fn used(&self, now: Tick, span_ms: u64) -> u32 {
        let counted = self.units.len() - self.aged(now, span_ms);
        u32::try_from(counted).unwrap_or(u32::MAX)
    }

    /// How long after `now` the oldest unit that counts leaves the window of `span_ms`; `None` if none counts.
    pub fn frees_in_ms(&self, now: Tick, span_ms: u64) -> Option<u64> {
        let oldest = self.units.get(self.aged(now, span_ms))?;
        Some(Tick::from_bytes(*oldest).0 + span_ms - now.0)
    }

    /// Charges `cost` units at `at`, which must not be before [`floor`](Self::floor); an earlier one is moved there.
    /// Five bytes each are kept: charge what [`Case::decide`] allowed.
    pub fn charge(&mut self, at: Tick, cost: u32) {
        if cost == 0 {
            return;
        }
        let at = at.max(self.floor);
        self.floor = at;
        self.units.drain(..self.aged(at, HOUR_MS));
        let (cost, len) = (cost as usize, self.units.len());
        if len + cost > self.units.capacity() {
            // An eighth more than is needed: amortised, and little of it lies idle in a million logs.
            self.units.reserve_exact(cost.max(len / 8));
        } else if (len + cost) * 4 < self.units.capacity() {
            self.units.shrink_to((len + cost) * 2);
        }
        self.units.extend(std::iter::repeat_n(at.to_bytes(), cost));
    }

    /// How many of its units were charged at `at`.
    pub fn charged_at(&self, at: Tick) -> u32 {
        let (from, to) = self.range_at(at);
        u32::try_from(to - from).unwrap_or(u32::MAX)
    }

    /// Takes back up to `cost` of the units that were charged at `at`, and says how many. Others stay, newer ones
    /// too: taking the newest would let this one's place be used again before it is free.
    pub fn refund(&mut self, at: Tick, cost: u32) -> u32 {
        let (from, to) = self.range_at(at);
        let count = (to - from).min(cost as usize);
        self.units.drain(from..from + count);
        u32::try_from(count).unwrap_or(cost)
    }

    /// Puts back what was kept elsewhere: units in order, none before those that are there.
    pub(crate) fn restore(&mut self, floor: Tick, units: impl ExactSizeIterator<Item = Tick>) {
        self.units.reserve_exact(units.len());
        for unit in units {
            self.floor = self.floor.max(unit);
            self.units.push_back(self.floor.to_bytes());
        }
        self.floor = self.floor.max(floor);
    }

    fn aged(&self, now: Tick, span_ms: u64) -> usize {
        let is_aged = |unit: &[u8; 5]| Tick::from_bytes(*unit).0 + span_ms <= now.0;
        if !self.units.front().is_some_and(is_aged) {
            return 0;
        }
        if self.units.back().is_some_and(is_aged) {
            return self.units.len();
        }
        self.units.partition_point(is_aged)
    }

    fn range_at(&self, at: Tick) -> (usize, usize) {
        let from = self.units.partition_point(|unit| Tick::from_bytes(*unit) < at);
        let to = self.units.partition_point(|unit| Tick::from_bytes(*unit) <= at);
        (from, to)
    }

    /// From which moment `cost` more fit below `limit` in the window of `span_ms`, if nothing else is charged:
    /// as soon as all units that are too many have aged. `None` if never.
    pub(crate) fn fits_from(&self, cost: u32, limit: u32, span_ms: u64) -> Option<u64> {
        let room = limit.checked_sub(cost)? as usize;
        match self.units.len().checked_sub(room + 1) {
            Some(last) => self.units.get(last).map(|unit| Tick::from_bytes(*unit).0 + span_ms),
            None => Some(0),
        }
    }
}

impl fmt::Debug for SlidingLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlidingLog").field("floor", &self.floor).field("units", &self.units.len()).finish()
    }
}

/// What is to be decided: who would be charged, what for, under which limits.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the input of a pure function, built in place")]
pub struct Case<'a> {
    /// What the clock says.
    pub now: Tick,
    /// Before which nothing is decided, whatever the clock says.
    pub floor: Tick,
    /// The agent's log.
    pub agent: &'a SlidingLog,
    /// The log of its owner, if it has one.
    pub owner: Option<&'a SlidingLog>,
    /// What the agent may do, now and later.
    pub rates: AgentRates,
    /// Until when penalties take from it, or a suspension takes all.
    pub until: PenalisedUntil,
    /// Units; 0 only asks whether the account is within its limits.
    pub cost: u32,
}

/// What was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "who handles answers and forgets one must not compile")]
pub enum Ruling {
    /// All of it fits into every window.
    Allow,
    /// It does not fit now. It does after `wait_ms` and not a millisecond earlier, if nothing else is charged.
    Deny {
        /// Milliseconds by the clock that said `now`.
        wait_ms: u64,
    },
    /// It will not fit, however long one waits: it is more than the whole limit, penalties or not, or the agent is
    /// suspended until somebody lifts that.
    Never,
}

impl Case<'_> {
    /// The moment for which is decided: what the clock says, but never before a charge that counts here.
    pub fn at(&self) -> Tick {
        let owner = self.owner.map_or(Tick::ZERO, SlidingLog::floor);
        self.now.max(self.floor).max(self.agent.floor).max(owner)
    }

    /// Decides. Changes nothing.
    pub fn decide(&self) -> Ruling {
        let at = self.at();
        match self.earliest(at) {
            Some(first) if first <= at.0 => Ruling::Allow,
            Some(first) => Ruling::Deny { wait_ms: first - self.now.0 },
            None => Ruling::Never,
        }
    }

    /// The first moment from `at` on at which all of it fits. Limits change when a penalty, a suspension or an override
    /// ends, so the question is asked anew from each of the up to five ends.
    fn earliest(&self, at: Tick) -> Option<u64> {
        let mut from = at;
        loop {
            let next = self.until.next_end(from).into_iter().chain(self.rates.next_end(from)).min();
            if let Some(first) = self.fits_from(from)
                && next.is_none_or(|next| first < next.0)
            {
                return Some(first.max(from.0));
            }
            from = next?;
        }
    }

    /// From which moment all of it fits, if the limits stay as they are at `from`.
    fn fits_from(&self, from: Tick) -> Option<u64> {
        if self.until.is_suspended(from) {
            return None;
        }
        let rates = self.rates.at(from);
        let both = |log: &SlidingLog, limit: Quota| {
            let hour = log.fits_from(self.cost, limit.per_hour, HOUR_MS)?;
            Some(hour.max(log.fits_from(self.cost, limit.per_minute, MINUTE_MS)?))
        };
        let agent = both(self.agent, rates.agent(self.until.at(from)))?;
        match self.owner {
            Some(owner) => Some(agent.max(both(owner, rates.owner())?)),
            None => Some(agent),
        }
    }
}
