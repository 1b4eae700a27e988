//! What stands in a journal, as bytes. Numbers are big-endian; texts have their length before them.

use clawexchange_ssg_core::{AgentId, OwnerId, RiskTier};

use crate::decision::Permit;
use crate::penalties::{Offence, OffenceId};
use crate::tier::EndpointTier;
use crate::window::Tick;

/// Units that one record restores at most: five bytes each, so that no record exceeds
/// [`RECORD_BYTES_MAX`](super::frame::RECORD_BYTES_MAX).
pub(crate) const UNITS_PER_RECORD: usize = 512;

/// Whose log it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Account {
    Agent(AgentId),
    Owner(OwnerId),
}

/// One thing that was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Record {
    /// Units were charged.
    Take { agent: AgentId, owner: Option<OwnerId>, tier: EndpointTier, at: Tick, cost: u32 },
    /// Units were given back.
    Refund { agent: AgentId, owner: Option<OwnerId>, tier: EndpointTier, at: Tick, cost: u32 },
    /// An agent's units were forgotten, in one tier or in all.
    Reset { agent: AgentId, tier: Option<EndpointTier> },
    /// An offence was counted.
    Learn { agent: AgentId, offence: Offence },
    /// An offence was taken back.
    Unlearn { agent: AgentId, id: OffenceId },
    /// All that is known of an agent's offences was replaced. One record, so that no crash falls into the middle.
    Rebuild { agent: AgentId, offences: Vec<Offence> },
    /// A log as it stood, or a part of it.
    Units { account: Account, tier: EndpointTier, floor: Tick, units: Vec<Tick> },
    /// Nothing is decided for an earlier moment.
    Floor { at: Tick },
    /// An agent was suspended until then; the zeroth moment: no more.
    Suspend { agent: AgentId, until: Tick },
}

const TAKE: u8 = 1;
const REFUND: u8 = 2;
const RESET: u8 = 3;
const LEARN: u8 = 4;
const UNLEARN: u8 = 5;
const REBUILD: u8 = 6;
const UNITS: u8 = 7;
const FLOOR: u8 = 8;
const SUSPEND: u8 = 9;

const AGENT: u8 = 0;
const OWNER: u8 = 1;

impl Record {
    pub(crate) fn take(permit: &Permit) -> Self {
        let Permit { agent, owner, tier, at, cost, .. } = permit;
        Self::Take { agent: agent.clone(), owner: owner.clone(), tier: tier.clone(), at: *at, cost: *cost }
    }

    pub(crate) fn refund(permit: &Permit, cost: u32) -> Self {
        let Permit { agent, owner, tier, at, .. } = permit;
        Self::Refund { agent: agent.clone(), owner: owner.clone(), tier: tier.clone(), at: *at, cost }
    }

    /// Adds the record's bytes to `to`.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Take { agent, owner, tier, at, cost } | Self::Refund { agent, owner, tier, at, cost } => {
                to.push(if matches!(self, Self::Take { .. }) { TAKE } else { REFUND });
                to.extend(at.to_bytes());
                to.extend(cost.to_be_bytes());
                put(to, tier.as_str());
                put(to, agent.as_str());
                put(to, owner.as_ref().map_or("", OwnerId::as_str));
            }
            Self::Reset { agent, tier } => {
                to.push(RESET);
                put(to, tier.as_ref().map_or("", EndpointTier::as_str));
                put(to, agent.as_str());
            }
            Self::Learn { agent, offence } => {
                to.push(LEARN);
                put(to, agent.as_str());
                put_offence(to, offence);
            }
            Self::Unlearn { agent, id } => {
                to.push(UNLEARN);
                to.extend(id.as_bytes());
                put(to, agent.as_str());
            }
            Self::Rebuild { agent, offences } => {
                to.push(REBUILD);
                put(to, agent.as_str());
                for offence in offences {
                    put_offence(to, offence);
                }
            }
            Self::Units { account, tier, floor, units } => {
                to.push(UNITS);
                let (kind, id) = match account {
                    Account::Agent(id) => (AGENT, id.as_str()),
                    Account::Owner(id) => (OWNER, id.as_str()),
                };
                to.push(kind);
                put(to, tier.as_str());
                put(to, id);
                to.extend(floor.to_bytes());
                for unit in units {
                    to.extend(unit.to_bytes());
                }
            }
            Self::Floor { at } => {
                to.push(FLOOR);
                to.extend(at.to_bytes());
            }
            Self::Suspend { agent, until } => {
                to.push(SUSPEND);
                to.extend(until.to_bytes());
                put(to, agent.as_str());
            }
        }
    }

    /// Reads a record that is all of `bytes`; `None` if it is none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let record = match rest.byte()? {
            kind @ (TAKE | REFUND) => {
                let (at, cost) = (rest.tick()?, rest.u32()?);
                let (tier, agent) = (rest.text()?.parse().ok()?, rest.text()?.parse().ok()?);
                let owner = rest.optional().ok()?;
                if kind == TAKE {
                    Self::Take { agent, owner, tier, at, cost }
                } else {
                    Self::Refund { agent, owner, tier, at, cost }
                }
            }
            RESET => Self::Reset { tier: rest.optional().ok()?, agent: rest.text()?.parse().ok()? },
            LEARN => Self::Learn { agent: rest.text()?.parse().ok()?, offence: rest.offence()? },
            UNLEARN => {
                let id = OffenceId::from_bytes(*rest.array()?);
                Self::Unlearn { id, agent: rest.text()?.parse().ok()? }
            }
            REBUILD => {
                let agent = rest.text()?.parse().ok()?;
                let mut offences = Vec::new();
                while !rest.0.is_empty() {
                    offences.push(rest.offence()?);
                }
                Self::Rebuild { agent, offences }
            }
            UNITS => {
                let kind = rest.byte()?;
                let (tier, id) = (rest.text()?.parse().ok()?, rest.text()?);
                let account = match kind {
                    AGENT => Account::Agent(id.parse().ok()?),
                    OWNER => Account::Owner(id.parse().ok()?),
                    _ => return None,
                };
                let floor = rest.tick()?;
                let mut units = Vec::with_capacity(rest.0.len() / 5);
                while !rest.0.is_empty() {
                    units.push(rest.tick()?);
                }
                Self::Units { account, tier, floor, units }
            }
            FLOOR => Self::Floor { at: rest.tick()? },
            SUSPEND => Self::Suspend { until: rest.tick()?, agent: rest.text()?.parse().ok()? },
            _ => return None,
        };
        rest.0.is_empty().then_some(record)
    }
}

