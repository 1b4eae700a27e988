//! One text that many post: what it looks like, how often it was seen, and the port to whoever counts.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::content::ContentEnvelope;
use crate::event::{AuditEvent, EventError};
use crate::id::{AgentId, InspectionId, OwnerId};
use crate::inspection::Assessment;

/// The label of content that is part of a campaign.
pub(crate) const CAMPAIGN: &str = "CAMPAIGN";

/// How long a text counts after it was submitted.
pub const CAMPAIGN_WINDOW_SECONDS: u32 = 3600;

/// What a text looks like, as numbers: of texts that are nearly the same, nearly the same.
///
/// It is a SimHash under a secret key, and where texts that are like it may be found. Nobody without the key can tell
/// a text from it, nor make a text that has it. `Debug` prints nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sketch {
    bits: u128,
    places: [u16; Self::PLACES],
}

impl Sketch {
    /// At how many places a text is looked for: of two that are nearly the same at least one is the same.
    pub const PLACES: usize = 6;

    /// In how many of 128 bits two texts differ at most that are nearly the same: as they do where one word in six is
    /// another. Of unrelated texts half of them differ.
    pub const NEAR_BITS_MAX: u32 = 24;

    /// Puts the parts together.
    pub const fn new(bits: u128, places: [u16; Self::PLACES]) -> Self {
        Self { bits, places }
    }

    /// The SimHash.
    pub const fn bits(&self) -> u128 {
        self.bits
    }

    /// Where texts that are like it may be found.
    pub const fn places(&self) -> &[u16; Self::PLACES] {
        &self.places
    }

    /// Whether that SimHash is one of nearly the same text.
    pub const fn is_near(&self, bits: u128) -> bool {
        are_near(self.bits, bits)
    }
}

impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sketch([of content])")
    }
}

/// Whether two SimHashes are of nearly the same text.
const fn are_near(one: u128, other: u128) -> bool {
    (one ^ other).count_ones() <= Sketch::NEAR_BITS_MAX
}

/// How often a text, or nearly the same, was submitted within the last hour, this time included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Campaign {
    /// By how many owners; an agent without an owner is its own.
    pub owners: u32,
    /// By how many agents.
    pub agents: u32,
    /// How often in all.
    pub times: u32,
    /// Of these, how often by the owner of this submission.
    pub own_times: u32,
    /// The last so many seconds.
    pub window_seconds: u32,
    /// There may have been more: no more than so many are remembered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub or_more: bool,
    /// It is held for that.
    #[serde(skip)]
    pub is_to_hold: bool,
    /// The SimHash of the text, by which a released one is known again; only its event says it.
    #[serde(skip)]
    pub bits: u128,
}

/// For people.
impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owners, times, .. } = self;
        let more = if self.or_more { "at least " } else { "" };
        let by = if *owners == 1 { "owner" } else { "owners" };
        write!(f, "the same {more}{times} times by {owners} {by} within an hour")
    }
}

/// What stands in an event of content that is part of a campaign.
const META: &str = "campaign";
const BITS: &str = "sketch";

impl Campaign {
    /// So many owners, agents, times, and times by the owner of this one.
    pub const fn new(owners: u32, agents: u32, times: u32, own_times: u32) -> Self {
        Self {
            owners,
            agents,
            times,
            own_times,
            window_seconds: CAMPAIGN_WINDOW_SECONDS,
            or_more: false,
            is_to_hold: false,
            bits: 0,
        }
    }

    /// What an event says of a campaign; `None` if its content was part of none.
    pub fn of_event(meta: &Map<String, Value>) -> Option<Self> {
        let said = meta.get(META)?;
        let bits = u128::from_str_radix(said.get(BITS)?.as_str()?, 16).ok()?;
        Some(Self { bits, ..Self::deserialize(said).ok()? })
    }

