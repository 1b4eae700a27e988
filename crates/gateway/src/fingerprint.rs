//! What the schema looked like when a server began: a trigger that somebody took away is gone without a word, and this
//! is the word.

use clawexchange_audit::{AuditLog, Query};
use clawexchange_database::{Database, fingerprint, schema};
use clawexchange_ssg_core::{Actor, AuditEvent, Clock as _, EventKind, PageLimit, SystemClock};

use crate::error::PartsError;

/// Logs the schema's fingerprint, unless it is the one that was logged last.
pub(crate) async fn note(db: &Database, log: &AuditLog) -> Result<(), PartsError> {
    let found = schema(db).await?;
    let now = fingerprint(&found);
    let mut query = Query::default();
    query.kinds = vec![EventKind::SchemaFingerprint];
    let last = log.query(&query, None, PageLimit::new(1).unwrap_or_default()).await?.items.into_iter().next();
    let before = last.and_then(|entry| Some(entry.metadata.get("sha256")?.as_str()?.to_owned()));
    if before.as_ref() == Some(&now) {
        return Ok(());
    }
    if before.is_some() {
        tracing::warn!(sha256 = now, "the schema is another one than at the last start");
    }
    let event =
        AuditEvent::new(EventKind::SchemaFingerprint, Actor::system("claw")?, SystemClock::new().now())
            .with("sha256", now)?
            .with("objects", found.len())?
            .with_some("before", before)?;
    Ok(log.append(event).await?)
}
