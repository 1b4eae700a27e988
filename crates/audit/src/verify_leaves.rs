//! One log on the way through its leaves: what is read, and what is found in it.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use clawexchange_database::{Row, STATE, Statements as _, Tx};
use clawexchange_ssg_core::EventKind;
use serde_json::Value;

use crate::error::AuditError;
use crate::leaf::{Hash, Log, Projection, batch_hash, canonical, genesis, leaf_hash, month};
use crate::plain::Plain;
use crate::retired::tile_hashes;
use crate::store::Head;
use crate::verify::{Report, Said};
use crate::verify_tree::TreeCheck;
use crate::walk::{Batch, batches, bound, cut};

/// Batches that follow each other, and all rows of their leaves.
pub(crate) struct Part {
    batches: Vec<Batch>,
    rows: Vec<Row>,
    /// The hashes of batches that were retired and of which no event is there, by batch; out of the tiles.
    retired: HashMap<u64, Vec<Hash>>,
}

/// Reads a log part by part.
pub(crate) struct Reader<'a> {
    tx: &'a Tx,
    log: Log,
    /// From which index on the events are there.
    retired: u64,
    from: u64,
    waiting: VecDeque<Batch>,
}

impl<'a> Reader<'a> {
    /// Of a log whose events are there from the index `retired` on.
    pub(crate) const fn of(tx: &'a Tx, log: Log, retired: u64) -> Self {
        Self { tx, log, retired, from: 0, waiting: VecDeque::new() }
    }

    /// The next part; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, AuditError> {
        if self.waiting.is_empty() {
            self.waiting.extend(batches(self.tx, self.log, self.from).await?);
            self.from = self.waiting.back().map_or(self.from, |last| last.head.start.saturating_add(1));
        }
        let batches = cut(&mut self.waiting);
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(None) };
        let sql = "SELECT l.batch_id, l.ord, l.leaf, l.leaf_hash, l.id, l.event_type, l.actor_type, l.actor_id, \
                   l.target_type, l.target_id, l.ip_address, l.created_us \
                   FROM audit_batches b JOIN audit_logs l \
                   ON l.log = b.log AND l.batch_id = b.batch_id AND l.month = b.month \
                   WHERE b.log = $1 AND b.start_index BETWEEN $2 AND $3 ORDER BY b.start_index, l.ord";
        let values =
            [self.log.as_str().into(), bound(first.head.start).into(), bound(last.head.start).into()];
        let rows = self.tx.rows(sql, values).await?;
        let retired = self.retired_among(&batches, &rows).await?;
        Ok(Some(Part { batches, rows, retired }))
    }

    /// The hashes of batches whose events have left. They must give the batch's hash, whose chain goes on to what is
    /// there.
    async fn retired_among(
        &self,
        batches: &[Batch],
        rows: &[Row],
    ) -> Result<HashMap<u64, Vec<Hash>>, AuditError> {
        let mut retired = HashMap::new();
        if batches.first().is_none_or(|first| first.end() > self.retired) {
            return Ok(retired);
        }
        let mut there = HashSet::new();
        for row in rows {
            there.insert(number(row, 0, "batch_id")?);
        }
        for batch in batches {
            if batch.end() <= self.retired && !there.contains(&batch.id) {
                let hashes = tile_hashes(self.tx, self.log, batch.head.start, batch.head.n.into()).await?;
                retired.insert(batch.id, hashes);
            }
        }
        Ok(retired)
    }
}

/// Adds batches to the tree.
pub(crate) async fn taken(
    tree: &mut TreeCheck<'_>,
    batches: &[(Batch, Vec<Hash>)],
    report: &mut Report,
) -> Result<(), AuditError> {
    for (batch, hashes) in batches {
        tree.take(batch, hashes, report).await?;
    }
    Ok(())
}

/// What is known of a log up to somewhere.
pub(crate) struct LogCheck {
    pub(crate) log: Log,
    /// From which index on the events are there.
    pub(crate) retired: u64,
    /// What the log has to be called.
    pub(crate) origin: String,
    prev: Hash,
    committed_us: i64,
    batches: u64,
    /// Events up to here.
    pub(crate) size: u64,
    pub(crate) said: Said,
    /// What was found since somebody last asked.
    pub(crate) found: Report,
}

impl LogCheck {
    pub(crate) fn begin(log: Log, retired: u64, origin: String, said: Said) -> Self {
        let (prev, found) = (genesis(&origin), Report::default());
        Self { log, retired, origin, prev, committed_us: 0, batches: 0, size: 0, said, found }
    }

