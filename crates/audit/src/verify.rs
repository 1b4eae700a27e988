//! Everything recomputed from the leaves, and the state compared with the log.

use std::collections::{BTreeSet, HashMap, HashSet};

use clawexchange_database::{
    Dialect, Row, STATE, STATE_CONTEXT, StateRow, Statements as _, Tx, expected_schema, outbox, schema,
};
use clawexchange_ssg_core::{EventKind, Mac, PortError, Target};
use serde::Serialize;
use serde_json::Value;

use crate::error::AuditError;
use crate::leaf::{Hash, Log, Projection, batch_hash, canonical, genesis, leaf_hash, month};
use crate::log::AuditLog;
use crate::retired::{self, tile_hashes};
use crate::verify_tree::TreeCheck;
use crate::walk::{Batch, batches, bound, parts};
use crate::{MIGRATIONS, store, subjects};

/// Rows of other crates whose content the log fixes.
#[async_trait::async_trait]
pub trait StateSource: Send + Sync {
    /// The sorts of targets that its rows are about: an event about one of them must have its row.
    fn target_types(&self) -> &[&'static str];

    /// `async fn page(&self, after: Option<&Target>, at_most: u32) -> Result<Vec<StateRow>, PortError>`
    ///
    /// Some rows after `after` in an order of its own; none at the end.
    async fn page(&self, after: Option<&Target>, at_most: u32) -> Result<Vec<StateRow>, PortError>;
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Discrepancy {
    /// Where: a table, with log and index or id where there is one.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl Discrepancy {
    /// Names a place and what is wrong there.
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// Events of the log of decisions.
    pub decisions: u64,
    /// Events of the log of verdicts.
    pub verdicts: u64,
    /// Events of these that were retired: their hashes are here, and they are in exports.
    pub retired: u64,
    /// Events that count as retired and are there all the same: taking them away was cut short.
    pub not_removed: u64,
    /// Signed checkpoints of both logs.
    pub checkpoints: u64,
    /// Rows of state that were compared.
    pub state_rows: u64,
    /// Events that wait in the outbox.
    pub waiting: u64,
    /// Whether the logs extend what was pinned; absent when nothing was pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extends_pin: Option<bool>,
    /// What is not as it was written: at most 1000, in the order in which it was found.
    pub discrepancies: Vec<Discrepancy>,
    /// There were more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

const DISCREPANCIES_MAX: usize = 1000;

/// Rows of state read at once.
const PAGE: u32 = 500;

impl Report {
    /// Whether everything is as it was written.
    pub fn is_clean(&self) -> bool {
        self.discrepancies.is_empty() && !self.truncated
    }

    /// Notes one more, up to 1000.
    pub fn add(&mut self, place: impl Into<String>, what: impl Into<String>) {
        if self.discrepancies.len() < DISCREPANCIES_MAX {
            self.discrepancies.push(Discrepancy::new(place, what));
        } else {
            self.truncated = true;
        }
    }
}

/// What has the name of a partition of ours, and its guards: 27 is BEFORE UPDATE OR DELETE FOR EACH ROW, 34 BEFORE
/// TRUNCATE (pg_trigger.h, TRIGGER_TYPE).
const PARTITIONS: &str = "
SELECT CAST(c.relname AS text) AS name, c.relispartition AS is_attached, COUNT(t.oid) AS guards,
       COUNT(*) FILTER (WHERE t.tgname = 'audit_no_change' AND t.tgtype = 27 AND t.tgenabled = 'A'
                        AND p.proname = 'audit_refuse' AND t.tgqual IS NULL) AS changes,
       COUNT(*) FILTER (WHERE t.tgname = 'audit_no_truncate' AND t.tgtype = 34 AND t.tgenabled = 'A'
                        AND p.proname = 'audit_refuse' AND t.tgqual IS NULL) AS truncates
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid
LEFT JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind IN ('r', 'f')
  AND c.relname ~ '^audit_logs_[0-9]+$'
GROUP BY c.oid, c.relname, c.relispartition ORDER BY c.relname";

/// What the log says of rows elsewhere, gathered on the way through the leaves.
#[derive(Default)]
struct Said {
    /// The last code of each target.
    states: HashMap<(String, String), String>,
    aliases: HashSet<String>,
    erased: HashSet<String>,
    /// From which index on the events of the log at hand are there.
    retired: u64,
}

impl AuditLog {
    /// Recomputes every hash from the leaves, compares every column with its leaf, the end with the batches, tiles and
    /// signed checkpoints with the tree, both logs with the pin, the guards with their text, aliases with their codes,
    /// and the rows of `sources` with what their last events fixed. `progress` is told how many events of how many are done.
    pub async fn verify(
        &self,
        sources: &[&dyn StateSource],
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Report, AuditError> {
        let mut report = Report::default();
        self.verify_schema(&mut report).await?;
        let mut said = Said::default();
        let mut total = 0;
        // One moment for all of the log: what is appended meanwhile is for the next time.
        let tx = self.0.db.snapshot().await?;
        for log in Log::ALL {
            total += store::head(&tx, log).await?.map_or(0, |head| head.size);
        }
        let (retired, forged) = retired::look(&tx, &*self.0.keys).await?;
        if forged > 0 {
            report
                .add("audit_logs decisions", "an event tells of retired events, and has no code of the key");
        }
        let mut done = 0;
        for log in Log::ALL {
            said.retired = retired.end(log);
            let n = self.verify_log(&tx, log, &mut report, &mut said, &|n| progress(done + n, total)).await?;
            done += n;
            match log {
                Log::Decisions => report.decisions = n,
                Log::Verdicts => report.verdicts = n,
            }
        }
        self.verify_strays(&tx, &mut report).await?;
        drop(tx);
        self.verify_pin(&mut report).await?;
        self.verify_subjects(&mut report, &said).await?;
        self.verify_outbox(&mut report, &mut said).await?;
        for source in sources {
            self.verify_states(*source, &mut report, &said).await?;
        }
        Ok(report)
    }

    async fn verify_schema(&self, report: &mut Report) -> Result<(), AuditError> {
        let ours =
            |o: &&clawexchange_database::SchemaObject| o.name.starts_with("audit_") || o.kind == "trigger";
        let (found, wanted) =
            (schema(&self.0.db).await?, expected_schema(self.0.db.dialect(), MIGRATIONS.steps).await?);
        for missing in wanted.difference(&found) {
            let what = if found.iter().any(|o| (&o.kind, &o.name) == (&missing.kind, &missing.name)) {
                "altered"
            } else {
                "missing"
            };
            report.add(format!("schema: {} {}", missing.kind, missing.name), what);
        }
        let about_us = |o: &clawexchange_database::SchemaObject| {
            o.sql.contains("audit_") && !wanted.iter().any(|w| (&w.kind, &w.name) == (&o.kind, &o.name))
        };
        for extra in found.difference(&wanted).filter(ours).filter(|o| about_us(o)) {
            report.add(format!("schema: {} {}", extra.kind, extra.name), "not one of ours");
        }
        if self.0.db.dialect() == Dialect::Postgres {
            self.verify_partitions(report).await?;
        }
        Ok(())
    }

    /// Each partition must have its own guards, and none may have been taken off.
    async fn verify_partitions(&self, report: &mut Report) -> Result<(), AuditError> {
        for row in self.0.db.read().rows(PARTITIONS, []).await? {
            let (name, is_attached): (String, bool) = (row.get("name")?, row.get("is_attached")?);
            let place = format!("schema: table {name}");
            if !is_attached {
                report.add(place, "it is not attached to audit_logs");
            } else if row.get::<i64>("changes")? != 1 || row.get::<i64>("truncates")? != 1 {
                report.add(place, "a guard is missing, altered or off");
            } else if row.get::<i64>("guards")? != 2 {
                report.add(place, "it has a trigger that is not one of ours");
            }
        }
        Ok(())
    }

    async fn verify_log(
        &self,
        tx: &Tx,
        log: Log,
        report: &mut Report,
        said: &mut Said,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<u64, AuditError> {
        let head = store::head(tx, log).await?;
        let deployment = self.0.db.deployment().await?.unwrap_or_default();
        let origin = store::origin(&deployment, log);
        if head.as_ref().is_some_and(|head| head.origin != origin) {
            report.add(format!("audit_head {}", log.as_str()), "the origin is not that of this deployment");
        }
        let (mut prev, mut committed_us) = (genesis(&origin), 0);
        let (mut count, mut size, mut from) = (0_u64, 0_u64, 0_u64);
        let mut tree = TreeCheck::begin(&*self.0.keys, tx, log, &origin).await?;
        loop {
            let batches = batches(tx, log, from).await?;
            let Some(last) = batches.last() else { break };
            from = last.head.start.saturating_add(1);
            for some in parts(&batches) {
                let mut leaves = leaves(tx, log, some).await?;
                for batch in some {
                    let place =
                        format!("audit_batches {} batch {} (from index {size})", log.as_str(), batch.id);
                    if batch.head.start != size {
                        let what = format!("its first index is {} and not {size}", batch.head.start);
                        report.add(&place, what);
                    }
                    if batch.head.prev != prev {
                        report.add(&place, "it does not continue the batch before it");
                    }
                    if batch.head.committed_us < committed_us {
                        report.add(&place, "it was committed before the batch before it");
                    }
                    if batch.month != month(batch.head.committed_us) {
                        report.add(&place, "column month is not that of its commit");
                    }
                    let mine = leaves.remove(&batch.id).unwrap_or_default();
                    let is_retired = batch.end() <= said.retired;
                    let hashes = if is_retired && mine.is_empty() {
                        report.retired += u64::from(batch.head.n);
                        // They must give the batch's hash, whose chain goes on to what is there.
                        tile_hashes(tx, log, batch.head.start, batch.head.n.into()).await?
                    } else {
                        report.not_removed += if is_retired { mine.len() as u64 } else { 0 };
                        check_leaves(log, batch, &mine, report, said)
                    };
                    if batch_hash(&batch.head, hashes.iter()) != batch.hash {
                        report.add(&place, "its hash is not that of its parts");
                    }
                    tree.take(batch, &hashes, report).await?;
                    (prev, committed_us) = (batch.hash, batch.head.committed_us);
                    size = batch.head.start.max(size).saturating_add(u64::from(batch.head.n));
                    count += 1;
                }
                progress(size);
            }
        }
        report.checkpoints += tree.finish(report).await?;
        match head {
            None => report.add(format!("audit_head {}", log.as_str()), "missing"),
            Some(head) if (head.size, head.batches, head.hash) != (size, count, prev) => {
                report.add(
                    format!("audit_head {}", log.as_str()),
                    format!(
                        "it says {} events in {} batches; {size} in {count} are there, or their hash differs",
                        head.size, head.batches
                    ),
                );
            }
            Some(head) if count > 0 && head.committed_us != committed_us => {
                report.add(format!("audit_head {}", log.as_str()), "its time is not that of the last batch");
            }
            Some(_) => {}
        }
        Ok(size)
    }

    /// Events that belong to no batch, and events that are there twice.
    async fn verify_strays(&self, tx: &Tx, report: &mut Report) -> Result<(), AuditError> {
        let sql = "SELECT l.log, l.batch_id FROM audit_logs l LEFT JOIN audit_batches b \
                   ON b.log = l.log AND b.batch_id = l.batch_id AND b.month = l.month \
                   WHERE b.log IS NULL LIMIT 100";
        for row in tx.rows(sql, []).await? {
            let (log, batch): (String, i64) = (row.get("log")?, row.get("batch_id")?);
            report.add(format!("audit_logs {log} batch {batch}"), "an event belongs to no batch");
        }
        let sql = "SELECT id, COUNT(*) AS n FROM audit_logs GROUP BY id HAVING COUNT(*) > 1 LIMIT 100";
        for row in tx.rows(sql, []).await? {
            let id: String = row.get("id")?;
            report.add(format!("audit_logs event {id}"), "it is there more than once");
        }
        Ok(())
    }

    async fn verify_pin(&self, report: &mut Report) -> Result<(), AuditError> {
        match self.pinned().await {
            Ok(None) => {}
            Ok(Some(pinned)) => {
                let mut all = true;
                for pin in pinned {
                    if !self.extends(&pin).await? {
                        all = false;
                        let place = format!("audit_logs {}", pin.log.as_str());
                        report.add(
                            place,
                            format!("it does not extend what was pinned: {} events then", pin.size),
                        );
                    }
                }
                report.extends_pin = Some(all);
            }
            Err(AuditError::PinAltered { path }) => {
                report.extends_pin = Some(false);
                report.add(format!("pin {}", path.display()), "it is not what was written there");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn verify_subjects(&self, report: &mut Report, said: &Said) -> Result<(), AuditError> {
        let (mut after, mut known) = (String::new(), HashSet::new());
        loop {
            let page = subjects::page(&self.0.db, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            for subject in page {
                if !subjects::is_genuine(&*self.0.keys, &subject).await? {
                    report
                        .add(format!("audit_subjects {}", subject.id), "its alias, key or code was altered");
                }
                known.insert(subject.alias);
            }
        }
        let mut gone: Vec<&String> =
            said.aliases.iter().filter(|a| !known.contains(*a) && !said.erased.contains(*a)).collect();
        gone.sort();
        for alias in gone {
            report.add(
                format!("audit_subjects alias {alias}"),
                "missing, and no event says that it was erased",
            );
        }
        Ok(())
    }

    /// What waits in the outbox is as good as said; what is no event there was altered.
    async fn verify_outbox(&self, report: &mut Report, said: &mut Said) -> Result<(), AuditError> {
        let depth = outbox::depth(&self.0.db).await?;
        report.waiting = depth.waiting;
        if depth.aside > 0 {
            report.add("database_outbox", format!("{} rows are no events", depth.aside));
        }
        for event in outbox::waiting(&self.0.db).await? {
            if let (Some(target), Some(state)) =
                (event.target(), event.meta().get(STATE).and_then(Value::as_str))
            {
                said.states.insert((target.kind.clone(), target.id.clone()), state.to_owned());
            }
        }
        Ok(())
    }

    async fn verify_states(
        &self,
        source: &dyn StateSource,
        report: &mut Report,
        said: &Said,
    ) -> Result<(), AuditError> {
        let mut seen: HashSet<(String, String)> = HashSet::new();
        let mut after: Option<Target> = None;
        loop {
            let page = source.page(after.as_ref(), PAGE).await.map_err(AuditError::State)?;
            let Some(last) = page.last() else { break };
            after = Some(last.target.clone());
            for row in page {
                let name = (row.target.kind.clone(), row.target.id.clone());
                report.state_rows += 1;
                if !self.is_said(&row, said.states.get(&name)).await? && !self.is_said_by_now(&row).await? {
                    let place = format!("{} {}", row.table, row.target.id);
                    report.add(place, "it is not as its last event left it, or has none");
                }
                seen.insert(name);
            }
        }
        let mut gone: Vec<_> = said
            .states
            .keys()
            .filter(|(kind, _)| source.target_types().contains(&kind.as_str()))
            .filter(|name| !seen.contains(*name))
            .collect();
        gone.sort();
        for (kind, id) in gone {
            report.add(format!("{kind} {id}"), "the log tells of it and its row is missing");
        }
        Ok(())
    }

    async fn is_said(&self, row: &StateRow, state: Option<&String>) -> Result<bool, AuditError> {
        let Some(mac) = state.and_then(|text| text.parse::<Mac>().ok()) else { return Ok(false) };
        let wanted = self.0.keys.mac(&mac.key, STATE_CONTEXT, &row.state).await.map_err(AuditError::Key)?;
        Ok(subtle::ConstantTimeEq::ct_eq(&wanted.tag[..], &mac.tag[..]).into())
    }

    /// Another process may have changed the row after its events were read here: asks for them again.
    async fn is_said_by_now(&self, row: &StateRow) -> Result<bool, AuditError> {
        let sql = "SELECT leaf FROM audit_logs WHERE target_id = $1 AND target_type = $2 \
                   ORDER BY created_us DESC, batch_id DESC, ord DESC LIMIT 20";
        let rows = self
            .0
            .db
            .read()
            .rows(sql, [row.target.id.clone().into(), row.target.kind.clone().into()])
            .await?;
        let waiting = outbox::waiting(&self.0.db).await?;
        let said = waiting.iter().rev().filter(|e| e.target() == Some(&row.target)).map(|e| e.meta().clone());
        let mut states: Vec<String> =
            said.filter_map(|meta| Some(meta.get(STATE)?.as_str()?.to_owned())).take(1).collect();
        for leaf in rows {
            let leaf: Value =
                serde_json::from_slice(&leaf.get::<Vec<u8>>("leaf")?).ok().ok_or(AuditError::Leaf)?;
            if let Some(state) = leaf.get("meta").and_then(|meta| meta.get(STATE)).and_then(Value::as_str) {
                states.push(state.to_owned());
                break;
            }
        }
        for state in states {
            if self.is_said(row, Some(&state)).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The leaves of batches that follow each other.
async fn leaves(tx: &Tx, log: Log, batches: &[Batch]) -> Result<HashMap<u64, Vec<LeafRow>>, AuditError> {
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(HashMap::new()) };
    let sql = "SELECT l.batch_id, l.ord, l.leaf, l.leaf_hash, l.id, l.event_type, l.actor_type, l.actor_id, \
               l.target_type, l.target_id, l.ip_address, l.created_us \
               FROM audit_batches b JOIN audit_logs l ON l.log = b.log AND l.batch_id = b.batch_id AND l.month = b.month \
               WHERE b.log = $1 AND b.start_index BETWEEN $2 AND $3 ORDER BY b.start_index, l.ord";
    let values = [log.as_str().into(), bound(first.head.start).into(), bound(last.head.start).into()];
    let mut leaves: HashMap<u64, Vec<LeafRow>> = HashMap::new();
    for row in tx.rows(sql, values).await? {
        leaves.entry(row.get_u64("batch_id")?).or_default().push(LeafRow::of(&row)?);
    }
    Ok(leaves)
}

struct LeafRow {
    ord: u64,
    leaf: Vec<u8>,
    hash: Hash,
    projection: Projection,
}

impl LeafRow {
    fn of(row: &Row) -> Result<Self, AuditError> {
        Ok(Self {
            ord: row.get_u64("ord")?,
            leaf: row.get("leaf")?,
            hash: row.get_bytes("leaf_hash")?,
            projection: Projection {
                id: row.get("id")?,
                event_type: row.get("event_type")?,
                actor_type: row.get("actor_type")?,
                actor_id: row.get("actor_id")?,
                target_type: row.get("target_type")?,
                target_id: row.get("target_id")?,
                ip: row.get("ip_address")?,
                created_us: row.get("created_us")?,
            },
        })
    }
}

/// Checks the events of a batch and gives the hashes of their leaves.
fn check_leaves(
    log: Log,
    batch: &Batch,
    rows: &[LeafRow],
    report: &mut Report,
    said: &mut Said,
) -> Vec<Hash> {
    if rows.len() as u64 != u64::from(batch.head.n) {
        let place = format!("audit_logs {} from index {}", log.as_str(), batch.head.start);
        report.add(
            place,
            format!("{} events are there of the {} of batch {}", rows.len(), batch.head.n, batch.id),
        );
    }
    let mut hashes = Vec::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        let place = format!("audit_logs {} index {}", log.as_str(), batch.head.start.saturating_add(row.ord));
        if row.ord != at as u64 {
            report.add(&place, "an event before it is missing");
        }
        let hash = leaf_hash(&row.leaf);
        hashes.push(hash);
        if hash != row.hash {
            report.add(&place, "the hash is not that of the leaf");
        }
        let leaf: Option<Value> = serde_json::from_slice(&row.leaf).ok();
        let is_canonical =
            leaf.as_ref().and_then(|l| canonical(l).ok()).is_some_and(|bytes| bytes == row.leaf);
        let (Some(leaf), true) = (leaf, is_canonical) else {
            report.add(&place, "the leaf is not one of ours");
            continue;
        };
        match Projection::of(&leaf) {
            None => report.add(&place, "the leaf is not one of ours"),
            Some(wanted) => {
                for column in differing(&wanted, &row.projection) {
                    report.add(&place, format!("column {column} does not say what the leaf says"));
                }
                if EventKind::ALL
                    .iter()
                    .find(|k| k.as_str() == wanted.event_type)
                    .is_none_or(|k| Log::of(*k) != log)
                {
                    report.add(&place, "an event of its type does not belong into this log");
                }
            }
        }
        said.take(&leaf);
    }
    hashes
}

fn differing(leaf: &Projection, row: &Projection) -> BTreeSet<&'static str> {
    [
        ("id", leaf.id != row.id),
        ("event_type", leaf.event_type != row.event_type),
        ("actor_type", leaf.actor_type != row.actor_type),
        ("actor_id", leaf.actor_id != row.actor_id),
        ("target_type", leaf.target_type != row.target_type),
        ("target_id", leaf.target_id != row.target_id),
        ("ip_address", leaf.ip != row.ip),
        ("created_us", leaf.created_us != row.created_us),
    ]
    .into_iter()
    .filter_map(|(column, differs)| differs.then_some(column))
    .collect()
}

impl Said {
    fn take(&mut self, leaf: &Value) {
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
