//! A log in the order of its index: batches, and what is in them.

use std::collections::{HashMap, VecDeque};

use clawexchange_database::{Row, Statements};

use crate::error::AuditError;
use crate::leaf::{BatchHead, Hash, Log, genesis};

/// Batches read at once.
const BATCHES: u16 = 1000;

/// Leaves read at once, at most, unless one batch has more.
const LEAVES: u64 = 4000;

/// A batch as its row says.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) id: u64,
    pub(crate) month: i64,
    pub(crate) head: BatchHead,
    pub(crate) hash: Hash,
}

impl Batch {
    /// The index behind its last event.
    pub(crate) fn end(&self) -> u64 {
        self.head.start.saturating_add(self.head.n.into())
    }

    fn of(row: &Row) -> Result<Self, AuditError> {
        let n = u32::try_from(row.get_u64("n")?).unwrap_or(u32::MAX);
        Ok(Self {
            id: row.get_u64("batch_id")?,
            month: row.get("month")?,
            head: BatchHead {
                prev: row.get_bytes("prev_hash")?,
                start: row.get_u64("start_index")?,
                n,
                uuid: row.get_bytes("batch_uuid")?,
                committed_us: row.get("committed_us")?,
            },
            hash: row.get_bytes("batch_hash")?,
        })
    }
}

/// Some batches from the one that begins at `from` or later.
pub(crate) async fn batches(on: &impl Statements, log: Log, from: u64) -> Result<Vec<Batch>, AuditError> {
    let sql = "SELECT start_index, n, batch_id, month, batch_uuid, committed_us, prev_hash, batch_hash \
               FROM audit_batches WHERE log = $1 AND start_index >= $2 ORDER BY start_index LIMIT $3";
    let values = [log.as_str().into(), bound(from).into(), i64::from(BATCHES).into()];
    let rows = on.rows(sql, values).await?;
    rows.iter().map(Batch::of).collect()
}

/// Cuts batches into parts that have a bounded number of leaves together.
pub(crate) fn parts(batches: &[Batch]) -> Vec<&[Batch]> {
    let mut leaves = 0;
    let fits = |one: &Batch, next: &Batch| {
        leaves += u64::from(one.head.n);
        let fits = leaves + u64::from(next.head.n) <= LEAVES;
        if !fits {
            leaves = 0;
        }
        fits
    };
    batches.chunk_by(fits).collect()
}

/// Takes the first batches that have a bounded number of leaves together, at least one.
pub(crate) fn cut(batches: &mut VecDeque<Batch>) -> Vec<Batch> {
    let mut leaves = 0;
    let fits = |batch: &&Batch| {
        leaves += u64::from(batch.head.n);
        leaves <= LEAVES
    };
    let fitting = batches.iter().take_while(fits).count();
    batches.drain(..fitting.max(1).min(batches.len())).collect()
}

/// The hashes of the leaves of batches that follow each other, by batch, as they are stored.
pub(crate) async fn leaf_hashes(
    on: &impl Statements,
    log: Log,
    batches: &[Batch],
) -> Result<HashMap<u64, Vec<Hash>>, AuditError> {
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(HashMap::new()) };
    let sql = "SELECT l.batch_id, l.leaf_hash \
               FROM audit_batches b JOIN audit_logs l ON l.log = b.log AND l.batch_id = b.batch_id AND l.month = b.month \
               WHERE b.log = $1 AND b.start_index BETWEEN $2 AND $3 ORDER BY b.start_index, l.ord";
    let values = [log.as_str().into(), bound(first.head.start).into(), bound(last.head.start).into()];
    let mut hashes: HashMap<u64, Vec<Hash>> = HashMap::new();
    for row in on.rows(sql, values).await? {
        hashes.entry(row.get_u64("batch_id")?).or_default().push(row.get_bytes("leaf_hash")?);
    }
    Ok(hashes)
}

