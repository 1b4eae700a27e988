//! Limits that are kept in the database, each with its event in the log.
//!
//! Three tables: `rate_limit_configs` has the quotas, `tier_threshold_configs` what levels of trust multiply,
//! `rate_limit_overrides` what single agents may do instead for a while. Every row, seeded or changed, has a
//! `CONFIG_CHANGED` event that fixes it, written to the outbox in the transaction of the change, so that whoever
//! compares rows and log finds a limit that was changed behind the log's back.

mod overrides;
mod watch;

use std::sync::Arc;

use clawexchange_database::{
    Database, MigrationSet, Row, STATE, STATE_CONTEXT, StateRow, Statements, Tx, outbox, step,
};
use clawexchange_ssg_core::{
    Actor, AuditEvent, Clock, EventKind, KeyProvider, SystemClock, Target, TrustLevel,
};

pub use self::overrides::{OVERRIDE_DAYS_MAX, OVERRIDE_TARGET, REASON_CHARS_MAX, SWEEP_MAX, StoredOverride};
use self::overrides::{Slot, slots};
pub use self::watch::{Looked, Revision, Watch};
use crate::error::LimitError;
use crate::limits::{Limits, Multiplier, PenaltyFactors, Quota, TIERS_MAX, Trust};
use crate::tier::EndpointTier;

/// The ordered changes that make the tables of this crate, with the documented limits in them.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "rate-limiter",
    table: "clawexchange_rate_limiter_migrations",
    steps: &[
        step!("rate_limiter_0001_limits", "0001_limits", evidence: &[]),
        step!("rate_limiter_0002_overrides", "0002_overrides", evidence: &[]),
    ],
};

/// What events about a quota have as the type of their target; the id is the tier.
pub const QUOTA_TARGET: &str = "rate-limit";

/// What events about a multiplier have as the type of their target; the id is the level of trust.
pub const TRUST_TARGET: &str = "trust";

/// What whoever changes limits locks first, since they are checked as a whole. It comes before every row, and those before
/// the outbox.
const CHANGE: &str = "rate-limiter/limits";

/// The limits in a database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoredLimits {
    db: Database,
    keys: Arc<dyn KeyProvider>,
    clock: Arc<dyn Clock>,
}

impl StoredLimits {
    /// The limits in `db`; `keys` make the codes that fix each row.
    pub fn new(db: Database, keys: impl KeyProvider) -> Self {
        Self::with_clock(db, keys, SystemClock::new())
    }

    /// The same, by the given clock.
    pub fn with_clock(db: Database, keys: impl KeyProvider, clock: impl Clock) -> Self {
        Self { db, keys: Arc::new(keys), clock: Arc::new(clock) }
    }

    /// The limits as they are now, checked as a whole.
    ///
    /// # Errors
    ///
    /// A row that is none, or one of the original's tiers or levels that is missing, is an `Integrity` fault that
    /// names it; limits that cannot hold together are a `Configuration` fault that says why.
    pub async fn load(&self) -> Result<Limits, LimitError> {
        // Overrides first: each has a tier, and tiers never go, so what is read later has that tier, too.
        let slots = slots(&self.db.read()).await?;
        limits(&rows(&self.db.read()).await?, &slots)
    }

    /// Sets the quota of a tier, or adds a tier, and writes its event, in a transaction of the caller. Gives the limits
    /// as they are once that commits.
    ///
    /// What is set already is not set again and has no event.
    pub async fn set_quota(
        &self,
        tx: &Tx,
        by: &Actor,
        tier: &EndpointTier,
        quota: Quota,
    ) -> Result<Limits, LimitError> {
        tx.lock(CHANGE).await?;
        let rows = rows(tx).await?;
        let changed = limits(&rows, &slots(tx).await?)?.with_quota(tier.clone(), quota)?;
        let values = [i64::from(quota.per_hour), i64::from(quota.per_minute)];
        let known = rows.iter().find(|row| row.kind == Kind::Quota && row.name == tier.as_str());
        self.set(tx, by, Kind::Quota, tier.as_str(), (values, known)).await?;
        Ok(changed)
    }

    /// Sets what a level of trust multiplies, and writes its event, in a transaction of the caller. Gives the limits as
    /// they are once that commits.
    ///
    /// What is set already is not set again and has no event.
    pub async fn set_trust(
        &self,
        tx: &Tx,
        by: &Actor,
        level: TrustLevel,
        factor: Multiplier,
    ) -> Result<Limits, LimitError> {
        tx.lock(CHANGE).await?;
        let rows = rows(tx).await?;
        let changed = limits(&rows, &slots(tx).await?)?.with_trust(level, factor)?;
        let values = [i64::from(factor.as_hundredths()), 0];
        let known = rows.iter().find(|row| row.kind == Kind::Trust && row.name == level.as_str());
        self.set(tx, by, Kind::Trust, level.as_str(), (values, known)).await?;
        Ok(changed)
    }

