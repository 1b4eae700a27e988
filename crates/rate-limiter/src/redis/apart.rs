//! Agent and owner on two servers: in a cluster no script sees both.
//!
//! The agent is charged first, then its owner at a moment not earlier; if the owner has no room, the agent gets its units
//! back. Each log is only ever charged by a script that sees all of it, so that none ever holds more than its limit; what
//! can happen is the contrary: for a round trip another act of the agent may find the units of one that is being refused,
//! and a process that dies in the middle leaves its agent charged for an act that was never answered.

use super::inner::Inner;
use super::keys::Key;
use super::link::Failure;
use super::script::{Question, Reply};
use crate::decision::Ask;
use crate::error::LimitError;
use crate::window::Tick;

impl Inner {
    /// Decides an ask whose agent and owner may be on two servers.
    pub(super) async fn ask_apart(&self, question: &Question) -> Result<Reply, Failure> {
        let (agent, Some(owner)) = apart(question) else { return self.ask_one(question.clone()).await };
        let of_agent = self.ask_one(agent).await?;
        if !of_agent.fits {
            // Only to say how the owner stands, and how long both have to be waited for.
            let of_owner = self.ask_one(Question { is_look: true, ..owner }).await?;
            return Ok(together(of_agent, of_owner));
        }
        let at = of_agent.at(question.floor);
        let of_owner = self.ask_one(Question { floor: at, ..owner }).await?;
        if !of_owner.fits && question.ask.cost > 0 {
            let args = [refund_args(at, at, question.ask.cost, false)];
            let keys = [question.log.clone()];
            self.link.run(&self.link.scripts.refund, &keys, &args).await?;
        }
        let owner_at = of_owner.at(at);
        Ok(Reply { owner_at: Some(owner_at), ..together(of_agent, of_owner) })
    }

    /// Looks at several asks of one agent and one owner, which may be on two servers.
    pub(super) async fn look_apart(&self, questions: &[Question]) -> Result<Vec<Reply>, Failure> {
        let mut agents = Vec::new();
        let mut owners = Vec::new();
        for question in questions {
            let (agent, owner) = apart(question);
            agents.push(agent);
            owners.extend(owner);
        }
        let agents = self.ask_all(&agents).await?;
        if owners.is_empty() {
            return Ok(agents);
        }
        let owners = self.ask_all(&owners).await?;
        Ok(agents.into_iter().zip(owners).map(|(agent, owner)| together(agent, owner)).collect())
    }

    async fn ask_one(&self, question: Question) -> Result<Reply, Failure> {
        let questions = [question];
        let replies = self.ask_all(&questions).await?;
        let damaged = || Failure::Answer(LimitError::RedisDamaged { what: "was not answered" });
        replies.into_iter().next().ok_or_else(damaged)
    }

    /// Gives units back to agent and owner on two servers: as many as both have.
    pub(super) async fn refund_apart(
        &self,
        (agent, at): (&Key, Tick),
        (owner, owner_at): (&Key, Tick),
        cost: u32,
    ) -> Result<u32, LimitError> {
        let script = &self.link.scripts.refund;
        let args = |at, cost, only| [refund_args(at, at, cost, only)];
        let there = self.number(script, std::slice::from_ref(owner), &args(owner_at, cost, true)).await?;
        let back = self.number(script, std::slice::from_ref(agent), &args(at, there, false)).await?;
        if back > 0 {
            self.number(script, std::slice::from_ref(owner), &args(owner_at, back, false)).await?;
        }
        Ok(back)
    }
}

/// The agent's part of an ask, and the owner's as one of an account that has no penalties.
fn apart(question: &Question) -> (Question, Option<Question>) {
    let agent = Question { owner: None, ..question.clone() };
    let owner = question.owner.as_ref().map(|owner| Question {
        ask: Ask { owner: None, ..question.ask.clone() },
        rates: question.rates.as_owner(),
        log: owner.clone(),
        word: None,
        owner: None,
        is_look: question.is_look,
        floor: question.floor,
    });
    (agent, owner)
}

fn together(agent: Reply, owner: Reply) -> Reply {
    Reply {
        fits: agent.fits && owner.fits,
        owner: Some(owner.agent),
        // Where both logs are there the wait follows from them; where not, it is that of the one that has longer to wait.
        wait_until: agent.wait_until.max(owner.wait_until),
        ..agent
    }
}

/// What the script that refunds is told.
pub(super) fn refund_args(at: Tick, owner_at: Tick, cost: u32, only_count: bool) -> Vec<u8> {
    let mut args = Vec::with_capacity(15);
    args.extend(at.to_bytes());
    args.extend(owner_at.to_bytes());
    args.extend(cost.to_be_bytes());
    args.push(u8::from(only_count));
    args
}