/// The hashes of `n` leaves from `from` on, as they are stored; fewer, if there are not so many in a row.
pub(crate) async fn hashes_from(
    on: &impl Statements,
    log: Log,
    from: u64,
    n: u64,
) -> Result<Vec<Hash>, AuditError> {
    let end = from.saturating_add(n);
    let sql = "SELECT b.start_index, l.ord, l.leaf_hash \
               FROM audit_batches b JOIN audit_logs l ON l.log = b.log AND l.batch_id = b.batch_id AND l.month = b.month \
               WHERE b.log = $1 AND b.start_index + l.ord >= $2 AND b.start_index + l.ord < $3 \
               AND b.start_index >= COALESCE(\
               (SELECT MAX(start_index) FROM audit_batches WHERE log = $1 AND start_index <= $2), 0) \
               AND b.start_index < $3 ORDER BY b.start_index, l.ord";
    let values = [log.as_str().into(), bound(from).into(), bound(end).into()];
    let mut hashes = Vec::new();
    for (wanted, row) in (from..).zip(on.rows(sql, values).await?) {
        if row.get_u64("start_index")?.saturating_add(row.get_u64("ord")?) != wanted {
            break;
        }
        hashes.push(row.get_bytes("leaf_hash")?);
    }
    Ok(hashes)
}

/// How a log ended when it had so many events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct End {
    /// The hash of its last batch.
    pub(crate) hash: Hash,
    /// When that was committed; 0 for a log without events.
    pub(crate) committed_us: i64,
}

/// How a log ended when it had `size` events; `None` if it never had just as many.
pub(crate) async fn end_at(
    on: &impl Statements,
    log: Log,
    origin: &str,
    size: u64,
) -> Result<Option<End>, AuditError> {
    if size == 0 {
        return Ok(Some(End { hash: genesis(origin), committed_us: 0 }));
    }
    let sql = "SELECT start_index, n, batch_hash, committed_us FROM audit_batches \
               WHERE log = $1 AND start_index < $2 ORDER BY start_index DESC LIMIT 1";
    let Some(row) = on.row(sql, [log.as_str().into(), bound(size).into()]).await? else { return Ok(None) };
    let ends_there = row.get_u64("start_index")?.saturating_add(row.get_u64("n")?) == size;
    let end = End { hash: row.get_bytes("batch_hash")?, committed_us: row.get("committed_us")? };
    Ok(ends_there.then_some(end))
}

/// A leaf with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LeafAt {
    /// Its place in its log, from 0.
    pub index: u64,
    /// The bytes that are hashed.
    pub leaf: Vec<u8>,
    /// Their hash, as it is stored.
    pub hash: [u8; 32],
}

/// Up to `at_most` leaves from `from` on.
pub(crate) async fn leaves_from(
    on: &impl Statements,
    log: Log,
    from: u64,
    at_most: u16,
) -> Result<Vec<LeafAt>, AuditError> {
    let sql = "SELECT b.start_index, l.ord, l.leaf, l.leaf_hash \
               FROM audit_batches b JOIN audit_logs l ON l.log = b.log AND l.batch_id = b.batch_id AND l.month = b.month \
               WHERE b.log = $1 AND b.start_index + l.ord >= $2 AND b.start_index >= COALESCE(\
               (SELECT MAX(start_index) FROM audit_batches WHERE log = $1 AND start_index <= $2), 0) \
               AND b.start_index < $3 ORDER BY b.start_index, l.ord LIMIT $4";
    // No batch is empty, so none that begins later has one of them.
    let end = bound(from.saturating_add(at_most.into()));
    let values = [log.as_str().into(), bound(from).into(), end.into(), i64::from(at_most).into()];
    let rows = on.rows(sql, values).await?;
    let mut leaves = Vec::with_capacity(rows.len());
    for row in rows {
        leaves.push(LeafAt {
            index: row.get_u64("start_index")?.saturating_add(row.get_u64("ord")?),
            leaf: row.get("leaf")?,
            hash: row.get_bytes("leaf_hash")?,
        });
    }
    Ok(leaves)
}

/// A number as the tables have it. What is too large is larger than all that they have.
pub(crate) fn bound(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