    /// Writes the events of the rows that a migration seeded, once. Until then they have none: to be called whenever
    /// the migrations have run.
    ///
    /// # Errors
    ///
    /// A row without an event that is not as it was seeded is an `Integrity` fault: it is not announced, since nobody is
    /// known to have set it.
    pub async fn ensure_events(&self) -> Result<(), LimitError> {
        if rows(&self.db.read()).await?.iter().all(|row| row.is_announced) {
            return Ok(());
        }
        let by = system("migration")?;
        let tx = self.db.begin().await?;
        tx.lock(CHANGE).await?;
        for row in rows(&tx).await?.into_iter().filter(|row| !row.is_announced) {
            if !row.is_as_seeded() {
                return Err(row.broken("has no event and is not as it was seeded"));
            }
            let sql = format!("UPDATE {} SET announced = 1 WHERE {} = $1", row.kind.table(), row.kind.key());
            tx.execute(&sql, [row.name.as_str().into()]).await?;
            outbox::put(&tx, &self.event(&row, &by, None).await?).await?;
        }
        Ok(tx.commit().await?)
    }

    /// All rows that their last event fixes, and what it fixes: quotas, then multipliers, in the order of their names,
    /// then overrides. A row without an event is among them, so that it is found.
    pub async fn state_rows(&self) -> Result<Vec<StateRow>, LimitError> {
        let rows = rows(&self.db.read()).await?;
        let slots = slots(&self.db.read()).await?;
        let rows = rows.iter().map(|row| StateRow::new(row.kind.table(), row.target(), row.state()));
        Ok(rows.chain(slots.iter().map(Slot::state_row)).collect())
    }

    async fn set(
        &self,
        tx: &Tx,
        by: &Actor,
        kind: Kind,
        name: &str,
        (values, known): ([i64; 2], Option<&StoredRow>),
    ) -> Result<(), LimitError> {
        if known.is_some_and(|row| row.values == values && row.is_announced) {
            return Ok(());
        }
        let now = self.clock.now().as_micros();
        let row = StoredRow {
            kind,
            name: name.to_owned(),
            values,
            created_at: known.map_or(now, |row| row.created_at),
            updated_at: now,
            version: known.map_or(1, |row| row.version.saturating_add(1)),
            is_announced: true,
        };
        let [first, second] = values;
        let common = [row.name.as_str().into(), row.created_at.into(), now.into(), row.version.into()];
        let mut parameters = Vec::from(common);
        parameters.push(first.into());
        if kind == Kind::Quota {
            parameters.push(second.into());
        }
        tx.execute(kind.upsert(), parameters).await?;
        outbox::put(tx, &self.event(&row, by, known).await?).await?;
        Ok(())
    }

    /// The code that fixes a row, as its event says it.
    async fn code(&self, state: &[u8]) -> Result<String, LimitError> {
        let key = self.keys.active();
        let code = self.keys.mac(&key, STATE_CONTEXT, state).await.map_err(LimitError::Key)?;
        Ok(code.to_string())
    }

    async fn event(
        &self,
        row: &StoredRow,
        by: &Actor,
        before: Option<&StoredRow>,
    ) -> Result<AuditEvent, LimitError> {
        let event = AuditEvent::new(EventKind::ConfigChanged, by.clone(), self.clock.now())
            .on(row.target())
            .with("version", row.version)?
            .with(STATE, self.code(&row.state()).await?)?;
        let names: &[(&str, &str)] = match row.kind {
            Kind::Quota => &[("perHour", "perHourBefore"), ("burstPerMinute", "burstPerMinuteBefore")],
            Kind::Trust => &[("multiplierHundredths", "multiplierHundredthsBefore")],
        };
        names.iter().enumerate().try_fold(event, |event, (i, (name, name_before))| {
            let event = event.with_some(name, row.values.get(i).copied())?;
            Ok(event.with_some(name_before, before.and_then(|row| row.values.get(i).copied()))?)
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Quota,
    Trust,
}

impl Kind {
    const fn table(self) -> &'static str {
        match self {
            Self::Quota => "rate_limit_configs",
            Self::Trust => "tier_threshold_configs",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Quota => "endpoint_tier",
            Self::Trust => "trust_level",
        }
    }

    const fn target(self) -> &'static str {
        match self {
            Self::Quota => QUOTA_TARGET,
            Self::Trust => TRUST_TARGET,
        }
    }

    const fn upsert(self) -> &'static str {
        match self {
            Self::Quota => {
                "INSERT INTO rate_limit_configs (endpoint_tier, created_at, updated_at, version, per_hour, \
                 burst_per_minute, announced) VALUES ($1, $2, $3, $4, $5, $6, 1) ON CONFLICT (endpoint_tier) DO \
                 UPDATE SET updated_at = $3, version = $4, per_hour = $5, burst_per_minute = $6, announced = 1"
            }
            Self::Trust => {
                "INSERT INTO tier_threshold_configs (trust_level, created_at, updated_at, version, \
                 multiplier_hundredths, announced) VALUES ($1, $2, $3, $4, $5, 1) ON CONFLICT (trust_level) DO \
                 UPDATE SET updated_at = $3, version = $4, multiplier_hundredths = $5, announced = 1"
            }
        }
    }
}

