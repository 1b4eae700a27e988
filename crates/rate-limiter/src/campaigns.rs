//! Who posts the same within an hour: counted, and never who.
//!
//! A text comes as a [`Sketch`], of which nothing can be read, and an owner, an agent and a submission come as keyed
//! hashes. A [`SightingStore`] keeps what was seen at each of the sketch's places for an hour, and a [`CampaignCounter`]
//! asks it and says what it means.

mod memory;
mod seen;

use std::fmt;
use std::hash::Hasher as _;
#[expect(deprecated, reason = "the standard library has no other hash that takes a key")]
use std::hash::SipHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use clawexchange_ssg_core::{AgentId, Fault, FaultKind, InspectionId, OwnerId, Sketch};

pub use self::memory::MemorySightings;
#[cfg(feature = "redis")]
pub(crate) use self::memory::is_fresh;
#[cfg(feature = "redis")]
pub(crate) use self::seen::{ENTRY_BYTES, Entry, Tally};
pub use self::seen::{KEPT_MAX, Seen, Sighting};
use crate::error::LimitError;

/// How long a text that was released counts as one, in milliseconds: as long as anything counts against an agent.
pub(crate) const RELEASED_MS: u64 = 7 * 24 * 3_600_000;

/// How many texts that were released are remembered; beyond, the oldest is forgotten.
pub(crate) const RELEASED_MAX: usize = 256;

/// Keeps what was seen within the last hour, at most [`KEPT_MAX`] submissions at each place.
///
/// Whatever the store: a submission counts once; one counts that is less than an hour away from now, whether before or,
/// where a clock was set back, after; where there are too many, one leaves of the owner that has most, so that nobody
/// pushes others out by posting often.
#[async_trait]
pub trait SightingStore: fmt::Debug + Send + Sync + 'static {
    /// `async fn see(&self, sighting: &Sighting) -> Result<Seen, LimitError>`
    ///
    /// Counts a submission, once, and says how often nearly the same was seen, this one included.
    async fn see(&self, sighting: &Sighting) -> Result<Seen, LimitError>;

    /// `async fn release(&self, bits: u128) -> Result<(), LimitError>`
    ///
    /// Remembers for a week that nearly the same text, by its SimHash, is harmless.
    async fn release(&self, bits: u128) -> Result<(), LimitError>;

    /// `async fn is_released(&self, sketch: &Sketch) -> Result<bool, LimitError>`
    ///
    /// Whether nearly the same text was found harmless within a week.
    async fn is_released(&self, sketch: &Sketch) -> Result<bool, LimitError>;
}

/// From when on many make a campaign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CampaignRules {
    owners: u32,
    repeats: u32,
    hold_owners: u32,
}

impl CampaignRules {
    /// The fewest and the most that any of the numbers may be: one makes no campaign, and more are hardly remembered.
    pub const RANGE: std::ops::RangeInclusive<u32> = 2..=100;

    /// So many owners, or so many times by one owner, make a campaign; so many owners make one that is held where it
    /// leads its readers somewhere. Each is 2 to 100, and no fewer owners are held than make a campaign.
    ///
    /// # Errors
    ///
    /// Other numbers.
    pub fn new(owners: u32, repeats: u32, hold_owners: u32) -> Result<Self, CampaignRulesError> {
        if ![owners, repeats, hold_owners].iter().all(|number| Self::RANGE.contains(number)) {
            return Err(CampaignRulesError::Range);
        }
        if hold_owners < owners {
            Err(CampaignRulesError::Order)
        } else {
            Ok(Self { owners, repeats, hold_owners })
        }
    }

    /// Whether that is a campaign.
    pub const fn is_campaign(&self, seen: &Seen) -> bool {
        seen.owners >= self.owners || seen.own_times >= self.repeats
    }

    /// Whether that is one to be held, if its text leads somewhere.
    pub const fn may_hold(&self, seen: &Seen) -> bool {
        seen.owners >= self.hold_owners
    }
}

impl Default for CampaignRules {
    /// Five owners: a text of eighty characters that five people post within an hour was written once. Five times by one
    /// owner: as many posts as an agent that nobody knows yet has in an hour. Held from twenty owners: friends who share
    /// an invitation are fewer, and whoever has twenty accounts has paid for them.
    fn default() -> Self {
        Self { owners: 5, repeats: 5, hold_owners: 20 }
    }
}

/// The numbers make no rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CampaignRulesError {
    /// One of them is too small or too large.
    #[error("each number of a campaign is 2 to 100")]
    Range,
    /// Fewer owners would be held than make a campaign.
    #[error("no fewer owners are held than make a campaign")]
    Order,
}

impl Fault for CampaignRulesError {
    fn code(&self) -> &'static str {
        "rate-limiter/campaign-rules"
    }

    fn kind(&self) -> FaultKind {
        FaultKind::Configuration
    }
}

/// Counts who posts the same: in this process, and in a store that several share, if there is one. Cheap to clone.
///
/// What is said is never less than what this process has seen itself, so that a store that is away or has lost its memory
/// takes nothing away from that.
#[derive(Clone)]
pub struct CampaignCounter(Arc<Counter>);

