//! PostgreSQL: its server, its sessions, its room, and the way there.

use std::net::IpAddr;
use std::time::Duration;

use clawexchange_database::{Database, Row, Statements as _, Tls};
use clawexchange_ssg_core::{Clock as _, SystemClock};

use super::{Deployment, Found, Looked};

/// The one row that a question has.
async fn row(db: &Database, sql: &str) -> Result<Row, Found> {
    db.read().row(sql, []).await?.ok_or_else(|| Found::unknown("the server gave no row", None))
}

/// What a managed service may keep to itself is no failure of ours.
fn or_cannot_tell(found: Looked, what: &str) -> Looked {
    found.or_else(|found| {
        if found.text.contains("may not do that") {
            Ok(Found::unknown(&format!("this role may not see {what}"), Some("GRANT pg_monitor TO the role")))
        } else {
            Err(found)
        }
    })
}

/// Bytes as people read them.
pub(super) fn size(bytes: i64) -> String {
    match bytes {
        ..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

const CHECKSUMS: &str = "
SELECT current_setting('data_checksums') = 'on' AS checked, COALESCE(checksum_failures, 0) AS failures
FROM pg_catalog.pg_stat_database WHERE datname = current_database()";

/// Whether pages are whole, as far as the server itself has seen; `integrity` on PostgreSQL.
pub(super) async fn integrity(db: &Database) -> Looked {
    let row = row(db, CHECKSUMS).await?;
    let failures: i64 = row.get("failures")?;
    Ok(if failures > 0 {
        Found::fail(
            format!("the server read {failures} damaged pages"),
            "see the server's log, look for a failing disk, and restore a backup",
        )
    } else if row.get("checked")? {
        Found::ok("pages have checksums, and none was damaged")
    } else {
        Found::warn(
            "pages have no checksums, so one that the disk damages is not noticed",
            "stop the server and run pg_checksums --enable; a new one: initdb --data-checksums",
        )
    })
}

/// How many months ahead a server makes, and how many are too few.
const MONTHS: &str = "
SELECT CAST(count(*) AS BIGINT) AS there FROM generate_series(0, 3) AS ahead
WHERE to_regclass('audit_logs_' || to_char(date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')
                                           + ahead * interval '1 month', 'YYYYMM')) IS NOT NULL";

pub(super) async fn partitions(deployment: &Deployment) -> Looked {
    let db = deployment.server()?;
    deployment.rows()?;
    let there: i64 = row(db, MONTHS).await?.get("there")?;
    Ok(if there >= 4 {
        Found::ok("this month and the next three have their part of the log")
    } else {
        Found::warn(
            format!("{} of this month and the next three have no part of the log yet", 4 - there),
            "let `claw serve` run, which makes them each hour, or say SELECT audit_partitions_ahead(3)",
        )
    })
}

const SESSIONS: &str = "
SELECT CAST(count(*) FILTER (WHERE state IS NULL) AS BIGINT) AS unseen,
       CAST(count(*) FILTER (WHERE state LIKE 'idle in transaction%'
           AND clock_timestamp() - state_change > interval '1 minute') AS BIGINT) AS idle,
       CAST(count(*) FILTER (WHERE state = 'active'
           AND clock_timestamp() - query_start > interval '5 minutes') AS BIGINT) AS long,
       CAST(count(*) AS BIGINT) AS sessions,
       CAST(current_setting('max_connections') AS BIGINT) AS most
FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()";

pub(super) async fn sessions(deployment: &Deployment) -> Looked {
    or_cannot_tell(look_at_sessions(deployment.server()?).await, "sessions")
}

async fn look_at_sessions(db: &Database) -> Looked {
    let row = row(db, SESSIONS).await?;
    let [unseen, idle, long, sessions, most]: [i64; 5] =
        [row.get("unseen")?, row.get("idle")?, row.get("long")?, row.get("sessions")?, row.get("most")?];
    let fix = "see pg_stat_activity; SELECT pg_terminate_backend(pid) ends one";
    if idle > 0 {
        return Ok(Found::warn(
            format!(
                "{idle} sessions are idle in a transaction for more than a minute: what they locked stays so"
            ),
            fix,
        ));
    }
    if long > 0 {
        return Ok(Found::warn(format!("{long} statements run for more than 5 minutes"), fix));
    }
    if sessions * 10 > most * 8 {
        return Ok(Found::warn(
            format!("{sessions} sessions of {most} that the server takes"),
            "raise max_connections, lower CLAW_DB_POOL_MAX, or put a pooler before it",
        ));
    }
    Ok(Found::ok(match unseen {
        0 => format!("{sessions} sessions, none long or idle in a transaction"),
        _ => format!(
            "{sessions} sessions, none long or idle in a transaction; {unseen} of other roles are not seen"
        ),
    }))
}

const SIZES: &str = "
SELECT kind, CAST(sum(pg_catalog.pg_total_relation_size(oid)) AS BIGINT) AS bytes,
       CAST(sum(GREATEST(reltuples, 0)) AS BIGINT) AS rows
FROM (SELECT c.oid, c.reltuples, CASE WHEN c.relname LIKE 'audit_logs%' THEN 'log' WHEN c.relname LIKE 'audit_%' THEN 'batches'
             WHEN c.relname LIKE 'quarantine_%' OR c.relname = 'encryption_keys' THEN 'held content' ELSE 'the rest' END AS kind
      FROM pg_catalog.pg_class c
      WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind = 'r') AS tables
GROUP BY kind ORDER BY 2 DESC";

pub(super) async fn table_sizes(deployment: &Deployment) -> Looked {
    let db = deployment.server()?;
    let mut texts = Vec::new();
    for row in db.read().rows(SIZES, []).await? {
        texts.push(format!("{} {}", row.get::<String>("kind")?, size(row.get("bytes")?)));
    }
    Ok(Found::ok(texts.join(", ")))
}

const SETTINGS: &str = "
SELECT CAST(current_setting('server_version_num') AS BIGINT) / 10000 AS version,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       pg_catalog.pg_is_in_recovery() AS is_standby";

/// Older ones lack what the schema is made of.
const VERSION_MIN: i64 = 14;

pub(super) async fn server_settings(deployment: &Deployment) -> Looked {
    let db = deployment.server()?;
    let row = row(db, SETTINGS).await?;
    let version: i64 = row.get("version")?;
    let mut wrong = Vec::new();
    if version < VERSION_MIN {
        wrong.push(format!("version {version}, and {VERSION_MIN} is the oldest that is supported"));
    }
    for (name, value) in [
        ("fsync", row.get::<String>("fsync")?),
        ("full_page_writes", row.get::<String>("full_page_writes")?),
        ("synchronous_commit", row.get::<String>("synchronous_commit")?),
    ] {
        if value == "off" {
            wrong.push(format!("{name} is off, so what was acknowledged may be lost when the power is"));
        }
    }
    if row.get("is_standby")? {
        wrong.push("the server is a standby, which only reads".to_owned());
    }
    Ok(if wrong.is_empty() {
        Found::ok(format!("version {version}, and what is acknowledged survives a power cut"))
    } else {
        Found::fail(wrong.join("; "), "set it on in postgresql.conf, and point DATABASE_URL at the primary")
    })
}

const WAY: &str = "
SELECT CAST(pg_catalog.host(pg_catalog.inet_server_addr()) AS TEXT) AS address,
       CAST(pg_catalog.inet_server_port() AS BIGINT) AS port,
       current_setting('listen_addresses') AS listens,
       COALESCE((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), false) AS tls,
       (SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()) AS tls_version";

pub(super) async fn private(deployment: &Deployment) -> Looked {
    let db = deployment.server()?;
    let row = row(db, WAY).await?;
    let listens: String = row.get("listens")?;
    let here = ["", "localhost", "127.0.0.1", "::1"];
    if listens.split(',').all(|address| here.contains(&address.trim())) {
        return Ok(Found::ok("it listens on its own machine alone"));
    }
    let address: Option<String> = row.get("address")?;
    Ok(match address.and_then(|address| address.parse::<IpAddr>().ok()) {
        Some(address) if !is_private(address) => Found::warn(
            "it has a public address",
            "give it a private one, or let a firewall and pg_hba.conf keep everybody else out",
        ),
        _ => Found::unknown(
            &format!("it listens on {listens}, and who is kept out by a firewall is not seen from here"),
            Some("let a firewall and pg_hba.conf keep everybody but the application out"),
        ),
    })
}

pub(super) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

pub(super) async fn tls(deployment: &Deployment) -> Looked {
    let db = deployment.server()?;
    let row = row(db, WAY).await?;
    let version: Option<String> = row.get("tls_version")?;
    let is_encrypted: bool = row.get("tls")?;
    let Some(url) = &deployment.settings().database.server else {
        return Ok(Found::ok("nothing is connected to"));
    };
    let fix = "leave sslmode out of DATABASE_URL or set it to verify-full, and sslrootcert to the authority";
    Ok(if url.is_local() && url.tls() == Tls::None {
        Found::ok("the database is on this machine, where nobody listens in")
    } else if !is_encrypted {
        Found::fail("the connection to the database is not encrypted", fix)
    } else if url.tls() != Tls::Full {
        Found::warn("the connection is encrypted, and whoever answers is believed", fix)
    } else {
        Found::ok(format!("{} with a certificate that names the host", version.as_deref().unwrap_or("TLS")))
    })
}

const CREDENTIALS: &str = "
SELECT CAST(floor(extract(epoch FROM rolvaliduntil) * 1000000) AS BIGINT) AS until_us
FROM pg_catalog.pg_roles WHERE rolname = session_user AND isfinite(rolvaliduntil)";

/// Whoever notices a week before has time to change it.
const SOON: Duration = Duration::from_hours(7 * 24);

pub(super) async fn credentials(deployment: &Deployment) -> Looked {
    let db = deployment.server()?;
    let Some(row) = db.read().row(CREDENTIALS, []).await? else {
        return Ok(Found::unknown(
            "the server does not keep when a password was set",
            Some("ALTER ROLE … VALID UNTIL makes it end, and then this tells when"),
        ));
    };
    let until = clawexchange_ssg_core::Timestamp::from_micros(row.get("until_us")?);
    let text = format!("the password of the role ends at {until}");
    Ok(if until < SystemClock::new().now().plus(SOON) {
        Found::warn(text, "set a new one and another end: ALTER ROLE … PASSWORD … VALID UNTIL …")
    } else {
        Found::ok(text)
    })
}

pub(super) async fn replica(deployment: &Deployment) -> Looked {
    let db = deployment.server()?;
    if deployment.settings().database.replica.is_none() {
        return Ok(Found::skip("no CLAW_READ_DATABASE_URL: queries go to the database itself"));
    }
    let sql = "SELECT pg_catalog.pg_is_in_recovery() AS follows, \
               COALESCE(CAST(extract(epoch FROM clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) AS BIGINT), 0) \
               AS behind, (SELECT id FROM database_deployment) AS id";
    let row = db.replica().row(sql, []).await?;
    let row = row.ok_or_else(|| Found::unknown("the copy gave no row", None))?;
    if Some(row.get_bytes("id")?) != db.deployment().await? {
        return Ok(Found::fail("it is a copy of another deployment", "see CLAW_READ_DATABASE_URL"));
    }
    let behind: i64 = row.get("behind")?;
    Ok(if row.get("follows")? {
        Found::ok(format!("a standby, whose newest change is {behind} s old"))
    } else {
        Found::warn("what CLAW_READ_DATABASE_URL names is no standby", "name a standby, or leave it out")
    })
}

const ARCHIVER: &str = "
SELECT current_setting('archive_mode') AS mode, archived_count AS archived, failed_count AS failed,
       COALESCE(last_failed_time > last_archived_time, last_failed_time IS NOT NULL) AS fails,
       CAST(extract(epoch FROM clock_timestamp() - last_archived_time) AS BIGINT) AS age
FROM pg_catalog.pg_stat_archiver";

/// Whether the server keeps what a restore needs; `backups` on PostgreSQL.
pub(super) async fn backups(db: &Database) -> Looked {
    or_cannot_tell(look_at_archiver(db).await, "the archiver")
}

async fn look_at_archiver(db: &Database) -> Looked {
    let row = row(db, ARCHIVER).await?;
    if row.get::<String>("mode")? == "off" {
        return Ok(Found::unknown(
            "the server archives nothing by itself; a service's own backups, or pg_dump by the clock, are not seen from here",
            Some(
                "see that one of them is done and was once restored, as docs/deployment.md says under Backup",
            ),
        ));
    }
    if row.get("fails")? {
        return Ok(Found::fail(
            "the last file of the write-ahead log was not archived",
            "see the server's log",
        ));
    }
    let (archived, age): (i64, Option<i64>) = (row.get("archived")?, row.get("age")?);
    Ok(match age {
        Some(age) => Found::ok(format!("{archived} files archived, the last {} minutes ago", age / 60)),
        None => Found::warn("nothing was archived yet", "SELECT pg_switch_wal() makes it try"),
    })
}

const KEPT: &str = "SELECT CAST(EXTRACT(epoch FROM CAST(current_setting('statement_timeout') AS interval)) AS BIGINT) AS seconds";

/// Transactions that are looked at: a pooler hands each to whichever connection is free.
const LOOKS: usize = 8;

pub(super) async fn pooler(deployment: &Deployment) -> Looked {
    let db = deployment.server()?;
    let wanted =
        i64::try_from(deployment.settings().database.statement_timeout.as_secs()).unwrap_or(i64::MAX);
    let mut is_kept = true;
    for _ in 0..LOOKS {
        let tx = db.begin().await?;
        let seconds: Option<i64> = tx.row(KEPT, []).await?.map(|row| row.get("seconds")).transpose()?;
        is_kept &= seconds == Some(wanted);
    }
    let row = row(db, WAY).await?;
    let (seen, named) = (
        row.get::<Option<i64>>("port")?,
        deployment.settings().database.server.as_ref().and_then(clawexchange_database::PostgresUrl::port),
    );
    // Through a socket there is no port that could be another one.
    let is_between = seen.is_some() && named.is_some() && seen != named.map(i64::from);
    Ok(if !is_kept {
        Found::warn(
            "a pooler stands between that does not keep what a connection set: bounds on time do not hold",
            "run `claw migrate roles` and what it prints, which sets them for the role; PgBouncer must be 1.21 or newer \
             with max_prepared_statements above 0",
        )
    } else if is_between {
        Found::ok(
            "the server has another port than DATABASE_URL names: a pooler or a proxy stands between, and keeps what was set",
        )
    } else {
        Found::ok("none stands between, or one that keeps what was set")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_private_or_it_is_not() {
        for (address, private) in [
            ("10.1.2.3", true),
            ("127.0.0.1", true),
            ("192.168.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("fd00::1", true),
            ("203.0.113.5", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), private, "{address}");
        }
    }

    #[test]
    fn sizes_are_said_in_the_unit_that_fits() {
        for (bytes, said) in [(0, "0 KiB"), (8192, "8 KiB"), (5 << 20, "5 MiB"), (3 << 30, "3 GiB")] {
            assert_eq!(size(bytes), said);
        }
    }
}
