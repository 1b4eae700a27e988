//! What others found, forgave or forbade: read from the log, by its index, from where one stopped.
//!
//! Counters of this process alone are taught by this process. Counters in Redis are taught by whichever instance has the
//! turn, from a mark that lies beside them: whoever empties Redis takes the mark along, and history is learned anew.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clawexchange_audit::{AuditLog, Entry, Log, Query};
use clawexchange_database::{Database, LEASE_TIME, Lease};
use clawexchange_rate_limiter::{Offence, OffenceId, RedisStore};
use clawexchange_ssg_core::{
    AgentId, Clock as _, EventId, EventKind, Fault as _, FaultKind, InspectionId, PageLimit, QuarantineId,
    RiskTier, SystemClock, Timestamp,
};

use super::Pipeline;
use crate::error::PartsError;

/// How long something counts against an agent.
const HISTORY: Duration = Duration::from_hours(7 * 24);

/// How often what other processes decided is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How often shared counters learn all of the last week anew, so that what one node of a cluster lost comes back.
const RELEARN: Duration = Duration::from_hours(1);

/// How often at most, though something could not be taught: Redis that comes and goes is not kept busy with the past.
const RELEARN_AGAIN: Duration = Duration::from_mins(1);

/// After so long the turn is renewed, well before it ends.
const RENEW: Duration = Duration::from_secs(5);

/// What whoever has the turn is called among the leases.
const TURN: &str = "limiter-history";

/// Whose counters they are.
#[derive(Debug)]
pub(crate) enum Counters {
    /// This process's alone; new ones know nothing of the last week.
    Own {
        /// They are new, or others that share the database may have found things meanwhile.
        is_new: bool,
    },
    /// Those of all instances.
    Shared(Box<Shared>),
}

/// Counters in Redis, and how instances take turns in teaching them.
#[derive(Debug)]
pub(crate) struct Shared {
    store: RedisStore,
    db: Database,
    instance: EventId,
    deployment: EventId,
    has_missed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(store: RedisStore, db: Database, deployment: EventId) -> Self {
        Self { store, db, instance: EventId::fresh(), deployment, has_missed: AtomicBool::new(false) }
    }

    async fn mark(&self) -> Result<Option<HistoryMark>, PartsError> {
        HistoryMark::of(&self.store, self.deployment).await
    }

    async fn set_mark(&self, index: u64, learned: Timestamp) -> Result<(), PartsError> {
        let mark = HistoryMark { deployment: self.deployment, index, learned };
        Ok(self.store.set_note(&mark.to_string()).await?)
    }

    /// Whether all of the last week has to be learned anew.
    fn is_to_relearn(&self, mark: Option<&HistoryMark>, size: u64) -> bool {
        let has_missed = self.has_missed.load(Ordering::SeqCst);
        mark.is_none_or(|mark| mark.is_stale(size, SystemClock::new().now(), has_missed))
    }
}

/// How far the log was heeded for shared counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct HistoryMark {
    /// Whose log.
    pub deployment: EventId,
    /// Index in the log of decisions up to which it was heeded.
    pub index: u64,
    /// When all of the last week was last learned.
    pub learned: Timestamp,
}

impl HistoryMark {
    /// The mark beside the counters of a deployment; `None` if they are empty.
    ///
    /// # Errors
    ///
    /// Redis is away, or the counters are another deployment's.
    pub async fn read(store: &RedisStore, db: &Database) -> Result<Option<Self>, PartsError> {
        let deployment = db.deployment().await?.ok_or(clawexchange_audit::AuditError::NoSchema)?;
        Self::of(store, EventId::from_bytes(deployment)).await
    }

    async fn of(store: &RedisStore, deployment: EventId) -> Result<Option<Self>, PartsError> {
        let mark = store.note().await?.as_deref().and_then(Self::parse);
        match mark {
            Some(mark) if mark.deployment != deployment => {
                Err(PartsError::CountersOfAnother { deployment: mark.deployment, key: store.note_key() })
            }
            mark => Ok(mark),
        }
    }

    /// Whether what the counters know cannot be gone on from: the log is a shorter one that was restored, something could
    /// not be taught, or it is time.
    fn is_stale(&self, size: u64, now: Timestamp, has_missed: bool) -> bool {
        let after = if has_missed { RELEARN_AGAIN } else { RELEARN };
        self.index > size || now.since(self.learned) >= after
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (deployment, index, learned) = (words.next()?, words.next()?, words.next()?);
        Some(Self {
            deployment: deployment.parse().ok()?,
            index: index.parse().ok()?,
            learned: Timestamp::from_micros(learned.parse().ok()?),
        })
    }
}

