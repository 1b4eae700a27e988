//! Does again what a journal says was done.

use std::sync::atomic::Ordering;

use clawexchange_ssg_core::AgentId;

use super::shard::Logs;
use super::state::{State, lock};
use crate::journal::record::{Account, Record};
use crate::limits::UNITS_MAX;
use crate::penalties::Penalties;

/// What no charge can exceed, so that no record makes us ask for more memory than a limit would.
const COST_MAX: u32 = UNITS_MAX;

impl State {
    /// Does again what a record says was done.
    pub(super) fn apply(&self, record: Record) -> Result<(), &'static str> {
        match record {
            Record::Take { cost, .. } if cost > COST_MAX => {
                return Err("it charges more than any limit allows");
            }
            Record::Take { agent, owner, tier, at, cost } => {
                self.account(Account::Agent(agent), |logs| logs.of(&tier).charge(at, cost));
                if let Some(owner) = owner {
                    self.account(Account::Owner(owner), |logs| logs.of(&tier).charge(at, cost));
                }
            }
            Record::Refund { agent, owner, tier, at, cost } => {
                let mut done = self.account(Account::Agent(agent), |logs| logs.of(&tier).refund(at, cost));
                if let Some(owner) = owner {
                    let owners = self.account(Account::Owner(owner), |logs| logs.of(&tier).refund(at, cost));
                    done = done.min(owners);
                }
                if done < cost {
                    return Err("it gives back what was not charged");
                }
            }
            Record::Reset { agent, tier } => {
                self.account(Account::Agent(agent), |logs| logs.forget(tier.as_ref()));
            }
            Record::Units { account, tier, floor, units } => {
                self.account(account, |logs| logs.of(&tier).restore(floor, units.into_iter()));
            }
            Record::Learn { agent, offence } => {
                self.replay_penalties(&agent, |penalties| penalties.learn(&offence));
            }
            Record::Unlearn { agent, id } => self.replay_penalties(&agent, |p| p.unlearn(id)),
            Record::Rebuild { agent, offences } => {
                self.replay_penalties(&agent, |p| {
                    *p = Penalties::from_offences(&offences);
                    true
                });
            }
            Record::Suspend { agent, until } => {
                let mut shard = self.shard(&agent);
                let opened = usize::from(!shard.agents.contains_key(&agent));
                self.keys.fetch_add(opened, Ordering::Relaxed);
                self.set_suspended(&mut shard, &agent, until);
            }
            Record::Floor { at } => {
                for shard in &self.shards {
                    let mut shard = lock(shard);
                    shard.floor = shard.floor.max(at);
                }
            }
        }
        Ok(())
    }

    fn account<T>(&self, account: Account, change: impl FnOnce(&mut Logs) -> T) -> T {
        let mut shard = match &account {
            Account::Agent(id) => self.shard(id),
            Account::Owner(id) => self.shard(id),
        };
        let before = shard.len();
        let changed = change(match account {
            Account::Agent(id) => &mut shard.agents.entry(id).or_default().logs,
            Account::Owner(id) => shard.owners.entry(id).or_default(),
        });
        self.keys.fetch_add(shard.len() - before, Ordering::Relaxed);
        changed
    }

    fn replay_penalties(&self, agent: &AgentId, change: impl FnOnce(&mut Penalties) -> bool) {
        let mut shard = self.shard(agent);
        let known = shard.agents.get(agent);
        let mut penalties = known.and_then(|a| a.penalties.as_deref()).cloned().unwrap_or_default();
        self.keys.fetch_add(usize::from(known.is_none()), Ordering::Relaxed);
        change(&mut penalties);
        self.set_penalties(&mut shard, agent, penalties);
    }
}
