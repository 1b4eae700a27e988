//! The first system's limits: what can be set here is set, by whoever takes them over.

use clawexchange_database::outbox;
use clawexchange_database::{Database, DatabaseError, Statements as _, Tx};
use clawexchange_rate_limiter::stored::StoredLimits;
use clawexchange_rate_limiter::{EndpointTier, LimitError, Multiplier, Quota};
use clawexchange_ssg_core::{Actor, AuditEvent, Clock as _, EventKind, SystemClock, TrustLevel, fail_point};

use super::cursor::{Cursor, Tally, What};
use super::error::AdoptError;
use super::relocate::ORIGINAL_SCHEMA;
use super::text::{bytes_of, cut, text};

/// Rows that are looked at: far more than there are tiers.
const ROWS_MAX: usize = 200;

/// One more is asked for, so that more are seen as such.
const ASKED: usize = ROWS_MAX + 1;

/// A limit that was left, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// The table that it is in.
    pub table: &'static str,
    /// The tier or level, as far as it can be shown.
    pub name: String,
    /// Why it cannot be set.
    pub why: String,
}

/// Takes over quotas and multipliers in one transaction. What could not hold here is left, and given back.
pub(super) async fn import(
    db: &Database,
    limits: &StoredLimits,
    by: &Actor,
    tables: [bool; 2],
) -> Result<(Tally, Vec<Left>), AdoptError> {
    let now = SystemClock::new().now();
    let tx = db.begin().await?.patiently().await?;
    let mut cursor = Cursor::locked(&tx, What::Limits, now).await?;
    if cursor.tally.is_finished {
        return Ok((cursor.tally, Vec::new()));
    }
    let (mut done, mut left) = (0, Vec::new());
    let [has_quotas, has_multipliers] = tables;
    if has_quotas {
        done += quotas(&tx, limits, by, &mut left).await?;
    }
    if has_multipliers {
        done += multipliers(&tx, limits, by, &mut left).await?;
    }
    cursor.advance(&tx, None, done, left.len() as u64).await?;
    cursor.finish(&tx, now).await?;
    let [events, records] = [Cursor::look(&tx, What::Events).await?, Cursor::look(&tx, What::Records).await?];
    let all = AuditEvent::new(EventKind::Imported, by.clone(), now)
        .with("from", ORIGINAL_SCHEMA)?
        .with("events", events.done)?
        .with("eventsFlawed", events.flawed)?
        .with("records", records.done)?
        .with("recordsFlawed", records.flawed)?
        .with("limits", done)?
        .with("limitsLeft", left.len() as u64)?;
    outbox::put(&tx, &all).await?;
    fail_point!("adopt.before-limits");
    tx.commit().await?;
    fail_point!("adopt.limits");
    Ok((cursor.tally, left))
}

async fn quotas(tx: &Tx, limits: &StoredLimits, by: &Actor, left: &mut Vec<Left>) -> Result<u64, AdoptError> {
    const TABLE: &str = "rate_limit_configs";
    let sql = format!(
        "SELECT {}, CAST(per_hour AS BIGINT) AS per_hour, CAST(burst_per_minute AS BIGINT) AS burst_per_minute \
         FROM {ORIGINAL_SCHEMA}.{TABLE} ORDER BY id LIMIT {ASKED}",
        bytes_of("endpoint_tier", 64)
    );
    let rows = tx.rows(&sql, []).await?;
    let mut done = 0;
    for row in &rows {
        done += 1;
        if is_too_many(done, TABLE, left) {
            break;
        }
        let name = name(text(row, "endpoint_tier")?);
        let number = |column| {
            let number: Option<i64> = row.get(column)?;
            Ok::<_, DatabaseError>(number.and_then(|number| u32::try_from(number).ok()))
        };
        let quota = number("per_hour")?.zip(number("burst_per_minute")?);
        let set = match (EndpointTier::new(&name), quota) {
            (Ok(tier), Some((hour, minute))) => {
                set(limits.set_quota(tx, by, &tier, Quota::new(hour, minute)).await)?
            }
            (Err(error), _) => Err(error.to_string()),
            (_, None) => Err("its numbers are none".to_owned()),
        };
        if let Err(why) = set {
            left.push(Left { table: TABLE, name, why });
        }
    }
    Ok(done)
}

async fn multipliers(
    tx: &Tx,
    limits: &StoredLimits,
    by: &Actor,
    left: &mut Vec<Left>,
) -> Result<u64, AdoptError> {
    const TABLE: &str = "tier_threshold_configs";
    let sql = format!(
        "SELECT {}, {} FROM {ORIGINAL_SCHEMA}.{TABLE} ORDER BY id LIMIT {ASKED}",
        bytes_of("trust_level", 64),
        bytes_of("multiplier", 64)
    );
    let rows = tx.rows(&sql, []).await?;
    let mut done = 0;
    for row in &rows {
        done += 1;
        if is_too_many(done, TABLE, left) {
            break;
        }
        let name = name(text(row, "trust_level")?);
        let factor = name_of_factor(text(row, "multiplier")?);
        let set = match (name.parse::<TrustLevel>(), factor.parse::<Multiplier>()) {
            (Ok(level), Ok(factor)) => set(limits.set_trust(tx, by, level, factor).await)?,
            (Err(_), _) => Err("there is no such level of trust".to_owned()),
            (_, Err(error)) => Err(error.to_string()),
        };
        if let Err(why) = set {
            left.push(Left { table: TABLE, name, why });
        }
    }
    Ok(done)
}

/// Whether a row is beyond those that are looked at; it and all behind it are left, and said once.
fn is_too_many(nth: u64, table: &'static str, left: &mut Vec<Left>) -> bool {
    let is_beyond = nth > ROWS_MAX as u64;
    if is_beyond {
        let why = format!("it and all behind it: no more than {ROWS_MAX} are looked at");
        left.push(Left { table, name: String::new(), why });
    }
    is_beyond
}

fn name(found: Option<(String, bool)>) -> String {
    found.map_or_else(String::new, |(text, _)| cut(&text, 64).to_owned())
}

/// The decimals that PostgreSQL prints without those that say nothing: `10.000` is ten.
fn name_of_factor(found: Option<(String, bool)>) -> String {
    let text = name(found);
    match text.split_once('.') {
        Some((whole, part)) => {
            let part = part.trim_end_matches('0');
            if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
        }
        None => text,
    }
}

/// Whether a limit could be set; if not for what it is, why. The limits check themselves before they ask the database.
fn set<T>(done: Result<T, LimitError>) -> Result<Result<(), String>, AdoptError> {
    match done {
        Ok(_) => Ok(Ok(())),
        Err(LimitError::Limits(error)) => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}
