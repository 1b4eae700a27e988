//! A part of the accounts, behind one lock.

use std::collections::HashMap;
use std::sync::MutexGuard;

use clawexchange_ssg_core::{AgentId, OwnerId};

use crate::error::LimitError;
use crate::journal::record::{Account, Record, UNITS_PER_RECORD};
use crate::penalties::{PenalisedUntil, Penalties};
use crate::tier::EndpointTier;
use crate::window::{HOUR_MS, SlidingLog, Tick};

pub(crate) static EMPTY: SlidingLog = SlidingLog::new();

/// Accounts that hash alike.
#[derive(Default)]
pub(crate) struct Shard {
    pub(crate) agents: HashMap<AgentId, AgentAccount>,
    pub(crate) owners: HashMap<OwnerId, Logs>,
    /// Nothing here is decided for an earlier moment: accounts that were dropped as spent had none later.
    pub(crate) floor: Tick,
    /// Accounts opened since those that are spent were last dropped.
    pub(crate) opened: usize,
}

/// What is known of one agent.
#[derive(Default)]
pub(crate) struct AgentAccount {
    pub(crate) logs: Logs,
    pub(crate) penalties: Option<Box<Penalties>>,
    /// Until when it is suspended; [`Tick::ZERO`] if it is not.
    pub(crate) suspended: Tick,
}

impl AgentAccount {
    pub(crate) fn until(&self) -> PenalisedUntil {
        let until = self.penalties.as_ref().map_or_else(PenalisedUntil::default, |p| p.until());
        PenalisedUntil { suspended: self.suspended, ..until }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.logs.0.is_empty() && self.penalties.is_none() && self.suspended == Tick::ZERO
    }
}

/// One account's logs, by tier: a handful, so that a list is the smallest and fastest map.
#[derive(Default)]
pub(crate) struct Logs(Vec<(EndpointTier, SlidingLog)>);

impl Logs {
    pub(crate) fn get(&self, tier: &EndpointTier) -> Option<&SlidingLog> {
        self.0.iter().find(|(known, _)| known == tier).map(|(_, log)| log)
    }

    pub(crate) fn get_mut(&mut self, tier: &EndpointTier) -> Option<&mut SlidingLog> {
        self.0.iter_mut().find(|(known, _)| known == tier).map(|(_, log)| log)
    }

    /// The log of a tier, made if there is none.
    pub(crate) fn of(&mut self, tier: &EndpointTier) -> &mut SlidingLog {
        let at = self.0.iter().position(|(known, _)| known == tier).unwrap_or_else(|| {
            self.0.reserve_exact(1);
            self.0.push((tier.clone(), SlidingLog::new()));
            self.0.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the place was found, or made, one line above")]
        &mut self.0[at].1
    }

    /// Forgets one tier or all; says whether there was anything.
    pub(crate) fn forget(&mut self, tier: Option<&EndpointTier>) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| tier.is_some_and(|tier| tier != known));
        before != self.0.len()
    }

    fn drop_spent(&mut self, now: Tick, floor: &mut Tick) {
        self.0.retain(|(_, log)| {
            let is_spent = log.is_spent(now);
            if is_spent {
                *floor = (*floor).max(log.floor().plus_ms(HOUR_MS));
            }
            !is_spent
        });
    }

    fn emit(
        &self,
        account: &Account,
        to: &mut impl FnMut(Record) -> Result<(), LimitError>,
    ) -> Result<(), LimitError> {
        for (tier, log) in &self.0 {
            let units: Vec<Tick> = log.units().collect();
            for units in units.chunks(UNITS_PER_RECORD) {
                let (account, tier, units) = (account.clone(), tier.clone(), units.to_vec());
                to(Record::Units { account, tier, floor: Tick::ZERO, units })?;
            }
            let (account, tier) = (account.clone(), tier.clone());
            to(Record::Units { account, tier, floor: log.floor(), units: Vec::new() })?;
        }
        Ok(())
    }
}

impl Shard {
    pub(crate) fn len(&self) -> usize {
        self.agents.len() + self.owners.len()
    }

    /// Drops what cannot matter any more; says how many accounts went.
    pub(crate) fn drop_spent(&mut self, now: Tick) -> usize {
        let before = self.len();
        let now = now.max(self.floor);
        let mut floor = self.floor;
        self.agents.retain(|_, agent| {
            agent.logs.drop_spent(now, &mut floor);
            // A clock that jumped ahead and came back must not hold the floor for days: penalties do not raise it.
            agent.penalties.take_if(|p| p.is_spent(now));
            if agent.suspended <= now && agent.suspended != Tick::MAX {
                agent.suspended = Tick::ZERO;
            }
            !agent.is_empty()
        });
        self.owners.retain(|_, logs| {
            logs.drop_spent(now, &mut floor);
            !logs.0.is_empty()
        });
        self.floor = floor;
        self.opened = 0;
        if self.agents.len() * 4 < self.agents.capacity() {
            self.agents.shrink_to(self.agents.len() * 2);
        }
        if self.owners.len() * 4 < self.owners.capacity() {
            self.owners.shrink_to(self.owners.len() * 2);
        }
        before - self.len()
    }

    /// Whether as many accounts were opened as were left by the last sweep: then the next one pays for itself.
    pub(crate) fn is_due(&self) -> bool {
        self.opened >= (self.len() / 2).max(64)
    }

    /// Says everything that this part knows, so that applying it to nothing makes the same again.
    pub(crate) fn emit(
        &self,
        to: &mut impl FnMut(Record) -> Result<(), LimitError>,
    ) -> Result<(), LimitError> {
        if self.floor > Tick::ZERO {
            to(Record::Floor { at: self.floor })?;
        }
        for (id, agent) in &self.agents {
            agent.logs.emit(&Account::Agent(id.clone()), to)?;
            if let Some(penalties) = &agent.penalties {
                to(Record::Rebuild { agent: id.clone(), offences: penalties.offences().collect() })?;
            }
            if agent.suspended > Tick::ZERO {
                to(Record::Suspend { agent: id.clone(), until: agent.suspended })?;
            }
        }
        for (id, logs) in &self.owners {
            logs.emit(&Account::Owner(id.clone()), to)?;
        }
        Ok(())
    }
}

/// The one or two parts in which an agent and its owner are.
pub(crate) struct Pair<'a> {
    pub(crate) agent: MutexGuard<'a, Shard>,
    /// `None` if the owner is in the agent's part, or there is none.
    pub(crate) owner: Option<MutexGuard<'a, Shard>>,
}

impl Pair<'_> {
    pub(crate) fn floor(&self) -> Tick {
        self.owner.as_ref().map_or(self.agent.floor, |owner| owner.floor.max(self.agent.floor))
    }

    /// The agents and the owners of the parts, to change.
    pub(crate) fn maps(&mut self) -> (&mut HashMap<AgentId, AgentAccount>, &mut HashMap<OwnerId, Logs>) {
        match &mut self.owner {
            Some(owner) => (&mut self.agent.agents, &mut owner.owners),
            None => {
                let Shard { agents, owners, .. } = &mut *self.agent;
                (agents, owners)
            }
        }
    }

    /// The agents and the owners of the parts, to look at.
    pub(crate) fn look(&self) -> (&HashMap<AgentId, AgentAccount>, &HashMap<OwnerId, Logs>) {
        let owners = self.owner.as_ref().map_or(&self.agent.owners, |owner| &owner.owners);
        (&self.agent.agents, owners)
    }
}
