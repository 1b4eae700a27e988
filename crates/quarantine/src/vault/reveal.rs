//! Showing content: to one person, once, and only after the log has it.

use clawexchange_database::outbox;
use clawexchange_ssg_core::{
    Actor, ActorType, AuditEvent, EventKind, KeyId, Mac, QuarantineId, Target, Timestamp, fail_point,
};
use zeroize::Zeroizing;

use super::{ADOPTED_POLICY, RECORD, Vault, port};
use crate::error::QuarantineError;
use crate::objects::ObjectKey;
use crate::record::{Grant, GrantToken, Note, Opened};
use crate::records::{self, StoredRow, grants};
use crate::seal::{self, CHUNK_BYTES, SealContext};
use crate::status::BlobState;

/// What sealed bytes have beside content, at most: header, salt, commitment, and a tag for each chunk.
const OVERHEAD_BYTES_MAX: u64 = 2048;

impl Vault {
    /// Permits a person to look at one content, once, for a few minutes.
    ///
    /// Refused are programs, and content that is deleted, expired or gone.
    pub async fn grant(
        &self,
        id: QuarantineId,
        by: &Actor,
        purpose: &Note,
    ) -> Result<Grant, QuarantineError> {
        if by.kind != ActorType::Human {
            return Err(QuarantineError::HumansOnly);
        }
        may_be_shown(&self.row(id).await?)?;
        let (now, token) = (self.now(), GrantToken::fresh()?);
        let expires_at = now.plus(self.0.config.grant_time);
        let event = AuditEvent::new(EventKind::GrantIssued, by.clone(), now)
            .on(Target::new(RECORD, id))
            .with("expiresAt", expires_at.to_string())?
            .with_personal("purpose", purpose.as_str())?;
        let tx = self.0.db.begin().await?;
        grants::insert(&tx, &token, id, by, purpose.as_str(), [now, expires_at]).await?;
        outbox::put(&tx, &event).await?;
        tx.commit().await?;
        Ok(Grant { id, token, expires_at })
    }

    /// Shows the content that a grant opens to whom it was given.
    ///
    /// The grant's use and the event HUMAN_VIEW_CONTENT are in the log before the content is read. If the log cannot
    /// take it, nothing is shown and the grant is spent.
    pub async fn open(&self, by: &Actor, token: &GrantToken) -> Result<Opened, QuarantineError> {
        let now = self.now();
        let found = grants::find(&self.0.db.read(), token, by, now).await?;
        let (id, purpose) = found.ok_or(QuarantineError::GrantRefused)?;
        let row = self.row(id).await?;
        may_be_shown(&row)?;
        let event = AuditEvent::new(EventKind::HumanViewContent, by.clone(), now)
            .on(Target::new(RECORD, id))
            .with("sizeBytes", row.size_bytes)?
            .with_personal("purpose", purpose)?;
        let tx = self.0.db.begin().await?;
        if !grants::spend(&tx, token, by, now).await? {
            return Err(QuarantineError::GrantRefused);
        }
        // Somebody may have decided since it was read.
        may_be_shown(&records::load_locked(&tx, id).await?.ok_or(QuarantineError::NotFound { id })?)?;
        outbox::put(&tx, &event).await?;
        fail_point!("reveal.before-commit");
        tx.commit().await?;
        fail_point!("reveal.after-commit");
        self.show_logged(&row, "record who looks").await
    }

    /// Shows the content of a row, once all that was committed before is in the log.
    pub(super) async fn show_logged(
        &self,
        row: &StoredRow,
        act: &'static str,
    ) -> Result<Opened, QuarantineError> {
        self.0.drain.drain().await.map_err(port(act))?;
        fail_point!("reveal.after-drain");
        let content = self.open_sealed(row).await?;
        let chunks = u64::try_from(content.len() / CHUNK_BYTES + 1).unwrap_or(u64::MAX);
        Ok(Opened { record: row.record()?, content, chunks })
    }

    /// Shows the content that a grant opens to whoever shows it: the grant itself says to whom it was given, and the
    /// log names them. For links, which browsers follow without saying who they are.
    pub async fn redeem(&self, token: &GrantToken) -> Result<Opened, QuarantineError> {
        let holder = grants::holder(&self.0.db.read(), token, self.now()).await?;
        self.open(&holder.ok_or(QuarantineError::GrantRefused)?, token).await
    }

    /// Opens the sealed bytes of a row, wherever they lie.
    pub(super) async fn open_sealed(&self, row: &StoredRow) -> Result<Zeroizing<Vec<u8>>, QuarantineError> {
        let id = row.id()?;
        let context = seal_context(row)?;
        let data_key = self.data_key(&row.id).await?;
        let stored;
        let sealed = match (&row.inline_ciphertext, &row.s3_key) {
            (Some(sealed), None) => sealed,
            (None, Some(name)) => {
                let size = context.size_bytes;
                let bytes_max = size + (size / CHUNK_BYTES as u64 + 1) * 16 + OVERHEAD_BYTES_MAX;
                let object: ObjectKey = name.parse()?;
                let found = self.0.objects.get(&object, bytes_max).await.map_err(port("read an object"))?;
                stored = found.ok_or(QuarantineError::ObjectMissing { id })?;
                &stored
            }
            _ => return Err(QuarantineError::Row { id: row.id.clone(), column: "s3_key" }),
        };
        seal::open(&data_key, &context, sealed)
    }
}

pub(super) fn may_be_shown(row: &StoredRow) -> Result<(), QuarantineError> {
    let (id, current) = (row.id()?, row.status()?);
    if row.policy == ADOPTED_POLICY {
        Err(QuarantineError::NeverKept { id })
    } else if row.blob_state()? == BlobState::Shredded {
        Err(QuarantineError::Gone { id })
    } else if current.is_shown() {
        Ok(())
    } else {
        Err(QuarantineError::NotShown { id, current })
    }
}

/// What the row says that its content was sealed for.
fn seal_context(row: &StoredRow) -> Result<SealContext, QuarantineError> {
    let record = row.record()?;
    let wrong = |column| QuarantineError::Row { id: row.id.clone(), column };
    let tag = row.content_hmac.clone().and_then(|tag| tag.try_into().ok());
    let code = Mac::new(
        KeyId::new(&row.hmac_key_id).ok().ok_or_else(|| wrong("hmac_key_id"))?,
        tag.ok_or_else(|| wrong("content_hmac"))?,
    );
    Ok(SealContext {
        policy: record.policy,
        ..SealContext::new(
            record.id,
            Timestamp::from_micros(row.created_at),
            record.tier,
            record.content_type,
            record.size_bytes,
            code,
        )
    })
}
