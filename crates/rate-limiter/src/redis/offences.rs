//! An agent's offences in Redis, and what follows from them for the script that decides.
//!
//! They are changed here, by the same code as in process, and written only if nobody else has changed them meanwhile.

use clawexchange_ssg_core::{AgentId, RiskTier};
use deadpool_redis::redis::cmd;

use super::inner::Inner;
use crate::error::LimitError;
use crate::penalties::{Offence, OffenceId, Penalties};
use crate::window::Tick;

/// How often it is tried while others change the same agent's.
const ATTEMPTS: usize = 64;

const OFFENCE_BYTES: usize = 5 + 16 + 1;

impl Inner {
    /// Changes what is known of an agent's offences; `change` says whether it changed anything.
    pub(super) async fn change_offences(
        self: &std::sync::Arc<Self>,
        agent: &AgentId,
        change: impl Fn(&mut Penalties) -> bool + Send + Sync,
    ) -> Result<(), LimitError> {
        self.start();
        let keys = [self.keys.word(agent), self.keys.offences(agent)];
        for _ in 0..ATTEMPTS {
            let mut get = cmd("GET");
            get.arg(&*self.link.wire(&self.keys.offences(agent)));
            let known: Option<Vec<u8>> = self.plain(&get).await?;
            let known = known.unwrap_or_default();
            let mut penalties = read(&known)?;
            if !change(&mut penalties) {
                return Ok(());
            }
            let until = penalties.until();
            let ends = [until.moderate, until.high, until.repeated].map(Tick::to_bytes).concat();
            let args = [known, written(&penalties), ends];
            if self.number(&self.link.scripts.word, &keys, &args).await? == 1 {
                self.denied.forget(agent);
                return Ok(());
            }
        }
        Err(LimitError::Away("the offences of an agent changed again and again".into()))
    }

    /// Sets until when an agent is suspended, [`Tick::ZERO`] to lift it; says whether it was.
    pub(super) async fn set_suspended(
        self: &std::sync::Arc<Self>,
        agent: &AgentId,
        until: Tick,
    ) -> Result<bool, LimitError> {
        self.start();
        let keys = [self.keys.word(agent)];
        let was = self.number(&self.link.scripts.word, &keys, &[until.to_bytes()]).await? == 1;
        self.denied.forget(agent);
        Ok(was)
    }
}

fn written(penalties: &Penalties) -> Vec<u8> {
    let mut to = Vec::new();
    for offence in penalties.offences() {
        to.extend(Tick::from(offence.at).to_bytes());
        to.extend(offence.id.as_bytes());
        to.push(match offence.tier {
            RiskTier::Clear => 0,
            RiskTier::Low => 1,
            RiskTier::Moderate => 2,
            RiskTier::High => 3,
            RiskTier::Critical => 4,
        });
    }
    to
}

fn read(bytes: &[u8]) -> Result<Penalties, LimitError> {
    const DAMAGED: LimitError = LimitError::RedisDamaged { what: "is no list of offences of ours" };
    let mut offences = Vec::new();
    let (all, rest) = bytes.as_chunks::<OFFENCE_BYTES>();
    if !rest.is_empty() {
        return Err(DAMAGED);
    }
    for bytes in all {
        let (at, rest) = bytes.split_first_chunk().ok_or(DAMAGED)?;
        let (id, rank) = rest.split_first_chunk().ok_or(DAMAGED)?;
        let tier = match rank {
            [2] => RiskTier::Moderate,
            [3] => RiskTier::High,
            [4] => RiskTier::Critical,
            _ => return Err(DAMAGED),
        };
        offences.push(Offence::new(OffenceId::from_bytes(*id), tier, Tick::from_bytes(*at).into()));
    }
    Ok(Penalties::from_offences(&offences))
}

#[cfg(test)]
mod tests {
    use clawexchange_ssg_core::Timestamp;

    use super::*;

    #[test]
    fn offences_are_read_back_as_they_were_written_and_other_bytes_are_refused() {
        let at = Timestamp::from_micros(1_800_000_000_000_000);
        let tiers = [RiskTier::Moderate, RiskTier::High, RiskTier::Critical];
        let offences: Vec<Offence> = tiers
            .into_iter()
            .zip(1..)
            .map(|(tier, id)| Offence::new(OffenceId::from_bytes([id; 16]), tier, at))
            .collect();
        let penalties = Penalties::from_offences(&offences);
        let mut bytes = written(&penalties);
        assert_eq!(read(&bytes).unwrap(), penalties);
        bytes.push(0);
        assert!(read(&bytes).is_err());
        assert!(read(&[9; OFFENCE_BYTES]).is_err());
    }
}
