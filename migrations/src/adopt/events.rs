//! The first system's log: each row as an event that says what the row says.

use clawexchange_audit::AuditLog;
use clawexchange_database::{Database, DatabaseError, Row, Statements as _, Tx};
use clawexchange_quarantine::Reason;
use clawexchange_ssg_core::{
    Actor, ActorType, AgentId, AuditEvent, Clock as _, EventKind, RiskTier, SourceId, SystemClock, Target,
    Timestamp, Verdict, fail_point, parse_ip,
};
use serde_json::Value;

use super::Watch;
use super::cursor::{Cursor, Tally, What};
use super::error::AdoptError;
use super::relocate::ORIGINAL_SCHEMA;
use super::text::{bytes_of, cut, is_word, micros_of, text};

/// Rows of one transaction.
const ROWS: u32 = 500;

/// Bytes of an id that was none of ours, kept sealed; the first system's columns have 255 characters.
const TEXT_BYTES_MAX: usize = 1000;

/// Bytes of the details, kept sealed: with all other texts below what an event takes.
const DETAILS_BYTES_MAX: usize = 5000;

/// Characters of the details that are read; one more than are kept tells whether that is all.
const DETAILS_CHARS: u32 = 5001;

/// Labels that are kept in clear.
const LABELS_MAX: usize = 50;

/// The table.
const TABLE: &str = "audit_logs";

/// Takes over the rows of the log, in the order of their time and then their id.
pub(super) async fn import(db: &Database, log: &AuditLog, watch: Watch<'_>) -> Result<Tally, AdoptError> {
    loop {
        match import_some(db, log).await {
            Ok(tally) if tally.is_finished => return Ok(tally),
            Ok(tally) => watch(What::Events, tally.done),
            // A month ended meanwhile, or the like: nothing happened.
            Err(AdoptError::Audit(clawexchange_audit::AuditError::Database(error)))
                if error.is_collision() => {}
            Err(error) => return Err(error),
        }
    }
}

async fn import_some(db: &Database, log: &AuditLog) -> Result<Tally, AdoptError> {
    let now = SystemClock::new().now();
    let tx = db.begin().await?.patiently().await?;
    let mut cursor = Cursor::locked(&tx, What::Events, now).await?;
    if cursor.tally.is_finished {
        return Ok(cursor.tally);
    }
    let rows = page(&tx, cursor.last_id.as_deref()).await?;
    let (mut events, mut flawed, mut last) = (Vec::with_capacity(rows.len()), 0, cursor.last_id.clone());
    for row in rows {
        let (event, is_flawed) = Told::of(&row)?.event(now)?;
        events.push(event);
        flawed += u64::from(is_flawed);
        last = Some(row.get("id")?);
    }
    let done = events.len() as u64;
    if events.is_empty() {
        cursor.finish(&tx, now).await?;
    } else {
        cursor.advance(&tx, last.as_deref(), done, flawed).await?;
        log.append_in(&tx, events).await?;
    }
    fail_point!("adopt.before-events");
    tx.commit().await?;
    fail_point!("adopt.events");
    Ok(cursor.tally)
}

/// Some rows behind one. Behind it by its own time and id, which stay what they are: the table refuses changes.
async fn page(tx: &Tx, after: Option<&str>) -> Result<Vec<Row>, AdoptError> {
    let columns = [
        "CAST(id AS TEXT) AS id".to_owned(),
        bytes_of("event_type", 64),
        bytes_of("actor_id", 300),
        bytes_of("actor_type", 64),
        bytes_of("target_id", 300),
        bytes_of("target_type", 64),
        bytes_of("ip_address", 64),
        bytes_of("metadata", DETAILS_CHARS),
        "CAST(octet_length(CAST(metadata AS TEXT)) AS BIGINT) AS metadata_bytes".to_owned(),
        micros_of("created_at"),
    ]
    .join(", ");
    let table = format!("{ORIGINAL_SCHEMA}.{TABLE}");
    let (after_it, values) = match after {
        None => (String::new(), vec![]),
        Some(id) => {
            let sql = format!("SELECT 1 AS one FROM {table} WHERE id = CAST($1 AS UUID)");
            if tx.row(&sql, [id.into()]).await?.is_none() {
                return Err(AdoptError::Changed { table: TABLE });
            }
            let at = format!("(SELECT l.created_at FROM {table} l WHERE l.id = CAST($1 AS UUID))");
            let after_it =
                format!(" WHERE t.created_at >= {at} AND (t.created_at > {at} OR t.id > CAST($1 AS UUID))");
            (after_it, vec![id.into()])
        }
    };
    let sql = format!("SELECT {columns} FROM {table} t{after_it} ORDER BY t.created_at, t.id LIMIT {ROWS}");
    Ok(tx.rows(&sql, values).await?)
}