    /// Checks a part, and gives its batches with the hashes that their leaves have. Nothing here waits for anything.
    #[expect(clippy::type_complexity, reason = "two things come back that went in")]
    pub(crate) fn take(mut self, part: &Part) -> Result<(Self, Vec<(Batch, Vec<Hash>)>), AuditError> {
        let mut rows: HashMap<u64, Vec<&Row>> = HashMap::with_capacity(part.batches.len());
        for row in &part.rows {
            rows.entry(number(row, 0, "batch_id")?).or_default().push(row);
        }
        let mut checked = Vec::with_capacity(part.batches.len());
        for batch in &part.batches {
            let mine = rows.remove(&batch.id).unwrap_or_default();
            let hashes = self.batch(batch, &mine, part.retired.get(&batch.id))?;
            checked.push((batch.clone(), hashes));
        }
        Ok((self, checked))
    }

    fn batch(
        &mut self,
        batch: &Batch,
        rows: &[&Row],
        retired: Option<&Vec<Hash>>,
    ) -> Result<Vec<Hash>, AuditError> {
        let (log, size) = (self.log.as_str(), self.size);
        let mut wrong = Vec::new();
        if batch.head.start != size {
            wrong.push(format!("its first index is {} and not {size}", batch.head.start));
        }
        if batch.head.prev != self.prev {
            wrong.push("it does not continue the batch before it".to_owned());
        }
        if batch.head.committed_us < self.committed_us {
            wrong.push("it was committed before the batch before it".to_owned());
        }
        if batch.month != month(batch.head.committed_us) {
            wrong.push("column month is not that of its commit".to_owned());
        }
        let hashes = match retired {
            Some(hashes) => {
                self.found.retired += u64::from(batch.head.n);
                hashes.clone()
            }
            None => self.leaves(batch, rows)?,
        };
        if batch_hash(&batch.head, hashes.iter()) != batch.hash {
            wrong.push("its hash is not that of its parts".to_owned());
        }
        for what in wrong {
            self.found.add(format!("audit_batches {log} batch {} (from index {size})", batch.id), what);
        }
        (self.prev, self.committed_us) = (batch.hash, batch.head.committed_us);
        self.size = batch.head.start.max(size).saturating_add(u64::from(batch.head.n));
        self.batches += 1;
        Ok(hashes)
    }

    /// Checks the leaves of a batch and gives their hashes.
    fn leaves(&mut self, batch: &Batch, rows: &[&Row]) -> Result<Vec<Hash>, AuditError> {
        if batch.end() <= self.retired {
            self.found.not_removed += rows.len() as u64;
        }
        if rows.len() as u64 != u64::from(batch.head.n) {
            let place = format!("audit_logs {} from index {}", self.log.as_str(), batch.head.start);
            let what =
                format!("{} events are there of the {} of batch {}", rows.len(), batch.head.n, batch.id);
            self.found.add(place, what);
        }
        let mut hashes = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            hashes.push(self.leaf(batch, at as u64, row)?);
        }
        Ok(hashes)
    }

    /// Checks one leaf and gives its hash.
    fn leaf(&mut self, batch: &Batch, at: u64, row: &Row) -> Result<Hash, AuditError> {
        let ord = number(row, 1, "ord")?;
        let leaf: Vec<u8> = row.get_at(2, "leaf")?;
        let hash = leaf_hash(&leaf);
        let mut wrong = Vec::new();
        if ord != at {
            wrong.push("an event before it is missing".to_owned());
        }
        if row.get_at::<Vec<u8>>(3, "leaf_hash")? != hash {
            wrong.push("the hash is not that of the leaf".to_owned());
        }
        match Plain::of(&leaf) {
            Some(plain) => {
                self.columns(&plain, row, &mut wrong)?;
                self.said.take(&plain);
            }
            None => self.read_the_long_way(&leaf, row, &mut wrong)?,
        }
        for what in wrong {
            let index = batch.head.start.saturating_add(ord);
            self.found.add(format!("audit_logs {} index {index}", self.log.as_str()), what);
        }
        Ok(hash)
    }

    fn columns(&self, leaf: &Plain<'_>, row: &Row, wrong: &mut Vec<String>) -> Result<(), AuditError> {
        for column in differing(leaf, row)? {
            wrong.push(format!("column {column} does not say what the leaf says"));
        }
        let kind = EventKind::ALL.iter().find(|kind| kind.as_str() == leaf.event_type);
        if kind.is_none_or(|kind| Log::of(*kind) != self.log) {
            wrong.push("an event of its type does not belong into this log".to_owned());
        }
        Ok(())
    }

    /// A leaf that is not as it nearly always is; it may be canonical all the same.
    fn read_the_long_way(
        &mut self,
        leaf: &[u8],
        row: &Row,
        wrong: &mut Vec<String>,
    ) -> Result<(), AuditError> {
        let value: Option<Value> = serde_json::from_slice(leaf).ok();
        let value = value.filter(|value| canonical(value).is_ok_and(|bytes| bytes == leaf));
        let Some(value) = value else {
            wrong.push("the leaf is not one of ours".to_owned());
            return Ok(());
        };
        match Projection::of(&value) {
            None => wrong.push("the leaf is not one of ours".to_owned()),
            Some(projection) => self.columns(&Plain::from(&projection), row, wrong)?,
        }
        self.said.take_value(&value);
        Ok(())
    }

    /// Compares the end of the log with what was found on the way.
    pub(crate) fn finish(&self, head: Option<Head>, report: &mut Report) {
        let place = format!("audit_head {}", self.log.as_str());
        let there = (self.size, self.batches, self.prev);
        match head {
            None => report.add(place, "missing"),
            Some(head) if (head.size, head.batches, head.hash) != there => report.add(
                place,
                format!(
                    "it says {} events in {} batches; {} in {} are there, or their hash differs",
                    head.size, head.batches, self.size, self.batches
                ),
            ),
            Some(head) if self.batches > 0 && head.committed_us != self.committed_us => {
                report.add(place, "its time is not that of the last batch");
            }
            Some(_) => {}
        }
    }
}

