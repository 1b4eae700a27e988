//! A log in a folder of its own, with keys that need no file.

use std::path::Path;

use async_trait::async_trait;
use clawexchange_audit::{AuditConfig, AuditLog, Log, MIGRATIONS, Report, StateSource};
use clawexchange_database::{Database, Dialect, Plan, StateRow, Statements as _};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{
    Actor, AgentId, AuditEvent, Clock as _, DataKey, EventKind, Fault, FaultKind, KeyId, KeyProvider, Mac,
    PortError, Target,
};
use ring::{aead, hmac};

#[derive(Clone, Debug)]
pub struct TestKeys([u8; 32]);

impl Default for TestKeys {
    fn default() -> Self {
        Self([9; 32])
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the key does not open it")]
pub struct DoesNotOpen;

impl Fault for DoesNotOpen {
    fn code(&self) -> &'static str {
        "test/does-not-open"
    }
    fn kind(&self) -> FaultKind {
        FaultKind::Integrity
    }
}

#[async_trait]
impl KeyProvider for TestKeys {
    fn active(&self) -> KeyId {
        KeyId::new("test").unwrap()
    }

    async fn wrap(&self, _: &KeyId, context: &[u8], key: &DataKey) -> Result<Vec<u8>, PortError> {
        let sealer = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &self.0).unwrap());
        let mut bytes = key.expose().to_vec();
        let nonce = aead::Nonce::assume_unique_for_key([0; 12]);
        sealer.seal_in_place_append_tag(nonce, aead::Aad::from(context), &mut bytes).unwrap();
        Ok(bytes)
    }

    async fn unwrap(&self, id: &KeyId, context: &[u8], wrapped: &[u8]) -> Result<DataKey, PortError> {
        if id.as_str() != "test" {
            return Err(DoesNotOpen.into());
        }
        let opener = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &self.0).unwrap());
        let mut bytes = wrapped.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key([0; 12]);
        let plain =
            opener.open_in_place(nonce, aead::Aad::from(context), &mut bytes).ok().ok_or(DoesNotOpen)?;
        Ok(DataKey::new((&*plain).try_into().ok().ok_or(DoesNotOpen)?))
    }

    async fn mac(&self, id: &KeyId, context: &[u8], message: &[u8]) -> Result<Mac, PortError> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let tag = hmac::sign(&key, &[context, &[0], id.as_str().as_bytes(), &[0], message].concat());
        Ok(Mac::new(id.clone(), tag.as_ref().try_into().unwrap()))
    }
}

pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub db: Database,
    pub log: AuditLog,
    pub clock: ManualClock,
}

pub async fn open_at(folder: &Path, clock: &ManualClock) -> (Database, AuditLog) {
    let db = clawexchange_testkit::open_in(folder).await;
    Plan::of([MIGRATIONS]).up(&db, None, clock.now()).await.unwrap();
    let mut config = AuditConfig::default();
    std::fs::create_dir_all(folder.join("pins")).unwrap();
    config.pin = Some(folder.join("pins/log.pin"));
    let log =
        AuditLog::open_with_clock(db.clone(), TestKeys::default(), config, clock.clone()).await.unwrap();
    (db, log)
}

pub async fn fixture() -> Fixture {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::default());
    let (db, log) = open_at(folder.path(), &clock).await;
    Fixture { folder, db, log, clock }
}

impl Fixture {
    /// An event of an agent, a second after the one before.
    pub fn event(&self, kind: EventKind, agent: &str, target: &str) -> AuditEvent {
        self.clock.advance(std::time::Duration::from_secs(1));
        AuditEvent::new(kind, Actor::agent(AgentId::new(agent).unwrap()), self.clock.now())
            .of_owner(Some("owner-of-all".parse().unwrap()))
            .on(Target::new("content", target))
            .from_ip(Some("203.0.113.77".parse().unwrap()))
            .with("tier", "CRITICAL")
            .unwrap()
    }

    /// Some events of both logs, pinned; two checkpoints of decisions.
    pub async fn fill(&self) {
        for n in 0..6 {
            if n == 4 {
                self.log.checkpoint(Log::Decisions).await.unwrap();
            }
            let kind = if n % 2 == 0 { EventKind::SsgBlock } else { EventKind::SsgPass };
            self.log
                .append(self.event(kind, &format!("agent-{}", n % 3), &format!("post-{n}")))
                .await
                .unwrap();
        }
        self.log.pin().await.unwrap();
        for log in Log::ALL {
            self.log.checkpoint(log).await.unwrap();
        }
    }

    pub async fn verify(&self) -> Report {
        self.log.verify(&[], &|_, _| {}).await.unwrap()
    }

    /// Does what somebody who owns the database would do: guards off, edit, guards on again.
    pub async fn tamper(&self, edits: &[&str]) {
        let tx = self.db.begin().await.unwrap();
        let sql = match tx.dialect() {
            Dialect::Sqlite => {
                "SELECT 'DROP TRIGGER ' || name AS off, sql AS again FROM sqlite_schema WHERE type = 'trigger'"
            }
            Dialect::Postgres => {
                "SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', tgrelid::regclass, tgname) AS off, \
                 format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', tgrelid::regclass, tgname) AS again \
                 FROM pg_trigger WHERE tgname LIKE 'audit_%' ORDER BY tgrelid"
            }
        };
        if tx.dialect() == Dialect::Postgres {
            // A month to which a row can be moved.
            tx.execute("SELECT audit_partition(190001)", []).await.unwrap();
        }
        let guards = tx.rows(sql, []).await.unwrap();
        for guard in &guards {
            tx.execute(&guard.get::<String>("off").unwrap(), []).await.unwrap();
        }
        for edit in edits {
            tx.execute(&self.said(edit), []).await.unwrap();
        }
        for guard in &guards {
            tx.execute(&guard.get::<String>("again").unwrap(), []).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// A statement as this database says it.
    pub fn said(&self, sql: &str) -> String {
        if self.db.dialect() == Dialect::Sqlite {
            return sql.to_owned();
        }
        sql.replace("hex(zeroblob(32))", "repeat('00', 32)")
            .replace("zeroblob(32)", "decode(repeat('00', 32), 'hex')")
            .replace("zeroblob(48)", "decode(repeat('00', 48), 'hex')")
            .replace("randomblob(16)", "uuid_send(gen_random_uuid())")
            .replace(
                "CAST(replace(CAST(leaf AS TEXT), 'CRITICAL', 'HARMLESS') AS BLOB)",
                "convert_to(replace(convert_from(leaf, 'UTF8'), 'CRITICAL', 'HARMLESS'), 'UTF8')",
            )
            .replace(" AS BLOB)", " AS BYTEA)")
    }
}

/// Rows of a state that live in memory.
pub struct Rows(pub Vec<StateRow>);

#[async_trait]
impl StateSource for Rows {
    fn target_types(&self) -> &[&'static str] {
        &["thing"]
    }

    async fn page(&self, after: Option<&Target>, at_most: u32) -> Result<Vec<StateRow>, PortError> {
        let begin =
            after.map_or(0, |a| self.0.iter().position(|row| row.target == *a).map_or(usize::MAX, |i| i + 1));
        Ok(self.0.iter().skip(begin).take(at_most as usize).cloned().collect())
    }
}
