//! The scripts, what they are asked and what they answer, as bytes.

use std::time::Duration;

use deadpool_redis::redis::{Script as Hashed, Value};

use super::keys::Key;
use crate::decision::{Ask, Decision, Outlook, OwnerStatus, Permit, TierStatus, WindowStatus};
use crate::error::LimitError;
use crate::limits::Quota;
use crate::overrides::AgentRates;
use crate::penalties::PenalisedUntil;
use crate::window::{Case, HOUR_MS, MINUTE_MS, Ruling, SlidingLog, Tick};

/// Bytes of logs that the script hands back as they are unless told otherwise: some four hundred units. Beyond, it says
/// what is in them.
pub(super) const WHOLE_BYTES: u32 = 2_048;

/// A script and the name that Redis knows it by.
pub(super) struct Script {
    pub(super) text: &'static str,
    pub(super) hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, hash: Hashed::new(text).get_hash().to_owned() }
    }
}

/// All of them.
pub(super) struct Scripts {
    pub(super) take: Script,
    pub(super) refund: Script,
    pub(super) merge: Script,
    pub(super) word: Script,
    pub(super) alive: Script,
    pub(super) see: Script,
    pub(super) release: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            take: Script::new(include_str!("take.lua")),
            refund: Script::new(include_str!("refund.lua")),
            merge: Script::new(include_str!("merge.lua")),
            word: Script::new(include_str!("word.lua")),
            alive: Script::new(include_str!("alive.lua")),
            see: Script::new(include_str!("see.lua")),
            release: Script::new(include_str!("release.lua")),
        }
    }
}

/// One ask, with everything that it is decided by but time and what was charged.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) ask: Ask,
    pub(super) rates: AgentRates,
    pub(super) log: Key,
    /// The agent's word; that of an owner has none.
    pub(super) word: Option<Key>,
    /// The owner's log, if it is asked for at the same time.
    pub(super) owner: Option<Key>,
    pub(super) is_look: bool,
    /// Before which nothing is decided.
    pub(super) floor: Tick,
}

/// One call of the script that decides: keys that are named once, and the asks.
#[derive(Default)]
pub(super) struct Call {
    pub(super) keys: Vec<Key>,
    pub(super) args: Vec<Vec<u8>>,
}

impl Call {
    /// Decides at that moment, [`Tick::ZERO`] for that of the server, and hands so many bytes of logs back whole.
    pub(super) fn new(now: Tick, whole_bytes: u32) -> Self {
        let mut head = Vec::new();
        if now > Tick::ZERO || whole_bytes != WHOLE_BYTES {
            head.extend(now.to_bytes());
            head.extend(whole_bytes.to_be_bytes());
        }
        Self { keys: Vec::new(), args: vec![head] }
    }

    pub(super) fn push(&mut self, question: &Question) {
        let Question { ask, rates, is_look, floor, .. } = question;
        let mut to = Vec::with_capacity(50);
        for key in [Some(&question.log), question.word.as_ref(), question.owner.as_ref()] {
            let place = key.map_or(0, |key| self.place(key));
            to.extend(u16::try_from(place).unwrap_or(0).to_be_bytes());
        }
        to.extend(ask.cost.to_be_bytes());
        let (usual, instead) = rates.parts();
        let is_special = instead.is_some() || *floor > Tick::ZERO;
        to.push(u8::from(*is_look) + 2 * u8::from(is_special));
        let (hour, minute) = usual.hundredths();
        five(&mut to, hour);
        five(&mut to, minute);
        // No penalty raises a limit, so that each is at most 100.
        to.extend(usual.factors().map(|hundredths| u8::try_from(hundredths).unwrap_or(100)));
        let (instead, end) = instead.map_or(((0, 0), Tick::ZERO), |(rates, end)| (rates.hundredths(), end));
        to.extend(end.to_bytes());
        five(&mut to, instead.0);
        five(&mut to, instead.1);
        to.extend(floor.to_bytes());
        self.args.push(to);
    }

    fn place(&mut self, key: &Key) -> usize {
        let known = self.keys.iter().position(|k| k == key);
        known.unwrap_or_else(|| {
            self.keys.push(key.clone());
            self.keys.len() - 1
        }) + 1
    }
}

fn five(to: &mut Vec<u8>, number: u64) {
    to.extend(Tick::from_ms(number).to_bytes());
}

/// What the script said about one ask.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// Whether all of it fits.
    pub(super) fits: bool,
    /// The time of the server.
    pub(super) now: Tick,
    pub(super) until: PenalisedUntil,
    /// What the agent was charged before.
    pub(super) agent: Seen,
    /// What its owner was charged before, if it was asked for.
    pub(super) owner: Option<Seen>,
    /// From when on it fits, if it does not yet and the logs do not say; the zeroth moment: never.
    pub(super) wait_until: Tick,
    /// When the owner was charged, if that was on another server.
    pub(super) owner_at: Option<Tick>,
}

