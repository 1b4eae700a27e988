//! Sightings in the memory of one process: of a fixed size, whatever comes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use clawexchange_ssg_core::{Clock, Sketch, SystemClock};

use super::seen::{Entry, KEPT_MAX, Seen, Sighting, Tally, make_room};
use super::{RELEASED_MAX, RELEASED_MS, SightingStore};
use crate::error::LimitError;
use crate::window::Tick;

/// How many submissions are remembered unless it is said: some 8 MiB.
const SIGHTINGS_MAX: usize = 100_000;

/// Places of each of the numbers that a sketch has.
const PLACES: usize = 1 << 16;

/// Sightings in this process. Cheap to clone; each text costs a walk over at most six times 128 entries.
///
/// It remembers 100,000 submissions unless it is told otherwise, 80 bytes each, and beyond them 1.5 MiB that are taken
/// with the first. Of more within an hour the oldest are forgotten. Nothing is kept when the process ends.
#[derive(Clone)]
pub struct MemorySightings(Arc<Inner>);

struct Inner {
    clock: Box<dyn Clock>,
    sightings_max: usize,
    state: Mutex<State>,
}

/// All submissions in the order of coming, each with the number of the one before it at each of its places.
#[derive(Default)]
struct State {
    all: VecDeque<Linked>,
    /// The number of the first of them.
    first: u32,
    /// The number of the last at each place.
    last: Vec<Link>,
    released: VecDeque<(Tick, u128)>,
}

/// A number; that of one that was forgotten leads nowhere.
type Link = Option<Number>;

/// Kept plus one, so that none takes no room.
type Number = std::num::NonZeroU32;

#[derive(Clone, Copy)]
struct Linked {
    entry: Entry,
    before: [Link; Sketch::PLACES],
}

impl MemorySightings {
    /// Empty, by the clock of this machine.
    pub fn new() -> Self {
        Self::with_clock(SIGHTINGS_MAX, SystemClock::new())
    }

    /// Empty, with room for so many submissions, at least one and at most 2^31, by that clock.
    pub fn with_clock(sightings_max: usize, clock: impl Clock) -> Self {
        // Links are numbers that go round: those that are remembered must not be mistaken for each other.
        let sightings_max = sightings_max.clamp(1, 1 << 31);
        Self(Arc::new(Inner { clock: Box::new(clock), sightings_max, state: Mutex::default() }))
    }

    /// Counts a submission, as [`SightingStore::see`] does, and cannot fail.
    pub fn count(&self, sighting: &Sighting) -> Seen {
        let now = Tick::from(self.0.clock.now());
        self.with(|state| state.count(sighting, now, self.0.sightings_max))
    }

