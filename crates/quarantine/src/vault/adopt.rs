//! Records of another system, whose content nobody can open.

use clawexchange_database::{Tx, outbox};
use clawexchange_ssg_core::{AgentId, AuditEvent, ContentType, QuarantineId, RiskTier, SourceId, Timestamp};

use super::Vault;
use crate::error::QuarantineError;
use crate::record::Note;
use crate::records::{self, StoredRow};
use crate::status::{BlobState, Status};

/// What an adopted record has as the rules that judged it: those of another system, which are not known.
pub const ADOPTED_POLICY: &str = "adopted";

/// What an adopted record has as its agent: the other system did not note who posted. No platform's agent, since the
/// name has a colon in front of it that says where it is from.
const NOBODY: &str = "adopted:unknown";

/// A record as another system left it: decided, and without content.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever adopts has to think of every part")]
pub struct Adopted {
    /// Its name there, which it keeps.
    pub id: QuarantineId,
    /// What had been decided, RELEASED, DELETED or EXPIRED: nobody can decide any more about what nobody can see.
    pub status: Status,
    /// How dangerous it was judged.
    pub tier: RiskTier,
    /// Why.
    pub labels: Vec<String>,
    /// What sort of content it was.
    pub content_type: ContentType,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// The platform's own name for it.
    pub source_id: Option<SourceId>,
    /// The object that has its bytes, which nothing opens. Whoever knows of it can take it away.
    pub s3_key: Option<String>,
    /// Until when somebody might have decided.
    pub expires_at: Timestamp,
    /// Who decided.
    pub reviewed_by: Option<AgentId>,
    /// When.
    pub reviewed_at: Option<Timestamp>,
    /// What they wrote.
    pub review_notes: Option<Note>,
    /// When it was held.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Vault {
    /// Takes over a record of another system, with its event, in a transaction of the caller. Its content is gone for
    /// good from the beginning.
    ///
    /// # Errors
    ///
    /// `Conflict` while it is undecided, or if there is a record of that name.
    pub async fn adopt(&self, tx: &Tx, record: Adopted, event: AuditEvent) -> Result<(), QuarantineError> {
        let id = record.id;
        if record.status.is_open() || records::load(tx, id).await?.is_some() {
            return Err(QuarantineError::Conflict { id, current: record.status });
        }
        let mut row = adopted_row(record, self.0.keys.active().as_str());
        let event = self.sign(&mut row, event).await?;
        records::insert(tx, row).await?;
        outbox::put(tx, &event).await?;
        Ok(())
    }
}

fn adopted_row(record: Adopted, key: &str) -> StoredRow {
    // Words and labels: nothing in it can fail to be written.
    let labels = serde_json::to_string(&record.labels).unwrap_or_else(|_| "[]".to_owned());
    StoredRow {
        id: record.id.to_string(),
        s3_key: record.s3_key,
        status: record.status.as_str().to_owned(),
        blob_state: BlobState::Shredded.as_str().to_owned(),
        tier: record.tier.as_str().to_owned(),
        labels,
        matches: "[]".to_owned(),
        policy: ADOPTED_POLICY.to_owned(),
        content_type: record.content_type.as_str().to_owned(),
        size_bytes: i64::try_from(record.size_bytes).unwrap_or(i64::MAX),
        agent_id: NOBODY.to_owned(),
        owner_id: None,
        source_id: record.source_id.map(|id| id.as_str().to_owned()),
        // The other system's inspections had no names; one of its own is unlike all others.
        inspection_id: record.id.to_string(),
        content_hmac: None,
        hmac_key_id: key.to_owned(),
        encryption_key_id: None,
        inline_ciphertext: None,
        expires_at: record.expires_at.as_micros(),
        shred_at: None,
        reviewed_by: record.reviewed_by.map(|by| by.as_str().to_owned()),
        reviewed_at: record.reviewed_at.map(Timestamp::as_micros),
        reason: None,
        review_notes: record.review_notes.map(|note| note.as_str().to_owned()),
        version: 1,
        pending_event: None,
        state_mac: None,
        created_at: record.created_at.as_micros(),
        updated_at: record.updated_at.as_micros(),
    }
}