/// One log.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    Whole(SlidingLog),
    Summed(Sum),
}

/// What the script said of a log that is too long to be handed back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sum {
    pub(super) last: Tick,
    pub(super) hour: Used,
    pub(super) minute: Used,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Used {
    pub(super) units: u32,
    /// The oldest that counts; the zeroth moment if none does.
    pub(super) oldest: Tick,
    /// Of more than the limit, the one that has to go before there is room for one.
    pub(super) over: Tick,
}

const DAMAGED: LimitError = LimitError::RedisDamaged { what: "is no log of ours" };

/// Reads what the script answered to so many asks.
pub(super) fn replies(value: Value, questions: &[&Question]) -> Result<Vec<Reply>, LimitError> {
    let Value::Array(values) = value else { return Err(DAMAGED) };
    if values.len() != questions.len() {
        return Err(DAMAGED);
    }
    let mut all = Vec::with_capacity(values.len());
    for (value, question) in values.into_iter().zip(questions) {
        let Value::BulkString(bytes) = value else { return Err(DAMAGED) };
        all.push(reply(&bytes, question.owner.is_some()).ok_or(DAMAGED)?);
    }
    Ok(all)
}

fn reply(bytes: &[u8], has_owner: bool) -> Option<Reply> {
    let mut rest = Rest(bytes);
    let (code, now, word) = (rest.byte()?, rest.tick()?, rest.byte()?);
    let fits = code & 1 == 0;
    let (length, wait_until) = if code & 2 == 0 { (rest.u32()?, Tick::ZERO) } else { (0, rest.tick()?) };
    let until = match word {
        0 => PenalisedUntil::default(),
        _ => {
            let [moderate, high, repeated, suspended] =
                [rest.tick()?, rest.tick()?, rest.tick()?, rest.tick()?];
            PenalisedUntil { moderate, high, repeated, suspended }
        }
    };
    let (agent, owner) = if code & 2 == 0 {
        let (agent, owner) = rest.0.split_at_checked(usize::try_from(length).ok()?)?;
        let owner = if has_owner { Some(Seen::Whole(log(owner)?)) } else { None };
        (Seen::Whole(log(agent)?), owner)
    } else {
        let agent = Seen::Summed(rest.sum()?);
        (agent, if has_owner { Some(Seen::Summed(rest.sum()?)) } else { None })
    };
    Some(Reply { fits, now, until, agent, owner, wait_until, owner_at: None })
}

/// A log as it lies in Redis; `None` if it is none.
pub(super) fn log(bytes: &[u8]) -> Option<SlidingLog> {
    let (units, floor) = match bytes.len() % 5 {
        0 => (bytes, None),
        1 => {
            let (rest, [a, b, c, d, e, b'F']) = bytes.split_last_chunk()? else { return None };
            (rest, Some(Tick::from_bytes([*a, *b, *c, *d, *e])))
        }
        _ => return None,
    };
    let mut log = SlidingLog::new();
    let (units, _) = units.as_chunks();
    log.restore(floor.unwrap_or(Tick::ZERO), units.iter().map(|unit| Tick::from_bytes(*unit)));
    Some(log)
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn tick(&mut self) -> Option<Tick> {
        self.array().map(Tick::from_bytes)
    }

    fn used(&mut self) -> Option<Used> {
        Some(Used { units: self.u32()?, oldest: self.tick()?, over: self.tick()? })
    }

    fn sum(&mut self) -> Option<Sum> {
        Some(Sum { last: self.tick()?, hour: self.used()?, minute: self.used()? })
    }
}

impl Reply {
    /// For which moment it was decided.
    pub(super) fn at(&self, floor: Tick) -> Tick {
        let owner = self.owner.as_ref().map_or(Tick::ZERO, Seen::last);
        self.now.max(floor).max(self.agent.last()).max(owner)
    }

    /// Both logs, if they were handed back.
    fn logs(&self) -> Option<(&SlidingLog, Option<&SlidingLog>)> {
        match (&self.agent, &self.owner) {
            (Seen::Whole(agent), None) => Some((agent, None)),
            (Seen::Whole(agent), Some(Seen::Whole(owner))) => Some((agent, Some(owner))),
            _ => None,
        }
    }