    /// The same event, with what is known of the campaign.
    pub(crate) fn told_in(&self, event: AuditEvent) -> Result<AuditEvent, EventError> {
        let mut said = json!({
            "owners": self.owners, "agents": self.agents, "times": self.times, "ownTimes": self.own_times,
            "windowSeconds": self.window_seconds, BITS: format!("{:032x}", self.bits),
        });
        if let (Value::Object(said), true) = (&mut said, self.or_more) {
            said.insert("orMore".to_owned(), true.into());
        }
        event.with(META, said)
    }
}

/// A submission that was inspected and is about to have its verdict.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Posted<'a> {
    /// The inspection, by which the same submission is known again.
    pub inspection: InspectionId,
    /// The content.
    pub content: &'a ContentEnvelope,
    /// What was found in it.
    pub assessment: &'a Assessment,
    /// Who posts it.
    pub agent: &'a AgentId,
    /// Who the agent belongs to.
    pub owner: Option<&'a OwnerId>,
}

/// Counts who posts the same.
#[async_trait]
pub trait Campaigns: fmt::Debug + Send + Sync + 'static {
    /// `async fn count(&self, posted: Posted<'_>) -> Option<Campaign>`
    ///
    /// Counts a submission, once however often it is asked under one inspection, and says of which campaign it is a part;
    /// `None` if of none.
    ///
    /// It has no error: a count that cannot be had must not keep a submission waiting for long, nor fail it. Whoever
    /// implements it says what is counted meanwhile.
    async fn count(&self, posted: Posted<'_>) -> Option<Campaign>;
}

#[async_trait]
impl<T: Campaigns + ?Sized> Campaigns for Arc<T> {
    async fn count(&self, posted: Posted<'_>) -> Option<Campaign> {
        (**self).count(posted).await
    }
}

#[async_trait]
impl<T: Campaigns + ?Sized> Campaigns for Box<T> {
    async fn count(&self, posted: Posted<'_>) -> Option<Campaign> {
        (**self).count(posted).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::Actor;
    use crate::clock::Timestamp;
    use crate::event::EventKind;

    fn event() -> AuditEvent {
        AuditEvent::new(EventKind::SsgPass, Actor::system("test").unwrap(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn texts_are_near_up_to_the_last_bit_that_may_differ() {
        let sketch = Sketch::new(u128::MAX, [0; Sketch::PLACES]);
        assert!(sketch.is_near(u128::MAX << Sketch::NEAR_BITS_MAX));
        assert!(!sketch.is_near(u128::MAX << (Sketch::NEAR_BITS_MAX + 1)));
    }

    #[test]
    fn people_are_told_how_many_and_whether_there_may_be_more() {
        let campaign = Campaign::new(20, 21, 30, 2);
        assert_eq!(campaign.to_string(), "the same 30 times by 20 owners within an hour");
        let campaign = Campaign { or_more: true, ..Campaign::new(1, 1, 128, 128) };
        assert_eq!(campaign.to_string(), "the same at least 128 times by 1 owner within an hour");
    }

    #[test]
    fn what_an_event_says_of_a_campaign_is_read_back_and_results_do_not_have_the_sketch() {
        for or_more in [false, true] {
            let campaign = Campaign { or_more, bits: 0xabc, ..Campaign::new(20, 21, 30, 2) };
            let event = campaign.told_in(event()).unwrap();
            assert_eq!(Campaign::of_event(event.meta()), Some(campaign));
            let shown = serde_json::to_value(campaign).unwrap();
            assert_eq!((&shown["owners"], &shown["ownTimes"]), (&json!(20), &json!(2)));
            assert_eq!((shown.get("sketch"), shown.get("bits"), shown.get("isToHold")), (None, None, None));
            assert_eq!(shown.get("orMore").is_some(), or_more);
        }
        assert_eq!(Campaign::of_event(event().meta()), None);
        let strange = event().with("campaign", json!({"sketch": "x", "owners": 1})).unwrap();
        assert_eq!(Campaign::of_event(strange.meta()), None);
    }

    #[test]
    fn a_sketch_prints_nothing_of_the_text() {
        assert_eq!(format!("{:?}", Sketch::new(7, [7; Sketch::PLACES])), "Sketch([of content])");
    }
}
