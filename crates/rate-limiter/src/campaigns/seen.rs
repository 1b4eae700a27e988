//! What was seen at one place, and what it adds up to. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use clawexchange_ssg_core::Sketch;

use crate::window::{HOUR_MS, Tick};

/// How many submissions are remembered at one place: of a campaign of more it is said that there may be more.
pub const KEPT_MAX: usize = 128;

/// One submission of a text: whose it is stands in it as keyed hashes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever implements a store has to make them for its tests")]
pub struct Sighting {
    /// What the text looks like.
    pub sketch: Sketch,
    /// A keyed hash of the owner's name.
    pub owner: u32,
    /// A keyed hash of the agent's name.
    pub agent: u32,
    /// A keyed hash of the submission's id: the same one counts once.
    pub submission: u32,
}

impl fmt::Debug for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sighting([hashes])")
    }
}

/// How often a text, or nearly the same, was seen within an hour: each number at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Seen {
    /// By how many owners.
    pub owners: u32,
    /// By how many agents.
    pub agents: u32,
    /// How often in all.
    pub times: u32,
    /// How often by the owner of the submission that was asked about.
    pub own_times: u32,
    /// There may have been more, since no more are remembered.
    pub or_more: bool,
}

impl Seen {
    /// Of two that each may have missed something, the more of each.
    #[must_use]
    pub(super) fn at_least(self, other: &Self) -> Self {
        Self {
            owners: self.owners.max(other.owners),
            agents: self.agents.max(other.agents),
            times: self.times.max(other.times),
            own_times: self.own_times.max(other.own_times),
            or_more: self.or_more || other.or_more,
        }
    }
}

/// A submission as a place remembers it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: Tick,
    pub(crate) bits: u128,
    pub(crate) owner: u32,
    pub(crate) agent: u32,
    pub(crate) submission: u32,
}

/// Bytes of one in Redis: moment, SimHash, owner, agent, submission.
#[cfg(feature = "redis")]
pub(crate) const ENTRY_BYTES: usize = 5 + 16 + 4 + 4 + 4;

impl Entry {
    pub(crate) const fn new(at: Tick, sighting: &Sighting) -> Self {
        let Sighting { sketch, owner, agent, submission } = *sighting;
        Self { at, bits: sketch.bits(), owner, agent, submission }
    }

    /// Whether it counts: it is less than an hour away, whichever way clocks were set.
    pub(crate) const fn counts(&self, now: Tick) -> bool {
        self.at.as_ms().abs_diff(now.as_ms()) < HOUR_MS
    }

    /// Whether it is that submission.
    pub(crate) const fn is_of(&self, sighting: &Sighting) -> bool {
        self.submission == sighting.submission && self.bits == sighting.sketch.bits()
    }

    /// What Redis is told, which puts its own moment before it.
    #[cfg(feature = "redis")]
    pub(crate) fn timeless_bytes(&self) -> Vec<u8> {
        let mut bytes = self.bits.to_be_bytes().to_vec();
        for hash in [self.owner, self.agent, self.submission] {
            bytes.extend(hash.to_be_bytes());
        }
        bytes
    }

    #[cfg(feature = "redis")]
    pub(crate) fn of_bytes(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let (at, rest) = bytes.split_first_chunk::<5>()?;
        let (bits, rest) = rest.split_first_chunk::<16>()?;
        let mut hashes = rest.as_chunks::<4>().0.iter().map(|hash| u32::from_be_bytes(*hash));
        Some(Self {
            at: Tick::from_bytes(*at),
            bits: u128::from_be_bytes(*bits),
            owner: hashes.next()?,
            agent: hashes.next()?,
            submission: hashes.next()?,
        })
    }
}

/// Adds up what places remember of a sighting's like.
pub(crate) struct Tally<'a> {
    sighting: &'a Sighting,
    /// Owner and agent by submission: most stand at several places.
    found: BTreeMap<u32, (u32, u32)>,
    or_more: bool,
}

