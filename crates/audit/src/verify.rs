//! Everything recomputed from the leaves, and the state compared with the log.

use std::collections::{HashMap, HashSet};

use clawexchange_database::{
    Dialect, STATE, STATE_CONTEXT, StateRow, Statements as _, Tx, expected_schema, outbox, schema,
};
use clawexchange_ssg_core::{Mac, PortError, Target};
use serde::Serialize;
use serde_json::Value;

use crate::error::AuditError;
use crate::leaf::Log;
use crate::log::AuditLog;
use crate::retired;
use crate::verify_leaves::{LogCheck, Reader, taken};
use crate::verify_tree::TreeCheck;
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

/// Connections that a pool must have for a check to use two of them at once.
const CONNECTIONS_MIN: u32 = 4;

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

    /// Notes what was found elsewhere meanwhile.
    pub(crate) fn take(&mut self, found: &mut Self) {
        self.retired += std::mem::take(&mut found.retired);
        self.not_removed += std::mem::take(&mut found.not_removed);
        for one in std::mem::take(&mut found.discrepancies) {
            self.add(one.place, one.what);
        }
        self.truncated |= std::mem::take(&mut found.truncated);
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
#[derive(Default, Debug)]
pub(crate) struct Said {
    /// The last code of each target.
    pub(crate) states: HashMap<(String, String), String>,
    pub(crate) aliases: HashSet<String>,
    pub(crate) erased: HashSet<String>,
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
        let deployment = self.0.db.deployment().await?.unwrap_or_default();
        let mut said = Said::default();
        if self.0.db.connections().is_none_or(|all| all.max >= CONNECTIONS_MIN) {
            let (logs, strays) = tokio::join!(
                self.verify_logs(&deployment, &mut report, &mut said, progress),
                self.verify_strays()
            );
            logs?;
            report.take(&mut strays?);
        } else {
            self.verify_logs(&deployment, &mut report, &mut said, progress).await?;
            report.take(&mut self.verify_strays().await?);
        }
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

    async fn verify_logs(
        &self,
        deployment: &[u8; 16],
        report: &mut Report,
        said: &mut Said,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<(), AuditError> {
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
            let origin = store::origin(deployment, log);
            let check = LogCheck::begin(log, retired.end(log), origin, std::mem::take(said));
            let check = self.verify_log(&tx, check, report, &|n| progress(done + n, total)).await?;
            let n = check.size;
            *said = check.said;
            done += n;
            match log {
                Log::Decisions => report.decisions = n,
                Log::Verdicts => report.verdicts = n,
            }
        }
        Ok(())
    }

    /// Three things at once: a part of the log is read, the one before it is checked where that holds up nobody, and
    /// the one before that is added to the tree.
    async fn verify_log(
        &self,
        tx: &Tx,
        mut check: LogCheck,
        report: &mut Report,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<LogCheck, AuditError> {
        let (log, origin) = (check.log, check.origin.clone());
        let head = store::head(tx, log).await?;
        if head.as_ref().is_some_and(|head| head.origin != origin) {
            report.add(format!("audit_head {}", log.as_str()), "the origin is not that of this deployment");
        }
        let mut tree = TreeCheck::begin(&*self.0.keys, tx, log, &origin).await?;
        let mut reader = Reader::of(tx, log, check.retired);
        let (mut found, mut done) = (Report::default(), Vec::new());
        let mut read = reader.next().await?;
        while let Some(part) = read {
            let checking = tokio::task::spawn_blocking(move || check.take(&part));
            let (next, checked, in_tree) =
                tokio::join!(reader.next(), checking, taken(&mut tree, &done, &mut found));
            in_tree?;
            report.take(&mut found);
            let checked = checked.unwrap_or(Err(AuditError::Stopped))?;
            (check, done) = checked;
            report.take(&mut check.found);
            progress(check.size);
            read = next?;
        }
        taken(&mut tree, &done, report).await?;
        report.checkpoints += tree.finish(report).await?;
        check.finish(head, report);
        Ok(check)
    }

    /// Events that belong to no batch, and events that are there twice.
    ///
    /// Each is one statement and so of one moment, whichever that is.
    async fn verify_strays(&self) -> Result<Report, AuditError> {
        let (tx, mut report) = (self.0.db.snapshot().await?, Report::default());
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
        Ok(report)
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