/// A row, as far as it was read. The flag beside a text: whether it was read as it is.
struct Told {
    id: String,
    event_type: Option<(String, bool)>,
    actor_id: Option<(String, bool)>,
    actor_type: Option<(String, bool)>,
    target_id: Option<(String, bool)>,
    target_type: Option<(String, bool)>,
    ip: Option<(String, bool)>,
    details: Option<(String, bool)>,
    details_bytes: Option<i64>,
    at: Option<i64>,
}

impl Told {
    fn of(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.get("id")?,
            event_type: text(row, "event_type")?,
            actor_id: text(row, "actor_id")?,
            actor_type: text(row, "actor_type")?,
            target_id: text(row, "target_id")?,
            target_type: text(row, "target_type")?,
            ip: text(row, "ip_address")?,
            details: text(row, "metadata")?,
            details_bytes: row.get("metadata_bytes")?,
            at: row.get("created_at")?,
        })
    }

    /// The event, and whether something could not be taken over as it was.
    fn event(self, now: Timestamp) -> Result<(AuditEvent, bool), AdoptError> {
        let mut flaws: Vec<&str> = Vec::new();
        let mut sealed: Vec<(&str, String)> = Vec::new();
        let kind = word(self.actor_type.as_ref()).and_then(|kind| kind.parse::<ActorType>().ok());
        let id = whole(self.actor_id.as_ref()).and_then(|id| AgentId::new(id).ok());
        let actor = match (kind, id) {
            (Some(kind), Some(id)) => Actor::named(kind, id),
            _ => {
                flaws.push("actor");
                sealed.push(("actor", shown(self.actor_id.as_ref())));
                Actor::system("adopt")?
            }
        };
        let mut event = AuditEvent::new(EventKind::Imported, actor, now)
            .with("from", TABLE)?
            .with("row", self.id.as_str())?;
        match word(self.event_type.as_ref()).filter(|kind| is_word(kind, 64)) {
            Some(kind) => event = event.with("eventType", kind)?,
            None => {
                flaws.push("eventType");
                sealed.push(("eventType", shown(self.event_type.as_ref())));
            }
        }
        match kind {
            Some(kind) => event = event.with("actorType", kind.as_str())?,
            None => sealed.push(("actorType", shown(self.actor_type.as_ref()))),
        }
        match self.at.map(Timestamp::from_micros) {
            Some(at) => event = event.with("at", at.to_string())?,
            None => flaws.push("at"),
        }
        if let Some(found) = &self.target_id {
            match whole(Some(found)).and_then(|id| SourceId::new(id).ok()) {
                Some(id) => {
                    event = event.on(Target::new(sort_of(self.target_type.as_ref(), id.as_str()), id));
                }
                None => {
                    flaws.push("target");
                    sealed.push(("target", shown(Some(found))));
                }
            }
        }
        if let Some(found) = &self.target_type {
            match whole(Some(found)).filter(|t| SourceId::new(t).is_ok()) {
                Some(sort) => event = event.with("targetType", sort)?,
                None => {
                    flaws.push("targetType");
                    sealed.push(("targetType", shown(Some(found))));
                }
            }
        }
        if let Some(found) = &self.ip {
            match whole(Some(found)).and_then(parse_ip) {
                Some(ip) => event = event.from_ip(Some(ip)),
                None => flaws.push("ip"),
            }
        }
        if let Some((details, is_whole)) = &self.details {
            let kept = cut(details, DETAILS_BYTES_MAX);
            let is_all = self.details_bytes == i64::try_from(kept.len()).ok();
            event = event.with("metadataBytes", self.details_bytes)?;
            match serde_json::from_str(details) {
                Ok(details) if is_all && *is_whole => event = with_words(event, &details)?,
                _ => flaws.push("metadata"),
            }
            sealed.push(("metadata", kept.to_owned()));
        }
        for (name, text) in sealed {
            event = event.with_personal(name, text)?;
        }
        let is_flawed = !flaws.is_empty();
        if is_flawed {
            event = event.with("flaws", flaws)?;
        }
        Ok((event, is_flawed))
    }
}

/// The text, if it was read as it is.
fn whole(found: Option<&(String, bool)>) -> Option<&str> {
    found.filter(|(_, is_whole)| *is_whole).map(|(text, _)| text.as_str())
}

fn word(found: Option<&(String, bool)>) -> Option<&str> {
    whole(found).map(str::trim)
}

/// As much of a text as is kept of one that is not what it should be.
fn shown(found: Option<&(String, bool)>) -> String {
    found.map_or_else(String::new, |(text, _)| cut(text, TEXT_BYTES_MAX).to_owned())
}

/// What an event about this is called here, so that it is found with the record's own.
fn sort_of(told: Option<&(String, bool)>, id: &str) -> &'static str {
    let is_held = told.is_some_and(|(sort, _)| sort.to_ascii_lowercase().contains("quarantine"));
    let is_uuid = id.parse::<clawexchange_ssg_core::QuarantineId>().is_ok();
    if is_held && is_uuid { "quarantine" } else { "original" }
}