fn number(row: &Row, at: usize, column: &'static str) -> Result<u64, AuditError> {
    Ok(row.get_u64_at(at, column)?)
}

/// The columns that do not say what the leaf says.
fn differing(leaf: &Plain<'_>, row: &Row) -> Result<BTreeSet<&'static str>, AuditError> {
    let mut differing = BTreeSet::new();
    for (at, column, said) in [
        (4, "id", leaf.id),
        (5, "event_type", leaf.event_type),
        (6, "actor_type", leaf.actor_type),
        (7, "actor_id", leaf.actor_id),
    ] {
        if row.get_at::<String>(at, column)? != said {
            differing.insert(column);
        }
    }
    for (at, column, said) in
        [(8, "target_type", leaf.target_type), (9, "target_id", leaf.target_id), (10, "ip_address", leaf.ip)]
    {
        if row.get_at::<Option<String>>(at, column)?.as_deref() != said {
            differing.insert(column);
        }
    }
    if row.get_at::<i64>(11, "created_us")? != leaf.created_us {
        differing.insert("created_us");
    }
    Ok(differing)
}

impl Said {
    fn take(&mut self, leaf: &Plain<'_>) {
        let actor = leaf.is_alias.then_some(leaf.actor_id);
        for alias in actor.into_iter().chain(leaf.owner) {
            note(&mut self.aliases, alias);
        }
        let (Some(kind), Some(id)) = (leaf.target_type, leaf.target_id) else { return };
        if leaf.event_type == EventKind::SubjectErased.as_str() {
            note(&mut self.erased, id);
        }
        if let Some(state) = leaf.state {
            self.states.insert((kind.to_owned(), id.to_owned()), state.to_owned());
        }
    }

    fn take_value(&mut self, leaf: &Value) {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(ToOwned::to_owned);
        self.aliases.extend(text(leaf.get("actor").and_then(|a| a.get("ref"))));
        let meta = leaf.get("meta");
        self.aliases.extend(text(meta.and_then(|m| m.get("owner"))));
        let target = leaf.get("target");
        let (kind, id) = (text(target.and_then(|t| t.get("type"))), text(target.and_then(|t| t.get("id"))));
        let (Some(kind), Some(id)) = (kind, id) else { return };
        if leaf.get("type").and_then(Value::as_str) == Some(EventKind::SubjectErased.as_str()) {
            self.erased.insert(id.clone());
        }
        if let Some(state) = text(meta.and_then(|m| m.get(STATE))) {
            self.states.insert((kind, id), state);
        }
    }
}

fn note(texts: &mut HashSet<String>, text: &str) {
    if !texts.contains(text) {
        texts.insert(text.to_owned());
    }
}
