//! `claw quarantine`: reviews held content.

use std::num::NonZeroU32;
use std::time::Duration;

use clawexchange_gateway::{Intent, Parts};
use clawexchange_quarantine::{Filter, Note, QuarantineRecord, Reason, Status};
use clawexchange_ssg_core::{Actor, EnvelopeBounds, Escaped, PageLimit, QuarantineId, ReadAs, Received};
use serde_json::json;

use crate::args::{DecisionArgs, Global, ListArgs, QuarantineCommand};
use crate::exit::Exit;
use crate::report::CliError;
use crate::{command, output};

pub(crate) async fn run(command: &QuarantineCommand, global: &Global) -> Result<Exit, CliError> {
    let by = command::actor(global)?;
    let parts = command::parts(global, Intent::Use)?;
    match command {
        QuarantineCommand::List(args) => list(args, &parts, global).await,
        QuarantineCommand::Show { id } => show(*id, &parts, global).await,
        QuarantineCommand::Content { id, purpose } => content(*id, purpose, &by, &parts, global).await,
        QuarantineCommand::CiphertextUrl { id, purpose, ttl } => {
            ciphertext_url(*id, purpose, *ttl, &by, &parts, global).await
        }
        QuarantineCommand::Release { id, decision } => release(*id, decision, &by, &parts, global).await,
        QuarantineCommand::Delete { id, decision, now } => {
            delete(*id, decision, *now, &by, &parts, global).await
        }
        QuarantineCommand::Restore { id, reason } => {
            let record = parts.vault().await?.restore(*id, &by, &Note::new(reason)?).await?;
            decided(&record, &parts, global).await
        }
        QuarantineCommand::Hold { id, reason, lift } => {
            hold(*id, reason.as_deref(), *lift, &by, &parts, global).await
        }
        QuarantineCommand::Sweep { dry_run } => sweep(*dry_run, &parts, global).await,
        QuarantineCommand::Reconcile { condemn } => reconcile(*condemn, &parts, global).await,
        QuarantineCommand::Stats => stats(&parts, global).await,
    }
}

async fn list(args: &ListArgs, parts: &Parts, global: &Global) -> Result<Exit, CliError> {
    let mut filter = Filter::default();
    filter.status = args.status.as_deref().map(str::parse::<Status>).transpose()?;
    filter.tier = args.tier;
    filter.agent.clone_from(&args.agent);
    filter.owner.clone_from(&args.owner);
    let limit = PageLimit::new(args.page.limit).unwrap_or_default();
    let page = parts.vault().await?.list(&filter, args.page.after().as_ref(), limit).await?;
    if global.is_json() {
        output::json(&page)?;
        return Ok(Exit::Ok);
    }
    let mut rows = output::Rows::new(&["id", "status", "tier", "agent", "held at", "expires at", "labels"]);
    for r in &page.items {
        rows.row(&[
            &r.id.to_string(),
            r.status.as_str(),
            r.tier.as_str(),
            r.agent_id.as_str(),
            &r.created_at.to_string(),
            &r.expires_at.to_string(),
            &r.labels.join(","),
        ]);
    }
    rows.print()?;
    if let Some(cursor) = &page.next_cursor {
        output::say(&format!("more: --cursor {}", cursor.as_str()));
    }
    Ok(Exit::Ok)
}

async fn show(id: QuarantineId, parts: &Parts, global: &Global) -> Result<Exit, CliError> {
    let vault = parts.vault().await?;
    let record = vault.show(id).await?;
    let legal_hold = vault.is_under_legal_hold(id).await?;
    let value = serde_json::to_value(&record).map_err(|e| CliError::io("write a record", e.into()))?;
    if global.is_json() {
        let mut value = value;
        if let Some(members) = value.as_object_mut() {
            members.insert("legalHold".to_owned(), legal_hold.into());
        }
        output::json(&value)?;
        return Ok(Exit::Ok);
    }
    let mut rows = output::Rows::new(&["what", "value"]);
    for (name, value) in value.as_object().into_iter().flatten() {
        let text = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        rows.row(&[name, &text]);
    }
    rows.row(&["legalHold", &legal_hold.to_string()]);
    rows.print()?;
    Ok(Exit::Ok)
}