/// Keeps in clear what is a word of ours, so that events can be told apart; all of it stands sealed besides.
fn with_words(mut event: AuditEvent, details: &Value) -> Result<AuditEvent, AdoptError> {
    let said = |name: &str| details.get(name).and_then(Value::as_str);
    let words: [(&str, bool); 4] = [
        ("tier", said("tier").is_some_and(|t| t.parse::<RiskTier>().is_ok())),
        ("verdict", said("verdict").is_some_and(|v| Verdict::ALL.iter().any(|known| known.as_str() == v))),
        ("reason", said("reason").is_some_and(|r| r.parse::<Reason>().is_ok())),
        ("action", said("action").is_some_and(|a| ["release", "delete", "escalate"].contains(&a))),
    ];
    for (name, is_ours) in words {
        event = event.with_some(name, said(name).filter(|_| is_ours))?;
    }
    if let Some(labels) = details.get("labels").and_then(Value::as_array) {
        let labels = labels.iter().filter_map(Value::as_str).filter(|label| is_word(label, 64));
        event = event.with("labels", labels.take(LABELS_MAX).collect::<Vec<_>>())?;
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        let text = |text: &str| Some((text.to_owned(), true));
        Told {
            id: "5d2c6a3e-0000-4000-8000-000000000001".to_owned(),
            event_type: text("HUMAN_RELEASE"),
            actor_id: text("ann"),
            actor_type: text("human"),
            target_id: text("5d2c6a3e-0000-4000-8000-000000000002"),
            target_type: text("quarantine_record"),
            ip: text("203.0.113.77"),
            details: text(r#"{"reason":"FALSE_POSITIVE","notes":"Bob asked","tier":"severe"}"#),
            details_bytes: Some(63),
            at: Some(1_700_000_000_123_456),
        }
    }

    #[test]
    fn an_ordinary_row_keeps_who_did_what_to_what_and_seals_the_rest() {
        let (event, is_flawed) = told().event(Timestamp::UNIX_EPOCH).unwrap();
        assert!(!is_flawed, "{:?}", event.meta());
        assert_eq!((event.actor().kind, event.actor().id.as_str()), (ActorType::Human, "ann"));
        assert_eq!(event.target().unwrap().kind, "quarantine");
        assert_eq!(event.ip(), Some("203.0.113.0"));
        let meta = serde_json::to_value(event.meta()).unwrap();
        assert_eq!(
            meta,
            serde_json::json!({
                "from": "audit_logs", "row": "5d2c6a3e-0000-4000-8000-000000000001", "eventType": "HUMAN_RELEASE",
                "actorType": "human", "at": "2023-11-14T22:13:20.123456Z", "targetType": "quarantine_record",
                "reason": "FALSE_POSITIVE", "metadataBytes": 63,
            })
        );
        assert_eq!(event.personal().keys().collect::<Vec<_>>(), ["metadata"]);
    }

    #[test]
    fn what_is_no_id_no_word_or_no_address_is_said_and_never_lost_or_shown() {
        let mut row = told();
        row.actor_type = Some(("martian".to_owned(), true));
        row.event_type = Some(("rm -rf\n".to_owned(), true));
        row.target_id = Some(("Bob's post".to_owned(), true));
        row.target_type = Some(("\u{202e}x".to_owned(), true));
        row.ip = Some(("999.1.1.1".to_owned(), true));
        row.at = None;
        row.details = Some((r#"{"a":"\ud800"}"#.to_owned(), true));
        row.details_bytes = Some(14);
        let (event, is_flawed) = row.event(Timestamp::UNIX_EPOCH).unwrap();
        assert!(is_flawed);
        let flaws = event.meta().get("flaws").unwrap();
        let all = ["actor", "eventType", "at", "target", "targetType", "ip", "metadata"];
        assert_eq!(flaws, &serde_json::json!(all));
        assert_eq!((event.actor().id.as_str(), event.target(), event.ip()), ("adopt", None, None));
        assert!(!serde_json::to_string(event.meta()).unwrap().contains("Bob"));
        assert_eq!(event.personal().get("target").unwrap(), "Bob's post");
        assert_eq!(event.personal().get("actor").unwrap(), "ann");
    }

    #[test]
    fn the_largest_of_everything_still_is_an_event() {
        let mut row = told();
        // As many characters as are read of each.
        let wide = |chars| Some(("\u{1F980}".repeat(chars), true));
        (row.actor_id, row.target_id) = (wide(300), wide(300));
        (row.event_type, row.actor_type, row.target_type) = (wide(64), wide(64), wide(64));
        row.details = Some(("\u{1F980}".repeat(5001), true));
        row.details_bytes = Some(1 << 20);
        let (event, is_flawed) = row.event(Timestamp::UNIX_EPOCH).unwrap();
        assert!(is_flawed);
        assert!(event.to_json().len() < 60_000);
    }
}