/// A row of quotas or multipliers, as it is, whether it makes sense or not.
#[derive(Clone, Debug)]
struct StoredRow {
    kind: Kind,
    name: String,
    /// Per hour and per minute, or hundredths and nothing.
    values: [i64; 2],
    created_at: i64,
    updated_at: i64,
    version: i64,
    is_announced: bool,
}

impl StoredRow {
    fn of(row: &Row) -> Result<Self, LimitError> {
        let kind = if row.get::<i64>("is_trust")? == 0 { Kind::Quota } else { Kind::Trust };
        Ok(Self {
            kind,
            name: row.get("name")?,
            values: [row.get("first")?, row.get("second")?],
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            version: row.get("version")?,
            is_announced: row.get::<i64>("announced")? == 1,
        })
    }

    fn target(&self) -> Target {
        Target::new(self.kind.target(), &self.name)
    }

    /// Everything that the event fixes, as canonical JSON: the name of a row that may be has no character to escape.
    fn state(&self) -> Vec<u8> {
        let Self { name, values: [first, second], created_at, updated_at, version, .. } = self;
        match self.kind {
            Kind::Quota => format!(
                "{{\"burst_per_minute\":{second},\"created_at\":{created_at},\"endpoint_tier\":{name:?},\
                 \"per_hour\":{first},\"updated_at\":{updated_at},\"version\":{version}}}"
            ),
            Kind::Trust => format!(
                "{{\"created_at\":{created_at},\"multiplier_hundredths\":{first},\"trust_level\":{name:?},\
                 \"updated_at\":{updated_at},\"version\":{version}}}"
            ),
        }
        .into_bytes()
    }

    fn is_as_seeded(&self) -> bool {
        let seeds = Limits::default();
        let seeded = match self.kind {
            Kind::Quota => {
                let quota = self.name.parse().ok().and_then(|tier| seeds.quota(&tier));
                quota.map(|quota| [i64::from(quota.per_hour), i64::from(quota.per_minute)])
            }
            Kind::Trust => {
                let level = self.name.parse::<TrustLevel>().ok();
                level.map(|level| [i64::from(seeds.trust().of(level).as_hundredths()), 0])
            }
        };
        seeded == Some(self.values) && self.version == 1 && self.created_at == self.updated_at
    }

    fn broken(&self, what: &'static str) -> LimitError {
        LimitError::StoredRow { table: self.kind.table(), name: self.name.clone(), what }
    }
}

/// Quotas and multipliers as they are at one moment, quotas first, by name.
async fn rows(on: &impl Statements) -> Result<Vec<StoredRow>, LimitError> {
    let sql = "SELECT CAST(0 AS BIGINT) AS is_trust, endpoint_tier AS name, per_hour AS first, burst_per_minute AS second, \
               created_at, updated_at, version, announced FROM rate_limit_configs \
               UNION ALL SELECT 1, trust_level, multiplier_hundredths, 0, created_at, updated_at, version, announced \
               FROM tier_threshold_configs ORDER BY 1, 2 LIMIT $1";
    // One more than there may be, so that too many are seen as such.
    let at_most = i64::try_from(TIERS_MAX + TrustLevel::ALL.len() + 1).unwrap_or(i64::MAX);
    let found = on.rows(sql, [at_most.into()]).await?;
    found.iter().map(StoredRow::of).collect()
}

fn limits(rows: &[StoredRow], slots: &[Slot]) -> Result<Limits, LimitError> {
    let mut quotas = Vec::with_capacity(rows.len());
    let mut trust = Trust::default();
    for row in rows {
        let number =
            |value: i64| u32::try_from(value).ok().ok_or_else(|| row.broken("has a number that is none"));
        let [first, second] = row.values;
        match row.kind {
            Kind::Quota => {
                let tier = row.name.parse().ok().ok_or_else(|| row.broken("has a name that no tier has"))?;
                quotas.push((tier, Quota::new(number(first)?, number(second)?)));
            }
            Kind::Trust => {
                let level = row.name.parse().ok().ok_or_else(|| row.broken("is of no level of trust"))?;
                trust = trust.with(level, Multiplier::hundredths(number(first)?));
            }
        }
    }
    let is_there = |kind, name: &str| rows.iter().any(|row| row.kind == kind && row.name == name);
    for tier in [EndpointTier::POSTS, EndpointTier::COMMENTS, EndpointTier::MESSAGES] {
        if !is_there(Kind::Quota, tier.as_str()) {
            return Err(missing(Kind::Quota, tier.as_str()));
        }
    }
    for level in TrustLevel::ALL {
        if !is_there(Kind::Trust, level.as_str()) {
            return Err(missing(Kind::Trust, level.as_str()));
        }
    }
    let overrides = slots.iter().filter_map(Slot::parse).collect::<Result<Vec<_>, _>>()?;
    Ok(Limits::new(quotas, trust, PenaltyFactors::default())?.with_overrides(overrides)?)
}

fn missing(kind: Kind, name: &str) -> LimitError {
    LimitError::StoredRow { table: kind.table(), name: name.to_owned(), what: "is missing" }
}

fn system(part: &str) -> Result<Actor, LimitError> {
    // A short word of letters is always an id.
    Actor::system(part).ok().ok_or(LimitError::Stopped)
}