async fn ciphertext_url(
    id: QuarantineId,
    purpose: &str,
    seconds: u64,
    by: &Actor,
    parts: &Parts,
    global: &Global,
) -> Result<Exit, CliError> {
    let purpose = Note::new(purpose)?;
    let lasting = Duration::from_secs(seconds);
    let link = parts.vault().await?.ciphertext_link(id, by, &purpose, lasting).await?;
    // It is in the log, and the log pinned, before anybody has it.
    command::finish(parts).await?;
    if global.is_json() {
        output::json(&link)?;
    } else {
        output::line(&link.url)?;
        output::say(&format!(
            "sealed bytes, not content, for whoever has the link, until {}",
            link.expires_at
        ));
    }
    Ok(Exit::Ok)
}

async fn content(
    id: QuarantineId,
    purpose: &str,
    by: &Actor,
    parts: &Parts,
    global: &Global,
) -> Result<Exit, CliError> {
    let purpose = Note::new(purpose)?;
    let vault = parts.vault().await?;
    let grant = vault.grant(id, by, &purpose).await?;
    // The view is in the log, and the log pinned, before the first byte.
    let opened = vault.open(by, &grant.token).await?;
    command::finish(parts).await?;
    if global.is_json() {
        output::bytes(&opened.content)?;
        output::line("")?;
        return Ok(Exit::Ok);
    }
    let mut bounds = EnvelopeBounds::default();
    // What was held was within the bounds of its day.
    bounds.body_bytes_max = opened.content.len();
    bounds.text_bytes_max = opened.content.len();
    let received = Received::read(&opened.content, ReadAs::Envelope, &bounds)?;
    let text = received.content.text();
    if output::is_terminal() {
        for part in text.split_inclusive('\n') {
            let (line, end) = part.strip_suffix('\n').map_or((part, ""), |line| (line, "\n"));
            output::bytes(format!("{}{end}", Escaped(line)).as_bytes())?;
        }
        output::line("")?;
    } else {
        output::bytes(text.as_bytes())?;
    }
    Ok(Exit::Ok)
}

fn reason(args: &DecisionArgs, usual: Reason) -> Result<(Reason, Option<Note>), CliError> {
    let reason = args.reason.as_deref().map(str::parse).transpose()?.unwrap_or(usual);
    Ok((reason, args.notes.as_deref().map(Note::new).transpose()?))
}

async fn release(
    id: QuarantineId,
    args: &DecisionArgs,
    by: &Actor,
    parts: &Parts,
    global: &Global,
) -> Result<Exit, CliError> {
    let (reason, note) = reason(args, Reason::FalsePositive)?;
    let record = parts.vault().await?.release(id, by, reason, note.as_ref()).await?;
    decided(&record, parts, global).await
}

async fn delete(
    id: QuarantineId,
    args: &DecisionArgs,
    now: bool,
    by: &Actor,
    parts: &Parts,
    global: &Global,
) -> Result<Exit, CliError> {
    let (reason, note) = reason(args, Reason::PolicyViolation)?;
    let record = parts.vault().await?.delete(id, by, reason, note.as_ref(), now).await?;
    decided(&record, parts, global).await
}

/// Ends a decision: it is in the log before it is said.
async fn decided(record: &QuarantineRecord, parts: &Parts, global: &Global) -> Result<Exit, CliError> {
    command::finish(parts).await?;
    if global.is_json() {
        output::json(record)?;
    } else {
        output::line(&format!("{} is {}", record.id, record.status.as_str()))?;
        if let Some(at) = record.shred_at {
            output::say(&format!("its key is destroyed at {at}"));
        }
    }
    Ok(Exit::Ok)
}

async fn hold(
    id: QuarantineId,
    reason: Option<&str>,
    lift: bool,
    by: &Actor,
    parts: &Parts,
    global: &Global,
) -> Result<Exit, CliError> {
    let vault = parts.vault().await?;
    let why = Note::new(reason.unwrap_or("lifted"))?;
    if lift {
        vault.lift_legal_hold(id, by, &why).await?;
    } else {
        vault.place_legal_hold(id, by, &why).await?;
    }
    command::finish(parts).await?;
    if global.is_json() {
        output::json(&json!({"id": id, "legalHold": !lift}))?;
    } else {
        output::line(&format!("{id} is {} legal hold", if lift { "no longer under" } else { "under" }))?;
    }
    Ok(Exit::Ok)
}