impl fmt::Display for HistoryMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.deployment, self.index, self.learned.as_micros())
    }
}

/// Whose turn it is, as long as it is renewed.
struct Turn<'a> {
    shared: &'a Shared,
    lease: Option<Lease>,
    renewed: Instant,
}

impl<'a> Turn<'a> {
    async fn take(shared: &'a Shared) -> Result<Option<Self>, PartsError> {
        let lease = Lease::take(&shared.db, TURN, &shared.instance.to_string(), LEASE_TIME).await?;
        Ok(lease.map(|lease| Self { shared, lease: Some(lease), renewed: Instant::now() }))
    }

    /// Whether it goes on; one that was lost is not used any more.
    async fn goes_on(&mut self) -> Result<bool, PartsError> {
        if self.renewed.elapsed() < RENEW {
            return Ok(true);
        }
        let renewed = Self::take(self.shared).await?;
        // Somebody who had it meanwhile taught things that are not to be taught again from where we were.
        let same =
            renewed.filter(|new| new.lease.as_ref().map(|l| l.fence) == self.lease.as_ref().map(|l| l.fence));
        self.lease = same.and_then(|same| same.lease);
        self.renewed = Instant::now();
        Ok(self.lease.is_some())
    }

    async fn end(self) {
        let Some(lease) = self.lease else { return };
        if let Err(error) = lease.release(&self.shared.db).await {
            tracing::warn!(code = error.code(), "the turn to follow the log could not be given back");
        }
    }
}

/// How a pipeline follows the log.
#[derive(Debug)]
pub(crate) enum History {
    Own(Box<Own>),
    Shared(Box<Shared>),
}

/// Counters of this process alone.
#[derive(Debug)]
pub(crate) struct Own {
    is_new: bool,
    /// Index in the log of decisions up to which it was heeded.
    heeded: AtomicU64,
    looked: Mutex<Option<Instant>>,
    /// One reads at a time, or what was taken back could be learned again by one who read before.
    heeding: tokio::sync::Mutex<()>,
}

impl History {
    pub(super) async fn new(counters: Counters, log: &AuditLog) -> Result<Self, PartsError> {
        Ok(match counters {
            Counters::Own { is_new } => Self::Own(Box::new(Own {
                is_new,
                heeded: AtomicU64::new(log.size(Log::Decisions).await?),
                looked: Mutex::new(None),
                heeding: tokio::sync::Mutex::new(()),
            })),
            Counters::Shared(shared) => Self::Shared(shared),
        })
    }

    /// Something that counts could not be taught to the counters: the log knows it.
    pub(super) fn missed(&self) {
        if let Self::Shared(shared) = self {
            shared.has_missed.store(true, Ordering::SeqCst);
        }
    }
}

impl Pipeline {
    pub(super) async fn begin_history(&self) -> Result<(), PartsError> {
        match &self.0.history {
            History::Own(own) => {
                if own.is_new {
                    for (agent, offences) in self.past_offences().await? {
                        self.0.limiter.rebuild(&agent, &offences).await?;
                    }
                }
                self.heed_past_releases().await?;
                self.heed_past_suspensions().await
            }
            History::Shared(_) => match self.follow().await {
                // The service begins without its counters too; it follows once they are there.
                Err(error) if error.is_transient() => {
                    tracing::warn!(code = error.code(), "counters could not be taught what the log says");
                    Ok(())
                }
                done => done,
            },
        }
    }

    /// What a submission waits for: only counters of its own process have to be taught before.
    pub(super) async fn heed_before_submission(&self) -> Result<(), PartsError> {
        match &self.0.history {
            History::Own(own) => self.heed_log(own).await,
            History::Shared(_) => Ok(()),
        }
    }

    /// Has the next submission heed what this process has just decided, whenever one looked last. The decision stands
    /// whatever comes of it here.
    pub(crate) async fn heed_decision(&self) {
        if let Err(error) = self.0.log.drain_outbox().await {
            tracing::error!(code = error.code(), "a decision is not in the log yet");
        }
        match &self.0.history {
            History::Own(own) => *own.looked.lock().unwrap_or_else(PoisonError::into_inner) = None,
            History::Shared(_) => {
                if let Err(error) = self.follow().await {
                    tracing::warn!(code = error.code(), "counters learn of a decision later");
                }
            }
        }
    }

