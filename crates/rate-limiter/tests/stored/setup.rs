//! A database with the limits in it, keys that anybody has, and a clock to turn by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use clawexchange_database::{Database, Plan, STATE, STATE_CONTEXT, outbox};
use clawexchange_rate_limiter::stored::{MIGRATIONS, StoredLimits};
use clawexchange_rate_limiter::{EndpointTier, LimitError, Limits, Multiplier, Quota};
use clawexchange_ssg_core::testing::ManualClock;
use clawexchange_ssg_core::{
    Actor, AuditEvent, Clock as _, DataKey, KeyId, KeyProvider, Mac, PortError, TrustLevel,
};
use clawexchange_testkit::{open_in, tamper};
use tempfile::TempDir;

/// Codes that anybody can make: enough to see what they are made over.
#[derive(Debug)]
struct OpenKeys;

#[async_trait]
impl KeyProvider for OpenKeys {
    fn active(&self) -> KeyId {
        KeyId::new("test").unwrap()
    }

    async fn wrap(&self, _: &KeyId, _: &[u8], _: &DataKey) -> Result<Vec<u8>, PortError> {
        panic!("limits have nothing to wrap")
    }

    async fn unwrap(&self, _: &KeyId, _: &[u8], _: &[u8]) -> Result<DataKey, PortError> {
        panic!("limits have nothing to unwrap")
    }

    async fn mac(&self, key: &KeyId, context: &[u8], message: &[u8]) -> Result<Mac, PortError> {
        let mut tag = [0_u8; 32];
        for (i, byte) in context.iter().chain(message).enumerate() {
            tag[i % 32] = byte.wrapping_add(tag[i % 32].wrapping_mul(31));
        }
        Ok(Mac::new(key.clone(), tag))
    }
}

pub(crate) struct Setup {
    pub(crate) folder: TempDir,
    pub(crate) db: Database,
    pub(crate) clock: ManualClock,
    pub(crate) limits: StoredLimits,
}

pub(crate) async fn setup() -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let db = open_in(folder.path()).await;
    let clock = ManualClock::default();
    Plan::of([MIGRATIONS]).up(&db, None, clock.now()).await.unwrap();
    let limits = StoredLimits::with_clock(db.clone(), Arc::new(OpenKeys), clock.clone());
    Setup { folder, db, clock, limits }
}

impl Setup {
    /// The same limits as four other processes have them.
    pub(crate) async fn others(&self) -> Vec<(Database, StoredLimits)> {
        let mut others = Vec::new();
        for _ in 0..4 {
            let db = open_in(self.folder.path()).await;
            let limits = StoredLimits::with_clock(db.clone(), Arc::new(OpenKeys), self.clock.clone());
            others.push((db, limits));
        }
        others
    }

    pub(crate) async fn run(&self, sql: &str) -> Result<(), LimitError> {
        let tx = self.db.begin().await?;
        tx.execute(sql, []).await?;
        Ok(tx.commit().await?)
    }

    /// Tables may be edited by who has the database, without their rules.
    pub(crate) async fn edit(&self, sql: &str) {
        let tables = ["rate_limit_configs", "tier_threshold_configs", "rate_limit_overrides"];
        let table = tables.into_iter().find(|table| sql.contains(table)).unwrap();
        tamper::unchecked(&self.db, table, sql).await;
    }

    pub(crate) async fn set_quota(&self, tier: &EndpointTier, quota: Quota) -> Result<Limits, LimitError> {
        let tx = self.db.begin().await?;
        let limits = self.limits.set_quota(&tx, &Actor::human("os:ann").unwrap(), tier, quota).await?;
        tx.commit().await?;
        Ok(limits)
    }

    pub(crate) async fn set_trust(
        &self,
        level: TrustLevel,
        factor: Multiplier,
    ) -> Result<Limits, LimitError> {
        let tx = self.db.begin().await?;
        let limits = self.limits.set_trust(&tx, &Actor::human("os:ann").unwrap(), level, factor).await?;
        tx.commit().await?;
        Ok(limits)
    }

    pub(crate) async fn events(&self) -> Vec<AuditEvent> {
        outbox::waiting(&self.db).await.unwrap()
    }

    /// What a check of rows against log finds: rows that are not as their last event left them, and rows that are gone.
    pub(crate) async fn discrepancies(&self) -> Vec<String> {
        let mut said: BTreeMap<(String, String), Mac> = BTreeMap::new();
        for event in self.events().await {
            let target = event.target().unwrap();
            let code = event.meta().get(STATE).unwrap().as_str().unwrap().parse().unwrap();
            said.insert((target.kind.clone(), target.id.clone()), code);
        }
        let mut wrong = Vec::new();
        for row in self.limits.state_rows().await.unwrap() {
            let code = said.remove(&(row.target.kind.clone(), row.target.id.clone()));
            let wanted = OpenKeys.mac(&OpenKeys.active(), STATE_CONTEXT, &row.state).await.unwrap();
            if code != Some(wanted) {
                wrong.push(row.target.id);
            }
        }
        wrong.extend(said.into_keys().map(|(_, id)| format!("{id} is gone")));
        wrong
    }
}
