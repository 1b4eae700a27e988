//! Refusals, summed: one event for each subject and minute, never one for each request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clawexchange_ssg_core::{Actor, ActorType, AgentId, AuditEvent, EventError, EventKind, Timestamp};

/// Subjects that are told apart within a minute; further ones share one sum. Bounds memory and events under a flood.
const SUBJECTS_MAX: usize = 1000;

const MINUTE: Duration = Duration::from_mins(1);

/// What is summed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Refused {
    /// An agent came too soon, in a tier.
    Limited {
        /// Who.
        agent: AgentId,
        /// In which tier.
        tier: String,
    },
    /// Somebody who is known may not do it.
    NoRight {
        /// Who.
        who: Actor,
        /// What.
        route: &'static str,
    },
    /// Somebody from a network showed no token that opens anything.
    Unknown {
        /// The network; none if the peer has no address.
        network: Option<String>,
        /// Whether there was a token at all: who has none has forgotten it, who has a bad one may be guessing.
        reason: &'static str,
    },
    /// An agent's content could not be judged, held or recorded.
    Failed {
        /// Whose.
        agent: AgentId,
        /// What failed.
        code: &'static str,
    },
    /// Whatever there was no room for.
    Others(EventKind),
}

/// The sums of this minute.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    since: Option<Timestamp>,
    counts: HashMap<Refused, u64>,
    /// Events that the log did not take.
    unsaid: Vec<AuditEvent>,
}

impl Refused {
    const fn kind(&self) -> EventKind {
        match self {
            Self::Limited { .. } => EventKind::RateLimited,
            Self::NoRight { .. } | Self::Unknown { .. } => EventKind::AuthDenied,
            Self::Failed { .. } => EventKind::SsgError,
            Self::Others(kind) => *kind,
        }
    }

    #[expect(clippy::expect_used, reason = "a word of letters is an id")]
    fn gateway() -> AgentId {
        AgentId::new("gateway").expect("a word of letters is an id")
    }

    fn event(self, count: u64, since: Timestamp, now: Timestamp) -> Result<AuditEvent, EventError> {
        let kind = self.kind();
        let nobody = Actor::named(ActorType::System, Self::gateway());
        let event = match self {
            Self::Limited { agent, tier } => {
                AuditEvent::new(kind, Actor::agent(agent), now).with("tier", tier)?
            }
            Self::NoRight { who, route } => AuditEvent::new(kind, who, now).with("route", route)?,
            Self::Unknown { network, reason } => AuditEvent::new(kind, nobody, now)
                .from_ip(network.as_deref().and_then(clawexchange_ssg_core::parse_ip))
                .with("reason", reason)?,
            Self::Failed { agent, code } => {
                AuditEvent::new(kind, Actor::agent(agent), now).with("code", code)?
            }
            Self::Others(_) => AuditEvent::new(kind, nobody, now).with("reason", "others")?,
        };
        event.with("count", count)?.with("minute", since.to_string())
    }
}

impl Refusals {
    /// Counts one.
    pub(crate) fn add(&self, refused: Refused, now: Timestamp) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sums.since.get_or_insert(now);
        let has_room = sums.counts.len() < SUBJECTS_MAX || sums.counts.contains_key(&refused);
        let refused = if has_room { refused } else { Refused::Others(refused.kind()) };
        let count = sums.counts.entry(refused).or_default();
        *count = count.saturating_add(1);
    }

    /// Keeps an event that the log did not take for the next time. Beyond as many as a minute makes, it is lost.
    pub(crate) fn put_back(&self, event: AuditEvent) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.unsaid.len() < SUBJECTS_MAX {
            sums.unsaid.push(event);
        }
    }

    /// Takes the events of a minute that is over, or of whatever there is if `all`, and what was put back.
    pub(crate) fn take(&self, now: Timestamp, all: bool) -> Vec<AuditEvent> {
        let (since, counts, mut events) = {
            let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match sums.since {
                Some(since) if all || now.since(since) >= MINUTE => {
                    sums.since = None;
                    (since, std::mem::take(&mut sums.counts), std::mem::take(&mut sums.unsaid))
                }
                _ => return std::mem::take(&mut sums.unsaid),
            }
        };
        for (refused, count) in counts {
            match refused.event(count, since, now) {
                Ok(event) => events.push(event),
                Err(error) => tracing::error!(%error, "a sum of refusals is no event"),
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(agent: &str) -> Refused {
        Refused::Limited { agent: AgentId::new(agent).unwrap(), tier: "POSTS".to_owned() }
    }

    #[test]
    fn a_flood_of_refusals_is_one_event_a_subject_and_minute() {
        let (refusals, start) = (Refusals::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..1000 {
            refusals.add(limited("a"), start);
            let network = Some("203.0.113.0".to_owned());
            refusals.add(Refused::Unknown { network, reason: "bad-token" }, start);
        }
        assert!(refusals.take(start.plus(MINUTE / 2), false).is_empty(), "the minute is not over");
        let events = refusals.take(start.plus(MINUTE), false);
        assert_eq!(events.len(), 2);
        assert!(events.iter().all(|event| event.meta()["count"] == 1000));
        assert!(refusals.take(start.plus(MINUTE), true).is_empty(), "each is told once");
    }

    #[test]
    fn what_the_log_did_not_take_is_told_again() {
        let (refusals, start) = (Refusals::default(), Timestamp::UNIX_EPOCH);
        refusals.add(limited("a"), start);
        for event in refusals.take(start, true) {
            refusals.put_back(event);
        }
        refusals.add(limited("b"), start);
        assert_eq!(refusals.take(start, false).len(), 1, "without waiting for the minute");
        assert_eq!(refusals.take(start, true).len(), 1);
    }

    #[test]
    fn more_subjects_than_there_is_room_for_share_one_sum() {
        let (refusals, start) = (Refusals::default(), Timestamp::UNIX_EPOCH);
        for n in 0..SUBJECTS_MAX * 2 {
            refusals.add(limited(&format!("a{n}")), start);
        }
        let events = refusals.take(start, true);
        assert_eq!(events.len(), SUBJECTS_MAX + 1);
        let total: u64 = events.iter().map(|event| event.meta()["count"].as_u64().unwrap()).sum();
        assert_eq!(total, SUBJECTS_MAX as u64 * 2);
    }
}