impl<'a> Tally<'a> {
    pub(crate) fn of(sighting: &'a Sighting) -> Self {
        let found = BTreeMap::from([(sighting.submission, (sighting.owner, sighting.agent))]);
        Self { sighting, found, or_more: false }
    }

    /// Counts what a place remembered before the sighting was put there.
    pub(crate) fn add(&mut self, place: &[Entry], now: Tick) {
        let is_like = |entry: &&Entry| entry.counts(now) && self.sighting.sketch.is_near(entry.bits);
        let mut has_like = false;
        for entry in place.iter().filter(is_like) {
            has_like = true;
            self.found.insert(entry.submission, (entry.owner, entry.agent));
        }
        // A place that is full of others says nothing of this text.
        self.or_more |= has_like && place.len() >= KEPT_MAX;
    }

    pub(crate) fn seen(self) -> Seen {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let distinct =
            |of: fn(&(u32, u32)) -> u32| self.found.values().map(of).collect::<BTreeSet<_>>().len();
        let own = self.found.values().filter(|(owner, _)| *owner == self.sighting.owner);
        Seen {
            owners: count(distinct(|(owner, _)| *owner)),
            agents: count(distinct(|(_, agent)| *agent)),
            times: count(self.found.len()),
            own_times: count(own.count()),
            or_more: self.or_more,
        }
    }
}

/// Makes room at a place for one more, oldest first: what is too old at its front goes, and of one that is still full all
/// that does not count, or else the oldest of the owner that has most.
pub(crate) fn make_room(place: &mut Vec<Entry>, now: Tick) {
    let old = place.iter().take_while(|entry| !entry.counts(now)).count();
    place.drain(..old);
    if place.len() < KEPT_MAX {
        return;
    }
    place.retain(|entry| entry.counts(now));
    while place.len() >= KEPT_MAX {
        let Some(leaving) = most_frequent(place) else { return };
        place.remove(leaving);
    }
}

/// The oldest of the owner that has most; of several that have as many, of the one that comes first.
fn most_frequent(place: &[Entry]) -> Option<usize> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for entry in place {
        *counts.entry(entry.owner).or_default() += 1;
    }
    let most = counts.values().max()?;
    place.iter().position(|entry| counts.get(&entry.owner) == Some(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(owner: u32, submission: u32) -> Sighting {
        Sighting { sketch: Sketch::new(7, [0; Sketch::PLACES]), owner, agent: owner, submission }
    }

    #[test]
    fn whoever_posts_often_pushes_nobody_else_out() {
        let now = Tick::from_ms(10 * HOUR_MS);
        let mut place = Vec::new();
        for owner in 0..19 {
            place.push(Entry::new(now, &sighting(owner, owner)));
        }
        for i in 0..1_000 {
            make_room(&mut place, now);
            place.push(Entry::new(now, &sighting(100 + i % 4, 1_000 + i)));
        }
        let last = sighting(19, 5_000);
        let mut tally = Tally::of(&last);
        tally.add(&place, now);
        assert_eq!((place.len(), tally.seen().owners), (KEPT_MAX, 24));
    }

    #[test]
    fn of_a_full_place_what_is_too_old_goes_before_anything_else() {
        let now = Tick::from_ms(10 * HOUR_MS);
        let later = now.plus_ms(HOUR_MS);
        let mut place = vec![Entry::new(later, &sighting(1, 1))];
        place.extend((0..200).take(KEPT_MAX - 2).map(|i| Entry::new(now, &sighting(i, 10 + i))));
        place.push(Entry::new(later, &sighting(2, 2)));
        assert_eq!(place.len(), KEPT_MAX);
        make_room(&mut place, later);
        assert_eq!(place.iter().map(|e| e.submission).collect::<Vec<_>>(), [1, 2]);
    }

    #[cfg(feature = "redis")]
    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let entry = Entry::new(Tick::from_ms(77), &Sighting { agent: 8, ..sighting(9, 10) });
        let mut bytes = entry.at.to_bytes().to_vec();
        bytes.extend(entry.timeless_bytes());
        assert!(Entry::of_bytes(bytes.as_slice().try_into().unwrap()) == Some(entry));
    }
}
