//! The database, its schema, and the log in it.

use std::time::Duration;

use clawexchange_audit::Query;
use clawexchange_database::{DatabaseError, Dialect, Statements as _, Tx, outbox};
use clawexchange_gateway::Serving;
use clawexchange_migrations::{SchemaState, adopt, all};
use clawexchange_quarantine::{Filter, Status};
use clawexchange_ssg_core::{Clock as _, EventKind, PageLimit, SystemClock};

use super::{Deployment, Found, Looked, postgres, rights};

/// How long the whole database may take to be read; a large one takes longer, and then it is not told.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn database(deployment: &Deployment) -> Looked {
    let db = deployment.bare()?;
    // A turn that is given back is rolled back: it shows that writers are not stuck.
    drop(db.begin().await?);
    Ok(Found::ok("it opens, and the turn to write comes"))
}

pub(super) async fn integrity(deployment: &Deployment) -> Looked {
    let db = deployment.opened()?;
    if db.dialect() == Dialect::Postgres {
        return postgres::integrity(db).await;
    }
    let read = db.read();
    let Ok(rows) = tokio::time::timeout(PATIENCE, read.rows("PRAGMA quick_check(5)", [])).await else {
        return Ok(Found::unknown(
            "the database is too large to be read in 20 s",
            Some("sqlite3 claw.db 'PRAGMA quick_check'"),
        ));
    };
    let mut said = Vec::new();
    for row in rows? {
        said.push(row.get::<String>("quick_check")?);
    }
    Ok(if said == ["ok"] {
        Found::ok("its pages are whole")
    } else {
        Found::fail(
            said.join("; "),
            "stop the server and restore a backup, as docs/operations.md says under Restore",
        )
    })
}

pub(super) async fn schema(deployment: &Deployment) -> Looked {
    let plan = all();
    let bare = deployment.opened()?;
    if plan.state(bare).await? != SchemaState::Current {
        deployment.current()?;
    }
    let drift = plan.drift(bare).await?;
    let names: Vec<String> = drift
        .missing
        .iter()
        .map(|object| format!("missing or altered: {} {}", object.kind, object.name))
        .chain(
            drift
                .unexpected
                .iter()
                .map(|object| format!("not made by a step: {} {}", object.kind, object.name)),
        )
        .collect();
    if names.is_empty() && adopt::stage(&bare.read()).await? == adopt::Stage::Moved {
        return Ok(Found::warn(
            "the first system's tables were moved, and not all of their rows are taken over",
            "claw migrate adopt",
        ));
    }
    Ok(if names.is_empty() {
        Found::ok(format!("{} steps have run, and nothing else has", plan.steps().count()))
    } else {
        Found::fail(
            names.join("; "),
            "`claw migrate verify` lists it; find out who did it, then restore a backup",
        )
    })
}

/// A row that no log has, which is never committed.
const PROBE: &str = "INSERT INTO audit_logs (log, batch_id, ord, month, leaf, leaf_hash, id, event_type, actor_type, \
                     actor_id, created_us) VALUES ('decisions', -1, 0, 0, x'00', zeroblob(32), 'probe', 'PROBE', \
                     'system', 'probe', 0)";

const ATTEMPTS: [(&str, &str); 3] = [
    ("change an event", "UPDATE audit_logs SET event_type = 'CHANGED' WHERE batch_id = -1"),
    ("delete an event", "DELETE FROM audit_logs WHERE batch_id = -1"),
    ("replace an event", "INSERT OR REPLACE INTO audit_logs SELECT * FROM audit_logs WHERE batch_id = -1"),
];

pub(super) async fn append_only(deployment: &Deployment) -> Looked {
    let db = deployment.rows()?;
    if db.dialect() == Dialect::Postgres {
        return rights::append_only(db).await;
    }
    let tx = db.begin().await?;
    // An empty log has no row that a trigger could stand before. Dropped, all of it never was.
    tx.execute(PROBE, []).await?;
    let mut allowed = Vec::new();
    for (what, sql) in ATTEMPTS {
        if !is_refused(&tx, sql).await? {
            allowed.push(what);
        }
    }
    drop(tx);
    Ok(if allowed.is_empty() {
        Found::ok("changing, deleting and replacing events is refused")
    } else {
        Found::fail(
            format!("who writes the database may {}", allowed.join(", ")),
            "run `claw audit verify`; `claw migrate verify` names the trigger; restore a backup of before",
        )
    })
}