struct Counter {
    rules: CampaignRules,
    key: (u64, u64),
    own: MemorySightings,
    shared: Option<Box<dyn SightingStore>>,
    is_alone: AtomicBool,
    counted_alone: AtomicU64,
}

/// Of what a hash is, so that an agent and an owner of one name are two.
const OWNER: u8 = b'o';
const AGENT: u8 = b'a';
const SUBMISSION: u8 = b's';

impl CampaignCounter {
    /// One that counts in this process alone. Names are hashed under `key`, which nobody knows who chooses them, and
    /// which is the same in all processes that share a store.
    pub fn in_process(rules: CampaignRules, key: &[u8; 32], own: MemorySightings) -> Self {
        Self::new(rules, key, own, None)
    }

    /// One that also counts in a store that others share.
    pub fn shared(
        rules: CampaignRules,
        key: &[u8; 32],
        own: MemorySightings,
        store: impl SightingStore,
    ) -> Self {
        Self::new(rules, key, own, Some(Box::new(store)))
    }

    fn new(
        rules: CampaignRules,
        key: &[u8; 32],
        own: MemorySightings,
        shared: Option<Box<dyn SightingStore>>,
    ) -> Self {
        let mut halves = key.as_chunks().0.iter().map(|half| u64::from_be_bytes(*half));
        // The hash takes half of it.
        let key = (halves.next().unwrap_or(0), halves.next().unwrap_or(0));
        let (is_alone, counted_alone) = (AtomicBool::new(false), AtomicU64::new(0));
        Self(Arc::new(Counter { rules, key, own, shared, is_alone, counted_alone }))
    }

    /// From when on many make a campaign.
    pub fn rules(&self) -> &CampaignRules {
        &self.0.rules
    }

    /// Counts a submission, once for each inspection, and says how often nearly the same was seen within an hour, this
    /// one included. An agent without an owner is its own.
    ///
    /// Takes no longer than the shared store waits; where that does not answer, it is as this process alone has seen it.
    pub async fn see(
        &self,
        sketch: &Sketch,
        agent: &AgentId,
        owner: Option<&OwnerId>,
        inspection: InspectionId,
    ) -> Seen {
        let agent = self.hash(AGENT, agent.as_str().as_bytes());
        let owner = owner.map_or(agent, |owner| self.hash(OWNER, owner.as_str().as_bytes()));
        let submission = self.hash(SUBMISSION, inspection.as_bytes());
        let sighting = Sighting { sketch: *sketch, owner, agent, submission };
        let own = self.0.own.count(&sighting);
        let Some(store) = &self.0.shared else { return own };
        self.heard(store.see(&sighting).await).map_or(own, |shared| shared.at_least(&own))
    }

    /// Whether nearly the same text was found harmless by somebody within a week. One of which that cannot be told was
    /// not.
    pub async fn is_released(&self, sketch: &Sketch) -> bool {
        if self.0.own.has_released(sketch) {
            return true;
        }
        let Some(store) = &self.0.shared else { return false };
        self.heard(store.is_released(sketch).await) == Some(true)
    }

    /// Remembers for a week that a text, by its SimHash, was found harmless: it is not held as a campaign.
    ///
    /// # Errors
    ///
    /// The shared store does not answer; this process remembers it all the same.
    pub async fn release(&self, bits: u128) -> Result<(), LimitError> {
        self.0.own.note_released(bits);
        match &self.0.shared {
            Some(store) => store.release(bits).await,
            None => Ok(()),
        }
    }

    /// How many questions the shared store did not answer since this process began; 0 if there is none.
    pub fn counted_alone(&self) -> u64 {
        self.0.counted_alone.load(Ordering::Relaxed)
    }

    /// The answer of the shared store, if it is one. That it is none is said once.
    fn heard<T>(&self, answer: Result<T, LimitError>) -> Option<T> {
        let Counter { is_alone, counted_alone, .. } = &*self.0;
        match answer {
            Ok(answer) => {
                if is_alone.swap(false, Ordering::Relaxed) {
                    tracing::info!("campaigns are counted together with other processes again");
                }
                Some(answer)
            }
            Err(error) => {
                counted_alone.fetch_add(1, Ordering::Relaxed);
                if !is_alone.swap(true, Ordering::Relaxed) {
                    tracing::warn!(code = error.code(), "campaigns are counted in this process alone");
                }
                None
            }
        }
    }

    fn hash(&self, of: u8, name: &[u8]) -> u32 {
        #[expect(deprecated, reason = "the standard library has no other hash that takes a key")]
        let mut hasher = SipHasher::new_with_keys(self.0.key.0, self.0.key.1);
        hasher.write(&[of]);
        hasher.write(name);
        let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Debug for CampaignCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CampaignCounter")
            .field("rules", &self.0.rules)
            .field("shared", &self.0.shared)
            .finish_non_exhaustive()
    }
}
