//! The first system's quarantine: each row as a record whose content nobody can open. It kept no more of the content's
//! encryption than the wrapped key, so not even whoever has its master key can.

use clawexchange_audit::AuditLog;
use clawexchange_database::{Database, DatabaseError, Row, Statements as _, Tx};
use clawexchange_quarantine::{Adopted, Note, ObjectKey, Status, Vault};
use clawexchange_ssg_core::{
    Actor, AgentId, AuditEvent, Clock as _, ContentType, EventKind, QuarantineId, RiskTier, SourceId,
    SystemClock, Timestamp, fail_point,
};

use super::Watch;
use super::cursor::{Cursor, Tally, What};
use super::error::AdoptError;
use super::relocate::ORIGINAL_SCHEMA;
use super::text::{bytes_of, cut, is_word, micros_of, text};

/// Rows of one transaction.
const ROWS: u32 = 200;

/// Labels of one record.
const LABELS_MAX: usize = 100;

/// Bytes of a text that did not fit, kept sealed.
const TEXT_BYTES_MAX: usize = 2000;

/// The table.
const TABLE: &str = "quarantine_records";

/// Takes over the rows of the quarantine, in the order of their ids.
pub(super) async fn import(
    db: &Database,
    vault: &Vault,
    log: &AuditLog,
    watch: Watch<'_>,
) -> Result<Tally, AdoptError> {
    loop {
        let tally = import_some(db, vault).await?;
        // What waits in the outbox can be altered without a trace.
        log.drain_outbox().await?;
        if tally.is_finished {
            return Ok(tally);
        }
        watch(What::Records, tally.done);
    }
}

async fn import_some(db: &Database, vault: &Vault) -> Result<Tally, AdoptError> {
    let now = SystemClock::new().now();
    let tx = db.begin().await?.patiently().await?;
    let mut cursor = Cursor::locked(&tx, What::Records, now).await?;
    if cursor.tally.is_finished {
        return Ok(cursor.tally);
    }
    let rows = page(&tx, cursor.last_id.as_deref()).await?;
    let (mut done, mut flawed, mut last) = (0, 0, cursor.last_id.clone());
    for row in rows {
        let (record, event, is_flawed) = taken(&row, now)?;
        vault.adopt(&tx, record, event).await?;
        done += 1;
        flawed += u64::from(is_flawed);
        last = Some(row.get("id")?);
    }
    if done == 0 {
        cursor.finish(&tx, now).await?;
    } else {
        cursor.advance(&tx, last.as_deref(), done, flawed).await?;
    }
    fail_point!("adopt.before-records");
    tx.commit().await?;
    fail_point!("adopt.records");
    Ok(cursor.tally)
}

async fn page(tx: &Tx, after: Option<&str>) -> Result<Vec<Row>, AdoptError> {
    let columns = [
        "CAST(id AS TEXT) AS id".to_owned(),
        bytes_of("s3_key", 600),
        bytes_of("status", 64),
        bytes_of("tier", 64),
        bytes_of("labels", 20_000),
        bytes_of("content_type", 64),
        bytes_of("source_id", 300),
        "CAST(size_bytes AS BIGINT) AS size_bytes".to_owned(),
        micros_of("expires_at"),
        bytes_of("reviewed_by", 300),
        micros_of("reviewed_at"),
        "reviewed_at IS NOT NULL AS is_reviewed".to_owned(),
        bytes_of("review_notes", 2001),
        micros_of("created_at"),
        micros_of("updated_at"),
    ]
    .join(", ");
    let (after_it, values) = match after {
        None => ("", vec![]),
        Some(id) => (" WHERE id > CAST($1 AS UUID)", vec![id.into()]),
    };
    let sql = format!("SELECT {columns} FROM {ORIGINAL_SCHEMA}.{TABLE}{after_it} ORDER BY id LIMIT {ROWS}");
    Ok(tx.rows(&sql, values).await?)
}