    /// Teaches counters what the log says since it was last read; shared ones, if nobody else is at it.
    pub(crate) async fn follow(&self) -> Result<(), PartsError> {
        let shared = match &self.0.history {
            History::Own(own) => return self.heed_log(own).await,
            History::Shared(shared) => shared,
        };
        let (mark, size) = (shared.mark().await?, self.0.log.size(Log::Decisions).await?);
        let is_behind = mark.is_none_or(|mark| mark.index != size);
        if !is_behind && !shared.is_to_relearn(mark.as_ref(), size) {
            return Ok(());
        }
        let Some(mut turn) = Turn::take(shared).await? else { return Ok(()) };
        let done = self.catch_up(shared, &mut turn).await;
        turn.end().await;
        done
    }

    async fn catch_up(&self, shared: &Shared, turn: &mut Turn<'_>) -> Result<(), PartsError> {
        // Asked again: whoever had the turn before may have done it.
        let (mark, size) = (shared.mark().await?, self.0.log.size(Log::Decisions).await?);
        let mark = match mark {
            Some(mark) if !shared.is_to_relearn(Some(&mark), size) => mark,
            _ => {
                let now = SystemClock::new().now();
                shared.has_missed.store(false, Ordering::SeqCst);
                let learned = self.relearn(turn).await;
                if !learned.as_ref().is_ok_and(|is_whole| *is_whole) {
                    shared.has_missed.store(true, Ordering::SeqCst);
                    return learned.map(drop);
                }
                // What is found while that goes on is taught again below: an offence that is known counts once.
                shared.set_mark(size, now).await?;
                HistoryMark { deployment: shared.deployment, index: size, learned: now }
            }
        };
        let mut from = mark.index;
        while turn.goes_on().await? {
            let entries = self.0.log.read_from(Log::Decisions, from, PageLimit::MAX).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            from = last.index + 1;
            for entry in &entries {
                self.heed(entry).await?;
            }
            shared.set_mark(from, mark.learned).await?;
        }
        Ok(())
    }

    /// Learns from the log what the counters lost of each agent's last week; says whether it came to the end, or the
    /// turn was lost.
    async fn relearn(&self, turn: &mut Turn<'_>) -> Result<bool, PartsError> {
        for (agent, offences) in self.past_offences().await? {
            if !turn.goes_on().await? {
                return Ok(false);
            }
            self.0.limiter.rebuild(&agent, &offences).await?;
        }
        self.heed_releases_again().await?;
        self.heed_past_suspensions().await?;
        turn.goes_on().await
    }