/// Records of one round: bounds how long other writers wait and what is in memory.
const ROUND: NonZeroU32 = NonZeroU32::new(500).unwrap();

async fn sweep(dry_run: bool, parts: &Parts, global: &Global) -> Result<Exit, CliError> {
    let vault = parts.vault_for_sweep().await?;
    if dry_run {
        let due = vault.due().await?;
        if global.is_json() {
            output::json(&due)?;
        } else {
            output::line(&format!(
                "{} to expire, {} stores to settle, {} keys to destroy, {} objects to delete",
                due.to_expire, due.to_settle, due.to_shred, due.to_delete
            ))?;
        }
        return Ok(Exit::Ok);
    }
    let (mut rounds, mut failed) = (Vec::new(), 0);
    loop {
        let report = vault.sweep(ROUND, None).await?;
        let (more, failures) = (report.more, report.failed);
        failed += failures;
        rounds.push(report);
        // What failed fails again at once; the next sweep tries it.
        if !more || failures > 0 {
            break;
        }
    }
    command::finish(parts).await?;
    let sum = |of: fn(&clawexchange_quarantine::SweepReport) -> u64| rounds.iter().map(of).sum::<u64>();
    let (expired, finished, aborted) = (sum(|r| r.expired), sum(|r| r.finished), sum(|r| r.aborted));
    let (shredded, deleted) = (sum(|r| r.shredded), sum(|r| r.objects_deleted));
    let (moved, weeks) = (sum(|r| r.keys_moved), sum(|r| r.week_keys_destroyed));
    if global.is_json() {
        output::json(&json!({
            "expired": expired, "finished": finished, "aborted": aborted,
            "shredded": shredded, "objectsDeleted": deleted, "keysMoved": moved, "weekKeysDestroyed": weeks,
            "failed": failed,
        }))?;
    } else {
        output::line(&format!(
            "{expired} expired, {finished} stores finished, {aborted} aborted, {shredded} keys destroyed, \
             {deleted} objects deleted, {weeks} keys of weeks destroyed, {failed} failed"
        ))?;
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Failed })
}

async fn reconcile(condemn: bool, parts: &Parts, global: &Global) -> Result<Exit, CliError> {
    let report = parts.vault().await?.reconcile(condemn).await?;
    command::finish(parts).await?;
    let is_lost = !report.missing.is_empty() || !report.keyless.is_empty();
    if global.is_json() {
        output::json(&report)?;
    } else {
        output::line(&format!("{} objects, {} rows that need one", report.objects, report.rows))?;
        for key in &report.orphans {
            output::line(&format!("no row needs {}", Escaped(key)))?;
        }
        for id in &report.missing {
            output::line(&format!("the object of {id} is missing"))?;
        }
        for id in &report.keyless {
            output::line(&format!("the key of {id} is missing"))?;
        }
        if report.condemned > 0 {
            output::line(&format!("{} objects are deleted by the next sweep", report.condemned))?;
        }
    }
    let is_settled = report.orphans.is_empty() || condemn;
    Ok(if is_settled && !is_lost { Exit::Ok } else { Exit::Integrity })
}

async fn stats(parts: &Parts, global: &Global) -> Result<Exit, CliError> {
    let stats = parts.vault().await?.stats().await?;
    if global.is_json() {
        output::json(&stats)?;
        return Ok(Exit::Ok);
    }
    let mut rows = output::Rows::new(&["what", "how many"]).right(1);
    for (status, n) in &stats.by_status {
        rows.row(&[status.as_str(), &n.to_string()]);
    }
    rows.row(&["open", &stats.open.to_string()]);
    rows.row(&["open bytes", &stats.open_bytes.to_string()]);
    rows.row(&["stores under way", &stats.pending.to_string()]);
    rows.row(&["legal holds", &stats.legal_holds.to_string()]);
    rows.print()?;
    Ok(Exit::Ok)
}
