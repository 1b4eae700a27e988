//! Somebody who holds content and keeps a log of what became of it.

use clawexchange_audit::{AuditConfig, AuditLog};
use clawexchange_database::{Database, DatabaseConfig, Place, Plan};
use clawexchange_quarantine::{FileStore, Filter, KeyRing, Reason, Vault, VaultConfig};
use clawexchange_ssg_core::testing::hold_of;
use clawexchange_ssg_core::{Actor, AgentId, Clock as _, PageLimit, Quarantine as _, SystemClock};

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("clawexchange-consumer-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let place = Place::Sqlite(folder.join("claw.db"));
    let db = Database::open(DatabaseConfig::new(place).creating()).await?;
    let plan = Plan::of([clawexchange_audit::MIGRATIONS, clawexchange_quarantine::MIGRATIONS]);
    plan.up(&db, None, SystemClock::new().now()).await?;
    let keys = KeyRing::generate()?;
    let log = AuditLog::open(db.clone(), keys.clone(), AuditConfig::default()).await?;
    let objects = FileStore::new(folder.join("objects"));
    let vault = Vault::new(db, objects, keys, log.clone(), VaultConfig::default())?;

    vault.hold(hold_of("flag-hold this offer", &AgentId::new("agent-7")?, SystemClock::new()).await).await?;
    let waiting = vault.list(&Filter::default(), None, PageLimit::default()).await?;
    let record = waiting.items.first().ok_or("nothing waits")?;
    vault.release(record.id, &Actor::human("ann")?, Reason::FalsePositive, None).await?;
    log.drain_outbox().await?;
    let report = log.verify(&[], &|_, _| {}).await?;
    assert!(report.decisions >= 2, "the hold and its release are in the log");
    std::fs::remove_dir_all(folder)?;
    println!("works");
    Ok(())
}