    /// Learns offences that other processes found, and takes back those that were found to be none: at most a second
    /// later.
    async fn heed_log(&self, own: &Own) -> Result<(), PartsError> {
        {
            let mut looked = own.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|at| at.elapsed() < LOOK) {
                return Ok(());
            }
            *looked = Some(Instant::now());
        }
        let _turn = own.heeding.lock().await;
        loop {
            let from = own.heeded.load(Ordering::SeqCst);
            let entries = self.0.log.read_from(Log::Decisions, from, PageLimit::MAX).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            let next = last.index + 1;
            for entry in &entries {
                self.heed(entry).await?;
            }
            own.heeded.fetch_max(next, Ordering::SeqCst);
        }
    }

    async fn heed_past_releases(&self) -> Result<(), PartsError> {
        let (query, mut cursor) = (past(&RELEASES), None);
        loop {
            let page = self.0.log.query(&query, cursor.as_ref(), most()).await?;
            for entry in &page.items {
                self.heed(entry).await?;
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn heed(&self, entry: &Entry) -> Result<(), PartsError> {
        // An offence that is known counts once.
        if let Some((agent, offence)) = offence_of(entry) {
            return Ok(self.0.limiter.learn(&agent, &offence).await?);
        }
        if let Some(id) = forgiven(entry) {
            return match self.0.vault.show(id).await {
                Ok(record) => {
                    self.0.limiter.unlearn(&record.agent_id, id).await?;
                    self.heed_release(&record).await
                }
                // Nobody knows any more whose it was, so it counts against nobody who is known.
                Err(error) if error.kind() == FaultKind::NotFound => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        self.heed_suspension(entry).await
    }

    /// What the log says of each agent's last week, without what was found to be nothing.
    async fn past_offences(&self) -> Result<HashMap<AgentId, Vec<Offence>>, PartsError> {
        let (query, mut cursor, mut forgotten) = (past(&RELEASES), None, BTreeSet::new());
        loop {
            let page = self.0.log.query(&query, cursor.as_ref(), most()).await?;
            forgotten.extend(page.items.iter().filter_map(forgiven).map(OffenceId::from));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let (query, mut known) = (past(&VERDICTS), HashMap::<AgentId, Vec<Offence>>::new());
        loop {
            let page = self.0.log.query(&query, cursor.as_ref(), most()).await?;
            for (agent, offence) in page.items.iter().filter_map(offence_of) {
                if !forgotten.contains(&offence.id) {
                    known.entry(agent).or_default().push(offence);
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(known);
            }
        }
    }
}

fn most() -> PageLimit {
    PageLimit::new(u64::from(PageLimit::MAX)).unwrap_or_default()
}

pub(super) const RELEASES: [EventKind; 2] = [EventKind::HumanRelease, EventKind::BotRelease];
const VERDICTS: [EventKind; 3] = [EventKind::SsgWarn, EventKind::SsgQuarantine, EventKind::SsgBlock];

/// Events of these types that may still count.
pub(super) fn past(kinds: &[EventKind]) -> Query {
    let mut query = Query::default();
    query.kinds = kinds.to_vec();
    query.since = Some(SystemClock::new().now().minus(HISTORY));
    query
}

/// The hold that an event of the log says was for nothing.
pub(super) fn forgiven(entry: &Entry) -> Option<QuarantineId> {
    let is_release = RELEASES.iter().any(|kind| kind.as_str() == entry.event_type);
    let is_false = entry.metadata.get("reason").and_then(|r| r.as_str()) == Some("FALSE_POSITIVE");
    entry.target_id.as_deref().filter(|_| is_release && is_false)?.parse().ok()
}

/// What an event of the log counts against its agent; nothing if it was a repeat or a plugin's failure, or if nobody
/// knows the agent any more.
fn offence_of(entry: &Entry) -> Option<(AgentId, Offence)> {
    let meta = &entry.metadata;
    let is_verdict = VERDICTS.iter().any(|kind| kind.as_str() == entry.event_type);
    if !is_verdict || meta.contains_key("repeatOf") || meta.contains_key("byFailure") {
        return None;
    }
    let tier: RiskTier = meta.get("tier")?.as_str()?.parse().ok()?;
    let agent = AgentId::new(&entry.actor_id).ok().filter(|_| !entry.actor_id.starts_with("erased:"))?;
    let held =
        (entry.target_type.as_deref() == Some("quarantine")).then_some(entry.target_id.as_deref()).flatten();
    let offence = match held {
        Some(id) => Offence::new(id.parse::<QuarantineId>().ok()?, tier, entry.created_at),
        None => Offence::new(entry.id.parse::<InspectionId>().ok()?, tier, entry.created_at),
    };
    Some((agent, offence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_learned_anew_each_hour_or_when_something_was_missed_or_the_log_is_shorter() {
        let learned = Timestamp::from_micros(1_800_000_000_000_000);
        let mark = HistoryMark { deployment: EventId::fresh(), index: 7, learned };
        for (size, minutes, has_missed, is_stale) in [
            (7, 0, false, false),
            (9, 59, false, false),
            (9, 60, false, true),
            (9, 0, true, false),
            (9, 1, true, true),
            (6, 0, false, true),
        ] {
            let now = learned.plus(Duration::from_mins(minutes));
            assert_eq!(mark.is_stale(size, now, has_missed), is_stale, "{size} {minutes} {has_missed}");
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_anything_else_is_none() {
        let learned = Timestamp::from_micros(1_800_000_000_000_001);
        let mark = HistoryMark { deployment: EventId::fresh(), index: 7, learned };
        assert_eq!(HistoryMark::parse(&mark.to_string()), Some(mark));
        for text in ["", "x 7 1", &format!("{} 7", mark.deployment), &format!("{} -7 1", mark.deployment)] {
            assert_eq!(HistoryMark::parse(text), None, "{text}");
        }
    }
}