/// What could not be taken over as it was.
#[derive(Default)]
struct Flaws {
    names: Vec<&'static str>,
    sealed: Vec<(&'static str, String)>,
}

impl Flaws {
    /// A column that is read by `read`. One that is there and is not read is a flaw, and its text is kept sealed.
    fn read<T>(
        &mut self,
        row: &Row,
        (column, name): (&'static str, &'static str),
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, DatabaseError> {
        let Some((found, is_whole)) = text(row, column)? else { return Ok(None) };
        let value = if is_whole { read(&found) } else { None };
        if value.is_none() {
            self.names.push(name);
            self.sealed.push((name, cut(&found, TEXT_BYTES_MAX / 4).to_owned()));
        }
        Ok(value)
    }

    /// A moment. One that is none of ours is a flaw, and `instead` stands for it.
    fn moment(
        &mut self,
        row: &Row,
        (column, name): (&'static str, &'static str),
        instead: Timestamp,
    ) -> Result<Timestamp, DatabaseError> {
        let micros: Option<i64> = row.get(column)?;
        if micros.is_none() {
            self.names.push(name);
        }
        Ok(micros.map_or(instead, Timestamp::from_micros))
    }
}

/// The record of a row, its event, and whether something could not be taken over as it was.
fn taken(row: &Row, now: Timestamp) -> Result<(Adopted, AuditEvent, bool), AdoptError> {
    let mut flaws = Flaws::default();
    let id: QuarantineId = row.get_parsed("id")?;
    let told = flaws.read(row, ("status", "status"), |status| status.parse::<Status>().ok())?;
    let content_type = flaws.read(row, ("content_type", "contentType"), |found| {
        ContentType::ALL.into_iter().find(|known| known.as_str() == found)
    })?;
    let tier = flaws.read(row, ("tier", "tier"), |tier| tier.parse::<RiskTier>().ok())?;
    let labels = flaws.read(row, ("labels", "labels"), |labels| {
        let labels: Vec<String> = serde_json::from_str(labels).ok()?;
        (labels.len() <= LABELS_MAX && labels.iter().all(|label| is_word(label, 64))).then_some(labels)
    })?;
    let size: Option<i64> = row.get("size_bytes")?;
    let size_bytes = size.and_then(|size| u64::try_from(size).ok());
    if size_bytes.is_none() {
        flaws.names.push("sizeBytes");
    }
    let created_at = flaws.moment(row, ("created_at", "createdAt"), Timestamp::UNIX_EPOCH)?;
    let record = Adopted {
        id,
        status: decided(told),
        // What it held was HIGH or worse, so of one that is not told that is known.
        tier: tier.unwrap_or(RiskTier::High),
        labels: labels.unwrap_or_default(),
        content_type: content_type.unwrap_or_default(),
        size_bytes: size_bytes.unwrap_or_default(),
        source_id: flaws.read(row, ("source_id", "sourceId"), |id| SourceId::new(id).ok())?,
        s3_key: flaws
            .read(row, ("s3_key", "s3Key"), |key| key.parse::<ObjectKey>().ok())?
            .map(|key| key.to_string()),
        expires_at: flaws.moment(row, ("expires_at", "expiresAt"), created_at)?,
        reviewed_by: flaws.read(row, ("reviewed_by", "reviewedBy"), |by| AgentId::new(by).ok())?,
        reviewed_at: if row.get("is_reviewed")? {
            Some(flaws.moment(row, ("reviewed_at", "reviewedAt"), created_at)?)
        } else {
            None
        },
        review_notes: notes(row, &mut flaws)?,
        created_at,
        updated_at: flaws.moment(row, ("updated_at", "updatedAt"), created_at)?,
    };
    let mut event = AuditEvent::new(EventKind::Imported, Actor::system("adopt")?, now)
        .with("from", TABLE)?
        .with("content", "unrecoverable")?
        .with("status", record.status.as_str())?
        .with("tier", record.tier.as_str())?
        .with_some("statusThere", told.map(Status::as_str))?;
    for (name, text) in std::mem::take(&mut flaws.sealed) {
        event = event.with_personal(name, text)?;
    }
    let is_flawed = !flaws.names.is_empty();
    if is_flawed {
        event = event.with("flaws", flaws.names)?;
    }
    Ok((record, event, is_flawed))
}

/// What becomes of a decision. Nobody can decide about what nobody can see: what was undecided had its time.
fn decided(told: Option<Status>) -> Status {
    told.filter(|status| !status.is_open()).unwrap_or(Status::Expired)
}

/// What a reviewer wrote, in one line and no longer than notes are here; the whole of a longer one stands sealed.
fn notes(row: &Row, flaws: &mut Flaws) -> Result<Option<Note>, DatabaseError> {
    let Some((found, _)) = text(row, "review_notes")? else { return Ok(None) };
    if found.trim().is_empty() {
        return Ok(None);
    }
    if let Ok(note) = Note::new(&found) {
        return Ok(Some(note));
    }
    flaws.names.push("notes");
    flaws.sealed.push(("notes", cut(&found, TEXT_BYTES_MAX).to_owned()));
    let plain: String =
        found.chars().filter(|c| c.is_alphanumeric() || " .,:;!?'\"()/-".contains(*c)).collect();
    Ok(Note::new(cut(&plain, clawexchange_quarantine::NOTE_BYTES_MAX)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_undecided_has_expired_and_what_was_decided_stays_so() {
        assert_eq!(decided(Some(Status::Quarantined)), Status::Expired);
        assert_eq!(decided(Some(Status::UnderReview)), Status::Expired);
        assert_eq!(decided(None), Status::Expired);
        for decided_there in [Status::Released, Status::Deleted, Status::Expired] {
            assert_eq!(decided(Some(decided_there)), decided_there);
        }
    }
}
