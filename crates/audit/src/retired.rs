//! How far the logs were retired: old events leave the database, and their hashes stay.
//!
//! Events leave from the beginning of a log on, whole batches, so one number for each log says which. The newest event
//! LOG_RETIRED about a log has both, with a code under the master key: whoever has the database alone can take rows away,
//! and cannot say that they were retired.

use clawexchange_database::Statements;
use clawexchange_ssg_core::{EventKind, KeyProvider, Mac};
use serde_json::{Map, Value, json};

use crate::error::AuditError;
use crate::leaf::{Hash, Log, canonical};
use crate::log::AuditLog;
use crate::store;
use crate::tile::{TILE_WIDTH, Tile};
use crate::tree_rows::{CheckpointRow, stored};

/// The context of codes over how far logs were retired.
const RETIRED: &[u8] = b"claw/retired/v1";

/// What the events that say so have as the sort of their target; the id is the log.
pub(crate) const TARGET: &str = "log";

/// So many of the newest events that say so are looked at, should somebody have appended some that nobody signed.
const LOOKED_AT: u8 = 20;

/// From which index on the events of each log are there; all before were exported and have left, or are to leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retired {
    /// Of the log of decisions.
    pub decisions: u64,
    /// Of the log of verdicts.
    pub verdicts: u64,
}

impl Retired {
    /// From which index on the events of a log are there.
    pub const fn end(self, log: Log) -> u64 {
        match log {
            Log::Decisions => self.decisions,
            Log::Verdicts => self.verdicts,
        }
    }

    /// The same, and of one log as far as `end`.
    #[must_use]
    pub(crate) const fn with(mut self, log: Log, end: u64) -> Self {
        match log {
            Log::Decisions => self.decisions = end,
            Log::Verdicts => self.verdicts = end,
        }
        self
    }

    fn message(self, origin: &str) -> Result<Vec<u8>, AuditError> {
        canonical(&json!({"decisions": self.decisions, "origin": origin, "verdicts": self.verdicts}))
    }

    /// The details of an event that says so.
    pub(crate) async fn details(
        self,
        keys: &dyn KeyProvider,
        origin: &str,
    ) -> Result<[(&'static str, Value); 3], AuditError> {
        let code =
            keys.mac(&keys.active(), RETIRED, &self.message(origin)?).await.map_err(AuditError::Key)?;
        Ok([
            ("endDecisions", self.decisions.into()),
            ("endVerdicts", self.verdicts.into()),
            ("code", code.to_string().into()),
        ])
    }

    /// What an event says, if who wrote it had the key.
    async fn of(
        keys: &dyn KeyProvider,
        meta: &Map<String, Value>,
        origin: &str,
    ) -> Result<Option<Self>, AuditError> {
        let number = |name: &str| meta.get(name).and_then(Value::as_u64);
        let code = meta.get("code").and_then(Value::as_str).and_then(|code| code.parse::<Mac>().ok());
        let (Some(decisions), Some(verdicts), Some(code)) =
            (number("endDecisions"), number("endVerdicts"), code)
        else {
            return Ok(None);
        };
        let said = Self { decisions, verdicts };
        let wanted = match keys.mac(&code.key, RETIRED, &said.message(origin)?).await {
            Ok(wanted) => wanted,
            Err(error) if crate::subjects::is_altered(&error) => return Ok(None),
            Err(error) => return Err(AuditError::Key(error)),
        };
        let is_genuine: bool = subtle::ConstantTimeEq::ct_eq(&wanted.tag[..], &code.tag[..]).into();
        Ok(is_genuine.then_some(said))
    }
}

/// How far the logs were retired, and how many of the newest events say so without the key's code.
pub(crate) async fn look(on: &impl Statements, keys: &dyn KeyProvider) -> Result<(Retired, u64), AuditError> {
    let origin = store::head(on, Log::Decisions).await?.map(|head| head.origin).unwrap_or_default();
    let sql = "SELECT l.leaf FROM audit_logs l JOIN audit_batches b ON b.log = l.log AND b.batch_id = l.batch_id \
               AND b.month = l.month WHERE l.event_type = $1 AND l.target_type = $2 AND l.log = $3 \
               ORDER BY b.start_index DESC, l.ord DESC LIMIT $4";
    let values = [
        EventKind::LogRetired.as_str().into(),
        TARGET.into(),
        Log::Decisions.as_str().into(),
        i64::from(LOOKED_AT).into(),
    ];
    let mut forged = 0;
    for row in on.rows(sql, values).await? {
        let leaf: Option<Value> = serde_json::from_slice(&row.get::<Vec<u8>>("leaf")?).ok();
        let meta = leaf.as_ref().and_then(|leaf| leaf.get("meta")?.as_object());
        let said = match meta {
            Some(meta) => Retired::of(keys, meta, &origin).await?,
            None => None,
        };
        match said {
            Some(said) => return Ok((said, forged)),
            None => forged += 1,
        }
    }
    Ok((Retired::default(), forged))
}

/// The hashes of up to `n` leaves from `from` on out of the tiles, where they stay when leaves leave.
pub(crate) async fn tile_hashes(
    on: &impl Statements,
    log: Log,
    from: u64,
    n: u64,
) -> Result<Vec<Hash>, AuditError> {
    let (width, end) = (u64::from(TILE_WIDTH), from.saturating_add(n));
    let mut hashes = Vec::new();
    let mut at = from;
    while at < end {
        let tile = Tile::new(0, at / width, TILE_WIDTH)?;
        let there = stored(on, log, &tile).await?.unwrap_or_default();
        let begin = usize::try_from(at % width).unwrap_or(usize::MAX);
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
        let some: Vec<Hash> = there.into_iter().skip(begin).take(wanted).collect();
        let is_all = some.len() as u64 == (width - at % width).min(end - at);
        at += some.len() as u64;
        hashes.extend(some);
        if !is_all {
            break;
        }
    }
    Ok(hashes)
}

impl AuditLog {
    /// From which index on the events of each log are there.
    pub async fn retired(&self) -> Result<Retired, AuditError> {
        Ok(look(&self.0.db.read(), &*self.0.keys).await?.0)
    }

    /// The hashes of up to `n` events from `from` on as they are in the tiles, whether the events are there or not. What
    /// the newest checkpoint does not cover is not among them.
    pub async fn tile_hashes(&self, log: Log, from: u64, n: u64) -> Result<Vec<[u8; 32]>, AuditError> {
        let read = self.0.db.read();
        let signed = CheckpointRow::newest(&read, log).await?.map_or(0, |row| row.size);
        tile_hashes(&read, log, from, n.min(signed.saturating_sub(from))).await
    }

    /// That an event is not there because it was retired, if so it is.
    pub(crate) async fn retired_error(&self, log: Log, index: u64) -> Result<Option<AuditError>, AuditError> {
        let until = self.retired().await?.end(log);
        Ok((index < until).then_some(AuditError::Retired { log: log.as_str(), asked: index, until }))
    }
}
