//! A desk with everything behind it in one temporary folder, and a clock that the test moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clawexchange_database::{Database, Drain, Plan, STATE, STATE_CONTEXT, StateRow, Statements as _, outbox};
use clawexchange_moderation::{
    Created, Desk, DeskConfig, MIGRATIONS, ModerationError, NewToken, Principal, Role, Tokens,
};
use clawexchange_quarantine::{FileStore, KeyRing, Note, Vault, VaultConfig};
use clawexchange_ssg_core::testing::{ManualClock, MemoryPorts, word_inspector};
use clawexchange_ssg_core::{
    Actor, AgentId, AuditEvent, Clock as _, ContentEnvelope, Fault as _, Gate, InspectionId, Inspector,
    KeyId, KeyProvider as _, Mac, MasterKey, PortError, QuarantineId, Submission,
};
use clawexchange_testkit::{open_in, tamper};
use tempfile::TempDir;

pub struct Rig {
    pub db: Database,
    pub vault: Vault,
    pub desk: Desk,
    pub tokens: Tokens,
    pub keys: KeyRing,
    pub clock: ManualClock,
    pub log: Log,
    pub folder: TempDir,
}

/// What is held, and by which inspection.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub id: QuarantineId,
    pub inspection: InspectionId,
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(DeskConfig::default()).await
    }

    pub async fn with(config: DeskConfig) -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::default());
        let db = open_in(folder.path()).await;
        let plan = Plan::of([clawexchange_quarantine::MIGRATIONS, MIGRATIONS]);
        plan.up(&db, None, clock.now()).await.unwrap();
        let key = KeyId::new("test").unwrap();
        let keys = KeyRing::from_master(Some(key), MasterKey::new([7; 32]).unwrap());
        let log = Log { db: db.clone(), events: Arc::default() };
        let objects = FileStore::new(folder.path().join("objects"));
        let vault = Vault::new(db.clone(), objects, keys.clone(), log.clone(), VaultConfig::default())
            .unwrap()
            .with_clock(clock.clone());
        let desk = Desk::new(vault.clone(), config);
        let tokens = Tokens::new(db.clone(), keys.clone()).with_clock(clock.clone());
        Self { db, vault, desk, tokens, keys, clock, log, folder }
    }

    /// The same tokens as another process knows them: nothing is shared but the rows.
    pub async fn other_process(&self) -> Tokens {
        Tokens::new(open_in(self.folder.path()).await, self.keys.clone()).with_clock(self.clock.clone())
    }

    pub async fn hold(&self, text: &str) -> Held {
        self.hold_by(text, "agent-1").await
    }

    pub async fn hold_by(&self, text: &str, agent: &str) -> Held {
        let content = ContentEnvelope::post(&format!("flag-hold {text}")).unwrap();
        let submission = Submission::new(content, AgentId::new(agent).unwrap());
        self.submit(submission, word_inspector(self.clock.clone())).await
    }

    pub async fn submit(&self, mut submission: Submission, inspector: Inspector) -> Held {
        let held = Held { id: QuarantineId::fresh(), inspection: InspectionId::fresh() };
        (submission.hold, submission.inspection) = (Some(held.id), Some(held.inspection));
        let gate = Gate::new(inspector, self.vault.clone(), MemoryPorts::new());
        gate.submit(submission).await.unwrap();
        held
    }

    pub async fn token(&self, name: &str, role: Role) -> Created {
        self.tokens.create(&setup(), &NewToken::new(AgentId::new(name).unwrap(), role)).await.unwrap()
    }

    pub fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// Runs a statement behind everybody's back.
    pub async fn sql(&self, sql: &str) {
        tamper::run(&self.db, sql).await;
    }

    pub async fn try_sql(&self, sql: &str) -> bool {
        let tx = self.db.begin().await.unwrap();
        tx.execute(sql, []).await.is_ok()
    }

    pub async fn count(&self, table_and_clause: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) AS n FROM {table_and_clause}");
        self.db.read().row(&sql, []).await.unwrap().unwrap().get("n").unwrap()
    }

    /// Places where rows and log disagree.
    pub async fn discrepancies(&self) -> Vec<String> {
        let mut said: BTreeMap<(String, String), String> = BTreeMap::new();
        for event in self.log.events().await {
            if let (Some(target), Some(state)) = (event.target(), event.meta().get(STATE)) {
                let place = (target.kind.clone(), target.id.clone());
                said.insert(place, state.as_str().unwrap().to_owned());
            }
        }
        let mut wrong = Vec::new();
        for row in self.state_rows().await {
            let place = format!("{} {}", row.table, row.target.id);
            match said.remove(&(row.target.kind.clone(), row.target.id.clone())) {
                None => wrong.push(format!("{place}: no event")),
                Some(mac) => {
                    let mac: Mac = mac.parse().unwrap();
                    if self.keys.mac(&mac.key, STATE_CONTEXT, &row.state).await.unwrap() != mac {
                        wrong.push(format!("{place}: altered"));
                    }
                }
            }
        }
        wrong.extend(said.keys().map(|(kind, id)| format!("{kind} {id}: no row")));
        wrong
    }

    /// All rows that events fix, a few at a time.
    async fn state_rows(&self) -> Vec<StateRow> {
        let (mut all, mut after) = (self.vault.state_rows(None, 1000).await.unwrap(), None);
        loop {
            let page = self.tokens.state_rows(after.as_ref(), 3).await.unwrap();
            let Some(last) = page.last() else { return all };
            after = Some(last.target.clone());
            all.extend(page);
        }
    }
}

pub fn setup() -> Actor {
    Actor::system("setup").unwrap()
}

pub fn principal(name: &str, role: Role) -> Principal {
    Principal::new(name, role).unwrap()
}

pub fn note(text: &str) -> Note {
    Note::new(text).unwrap()
}

pub fn code<T: std::fmt::Debug>(result: Result<T, ModerationError>) -> &'static str {
    result.unwrap_err().code()
}

/// A log in memory, that takes what waits in the outbox.
#[derive(Clone, Debug)]
pub struct Log {
    db: Database,
    events: Arc<Mutex<Vec<AuditEvent>>>,
}

impl Log {
    /// Everything that was logged, or waits to be.
    pub async fn events(&self) -> Vec<AuditEvent> {
        self.take().await;
        self.events.lock().unwrap().clone()
    }

    async fn take(&self) {
        let tx = self.db.begin().await.unwrap();
        let events = outbox::take(&tx, 10_000).await.unwrap();
        tx.commit().await.unwrap();
        self.events.lock().unwrap().extend(events);
    }
}

#[async_trait]
impl Drain for Log {
    async fn drain(&self) -> Result<(), PortError> {
        self.take().await;
        Ok(())
    }
}