    /// How many submissions are remembered.
    pub fn len(&self) -> usize {
        self.with(|state| state.all.len())
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn note_released(&self, bits: u128) {
        let now = Tick::from(self.0.clock.now());
        self.with(|state| {
            state.released.retain(|(at, known)| *known != bits && is_fresh(*at, now));
            while state.released.len() >= RELEASED_MAX {
                state.released.pop_front();
            }
            state.released.push_back((now, bits));
        });
    }

    pub(super) fn has_released(&self, sketch: &Sketch) -> bool {
        let now = Tick::from(self.0.clock.now());
        self.with(|state| state.released.iter().any(|(at, bits)| is_fresh(*at, now) && sketch.is_near(*bits)))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Nothing under the lock can fail in the middle of a change.
        act(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) const fn is_fresh(at: Tick, now: Tick) -> bool {
    at.as_ms().abs_diff(now.as_ms()) < RELEASED_MS
}

impl State {
    fn count(&mut self, sighting: &Sighting, now: Tick, sightings_max: usize) -> Seen {
        if self.last.is_empty() {
            self.last = vec![None; PLACES * Sketch::PLACES];
        }
        let mut tally = Tally::of(sighting);
        let mut is_known = false;
        let mut places = [const { Vec::new() }; Sketch::PLACES];
        for (nth, place) in places.iter_mut().enumerate() {
            *place = self.chain(nth, sighting);
            let entries: Vec<Entry> =
                place.iter().filter_map(|number| self.get(*number)).map(|l| l.entry).collect();
            tally.add(&entries, now);
            is_known |= entries.iter().any(|entry| entry.is_of(sighting));
        }
        if !is_known {
            for (nth, place) in places.into_iter().enumerate() {
                self.shorten(nth, sighting, place, now);
            }
            self.put(Entry::new(now, sighting), sighting, sightings_max);
        }
        tally.seen()
    }

    /// The numbers at a place, oldest first.
    fn chain(&self, nth: usize, sighting: &Sighting) -> Vec<Number> {
        let mut chain = Vec::new();
        let mut next = self.last.get(index(nth, sighting)).copied().flatten();
        while let Some(number) = next
            && let Some(linked) = self.get(number)
            && chain.len() < KEPT_MAX
        {
            chain.push(number);
            next = linked.before.get(nth).copied().flatten();
        }
        chain.reverse();
        chain
    }

    /// Makes room at a place, and links what is left anew.
    fn shorten(&mut self, nth: usize, sighting: &Sighting, chain: Vec<Number>, now: Tick) {
        let mut left: Vec<Entry> =
            chain.iter().filter_map(|number| self.get(*number)).map(|l| l.entry).collect();
        make_room(&mut left, now);
        if left.len() == chain.len() {
            return;
        }
        let mut left = left.into_iter().peekable();
        let mut before = None;
        for number in chain {
            let Some(linked) = self.get_mut(number) else { continue };
            if left.next_if(|entry| *entry == linked.entry).is_some() {
                if let Some(link) = linked.before.get_mut(nth) {
                    *link = before;
                }
                before = Some(number);
            }
        }
        if let Some(last) = self.last.get_mut(index(nth, sighting)) {
            *last = before;
        }
    }

    fn put(&mut self, entry: Entry, sighting: &Sighting, sightings_max: usize) {
        let number = loop {
            if self.all.len() >= sightings_max {
                self.all.pop_front();
                self.first = self.first.wrapping_add(1);
            }
            let place = u32::try_from(self.all.len()).unwrap_or(0);
            match Number::new(self.first.wrapping_add(place).wrapping_add(1)) {
                Some(number) => break number,
                // One in four billion has no number: nothing leads there.
                None => self.all.push_back(Linked { entry, before: [None; Sketch::PLACES] }),
            }
        };
        let mut linked = Linked { entry, before: [None; Sketch::PLACES] };
        for (nth, before) in linked.before.iter_mut().enumerate() {
            if let Some(last) = self.last.get_mut(index(nth, sighting)) {
                *before = last.replace(number);
            }
        }
        self.all.push_back(linked);
    }

    fn get(&self, number: Number) -> Option<&Linked> {
        self.all.get(self.at(number))
    }

    fn get_mut(&mut self, number: Number) -> Option<&mut Linked> {
        let at = self.at(number);
        self.all.get_mut(at)
    }

    fn at(&self, number: Number) -> usize {
        usize::try_from((number.get() - 1).wrapping_sub(self.first)).unwrap_or(usize::MAX)
    }
}

fn index(nth: usize, sighting: &Sighting) -> usize {
    nth * PLACES + sighting.sketch.places().get(nth).map_or(0, |place| usize::from(*place))
}

impl Default for MemorySightings {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemorySightings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySightings")
            .field("sightings_max", &self.0.sightings_max)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SightingStore for MemorySightings {
    async fn see(&self, sighting: &Sighting) -> Result<Seen, LimitError> {
        Ok(self.count(sighting))
    }

    async fn release(&self, bits: u128) -> Result<(), LimitError> {
        self.note_released(bits);
        Ok(())
    }

    async fn is_released(&self, sketch: &Sketch) -> Result<bool, LimitError> {
        Ok(self.has_released(sketch))
    }
}

#[cfg(test)]
mod tests {
    use clawexchange_ssg_core::testing::ManualClock;

    use super::*;

    fn sighting(text: u16, owner: u32, submission: u32) -> Sighting {
        let bits = u128::from(text).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Sighting { sketch: Sketch::new(bits, [text; Sketch::PLACES]), owner, agent: owner, submission }
    }

    #[test]
    fn memory_stays_as_it_is_said_and_the_oldest_is_forgotten() {
        let store = MemorySightings::with_clock(100, ManualClock::default());
        store.count(&sighting(1, 1, 1));
        for i in 0..99 {
            store.count(&sighting(2, 2, 2 + i));
        }
        assert_eq!(store.count(&sighting(1, 3, 500)).owners, 2, "the first is still there");
        for i in 0..100 {
            store.count(&sighting(3 + i, 4, 1_000 + u32::from(i)));
        }
        assert_eq!((store.len(), store.count(&sighting(1, 5, 501)).owners), (100, 1));
        assert_eq!(size_of::<Linked>(), 80, "what the docs say of it");
    }

    #[test]
    fn numbers_go_round_and_links_with_them() {
        let store = MemorySightings::with_clock(50, ManualClock::default());
        store.with(|state| state.first = u32::MAX - 20);
        for i in 0..45 {
            let seen = store.count(&sighting(7, i, i));
            assert!(seen.owners >= i, "{i}: {seen:?}");
        }
        for i in 45..500 {
            assert!(store.count(&sighting(7, i % 45, i)).owners >= 40, "{i}");
        }
    }

    #[test]
    fn what_was_released_longest_ago_is_forgotten_first() {
        let store = MemorySightings::with_clock(10, ManualClock::default());
        let sketches: Vec<_> =
            (0..).take(RELEASED_MAX + 1).map(|i| sighting(i * 7 + 1, 0, 0).sketch).collect();
        for sketch in &sketches {
            store.note_released(sketch.bits());
            store.note_released(sketch.bits());
        }
        assert!(
            !store.has_released(sketches.first().unwrap()) && store.has_released(sketches.last().unwrap())
        );
        assert_eq!(store.with(|state| state.released.len()), RELEASED_MAX);
    }
}