    fn case<'a>(
        &self,
        question: &Question,
        agent: &'a SlidingLog,
        owner: Option<&'a SlidingLog>,
    ) -> Case<'a> {
        let (rates, cost) = (question.rates, question.ask.cost);
        Case { now: self.now, floor: question.floor, agent, owner, rates, until: self.until, cost }
    }

    /// What it means for the ask. Nothing was charged yet in what was seen.
    pub(super) fn ruling(&self, question: &Question) -> Result<Ruling, LimitError> {
        if self.fits {
            return Ok(Ruling::Allow);
        }
        let ruling = match self.logs() {
            Some((agent, owner)) => self.case(question, agent, owner).decide(),
            None if self.wait_until == Tick::ZERO => Ruling::Never,
            None => Ruling::Deny { wait_ms: self.wait_until.as_ms().saturating_sub(self.now.as_ms()) },
        };
        // The script and the core decide the same, or one of them is not of this version.
        if ruling == Ruling::Allow {
            return Err(LimitError::RedisDamaged { what: "was decided otherwise by another version" });
        }
        Ok(ruling)
    }

    /// How things stand.
    pub(super) fn status(&self, question: &Question) -> TierStatus {
        let tier = question.ask.tier.clone();
        if let Some((agent, owner)) = self.logs() {
            return TierStatus::of(tier, &self.case(question, agent, owner));
        }
        let nothing = SlidingLog::new();
        let at = self.at(question.floor);
        let mut status = TierStatus::of(tier, &Case { floor: at, ..self.case(question, &nothing, None) });
        let rates = question.rates.at(at);
        (status.hour, status.minute) = self.agent.windows(rates.agent(status.penalised), self.now, at);
        status.owner = self.owner.as_ref().map(|owner| {
            let (hour, minute) = owner.windows(rates.owner(), self.now, at);
            OwnerStatus { hour, minute }
        });
        status
    }

    /// The whole answer to an ask, and what it left behind.
    pub(super) fn decision(mut self, question: &Question) -> Result<(Decision, Self), LimitError> {
        let ask = &question.ask;
        let decision = match self.ruling(question)? {
            Ruling::Allow => {
                let at = self.at(question.floor);
                self.agent.charge(at, ask.cost);
                if let Some(owner) = &mut self.owner {
                    owner.charge(at, ask.cost);
                }
                Decision::Allow { permit: Permit::new(ask, at), status: self.status(question) }
            }
            Ruling::Deny { wait_ms } => {
                Decision::Deny { wait: Duration::from_millis(wait_ms), status: self.status(question) }
            }
            Ruling::Never => Decision::Never { status: self.status(question) },
        };
        Ok((decision, self))
    }

    /// The answer to one that only looks.
    pub(super) fn outlook(&self, question: &Question) -> Result<Outlook, LimitError> {
        Ok(Outlook::new(self.ruling(question)?, self.status(question)))
    }
}

impl Seen {
    /// When something was last charged.
    pub(super) fn last(&self) -> Tick {
        match self {
            Self::Whole(log) => log.floor(),
            Self::Summed(sum) => sum.last,
        }
    }

    pub(super) fn charge(&mut self, at: Tick, cost: u32) {
        match self {
            Self::Whole(log) => log.charge(at, cost),
            Self::Summed(sum) => sum.charge(at, cost),
        }
    }

    fn windows(&self, limits: Quota, now: Tick, at: Tick) -> (WindowStatus, WindowStatus) {
        let sum = match self {
            Self::Whole(log) => Sum::of(log, limits, at),
            Self::Summed(sum) => *sum,
        };
        let minute = sum.minute.window(limits.per_minute, MINUTE_MS, now);
        (sum.hour.window(limits.per_hour, HOUR_MS, now), minute)
    }
}

impl Sum {
    fn of(log: &SlidingLog, limits: Quota, at: Tick) -> Self {
        let window = |limit: u32, span_ms: u64| {
            let used = log.used(at, span_ms);
            let nth = |back: u32| {
                let place = log.len().checked_sub(back as usize);
                place.and_then(|place| log.units().nth(place)).unwrap_or(Tick::ZERO)
            };
            let over = if used > limit && limit > 0 { nth(limit) } else { Tick::ZERO };
            Used { units: used, oldest: if used > 0 { nth(used) } else { Tick::ZERO }, over }
        };
        let (hour, minute) = (window(limits.per_hour, HOUR_MS), window(limits.per_minute, MINUTE_MS));
        Self { last: log.floor(), hour, minute }
    }

    fn charge(&mut self, at: Tick, cost: u32) {
        if cost == 0 {
            return;
        }
        self.last = at;
        for used in [&mut self.hour, &mut self.minute] {
            if used.units == 0 {
                used.oldest = at;
            }
            used.units = used.units.saturating_add(cost);
        }
    }
}

impl Used {
    fn window(&self, limit: u32, span_ms: u64, now: Tick) -> WindowStatus {
        let after = |unit: Tick| {
            let wait = (unit.as_ms() + span_ms).saturating_sub(now.as_ms());
            (unit > Tick::ZERO).then(|| Duration::from_millis(wait))
        };
        let frees_in = after(self.oldest);
        let more_in = if self.units > limit { after(self.over) } else { frees_in };
        WindowStatus { limit, used: self.units, frees_in, more_in }
    }
}
