//! Handing out sealed bytes, for who copies or examines them: never content.

use std::time::Duration;

use clawexchange_database::outbox;
use clawexchange_ssg_core::{Actor, ActorType, AuditEvent, EventKind, QuarantineId, Target, Timestamp};
use zeroize::Zeroizing;

use super::reveal::may_be_shown;
use super::{RECORD, Vault, port};
use crate::error::QuarantineError;
use crate::objects::ObjectKey;
use crate::record::{CiphertextLink, Note};

/// How long a link to sealed bytes lasts at most.
const LINK_MAX: Duration = Duration::from_mins(15);

impl Vault {
    /// A link at which whoever has it gets the sealed bytes of one record: ciphertext, which opens nothing without the
    /// record's key. It is in the log before it is given; if the log cannot take it, there is no link.
    ///
    /// # Errors
    ///
    /// As for a grant; and where the bytes do not lie in a bucket, or for other than 1 s to 15 minutes.
    pub async fn ciphertext_link(
        &self,
        id: QuarantineId,
        by: &Actor,
        purpose: &Note,
        lasting: Duration,
    ) -> Result<CiphertextLink, QuarantineError> {
        if by.kind != ActorType::Human {
            return Err(QuarantineError::HumansOnly);
        }
        if !(Duration::from_secs(1)..=LINK_MAX).contains(&lasting) {
            return Err(QuarantineError::Config { setting: "ttl", expected: "1 to 900 seconds" });
        }
        let row = self.row(id).await?;
        may_be_shown(&row)?;
        let object: Option<ObjectKey> = row.s3_key.as_deref().map(str::parse).transpose()?;
        let object = object.ok_or(QuarantineError::NoLink { id })?;
        let link = self.0.objects.ciphertext_link(&object, lasting).await.map_err(port("make a link"))?;
        let url: Zeroizing<String> = link.ok_or(QuarantineError::NoLink { id })?;
        let now = self.now();
        let expires_at: Timestamp = now.plus(lasting);
        let event = AuditEvent::new(EventKind::GrantIssued, by.clone(), now)
            .on(Target::new(RECORD, id))
            .with("expiresAt", expires_at.to_string())?
            .with("form", "ciphertext-link")?
            .with_personal("purpose", purpose.as_str())?;
        let tx = self.0.db.begin().await?;
        outbox::put(&tx, &event).await?;
        tx.commit().await?;
        self.0.drain.drain().await.map_err(port("record who takes a link"))?;
        Ok(CiphertextLink { id, url, expires_at })
    }
}