async fn is_refused(tx: &Tx, sql: &str) -> Result<bool, DatabaseError> {
    match tx.execute(sql, []).await {
        Ok(_) => Ok(false),
        Err(error) if rights::says_append_only(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// More than ever wait while a log works.
const WAITING_MAX: u64 = 1000;

pub(super) async fn outbox(deployment: &Deployment) -> Looked {
    let depth = outbox::depth(deployment.rows()?).await?;
    if depth.aside > 0 {
        return Ok(Found::fail(
            format!("{} rows of the outbox are no events", depth.aside),
            "run `claw audit verify`; somebody wrote into the database",
        ));
    }
    let is_served = deployment.serving()? != Serving::Nobody;
    Ok(match depth.waiting {
        0 => Found::ok("no event waits"),
        waiting if is_served && waiting <= WAITING_MAX => {
            Found::ok(format!("{waiting} events wait for the server"))
        }
        waiting => Found::warn(format!("{waiting} events wait for the log"), "claw quarantine sweep"),
    })
}

pub(super) async fn pin(deployment: &Deployment) -> Looked {
    Ok(match deployment.log()?.extends_pin().await? {
        Some(true) => Found::ok("both logs extend what was pinned"),
        Some(false) => Found::fail(
            "a log does not extend what was pinned: its end was cut off or rewritten, or an old backup was restored",
            "run `claw audit verify`, and keep the pin as evidence",
        ),
        None => Found::warn(
            "nothing is pinned, so a log cut off at its end would not be noticed",
            "find out who took the pin away; `claw migrate up` pins anew",
        ),
    })
}

/// How far two clocks of one machine may be apart, rounded seconds included.
const APART_MAX: Duration = Duration::from_secs(2);

pub(super) async fn clock(deployment: &Deployment) -> Looked {
    let (log, db) = (deployment.log()?, deployment.rows()?);
    let row = db.read().row(&format!("SELECT {} AS us", db.dialect().now_us()), []).await?;
    let theirs = row.map(|row| row.get_u64("us")).transpose()?.unwrap_or_default() / 1_000_000;
    let now = SystemClock::new().now();
    let ours = u64::try_from(now.as_micros()).unwrap_or(0) / 1_000_000;
    if Duration::from_secs(theirs.abs_diff(ours)) > APART_MAX {
        return Ok(Found::warn(
            format!("the database's clock and this machine's are {} s apart", theirs.abs_diff(ours)),
            "let both take the time from one source",
        ));
    }
    let newest = log.query(&Query::default(), None, PageLimit::new(1).unwrap_or_default()).await?;
    Ok(match newest.items.first() {
        Some(event) if event.created_at > now.plus(APART_MAX) => Found::fail(
            format!("the newest event is of {}, and it is {now} here: the clock went back", event.created_at),
            "set the clock, by NTP; the log keeps the order of events all the same",
        ),
        _ => Found::ok(format!("it is {now} everywhere, and no event is of later")),
    })
}

/// Decisions of each sort that are looked at.
const DECISIONS: u64 = 10;

pub(super) async fn actions_logged(deployment: &Deployment) -> Looked {
    let (log, vault) = (deployment.log()?, deployment.vault().await?);
    let limit = PageLimit::new(DECISIONS).unwrap_or_default();
    let (mut seen, mut without) = (0_u64, Vec::new());
    for (status, kinds) in [
        (Status::Released, [EventKind::HumanRelease, EventKind::BotRelease]),
        (Status::Deleted, [EventKind::HumanDelete, EventKind::BotDelete]),
    ] {
        let mut filter = Filter::default();
        filter.status = Some(status);
        for record in vault.list(&filter, None, limit).await?.items {
            let mut query = Query::default();
            query.target = Some(record.id.to_string());
            // A decision that was taken over, or whose event left the log, has one that says so.
            query.kinds = [&kinds[..], &[EventKind::Imported, EventKind::LogRetired]].concat();
            seen += 1;
            if log.query(&query, None, PageLimit::new(1).unwrap_or_default()).await?.items.is_empty() {
                without.push(record.id.to_string());
            }
        }
    }
    if without.is_empty() {
        return Ok(Found::ok(format!("the newest {seen} decisions are in the log")));
    }
    if outbox::depth(deployment.rows()?).await?.waiting > 0 {
        return Ok(Found::unknown("events wait for the log", Some("claw quarantine sweep")));
    }
    Ok(Found::fail(
        format!("decisions without events: {}", without.join(", ")),
        "run `claw audit verify`; somebody wrote into the database",
    ))
}