/// The number of a tier in records; it never changes.
const fn rank(tier: RiskTier) -> u8 {
    match tier {
        RiskTier::Clear => 0,
        RiskTier::Low => 1,
        RiskTier::Moderate => 2,
        RiskTier::High => 3,
        RiskTier::Critical => 4,
    }
}

fn put(to: &mut Vec<u8>, text: &str) {
    // Ids have at most 128 bytes and tiers 32.
    to.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    to.extend(text.as_bytes());
}

fn put_offence(to: &mut Vec<u8>, offence: &Offence) {
    to.extend(Tick::from(offence.at).to_bytes());
    to.extend(offence.id.as_bytes());
    to.push(rank(offence.tier));
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| *byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    fn tick(&mut self) -> Option<Tick> {
        self.array().map(|bytes| Tick::from_bytes(*bytes))
    }

    fn offence(&mut self) -> Option<Offence> {
        let (at, id, rank_read) = (self.tick()?, OffenceId::from_bytes(*self.array()?), self.byte()?);
        let tier = RiskTier::ALL.into_iter().find(|tier| rank(*tier) == rank_read)?;
        Some(Offence::new(id, tier, at.into()))
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::from(self.byte()?);
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }

    /// A text that may be absent, which is written as an empty one.
    fn optional<T: std::str::FromStr>(&mut self) -> Result<Option<T>, Unreadable> {
        match self.text().ok_or(Unreadable)? {
            "" => Ok(None),
            text => text.parse().ok().map(Some).ok_or(Unreadable),
        }
    }
}

struct Unreadable;

#[cfg(test)]
mod tests {
    use clawexchange_ssg_core::ID_BYTES_MAX;

    use super::super::frame::RECORD_BYTES_MAX;
    use super::*;
    use crate::penalties::{HIGH_KEPT, MODERATE_KEPT};

    fn every_sort() -> Vec<Record> {
        let agent = AgentId::new("a".repeat(ID_BYTES_MAX)).unwrap();
        let owner = OwnerId::new("o".repeat(ID_BYTES_MAX)).unwrap();
        let tier = EndpointTier::new("T".repeat(32)).unwrap();
        let id = OffenceId::from_bytes([7; 16]);
        let (at, cost) = (Tick::from_ms(217_000_000_123), 1_000_000);
        let mut all = vec![
            Record::Reset { agent: agent.clone(), tier: Some(tier.clone()) },
            Record::Reset { agent: agent.clone(), tier: None },
            Record::Unlearn { agent: agent.clone(), id },
            Record::Rebuild { agent: agent.clone(), offences: Vec::new() },
            Record::Rebuild {
                agent: agent.clone(),
                offences: vec![Offence::new(id, RiskTier::High, at.into()); HIGH_KEPT + MODERATE_KEPT],
            },
            Record::Floor { at },
            Record::Suspend { agent: agent.clone(), until: Tick::MAX },
        ];
        for owner in [None, Some(owner.clone())] {
            let (agent, tier) = (agent.clone(), tier.clone());
            all.push(Record::Take {
                agent: agent.clone(),
                owner: owner.clone(),
                tier: tier.clone(),
                at,
                cost,
            });
            all.push(Record::Refund { agent, owner, tier, at, cost });
        }
        for account in [Account::Agent(agent.clone()), Account::Owner(owner)] {
            let units = vec![at; UNITS_PER_RECORD];
            all.push(Record::Units { account, tier: tier.clone(), floor: at, units });
        }
        for tier in RiskTier::ALL {
            all.push(Record::Learn { agent: agent.clone(), offence: Offence::new(id, tier, at.into()) });
        }
        all
    }

    #[test]
    fn every_record_is_read_back_as_it_was_written_and_fits_its_frame() {
        for record in every_sort() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert!(bytes.len() <= RECORD_BYTES_MAX, "{} bytes", bytes.len());
            assert_eq!(Record::decode(&bytes), Some(record.clone()));
            for cut in 0..bytes.len() {
                let read = Record::decode(&bytes[..cut]);
                // These end with a list; how long it is, the frame says.
                let is_list = matches!(record, Record::Units { .. } | Record::Rebuild { .. });
                assert!(read.is_none() || is_list, "cut at {cut}");
            }
            bytes.push(0);
            assert_eq!(Record::decode(&bytes), None, "nothing may follow");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_reading_a_record_panic(bytes: Vec<u8>) {
            if let Some(record) = Record::decode(&bytes) {
                let mut again = Vec::new();
                record.encode(&mut again);
                proptest::prop_assert_eq!(again, bytes);
            }
        }
    }
}
